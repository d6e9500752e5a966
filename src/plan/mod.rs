//! What to launch on a GPU, as data: problems, shaders, dispatches and plans. No device in sight.
//!
//! A [`Problem`] says what is to be computed: a convolution of these sizes, in f32, with a bias and a relu. A [`Plan`]
//! says how: a list of launches, each a [`Dispatch`] with the text of its [`Shader`], the numbers that the shader
//! reads, the tensors that it binds, and how often it runs. The menu ([`candidates`](crate::candidates)) turns a
//! problem into plans, and a [`Gpu`](crate::Gpu) runs one of them. All of these are plain values. So a test reads what
//! would be launched without a GPU, the choice of a plan is remembered by its problem, and a shader is its own key in
//! the pipeline cache.
//!
//! ```text
//! Problem::Conv      3×3, 64 to 128 channels, 56×56 pixels, f32, bias, relu
//!   └─ Plan          conv_tiled_f32x4_64x64x16_8x4
//!        └─ Dispatch conv_tiled.wgsl with PIXEL_TILE = 64, …; sizes and pads; 98 workgroups; its tensors
//! ```
//!
//! These records are public for measuring and testing, and may change with any version. Their lists of functions are not
//! marked `non_exhaustive`, on purpose: a test that matches on them does not compile until it knows a new function.
//!
//! The words of GPU work that this crate's comments use, with what a reader may know them by:
//!
//! | word | meaning |
//! |---|---|
//! | invocation | one run of a shader's `main`, with a number of its own: a thread |
//! | subgroup, lane | the invocations that the hardware runs in lock step, one to a lane: a warp or a wave |
//! | workgroup | the invocations that may wait for one another at a barrier, and that share workgroup memory |
//! | workgroup memory | a few small, fast kilobytes of each workgroup: shared memory |
//! | dispatch | one launch: so many workgroups of one shader |
//! | uniform block | a few numbers that all invocations read: sizes, strides, pads ([`Dispatch::params`]) |
//! | binding | a buffer or a texture as a shader sees it, by number ([`Binding`]) |
//! | lanes, of a vector | scalars that are loaded or stored at once: 4 makes vectorised loads |
//! | coalescing | neighbouring invocations read neighbouring elements, so that memory is read in whole lines |
//! | register tile | the outputs that one invocation computes together: what it has loaded serves several |
//! | occupancy | how much of a device the invocations of a launch fill, and how many wait while others load |
//! | epilogue | bias, residual and activation, applied before the sum is stored (epilogue fusion): [`Epilogue`] |

mod affine;
mod along_axis;
mod binary;
mod caps;
mod conv;
mod custom;
mod dispatch;
mod elementwise;
mod gradient;
mod movement;
mod noise;
mod normalize;
mod operand;
mod pool;
mod problem;
mod product;
mod recurrent;
mod resize;
mod shader;
mod take;
mod training;

pub use affine::{AffineProblem, Fill};
pub use along_axis::{AxisFunction, AxisProblem};
pub use binary::{BinaryFunction, BinaryProblem, PairSides};
pub use caps::Caps;
pub use conv::{ConvProblem, Direction, Epilogue, SeparableProblem};
pub use custom::{Code, CustomProblem, MOST_READ};
pub(crate) use dispatch::nested_turns;
pub use dispatch::{Accuracy, Dispatch, MOST_TURNS, Packing, Plan, Sums};
pub use elementwise::{CastProblem, Elementwise, MapProblem};
pub use gradient::{BinaryGradientProblem, Hand, KernelGradientProblem, PoolGradientProblem, RecurrentGradientProblem};
pub use movement::MoveProblem;
pub use noise::{Factors, NoiseFunction, NoiseProblem};
pub use normalize::{BatchFunction, BatchProblem, NormalizeFunction, NormalizeProblem};
pub use operand::{Binding, Operand, Texel};
pub use pool::{PoolFunction, PoolProblem};
pub(crate) use problem::Parts;
pub use problem::Problem;
pub use product::ProductProblem;
pub use recurrent::{RecurrentFunction, RecurrentProblem};
pub use resize::ResizeProblem;
pub(crate) use shader::{ACTIVATION, IMAGE, INDEX, LARGEST, MATH, SLOPE, params, part};
pub use shader::{Constant, Part, Shader};
pub use take::TakeProblem;
pub use training::{Clip, LossFunction, LossParameters, LossProblem, UpdateFunction, UpdateProblem};

pub use crate::strides::{MOST_AXES, MoveAxis, Outside, PairAxis, Reach};
