//! Layers that Keras keeps beside its ready-made networks (`keras.applications`).

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::{common_setters, share};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::{Declared, Describe, known_extent};
use super::random::dropped;
use super::{Common, Initializer, Seed};
use crate::ops::{self, Kernel, Side, Tape, Value};
use crate::plan::{BinaryFunction, Elementwise};
use crate::strides::broadcast_partial;
use crate::{Error, PartialShape, Result, Settings, Unary};

/// Every channel times a weight of its own: `LayerScale` of ConvNeXt.
///
/// # Shapes
/// Input and output of the same shape, whose last axis are the channels. The weight `gamma` is `[channels]`.
///
/// ```
/// use wgpu_conv::layers::LayerScale;
///
/// assert_eq!(LayerScale::new(1e-6, 8).output_shape([None, Some(8)])?.to_string(), "(None, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerScale {
    /// Name, trainability and types.
    pub common: Common,
    /// What the weights are at first.
    pub init_values: f64,
    /// The channels.
    pub projection_dim: u32,
}

common_setters!(LayerScale, common);

impl LayerScale {
    /// A layer for `projection_dim` channels, whose weights are `init_values` at first.
    pub fn new(init_values: f64, projection_dim: u32) -> Self {
        Self { common: Common::new(&Settings::current()), init_values, projection_dim }
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        let channels = known_extent(&input, -1)?;
        if channels != self.projection_dim as usize {
            return Err(Error::invalid(
                "projection_dim",
                "`projection_dim` must be the number of channels",
                format!("projection_dim={}, input shape={input}", self.projection_dim),
            ));
        }
        Ok(input)
    }
}

impl Describe for LayerScale {
    fn module(&self) -> &'static str {
        "keras.src.applications.convnext"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn fixed_axes(&self, _rank: usize) -> Vec<i32> {
        vec![-1]
    }

    fn weights(&self, _inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let initializer = Initializer::Constant(self.init_values);
        Ok(vec![Declared::free("gamma", [self.projection_dim as usize], self.common.trainable, initializer)])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        ops::with(tape, BinaryFunction::Multiply, inputs[0], &operands[0])
    }
}

/// The first input plus the second times a number: `CustomScaleLayer` of InceptionResNetV2.
///
/// # Shapes
/// Two inputs that broadcast to each other; output of the shape that they broadcast to.
///
/// ```
/// use wgpu_conv::layers::CustomScaleLayer;
///
/// let shape = [Some(2), Some(8)];
/// assert_eq!(CustomScaleLayer::new(0.2).output_shape(&[shape.into(), shape.into()])?.to_string(), "(2, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CustomScaleLayer {
    /// Name, trainability and types.
    pub common: Common,
    /// The factor of the second input.
    pub scale: f32,
}

common_setters!(CustomScaleLayer, common);

impl CustomScaleLayer {
    /// A layer that adds `scale` times its second input.
    pub fn new(scale: f32) -> Self {
        Self { common: Common::new(&Settings::current()), scale }
    }

    /// The output shape for two `inputs`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build_all) the layer would refuse its arguments or `inputs`.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        let shape = match inputs {
            [left, right] => broadcast_partial(left.dims(), right.dims()),
            _ => None,
        };
        shape.map(Into::into).ok_or_else(|| {
            let shapes: Vec<_> = inputs.iter().map(ToString::to_string).collect();
            Error::invalid("inputs", "there must be two inputs that broadcast together", shapes.join(", "))
        })
    }
}

impl Describe for CustomScaleLayer {
    fn module(&self) -> &'static str {
        "keras.src.applications.inception_resnet_v2"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        Unary::Affine { scale: self.scale, offset: 0.0 }.validate()
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let factor = Elementwise::of_unary(&Unary::Affine { scale: self.scale, offset: 0.0 });
        let scaled = ops::map(tape, factor, inputs[1])?;
        ops::binary(tape, BinaryFunction::Add, Side::Value(inputs[0]), Side::Value(scaled), Elementwise::LINEAR)
    }
}

/// In training, leaves whole examples out at random; at inference, does nothing: `StochasticDepth` of ConvNeXt.
///
/// # Shapes
/// Input and output of the same shape.
///
/// ```
/// use wgpu_conv::layers::StochasticDepth;
///
/// assert_eq!(StochasticDepth::new(0.1).output_shape([None, Some(8)])?.to_string(), "(None, 8)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct StochasticDepth {
    /// Name, trainability and types.
    pub common: Common,
    /// The share of examples that is left out, 0 to 1.
    pub drop_path_rate: f64,
    /// Where the choice of examples starts; none by default. Configs do not hold it.
    pub seed: Seed,
}

common_setters!(StochasticDepth, common);

impl StochasticDepth {
    /// A layer that leaves a share of `drop_path_rate` of the examples out.
    pub fn new(drop_path_rate: f64) -> Self {
        Self { common: Common::new(&Settings::current()), drop_path_rate, seed: Seed::default() }
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(input.into())
    }
}

impl Describe for StochasticDepth {
    fn module(&self) -> &'static str {
        "keras.src.applications.convnext"
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        share("drop_path_rate", self.drop_path_rate)
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, _tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        Ok(inputs[0])
    }

    fn train(
        &self,
        tape: &mut Tape,
        inputs: &[Value],
        _weights: &[Arc<Kernel>],
        _operands: &[Arc<Kernel>],
    ) -> Result<Value> {
        let mut shape = vec![1; tape.shape(inputs[0]).rank()];
        if let (Some(batch), Some(&samples)) = (shape.first_mut(), tape.shape(inputs[0]).dims().first()) {
            *batch = samples;
        }
        dropped(tape, self.drop_path_rate, &self.seed, &shape, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for LayerScale {
    const REQUIRED: &'static [&'static str] = &["init_values", "projection_dim"];

    fn template() -> Self {
        Self::new(1e-6, 1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("init_values", &mut self.init_values)?;
        codec.field("projection_dim", &mut self.projection_dim)
    }
}

#[cfg(feature = "keras")]
impl Configured for CustomScaleLayer {
    const REQUIRED: &'static [&'static str] = &["scale"];

    fn template() -> Self {
        Self::new(1.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("scale", &mut self.scale)
    }
}

#[cfg(feature = "keras")]
impl Configured for StochasticDepth {
    const REQUIRED: &'static [&'static str] = &["drop_path_rate"];

    fn template() -> Self {
        Self::new(0.0)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("drop_path_rate", &mut self.drop_path_rate)
    }
}
