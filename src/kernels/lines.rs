//! Long lines of values in parts: what is known of a line (its mean, its largest value, …) is computed by many
//! invocations, each of which takes a part, and then by fewer that take the parts, until there is one. No invocation
//! runs long, however long the line.
//!
//! This is a tree reduction over several launches. A mean over a whole large image has one line of millions of values:
//! one workgroup would leave the rest of a GPU idle (occupancy), and one invocation would run longer than drivers
//! allow. What a softmax or a normalisation wants to know of a line is found so, and a last launch then writes every
//! value.
//!
//! ```text
//! 1 000 000 values  →  977 parts  →  1 sum
//! ```

use super::long_sums::Round;
use super::{WORKGROUP, item_count, workgroups};
use crate::plan::{Binding, Caps, Constant, Dispatch, INDEX, LARGEST, Operand, Part, Plan, Shader, params, part};
use crate::{DType, Error, Result};

/// Logarithms of sums.
pub(super) const LOGARITHM: Part = part!("lib/logarithm.wgsl");
/// Most values of a part.
const PART: u64 = 1024;
/// Values of a line from which parts are on the menu.
const LONG: u64 = 4096;
/// Values of a line from which hardware computes few lines in parts first: one workgroup leaves most of a GPU idle.
const VERY_LONG: u64 = 1 << 16;
/// Lines that are few.
const FEW: u64 = 64;

params! {
    /// The uniform block of `line_parts.wgsl` and of the shaders that write what it has found of lines.
    LineParams {
        /// Invocations with work to do.
        items,
        /// Parts of each line.
        parts,
        spread,
        groups,
        extent,
        /// Values of a line of the input.
        total,
        /// The bits of epsilon.
        epsilon,
        spread_step,
        group_step,
        run,
        /// Lines of the output before the first that is computed.
        first,
    }
}

/// Lines (o, g) of `[outer, spread, groups, extent]`, each of all its spread and extent.
#[derive(Clone, Copy)]
pub(super) struct Lines {
    pub(super) outer: u32,
    pub(super) spread: u32,
    pub(super) groups: u32,
    pub(super) extent: u32,
}

/// What is taken of each value; `line_parts.wgsl` has the formulas.
#[derive(Clone, Copy)]
pub(super) enum LineTerm {
    Value,
    Square,
    Magnitude,
    Exponential,
    Largest,
    Smallest,
}

/// What is made of the sum.
#[derive(Clone, Copy)]
pub(super) enum Finish {
    Nothing,
    Mean,
    Root,
    Logarithm,
    ShiftedLogarithm,
    Finite,
}

/// A launch on lines by a shader of its own.
struct Own<'a> {
    parts: &'a [Part],
    constants: &'a [(&'static str, Constant)],
    /// Invocations.
    items: u64,
    turns: u64,
}

impl Lines {
    /// How many there are.
    fn count(self) -> u64 {
        u64::from(self.outer) * u64::from(self.groups)
    }

    /// Values of each.
    fn length(self) -> u64 {
        u64::from(self.spread) * u64::from(self.extent)
    }

    /// Puts a plan in parts where it belongs among those that compute a line in one go.
    pub(super) fn insert(self, parts: Plan, plans: &mut Vec<Plan>, caps: &Caps) {
        let first = !caps.software && self.length() >= VERY_LONG && self.count() < FEW;
        // A processor pays for barriers: the first of its plans is that of an invocation for each line.
        let at = if first {
            0
        } else if caps.software {
            plans.len().min(1)
        } else {
            plans.len()
        };
        plans.insert(at, parts);
    }
}

/// The launch by which the first scratch buffer, `[parts, outputs]` of a round of [long sums](super::long_sums), becomes the
/// outputs of the round: the sum of the parts of each, or the largest.
pub(super) fn combine(parts: u32, round: Round, term: LineTerm, dtype: DType, caps: &Caps) -> Result<Dispatch> {
    let lines = Lines { outer: 1, spread: parts, groups: item_count(round.outputs)?, extent: 1 };
    let launches = InParts { first: item_count(round.first)?, ..InParts::new(lines, dtype, caps) };
    let tensors = [(Operand::Scratch(0), DType::F32), (Operand::Output, dtype)];
    launches.launch(lines, 1, tensors, term, None, Finish::Nothing)
}

/// The launches of a plan in parts, one after the other.
pub(super) struct InParts<'a> {
    lines: Lines,
    /// Lines of the output before them.
    first: u32,
    dtype: DType,
    caps: &'a Caps,
    steps: Vec<Dispatch>,
    scratch: Vec<u64>,
}

impl<'a> InParts<'a> {
    /// Nothing launched yet; `None` where the lines are too short for parts to be of use.
    pub(super) fn of(lines: Lines, dtype: DType, caps: &'a Caps) -> Option<Self> {
        (lines.length() >= LONG && lines.count() > 0).then(|| Self::new(lines, dtype, caps))
    }

    fn new(lines: Lines, dtype: DType, caps: &'a Caps) -> Self {
        Self { lines, first: 0, dtype, caps, steps: Vec::new(), scratch: Vec::new() }
    }

    /// A scratch buffer of `elements` f32.
    fn scratch(&mut self, elements: u64) -> Result<Operand> {
        let bytes = 4 * elements;
        if bytes > self.caps.max_binding {
            return Err(Error::limit("bytes of one storage binding", bytes, self.caps.max_binding));
        }
        self.scratch.push(bytes);
        Ok(Operand::Scratch(self.scratch.len() - 1))
    }

    /// Computes a statistic of every line into a scratch buffer, which is returned, or into `output`; `shift` is one that was
    /// computed before.
    pub(super) fn statistic(
        &mut self,
        term: LineTerm,
        shift: Option<Operand>,
        finish: Finish,
        output: Option<Operand>,
    ) -> Result<Operand> {
        let mut lines = self.lines;
        let (mut input, mut dtype, mut term) = (Operand::Input, self.dtype, term);
        loop {
            let parts = lines.length().div_ceil(PART);
            let last = parts == 1;
            let (written, out) = match output {
                Some(output) if last => (output, self.dtype),
                _ => (self.scratch(lines.count() * parts)?, DType::F32),
            };
            let shifted = shift.filter(|_| match (term, finish) {
                (LineTerm::Square | LineTerm::Exponential, _) => true,
                (_, Finish::ShiftedLogarithm) => last,
                _ => false,
            });
            let finish = if last { finish } else { Finish::Nothing };
            let step = self.launch(lines, parts, [(input, dtype), (written, out)], term, shifted, finish)?;
            self.steps.push(step);
            if last {
                return Ok(written);
            }
            lines = Lines { outer: item_count(lines.count())?, spread: 1, groups: 1, extent: item_count(parts)? };
            (input, dtype) = (written, DType::F32);
            if !matches!(term, LineTerm::Largest | LineTerm::Smallest) {
                term = LineTerm::Value;
            }
        }
    }

    fn launch(
        &self,
        lines: Lines,
        parts: u64,
        [(input, dtype), (output, out)]: [(Operand, DType); 2],
        term: LineTerm,
        shift: Option<Operand>,
        finish: Finish,
    ) -> Result<Dispatch> {
        let items = lines.count() * parts;
        let mut bindings = vec![Binding::Read(input), Binding::Write(output)];
        bindings.extend(shift.map(Binding::Read));
        let shifted = if shift.is_some() { part!("lib/line_shift.wgsl") } else { part!("lib/line_shift_none.wgsl") };
        Ok(Dispatch {
            shader: Shader {
                params: LineParams::WGSL,
                activation: None,
                constants: vec![
                    ("WORKGROUP", Constant::U32(WORKGROUP)),
                    ("TERM", Constant::U32(term as u32)),
                    ("FINISH", Constant::U32(finish as u32)),
                    ("DENSE", Constant::Bool(lines.extent > 1 || lines.groups == 1)),
                    ("Elem", Constant::Type(dtype.name(), 1)),
                    ("Out", Constant::Type(out.name(), 1)),
                    ("Acc", Constant::Type("f32", 1)),
                    ("AccBits", Constant::Type("u32", 1)),
                ],
                parts: vec![INDEX, LARGEST, LOGARITHM, shifted, part!("line_parts.wgsl")],
            },
            params: LineParams { parts: item_count(parts)?, ..self.params(lines, items)? }.words(),
            workgroups: workgroups(items, self.caps)?,
            bindings,
            turns: lines.length().div_ceil(parts),
        })
    }

    /// The uniform block of a launch of `items` over `lines`.
    fn params(&self, lines: Lines, items: u64) -> Result<LineParams> {
        let Lines { spread, groups, extent, .. } = lines;
        let (items, total) = (item_count(items)?, item_count(self.lines.length())?);
        let first = self.first;
        Ok(LineParams { items, parts: 1, spread, groups, extent, total, first, ..LineParams::default() })
    }

    /// Finds the threshold of sparsemax for every line, relative to its `largest` value, in as many `passes` over it.
    pub(super) fn sparsemax_threshold(&mut self, largest: Operand, passes: u32) -> Result<Operand> {
        let (lines, length) = (self.lines.count(), self.lines.length());
        let parts = length.div_ceil(PART.max(length.isqrt()));
        let shares = self.scratch(2 * lines * parts)?;
        let threshold = self.scratch(lines)?;
        for pass in 0..passes {
            let first = [("FIRST", Constant::Bool(pass == 0))];
            let with_parts = |params| LineParams { parts: parts as u32, ..params };
            let above = Own {
                parts: &[part!("sparsemax_parts.wgsl")],
                constants: &first,
                items: lines * parts,
                turns: length.div_ceil(parts),
            };
            let read = [Operand::Input, largest, threshold].map(Binding::Read);
            self.step(above, [&read[..1], &[Binding::Write(shares)], &read[1..]].concat(), with_parts)?;
            let next =
                Own { parts: &[part!("sparsemax_threshold.wgsl")], constants: &first, items: lines, turns: parts };
            self.step(next, vec![Binding::Read(shares), Binding::Write(threshold)], with_parts)?;
        }
        Ok(threshold)
    }

    /// Writes every value of the output by a shader of its own, which has `bindings`; `params` completes its uniform block.
    pub(super) fn write(
        &mut self,
        parts: &[Part],
        constants: &[(&'static str, Constant)],
        bindings: Vec<Binding>,
        params: impl FnOnce(LineParams) -> LineParams,
    ) -> Result<()> {
        let items = self.lines.count() * self.lines.length();
        self.step(Own { parts, constants, items, turns: 0 }, bindings, params)
    }

    fn step(
        &mut self,
        Own { parts, constants, items, turns }: Own<'_>,
        bindings: Vec<Binding>,
        params: impl FnOnce(LineParams) -> LineParams,
    ) -> Result<()> {
        let shared = [
            ("WORKGROUP", Constant::U32(WORKGROUP)),
            ("Elem", Constant::Type(self.dtype.name(), 1)),
            ("Acc", Constant::Type("f32", 1)),
            ("AccBits", Constant::Type("u32", 1)),
        ];
        self.steps.push(Dispatch {
            shader: Shader {
                params: LineParams::WGSL,
                activation: None,
                constants: [&shared, constants].concat(),
                parts: [&[INDEX, LARGEST], parts].concat(),
            },
            params: params(self.params(self.lines, items)?).words(),
            workgroups: workgroups(items, self.caps)?,
            bindings,
            turns,
        });
        Ok(())
    }

    /// The plan of what was launched.
    pub(super) fn plan(self, family: &'static str, name: &str) -> Plan {
        let Self { dtype, steps, scratch, .. } = self;
        Plan::new(family, format!("{name}_{dtype}x1_parts"), steps).with_scratch(scratch)
    }
}
