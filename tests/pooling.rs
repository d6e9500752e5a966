//! Adaptive pooling against what Keras makes of it (`tests/fixtures/pooling`), on the GPU and by the reference.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use common::reference::Array;
use common::test_each;
use serde_json::Value;
use wgpu_conv::layers::{AdaptiveAveragePooling1D, AdaptiveMaxPooling1D, LayerConfig};
use wgpu_conv::reference::evaluate;
use wgpu_conv::{Gpu, Shape, Tensor};

/// The input that `generate.py` states.
fn input(shape: &[usize]) -> Vec<f32> {
    let count: usize = shape.iter().product();
    (0..count).map(|i| (((37 * i + 11) % 101) as f64 / 50.0 - 1.0) as f32).collect()
}

fn extents(shape: &Value) -> Vec<usize> {
    serde_json::from_value(shape.clone()).expect("a shape")
}

fn hold(gpu: &Gpu, case: &Value) -> Result<(), String> {
    let error = |error: wgpu_conv::Error| error.to_string();
    let (config, _) = LayerConfig::from_json(&case["keras"]).map_err(error)?;
    let (shape, output) = (extents(&case["shape"]), extents(&case["output_shape"]));
    let (values, expected): (_, Vec<f64>) =
        (input(&shape), serde_json::from_value(case["y"].clone()).expect("numbers"));
    let layer = config.build(gpu, Shape::from(shape.as_slice())).map_err(error)?;
    let got = layer.call(&Tensor::from_slice(gpu, shape.as_slice(), &values).map_err(error)?).map_err(error)?;
    let exact = evaluate(&config, &[], &[Array::from_f32(shape.as_slice(), &values)]).map_err(error)?;
    if got.shape().dims() != output || exact.shape != output {
        return Err(format!("shapes {} and {:?}, expected {output:?}", got.shape(), exact.shape));
    }
    let got = got.read::<f32>().map_err(error)?;
    for (i, &y) in expected.iter().enumerate() {
        let (got, exact) = (f64::from(got[i]), exact.data[i]);
        // Not what is within, so that NaN is wrong.
        if !((got - y).abs() <= 1e-6 && (exact - y).abs() <= 1e-6) {
            return Err(format!("element {i}: {got}, by the reference {exact}, expected {y}"));
        }
    }
    Ok(())
}

#[test]
fn adaptive_pooling_is_keras_s() {
    let Some(gpu) = gpu::gpu() else { return };
    let cases: Vec<Value> = serde_json::from_str(include_str!("fixtures/pooling/adaptive.json")).expect("JSON");
    assert_eq!(cases.len(), 24);
    test_each(&cases, |case| format!("{} of {}", case["keras"]["class_name"], case["shape"]), |case| hold(&gpu, case));
}

/// The mean of a window that holds an infinity is that, also of one that is shorter than others; the largest of one that holds
/// NaN is NaN.
#[test]
fn infinities_stay_and_nan_is_kept() {
    let Some(gpu) = gpu::gpu() else { return };
    let values = [1.0, 2.0, f32::INFINITY, 4.0, f32::NAN];
    let x = Tensor::from_slice(&gpu, [1, 5, 1], &values).expect("a tensor");
    let call = |config: LayerConfig| -> Vec<f32> {
        config.build(&gpu, [1, 5, 1]).and_then(|layer| layer.call(&x)?.read()).expect("a call")
    };
    // Windows of 2, 3 and 2 positions.
    let means = call(AdaptiveAveragePooling1D::new(3).into());
    assert!(means[0] == 1.5 && means[1] == f32::INFINITY && means[2].is_nan(), "{means:?}");
    let largest = call(AdaptiveMaxPooling1D::new(3).into());
    assert!(largest[0] == 2.0 && largest[1] == f32::INFINITY && largest[2].is_nan(), "{largest:?}");
}
