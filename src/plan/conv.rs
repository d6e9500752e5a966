//! What is asked of a convolution: its sizes, which way it is run, and what follows its sum.
//!
//! One record serves dense, grouped, pointwise (1×1), depthwise and transposed convolutions: they differ in the numbers of
//! their [geometry](ConvGeometry) and in the [`Direction`]. The [`Epilogue`] is what a kernel does to a sum before it stores
//! it, so that a bias, a skip connection and a relu cost no launch of their own.

use super::Elementwise;
use crate::geometry::{Axis, ConvGeometry, product};
use crate::{DType, DataFormat};

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
    pub geometry: ConvGeometry,
    /// Which way it is run.
    pub direction: Direction,
    /// Storage of input, kernel, bias and output.
    pub dtype: DType,
    /// Where the channels stand in input and output; the kernel is `[kd, kh, kw, cin/groups, cout]` in either.
    pub data_format: DataFormat,
    /// Bias and activation.
    pub epilogue: Epilogue,
}

impl ConvProblem {
    /// Whether every pixel is a convolution of its own, whose channels are neighbours.
    pub(super) fn takes_pixels_one_by_one(&self) -> bool {
        self.geometry.is_pointwise() && self.data_format == DataFormat::ChannelsLast
    }

    /// The channels, depth, height and width of what is read, whichever way the relation is run.
    pub(crate) const fn read(&self) -> [u32; 4] {
        let ConvGeometry { in_channels, out_channels, axes: [d, h, w], .. } = self.geometry;
        match self.direction {
            Direction::Forward => [in_channels, d.input, h.input, w.input],
            Direction::BackwardInput => [out_channels, d.output, h.output, w.output],
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

    /// The channels, depth, height and width of what is written.
    pub(crate) const fn written(&self) -> [u32; 4] {
        let ConvGeometry { in_channels, out_channels, axes: [d, h, w], .. } = self.geometry;
        match self.direction {
            Direction::Forward => [out_channels, d.output, h.output, w.output],
            Direction::BackwardInput => [in_channels, d.input, h.input, w.input],
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
    /// The two as one problem; `None` unless they are over height and width alone, the second computes each pixel from that
    /// pixel of the first alone, either reads and writes channels that are last and come in fours, one for each in the first, and both store one element
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
        let fits = first.is_depthwise()
            && first.plane().is_some()
            && second.plane().is_some()
            && !depthwise.epilogue.residual
            && follows
            && share;
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
