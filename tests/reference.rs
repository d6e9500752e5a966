//! Proves the reference on numbers it had no part in, before it may judge the library: Keras' own results, examples
//! worked out by hand, and tables of activation values.
//!
//! A run over everything Keras was asked: `CONFORMANCE_DIR=<directory> cargo test --test reference`.

pub mod common;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use common::fixtures::{self, Case, dev};
use common::tolerance::{self, REFERENCE_DEV, Storage};
use common::{keras, test_each};
use wgpu_conv::DTypePolicy;
use wgpu_conv::layers::{
    AveragePooling2D, ELU, GlobalAveragePooling2D, GlobalMaxPooling2D, LayerConfig, LeakyReLU, MaxPooling2D, Merge,
    ReLU, Reduce, ReduceFunction, Rescaling, Softmax, UnitNormalization, UpSampling2D, ZeroPadding2D,
};
use wgpu_conv::reference::{
    self, ACTIVATIONS, Array, Convolved, ReferencePadding, ReferenceWindow, activate, evaluate, expect,
};

/// sparsemax as Keras 3.8 to 3.15 compute it: the threshold comes from the sum of all partial sums over the support,
/// where the definition takes the last of them. Right only when the support has one member.
///
/// The goldens hold this, so they prove the convolution underneath; the reference has the definition.
fn sparsemax_of_keras(line: &[f64]) -> Vec<f64> {
    let mut sorted = line.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut partial_sums, mut support) = (0.0, 0.0, 0.0);
    for (i, value) in sorted.iter().enumerate() {
        sum += value;
        if value - (sum - 1.0) / (i + 1) as f64 > 0.0 {
            partial_sums += sum;
            support += 1.0;
        }
    }
    line.iter().map(|x| (x - (partial_sums - 1.0) / support).max(0.0)).collect()
}

/// An activation as Keras computes it, its sparsemax included.
fn activate_as_keras(name: &str, parameters: &[(&str, f64)], input: &Array) -> Array {
    match name {
        "sparsemax" => input.along(reference::parameter(parameters, "axis", -1.0) as isize, sparsemax_of_keras),
        _ => activate(name, parameters, input),
    }
}

/// Holds a tensor to Keras' and notes the deviation.
fn hold(got: &Array, golden: &Array, worst: &Cell<f64>) -> Result<(), String> {
    hold_within(got, golden, REFERENCE_DEV, worst)
}

fn hold_within(got: &Array, golden: &Array, limit: f64, worst: &Cell<f64>) -> Result<(), String> {
    if got.shape != golden.shape {
        return Err(format!("shape {:?}, Keras has {:?}", got.shape, golden.shape));
    }
    let dev = dev(&got.data, &golden.data);
    worst.set(worst.get().max(dev));
    if dev <= limit { Ok(()) } else { Err(format!("dev {dev:.3e}")) }
}

/// The two-dimensional convolutions of a suite against Keras. Other classes are named with the reason, never passed
/// over in silence.
fn prove_suite(name: &str) {
    let mut skipped = BTreeMap::new();
    let cases = fixtures::suite(name).into_iter().filter(|case| {
        let known = matches!(case.class.as_str(), "Conv2D" | "DepthwiseConv2D" | "SeparableConv2D");
        if !known {
            *skipped.entry(case.class.clone()).or_insert(0) += 1;
        }
        known
    });
    let cases: Vec<Case> = cases.collect();
    for (class, count) in skipped {
        println!("{name}: {count} cases of {class} skipped, the reference has no such layer yet");
    }
    let worst = Cell::new(0.0);
    test_each(
        &cases,
        |case| case.id.clone(),
        |case| {
            let sum = keras::convolve(case)?.exact;
            hold(&activate_as_keras(keras::activation(&case.config), &[], &sum), &case.y, &worst)
        },
    );
    println!("{name}: {} cases, dev up to {:.3e}", cases.len(), worst.get());
}

#[test]
fn conv2d_is_keras() {
    prove_suite("conv2d");
}

#[test]
fn conv2d_big_is_keras() {
    prove_suite("conv2d_big");
}

#[test]
fn pointwise_is_keras() {
    prove_suite("pointwise");
}

#[test]
fn depthwise2d_is_keras() {
    prove_suite("depthwise2d");
}

#[test]
fn depthwise2d_big_is_keras() {
    prove_suite("depthwise2d_big");
}

#[test]
fn separable2d_is_keras() {
    prove_suite("separable2d");
}

#[test]
fn stride_and_dilation_is_keras() {
    prove_suite("stride_and_dilation");
}

#[test]
fn half_is_keras() {
    prove_suite("half");
}

#[test]
fn keras_own_is_keras() {
    prove_suite("keras_own");
}

/// Every case of a suite, computed from Keras's config as `verify` computes it; classes that the library has not are
/// named.
#[cfg(feature = "keras")]
fn evaluate_suite(name: &str) {
    use wgpu_conv::layers::{LayerConfig, ReadOptions};

    let worst = Cell::new(0.0);
    let known = |class: &str| {
        let wrong = LayerConfig::from_config(class, &serde_json::json!([]));
        !matches!(wrong, Err(wgpu_conv::Error::Unsupported { .. }))
    };
    let (cases, others): (Vec<Case>, Vec<Case>) =
        fixtures::suite(name).into_iter().partition(|case| known(&case.class));
    let others: BTreeSet<&str> = others.iter().map(|case| case.class.as_str()).collect();
    println!("{name}: not in the library: {others:?}");
    if cases.is_empty() {
        return;
    }
    test_each(
        &cases,
        |case| format!("{} {} {}", case.id, case.class, case.config),
        |case| {
            let options = ReadOptions { strided_dilation: true };
            let layer = LayerConfig::from_config_with(&case.class, &case.config, options);
            let layer = layer.map_err(|error| error.to_string())?;
            let weights: Vec<Array> = case.weights.iter().map(|(_, weight)| weight.clone()).collect();
            let got = reference::evaluate(&layer, &weights, &case.x).map_err(|error| error.to_string())?;
            let golden = keras::golden(case)?;
            match case.config["interpolation"].as_str() {
                // TensorFlow resizes in f32 whatever it is given: the weights are exact, two sums follow each other.
                Some("bilinear") => hold_within(&got, &golden, 3.0 * REFERENCE_DEV, &worst),
                _ => hold(&got, &golden, &worst),
            }
        },
    );
    println!("{name}: {} cases, dev up to {:.3e}", cases.len(), worst.get());
}

#[test]
#[cfg(feature = "keras")]
fn layers_of_every_kind_are_keras() {
    let suites = ["misc", "merge", "pool2d", "conv2d_transpose", "conv2d", "depthwise2d", "separable2d"];
    let folder = fixtures::directory().join("keras/layers");
    let present: Vec<&str> =
        suites.into_iter().filter(|suite| folder.join(format!("{suite}.json")).is_file()).collect();
    assert!(present.contains(&"misc") && present.contains(&"conv2d"), "{present:?}");
    for suite in present {
        evaluate_suite(suite);
    }
}

#[test]
fn activations_are_keras() {
    let topic = fixtures::topic("activations");
    let worst = Cell::new(0.0);
    let field = |case: &serde_json::Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    test_each(
        &topic.cases,
        |case| format!("{} {} {}", field(case, "id"), field(case, "name"), case["args"]),
        |case| {
            let (x, y) = (&topic.tensors[&field(case, "x")], &topic.tensors[&field(case, "y")]);
            // Overflow to infinity is part of the golden, which is stored as f32.
            let round = |y: f64| if (y as f32).is_infinite() { f64::from(y as f32) } else { y };
            let got = activate_as_keras(&field(case, "name"), &keras::parameters(&case["args"]), x);
            hold(&got.map(round), y, &worst)
        },
    );
    println!("activations: {} cases, dev up to {:.3e}", topic.cases.len(), worst.get());
    let proven: BTreeSet<String> = topic.cases.iter().map(|case| field(case, "name")).collect();
    assert_eq!(proven, ACTIVATIONS.map(str::to_owned).into(), "activations with goldens");
}

#[test]
fn sparsemax_is_the_projection_and_that_of_keras_is_not() {
    let row = |values: &[f64]| Array::new([values.len()], values);
    // The sum of one that defines a point of the simplex, and values worked out by hand (A11).
    let rows: [(&[f64], &[f64]); 4] = [
        (&[0.1, 0.2, 0.15], &[0.85 / 3.0, 1.15 / 3.0, 1.0 / 3.0]),
        (&[-1.0, -1.0, -1.0], &[1.0 / 3.0; 3]),
        (&[0.3, 1.0, 0.2], &[0.4 / 3.0, 2.5 / 3.0, 0.1 / 3.0]),
        (&[1.0, 2.0, 3.0], &[0.0, 0.0, 1.0]),
    ];
    test_each(
        rows,
        |(x, _)| format!("{x:?}"),
        |(x, y)| hold(&activate("sparsemax", &[], &row(x)), &row(y), &Cell::new(0.0)),
    );
    let of_keras = row(&[-1.0; 3]).along(-1, sparsemax_of_keras);
    hold(&of_keras, &row(&[4.0 / 3.0; 3]), &Cell::new(0.0)).expect("the defect that the goldens carry");
}

/// 0, 1, 2, … in a shape.
fn counting(shape: [usize; 4], first: f64) -> Array {
    let count = shape.iter().product::<usize>();
    Array::new(shape, (0..count).map(|i| first + i as f64).collect::<Vec<_>>())
}

#[test]
fn worked_examples_are_exact() {
    let same = ReferenceWindow { padding: ReferencePadding::Same, ..ReferenceWindow::<2>::default() };
    let valid = ReferenceWindow::<2>::default();
    let strided = ReferenceWindow { strides: [2, 2], ..same };
    let dilated = ReferenceWindow { dilation_rate: [2, 2], ..same };
    let ones = |size: usize| Array::new([size, size, 1, 1], vec![1.0; size * size]);
    let five = counting([1, 5, 5, 1], 0.0);
    let list = |values: &[f64]| Array::new([values.len()], values);
    let conv = |x: &Array, kernel: &Array, window: &ReferenceWindow| reference::conv(x, kernel, None, 1, window);
    let row = |convolved: Convolved, row: usize| convolved.exact.slice(1, row, 1).data;
    let rows: [(&str, Vec<f64>, &[f64]); 11] = [
        (
            "depthwise order",
            reference::depthwise_conv(
                &counting([1, 2, 2, 2], 1.0),
                &counting([2, 2, 2, 2], 1.0),
                Some(&list(&[100.0, 200.0, 300.0, 400.0])),
                &valid,
            )
            .exact
            .data,
            &[252.0, 368.0, 520.0, 640.0],
        ),
        (
            "same, even input, stride 2",
            conv(&counting([1, 4, 4, 1], 0.0), &ones(3), &strided).exact.data,
            &[45.0, 39.0, 66.0, 50.0],
        ),
        (
            "same, odd input, stride 2",
            conv(&five, &ones(3), &strided).exact.data,
            &[12.0, 27.0, 24.0, 63.0, 108.0, 81.0, 72.0, 117.0, 84.0],
        ),
        ("same, dilation 2, row 0", row(conv(&five, &ones(3), &dilated), 0), &[24.0, 28.0, 42.0, 28.0, 32.0]),
        ("same, dilation 2, row 2", row(conv(&five, &ones(3), &dilated), 2), &[66.0, 72.0, 108.0, 72.0, 78.0]),
        (
            "same, even kernel, row 0",
            row(conv(&counting([1, 4, 4, 1], 0.0), &ones(2), &same), 0),
            &[10.0, 14.0, 18.0, 10.0],
        ),
        (
            "same, even kernel, row 3",
            row(conv(&counting([1, 4, 4, 1], 0.0), &ones(2), &same), 3),
            &[25.0, 27.0, 29.0, 15.0],
        ),
        (
            "same, stride 2 and dilation 2",
            conv(&five, &ones(3), &ReferenceWindow { strides: [2, 2], ..dilated }).exact.data,
            &[24.0, 42.0, 32.0, 66.0, 108.0, 78.0, 64.0, 102.0, 72.0],
        ),
        (
            "groups",
            reference::conv(
                &Array::new([1, 1, 1, 4], [1.0, 10.0, 100.0, 1000.0]),
                &counting([1, 1, 2, 4], 1.0),
                None,
                2,
                &valid,
            )
            .exact
            .data,
            &[51.0, 62.0, 7300.0, 8400.0],
        ),
        (
            "separable",
            reference::separable_conv(
                &Array::new([1, 1, 1, 2], [1.0, 10.0]),
                &counting([1, 1, 2, 2], 1.0),
                &Array::new([1, 1, 4, 1], [1.0, 10.0, 100.0, 1000.0]),
                Some(&list(&[0.5])),
                &valid,
            )
            .exact
            .data,
            &[43021.5],
        ),
        (
            "no flip",
            conv(&counting([1, 1, 3, 1], 1.0), &Array::new([1, 2, 1, 1], [1.0, 10.0]), &valid).exact.data,
            &[21.0, 32.0],
        ),
    ];
    test_each(
        rows,
        |(name, _, _)| *name,
        |(_, got, expected)| {
            if got == expected { Ok(()) } else { Err(format!("received {got:?}, expected {expected:?}")) }
        },
    );
    let zeros = |shape: [usize; 4]| counting(shape, 0.0);
    let depthwise = reference::depthwise_conv(&zeros([4, 10, 10, 12]), &zeros([3, 3, 12, 1]), None, &valid);
    assert_eq!(depthwise.exact.shape, [4, 8, 8, 12]);
    assert_eq!(conv(&zeros([4, 10, 10, 128]), &zeros([3, 3, 128, 32]), &valid).exact.shape, [4, 8, 8, 32]);
}

#[test]
fn magnitude_and_terms_are_those_of_the_sum() {
    let x = Array::new([1, 1, 2, 2], [1.0, -2.0, 3.0, -4.0]);
    let kernel = Array::new([1, 2, 2, 1], [5.0, 6.0, -7.0, 8.0]);
    let bias = Array::new([1], [-0.5]);
    let result = reference::conv(&x, &kernel, Some(&bias), 1, &ReferenceWindow::<2>::default());
    assert_eq!((result.exact.data[0], result.magnitude.data[0], result.terms), (-60.5, 70.5, 4));
    let pointwise = Array::new([1, 1, 2, 1], [-1.0, 2.0]);
    let depthwise = Array::new([1, 2, 2, 1], [5.0, 6.0, -7.0, 8.0]);
    let result = reference::separable_conv(&x, &depthwise, &pointwise, Some(&bias), &ReferenceWindow::<2>::default());
    // Channel 0: 5 - 21 = -16 of magnitude 26; channel 1: -12 - 32 = -44 of magnitude 44.
    assert_eq!((result.exact.data[0], result.magnitude.data[0]), (16.0 - 88.0 - 0.5, 26.0 + 88.0 + 0.5));
    assert_eq!(result.terms, 2 + 2 + 3);
}

/// Values that Keras printed in `f32`, at these inputs.
const TABLE_INPUTS: [f64; 9] = [-6.0, -3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0];

#[rustfmt::skip]
#[expect(clippy::approx_constant, reason = "softplus(0) is ln 2, and the table holds what was printed")]
const TABLE: [(&str, [f64; 9]); 20] = [
    ("celu", [-0.9975212, -0.950213, -0.6321205, -0.3934693, 0.0, 0.5, 1.0, 3.0, 6.0]),
    ("elu", [-0.9975212, -0.950213, -0.6321205, -0.3934693, 0.0, 0.5, 1.0, 3.0, 6.0]),
    ("selu", [-1.753741, -1.670569, -1.111331, -0.6917582, 0.0, 0.5253505, 1.050701, 3.152103, 6.304206]),
    ("gelu", [-5.9e-9, -0.004049696, -0.1586553, -0.1542688, 0.0, 0.3457312, 0.8413447, 2.99595, 6.0]),
    ("sigmoid", [0.002472623, 0.04742587, 0.2689414, 0.3775407, 0.5, 0.6224594, 0.7310585, 0.9525741, 0.9975274]),
    ("log_sigmoid", [-6.002476, -3.048587, -1.313262, -0.9740769, -0.6931472, -0.474077, -0.3132617, -0.04858736, -0.002475685]),
    ("hard_sigmoid", [0.0, 0.0, 0.3333333, 0.4166667, 0.5, 0.5833333, 0.6666667, 1.0, 1.0]),
    ("silu", [-0.01483574, -0.1422776, -0.2689414, -0.1887703, 0.0, 0.3112297, 0.7310585, 2.857722, 5.985164]),
    ("hard_silu", [0.0, 0.0, -0.3333333, -0.2083333, 0.0, 0.2916667, 0.6666667, 3.0, 6.0]),
    ("mish", [-0.01485408, -0.1456475, -0.3034015, -0.2207438, 0.0, 0.3752452, 0.8650984, 2.986535, 5.999927]),
    ("softplus", [0.002475685, 0.04858736, 0.3132617, 0.474077, 0.6931472, 0.9740769, 1.313262, 3.048587, 6.002476]),
    ("softsign", [-0.8571429, -0.75, -0.5, -0.3333333, 0.0, 0.3333333, 0.5, 0.75, 0.8571429]),
    ("squareplus", [0.1622777, 0.3027756, 0.618034, 0.7807764, 1.0, 1.280776, 1.618034, 3.302776, 6.162278]),
    ("tanh", [-0.9999877, -0.9950547, -0.7615942, -0.4621171, 0.0, 0.4621171, 0.7615942, 0.9950547, 0.9999877]),
    ("tanh_shrink", [-5.000012, -2.004945, -0.2384058, -0.03788286, 0.0, 0.03788286, 0.2384058, 2.004945, 5.000012]),
    ("soft_shrink", [-5.5, -2.5, -0.5, 0.0, 0.0, 0.0, 0.5, 2.5, 5.5]),
    ("hard_shrink", [-6.0, -3.0, -1.0, 0.0, 0.0, 0.0, 1.0, 3.0, 6.0]),
    ("sparse_plus", [0.0, 0.0, 0.0, 0.0625, 0.25, 0.5625, 1.0, 3.0, 6.0]),
    ("sparse_sigmoid", [0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
    ("linear", TABLE_INPUTS),
];

/// One activation on a row, against printed values: as close as an `f32` activation has to be.
fn check_printed(name: &str, parameters: &[(&str, f64)], x: &[f64], printed: &[f64]) -> Result<(), String> {
    let input = Array::new([x.len()], x);
    let exact_input = input.map(|_| 0.0);
    tolerance::activated(&input, &exact_input, name, parameters, Storage::F32).check(printed)
}

#[test]
fn activation_table_holds() {
    test_each(TABLE, |(name, _)| *name, |(name, printed)| check_printed(name, &[], &TABLE_INPUTS, printed));
}

#[test]
fn activation_examples_hold() {
    type Example = (&'static str, &'static [(&'static str, f64)], &'static [f64], &'static [f64]);
    const RELU: &[f64] = &[-10.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 6.0, 10.0];
    let rows: [Example; 12] = [
        (
            "relu",
            &[("negative_slope", 0.5), ("max_value", 5.0), ("threshold", 2.0)],
            RELU,
            &[-6.0, -1.5, -1.0, -0.5, 0.0, 3.0, 5.0, 5.0, 5.0],
        ),
        (
            "relu",
            &[("negative_slope", 0.5), ("max_value", 5.0)],
            RELU,
            &[-5.0, -0.5, 0.0, 1.0, 2.0, 3.0, 5.0, 5.0, 5.0],
        ),
        ("relu", &[("threshold", 2.0)], RELU, &[0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 5.0, 6.0, 10.0]),
        ("gelu", &[("approximate", 1.0)], &[-1.0, 0.5, 2.0], &[-0.1588080, 0.3457140, 1.9545977]),
        ("exponential", &[], &[20.0], &[4.851652e8]),
        ("softplus", &[], &[100.0], &[100.0]),
        ("mish", &[], &[100.0], &[100.0]),
        ("sigmoid", &[], &[-100.0], &[0.0]),
        ("softmax", &[], &[1.0, 2.0, 3.0], &[0.09003057, 0.24472848, 0.66524088]),
        ("log_softmax", &[], &[1.0, 2.0, 3.0], &[-2.4076059, -1.4076059, -0.4076059]),
        ("hard_shrink", &[], &[0.5, -0.5], &[0.0, 0.0]),
        ("soft_shrink", &[], &[0.5, -0.5], &[0.0, 0.0]),
    ];
    test_each(
        rows,
        |(name, parameters, ..)| format!("{name} {parameters:?}"),
        |(name, parameters, x, printed)| check_printed(name, parameters, x, printed),
    );
}

#[test]
fn bounds_contain_what_a_wrong_input_does() {
    // An input that is off by nearly its bound, in either direction, must stay within the bound of the output.
    const NEARLY: f64 = 0.999;
    let x = Array::new([1, 1, 1, 60], (0..60).map(|i| f64::from(i) * 0.25 - 7.5).collect::<Vec<_>>());
    type Row = (&'static str, &'static [(&'static str, f64)]);
    let with_parameters: [Row; 7] = [
        ("relu", &[("threshold", 2.0)]),
        ("relu", &[("negative_slope", 3.0), ("max_value", 1.0), ("threshold", 0.5)]),
        ("leaky_relu", &[("negative_slope", -2.0)]),
        ("elu", &[("alpha", 3.0)]),
        ("celu", &[("alpha", 0.5)]),
        ("gelu", &[("approximate", 1.0)]),
        ("hard_shrink", &[("threshold", 2.0)]),
    ];
    let bare = ACTIVATIONS.map(|name| -> Row {
        (name, if name == "threshold" { &[("threshold", 0.5), ("default_value", -3.0)] } else { &[] })
    });
    test_each(
        bare.into_iter().chain(with_parameters),
        |(name, parameters)| format!("{name} {parameters:?}"),
        |(name, parameters)| {
            for error in [1e-6, -1e-6, 1e-3, -1e-3, 0.1, -0.1] {
                let bound = x.map(|_| f64::abs(error));
                let expected = tolerance::activated(&x, &bound, name, parameters, Storage::F32);
                let moved = activate(name, parameters, &x.map(|x| x + NEARLY * error));
                expected.check(&moved.data).map_err(|why| format!("off by {error}: {why}"))?;
            }
            Ok(())
        },
    );
}

#[test]
fn wrong_results_are_seen() {
    let window = ReferenceWindow { padding: ReferencePadding::Same, ..ReferenceWindow::<2>::default() };
    let (x, kernel) = (counting([2, 3, 4, 2], -20.0), counting([3, 2, 2, 3], -17.0));
    let convolved = reference::conv(&x, &kernel, None, 1, &window);
    for storage in [Storage::F32, Storage::F16] {
        let expected = tolerance::expected(&convolved, "tanh_shrink", &[], storage);
        let mut got = expected.exact.to_f32();
        if storage == Storage::F16 {
            expected.check(&expected.exact.to_f16()).expect("the exact values, rounded to f16");
        }
        expected.check(&got).expect("the exact values");
        let at = ((3 + 2) * 4 + 1) * 3 + 2;
        got[at] += 2.0 * expected.bound[at] as f32;
        let why = expected.check(&got).expect_err("one wrong element");
        assert!(why.starts_with("1 of 72 ") && why.contains("[1, 2, 1, 2]"), "{why}");
        got[at] = f32::NAN;
        expected.check(&got).expect_err("a NaN");
        expected.check(&got[1..]).expect_err("a short result");
    }
}

#[test]
fn separable_bound_covers_both_steps_in_f32() {
    let window = ReferenceWindow {
        padding: ReferencePadding::Same,
        strides: [2, 1],
        dilation_rate: [1, 2],
        channels_first: false,
    };
    let wave = |shape: [usize; 4], pace: f64| {
        let count = shape.iter().product::<usize>();
        // Rounded to f32, so that only the sums can differ.
        Array::new(shape, (0..count).map(|i| f64::from((i as f64 * pace).sin() as f32)).collect::<Vec<_>>())
    };
    let (x, depthwise, pointwise) = (wave([1, 9, 7, 5], 0.7), wave([3, 2, 5, 2], 1.3), wave([1, 1, 10, 4], 2.9));
    let exact = reference::separable_conv(&x, &depthwise, &pointwise, None, &window);
    // The intermediate result rounded to f32 is the least that two separate steps do.
    let between = reference::depthwise_conv(&x, &depthwise, None, &window).exact;
    let between = Array::from_f32(between.shape.clone(), &between.to_f32());
    let rounded = reference::conv(&between, &pointwise, None, 1, &ReferenceWindow::<2>::default()).exact.to_f32();
    tolerance::expected(&exact, "linear", &[], Storage::F32).check(&rounded).expect("a rounded intermediate");
}

#[test]
fn a_missing_or_empty_suite_is_an_error() {
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-fixtures");
    let why = fixtures::suite_in(&nowhere, "conv2d").expect_err("a directory that does not exist");
    assert!(why.contains("conv2d.json") && why.contains("CONFORMANCE_DIR"), "{why}");
    let empty = Path::new(env!("CARGO_TARGET_TMPDIR")).join("empty-fixtures");
    std::fs::create_dir_all(empty.join("keras/layers")).expect("a directory");
    std::fs::write(empty.join("keras/layers/conv2d.json"), r#"{"suite": "conv2d", "cases": []}"#).expect("a file");
    let why = fixtures::suite_in(&empty, "conv2d").expect_err("a suite without cases");
    assert!(why.contains("has no cases"), "{why}");
}

#[test]
#[should_panic(expected = "2 of 3 rows failed")]
fn every_failing_row_is_reported() {
    test_each([1, 2, 3], |row| *row, |row| if *row == 2 { Ok(()) } else { Err("odd".to_owned()) });
}

/// What Keras makes of a NaN: it comes out of everything that computes with it, and of the largest and the smallest, and out of
/// nothing else; three activations compare it away.
#[test]
fn nan_is_kept_where_keras_keeps_it() {
    let nan = f64::NAN;
    for name in reference::ACTIVATIONS {
        let along = ["softmax", "log_softmax", "sparsemax", "glu"].contains(&name);
        let parameters: &[(&str, f64)] =
            if name == "threshold" { &[("threshold", 0.5), ("default_value", -3.0)] } else { &[] };
        let y = reference::activate(name, parameters, &Array::new([2, 4], [1.0, nan, -2.0, 0.5, 3.0, 1.0, -1.0, 0.25]));
        let width = y.shape[1];
        for (i, value) in y.data.iter().enumerate() {
            let touched = match name {
                "hard_shrink" | "soft_shrink" | "threshold" => false,
                "glu" => i == 1,
                _ if along => i < width,
                _ => i == 1,
            };
            assert_eq!(value.is_nan(), touched, "{name} at {i}: {value}");
        }
    }
    let input = Array::new([1, 2, 4, 1], [1.0, 2.0, nan, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let layers: [(LayerConfig, &[usize]); 16] = [
        (MaxPooling2D::new((1, 2)).into(), &[1]),
        (AveragePooling2D::new((1, 2)).into(), &[1]),
        (GlobalMaxPooling2D::new().into(), &[0]),
        (GlobalAveragePooling2D::new().into(), &[0]),
        (Reduce::new(ReduceFunction::Max).axes([2]).keepdims(false).into(), &[0]),
        (Reduce::new(ReduceFunction::Min).axes([2]).keepdims(false).into(), &[0]),
        (Reduce::new(ReduceFunction::Sum).axes([2]).keepdims(false).into(), &[0]),
        (Reduce::new(ReduceFunction::LogSumExp).axes([2]).keepdims(false).into(), &[0]),
        (UnitNormalization::new().axis([2]).into(), &[0, 1, 2, 3]),
        (Softmax::new().axis(2).into(), &[0, 1, 2, 3]),
        (ReLU::new().max_value(3.0).into(), &[2]),
        (LeakyReLU::new().into(), &[2]),
        (ELU::new().into(), &[2]),
        (Rescaling::new(2.0).into(), &[2]),
        (UpSampling2D::new((1, 2)).into(), &[4, 5]),
        (ZeroPadding2D::new([[0, 0], [1, 0]]).into(), &[3]),
    ];
    test_each(
        layers,
        |(layer, _)| format!("{layer:?}"),
        |(layer, touched)| {
            let expected = expect(layer, &[], std::slice::from_ref(&input)).map_err(|error| error.to_string())?;
            let found: Vec<usize> =
                (0..expected.exact.data.len()).filter(|&i| expected.exact.data[i].is_nan()).collect();
            if found != *touched {
                return Err(format!("NaN at {found:?}, expected at {touched:?}"));
            }
            // A right result passes; a number for a NaN does not, nor a NaN for a number.
            let right = expected.exact.to_f32();
            expected.check(&right)?;
            for i in 0..right.len() {
                let mut wrong = right.clone();
                wrong[i] = if right[i].is_nan() { 0.0 } else { f32::NAN };
                if expected.check(&wrong).is_ok() {
                    return Err(format!("{} passes at {i}", wrong[i]));
                }
            }
            Ok(())
        },
    );
    let both = [input.clone(), input.map(|_| 3.0)];
    for merge in [Merge::add(), Merge::multiply(), Merge::average(), Merge::maximum(), Merge::minimum()] {
        let made = evaluate(&merge.clone().into(), &[], &both).unwrap();
        assert!((0..8).all(|i| made.data[i].is_nan() == (i == 2)), "{merge:?}: {made:?}");
    }
}

/// Infinity is right where the exact result is beyond what the type holds, within its bound, and nowhere else.
#[test]
fn infinity_is_right_where_a_type_ends() {
    let judged = |policy, x: f64, got: f32| {
        let layer = Rescaling::new(2.0).dtype(policy).into();
        expect(&layer, &[], &[Array::new([1, 1], [x])]).unwrap().check(&[got]).is_ok()
    };
    for policy in [DTypePolicy::Float16, DTypePolicy::EmulatedFloat16, DTypePolicy::MixedFloat16] {
        assert!(judged(policy, 40_000.0, f32::INFINITY) && judged(policy, -40_000.0, f32::NEG_INFINITY), "{policy:?}");
        assert!(!judged(policy, 40_000.0, 65_504.0) && !judged(policy, 40_000.0, f32::NEG_INFINITY), "{policy:?}");
        assert!(judged(policy, 32_000.0, 64_000.0) && !judged(policy, 32_000.0, f32::INFINITY), "{policy:?}");
        // Half a step beyond the largest, either is right.
        assert!(judged(policy, 32_752.0, f32::INFINITY) && judged(policy, 32_752.0, 65_504.0), "{policy:?}");
    }
    assert!(judged(DTypePolicy::Float32, 40_000.0, 80_000.0) && !judged(DTypePolicy::Float32, 40_000.0, f32::INFINITY));
    assert!(judged(DTypePolicy::Float32, 3e38, f32::INFINITY) && judged(DTypePolicy::BFloat16, 3e38, f32::INFINITY));
}
