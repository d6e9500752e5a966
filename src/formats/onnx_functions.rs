//! Operators that a file defines itself: functions, whose nodes take the place of each call of theirs.
//!
//! A function names what it is given and what it makes, and holds nodes between them, as a graph does. In place of a call stand the
//! nodes under names of their own: what the function is given is called as the call calls it, and so is what it makes;
//! everything else has the name of the call in front. An attribute of a node that stands for an argument of the function is the
//! call's argument, or the function's own default, or is left out.
//!
//! The nodes of a function mean what the version of the operators says that the function was written by, which may be another than the
//! file's own: each carries it. ONNX's inliner does the same. onnxruntime reads them by the file's version, and ONNX's checker refuses
//! a file where that is not the same.
//!
//! An operator of ONNX's own domain, or one of onnxruntime's that is known here, means what it does everywhere, also where the file
//! has a function of its name: such a function never gets here. ONNX leaves it to runtimes which counts.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::onnx::is_standard;
use super::onnx_proto::{AttributeProto, FunctionProto, GraphProto, NodeProto};
use crate::budget::Meter;
use crate::{Error, Result};

/// The functions of a file, while they take the place of their calls.
struct Functions<'a> {
    functions: &'a [FunctionProto],
    /// What reading the file may take.
    meter: &'a Meter,
    place: &'a str,
    /// How many calls there were.
    calls: usize,
}

/// How many functions may stand in one another.
const DEEPEST: usize = 100;

/// Puts the nodes of `functions` in the place of their calls in `graph`, which a file called `place` holds.
///
/// # Errors
/// [`Error::Format`] for a function that calls itself or stands in more than 100 others, for two of one name, and for calls with
/// more inputs or outputs than a function has;
/// [`Error::Limit`] where the nodes are more than the budget.
pub(super) fn inline(graph: &mut GraphProto, functions: &[FunctionProto], meter: &Meter, place: &str) -> Result<()> {
    if functions.is_empty() {
        return Ok(());
    }
    let mut names = HashSet::new();
    for FunctionProto { domain, name, overload, .. } in functions {
        if !names.insert((domain, name, overload)) {
            return Err(Error::format(place, format!("the file defines the operator {name} twice")));
        }
    }
    Functions { functions, meter, place, calls: 0 }.in_graph(graph, &mut Vec::new())
}

impl Functions<'_> {
    fn in_graph(&mut self, graph: &mut GraphProto, around: &mut Vec<usize>) -> Result<()> {
        graph.node = self.nodes(std::mem::take(&mut graph.node), around)?;
        Ok(())
    }

    /// `nodes` without calls, within the functions `around`, by their places.
    fn nodes(&mut self, nodes: Vec<NodeProto>, around: &mut Vec<usize>) -> Result<Vec<NodeProto>> {
        let mut made = Vec::with_capacity(nodes.len());
        for (index, mut node) in nodes.into_iter().enumerate() {
            for graph in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut()) {
                self.in_graph(graph, around)?;
            }
            let called = self.functions.iter().position(|function| {
                function.name == node.op_type && function.domain == node.domain && function.overload == node.overload
            });
            let Some(called) = called else {
                made.push(node);
                continue;
            };
            node.name = super::onnx::called(index, &node);
            if around.contains(&called) {
                return Err(self.broken(&node, "it calls itself"));
            }
            if around.len() >= DEEPEST {
                return Err(self.broken(&node, "more than 100 functions stand in one another"));
            }
            around.push(called);
            let body = self.body(&self.functions[called], &node)?;
            made.extend(self.nodes(body, around)?);
            around.pop();
        }
        Ok(made)
    }

    fn broken(&self, call: &NodeProto, why: &str) -> Error {
        let NodeProto { name, op_type, .. } = call;
        Error::format(self.place, format!("node {name} calls {op_type}, an operator that the file defines: {why}"))
    }

    /// The nodes of `function` as `call` calls it.
    fn body(&mut self, function: &FunctionProto, call: &NodeProto) -> Result<Vec<NodeProto>> {
        if call.input.len() > function.input.len() || call.output.len() > function.output.len() {
            return Err(self.broken(call, "the call has more inputs or outputs than it"));
        }
        // As the messages of its nodes take.
        let bytes = function.encoded_len() as u64;
        self.meter.work(bytes)?;
        self.meter.memory(bytes.saturating_mul(8))?;
        self.calls += 1;
        let mut names = InnerNames { given: HashMap::new(), front: format!("{}#{}", call.name, self.calls) };
        let none = String::new();
        for (own, given) in function.input.iter().zip(call.input.iter().chain(std::iter::repeat(&none))) {
            names.given.insert(own, given.clone());
        }
        let mut passed_on = Vec::new();
        for (own, made) in function.output.iter().zip(&call.output).filter(|(_, made)| !made.is_empty()) {
            // What it is given, or has made already, under another name.
            match names.given.get(own.as_str()).cloned() {
                Some(given) => passed_on.push((given, made.clone())),
                None => drop(names.given.insert(own, made.clone())),
            }
        }
        let opset = function.opset_import.iter().find(|set| is_standard(&set.domain)).map(|set| set.version);
        let mut nodes = function.node.clone();
        for (index, node) in nodes.iter_mut().enumerate() {
            node.name = format!("{}/{}", call.name, super::onnx::called(index, node));
            names.rename(node);
            arguments(node, function, call);
            written_by(opset, node);
        }
        let identity = |(input, output)| NodeProto {
            name: format!("{}/{output}", call.name),
            op_type: "Identity".into(),
            input: vec![input],
            output: vec![output],
            ..NodeProto::default()
        };
        nodes.extend(passed_on.into_iter().map(identity));
        Ok(nodes)
    }
}

/// What the values in a function are called in the graph.
struct InnerNames<'a> {
    /// Its inputs and outputs, as the call calls them.
    given: HashMap<&'a str, String>,
    /// What stands before all others.
    front: String,
}

impl InnerNames<'_> {
    fn change(&self, name: &mut String) {
        if !name.is_empty() {
            *name = self.given.get(name.as_str()).cloned().unwrap_or_else(|| format!("{}/{name}", self.front));
        }
    }

    /// Renames what `node` reads and makes, in graphs within it as well: a function sees nothing but itself.
    fn rename(&self, node: &mut NodeProto) {
        node.input.iter_mut().chain(&mut node.output).for_each(|name| self.change(name));
        for graph in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut()) {
            graph.node.iter_mut().for_each(|node| self.rename(node));
            graph.initializer.iter_mut().for_each(|tensor| self.change(&mut tensor.name));
            graph.input.iter_mut().chain(&mut graph.output).for_each(|value| self.change(&mut value.name));
        }
    }
}

/// Says of `node`, and of those in graphs within it, by which version of the operators they were written.
pub(super) fn written_by(opset: Option<i64>, node: &mut NodeProto) {
    node.opset = opset;
    let graphs = node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut());
    graphs.flat_map(|graph| &mut graph.node).for_each(|node| written_by(opset, node));
}

/// Puts the arguments of `call` in the place of what stands for them in a node of `function`, and in the graphs within it.
fn arguments(node: &mut NodeProto, function: &FunctionProto, call: &NodeProto) {
    let of = |attribute: AttributeProto| {
        if attribute.ref_attr_name.is_empty() {
            return Some(attribute);
        }
        let given = call.attribute.iter().find(|given| given.name == attribute.ref_attr_name);
        let default = || function.attribute_proto.iter().find(|default| default.name == attribute.ref_attr_name);
        given.or_else(default).map(|value| AttributeProto { name: attribute.name.clone(), ..value.clone() })
    };
    node.attribute = std::mem::take(&mut node.attribute).into_iter().filter_map(of).collect();
    for graph in node.attribute.iter_mut().filter_map(|attribute| attribute.g.as_deref_mut()) {
        graph.node.iter_mut().for_each(|node| arguments(node, function, call));
    }
}
