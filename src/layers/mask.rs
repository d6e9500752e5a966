//! Masks: which times of a sequence count. As in Keras, a mask is no input of a layer's: a value carries it, and what a layer makes
//! carries it on where Keras's layer does ([`Describe::mask`]). It is a tensor of 0 and 1, `[batch, times]` mostly, that `Masking`
//! and `Embedding` make; that nothing reads, nothing computes.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::Common;
use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Numbers, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise};
use crate::{Error, PartialShape, Result, Settings, Unary};

/// 1 where `input` is not `number`, else 0.
pub(super) fn differs(tape: &mut Tape, input: Value, number: f32) -> Result<Value> {
    let number = Kernel::of_values([], vec![number], Numbers { dtype: tape.dtype(input), rounding: None });
    ops::with(tape, BinaryFunction::NotEqual, input, &number)
}

/// `input` where `mask`, which broadcasts to it, is not 0; else 0.
pub(super) fn kept(tape: &mut Tape, input: Value, mask: Value) -> Result<Value> {
    let mask = ops::cast(tape, tape.dtype(input), None, mask)?;
    ops::two(tape, BinaryFunction::Where, input, mask)
}

/// `mask` of `[batch, times]` as `[batch, times, 1]`.
pub(super) fn column(tape: &mut Tape, mask: Value) -> Result<Value> {
    let dims = [tape.shape(mask).dims(), &[1]].concat();
    tape.reshape(mask, dims)
}

/// What scores and logits that are masked away become: next to it, every other one is nothing, in f16 too.
const MASKED: f32 = -30_000.0;

/// `scores` where `mask`, which broadcasts to them, is not 0; far below all others elsewhere.
pub(super) fn masked_scores(tape: &mut Tape, scores: Value, mask: Value) -> Result<Value> {
    let mask = ops::cast(tape, tape.dtype(scores), None, mask)?;
    let scores = kept(tape, scores, mask)?;
    let low = Elementwise::of_unary(&Unary::Affine { scale: -MASKED, offset: MASKED });
    let low = ops::map(tape, low, mask)?;
    ops::two(tape, BinaryFunction::Add, scores, low)
}

/// Masks away the times of which all channels have a value, and sets them to 0: what it makes carries a mask, by which recurrent
/// layers skip these times, means leave them out, and attention does not look at them.
///
/// # Shapes
/// Input and output `[…, channels]`; the mask has all axes but the last.
///
/// ```
/// use wgpu_conv::layers::Masking;
///
/// assert_eq!(Masking::new().mask_value(-1.0).output_shape([None, Some(10), Some(3)])?.to_string(), "(None, 10, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Masking {
    /// Name, trainability and types.
    pub common: Common,
    /// The value of all channels of a time that is to be skipped; 0 by default.
    pub mask_value: f32,
}

common_setters!(Masking, common);

impl Default for Masking {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), mask_value: 0.0 }
    }
}

impl Masking {
    /// A layer that masks away times that are 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of all channels of a time that is to be skipped; 0 by default.
    pub fn mask_value(mut self, mask_value: f32) -> Self {
        self.mask_value = mask_value;
        self
    }

    /// The output shape for `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an input of fewer than 2 axes.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        let input = input.into();
        if input.rank() < 2 {
            return Err(Error::invalid("input", "the input must have at least 2 axes", format!("input shape={input}")));
        }
        Ok(input)
    }
}

impl Describe for Masking {
    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let differs = differs(tape, inputs[0], self.mask_value)?;
        let last = tape.shape(inputs[0]).rank() - 1;
        let any = ops::reduce(tape, AxisFunction::Max, &[last], true, differs)?;
        let output = kept(tape, inputs[0], any)?;
        let mask = tape.reshape(any, tape.shape(any).dims()[..last].to_vec())?;
        tape.set_mask(output, Some(mask));
        Ok(output)
    }

    fn mask(&self, tape: &mut Tape, _inputs: &[Value], output: Value) -> Result<Option<Value>> {
        Ok(tape.mask(output))
    }
}

/// Its first input, which carries the mask of the second one from here on, and none where there is no second.
///
/// # Shapes
/// One input or more; the output has the shape of the first.
///
/// ```
/// use wgpu_conv::layers::WithMask;
///
/// assert_eq!(WithMask::new().output_shape([2, 10, 3])?.to_string(), "(2, 10, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WithMask {
    /// Name, trainability and types.
    pub common: Common,
    /// Whether what is masked away becomes 0; false by default.
    pub zeros: bool,
    /// Whether the inputs behind the first lose theirs, for all that reads them later; false by default. Keras's
    /// `MultiHeadAttention` takes the masks of what it is given away.
    pub takes: bool,
}

common_setters!(WithMask, common);

impl Default for WithMask {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), zeros: false, takes: false }
    }
}

impl WithMask {
    /// A layer that lets what it is given carry another mask.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether what is masked away becomes 0; false by default.
    pub fn zeros(mut self, zeros: bool) -> Self {
        self.zeros = zeros;
        self
    }

    /// Whether the inputs behind the first lose theirs; false by default.
    pub fn takes(mut self, takes: bool) -> Self {
        self.takes = takes;
        self
    }

    /// The output shape for a first `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(input.into())
    }
}

impl Describe for WithMask {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        1..=4
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        match inputs.get(1).and_then(|&other| tape.mask(other)) {
            Some(mask) if self.zeros => {
                let mask = column(tape, mask)?;
                kept(tape, inputs[0], mask)
            }
            _ => Ok(inputs[0]),
        }
    }

    fn mask(&self, tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        let mask = inputs.get(1).and_then(|&other| tape.mask(other));
        if self.takes {
            inputs.iter().skip(1).for_each(|&other| tape.set_mask(other, None));
        }
        Ok(mask)
    }
}

/// Its first input, which carries the second as its mask from here on.
///
/// # Shapes
/// Inputs `[batch, times, …]` and mostly `[batch, times]`; the output has the shape of the first. What is not 0 counts.
///
/// ```
/// use wgpu_conv::layers::GivenMask;
///
/// assert_eq!(GivenMask::new().output_shape([2, 10, 3])?.to_string(), "(2, 10, 3)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GivenMask {
    /// Name, trainability and types.
    pub common: Common,
}

common_setters!(GivenMask, common);

impl Default for GivenMask {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()) }
    }
}

impl GivenMask {
    /// A layer that lets its first input carry the second as its mask.
    pub fn new() -> Self {
        Self::default()
    }

    /// The output shape for a first `input`: the same.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        Ok(input.into())
    }
}

impl Describe for GivenMask {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn passes_values_on(&self) -> bool {
        true
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        2..=2
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, _tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        Ok(inputs[0])
    }

    fn mask(&self, _tape: &mut Tape, inputs: &[Value], _output: Value) -> Result<Option<Value>> {
        Ok(Some(inputs[1]))
    }
}

/// The scores of attention, those masked away far below all others: by the masks that queries, values and keys carry, by one that
/// is given, and by time where `causal`. Where nothing masks, the scores as they are.
///
/// # Shapes
/// Inputs: scores `[batch, …, queries, keys]`; queries `[batch, queries, …]`, values and keys `[batch, keys, …]`, of which only
/// the masks are read; a mask `[…, queries, keys]` where `given`. The output has the shape of the scores.
///
/// ```
/// use wgpu_conv::layers::MaskedScores;
///
/// let shapes = [[2, 8, 5, 7].into(), [2, 5, 4].into(), [2, 7, 4].into(), [2, 7, 4].into()];
/// assert_eq!(MaskedScores::new().causal(true).output_shape(&shapes)?.to_string(), "(2, 8, 5, 7)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedScores {
    /// Name, trainability and types.
    pub common: Common,
    /// Whether no query looks at keys behind it; false by default.
    pub causal: bool,
    /// Whether the mask of the queries counts, too; false by default.
    pub queries: bool,
    /// Whether the last input is a mask; false by default.
    pub given: bool,
}

common_setters!(MaskedScores, common);

impl Default for MaskedScores {
    fn default() -> Self {
        Self { common: Common::new(&Settings::current()), causal: false, queries: false, given: false }
    }
}

impl MaskedScores {
    /// A layer that masks scores by what values and keys carry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no query looks at keys behind it; false by default.
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// Whether the mask of the queries counts, too; false by default.
    pub fn queries(mut self, queries: bool) -> Self {
        self.queries = queries;
        self
    }

    /// Whether the last input is a mask; false by default.
    pub fn given(mut self, given: bool) -> Self {
        self.given = given;
        self
    }

    /// The output shape for `inputs`: that of the scores.
    ///
    /// # Errors
    /// [`Error::Invalid`] for scores of fewer than 3 axes, or another number of inputs.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        match inputs {
            [scores, ..] if scores.rank() >= 3 && inputs.len() == 4 + usize::from(self.given) => Ok(scores.clone()),
            _ => {
                let shapes: Vec<_> = inputs.iter().map(ToString::to_string).collect();
                let rule = "there must be scores [batch, …, queries, keys], queries, values, keys, and a mask where one is given";
                Err(Error::invalid("inputs", rule, shapes.join(", ")))
            }
        }
    }
}

impl Describe for MaskedScores {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        let inputs = 4 + usize::from(self.given);
        inputs..=inputs
    }

    fn takes_whole_numbers(&self, index: usize) -> bool {
        index > 0
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let scores = inputs[0];
        let dims = tape.shape(scores).dims().to_vec();
        let [.., queries, keys] = dims[..] else { return Ok(scores) };
        let mut all: Option<Value> = None;
        let mut add = |tape: &mut Tape, mask: Value, axes: &[usize]| -> Result<()> {
            // Its last two axes are those of the scores; what is before them is as far in front as it can be.
            let (front, back) = axes.split_at(axes.len() - 2);
            let missing = dims.len() - axes.len().min(dims.len());
            let mask = tape.reshape(mask, [front, &vec![1; missing], back].concat())?;
            let mask = ops::cast(tape, tape.dtype(scores), None, mask)?;
            all = Some(match all {
                None => mask,
                Some(all) => ops::two(tape, BinaryFunction::Multiply, all, mask)?,
            });
            Ok(())
        };
        let of = |tape: &Tape, index: usize, extent: usize| -> Result<Option<(Value, usize)>> {
            let Some(mask) = tape.mask(inputs[index]) else { return Ok(None) };
            match tape.shape(mask).dims()[..] {
                [batch, times] if times == extent => Ok(Some((mask, batch))),
                _ => Err(Error::invalid(
                    "mask",
                    format!("the mask of what attends, or is attended to, must be [batch, {extent}]"),
                    format!("mask shape={}", tape.shape(mask)),
                )),
            }
        };
        if let Some((mask, batch)) = of(tape, 1, queries)?.filter(|_| self.queries) {
            add(tape, mask, &[batch, queries, 1])?;
        }
        let value = of(tape, 2, keys)?;
        if let Some((mask, batch)) = value {
            add(tape, mask, &[batch, 1, keys])?;
        }
        // Keys are the values mostly, and nothing is masked twice.
        if let Some((mask, batch)) = of(tape, 3, keys)?.filter(|key| value != Some(*key)) {
            add(tape, mask, &[batch, 1, keys])?;
        }
        if self.given {
            let mask = differs(tape, inputs[4], 0.0)?;
            let axes = tape.shape(mask).dims().to_vec();
            if axes.len() < 2 {
                return Err(Error::invalid("mask", "a mask must be of queries and keys", format!("{axes:?}")));
            }
            add(tape, mask, &axes)?;
        }
        if self.causal {
            let sooner = |at: usize| f32::from(u8::from(at % keys <= at / keys));
            let values = (0..queries * keys).map(sooner).collect();
            let numbers = Numbers { dtype: tape.dtype(scores), rounding: None };
            let triangle = Kernel::of_values([queries, keys], values, numbers);
            let triangle = ops::value_of(tape, &triangle, &[queries, keys])?;
            add(tape, triangle, &[queries, keys])?;
        }
        match all {
            None => Ok(scores),
            Some(mask) => masked_scores(tape, scores, mask),
        }
    }
}

#[cfg(feature = "keras")]
impl Configured for Masking {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("mask_value", &mut self.mask_value)
    }
}

#[cfg(feature = "keras")]
impl Configured for GivenMask {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)
    }
}

#[cfg(feature = "keras")]
impl Configured for WithMask {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("zeros", &mut self.zeros)?;
        codec.field("takes", &mut self.takes)
    }
}

#[cfg(feature = "keras")]
impl Configured for MaskedScores {
    fn template() -> Self {
        Self::new()
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("causal", &mut self.causal)?;
        codec.field("queries", &mut self.queries)?;
        codec.field("given", &mut self.given)
    }
}
