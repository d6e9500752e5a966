//! Depthwise and pointwise convolutions as one problem, each with what may follow its sum.

use wgpu_conv::plan::{ConvProblem, Elementwise, Epilogue, Operand, Problem, SeparableProblem};
use wgpu_conv::{Activation, DType, DataFormat};

use super::common::reference::{Array, Convolved, ReferenceWindow, conv, depthwise_conv, passed_on};
use super::common::tolerance::{Estimate, Expected, activated};
use super::problems::Case;
use super::table::{Numbers, ONE_PASS_ROWS, Operands, Row, storage};

/// What follows the depthwise sum, and whether a residual is added to the pointwise one, row by row.
const BETWEEN: [(bool, &str, bool); ONE_PASS_ROWS.len()] = [
    (true, "relu", true),
    (false, "linear", true),
    (true, "leaky_relu", false),
    (true, "relu6", false),
    (false, "hard_tanh", true),
    (true, "tanh", true),
    (true, "linear", false),
    (false, "leaky_relu", true),
];

/// Every case, in storage of `dtype`.
pub fn cases(dtype: DType) -> Vec<Case> {
    ONE_PASS_ROWS
        .iter()
        .zip(BETWEEN)
        .enumerate()
        .map(|(place, (row, between))| case(row, between, place, dtype))
        .collect()
}

fn case(row: &Row, (bias, activation, residual): (bool, &str, bool), place: usize, dtype: DType) -> Case {
    let layer = row.layer(DataFormat::ChannelsLast, dtype);
    let convolutions = layer.convolutions(row.input_shape(DataFormat::ChannelsLast)).expect("a sound row");
    let [depthwise, pointwise] = convolutions[..] else { panic!("{} is no separable convolution", row.name) };
    let elementwise = Elementwise::new(&Activation::from_name(activation).expect("a Keras name")).expect("no axis");
    let depthwise =
        ConvProblem { epilogue: Epilogue { bias, activation: elementwise, ..depthwise.epilogue }, ..depthwise };
    let pointwise = ConvProblem { epilogue: Epilogue { residual, ..pointwise.epilogue }, ..pointwise };
    let problem = SeparableProblem::new(depthwise, pointwise).expect("two that are one");

    let mut numbers = Numbers::new(place as u64);
    let Operands { input, weights } = Operands::new(row, || numbers.unit(storage(dtype)));
    let mut drawn = |shape: &[usize]| {
        let data: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.unit(storage(dtype))).collect();
        Array::new(shape, data)
    };
    let depthwise_bias = bias.then(|| drawn(&[row.channels]));
    let pointwise_bias = weights.get(2);

    let first = depthwise_conv(&input, &weights[0], depthwise_bias.as_ref(), &row.window(DataFormat::ChannelsLast));
    let Estimate { exact, bound } = first.into();
    let between = activated(&exact, &bound, activation, &[], storage(dtype));
    let errors = Array::new(between.exact.shape.clone(), between.bound);
    let second = conv(&between.exact, &weights[1], pointwise_bias, 1, &ReferenceWindow::<2>::default());
    let through = passed_on(&errors, &weights[1], &ReferenceWindow::<2>::default(), storage(dtype));
    let added = residual.then(|| drawn(&second.exact.shape));
    let Convolved { mut exact, mut magnitude, mut partial, terms } = second;
    if let Some(added) = &added {
        exact = exact.zip(added, |sum, added| sum + added);
        [magnitude, partial] = [magnitude, partial].map(|size| size.zip(added, |size, added| size + added.abs()));
    }
    let Estimate { exact, bound } = Convolved { exact, magnitude, partial, terms: terms + 1 }.into();
    let bound = bound.zip(&through, |own, through| own + through);
    let expected: Expected = activated(&exact, &bound, row.activation, &[], storage(dtype));

    let operands = [
        (Operand::Input, Some(input)),
        (Operand::Kernel, Some(weights[0].clone())),
        (Operand::Bias, depthwise_bias),
        (Operand::ThenKernel, Some(weights[1].clone())),
        (Operand::ThenBias, pointwise_bias.cloned()),
        (Operand::Other, added),
    ];
    let given = operands.into_iter().filter_map(|(operand, array)| Some((operand, array?, dtype))).collect();
    Case {
        name: format!("{}, {activation} between", row.name),
        problem: Problem::Separable(problem),
        given,
        expected,
        in_tiles: None,
    }
}
