//! Einsum and EinsumDense: products over axes that are named by letters.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::{common_setters, weight_setters};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, OneOrMore, QUANTIZED, common, weights};
use super::describe::{Declared, Describe};
use super::{Common, Initializer, Regularizer, WeightOptions, activated_shape};
use crate::ops::{self, Equation, Kernel, Side, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise};
use crate::{Activation, Error, PartialShape, Result, Settings};

/// Einstein's summation of one tensor or two, as NumPy's `einsum`.
///
/// # Shapes
/// One input for each term of the equation; output of the axes that it names.
///
/// ```
/// use wgpu_conv::layers::Einsum;
///
/// let scores = Einsum::new("bqhd,bkhd->bhqk").output_shape(&[[2, 5, 8, 16].into(), [2, 7, 8, 16].into()])?;
/// assert_eq!(scores.to_string(), "(2, 8, 5, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Einsum {
    /// Name, trainability and types.
    pub common: Common,
    /// The equation, such as `ab,bc->ac`.
    pub equation: String,
}

common_setters!(Einsum, common);

impl Einsum {
    /// A layer that computes this equation.
    pub fn new(equation: impl Into<String>) -> Self {
        Self { common: Common::new(&Settings::current()), equation: equation.into() }
    }

    fn equation(&self, inputs: &[PartialShape]) -> Result<Equation> {
        let ranks: Vec<usize> = inputs.iter().map(PartialShape::rank).collect();
        Equation::new(&self.equation, &ranks)
    }

    /// The output shape for `inputs`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or `inputs`.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let dims: Vec<_> = inputs.iter().map(PartialShape::dims).collect();
        Ok(self.equation(inputs)?.output_dims(&dims)?.into())
    }
}

impl Describe for Einsum {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        let terms = self.equation.matches(',').count() + 1;
        terms..=terms
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|&input| tape.shape(input).into()).collect();
        let sides: Vec<Side<'_>> = inputs.iter().map(|&input| Side::Value(input)).collect();
        ops::einsum(tape, &self.equation(&shapes)?, &sides)
    }
}

/// A dense layer over any axes: Einstein's summation of the input and a kernel, plus a bias along some axes.
///
/// # Shapes
/// An input of the axes of the equation's first term; a kernel of those of its second; output of those behind the arrow, whose
/// extents [`output_shape`](Self::out) gives. Weights `kernel` and, with bias axes, `bias`.
///
/// ```
/// use wgpu_conv::layers::EinsumDense;
///
/// let heads = EinsumDense::new("abc,cde->abde", [None, Some(8), Some(16)]).bias_axes("de");
/// assert_eq!(heads.output_shape([None, Some(5), Some(64)])?.to_string(), "(None, 5, 8, 16)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EinsumDense {
    /// Name, trainability and types.
    pub common: Common,
    /// The equation, such as `abc,cd->abd`; an ellipsis stands for any axes.
    pub equation: String,
    /// The extents of the output behind the batch, as far as the kernel makes them; unknown ones are the input's.
    pub out: PartialShape,
    /// What follows; linear by default.
    pub activation: Activation,
    /// The letters of the axes that have a bias; none by default.
    pub bias_axes: Option<String>,
    /// The kernel's initializer, regularizer and constraint.
    pub kernel: WeightOptions,
    /// The bias's initializer, regularizer and constraint.
    pub bias: WeightOptions,
    /// What training adds to the loss for the output.
    pub activity_regularizer: Option<Regularizer>,
}

common_setters!(EinsumDense, common);
weight_setters!(EinsumDense {
    "kernel" at kernel: kernel_initializer = "glorot_uniform", kernel_regularizer, kernel_constraint;
    "bias" at bias: bias_initializer = "zeros", bias_regularizer, bias_constraint;
});

impl EinsumDense {
    /// A layer of this equation, whose output has the extents `output_shape` behind the batch.
    pub fn new(equation: impl Into<String>, output_shape: impl Into<PartialShape>) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            equation: equation.into(),
            out: output_shape.into(),
            activation: Activation::Linear,
            bias_axes: None,
            kernel: WeightOptions::new(Initializer::glorot_uniform()),
            bias: WeightOptions::new(Initializer::Zeros),
            activity_regularizer: None,
        }
    }

    /// What follows; linear by default.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// The letters of the output's axes that have a bias; none by default.
    pub fn bias_axes(mut self, axes: impl Into<String>) -> Self {
        self.bias_axes = Some(axes.into());
        self
    }

    /// The terms of the equation: input, kernel, output.
    fn terms(&self) -> Result<[String; 3]> {
        let plain: String = self.equation.chars().filter(|c| !c.is_whitespace()).collect();
        let terms = plain.split_once("->").and_then(|(left, output)| {
            let (input, kernel) = left.split_once(',')?;
            let sound = !kernel.contains(['.', ',']) && !kernel.is_empty();
            sound.then(|| [input, kernel, output].map(str::to_owned))
        });
        terms.ok_or_else(|| {
            let rule = "`equation` must be of an input and a kernel, as `abc,cd->abd`, the kernel's axes all named";
            Error::invalid("equation", rule, format!("equation={}", self.equation))
        })
    }

    /// The equation for the input, the extents of its output, and those of the kernel.
    pub(crate) fn resolved(&self, input: &PartialShape) -> Result<(Equation, PartialShape, Vec<usize>)> {
        let [_, kernel, output] = self.terms()?;
        let equation = Equation::new(&self.equation, &[input.rank(), kernel.len()])?;
        let wrong = |rule: &'static str| {
            let received = format!("equation={}, output_shape={}, input shape={input}", self.equation, self.out);
            Error::invalid("output_shape", rule, received)
        };
        // Keras's `output_shape` leaves out the first axis where that is the input's; with an ellipsis in front, it has the last.
        let letters = &equation.output;
        let given = self.out.dims();
        if given.len() > letters.len() {
            return Err(wrong("`output_shape` must have an extent for each axis behind the first at most"));
        }
        let skipped = letters.len() - given.len();
        let of_output = |letter: char| {
            let place = letters.iter().position(|l| *l == letter)?;
            place.checked_sub(skipped).and_then(|place| given[place])
        };
        let of_input = |letter: char| {
            let place = equation.inputs[0].iter().position(|l| *l == letter)?;
            input.dims()[place]
        };
        let in_input = |letter: char| equation.inputs[0].contains(&letter);
        let kernel_dims = kernel.chars().map(|letter| of_input(letter).or_else(|| of_output(letter)));
        let kernel_dims: Option<Vec<usize>> = kernel_dims.collect();
        let kernel_dims = kernel_dims.ok_or_else(|| wrong("the extents of the kernel's axes must be known"))?;
        let dims = letters.iter().map(|&letter| {
            let own = kernel.chars().position(|k| k == letter).map(|place| kernel_dims[place]);
            if in_input(letter) { of_input(letter) } else { own.or_else(|| of_output(letter)) }
        });
        let dims: Vec<Option<usize>> = dims.collect();
        let contradicts = letters
            .iter()
            .zip(&dims)
            .any(|(&letter, &dim)| of_output(letter).zip(dim).is_some_and(|(given, dim)| given != dim));
        if contradicts || output.is_empty() {
            return Err(wrong("`output_shape` must agree with the input"));
        }
        Ok((equation, dims.into(), kernel_dims))
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        activated_shape(&self.activation, &self.resolved(&input.into())?.1)
    }

    /// The extents of the bias: of its axes, and 1 for those of the output behind the first of them.
    fn bias_dims(&self, output: &PartialShape, equation: &Equation) -> Result<Option<Vec<usize>>> {
        let Some(axes) = &self.bias_axes else { return Ok(None) };
        let wrong = || {
            let received = format!("bias_axes={axes}, equation={}", self.equation);
            Error::invalid("bias_axes", "`bias_axes` must name axes of the output whose extents are known", received)
        };
        let places = axes.chars().map(|axis| equation.output.iter().position(|l| *l == axis));
        let places = places.collect::<Option<Vec<_>>>().filter(|places| !places.is_empty()).ok_or_else(wrong)?;
        let first = places.iter().copied().min().unwrap_or(0);
        let dims = (first..equation.output.len()).map(|place| match places.contains(&place) {
            true => output.dims()[place],
            false => Some(1),
        });
        dims.collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
    }
}

impl Describe for EinsumDense {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        self.activation.validate()?;
        WeightOptions::validate_all(&[&self.kernel, &self.bias], self.activity_regularizer.as_ref())?;
        self.terms().map(|_| ())
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, rank: usize) -> Vec<i32> {
        // Those that the kernel has, too.
        let Ok([_, kernel, _]) = self.terms() else { return Vec::new() };
        let Ok(equation) = Equation::new(&self.equation, &[rank, kernel.len()]) else { return Vec::new() };
        let letters = equation.inputs[0].iter().enumerate();
        letters.filter(|(_, letter)| kernel.contains(**letter)).map(|(axis, _)| axis as i32).collect()
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let (equation, output, kernel) = self.resolved(&inputs[0])?;
        let common = &self.common;
        let kernel = Declared::new("kernel", kernel, common, &self.kernel, Initializer::glorot_uniform());
        let bias = self.bias_dims(&output, &equation)?;
        let bias = bias.map(|dims| Declared::new("bias", dims, common, &self.bias, Initializer::Zeros));
        Ok([Some(kernel), bias].into_iter().flatten().collect())
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let (equation, ..) = self.resolved(&tape.shape(inputs[0]).into())?;
        let sides = [Side::Value(inputs[0]), Side::Constant(&operands[0])];
        let mut output = ops::einsum(tape, &equation, &sides)?;
        if let Some(bias) = operands.get(1) {
            let sides = (Side::Value(output), Side::Constant(bias));
            let then = Elementwise::new(&self.activation).unwrap_or(Elementwise::LINEAR);
            output = ops::binary(tape, BinaryFunction::Add, sides.0, sides.1, then)?;
            if self.activation.axis().is_none() {
                return Ok(output);
            }
        }
        ops::activate(tape, &self.activation, output)
    }
}

#[cfg(feature = "keras")]
impl Configured for Einsum {
    const REQUIRED: &'static [&'static str] = &["equation"];

    fn template() -> Self {
        Self::new("")
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("equation", &mut self.equation)
    }
}

#[cfg(feature = "keras")]
impl Configured for EinsumDense {
    const REQUIRED: &'static [&'static str] = &["equation", "output_shape"];

    fn template() -> Self {
        Self::new("ab,bc->ac", [None])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        let mut out = OneOrMore(self.out.clone());
        codec.field("output_shape", &mut out)?;
        self.out = out.0;
        codec.field("equation", &mut self.equation)?;
        codec.field("activation", &mut self.activation)?;
        codec.field("bias_axes", &mut self.bias_axes)?;
        let activity = &mut self.activity_regularizer;
        let options = &mut [("kernel", &mut self.kernel), ("bias", &mut self.bias)];
        weights(codec, options, |codec| codec.field("activity_regularizer", activity))?;
        codec.fixed("quantization_config", serde_json::Value::Null, QUANTIZED)
    }
}
