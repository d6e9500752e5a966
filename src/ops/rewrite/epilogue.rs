//! Activations in the store of the operation before (epilogue fusion).
//!
//! An activation by itself reads a whole tensor and writes another only to apply a function to each element. The
//! operation before has each of these elements in a register when it stores it, and can apply the function there.
//!
//! ```text
//! %1 = Conv(%0, kernel, bias)
//! %2 = Map relu (%1)            becomes   %2 = Conv(%0, kernel, bias), relu
//! ```

use super::{READ_ELSEWHERE, Rewriting, Rule, RuleOutcome};
use crate::Result;
use crate::plan::{BatchFunction, Elementwise, Operand, Problem};

pub(super) const RULE: Rule = Rule { name: "epilogue", apply };

fn apply(rewriting: &mut Rewriting<'_>, index: usize) -> Result<RuleOutcome> {
    let step = &rewriting.tape.steps[index];
    let Problem::Map(map) = step.problem else { return Ok(RuleOutcome::Other) };
    let Some(maker) = rewriting.maker(index, step.value(Operand::Input)) else {
        return Ok(RuleOutcome::Kept(READ_ELSEWHERE));
    };
    let written = step.written().next();
    let mut fused = rewriting.tape.steps[maker].clone();
    let activation = match &mut fused.problem {
        Problem::Conv(conv) => &mut conv.epilogue.activation,
        Problem::Binary(binary) => &mut binary.activation,
        Problem::BatchNormalize(batch) if batch.function == BatchFunction::Apply => &mut batch.activation,
        _ => return Ok(RuleOutcome::Kept("the operation before takes no activation")),
    };
    if *activation != Elementwise::LINEAR {
        return Ok(RuleOutcome::Kept("the operation before has an activation already"));
    }
    *activation = map.activation;
    written.into_iter().for_each(|output| fused.write(output));
    rewriting.put(maker, fused);
    Ok(RuleOutcome::Gone)
}
