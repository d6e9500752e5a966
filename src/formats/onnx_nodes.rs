//! ONNX operators as layers: one row for each, with the attributes that are understood and the function that maps it.
//!
//! # Recipe: add an operator
//! 1. A row in [`OPERATORS`], or in the table of the file that it belongs to ([`STANDARD`]; `onnx_fused.rs` for onnxruntime's own), with
//!    a function that reads the node and adds layers. Attributes that the row does not name are refused by name when a file is
//!    read. An element-wise function needs no row: its row in `unary.rs` has ONNX's name.
//! 2. In [`attribute_type`], those of its attributes that are no whole numbers; in `onnx_types.rs`, the type of what it makes, where
//!    that is not its first input's. Nobody asks for either.
//! 3. What can be computed from constants belongs in `onnx_fold.rs`, and needs a row here too.
//! 4. A case in `tests/findings_onnx.rs`, and its name in `docs/layers.md`. Nobody asks for these.

use std::sync::Arc;

use super::onnx_fold::{
    KnownTensor, MOST_AXES, Unknown, Whole, axes_at, axes_of, axis_at, flat_axis, permutation, shape, slices,
    split_sizes, squeezed,
};
use super::onnx_layers::{Apply, Outcome, Refusal, Term, WindowSpan, at, one, units_of};
use super::onnx_proto::{AttributeType, NodeProto};
use super::onnx_unpool::max_unpool;
use super::onnx_windows::{conv, conv_transpose, global_pool, pool, resize};
use super::{onnx_fused, onnx_logic, onnx_places, onnx_quantized, onnx_recurrent, onnx_selection};
use crate::budget::Meter;
use crate::layers::{
    ActivationLayer, Axes, BatchNormalization, Dense, Extent, GroupNormalization, LayerNormalization, PadMode, Pooling,
    ReduceFunction,
};
use crate::model::Port;
use crate::plan::BinaryFunction;
use crate::{Activation, HostTensor, PartialShape, Unary};

/// An operator that is understood.
pub(super) struct Operator {
    pub(super) name: &'static str,
    attributes: &'static [&'static str],
    /// How many inputs and outputs are understood, whatever is made of them.
    most: (usize, usize),
    map: fn(&mut Apply) -> Outcome<Vec<Term>>,
}

pub(super) const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
/// `axis` and `broadcast` stand for opset 6; `consumed_inputs` is older still and means nothing.
const BINARY: &[&str] = &["axis", "broadcast", "consumed_inputs"];

const OPERATORS: &[Operator] = &[
    row("Abs", &[], |a| a.map_fitted(Unary::Abs)),
    row("Add", BINARY, |a| a.broadcast(BinaryFunction::Add)).takes(2, 1),
    row(
        "AveragePool",
        &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
        pool,
    ),
    row("BatchNormalization", &["epsilon", "is_test", "momentum", "spatial", "training_mode"], batch_normalization)
        .takes(5, 5),
    row("Celu", &["alpha"], |a| a.activation(Activation::Celu { alpha: a.node.float("alpha", 1.0) })),
    row("Clip", &["max", "min"], clip).takes(3, 1),
    row("Concat", &["axis"], concat).takes(usize::MAX, 1),
    row("Constant", &["value", "value_float", "value_floats", "value_int", "value_ints"], host_only).takes(0, 1),
    row("ConstantOfShape", &["value"], host_only),
    row("Conv", CONV, conv).takes(3, 1),
    row(
        "ConvTranspose",
        &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"],
        conv_transpose,
    )
    .takes(3, 1),
    row("DepthToSpace", &["blocksize", "mode"], depth_to_space),
    row("Div", BINARY, divide).takes(2, 1),
    row("Dropout", &["is_test", "ratio", "seed"], dropout).takes(3, 2),
    row("Elu", &["alpha"], |a| a.activation(Activation::Elu { alpha: a.node.float("alpha", 1.0) })),
    row("Exp", &[], |a| a.activation(Activation::Exponential)),
    row("Expand", &[], expand).takes(2, 1),
    row("Flatten", &["axis"], flatten),
    row("Gelu", &["approximate"], gelu),
    row("Gemm", &["alpha", "beta", "broadcast", "transA", "transB"], gemm).takes(3, 1),
    row("GlobalAveragePool", &[], global_pool),
    row("GlobalMaxPool", &[], global_pool),
    row("GroupNormalization", &["epsilon", "num_groups", "stash_type"], group_normalization).takes(3, 1),
    row("HardSigmoid", &["alpha", "beta"], hard_sigmoid),
    row("HardSwish", &[], |a| a.activation(Activation::HardSilu)),
    row("Identity", &[], |a| a.same()),
    row("InstanceNormalization", &["epsilon"], instance_normalization).takes(3, 1),
    row("LRN", &["alpha", "beta", "bias", "size"], lrn),
    row("LayerNormalization", &["axis", "epsilon", "stash_type"], layer_normalization).takes(3, 3),
    row("LeakyRelu", &["alpha"], |a| {
        a.activation(Activation::LeakyRelu { negative_slope: a.node.float("alpha", 0.01) })
    }),
    row("LpNormalization", &["axis", "p"], lp_normalization),
    row("LogSoftmax", &["axis"], softmax),
    row("LpPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"], pool),
    row("MeanVarianceNormalization", &["axes"], mean_variance_normalization),
    row("RMSNormalization", &["axis", "epsilon", "stash_type"], rms_normalization).takes(2, 2),
    row("SimplifiedLayerNormalization", &["axis", "epsilon", "stash_type"], rms_normalization).takes(2, 2),
    row("MatMul", &[], matmul).takes(2, 1),
    row("Max", BINARY, |a| a.broadcast(BinaryFunction::Maximum)).takes(usize::MAX, 1),
    row("MaxPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"], pool)
        .takes(1, 2),
    row("MaxUnpool", &["kernel_shape", "pads", "strides"], max_unpool).takes(3, 1),
    row("Mean", &[], mean).takes(usize::MAX, 1),
    row("Min", BINARY, |a| a.broadcast(BinaryFunction::Minimum)).takes(usize::MAX, 1),
    row("Mish", &[], |a| a.activation(Activation::Mish)),
    row("Mul", BINARY, |a| a.broadcast(BinaryFunction::Multiply)).takes(2, 1),
    row("Neg", &[], |a| a.map_fitted(Unary::Neg)),
    row("PRelu", &[], prelu).takes(2, 1),
    row("Pad", &["mode", "pads", "value"], pad).takes(4, 1),
    row("Pow", BINARY, pow).takes(2, 1),
    row("Range", &[], host_only).takes(3, 1),
    row("ReduceL1", REDUCE, reduce).takes(2, 1),
    row("ReduceL2", REDUCE, reduce).takes(2, 1),
    row("ReduceLogSum", REDUCE, reduce).takes(2, 1),
    row("ReduceLogSumExp", REDUCE, reduce).takes(2, 1),
    row("ReduceMax", REDUCE, reduce).takes(2, 1),
    row("ReduceMean", REDUCE, reduce).takes(2, 1),
    row("ReduceMin", REDUCE, reduce).takes(2, 1),
    row("ReduceProd", REDUCE, reduce).takes(2, 1),
    row("ReduceSum", REDUCE, reduce).takes(2, 1),
    row("ReduceSumSquare", REDUCE, reduce).takes(2, 1),
    row("Relu", &["consumed_inputs"], |a| a.activation(Activation::RELU)),
    row("Reshape", &["allowzero"], reshape).takes(2, 1),
    row(
        "Resize",
        &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ],
        resize,
    )
    .takes(4, 1),
    row("Selu", &["alpha", "gamma"], selu),
    row("Shape", &["end", "start"], shape_of),
    row("Shrink", &["bias", "lambd"], shrink),
    row("Sigmoid", &[], |a| a.activation(Activation::Sigmoid)),
    row("Size", &[], size_of),
    row("Slice", &["axes", "ends", "starts"], slice).takes(5, 1),
    row("Softmax", &["axis"], softmax),
    row("Softplus", &[], |a| a.activation(Activation::Softplus)),
    row("Softsign", &[], |a| a.activation(Activation::Softsign)),
    row("SpaceToDepth", &["blocksize"], space_to_depth),
    row("Split", &["axis", "num_outputs", "split"], split).takes(2, usize::MAX),
    row("Squeeze", &["axes"], squeeze).takes(2, 1),
    row("Sub", BINARY, |a| a.broadcast(BinaryFunction::Subtract)).takes(2, 1),
    row("Sum", &[], |a| a.broadcast(BinaryFunction::Add)).takes(usize::MAX, 1),
    row("Swish", &["alpha"], swish),
    row("Tanh", &[], |a| a.activation(Activation::Tanh)),
    row("ThresholdedRelu", &["alpha"], |a| {
        a.activation(Activation::Threshold { threshold: a.node.float("alpha", 1.0), default_value: 0.0 })
    }),
    row("Tile", &[], tile).takes(2, 1),
    row("Transpose", &["perm"], transpose),
    row("Unsqueeze", &["axes"], unsqueeze).takes(2, 1),
    row("Upsample", &["mode", "scales"], resize).takes(2, 1),
];

/// An operator of one input and one output.
pub(super) const fn row(
    name: &'static str,
    attributes: &'static [&'static str],
    map: fn(&mut Apply) -> Outcome<Vec<Term>>,
) -> Operator {
    Operator { name, attributes, most: (1, 1), map }
}

/// What to do where a step can be done behind the model.
pub(super) const CUT: &str =
    "cut the model before it (--until NAME, OnnxFile::with_outputs), and do this step on what comes out";

/// The operators that ONNX has, by the files that they stand in.
const STANDARD: [&[Operator]; 6] = [
    OPERATORS,
    onnx_logic::OPERATORS,
    onnx_places::OPERATORS,
    onnx_quantized::OPERATORS,
    onnx_recurrent::OPERATORS,
    onnx_selection::OPERATORS,
];

/// Any operator that is an element-wise function by itself: the table of [`Unary`] has its name.
const FUNCTION: Operator = row("", &[], |a| {
    let function = Unary::of_onnx(&a.node.op_type).ok_or("the operator is not supported")?;
    a.map(function)
});

/// The operator of a name, ONNX's or onnxruntime's.
pub(super) fn operator(microsoft: bool, name: &str) -> Outcome<&'static Operator> {
    let tables = if microsoft { &[onnx_fused::OPERATORS][..] } else { &STANDARD };
    let found = tables.iter().flat_map(|table| *table).find(|operator| operator.name == name);
    let found = found.or_else(|| (!microsoft && Unary::of_onnx(name).is_some()).then_some(&FUNCTION));
    found.ok_or_else(|| match name {
        name if name.contains("Sequence") || name.contains("Optional") => {
            "sequences and optional values cannot be computed with".into()
        }
        name if name.starts_with("Random") || matches!(name, "Bernoulli" | "Multinomial") => {
            "it draws random numbers, which no two programs draw alike".into()
        }
        _ => "the operator is not supported".into(),
    })
}

impl Operator {
    /// The same with at most so many inputs and outputs.
    pub(super) const fn takes(self, inputs: usize, outputs: usize) -> Self {
        Self { most: (inputs, outputs), ..self }
    }

    /// Refuses attributes, inputs and outputs that are not understood: what is left out of a node's meaning changes it.
    pub(super) fn check(&self, node: &NodeProto) -> Outcome<()> {
        if let Some(unknown) =
            node.attribute.iter().find(|attribute| !self.attributes.contains(&attribute.name.as_str()))
        {
            return Err(at(&unknown.name, "the attribute is not supported"));
        }
        for (index, attribute) in node.attribute.iter().enumerate() {
            if !attribute.is(attribute_type(self.name, &attribute.name)) {
                return Err(at(&attribute.name, "its value is of another type than the operator's"));
            }
            // There are not more than the operator has before one of them stands there twice.
            if node.attribute[..index].iter().any(|earlier| earlier.name == attribute.name) {
                return Err(at(&attribute.name, "the attribute stands there twice"));
            }
        }
        let (inputs, outputs) = self.most;
        for (kind, names, most) in [("input", &node.input, inputs), ("output", &node.output, outputs)] {
            if let Some(name) = names.iter().skip(most).find(|name| !name.is_empty()) {
                return Err(format!("its {kind} {name:?} is none of the {most} that are understood").into());
            }
        }
        Ok(())
    }

    pub(super) fn apply(&self, mut apply: Apply) -> Outcome<Vec<Term>> {
        (self.map)(&mut apply)
    }
}

fn attribute_type(operator: &str, attribute: &str) -> AttributeType {
    match attribute {
        "value" if operator == "Pad" => AttributeType::Float,
        "value" => AttributeType::Tensor,
        "alpha"
        | "beta"
        | "bias"
        | "cubic_coeff_a"
        | "epsilon"
        | "extrapolation_value"
        | "gamma"
        | "lambd"
        | "max"
        | "min"
        | "momentum"
        | "ratio"
        | "clip"
        | "value_float" => AttributeType::Float,
        "scale" | "softcap" => AttributeType::Float,
        "activation_alpha" | "activation_beta" | "activation_params" | "scales" | "value_floats" => {
            AttributeType::Floats
        }
        "activations" => AttributeType::Texts,
        "axes" | "consumed_inputs" | "dilations" | "ends" | "kernel_shape" | "output_padding" | "output_shape"
        | "pads" | "perm" | "split" | "starts" | "strides" | "value_ints" => AttributeType::Ints,
        "activation"
        | "approximate"
        | "auto_pad"
        | "coordinate_transformation_mode"
        | "direction"
        | "equation"
        | "keep_aspect_ratio_policy"
        | "mode"
        | "nearest_mode"
        | "reduction"
        | "round_mode" => AttributeType::Text,
        _ => AttributeType::Int,
    }
}

fn host_only(a: &mut Apply) -> Outcome<Vec<Term>> {
    // What depends on inputs of the model alone is computed once they have values.
    let inputs = (0..a.inputs.len()).filter(|&index| matches!(a.inputs[index], Some(Term::Made(Port::Input(_)))));
    for index in inputs.collect::<Vec<_>>() {
        a.constant(index)?;
    }
    Err("it is only computed where all its inputs are known before the model runs".into())
}

// Elementwise operators.

impl Apply<'_> {
    /// `operation` of all inputs from left to right, broadcast as NumPy does.
    fn broadcast(&mut self, operation: BinaryFunction) -> Outcome<Vec<Term>> {
        let mut terms = self.inputs.iter().flatten().cloned().collect::<Vec<_>>().into_iter();
        let mut result = terms.next().ok_or("its inputs are missing")?;
        for term in terms {
            let term = self.aligned(&result, term)?;
            result = self.pair(operation, result, term)?;
        }
        Ok(vec![self.fitted(result)?])
    }

    /// `right` with its axes where opset 6 puts them: from `axis` of the left side on.
    pub(super) fn aligned(&self, left: &Term, right: Term) -> Outcome<Term> {
        let Some(axis) = self.node.attribute("axis").and_then(|attribute| attribute.i) else { return Ok(right) };
        let rank = |term: &Term| match term {
            Term::Made(value) => self.builder.shape(*value).rank(),
            Term::Known(constant) => constant.shape.len(),
            Term::Lost => 0,
        };
        let after = rank(left).saturating_sub(axis_at(axis, rank(left))? + rank(&right));
        match right {
            right if after == 0 => Ok(right),
            Term::Known(constant) => {
                let shape = [&constant.shape[..], &vec![1; after]].concat();
                Ok(Term::Known(constant.reshaped(shape)?))
            }
            _ => Err(at("axis", "only a constant, or the last axes, can be aligned with an axis")),
        }
    }

    pub(super) fn pair(&mut self, operation: BinaryFunction, left: Term, right: Term) -> Outcome<Term> {
        // Below 0 there is nothing in their types, and no way to wrap around at 2^32 and beyond in f32.
        if operation == BinaryFunction::Subtract
            && self.node.op_type == "Sub"
            && self.types.iter().any(|t| [12, 13].contains(t))
        {
            return Err("differences of uint32 and uint64 are not computed; cast them to int64 first".into());
        }
        // Before they wrap around they reach 2^32, and f32 has whole numbers up to 2^24.
        if operation == BinaryFunction::Multiply
            && self.node.op_type == "Mul"
            && self.types.iter().any(|t| [4, 5].contains(t))
        {
            return Err("products of uint16 and int16 are not computed; cast them to int32 first".into());
        }
        Ok(Term::Made(match (left, right) {
            (Term::Made(left), Term::Made(right)) => self.binary(operation, left, right)?,
            (Term::Made(left), Term::Known(right)) => self.binary_with(operation, left, &right, false)?,
            (Term::Known(left), Term::Made(right)) => self.binary_with(operation, right, &left, true)?,
            (Term::Known(left), right) => {
                let left = Term::Made(self.builder.values(&left)?);
                return self.pair(operation, left, right);
            }
            _ => return Err(Refusal::Lost),
        }))
    }
}

fn divide(a: &mut Apply) -> Outcome<Vec<Term>> {
    if !a.is_whole(0) {
        return a.broadcast(BinaryFunction::Divide);
    }
    let (left, right) = (a.term(0)?, a.term(1)?);
    let right = a.aligned(&left, right)?;
    let quotient = a.whole_quotient(left, right)?;
    Ok(vec![a.fitted(Term::Made(quotient))?])
}

/// A power, of the base's type.
fn pow(a: &mut Apply) -> Outcome<Vec<Term>> {
    let power = a.broadcast(BinaryFunction::Power)?;
    a.cut_fitted(power)
}

fn mean(a: &mut Apply) -> Outcome<Vec<Term>> {
    let count = a.inputs.len();
    match a.broadcast(BinaryFunction::Add)?.swap_remove(0) {
        Term::Made(sum) if count > 1 => one(a.affine(sum, 1.0 / count as f32, 0.0)?),
        term => Ok(vec![term]),
    }
}

fn clip(a: &mut Apply) -> Outcome<Vec<Term>> {
    let mut x = a.value(0)?;
    let is_made = |a: &Apply, index: usize| matches!(a.inputs.get(index), Some(Some(Term::Made(Port::Output(..)))));
    if is_made(a, 1) || is_made(a, 2) {
        // The lower bound first: where they cross, the upper one counts.
        for (index, function) in [(1, BinaryFunction::Maximum), (2, BinaryFunction::Minimum)] {
            let Some(bound) = a.inputs.get(index).cloned().flatten() else { continue };
            let single = match &bound {
                Term::Made(bound) => a.dims(*bound).iter().all(|&dim| dim == Some(1)),
                Term::Known(bound) => bound.data.len() == 1,
                Term::Lost => return Err(Refusal::Lost),
            };
            if !single {
                return Err(format!("its input {index} must be one number").into());
            }
            x = match a.pair(function, Term::Made(x), bound)? {
                Term::Made(x) => x,
                _ => return Err("its input is missing".into()),
            };
        }
        return one(x);
    }
    let bound = |index: usize, name: &str, none: f32| match a.constant(index)? {
        Some(constant) => constant.scalar(a.meter()).map_err(Refusal::from),
        None => Ok(a.node.float(name, none)),
    };
    let (min, max) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
    let activation = match (min, max) {
        (0.0, 6.0) => Activation::Relu6,
        (0.0, max) if max >= f32::MAX => Activation::RELU,
        (0.0, max) if max >= 0.0 => Activation::Relu { negative_slope: 0.0, max_value: Some(max), threshold: 0.0 },
        _ => return one(a.unary(Unary::Clip { min, max }, x)?),
    };
    one(a.layer(ActivationLayer::new(activation), &[x])?)
}

fn gelu(a: &mut Apply) -> Outcome<Vec<Term>> {
    let approximate = match a.node.text("approximate", "none") {
        "none" => false,
        "tanh" => true,
        other => return Err(at("approximate", format!("{other:?} is neither none nor tanh"))),
    };
    a.activation(Activation::Gelu { approximate })
}

fn hard_sigmoid(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (alpha, beta) = (a.node.float("alpha", 0.2), a.node.float("beta", 0.5));
    if alpha == 1.0 / 6.0 && beta == 0.5 {
        return a.activation(Activation::HardSigmoid);
    }
    a.map(Unary::ClippedAffine { scale: alpha, offset: beta })
}

fn selu(a: &mut Apply) -> Outcome<Vec<Term>> {
    // The defaults, which are Keras's, as f32.
    const ALPHA: f32 = 1.673_263_2;
    const GAMMA: f32 = 1.050_701;
    match (a.node.float("alpha", ALPHA), a.node.float("gamma", GAMMA)) {
        (ALPHA, GAMMA) => a.activation(Activation::Selu),
        (alpha, scale) => a.map(Unary::ScaledElu { alpha, scale }),
    }
}

fn swish(a: &mut Apply) -> Outcome<Vec<Term>> {
    match a.node.float("alpha", 1.0) {
        1.0 => a.activation(Activation::Silu),
        beta => a.map(Unary::Swish { beta }),
    }
}

/// Of whole numbers too in floating point, and cut off, as onnxruntime has it.
fn shrink(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (threshold, bias) = (a.node.float("lambd", 0.5), a.node.float("bias", 0.0));
    if bias > threshold && [12, 13].contains(&a.type_of(0)) {
        return Err(at(
            "bias",
            "beyond lambd it makes uint32 and uint64 negative, which wrap around; cast them to int64 first",
        ));
    }
    let shrunk = a.map(Unary::Shrink { threshold, bias })?;
    a.cut_fitted(shrunk)
}

fn prelu(a: &mut Apply) -> Outcome<Vec<Term>> {
    let slope = a.inputs.get(1).cloned().flatten();
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    // One slope for each channel, without the axes after it, is how opset 6 writes it.
    if let Some(Term::Known(slope)) = slope.filter(|_| a.builder.opset < 7 && rank > 2) {
        let shape = [slope.shape.as_slice(), &vec![1; rank - 2]].concat();
        a.inputs[1] = Some(Term::Known(if slope.shape.len() == 1 { slope.reshaped(shape)? } else { slope }));
    }
    a.broadcast(BinaryFunction::Prelu)
}

fn dropout(a: &mut Apply) -> Outcome<Vec<Term>> {
    if a.builder.opset < 7 && a.node.int("is_test", 0) == 0 {
        return Err(at("is_test", "dropout in training mode draws random numbers"));
    }
    if a.constant(2)?.is_some_and(|training| training.scalar(a.meter()) != Ok(0.0)) {
        return Err("dropout in training mode draws random numbers".into());
    }
    a.same()
}

// Shapes.

fn shape_of(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    Ok(vec![Term::Known(shape(a.node, &a.dims(x)))])
}

fn size_of(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let size = a.dims(x).into_iter().try_fold(1i64, |size, dim| size.checked_mul(i64::try_from(dim?).ok()?));
    let size = size.ok_or(Unknown(None));
    Ok(vec![Term::Known(KnownTensor::ints(vec![size]).reshaped(Vec::new())?)])
}

fn reshape(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let keep_zero = a.node.int("allowzero", 0) != 0;
    let target = match a.constant(1)? {
        Some(target) => target.extents(a.meter())?,
        None => a.node.ints("shape").ok_or("it has no shape")?.iter().map(|&dim| Ok(dim)).collect(),
    };
    if target.len() > MOST_AXES {
        return Err(format!("its shape would have {} axes", target.len()).into());
    }
    // An extent of a call is passed on along the same axis; any one other follows from the number of elements.
    let passed_on = |axis: usize, dim: Whole| dim == Err(Unknown(Some(axis as u32))) && dims.get(axis) == Some(&None);
    let open = |(axis, dim): (usize, &Whole)| *dim == Ok(-1) || dim.is_err() && !passed_on(axis, *dim);
    let alone = target.iter().enumerate().filter(|&(axis, dim)| open((axis, dim))).count() == 1;
    let extent = |(axis, dim): (usize, Whole)| match dim {
        Ok(0) if !keep_zero => Ok(Extent::Axis(axis)),
        Ok(-1) => Ok(Extent::Rest),
        Ok(dim) => usize::try_from(dim).map(Extent::Of).map_err(|_| format!("extent {dim} cannot be made")),
        Err(_) if passed_on(axis, dim) => Ok(Extent::Axis(axis)),
        Err(_) if alone => Ok(Extent::Rest),
        Err(_) => Err(format!("extent {axis} of its shape is not known before the model is called")),
    };
    let extents = target.into_iter().enumerate().map(extent).collect::<Result<_, _>>()?;
    one(a.view(x, extents)?)
}

fn flatten(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let axis = flat_axis(a.node, dims.len())?;
    one(a.flat(x, axis)?)
}

fn squeeze(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let axes = axes_of(a.node, a.constant(1)?, a.meter())?;
    let dropped = squeezed(&dims, axes.as_deref())?;
    one(a.view(x, (0..dims.len()).filter(|axis| !dropped.contains(axis)).map(Extent::Axis).collect())?)
}

fn unsqueeze(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let axes = axes_of(a.node, a.constant(1)?, a.meter())?.ok_or_else(|| at("axes", "it must name axes"))?;
    let rank = a.dims(x).len() + axes.len();
    let added = axes_at(&axes, rank)?;
    let mut own = 0..;
    let extents = (0..rank).map(|axis| match added.contains(&axis) {
        true => Extent::Of(1),
        false => Extent::Axis(own.next().unwrap_or_default()),
    });
    one(a.view(x, extents.collect())?)
}

fn transpose(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let perm = permutation(a.node, a.dims(x).len())?;
    one(a.transposed(x, &perm)?)
}

fn concat(a: &mut Apply) -> Outcome<Vec<Term>> {
    let values = (0..a.inputs.len()).map(|index| a.value(index)).collect::<Outcome<Vec<_>>>()?;
    let first = *values.first().ok_or("its inputs are missing")?;
    let axis = axis_at(a.node.int("axis", 1), a.dims(first).len())?;
    one(a.concatenated(&values, axis)?)
}

fn slice(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let constants = (1..5).map(|index| a.constant(index)).collect::<Outcome<Vec<_>>>()?;
    let constants: Vec<_> = std::iter::once(None).chain(constants).collect();
    let cuts = slices(a.node, &constants, rank, a.meter())?;
    one(a.sliced(x, &cuts)?)
}

fn split(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let axis = axis_at(a.node.int("axis", 0), dims.len())?;
    let sizes = a.ints(1, "split")?;
    let extent = dims[axis].ok_or_else(|| format!("axis {axis}, whose extent is not known, cannot be split"))?;
    let mut start = 0;
    let mut parts = Vec::new();
    for size in split_sizes(extent, sizes.as_deref(), a.node.output.len())? {
        parts.push(Term::Made(a.part(x, axis, start, 1, size)?));
        start += size;
    }
    Ok(parts)
}

fn expand(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let target = a.required(1)?.extents(a.meter())?;
    one(a.expanded(x, &target)?)
}

/// A copy of each axis beside itself, repeated, and both taken as one.
fn tile(a: &mut Apply) -> Outcome<Vec<Term>> {
    let mut x = a.value(0)?;
    let repeats = a.required(1)?.known_ints(a.meter())?;
    let rank = a.dims(x).len();
    if repeats.len() != rank {
        return Err(format!("{} repeats for {rank} axes", repeats.len()).into());
    }
    for (axis, &repeat) in repeats.iter().enumerate() {
        let repeat = usize::try_from(repeat).map_err(|_| "an axis cannot be repeated less than 0 times")?;
        let dims = a.dims(x);
        x = match (repeat, dims[axis]) {
            (1, _) => x,
            (0, _) => a.sliced(x, &[(axis, 0, 0, 1)])?,
            (repeat, Some(extent)) => {
                let other = |at: usize| dims[at].map_or(Extent::Axis(at), Extent::Of);
                let before = || (0..axis).map(other);
                let shape = before().chain([Extent::Of(1)]).chain((axis..rank).map(other));
                let split = a.view(x, shape.collect())?;
                let mut target = vec![Ok(1); rank + 1];
                target[axis] = Ok(repeat as i64);
                let repeated = a.expanded(split, &target)?;
                let own = |at: usize| dims[at].map_or(Extent::Axis(at + usize::from(at > axis)), Extent::Of);
                let shape = (0..axis).map(own).chain([Extent::Of(repeat * extent)]).chain((axis + 1..rank).map(own));
                a.view(repeated, shape.collect())?
            }
            (repeat @ 2..=64, None) => a.concatenated(&vec![x; repeat], axis)?,
            _ => return Err("an axis of unknown extent can be repeated 64 times at most".into()),
        };
    }
    one(x)
}

fn pad(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let pads = a.ints(1, "pads")?.ok_or_else(|| at("pads", "it has no pads"))?;
    let value = match a.constant(2)? {
        Some(value) => value.scalar(a.meter())?,
        None => a.node.float("value", 0.0),
    };
    let axes = match a.constant(3)? {
        Some(axes) => {
            axes.known_ints(a.meter())?.iter().map(|&axis| axis_at(axis, rank)).collect::<Result<Vec<_>, _>>()?
        }
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(at("pads", format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let mut by_axis = vec![[0; 2]; rank];
    for (index, &axis) in axes.iter().enumerate() {
        by_axis[axis] = [pads[index], pads[index + axes.len()]];
    }
    let mode = match a.node.text("mode", "constant") {
        "constant" => PadMode::Constant(value),
        "edge" => PadMode::Edge,
        "reflect" => PadMode::Reflect,
        "wrap" => PadMode::Wrap,
        other => return Err(at("mode", format!("{other:?} is not known"))),
    };
    one(a.padded(x, &by_axis, mode)?)
}

fn depth_to_space(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (x, [c, h, w], b) = blocks(a)?;
    if !c.is_multiple_of(b * b) {
        return Err(at("blocksize", format!("{c} channels are no multiple of {}", b * b)));
    }
    let (depth, perm) = match a.node.text("mode", "DCR") {
        "DCR" => ([b, b, c / (b * b)], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([c / (b * b), b, b], [0, 1, 4, 2, 5, 3]),
        other => return Err(at("mode", format!("{other:?} is neither DCR nor CRD"))),
    };
    let split = depth.into_iter().chain([h, w]).map(Extent::Of);
    let split = a.view(x, std::iter::once(Extent::Axis(0)).chain(split).collect())?;
    let ordered = a.transposed(split, &perm)?;
    one(a.view(ordered, vec![Extent::Axis(0), Extent::Of(c / (b * b)), Extent::Of(h * b), Extent::Of(w * b)])?)
}

fn space_to_depth(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (x, [c, h, w], b) = blocks(a)?;
    if !h.is_multiple_of(b) || !w.is_multiple_of(b) {
        return Err(at("blocksize", format!("{h}×{w} positions are no whole number of {b}×{b}")));
    }
    let split = [c, h / b, b, w / b, b].into_iter().map(Extent::Of);
    let split = a.view(x, std::iter::once(Extent::Axis(0)).chain(split).collect())?;
    let ordered = a.transposed(split, &[0, 3, 5, 1, 2, 4])?;
    one(a.view(ordered, vec![Extent::Axis(0), Extent::Of(c * b * b), Extent::Of(h / b), Extent::Of(w / b)])?)
}

/// The input, its channels, height and width, and the block size of DepthToSpace and SpaceToDepth.
fn blocks(a: &mut Apply) -> Outcome<(Port, [usize; 3], usize)> {
    let x = a.value(0)?;
    let [_, Some(c), Some(h), Some(w)] = a.dims(x)[..] else {
        return Err("its input must be [batch, channels, height, width], all but the batch known".into());
    };
    let block = usize::try_from(a.node.int("blocksize", 0)).ok().filter(|block| (1..=1 << 12).contains(block));
    Ok((x, [c, h, w], block.ok_or_else(|| at("blocksize", "it must be at least 1"))?))
}

impl Apply<'_> {
    /// `x` as rows of the axes before `axis` and columns of those from it on.
    fn flat(&mut self, x: Port, axis: usize) -> Outcome<Port> {
        let dims = self.dims(x);
        let [rows, columns] = [&dims[..axis], &dims[axis..]].map(PartialShape::elements_of);
        let extents = match (axis, rows?, columns?) {
            (_, Some(rows), Some(columns)) => [Extent::Of(rows), Extent::Of(columns)],
            (1, None, _) => [Extent::Axis(0), Extent::Rest],
            (_, Some(rows), None) => [Extent::Of(rows), Extent::Rest],
            (_, None, Some(columns)) => [Extent::Rest, Extent::Of(columns)],
            _ => return Err("of its input's extents, too many are not known".into()),
        };
        self.view(x, extents.to_vec())
    }
}

// Products, and functions along axes.

/// A vector as the bias of `units`, repeated where it is one number.
fn bias_of(constant: &KnownTensor, units: usize, scale: f32, meter: &Meter) -> Result<HostTensor, String> {
    let expanded = constant.expanded(&[1, units], meter).or_else(|_| constant.expanded(&[units], meter))?;
    let mut value = expanded.to_host(meter)?;
    value.shape = [units].into();
    value.values.iter_mut().for_each(|value| *value *= scale);
    Ok(value)
}

pub(super) fn gemm(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (alpha, beta) = (a.node.float("alpha", 1.0), a.node.float("beta", 1.0));
    let [left, right] = ["transA", "transB"].map(|name| a.node.int(name, 0) != 0);
    let mut x = a.value(0)?;
    if left {
        x = a.transposed(x, &[1, 0])?;
    }
    let product = match a.inputs.get(1).cloned().flatten() {
        Some(Term::Known(weights)) if weights.shape.len() == 2 => {
            let units = weights.shape[usize::from(!right)];
            let kernel = a.weight(&weights, &format!("matrix, {right}, {alpha}"), |weights, meter| {
                let turned = if right { weights.transposed(&[1, 0], meter)? } else { weights.clone() };
                let mut kernel = turned.to_host(meter)?;
                kernel.values.iter_mut().for_each(|value| *value *= alpha);
                Ok(kernel)
            })?;
            let bias = match a.inputs.get(2).cloned() {
                Some(Some(Term::Known(bias))) => {
                    let form = format!("bias of {units}, {beta}");
                    a.weight(&bias, &form, |bias, meter| bias_of(bias, units, beta, meter)).ok()
                }
                _ => None,
            };
            let dense = Dense::new(units_of(units)?).use_bias(bias.is_some());
            let done = bias.is_some();
            let product = a.weighted(dense, std::iter::once(kernel).chain(bias).collect(), x)?;
            if done {
                return one(product);
            }
            product
        }
        Some(Term::Made(mut y)) => {
            if right {
                y = a.transposed(y, &[1, 0])?;
            }
            let product = a.product(Term::Made(x), Term::Made(y))?;
            a.affine(product, alpha, 0.0)?
        }
        _ => return Err("its second input must be a matrix".into()),
    };
    match a.inputs.get(2).cloned().flatten() {
        None => one(product),
        Some(Term::Known(bias)) => {
            let values = bias.to_floats(a.meter())?.iter().map(|value| value * beta).collect();
            one(a.binary_with(BinaryFunction::Add, product, &KnownTensor::floats(bias.shape, values), false)?)
        }
        Some(Term::Made(bias)) => {
            let bias = a.affine(bias, beta, 0.0)?;
            one(a.binary(BinaryFunction::Add, product, bias)?)
        }
        Some(Term::Lost) => Err(Refusal::Lost),
    }
}

fn matmul(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (Some(left), Some(right)) = (a.inputs.first().cloned().flatten(), a.inputs.get(1).cloned().flatten()) else {
        return Err("it must have two inputs".into());
    };
    match (&left, &right) {
        // Weights behind the features are a dense layer.
        (Term::Made(x), Term::Known(weights)) if weights.shape.len() == 2 && a.dims(*x).len() >= 2 => {
            let dense = Dense::new(units_of(weights.shape[1])?).use_bias(false);
            let (weight, x) = (a.plain_weight(weights)?, *x);
            one(a.weighted(dense, vec![weight], x)?)
        }
        (Term::Known(_), Term::Known(_)) => {
            let left = a.made(&left)?;
            one(a.product(Term::Made(left), right)?)
        }
        _ => one(a.product(left, right)?),
    }
}

/// Softmax and LogSoftmax, which before opset 13 worked over all axes from one on, together.
fn softmax(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let all = a.builder.opset < 13;
    let axis = axis_at(a.node.int("axis", if all { 1 } else { -1 }), dims.len())?;
    let activation = |axis: usize| {
        let axis = axis as i32;
        ActivationLayer::new(match a.node.op_type.as_str() {
            "Softmax" => Activation::Softmax { axis },
            _ => Activation::LogSoftmax { axis },
        })
    };
    if !all || dims[axis + 1..].iter().all(|&dim| dim == Some(1)) {
        let layer = activation(axis);
        return one(a.layer(layer, &[x])?);
    }
    let layer = activation(1);
    let rows = a.flat(x, axis)?;
    let result = a.layer(layer, &[rows])?;
    let own = a.known_dims(x).map(|dims| dims.into_iter().map(Extent::Of).collect());
    let own = own.or_else(|_| match (dims[0], dims[1..].iter().copied().collect::<Option<Vec<_>>>()) {
        (None, Some(rest)) => Ok(std::iter::once(Extent::Rest).chain(rest.into_iter().map(Extent::Of)).collect()),
        _ => Err(Refusal::from("of its input's extents, only the first may be unknown")),
    })?;
    one(a.view(result, own)?)
}

fn reduce(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let axes = match axes_of(a.node, a.constant(1)?, a.meter())? {
        Some(axes) if !axes.is_empty() => axes_at(&axes, rank)?,
        _ if a.node.int("noop_with_empty_axes", 0) != 0 => return not_reduced(a),
        _ => (0..rank).collect(),
    };
    let keepdims = a.node.int("keepdims", 1) != 0;
    if a.is_whole(0)
        && !["ReduceL1", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare"]
            .contains(&&*a.node.op_type)
    {
        return Err("of whole numbers it is not computed; cast them to float first".into());
    }
    let function = match a.node.op_type.as_str() {
        "ReduceProd" => return one(a.multiplied(x, &axes, keepdims)?),
        "ReduceL1" => ReduceFunction::L1,
        "ReduceL2" => ReduceFunction::L2,
        "ReduceLogSum" => ReduceFunction::LogSum,
        "ReduceLogSumExp" => ReduceFunction::LogSumExp,
        "ReduceMax" => ReduceFunction::Max,
        "ReduceMin" => ReduceFunction::Min,
        "ReduceSum" => ReduceFunction::Sum,
        "ReduceSumSquare" => ReduceFunction::SumSquare,
        _ => ReduceFunction::Mean,
    };
    let reduced = a.reduced(function, x, &axes, keepdims)?;
    Ok(vec![a.fitted(Term::Made(reduced))?])
}

/// A reduction over no axes: what it does to each element all the same.
fn not_reduced(a: &mut Apply) -> Outcome<Vec<Term>> {
    match a.node.op_type.as_str() {
        "ReduceL1" | "ReduceL2" => a.map_fitted(Unary::Abs),
        "ReduceLogSum" => a.map(Unary::Log),
        "ReduceSumSquare" => a.map_fitted(Unary::Square),
        _ => a.same(),
    }
}

// Normalisation.

const TRAINING: &str = "in training it normalises by the statistics of the batch, which are not computed";

fn batch_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    if a.node.int("training_mode", 0) != 0 {
        return Err(at("training_mode", TRAINING));
    }
    if a.builder.opset < 7 && a.node.int("is_test", 0) == 0 {
        return Err(at("is_test", TRAINING));
    }
    // So a node said that it trains before there was an attribute for it.
    if let Some(name) = a.node.output.iter().skip(1).find(|name| !name.is_empty()) {
        return Err(format!("its output {name:?} asks for training: {TRAINING}").into());
    }
    if a.builder.opset < 9 && a.node.int("spatial", 1) == 0 {
        return Err(at("spatial", "statistics for every position are not supported"));
    }
    let x = a.value(0)?;
    let weights = (1..5).map(|index| a.required_weight(index)).collect::<Outcome<Vec<_>>>()?;
    let layer = BatchNormalization::new().axis(1).epsilon(f64::from(a.node.float("epsilon", 1e-5)));
    one(a.weighted(layer, weights, x)?)
}

fn instance_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let (gamma, beta) = (a.required_weight(1)?, a.required_weight(2)?);
    let channels = gamma.shape.elements()?;
    let channels = i32::try_from(channels).map_err(|_| format!("{channels} channels are too many"))?;
    one(a.group_normalized(x, channels, vec![gamma, beta])?)
}

fn group_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let groups = i32::try_from(a.node.int("num_groups", 0)).ok().filter(|&groups| groups > 0);
    let groups = groups.ok_or_else(|| at("num_groups", "it must be at least 1"))?;
    let channels = a.dims(x).get(1).copied().flatten().ok_or("the channels of its input must be known")?;
    // Before opset 21 there was one number for each group.
    let spread = |constant: &KnownTensor, meter: &Meter| {
        if constant.shape == [channels] {
            return constant.to_host(meter);
        }
        let run = channels / groups as usize;
        let column = constant.reshaped(vec![constant.data.len(), 1])?;
        column.expanded(&[groups as usize, run], meter)?.reshaped(vec![channels])?.to_host(meter)
    };
    let form = format!("{channels} channels in {groups} groups");
    let weights = (1..3).map(|index| {
        let constant = a.required(index)?.clone();
        a.weight(&constant, &form, spread)
    });
    let weights = weights.collect::<Outcome<Vec<_>>>()?;
    one(a.group_normalized(x, groups, weights)?)
}

impl Apply<'_> {
    fn group_normalized(&mut self, x: Port, groups: i32, weights: Vec<Arc<HostTensor>>) -> Outcome<Port> {
        let epsilon = f64::from(self.node.float("epsilon", 1e-5));
        self.weighted(GroupNormalization::new(groups).axis(1).epsilon(epsilon), weights, x)
    }
}

pub(super) fn layer_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let first = axis_at(a.node.int("axis", -1), dims.len())?;
    let axes: Vec<usize> = (first..dims.len()).collect();
    let epsilon = a.node.float("epsilon", 1e-5);
    let shape =
        dims[first..].iter().copied().collect::<Option<Vec<_>>>().ok_or("the extents normalised over must be known")?;
    let form = format!("{shape:?}");
    let expanded = |constant: &KnownTensor, meter: &Meter| constant.expanded(&shape, meter)?.to_host(meter);
    // What the model computes is multiplied and added behind a layer that scales by 1.
    let (scale, bias) = (a.term(1)?, a.inputs.get(2).cloned().flatten());
    let (weights, then) = match (&scale, &bias) {
        (Term::Known(scale), None | Some(Term::Known(_))) => {
            let scale = a.weight(scale, &form, expanded)?;
            let bias = match &bias {
                Some(Term::Known(bias)) => Some(a.weight(bias, &form, expanded)?),
                _ => None,
            };
            (std::iter::once(scale).chain(bias).collect::<Vec<_>>(), None)
        }
        _ => {
            let count = shape.iter().product();
            a.meter().array(count as u64, std::mem::size_of::<f32>())?;
            let ones = HostTensor { shape: shape.clone().into(), values: vec![1.0; count] };
            (vec![Arc::new(ones)], Some(scale))
        }
    };
    let layer = LayerNormalization::new()
        .axis(Axes::List(axes.iter().map(|&axis| axis as i32).collect()))
        .epsilon(f64::from(epsilon))
        .center(weights.len() > 1);
    let mut outputs = vec![None; a.node.output.len().clamp(1, 3)];
    if a.node.output.iter().skip(1).any(|name| !name.is_empty()) {
        let mean = a.reduced(ReduceFunction::Mean, x, &axes, true)?;
        let deviation = a.binary(BinaryFunction::Subtract, x, mean)?;
        let square = a.unary(Unary::Square, deviation)?;
        let variance = a.reduced(ReduceFunction::Mean, square, &axes, true)?;
        let variance = a.affine(variance, 1.0, epsilon)?;
        let deviation = a.unary(Unary::Sqrt, variance)?;
        let inverse = a.unary(Unary::Reciprocal, deviation)?;
        for (output, value) in outputs.iter_mut().skip(1).zip([mean, inverse]) {
            *output = Some(value);
        }
    }
    let mut normed = Term::Made(a.weighted(layer, weights, x)?);
    if let Some(scale) = then {
        normed = a.pair(BinaryFunction::Multiply, normed, scale)?;
        if let Some(bias) = bias {
            normed = a.pair(BinaryFunction::Add, normed, bias)?;
        }
    }
    outputs[0] = Some(a.made(&normed)?);
    Ok(outputs.into_iter().flatten().map(Term::Made).collect())
}

/// `x / √(mean x² + epsilon) · scale`, the mean over the axes from one on.
pub(super) fn rms_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let axes: Vec<usize> = (axis_at(a.node.int("axis", -1), rank)?..rank).collect();
    let square = a.unary(Unary::Square, x)?;
    let mean = a.reduced(ReduceFunction::Mean, square, &axes, true)?;
    let mean = a.affine(mean, 1.0, a.node.float("epsilon", 1e-5))?;
    let root = a.unary(Unary::Sqrt, mean)?;
    let normed = a.binary(BinaryFunction::Divide, x, root)?;
    let scaled = a.pair(BinaryFunction::Multiply, Term::Made(normed), a.term(1)?)?;
    let mut outputs = vec![scaled];
    if a.node.output.iter().skip(1).any(|name| !name.is_empty()) {
        outputs.push(Term::Made(a.unary(Unary::Reciprocal, root)?));
    }
    Ok(outputs)
}

fn mean_variance_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let axes = axes_at(a.node.ints("axes").unwrap_or(&[0, 2, 3]), rank)?;
    let mean = a.reduced(ReduceFunction::Mean, x, &axes, true)?;
    let centred = a.binary(BinaryFunction::Subtract, x, mean)?;
    let square = a.unary(Unary::Square, centred)?;
    let variance = a.reduced(ReduceFunction::Mean, square, &axes, true)?;
    let deviation = a.unary(Unary::Sqrt, variance)?;
    let deviation = a.affine(deviation, 1.0, 1e-9)?;
    one(a.binary(BinaryFunction::Divide, centred, deviation)?)
}

fn lp_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let axis = axis_at(a.node.int("axis", -1), a.dims(x).len())?;
    let function = match a.node.int("p", 2) {
        1 => ReduceFunction::L1,
        2 => ReduceFunction::L2,
        _ => return Err(at("p", "it must be 1 or 2")),
    };
    let norm = a.reduced(function, x, &[axis], true)?;
    one(a.binary(BinaryFunction::Divide, x, norm)?)
}

/// `x / (bias + alpha·m)^beta`, where `m` is the mean square of `size` neighbouring channels, absent ones 0.
fn lrn(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let size = u32::try_from(a.node.int("size", 0)).ok().filter(|&size| size > 0);
    let size = size.ok_or_else(|| at("size", "it must be at least 1"))?;
    let [alpha, beta, bias] =
        [("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)].map(|(name, none)| a.node.float(name, none));
    let square = a.unary(Unary::Square, x)?;
    let positions = PartialShape::elements_of(dims.get(2..).ok_or("its input must have channels")?)?;
    let positions = positions.ok_or("the extents of its input must be known, but for the batch")?;
    let image = a.view(square, vec![Extent::Axis(0), Extent::Of(1), Extent::Axis(1), Extent::Of(positions)])?;
    let before = (size - 1) / 2;
    let span = WindowSpan { kernel: size, stride: 1, dilation: 1, pads: Some([before, size - 1 - before]) };
    let means = a.pooled(image, Pooling::AverageWithPads, false, [span, WindowSpan::UNIT])?;
    let rest = (2..dims.len()).map(|axis| dims[axis].map_or(Extent::Rest, Extent::Of));
    let means = a.view(means, [Extent::Axis(0), Extent::Axis(2)].into_iter().chain(rest).collect())?;
    let base = a.affine(means, alpha, bias)?;
    let factor = a.unary(Unary::Pow { exponent: -beta }, base)?;
    one(a.binary(BinaryFunction::Multiply, x, factor)?)
}
