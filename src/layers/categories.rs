//! CategoryEncoding and Discretization: numbers as categories, and categories as vectors.

use std::sync::Arc;

use super::Common;
use super::arguments::{common_setters, positive};
#[cfg(feature = "keras")]
use super::config::{Codec, Configured, common};
use super::describe::Describe;
use crate::ops::{self, Kernel, Numbers, Side, Tape, Value};
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
    ops::binary(tape, function, Side::Value(column), Side::Constant(&numbers), Elementwise::LINEAR)
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
        let encoded = self.output_mode.encoded(tape, inputs[0], self.num_tokens as usize)?;
        in_its_type(tape, &self.common, encoded)
    }
}

/// `value`, which was computed in the type of what came in, in the type that the layer computes in.
fn in_its_type(tape: &mut Tape, common: &Common, value: Value) -> Result<Value> {
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
            let none = Elementwise::of_unary(&Unary::Clip { min: 0.0, max: 0.0 });
            ops::map(tape, none, inputs[0])?
        } else {
            let column = tape.reshape(inputs[0], [shape.dims(), &[1]].concat())?;
            let above = compared(tape, BinaryFunction::GreaterEqual, column, self.bin_boundaries.clone())?;
            ops::reduce(tape, AxisFunction::Sum, &[shape.rank()], false, above)?
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
