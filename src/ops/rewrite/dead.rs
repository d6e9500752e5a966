//! Steps whose results nothing reads (dead code elimination).
//!
//! Other rules leave such steps behind: when a convolution takes over the zeros around a picture (`pad`), nobody may
//! read the padded picture any more, and the step that writes it need not run.
//!
//! ```text
//! %1 = Move zeros around (%0)        goes
//! %2 = Conv(%0, kernel), padded      reads %0 itself since `pad`
//! ```

use super::{Outcome, Rewriting, Rule};
use crate::Result;

pub(super) const RULE: Rule = Rule { name: "dead", apply };

/// Tried from the last step on: what only dead steps read is dead as well.
fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<Outcome> {
    let tape = &*rewriting.tape;
    let written = || tape.steps[index].written().map(|value| tape.storage(value));
    let later = tape.steps[index + 1..].iter().flat_map(|step| step.values_read().map(|(_, value)| value));
    let kept = rewriting.outputs.iter().copied().chain(tape.variables().iter().map(|(_, value)| *value));
    let mut read = later.chain(kept).map(|value| tape.storage(value));
    Ok(if read.any(|storage| written().any(|other| other == storage)) { Outcome::Other } else { Outcome::Gone })
}
