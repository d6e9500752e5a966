//! Activations by themselves, and changes of type.

use super::reduce::along_axis;
use super::unary;
use crate::gpu::Commands;
use crate::plan::{AxisFunction, CastProblem, Elementwise, MapProblem, Problem};
use crate::{Activation, DType, Result, Rounding, Tensor};

/// `activation(input)`.
pub(crate) fn activate(commands: &mut Commands, activation: &Activation, input: &Tensor) -> Result<Tensor> {
    if let (Some(function), Some(axis)) = (AxisFunction::new(activation), activation.axis()) {
        return along_axis(commands, function, axis, input);
    }
    match Elementwise::new(activation) {
        None | Some(Elementwise::LINEAR) => Ok(input.clone()),
        Some(activation) => {
            let output = Tensor::uninitialized(input.gpu(), input.shape().clone(), input.dtype())?;
            let problem = MapProblem { elements: input.elements(), dtype: input.dtype(), activation };
            unary(commands, &Problem::Map(problem), input, &output)?;
            Ok(output)
        }
    }
}

/// `input` as `dtype`, rounded to a narrower format on the way where `rounding` asks for it.
pub(crate) fn cast(
    commands: &mut Commands,
    dtype: DType,
    rounding: Option<Rounding>,
    input: &Tensor,
) -> Result<Tensor> {
    if input.dtype() == dtype && rounding.is_none() {
        return Ok(input.clone());
    }
    let output = Tensor::uninitialized(input.gpu(), input.shape().clone(), dtype)?;
    let problem = CastProblem { elements: input.elements(), from: input.dtype(), to: dtype, rounding };
    unary(commands, &Problem::Cast(problem), input, &output)?;
    Ok(output)
}
