//! CategoryEncoding, Discretization and IntegerLookup: numbers as categories, and categories as vectors.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Numbers, Tape, Value};
use crate::plan::{AxisFunction, BinaryFunction, Elementwise};
use crate::{DType, Error, PartialShape, Result, Settings, Unary};

/// What categories, which are whole numbers, come out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CategoryMode {
    /// As they are.
    Int,
    /// Each as a vector of one 1; a last axis of extent 1 goes.
    OneHot,
    /// Those of a sample together: 1 for each category that there is.
    MultiHot,
    /// Those of a sample together: how often each is there.
    Count,
}

impl CategoryMode {
    const ALL: [(&str, Self); 4] =
        [("int", Self::Int), ("one_hot", Self::OneHot), ("multi_hot", Self::MultiHot), ("count", Self::Count)];

    /// The mode of a name of Keras's.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other name.
    ///
    /// ```
    /// use wgpu_conv::layers::CategoryMode;
    ///
    /// assert_eq!(CategoryMode::from_name("multi_hot")?, CategoryMode::MultiHot);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_name(name: &str) -> Result<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, mode)| mode).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(known, _)| *known).collect();
            let rule = format!("`output_mode` must be one of {}", names.join(", "));
            Error::invalid("output_mode", rule, format!("output_mode={name}"))
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// The shape of categories of `input`, of which there are `depth`.
    fn shape(self, input: &PartialShape, depth: usize) -> Result<PartialShape> {
        let mut dims = input.dims().to_vec();
        match self {
            Self::Int => return Ok(dims.into()),
            Self::OneHot => {
                if dims.len() > 1 && dims.last() == Some(&Some(1)) {
                    dims.pop();
                }
            }
            Self::MultiHot | Self::Count => {
                if dims.len() < 2 {
                    let rule = "the categories of samples must have at least 2 axes, the batch first";
                    return Err(Error::invalid("input", rule, format!("input shape={input}")));
                }
                dims.remove(1);
            }
        }
        dims.push(Some(depth));
        Ok(dims.into())
    }

    /// `categories` as this.
    fn encoded(self, tape: &mut Tape, categories: Value, depth: usize) -> Result<Value> {
        if self == Self::Int {
            return Ok(categories);
        }
        let mut dims = tape.shape(categories).dims().to_vec();
        if !(self == Self::OneHot && dims.len() > 1 && dims.last() == Some(&1)) {
            dims.push(1);
        }
        let column = tape.reshape(categories, dims)?;
        let numbers = (0..depth).map(|number| number as f32).collect();
        let hot = compared(tape, BinaryFunction::Equal, column, numbers)?;
        match self {
            Self::MultiHot => ops::reduce(tape, AxisFunction::Max, &[1], false, hot),
            Self::Count => ops::reduce(tape, AxisFunction::Sum, &[1], false, hot),
            Self::Int | Self::OneHot => Ok(hot),
        }
    }
}

/// 1 where `function` holds of `column` `[…, 1]` and each of `numbers`, else 0: `[…, numbers]`.
fn compared(tape: &mut Tape, function: BinaryFunction, column: Value, numbers: Vec<f32>) -> Result<Value> {
    let kind = Numbers { dtype: tape.dtype(column), rounding: None };
    let numbers = Kernel::of_values([numbers.len()], numbers, kind);
    ops::with(tape, function, column, &numbers)
}

/// Whole numbers as vectors.
///
/// # Shapes
/// Input of whole numbers from 0 to below `num_tokens`, `[batch, …]`; output `[batch, …, num_tokens]`, of `MultiHot` and `Count`
/// without the input's second axis, whose categories are those of one sample.
///
/// ```
/// use wgpu_conv::layers::CategoryEncoding;
///
/// assert_eq!(CategoryEncoding::new(6).output_shape([None, Some(4)])?.to_string(), "(None, 6)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CategoryEncoding {
    /// Name, trainability and types.
    pub common: Common,
    /// How many categories there are.
    pub num_tokens: u32,
    /// What they come out as; `MultiHot` by default.
    pub output_mode: CategoryMode,
}

common_setters!(CategoryEncoding, common);

impl CategoryEncoding {
    /// A layer of so many categories.
    pub fn new(num_tokens: u32) -> Self {
        Self { common: Common::new(&Settings::current()), num_tokens, output_mode: CategoryMode::MultiHot }
    }

    /// What they come out as; `MultiHot` by default.
    pub fn output_mode(mut self, output_mode: CategoryMode) -> Self {
        self.output_mode = output_mode;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        self.output_mode.shape(&input.into(), self.num_tokens as usize)
    }
}

impl Describe for CategoryEncoding {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        if self.output_mode == CategoryMode::Int {
            let rule = "`output_mode` of CategoryEncoding must be one_hot, multi_hot or count";
            return Err(Error::invalid("output_mode", rule, "output_mode=int"));
        }
        positive("num_tokens", &[self.num_tokens])
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let categories = match self.output_mode {
            // Keras drops fractions here, and leaves them in the other modes, where they are no category.
            CategoryMode::MultiHot => {
                let kind = Numbers { dtype: tape.dtype(inputs[0]), rounding: None };
                let one = Kernel::of_values([1], vec![1.0], kind);
                let fraction = ops::with(tape, BinaryFunction::Remainder, inputs[0], &one)?;
                ops::two(tape, BinaryFunction::Subtract, inputs[0], fraction)?
            }
            _ => inputs[0],
        };
        let encoded = self.output_mode.encoded(tape, categories, self.num_tokens as usize)?;
        in_its_type(tape, &self.common, encoded)
    }
}

/// `value`, which was computed in the type of what came in, in the type that the layer computes in.
pub(super) fn in_its_type(tape: &mut Tape, common: &Common, value: Value) -> Result<Value> {
    let dtype = common.dtype.compute().map_or(DType::F32, |(dtype, _)| dtype);
    ops::cast(tape, dtype, None, value)
}

/// Numbers as the bins that they lie in: 0 below the first boundary, 1 from it on, and so forth.
///
/// # Shapes
/// Input `[batch, …]`; output of the same shape, or as [`CategoryMode`] says.
///
/// ```
/// use wgpu_conv::layers::Discretization;
///
/// assert_eq!(Discretization::new([0.0, 1.5]).output_shape([None, Some(4)])?.to_string(), "(None, 4)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Discretization {
    /// Name, trainability and types.
    pub common: Common,
    /// Where bins begin, ascending.
    pub bin_boundaries: Vec<f32>,
    /// What bins come out as; `Int` by default.
    pub output_mode: CategoryMode,
}

common_setters!(Discretization, common);

impl Discretization {
    /// A layer of bins between these boundaries.
    pub fn new(bin_boundaries: impl Into<Vec<f32>>) -> Self {
        let common = Common::new(&Settings::current());
        Self { common, bin_boundaries: bin_boundaries.into(), output_mode: CategoryMode::Int }
    }

    /// What bins come out as; `Int` by default.
    pub fn output_mode(mut self, output_mode: CategoryMode) -> Self {
        self.output_mode = output_mode;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        self.output_mode.shape(&input.into(), self.bin_boundaries.len() + 1)
    }
}

impl Describe for Discretization {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        if self.bin_boundaries.is_sorted() {
            return Ok(());
        }
        let received = format!("bin_boundaries={:?}", self.bin_boundaries);
        Err(Error::invalid("bin_boundaries", "`bin_boundaries` must ascend", received))
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let shape = tape.shape(inputs[0]).clone();
        let bins = if self.bin_boundaries.is_empty() {
            let finite = ops::map(tape, Elementwise::of_unary(&Unary::IsNan), inputs[0])?;
            ops::map(tape, Elementwise::of_unary(&Unary::Clip { min: 0.0, max: 0.0 }), finite)?
        } else {
            // Those above are counted out, so that NaN lies in the last bin, as in Keras.
            let column = tape.reshape(inputs[0], [shape.dims(), &[1]].concat())?;
            let below = compared(tape, BinaryFunction::Less, column, self.bin_boundaries.clone())?;
            let below = ops::reduce(tape, AxisFunction::Sum, &[shape.rank()], false, below)?;
            let all = self.bin_boundaries.len() as f32;
            ops::map(tape, Elementwise::of_unary(&Unary::Affine { scale: -1.0, offset: all }), below)?
        };
        let encoded = self.output_mode.encoded(tape, bins, self.bin_boundaries.len() + 1)?;
        in_its_type(tape, &self.common, encoded)
    }
}

#[cfg(feature = "keras")]
impl Configured for CategoryEncoding {
    const REQUIRED: &'static [&'static str] = &["num_tokens"];

    fn template() -> Self {
        Self::new(1)
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        common(codec, &mut self.common)?;
        codec.field("num_tokens", &mut self.num_tokens)?;
        codec.field("output_mode", &mut self.output_mode)?;
        codec.dropped("sparse", |json| json == &serde_json::Value::Bool(false))
    }
}

#[cfg(feature = "keras")]
impl Configured for Discretization {
    const REQUIRED: &'static [&'static str] = &["bin_boundaries"];

    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        super::config::brief_common(codec, &mut self.common)?;
        codec.field("bin_boundaries", &mut self.bin_boundaries)?;
        // What the boundaries were learned by.
        codec.ignored("num_bins", serde_json::Value::Null);
        codec.ignored("epsilon", 0.01.into());
        codec.field("output_mode", &mut self.output_mode)?;
        codec.fixed("sparse", false.into(), "sparse tensors are not supported: make it dense")
    }
}

/// Whole numbers of a vocabulary as their places in it, or the places as the numbers again.
///
/// Places count from what is reserved: 0 for `mask_token`, where there is one and places come out as they are, then
/// `num_oov_indices` for numbers that are not in the vocabulary, of which several are told apart by their remainder.
///
/// # Shapes
/// Input of whole numbers of magnitudes up to 2²⁴, `[batch, …]`; output of the same shape, or as [`CategoryMode`] says.
///
/// ```
/// use wgpu_conv::layers::{CategoryMode, IntegerLookup};
///
/// let layer = IntegerLookup::new([12, 36, 1138, 42]).output_mode(CategoryMode::Count);
/// assert_eq!(layer.output_shape([None, Some(7)])?.to_string(), "(None, 5)");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerLookup {
    /// Name, trainability and types.
    pub common: Common,
    /// The numbers, in order; those that are reserved may stand before them.
    pub vocabulary: Vec<i32>,
    /// How many places are reserved for numbers that are not in the vocabulary, at least 1; 1 by default.
    pub num_oov_indices: u32,
    /// A number that counts as no number: its place is 0, and it has no part in vectors; none by default.
    pub mask_token: Option<i32>,
    /// What `invert` makes of places that are not the vocabulary's; −1 by default.
    pub oov_token: i32,
    /// Whether places come in, and numbers out; false by default.
    pub invert: bool,
    /// What places come out as; `Int` by default.
    pub output_mode: CategoryMode,
    /// With `Count`, Keras's `tf_idf`: what each count is multiplied by, one for each number of the vocabulary; none by default.
    pub idf_weights: Option<Vec<f32>>,
    /// How many places there may be; any number by default.
    pub max_tokens: Option<u32>,
    /// Whether vectors have `max_tokens` places, however many there are; false by default.
    pub pad_to_max_tokens: bool,
}

common_setters!(IntegerLookup, common);

impl IntegerLookup {
    /// The largest magnitude of whole numbers that f32 tells apart.
    const LARGEST: i32 = 1 << 24;

    /// A layer of these numbers.
    pub fn new(vocabulary: impl Into<Vec<i32>>) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            vocabulary: vocabulary.into(),
            num_oov_indices: 1,
            mask_token: None,
            oov_token: -1,
            invert: false,
            output_mode: CategoryMode::Int,
            idf_weights: None,
            max_tokens: None,
            pad_to_max_tokens: false,
        }
    }

    /// What places come out as; `Int` by default.
    pub fn output_mode(mut self, output_mode: CategoryMode) -> Self {
        self.output_mode = output_mode;
        self
    }

    /// How many places are reserved for numbers that are not in the vocabulary; 1 by default.
    pub fn num_oov_indices(mut self, places: u32) -> Self {
        self.num_oov_indices = places;
        self
    }

    /// A number that counts as no number; none by default.
    pub fn mask_token(mut self, token: i32) -> Self {
        self.mask_token = Some(token);
        self
    }

    /// Whether places come in, and numbers out; false by default.
    pub fn invert(mut self, invert: bool) -> Self {
        self.invert = invert;
        self
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where [building](super::LayerConfig::build) the layer would refuse its arguments or `input`.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.validate()?;
        self.output_mode.shape(&input.into(), self.depth())
    }

    /// The first place for numbers that are not in the vocabulary.
    pub(crate) fn first_unknown(&self) -> usize {
        usize::from(self.mask_token.is_some() && self.output_mode == CategoryMode::Int)
    }

    /// The first place of a number of the vocabulary.
    pub(crate) fn first_known(&self) -> usize {
        self.first_unknown() + self.num_oov_indices as usize
    }

    /// How many reserved numbers the vocabulary begins with: all, or none.
    fn reserved(&self) -> usize {
        let mask = self.mask_token.filter(|_| self.first_unknown() == 1);
        let reserved = mask.into_iter().chain((0..self.num_oov_indices).map(|_| self.oov_token));
        let stated = self.vocabulary.iter().copied().take(self.first_known());
        if self.vocabulary.len() >= self.first_known() && reserved.eq(stated) { self.first_known() } else { 0 }
    }

    /// The numbers that are looked up.
    pub(crate) fn tokens(&self) -> &[i32] {
        &self.vocabulary[self.reserved()..]
    }

    /// The places of vectors.
    pub(crate) fn depth(&self) -> usize {
        let padded = self.max_tokens.filter(|_| self.pad_to_max_tokens);
        padded.map_or(self.first_known() + self.tokens().len(), |places| places as usize)
    }

    /// A factor for each place, if counts have any: the mean of all for what is reserved, where the vocabulary does not say, and 0
    /// behind the last.
    pub(crate) fn factors(&self) -> Option<Vec<f32>> {
        let stated = self.idf_weights.as_ref()?;
        let mean = stated.iter().map(|&x| f64::from(x)).sum::<f64>() / stated.len().max(1) as f64;
        let before = if self.reserved() > 0 { 0 } else { self.first_known() };
        let mut factors = vec![mean as f32; before];
        factors.extend(stated);
        factors.resize(self.depth(), 0.0);
        Some(factors)
    }
}

/// Why a lookup without numbers is refused.
fn learned() -> Error {
    Error::unsupported(
        "an IntegerLookup without a vocabulary in its config",
        "a .keras file has what `adapt` learned beside it; for any other, make the layer with `vocabulary=layer.get_vocabulary()`, and \
         `idf_weights` where it has them, in its place, and save the model again",
    )
}

impl Describe for IntegerLookup {
    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        if self.num_oov_indices == 0 {
            return Err(Error::unsupported(
                "num_oov_indices=0 of IntegerLookup",
                "Keras fails where a number is not in the vocabulary, which a device cannot: leave one place for such numbers",
            ));
        }
        let numbers = self.vocabulary.iter().chain(&self.mask_token).chain([&self.oov_token]);
        if let Some(large) = numbers.into_iter().find(|number| number.unsigned_abs() > Self::LARGEST.unsigned_abs()) {
            let rule = "whole numbers are carried as f32, which tells them apart up to 2^24";
            return Err(Error::invalid("vocabulary", rule, large.to_string()));
        }
        if self.tokens().is_empty() {
            return Err(learned());
        }
        let mut sorted = self.tokens().to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let rule = "`vocabulary` must hold each number once";
            return Err(Error::invalid("vocabulary", rule, format!("{} twice", pair[0])));
        }
        if let Some(token) = self.mask_token.filter(|token| self.tokens().contains(token)) {
            let rule =
                "`mask_token` must be no number of the vocabulary, but at its beginning before the other reserved ones";
            return Err(Error::invalid("vocabulary", rule, format!("mask_token={token}")));
        }
        let places = self.first_known() + self.tokens().len();
        if self.max_tokens.is_some_and(|most| places > most as usize) {
            let rule = "there must be no more places than `max_tokens`";
            return Err(Error::invalid(
                "max_tokens",
                rule,
                format!("{places} places, max_tokens={:?}", self.max_tokens),
            ));
        }
        if self.pad_to_max_tokens && self.max_tokens.is_none() {
            let rule = "`max_tokens` must be given with `pad_to_max_tokens`";
            return Err(Error::invalid("max_tokens", rule, "none"));
        }
        if self.invert && self.output_mode != CategoryMode::Int {
            let rule = "`output_mode` must be int with `invert`";
            return Err(Error::invalid("output_mode", rule, format!("output_mode={}", self.output_mode.name())));
        }
        if let Some(weights) = &self.idf_weights {
            if self.output_mode != CategoryMode::Count {
                let rule = "`idf_weights` must be given with the `output_mode` tf_idf alone";
                return Err(Error::invalid("idf_weights", rule, format!("output_mode={}", self.output_mode.name())));
            }
            if weights.len() != self.vocabulary.len() {
                let received = format!("{} for {} numbers", weights.len(), self.vocabulary.len());
                return Err(Error::invalid("idf_weights", "`idf_weights` must be as many as the vocabulary", received));
            }
        }
        Ok(())
    }

    fn takes_whole_numbers(&self, _index: usize) -> bool {
        true
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(&inputs[0])
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], _operands: &[Arc<Kernel>]) -> Result<Value> {
        let input = inputs[0];
        let shape = tape.shape(input).clone();
        let kind = Numbers { dtype: tape.dtype(input), rounding: None };
        let constant = |values: Vec<f32>| Kernel::of_values([values.len()], values, kind);
        let tokens: Vec<f32> = self.tokens().iter().map(|&token| token as f32).collect();
        let places: Vec<f32> = (0..tokens.len()).map(|number| (self.first_known() + number) as f32).collect();
        let (from, to) = if self.invert { (places, tokens) } else { (tokens, places) };
        let column = tape.reshape(input, [shape.dims(), &[1]].concat())?;
        let equal = compared(tape, BinaryFunction::Equal, column, from)?;
        // At most one of them is equal, so the sum is exact.
        let to = ops::with(tape, BinaryFunction::Multiply, equal, &constant(to))?;
        let known = ops::reduce(tape, AxisFunction::Max, &[shape.rank()], false, equal)?;
        let found = ops::reduce(tape, AxisFunction::Sum, &[shape.rank()], false, to)?;
        let unknown = match (self.invert, self.num_oov_indices) {
            (true, _) => self.oov_token as f32,
            (false, _) => self.first_unknown() as f32,
        };
        let unknown = if self.invert || self.num_oov_indices == 1 {
            let same = Unary::Affine { scale: 0.0, offset: unknown };
            ops::map(tape, Elementwise::of_unary(&same), known)?
        } else {
            let count = constant(vec![self.num_oov_indices as f32]);
            let from_first = Elementwise::of_unary(&Unary::Affine { scale: 1.0, offset: unknown });
            let left = ops::with(tape, BinaryFunction::Modulo, input, &count)?;
            ops::map(tape, from_first, left)?
        };
        let unknown = ops::two(tape, BinaryFunction::WhereNot, unknown, known)?;
        let mut made = ops::two(tape, BinaryFunction::Add, found, unknown)?;
        if let Some(mask) = self.mask_token {
            // Where the mask's number comes in, and what comes out for it: a place of no vector's.
            let (from, to) = match (self.invert, self.output_mode) {
                (true, _) => (0.0, mask as f32),
                (false, CategoryMode::Int) => (mask as f32, 0.0),
                (false, _) => (mask as f32, -1.0),
            };
            let differs = super::mask::differs(tape, input, from)?;
            let other = ops::two(tape, BinaryFunction::Where, made, differs)?;
            let here = Elementwise::of_unary(&Unary::Affine { scale: -to, offset: to });
            let here = ops::map(tape, here, differs)?;
            made = ops::two(tape, BinaryFunction::Add, other, here)?;
        }
        let mut encoded = self.output_mode.encoded(tape, made, self.depth())?;
        if let Some(factors) = self.factors() {
            encoded = ops::with(tape, BinaryFunction::Multiply, encoded, &constant(factors))?;
        }
        in_its_type(tape, &self.common, encoded)
    }
}

#[cfg(feature = "keras")]
impl Configured for IntegerLookup {
    fn template() -> Self {
        Self::new([])
    }

    fn fields(&mut self, codec: &mut Codec<'_>) -> Result<()> {
        use serde_json::Value as Json;
        common(codec, &mut self.common)?;
        codec.field("invert", &mut self.invert)?;
        codec.field("max_tokens", &mut self.max_tokens)?;
        let mut places = self.num_oov_indices as i32;
        codec.field("num_oov_indices", &mut places)?;
        self.num_oov_indices = u32::try_from(places).map_err(|_| {
            let received = format!("num_oov_indices={places}");
            Error::invalid("num_oov_indices", "`num_oov_indices` must not be negative", received)
        })?;
        codec.field("oov_token", &mut self.oov_token)?;
        codec.field("mask_token", &mut self.mask_token)?;
        let mut mode = LookupMode { mode: self.output_mode, weighed: self.idf_weights.is_some() };
        codec.field("output_mode", &mut mode)?;
        self.output_mode = mode.mode;
        codec.fixed("sparse", false.into(), "sparse tensors are not supported: make it dense")?;
        codec.field("pad_to_max_tokens", &mut self.pad_to_max_tokens)?;
        codec.ignored("vocabulary_dtype", "int64".into());
        codec.field("idf_weights", &mut self.idf_weights)?;
        codec.field("vocabulary", &mut self.vocabulary)?;
        if mode.weighed && self.idf_weights.is_none() {
            return Err(learned());
        }
        let places = self.first_known() + self.tokens().len();
        codec.ignored("vocabulary_size", places.into());
        if self.num_oov_indices > 1 {
            codec.fixed("oov_method", "floormod".into(), "numbers are told apart by their remainder: use floormod")?;
        } else {
            codec.ignored("oov_method", "floormod".into());
        }
        codec.ignored("salt", Json::Null);
        Ok(())
    }
}

/// How Keras names what a lookup makes: counts that are weighed have a name of their own.
#[cfg(feature = "keras")]
pub(super) struct LookupMode {
    pub(super) mode: CategoryMode,
    pub(super) weighed: bool,
}
