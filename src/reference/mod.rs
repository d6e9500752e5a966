//! The reference: every layer in `f64` on the CPU, by another road than the library's.
//!
//! It takes nothing from the crate but descriptions, as plain data; least of all its geometry. Where the library computes
//! which input element a tap reads, the reference builds the arrays that make the question go away: it transposes to
//! channels last, pads the input with real zeros, puts real zeros between the taps of a dilated kernel, cuts groups out
//! as arrays of their own, and is left with a plain sum. Padding `same` comes from the remainder form that Keras' own
//! tests use (`_same_padding` in `keras/src/layers/convolutional/conv_test.py`), not from the output size. Slow on
//! purpose: it is what `verify` and the tests hold the library to.
//!
//! [`evaluate`] computes a layer from its description; [`expect`] adds how far from it the library may be, by the rule of
//! [`tolerance`]. `tests/reference.rs` holds all of it to the numbers of Keras before it may judge anything. Inputs must be
//! finite: a zero that was put in is multiplied like any other.
//!
//! The functions on arrays panic where shapes do not fit; `evaluate` and `expect` check and return errors.

mod activation;
mod arithmetic;
mod array;
mod conv_lstm;
mod convolution;
mod images;
mod layer;
mod movement;
mod normalization;
mod operators;
mod pooling;
pub mod random;
mod recurrent;
mod spectrogram;
mod tensors;
pub mod tolerance;

pub use activation::{ACTIVATIONS, SELU_ALPHA, SELU_SCALE, activate, canonical, parameter};
pub use arithmetic::{concatenate, dot, matmul, sum};
pub use array::Array;
pub use convolution::{
    Convolved, ReferencePadding, ReferenceWindow, Transposed, conv, conv_transpose, dense, depthwise_conv, passed_on,
    separable_conv,
};
pub use images::{OutsideImage, affine};
pub use layer::{evaluate, expect, expect_masked};
pub use movement::{Between, Surround, mix, pad, repeat, resample};
pub use normalization::{
    BatchStatistics, Norm, batch_normalization, estimated_batch_normalization, normalize, scale_and_shift,
    unit_normalize,
};
pub use pooling::{PoolAxis, adaptive_average_pool, adaptive_max_pool, average_pool, max_pool, mean, total};
pub use tolerance::{Difference, Estimate, Expected, Storage};

use convolution::same_padding;
