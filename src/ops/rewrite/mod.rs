//! Rules that rewrite a tape so that less runs, while what it computes stays the same but for rounding.
//!
//! This is the optimiser of the library: operator fusion, constant folding and dead code elimination on the list of
//! steps. A layer writes what it means: a convolution, then a batch normalization, then an activation. On a device that
//! would be three launches, each reading and writing a whole picture. The rules here make one of them:
//!
//! | rule | what it does |
//! |---|---|
//! | `layout` | a network whose channels are first has them last inside |
//! | `pad` | a convolution of a picture with zeros around it reads the picture itself, with the zeros as padding |
//! | `dead` | a step whose results nothing reads goes |
//! | `fold` | a scale and a shift of each channel go into the kernel and the bias of the convolution before |
//! | `epilogue` | an activation goes into the store of the operation that makes its input |
//! | `residual` | an addition goes into the store of a convolution that makes one of its sides |
//! | `one_pass` | a depthwise convolution and the pointwise one behind it become one step |
//!
//! Other compilers have the same: `dead` is dead code elimination, `fold` is constant folding, `epilogue` and
//! `residual` are epilogue fusion, `pad` and `one_pass` are operator fusion, `layout` is layout propagation.
//!
//! `layout` goes over the whole tape, before all others, and adds steps so that the others run faster. Each other rule looks at
//! one step at a time. It takes the step away, changes it, leaves it for a reason that it gives, or is not about such steps.
//! Two steps become one only where nothing else reads what lies between them.
//!
//! A program takes them all ([`of_program`]), the call of a single layer those that keep its steps apart ([`of_call`]).
//! What a rule did, and why it left a step that it could have taken, is logged at level `debug` under
//! `wgpu_conv::ops::rewrite`.

mod dead;
mod epilogue;
mod fold;
mod layout;
mod one_pass;
mod pad;
mod residual;

use std::fmt;

pub(crate) use fold::Folded;

use super::{Step, Tape, Value};
use crate::plan::SeparableProblem;
use crate::{Gpu, Result};

/// A rule by name, and what it does to the step of an index.
struct Rule {
    name: &'static str,
    apply: fn(&mut Rewriting<'_>, usize) -> Result<RuleOutcome>,
}

/// What came of a rule at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RuleOutcome {
    /// Another step does its work: it is to be taken away.
    Gone,
    /// It is another step now.
    Changed,
    /// It stays what it is, for this reason.
    Kept(&'static str),
    /// The rule is not about such steps.
    Other,
}

/// A tape that is being rewritten: steps are changed by [`put`](Self::put) alone, which counts what they read and write.
struct Rewriting<'a> {
    tape: &'a mut Tape,
    uses: Uses,
    folded: &'a mut Folded,
    /// Whether two convolutions are to be taken in one pass, the larger of whose tensors has so many bytes.
    takes_one_pass: &'a dyn Fn(&SeparableProblem, u64) -> Result<bool>,
}

/// How often steps read and write each storage, kept up to date so that no rule has to look through all of them.
struct Uses {
    reads: Vec<usize>,
    writes: Vec<usize>,
    /// Whether somebody outside reads or has written it.
    outside: Vec<bool>,
}

impl Uses {
    fn of(tape: &Tape, outputs: &[Value]) -> Self {
        let (count, mut outside) = (tape.storages(), vec![false; tape.storages()]);
        let variables = tape.variables().iter().map(|(_, value)| value);
        for value in outputs.iter().chain(tape.inputs()).chain(variables) {
            outside[tape.storage(*value).0] = true;
        }
        let mut uses = Self { reads: vec![0; count], writes: vec![0; count], outside };
        tape.steps.iter().for_each(|step| uses.count(tape, step, true));
        uses
    }

    /// Counts a step that is new, or no longer one that is gone.
    fn count(&mut self, tape: &Tape, step: &Step, is_new: bool) {
        let count = |of: &mut usize| if is_new { *of += 1 } else { *of -= 1 };
        step.values_read().for_each(|(_, value)| count(&mut self.reads[tape.storage(value).0]));
        step.written().for_each(|value| count(&mut self.writes[tape.storage(value).0]));
    }
}

/// Why a step cannot take the work of the next.
const READ_ELSEWHERE: &str = "what it reads is read elsewhere too, or comes from outside";

/// Rewrites the tape of a program, whose results are `outputs`.
pub(crate) fn of_program(tape: &mut Tape, gpu: &Gpu, outputs: &[Value], folded: &mut Folded) -> Result<()> {
    layout::apply(tape, outputs, gpu.caps().max_binding)?;
    Rewriting::new(tape, outputs, folded, &takes_one_pass(gpu)).of_program()
}

/// Rewrites the tape of one call, whose results are `outputs`.
pub(crate) fn of_call(tape: &mut Tape, gpu: &Gpu, outputs: &[Value]) -> Result<()> {
    let (folded, takes_one_pass) = (&mut Folded::default(), takes_one_pass(gpu));
    let mut rewriting = Rewriting::new(tape, outputs, folded, &takes_one_pass);
    rewriting.each(&[epilogue::RULE])?;
    rewriting.each(&[one_pass::RULE])
}

/// Rewrites the tape of a description, which knows no device, whose results are `outputs`: what a call computes of it, but for
/// convolutions in one pass.
pub(crate) fn of_description(tape: &mut Tape, outputs: &[Value]) -> Result<()> {
    let (folded, takes_one_pass) = (&mut Folded::default(), &|_: &SeparableProblem, _: u64| Ok(false));
    Rewriting::new(tape, outputs, folded, takes_one_pass).each(&[epilogue::RULE])
}

/// Whether `gpu` is to take two convolutions in one pass: by its tuning, and where no tensor has to be split for a binding.
fn takes_one_pass(gpu: &Gpu) -> impl Fn(&SeparableProblem, u64) -> Result<bool> {
    |problem, bytes| Ok(bytes <= gpu.caps().max_binding && gpu.takes_one_pass(problem)?)
}

impl<'a> Rewriting<'a> {
    fn new(
        tape: &'a mut Tape,
        outputs: &[Value],
        folded: &'a mut Folded,
        takes_one_pass: &'a dyn Fn(&SeparableProblem, u64) -> Result<bool>,
    ) -> Self {
        let uses = Uses::of(tape, outputs);
        Self { tape, uses, folded, takes_one_pass }
    }

    fn of_program(&mut self) -> Result<()> {
        self.each(&[pad::RULE])?;
        self.each_from_the_end(&[dead::RULE])?;
        self.each(&[fold::RULE, epilogue::RULE, residual::RULE])?;
        self.each(&[one_pass::RULE])
    }

    /// Tries the rules on every step, from the first on.
    fn each(&mut self, rules: &[Rule]) -> Result<()> {
        // Those that stay move up, so that rules find them without gaps; what is gone lies behind them.
        let mut kept = 0;
        for index in 0..self.tape.steps.len() {
            self.tape.steps.swap(kept, index);
            kept += usize::from(!self.try_on(rules, kept)?);
        }
        self.tape.steps.truncate(kept);
        Ok(())
    }

    /// Tries the rules on every step, from the last on.
    fn each_from_the_end(&mut self, rules: &[Rule]) -> Result<()> {
        let mut stays = vec![true; self.tape.steps.len()];
        for index in (0..stays.len()).rev() {
            stays[index] = !self.try_on(rules, index)?;
        }
        let mut stays = stays.into_iter();
        self.tape.steps.retain(|_| stays.next().unwrap_or(true));
        Ok(())
    }

    /// Tries one rule after the other on a step, until one takes it; tells whether the step is gone.
    fn try_on(&mut self, rules: &[Rule], index: usize) -> Result<bool> {
        for rule in rules {
            let step = self.tape.steps[index].label();
            let outcome = (rule.apply)(self, index)?;
            if outcome != RuleOutcome::Other {
                log::debug!("{}: {step} {outcome}", rule.name);
            }
            match outcome {
                RuleOutcome::Gone => {
                    self.uses.count(self.tape, &self.tape.steps[index], false);
                    return Ok(true);
                }
                RuleOutcome::Changed => return Ok(false),
                RuleOutcome::Kept(_) | RuleOutcome::Other => {}
            }
        }
        Ok(false)
    }

    /// Puts `step` in the place of the step `index`.
    fn put(&mut self, index: usize, step: Step) {
        self.uses.count(self.tape, &self.tape.steps[index], false);
        self.uses.count(self.tape, &step, true);
        self.tape.steps[index] = step;
    }

    /// The step before `index` that alone writes what step `index` reads as `value`, all of it, where that alone reads it and
    /// nothing outside does.
    fn maker(&self, index: usize, value: Option<Value>) -> Option<usize> {
        let storage = self.tape.storage(value?);
        let Uses { reads, writes, outside } = &self.uses;
        if outside[storage.0] || reads[storage.0] != 1 || writes[storage.0] != 1 {
            return None;
        }
        let writes = |step: &Step| step.written().any(|value| self.tape.storage(value) == storage);
        self.tape.steps[..index].iter().rposition(writes)
    }
}

impl fmt::Display for RuleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("is done by another step"),
            Self::Changed => f.write_str("is rewritten"),
            Self::Kept(why) => write!(f, "stays: {why}"),
            Self::Other => f.write_str("is no such step"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ops::{
        ConvArgs, Kernel, Numbers, Target, ZeroPadded, activate, batch_normalize, conv, gradient, scale_and_shift, two,
    };
    use crate::plan::{BatchFunction, BinaryFunction, Direction, Elementwise, MapProblem, Operand, Problem};
    use crate::{Activation, Axis, ConvGeometry, DType, DataFormat};

    /// The outcomes of every rule on every step, in order, those of other rules' steps left out.
    fn rewritten(tape: &mut Tape, outputs: &[Value]) {
        let (folded, takes_one_pass) = (&mut Folded::default(), &|_: &SeparableProblem, _: u64| Ok(true));
        Rewriting::new(tape, outputs, folded, takes_one_pass).of_program().unwrap();
    }

    fn kernel(shape: &[usize], value: f32) -> Arc<Kernel> {
        let values = vec![value; shape.iter().product()];
        Kernel::of_values(shape, values, Numbers::EXACT)
    }

    /// A 3×3 convolution of 4 to 4 channels, without a bias.
    fn convolved(tape: &mut Tape, input: Value) -> Value {
        let [height, width] = [1, 2].map(|axis| tape.shape(input).dims()[axis] as u32);
        let axis = |input: u32| Axis { input, output: input - 2, kernel: 3, stride: 1, dilation: 1, pad_before: 0 };
        let geometry = ConvGeometry::new(2, 1, [4, 4], [Axis::UNIT, axis(height), axis(width)]).unwrap();
        let (data_format, activation) = (DataFormat::ChannelsLast, Activation::Linear);
        let args = ConvArgs { geometry, direction: Direction::Forward, data_format, activation };
        conv::<2>(tape, &args, input, &kernel(&[3, 3, 4, 4], 3.0), None).unwrap()
    }

    fn normalized(tape: &mut Tape, input: Value) -> Value {
        scale_and_shift(tape, -1, input, &kernel(&[4], 2.0), Some(&kernel(&[4], 5.0))).unwrap()
    }

    fn input(tape: &mut Tape) -> Value {
        tape.input([2, 9, 7, 4].into(), DType::F32).unwrap()
    }

    fn added(tape: &mut Tape, left: Value, right: Value) -> Value {
        two(tape, BinaryFunction::Add, left, right).unwrap()
    }

    /// The convolutions that are left, each with whether it adds a residual, and whether it ends with an activation.
    fn convolutions(tape: &Tape) -> Vec<(bool, bool)> {
        let problems = tape.steps.iter().map(|step| step.problem);
        problems
            .map(|problem| match problem {
                Problem::Conv(conv) => (conv.epilogue.residual, conv.epilogue.activation != Elementwise::LINEAR),
                other => panic!("{other:?} is left"),
            })
            .collect()
    }

    #[test]
    fn a_residual_block_is_its_convolutions() {
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let shortcut = convolved(&mut tape, x);
        let shortcut = normalized(&mut tape, shortcut);
        let branch = convolved(&mut tape, x);
        let branch = normalized(&mut tape, branch);
        let sum = added(&mut tape, shortcut, branch);
        let y = activate(&mut tape, &Activation::RELU, sum).unwrap();
        rewritten(&mut tape, &[y]);
        assert_eq!(convolutions(&tape), [(false, false), (true, true)]);
        let last = &tape.steps[1];
        let storage = |value: Option<Value>| tape.storage(value.unwrap());
        assert_eq!(storage(last.written().next()), tape.storage(y));
        assert_eq!(storage(last.value(Operand::Other)), storage(tape.steps[0].written().next()));
        for step in &tape.steps {
            let shapes = [Operand::Kernel, Operand::Bias].map(|operand| step.constant(operand).unwrap().shape());
            assert_eq!(shapes, [&[3, 3, 4, 4].into(), &[4].into()]);
        }
    }

    /// Four ways over the elements: statistics, the result with its activation, the sums, the gradient.
    #[test]
    fn an_activation_behind_a_batch_normalization_costs_no_way_of_its_own() {
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let normalized = batch_normalize(&mut tape, 1e-3, [126, 4, 1], x, [None, None]).unwrap().output;
        let y = activate(&mut tape, &Activation::RELU, normalized).unwrap();
        let behind = input(&mut tape);
        let mut seen = tape.clone();
        let by_x = gradient(&mut tape, &[(y, behind)], &[Target::Value(x)]).unwrap()[0];
        rewritten(&mut tape, &[y, by_x]);
        let ways = |tape: &Tape| -> Vec<_> {
            let of = |step: &Step| match step.problem {
                Problem::BatchNormalize(batch) => Some((batch.function, batch.activation != Elementwise::LINEAR)),
                _ => None,
            };
            tape.steps.iter().map(of).collect()
        };
        use BatchFunction::{Apply, Gradient, Moments, Sums};
        let all = [(Moments, false), (Apply, true), (Sums, true), (Gradient, true)];
        assert_eq!(ways(&tape), all.map(Some));
        // Where somebody reads what the activation is given, or gives it a gradient too, both stay apart.
        let by_x = gradient(&mut seen, &[(y, behind), (normalized, behind)], &[Target::Value(x)]).unwrap()[0];
        rewritten(&mut seen, &[normalized, y, by_x]);
        let apart = ways(&seen).into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(apart, [Moments, Apply, Sums, Gradient].map(|function| (function, false)));
    }

    #[test]
    fn what_somebody_else_reads_stays() {
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let first = convolved(&mut tape, x);
        let y = activate(&mut tape, &Activation::RELU, first).unwrap();
        let mut seen = tape.clone();
        rewritten(&mut tape, &[y]);
        assert_eq!(convolutions(&tape), [(false, true)]);
        rewritten(&mut seen, &[first, y]);
        assert_eq!(seen.steps.len(), 2, "an output keeps its own values");
        // A value added to itself is read twice by one step.
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let once = convolved(&mut tape, x);
        let twice = added(&mut tape, once, once);
        rewritten(&mut tape, &[twice]);
        assert_eq!(tape.steps.len(), 2);
    }

    /// `source` with two rows above it, one below and a column after it.
    fn padded(tape: &mut Tape, source: Value) -> Value {
        let padded = tape.uninitialized([2, 12, 8, 4].into(), DType::F32).unwrap();
        let padding = MapProblem { elements: 768, dtype: DType::F32, activation: Elementwise::LINEAR };
        tape.step_into(Problem::Map(padding), source, padded);
        let (from, to, before) = ([1, 9, 7], [1, 12, 8], [0, 2, 0]);
        tape.note_pad(ZeroPadded {
            padded,
            source,
            data_format: DataFormat::ChannelsLast,
            batch: 2,
            channels: 4,
            from,
            to,
            before,
        });
        padded
    }

    #[test]
    fn padding_stays_before_what_sees_no_picture() {
        let mut tape = Tape::default();
        let source = input(&mut tape);
        let picture = padded(&mut tape, source);
        let y = normalized(&mut tape, picture);
        rewritten(&mut tape, &[y]);
        assert_eq!(tape.steps.len(), 2);
        assert_eq!(tape.steps[1].value(Operand::Input), Some(picture));
    }

    #[test]
    fn padding_goes_into_the_convolution() {
        let mut tape = Tape::default();
        let source = input(&mut tape);
        let picture = padded(&mut tape, source);
        let y = convolved(&mut tape, picture);
        rewritten(&mut tape, &[y]);
        let [step] = &tape.steps[..] else { panic!("{} steps", tape.steps.len()) };
        let Problem::Conv(conv) = step.problem else { panic!("{:?}", step.problem) };
        let [_, height, width] = conv.geometry.axes;
        assert_eq!((height.input, height.output, height.pad_before), (9, 10, 2));
        assert_eq!((width.input, width.output, width.pad_before), (7, 6, 0));
        assert_eq!(step.value(Operand::Input), Some(source));
    }

    /// What a rule makes of the last step.
    fn outcome(rule: &Rule, tape: &mut Tape, outputs: &[Value]) -> RuleOutcome {
        let (folded, takes_one_pass) = (&mut Folded::default(), &|_: &SeparableProblem, _: u64| Ok(true));
        let index = tape.steps.len() - 1;
        (rule.apply)(&mut Rewriting::new(tape, outputs, folded, takes_one_pass), index).unwrap()
    }

    #[test]
    fn a_rule_says_why_it_leaves_a_step() {
        let kept = |why| RuleOutcome::Kept(why);
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let alone = normalized(&mut tape, x);
        assert_eq!(outcome(&fold::RULE, &mut tape, &[alone]), kept(READ_ELSEWHERE));
        let active = activate(&mut tape, &Activation::RELU, alone).unwrap();
        assert_eq!(outcome(&fold::RULE, &mut tape.clone(), &[active]), RuleOutcome::Other);
        assert_eq!(outcome(&epilogue::RULE, &mut tape.clone(), &[alone, active]), kept(READ_ELSEWHERE));
        assert_eq!(outcome(&epilogue::RULE, &mut tape.clone(), &[active]), RuleOutcome::Gone);
        let again = activate(&mut tape, &Activation::Tanh, active).unwrap();
        let why = "the operation before takes no activation";
        assert_eq!(outcome(&epilogue::RULE, &mut tape.clone(), &[again]), kept(why));
        let sum = added(&mut tape, active, again);
        let why = "no side is made for it alone by a convolution that can add it";
        assert_eq!(outcome(&residual::RULE, &mut tape.clone(), &[sum]), kept(why));
        assert_eq!(outcome(&dead::RULE, &mut tape.clone(), &[again]), RuleOutcome::Gone);
        assert_eq!(outcome(&dead::RULE, &mut tape, &[sum]), RuleOutcome::Other);
    }
}
