//! What ONNX selects by value, on the host: boxes that do not overlap, elements that are not zero, the largest of a row; and what is
//! often done with them.
//!
//! How much is selected depends on the values, so no layer can make it: a layer's extents follow from those it reads. These
//! functions are for constants, and for the end of a model that is computed on the host (`onnx_tail.rs`).

use std::cmp::Ordering;
use std::sync::Arc;

use super::onnx_fold::{
    Kind, Known, KnownData, KnownTensor, Whole, axis_at, computed, concat, product, spend, strides_of, work,
};
use super::onnx_layers::{Apply, Outcome, Term};
use super::onnx_nodes::{CUT, Operator, row};
use super::onnx_proto::NodeProto;
use crate::budget::Meter;

/// The operators whose output has an extent that depends on values.
pub(super) const OPERATORS: &[Operator] = &[
    row("Compress", &["axis"], by_value).takes(2, 1),
    row("NonMaxSuppression", &["center_point_box"], by_value).takes(5, 1),
    row("NonZero", &[], by_value),
    row("Unique", &["axis", "sorted"], by_value).takes(1, 4),
];

/// Whether the extents of what an operator of ONNX's makes depend on values.
pub(super) fn is_by_value(operator: &str) -> bool {
    OPERATORS.iter().any(|row| row.name == operator)
}

fn by_value(_: &mut Apply) -> Outcome<Vec<Term>> {
    Err(format!("the extents of its output depend on values that the model computes; {CUT}").into())
}

/// The outputs of `node`, of which all inputs are constants; `None` where the operator is none of these.
pub(super) fn selected(
    node: &NodeProto,
    inputs: &[Option<&KnownTensor>],
    meter: &Meter,
) -> Option<Known<Vec<KnownTensor>>> {
    let one = |result: Known<KnownTensor>| Some(result.map(|made| vec![made]));
    let given = |index: usize| {
        let input: Option<&KnownTensor> = inputs.get(index).copied().flatten();
        input.ok_or_else(|| format!("input {index} is missing"))
    };
    match node.op_type.as_str() {
        "ArgMax" | "ArgMin" => one(given(0).and_then(|x| best(node, x, meter))),
        "Clip" => one(given(0).and_then(|x| clip(node, x, inputs, meter))),
        "Compress" => one(given(0).and_then(|x| compress(node, x, given(1)?, meter))),
        "CumSum" => one(given(0).and_then(|x| cumulated(node, x, given(1)?, meter))),
        "GatherElements" => one(given(0).and_then(|x| gather_elements(node, x, given(1)?, meter))),
        "GatherND" => one(given(0).and_then(|x| gather_nd(node, x, given(1)?, meter))),
        "NonMaxSuppression" => one(given(0).and_then(|boxes| suppressed(node, boxes, given(1)?, &inputs[2..], meter))),
        "NonZero" => one(given(0).and_then(|x| non_zero(x, meter))),
        "ScatterND" if node.text("reduction", "none") == "none" => {
            one(given(0).and_then(|x| scatter_nd(node, x, given(1)?, given(2)?, meter)))
        }
        "TopK" => Some(given(0).and_then(|x| top_k(node, x, inputs.get(1).copied().flatten(), meter))),
        "Unique" => Some(given(0).and_then(|x| unique(node, x, meter))),
        _ => None,
    }
}

fn wholes(shape: Vec<usize>, values: Vec<Whole>) -> KnownTensor {
    KnownTensor { shape, data: KnownData::Ints(Arc::new(values)) }
}

/// # Errors
/// Where `x` holds a number that is known only when the model is called: such numbers have no order yet.
fn check_ordered(x: &KnownTensor, meter: &Meter) -> Known<()> {
    match x.data {
        KnownData::Ints(_) => x.known_ints(meter).map(drop),
        KnownData::Floats(_) | KnownData::Bools(_) => Ok(()),
    }
}

/// How the elements at two places of `data`, [which have an order](check_ordered), stand to each other; NaN is beyond all others.
fn compared(data: &KnownData, left: usize, right: usize) -> Ordering {
    match data {
        KnownData::Floats(values) => {
            let (left, right) = (values[left], values[right]);
            left.partial_cmp(&right).unwrap_or_else(|| left.is_nan().cmp(&right.is_nan()))
        }
        KnownData::Ints(values) => values[left].ok().cmp(&values[right].ok()),
        KnownData::Bools(values) => values[left].cmp(&values[right]),
    }
}

/// A shape around one axis: how many rows along it there are, and where the elements of each stand.
struct AxisRows {
    outer: usize,
    extent: usize,
    inner: usize,
}

impl AxisRows {
    fn of(shape: &[usize], axis: usize) -> Self {
        let (outer, inner) = (shape[..axis].iter().product(), shape[axis + 1..].iter().product());
        Self { outer, extent: shape[axis], inner }
    }

    /// The places of the elements of every row, row by row.
    fn places(&self) -> impl Iterator<Item = Vec<usize>> {
        let Self { outer, extent, inner } = *self;
        let row =
            move |row: usize, column: usize| (0..extent).map(|place| (row * extent + place) * inner + column).collect();
        (0..outer).flat_map(move |outer| (0..inner).map(move |column| row(outer, column)))
    }
}

/// The position along an axis of the largest or smallest element: of equal ones the first, or the last where asked for.
fn best(node: &NodeProto, x: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let axis = axis_at(node.int("axis", 0), x.shape.len())?;
    let (largest, last) = (node.op_type == "ArgMax", node.int("select_last_index", 0) != 0);
    if x.shape[axis] == 0 {
        return Err("there is no position in an axis of extent 0".into());
    }
    check_ordered(x, meter)?;
    spend(meter, x.data.len(), Kind::Int)?;
    let position = |row: Vec<usize>| {
        let is_better = |candidate: usize, held: usize| {
            let order = compared(&x.data, row[candidate], row[held]);
            (if largest { order } else { order.reverse() }) == Ordering::Greater || last && order == Ordering::Equal
        };
        Ok((1..row.len()).fold(0, |held, candidate| if is_better(candidate, held) { candidate } else { held }) as i64)
    };
    let positions = AxisRows::of(&x.shape, axis).places().map(position).collect();
    let mut shape = x.shape.clone();
    match node.int("keepdims", 1) {
        0 => drop(shape.remove(axis)),
        _ => shape[axis] = 1,
    }
    Ok(wholes(shape, positions))
}

/// The `k` largest or smallest elements along an axis in order, of equal ones the earlier first, and their positions.
fn top_k(node: &NodeProto, x: &KnownTensor, k: Option<&KnownTensor>, meter: &Meter) -> Known<Vec<KnownTensor>> {
    let axis = axis_at(node.int("axis", -1), x.shape.len())?;
    let k = match k {
        Some(k) => match k.known_ints(meter)?[..] {
            [k] => k,
            ref given => return Err(format!("its k must be one number, and is {}", given.len())),
        },
        // Before opset 10 it was an attribute.
        None => node.int("k", -1),
    };
    let extent = x.shape[axis];
    let k = usize::try_from(k).ok().filter(|&k| k <= extent);
    let k = k.ok_or_else(|| format!("its k must be from 0 to the extent {extent} of axis {axis}"))?;
    check_ordered(x, meter)?;
    // A sort compares each element with as many others as its count has bits.
    work(meter, x.data.len().saturating_mul(64 - extent.leading_zeros() as usize))?;
    spend(meter, x.data.len(), Kind::Int)?;
    let largest = node.int("largest", 1) != 0;
    let mut shape = x.shape.clone();
    shape[axis] = k;
    let rows = AxisRows::of(&shape, axis);
    let count = product(&shape)?;
    spend(meter, count, x.data.kind())?;
    let (mut places, mut positions) = (vec![0; count], vec![Ok(0); count]);
    for (row, made) in AxisRows::of(&x.shape, axis).places().zip(rows.places()) {
        let mut order: Vec<usize> = (0..extent).collect();
        order.sort_by(|&left, &right| {
            let order = compared(&x.data, row[left], row[right]);
            if largest { order.reverse() } else { order }
        });
        for (made, position) in made.into_iter().zip(order) {
            (places[made], positions[made]) = (row[position], Ok(position as i64));
        }
    }
    let values = KnownTensor { shape: shape.clone(), data: x.data.pick(count, places.into_iter()) };
    Ok(vec![values, wholes(shape, positions)])
}

fn clip(node: &NodeProto, x: &KnownTensor, inputs: &[Option<&KnownTensor>], meter: &Meter) -> Known<KnownTensor> {
    // Before opset 11 the bounds were attributes.
    let bound = |index: usize, name: &str, none: f32| match inputs.get(index).copied().flatten() {
        Some(bound) => bound.scalar(meter),
        None => Ok(node.float(name, none)),
    };
    let (least, most) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
    spend(meter, x.data.len(), x.data.kind())?;
    let data = match &x.data {
        KnownData::Floats(values) => {
            // A NaN stays one.
            let clipped = |&value: &f32| {
                if value < least {
                    least.min(most)
                } else if value > most {
                    most
                } else {
                    value
                }
            };
            KnownData::Floats(Arc::new(values.iter().map(clipped).collect()))
        }
        KnownData::Ints(values) => {
            // Of whole numbers the bounds are whole numbers, too, beyond what f32 counts.
            let bound = |index: usize, none: i64| match inputs.get(index).copied().flatten() {
                Some(bound) => bound.known_ints(meter).map(|bound| bound.first().copied().unwrap_or(none)),
                None => Ok(none),
            };
            let (least, most) = (bound(1, i64::MIN)?, bound(2, i64::MAX)?);
            let clipped = |value: &Whole| value.map(|value| value.max(least).min(most));
            KnownData::Ints(Arc::new(values.iter().map(clipped).collect()))
        }
        KnownData::Bools(_) => return Err("it takes numbers where it is given booleans".into()),
    };
    Ok(KnownTensor { shape: x.shape.clone(), data })
}

fn compress(node: &NodeProto, x: &KnownTensor, condition: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let KnownData::Bools(condition) = &condition.data else { return Err("its condition must be boolean".into()) };
    let (x, axis) = match node.attribute("axis") {
        Some(_) => (x.clone(), axis_at(node.int("axis", 0), x.shape.len())?),
        None => (x.reshaped(vec![x.data.len()])?, 0),
    };
    // Of a longer condition the rest counts for nothing, as in onnxruntime.
    let kept: Vec<usize> = (0..condition.len().min(x.shape[axis])).filter(|&place| condition[place]).collect();
    taken(&x, axis, &kept, meter)
}

/// The parts of `x` at these positions along `axis`.
fn taken(x: &KnownTensor, axis: usize, positions: &[usize], meter: &Meter) -> Known<KnownTensor> {
    let AxisRows { outer, extent, inner } = AxisRows::of(&x.shape, axis);
    let mut shape = x.shape.clone();
    shape[axis] = positions.len();
    let count = product(&shape)?;
    spend(meter, count, x.data.kind())?;
    let part = |(row, position): (usize, usize)| {
        let start = (row * extent + position) * inner;
        start..start + inner
    };
    let pairs = (0..outer).flat_map(|row| positions.iter().map(move |&position| (row, position)));
    Ok(KnownTensor { shape, data: x.data.pick(count, pairs.flat_map(part)) })
}

fn gather_elements(node: &NodeProto, x: &KnownTensor, indices: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let (rank, strides) = (x.shape.len(), strides_of(&x.shape));
    let axis = axis_at(node.int("axis", 0), rank)?;
    let fits = |other: usize| other == axis || indices.shape[other] <= x.shape[other];
    if indices.shape.len() != rank || !(0..rank).all(fits) {
        return Err(format!("its indices {:?} do not lie within its input {:?}", indices.shape, x.shape));
    }
    let given = indices.known_ints(meter)?;
    spend(meter, given.len(), x.data.kind())?;
    let own = strides_of(&indices.shape);
    let place = |(number, &index): (usize, &i64)| {
        let position = axis_at(index, x.shape[axis])?;
        let along = |other: usize| if other == axis { position } else { number / own[other] % indices.shape[other] };
        Ok((0..rank).map(|other| along(other) * strides[other]).sum())
    };
    let places = given.iter().enumerate().map(place).collect::<Known<Vec<usize>>>()?;
    Ok(KnownTensor { shape: indices.shape.clone(), data: x.data.pick(places.len(), places.into_iter()) })
}

fn gather_nd(node: &NodeProto, x: &KnownTensor, indices: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let batch = usize::try_from(node.int("batch_dims", 0)).unwrap_or(usize::MAX);
    let Some((&depth, before)) = indices.shape.split_last() else { return Err("its indices must have an axis".into()) };
    if batch > before.len() || batch.saturating_add(depth) > x.shape.len() || x.shape[..batch] != before[..batch] {
        return Err(format!("its indices {:?} name nothing in its input {:?}", indices.shape, x.shape));
    }
    let named = &x.shape[batch..batch + depth];
    let inner: usize = x.shape[batch + depth..].iter().product();
    let (lines, each): (usize, usize) = (named.iter().product(), before[batch..].iter().product());
    let shape = [before, &x.shape[batch + depth..]].concat();
    let count = product(&shape)?;
    spend(meter, count, x.data.kind())?;
    let given = indices.known_ints(meter)?;
    let tuples: usize = before.iter().product();
    let start = |tuple: usize| {
        let mut index = given[tuple * depth..][..depth].iter().zip(named);
        let line =
            index.try_fold(0, |line, (&index, &extent)| Ok::<_, String>(line * extent + axis_at(index, extent)?));
        Ok((tuple / each.max(1) * lines + line?) * inner)
    };
    let starts = (0..tuples).map(start).collect::<Known<Vec<_>>>()?;
    let data = x.data.pick(count, starts.into_iter().flat_map(|start| start..start + inner));
    Ok(KnownTensor { shape, data })
}

/// `x` with `updates` at the places that `indices` name as GatherND reads them, later ones in place of earlier ones.
fn scatter_nd(
    node: &NodeProto,
    x: &KnownTensor,
    indices: &KnownTensor,
    updates: &KnownTensor,
    meter: &Meter,
) -> Known<KnownTensor> {
    let count = x.data.len();
    spend(meter, count, Kind::Int)?;
    let places = gather_nd(node, &wholes(x.shape.clone(), (0..count as i64).map(Ok).collect()), indices, meter)?;
    if places.shape != updates.shape {
        return Err(format!("its updates must have the shape {:?}, and have {:?}", places.shape, updates.shape));
    }
    let flat = |all: &KnownTensor| all.reshaped(vec![all.data.len()]);
    let both = concat(&NodeProto::default(), &[Some(&flat(x)?), Some(&flat(updates)?)], meter)?;
    let mut sources: Vec<usize> = (0..count).collect();
    places.known_ints(meter)?.iter().enumerate().for_each(|(update, &place)| sources[place as usize] = count + update);
    Ok(KnownTensor { shape: x.shape.clone(), data: both.data.pick(count, sources.into_iter()) })
}

/// The sums of the elements up to each along an axis, or from the end; without that element itself where asked for.
fn cumulated(node: &NodeProto, x: &KnownTensor, axis: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    let axis = match axis.known_ints(meter)?[..] {
        [axis] => axis_at(axis, x.shape.len())?,
        ref given => return Err(format!("its axis must be one number, and is {}", given.len())),
    };
    spend(meter, x.data.len(), x.data.kind())?;
    spend(meter, x.data.len(), Kind::Int)?;
    let (exclusive, backwards) = (node.int("exclusive", 0) != 0, node.int("reverse", 0) != 0);
    let rows = AxisRows::of(&x.shape, axis);
    let sums = |values: &mut dyn FnMut(usize, bool) -> Known<()>| {
        for mut row in rows.places() {
            if backwards {
                row.reverse();
            }
            row.iter().enumerate().try_for_each(|(number, &place)| values(place, number == 0))?;
        }
        Ok::<_, String>(())
    };
    let data = match &x.data {
        KnownData::Floats(values) => {
            let (mut made, mut total) = (values.to_vec(), 0.0);
            sums(&mut |place, first| {
                let before = if first { 0.0 } else { total };
                total = before + values[place];
                made[place] = if exclusive { before } else { total };
                Ok(())
            })?;
            KnownData::Floats(Arc::new(made))
        }
        KnownData::Ints(values) => {
            let (mut made, mut total) = (values.to_vec(), Ok(0));
            sums(&mut |place, first| {
                let before = if first { Ok(0) } else { total };
                total = computed("CumSum", i64::checked_add, before, values[place])?;
                made[place] = if exclusive { before } else { total };
                Ok(())
            })?;
            KnownData::Ints(Arc::new(made))
        }
        KnownData::Bools(_) => return Err("it takes numbers where it is given booleans".into()),
    };
    Ok(KnownTensor { shape: x.shape.clone(), data })
}

/// The shares of the exponentials along an axis; before opset 13 of all axes from that one on.
pub(super) fn softmax(node: &NodeProto, x: &KnownTensor, opset: i64, meter: &Meter) -> Known<KnownTensor> {
    let KnownData::Floats(values) = &x.data else {
        return Err("it takes floating point where it is given other elements".into());
    };
    let joins = opset < 13;
    let axis = axis_at(node.int("axis", if joins { 1 } else { -1 }), x.shape.len())?;
    let rows = match AxisRows::of(&x.shape, axis) {
        AxisRows { outer, extent, inner } if joins => AxisRows { outer, extent: extent * inner, inner: 1 },
        rows => rows,
    };
    spend(meter, values.len(), Kind::Float)?;
    spend(meter, values.len(), Kind::Int)?;
    let mut made = values.to_vec();
    for row in rows.places() {
        let most = row.iter().fold(f32::NEG_INFINITY, |most, &place| most.max(values[place]));
        row.iter().for_each(|&place| made[place] = (values[place] - most).exp());
        let total: f64 = row.iter().map(|&place| f64::from(made[place])).sum();
        row.iter().for_each(|&place| made[place] = (f64::from(made[place]) / total) as f32);
    }
    Ok(KnownTensor::floats(x.shape.clone(), made))
}

/// Where the elements are that are not zero: a row of positions for each axis.
fn non_zero(x: &KnownTensor, meter: &Meter) -> Known<KnownTensor> {
    // A single number is an axis of one, as in onnxruntime.
    let shape = if x.shape.is_empty() { vec![1] } else { x.shape.clone() };
    spend(meter, x.data.len().saturating_mul(shape.len()), Kind::Int)?;
    let found: Vec<usize> = match &x.data {
        KnownData::Floats(values) => (0..values.len()).filter(|&place| values[place] != 0.0).collect(),
        KnownData::Ints(_) => {
            let values = x.known_ints(meter)?;
            (0..values.len()).filter(|&place| values[place] != 0).collect()
        }
        KnownData::Bools(values) => (0..values.len()).filter(|&place| values[place]).collect(),
    };
    let strides = strides_of(&shape);
    let position = |axis: usize, place: usize| Ok((place / strides[axis] % shape[axis]) as i64);
    let positions = (0..shape.len()).flat_map(|axis| found.iter().map(move |&place| position(axis, place))).collect();
    Ok(wholes(vec![shape.len(), found.len()], positions))
}

/// The different parts along an axis, or elements; where each stands first, which of them each is, and how often it stands there.
fn unique(node: &NodeProto, x: &KnownTensor, meter: &Meter) -> Known<Vec<KnownTensor>> {
    let (x, axis) = match node.attribute("axis") {
        Some(_) => (x.clone(), axis_at(node.int("axis", 0), x.shape.len())?),
        None => (x.reshaped(vec![x.data.len()])?, 0),
    };
    check_ordered(&x, meter)?;
    let AxisRows { outer, extent, inner } = AxisRows::of(&x.shape, axis);
    work(meter, x.data.len().saturating_mul(64 - extent.leading_zeros() as usize))?;
    spend(meter, extent.saturating_mul(4), Kind::Int)?;
    let order = |left: usize, right: usize| {
        let place = |part: usize, row: usize, column: usize| (row * extent + part) * inner + column;
        let places = (0..outer).flat_map(|row| (0..inner).map(move |column| (row, column)));
        let mut orders =
            places.map(|(row, column)| compared(&x.data, place(left, row, column), place(right, row, column)));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    let mut sorted: Vec<usize> = (0..extent).collect();
    sorted.sort_by(|&left, &right| order(left, right));
    // A stable sort keeps the first of equal parts in front.
    let mut groups: Vec<&[usize]> = sorted.chunk_by(|&left, &right| order(left, right).is_eq()).collect();
    if node.int("sorted", 1) == 0 {
        groups.sort_by_key(|group| group[0]);
    }
    let firsts: Vec<usize> = groups.iter().map(|group| group[0]).collect();
    let mut inverse = vec![Ok(0); extent];
    for (number, group) in groups.iter().enumerate() {
        group.iter().for_each(|&part| inverse[part] = Ok(number as i64));
    }
    let counts = groups.iter().map(|group| Ok(group.len() as i64)).collect();
    let indices = firsts.iter().map(|&first| Ok(first as i64)).collect();
    let parts = taken(&x, axis, &firsts, meter)?;
    Ok(vec![parts, KnownTensor::ints(indices), KnownTensor::ints(inverse), KnownTensor::ints(counts)])
}

/// The sides of a box.
#[derive(Clone, Copy)]
struct BoxSides {
    /// Least and most along each of two axes.
    x: [f32; 2],
    y: [f32; 2],
}

impl BoxSides {
    /// Of two corners, or of a centre with width and height.
    fn of(numbers: [f32; 4], by_centre: bool) -> Self {
        let [a, b, c, d] = numbers;
        let sorted = |left: f32, right: f32| if left < right { [left, right] } else { [right, left] };
        let around = |centre: f32, extent: f32| [centre - extent / 2.0, centre + extent / 2.0];
        match by_centre {
            true => Self { x: around(a, c), y: around(b, d) },
            false => Self { x: sorted(b, d), y: sorted(a, c) },
        }
    }

    fn area(&self) -> f32 {
        (self.x[1] - self.x[0]) * (self.y[1] - self.y[0])
    }

    /// Whether the intersection over the union of two boxes is above a threshold.
    fn overlaps(&self, other: &Self, threshold: f32) -> bool {
        let common = |own: [f32; 2], other: [f32; 2]| [own[0].max(other[0]), own[1].min(other[1])];
        let both = Self { x: common(self.x, other.x), y: common(self.y, other.y) };
        if both.x[1] <= both.x[0] || both.y[1] <= both.y[0] {
            return false;
        }
        let (own, other, shared) = (self.area(), other.area(), both.area());
        let union = own + other - shared;
        shared > 0.0 && own > 0.0 && other > 0.0 && union > 0.0 && shared / union > threshold
    }
}

/// Of each class the boxes of the best scores that do not overlap one chosen before: batch, class and number of each.
fn suppressed(
    node: &NodeProto,
    boxes: &KnownTensor,
    scores: &KnownTensor,
    limits: &[Option<&KnownTensor>],
    meter: &Meter,
) -> Known<KnownTensor> {
    let (&[batches, count, 4], &[others, classes, scored]) = (&boxes.shape[..], &scores.shape[..]) else {
        return Err(format!(
            "its boxes must be (batch, count, 4) and its scores (batch, classes, count), and are {:?} and {:?}",
            boxes.shape, scores.shape
        ));
    };
    if (batches, count) != (others, scored) {
        return Err(format!("it is given {:?} boxes and {:?} scores", boxes.shape, scores.shape));
    }
    let number = |index: usize| limits.get(index).copied().flatten().map(|limit| limit.scalar(meter)).transpose();
    let most = number(0)?.unwrap_or(0.0).max(0.0) as usize;
    let threshold = number(1)?.unwrap_or(0.0);
    if !(0.0..=1.0).contains(&threshold) {
        return Err(format!("its iou_threshold must be from 0 to 1, and is {threshold}"));
    }
    let least = number(2)?;
    let (boxes, scores) = (boxes.to_floats(meter)?, scores.to_floats(meter)?);
    let by_centre = node.int("center_point_box", 0) != 0;
    let sides: Vec<BoxSides> = boxes.as_chunks().0.iter().map(|&numbers| BoxSides::of(numbers, by_centre)).collect();
    spend(meter, scores.len(), Kind::Int)?;
    let mut found = Vec::new();
    for batch in 0..batches {
        let sides = &sides[batch * count..][..count];
        for class in 0..classes {
            let scores = &scores[(batch * classes + class) * count..][..count];
            let mut order: Vec<usize> =
                (0..count).filter(|&place| least.is_none_or(|least| scores[place] > least)).collect();
            // Of equal scores the first goes first.
            order.sort_by(|&left, &right| scores[right].total_cmp(&scores[left]));
            let mut kept: Vec<usize> = Vec::new();
            for candidate in order {
                if kept.len() >= most {
                    break;
                }
                work(meter, kept.len() + 1)?;
                if !kept.iter().any(|&other| sides[candidate].overlaps(&sides[other], threshold)) {
                    kept.push(candidate);
                }
            }
            spend(meter, kept.len() * 3, Kind::Int)?;
            found.extend(kept.into_iter().flat_map(|place| [batch, class, place].map(|number| Ok(number as i64))));
        }
    }
    Ok(wholes(vec![found.len() / 3, 3], found))
}
