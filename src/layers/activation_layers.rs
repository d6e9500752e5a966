//! LeakyReLU, ELU and Softmax: activations with a parameter, as layers.

use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common, leaky};
use super::describe::Describe;
use super::mask::masked_scores;
use crate::ops::{self, Kernel, Tape, Value};
use crate::{Activation, Error, PartialShape, Result, Settings};

/// A layer that is an activation with one parameter.
macro_rules! activation_layer {
    (
        $(#[$doc:meta])* $layer:ident { $(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr }
        => $variant:ident $(, at least $least:literal)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $layer {
            /// Name, trainability and types.
            pub common: Common,
            $(#[$field_doc])*
            pub $field: $type,
        }

        common_setters!($layer, common);

        impl Default for $layer {
            fn default() -> Self {
                Self { common: Common::new(&Settings::current()), $field: $default }
            }
        }

        impl $layer {
            /// A layer with Keras's default.
            pub fn new() -> Self {
                Self::default()
            }

            $(#[$field_doc])*
            pub fn $field(mut self, $field: $type) -> Self {
                self.$field = $field;
                self
            }

            /// The output shape for `input`: the same.
            ///
            /// # Errors
            /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or
            /// `input`.
            pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
                self.validate()?;
                super::activated_shape(&self.activation(), &input.into())
            }

            /// What it computes.
            pub(crate) fn activation(&self) -> Activation {
                Activation::$variant { $field: self.$field }
            }
        }

        impl Describe for $layer {
            fn common(&self) -> &Common {
                &self.common
            }

            fn passes_mask(&self) -> bool {
                true
            }

            fn validate(&self) -> Result<()> {
                self.common.validate()?;
                $(if self.$field < $least {
                    return Err(Error::invalid(
                        stringify!($field),
                        concat!("`", stringify!($field), "` of a ", stringify!($layer), " layer must not be negative"),
                        format!(concat!(stringify!($field), "={}"), self.$field),
                    ));
                })?
                self.activation().validate()
            }

            fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
                self.output_shape(&inputs[0])
            }

            fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
                let activation = self.activation();
                let input = match tape.mask(inputs[0]) {
                    Some(mask) if activation.axis().is_some() => masked(tape, inputs[0], mask)?,
                    _ => inputs[0],
                };
                ops::activate(tape, &activation, input)
            }
        }
    };
}

/// The `input` of a softmax, whose masked elements are to have no share.
///
/// # Errors
/// [`Error::Invalid`] where the mask has other axes than the input: Keras refuses it, too.
fn masked(tape: &mut Tape, input: Value, mask: Value) -> Result<Value> {
    if tape.shape(mask).rank() == tape.shape(input).rank() {
        return masked_scores(tape, input, mask);
    }
    Err(Error::invalid(
        "mask",
        "the mask that the input of a Softmax carries must have its axes; use an Activation, which takes no mask",
        format!("mask shape={}, input shape={}", tape.shape(mask), tape.shape(input)),
    ))
}

activation_layer!(
    /// The rectifier with a slope below 0: `x > 0 ? x : negative_slope · x`.
    ///
    /// # Shapes
    /// Input and output of the same shape, of any rank.
    ///
    /// ```
    /// use wgpu_conv::layers::LeakyReLU;
    ///
    /// assert_eq!(LeakyReLU::new().negative_slope, 0.3);
    /// assert!(LeakyReLU::new().negative_slope(-1.0).output_shape([2, 5]).is_err());
    /// ```
    LeakyReLU {
        /// The slope below 0, not negative; 0.3 by default, unlike the activation's 0.2 (A2).
        negative_slope: f32 = 0.3
    } => LeakyRelu, at least 0.0
);

activation_layer!(
    /// `x > 0 ? x : alpha · (eˣ − 1)`.
    ///
    /// # Shapes
    /// Input and output of the same shape, of any rank.
    ///
    /// ```
    /// use wgpu_conv::layers::ELU;
    ///
    /// assert_eq!(ELU::new().alpha(0.5).output_shape([None, Some(7)])?.to_string(), "(None, 7)");
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    ELU {
        /// The value towards −∞ is `−alpha`; 1 by default.
        alpha: f32 = 1.0
    } => Elu
);

activation_layer!(
    /// `e^{x − max} / Σ e^{x − max}` along an axis.
    ///
    /// # Shapes
    /// Input and output of the same shape.
    ///
    /// ```
    /// use wgpu_conv::layers::Softmax;
    ///
    /// assert_eq!(Softmax::new().axis(1).output_shape([2, 10, 3])?.to_string(), "(2, 10, 3)");
    /// assert!(Softmax::new().axis(3).output_shape([2, 10, 3]).is_err());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    Softmax {
        /// The axis, negative ones counted from the end; −1 by default.
        axis: i32 = -1
    } => Softmax
);

#[cfg(feature = "keras")]
impl Configured for ELU {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("alpha", &mut self.alpha)
    }
}

#[cfg(feature = "keras")]
impl Configured for LeakyReLU {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        leaky(codec, &mut self.negative_slope)
    }
}

#[cfg(feature = "keras")]
impl Configured for Softmax {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("axis", &mut self.axis)
    }
}
