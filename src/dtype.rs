//! Element types, and Keras's dtype policies.

use half::f16;

use crate::{Error, Result};

/// How a tensor's elements are stored on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE binary32.
    F32,
    /// IEEE binary16; needs the adapter's `SHADER_F16`. Arithmetic on it accumulates in f32 (D15).
    F16,
}

impl DType {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    /// The name in WGSL and in plan names: `f32` or `f16`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A host type whose values can be read back from a tensor: `f32` (from f32 or, widened, from f16) and
/// [`half::f16`] (from f16 only).
pub trait Element: bytemuck::Pod + Send + Sync + sealed::Sealed {
    /// The device type with the same bits.
    const DTYPE: DType;
    /// The bits of a tensor of `dtype` as values of this type, or `None` where that would lose precision.
    #[doc(hidden)]
    fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Vec<Self>>;
}

impl Element for f32 {
    const DTYPE: DType = DType::F32;
    fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Vec<Self>> {
        Some(match dtype {
            DType::F32 => bytemuck::pod_collect_to_vec(bytes),
            DType::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).into_iter().map(f16::to_f32).collect(),
        })
    }
}

impl Element for f16 {
    const DTYPE: DType = DType::F16;
    fn from_bytes(dtype: DType, bytes: &[u8]) -> Option<Vec<Self>> {
        (dtype == DType::F16).then(|| bytemuck::pod_collect_to_vec(bytes))
    }
}

/// Host data a tensor can be made from: `f32`, [`half::f16`], and `f64`, which is rounded to f32.
///
/// Integers are refused, as Keras's backends refuse them (D8): cast them to `f32` first.
#[diagnostic::on_unimplemented(
    message = "a tensor cannot be made from `{Self}`",
    note = "tensors hold floating point: convert first, for example with `.map(|&v| v as f32)`"
)]
pub trait HostData: Copy + sealed::Sealed {
    /// The device type the data is stored as.
    const STORED_AS: DType;
    /// The bytes to upload.
    #[doc(hidden)]
    fn to_bytes(data: &[Self]) -> std::borrow::Cow<'_, [u8]>;
}

impl HostData for f32 {
    const STORED_AS: DType = DType::F32;
    fn to_bytes(data: &[Self]) -> std::borrow::Cow<'_, [u8]> {
        bytemuck::cast_slice(data).into()
    }
}

impl HostData for f16 {
    const STORED_AS: DType = DType::F16;
    fn to_bytes(data: &[Self]) -> std::borrow::Cow<'_, [u8]> {
        bytemuck::cast_slice(data).into()
    }
}

impl HostData for f64 {
    const STORED_AS: DType = DType::F32;
    fn to_bytes(data: &[Self]) -> std::borrow::Cow<'_, [u8]> {
        data.iter().flat_map(|&v| (v as f32).to_ne_bytes()).collect::<Vec<u8>>().into()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::f16 {}
}

/// A narrower format that f32 values are rounded to, nearest even, where the device does not store it itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rounding {
    /// To bfloat16: 8 exponent and 7 fraction bits (D14).
    BFloat16,
    /// To binary16: 5 exponent and 10 fraction bits (D13's fallback).
    Float16,
}

impl Rounding {
    /// `value` rounded to this format.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::BFloat16 => half::bf16::from_f32(value).to_f32(),
            Self::Float16 => f16::from_f32(value).to_f32(),
        }
    }
}

/// A Keras dtype policy: the type of a layer's variables and the type it computes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DTypePolicy {
    /// Variables and computation in f32. Keras's default.
    #[default]
    Float32,
    /// Variables and computation in f16, accumulated in f32 (D15). Needs an adapter with f16.
    Float16,
    /// Variables and computation in bfloat16, emulated on f32 by rounding weights, inputs and outputs (D14).
    BFloat16,
    /// Not computable by shaders: building a layer with it is an error that says how to override it (D13).
    Float64,
    /// f32 variables, f16 computation.
    MixedFloat16,
    /// f32 variables, bfloat16 computation.
    MixedBFloat16,
    /// f16 values emulated on f32, rounding weights, inputs and outputs: [`Float16`](Self::Float16) for an
    /// adapter without f16 (D13's opt-in fallback). Not a Keras name.
    EmulatedFloat16,
}

impl DTypePolicy {
    const NAMES: [(&'static str, Self); 7] = [
        ("float32", Self::Float32),
        ("float16", Self::Float16),
        ("bfloat16", Self::BFloat16),
        ("float64", Self::Float64),
        ("mixed_float16", Self::MixedFloat16),
        ("mixed_bfloat16", Self::MixedBFloat16),
        ("emulated_float16", Self::EmulatedFloat16),
    ];

    /// The policy of a Keras name such as `"mixed_float16"`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    ///
    /// ```
    /// # use wgpu_conv::DTypePolicy;
    /// assert_eq!(DTypePolicy::from_name("mixed_float16")?, DTypePolicy::MixedFloat16);
    /// assert!(DTypePolicy::from_name("int8").is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::NAMES.iter().find(|(n, _)| *n == name).map(|&(_, policy)| policy).ok_or_else(|| {
            let names: Vec<_> = Self::NAMES.iter().map(|(n, _)| *n).collect();
            Error::invalid("dtype", format!("`dtype` must be one of {}", names.join(", ")), format!("dtype={name}"))
        })
    }

    /// The policy's name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, policy)| *policy == self).map_or("float32", |(name, _)| name)
    }

    /// The storage type and the rounding of the layer's variables; `None` for float64.
    pub(crate) fn variables(self) -> Option<(DType, Option<Rounding>)> {
        match self {
            Self::MixedFloat16 | Self::MixedBFloat16 => Some((DType::F32, None)),
            other => other.compute(),
        }
    }

    /// The storage type and the rounding of what the layer reads and writes; `None` for float64.
    pub(crate) fn compute(self) -> Option<(DType, Option<Rounding>)> {
        match self {
            Self::Float32 => Some((DType::F32, None)),
            Self::Float16 | Self::MixedFloat16 => Some((DType::F16, None)),
            Self::BFloat16 | Self::MixedBFloat16 => Some((DType::F32, Some(Rounding::BFloat16))),
            Self::EmulatedFloat16 => Some((DType::F32, Some(Rounding::Float16))),
            Self::Float64 => None,
        }
    }
}
