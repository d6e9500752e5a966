//! Steps whose results nothing reads (dead code elimination).
//!
//! Other rules leave such steps behind: when a convolution takes over the zeros around a picture (`pad`), nobody may
//! read the padded picture any more, and the step that writes it need not run.
//!
//! ```text
//! %1 = Move zeros around (%0)        goes
//! %2 = Conv(%0, kernel), padded      reads %0 itself since `pad`
//! ```

use super::{Rewriting, Rule, RuleOutcome};
use crate::Result;

pub(super) const RULE: Rule = Rule { name: "dead", apply };

/// Tried from the last step on: what only dead steps read is dead as well.
fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<RuleOutcome> {
    let (tape, uses) = (&*rewriting.tape, &rewriting.uses);
    let mut written = tape.steps[index].written().map(|value| tape.storage(value).0);
    let is_read = written.any(|storage| uses.reads[storage] > 0 || uses.outside[storage]);
    Ok(if is_read { RuleOutcome::Other } else { RuleOutcome::Gone })
}
