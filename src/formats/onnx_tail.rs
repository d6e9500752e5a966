//! The end of an ONNX graph that is computed on the host, after the model.
//!
//! A layer's extents follow from those it reads, so what has an extent that depends on values cannot be made by one: the boxes
//! that `NonMaxSuppression` leaves, the elements that are not zero. Such a node, and all that reads what it makes, are put off:
//!
//! ```text
//! image ─ layers ─┬─ boxes ──┐                                              the model, on the device
//!                 └─ scores ─┤
//!                            └─ NonMaxSuppression ─ Gather ─ selected       the tail, on the host
//! ```
//!
//! The model then makes what the tail reads. Once that has been computed, everything in the tail is constant, and the tail is
//! computed as constants are when a file is read (`onnx_fold.rs`).

use std::collections::{HashMap, HashSet};

use super::onnx::{Translator, leads_to};
use super::onnx_fold::KnownTensor;
use super::onnx_nodes::CUT;
use super::onnx_proto::{GraphProto, NodeProto, ValueInfoProto};
use crate::budget::Meter;
use crate::model::Port;
use crate::{HostTensor, Result};

/// Whether ends are computed on this host: not in a browser, whose package has no room for it.
pub(super) const ENDS_HERE: bool = !cfg!(target_arch = "wasm32");

/// The operators that the host computes.
const COMPUTED: &str = "\
    Abs Add And ArgMax ArgMin Cast CastLike Ceil Clip Compress Concat Constant ConstantOfShape CumSum DequantizeLinear Div \
    Equal Exp Expand Flatten Floor Gather GatherElements GatherND Gemm Greater GreaterOrEqual Identity If Less LessOrEqual \
    Log Loop MatMul Max Min Mod Mul Neg NonMaxSuppression NonZero Not Or Pow QuantizeLinear Range Reciprocal Relu \
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Reshape Round ScatterND Shape Sigmoid Sign Size Slice Softmax \
    Split Sqrt Squeeze Sub Tanh Tile TopK Transpose Unique Unsqueeze Where Xor";

/// The nodes that have been put off so far, and what they read.
#[derive(Default)]
pub(super) struct PutOff {
    nodes: Vec<NodeProto>,
    constants: HashMap<String, (KnownTensor, i32)>,
    taps: Vec<(Tap, Port)>,
    tapped: HashSet<String>,
    /// The names that the nodes make.
    made: HashSet<String>,
}

/// A value of the model that the tail reads.
struct Tap {
    name: String,
    /// Its element type.
    data_type: i32,
}

impl PutOff {
    pub(super) fn is_empty(&self) -> bool {
        !ENDS_HERE || self.nodes.is_empty()
    }

    /// Whether the tail makes the value of this name.
    pub(super) fn makes(&self, name: &str) -> bool {
        self.made.contains(name)
    }

    /// Puts off a node to the host.
    pub(super) fn push(&mut self, node: NodeProto) {
        self.made.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
        self.nodes.push(node);
    }

    /// Leaves out what leads to none of the `outputs`; what stands in the way of the rest: name, operator and reason of each node
    /// that the host does not compute.
    pub(super) fn pruned(&mut self, outputs: &[ValueInfoProto]) -> Vec<[String; 3]> {
        let mut read: HashSet<String> = outputs.iter().map(|output| output.name.clone()).collect();
        self.nodes.reverse();
        self.nodes.retain(|node| leads_to(node, &mut read));
        self.nodes.reverse();
        self.constants.retain(|name, _| read.contains(name));
        self.taps.retain(|(tap, _)| read.contains(&tap.name));
        self.tapped.retain(|name| read.contains(name));
        let lacking = self.nodes.iter().filter(|node| !computes(&node.op_type)).map(|node| {
            let reason = format!(
                "it reads what has an extent that depends on values, which is computed on the host, and the host has no {}; {CUT}",
                node.op_type
            );
            [node.name.clone(), node.op_type.clone(), reason]
        });
        lacking.collect()
    }

    /// The tail reads a constant of this name.
    pub(super) fn constant(&mut self, name: &str, constant: &KnownTensor, data_type: i32) {
        self.constants.entry(name.to_owned()).or_insert_with(|| (constant.clone(), data_type));
    }

    /// The tail reads a value of the model.
    pub(super) fn tap(&mut self, name: &str, port: Port, data_type: i32) {
        if self.tapped.insert(name.to_owned()) {
            self.taps.push((Tap { name: name.to_owned(), data_type }, port));
        }
    }

    /// The tail, with these values as the outputs of all, and the values that the model makes for it.
    pub(super) fn finish(self, outputs: &[ValueInfoProto], place: &str, opset: i64) -> (Tail, Vec<Port>) {
        let Self { nodes: node, constants, taps, .. } = self;
        let (taps, ports) = taps.into_iter().unzip();
        let graph = GraphProto { node, output: outputs.to_vec(), ..GraphProto::default() };
        (Tail { place: place.to_owned(), graph, opset, constants, taps }, ports)
    }
}

/// Whether the host computes an operator.
pub(super) fn computes(operator: &str) -> bool {
    COMPUTED.split(' ').any(|computed| computed == operator)
}

/// The end of a graph, which the host computes from what the model makes.
pub(super) struct Tail {
    /// What messages call the file.
    place: String,
    graph: GraphProto,
    opset: i64,
    constants: HashMap<String, (KnownTensor, i32)>,
    /// In the order of the model's outputs.
    taps: Vec<Tap>,
}

impl Tail {
    /// The names of its nodes, with their operators.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.graph.node.iter().map(|node| (node.name.as_str(), node.op_type.as_str()))
    }

    /// How many outputs it has.
    pub(super) fn outputs(&self) -> usize {
        self.graph.output.len()
    }

    /// The outputs of the graph, of which the model has made `made`.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) naming the nodes that cannot be computed with these values; [`Error::Limit`](crate::Error::Limit) where that takes more
    /// than the [budget](super::Budget).
    pub(super) fn run(&self, made: Vec<HostTensor>) -> Result<Vec<HostTensor>> {
        let mut constants = self.constants.clone();
        let bytes = made.iter().map(|value| size_of_val(&*value.values)).sum();
        for (tap, value) in self.taps.iter().zip(made) {
            constants.insert(tap.name.clone(), (KnownTensor::of_host(value, tap.data_type), tap.data_type));
        }
        let meter = Meter::new(&*self.place, bytes);
        Translator::translate(&self.graph, &[], self.opset, &constants, meter)?.known_outputs(&self.graph.output)
    }
}

#[cfg(test)]
mod tests {
    use super::super::onnx_fold::fold;
    use super::*;

    #[test]
    fn the_host_computes_what_it_says() {
        let matrix = KnownTensor::floats(vec![1, 1], vec![0.5]);
        let computed_elsewhere = ["CastLike", "If", "Loop", "QuantizeLinear", "Softmax"];
        for operator in COMPUTED.split(' ').filter(|operator| !computed_elsewhere.contains(operator)) {
            let node = NodeProto { op_type: operator.to_owned(), ..NodeProto::default() };
            let outcome = fold(&node, &[Some(&matrix); 3], &Meter::new("x.onnx", 0));
            assert!(outcome.is_some(), "{operator}");
        }
    }
}
