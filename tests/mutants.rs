//! The judge itself: what a wrong kernel computes must not pass, on any layer that sums, from ten terms to a million.
//!
//! A mutant is what a kernel would compute that leaves out one product in a thousand, takes two channels for each other, or stops
//! early: the reference with weights changed to that effect. It is held to the bounds of the right weights, as `verify` does.

use wgpu_conv::Activation;
use wgpu_conv::layers::{
    ActivationLayer, AveragePooling2D, Conv2D, Conv2DTranspose, Dense, DepthwiseConv2D, Dot, GlobalAveragePooling2D,
    GroupNormalization, LayerConfig, LayerNormalization, Reduce, ReduceFunction, SeparableConv2D, UnitNormalization,
};
use wgpu_conv::reference::{Array, evaluate, expect};

/// Numbers of either sign, the same for a seed everywhere.
fn numbers(seed: u64, shape: &[usize]) -> Array {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    Array::new(shape, std::iter::repeat_with(next).take(shape.iter().product()).collect::<Vec<_>>())
}

/// A layer with what it is tried on. The first weight is a kernel whose terms of one sum follow one another at `stride` elements.
struct Case {
    layer: LayerConfig,
    input: Vec<usize>,
    kernel: Vec<usize>,
    more: Vec<Vec<usize>>,
    /// Terms of a sum, and elements from one to the next.
    terms: usize,
    stride: usize,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for inputs in [10, 100, 1_000, 10_000, 73_728, 1_000_000] {
        cases.push(Case {
            layer: Dense::new(3).use_bias(false).into(),
            input: vec![2, inputs],
            kernel: vec![inputs, 3],
            more: vec![],
            terms: inputs,
            stride: 3,
        });
    }
    for (side, channels) in [(1, 10), (3, 4), (3, 16), (1, 512), (3, 256), (5, 512), (7, 2048), (31, 1040)] {
        let input = vec![1, side + 1, side + 1, channels];
        cases.push(Case {
            layer: Conv2D::new(4, side as u32).use_bias(false).into(),
            input: input.clone(),
            kernel: vec![side, side, channels, 4],
            more: vec![],
            terms: side * side * channels,
            stride: 4,
        });
        if channels % 2 == 0 {
            cases.push(Case {
                layer: Conv2D::new(4, side as u32).groups(2).use_bias(false).into(),
                input: input.clone(),
                kernel: vec![side, side, channels / 2, 4],
                more: vec![],
                terms: side * side * channels / 2,
                stride: 4,
            });
        }
    }
    for side in [4, 10, 32, 100, 316, 1000] {
        cases.push(Case {
            layer: DepthwiseConv2D::new(side as u32).use_bias(false).into(),
            input: vec![1, side + 1, side, 2],
            kernel: vec![side, side, 2, 1],
            more: vec![],
            terms: side * side,
            stride: 2,
        });
    }
    for (side, channels) in [(4, 8), (10, 8), (32, 4)] {
        cases.push(Case {
            layer: SeparableConv2D::new(6, side as u32).use_bias(false).into(),
            input: vec![1, side + 1, side, channels],
            kernel: vec![side, side, channels, 1],
            more: vec![vec![1, 1, channels, 6]],
            terms: side * side,
            stride: channels,
        });
    }
    for (side, channels) in [(1, 16), (3, 64), (3, 1024), (5, 4096)] {
        cases.push(Case {
            layer: Conv2DTranspose::new(2, side as u32).use_bias(false).into(),
            input: vec![1, 5, 5, channels],
            kernel: vec![side, side, 2, channels],
            more: vec![],
            // The channels of a tap lie side by side.
            terms: channels,
            stride: 1,
        });
    }
    cases
}

#[test]
fn wrong_kernels_are_caught() {
    let mut passed = Vec::new();
    for (seed, case) in cases().into_iter().enumerate() {
        let what = format!("{} of {} terms", case.layer.class_name(), case.terms);
        let input = numbers(seed as u64, &case.input);
        let mut weights = vec![numbers(seed as u64 + 100, &case.kernel)];
        weights.extend(case.more.iter().map(|shape| numbers(seed as u64 + 200, shape)));
        let expected = expect(&case.layer, &weights, std::slice::from_ref(&input)).unwrap();
        // The right result, in f32, passes.
        let right: Vec<f32> = expected.exact.data.iter().map(|&value| value as f32).collect();
        expected.check(&right).unwrap_or_else(|why| panic!("{what}: {why}"));
        let left_out = |term: usize| term % 1000 == 7 % case.terms;
        let early = |term: usize| term + 1 + case.terms / 200 >= case.terms;
        let term = |at: usize| at / case.stride % case.terms;
        let mutant = |change: &dyn Fn(&mut Vec<f64>)| {
            let mut wrong = weights.clone();
            change(&mut wrong[0].data);
            let wrong = evaluate(&case.layer, &wrong, std::slice::from_ref(&input)).unwrap();
            let wrong: Vec<f32> = wrong.data.iter().map(|&value| value as f32).collect();
            expected.check(&wrong).is_err()
        };
        let zero = |which: &dyn Fn(usize) -> bool| {
            mutant(&|kernel| {
                for at in (0..kernel.len()).filter(|&at| which(term(at))) {
                    kernel[at] = 0.0;
                }
            })
        };
        let swapped = mutant(&|kernel| {
            for lane in 0..case.stride {
                kernel.swap(lane, lane + case.stride);
            }
        });
        for (mutation, caught) in [
            ("one product in a thousand left out", zero(&left_out)),
            ("stopped early", zero(&early)),
            ("two terms swapped", swapped),
        ] {
            if !caught {
                passed.push(format!("{what}: {mutation}"));
            }
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}

/// Layers without weights that sum `terms` of their input, each over axis 1 or over height and width.
fn weightless(terms: usize) -> Vec<(LayerConfig, Vec<Vec<usize>>)> {
    use Activation::{LogSoftmax, Softmax, Sparsemax};
    let line = vec![2, terms, 2];
    let mut layers: Vec<(LayerConfig, Vec<Vec<usize>>)> = Vec::new();
    for activation in [Softmax { axis: 1 }, LogSoftmax { axis: 1 }, Sparsemax { axis: 1 }] {
        layers.push((ActivationLayer::new(activation).into(), vec![line.clone()]));
    }
    for function in [
        ReduceFunction::Sum,
        ReduceFunction::Mean,
        ReduceFunction::SumSquare,
        ReduceFunction::L1,
        ReduceFunction::L2,
        ReduceFunction::LogSumExp,
    ] {
        layers.push((Reduce::new(function).axes([1]).into(), vec![line.clone()]));
    }
    let side = (terms as f64).sqrt().ceil() as usize;
    let picture = vec![1, side, side, 2];
    layers.push((GlobalAveragePooling2D::new().into(), vec![picture.clone()]));
    layers.push((AveragePooling2D::new(side as u32).into(), vec![picture.clone()]));
    layers.push((GroupNormalization::new(-1).scale(false).center(false).into(), vec![picture]));
    layers.push((LayerNormalization::new().scale(false).center(false).axis([1]).into(), vec![line.clone()]));
    layers.push((UnitNormalization::new().axis([1]).into(), vec![line]));
    layers.push((Dot::new([2, 1]).into(), vec![vec![1, 2, terms], vec![1, terms, 2]]));
    layers.push((Dot::new([2, 1]).normalize(true).into(), vec![vec![1, 2, terms], vec![1, terms, 2]]));
    layers
}

/// What a wrong kernel makes of its input in place of the right values: zeros, or nothing of one value in a thousand.
#[test]
fn wrong_kernels_without_weights_are_caught() {
    let mut passed = Vec::new();
    for terms in [10, 100, 1_000, 10_000, 1_000_000] {
        for ((layer, shapes), seed) in weightless(terms).into_iter().zip(1..) {
            let what = format!("{} of {terms} terms", layer.class_name());
            let inputs: Vec<Array> =
                shapes.iter().zip(0..).map(|(shape, i)| numbers(seed + 50 * i, shape).map(|x| x + 0.25)).collect();
            let expected = expect(&layer, &[], &inputs).unwrap();
            let right = expected.exact.to_f32();
            expected.check(&right).unwrap_or_else(|why| panic!("{what}: {why}"));
            let mut held = |mutation: &str, wrong: &[f32]| {
                // The input may not show it.
                if wrong != right && expected.check(wrong).is_ok() {
                    passed.push(format!("{what}: {mutation}"));
                }
            };
            held("zeros", &vec![0.0; right.len()]);
            held("a thousandth more", &right.iter().map(|y| y * 1.001).collect::<Vec<_>>());
            let without = |missing: &dyn Fn(usize) -> bool| {
                let mut inputs = inputs.clone();
                let two = inputs.len() == 2;
                let term = |at: usize| if two { at % terms } else { at / 2 % terms };
                let data = inputs[0].data.iter().enumerate().map(|(at, &x)| if missing(term(at)) { 0.0 } else { x });
                inputs[0].data = data.collect();
                evaluate(&layer, &[], &inputs).unwrap().to_f32()
            };
            held("one value in a thousand taken for 0", &without(&|term| term % 1000 == 7 % terms));
            held("the last two hundredth taken for 0", &without(&|term| term + 1 + terms / 200 >= terms));
        }
    }
    assert!(passed.is_empty(), "{passed:#?}");
}
