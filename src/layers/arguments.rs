//! The arguments that all layers share, and those that all convolution layers share.

use super::describe::Declared;
use super::{Constraint, Initializer, Regularizer};
use crate::geometry::{self, Axis, ConvGeometry, in_front};
use crate::ops::ConvArgs;
use crate::plan::Direction;
use crate::{Activation, DTypePolicy, DataFormat, Error, Padding, PartialShape, Result, Settings, Shape};

pub use geometry::Window;

/// What every Keras layer takes beside its own arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// The layer's name: non-empty, without `/`. None by default: built layers then get the class name in snake case
    /// and a counter, `conv2d`, `conv2d_1`, ….
    pub name: Option<String>,
    /// Whether training may change the weights; true by default.
    pub trainable: bool,
    /// The type of the variables and of the computation; `floatx` of [`Settings`] by default.
    pub dtype: DTypePolicy,
    /// Whether floating inputs of another type are cast to the compute type; true by default.
    pub autocast: bool,
}

impl Common {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { name: None, trainable: true, dtype: settings.floatx, autocast: true }
    }

    /// # Errors
    /// [`Error::Invalid`] for a name that is empty or holds `/`.
    pub(crate) fn validate(&self) -> Result<()> {
        match &self.name {
            Some(name) if name.is_empty() || name.contains('/') => {
                Err(Error::invalid("name", "`name` must be a non-empty string without `/`", format!("name={name:?}")))
            }
            _ => Ok(()),
        }
    }
}

/// How one weight starts and what training holds it to.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightOptions {
    /// Its first values. `None` means what the documents promise: glorot_uniform for kernels, zeros for biases (T1).
    pub initializer: Option<Initializer>,
    /// A penalty on it, added to the loss; none by default.
    pub regularizer: Option<Regularizer>,
    /// A projection applied after every update; none by default.
    pub constraint: Option<Constraint>,
}

impl WeightOptions {
    pub(crate) fn new(initializer: Initializer) -> Self {
        Self { initializer: Some(initializer), regularizer: None, constraint: None }
    }

    /// Checks a layer's `weights` and its `activity` regularizer, in Keras's order (K1).
    pub(crate) fn validate_all(weights: &[&Self], activity: Option<&Regularizer>) -> Result<()> {
        weights.iter().filter_map(|weight| weight.initializer.as_ref()).try_for_each(Initializer::validate)?;
        let regularizers = weights.iter().filter_map(|weight| weight.regularizer.as_ref());
        regularizers.chain(activity).try_for_each(Regularizer::validate)?;
        weights.iter().filter_map(|weight| weight.constraint.as_ref()).try_for_each(Constraint::validate)
    }
}

/// One number for each of `R` spatial axes, in the order depth, height, width: made from one number for all, from an array,
/// or from a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PerAxis<const R: usize>(pub [u32; R]);

impl<const R: usize> From<u32> for PerAxis<R> {
    fn from(all: u32) -> Self {
        Self([all; R])
    }
}

impl<const R: usize> From<[u32; R]> for PerAxis<R> {
    fn from(each: [u32; R]) -> Self {
        Self(each)
    }
}

impl From<(u32, u32)> for PerAxis<2> {
    fn from((height, width): (u32, u32)) -> Self {
        Self([height, width])
    }
}

impl From<(u32, u32, u32)> for PerAxis<3> {
    fn from((depth, height, width): (u32, u32, u32)) -> Self {
        Self([depth, height, width])
    }
}

/// What a layer makes of each known one of `R` spatial extents; unknown ones stay unknown.
///
/// # Errors
/// Those of `of`.
pub(crate) fn each_axis<const R: usize>(
    extents: [Option<usize>; R],
    of: impl Fn(usize, usize) -> Result<usize>,
) -> Result<[Option<usize>; R]> {
    let mut made = [None; R];
    for (axis, extent) in extents.into_iter().enumerate() {
        made[axis] = extent.map(|extent| of(axis, extent)).transpose()?;
    }
    Ok(made)
}

/// The windows along each of `R` spatial axes.
///
/// # Errors
/// Those of `of`.
pub(crate) fn axes_of<const R: usize>(
    extents: [usize; R],
    of: impl Fn(usize, usize) -> Result<Axis>,
) -> Result<[Axis; R]> {
    let mut axes = [Axis::UNIT; R];
    for (axis, extent) in extents.into_iter().enumerate() {
        axes[axis] = of(axis, extent)?;
    }
    Ok(axes)
}

/// The arguments that the convolution layers of `R` spatial axes share.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvArguments<const R: usize> {
    /// Name, trainability and types.
    pub common: Common,
    /// Kernel size, strides, dilation rate and padding.
    pub window: Window<R>,
    /// Where the channels stand; `image_data_format` of [`Settings`] by default.
    pub data_format: DataFormat,
    /// Applied to the result after the bias; linear by default.
    pub activation: Activation,
    /// Whether a bias is added to each output channel; true by default.
    pub use_bias: bool,
    /// The bias's initializer (zeros by default), regularizer and constraint.
    pub bias: WeightOptions,
    /// A penalty on the layer's output, added to the loss; none by default.
    pub activity_regularizer: Option<Regularizer>,
}

impl<const R: usize> ConvArguments<R> {
    pub(crate) fn new(kernel_size: PerAxis<R>) -> Self {
        let settings = Settings::current();
        Self {
            common: Common::new(&settings),
            window: Window {
                kernel_size: kernel_size.0,
                strides: [1; R],
                dilation_rate: [1; R],
                padding: Padding::Valid,
            },
            data_format: settings.image_data_format,
            activation: Activation::Linear,
            use_bias: true,
            bias: WeightOptions::new(Initializer::Zeros),
            activity_regularizer: None,
        }
    }

    /// The checks of arguments that come before a layer's own, in Keras's order (K1); `kernels` are its other weights.
    pub(crate) fn validate(&self, kernels: &[&WeightOptions], causal: bool) -> Result<()> {
        let window = &self.window;
        positive("kernel_size", &window.kernel_size)?;
        positive("strides", &window.strides)?;
        positive("dilation_rate", &window.dilation_rate)?;
        window.padding.check(causal)?;
        self.activation.validate()?;
        WeightOptions::validate_all(&[kernels, &[&self.bias]].concat(), self.activity_regularizer.as_ref())?;
        self.common.validate()
    }

    /// The rule that closes the list of checks (D1).
    pub(crate) fn refuse_strided_dilation(&self) -> Result<()> {
        let Window { strides, dilation_rate, .. } = self.window;
        if strides.iter().any(|&s| s > 1) && dilation_rate.iter().any(|&d| d > 1) {
            return Err(Error::invalid(
                "strides",
                "`strides > 1` is not supported in conjunction with `dilation_rate > 1`",
                format!("strides={strides:?}, dilation_rate={dilation_rate:?}"),
            ));
        }
        Ok(())
    }

    /// The channels of `input`, which must have `R + 2` axes.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `input`, where the rank is another or the channels are unknown or none (D7).
    pub(crate) fn channels(&self, input: &PartialShape) -> Result<u32> {
        channels(self.data_format, input, R + 2)
    }

    /// The output shape for `input`, of `out_channels` channels, before the activation.
    pub(crate) fn output_shape(&self, input: &PartialShape, out_channels: u32) -> Result<PartialShape> {
        let (batch, _, spatial) = self.data_format.split::<_, R>(input.dims());
        let output = each_axis(spatial, |axis, extent| {
            Ok(self.window.axis(axis, geometry::extent(extent)?, input)?.output as usize)
        })?;
        let dims = self.data_format.join(batch, Some(out_channels as usize), output);
        super::activated_shape(&self.activation, &PartialShape::from(dims))
    }

    /// The axis of the channels, whose extent building a layer fixes.
    pub(crate) fn fixed_axes(&self) -> Vec<i32> {
        match self.data_format {
            DataFormat::ChannelsLast => vec![-1],
            DataFormat::ChannelsFirst => vec![1],
        }
    }

    /// The `kernels`, by name and shape, and a bias of `out_channels` if there is one.
    pub(crate) fn declare(
        &self,
        kernels: &[(&'static str, Vec<u32>, &WeightOptions)],
        out_channels: u32,
    ) -> Vec<Declared> {
        let kernel = |(name, shape, options): &(&'static str, Vec<u32>, &WeightOptions)| {
            let shape: Vec<usize> = shape.iter().map(|&dim| dim as usize).collect();
            Declared::new(name, shape, &self.common, options, Initializer::glorot_uniform())
        };
        let mut declared: Vec<_> = kernels.iter().map(kernel).collect();
        if self.use_bias {
            declared.push(Declared::new("bias", [out_channels as usize], &self.common, &self.bias, Initializer::Zeros));
        }
        declared
    }

    /// The shape of a kernel of these windows with `channels` behind their axes.
    pub(crate) fn kernel_shape(&self, channels: [u32; 2]) -> Vec<u32> {
        [&self.window.kernel_size[..], &channels].concat()
    }

    /// The operation over `geometry`.
    pub(crate) fn conv(&self, geometry: ConvGeometry) -> ConvArgs {
        ConvArgs { geometry, direction: Direction::Forward, data_format: self.data_format, activation: self.activation }
    }

    /// The convolution of an input of `shape`, whose channels have been checked.
    pub(crate) fn geometry(&self, shape: &Shape, groups: u32, out_channels: u32) -> Result<ConvGeometry> {
        let (batch, in_channels, spatial) = self.data_format.split::<_, R>(shape.dims());
        let axes = axes_of(spatial, |axis, extent| self.window.axis(axis, geometry::extent(extent)?, shape))?;
        let channels = [geometry::extent(in_channels)?, out_channels];
        ConvGeometry::new(geometry::extent(batch)?, groups, channels, in_front(Axis::UNIT, axes))
    }
}

/// The known channel count of `input`.
pub(crate) fn channels(format: DataFormat, input: &PartialShape, rank: usize) -> Result<u32> {
    of_rank(input, rank)?;
    let axis = format.channel_axis(rank);
    let channels = input.dims()[axis].ok_or_else(|| {
        Error::invalid(
            "input",
            format!("the channels, axis {axis} of the input, must be known"),
            format!("input shape={input}"),
        )
    })?;
    let channels = geometry::extent(channels)?;
    if channels == 0 {
        return Err(Error::invalid(
            "input",
            "the input must have at least one channel",
            format!("input shape={input}"),
        ));
    }
    Ok(channels)
}

/// # Errors
/// [`Error::Invalid`] where `input` has not `rank` axes.
pub(crate) fn of_rank(input: &PartialShape, rank: usize) -> Result<()> {
    if input.rank() == rank {
        return Ok(());
    }
    Err(Error::invalid(
        "input",
        format!("the input must have {rank} axes"),
        format!("input shape={input} of rank {}", input.rank()),
    ))
}

/// # Errors
/// [`Error::Invalid`] where `value`, a share, does not lie between 0 and 1.
pub(super) fn share(argument: &'static str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(Error::invalid(argument, format!("`{argument}` must lie between 0 and 1"), format!("{argument}={value}")))
}

/// # Errors
/// [`Error::Invalid`] where one of `values` is zero.
pub(crate) fn positive(argument: &'static str, values: &[u32]) -> Result<()> {
    if values.contains(&0) {
        return Err(Error::invalid(
            argument,
            format!("`{argument}` must hold strictly positive values"),
            match values {
                [only] => format!("{argument}={only}"),
                several => format!("{argument}={several:?}"),
            },
        ));
    }
    Ok(())
}

/// # Errors
/// [`Error::Invalid`] for an epsilon that is no number or below 0.
pub(crate) fn finite_epsilon(epsilon: f64) -> Result<()> {
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(());
    }
    Err(Error::invalid("epsilon", "`epsilon` must be finite and not negative", format!("epsilon={epsilon}")))
}

/// The seed of a layer that draws in training, of which `$what` says what starts there.
macro_rules! seed_setter {
    ($layer:ident $(<$rank:ident>)?, $what:literal) => {
        impl$(<const $rank: usize>)? $layer$(<$rank>)? {
            #[doc = concat!("Where ", $what, ": an integer, or a [`SeedGenerator`](super::SeedGenerator).")]
            pub fn seed(mut self, seed: impl Into<super::Seed>) -> Self {
                self.seed = seed.into();
                self
            }
        }
    };
}
pub(super) use seed_setter;

/// The setters of a layer's [`Common`], at the given place in it.
macro_rules! common_setters {
    ($layer:ident $(<$rank:ident>)?, $($common:ident).+) => {
        impl$(<const $rank: usize>)? $layer$(<$rank>)? {
            /// The layer's name: non-empty, without `/`. Without one, the built layer is named after its class.
            pub fn name(mut self, name: impl Into<String>) -> Self {
                self.$($common).+.name = Some(name.into());
                self
            }

            /// Whether training may change the weights; true by default.
            pub fn trainable(mut self, trainable: bool) -> Self {
                self.$($common).+.trainable = trainable;
                self
            }

            /// The type of the variables and of the computation; `floatx` of the [settings](crate::Settings) by default.
            pub fn dtype(mut self, dtype: crate::DTypePolicy) -> Self {
                self.$($common).+.dtype = dtype;
                self
            }

            /// Whether floating inputs of another type are cast to the compute type; true by default.
            pub fn autocast(mut self, autocast: bool) -> Self {
                self.$($common).+.autocast = autocast;
                self
            }
        }
    };
}
pub(crate) use common_setters;

/// Three setters for each [`WeightOptions`] of a layer, at the given place in it.
macro_rules! weight_setters {
    ($layer:ident $(<$rank:ident>)? { $(
        $weight:literal at $($place:ident).+:
        $initializer:ident = $default:literal, $regularizer:ident, $constraint:ident;
    )* }) => {
        impl$(<const $rank: usize>)? $layer$(<$rank>)? {
            $(
                #[doc = concat!("The first values of the ", $weight, "; ", $default, " by default.")]
                pub fn $initializer(mut self, initializer: $crate::layers::Initializer) -> Self {
                    self.$($place).+.initializer = Some(initializer);
                    self
                }

                #[doc = concat!("A penalty on the ", $weight, ", added to the loss; none by default.")]
                pub fn $regularizer(mut self, regularizer: $crate::layers::Regularizer) -> Self {
                    self.$($place).+.regularizer = Some(regularizer);
                    self
                }

                #[doc = concat!("A projection of the ", $weight, " after every update; none by default.")]
                pub fn $constraint(mut self, constraint: $crate::layers::Constraint) -> Self {
                    self.$($place).+.constraint = Some(constraint);
                    self
                }
            )*
        }
    };
}
pub(crate) use weight_setters;

/// The setters of [`ConvArguments`], in a layer's field `arguments`.
macro_rules! conv_setters {
    ($layer:ident) => {
        $crate::layers::arguments::common_setters!($layer<R>, arguments.common);
        $crate::layers::arguments::weight_setters!($layer<R> {
            "bias" at arguments.bias: bias_initializer = "zeros", bias_regularizer, bias_constraint;
        });

        impl<const R: usize> $layer<R> {
            /// Takes the data format and the dtype policy from `settings` instead of the process's own.
            pub fn settings(mut self, settings: &crate::Settings) -> Self {
                self.arguments.data_format = settings.image_data_format;
                self.arguments.common.dtype = settings.floatx;
                self
            }

            /// Input positions from one window to the next, along each axis; 1 by default.
            pub fn strides(mut self, strides: impl Into<$crate::layers::PerAxis<R>>) -> Self {
                self.arguments.window.strides = strides.into().0;
                self
            }

            /// Treatment of the border; [`Padding::Valid`](crate::Padding::Valid) by default.
            pub fn padding(mut self, padding: crate::Padding) -> Self {
                self.arguments.window.padding = padding;
                self
            }

            /// Where the channels stand; `image_data_format` of the [settings](crate::Settings) by default.
            pub fn data_format(mut self, data_format: crate::DataFormat) -> Self {
                self.arguments.data_format = data_format;
                self
            }

            /// Input positions from one kernel tap to the next, along each axis; 1 by default. Excludes strides above 1.
            pub fn dilation_rate(mut self, dilation_rate: impl Into<$crate::layers::PerAxis<R>>) -> Self {
                self.arguments.window.dilation_rate = dilation_rate.into().0;
                self
            }

            /// Applied to the result after the bias; linear by default.
            pub fn activation(mut self, activation: crate::Activation) -> Self {
                self.arguments.activation = activation;
                self
            }

            /// Whether a bias is added to each output channel; true by default.
            pub fn use_bias(mut self, use_bias: bool) -> Self {
                self.arguments.use_bias = use_bias;
                self
            }

            /// A penalty on the layer's output, added to the loss; none by default.
            pub fn activity_regularizer(mut self, regularizer: $crate::layers::Regularizer) -> Self {
                self.arguments.activity_regularizer = Some(regularizer);
                self
            }
        }
    };
}
pub(crate) use conv_setters;
