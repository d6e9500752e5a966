//! How close to Keras is close enough. What an element may miss of an exact computation is the reference's rule, in
//! `wgpu_conv::reference::tolerance`; no other place of the tests may hold a small number.

pub use wgpu_conv::reference::tolerance::*;

/// The reference, an `f64` computation, against goldens that are one `f64` computation rounded to `f32`: the rounding,
/// and a hair for the two orders of summation.
pub const REFERENCE_DEV: f64 = UNIT * (1.0 + 1e-4);

/// `dev` of a forward tensor of the library against Keras. Keras' own `f32` runs stay below 8.8e-7.
pub fn forward_dev(storage: Storage) -> f64 {
    match storage {
        Storage::F32 => 1e-5,
        Storage::F16 => 2e-3,
        // Eight times as coarse as halves.
        Storage::BF16 => 1.6e-2,
    }
}

/// `dev` of a gradient of a layer against Keras. Keras' own `f32` runs stay below 6e-6.
pub const GRADIENT_DEV: f64 = 1e-4;

/// Half of how far apart the points of a central difference lie, in f64: its error is of the order of the square of this.
pub const DIFFERENCE: f64 = 1e-6;

/// `dev` of a whole model's outputs and of its layers' statistics against Keras.
pub const MODEL_DEV: f64 = 1e-4;
