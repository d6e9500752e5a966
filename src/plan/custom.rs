//! What is asked of code in WGSL that a caller gives: it makes one element of a tensor out of others.
//!
//! The code is joined with functions that read its tensors by name. Problems are plain values that are copied and hashed, so the
//! joined text is kept for the life of the process, once for all that is the same.

use std::fmt::Write as _;

use super::{Operand, Problem};
use crate::geometry::extent;
use crate::strides::MOST_AXES;
use crate::text::kept;
use crate::{DType, Error, Result, Shape};

/// The most tensors that such code reads: with its output, as many as every device binds.
pub const MOST_READ: usize = 7;

/// Code in WGSL with the functions that read its tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Code {
    /// The caller's lines, and the functions behind them.
    pub text: &'static str,
    /// The uniform block.
    pub params: &'static str,
    /// How many lines are the caller's.
    pub lines: u32,
}

/// `output[i] = element(i)`, by a function of the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CustomProblem {
    /// What declares the function.
    pub code: Code,
    /// How many tensors it reads, [`Operand::Tensor`] each.
    pub reads: u32,
    /// Elements of the output.
    pub elements: u32,
    /// The extents of what it reads and of the output, one tensor behind the other, in as many words as they take.
    pub extents: [u32; (MOST_READ + 1) * MOST_AXES],
    /// How many words that is.
    pub words: u32,
    /// Storage of all tensors.
    pub dtype: DType,
}

impl CustomProblem {
    /// `code` for tensors of the shapes `reads`, as many and of as many axes as it was made for.
    ///
    /// # Errors
    /// [`Error::Limit`] beyond 32 bits.
    pub(crate) fn new(code: Code, reads: &[&Shape], output: &Shape, dtype: DType) -> Result<Self> {
        let dims = reads.iter().chain([&output]).flat_map(|shape| shape.dims());
        let words = dims.map(|&dim| extent(dim)).collect::<Result<Vec<u32>>>()?;
        let mut extents = [0; (MOST_READ + 1) * MOST_AXES];
        extents[..words.len()].copy_from_slice(&words);
        let elements = u32::try_from(output.elements()?);
        let elements = elements.map_err(|_| Error::limit("elements of one tensor", u64::MAX, u32::MAX.into()))?;
        Ok(Self { code, reads: reads.len() as u32, elements, extents, words: words.len() as u32, dtype })
    }

    /// What it reads, in order.
    pub(crate) fn operands(&self) -> impl Iterator<Item = Operand> + use<> {
        (0..self.reads as usize).map(Operand::Tensor)
    }
}

impl From<CustomProblem> for Problem {
    fn from(problem: CustomProblem) -> Self {
        Self::Custom(problem)
    }
}

impl Code {
    /// `source` with functions that read `tensors`, each a name and a number of axes, for an output of so many `axes`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for names that WGSL does not take; [`Error::Limit`] for more tensors or axes than are bound.
    pub(crate) fn new(source: &str, tensors: &[(&str, usize)], axes: usize) -> Result<Self> {
        if tensors.len() > MOST_READ {
            let resource = "tensors that a layer in WGSL reads, inputs and weights together";
            return Err(Error::limit(resource, tensors.len() as u64, MOST_READ as u64));
        }
        let most = tensors.iter().map(|(_, axes)| *axes).chain([axes]).max().unwrap_or(0);
        if most > MOST_AXES {
            return Err(Error::limit("axes of a tensor of a layer in WGSL", most as u64, MOST_AXES as u64));
        }
        for (place, (name, _)) in tensors.iter().enumerate() {
            let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
            let plain = begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.contains("__");
            if !plain || *name == "output" || tensors[..place].iter().any(|(other, _)| other == name) {
                let rule = "the inputs and weights of a layer in WGSL must have names of letters, digits and single `_`, each \
                            its own, and not `output`";
                return Err(Error::invalid("name", rule, format!("{name:?}")));
            }
        }
        let mut params = "struct Params {\n    items: u32,\n".to_owned();
        let mut text = source.to_owned();
        text.push('\n');
        let lines = text.lines().count() as u32;
        for (number, &(name, axes)) in tensors.iter().enumerate() {
            read(name, number, axes, &mut params, &mut text);
        }
        extents("output", axes, &mut params, &mut text);
        let output = tensors.len() + 1;
        let _ = writeln!(text, "@group(0) @binding({output}) var<storage, read_write> output_elements: array<Elem>;");
        places(axes, &mut text);
        params.push_str("}\n");
        Ok(Self { text: kept(&text), params: kept(&params), lines })
    }
}

/// The field that has an extent.
fn field(name: &str, axis: usize) -> String {
    format!("params.{name}_{axis}")
}

/// Appends what tells the extents of a tensor, and their fields.
fn extents(name: &str, axes: usize, params: &mut String, text: &mut String) {
    let _ = write!(text, "fn {name}_extent(axis: u32) -> u32 {{ switch axis {{ ");
    for axis in 0..axes {
        let _ = writeln!(params, "    {name}_{axis}: u32,");
        let _ = write!(text, "case {axis}u: {{ return {}; }} ", field(name, axis));
    }
    text.push_str("default: { return 0u; } } }\n");
}

/// Appends what reads the tensor at a binding: by the number of an element, and by its position.
fn read(name: &str, number: usize, axes: usize, params: &mut String, text: &mut String) {
    extents(name, axes, params, text);
    let _ = writeln!(text, "@group(0) @binding({}) var<storage, read> {name}_elements: array<Elem>;", number + 1);
    let size = (0..axes).map(|axis| field(name, axis)).collect::<Vec<_>>().join(" * ");
    let size = if axes == 0 { "1u" } else { &size };
    let _ = writeln!(text, "fn {name}_size() -> u32 {{ return {size}; }}");
    let outside = |condition: &str| format!("if {condition} {{ return 0.0; }}");
    let beyond = outside(&format!("i >= {name}_size()"));
    let _ = writeln!(text, "fn {name}_at(i: u32) -> f32 {{ {beyond} return f32({name}_elements[i]); }}");
    let arguments: Vec<_> = (0..axes).map(|axis| format!("p{axis}: u32")).collect();
    let conditions: Vec<_> = (0..axes).map(|axis| format!("p{axis} >= {}", field(name, axis))).collect();
    let beyond = if axes == 0 { String::new() } else { outside(&conditions.join(" || ")) };
    // Row by row: the last axis is the fastest.
    let index = (1..axes).fold("p0".to_owned(), |index, axis| format!("({index}) * {} + p{axis}", field(name, axis)));
    let index = if axes == 0 { "0u" } else { &index };
    let _ = writeln!(
        text,
        "fn {name}({}) -> f32 {{ {beyond} return f32({name}_elements[{index}]); }}",
        arguments.join(", ")
    );
}

/// Appends what tells the position of an element of the output, which has some.
fn places(axes: usize, text: &mut String) {
    if axes == 0 {
        return;
    }
    let _ = write!(text, "fn place(i: u32) -> array<u32, {axes}> {{ var rest = i; ");
    for axis in (0..axes).rev() {
        let extent = field("output", axis);
        let _ = write!(text, "let p{axis} = rest % {extent}; rest /= {extent}; ");
    }
    let all: Vec<_> = (0..axes).map(|axis| format!("p{axis}")).collect();
    let _ = writeln!(text, "return array<u32, {axes}>({}); }}", all.join(", "));
}
