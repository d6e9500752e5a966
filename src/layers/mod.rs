//! Layers: descriptions in Keras's words, and what they become once built.
//!
//! A description ([`Conv2D`], …) is plain data and needs no GPU; [`LayerConfig`] is one of them; a [`Layer`] is a
//! description built for a number of input channels on a [`Gpu`], with its weights.
//!
//! # Recipe: add a layer
//! 1. `layers/<name>.rs`: the description, its Keras defaults, its docs, its arguments in configs (`Configured`), and what it comes to
//!    (`Describe`). The compiler asks for both traits, but not for what has a default there: module, weights, masks, what it is in
//!    training. Nor does it miss an argument in `fields`.
//! 2. Here its `mod` and `pub use`, and a line in [the list of layers](LayerConfig).
//! 3. An arm in `reference/layer.rs`: the compiler asks for it.
//! 4. The table of `docs/layers.md`: `tests/package.rs` asks for it.
//! 5. Its rows in `tests/rejections.rs` and `tests/gradients.rs`; its class, and its suite if it has one, in `tests/conformance.rs`.
//!    Nobody asks for these.

mod activation;
mod activation_layers;
mod adaptive_pooling;
mod applications;
mod arguments;
mod augment;
mod augmentation;
mod auto_contrast;
mod batch_normalization;
mod broadcast;
mod categories;
mod concatenate;
#[cfg(feature = "keras")]
mod config;
mod constraint;
mod conv;
mod conv_lstm;
mod conv_transpose;
mod custom;
#[cfg(feature = "keras")]
mod custom_layer;
mod dense;
mod depthwise_conv;
mod describe;
mod dot;
mod dropout;
mod einsum;
mod flatten;
mod global_pooling;
mod gradients;
mod group_normalization;
mod identities;
mod index;
mod initializer;
mod layer;
mod layer_normalization;
mod map;
mod mask;
mod merge;
mod normalization;
#[cfg(feature = "keras")]
mod origin;
mod pad;
mod permute;
mod pipe;
mod pool;
mod pooling;
mod prelu;
mod random;
mod recurrent;
mod reduce;
mod regularizer;
mod relu;
mod repeat_vector;
mod rescaling;
mod reshape;
mod resize;
mod resizing;
mod rms_normalization;
mod separable_conv;
mod sides;
mod slice;
mod spectrogram;
mod take;
mod time;
mod transpose;
mod transposed_conv;
mod unit_normalization;
mod up_sampling;
mod values;
mod view;
mod wgsl;

pub use activation::ActivationLayer;
pub use activation_layers::{ELU, LeakyReLU, Softmax};
pub use adaptive_pooling::{
    AdaptiveAveragePooling, AdaptiveAveragePooling1D, AdaptiveAveragePooling2D, AdaptiveAveragePooling3D,
    AdaptiveMaxPooling, AdaptiveMaxPooling1D, AdaptiveMaxPooling2D, AdaptiveMaxPooling3D,
};
pub use applications::{CustomScaleLayer, LayerScale, StochasticDepth};
pub use arguments::{Common, ConvArguments, PerAxis, WeightOptions, Window};
pub use augmentation::Augmentation;
pub use auto_contrast::AutoContrast;
pub use batch_normalization::BatchNormalization;
pub use broadcast::{BinaryFunction, Broadcast, ConstantSide, MatMul};
pub use categories::{CategoryEncoding, CategoryMode, Discretization, IntegerLookup};
pub use concatenate::Concatenate;
#[cfg(feature = "keras")]
pub(crate) use config::INFINITY;
#[cfg(feature = "keras")]
pub use config::ReadOptions;
pub use constraint::{Axes, Constraint, ConstraintFn};
pub use conv::{Conv, Conv1D, Conv2D, Conv3D};
pub use conv_lstm::{ConvLSTM, ConvLSTM1D, ConvLSTM2D, ConvLSTM3D};
pub use conv_transpose::{Conv1DTranspose, Conv2DTranspose, Conv3DTranspose, ConvTranspose};
pub use custom::Custom;
#[cfg(feature = "keras")]
pub(crate) use custom_layer::CustomSource;
#[cfg(feature = "keras")]
pub use custom_layer::{CustomLayer, CustomLayerFn, CustomLayers, CustomValue};
pub use dense::Dense;
pub use depthwise_conv::{DepthwiseConv, DepthwiseConv1D, DepthwiseConv2D};
pub use dot::Dot;
pub use dropout::Dropout;
pub use einsum::{Einsum, EinsumDense};
pub use flatten::Flatten;
pub use global_pooling::{
    GlobalAveragePooling, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling,
    GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D,
};
pub use gradients::Gradients;
pub(crate) use gradients::{next_step, seed};
pub use group_normalization::GroupNormalization;
pub use identities::{
    ActivityRegularization, AlphaDropout, GaussianDropout, GaussianNoise, Identity, SpatialDropout, SpatialDropout1D,
    SpatialDropout2D, SpatialDropout3D,
};
pub use index::{Index, Subscript};
pub use initializer::{Distribution, Fan, Initializer, InitializerFn, Scaling, Seed, SeedGenerator, set_random_seed};
#[cfg(feature = "onnx")]
pub(crate) use layer::SharedWeights;
#[cfg(any(feature = "keras", feature = "safetensors"))]
pub(crate) use layer::check_shapes;
pub(crate) use layer::snake_case;
pub use layer::{Layer, reset_names};
pub use layer_normalization::LayerNormalization;
pub use map::Map;
pub use mask::{GivenMask, MaskedScores, Masking, WithMask};
pub use merge::{Merge, MergeKind};
pub use normalization::Normalization;
#[cfg(feature = "keras")]
pub(crate) use origin::{ADAPTERS, Generation, Origin};
pub use pad::{Expand, Pad, PadMode};
pub use permute::Permute;
pub use pipe::Piped;
pub use pool::{Pads, Pool, Pool1D, Pool2D, Pool3D, Pooling};
pub use pooling::{
    AveragePooling, AveragePooling1D, AveragePooling2D, AveragePooling3D, MaxPooling, MaxPooling1D, MaxPooling2D,
    MaxPooling3D,
};
pub use prelu::PReLU;
pub use recurrent::{Cell, Recurrent};
pub use reduce::{Reduce, ReduceFunction};
pub use regularizer::{OrthogonalMode, Regularizer, RegularizerFn};
pub use relu::ReLU;
pub use repeat_vector::RepeatVector;
pub use rescaling::{PerChannel, Rescaling};
pub use reshape::Reshape;
pub use resize::{Resize, ResizeTo};
pub use resizing::{CenterCrop, ResizeMethod, Resizing};
pub use rms_normalization::RMSNormalization;
pub use separable_conv::{SeparableConv, SeparableConv1D, SeparableConv2D};
pub use sides::{
    Cropping, Cropping1D, Cropping2D, Cropping3D, Sides, ZeroPadding, ZeroPadding1D, ZeroPadding2D, ZeroPadding3D,
};
pub use slice::Slice;
pub use spectrogram::{FrameWindow, MelSpectrogram, STFTSpectrogram, SpectrogramMode, WindowScaling};
pub use take::{Embedding, Take};
pub use time::{MergeTime, SplitTime};
pub use transpose::Transpose;
pub use transposed_conv::{TransposedConv, TransposedConv1D, TransposedConv2D, TransposedConv3D};
pub use unit_normalization::UnitNormalization;
pub use up_sampling::{UpSampling, UpSampling1D, UpSampling2D, UpSampling3D, Upsampling};
pub use values::Values;
pub use view::{Extent, View};
pub use wgsl::{OutputShapeFn, WeightShapeFn, Wgsl, WgslWeight};

use crate::geometry::axis_index;
use crate::{Activation, DataFormat, Error, Gpu, PartialShape, Result};
use describe::Describe;
#[cfg(feature = "keras")]
pub(crate) use describe::States;

/// The module of Keras's layers, in configs.
pub(crate) const KERAS: &str = "keras.layers";

/// The module of the layers that ONNX's operators become and Keras has not, in configs.
pub(crate) const OPERATORS: &str = "wgpu_conv";

/// The one list of layers: [`LayerConfig`], the conversions into it, and building without spelling it.
macro_rules! layer_variants {
    ($($variant:ident($layer:ident)),* $(,)?) => {
        /// Any layer's description.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum LayerConfig {
            $(#[doc = concat!("[`", stringify!($variant), "`](", stringify!($layer), ").")] $variant($layer)),*
        }

        impl LayerConfig {
            /// Keras's name of the class.
            pub fn class_name(&self) -> &'static str {
                self.describe().class_name().unwrap_or(match self {
                    $(Self::$variant(_) => stringify!($variant)),*
                })
            }

            /// The same layer under another name.
            pub fn named(self, name: impl Into<String>) -> Self {
                let name = name.into();
                match self {
                    $(Self::$variant(layer) => Self::$variant(layer.name(name))),*
                }
            }

            /// The same layer, whose weights training may change or not.
            pub fn trainable(self, trainable: bool) -> Self {
                match self {
                    $(Self::$variant(layer) => Self::$variant(layer.trainable(trainable))),*
                }
            }

            pub(crate) fn describe(&self) -> &dyn Describe {
                match self {
                    $(Self::$variant(layer) => layer),*
                }
            }
        }

        #[cfg(feature = "keras")]
        impl LayerConfig {
            /// A layer of the class to read arguments into, and the arguments that have no default; `None` for no class of these.
            fn template(class: &str) -> Option<(Self, &'static [&'static str])> {
                $(if let Some(layer) = <$layer as config::Configured>::of_class(class, stringify!($variant)) {
                    return Some((layer.into(), <$layer as config::Configured>::REQUIRED));
                })*
                None
            }

            fn fields(&mut self, codec: &mut config::Codec<'_>) -> Result<()> {
                match self {
                    $(Self::$variant(layer) => config::Configured::fields(layer, codec)),*
                }
            }
        }

        $(
            impl From<$layer> for LayerConfig {
                fn from(layer: $layer) -> Self {
                    Self::$variant(layer)
                }
            }

            impl $layer {
                /// The layer on `gpu`, its weights initialised for the channels of `input`: see [`LayerConfig::build`].
                ///
                /// # Errors
                /// Those of [`LayerConfig::build`].
                pub fn build(&self, gpu: &Gpu, input: impl Into<PartialShape>) -> Result<Layer> {
                    LayerConfig::from(self.clone()).build(gpu, input)
                }
            }
        )*
    };
}

layer_variants!(
    Activation(ActivationLayer),
    ActivityRegularization(ActivityRegularization),
    AdaptiveAveragePooling1D(AdaptiveAveragePooling1D),
    AdaptiveAveragePooling2D(AdaptiveAveragePooling2D),
    AdaptiveAveragePooling3D(AdaptiveAveragePooling3D),
    AdaptiveMaxPooling1D(AdaptiveMaxPooling1D),
    AdaptiveMaxPooling2D(AdaptiveMaxPooling2D),
    AdaptiveMaxPooling3D(AdaptiveMaxPooling3D),
    AlphaDropout(AlphaDropout),
    Augmentation(Augmentation),
    AutoContrast(AutoContrast),
    AveragePooling1D(AveragePooling1D),
    AveragePooling2D(AveragePooling2D),
    AveragePooling3D(AveragePooling3D),
    BatchNormalization(BatchNormalization),
    Broadcast(Broadcast),
    CategoryEncoding(CategoryEncoding),
    CenterCrop(CenterCrop),
    Concatenate(Concatenate),
    Conv1D(Conv1D),
    Conv2D(Conv2D),
    Conv3D(Conv3D),
    Conv1DTranspose(Conv1DTranspose),
    Conv2DTranspose(Conv2DTranspose),
    Conv3DTranspose(Conv3DTranspose),
    ConvLSTM1D(ConvLSTM1D),
    ConvLSTM2D(ConvLSTM2D),
    ConvLSTM3D(ConvLSTM3D),
    Cropping1D(Cropping1D),
    Cropping2D(Cropping2D),
    CustomScaleLayer(CustomScaleLayer),
    Cropping3D(Cropping3D),
    Dense(Dense),
    DepthwiseConv1D(DepthwiseConv1D),
    DepthwiseConv2D(DepthwiseConv2D),
    Discretization(Discretization),
    Dot(Dot),
    Dropout(Dropout),
    ELU(ELU),
    Einsum(Einsum),
    EinsumDense(EinsumDense),
    Embedding(Embedding),
    Expand(Expand),
    Flatten(Flatten),
    GaussianDropout(GaussianDropout),
    GaussianNoise(GaussianNoise),
    GivenMask(GivenMask),
    GlobalAveragePooling1D(GlobalAveragePooling1D),
    GlobalAveragePooling2D(GlobalAveragePooling2D),
    GlobalAveragePooling3D(GlobalAveragePooling3D),
    GlobalMaxPooling1D(GlobalMaxPooling1D),
    GlobalMaxPooling2D(GlobalMaxPooling2D),
    GlobalMaxPooling3D(GlobalMaxPooling3D),
    GroupNormalization(GroupNormalization),
    Identity(Identity),
    Index(Index),
    IntegerLookup(IntegerLookup),
    LayerNormalization(LayerNormalization),
    LayerScale(LayerScale),
    LeakyReLU(LeakyReLU),
    Map(Map),
    MaskedScores(MaskedScores),
    Masking(Masking),
    MatMul(MatMul),
    MaxPooling1D(MaxPooling1D),
    MaxPooling2D(MaxPooling2D),
    MaxPooling3D(MaxPooling3D),
    MelSpectrogram(MelSpectrogram),
    Merge(Merge),
    MergeTime(MergeTime),
    Normalization(Normalization),
    Pad(Pad),
    Permute(Permute),
    Pool1D(Pool1D),
    Pool2D(Pool2D),
    Pool3D(Pool3D),
    PReLU(PReLU),
    RMSNormalization(RMSNormalization),
    Recurrent(Recurrent),
    Reduce(Reduce),
    ReLU(ReLU),
    RepeatVector(RepeatVector),
    Rescaling(Rescaling),
    Reshape(Reshape),
    Resize(Resize),
    Resizing(Resizing),
    STFTSpectrogram(STFTSpectrogram),
    SeparableConv1D(SeparableConv1D),
    SeparableConv2D(SeparableConv2D),
    Slice(Slice),
    Softmax(Softmax),
    SpatialDropout1D(SpatialDropout1D),
    SpatialDropout2D(SpatialDropout2D),
    SplitTime(SplitTime),
    StochasticDepth(StochasticDepth),
    Take(Take),
    SpatialDropout3D(SpatialDropout3D),
    Transpose(Transpose),
    TransposedConv1D(TransposedConv1D),
    TransposedConv2D(TransposedConv2D),
    TransposedConv3D(TransposedConv3D),
    UnitNormalization(UnitNormalization),
    UpSampling1D(UpSampling1D),
    UpSampling2D(UpSampling2D),
    UpSampling3D(UpSampling3D),
    Values(Values),
    View(View),
    Wgsl(Wgsl),
    WithMask(WithMask),
    ZeroPadding1D(ZeroPadding1D),
    ZeroPadding2D(ZeroPadding2D),
    ZeroPadding3D(ZeroPadding3D),
);

impl LayerConfig {
    /// The module of the class, as configs name it: `keras.layers`, or `wgpu_conv` for operators that Keras lacks.
    pub fn module(&self) -> &'static str {
        self.describe().module()
    }

    /// The arguments every layer has.
    pub fn common(&self) -> &Common {
        self.describe().common()
    }

    /// What the layer is called where it has no name yet: its class.
    pub(crate) fn name_or_class(&self) -> &str {
        self.common().name.as_deref().unwrap_or(self.class_name())
    }

    /// Checks the arguments by themselves: what Keras checks when a layer is constructed.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the argument, the rule and the received value; the first fault in Keras's order.
    pub fn validate(&self) -> Result<()> {
        self.describe().validate()
    }

    /// The output shape for `input`; unknown extents stay unknown, known ones are checked.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments or an input that [`build`](Self::build) would refuse.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.output_shape_all(&[input.into()])
    }

    /// The output shape of a layer that takes several inputs: see [`output_shape`](Self::output_shape).
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments or inputs that [`build_all`](Self::build_all) would refuse.
    pub fn output_shape_all(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        let description = self.describe();
        description.validate()?;
        let takes = description.inputs();
        if !takes.contains(&inputs.len()) {
            let rule = match (takes.start(), takes.end()) {
                (1, 1) => format!("a {} layer must be given one input", self.class_name()),
                (least, most) if least == most => format!("a {} layer must be given {least} inputs", self.class_name()),
                (least, _) => format!("a {} layer must be given at least {least} inputs", self.class_name()),
            };
            return Err(Error::invalid("inputs", rule, format!("{} inputs", inputs.len())));
        }
        inputs.iter().try_for_each(PartialShape::check_countable)?;
        description.shape(inputs)
    }

    /// Where the channels stand in what it reads and makes, if it is a layer to which that matters.
    pub fn data_format(&self) -> Option<DataFormat> {
        self.describe().data_format()
    }

    /// The number of values in the weights of a layer built for `inputs`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments or inputs that [`build_all`](Self::build_all) would refuse.
    pub fn count_params(&self, inputs: &[PartialShape]) -> Result<u64> {
        self.output_shape_all(inputs)?;
        let weights = self.describe().weights(inputs)?;
        weights.iter().try_fold(0u64, |count, weight| Ok(count.saturating_add(weight.shape.elements()?)))
    }

    /// The layer on `gpu`, its weights initialised for the channels of `input`.
    ///
    /// Batch, height and width of `input` may be unknown; a call may then bring any. The channels must be known.
    ///
    /// # Errors
    /// [`Error::Invalid`] for arguments that contradict a rule, each other or `input`; [`Error::Limit`] and
    /// [`Error::Gpu`] where the device cannot hold the weights.
    pub fn build(&self, gpu: &Gpu, input: impl Into<PartialShape>) -> Result<Layer> {
        self.build_all(gpu, &[input.into()])
    }

    /// [`build`](Self::build) for a layer that takes several inputs.
    ///
    /// # Errors
    /// Those of [`build`](Self::build).
    pub fn build_all(&self, gpu: &Gpu, inputs: &[PartialShape]) -> Result<Layer> {
        Layer::new(gpu, self.clone(), inputs)
    }
}

/// The shape of `activation` applied to an array of `shape`: the same, but for glu, which halves its axis (A9).
///
/// # Errors
/// [`Error::Invalid`] for an axis the array does not have, and for an odd extent under glu.
pub(crate) fn activated_shape(activation: &Activation, shape: &PartialShape) -> Result<PartialShape> {
    let Some(axis) = activation.axis() else { return Ok(shape.clone()) };
    let index = axis_index(axis, shape.rank()).ok_or_else(|| {
        Error::invalid(
            "activation",
            "the axis of an activation must be one of its input's",
            format!("axis={axis} of {} on shape={shape}", activation.name()),
        )
    })?;
    let mut dims = shape.dims().to_vec();
    if let (Activation::Glu { .. }, Some(extent)) = (activation, dims[index]) {
        if !extent.is_multiple_of(2) {
            return Err(Error::invalid(
                "activation",
                "glu must be given an even extent along its axis",
                format!("extent {extent} of axis {axis} on shape={shape}"),
            ));
        }
        dims[index] = Some(extent / 2);
    }
    Ok(dims.into())
}
