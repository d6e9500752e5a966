//! Every refused configuration, one row each, with the exact message: by the builders of Rust, in the JSON configs of
//! Keras, when a layer is built, and when it is called.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::borrow::Borrow;

use common::test_each;
use wgpu_conv::layers::{
    ActivationLayer, AdaptiveAveragePooling2D, AdaptiveMaxPooling2D, AveragePooling2D, BatchNormalization,
    BinaryFunction, Broadcast, Concatenate, Constraint, Conv2D, Conv2DTranspose, Cropping2D, Dense, DepthwiseConv2D,
    Dot, Dropout, Expand, Flatten, GaussianNoise, GlobalAveragePooling2D, GlobalMaxPooling2D, GroupNormalization,
    Initializer, LayerConfig, LayerNormalization, LeakyReLU, Map, MatMul, MaxPooling2D, Merge, Normalization, PReLU,
    Pad, Pads, Permute, Pool2D, Pooling, ReLU, Reduce, ReduceFunction, Regularizer, RepeatVector, Rescaling, Reshape,
    Resize, ResizeTo, SeparableConv2D, Slice, SpatialDropout2D, UnitNormalization, UpSampling2D, Upsampling,
    ZeroPadding2D,
};
use wgpu_conv::{
    Activation, DType, DTypePolicy, DataFormat, Error, Gpu, HostTensor, Padding, PartialShape, Result, Shape, Tensor,
    Unary,
};

/// Holds a refusal to `kind: message`, where the kind is the variant's name.
fn refused<T, E: Borrow<Error>>(outcome: Result<T, E>, expected: &str) -> Result<(), String> {
    let Err(error) = outcome else { return Err("was accepted".to_owned()) };
    let error = error.borrow();
    let kind = match error.kind() {
        Error::Invalid { .. } => "Invalid",
        Error::Unsupported { .. } => "Unsupported",
        Error::Limit { .. } => "Limit",
        Error::Gpu { .. } => "Gpu",
        Error::Format { .. } => "Format",
        _ => "another",
    };
    let text = format!("{kind}: {error}");
    if text == expected { Ok(()) } else { Err(format!("{text:?} instead of {expected:?}")) }
}

fn conv() -> Conv2D {
    Conv2D::new(4, 3)
}

fn depthwise() -> DepthwiseConv2D {
    DepthwiseConv2D::new(3)
}

fn separable() -> SeparableConv2D {
    SeparableConv2D::new(4, 3)
}

/// What is refused when a layer is constructed, before anything is known of its input.
#[test]
fn construction() {
    let rows: Vec<(&str, LayerConfig, &str)> = vec![
        (
            "kernel_size 0",
            Conv2D::new(4, 0).into(),
            "Invalid: `kernel_size` must hold strictly positive values; received kernel_size=[0, 0]",
        ),
        (
            "kernel_size with one 0",
            DepthwiseConv2D::new((1, 0)).into(),
            "Invalid: `kernel_size` must hold strictly positive values; received kernel_size=[1, 0]",
        ),
        (
            "kernel_size 0, separable",
            SeparableConv2D::new(4, (0, 2)).into(),
            "Invalid: `kernel_size` must hold strictly positive values; received kernel_size=[0, 2]",
        ),
        (
            "strides 0",
            conv().strides(0).into(),
            "Invalid: `strides` must hold strictly positive values; received strides=[0, 0]",
        ),
        (
            "strides with one 0, depthwise",
            depthwise().strides((1, 0)).into(),
            "Invalid: `strides` must hold strictly positive values; received strides=[1, 0]",
        ),
        (
            "strides 0, separable",
            separable().strides(0).into(),
            "Invalid: `strides` must hold strictly positive values; received strides=[0, 0]",
        ),
        (
            "dilation_rate with one 0",
            conv().dilation_rate((0, 1)).into(),
            "Invalid: `dilation_rate` must hold strictly positive values; received dilation_rate=[0, 1]",
        ),
        (
            "dilation_rate 0, depthwise",
            depthwise().dilation_rate(0).into(),
            "Invalid: `dilation_rate` must hold strictly positive values; received dilation_rate=[0, 0]",
        ),
        (
            "dilation_rate 0, separable",
            separable().dilation_rate(0).into(),
            "Invalid: `dilation_rate` must hold strictly positive values; received dilation_rate=[0, 0]",
        ),
        (
            "filters 0",
            Conv2D::new(0, 3).into(),
            "Invalid: `filters` must hold strictly positive values; received filters=0",
        ),
        (
            "filters 0, separable",
            SeparableConv2D::new(0, 3).into(),
            "Invalid: `filters` must hold strictly positive values; received filters=0",
        ),
        (
            "depth_multiplier 0",
            depthwise().depth_multiplier(0).into(),
            "Invalid: `depth_multiplier` must hold strictly positive values; received depth_multiplier=0",
        ),
        (
            "depth_multiplier 0, separable",
            separable().depth_multiplier(0).into(),
            "Invalid: `depth_multiplier` must hold strictly positive values; received depth_multiplier=0",
        ),
        (
            "groups 0",
            conv().groups(0).into(),
            "Invalid: `groups` must hold strictly positive values; received groups=0",
        ),
        (
            "pool_size 0",
            MaxPooling2D::new(0).into(),
            "Invalid: `pool_size` must hold strictly positive values; received pool_size=[0, 0]",
        ),
        (
            "strides 0, pooling",
            AveragePooling2D::new(2).strides((1, 0)).into(),
            "Invalid: `strides` must hold strictly positive values; received strides=[1, 0]",
        ),
        (
            "size 0",
            UpSampling2D::new((0, 2)).into(),
            "Invalid: `size` must hold strictly positive values; received size=[0, 2]",
        ),
        (
            "no groups",
            GroupNormalization::new(0).into(),
            "Invalid: `groups` must be at least 1, or -1 for one group for each channel; received groups=0",
        ),
        (
            "epsilon below 0",
            LayerNormalization::new().epsilon(-0.5).into(),
            "Invalid: `epsilon` must be finite and not negative; received epsilon=-0.5",
        ),
        (
            "a mean without a variance",
            {
                let mean = HostTensor::new([2], vec![0.0; 2]).expect("a sound shape");
                Normalization { mean: Some(mean), ..Normalization::new() }.into()
            },
            "Invalid: `mean` and `variance` must be given together, of the same shape; received mean: one of shape (2,), variance: none",
        ),
        (
            "scale and offset of different lengths",
            Rescaling::new([1.0, 2.0]).offset([0.0, 0.0, 0.0]).into(),
            "Invalid: `scale` and `offset` must be finite, one number or as many as the other; received scale=[1.0, 2.0], offset=[0.0, 0.0, 0.0]",
        ),
        (
            "a scale that is no number",
            Rescaling::new(f64::NAN).into(),
            "Invalid: `scale` and `offset` must be finite, one number or as many as the other; received scale=[NaN], offset=[0.0]",
        ),
        (
            "a dilation of 0, pooling",
            Pool2D::new(Pooling::Max, 2).dilation_rate((0, 1)).into(),
            "Invalid: `dilation_rate` must hold strictly positive values; received dilation_rate=[0, 1]",
        ),
        (
            "a resized image without rows",
            Resize::new(ResizeTo::Sizes([0, 3])).into(),
            "Invalid: sizes and scales must be positive; received to=Sizes([0, 3])",
        ),
        (
            "groups that do not divide the filters",
            conv().groups(3).into(),
            "Invalid: the number of filters must be evenly divisible by the number of groups; received groups=3, filters=4",
        ),
        (
            "D1: strides with dilation",
            conv().strides(2).dilation_rate(2).into(),
            "Invalid: `strides > 1` is not supported in conjunction with `dilation_rate > 1`; received strides=[2, 2], dilation_rate=[2, 2]",
        ),
        (
            "D1: on different axes",
            depthwise().strides((1, 2)).dilation_rate((2, 1)).into(),
            "Invalid: `strides > 1` is not supported in conjunction with `dilation_rate > 1`; received strides=[1, 2], dilation_rate=[2, 1]",
        ),
        (
            "D1: separable",
            separable().strides((2, 1)).dilation_rate((3, 1)).into(),
            "Invalid: `strides > 1` is not supported in conjunction with `dilation_rate > 1`; received strides=[2, 1], dilation_rate=[3, 1]",
        ),
        (
            "activation parameter",
            conv().activation(Activation::Celu { alpha: 0.0 }).into(),
            "Invalid: the parameters of an activation must be finite, and celu's alpha not 0; received activation=Celu { alpha: 0.0 }",
        ),
        (
            "activation parameter NaN",
            ActivationLayer::new(Activation::Elu { alpha: f32::NAN }).into(),
            "Invalid: the parameters of an activation must be finite, and celu's alpha not 0; received activation=Elu { alpha: NaN }",
        ),
        (
            "name empty",
            conv().name("").into(),
            "Invalid: `name` must be a non-empty string without `/`; received name=\"\"",
        ),
        (
            "name with a slash",
            depthwise().name("a/b").into(),
            "Invalid: `name` must be a non-empty string without `/`; received name=\"a/b\"",
        ),
        (
            "initializer",
            conv().kernel_initializer(Initializer::random_normal(0.0, -1.0).seed(1)).into(),
            "Invalid: `mean` and `stddev` must be finite, and `stddev` not negative; received RandomNormal { mean: 0.0, stddev: -1.0, seed: Seed(Integer(1)) }",
        ),
        (
            "regularizer",
            separable().pointwise_regularizer(Regularizer::L2 { l2: -1.0 }).into(),
            "Invalid: the coefficients of a regularizer must be finite and not negative; received L2 { l2: -1.0 }",
        ),
        (
            "constraint",
            conv().kernel_constraint(Constraint::max_norm(f64::NAN)).into(),
            "Invalid: the parameters of a constraint must be finite; received MaxNorm { max_value: NaN, axis: One(0) }",
        ),
        ("units 0", Dense::new(0).into(), "Invalid: `units` must hold strictly positive values; received units=0"),
        ("rate above 1", Dropout::new(1.5).into(), "Invalid: `rate` must lie between 0 and 1; received rate=1.5"),
        (
            "noise_shape 0",
            Dropout::new(0.5).noise_shape([2, 0]).into(),
            "Invalid: `noise_shape` must hold strictly positive values or None; received noise_shape=(2, 0)",
        ),
        (
            "max_value negative",
            ReLU::new().max_value(-1.0).into(),
            "Invalid: `max_value` of a ReLU layer must be finite and not negative; received max_value=-1",
        ),
        (
            "negative_slope negative",
            ReLU::new().negative_slope(-0.5).into(),
            "Invalid: `negative_slope` of a ReLU layer must be finite and not negative; received negative_slope=-0.5",
        ),
        (
            "threshold negative",
            ReLU::new().threshold(-0.5).into(),
            "Invalid: `threshold` of a ReLU layer must be finite and not negative; received threshold=-0.5",
        ),
        (
            "K1: kernel_size before strides",
            Conv2D::new(0, 0).strides(0).into(),
            "Invalid: `kernel_size` must hold strictly positive values; received kernel_size=[0, 0]",
        ),
        (
            "K1: strides before filters",
            Conv2D::new(0, 3).strides(0).groups(0).into(),
            "Invalid: `strides` must hold strictly positive values; received strides=[0, 0]",
        ),
        (
            "K1: filters before groups",
            Conv2D::new(0, 3).groups(0).strides(2).dilation_rate(2).into(),
            "Invalid: `filters` must hold strictly positive values; received filters=0",
        ),
        (
            "K1: groups before strides with dilation",
            conv().groups(0).strides(2).dilation_rate(2).into(),
            "Invalid: `groups` must hold strictly positive values; received groups=0",
        ),
    ];
    test_each(
        rows,
        |(name, ..)| *name,
        |(_, layer, message)| {
            refused(layer.validate(), message)?;
            // The shape is not looked at before the arguments.
            refused(layer.output_shape([1, 1]), message)
        },
    );
}

/// The opt-in of D1: Keras 3.15 computes it for these two.
#[test]
fn strided_dilation_can_be_allowed() {
    depthwise().strides(2).dilation_rate(2).strided_dilation(true).output_shape([1, 9, 9, 2]).expect("depthwise");
    separable().strides(2).dilation_rate(2).strided_dilation(true).output_shape([1, 9, 9, 2]).expect("separable");
}

/// Names in place of enums.
#[test]
fn names() {
    let rows: Vec<(&str, Result<()>, &str)> = vec![
        (
            "padding causal",
            LayerConfig::from(Conv2D::new(4, 3).padding(Padding::Causal)).validate(),
            "Invalid: `padding` must be \"valid\" or \"same\"; received padding=causal",
        ),
        (
            "padding empty",
            Padding::from_name("").map(drop),
            "Invalid: `padding` must be \"valid\" or \"same\"; received padding=",
        ),
        (
            "data_format NHWC",
            DataFormat::from_name("NHWC").map(drop),
            "Invalid: `data_format` must be \"channels_last\" or \"channels_first\"; received data_format=NHWC",
        ),
        (
            "activation in capitals",
            Activation::from_name("Relu").map(drop),
            "Invalid: the activation function must be one of celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink; received activation=Relu",
        ),
        (
            "activation empty",
            Activation::from_name("").map(drop),
            "Invalid: the activation function must be one of celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink; received activation=",
        ),
        (
            "activation with weights",
            Activation::from_name("prelu").map(drop),
            "Invalid: the activation function must be one of celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink; received activation=prelu",
        ),
        (
            "A1: threshold",
            Activation::from_name("threshold").map(drop),
            "Invalid: `threshold` has no default parameters: give `threshold` and `default_value`; received activation=threshold",
        ),
        (
            "dtype",
            DTypePolicy::from_name("int8").map(drop),
            "Invalid: `dtype` must be one of float32, float16, bfloat16, float64, mixed_float16, mixed_bfloat16, emulated_float16; received dtype=int8",
        ),
        (
            "interpolation",
            Upsampling::from_name("area").map(drop),
            "Invalid: `interpolation` must be \"nearest\", \"bilinear\" or \"bicubic\"; received interpolation=area",
        ),
        (
            "interpolation lanczos3",
            Upsampling::from_name("lanczos3").map(drop),
            "Unsupported: interpolation=lanczos3 of UpSampling2D is not supported: the methods are nearest, bilinear and bicubic",
        ),
        (
            "reduction",
            ReduceFunction::from_name("median").map(drop),
            "Invalid: the function of a Reduce layer must be one of mean, max, min, sum, sum_square, l1, l2, log_sum, log_sum_exp; received function=median",
        ),
        (
            "pooling",
            Pooling::from_name("lp").map(drop),
            "Invalid: the function of a pool layer must be \"max\", \"average\" or \"average_with_pads\"; received function=lp",
        ),
        (
            "initializer",
            Initializer::from_name("glorot").map(drop),
            "Invalid: an initializer must be one of Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones, Orthogonal, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, Zeros (custom ones are not read); received initializer=glorot",
        ),
        (
            "regularizer",
            Regularizer::from_name("l3").map(drop),
            "Invalid: a regularizer must be one of L1, L2, L1L2, OrthogonalRegularizer (custom ones are not read); received regularizer=l3",
        ),
        (
            "T5: l1l2",
            Regularizer::from_name("l1l2").map(drop),
            "Invalid: L1L2 has no default coefficients but 0: give `l1` and `l2`; received regularizer=l1l2",
        ),
        (
            "T5: l1_l2",
            Regularizer::from_name("l1_l2").map(drop),
            "Invalid: L1L2 has no default coefficients but 0: give `l1` and `l2`; received regularizer=l1_l2",
        ),
        (
            "constraint",
            Constraint::from_name("max").map(drop),
            "Invalid: a constraint must be one of NonNeg, UnitNorm, MaxNorm, MinMaxNorm (custom ones are not read); received constraint=max",
        ),
    ];
    test_each(rows, |(name, ..)| *name, |(_, outcome, message)| refused(outcome.as_ref(), message));
}

/// What is refused once the input's shape is known: the same words from a description and from building.
#[test]
fn shapes() {
    let any = |channels| PartialShape::from([None, None, None, Some(channels)]);
    let first = DataFormat::ChannelsFirst;
    let rows: Vec<(&str, LayerConfig, PartialShape, &str)> = vec![
        (
            "rank 3",
            conv().into(),
            [5, 5, 3].into(),
            "Invalid: the input must have 4 axes; received input shape=(5, 5, 3) of rank 3",
        ),
        (
            "rank 5, depthwise",
            depthwise().into(),
            [1, 5, 5, 5, 3].into(),
            "Invalid: the input must have 4 axes; received input shape=(1, 5, 5, 5, 3) of rank 5",
        ),
        (
            "rank 3, separable",
            separable().into(),
            [5, 5, 3].into(),
            "Invalid: the input must have 4 axes; received input shape=(5, 5, 3) of rank 3",
        ),
        (
            "rank 3, pooling",
            GlobalAveragePooling2D::new().into(),
            [5, 5, 3].into(),
            "Invalid: the input must have 4 axes; received input shape=(5, 5, 3) of rank 3",
        ),
        (
            "no output",
            AdaptiveMaxPooling2D::new((2, 0)).into(),
            [1, 5, 5, 3].into(),
            "Invalid: `output_size` must hold strictly positive values; received output_size=[2, 0]",
        ),
        (
            "nothing to pool",
            AdaptiveAveragePooling2D::new(2).into(),
            [1, 0, 5, 3].into(),
            "Invalid: the spatial extents of what is pooled must be at least 1; received input shape=(1, 0, 5, 3)",
        ),
        (
            "rank 3, maximum",
            GlobalMaxPooling2D::new().into(),
            [5, 5, 3].into(),
            "Invalid: the input must have 4 axes; received input shape=(5, 5, 3) of rank 3",
        ),
        (
            "a window above the image",
            MaxPooling2D::new(7).into(),
            [1, 4, 4, 2].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 4, 4, 2), pool_size=[7, 7], strides=[7, 7], padding=valid",
        ),
        (
            "a window above the padded image",
            Pool2D::new(Pooling::Average, 7).pads(Pads::Explicit([[1, 1], [0, 2]])).ceil_mode(true).into(),
            [1, 4, 4, 2].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 4, 4, 2), kernel_size=[7, 7], dilation_rate=[1, 1], strides=[1, 1], pads=Explicit([[1, 1], [0, 2]])",
        ),
        (
            "groups that do not divide the channels",
            GroupNormalization::new(4).into(),
            [2, 3, 3, 6].into(),
            "Invalid: the number of groups must divide the number of channels; received groups=4, channels=6, input shape=(2, 3, 3, 6)",
        ),
        (
            "groups of the batch",
            GroupNormalization::new(1).axis(0).into(),
            [2, 3].into(),
            "Invalid: `axis` must not be the first one, the batch; received axis=0, input shape=(2, 3)",
        ),
        (
            "an axis that is not there",
            LayerNormalization::new().axis([1, 3]).into(),
            [2, 3, 4].into(),
            "Invalid: `axis` must be one of the input's axes; received axis=3, input shape=(2, 3, 4)",
        ),
        (
            "an axis named twice",
            UnitNormalization::new().axis([1, -2]).into(),
            [2, 3, 4].into(),
            "Invalid: `axis` must name no axis twice; received axis=[1, -2], input shape=(2, 3, 4)",
        ),
        (
            "an unknown axis of the statistics",
            LayerNormalization::new().into(),
            [Some(2), None].into(),
            "Invalid: axis -1 of the input must be known and at least 1; received input shape=(2, None)",
        ),
        (
            "axes that are no neighbours",
            Normalization::new().axis([1, 3]).into(),
            [2, 3, 4, 5].into(),
            "Unsupported: a Normalization over axes [1, 3] is not supported: the axes must be neighbours",
        ),
        (
            "statistics of other channels",
            {
                let of = |value| HostTensor::new([2], vec![value; 2]).expect("a sound shape");
                Normalization::new().statistics(of(0.0), of(1.0)).into()
            },
            [1, 4, 4, 3].into(),
            "Invalid: `mean` and `variance` must be one value each, or one for each position of the axes; received mean of shape (2,), axes of extents (3,)",
        ),
        (
            "factors for other channels",
            Rescaling::new([1.0, 2.0]).into(),
            [1, 4, 4, 3].into(),
            "Invalid: the channels of the input must be known, and as many as `scale` and `offset` have values; received input shape=(1, 4, 4, 3), 2 values",
        ),
        (
            "extents whose product is no number",
            Flatten::new().into(),
            PartialShape::from(vec![Some(1 << 22); 3]),
            "Invalid: the product of a shape's extents must fit 64 bits; received input shape=(4194304, 4194304, 4194304)",
        ),
        (
            "an image too large",
            UpSampling2D::new(70_000).into(),
            [1, 70_000, 1, 1].into(),
            "Limit: elements along one axis: 4900000000 needed, this device allows 4294967295",
        ),
        (
            "a reduction over an axis that is not there",
            Reduce::new(ReduceFunction::Sum).axes([2]).into(),
            [2, 3].into(),
            "Invalid: `axis` must be one of the input's axes; received axis=2, input shape=(2, 3)",
        ),
        (
            "channels unknown",
            conv().into(),
            [Some(1), Some(5), Some(5), None].into(),
            "Invalid: the channels, axis 3 of the input, must be known; received input shape=(1, 5, 5, None)",
        ),
        (
            "channels unknown, first",
            depthwise().data_format(first).into(),
            [Some(1), None, Some(5), Some(5)].into(),
            "Invalid: the channels, axis 1 of the input, must be known; received input shape=(1, None, 5, 5)",
        ),
        (
            "D7: no channels",
            conv().into(),
            any(0),
            "Invalid: the input must have at least one channel; received input shape=(None, None, None, 0)",
        ),
        (
            "D7: no channels, depthwise",
            depthwise().into(),
            any(0),
            "Invalid: the input must have at least one channel; received input shape=(None, None, None, 0)",
        ),
        (
            "D7: no channels, separable",
            separable().into(),
            any(0),
            "Invalid: the input must have at least one channel; received input shape=(None, None, None, 0)",
        ),
        (
            "groups that do not divide the channels",
            conv().groups(2).into(),
            [2, 5, 5, 3].into(),
            "Invalid: the number of input channels must be evenly divisible by the number of groups; received groups=2, 3 input channels (full input shape is (2, 5, 5, 3))",
        ),
        (
            "groups, channels first",
            conv().groups(2).data_format(first).into(),
            [2, 3, 5, 5].into(),
            "Invalid: the number of input channels must be evenly divisible by the number of groups; received groups=2, 3 input channels (full input shape is (2, 3, 5, 5))",
        ),
        (
            "too small",
            conv().into(),
            [1, 2, 5, 3].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 2, 5, 3), kernel_size=[3, 3], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "too small, other axis unknown",
            depthwise().into(),
            [Some(1), None, Some(2), Some(3)].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, None, 2, 3), kernel_size=[3, 3], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "too small by dilation",
            separable().dilation_rate(10).into(),
            [1, 20, 30, 3].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 20, 30, 3), kernel_size=[3, 3], dilation_rate=[10, 10], strides=[1, 1], padding=valid",
        ),
        (
            "too small, channels first",
            conv().data_format(first).into(),
            [1, 3, 5, 2].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 3, 5, 2), kernel_size=[3, 3], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "D6: no height under valid",
            Conv2D::new(1, 1).into(),
            [1, 0, 4, 3].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 0, 4, 3), kernel_size=[1, 1], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "glu of odd channels",
            Conv2D::new(5, 1).activation(Activation::Glu { axis: -1 }).into(),
            [1, 4, 4, 3].into(),
            "Invalid: glu must be given an even extent along its axis; received extent 5 of axis -1 on shape=(1, 4, 4, 5)",
        ),
        (
            "softmax axis",
            conv().activation(Activation::Softmax { axis: 4 }).into(),
            [1, 5, 5, 3].into(),
            "Invalid: the axis of an activation must be one of its input's; received axis=4 of softmax on shape=(1, 3, 3, 4)",
        ),
        (
            "glu, the layer",
            ActivationLayer::new(Activation::Glu { axis: 1 }).into(),
            [2, 3, 4].into(),
            "Invalid: glu must be given an even extent along its axis; received extent 3 of axis 1 on shape=(2, 3, 4)",
        ),
        (
            "axis of a normalization",
            BatchNormalization::new().axis(7).into(),
            [2, 3, 4].into(),
            "Invalid: `axis` must be one of the input's axes; received axis=7, input shape=(2, 3, 4)",
        ),
        (
            "extent of a normalization unknown",
            BatchNormalization::new().into(),
            [Some(2), None].into(),
            "Invalid: axis -1 of the input must be known; received input shape=(2, None)",
        ),
        (
            "Dense without axes",
            Dense::new(3).into(),
            PartialShape::from(Shape::from([])),
            "Invalid: the input must have at least 2 axes; received input shape=()",
        ),
        (
            "Dense on an unknown extent",
            Dense::new(3).into(),
            [Some(2), None].into(),
            "Invalid: the channels, axis 1 of the input, must be known; received input shape=(2, None)",
        ),
        (
            "an extent above 32 bits",
            conv().into(),
            [1, 1 << 33, 5, 3].into(),
            "Limit: elements along one axis: 8589934592 needed, this device allows 4294967295",
        ),
    ];
    test_each(
        rows,
        |(name, ..)| *name,
        |(_, layer, input, message)| {
            refused(layer.output_shape(input), message)?;
            let Some(gpu) = gpu::gpu() else { return Ok(()) };
            refused(layer.build(&gpu, input), message)
        },
    );
}

/// What layers that move, merge and transpose refuse: their arguments, and shapes that do not fit.
#[test]
fn moving_and_merging() {
    let all = |layer: LayerConfig, shapes: &[&[usize]]| {
        let shapes: Vec<PartialShape> = shapes.iter().map(|&shape| Shape::from(shape).into()).collect();
        layer.output_shape_all(&shapes)
    };
    let rows: Vec<(&str, Result<PartialShape>, &str)> = vec![
        (
            "two open extents",
            all(Reshape::new([-1, 2, -1]).into(), &[&[2, 8]]),
            "Invalid: `target_shape` must hold extents, of which one may be -1; received target_shape=[-1, 2, -1]",
        ),
        (
            "an extent below -1",
            all(Reshape::new([-2]).into(), &[&[2, 8]]),
            "Invalid: `target_shape` must hold extents, of which one may be -1; received target_shape=[-2]",
        ),
        (
            "other elements",
            all(Reshape::new([3, 3]).into(), &[&[2, 8]]),
            "Invalid: the total size must be unchanged; received target_shape=[3, 3], input shape=(2, 8)",
        ),
        (
            "what remains is no extent",
            all(Reshape::new([3, -1]).into(), &[&[2, 8]]),
            "Invalid: the total size must be unchanged; received target_shape=[3, -1], input shape=(2, 8)",
        ),
        (
            "more elements than can be counted",
            all(Flatten::new().into(), &[&[2, 1 << 40, 1 << 40]]),
            "Invalid: the product of a shape's extents must fit 64 bits; received input shape=(2, 1099511627776, 1099511627776)",
        ),
        (
            "a target of more elements than can be counted",
            all(Reshape::new([1 << 30, 1 << 30, 1 << 30]).into(), &[&[2, 8]]),
            "Invalid: the product of a shape's extents must fit 64 bits; received shape=(1073741824, 1073741824, 1073741824)",
        ),
        (
            "an axis twice",
            all(Permute::new([1, 1]).into(), &[&[2, 3, 4]]),
            "Invalid: `dims` must hold each axis behind the batch once, counted from 1; received dims=[1, 1]",
        ),
        (
            "the batch as an axis",
            all(Permute::new([0, 1]).into(), &[&[2, 3, 4]]),
            "Invalid: `dims` must hold each axis behind the batch once, counted from 1; received dims=[0, 1]",
        ),
        (
            "too few axes to permute",
            all(Permute::new([2, 1]).into(), &[&[2, 3]]),
            "Invalid: the input must have 3 axes; received input shape=(2, 3) of rank 2",
        ),
        (
            "not once",
            all(RepeatVector::new(0).into(), &[&[2, 3]]),
            "Invalid: `n` must hold strictly positive values; received n=0",
        ),
        (
            "no vector",
            all(RepeatVector::new(2).into(), &[&[2, 3, 4]]),
            "Invalid: the input must have 2 axes; received input shape=(2, 3, 4) of rank 3",
        ),
        (
            "an image of three axes",
            all(ZeroPadding2D::new(1).into(), &[&[2, 3, 4]]),
            "Invalid: the input must have 4 axes; received input shape=(2, 3, 4) of rank 3",
        ),
        (
            "nothing left",
            all(Cropping2D::new([[2, 1], [0, 0]]).data_format(DataFormat::ChannelsLast).into(), &[&[2, 3, 4, 5]]),
            "Invalid: `cropping` must leave something of the image; received cropping=[[2, 1], [0, 0]], input shape=(2, 3, 4, 5)",
        ),
        (
            "three to subtract",
            all(Merge::subtract().into(), &[&[2, 3], &[2, 3], &[2, 3]]),
            "Invalid: a Subtract layer must be given 2 inputs; received 3 inputs",
        ),
        (
            "nothing to add",
            all(Merge::add().into(), &[]),
            "Invalid: a Add layer must be given at least 1 inputs; received 0 inputs",
        ),
        (
            "other batch sizes",
            all(Merge::add().into(), &[&[2, 3], &[1, 3]]),
            "Invalid: inputs to merge must have the same batch size; received input shapes (2, 3), (1, 3)",
        ),
        (
            "shapes that do not broadcast",
            all(Merge::maximum().into(), &[&[2, 3], &[2, 4]]),
            "Invalid: the shapes of inputs to merge must broadcast together; received input shapes (2, 3), (2, 4)",
        ),
        (
            "an axis that is not there",
            all(Concatenate::new().axis(2).into(), &[&[2, 3], &[2, 3]]),
            "Invalid: `axis` must be one of the input's axes; received axis=2, input shape=(2, 3)",
        ),
        (
            "other extents off the axis",
            all(Concatenate::new().into(), &[&[2, 3], &[3, 3]]),
            "Invalid: inputs to concatenate must have the same shape but for the axis; received axis=-1, input shapes (2, 3), (3, 3)",
        ),
        (
            "another rank",
            all(Concatenate::new().into(), &[&[2, 3], &[2, 3, 1]]),
            "Invalid: inputs to concatenate must have the same shape but for the axis; received axis=-1, input shapes (2, 3), (2, 3, 1)",
        ),
        (
            "three axes to sum over",
            all(Dot::new([1, 1, 1]).into(), &[&[2, 3], &[2, 3]]),
            "Invalid: `axes` must be one axis, or one for each of two inputs; received axes=[1, 1, 1]",
        ),
        (
            "the batch to sum over",
            all(Dot::new(0).into(), &[&[2, 3], &[2, 3]]),
            "Invalid: `axes` must be axes of the inputs behind the batch; received axes=[0], input shapes (2, 3), (2, 3)",
        ),
        (
            "other extents to sum over",
            all(Dot::new(1).into(), &[&[2, 3], &[2, 4]]),
            "Invalid: the inputs of a Dot layer must have the same batch size and the same extent along `axes`; received axes=[1], input shapes (2, 3), (2, 4)",
        ),
        (
            "a shared batch",
            all(PReLU::new().shared_axes([0]).into(), &[&[2, 3]]),
            "Invalid: `shared_axes` must be axes of the input behind the batch; received shared_axes=Some([0])",
        ),
        (
            "a shared axis that is not there",
            all(PReLU::new().shared_axes([2]).into(), &[&[2, 3]]),
            "Invalid: `shared_axes` must be axes of the input behind the batch; received shared_axes=Some([2]), input shape=(2, 3)",
        ),
        (
            "a negative slope",
            all(LeakyReLU::new().negative_slope(-0.5).into(), &[&[2, 3]]),
            "Invalid: `negative_slope` of a LeakyReLU layer must not be negative; received negative_slope=-0.5",
        ),
        (
            "a share above 1",
            all(SpatialDropout2D::new(1.5).into(), &[&[2, 3, 4, 5]]),
            "Invalid: `rate` must lie between 0 and 1; received rate=1.5",
        ),
        (
            "a deviation below 0",
            all(GaussianNoise::new(-1.0).into(), &[&[2, 3]]),
            "Invalid: `stddev` must lie between 0 and 1; received stddev=-1",
        ),
        (
            "output padding of a stride",
            all(Conv2DTranspose::new(4, 3).strides(2).output_padding((1, 2)).into(), &[&[2, 3, 4, 5]]),
            "Invalid: `output_padding` must be less than the strides; received output_padding=[1, 2], strides=[2, 2]",
        ),
        (
            "D1: transposed",
            all(Conv2DTranspose::new(4, 3).strides(2).dilation_rate(2).into(), &[&[2, 3, 4, 5]]),
            "Invalid: `strides > 1` is not supported in conjunction with `dilation_rate > 1`; received strides=[2, 2], dilation_rate=[2, 2]",
        ),
        (
            "starts without ends",
            all(Slice::new([0, 1], [2]).into(), &[&[2, 3]]),
            "Invalid: `starts`, `ends`, `axes` and `steps` must be equally many, and no step 0; received starts=[0, 1], ends=[2], axes=[], steps=[]",
        ),
        (
            "a step of 0",
            all(Slice::new([0], [2]).steps([0]).into(), &[&[2, 3]]),
            "Invalid: `starts`, `ends`, `axes` and `steps` must be equally many, and no step 0; received starts=[0], ends=[2], axes=[], steps=[0]",
        ),
        (
            "pads of other axes",
            all(Pad::new([[1, 1]]).into(), &[&[2, 3]]),
            "Invalid: `pads` must be one pair for each axis of the input; received pads=[[1, 1]], input shape=(2, 3)",
        ),
        (
            "more cut than there is",
            all(Pad::new([[0, 0], [-2, -2]]).into(), &[&[2, 3]]),
            "Invalid: `pads` must not cut off more than there is, and repeat something that is left; received pads=[[0, 0], [-2, -2]], input shape=(2, 3)",
        ),
        (
            "shapes that no product has",
            all(MatMul::new().into(), &[&[2, 3], &[4, 5]]),
            "Invalid: the last axis of the left side must have the extent of the last but one of the right, and the axes before must broadcast; received shapes (2, 3) and (4, 5)",
        ),
        (
            "sides that do not broadcast",
            all(Broadcast::new(BinaryFunction::Add).constant_right([4]).into(), &[&[2, 3]]),
            "Invalid: the shapes of the inputs must broadcast together; received shapes (2, 3) and (4,)",
        ),
        (
            "two inputs and a constant",
            all(Broadcast::new(BinaryFunction::Add).constant_right([3]).into(), &[&[2, 3], &[2, 3]]),
            "Invalid: a Broadcast layer must be given one input; received 2 inputs",
        ),
        (
            "an expansion that does not fit",
            all(Expand::new([4]).into(), &[&[2, 3]]),
            "Invalid: the input must broadcast with `shape`; received shape=[4], input shape=(2, 3)",
        ),
        (
            "a function that is no number",
            all(Map::new(Unary::Pow { exponent: f32::NAN }).into(), &[&[2, 3]]),
            "Invalid: the parameters of a function must be finite, and clip's limits numbers; received function=Pow { exponent: NaN }",
        ),
    ];
    test_each(rows, |(name, ..)| *name, |(_, outcome, expected)| refused(outcome.as_ref(), expected));
}

/// What building refuses beside shapes.
#[test]
fn building() {
    let Some(gpu) = gpu::gpu() else { return };
    let array = Initializer::array([3, 3, 2, 4], vec![0.0; 72]).expect("a sound array");
    let rows: Vec<(&str, LayerConfig, &str)> = vec![
        (
            "D13: float64",
            conv().dtype(DTypePolicy::Float64).into(),
            "Unsupported: float64 as a compute dtype is not supported: shaders have f32 and f16; give the layer another policy with `.dtype(DTypePolicy::Float32)`, or call `Settings::set_floatx`",
        ),
        (
            "an array of another shape",
            conv().kernel_initializer(array).into(),
            "Invalid: an array must have exactly the weight's shape (3, 3, 3, 4); received shape=(3, 3, 2, 4)",
        ),
        (
            "Identity for a convolution",
            conv().kernel_initializer(Initializer::Identity { gain: 1.0 }).into(),
            "Invalid: the initializer Identity suits weights of exactly 2 axes; received shape=(3, 3, 3, 4) of rank 4",
        ),
        (
            "Orthogonal for a bias",
            depthwise().bias_initializer(Initializer::orthogonal(1.0)).into(),
            "Invalid: the initializer Orthogonal suits weights of at least 2 axes; received shape=(3,) of rank 1",
        ),
        (
            "a custom initializer of too few",
            conv().kernel_initializer(Initializer::custom(|_, _| Ok(vec![1.0]))).into(),
            "Invalid: a custom initializer must give the 108 values of the weight's shape (3, 3, 3, 4); received 1 values",
        ),
    ];
    test_each(rows, |(name, ..)| *name, |(_, layer, message)| refused(layer.build(&gpu, [1, 5, 5, 3]), message));
}

/// f16 where the device has none: refused with the way round named, unless emulation was asked for.
#[test]
fn f16_without_the_feature() {
    let Some(gpu) = gpu::gpu() else { return };
    if gpu.caps().f16 {
        println!("skipped: {} has f16", gpu.info().name);
        return;
    }
    let name = &gpu.info().name;
    let message = format!(
        "Unsupported: f16 on {name} is not supported: the adapter has no SHADER_F16; use float32, or the dtype policy \
         EmulatedFloat16, which rounds to f16 and computes in f32"
    );
    for policy in [DTypePolicy::Float16, DTypePolicy::MixedFloat16] {
        refused(conv().dtype(policy).build(&gpu, [1, 5, 5, 3]), &message).unwrap_or_else(|why| panic!("{why}"));
    }
    refused(Tensor::from_slice(&gpu, [1], &[half::f16::ONE]), &message).unwrap_or_else(|why| panic!("{why}"));
    conv().dtype(DTypePolicy::EmulatedFloat16).build(&gpu, [1, 5, 5, 3]).expect("emulated");
}

fn zeros(gpu: &Gpu, shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let values = vec![0.0f32; shape.dims().iter().product()];
    Tensor::from_slice(gpu, shape, &values).expect("a tensor")
}

/// What a built layer refuses of its input, from the shape alone and from a tensor.
#[test]
fn calls() {
    let Some(gpu) = gpu::gpu() else { return };
    let first = DataFormat::ChannelsFirst;
    let rows: Vec<(&str, LayerConfig, [usize; 4], Shape, &str)> = vec![
        (
            "channels",
            conv().name("c").into(),
            [1, 5, 5, 3],
            [1, 5, 5, 4].into(),
            "Invalid: axis -1 of the input must have the extent 3 that it was built with; received 4 in input shape=(1, 5, 5, 4)",
        ),
        (
            "channels first",
            conv().data_format(first).name("c").into(),
            [1, 3, 5, 5],
            [1, 4, 5, 5].into(),
            "Invalid: axis 1 of the input must have the extent 3 that it was built with; received 4 in input shape=(1, 4, 5, 5)",
        ),
        (
            "channels, depthwise",
            depthwise().name("d").into(),
            [1, 5, 5, 3],
            [1, 5, 5, 6].into(),
            "Invalid: axis -1 of the input must have the extent 3 that it was built with; received 6 in input shape=(1, 5, 5, 6)",
        ),
        (
            "channels, separable",
            separable().name("s").into(),
            [1, 5, 5, 3],
            [1, 5, 5, 2].into(),
            "Invalid: axis -1 of the input must have the extent 3 that it was built with; received 2 in input shape=(1, 5, 5, 2)",
        ),
        (
            "extent of a normalization",
            BatchNormalization::new().name("b").into(),
            [1, 5, 5, 3],
            [1, 5, 5, 2].into(),
            "Invalid: axis -1 of the input must have the extent 3 that it was built with; received 2 in input shape=(1, 5, 5, 2)",
        ),
        (
            "features of a Dense",
            Dense::new(2).name("d").into(),
            [1, 5, 5, 3],
            [1, 5, 5, 2].into(),
            "Invalid: axis -1 of the input must have the extent 3 that it was built with; received 2 in input shape=(1, 5, 5, 2)",
        ),
        (
            "rank",
            conv().into(),
            [1, 5, 5, 3],
            [5, 5, 3].into(),
            "Invalid: the input must have 4 axes; received input shape=(5, 5, 3) of rank 3",
        ),
        (
            "D5: too small after a larger build",
            conv().into(),
            [1, 9, 9, 3],
            [1, 9, 2, 3].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 9, 2, 3), kernel_size=[3, 3], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "D5: depthwise",
            depthwise().into(),
            [1, 9, 9, 3],
            [1, 2, 9, 3].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 2, 9, 3), kernel_size=[3, 3], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "D5: separable",
            separable().into(),
            [1, 9, 9, 3],
            [1, 2, 9, 3].into(),
            "Invalid: the computed output size must not be zero or negative; received input shape=(1, 2, 9, 3), kernel_size=[3, 3], dilation_rate=[1, 1], strides=[1, 1], padding=valid",
        ),
        (
            "mean of nothing",
            GlobalAveragePooling2D::new().into(),
            [1, 5, 5, 3],
            [1, 0, 5, 3].into(),
            "Invalid: the spatial extents of what is pooled must be at least 1; received input shape=(1, 0, 5, 3)",
        ),
    ];
    test_each(
        rows,
        |(name, ..)| *name,
        |(_, layer, built, called, message)| {
            let layer = layer.build(&gpu, *built).map_err(|error| error.to_string())?;
            refused(layer.call(&zeros(&gpu, called)), message)
        },
    );
}

#[test]
fn autocast_off_takes_only_its_own_type() {
    let Some(gpu) = gpu::gpu() else { return };
    if !gpu.caps().f16 {
        return;
    }
    let layer = conv().autocast(false).name("c").build(&gpu, [1, 5, 5, 3]).expect("a layer");
    let input = Tensor::from_slice(&gpu, [1, 5, 5, 3], &[half::f16::ONE; 75]).expect("a tensor");
    refused(layer.call(&input), "Invalid: with autocast off, it must be given f32; received an input of f16")
        .unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn weights() {
    let Some(gpu) = gpu::gpu() else { return };
    let tensor = |shape: &[usize], count: usize| HostTensor { shape: shape.into(), values: vec![1.0; count] };
    let (kernel, bias) = (tensor(&[3, 3, 2, 4], 72), tensor(&[4], 4));
    let rows: Vec<(&str, Vec<HostTensor>, &str)> = vec![
        ("none", vec![], "Invalid: it must be given 2 weights: [kernel (3, 3, 2, 4), bias (4,)]; received 0: []"),
        (
            "too few",
            vec![kernel.clone()],
            "Invalid: it must be given 2 weights: [kernel (3, 3, 2, 4), bias (4,)]; received 1: [(3, 3, 2, 4)]",
        ),
        (
            "too many",
            vec![kernel.clone(), bias.clone(), bias.clone()],
            "Invalid: it must be given 2 weights: [kernel (3, 3, 2, 4), bias (4,)]; received 3: [(3, 3, 2, 4), (4,), (4,)]",
        ),
        (
            "order",
            vec![bias.clone(), kernel.clone()],
            "Invalid: weight kernel must have the shape (3, 3, 2, 4); received shape (4,)",
        ),
        (
            "shape of the bias",
            vec![kernel.clone(), tensor(&[5], 5)],
            "Invalid: weight bias must have the shape (4,); received shape (5,)",
        ),
        (
            "shape that only multiplies to the same",
            vec![tensor(&[3, 3, 4, 2], 72), bias.clone()],
            "Invalid: weight kernel must have the shape (3, 3, 2, 4); received shape (3, 3, 4, 2)",
        ),
        (
            "values that do not fill the shape",
            vec![tensor(&[3, 3, 2, 4], 71), bias],
            "Invalid: weight kernel must have the shape (3, 3, 2, 4); received shape (3, 3, 2, 4) with 71 values",
        ),
    ];
    test_each(
        rows,
        |(name, ..)| *name,
        |(_, values, message)| {
            let layer = conv().name("c").build(&gpu, [1, 5, 5, 2]).map_err(|error| error.to_string())?;
            let before = layer.get_weights().unwrap();
            refused(layer.set_weights(values), message)?;
            if layer.get_weights().unwrap() == before { Ok(()) } else { Err("the layer has changed".to_owned()) }
        },
    );
}

#[test]
fn tensors() {
    let Some(gpu) = gpu::gpu() else { return };
    let tensor = zeros(&gpu, [2, 3]);
    let rows: Vec<(&str, Result<()>, &str)> = vec![
        (
            "too few values",
            Tensor::from_slice(&gpu, [2, 3], &[0.0f32; 5]).map(drop),
            "Invalid: the data must hold as many elements as the shape says; received 5 elements for shape=(2, 3)",
        ),
        (
            "too many values",
            Tensor::from_slice(&gpu, [2, 3], &[0.0f64; 7]).map(drop),
            "Invalid: the data must hold as many elements as the shape says; received 7 elements for shape=(2, 3)",
        ),
        (
            "a host array",
            HostTensor::new([2, 3], vec![0.0; 5]).map(drop),
            "Invalid: the data must hold as many elements as the shape says; received 5 elements for shape=(2, 3)",
        ),
        (
            "a product above 64 bits",
            HostTensor::new([1 << 40, 1 << 40], vec![]).map(drop),
            "Invalid: a shape's product must fit 64 bits; received shape=(1099511627776, 1099511627776)",
        ),
        (
            "another number of elements",
            tensor.reshape([7]).map(drop),
            "Invalid: the number of elements must be unchanged; received shape=(7,) for a tensor of shape (2, 3)",
        ),
        (
            "a type that loses digits",
            tensor.read::<half::f16>().map(drop),
            "Invalid: values must be read as a type that holds them exactly; received f16 for a tensor of f32",
        ),
        (
            "an array of another length",
            Initializer::array([2], vec![0.0; 3]).map(drop),
            "Invalid: an array must hold as many values as its shape; received 3 values for shape=(2,)",
        ),
    ];
    test_each(rows, |(name, ..)| *name, |(_, outcome, message)| refused(outcome.as_ref(), message));
    assert_eq!(tensor.dtype(), DType::F32);
}

/// The JSON configs of Keras.
#[cfg(feature = "keras")]
mod json {
    use serde_json::{Value, json};
    use wgpu_conv::layers::ReadOptions;

    use super::{LayerConfig, refused, test_each};

    #[test]
    fn configs() {
        let rows: Vec<(&str, &str, Value, &str)> = vec![
            (
                "another class",
                "Conv4D",
                json!({}),
                "Unsupported: the layer class Conv4D is not supported: the layers read are those of `LayerConfig`",
            ),
            (
                "no object",
                "Conv2D",
                json!([4, 3]),
                "Invalid: the config of Conv2D must be a JSON object; received config=[4,3]",
            ),
            (
                "filters missing",
                "Conv2D",
                json!({"kernel_size": 3}),
                "Invalid: Conv2D must be given `filters`; received config={\"kernel_size\":3}",
            ),
            (
                "kernel_size missing",
                "DepthwiseConv2D",
                json!({}),
                "Invalid: DepthwiseConv2D must be given `kernel_size`; received config={}",
            ),
            (
                "kernel_size of three",
                "Conv2D",
                json!({"filters": 4, "kernel_size": [2, 2, 2]}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=[2,2,2]",
            ),
            (
                "kernel_size of one",
                "DepthwiseConv2D",
                json!({"kernel_size": [2]}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=[2]",
            ),
            (
                "kernel_size null",
                "Conv2D",
                json!({"filters": 4, "kernel_size": null}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=null",
            ),
            (
                "kernel_size negative",
                "SeparableConv2D",
                json!({"filters": 4, "kernel_size": -3}),
                "Invalid: `kernel_size` must hold strictly positive values; received kernel_size=-3",
            ),
            (
                "D3: 2.5",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 2.5}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=2.5",
            ),
            (
                "D3: 3.7 in a list",
                "Conv2D",
                json!({"filters": 4, "kernel_size": [3, 3.7]}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=[3,3.7]",
            ),
            (
                "D3: true",
                "Conv2D",
                json!({"filters": 4, "kernel_size": true}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=true",
            ),
            (
                "kernel_size a string",
                "Conv2D",
                json!({"filters": 4, "kernel_size": "3"}),
                "Invalid: `kernel_size` must be one integer, or two: (height, width); received kernel_size=\"3\"",
            ),
            (
                "strides with one 0",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "strides": [1, 0]}),
                "Invalid: `strides` must hold strictly positive values; received strides=[1,0]",
            ),
            (
                "strides null",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "strides": null}),
                "Invalid: `strides` must be one integer, or two: (height, width); received strides=null",
            ),
            (
                "dilation_rate negative",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "dilation_rate": -1}),
                "Invalid: `dilation_rate` must hold strictly positive values; received dilation_rate=-1",
            ),
            (
                "padding",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "padding": "full"}),
                "Invalid: `padding` must be \"valid\" or \"same\"; received padding=full",
            ),
            (
                "padding causal",
                "SeparableConv2D",
                json!({"filters": 4, "kernel_size": 3, "padding": "causal"}),
                "Invalid: `padding` must be \"valid\" or \"same\"; received padding=causal",
            ),
            (
                "D2: padding a list",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "padding": [[0, 0], [1, 1]]}),
                "Invalid: `padding` must be a string; received padding=[[0,0],[1,1]]",
            ),
            (
                "data_format",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "data_format": "NCHW"}),
                "Invalid: `data_format` must be \"channels_last\" or \"channels_first\"; received data_format=NCHW",
            ),
            (
                "activation",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "activation": "nope"}),
                "Invalid: the activation function must be one of celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink; received activation=nope",
            ),
            (
                "activation empty",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "activation": ""}),
                "Invalid: the activation function must be one of celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink; received activation=",
            ),
            (
                "A1: threshold",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "activation": "threshold"}),
                "Invalid: `threshold` has no default parameters: give `threshold` and `default_value`; received activation=threshold",
            ),
            (
                "use_bias",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "use_bias": 1}),
                "Invalid: `use_bias` must be true or false; received use_bias=1",
            ),
            (
                "filters 0",
                "Conv2D",
                json!({"filters": 0, "kernel_size": 3}),
                "Invalid: `filters` must hold strictly positive values; received filters=0",
            ),
            (
                "filters null",
                "Conv2D",
                json!({"filters": null, "kernel_size": 3}),
                "Invalid: `filters` must be an integer; received filters=null",
            ),
            (
                "filters negative",
                "SeparableConv2D",
                json!({"filters": -2, "kernel_size": 3}),
                "Invalid: `filters` must hold strictly positive values; received filters=-2",
            ),
            (
                "filters above 32 bits",
                "Conv2D",
                json!({"filters": 4_294_967_296_u64, "kernel_size": 3}),
                "Invalid: `filters` must hold values that fit 32 bits; received filters=4294967296",
            ),
            (
                "depth_multiplier 0",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "depth_multiplier": 0}),
                "Invalid: `depth_multiplier` must hold strictly positive values; received depth_multiplier=0",
            ),
            (
                "depth_multiplier null",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "depth_multiplier": null}),
                "Invalid: `depth_multiplier` must be an integer; received depth_multiplier=null",
            ),
            (
                "groups negative",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "groups": -1}),
                "Invalid: `groups` must hold strictly positive values; received groups=-1",
            ),
            (
                "groups",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "groups": 3}),
                "Invalid: the number of filters must be evenly divisible by the number of groups; received groups=3, filters=4",
            ),
            (
                "D1",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "strides": [1, 2], "dilation_rate": [2, 1]}),
                "Invalid: `strides > 1` is not supported in conjunction with `dilation_rate > 1`; received strides=[1, 2], dilation_rate=[2, 1]",
            ),
            (
                "D1: depthwise",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "strides": 2, "dilation_rate": 2}),
                "Invalid: `strides > 1` is not supported in conjunction with `dilation_rate > 1`; received strides=[2, 2], dilation_rate=[2, 2]",
            ),
            (
                "name a number",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "name": 5}),
                "Invalid: `name` must be a string; received name=5",
            ),
            (
                "name with a slash",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "name": "a/b"}),
                "Invalid: `name` must be a non-empty string without `/`; received name=\"a/b\"",
            ),
            (
                "trainable 1",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "trainable": 1}),
                "Invalid: `trainable` must be true or false; received trainable=1",
            ),
            (
                "dtype",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "dtype": "int32"}),
                "Invalid: `dtype` must be one of float32, float16, bfloat16, float64, mixed_float16, mixed_bfloat16, emulated_float16; received dtype=int32",
            ),
            (
                "initializer",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "kernel_initializer": "nope"}),
                "Invalid: an initializer must be one of Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Identity, LecunNormal, LecunUniform, Ones, Orthogonal, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, Zeros (custom ones are not read); received initializer=nope",
            ),
            (
                "seed a float",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "kernel_initializer":
                {"class_name": "HeNormal", "config": {"seed": 1.5}}}),
                "Invalid: `seed` must be an integer that is not negative, a SeedGenerator or null; received seed=1.5",
            ),
            (
                "scale 0",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "kernel_initializer":
                {"class_name": "VarianceScaling", "config": {"scale": 0.0, "seed": 1}}}),
                "Invalid: `scale` must be positive and finite; received VarianceScaling { scaling: General { scale: 0.0, mode: FanIn, distribution: TruncatedNormal }, seed: Seed(Integer(1)), input_axes: None, output_axes: None }",
            ),
            (
                "regularizer a number",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "kernel_regularizer": 0.1}),
                "Invalid: `kernel_regularizer` must be a name or an object with `class_name` and `config`; received kernel_regularizer=0.1",
            ),
            (
                "T5: l1l2",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "kernel_regularizer": "l1l2"}),
                "Invalid: L1L2 has no default coefficients but 0: give `l1` and `l2`; received regularizer=l1l2",
            ),
            (
                "constraint",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "kernel_constraint": "nope"}),
                "Invalid: a constraint must be one of NonNeg, UnitNorm, MaxNorm, MinMaxNorm (custom ones are not read); received constraint=nope",
            ),
            (
                "unknown keyword",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "rate": 2}),
                "Invalid: Conv2D takes no argument `rate`; received rate=2",
            ),
            (
                "depth_multiplier of Conv2D",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "depth_multiplier": 2}),
                "Invalid: Conv2D takes no argument `depth_multiplier`; received depth_multiplier=2",
            ),
            (
                "groups of DepthwiseConv2D",
                "DepthwiseConv2D",
                json!({"kernel_size": 3, "groups": 2}),
                "Invalid: DepthwiseConv2D takes no argument `groups`; received groups=2",
            ),
            (
                "lora_rank",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "lora_rank": 2}),
                "Invalid: Conv2D takes no argument `lora_rank`; received lora_rank=2",
            ),
            (
                "F2: a lambda",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "activation":
                {"class_name": "__lambda__", "config": {}}}),
                "Unsupported: the custom object __lambda__ as `activation`, a function of Python code, is not supported: code from files is never run; construct it by the builder methods",
            ),
            (
                "F2: a custom object",
                "Conv2D",
                json!({"filters": 4, "kernel_size": 3, "activation":
                {"module": "mine", "class_name": "Act", "config": {}, "registered_name": "mine>Act"}}),
                "Unsupported: the custom object Act as `activation`, mine>Act of module mine, is not supported: code from files is never run; construct it by the builder methods",
            ),
            (
                "K1: kernel_size before filters",
                "Conv2D",
                json!({"filters": 0, "kernel_size": 0}),
                "Invalid: `kernel_size` must hold strictly positive values; received kernel_size=0",
            ),
            (
                "K1: padding before data_format",
                "Conv2D",
                json!({"data_format": "x", "filters": 0, "kernel_size": 3, "padding": "x"}),
                "Invalid: `padding` must be \"valid\" or \"same\"; received padding=x",
            ),
            (
                "K1: activation before initializers",
                "Conv2D",
                json!({"kernel_initializer": "x", "activation": "x", "filters": 4, "kernel_size": 3}),
                "Invalid: the activation function must be one of celu, elu, exponential, gelu, glu, hard_shrink, hard_sigmoid, hard_silu, hard_tanh, leaky_relu, linear, log_sigmoid, log_softmax, mish, relu, relu6, selu, sigmoid, silu, soft_shrink, softmax, softplus, softsign, sparse_plus, sparse_sigmoid, sparsemax, squareplus, tanh, tanh_shrink; received activation=x",
            ),
            (
                "units",
                "Dense",
                json!({"units": -3}),
                "Invalid: `units` must hold strictly positive values; received units=-3",
            ),
            ("rate", "Dropout", json!({"rate": 1.5}), "Invalid: `rate` must lie between 0 and 1; received rate=1.5"),
            (
                "max_value",
                "ReLU",
                json!({"max_value": -1.0}),
                "Invalid: `max_value` of a ReLU layer must be finite and not negative; received max_value=-1",
            ),
        ];
        test_each(
            rows,
            |(name, ..)| *name,
            |(_, class, config, message)| refused(LayerConfig::from_config(class, config), message),
        );
    }

    /// Whole-valued floats are integers in JSON (D3); letter case is free where Keras leaves it free; D1 can be allowed.
    #[test]
    fn what_looks_wrong_and_is_not() {
        let options = ReadOptions { strided_dilation: true };
        for (class, config) in [
            (
                "Conv2D",
                json!({"filters": 4.0, "kernel_size": [3.0, 2.0], "padding": "SAME", "data_format": "Channels_First"}),
            ),
            ("DepthwiseConv2D", json!({"kernel_size": 3, "strides": 2, "dilation_rate": 2, "activation": null})),
            ("DepthwiseConv2D", json!({"kernel_size": 3, "strides": [1, 2], "bias_initializer": null})),
            ("SeparableConv2D", json!({"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2})),
        ] {
            if let Err(error) = LayerConfig::from_config_with(class, &config, options) {
                panic!("{class} {config}: {error}");
            }
        }
    }
}
