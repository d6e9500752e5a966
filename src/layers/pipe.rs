//! The pipe: R's composition of layers, `x |> layer_conv_2d(…)`, as `x | Conv2D::new(…)`.

use std::ops::BitOr;

use super::LayerConfig;
use crate::{Result, Tensor};

/// What came out of a pipe so far: a value, or the first error.
///
/// A layer piped to a [`Tensor`] is built for its channels and applied at once; piped to a
/// [`Sequential`](crate::model::Sequential) model it is added. [`finish`](Self::finish) ends the pipe.
///
/// ```no_run
/// use wgpu_conv::{Activation, Gpu, Tensor, layers::{Conv2D, DepthwiseConv2D}};
///
/// let gpu = Gpu::new()?;
/// let x = Tensor::from_slice(&gpu, [4, 10, 10, 12], &[0.5f32; 4800])?;
/// let y = (x | DepthwiseConv2D::new(3).activation(Activation::RELU) | Conv2D::new(5, 1)).finish()?;
/// assert_eq!(y.shape().dims(), [4, 8, 8, 5]);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "a pipe is ended by `finish`"]
pub struct Piped<T>(pub(crate) Result<T>);

impl<T> Piped<T> {
    /// The value at the end of the pipe.
    ///
    /// # Errors
    /// The first error of a layer in the pipe.
    pub fn finish(self) -> Result<T> {
        self.0
    }
}

impl LayerConfig {
    /// Builds the layer for `input`'s channels, on its device, and calls it once.
    ///
    /// # Errors
    /// Those of [`build`](Self::build) and [`Layer::call`](super::Layer::call).
    pub fn apply(&self, input: &Tensor) -> Result<Tensor> {
        self.build(input.gpu(), input.shape())?.call(input)
    }
}

impl<L: Into<LayerConfig>> BitOr<L> for &Tensor {
    type Output = Piped<Tensor>;

    fn bitor(self, layer: L) -> Piped<Tensor> {
        Piped(layer.into().apply(self))
    }
}

impl<L: Into<LayerConfig>> BitOr<L> for Tensor {
    type Output = Piped<Tensor>;

    fn bitor(self, layer: L) -> Piped<Tensor> {
        &self | layer
    }
}

impl<L: Into<LayerConfig>> BitOr<L> for Piped<Tensor> {
    type Output = Piped<Tensor>;

    fn bitor(self, layer: L) -> Piped<Tensor> {
        Piped(self.0.and_then(|input| layer.into().apply(&input)))
    }
}
