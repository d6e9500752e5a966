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

use std::fmt::Write as _;

use crate::geometry::{Axis, ConvGeometry, product};
pub use crate::strides::{MOST_AXES, MoveAxis, Outside, PairAxis, Reach};
use crate::strides::{MoveAxes, broadcast, move_axes, pair_axes, paired};
use crate::{Activation, DType, DataFormat, Error, Result, Rounding, Unary};

/// Limits and features of a device that plans may use, as plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Whether shaders may store f16.
    pub f16: bool,
    /// Whether shaders have 64-bit integers.
    pub u64: bool,
    /// Whether the adapter runs on the CPU, where barriers and gathers are dear and occupancy means little.
    pub software: bool,
    /// The size of every subgroup, where shaders may use them and the adapter has one size only.
    pub subgroup: Option<u32>,
    /// The edge of the square cooperative matrices of f16 that shaders may multiply into sums of f32, where the device was
    /// opened with them and the adapter has some.
    pub cooperative_f16: Option<u32>,
    /// Workgroups along one dimension of a dispatch.
    pub max_workgroups: u32,
    /// Invocations of one workgroup.
    pub max_invocations: u32,
    /// Bytes of workgroup memory.
    pub workgroup_storage: u32,
    /// Bytes of one storage binding.
    pub max_binding: u64,
    /// Bytes of one buffer.
    pub max_buffer: u64,
    /// Alignment of a storage binding's offset, in bytes.
    pub binding_alignment: u32,
    /// Rows of a texture of [`Texel::ROW`] columns, where loads from one are so much cheaper than from a buffer that copies
    /// of inputs into textures pay; 0 elsewhere.
    pub texel_rows: u32,
}

impl Caps {
    /// What every WebGPU device has.
    pub const FLOOR: Self = Self {
        f16: false,
        u64: false,
        software: false,
        subgroup: None,
        cooperative_f16: None,
        max_workgroups: 65_535,
        max_invocations: 256,
        workgroup_storage: 16 << 10,
        max_binding: 128 << 20,
        max_buffer: 256 << 20,
        binding_alignment: 256,
        texel_rows: 0,
    };

    /// Whether `elements` of a tensor are read as texels.
    pub(crate) const fn reads_texels(&self, elements: u64, texel: Texel) -> bool {
        elements > 0 && elements.div_ceil(texel.lanes as u64) <= Texel::ROW as u64 * self.texel_rows as u64
    }

    /// Whether a shader may spell out `products` multiply-adds on vectors and `loads` of vectors in a row.
    ///
    /// Compiling takes more than linear time. Measured: lavapipe, whose subgroups have 8 lanes, compiles 250 in 0.3 s;
    /// SwiftShader, whose have 4, compiles 40 in 0.05 s, 110 in 1.5 s, and takes gigabytes beyond. A load counts as four.
    pub(crate) const fn spells_out(&self, products: u64, loads: u64) -> bool {
        let most = if self.software && !matches!(self.subgroup, Some(8)) { 48 } else { 256 };
        products + 4 * loads <= most
    }

    /// Workgroup counts that launch at least `total` workgroups, folded under the limit of a dimension.
    ///
    /// Shaders recover the number with `workgroup_index` of `lib/index.wgsl` and skip what exceeds the total.
    ///
    /// # Errors
    /// [`Error::Limit`] where three dimensions are not enough.
    pub(crate) fn fold(&self, total: u64) -> Result<[u32; 3]> {
        let most = u64::from(self.max_workgroups);
        if total > most.pow(3) || total > u64::from(u32::MAX) {
            return Err(Error::limit("workgroups of one dispatch", total, most.saturating_pow(3).min(u32::MAX.into())));
        }
        let z = total.div_ceil(most * most).max(1);
        let y = total.div_ceil(z).div_ceil(most).max(1);
        let x = total.div_ceil(z).div_ceil(y);
        Ok([x as u32, y as u32, z as u32])
    }
}

/// An element-wise function as a shader takes it: a function of `lib/activation.wgsl` or `lib/math.wgsl`, and its
/// parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Elementwise {
    function: &'static str,
    /// The bits of three f32.
    parameters: [u32; 3],
}

impl Elementwise {
    pub(crate) const LINEAR: Self = Self { function: "linear", parameters: [0; 3] };

    /// The element-wise form of `activation`; `None` for those that work along an axis.
    pub fn new(activation: &Activation) -> Option<Self> {
        let function = match activation {
            Activation::Relu { negative_slope: 0.0, max_value: None, threshold: 0.0 } => "relu",
            Activation::Relu { max_value: None, .. } => "relu_general",
            Activation::Relu { .. } => "relu_capped",
            Activation::Gelu { approximate: true } => "gelu_approximate",
            Activation::Tanh => "tanh_keras",
            activation if activation.axis().is_some() => return None,
            other => other.name(),
        };
        Some(Self { function, parameters: activation.parameters().map(f32::to_bits) })
    }

    /// The form of a function that is no activation.
    pub fn of_unary(function: &Unary) -> Self {
        let name = match function {
            Unary::Abs => "math_abs",
            Unary::Neg => "math_neg",
            Unary::Sqrt => "math_sqrt",
            Unary::Reciprocal => "math_reciprocal",
            Unary::Log => "math_log",
            Unary::Floor => "math_floor",
            Unary::Ceil => "math_ceil",
            Unary::Round => "math_round",
            Unary::Sign => "math_sign",
            Unary::Erf => "math_erf",
            Unary::Sin => "math_sin",
            Unary::Cos => "math_cos",
            Unary::Tan => "math_tan",
            Unary::Square => "math_square",
            Unary::Clip { .. } => "math_clip",
            Unary::Affine { .. } => "math_affine",
            Unary::Pow { .. } => "math_pow",
            Unary::ClippedAffine { .. } => "math_clipped_affine",
            Unary::ScaledElu { .. } => "math_scaled_elu",
            Unary::Shrink { .. } => "math_shrink",
            Unary::Swish { .. } => "math_swish",
        };
        let [first, second] = function.parameters().map(f32::to_bits);
        Self { function: name, parameters: [first, second, 0] }
    }

    /// The parts of a shader that define the function.
    pub(crate) fn parts(&self) -> &'static [Part] {
        if self.function.starts_with("math_") { &[ACTIVATION, MATH] } else { &[ACTIVATION] }
    }

    /// The function's name in its part.
    pub(crate) const fn function(&self) -> &'static str {
        self.function
    }

    /// Whether it is a dozen instructions or more, too long to be repeated at every store of a large tile.
    pub(crate) fn is_long(&self) -> bool {
        !matches!(
            self.function,
            "linear"
                | "relu"
                | "relu6"
                | "leaky_relu"
                | "hard_sigmoid"
                | "hard_sigmoid_2"
                | "hard_silu"
                | "hard_tanh"
                | "hard_shrink"
                | "threshold"
                | "math_abs"
                | "math_neg"
                | "math_square"
                | "math_clip"
                | "math_affine"
                | "math_clipped_affine"
        )
    }

    /// The bits of its three f32 parameters.
    pub(crate) const fn parameters(&self) -> [u32; 3] {
        self.parameters
    }
}

/// What follows a convolution's sum, in this order: bias, residual, then activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epilogue {
    /// Whether a bias is added to each output channel.
    pub bias: bool,
    /// Whether another tensor of the output's shape is added.
    pub residual: bool,
    /// What each value is passed through.
    pub activation: Elementwise,
}

impl Epilogue {
    /// Nothing follows.
    pub(crate) const NONE: Self = Self { bias: false, residual: false, activation: Elementwise::LINEAR };
}

/// What a kernel is asked to do: the key of every choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Problem {
    /// A convolution: dense, grouped, pointwise or depthwise by its numbers.
    Conv(ConvProblem),
    /// A depthwise convolution and the pointwise one behind it, in one pass.
    Separable(SeparableProblem),
    /// An activation of every element by itself.
    Map(MapProblem),
    /// An activation along one axis.
    AlongAxis(AxisProblem),
    /// A change of element type.
    Cast(CastProblem),
    /// The largest or the mean value of a window.
    Pool(PoolProblem),
    /// A normalisation by statistics of the input itself.
    Normalize(NormalizeProblem),
    /// An image at another size.
    Resize(ResizeProblem),
    /// Elements put elsewhere: cut, padded, permuted, repeated, joined.
    Move(MoveProblem),
    /// A function of two tensors, element by element.
    Binary(BinaryProblem),
    /// Matrix products of two tensors.
    Product(ProductProblem),
}

impl Problem {
    /// What it is called in messages.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Conv(_) => "convolution",
            Self::Separable(_) => "separable convolution",
            Self::Map(_) => "function of each element",
            Self::AlongAxis(_) => "function along an axis",
            Self::Cast(_) => "cast",
            Self::Pool(_) => "pooling",
            Self::Normalize(_) => "normalisation",
            Self::Resize(_) => "resizing",
            Self::Move(_) => "movement",
            Self::Binary(_) => "function of two",
            Self::Product(_) => "matrix product",
        }
    }

    /// Whether a tensor of the problem is stored as f16.
    pub(crate) fn uses_f16(&self) -> bool {
        let dtypes = match self {
            Self::Conv(problem) => [problem.dtype; 2],
            Self::Separable(problem) => [problem.dtype(); 2],
            Self::Map(problem) => [problem.dtype; 2],
            Self::AlongAxis(problem) => [problem.dtype; 2],
            Self::Cast(problem) => [problem.from, problem.to],
            Self::Pool(problem) => [problem.dtype; 2],
            Self::Normalize(problem) => [problem.dtype; 2],
            Self::Resize(problem) => [problem.dtype; 2],
            Self::Move(problem) => [problem.dtype; 2],
            Self::Binary(problem) => [problem.dtype; 2],
            Self::Product(problem) => [problem.dtype; 2],
        };
        dtypes.contains(&DType::F16)
    }
}

/// Like parts of a problem, one behind the other in what it reads and writes: any number of neighbours are a smaller problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How many there are.
    pub(crate) count: u32,
    /// Elements from one to the next in the input, in the other tensor, and in the output; 0 where all read the same.
    pub(crate) steps: [u64; 3],
}

impl Parts {
    /// Elements from one part to the next in what is called `operand`; 0 where all parts have the same.
    pub(crate) const fn step(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Input => self.steps[0],
            Operand::Other => self.steps[1],
            Operand::Output => self.steps[2],
            _ => 0,
        }
    }
}

impl Problem {
    /// The parts that the problem falls into, as many as there are; `None` where its tensors do not come in parts.
    pub(crate) fn parts(&self) -> Option<Parts> {
        let of = |count: u32, input: u64, output: u64| Some(Parts { count, steps: [input, output, output] });
        let images = |geometry: &ConvGeometry<2>, read: u64, written: u64| {
            let count = geometry.batch.max(1);
            of(count, read / u64::from(count), written / u64::from(count))
        };
        match self {
            Self::Conv(problem) if problem.takes_pixels_one_by_one() => {
                let ConvGeometry { batch, axes: [height, width], .. } = problem.geometry;
                let pixels = batch.checked_mul(height.input)?.checked_mul(width.input)?;
                of(pixels, problem.read()[0].into(), problem.written()[0].into())
            }
            Self::Conv(problem) => images(&problem.geometry, problem.read_elements(), problem.written_elements()),
            Self::Pool(PoolProblem { geometry, .. }) => {
                images(geometry, geometry.in_elements(), geometry.out_elements())
            }
            Self::Resize(ResizeProblem { batch, channels, input, output, .. }) => {
                let each = |[height, width]: [u32; 2]| u64::from(height) * u64::from(width) * u64::from(*channels);
                of(*batch, each(*input), each(*output))
            }
            Self::Map(MapProblem { elements, .. }) | Self::Cast(CastProblem { elements, .. }) => of(*elements, 1, 1),
            Self::AlongAxis(AxisProblem { function, outer, extent, inner, .. }) => {
                let each = |extent: u32| u64::from(extent) * u64::from(*inner);
                of(*outer, each(*extent), each(function.output_extent(*extent)))
            }
            Self::Normalize(problem) => {
                let NormalizeProblem { outer, spread, group, extent, group_step, .. } = *problem;
                let set = u64::from(extent);
                match (outer, spread, group_step) {
                    // Every group is a part, for all take the same gamma.
                    (1, 1, 0) => of(group, set, set),
                    _ => of(
                        outer,
                        u64::from(spread) * u64::from(group) * set,
                        u64::from(spread) * u64::from(group) * set,
                    ),
                }
            }
            Self::Move(problem) => problem.parts(),
            Self::Binary(problem) => problem.parts(),
            Self::Separable(_) | Self::Product(_) => None,
        }
    }

    /// The problem of `count` of its [parts](Self::parts).
    pub(crate) fn of_parts(&self, count: u32) -> Self {
        let mut part = *self;
        match &mut part {
            Self::Conv(problem) if problem.takes_pixels_one_by_one() => {
                problem.geometry.batch = 1;
                problem.geometry.axes = [Axis::pointwise(1), Axis::pointwise(count)];
            }
            Self::Conv(ConvProblem { geometry, .. }) | Self::Pool(PoolProblem { geometry, .. }) => {
                geometry.batch = count
            }
            Self::Resize(problem) => problem.batch = count,
            Self::Map(MapProblem { elements, .. }) | Self::Cast(CastProblem { elements, .. }) => *elements = count,
            Self::AlongAxis(problem) => problem.outer = count,
            Self::Normalize(problem) => match (problem.outer, problem.spread, problem.group_step) {
                (1, 1, 0) => problem.group = count,
                _ => problem.outer = count,
            },
            Self::Move(problem) => problem.axes[problem.outermost()].extent = count,
            Self::Binary(problem) => problem.axes[problem.outermost()].extent = count,
            Self::Separable(_) | Self::Product(_) => {}
        }
        part
    }
}

/// Which way a convolution's relation of input and output is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The output from the input.
    #[default]
    Forward,
    /// The input from the output: a transposed convolution, which reads what the geometry calls output, `out_channels` of
    /// it, and writes what it calls input.
    BackwardInput,
}

/// A convolution with what follows its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvProblem {
    /// Sizes.
    pub geometry: ConvGeometry<2>,
    /// Which way it is run.
    pub direction: Direction,
    /// Storage of input, kernel, bias and output.
    pub dtype: DType,
    /// Where the channels stand in input and output; the kernel is `[kh, kw, cin/groups, cout]` in either.
    pub data_format: DataFormat,
    /// Bias and activation.
    pub epilogue: Epilogue,
}

impl ConvProblem {
    /// Whether every pixel is a convolution of its own, whose channels are neighbours.
    fn takes_pixels_one_by_one(&self) -> bool {
        self.geometry.is_pointwise() && self.data_format == DataFormat::ChannelsLast
    }

    /// The channels, height and width of what is read, whichever way the relation is run.
    pub(crate) const fn read(&self) -> [u32; 3] {
        let ConvGeometry { in_channels, out_channels, axes: [h, w], .. } = self.geometry;
        match self.direction {
            Direction::Forward => [in_channels, h.input, w.input],
            Direction::BackwardInput => [out_channels, h.output, w.output],
        }
    }

    /// How many neighbours in the kernel work for one written channel, the next so many for the next channel; `None` where the
    /// groups of a transposed convolution have their channels apart.
    pub(crate) const fn kernel_run(&self) -> Option<usize> {
        match self.direction {
            Direction::Forward => Some(1),
            Direction::BackwardInput if self.geometry.groups == 1 => Some(self.geometry.out_channels as usize),
            Direction::BackwardInput => None,
        }
    }

    /// Elements of what is read.
    pub(crate) fn read_elements(&self) -> u64 {
        product(self.read()).saturating_mul(self.geometry.batch.into())
    }

    /// Elements of what is written.
    pub(crate) fn written_elements(&self) -> u64 {
        product(self.written()).saturating_mul(self.geometry.batch.into())
    }

    /// The channels, height and width of what is written.
    pub(crate) const fn written(&self) -> [u32; 3] {
        let ConvGeometry { in_channels, out_channels, axes: [h, w], .. } = self.geometry;
        match self.direction {
            Direction::Forward => [out_channels, h.output, w.output],
            Direction::BackwardInput => [in_channels, h.input, w.input],
        }
    }
}

/// A depthwise convolution, then a pointwise one of what it makes, each with what follows its sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeparableProblem {
    pub(crate) depthwise: ConvProblem,
    pub(crate) pointwise: ConvProblem,
}

impl SeparableProblem {
    /// The two as one problem; `None` unless the second computes each pixel from that pixel of the first alone, either
    /// reads and writes channels that are last and come in fours, one for each in the first, and both store one element
    /// type.
    ///
    /// A shader has the parameters of one activation: where both have some, they must be the same.
    pub fn new(depthwise: ConvProblem, pointwise: ConvProblem) -> Option<Self> {
        let (first, second) = (&depthwise.geometry, &pointwise.geometry);
        let in_fours = |problem: &ConvProblem| {
            let ConvProblem { geometry, direction, data_format, .. } = problem;
            let last = *direction == Direction::Forward && *data_format == DataFormat::ChannelsLast;
            last && geometry.in_channels.is_multiple_of(4) && geometry.out_channels.is_multiple_of(4)
        };
        let follows = second.is_pointwise()
            && second.groups == 1
            && second.in_channels == first.out_channels
            && second.pixels() == first.pixels()
            && pointwise.dtype == depthwise.dtype;
        let [one, other] = [&depthwise, &pointwise].map(|problem| problem.epilogue.activation);
        let share = one.parameters == other.parameters || [one, other].contains(&Elementwise::LINEAR);
        let fits = first.is_depthwise() && !depthwise.epilogue.residual && follows && share;
        (fits && in_fours(&depthwise) && in_fours(&pointwise)).then_some(Self { depthwise, pointwise })
    }

    /// Storage of every tensor.
    pub const fn dtype(&self) -> DType {
        self.depthwise.dtype
    }

    /// The pointwise convolution as the matrix product that shaders see: of pixels that are windows of the depthwise one's
    /// input. The parameters of its activation serve both.
    pub(crate) fn product(&self) -> ConvProblem {
        let Self { depthwise, pointwise } = self;
        let ConvGeometry { batch, axes, .. } = depthwise.geometry;
        let geometry = ConvGeometry { batch, axes: axes.map(|axis| Axis { kernel: 1, ..axis }), ..pointwise.geometry };
        let Elementwise { function, parameters } = pointwise.epilogue.activation;
        let parameters = if function == Elementwise::LINEAR.function {
            depthwise.epilogue.activation.parameters
        } else {
            parameters
        };
        let epilogue = Epilogue { activation: Elementwise { function, parameters }, ..pointwise.epilogue };
        ConvProblem { geometry, epilogue, ..*pointwise }
    }
}

/// `output[i] = activation(input[i])`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapProblem {
    /// Elements.
    pub elements: u32,
    /// Storage of input and output.
    pub dtype: DType,
    /// The activation.
    pub activation: Elementwise,
}

/// What an [`AxisProblem`] computes from the values along the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AxisFunction {
    /// `e^{x − max} / Σ e^{x − max}`.
    Softmax,
    /// `x − max − ln Σ e^{x − max}`.
    LogSoftmax,
    /// The projection on the simplex.
    Sparsemax,
    /// First half times the sigmoid of the second; the output has half the extent.
    Glu,
    /// The mean; the output has extent 1, as for all that follow.
    Mean,
    /// The largest value; NaN where one is.
    Max,
    /// The smallest value; NaN where one is.
    Min,
    /// `Σ x`.
    Sum,
    /// `Σ x²`.
    SumSquare,
    /// `Σ |x|`.
    L1,
    /// `√Σ x²`.
    L2,
    /// `ln Σ x`.
    LogSum,
    /// `ln Σ eˣ`, by way of the largest value.
    LogSumExp,
}

impl AxisFunction {
    /// The function of an activation; `None` for element-wise ones.
    pub(crate) fn new(activation: &Activation) -> Option<Self> {
        match activation {
            Activation::Softmax { .. } => Some(Self::Softmax),
            Activation::LogSoftmax { .. } => Some(Self::LogSoftmax),
            Activation::Sparsemax { .. } => Some(Self::Sparsemax),
            Activation::Glu { .. } => Some(Self::Glu),
            _ => None,
        }
    }

    /// The output's extent along the axis for an input of `extent`.
    pub(crate) const fn output_extent(self, extent: u32) -> u32 {
        match self {
            Self::Softmax | Self::LogSoftmax | Self::Sparsemax => extent,
            Self::Glu => extent / 2,
            Self::Mean
            | Self::Max
            | Self::Min
            | Self::Sum
            | Self::SumSquare
            | Self::L1
            | Self::L2
            | Self::LogSum
            | Self::LogSumExp => 1,
        }
    }
}

/// A function along the middle axis of `[outer, extent, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AxisProblem {
    /// The function.
    pub function: AxisFunction,
    /// Product of the extents before the axis.
    pub outer: u32,
    /// Extent of the axis in the input.
    pub extent: u32,
    /// Product of the extents after the axis.
    pub inner: u32,
    /// Storage of input and output.
    pub dtype: DType,
}

/// `output[i] = round(input[i])` in another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CastProblem {
    /// Elements.
    pub elements: u32,
    /// Storage of the input.
    pub from: DType,
    /// Storage of the output.
    pub to: DType,
    /// A narrower format that the values are rounded to.
    pub rounding: Option<Rounding>,
}

/// What a [`PoolProblem`] makes of the values in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolFunction {
    /// The largest one; what lies outside the input takes no part. NaN where one is.
    Max,
    /// Their mean; what lies outside the input takes no part.
    Average,
    /// Their sum divided by the number of positions of the padded input: the pads count as zeros.
    AveragePadded {
        /// Pads after the input, by axis. Positions beyond them never count.
        pad_after: [u32; 2],
    },
}

/// A function of every window of every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolProblem {
    /// The function.
    pub function: PoolFunction,
    /// Sizes; the windows are its kernels, and each channel is a group of its own.
    pub geometry: ConvGeometry<2>,
    /// Storage of input and output.
    pub dtype: DType,
    /// Where the channels stand in input and output.
    pub data_format: DataFormat,
}

/// What a [`NormalizeProblem`] divides by, and whether it shifts; `ε` is its epsilon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NormalizeFunction {
    /// `(x − mean) / √(variance + ε)`.
    Standard,
    /// `x / √(variance + ε)`: the variance about the mean, which is not subtracted.
    Deviation,
    /// `x / √max(Σ x², ε)`.
    Unit,
}

/// `output = function(input) · gamma + beta`, by statistics of `[outer, spread, group, extent]` over spread and extent.
///
/// Element (o, s, g, e) takes gamma and beta at `s·spread_step + g·group_step + e / run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NormalizeProblem {
    /// The function.
    pub function: NormalizeFunction,
    /// Extent of the axes before those of the statistics.
    pub outer: u32,
    /// Extent of the outer axes of the statistics.
    pub spread: u32,
    /// Extent of the axes between, whose positions have statistics of their own.
    pub group: u32,
    /// Extent of the inner axes of the statistics.
    pub extent: u32,
    /// The bits of ε.
    pub epsilon: u32,
    /// Whether there is a gamma, the operation's kernel.
    pub gamma: bool,
    /// Whether there is a beta, the operation's bias.
    pub beta: bool,
    /// Elements of gamma from one position of the spread to the next.
    pub spread_step: u32,
    /// Elements of gamma from one group to the next.
    pub group_step: u32,
    /// Neighbours along the extent that share an element of gamma.
    pub run: u32,
    /// Storage of input, gamma, beta and output.
    pub dtype: DType,
}

/// `output[y, x] = Σ weight · input[source]` over the taps of both axes, for every image and channel.
///
/// The kernel holds pairs of f32, source and weight: `taps[0]` for each output row, then `taps[1]` for each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResizeProblem {
    /// Independent images.
    pub batch: u32,
    /// Channels of each.
    pub channels: u32,
    /// Height and width of the input.
    pub input: [u32; 2],
    /// Height and width of the output.
    pub output: [u32; 2],
    /// Sources of one output position, by axis.
    pub taps: [u32; 2],
    /// Storage of input and output.
    pub dtype: DType,
    /// Where the channels stand in input and output.
    pub data_format: DataFormat,
}

/// `output[Σ c·to + offset] = input[Σ source(c)·from]` for every coordinate `c` of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MoveProblem {
    /// The axes of the box, innermost first, merged; the last ones have extent 1.
    pub axes: [MoveAxis; MOST_AXES],
    /// The input element that source coordinate 0 of all axes names.
    pub input_offset: u32,
    /// The output element of coordinate 0.
    pub output_offset: u32,
    /// What is read where a source coordinate lies outside.
    pub outside: Outside,
    /// Storage of input and output.
    pub dtype: DType,
}

impl MoveProblem {
    /// The move over `axes`, outermost first; those that lie side by side are merged.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where more than [`MOST_AXES`] remain, [`Error::Limit`] beyond 32 bits.
    pub fn new(axes: &[MoveAxis], output_offset: u32, outside: Outside, dtype: DType) -> Result<Self> {
        let MoveAxes { axes, from } = move_axes(axes)?;
        Ok(Self { axes, input_offset: from, output_offset, outside, dtype })
    }

    /// Elements that are written.
    pub fn elements(&self) -> u64 {
        product(self.axes.map(|axis| axis.extent))
    }

    /// The axis along which neighbours are furthest from each other in the output.
    fn outermost(&self) -> usize {
        let axes = self.axes.iter().enumerate().filter(|(_, axis)| axis.extent > 1);
        axes.max_by_key(|(_, axis)| axis.to).map_or(0, |(index, _)| index)
    }

    /// The positions of the outermost axis, where all else that is read and written at one lies before the next.
    fn parts(&self) -> Option<Parts> {
        let outermost = self.outermost();
        let MoveAxis { extent, from, to, reach } = self.axes[outermost];
        let others = || self.axes.iter().enumerate().filter(|(index, _)| *index != outermost).map(|(_, axis)| axis);
        let last = |axis: &MoveAxis| i64::from(axis.reach.map_or(axis.extent, |reach| reach.source)) - 1;
        let ends = others().map(|axis| last(axis) * i64::from(axis.from));
        let (least, most) = ends.fold((0, 0), |(least, most), end| (least + end.min(0), most + end.max(0)));
        let [least, most] = [least, most].map(|end| i64::from(self.input_offset) + end);
        let written = others().map(|axis| u64::from(axis.extent - 1) * u64::from(axis.to)).sum::<u64>();
        let apart = least >= 0 && (from == 0 || most < i64::from(from));
        let apart = apart && u64::from(self.output_offset) + written < to.into();
        let step = u64::try_from(from).ok()?;
        (reach.is_none() && apart).then_some(Parts { count: extent, steps: [step, 0, to.into()] })
    }
}

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryFunction {
    /// `left + right`.
    Add,
    /// `left − right`.
    Subtract,
    /// `left · right`.
    Multiply,
    /// `left / right`.
    Divide,
    /// The larger.
    Maximum,
    /// The smaller.
    Minimum,
    /// `left^right`; NaN for a negative `left` unless `right` is whole.
    Power,
    /// `left` where positive, else `right · left`.
    Prelu,
}

impl BinaryFunction {
    /// Every function, with its name.
    const ALL: [(&str, Self); 8] = [
        ("add", Self::Add),
        ("subtract", Self::Subtract),
        ("multiply", Self::Multiply),
        ("divide", Self::Divide),
        ("maximum", Self::Maximum),
        ("minimum", Self::Minimum),
        ("power", Self::Power),
        ("prelu", Self::Prelu),
    ];

    /// The function of a name.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    ///
    /// ```
    /// # use wgpu_conv::plan::BinaryFunction;
    /// assert_eq!(BinaryFunction::from_name("add")?, BinaryFunction::Add);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, function)| function).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(known, _)| *known).collect();
            Error::invalid(
                "function",
                format!("the function must be one of {}", names.join(", ")),
                format!("function={name}"),
            )
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self.number() as usize].0
    }

    /// Its number in `binary.wgsl`.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }
}

/// Where the two sides of a binary operation or of a product come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sides {
    /// The left from the input, the right from the other tensor.
    #[default]
    InputOther,
    /// The left from the input, the right from a constant.
    InputKernel,
    /// The left from a constant, the right from the input.
    KernelInput,
}

/// `output[c] = activation(function(left[Σ c·left], right[Σ c·right]))` for every coordinate `c` of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BinaryProblem {
    /// The function.
    pub function: BinaryFunction,
    /// The axes of the output, innermost first, merged; the last ones have extent 1.
    pub axes: [PairAxis; MOST_AXES],
    /// Where left and right come from.
    pub sides: Sides,
    /// What each value is passed through.
    pub activation: Elementwise,
    /// Storage of both sides and the output.
    pub dtype: DType,
}

impl BinaryProblem {
    /// The function of tensors of `left` and `right` extents, broadcast as NumPy does, with nothing behind it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the extents do not broadcast, [`Error::Unsupported`] where more than [`MOST_AXES`] remain
    /// after merging, [`Error::Limit`] beyond 32 bits.
    pub fn new(function: BinaryFunction, left: &[usize], right: &[usize], sides: Sides, dtype: DType) -> Result<Self> {
        let output = broadcast(left, right).ok_or_else(|| {
            Error::invalid("inputs", "shapes must broadcast together", format!("shapes {left:?} and {right:?}"))
        })?;
        let axes = pair_axes(&paired(left, right, &output)?)?;
        Ok(Self { function, axes, sides, activation: Elementwise::LINEAR, dtype })
    }

    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        product(self.axes.map(|axis| axis.extent))
    }

    fn outermost(&self) -> usize {
        self.axes.iter().rposition(|axis| axis.extent > 1).unwrap_or(0)
    }

    /// The positions of the outermost axis, where all else that is read at one lies before the next, and a constant is the
    /// same for all.
    fn parts(&self) -> Option<Parts> {
        let outermost = self.outermost();
        let PairAxis { extent, left, right } = self.axes[outermost];
        let inner = &self.axes[..outermost];
        let step = |step: u32, side: fn(&PairAxis) -> u32| {
            let read: u64 = inner.iter().map(|axis| u64::from(axis.extent - 1) * u64::from(side(axis))).sum();
            (step == 0 || read < step.into()).then_some(u64::from(step))
        };
        let (left, right) = (step(left, |axis| axis.left)?, step(right, |axis| axis.right)?);
        let output = inner.iter().map(|axis| u64::from(axis.extent)).product();
        let steps = match self.sides {
            Sides::InputOther => [left, right, output],
            Sides::InputKernel if right == 0 => [left, 0, output],
            Sides::KernelInput if left == 0 => [right, 0, output],
            _ => return None,
        };
        Some(Parts { count: extent, steps })
    }
}

/// `output[b, m, n] = Σ_k left[b, m, k] · right[b, k, n]`, each side walked by strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProductProblem {
    /// The axes of the batch, innermost first, merged; the last ones have extent 1.
    pub batch: [PairAxis; MOST_AXES],
    /// Rows of the left side and the output.
    pub rows: u32,
    /// Columns of the right side and the output.
    pub columns: u32,
    /// Products summed for one output element.
    pub terms: u32,
    /// Elements of the left side from one row to the next, and from one term to the next.
    pub left: [u32; 2],
    /// Elements of the right side from one term to the next, and from one column to the next.
    pub right: [u32; 2],
    /// Where left and right come from.
    pub sides: Sides,
    /// Storage of both sides and the output.
    pub dtype: DType,
}

impl ProductProblem {
    /// The products of matrices of `[rows, columns, terms]` over the batch `axes`, outermost first, which are merged where
    /// they lie side by side; `left` and `right` as in the fields.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where more than [`MOST_AXES`] axes remain.
    pub fn new(
        axes: &[PairAxis],
        [rows, columns, terms]: [u32; 3],
        left: [u32; 2],
        right: [u32; 2],
        sides: Sides,
        dtype: DType,
    ) -> Result<Self> {
        Ok(Self { batch: pair_axes(axes)?, rows, columns, terms, left, right, sides, dtype })
    }

    /// Elements of the output.
    pub fn elements(&self) -> u64 {
        product(self.batch.map(|axis| axis.extent)).saturating_mul(product([self.rows, self.columns]))
    }
}

/// One named piece of WGSL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The file below `shaders/`.
    pub file: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// A part from its file below `shaders/`.
macro_rules! part {
    ($file:literal) => {
        $crate::plan::Part { file: $file, text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $file)) }
    };
}
pub(crate) use part;

pub(crate) const INDEX: Part = part!("lib/index.wgsl");
pub(crate) const IMAGE: Part = part!("lib/image.wgsl");
pub(crate) const LARGEST: Part = part!("lib/largest.wgsl");
pub(crate) const ACTIVATION: Part = part!("lib/activation.wgsl");
pub(crate) const MATH: Part = part!("lib/math.wgsl");

/// The value of a name that a shader's preamble declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Constant {
    /// `const NAME: u32`.
    U32(u32),
    /// `const NAME: bool`.
    Bool(bool),
    /// `alias Name`: a type, or a vector of it where lanes exceed 1.
    Type(&'static str, u32),
    /// `fn NAME`: an element-wise function of this name under another, beside what `activate` means.
    Function(&'static str),
}

/// WGSL as an ordered list of parts and of the constants they are specialised by: its own cache key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shader {
    /// `struct Params`, written once for both sides by `params!`.
    pub params: &'static str,
    /// What `activate` means, for shaders that call it.
    pub activation: Option<&'static str>,
    /// Names the preamble declares; their types tell which extensions it enables.
    pub constants: Vec<(&'static str, Constant)>,
    /// The text.
    pub parts: Vec<Part>,
}

/// How the names of types begin that WGSL has by an extension, and its name.
const EXTENSIONS: [(&str, &str); 2] = [("f16", "f16"), ("coop_mat", "wgpu_cooperative_matrix")];

impl Shader {
    /// The complete WGSL text.
    ///
    /// Parts are joined as they are, but for [unrolled] loops: WGSL lets declarations stand in any order, only `enable`
    /// comes first.
    ///
    /// [unrolled]: crate#unrolled-loops
    pub fn wgsl(&self) -> String {
        let mut text = String::new();
        for (types, extension) in EXTENSIONS {
            let of_these = |value: &Constant| matches!(value, Constant::Type(name, _) if name.starts_with(types));
            if self.constants.iter().any(|(_, value)| of_these(value)) {
                let _ = writeln!(text, "enable {extension};");
            }
        }
        for (name, value) in &self.constants {
            let declaration = match value {
                Constant::U32(value) => format!("const {name}: u32 = {value}u;"),
                Constant::Bool(value) => format!("const {name}: bool = {value};"),
                Constant::Type(scalar, 1) => format!("alias {name} = {scalar};"),
                Constant::Type(scalar, lanes) => format!("alias {name} = vec{lanes}<{scalar}>;"),
                Constant::Function(function) => format!("fn {name}(x: Acc) -> Acc {{ return {function}(x); }}"),
            };
            let _ = writeln!(text, "{declaration}");
        }
        text.push_str(self.params);
        if let Some(function) = self.activation {
            let _ = writeln!(text, "fn activate(x: Acc) -> Acc {{ return {function}(x); }}");
        }
        for part in &self.parts {
            let _ = writeln!(text, "// {}", part.file);
            unroll(&part.text.lines().collect::<Vec<_>>(), &self.constants, &mut text);
        }
        text
    }
}

/// Appends `lines`, spelling out each loop after a line `// unroll`.
///
/// Such a loop reads `for (var i = 0u; i < NAME; i++) {`, where `NAME` is a constant of the preamble, and ends with a
/// brace as far in as it began. Its body is repeated with `const i`, so that what `i` indexes stays in registers whatever
/// the driver's own limits on unrolling. What does not read so is left as it is: a loop is right either way.
fn unroll(lines: &[&str], constants: &[(&'static str, Constant)], text: &mut String) {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        at += 1;
        let counted = (line.trim() == "// unroll").then(|| counted_loop(&lines[at..], constants)).flatten();
        let Some((variable, count, length)) = counted else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        for i in 0..count {
            let _ = writeln!(text, "{{ const {variable}: u32 = {i}u;");
            unroll(&lines[at + 1..at + length - 1], constants, text);
            text.push_str("}\n");
        }
        at += length;
    }
}

/// The variable, the count and the number of lines of the loop that `lines` begin with.
fn counted_loop<'a>(lines: &[&'a str], constants: &[(&'static str, Constant)]) -> Option<(&'a str, u32, usize)> {
    let head = lines.first()?;
    let (variable, rest) = head.trim().strip_prefix("for (var ")?.split_once(" = 0u; ")?;
    let limit = rest.strip_prefix(variable)?.strip_prefix(" < ")?.strip_suffix(&format!("; {variable}++) {{"))?;
    let count = constants.iter().find_map(|(name, value)| match value {
        Constant::U32(value) if *name == limit => Some(*value),
        _ => None,
    })?;
    let indent = &head[..head.len() - head.trim_start().len()];
    let end = lines.iter().position(|line| line.strip_prefix(indent) == Some("}"))?;
    Some((variable, count, end + 1))
}

/// Declares a uniform block once: the struct that is uploaded and the WGSL that reads it. All fields are `u32`, so the
/// two agree in layout by construction.
macro_rules! params {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$meta])* #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $($(#[$doc])* pub $field: u32),* }
        impl $name {
            /// The same block in WGSL, from the same field list.
            pub(crate) const WGSL: &'static str =
                concat!("struct Params {\n", $("    ", stringify!($field), ": u32,\n",)* "}\n");

            pub(crate) fn words(&self) -> Vec<u32> {
                bytemuck::cast_slice(std::slice::from_ref(self)).to_vec()
            }
        }
    };
}
pub(crate) use params;

/// A tensor of an operation that a dispatch reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// The operation's input.
    Input,
    /// A second tensor: the right side of an operation on two, or what a convolution adds to its sum.
    Other,
    /// A constant: the kernel, packed where the plan packs it.
    Kernel,
    /// A second constant: the bias.
    ///
    /// An operation without one of these binds a placeholder, so that shaders have one layout.
    Bias,
    /// The kernel of the second of two convolutions in one, in Keras's order.
    ThenKernel,
    /// The bias of the second of two convolutions in one.
    ThenBias,
    /// The operation's output.
    Output,
    /// The plan's scratch buffer of this index.
    Scratch(usize),
}

/// How a dispatch touches what stands at one binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// `var<storage, read>`.
    Read(Operand),
    /// `var<storage, read_write>`.
    Write(Operand),
    /// `texture_2d<f32>`, with the operand's elements in order.
    Texels(Operand, Texel),
}

impl Binding {
    /// The tensor.
    pub const fn operand(self) -> Operand {
        match self {
            Self::Read(operand) | Self::Write(operand) | Self::Texels(operand, _) => operand,
        }
    }

    /// The same access to another tensor.
    pub(crate) const fn of(self, operand: Operand) -> Self {
        match self {
            Self::Read(_) => Self::Read(operand),
            Self::Write(_) => Self::Write(operand),
            Self::Texels(_, texel) => Self::Texels(operand, texel),
        }
    }
}

/// What one texel of a texture holds: neighbouring elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Texel {
    /// Their type.
    pub dtype: DType,
    /// How many: 1 or 4.
    pub lanes: u32,
}

impl Texel {
    /// Texels in a row of a texture; one with fewer has a single row of them.
    pub const ROW: u32 = 4096;

    /// Bytes.
    pub const fn size(self) -> u64 {
        self.dtype.size() as u64 * self.lanes as u64
    }
}

/// One launch. Binding 0 is the uniform block; `bindings[i]` stands at binding `i + 1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Dispatch {
    /// The code.
    pub shader: Shader,
    /// The words of the uniform block.
    pub params: Vec<u32>,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
    /// The storage buffers and textures.
    pub bindings: Vec<Binding>,
    /// Turns of the loops that its busiest invocation runs, all loops together; those that are [spelled
    /// out](crate#unrolled-loops) count none.
    pub turns: u64,
}

/// The most turns of loops that an invocation of any launch may run.
///
/// lavapipe ends an invocation after 65 535 turns, all its loops together, without a word; watchdogs of GPUs end what takes
/// seconds. Half of that leaves room for what a driver counts differently. Longer sums are computed in parts.
pub const MOST_TURNS: u64 = 1 << 15;

/// The turns of loops within loops, outermost first, each of which runs `counts` times within one turn of the one before.
pub(crate) fn nested_turns(counts: &[u64]) -> u64 {
    let mut turns = 1u64;
    counts.iter().fold(0, |sum: u64, &count| {
        turns = turns.saturating_mul(count);
        sum.saturating_add(turns)
    })
}

impl Dispatch {
    /// The launch with the tensors that `map` has in place of its own.
    pub(crate) fn rebound(mut self, map: impl Fn(Operand) -> Operand) -> Self {
        for binding in &mut self.bindings {
            *binding = binding.of(map(binding.operand()));
        }
        self
    }
}

/// How a plan wants the kernel laid out: a launch that reads the kernel in Keras's order as its input and writes the
/// packed one as its output. It runs once for a weight, not for each call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Packing {
    /// The launch.
    pub step: Dispatch,
    /// Elements of the packed kernel.
    pub elements: u64,
}

/// One way to solve a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `<family>_<dtype>x<lanes>_<tile>[_<extra>]`: the pipeline's label, the bench's row, the test's message.
    pub name: String,
    /// The launches, in order.
    pub steps: Vec<Dispatch>,
    /// Bytes of each scratch buffer.
    pub scratch: Vec<u64>,
    /// How the kernel must be packed; `None` takes it in Keras's order.
    pub packing: Option<Packing>,
}

impl Plan {
    /// Turns of loops that the busiest invocation of any of its launches runs, the packing's included.
    pub(crate) fn turns(&self) -> u64 {
        let packing = self.packing.iter().map(|packing| packing.step.turns);
        self.steps.iter().map(|step| step.turns).chain(packing).max().unwrap_or(0)
    }

    /// The texels in which `operand` is read, if it is read as a texture.
    pub(crate) fn texel(&self, operand: Operand) -> Option<Texel> {
        self.steps.iter().flat_map(|step| &step.bindings).find_map(|binding| match *binding {
            Binding::Texels(read, texel) if read == operand => Some(texel),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_loops_are_spelled_out() {
        let file = "\
fn f() {
    // unroll
    for (var i = 0u; i < TWO; i++) {
        // unroll
        for (var j = 0u; j < ONE; j++) {
            a[i + j] = 0.0;
        }
    }
    // unroll
    for (var k = 0u; k < OTHER; k++) {
    }
}";
        let mut text = String::new();
        let constants = [("ONE", Constant::U32(1)), ("TWO", Constant::U32(2))];
        unroll(&file.lines().collect::<Vec<_>>(), &constants, &mut text);
        let words: Vec<_> = text.split_whitespace().collect();
        let body = |i: u32| format!("{{ const i: u32 = {i}u; {{ const j: u32 = 0u; a[i + j] = 0.0; }} }}");
        let rest = "// unroll for (var k = 0u; k < OTHER; k++) { } }";
        assert_eq!(words.join(" "), format!("fn f() {{ {} {} {rest}", body(0), body(1)));
    }

    #[test]
    fn folded_workgroups_cover_the_total() {
        for max_workgroups in [1, 2, 7, 65_535] {
            let caps = Caps { max_workgroups, ..Caps::FLOOR };
            for total in [0u64, 1, 2, 7, 8, 49, 50, 343, 65_535, 65_536, 70_001, 1 << 24, (1 << 32) - 1] {
                match caps.fold(total) {
                    Ok(counts) => {
                        assert!(counts.iter().all(|&count| count <= max_workgroups), "{total} in {counts:?}");
                        let launched: u64 = counts.iter().map(|&count| u64::from(count)).product();
                        assert!(launched >= total, "{total} in {counts:?}");
                    }
                    Err(error) => assert!(total > u64::from(max_workgroups).pow(3), "{total}: {error}"),
                }
            }
        }
    }
}
