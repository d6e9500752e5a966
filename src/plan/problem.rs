//! The question that the menu answers: one value for everything that a launch may be asked to compute.
//!
//! A [`Problem`] holds sizes and types but no tensor, so that it can be compared and hashed: the choice of a plan is
//! remembered by it. A problem whose tensors are too large for one binding is cut into [parts](Problem::parts) of the same
//! kind, such as the images of a batch.

use super::{
    AffineProblem, AxisProblem, BatchProblem, BinaryGradientProblem, BinaryProblem, CastProblem, ConvProblem,
    CustomProblem, KernelGradientProblem, LossProblem, MapProblem, MoveProblem, NoiseProblem, NormalizeProblem,
    Operand, PoolGradientProblem, PoolProblem, ProductProblem, RecurrentGradientProblem, RecurrentProblem,
    ResizeProblem, SeparableProblem, TakeProblem, UpdateProblem,
};
use crate::DType;
use crate::geometry::{Axis, ConvGeometry};

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
    /// A way over the elements of a batch normalisation in training.
    BatchNormalize(BatchProblem),
    /// An image at another size.
    Resize(ResizeProblem),
    /// Elements put elsewhere: cut, padded, permuted, repeated, joined.
    Move(MoveProblem),
    /// A function of two tensors, element by element.
    Binary(BinaryProblem),
    /// Matrix products of two tensors.
    Product(ProductProblem),
    /// Losses of predictions, and their gradient.
    Loss(LossProblem),
    /// A change of a weight in place.
    Update(UpdateProblem),
    /// The gradient of a function of every element.
    MapGradient(MapProblem),
    /// The gradient of a function of two tensors to one of them.
    BinaryGradient(BinaryGradientProblem),
    /// The gradient of a pooling.
    PoolGradient(PoolGradientProblem),
    /// The gradient of a convolution to its kernel.
    KernelGradient(KernelGradientProblem),
    /// The gradient of a recurrence to what it reads of its input.
    RecurrentGradient(RecurrentGradientProblem),
    /// Lines of a table by their numbers.
    Take(TakeProblem),
    /// A recurrence over time.
    Recurrent(RecurrentProblem),
    /// Images under affine maps.
    Affine(AffineProblem),
    /// A random change of every element.
    Noise(NoiseProblem),
    /// A function of the caller's.
    Custom(CustomProblem),
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
            Self::BatchNormalize(_) => "batch normalisation",
            Self::Resize(_) => "resizing",
            Self::Move(_) => "movement",
            Self::Binary(_) => "function of two",
            Self::Product(_) => "matrix product",
            Self::Loss(_) => "loss",
            Self::Update(_) => "update",
            Self::MapGradient(_) => "gradient of a function of each element",
            Self::BinaryGradient(_) => "gradient of a function of two",
            Self::PoolGradient(_) => "gradient of pooling",
            Self::KernelGradient(_) => "gradient of a kernel",
            Self::RecurrentGradient(_) => "gradient of a recurrence",
            Self::Take(_) => "lines by number",
            Self::Recurrent(_) => "recurrence",
            Self::Affine(_) => "affine map",
            Self::Noise(_) => "noise",
            Self::Custom(_) => "function in WGSL",
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
            Self::BatchNormalize(_) | Self::Loss(_) | Self::Update(_) => [DType::F32; 2],
            Self::MapGradient(problem) => [problem.dtype; 2],
            Self::BinaryGradient(problem) => [problem.of.dtype; 2],
            Self::PoolGradient(problem) => [problem.of.dtype; 2],
            Self::KernelGradient(problem) => [problem.dtype; 2],
            Self::RecurrentGradient(problem) => [problem.of.dtype; 2],
            Self::Take(problem) => [problem.dtype, problem.index_dtype],
            Self::Recurrent(problem) => [problem.dtype; 2],
            Self::Affine(problem) => [problem.dtype; 2],
            Self::Noise(problem) => [problem.dtype; 2],
            Self::Custom(problem) => [problem.dtype; 2],
        };
        dtypes.contains(&DType::F16)
    }
}

/// Like parts of a problem, one behind the other in what it reads and writes: any number of neighbours are a smaller problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// How many there are.
    pub(crate) count: u32,
    /// Elements from one to the next in the input, in the other tensor, in the output, and in the gradient that is read; 0
    /// where all read the same.
    pub(crate) steps: [u64; 4],
}

impl Parts {
    /// Elements from one part to the next in what is called `operand`; 0 where all parts have the same.
    pub(crate) const fn step(&self, operand: Operand) -> u64 {
        match operand {
            Operand::Input => self.steps[0],
            Operand::Other => self.steps[1],
            Operand::Output => self.steps[2],
            Operand::Gradient => self.steps[3],
            _ => 0,
        }
    }
}

impl Problem {
    /// The parts that the problem falls into, as many as there are; `None` where its tensors do not come in parts.
    pub(crate) fn parts(&self) -> Option<Parts> {
        let of = |count: u32, input: u64, output: u64| Some(Parts { count, steps: [input, output, output, output] });
        let images = |geometry: &ConvGeometry, read: u64, written: u64| {
            let count = geometry.batch.max(1);
            of(count, read / u64::from(count), written / u64::from(count))
        };
        match self {
            Self::Conv(problem) if problem.takes_pixels_one_by_one() => {
                let pixels = u32::try_from(problem.geometry.pixels()).ok()?;
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
            Self::Affine(AffineProblem { batch, channels, size: [height, width], .. }) => {
                let image = u64::from(*height) * u64::from(*width) * u64::from(*channels);
                Some(Parts { count: *batch, steps: [image, 6, image, 0] })
            }
            Self::Map(MapProblem { elements, .. })
            | Self::Cast(CastProblem { elements, .. })
            | Self::MapGradient(MapProblem { elements, .. })
            | Self::Noise(NoiseProblem { elements, .. }) => of(*elements, 1, 1),
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
            Self::Binary(problem) | Self::BinaryGradient(BinaryGradientProblem { of: problem, .. }) => problem.parts(),
            Self::PoolGradient(PoolGradientProblem { of: PoolProblem { geometry, .. } }) => {
                let Parts { count, steps: [read, _, _, written] } =
                    images(geometry, geometry.in_elements(), geometry.out_elements())?;
                Some(Parts { count, steps: [read, 0, read, written] })
            }
            Self::Separable(_)
            | Self::BatchNormalize(_)
            | Self::Product(_)
            | Self::KernelGradient(_)
            | Self::Take(_)
            | Self::Recurrent(_)
            | Self::RecurrentGradient(_)
            | Self::Loss(_)
            | Self::Update(_)
            | Self::Custom(_) => None,
        }
    }

    /// The problem of `count` of its [parts](Self::parts), from the `first` on.
    pub(crate) fn of_parts(&self, first: u32, count: u32) -> Self {
        let mut part = *self;
        match &mut part {
            Self::Conv(problem) if problem.takes_pixels_one_by_one() => {
                problem.geometry.batch = 1;
                problem.geometry.axes = [Axis::UNIT, Axis::UNIT, Axis::pointwise(count)];
            }
            Self::Conv(ConvProblem { geometry, .. })
            | Self::Pool(PoolProblem { geometry, .. })
            | Self::PoolGradient(PoolGradientProblem { of: PoolProblem { geometry, .. } }) => geometry.batch = count,
            Self::Resize(problem) => problem.batch = count,
            Self::Affine(problem) => problem.batch = count,
            Self::Map(MapProblem { elements, .. })
            | Self::Cast(CastProblem { elements, .. })
            | Self::MapGradient(MapProblem { elements, .. }) => *elements = count,
            Self::Noise(problem) => (problem.first, problem.elements) = (problem.first + first, count),
            Self::AlongAxis(problem) => problem.outer = count,
            Self::Normalize(problem) => match (problem.outer, problem.spread, problem.group_step) {
                (1, 1, 0) => problem.group = count,
                _ => problem.outer = count,
            },
            Self::Move(problem) => problem.axes[problem.outermost()].extent = count,
            Self::Binary(problem) | Self::BinaryGradient(BinaryGradientProblem { of: problem, .. }) => {
                problem.axes[problem.outermost()].extent = count
            }
            Self::Separable(_)
            | Self::BatchNormalize(_)
            | Self::Product(_)
            | Self::KernelGradient(_)
            | Self::Take(_)
            | Self::Recurrent(_)
            | Self::RecurrentGradient(_)
            | Self::Loss(_)
            | Self::Update(_)
            | Self::Custom(_) => {}
        }
        part
    }
}
