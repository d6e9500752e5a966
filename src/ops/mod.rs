//! Operations: tensors in, a recorded tensor out. What to launch is chosen here; how, below.
//!
//! # Recipe: add an operation
//! 1. Its record in `geometry.rs`, if its shapes are new.
//! 2. A variant of [`Problem`]; the compiler shows the menu.
//! 3. `ops/<name>.rs`.
//! 4. At least one kernel (`kernels/mod.rs` has that recipe).
//! 5. Its rows in `tests/common/reference.rs` and `tests/candidates.rs`.

mod conv;
mod elementwise;
mod reduce;

pub(crate) use conv::{ConvArgs, Kernel, conv};
pub(crate) use elementwise::{activate, cast};
pub(crate) use reduce::mean;

use crate::gpu::{Commands, Operands};
use crate::plan::Problem;
use crate::{Result, Tensor};

/// Records the plan of a problem that has only an input.
fn unary(commands: &mut Commands, problem: &Problem, input: &Tensor, output: &Tensor) -> Result<()> {
    if output.is_empty() {
        return Ok(());
    }
    let plan = commands.gpu().plan(problem)?;
    let (input, output) = (input.binding(), output.binding());
    commands.record(&plan, &Operands { input: &input, kernel: None, bias: None, output: &output })
}
