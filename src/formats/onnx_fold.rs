//! What an ONNX graph computes from constants alone: shapes above all, and weights that a node rearranges.
//!
//! Integers stay integers of 64 bits here. An extent that only a call knows is an unknown among them, so that the usual
//! arithmetic on shapes goes through with an unknown batch.

use std::sync::Arc;

use half::{bf16, f16};

use super::onnx_proto::{NodeProto, TensorProto};
use super::onnx_tail::ENDS_HERE;
use super::{decode, onnx_selection};
use crate::budget::Meter;
use crate::{HostTensor, Rounding};

/// The most axes that an array may have, as in NumPy.
pub(super) const MOST_AXES: usize = 64;

/// A tensor known without running the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownTensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: KnownData,
}

/// The elements of a [`KnownTensor`], last axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum KnownData {
    /// Any floating type, as f32.
    Floats(Arc<Vec<f32>>),
    /// Any integer type.
    Ints(Arc<Vec<Whole>>),
    Bools(Arc<Vec<bool>>),
}

/// An integer, or an extent that only a call knows.
pub(super) type Whole = Result<i64, Unknown>;

/// An extent that only a call knows: the axis of the model's value whose extent it is, if nothing was computed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) Option<u32>);

const COMPUTED: Whole = Err(Unknown(None));

/// The kinds of element that constants distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Int,
    Bool,
}

/// A value, or why it cannot be had: that completes the sentence "the node cannot be built: …".
pub(super) type Known<T> = Result<T, String>;

const UNKNOWN: &str = "it computes with an extent that is not known before the model is called";

/// The element types of 4 bits, two numbers in a byte.
const UINT4: i32 = 21;
const INT4: i32 = 22;

/// The kind of an ONNX element type; `None` for text, complex numbers and floating point below 16 bits.
pub(super) fn kind_of(data_type: i32) -> Option<Kind> {
    match data_type {
        1 | 10 | 11 | 16 => Some(Kind::Float),
        2..=7 | 12 | 13 | UINT4 | INT4 => Some(Kind::Int),
        9 => Some(Kind::Bool),
        _ => None,
    }
}

/// The name of an ONNX element type.
pub(super) fn type_name(data_type: i32) -> String {
    const NAMES: [&str; 24] = [
        "undefined",
        "float",
        "uint8",
        "int8",
        "uint16",
        "int16",
        "int32",
        "int64",
        "string",
        "bool",
        "float16",
        "double",
        "uint32",
        "uint64",
        "complex64",
        "complex128",
        "bfloat16",
        "float8e4m3fn",
        "float8e4m3fnuz",
        "float8e5m2",
        "float8e5m2fnuz",
        "uint4",
        "int4",
        "float4e2m1",
    ];
    let known = usize::try_from(data_type).ok().and_then(|index| NAMES.get(index));
    known.map_or_else(|| format!("type {data_type}"), |&name| name.into())
}

impl KnownTensor {
    /// The tensor of a file, checked: exactly as many elements as its extents say.
    pub(super) fn decode(tensor: &TensorProto, meter: &Meter) -> Known<Self> {
        if tensor.data_location != 0 || !tensor.external_data.is_empty() {
            return Err("its elements lie in another file; save the model with its weights inside".into());
        }
        if tensor.segment.is_some() {
            return Err("tensors in segments are not read".into());
        }
        let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim).ok());
        let shape = dims.collect::<Option<Vec<_>>>().ok_or("its extents must not be negative")?;
        let elements = product(&shape)?;
        let kind = kind_of(tensor.data_type);
        let kind = kind.ok_or_else(|| format!("elements of {} cannot be read", type_name(tensor.data_type)))?;
        // There are at most as many as the file has bytes; which of the shape's are there is checked below.
        spend(meter, elements.min(tensor.stored_elements().saturating_mul(2)), kind)?;
        let data = match &tensor.raw_data {
            Some(_) if tensor.has_fields() => return Err("its elements stand in two places".into()),
            Some(raw) => from_raw(tensor.data_type, raw, elements)?,
            None if [UINT4, INT4].contains(&tensor.data_type) => {
                let bytes: Vec<u8> = tensor.int32_data.iter().map(|&byte| byte as u8).collect();
                from_raw(tensor.data_type, &bytes, elements)?
            }
            None => from_fields(tensor, kind)?,
        };
        if elements != data.len() {
            return Err(format!("its shape {shape:?} does not hold {} elements", data.len()));
        }
        Ok(Self { shape, data })
    }

    /// A list of integers.
    pub(super) fn ints(values: Vec<Whole>) -> Self {
        Self { shape: vec![values.len()], data: KnownData::Ints(values.into()) }
    }

    /// A tensor of floating point as one whose elements have another type; whole numbers are in it already.
    pub(super) fn of_host(HostTensor { shape, values }: HostTensor, data_type: i32) -> Self {
        let data = match kind_of(data_type) {
            Some(Kind::Int) => KnownData::Ints(values.iter().map(|&value| Ok(value as i64)).collect::<Vec<_>>().into()),
            Some(Kind::Bool) => KnownData::Bools(values.iter().map(|&value| value != 0.0).collect::<Vec<_>>().into()),
            _ => KnownData::Floats(values.into()),
        };
        Self { shape: shape.dims().to_vec(), data }
    }

    pub(super) fn floats(shape: Vec<usize>, values: Vec<f32>) -> Self {
        Self { shape, data: KnownData::Floats(values.into()) }
    }

    /// Where its elements stand in memory: the same for copies of one constant, and for its reshapes.
    pub(super) fn place(&self) -> usize {
        match &self.data {
            KnownData::Floats(values) => Arc::as_ptr(values).addr(),
            KnownData::Ints(values) => Arc::as_ptr(values).addr(),
            KnownData::Bools(values) => Arc::as_ptr(values).addr(),
        }
    }

    /// The integers, all of them known.
    pub(super) fn known_ints(&self, meter: &Meter) -> Known<Vec<i64>> {
        spend(meter, self.data.len(), Kind::Int)?;
        match &self.data {
            KnownData::Ints(values) => values.iter().copied().collect::<Result<_, _>>().map_err(|_| UNKNOWN.into()),
            _ => Err("it takes integers where it is given other elements".into()),
        }
    }

    /// The integers, unknown ones too.
    pub(super) fn extents(&self, meter: &Meter) -> Known<Vec<Whole>> {
        spend(meter, self.data.len(), Kind::Int)?;
        match &self.data {
            KnownData::Ints(values) => Ok(values.to_vec()),
            _ => Err("it takes integers where it is given other elements".into()),
        }
    }

    /// The elements as floating point, whatever they are.
    pub(super) fn to_floats(&self, meter: &Meter) -> Known<Arc<Vec<f32>>> {
        if self.data.kind() != Kind::Float {
            spend(meter, self.data.len(), Kind::Float)?;
        }
        Ok(match &self.data {
            KnownData::Floats(values) => values.clone(),
            KnownData::Ints(_) => Arc::new(self.known_ints(meter)?.into_iter().map(|value| value as f32).collect()),
            KnownData::Bools(values) => Arc::new(values.iter().map(|&value| f32::from(u8::from(value))).collect()),
        })
    }

    /// The only element.
    pub(super) fn scalar(&self, meter: &Meter) -> Known<f32> {
        match (&self.data, self.data.len()) {
            (KnownData::Floats(values), 1) => Ok(values[0]),
            (KnownData::Ints(_), 1) => Ok(self.known_ints(meter)?[0] as f32),
            (KnownData::Bools(values), 1) => Ok(f32::from(u8::from(values[0]))),
            (_, count) => Err(format!("it takes one number where it is given {count}")),
        }
    }

    /// The tensor as a weight.
    pub(super) fn to_host(&self, meter: &Meter) -> Known<HostTensor> {
        spend(meter, self.data.len(), Kind::Float)?;
        Ok(HostTensor { shape: self.shape.clone().into(), values: self.to_floats(meter)?.to_vec() })
    }

    /// The tensor as a weight whose whole numbers are computed with, so that each must be an f32.
    pub(super) fn to_weight(&self, meter: &Meter) -> Known<HostTensor> {
        if let KnownData::Ints(values) = &self.data
            && let Some(value) = values.iter().flatten().find(|&&value| value as f32 as i128 != i128::from(value))
        {
            return Err(format!("whole numbers are computed with as f32, which does not have {value}"));
        }
        self.to_host(meter)
    }

    /// The same elements in another shape of as many.
    pub(super) fn reshaped(&self, shape: Vec<usize>) -> Known<Self> {
        if product(&shape)? != self.data.len() {
            return Err(format!("its shape {:?} cannot become {shape:?}", self.shape));
        }
        Ok(Self { shape, data: self.data.clone() })
    }

    /// All of `rows`, of one shape, along a new first axis.
    pub(super) fn stacked(rows: &[&Self], meter: &Meter) -> Known<Self> {
        let wide = |row: &&Self| row.reshaped([&[1], &row.shape[..]].concat());
        let rows = rows.iter().map(wide).collect::<Known<Vec<_>>>()?;
        concat(&NodeProto::default(), &rows.iter().map(Some).collect::<Vec<_>>(), meter)
    }

    /// The axes in the order `perm`.
    pub(super) fn transposed(&self, perm: &[usize], meter: &Meter) -> Known<Self> {
        if perm.iter().copied().eq(0..self.shape.len()) {
            return Ok(self.clone());
        }
        let strides = strides_of(&self.shape);
        let shape = perm.iter().map(|&axis| self.shape[axis]).collect();
        let strides = perm.iter().map(|&axis| strides[axis] as isize).collect::<Vec<_>>();
        self.walk(shape, &strides, 0, meter)
    }

    /// The elements at `offset + Σ index·stride`, for every index of `shape`, in order.
    fn walk(&self, shape: Vec<usize>, strides: &[isize], offset: isize, meter: &Meter) -> Known<Self> {
        let count = product(&shape)?;
        spend(meter, count, self.data.kind())?;
        // The last axis in a plain loop, the others by their index.
        let (outer, row) = match shape.split_last() {
            Some((&extent, outer)) => (outer, WalkRow { extent, stride: strides[outer.len()] }),
            None => (&[][..], WalkRow { extent: 1, stride: 1 }),
        };
        let left = count.checked_div(row.extent).unwrap_or(0);
        let starts = BoxWalk { shape: outer, strides, index: vec![0; outer.len()], position: offset, left };
        let data = match &self.data {
            KnownData::Floats(values) => KnownData::Floats(row.gathered(values, starts, count)),
            KnownData::Ints(values) => KnownData::Ints(row.gathered(values, starts, count)),
            KnownData::Bools(values) => KnownData::Bools(row.gathered(values, starts, count)),
        };
        Ok(Self { shape, data })
    }

    /// The tensor repeated to `shape`, as broadcasting does.
    pub(super) fn expanded(&self, shape: &[usize], meter: &Meter) -> Known<Self> {
        let (rank, own) = (shape.len(), self.shape.len());
        let fits =
            own <= rank && self.shape.iter().zip(&shape[rank - own..]).all(|(&from, &to)| from == to || from == 1);
        if !fits {
            return Err(format!("its shape {:?} does not broadcast to {shape:?}", self.shape));
        }
        if self.shape == shape {
            return Ok(self.clone());
        }
        let mut strides = vec![0; rank];
        for (axis, stride) in strides_of(&self.shape).into_iter().enumerate() {
            if self.shape[axis] != 1 {
                strides[rank - own + axis] = stride as isize;
            }
        }
        self.walk(shape.to_vec(), &strides, 0, meter)
    }

    /// What arithmetic has made of whole numbers, in the range of their type, as it wraps around there.
    ///
    /// # Errors
    /// For a number of 64 bits that would have to.
    pub(super) fn wrapped(self, data_type: i32, meter: &Meter) -> Known<Self> {
        let (KnownData::Ints(values), Some((least, most))) = (&self.data, range_of(data_type)) else { return Ok(self) };
        let Some(beyond) = values.iter().flatten().find(|value| !(least..=most).contains(*value)) else {
            return Ok(self);
        };
        if most == i64::MAX {
            return Err(format!("{beyond} is no {}, and would wrap around", type_name(data_type)));
        }
        spend(meter, values.len(), Kind::Int)?;
        let (least, count) = (i128::from(least), i128::from(most) - i128::from(least) + 1);
        let within = |value: i64| ((i128::from(value) - least).rem_euclid(count) + least) as i64;
        let values = values.iter().map(|value| value.map(within)).collect::<Vec<_>>();
        Ok(Self { shape: self.shape, data: KnownData::Ints(values.into()) })
    }

    /// The elements as those of another type.
    ///
    /// # Errors
    /// For a number that an integer type does not have.
    pub(super) fn cast(&self, to: i32, meter: &Meter) -> Known<Self> {
        let kind = kind_of(to).ok_or_else(|| format!("elements cannot be cast to {}", type_name(to)))?;
        // Where the kind stays, the numbers are looked at all the same.
        spend(meter, self.data.len(), kind)?;
        let whole = |value: f32| {
            // Every f32 below 2^63 in size is an i64 once its fraction is cut off.
            let fits = value.abs() < 2f32.powi(63);
            fits.then_some(Ok(value as i64)).ok_or_else(|| format!("{value} cannot be cast to {}", type_name(to)))
        };
        let data = match (&self.data, kind) {
            (KnownData::Floats(_), Kind::Float)
            | (KnownData::Ints(_), Kind::Int)
            | (KnownData::Bools(_), Kind::Bool) => self.data.clone(),
            (_, Kind::Float) => KnownData::Floats(self.to_floats(meter)?),
            (KnownData::Floats(values), Kind::Int) => {
                KnownData::Ints(Arc::new(values.iter().map(|&value| whole(value)).collect::<Known<_>>()?))
            }
            (KnownData::Bools(values), Kind::Int) => {
                KnownData::Ints(Arc::new(values.iter().map(|&v| Ok(i64::from(v))).collect()))
            }
            (KnownData::Floats(values), Kind::Bool) => {
                KnownData::Bools(Arc::new(values.iter().map(|&v| v != 0.0).collect()))
            }
            (KnownData::Ints(_), Kind::Bool) => {
                KnownData::Bools(Arc::new(self.known_ints(meter)?.iter().map(|&v| v != 0).collect()))
            }
        };
        if let (KnownData::Ints(values), Some((least, most))) = (&data, range_of(to)) {
            let beyond = |value: &&i64| !(least..=most).contains(*value);
            if let Some(value) = values.iter().flatten().find(beyond) {
                return Err(format!("{value} cannot be cast to {}", type_name(to)));
            }
        }
        let data = match (data, rounding(to)) {
            (KnownData::Floats(values), Some(rounding)) => {
                KnownData::Floats(Arc::new(values.iter().map(|&value| rounding.round(value)).collect()))
            }
            (data, _) => data,
        };
        Ok(Self { shape: self.shape.clone(), data })
    }
}

/// How numbers are rounded that become elements of a floating type of 16 bits.
pub(super) fn rounding(data_type: i32) -> Option<Rounding> {
    match data_type {
        10 => Some(Rounding::Float16),
        16 => Some(Rounding::BFloat16),
        _ => None,
    }
}

/// The least and the greatest number of an integer type; `None` for other types.
pub(super) fn range_of(data_type: i32) -> Option<(i64, i64)> {
    let signed = |bits: u32| Some((-1 << (bits - 1), (1 << (bits - 1)) - 1));
    let unsigned = |bits: u32| Some((0, (1 << bits) - 1));
    match data_type {
        2 => unsigned(8),
        3 => signed(8),
        4 => unsigned(16),
        5 => signed(16),
        6 => signed(32),
        7 => Some((i64::MIN, i64::MAX)),
        12 => unsigned(32),
        13 => Some((0, i64::MAX)),
        UINT4 => unsigned(4),
        INT4 => signed(4),
        _ => None,
    }
}

/// Counts a constant of `elements` that is about to be made.
pub(super) fn spend(meter: &Meter, elements: usize, kind: Kind) -> Known<()> {
    meter.array(elements as u64, kind.bytes()).map_err(|error| error.to_string())
}

/// Counts `steps` that are about to be taken.
pub(super) fn work(meter: &Meter, steps: usize) -> Known<()> {
    meter.work(steps as u64).map_err(|error| error.to_string())
}

impl Kind {
    /// The widest element type of this kind.
    pub(super) fn widest(self) -> i32 {
        match self {
            Self::Float => 1,
            Self::Int => 7,
            Self::Bool => 9,
        }
    }

    /// Bytes that an element takes.
    fn bytes(self) -> usize {
        match self {
            Self::Float => size_of::<f32>(),
            Self::Int => size_of::<Whole>(),
            Self::Bool => size_of::<bool>(),
        }
    }
}

impl KnownData {
    fn floats(self) -> Known<Arc<Vec<f32>>> {
        match self {
            Self::Floats(values) => Ok(values),
            _ => Err("it takes floating point where it is given other elements".into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Floats(values) => values.len(),
            Self::Ints(values) => values.len(),
            Self::Bools(values) => values.len(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Floats(_) => Kind::Float,
            Self::Ints(_) => Kind::Int,
            Self::Bools(_) => Kind::Bool,
        }
    }

    /// The elements at `count` positions.
    pub(super) fn pick(&self, count: usize, positions: impl Iterator<Item = usize>) -> Self {
        fn pick<T: Copy>(values: &[T], count: usize, positions: impl Iterator<Item = usize>) -> Arc<Vec<T>> {
            let mut picked = Vec::with_capacity(count);
            picked.extend(positions.map(|position| values[position]));
            Arc::new(picked)
        }
        match self {
            Self::Floats(values) => Self::Floats(pick(values, count, positions)),
            Self::Ints(values) => Self::Ints(pick(values, count, positions)),
            Self::Bools(values) => Self::Bools(pick(values, count, positions)),
        }
    }
}

/// The elements in `raw`, of which a type of 4 bits has `count`.
fn from_raw(data_type: i32, raw: &[u8], count: usize) -> Known<KnownData> {
    if [UINT4, INT4].contains(&data_type) {
        if raw.len() != count.div_ceil(2) {
            return Err(format!("{} bytes do not hold {count} numbers of 4 bits", raw.len()));
        }
        let four = |index: usize| {
            let bits = i64::from(raw[index / 2] >> (4 * (index % 2)) & 15);
            Ok(if data_type == INT4 && bits > 7 { bits - 16 } else { bits })
        };
        return Ok(KnownData::Ints(Arc::new((0..count).map(four).collect())));
    }

    let floats = |values: Vec<f32>| KnownData::Floats(Arc::new(values));
    let ints = |values: Vec<i64>| KnownData::Ints(Arc::new(values.into_iter().map(Ok).collect()));
    let (size, data) = match data_type {
        1 => (4, floats(decode(raw, f32::from_le_bytes))),
        10 => (2, floats(decode(raw, |bytes| f16::from_le_bytes(bytes).to_f32()))),
        11 => (8, floats(decode(raw, |bytes| f64::from_le_bytes(bytes) as f32))),
        16 => (2, floats(decode(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()))),
        2 => (1, ints(raw.iter().map(|&byte| byte.into()).collect())),
        3 => (1, ints(raw.iter().map(|&byte| i64::from(byte as i8)).collect())),
        4 => (2, ints(decode(raw, |bytes| u16::from_le_bytes(bytes).into()))),
        5 => (2, ints(decode(raw, |bytes| i16::from_le_bytes(bytes).into()))),
        6 => (4, ints(decode(raw, |bytes| i32::from_le_bytes(bytes).into()))),
        7 => (8, ints(decode(raw, i64::from_le_bytes))),
        12 => (4, ints(decode(raw, |bytes| u32::from_le_bytes(bytes).into()))),
        13 => (8, unsigned(decode(raw, u64::from_le_bytes))?),
        _ => (1, KnownData::Bools(Arc::new(raw.iter().map(|&byte| byte != 0).collect()))),
    };
    if raw.len().is_multiple_of(size) {
        return Ok(data);
    }
    Err(format!("{} bytes are no whole number of {}", raw.len(), type_name(data_type)))
}

fn from_fields(tensor: &TensorProto, kind: Kind) -> Known<KnownData> {
    let narrow = &tensor.int32_data;
    Ok(match (tensor.data_type, kind) {
        (1, _) => KnownData::Floats(Arc::new(tensor.float_data.clone())),
        (11, _) => KnownData::Floats(Arc::new(tensor.double_data.iter().map(|&value| value as f32).collect())),
        (10, _) => {
            KnownData::Floats(Arc::new(narrow.iter().map(|&bits| f16::from_bits(bits as u16).to_f32()).collect()))
        }
        (16, _) => {
            KnownData::Floats(Arc::new(narrow.iter().map(|&bits| bf16::from_bits(bits as u16).to_f32()).collect()))
        }
        (7, _) => KnownData::Ints(Arc::new(tensor.int64_data.iter().map(|&value| Ok(value)).collect())),
        (12 | 13, _) => unsigned(tensor.uint64_data.clone())?,
        (_, Kind::Bool) => KnownData::Bools(Arc::new(narrow.iter().map(|&value| value != 0).collect())),
        _ => KnownData::Ints(Arc::new(narrow.iter().map(|&value| Ok(value.into())).collect())),
    })
}

fn unsigned(values: Vec<u64>) -> Known<KnownData> {
    let signed = values.into_iter().map(|value| i64::try_from(value).map(Ok)).collect::<Result<Vec<_>, _>>();
    Ok(KnownData::Ints(Arc::new(signed.map_err(|_| "integers of 2^63 and more cannot be read")?)))
}

/// The positions of one row of a [`BoxWalk`].
#[derive(Clone, Copy)]
struct WalkRow {
    extent: usize,
    stride: isize,
}

impl WalkRow {
    /// The `count` elements of the rows that begin at `starts`.
    fn gathered<T: Copy>(self, values: &[T], starts: impl Iterator<Item = usize>, count: usize) -> Arc<Vec<T>> {
        let mut gathered = Vec::with_capacity(count);
        for start in starts {
            match self.stride {
                0 => gathered.extend(std::iter::repeat_n(values[start], self.extent)),
                1 => gathered.extend_from_slice(&values[start..start + self.extent]),
                stride => {
                    let position = |index: usize| (start as isize + index as isize * stride) as usize;
                    gathered.extend((0..self.extent).map(|index| values[position(index)]));
                }
            }
        }
        Arc::new(gathered)
    }
}

/// Positions `position + Σ index·stride` over a box, last axis fastest.
struct BoxWalk<'a> {
    shape: &'a [usize],
    strides: &'a [isize],
    index: Vec<usize>,
    position: isize,
    left: usize,
}

impl Iterator for BoxWalk<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let position = self.position;
        for axis in (0..self.shape.len()).rev() {
            self.index[axis] += 1;
            self.position += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.position -= self.strides[axis] * self.shape[axis] as isize;
            self.index[axis] = 0;
        }
        Some(position as usize)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// The number of elements of an array of a shape, if there can be one.
pub(super) fn product(shape: &[usize]) -> Known<usize> {
    if shape.len() > MOST_AXES {
        return Err(format!("it has {} axes, and an array at most {MOST_AXES}", shape.len()));
    }
    // Extents beside one of 0 must not overflow either, when strides are made of them.
    let product = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim.max(1)));
    let product = product.filter(|&product| isize::try_from(product).is_ok());
    let product = product.ok_or_else(|| format!("there is no array of shape {shape:?}"))?;
    Ok(if shape.contains(&0) { 0 } else { product })
}

pub(super) fn strides_of(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// `axis`, counted from the end where negative.
pub(super) fn axis_at(axis: i64, rank: usize) -> Known<usize> {
    let index = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let index = index.and_then(|index| usize::try_from(index).ok()).filter(|&index| index < rank);
    index.ok_or_else(|| format!("axis {axis} is none of {rank} axes"))
}

/// `axes`, counted from the end where negative, ascending and each once.
pub(super) fn axes_at(axes: &[i64], rank: usize) -> Known<Vec<usize>> {
    if axes.len() > rank || rank > MOST_AXES {
        return Err(format!("{} axes cannot be named of {rank}", axes.len()));
    }
    let mut found = axes.iter().map(|&axis| axis_at(axis, rank)).collect::<Known<Vec<_>>>()?;
    found.sort_unstable();
    if found.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("its axes {axes:?} must each stand there once"));
    }
    Ok(found)
}

/// The shape that broadcasting makes of two, as NumPy does.
pub(super) fn broadcast(left: &[usize], right: &[usize]) -> Known<Vec<usize>> {
    let rank = left.len().max(right.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let pair = |axis| match (dim(left, axis), dim(right, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let shape = (0..rank).map(pair).collect::<Option<Vec<_>>>();
    shape.ok_or_else(|| format!("the shapes {left:?} and {right:?} do not broadcast"))
}

/// A slice along one axis, as ONNX and Python cut it: the first position, the step, and the number of positions.
pub(super) fn slice_of(extent: usize, start: i64, end: i64, step: i64) -> Known<(usize, i64, usize)> {
    let extent = extent as i64;
    let from_end = |position: i64| if position < 0 { position.saturating_add(extent) } else { position };
    let (low, high) = if step > 0 { (0, extent) } else { (-1, extent - 1) };
    let first = from_end(start).clamp(low.max(0), high.max(0));
    let last = from_end(end).clamp(low, high);
    let span = match step {
        0 => return Err("a step must not be 0".into()),
        1.. => last - first,
        _ => first - last,
    };
    let count = if extent == 0 || span <= 0 { 0 } else { (span - 1) as u64 / step.unsigned_abs() + 1 };
    // A step that nothing takes may be of any size.
    Ok((first as usize, if count > 1 { step } else { 1 }, count as usize))
}

/// The sizes of the parts that Split makes of an axis.
pub(super) fn split_sizes(extent: usize, sizes: Option<&[i64]>, parts: usize) -> Known<Vec<usize>> {
    if let Some(sizes) = sizes {
        let sizes = sizes.iter().map(|&size| usize::try_from(size).ok()).collect::<Option<Vec<_>>>();
        let sizes = sizes.ok_or("the parts of a split must not be negative")?;
        let total = sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size));
        return if total == Some(extent) && sizes.len() == parts {
            Ok(sizes)
        } else {
            Err(format!("{parts} parts of {sizes:?} do not make the extent {extent}"))
        };
    }
    if parts == 0 {
        return Err("a split must have parts".into());
    }
    let size = extent.div_ceil(parts);
    Ok((0..parts).map(|part| size.min(extent.saturating_sub(part * size))).collect())
}

/// The axes of Squeeze, Unsqueeze and the reductions: an input since opset 13 or 18, an attribute before.
pub(super) fn axes_of(node: &NodeProto, input: Option<&KnownTensor>, meter: &Meter) -> Known<Option<Vec<i64>>> {
    match input {
        Some(axes) => axes.known_ints(meter).map(Some),
        None => Ok(node.ints("axes").map(<[i64]>::to_vec)),
    }
}

/// The outputs of `node`, of which all inputs are constants; `None` where the operator is not computed on the host.
pub(super) fn fold(
    node: &NodeProto,
    inputs: &[Option<&KnownTensor>],
    meter: &Meter,
) -> Option<Known<Vec<KnownTensor>>> {
    let one = |result: Known<KnownTensor>| Some(result.map(|constant| vec![constant]));
    // What has no elements may have many places for some, which are walked through all the same.
    for empty in inputs.iter().flatten().filter(|input| input.data.len() == 0) {
        let places = empty.shape.iter().fold(1, |places: usize, &extent| places.saturating_mul(extent.max(1)));
        if let Err(over) = work(meter, places) {
            return Some(Err(over));
        }
    }
    let input = |index: usize| inputs.get(index).copied().flatten();
    let given = |index: usize| input(index).ok_or_else(|| format!("input {index} is missing"));
    match node.op_type.as_str() {
        "Constant" => return one(constant(node, meter)),
        "ConstantOfShape" => return one(given(0).and_then(|shape| constant_of_shape(node, shape, meter))),
        "Range" => return one(range(inputs, meter)),
        "Gemm" => return one(gemm(node, inputs, meter)),
        "MatMul" if inputs.iter().flatten().any(|input| input.shape.len() != 2) => {
            // Where the host computes no ends, a layer does this too; of whole numbers, everywhere.
            if !ENDS_HERE || inputs.iter().flatten().any(|input| input.data.kind() != Kind::Float) {
                return None;
            }
            return one(given(0).and_then(|left| products_of(left, given(1)?, meter)));
        }
        "MatMul" => return one(given(0).and_then(|left| product_of(left, given(1)?, meter))),
        "Split" => return Some(given(0).and_then(|whole| split(node, whole, input(1), meter))),
        "Where" => return one(select(inputs, meter)),
        "Concat" => return one(concat(node, inputs, meter)),
        "DequantizeLinear" => return one(given(0).and_then(|x| dequantize(node, x, given(1)?, input(2), meter))),
        "Max" | "Min" | "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal" | "Less"
        | "LessOrEqual" | "Greater" | "GreaterOrEqual" => {
            let mut rest = inputs.iter().flatten().copied().cloned();
            let first = rest.next()?;
            return one(rest.try_fold(first, |left, right| binary(node, &left, &right, meter)));
        }
        _ => {}
    }
    let x = input(0)?;
    one(match node.op_type.as_str() {
        "Identity" => Ok(x.clone()),
        "Cast" => {
            let to = i32::try_from(node.int("to", 0)).unwrap_or(0);
            x.cast(to, meter)
        }
        "Shape" => Ok(shape(node, &x.shape.iter().map(|&dim| Some(dim)).collect::<Vec<_>>())),
        "Size" => Ok(KnownTensor { shape: Vec::new(), data: KnownData::Ints(Arc::new(vec![Ok(x.data.len() as i64)])) }),
        "Reshape" => given(1).and_then(|target| reshape(node, x, target, meter)),
        "Flatten" => flat_axis(node, x.shape.len()).and_then(|axis| {
            let (rows, columns) = x.shape.split_at(axis);
            x.reshaped(vec![rows.iter().product(), columns.iter().product()])
        }),
        "Squeeze" => axes_of(node, input(1), meter).and_then(|axes| {
            let dims = x.shape.iter().map(|&dim| Some(dim)).collect::<Vec<_>>();
            let dropped = squeezed(&dims, axes.as_deref())?;
            x.reshaped((0..x.shape.len()).filter(|axis| !dropped.contains(axis)).map(|axis| x.shape[axis]).collect())
        }),
        "Unsqueeze" => axes_of(node, input(1), meter).and_then(|axes| {
            let axes = axes.ok_or("it must name axes")?;
            let added = axes_at(&axes, x.shape.len() + axes.len())?;
            let mut dims = x.shape.iter().copied();
            let total = x.shape.len() + axes.len();
            x.reshaped(
                (0..total).filter_map(|axis| if added.contains(&axis) { Some(1) } else { dims.next() }).collect(),
            )
        }),
        "Transpose" => permutation(node, x.shape.len()).and_then(|perm| x.transposed(&perm, meter)),
        "Slice" => slices(node, inputs, x.shape.len(), meter).and_then(|cuts| {
            let strides = strides_of(&x.shape);
            let mut walk = (x.shape.clone(), strides.iter().map(|&stride| stride as isize).collect::<Vec<_>>(), 0);
            for (axis, start, end, step) in cuts {
                let (first, step, count) = slice_of(x.shape[axis], start, end, step)?;
                walk.0[axis] = count;
                walk.1[axis] = strides[axis] as isize * step as isize;
                walk.2 += (first * strides[axis]) as isize;
            }
            x.walk(walk.0, &walk.1, walk.2, meter)
        }),
        "Gather" => given(1).and_then(|indices| gather(node, x, indices, meter)),
        "Expand" => given(1).and_then(|list| list.known_ints(meter)).and_then(|target| {
            let target = extents(&target)?;
            x.expanded(&broadcast(&x.shape, &target)?, meter)
        }),
        "Tile" => given(1).and_then(|list| list.known_ints(meter)).and_then(|repeats| tile(x, &repeats, meter)),
        "ReduceMean" if !ENDS_HERE || x.data.kind() != Kind::Float => return None,
        "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceMean" => {
            axes_of(node, input(1), meter).and_then(|axes| reduce(node, x, axes, meter))
        }
        "Not" => match &x.data {
            KnownData::Bools(values) => spend(meter, values.len(), Kind::Bool).map(|()| KnownTensor {
                shape: x.shape.clone(),
                data: KnownData::Bools(Arc::new(values.iter().map(|value| !value).collect())),
            }),
            _ => Err("it takes booleans".into()),
        },
        name => {
            if ENDS_HERE && let Some(selected) = onnx_selection::selected(node, inputs, meter) {
                return Some(selected);
            }
            return unary(name, x, meter).map(|result| result.map(|constant| vec![constant]));
        }
    })
}

/// The value of a Constant node, in whichever attribute it stands.
fn constant(node: &NodeProto, meter: &Meter) -> Known<KnownTensor> {
    let one = |data| Ok(KnownTensor { shape: Vec::new(), data });
    let [attribute] = &node.attribute[..] else { return Err("it must have one value".into()) };
    spend(meter, attribute.floats.len().max(attribute.ints.len()), Kind::Int)?;
    match attribute.name.as_str() {
        "value" => KnownTensor::decode(attribute.t.as_ref().ok_or("its value is no tensor")?, meter),
        "value_float" => one(KnownData::Floats(Arc::new(vec![attribute.f.unwrap_or_default()]))),
        "value_int" => one(KnownData::Ints(Arc::new(vec![Ok(attribute.i.unwrap_or_default())]))),
        "value_floats" => Ok(KnownTensor::floats(vec![attribute.floats.len()], attribute.floats.clone())),
        "value_ints" => Ok(KnownTensor::ints(attribute.ints.iter().map(|&value| Ok(value)).collect())),
        other => Err(format!("a constant in the attribute {other} cannot be read")),
    }
}

fn constant_of_shape(node: &NodeProto, shape: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let shape = extents(&shape.known_ints(meter)?)?;
    let value = match node.attribute("value").and_then(|attribute| attribute.t.as_ref()) {
        Some(tensor) => KnownTensor::decode(tensor, meter)?,
        None => KnownTensor::floats(vec![1], vec![0.0]),
    };
    if value.data.len() != 1 {
        return Err(format!("its value must be one number, not {}", value.data.len()));
    }
    value.reshaped(Vec::new())?.expanded(&shape, meter)
}

fn extents(values: &[i64]) -> Known<Vec<usize>> {
    let dims = values.iter().map(|&dim| usize::try_from(dim).ok()).collect::<Option<Vec<_>>>();
    dims.ok_or_else(|| format!("the extents {values:?} must not be negative"))
}

/// What Shape makes of extents, of which some may be unknown.
pub(super) fn shape(node: &NodeProto, dims: &[Option<usize>]) -> KnownTensor {
    let rank = dims.len() as i64;
    let bound = |position: i64| (if position < 0 { position + rank } else { position }).clamp(0, rank) as usize;
    let (start, end) = (bound(node.int("start", 0)), bound(node.int("end", rank)));
    let dims = dims.iter().enumerate().take(end).skip(start);
    let extent = |(axis, dim): (usize, &Option<usize>)| match dim {
        Some(dim) => Ok(*dim as i64),
        None => Err(Unknown(Some(axis as u32))),
    };
    KnownTensor::ints(dims.map(extent).collect())
}

/// The axis before which Flatten cuts.
pub(super) fn flat_axis(node: &NodeProto, rank: usize) -> Known<usize> {
    match node.int("axis", 1) {
        axis if axis == rank as i64 => Ok(rank),
        axis => axis_at(axis, rank),
    }
}

/// The axes that Squeeze drops: those named, or all of extent 1.
pub(super) fn squeezed(dims: &[Option<usize>], axes: Option<&[i64]>) -> Known<Vec<usize>> {
    let Some(axes) = axes else {
        if dims.contains(&None) {
            return Err(UNKNOWN.into());
        }
        return Ok((0..dims.len()).filter(|&axis| dims[axis] == Some(1)).collect());
    };
    let axes = axes_at(axes, dims.len())?;
    match axes.iter().find(|&&axis| dims[axis].is_some_and(|dim| dim != 1)) {
        Some(axis) => Err(format!("axis {axis} cannot be dropped: its extent is not 1")),
        None => Ok(axes),
    }
}

/// The order of axes that Transpose makes; reversed where it names none.
pub(super) fn permutation(node: &NodeProto, rank: usize) -> Known<Vec<usize>> {
    let Some(perm) = node.ints("perm") else { return Ok((0..rank).rev().collect()) };
    let axes = perm.iter().map(|&axis| axis_at(axis, rank)).collect::<Known<Vec<_>>>()?;
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if sorted.iter().copied().eq(0..rank) {
        Ok(axes)
    } else {
        Err(format!("perm={perm:?} must name {rank} axes once each"))
    }
}

/// The cuts of a Slice: axis, start, end and step of each.
pub(super) fn slices(
    node: &NodeProto,
    inputs: &[Option<&KnownTensor>],
    rank: usize,
    meter: &Meter,
) -> Known<Vec<(usize, i64, i64, i64)>> {
    let given = |index: usize, name: &str| match inputs.get(index).copied().flatten() {
        Some(constant) => constant.known_ints(meter).map(Some),
        None => Ok(node.ints(name).map(<[i64]>::to_vec)),
    };
    let (starts, ends) = (given(1, "starts")?, given(2, "ends")?);
    let (starts, ends) = (starts.ok_or("it has no starts")?, ends.ok_or("it has no ends")?);
    let axes = given(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = given(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("it must have as many starts as ends, axes and steps".into());
    }
    axes_at(&axes, rank)?;
    // The largest numbers stand for no end, also backwards, where it lies before the first position; as in onnxruntime.
    let end = |index: usize| match ends[index] {
        i64::MAX | 0x7fff_ffff if steps[index] < 0 => i64::MIN,
        end => end,
    };
    let cut = |index: usize| Ok((axis_at(axes[index], rank)?, starts[index], end(index), steps[index]));
    (0..starts.len()).map(cut).collect()
}

fn reshape(node: &NodeProto, x: &KnownTensor, target: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let target = target.known_ints(meter)?;
    let keep_zero = node.int("allowzero", 0) != 0;
    let mut dims = Vec::with_capacity(target.len());
    for (axis, &dim) in target.iter().enumerate() {
        dims.push(match dim {
            0 if !keep_zero => *x.shape.get(axis).ok_or("a 0 stands where the input has no axis")?,
            -1 => 1,
            dim => usize::try_from(dim).map_err(|_| format!("the extents {target:?} cannot be made"))?,
        });
    }
    if let Some(free) = target.iter().position(|&dim| dim == -1) {
        let others = product(&dims)?;
        if others == 0 || !x.data.len().is_multiple_of(others) {
            return Err(format!("its shape {:?} cannot become {target:?}", x.shape));
        }
        dims[free] = x.data.len() / others;
    }
    x.reshaped(dims)
}

pub(super) fn concat(node: &NodeProto, inputs: &[Option<&KnownTensor>], meter: &Meter) -> Known<KnownTensor> {
    let parts: Vec<&KnownTensor> = inputs.iter().flatten().copied().collect();
    let first = *parts.first().ok_or("it has no inputs")?;
    let axis = axis_at(node.int("axis", 0), first.shape.len())?;
    let fits = |part: &&&KnownTensor| {
        part.data.kind() == first.data.kind()
            && part.shape.len() == first.shape.len()
            && (0..first.shape.len()).all(|a| a == axis || part.shape[a] == first.shape[a])
    };
    if let Some(odd) = parts.iter().find(|part| !fits(part)) {
        return Err(format!("the shapes {:?} and {:?} do not fit together", first.shape, odd.shape));
    }
    let outer: usize = first.shape[..axis].iter().product();
    let block = |part: &KnownTensor| part.data.len() / outer.max(1);
    let mut shape = first.shape.clone();
    let length = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.shape[axis]));
    shape[axis] = length.ok_or("its parts are too long together")?;
    spend(meter, product(&shape)?, first.data.kind())?;
    // Each row visits every part, also those without elements.
    work(meter, outer.saturating_mul(parts.len()))?;
    fn joined<T: Copy>(outer: usize, parts: &[(&[T], usize)]) -> Arc<Vec<T>> {
        let rows = (0..outer).flat_map(|row| parts.iter().map(move |(values, block)| &values[row * block..][..*block]));
        let mut all = Vec::with_capacity(outer * parts.iter().map(|(_, block)| block).sum::<usize>());
        all.extend(rows.flatten());
        Arc::new(all)
    }
    macro_rules! join {
        ($variant:ident) => {{
            let slices = parts.iter().filter_map(|part| match &part.data {
                KnownData::$variant(values) => Some((values.as_slice(), block(part))),
                _ => None,
            });
            KnownData::$variant(joined(outer, &slices.collect::<Vec<_>>()))
        }};
    }
    let data = match first.data.kind() {
        Kind::Float => join!(Floats),
        Kind::Int => join!(Ints),
        Kind::Bool => join!(Bools),
    };
    Ok(KnownTensor { shape, data })
}

fn gather(node: &NodeProto, x: &KnownTensor, indices: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let axis = axis_at(node.int("axis", 0), x.shape.len())?;
    let positions =
        indices.known_ints(meter)?.iter().map(|&index| axis_at(index, x.shape[axis])).collect::<Known<Vec<_>>>()?;
    let inner: usize = x.shape[axis + 1..].iter().product();
    let outer: usize = x.shape[..axis].iter().product();
    let shape = [&x.shape[..axis], &indices.shape, &x.shape[axis + 1..]].concat();
    let count = product(&shape)?;
    spend(meter, count, x.data.kind())?;
    let row = |outer: usize| {
        let base = outer * x.shape[axis];
        positions.iter().flat_map(move |position| (0..inner).map(move |offset| (base + position) * inner + offset))
    };
    Ok(KnownTensor { shape, data: x.data.pick(count, (0..outer).flat_map(row)) })
}

fn split(node: &NodeProto, x: &KnownTensor, sizes: Option<&KnownTensor>, meter: &Meter) -> Known<Vec<KnownTensor>> {
    let axis = axis_at(node.int("axis", 0), x.shape.len())?;
    let sizes = match sizes {
        Some(sizes) => Some(sizes.known_ints(meter)?),
        None => node.ints("split").map(<[i64]>::to_vec),
    };
    let strides = strides_of(&x.shape);
    let signed: Vec<isize> = strides.iter().map(|&stride| stride as isize).collect();
    let mut start = 0;
    let mut parts = Vec::with_capacity(node.output.len());
    for size in split_sizes(x.shape[axis], sizes.as_deref(), node.output.len())? {
        // A part without elements is one too.
        spend(meter, 64, Kind::Float)?;
        let mut shape = x.shape.clone();
        shape[axis] = size;
        parts.push(x.walk(shape, &signed, (start * strides[axis]) as isize, meter)?);
        start += size;
    }
    Ok(parts)
}

fn tile(x: &KnownTensor, repeats: &[i64], meter: &Meter) -> Known<KnownTensor> {
    let repeats = extents(repeats)?;
    if repeats.len() != x.shape.len() {
        return Err(format!("{} repeats for {} axes", repeats.len(), x.shape.len()));
    }
    // [r0, d0, r1, d1, …], of which the repeats do not move through the input.
    let walked: Vec<usize> = repeats.iter().zip(&x.shape).flat_map(|(&repeat, &dim)| [repeat, dim]).collect();
    let strides: Vec<isize> = strides_of(&x.shape).iter().flat_map(|&stride| [0, stride as isize]).collect();
    let shape: Vec<usize> = repeats.iter().zip(&x.shape).map(|(&repeat, &dim)| repeat.saturating_mul(dim)).collect();
    x.walk(walked, &strides, 0, meter)?.reshaped(shape)
}

fn range(inputs: &[Option<&KnownTensor>], meter: &Meter) -> Known<KnownTensor> {
    let [Some(start), Some(limit), Some(delta)] = inputs else { return Err("it must have three inputs".into()) };
    if let KnownData::Ints(_) = start.data {
        let one = |constant: &KnownTensor| match constant.known_ints(meter)?[..] {
            [value] => Ok(value),
            ref values => Err(format!("it takes one number where it is given {}", values.len())),
        };
        let (start, limit, delta) = (one(start)?, one(limit)?, one(delta)?);
        let count = steps(i128::from(limit) - i128::from(start), i128::from(delta))?;
        spend(meter, count, Kind::Int)?;
        return Ok(KnownTensor::ints((0..count).map(|index| Ok(start + index as i64 * delta)).collect()));
    }
    let (start, limit, delta) = (start.scalar(meter)?, limit.scalar(meter)?, delta.scalar(meter)?);
    let count = ((f64::from(limit) - f64::from(start)) / f64::from(delta)).ceil().max(0.0);
    if !count.is_finite() {
        return Err(format!("no number of steps of {delta} leads from {start} to {limit}"));
    }
    spend(meter, count as usize, Kind::Float)?;
    let count = count as usize;
    Ok(KnownTensor::floats(vec![count], (0..count).map(|index| start + index as f32 * delta).collect()))
}

/// How many steps of `delta` reach `span`.
fn steps(span: i128, delta: i128) -> Known<usize> {
    if delta == 0 {
        return Err("a step must not be 0".into());
    }
    let count = (span + delta - delta.signum()) / delta;
    Ok(usize::try_from(count.max(0)).unwrap_or(usize::MAX))
}

/// NumPy's matmul: a single axis is a row of the left side or a column of the right, and all axes but two broadcast.
fn products_of(left: &KnownTensor, right: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let wide = |side: &KnownTensor, single: &dyn Fn(usize) -> Vec<usize>| match side.shape[..] {
        [] => Err("it takes arrays where it is given one number".to_owned()),
        [extent] => side.reshaped(single(extent)),
        _ => Ok(side.clone()),
    };
    let (a, b) = (wide(left, &|extent| vec![1, extent])?, wide(right, &|extent| vec![extent, 1])?);
    let ((outer, rows), (other, columns)) = (a.shape.split_at(a.shape.len() - 2), b.shape.split_at(b.shape.len() - 2));
    let batch = broadcast(outer, other)?;
    let matrices = |side: &KnownTensor, matrix: &[usize]| -> Known<Vec<KnownTensor>> {
        let all = side.expanded(&[&batch, matrix].concat(), meter)?;
        let (count, each) = (product(&batch)?, matrix.iter().product::<usize>());
        spend(meter, all.data.len().saturating_add(count.saturating_mul(64)), Kind::Float)?;
        let of = |index: usize| all.data.pick(each, index * each..(index + 1) * each);
        Ok((0..count).map(|index| KnownTensor { shape: matrix.to_vec(), data: of(index) }).collect())
    };
    let (lefts, rights) = (matrices(&a, rows)?, matrices(&b, columns)?);
    let mut values = Vec::new();
    for (left, right) in lefts.iter().zip(&rights) {
        values.extend_from_slice(&product_of(left, right, meter)?.to_floats(meter)?);
    }
    let single = |side: &KnownTensor| side.shape.len() == 1;
    let own = [(single(left), rows[0]), (single(right), columns[1])];
    let shape: Vec<usize> =
        batch.iter().copied().chain(own.iter().filter(|(single, _)| !single).map(|own| own.1)).collect();
    KnownTensor::floats(vec![values.len()], values).reshaped(shape)
}

/// The product of two matrices, added up in f64.
fn product_of(left: &KnownTensor, right: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let (KnownData::Floats(a), KnownData::Floats(b)) = (&left.data, &right.data) else {
        return Err("it takes floating point where it is given other elements".into());
    };
    let (&[rows, inner], &[other, columns]) = (&left.shape[..], &right.shape[..]) else {
        return Err("of constants, only matrices are multiplied".into());
    };
    if inner != other {
        return Err(format!("the shapes {:?} and {:?} do not fit together", left.shape, right.shape));
    }
    let shape = vec![rows, columns];
    spend(meter, product(&shape)?, Kind::Float)?;
    work(meter, a.len().saturating_mul(columns))?;
    let element = |row: usize, column: usize| {
        let pairs = (0..inner).map(|k| f64::from(a[row * inner + k]) * f64::from(b[k * columns + column]));
        pairs.sum::<f64>() as f32
    };
    let values = (0..rows).flat_map(|row| (0..columns).map(move |column| element(row, column))).collect();
    Ok(KnownTensor::floats(shape, values))
}

fn gemm(node: &NodeProto, inputs: &[Option<&KnownTensor>], meter: &Meter) -> Known<KnownTensor> {
    let [Some(left), Some(right), bias @ ..] = inputs else { return Err("it must have two matrices".into()) };
    let turned = |matrix: &KnownTensor, name: &str| match (node.int(name, 0), matrix.shape.len()) {
        (0, _) => Ok(matrix.clone()),
        (_, 2) => matrix.transposed(&[1, 0], meter),
        _ => Err("of constants, only matrices are multiplied".to_owned()),
    };
    let product = product_of(&turned(left, "transA")?, &turned(right, "transB")?, meter)?;
    let scaled = |constant: &KnownTensor, name: &str| {
        let factor = node.float(name, 1.0);
        spend(meter, constant.data.len(), Kind::Float)?;
        let values = constant.to_floats(meter)?.iter().map(|value| value * factor).collect();
        Ok::<_, String>(KnownTensor::floats(constant.shape.clone(), values))
    };
    let product = scaled(&product, "alpha")?;
    match bias.first().copied().flatten() {
        None => Ok(product),
        Some(bias) => {
            let bias = scaled(bias, "beta")?.expanded(&product.shape, meter)?;
            let node = NodeProto { op_type: "Add".into(), ..NodeProto::default() };
            binary(&node, &product, &bias, meter)
        }
    }
}

/// What quantised numbers stand for: `(x − zero) · scale`.
fn dequantize(
    node: &NodeProto,
    x: &KnownTensor,
    scale: &KnownTensor,
    zero: Option<&KnownTensor>,
    meter: &Meter,
) -> Known<KnownTensor> {
    let scales = spread(node, scale, &x.shape, meter)?;
    let numbers = x.to_floats(meter)?;
    let zeros = zero.map(|zero| spread(node, zero, &x.shape, meter)).transpose()?;
    spend(meter, numbers.len(), Kind::Float)?;
    let zero = |index: usize| zeros.as_ref().map_or(0.0, |zeros| zeros[index]);
    let values = numbers.iter().zip(scales.iter()).enumerate();
    Ok(KnownTensor::floats(x.shape.clone(), values.map(|(index, (x, scale))| (x - zero(index)) * scale).collect()))
}

/// `x / scale` rounded, halves to the even number, and moved by the zero point, within the range of `data_type`.
pub(super) fn quantize(
    node: &NodeProto,
    inputs: &[Option<&KnownTensor>],
    data_type: i32,
    meter: &Meter,
) -> Known<KnownTensor> {
    let [Some(x), Some(scale), rest @ ..] = inputs else { return Err("it must have an input and a scale".into()) };
    let (least, most) =
        range_of(data_type).ok_or_else(|| format!("numbers are not quantised to {}", type_name(data_type)))?;
    let scales = spread(node, scale, &x.shape, meter)?;
    let zeros = rest.first().copied().flatten().map(|zero| spread(node, zero, &x.shape, meter)).transpose()?;
    let numbers = x.to_floats(meter)?;
    spend(meter, numbers.len(), Kind::Int)?;
    let quantized = |(index, (x, scale)): (usize, (&f32, &f32))| {
        let zero = zeros.as_ref().map_or(0.0, |zeros| zeros[index]);
        Ok(((x / scale).round_ties_even() + zero).clamp(least as f32, most as f32) as i64)
    };
    let values = numbers.iter().zip(scales.iter()).enumerate().map(quantized).collect::<Vec<_>>();
    Ok(KnownTensor { shape: x.shape.clone(), data: KnownData::Ints(values.into()) })
}

/// Scales or zero points, each where it counts in a tensor of `shape`: one for all, one for each position of an axis, or one
/// for each block of positions.
fn spread(node: &NodeProto, given: &KnownTensor, shape: &[usize], meter: &Meter) -> Known<Arc<Vec<f32>>> {
    let floats = KnownTensor::floats(given.shape.clone(), given.to_floats(meter)?.to_vec());
    if given.data.len() == 1 {
        return floats.reshaped(Vec::new())?.expanded(shape, meter)?.to_floats(meter);
    }
    let axis = axis_at(node.int("axis", 1), shape.len())?;
    let block = usize::try_from(node.int("block_size", 0)).map_err(|_| "its block_size must not be negative")?;
    if block == 0 {
        if given.shape != [shape[axis]] {
            return Err(format!("{:?} scales are not one for each position of axis {axis} of {shape:?}", given.shape));
        }
        let mut row = vec![1; shape.len()];
        row[axis] = shape[axis];
        return floats.reshaped(row)?.expanded(shape, meter)?.to_floats(meter);
    }
    let blocks = |(place, &dim): (usize, &usize)| if place == axis { dim.div_ceil(block) } else { dim };
    if given.shape != shape.iter().enumerate().map(blocks).collect::<Vec<_>>() {
        return Err(format!(
            "{:?} scales are not one for each block of {block} along axis {axis} of {shape:?}",
            given.shape
        ));
    }
    let outer: usize = shape[..axis].iter().product();
    let (extent, inner) = (shape[axis], shape[axis + 1..].iter().product::<usize>());
    let count = product(shape)?;
    spend(meter, count, Kind::Float)?;
    let rows = (0..outer).flat_map(|row| (0..extent).map(move |place| row * extent.div_ceil(block) + place / block));
    let positions = rows.flat_map(|row| (0..inner).map(move |offset| row * inner + offset));
    floats.data.pick(count, positions).floats()
}

fn select(inputs: &[Option<&KnownTensor>], meter: &Meter) -> Known<KnownTensor> {
    let [Some(condition), Some(yes), Some(no)] = inputs else { return Err("it must have three inputs".into()) };
    let shape = broadcast(&broadcast(&condition.shape, &yes.shape)?, &no.shape)?;
    let [condition, yes, no] = [condition, yes, no].map(|choice| choice.expanded(&shape, meter));
    let (condition, yes, no) = (condition?, yes?, no?);
    spend(meter, yes.data.len(), yes.data.kind())?;
    let KnownData::Bools(condition) = &condition.data else { return Err("its condition must be boolean".into()) };
    fn chosen<T: Copy>(condition: &[bool], yes: &[T], no: &[T]) -> Arc<Vec<T>> {
        let pairs = yes.iter().zip(no);
        Arc::new(condition.iter().zip(pairs).map(|(&c, (&yes, &no))| if c { yes } else { no }).collect())
    }
    let data = match (&yes.data, &no.data) {
        (KnownData::Floats(yes), KnownData::Floats(no)) => KnownData::Floats(chosen(condition, yes, no)),
        (KnownData::Ints(yes), KnownData::Ints(no)) => KnownData::Ints(chosen(condition, yes, no)),
        (KnownData::Bools(yes), KnownData::Bools(no)) => KnownData::Bools(chosen(condition, yes, no)),
        _ => return Err("both choices must have elements of one kind".into()),
    };
    Ok(KnownTensor { shape, data })
}

fn binary(node: &NodeProto, left: &KnownTensor, right: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let name = node.op_type.as_str();
    // An exponent may be of another type.
    if name == "Pow" && left.data.kind() == Kind::Float && right.data.kind() == Kind::Int {
        return binary(node, left, &right.cast(Kind::Float.widest(), meter)?, meter);
    }
    let shape = broadcast(&left.shape, &right.shape)?;
    let (left, right) = (left.expanded(&shape, meter)?, right.expanded(&shape, meter)?);
    spend(meter, left.data.len(), left.data.kind())?;
    let data = match (&left.data, &right.data) {
        (KnownData::Floats(a), KnownData::Floats(b)) => {
            let pairs = a.iter().zip(b.iter()).map(|(&a, &b)| (a, b));
            match comparison(name) {
                Some(compared) => KnownData::Bools(Arc::new(pairs.map(|(a, b)| compared(&a, &b)).collect())),
                None => {
                    let function = float_function(name)?;
                    KnownData::Floats(Arc::new(pairs.map(|(a, b)| function(a, b)).collect()))
                }
            }
        }
        (KnownData::Ints(a), KnownData::Ints(b)) => {
            let pairs = a.iter().zip(b.iter()).map(|(&a, &b)| (a, b));
            match comparison(name) {
                Some(compared) => {
                    let values = pairs.map(|(a, b)| Ok::<_, Unknown>(compared(&a?, &b?)));
                    KnownData::Bools(Arc::new(values.collect::<Result<_, _>>().map_err(|_| UNKNOWN)?))
                }
                None => {
                    let function = int_function(name, node.int("fmod", 0) != 0)?;
                    KnownData::Ints(Arc::new(pairs.map(|(a, b)| computed(name, function, a, b)).collect::<Known<_>>()?))
                }
            }
        }
        (KnownData::Bools(a), KnownData::Bools(b)) => {
            let function: fn(bool, bool) -> bool = match name {
                "And" => |a, b| a && b,
                "Or" => |a, b| a || b,
                "Xor" => |a, b| a != b,
                "Equal" => |a, b| a == b,
                _ => return Err("it takes numbers where it is given booleans".into()),
            };
            KnownData::Bools(Arc::new(a.iter().zip(b.iter()).map(|(&a, &b)| function(a, b)).collect()))
        }
        _ => return Err("its inputs must have elements of one kind".into()),
    };
    Ok(KnownTensor { shape, data })
}

fn comparison<T: PartialOrd>(name: &str) -> Option<fn(&T, &T) -> bool> {
    Some(match name {
        "Equal" => T::eq,
        "Less" => T::lt,
        "LessOrEqual" => T::le,
        "Greater" => T::gt,
        "GreaterOrEqual" => T::ge,
        _ => return None,
    })
}

fn float_function(name: &str) -> Known<fn(f32, f32) -> f32> {
    Ok(match name {
        "Add" => |a, b| a + b,
        "Sub" => |a, b| a - b,
        "Mul" => |a, b| a * b,
        "Div" => |a, b| a / b,
        "Pow" => f32::powf,
        "Mod" => |a, b| a % b,
        // A NaN stays one, as in NumPy.
        "Max" => |a, b| if a > b || a.is_nan() { a } else { b },
        "Min" => |a, b| if a < b || a.is_nan() { a } else { b },
        _ => return Err(format!("{name} of floating point is not computed")),
    })
}

/// `None` of the function where the result is no integer of 64 bits. The rest of a division has the sign of the divisor, as
/// in Python, or with `truncated` that of the dividend, as in C.
fn int_function(name: &str, truncated: bool) -> Known<fn(i64, i64) -> Option<i64>> {
    Ok(match name {
        "Add" => i64::checked_add,
        "Sub" => i64::checked_sub,
        "Mul" => i64::checked_mul,
        "Div" => i64::checked_div,
        "Mod" if truncated => i64::checked_rem,
        "Mod" => |a, b| a.checked_rem(b).map(|rest| if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }),
        "Pow" => |a, b| a.checked_pow(u32::try_from(b).ok()?),
        "Max" => |a, b| Some(a.max(b)),
        "Min" => |a, b| Some(a.min(b)),
        _ => return Err(format!("{name} of integers is not computed")),
    })
}

/// `function` of two integers; unknown where one is.
pub(super) fn computed(name: &str, function: fn(i64, i64) -> Option<i64>, left: Whole, right: Whole) -> Known<Whole> {
    let (Ok(a), Ok(b)) = (left, right) else { return Ok(COMPUTED) };
    function(a, b).map(Ok).ok_or_else(|| format!("{name} of {a} and {b} is no integer of 64 bits"))
}

fn unary(name: &str, x: &KnownTensor, meter: &Meter) -> Option<Known<KnownTensor>> {
    let made = |data| Some(Ok(KnownTensor { shape: x.shape.clone(), data }));
    if let Err(over) = spend(meter, x.data.len(), x.data.kind()) {
        return Some(Err(over));
    }
    if let KnownData::Ints(values) = &x.data {
        let function: fn(i64) -> Option<i64> = match name {
            "Neg" => i64::checked_neg,
            "Abs" => i64::checked_abs,
            _ => return None,
        };
        let values = values.iter().map(|value| match value {
            Ok(value) => function(*value).map(Ok).ok_or_else(|| format!("{name} of {value} is no integer of 64 bits")),
            Err(_) => Ok(COMPUTED),
        });
        return match values.collect::<Known<_>>() {
            Ok(values) => made(KnownData::Ints(Arc::new(values))),
            Err(reason) => Some(Err(reason)),
        };
    }
    let function: fn(f32) -> f32 = match name {
        "Neg" => |x| -x,
        "Abs" => f32::abs,
        "Sqrt" => f32::sqrt,
        "Exp" => f32::exp,
        "Log" => f32::ln,
        "Floor" => f32::floor,
        "Ceil" => f32::ceil,
        "Round" => f32::round_ties_even,
        "Reciprocal" => f32::recip,
        "Relu" if ENDS_HERE => |x| if x < 0.0 { 0.0 } else { x },
        "Sigmoid" if ENDS_HERE => |x| 1.0 / (1.0 + (-x).exp()),
        "Sign" if ENDS_HERE => |x| if x == 0.0 || x.is_nan() { x } else { x.signum() },
        "Tanh" if ENDS_HERE => f32::tanh,
        _ => return None,
    };
    match &x.data {
        KnownData::Floats(values) => {
            made(KnownData::Floats(Arc::new(values.iter().map(|&value| function(value)).collect())))
        }
        _ => Some(Err("it takes numbers where it is given booleans".into())),
    }
}

fn reduce(node: &NodeProto, x: &KnownTensor, axes: Option<Vec<i64>>, meter: &Meter) -> Known<KnownTensor> {
    let rank = x.shape.len();
    let axes = match axes {
        Some(axes) if !axes.is_empty() => axes_at(&axes, rank)?,
        _ if node.int("noop_with_empty_axes", 0) != 0 => Vec::new(),
        _ => (0..rank).collect(),
    };
    let kept: Vec<usize> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
    let count: usize = axes.iter().map(|&axis| x.shape[axis]).product();
    let keepdims = node.int("keepdims", 1) != 0;
    let dim = |axis: usize| if axes.contains(&axis) { keepdims.then_some(1) } else { Some(x.shape[axis]) };
    let shape: Vec<usize> = (0..rank).filter_map(dim).collect();
    let name = match node.op_type.as_str() {
        "ReduceProd" => "Mul",
        "ReduceSum" => "Add",
        "ReduceMax" => "Max",
        "ReduceMin" => "Min",
        _ => "Mean",
    };
    if count == 0 {
        // The sum of nothing is 0, and its product 1; it has no largest element.
        let none = match name {
            "Add" => 0,
            "Mul" => 1,
            _ => return Err("it has no elements to reduce".into()),
        };
        let none = match x.data.kind() {
            Kind::Int => KnownTensor { shape: Vec::new(), data: KnownData::Ints(vec![Ok(none)].into()) },
            _ => KnownTensor::floats(Vec::new(), vec![none as f32]),
        };
        return none.expanded(&shape, meter);
    }
    work(meter, x.data.len())?;
    // What is reduced to one element stands together.
    let ordered = x.transposed(&[kept, axes].concat(), meter)?;
    let data = match &ordered.data {
        KnownData::Floats(values) if ENDS_HERE && name == "Mean" => {
            let mean = |group: &[f32]| (group.iter().map(|&value| f64::from(value)).sum::<f64>() / count as f64) as f32;
            KnownData::Floats(Arc::new(values.chunks(count).map(mean).collect()))
        }
        KnownData::Floats(values) => {
            let function = float_function(name)?;
            let total = |group: &[f32]| group[1..].iter().fold(group[0], |total, &value| function(total, value));
            KnownData::Floats(Arc::new(values.chunks(count).map(total).collect()))
        }
        KnownData::Ints(values) => {
            let function = int_function(name, false)?;
            let total = |group: &[Whole]| {
                group[1..].iter().try_fold(group[0], |total, &value| computed(name, function, total, value))
            };
            KnownData::Ints(Arc::new(values.chunks(count).map(total).collect::<Known<_>>()?))
        }
        KnownData::Bools(values) => match name {
            "Max" => KnownData::Bools(Arc::new(values.chunks(count).map(|group| group.contains(&true)).collect())),
            "Min" => KnownData::Bools(Arc::new(values.chunks(count).map(|group| !group.contains(&false)).collect())),
            _ => return Err("it takes numbers where it is given booleans".into()),
        },
    };
    KnownTensor { shape: vec![data.len()], data }.reshaped(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ints(shape: &[usize], values: &[i64]) -> KnownTensor {
        KnownTensor::ints(values.iter().map(|&value| Ok(value)).collect()).reshaped(shape.to_vec()).unwrap()
    }

    fn folded(operator: &str, inputs: &[&KnownTensor]) -> Known<KnownTensor> {
        let node = NodeProto { op_type: operator.into(), output: vec!["y".into()], ..NodeProto::default() };
        let inputs: Vec<_> = inputs.iter().map(|&input| Some(input)).collect();
        fold(&node, &inputs, &Meter::new("x.onnx", 0))
            .expect("the operator is computed on the host")
            .map(|mut outputs| outputs.swap_remove(0))
    }

    /// Against Python's `range(extent)[start:end:step]`.
    #[test]
    fn slices_are_pythons() {
        let cut = |extent, start, end, step| {
            let (first, step, count) = slice_of(extent, start, end, step).unwrap();
            (0..count as i64).map(|index| first as i64 + index * step).collect::<Vec<_>>()
        };
        let far = i64::MAX;
        assert_eq!(cut(5, 0, far, 1), [0, 1, 2, 3, 4]);
        assert_eq!(cut(5, 1, -1, 1), [1, 2, 3]);
        assert_eq!(cut(5, -3, far, 2), [2, 4]);
        assert_eq!(cut(5, -1, -far, -1), [4, 3, 2, 1, 0]);
        assert_eq!(cut(5, far, 0, -2), [4, 2]);
        assert_eq!(cut(5, -1, i64::MIN, -1), [4, 3, 2, 1, 0]);
        assert_eq!(cut(5, 3, 1, 1), [0_i64; 0]);
        assert_eq!(cut(5, 1, 3, -1), [0_i64; 0]);
        assert_eq!(cut(5, 9, 20, 1), [0_i64; 0]);
        assert_eq!(cut(0, 0, far, 1), [0_i64; 0]);
        assert_eq!(cut(0, -1, i64::MIN, -1), [0_i64; 0]);
        assert_eq!(cut(1, 0, far, far), [0]);
        assert_eq!(cut(3, far, i64::MIN, i64::MIN), [2]);
        assert!(slice_of(5, 0, 5, 0).is_err());
    }

    #[test]
    fn integers_stay_integers_and_unknown_extents_unknown() {
        let (left, right) = (ints(&[3], &[7, -7, 1 << 62]), ints(&[], &[2]));
        assert_eq!(folded("Div", &[&left, &right]).unwrap(), ints(&[3], &[3, -3, 1 << 61]));
        assert_eq!(folded("Mod", &[&left, &right]).unwrap(), ints(&[3], &[1, 1, 0]));
        assert!(folded("Mul", &[&left, &right]).is_err(), "2^63 is none");
        assert!(folded("Div", &[&left, &ints(&[], &[0])]).is_err());
        let shape = KnownTensor::ints(vec![Err(Unknown(Some(0))), Ok(4)]);
        assert_eq!(folded("Mul", &[&shape, &right]).unwrap(), KnownTensor::ints(vec![COMPUTED, Ok(8)]));
        assert!(folded("Equal", &[&shape, &right]).is_err());
        assert!(folded("ConstantOfShape", &[&shape]).is_err());
    }

    #[test]
    fn arrays_are_cut_turned_and_joined_in_order() {
        let x = ints(&[2, 3], &[0, 1, 2, 3, 4, 5]);
        assert_eq!(folded("Transpose", &[&x]).unwrap(), ints(&[3, 2], &[0, 3, 1, 4, 2, 5]));
        assert_eq!(folded("Tile", &[&x, &ints(&[2], &[1, 2])]).unwrap().shape, [2, 6]);
        let target = ints(&[3], &[2, 1, 3]);
        assert_eq!(folded("Expand", &[&x, &target]).unwrap(), ints(&[2, 2, 3], &[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5]));
        assert_eq!(folded("Gather", &[&x, &ints(&[1], &[-1])]).unwrap(), ints(&[1, 3], &[3, 4, 5]));
        assert_eq!(folded("Concat", &[&x, &x]).unwrap().shape, [4, 3]);
        assert_eq!(folded("ReduceProd", &[&x]).unwrap(), ints(&[1, 1], &[0]));
        assert_eq!(folded("ReduceSum", &[&x, &ints(&[1], &[0])]).unwrap(), ints(&[1, 3], &[3, 5, 7]));
        let range = folded("Range", &[&ints(&[], &[10]), &ints(&[], &[4]), &ints(&[], &[-3])]).unwrap();
        assert_eq!(range, ints(&[2], &[10, 7]));
        assert!(folded("Gather", &[&x, &ints(&[1], &[2])]).is_err());
        assert!(folded("Reshape", &[&x, &ints(&[2], &[-1, 4])]).is_err());
        assert!(folded("Reshape", &[&x, &ints(&[2], &[i64::MAX, i64::MAX])]).is_err());
    }
}
