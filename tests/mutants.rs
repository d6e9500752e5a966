//! The judge itself: what a wrong kernel computes must not pass, on any layer that sums products, from ten terms to a million.
//!
//! A mutant is what a kernel would compute that leaves out one product in a thousand, takes two channels for each other, or stops
//! early: the reference with weights changed to that effect. It is held to the bounds of the right weights, as `verify` does.

use wgpu_conv::layers::{Conv2D, Conv2DTranspose, Dense, DepthwiseConv2D, LayerConfig, SeparableConv2D};
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
