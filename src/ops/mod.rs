//! Operations: values in, a value out, written on a [`Tape`]. What to compute is said here; how, below.
//!
//! A layer is one operation or several: `SeparableConv2D` is a depthwise convolution, then a pointwise one with bias
//! and activation. An operation checks the shapes of its inputs, derives a [`Problem`](crate::plan::Problem) from them,
//! and notes on the tape that this problem is to be solved, on which values. It runs nothing. The tape (the
//! intermediate representation of other compilers) is then rewritten so that less runs (operator fusion: `rewrite`),
//! and each step gets a plan when it is recorded (`kernels`).
//!
//! ```text
//! layers      Conv2D(32, 3, activation="relu")        what a user asks for
//! ops         Step { Conv(sizes, bias, relu), reads, output }     what is computed
//! kernels     conv_tiled_f32x4_64x64x16_8x4           how
//! ```
//!
//! # Recipe: add an operation
//! 1. Its record, `plan/<name>.rs`, and a variant of [`Problem`](crate::plan::Problem). The compiler then asks for its name, its types
//!    and its parts (`plan/problem.rs`), its plans (`kernels/mod.rs`) and its gradient (`gradient/rules.rs`).
//! 2. `ops/<name>.rs`: a function that derives the problem from the shapes and takes a step on the tape.
//! 3. At least one kernel (`kernels/mod.rs` has that recipe).
//! 4. Its rows in `tests/common`, which `tests/problems.rs` runs on every plan and `tests/shaders.rs` reads, and in
//!    `tests/gradients.rs`. Nobody asks for the rows.

mod affine;
mod binary;
mod conv;
mod custom;
mod einsum;
mod elementwise;
mod gradient;
mod kernel;
mod launch;
mod loss;
mod movement;
mod noise;
mod normalize;
mod pool;
mod recurrent;
mod reduce;
mod resize;
pub(crate) mod rewrite;
mod step;
mod take;
mod tape;
mod update;

pub(crate) use affine::affine;
pub(crate) use binary::{Side, batch_dot, binary, matmul, two, with};
pub(crate) use conv::{ConvArgs, conv, dense, dense_by_group, scale_and_shift, scale_and_shift_runs};
pub(crate) use custom::custom;
pub(crate) use einsum::{Equation, einsum};
pub(crate) use elementwise::{activate, cast, map, rounded, value_of};
pub(crate) use gradient::{Target, gradient};
pub(crate) use kernel::{Bytes, Form, Kernel, Numbers, Passing, Refill};
pub(crate) use launch::Launch;
pub(crate) use loss::losses;
pub(crate) use movement::{Span, concatenate, expand, gather, part, permute};
pub(crate) use noise::{drawn, noise};
pub(crate) use normalize::{BatchNormalized, Statistics, batch_normalize, normalize};
pub(crate) use pool::pool;
pub(crate) use recurrent::{Beside, Recurrence, in_order, recurrent};
pub(crate) use reduce::reduce;
pub(crate) use resize::{mix, resize};
pub(crate) use step::{Read, Reads, Step};
pub(crate) use take::{take, take_along};
pub(crate) use tape::{Tape, Value, ZeroPadded, step_number};
pub(crate) use update::{UpdateReads, update};

use crate::geometry::axis_index;
use crate::{Error, Result, Shape};

/// The index of `axis` in `shape`, negative ones counted from the end.
///
/// # Errors
/// [`Error::Invalid`] for an axis that the shape does not have.
pub(crate) fn index_of(axis: i32, shape: &Shape) -> Result<usize> {
    axis_index(axis, shape.rank()).ok_or_else(|| {
        Error::invalid("axis", "the axis must be one of the input's", format!("axis={axis}, input shape={shape}"))
    })
}
