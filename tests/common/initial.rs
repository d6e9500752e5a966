//! Initial values: the layer that draws them, and the laws they follow.

use serde_json::{Value, json};
use wgpu_conv::PartialShape;

/// Standard deviations of a sampled moment that a sound generator stays within: seeds are fixed, so this is no matter of
/// luck, and one case in a million would be outside.
const DEVIATIONS: f64 = 5.0;
/// Standard deviation of a normal law cut at two of its own.
const TRUNCATED: f64 = 0.879_625_661_034_239_8;

/// Class, config and input shape of a layer that has a weight of `shape` with this initializer, and the weight's place;
/// `None` for layers that the library does not have.
pub fn layer(kind: &str, shape: &[usize], initializer: Value) -> Option<(&'static str, Value, PartialShape, usize)> {
    let image = |channels| PartialShape::from([None, None, None, Some(channels)]);
    let groups = kind.split_once("groups=").map_or(Some(1), |(_, groups)| groups.parse::<usize>().ok())?;
    Some(match (kind.split(' ').next()?, shape) {
        ("Conv2D" | "Orthogonal", &[kh, kw, channels, filters]) => {
            let config = json!({"filters": filters, "kernel_size": [kh, kw], "groups": groups, "kernel_initializer": initializer});
            ("Conv2D", config, image(channels * groups), 0)
        }
        ("Conv1D", &[taps, channels, filters]) => {
            let config = json!({"filters": filters, "kernel_size": [taps], "kernel_initializer": initializer});
            ("Conv1D", config, [None, None, Some(channels)].into(), 0)
        }
        ("Conv3D", &[kd, kh, kw, channels, filters]) => {
            let config = json!({"filters": filters, "kernel_size": [kd, kh, kw], "kernel_initializer": initializer});
            ("Conv3D", config, [None, None, None, None, Some(channels)].into(), 0)
        }
        ("Conv2DTranspose", &[kh, kw, filters, channels]) => {
            let config = json!({"filters": filters, "kernel_size": [kh, kw], "kernel_initializer": initializer});
            ("Conv2DTranspose", config, image(channels), 0)
        }
        ("DepthwiseConv1D", &[taps, channels, multiplier]) => {
            let config = json!({
                "kernel_size": [taps], "depth_multiplier": multiplier, "depthwise_initializer": initializer
            });
            ("DepthwiseConv1D", config, [None, None, Some(channels)].into(), 0)
        }
        ("DepthwiseConv2D", &[kh, kw, channels, multiplier]) => {
            let config = json!({
                "kernel_size": [kh, kw], "depth_multiplier": multiplier, "depthwise_initializer": initializer
            });
            ("DepthwiseConv2D", config, image(channels), 0)
        }
        ("Dense" | "Orthogonal", &[channels, units]) => {
            let config = json!({"units": units, "kernel_initializer": initializer});
            ("Dense", config, [None, Some(channels)].into(), 0)
        }
        ("bias", &[filters]) => {
            ("Conv2D", json!({"filters": filters, "kernel_size": 1, "bias_initializer": initializer}), image(3), 1)
        }
        _ => return None,
    })
}

/// What values of an initializer follow.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    mean: f64,
    std: f64,
    limits: Option<[f64; 2]>,
    uniform: bool,
}

impl Law {
    /// The law of a case of `initializers.json`: the predicted one, or that of its arguments where they are the law.
    ///
    /// # Errors
    /// For a class that has none.
    pub fn of(case: &Value) -> Result<Self, String> {
        let arg = |name: &str| case["args"][name].as_f64().ok_or_else(|| format!("there is no argument {name}"));
        let exactly = |value| Self { mean: value, std: 0.0, limits: Some([value; 2]), uniform: false };
        Ok(match case["class"].as_str().unwrap_or_default() {
            "Zeros" => exactly(0.0),
            "Ones" => exactly(1.0),
            "Constant" => exactly(arg("value")?),
            "RandomNormal" => Self { mean: arg("mean")?, std: arg("stddev")?, limits: None, uniform: false },
            "TruncatedNormal" => {
                let (mean, stddev) = (arg("mean")?, arg("stddev")?);
                let limits = Some([mean - 2.0 * stddev, mean + 2.0 * stddev]);
                Self { mean, std: TRUNCATED * stddev, limits, uniform: false }
            }
            "RandomUniform" => {
                let [low, high] = [arg("minval")?, arg("maxval")?];
                let std = (high - low) / 12f64.sqrt();
                Self { mean: f64::midpoint(low, high), std, limits: Some([low, high]), uniform: true }
            }
            class => {
                let predicted = |name: &str| case["predicted"][name].as_f64();
                let unknown = || format!("nothing is predicted for {class}");
                let uniform = class.ends_with("Uniform") || case["args"]["distribution"] == "uniform";
                Self {
                    mean: predicted("mean").ok_or_else(unknown)?,
                    std: predicted("std").ok_or_else(unknown)?,
                    limits: predicted("low").zip(predicted("high")).map(|(low, high)| [low, high]),
                    uniform,
                }
            }
        })
    }

    /// Holds values to the law: limits exactly, as f32 has them; mean and standard deviation within what so many draws
    /// may miss; and a uniform law reaches near its limits.
    ///
    /// # Errors
    /// Naming what is off.
    pub fn check(&self, values: &[f32]) -> Result<(), String> {
        let count = values.len() as f64;
        let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
        let std = (values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count).sqrt();
        // The mean of n draws misses by σ/√n; their deviation by at most σ/√(2n), which is the normal law's.
        let rounding = f64::from(f32::EPSILON) * (self.mean.abs() + self.std);
        let checks = [
            ("mean", mean, self.mean, self.std / count.sqrt()),
            ("standard deviation", std, self.std, self.std / (2.0 * count).sqrt()),
        ];
        for (what, got, expected, error) in checks {
            if (got - expected).abs() > DEVIATIONS * error + rounding {
                return Err(format!(
                    "{what} {got:.6} of {count} values, expected {expected:.6} ± {:.6}",
                    DEVIATIONS * error
                ));
            }
        }
        let Some([low, high]) = self.limits else { return Ok(()) };
        let [least, most] = [f32::min, f32::max].map(|pick| values.iter().copied().reduce(pick).unwrap_or_default());
        if least < low as f32 || most > high as f32 {
            return Err(format!("values from {least} to {most}, expected {low} to {high}"));
        }
        // That none of n uniform draws falls into the outer share 14/n has a probability of e⁻¹⁴.
        let near = (high - low) * 14.0 / count;
        if self.uniform && (f64::from(least) > low + near || f64::from(most) < high - near) {
            return Err(format!("values from {least} to {most} do not fill {low} to {high}"));
        }
        Ok(())
    }
}

/// The rows or the columns of `values`, as a matrix of the last axis against the others, are orthogonal and as long as
/// `gain`.
///
/// # Errors
/// With the largest deviation of the product from `gain²·I`.
pub fn check_orthogonal(values: &[f32], shape: &[usize], gain: f64) -> Result<(), String> {
    let columns = shape.last().copied().unwrap_or(1);
    let rows = values.len() / columns;
    let at = |row: usize, column: usize| f64::from(values[row * columns + column]);
    let (vectors, length) = (rows.min(columns), rows.max(columns));
    let element = |vector: usize, i: usize| if rows < columns { at(vector, i) } else { at(i, vector) };
    let mut worst: f64 = 0.0;
    for a in 0..vectors {
        for b in 0..vectors {
            let product: f64 = (0..length).map(|i| element(a, i) * element(b, i)).sum();
            let expected = if a == b { gain * gain } else { 0.0 };
            worst = worst.max((product - expected).abs());
        }
    }
    // One rounding to f32 of each factor, |factor| <= gain, and a product's vectors are `gain` long.
    let allowed = 2.0 * gain * gain * f64::from(f32::EPSILON);
    if worst <= allowed { Ok(()) } else { Err(format!("misses gain²·I by {worst:.3e}, allowed {allowed:.3e}")) }
}
