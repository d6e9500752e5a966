//! What ONNX operators become: the builder that their functions write layers and weights to.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::onnx_fold::{Kind, KnownTensor, Unknown, Whole, kind_of, slice_of};
use super::onnx_proto::NodeProto;
use super::onnx_unpool::PoolIndices;
use crate::budget::Meter;
use crate::layers::{
    ActivationLayer, AveragePooling, Broadcast, Concatenate, Expand, Extent, LayerConfig, Map, MatMul, MaxPooling, Pad,
    PadMode, Pads, Permute, Pool, Pooling, Reduce, ReduceFunction, Slice, Transpose, Values, View, ZeroPadding,
};
use crate::model::{Input, Port};
use crate::plan::BinaryFunction;
use crate::{Activation, DataFormat, Error, HostTensor, Padding, PartialShape, Unary};

/// Why a node does not become layers.
pub(super) enum Refusal {
    /// It reads what another refused node would make.
    Lost,
    /// It needs the value of this input of the model.
    NeedsValue(usize),
    Unsupported {
        attribute: Option<String>,
        reason: String,
    },
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Unsupported { attribute: None, reason }
    }
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        error.to_string().into()
    }
}

pub(super) type Outcome<T> = Result<T, Refusal>;

pub(super) fn at(attribute: &str, reason: impl Into<String>) -> Refusal {
    Refusal::Unsupported { attribute: Some(attribute.into()), reason: reason.into() }
}

/// One layer to build, applied once.
pub(super) struct LayerStep {
    pub(super) name: String,
    pub(super) config: LayerConfig,
    /// What was made of one constant in one way is one tensor, however many steps read it.
    pub(super) weights: Vec<Arc<HostTensor>>,
    pub(super) reads: Vec<Port>,
}

/// What a name of the graph stands for.
#[derive(Clone)]
pub(super) enum Term {
    /// Known without running the model.
    Known(KnownTensor),
    /// Made by a layer, or given to the model.
    Made(Port),
    /// Not to be had, since its node cannot be built.
    Lost,
}

impl Term {
    /// Its value, where it is known without running the model.
    pub(super) fn known(&self) -> Option<&KnownTensor> {
        match self {
            Self::Known(constant) => Some(constant),
            Self::Made(_) | Self::Lost => None,
        }
    }
}

/// Whether the known extents of `shape` come to a number of elements that a device can count, so that nothing that is
/// multiplied from them overflows.
pub(super) fn indexable(shape: &PartialShape) -> bool {
    let elements = shape.dims().iter().flatten().try_fold(1u64, |product, &dim| product.checked_mul(dim.max(1) as u64));
    elements.is_some_and(|elements| elements <= u32::MAX.into())
}

/// Bytes of memory that a layer is counted as, beside its weights: its description, its name, its shapes, and what a model
/// makes of them.
const LAYER_BYTES: u64 = 4096;

/// Layers under construction.
pub(super) struct Builder {
    pub(super) opset: i64,
    pub(super) meter: Rc<Meter>,
    pub(super) inputs: Vec<Input>,
    pub(super) steps: Vec<LayerStep>,
    /// What each step makes.
    pub(super) shapes: Vec<PartialShape>,
    /// The weights so far, by the place in memory of the constant's elements and by what was made of them; with the
    /// constant, so that the place stays its own.
    weights: HashMap<(usize, String), (KnownTensor, Arc<HostTensor>)>,
    /// The indices that pools have made so far.
    pub(super) pool_indices: HashMap<Port, PoolIndices>,
}

impl Builder {
    pub(super) fn new(opset: i64, meter: Rc<Meter>) -> Self {
        let (inputs, steps, shapes, weights) = (Vec::new(), Vec::new(), Vec::new(), HashMap::new());
        Self { opset, meter, inputs, steps, shapes, weights, pool_indices: HashMap::new() }
    }

    /// The shape of a value.
    pub(super) fn shape(&self, value: Port) -> &PartialShape {
        match value {
            Port::Input(index) => &self.inputs[index].shape,
            Port::Output(index, _) => &self.shapes[index],
        }
    }

    /// `constant` as a value, for layers that read no constants.
    pub(super) fn values(&mut self, constant: &KnownTensor) -> Outcome<Port> {
        if self.inputs.is_empty() {
            return Err("it computes with constants alone, and the model has no input to call it by".into());
        }
        let extents = constant.shape.iter().map(|&dim| u32::try_from(dim)).collect::<Result<Vec<_>, _>>();
        let extents = extents.map_err(|_| format!("there is no array of shape {:?}", constant.shape))?;
        let weight = self.weight(constant, "plain", KnownTensor::to_weight)?;
        self.layer(Values::new(extents), vec![weight], &[Port::Input(0)])
    }

    /// What `make` makes of `constant`, as a weight; `form` tells it from other weights made of the same constant.
    fn weight(
        &mut self,
        constant: &KnownTensor,
        form: &str,
        make: impl FnOnce(&KnownTensor, &Meter) -> Result<HostTensor, String>,
    ) -> Outcome<Arc<HostTensor>> {
        let key = (constant.place(), format!("{form} of {:?}", constant.shape));
        if let Some((_, weight)) = self.weights.get(&key) {
            return Ok(weight.clone());
        }
        let weight = Arc::new(make(constant, &self.meter)?);
        self.weights.insert(key, (constant.clone(), weight.clone()));
        Ok(weight)
    }

    /// Applies the layer `config` with `weights` to `reads`.
    pub(super) fn layer(
        &mut self,
        config: impl Into<LayerConfig>,
        weights: Vec<Arc<HostTensor>>,
        reads: &[Port],
    ) -> Result<Port, Refusal> {
        let config = config.into();
        self.meter.memory(LAYER_BYTES)?;
        let shapes: Vec<_> = reads.iter().map(|&value| self.shape(value).clone()).collect();
        let shape = config.output_shape_all(&shapes).map_err(|error| Refusal::from(error.to_string()))?;
        if !indexable(&shape) {
            return Err(format!("its output of shape {shape} would be too large").into());
        }
        self.shapes.push(shape);
        self.steps.push(LayerStep { name: String::new(), config, weights, reads: reads.to_vec() });
        Ok(Port::Output(self.steps.len() - 1, 0))
    }
}

/// A node being mapped.
pub(super) struct Apply<'a> {
    pub(super) builder: &'a mut Builder,
    pub(super) node: &'a NodeProto,
    pub(super) inputs: Vec<Option<Term>>,
    /// The element types of the inputs; 0 for one that is missing.
    pub(super) types: Vec<i32>,
    /// Whether anything reads output 0, 1, ….
    pub(super) asked: Vec<bool>,
}

pub(super) fn one(value: Port) -> Outcome<Vec<Term>> {
    Ok(vec![Term::Made(value)])
}

pub(super) fn units_of(units: usize) -> Outcome<u32> {
    u32::try_from(units).map_err(|_| format!("{units} columns are too many").into())
}

/// One spatial axis of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowSpan {
    pub(super) kernel: u32,
    pub(super) stride: u32,
    pub(super) dilation: u32,
    /// Pads before and after; Keras's `same`, where it depends on an extent that is not known.
    pub(super) pads: Option<[u32; 2]>,
}

impl WindowSpan {
    pub(super) const UNIT: Self = Self { kernel: 1, stride: 1, dilation: 1, pads: Some([0, 0]) };

    /// The extent that the window spans.
    pub(super) fn reach(&self) -> u64 {
        (u64::from(self.kernel) - 1) * u64::from(self.dilation) + 1
    }

    /// The pads of `same` together, where they are known: for a stride of 1 they do not depend on the extent.
    pub(super) fn same_pads(&self, extent: Option<usize>) -> Option<u32> {
        let stride = u64::from(self.stride);
        let total = match extent {
            _ if self.stride == 1 => self.reach() - 1,
            None => return None,
            Some(extent) => {
                let extent = extent as u64;
                (extent.div_ceil(stride).saturating_sub(1) * stride + self.reach()).saturating_sub(extent)
            }
        };
        u32::try_from(total).ok()
    }

    /// Whether Keras's `same` pads an axis of `extent` alike.
    pub(super) fn is_same(&self, extent: Option<usize>) -> bool {
        match (self.pads, self.same_pads(extent)) {
            (None, _) => true,
            (Some(pads), Some(total)) => pads == [total / 2, total - total / 2],
            (Some(_), None) => false,
        }
    }
}

/// The padding of Keras that comes to the same as the spans' pads over spatial axes of these extents.
pub(super) fn padding_of(spans: &[WindowSpan], extents: &[Option<usize>]) -> Option<Padding> {
    if spans.iter().all(|span| span.pads == Some([0, 0])) {
        return Some(Padding::Valid);
    }
    spans.iter().zip(extents).all(|(span, &extent)| span.is_same(extent)).then_some(Padding::Same)
}

// What functions read of their node, and what they add.
impl Apply<'_> {
    /// Input `index`, which a layer is to read.
    pub(super) fn value(&mut self, index: usize) -> Outcome<Port> {
        let term = self.term(index)?;
        self.made(&term)
    }

    /// Input `index`, whatever it is.
    pub(super) fn term(&self, index: usize) -> Outcome<Term> {
        match self.inputs.get(index).and_then(Option::as_ref) {
            Some(Term::Lost) => Err(Refusal::Lost),
            Some(term) => Ok(term.clone()),
            None => Err(format!("its input {index} is missing").into()),
        }
    }

    /// `term` as a value.
    pub(super) fn made(&mut self, term: &Term) -> Outcome<Port> {
        match term {
            Term::Made(value) => Ok(*value),
            Term::Known(constant) => self.builder.values(constant),
            Term::Lost => Err(Refusal::Lost),
        }
    }

    pub(super) fn is_there(&self, index: usize) -> bool {
        self.inputs.get(index).is_some_and(Option::is_some)
    }

    /// The element type of input `index`.
    pub(super) fn type_of(&self, index: usize) -> i32 {
        self.types.get(index).copied().unwrap_or(0)
    }

    /// Whether input `index` is of whole numbers.
    pub(super) fn is_whole(&self, index: usize) -> bool {
        kind_of(self.type_of(index)) == Some(Kind::Int)
    }

    /// All inputs, one behind the other along a new first axis.
    pub(super) fn stacked(&mut self) -> Outcome<Term> {
        let mut rows = Vec::with_capacity(self.inputs.len());
        for index in 0..self.inputs.len() {
            let x = self.value(index)?;
            let own = (0..self.dims(x).len()).map(Extent::Axis);
            rows.push(self.view(x, std::iter::once(Extent::Of(1)).chain(own).collect())?);
        }
        self.concatenated(&rows, 0).map(Term::Made)
    }

    /// Input `index`, which must be known before the model runs, if it is there.
    pub(super) fn constant(&self, index: usize) -> Outcome<Option<&KnownTensor>> {
        match self.inputs.get(index).and_then(Option::as_ref) {
            Some(Term::Known(constant)) => Ok(Some(constant)),
            Some(Term::Made(Port::Input(input))) => Err(Refusal::NeedsValue(*input)),
            Some(Term::Made(Port::Output(..))) => {
                Err(format!("its input {index} must be a constant, and depends on what the model is given").into())
            }
            Some(Term::Lost) => Err(Refusal::Lost),
            None => Ok(None),
        }
    }

    pub(super) fn required(&self, index: usize) -> Outcome<&KnownTensor> {
        self.constant(index)?.ok_or_else(|| format!("its input {index} is missing").into())
    }

    /// Input `index` as integers, or else the attribute `name`.
    pub(super) fn ints(&self, index: usize, name: &str) -> Outcome<Option<Vec<i64>>> {
        Ok(match self.constant(index)? {
            Some(constant) => Some(constant.known_ints(self.meter())?),
            None => self.node.ints(name).map(<[i64]>::to_vec),
        })
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.builder.meter
    }

    /// What `make` makes of `constant`, as a weight; `form` tells it from other weights made of the same constant.
    pub(super) fn weight(
        &mut self,
        constant: &KnownTensor,
        form: &str,
        make: impl FnOnce(&KnownTensor, &Meter) -> Result<HostTensor, String>,
    ) -> Outcome<Arc<HostTensor>> {
        self.builder.weight(constant, form, make)
    }

    /// `constant` as a weight, as it stands.
    pub(super) fn plain_weight(&mut self, constant: &KnownTensor) -> Outcome<Arc<HostTensor>> {
        self.weight(constant, "plain", KnownTensor::to_weight)
    }

    /// Input `index` as a weight, as it stands.
    pub(super) fn required_weight(&mut self, index: usize) -> Outcome<Arc<HostTensor>> {
        let constant = self.required(index)?.clone();
        self.plain_weight(&constant)
    }

    pub(super) fn dims(&self, value: Port) -> Vec<Option<usize>> {
        self.builder.shape(value).dims().to_vec()
    }

    /// The extents of `value`, all of them known.
    pub(super) fn known_dims(&self, value: Port) -> Outcome<Vec<usize>> {
        let known = self.dims(value).into_iter().collect::<Option<Vec<_>>>();
        known.ok_or_else(|| format!("the shape {} of its input must be known", self.builder.shape(value)).into())
    }

    pub(super) fn layer(&mut self, config: impl Into<LayerConfig>, reads: &[Port]) -> Outcome<Port> {
        self.builder.layer(config, Vec::new(), reads)
    }

    pub(super) fn weighted(
        &mut self,
        config: impl Into<LayerConfig>,
        weights: Vec<Arc<HostTensor>>,
        read: Port,
    ) -> Outcome<Port> {
        self.builder.layer(config, weights, &[read])
    }

    /// The first input itself.
    pub(super) fn same(&mut self) -> Outcome<Vec<Term>> {
        self.inputs.first().cloned().flatten().map(|term| vec![term]).ok_or_else(|| "its input is missing".into())
    }

    pub(super) fn activation(&mut self, activation: Activation) -> Outcome<Vec<Term>> {
        let x = self.value(0)?;
        one(self.layer(ActivationLayer::new(activation), &[x])?)
    }

    pub(super) fn activated(&mut self, activation: Activation, x: Port) -> Outcome<Port> {
        self.layer(ActivationLayer::new(activation), &[x])
    }

    /// `value` under another shape; no layer where that is its own.
    pub(super) fn view(&mut self, value: Port, extents: Vec<Extent>) -> Outcome<Port> {
        let own = self.dims(value);
        let same = |(axis, extent): (usize, &Extent)| {
            *extent == Extent::Axis(axis) || own[axis].map(Extent::Of) == Some(*extent)
        };
        if extents.len() == own.len() && extents.iter().enumerate().all(same) {
            return Ok(value);
        }
        self.layer(View::new(extents), &[value])
    }
}

impl Apply<'_> {
    pub(super) fn map(&mut self, function: Unary) -> Outcome<Vec<Term>> {
        let x = self.value(0)?;
        one(self.unary(function, x)?)
    }

    pub(super) fn unary(&mut self, function: Unary, x: Port) -> Outcome<Port> {
        self.layer(Map::new(function), &[x])
    }

    /// `scale·x + offset`.
    pub(super) fn affine(&mut self, x: Port, scale: f32, offset: f32) -> Outcome<Port> {
        if scale == 1.0 && offset == 0.0 { Ok(x) } else { self.unary(Unary::Affine { scale, offset }, x) }
    }

    pub(super) fn binary(&mut self, function: BinaryFunction, left: Port, right: Port) -> Outcome<Port> {
        self.layer(Broadcast::new(function), &[left, right])
    }

    /// `x` with a constant on its right, or on its left.
    pub(super) fn binary_with(
        &mut self,
        function: BinaryFunction,
        x: Port,
        constant: &KnownTensor,
        left: bool,
    ) -> Outcome<Port> {
        let (layer, shape) = (Broadcast::new(function), constant.shape.as_slice());
        let layer = if left { layer.constant_left(shape) } else { layer.constant_right(shape) };
        let weight = self.plain_weight(constant)?;
        self.weighted(layer, vec![weight], x)
    }

    /// A matrix product, of which one side may be a constant.
    pub(super) fn product(&mut self, left: Term, right: Term) -> Outcome<Port> {
        match (left, right) {
            (Term::Made(left), Term::Made(right)) => self.layer(MatMul::new(), &[left, right]),
            (Term::Made(left), Term::Known(right)) => {
                let layer = MatMul::new().constant_right(right.shape.as_slice());
                let weight = self.plain_weight(&right)?;
                self.weighted(layer, vec![weight], left)
            }
            (Term::Known(left), Term::Made(right)) => {
                let layer = MatMul::new().constant_left(left.shape.as_slice());
                let weight = self.plain_weight(&left)?;
                self.weighted(layer, vec![weight], right)
            }
            _ => Err("it computes with constants alone".into()),
        }
    }

    pub(super) fn reduced(
        &mut self,
        function: ReduceFunction,
        x: Port,
        axes: &[usize],
        keepdims: bool,
    ) -> Outcome<Port> {
        if axes.is_empty() {
            return Err("it reduces no axes".into());
        }
        let axes: Vec<i32> = axes.iter().map(|&axis| axis as i32).collect();
        self.layer(Reduce::new(function).axes(axes).keepdims(keepdims), &[x])
    }

    /// `x` with its axes in the order `perm`; Keras's layer where the batch stays.
    pub(super) fn transposed(&mut self, x: Port, perm: &[usize]) -> Outcome<Port> {
        if perm.iter().copied().eq(0..perm.len()) {
            return Ok(x);
        }
        let order: Vec<u32> = perm.iter().map(|&axis| axis as u32).collect();
        match order.split_first() {
            Some((0, rest)) => self.layer(Permute::new(rest), &[x]),
            _ => self.layer(Transpose::new(order), &[x]),
        }
    }

    /// The cuts, each an axis with its start, end and step, as ONNX's Slice has them.
    pub(super) fn sliced(&mut self, x: Port, cuts: &[(usize, i64, i64, i64)]) -> Outcome<Port> {
        let dims = self.dims(x);
        let mut kept = Vec::with_capacity(cuts.len());
        for &(axis, start, end, step) in cuts {
            // Backwards from before the first position is from the first on, unlike in Python.
            let start = dims[axis].filter(|_| step < 0).map_or(start, |extent| start.max(-(extent as i64)));
            let whole = match dims[axis] {
                Some(extent) => slice_of(extent, start, end, step)? == (0, 1, extent),
                None => start == 0 && step == 1 && end >= i32::MAX.into(),
            };
            if !whole {
                kept.push((axis, start, end, step));
            }
        }
        if kept.is_empty() {
            return Ok(x);
        }
        // Positions beyond all extents mean the same wherever they are.
        let near = |value: i64| value.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
        let list = |of: fn(&(usize, i64, i64, i64)) -> i64| kept.iter().map(|cut| near(of(cut))).collect::<Vec<_>>();
        let layer = Slice::new(list(|cut| cut.1), list(|cut| cut.2)).axes(list(|cut| cut.0 as i64));
        self.layer(layer.steps(list(|cut| cut.3)), &[x])
    }

    /// `count` positions of `axis` from `first` on, `step` apart.
    pub(super) fn part(&mut self, x: Port, axis: usize, first: usize, step: u32, count: usize) -> Outcome<Port> {
        let (first, step) = (first as i64, i64::from(step));
        // Behind the last, and not as far as the next.
        let end = if count == 0 { first } else { first + (count as i64 - 1) * step + 1 };
        self.sliced(x, &[(axis, first, end, step)])
    }

    pub(super) fn concatenated(&mut self, values: &[Port], axis: usize) -> Outcome<Port> {
        match values {
            [only] => Ok(*only),
            _ => self.layer(Concatenate::new().axis(axis as i32), values),
        }
    }

    pub(super) fn expanded(&mut self, x: Port, target: &[Whole]) -> Outcome<Port> {
        let dims = self.dims(x);
        let mut shape = Vec::with_capacity(target.len());
        for (axis, &extent) in target.iter().enumerate() {
            let own = (axis + dims.len()).checked_sub(target.len()).map(|own| (own, dims[own]));
            shape.push(match extent {
                Ok(extent) => u32::try_from(extent).map_err(|_| format!("an extent of {extent} cannot be made"))?,
                // The extent of a call along the same axis, which is that of the input.
                Err(Unknown(Some(from))) if own == Some((from as usize, None)) => 1,
                Err(_) => {
                    return Err(format!("extent {axis} of its shape is not known before the model is called").into());
                }
            });
        }
        self.layer(Expand::new(shape), &[x])
    }

    /// `x` with pads before and after each axis; negative ones cut. Keras's layer where there are zeros around spatial axes.
    pub(super) fn padded(&mut self, x: Port, pads: &[[i64; 2]], mode: PadMode) -> Outcome<Port> {
        if pads.iter().all(|pads| *pads == [0, 0]) {
            return Ok(x);
        }
        if let ([[0, 0], [0, 0], spatial @ ..], PadMode::Constant(0.0)) = (pads, mode) {
            let count = |pads: &[i64; 2]| Some([u32::try_from(pads[0]).ok()?, u32::try_from(pads[1]).ok()?]);
            let counts = spatial.iter().map(count).collect::<Option<Vec<_>>>();
            let first = DataFormat::ChannelsFirst;
            match counts.as_deref() {
                Some(&[w]) => return self.layer(ZeroPadding::new([w]).data_format(first), &[x]),
                Some(&[h, w]) => return self.layer(ZeroPadding::new([h, w]).data_format(first), &[x]),
                Some(&[d, h, w]) => return self.layer(ZeroPadding::new([d, h, w]).data_format(first), &[x]),
                _ => {}
            }
        }
        let pairs = pads.iter().map(|pads| Some([i32::try_from(pads[0]).ok()?, i32::try_from(pads[1]).ok()?]));
        let pairs: Vec<_> = pairs.collect::<Option<_>>().ok_or_else(|| at("pads", "they are too large"))?;
        self.layer(Pad::new(pairs).mode(mode), &[x])
    }

    /// A pool over the axes behind the channels.
    pub(super) fn pooled<const R: usize>(
        &mut self,
        x: Port,
        function: Pooling,
        ceil: bool,
        spans: [WindowSpan; R],
    ) -> Outcome<Port>
    where
        LayerConfig: From<MaxPooling<R>> + From<AveragePooling<R>> + From<Pool<R>>,
    {
        let [size, strides] = [spans.map(|span| span.kernel), spans.map(|span| span.stride)];
        let first = DataFormat::ChannelsFirst;
        let dims = self.dims(x);
        let plain = function != Pooling::AverageWithPads && !ceil && spans.iter().all(|span| span.dilation == 1);
        if let Some(padding) = padding_of(&spans, &dims[2..]).filter(|_| plain) {
            return match function {
                Pooling::Max => {
                    let layer = MaxPooling::new(size).strides(strides).padding(padding);
                    self.layer(layer.data_format(first), &[x])
                }
                _ => {
                    let layer = AveragePooling::new(size).strides(strides).padding(padding);
                    self.layer(layer.data_format(first), &[x])
                }
            };
        }
        let known = spans.iter().all(|span| span.pads.is_some());
        let pads = match known {
            true => Pads::Explicit(spans.map(|span| span.pads.unwrap_or_default())),
            false => Pads::SameUpper,
        };
        let layer = Pool::new(function, size).strides(strides).dilation_rate(spans.map(|span| span.dilation));
        self.layer(layer.pads(pads).ceil_mode(ceil).data_format(first), &[x])
    }
}
