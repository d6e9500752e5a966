//! Keras' constructor arguments, in the terms of the reference.

use serde_json::Value;

use super::fixtures::Case;
use wgpu_conv::reference::{
    Array, Convolved, Norm, ReferencePadding, ReferenceWindow, Transposed, activate, conv, conv_transpose,
    depthwise_conv, normalize, separable_conv,
};

/// One number for all axes, or a list of one for each; one where the argument is absent.
fn per_axis<const R: usize>(config: &Value, argument: &str) -> Result<[usize; R], String> {
    let number = |value: &Value| value.as_u64().and_then(|value| usize::try_from(value).ok());
    let read = match &config[argument] {
        Value::Null => Some([1; R]),
        Value::Array(items) => {
            items.iter().map(number).collect::<Option<Vec<_>>>().and_then(|items| items.try_into().ok())
        }
        value => number(value).map(|value| [value; R]),
    };
    read.ok_or_else(|| format!("{argument} is {}", config[argument]))
}

/// Whether the data format is `channels_first`; absent means `channels_last`.
pub fn channels_first(config: &Value) -> bool {
    config["data_format"].as_str() == Some("channels_first")
}

/// Strides, dilation, padding and data format of a convolution over `R` axes.
///
/// # Errors
/// When an argument is not what such a convolution takes.
pub fn window<const R: usize>(config: &Value) -> Result<ReferenceWindow<R>, String> {
    let dilation_rate = per_axis(config, "dilation_rate")?;
    let kernel_size = per_axis::<R>(config, "kernel_size")?;
    Ok(ReferenceWindow {
        strides: per_axis(config, "strides")?,
        dilation_rate,
        padding: match config["padding"].as_str().unwrap_or("valid") {
            "valid" => ReferencePadding::Valid,
            "same" => ReferencePadding::Same,
            "causal" => ReferencePadding::Explicit(std::array::from_fn(|axis| {
                [(kernel_size[axis] - 1) * dilation_rate[axis], 0]
            })),
            other => return Err(format!("padding is {other:?}")),
        },
        channels_first: channels_first(config),
    })
}

/// The name of the activation in a layer's config; `None` is `linear`.
pub fn activation(config: &Value) -> &str {
    config["activation"].as_str().unwrap_or("linear")
}

/// An activation's arguments as numbers: flags become 0 or 1, what is null is left out.
pub fn parameters(args: &Value) -> Vec<(&str, f64)> {
    let number = |value: &Value| value.as_f64().or(value.as_bool().map(|flag| f64::from(u8::from(flag))));
    let args = args.as_object().into_iter().flatten();
    args.filter_map(|(name, value)| number(value).map(|value| (name.as_str(), value))).collect()
}

/// The reference's result of a convolution case before its activation.
///
/// # Errors
/// When the class is no convolution, or the case lacks a weight.
pub fn convolve(case: &Case) -> Result<Convolved, String> {
    match case.x[0].shape.len() {
        3 => convolve_over::<1>(case),
        4 => convolve_over::<2>(case),
        _ => convolve_over::<3>(case),
    }
}

fn convolve_over<const R: usize>(case: &Case) -> Result<Convolved, String> {
    let weight = |name: &str| case.weight(name).ok_or_else(|| format!("there is no weight {name}"));
    let (x, bias, window) = (&case.x[0], case.weight("bias"), window::<R>(&case.config)?);
    match case.class.as_str() {
        "Conv1D" | "Conv2D" | "Conv3D" => {
            let groups = case.config["groups"].as_u64().unwrap_or(1);
            Ok(conv(x, weight("kernel")?, bias, groups as usize, &window))
        }
        "Conv1DTranspose" | "Conv2DTranspose" | "Conv3DTranspose" => {
            let output_padding = match &case.config["output_padding"] {
                Value::Null => None,
                _ => Some(per_axis(&case.config, "output_padding")?),
            };
            Ok(conv_transpose(x, weight("kernel")?, bias, &Transposed { window, output_padding }))
        }
        "DepthwiseConv1D" | "DepthwiseConv2D" => Ok(depthwise_conv(x, weight("kernel")?, bias, &window)),
        "SeparableConv1D" | "SeparableConv2D" => {
            Ok(separable_conv(x, weight("depthwise_kernel")?, weight("pointwise_kernel")?, bias, &window))
        }
        other => Err(format!("the reference has no {other}")),
    }
}

/// The output that a case asks of the library: Keras' own, except where Keras is wrong, and the reference stands in.
///
/// - Its sparsemax is not the projection on the simplex unless one element takes all.
/// - Its LayerNormalization over one inner axis, with the torch backend whose numbers the material keeps for it, goes over
///   the last axis where that has the same extent; with TensorFlow it goes over the axis named.
///
/// # Errors
/// As [`convolve`].
pub fn golden(case: &Case) -> Result<Array, String> {
    match (case.class.as_str(), activation(&case.config), case.config["axis"].as_u64()) {
        ("Activation", "sparsemax", _) => Ok(activate("sparsemax", &[], &case.x[0])),
        (_, "sparsemax", _) => Ok(activate("sparsemax", &[], &convolve(case)?.exact)),
        ("LayerNormalization", _, Some(axis)) if axis as usize + 1 < case.y.shape.len() => {
            let along = |weight: &Array| {
                let mut shape = vec![1; case.y.shape.len()];
                shape[axis as usize] = weight.data.len();
                Array { shape, data: weight.data.clone() }
            };
            let [gamma, beta] = ["gamma", "beta"].map(|name| case.weight(name).map(along));
            let epsilon = case.config["epsilon"].as_f64().unwrap_or(1e-3);
            let norm = Norm { gamma: gamma.as_ref(), beta: beta.as_ref(), epsilon, centered: true };
            Ok(normalize(&case.x[0], &[axis as usize], &norm).exact)
        }
        _ => Ok(case.y.clone()),
    }
}
