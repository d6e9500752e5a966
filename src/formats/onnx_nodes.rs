//! ONNX operators as layers: one row for each, with the attributes that are understood and the function that maps it.
//!
//! # Recipe: add an operator
//! A row in [`OPERATORS`], with a function that reads the node and adds layers. Attributes that the row does not name are
//! refused by name. What can be computed from constants belongs in `onnx_fold.rs`, and needs a row here too.

use std::sync::Arc;

use super::onnx_fold::{
    Constant, Data, Kind, MOST_AXES, Unknown, Whole, axes_at, axes_of, axis_at, flat_axis, kind_of, permutation, shape,
    slices, split_sizes, squeezed, type_name,
};
use super::onnx_layers::{Apply, Outcome, Refusal, Span, Term, at, one, units_of};
use super::onnx_proto::{AttributeType, NodeProto};
use super::onnx_windows::{conv, conv_transpose, global_pool, pool, resize};
use crate::budget::Meter;
use crate::layers::{
    ActivationLayer, Axes, BatchNormalization, Dense, Extent, GroupNormalization, LayerNormalization, PadMode, Pooling,
    Reduction,
};
use crate::model::Port;
use crate::plan::BinaryFunction;
use crate::{Activation, HostTensor, Unary};

/// An operator that is understood.
pub(super) struct Operator {
    name: &'static str,
    attributes: &'static [&'static str],
    map: fn(&mut Apply) -> Outcome<Vec<Term>>,
}

const CONV: &[&str] = &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"];
const REDUCE: &[&str] = &["axes", "keepdims", "noop_with_empty_axes"];
/// `axis` and `broadcast` stand for opset 6; `consumed_inputs` is older still and means nothing.
const BINARY: &[&str] = &["axis", "broadcast", "consumed_inputs"];

const OPERATORS: &[Operator] = &[
    row("Abs", &[], |a| a.map(Unary::Abs)),
    row("Add", BINARY, |a| a.broadcast(BinaryFunction::Add)),
    row("And", &[], host_only),
    row(
        "AveragePool",
        &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"],
        pool,
    ),
    row("BatchNormalization", &["epsilon", "is_test", "momentum", "spatial", "training_mode"], batch_normalization),
    row("Cast", &["saturate", "to", "round_mode"], cast),
    row("CastLike", &["saturate", "round_mode"], cast_like),
    row("Ceil", &[], |a| a.map(Unary::Ceil)),
    row("Celu", &["alpha"], |a| a.activation(Activation::Celu { alpha: a.node.float("alpha", 1.0) })),
    row("Clip", &["max", "min"], clip),
    row("Concat", &["axis"], concat),
    row("Constant", &["value", "value_float", "value_floats", "value_int", "value_ints"], host_only),
    row("ConstantOfShape", &["value"], host_only),
    row("Conv", CONV, conv),
    row(
        "ConvTranspose",
        &["auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"],
        conv_transpose,
    ),
    row("Cos", &[], |a| a.map(Unary::Cos)),
    row("DepthToSpace", &["blocksize", "mode"], depth_to_space),
    row("Div", BINARY, |a| a.broadcast(BinaryFunction::Divide)),
    row("Dropout", &["is_test", "ratio", "seed"], dropout),
    row("Elu", &["alpha"], |a| a.activation(Activation::Elu { alpha: a.node.float("alpha", 1.0) })),
    row("Equal", &["axis", "broadcast"], host_only),
    row("Erf", &[], |a| a.map(Unary::Erf)),
    row("Exp", &[], |a| a.activation(Activation::Exponential)),
    row("Expand", &[], expand),
    row("Flatten", &["axis"], flatten),
    row("Floor", &[], |a| a.map(Unary::Floor)),
    row("Gather", &["axis"], gather),
    row("Gelu", &["approximate"], gelu),
    row("Gemm", &["alpha", "beta", "broadcast", "transA", "transB"], gemm),
    row("GlobalAveragePool", &[], global_pool),
    row("GlobalMaxPool", &[], global_pool),
    row("Greater", &["axis", "broadcast"], host_only),
    row("GreaterOrEqual", &[], host_only),
    row("GroupNormalization", &["epsilon", "num_groups", "stash_type"], group_normalization),
    row("HardSigmoid", &["alpha", "beta"], hard_sigmoid),
    row("HardSwish", &[], |a| a.activation(Activation::HardSilu)),
    row("Identity", &[], |a| a.same()),
    row("InstanceNormalization", &["epsilon"], instance_normalization),
    row("LRN", &["alpha", "beta", "bias", "size"], lrn),
    row("LayerNormalization", &["axis", "epsilon", "stash_type"], layer_normalization),
    row("LeakyRelu", &["alpha"], |a| {
        a.activation(Activation::LeakyRelu { negative_slope: a.node.float("alpha", 0.01) })
    }),
    row("Less", &["axis", "broadcast"], host_only),
    row("LessOrEqual", &[], host_only),
    row("Log", &[], |a| a.map(Unary::Log)),
    row("LogSoftmax", &["axis"], softmax),
    row("LpPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "p", "pads", "strides"], pool),
    row("MatMul", &[], matmul),
    row("Max", BINARY, |a| a.broadcast(BinaryFunction::Maximum)),
    row("MaxPool", &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"], pool),
    row("Mean", &[], mean),
    row("Min", BINARY, |a| a.broadcast(BinaryFunction::Minimum)),
    row("Mish", &[], |a| a.activation(Activation::Mish)),
    row("Mod", &["fmod"], host_only),
    row("Mul", BINARY, |a| a.broadcast(BinaryFunction::Multiply)),
    row("Neg", &[], |a| a.map(Unary::Neg)),
    row("Not", &[], host_only),
    row("Or", &[], host_only),
    row("PRelu", &[], prelu),
    row("Pad", &["mode", "pads", "value"], pad),
    row("Pow", BINARY, |a| a.broadcast(BinaryFunction::Power)),
    row("Range", &[], host_only),
    row("Reciprocal", &[], |a| a.map(Unary::Reciprocal)),
    row("ReduceL1", REDUCE, reduce),
    row("ReduceL2", REDUCE, reduce),
    row("ReduceLogSum", REDUCE, reduce),
    row("ReduceLogSumExp", REDUCE, reduce),
    row("ReduceMax", REDUCE, reduce),
    row("ReduceMean", REDUCE, reduce),
    row("ReduceMin", REDUCE, reduce),
    row("ReduceProd", REDUCE, host_only),
    row("ReduceSum", REDUCE, reduce),
    row("ReduceSumSquare", REDUCE, reduce),
    row("Relu", &["consumed_inputs"], |a| a.activation(Activation::RELU)),
    row("Reshape", &["allowzero"], reshape),
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
    ),
    row("Round", &[], |a| a.map(Unary::Round)),
    row("Selu", &["alpha", "gamma"], selu),
    row("Shape", &["end", "start"], shape_of),
    row("Shrink", &["bias", "lambd"], shrink),
    row("Sigmoid", &[], |a| a.activation(Activation::Sigmoid)),
    row("Sign", &[], |a| a.map(Unary::Sign)),
    row("Sin", &[], |a| a.map(Unary::Sin)),
    row("Size", &[], size_of),
    row("Slice", &["axes", "ends", "starts"], slice),
    row("Softmax", &["axis"], softmax),
    row("Softplus", &[], |a| a.activation(Activation::Softplus)),
    row("Softsign", &[], |a| a.activation(Activation::Softsign)),
    row("SpaceToDepth", &["blocksize"], space_to_depth),
    row("Split", &["axis", "num_outputs", "split"], split),
    row("Sqrt", &[], |a| a.map(Unary::Sqrt)),
    row("Squeeze", &["axes"], squeeze),
    row("Sub", BINARY, |a| a.broadcast(BinaryFunction::Subtract)),
    row("Sum", &[], |a| a.broadcast(BinaryFunction::Add)),
    row("Swish", &["alpha"], swish),
    row("Tanh", &[], |a| a.activation(Activation::Tanh)),
    row("ThresholdedRelu", &["alpha"], |a| {
        a.activation(Activation::Threshold { threshold: a.node.float("alpha", 1.0), default_value: 0.0 })
    }),
    row("Tile", &[], tile),
    row("Transpose", &["perm"], transpose),
    row("Unsqueeze", &["axes"], unsqueeze),
    row("Upsample", &["mode", "scales"], resize),
    row("Where", &[], host_only),
];

const fn row(
    name: &'static str,
    attributes: &'static [&'static str],
    map: fn(&mut Apply) -> Outcome<Vec<Term>>,
) -> Operator {
    Operator { name, attributes, map }
}

/// The operator of a name.
pub(super) fn operator(name: &str) -> Outcome<&'static Operator> {
    let found = OPERATORS.iter().find(|operator| operator.name == name);
    found.ok_or_else(|| "the operator is not supported".into())
}

impl Operator {
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
        let (inputs, outputs) = most_of(self.name);
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

/// How many inputs and outputs of an operator are understood, whatever is made of them.
fn most_of(operator: &str) -> (usize, usize) {
    match operator {
        "Constant" => (0, 1),
        "Concat" | "Max" | "Mean" | "Min" | "Sum" => (usize::MAX, 1),
        "Add" | "And" | "CastLike" | "Div" | "Equal" | "Expand" | "Gather" | "Greater" | "GreaterOrEqual" | "Less"
        | "LessOrEqual" | "MatMul" | "Mod" | "Mul" | "Or" | "PRelu" | "Pow" | "Reshape" | "Squeeze" | "Sub"
        | "Tile" | "Unsqueeze" | "Upsample" => (2, 1),
        reduction if reduction.starts_with("Reduce") => (2, 1),
        "Split" => (2, usize::MAX),
        "Clip"
        | "Conv"
        | "ConvTranspose"
        | "Gemm"
        | "GroupNormalization"
        | "InstanceNormalization"
        | "Range"
        | "Where" => (3, 1),
        "Dropout" => (3, 2),
        "LayerNormalization" => (3, 3),
        "MaxPool" => (1, 2),
        "Pad" | "Resize" => (4, 1),
        // What has more is refused with its reason.
        "BatchNormalization" => (5, 5),
        "Slice" => (5, 1),
        _ => (1, 1),
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
        | "value_float" => AttributeType::Float,
        "scales" | "value_floats" => AttributeType::Floats,
        "axes" | "consumed_inputs" | "dilations" | "ends" | "kernel_shape" | "output_padding" | "output_shape"
        | "pads" | "perm" | "split" | "starts" | "strides" | "value_ints" => AttributeType::Ints,
        "approximate"
        | "auto_pad"
        | "coordinate_transformation_mode"
        | "keep_aspect_ratio_policy"
        | "mode"
        | "nearest_mode"
        | "round_mode" => AttributeType::Text,
        _ => AttributeType::Int,
    }
}

fn host_only(_: &mut Apply) -> Outcome<Vec<Term>> {
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
        Ok(vec![result])
    }

    /// `right` with its axes where opset 6 puts them: from `axis` of the left side on.
    fn aligned(&self, left: &Term, right: Term) -> Outcome<Term> {
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

    fn pair(&mut self, operation: BinaryFunction, left: Term, right: Term) -> Outcome<Term> {
        Ok(Term::Made(match (left, right) {
            (Term::Made(left), Term::Made(right)) => self.binary(operation, left, right)?,
            (Term::Made(left), Term::Known(right)) => self.binary_with(operation, left, &right, false)?,
            (Term::Known(left), Term::Made(right)) => self.binary_with(operation, right, &left, true)?,
            _ => return Err("it computes with constants alone".into()),
        }))
    }
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

fn shrink(a: &mut Apply) -> Outcome<Vec<Term>> {
    a.map(Unary::Shrink { threshold: a.node.float("lambd", 0.5), bias: a.node.float("bias", 0.0) })
}

fn prelu(a: &mut Apply) -> Outcome<Vec<Term>> {
    let slope = a.inputs.get(1).cloned().flatten();
    let rank = a.dims(a.value(0)?).len();
    // One slope for each channel, without the axes after it, is how opset 6 writes it.
    if let Some(Term::Known(slope)) = slope.filter(|_| a.builder.opset < 7 && rank > 2) {
        let shape = [slope.shape.as_slice(), &vec![1; rank - 2]].concat();
        a.inputs[1] = Some(Term::Known(if slope.shape.len() == 1 { slope.reshaped(shape)? } else { slope }));
    }
    a.broadcast(BinaryFunction::Prelu)
}

fn cast(a: &mut Apply) -> Outcome<Vec<Term>> {
    let to = i32::try_from(a.node.int("to", 0)).unwrap_or(0);
    match kind_of(to) {
        Some(Kind::Float) => a.same(),
        _ => Err(at("to", format!("the model's values are floating point, and cannot become {}", type_name(to)))),
    }
}

fn cast_like(a: &mut Apply) -> Outcome<Vec<Term>> {
    match (a.inputs.first().cloned().flatten(), a.inputs.get(1).and_then(Option::as_ref)) {
        // A constant takes the type of what the model computes with.
        (Some(Term::Known(constant)), Some(Term::Made(_))) => {
            let values = constant.to_floats(a.meter())?;
            Ok(vec![Term::Known(Constant { shape: constant.shape, data: Data::Floats(values) })])
        }
        (Some(term @ Term::Made(_)), Some(Term::Made(_))) => Ok(vec![term]),
        _ => Err("the model's values are floating point, and stay so".into()),
    }
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
    Ok(vec![Term::Known(Constant::ints(vec![size]).reshaped(Vec::new())?)])
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

/// Runs of neighbouring positions, cut out and put together.
fn gather(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let axis = axis_at(a.node.int("axis", 0), dims.len())?;
    let extent =
        dims[axis].ok_or_else(|| format!("nothing can be gathered of axis {axis}, whose extent is not known"))?;
    let indices = a.required(1)?.clone();
    let positions =
        indices.known_ints(a.meter())?.iter().map(|&index| axis_at(index, extent)).collect::<Result<Vec<_>, _>>()?;
    let runs: Vec<&[usize]> = positions.chunk_by(|left, right| left + 1 == *right).collect();
    if runs.is_empty() || runs.len() > 64 {
        return Err(format!("{} separate runs of positions are gathered; 1 to 64 can be", runs.len()).into());
    }
    let parts = runs.iter().map(|run| a.part(x, axis, run[0], 1, run.len())).collect::<Outcome<Vec<_>>>()?;
    let joined = a.concatenated(&parts, axis)?;
    let before = (0..axis).map(Extent::Axis);
    let within = indices.shape.iter().map(|&dim| Extent::Of(dim));
    let after = (axis + 1..dims.len()).map(Extent::Axis);
    one(a.view(joined, before.chain(within).chain(after).collect())?)
}

fn expand(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let target = a.required(1)?.extents(a.meter())?;
    one(a.expanded(x, &target)?)
}

fn tile(a: &mut Apply) -> Outcome<Vec<Term>> {
    let mut x = a.value(0)?;
    let repeats = a.required(1)?.known_ints(a.meter())?;
    if repeats.len() != a.dims(x).len() {
        return Err(format!("{} repeats for {} axes", repeats.len(), a.dims(x).len()).into());
    }
    for (axis, &repeat) in repeats.iter().enumerate() {
        let repeat = usize::try_from(repeat).ok().filter(|repeat| (1..=64).contains(repeat));
        let repeat = repeat.ok_or("an axis can be repeated 1 to 64 times")?;
        x = a.concatenated(&vec![x; repeat], axis)?;
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
fn blocks(a: &Apply) -> Outcome<(Port, [usize; 3], usize)> {
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
        let known = |dims: &[Option<usize>]| dims.iter().copied().product::<Option<usize>>();
        let extents = match (axis, known(&dims[..axis]), known(&dims[axis..])) {
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
fn bias_of(constant: &Constant, units: usize, scale: f32, meter: &Meter) -> Result<HostTensor, String> {
    let expanded = constant.expanded(&[1, units], meter).or_else(|_| constant.expanded(&[units], meter))?;
    let mut value = expanded.to_host(meter)?;
    value.shape = [units].into();
    value.values.iter_mut().for_each(|value| *value *= scale);
    Ok(value)
}

fn gemm(a: &mut Apply) -> Outcome<Vec<Term>> {
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
            one(a.binary_with(BinaryFunction::Add, product, &Constant::floats(bias.shape, values), false)?)
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
        _ if a.node.int("noop_with_empty_axes", 0) != 0 => return a.same(),
        _ => (0..rank).collect(),
    };
    let keepdims = a.node.int("keepdims", 1) != 0;
    let function = match a.node.op_type.as_str() {
        "ReduceL1" => Reduction::L1,
        "ReduceL2" => Reduction::L2,
        "ReduceLogSum" => Reduction::LogSum,
        "ReduceLogSumExp" => Reduction::LogSumExp,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceSum" => Reduction::Sum,
        "ReduceSumSquare" => Reduction::SumSquare,
        _ => Reduction::Mean,
    };
    one(a.reduced(function, x, &axes, keepdims)?)
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
    let spread = |constant: &Constant, meter: &Meter| {
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

fn layer_normalization(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let first = axis_at(a.node.int("axis", -1), dims.len())?;
    let axes: Vec<usize> = (first..dims.len()).collect();
    let epsilon = a.node.float("epsilon", 1e-5);
    let shape =
        dims[first..].iter().copied().collect::<Option<Vec<_>>>().ok_or("the extents normalised over must be known")?;
    let form = format!("{shape:?}");
    let expanded = |constant: &Constant, meter: &Meter| constant.expanded(&shape, meter)?.to_host(meter);
    let (scale, bias) = (a.required(1)?.clone(), a.constant(2)?.cloned());
    let scale = a.weight(&scale, &form, expanded)?;
    let bias = bias.map(|bias| a.weight(&bias, &form, expanded)).transpose()?;
    let layer = LayerNormalization::new()
        .axis(Axes::List(axes.iter().map(|&axis| axis as i32).collect()))
        .epsilon(f64::from(epsilon))
        .center(bias.is_some());
    let weights = std::iter::once(scale).chain(bias).collect();
    let mut outputs = vec![None; a.node.output.len().clamp(1, 3)];
    if a.node.output.iter().skip(1).any(|name| !name.is_empty()) {
        let mean = a.reduced(Reduction::Mean, x, &axes, true)?;
        let deviation = a.binary(BinaryFunction::Subtract, x, mean)?;
        let square = a.unary(Unary::Square, deviation)?;
        let variance = a.reduced(Reduction::Mean, square, &axes, true)?;
        let variance = a.affine(variance, 1.0, epsilon)?;
        let deviation = a.unary(Unary::Sqrt, variance)?;
        let inverse = a.unary(Unary::Reciprocal, deviation)?;
        for (output, value) in outputs.iter_mut().skip(1).zip([mean, inverse]) {
            *output = Some(value);
        }
    }
    outputs[0] = Some(a.weighted(layer, weights, x)?);
    Ok(outputs.into_iter().flatten().map(Term::Made).collect())
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
    let positions = dims.get(2..).ok_or("its input must have channels")?.iter().copied().product::<Option<usize>>();
    let positions = positions.ok_or("the extents of its input must be known, but for the batch")?;
    let image = a.view(square, vec![Extent::Axis(0), Extent::Of(1), Extent::Axis(1), Extent::Of(positions)])?;
    let before = (size - 1) / 2;
    let span = Span { kernel: size, stride: 1, dilation: 1, pads: Some([before, size - 1 - before]) };
    let means = a.pooled(image, Pooling::AverageWithPads, false, [span, Span::UNIT])?;
    let rest = (2..dims.len()).map(|axis| dims[axis].map_or(Extent::Rest, Extent::Of));
    let means = a.view(means, [Extent::Axis(0), Extent::Axis(2)].into_iter().chain(rest).collect())?;
    let base = a.affine(means, alpha, bias)?;
    let factor = a.unary(Unary::Pow { exponent: -beta }, base)?;
    one(a.binary(BinaryFunction::Multiply, x, factor)?)
}
