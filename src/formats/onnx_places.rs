//! ONNX's operators by position: gathering, scattering, sorting, counting.
//!
//! Positions that are known become a permutation on the host, so that scattering is gathering from what was there and what
//! is put there, side by side. Positions that the model computes are compared with all there are.

use super::onnx_fold::{KnownData, KnownTensor, axis_at, strides_of};
use super::onnx_layers::{Apply, Outcome, Term, at, one};
use super::onnx_nodes::{CUT, Operator, row};
use crate::layers::{Einsum, Embedding, Extent, PadMode, ReduceFunction, Take};
use crate::model::Port;
use crate::plan::BinaryFunction;
use crate::{HostTensor, Unary};

pub(super) const OPERATORS: &[Operator] = &[
    row("ArgMax", &["axis", "keepdims", "select_last_index"], arg_max),
    row("ArgMin", &["axis", "keepdims", "select_last_index"], arg_max),
    row("CumSum", &["exclusive", "reverse"], cumulated).takes(2, 1),
    row("Einsum", &["equation"], einsum).takes(usize::MAX, 1),
    row("EyeLike", &["dtype", "k"], eye_like),
    row("Gather", &["axis"], gather).takes(2, 1),
    row("GatherElements", &["axis"], gather_elements).takes(2, 1),
    row("GatherND", &["batch_dims"], gather_nd).takes(2, 1),
    row("Hardmax", &["axis"], hardmax),
    row("OneHot", &["axis"], one_hot).takes(3, 1),
    row("Scatter", &["axis"], scatter_elements).takes(3, 1),
    row("ScatterElements", &["axis", "reduction"], scatter_elements).takes(3, 1),
    row("ScatterND", &["reduction"], scatter_nd).takes(3, 1),
    row("TopK", &["axis", "k", "largest", "sorted"], top_k).takes(2, 2),
    row("Trilu", &["upper"], trilu).takes(2, 1),
];

/// The most pairs of positions that are compared with each other in one call.
const MOST_PAIRS: usize = 1 << 26;

/// The whole numbers from 0 on, along `axis` of `rank`.
fn positions(count: usize, axis: usize, rank: usize) -> KnownTensor {
    let mut shape = vec![1; rank];
    shape[axis] = count;
    KnownTensor::floats(shape, (0..count).map(|place| place as f32).collect())
}

fn wholes(shape: Vec<usize>, values: impl IntoIterator<Item = usize>) -> HostTensor {
    HostTensor { shape: shape.into(), values: values.into_iter().map(|value| value as f32).collect() }
}

impl Apply<'_> {
    /// The extent of `axis`, which must be known.
    fn extent(&mut self, x: Port, axis: usize) -> Outcome<usize> {
        let extent = self.dims(x)[axis];
        extent.ok_or_else(|| format!("the extent of axis {axis} of its input must be known").into())
    }

    /// `x` with a new axis of extent 1 at `axis`.
    fn widened(&mut self, x: Port, axis: usize) -> Outcome<Port> {
        let rank = self.dims(x).len();
        let before = (0..axis).map(Extent::Axis);
        self.view(x, before.chain([Extent::Of(1)]).chain((axis..rank).map(Extent::Axis)).collect())
    }

    /// `x` without `axis`, whose extent is 1.
    fn narrowed(&mut self, x: Port, axis: usize) -> Outcome<Port> {
        let rank = self.dims(x).len();
        self.view(x, (0..rank).filter(|&other| other != axis).map(Extent::Axis).collect())
    }

    /// `x`, whose extents are all known, under another shape.
    fn shaped(&mut self, x: Port, dims: &[usize]) -> Outcome<Port> {
        self.view(x, dims.iter().map(|&dim| Extent::Of(dim)).collect())
    }

    fn compared_with(&mut self, x: Port, constant: &KnownTensor) -> Outcome<Port> {
        self.binary_with(BinaryFunction::Equal, x, constant, false)
    }

    /// Refuses to compare more positions than can be.
    fn few_pairs(&self, counts: &[usize]) -> Outcome<()> {
        let pairs = counts.iter().try_fold(1usize, |pairs, &count| pairs.checked_mul(count.max(1)));
        match pairs {
            Some(pairs) if pairs <= MOST_PAIRS => Ok(()),
            _ => Err(format!(
                "it would compare {counts:?} positions with each other, and at most {MOST_PAIRS} can be; {CUT}"
            )
            .into()),
        }
    }

    /// The product of the elements along `axes`: halves of an axis by each other, until one is left.
    pub(super) fn multiplied(&mut self, mut x: Port, axes: &[usize], keepdims: bool) -> Outcome<Port> {
        for &axis in axes {
            let extent = self.extent(x, axis)?;
            let mut count = extent.next_power_of_two();
            let mut pads = vec![[0; 2]; self.dims(x).len()];
            pads[axis] = [0, (count - extent) as i64];
            x = self.padded(x, &pads, PadMode::Constant(1.0))?;
            while count > 1 {
                count /= 2;
                let [left, right] = [self.part(x, axis, 0, 1, count)?, self.part(x, axis, count, 1, count)?];
                x = self.binary(BinaryFunction::Multiply, left, right)?;
            }
        }
        if keepdims {
            return Ok(x);
        }
        let rank = self.dims(x).len();
        self.view(x, (0..rank).filter(|axis| !axes.contains(axis)).map(Extent::Axis).collect())
    }

    /// The position along `axis` of the largest or smallest element, of several the first or the last; NaN is beyond all.
    fn best(&mut self, x: Port, axis: usize, largest: bool, last: bool) -> Outcome<Port> {
        let (extent, rank) = (self.extent(x, axis)?, self.dims(x).len());
        if extent == 0 {
            return Err("there is no position in an axis of extent 0".into());
        }
        let best = self.reduced(if largest { ReduceFunction::Max } else { ReduceFunction::Min }, x, &[axis], true)?;
        let equal = self.binary(BinaryFunction::Equal, x, best)?;
        let nan = self.unary(Unary::IsNan, x)?;
        let is_best = self.binary(BinaryFunction::LogicalOr, equal, nan)?;
        // Counted so that the one that is taken has the largest number, none of them 0.
        let mut numbers = positions(extent, axis, rank);
        numbers.data = KnownData::Floats(
            (0..extent).map(|place| (if last { place + 1 } else { extent - place }) as f32).collect::<Vec<_>>().into(),
        );
        let numbered = self.binary_with(BinaryFunction::Multiply, is_best, &numbers, false)?;
        let taken = self.reduced(ReduceFunction::Max, numbered, &[axis], true)?;
        if last { self.affine(taken, 1.0, -1.0) } else { self.affine(taken, -1.0, extent as f32) }
    }

    /// Positions along an axis of `extent`, those below 0 counted from its end.
    fn counted_from_front(&mut self, indices: Port, extent: usize) -> Outcome<Port> {
        let below = self.number(BinaryFunction::Less, indices, 0.0)?;
        let whole_turn = self.affine(below, extent as f32, 0.0)?;
        self.binary(BinaryFunction::Add, indices, whole_turn)
    }
}

fn arg_max(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let axis = axis_at(a.node.int("axis", 0), a.dims(x).len())?;
    let last = a.node.int("select_last_index", 0) != 0;
    let best = a.best(x, axis, a.node.op_type == "ArgMax", last)?;
    one(if a.node.int("keepdims", 1) != 0 { best } else { a.narrowed(best, axis)? })
}

fn hardmax(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let all = a.builder.opset < 13;
    let axis = axis_at(a.node.int("axis", if all { 1 } else { -1 }), rank)?;
    let hard = |a: &mut Apply, x: Port, axis: usize| {
        let (best, extent, rank) = (a.best(x, axis, true, false)?, a.extent(x, axis)?, a.dims(x).len());
        a.compared_with(best, &positions(extent, axis, rank))
    };
    if !all || a.dims(x)[axis + 1..].iter().all(|&dim| dim == Some(1)) {
        return one(hard(a, x, axis)?);
    }
    // Before opset 13 it worked over all axes from one on, together.
    let dims = a.known_dims(x)?;
    let rows = a.shaped(x, &[dims[..axis].iter().product(), dims[axis..].iter().product()])?;
    let made = hard(a, rows, 1)?;
    one(a.shaped(made, &dims)?)
}

/// Sums of a row: what stands 1, 2, 4, … positions before is added, in as many steps as the extent has bits.
fn cumulated(a: &mut Apply) -> Outcome<Vec<Term>> {
    let mut x = a.value(0)?;
    let rank = a.dims(x).len();
    let axis = match a.required(1)?.known_ints(a.meter())?[..] {
        [axis] => axis_at(axis, rank)?,
        _ => return Err("its axis must be one number".into()),
    };
    let extent = a.extent(x, axis)?;
    let [exclusive, reverse] = ["exclusive", "reverse"].map(|name| a.node.int(name, 0) != 0);
    let shifted = |a: &mut Apply, x: Port, by: usize| {
        let (by, mut pads) = (by as i64, vec![[0; 2]; rank]);
        pads[axis] = if reverse { [-by, by] } else { [by, -by] };
        a.padded(x, &pads, PadMode::Constant(0.0))
    };
    if exclusive && extent > 0 {
        x = shifted(a, x, 1)?;
    }
    let mut by = 1;
    while by < extent {
        let before = shifted(a, x, by)?;
        x = a.binary(BinaryFunction::Add, x, before)?;
        by *= 2;
    }
    Ok(vec![a.fitted(Term::Made(x))?])
}

fn einsum(a: &mut Apply) -> Outcome<Vec<Term>> {
    let equation = a.node.text("equation", "").to_owned();
    let reads = (0..a.inputs.len()).map(|index| a.value(index)).collect::<Outcome<Vec<_>>>()?;
    one(a.layer(Einsum::new(equation), &reads)?)
}

fn eye_like(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let &[rows, columns] = &a.known_dims(x)?[..] else { return Err("its input must be a matrix".into()) };
    a.meter().array((rows as u64).saturating_mul(columns as u64), size_of::<f32>())?;
    let k = a.node.int("k", 0);
    let places =
        (0..rows).flat_map(|row| (0..columns).map(move |column| (row as i64).saturating_add(k) == column as i64));
    let values = places.map(|is| f32::from(u8::from(is))).collect();
    Ok(vec![Term::Known(KnownTensor::floats(vec![rows, columns], values))])
}

/// Keeps what lies on one side of a diagonal of the last two axes.
fn trilu(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let k = match a.constant(1)? {
        Some(k) => match k.known_ints(a.meter())?[..] {
            [k] => k,
            _ => return Err("its diagonal must be one number".into()),
        },
        None => 0,
    };
    let [.., Some(rows), Some(columns)] = a.dims(x)[..] else {
        return Err("the last two extents of its input must be known".into());
    };
    a.meter().array((rows as u64).saturating_mul(columns as u64), size_of::<f32>())?;
    let upper = a.node.int("upper", 1) != 0;
    let kept = |row: usize, column: usize| {
        let diagonal = (row as i64).saturating_add(k);
        if upper { column as i64 >= diagonal } else { column as i64 <= diagonal }
    };
    let mask = (0..rows).flat_map(|row| (0..columns).map(move |column| f32::from(u8::from(kept(row, column)))));
    let mask = KnownTensor::floats(vec![rows, columns], mask.collect());
    one(a.binary_with(BinaryFunction::Where, x, &mask, false)?)
}

fn one_hot(a: &mut Apply) -> Outcome<Vec<Term>> {
    let indices = a.value(0)?;
    let depth = a.required(1)?.scalar(a.meter())?;
    let depth = (1.0..16_777_216.0).contains(&depth).then_some(depth as usize);
    let depth = depth.ok_or("its depth must be a whole number of at least 1")?;
    let rank = a.dims(indices).len() + 1;
    let axis = axis_at(a.node.int("axis", -1), rank)?;
    let front = a.counted_from_front(indices, depth)?;
    let column = a.widened(front, axis)?;
    let hit = a.compared_with(column, &positions(depth, axis, rank))?;
    let values = a.value(2)?;
    if a.dims(values) != [Some(2)] {
        return Err("its values must be two, for what is off and on".into());
    }
    let [off, on] = [a.part(values, 0, 0, 1, 1)?, a.part(values, 0, 1, 1, 1)?];
    one(a.chosen(&Term::Made(hit), Term::Made(on), Term::Made(off))?)
}

/// Runs of neighbouring positions, cut out and put together where they are few; else line by line.
fn gather(a: &mut Apply) -> Outcome<Vec<Term>> {
    if let (Term::Known(table), Term::Made(indices)) = (a.term(0)?, a.term(1)?)
        && axis_at(a.node.int("axis", 0), table.shape.len())? == 0
    {
        return one(a.looked_up(&table, indices)?);
    }
    let x = a.value(0)?;
    let dims = a.dims(x);
    let axis = axis_at(a.node.int("axis", 0), dims.len())?;
    let Term::Known(indices) = a.term(1)? else {
        let indices = a.value(1)?;
        return one(a.layer(Take::new(axis as i32), &[x, indices])?);
    };
    let given = indices.known_ints(a.meter())?;
    let Some(extent) = dims[axis] else {
        let values = given.iter().map(|&index| index as f32).collect();
        let numbers = HostTensor { shape: indices.shape.into(), values };
        return one(a.layer(Take::new(axis as i32).indices(numbers), &[x])?);
    };
    let places = given.iter().map(|&index| axis_at(index, extent)).collect::<Result<Vec<_>, _>>()?;
    let runs: Vec<&[usize]> = places.chunk_by(|left, right| left + 1 == *right).collect();
    if runs.is_empty() || runs.len() > 8 {
        let numbers = wholes(indices.shape, places);
        return one(a.layer(Take::new(axis as i32).indices(numbers), &[x])?);
    }
    let parts = runs.iter().map(|run| a.part(x, axis, run[0], 1, run.len())).collect::<Outcome<Vec<_>>>()?;
    let joined = a.concatenated(&parts, axis)?;
    let before = (0..axis).map(Extent::Axis);
    let within = indices.shape.iter().map(|&dim| Extent::Of(dim));
    let after = (axis + 1..dims.len()).map(Extent::Axis);
    one(a.view(joined, before.chain(within).chain(after).collect())?)
}

impl Apply<'_> {
    /// The rows of a constant `table` that the model's `indices` name: an embedding.
    fn looked_up(&mut self, table: &KnownTensor, indices: Port) -> Outcome<Port> {
        let rest: usize = table.shape[1..].iter().product();
        let count = |count: usize| u32::try_from(count).ok().filter(|&count| count > 0);
        let sizes = count(table.shape[0]).zip(count(rest));
        let (rows, columns) = sizes.ok_or_else(|| format!("there is nothing in a table of {:?}", table.shape))?;
        let weight = self.plain_weight(&table.reshaped(vec![table.shape[0], rest])?)?;
        let rank = self.dims(indices).len();
        let found = self.weighted(Embedding::new(rows, columns), vec![weight], indices)?;
        let own = (0..rank).map(Extent::Axis);
        self.view(found, own.chain(table.shape[1..].iter().map(|&dim| Extent::Of(dim))).collect())
    }
}

fn gather_elements(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (mut x, indices) = (a.value(0)?, a.value(1)?);
    let (dims, taken) = (a.dims(x), a.dims(indices));
    let axis = axis_at(a.node.int("axis", 0), dims.len())?;
    if dims.len() != taken.len() {
        return Err("its indices must have as many axes as its input".into());
    }
    // Of the other axes, there may be indices for the first positions only.
    for other in (0..dims.len()).filter(|&other| other != axis) {
        if let (Some(own), Some(count)) = (dims[other], taken[other])
            && count < own
        {
            x = a.part(x, other, 0, 1, count)?;
        }
    }
    one(a.layer(Take::new(axis as i32).along(true), &[x, indices])?)
}

/// Positions in the first `depth` axes of extents `dims`, a tuple in the last axis of `indices`, as one number each.
fn linear(indices: &KnownTensor, dims: &[usize], a: &Apply) -> Outcome<Vec<usize>> {
    let strides = strides_of(dims);
    let given = indices.known_ints(a.meter())?;
    let mut found = Vec::with_capacity(given.len() / dims.len().max(1));
    for tuple in given.chunks(dims.len().max(1)) {
        let mut place = 0;
        for ((&index, &dim), stride) in tuple.iter().zip(dims).zip(&strides) {
            place += axis_at(index, dim)? * stride;
        }
        found.push(place);
    }
    Ok(found)
}

impl Apply<'_> {
    /// The same of positions that the model computes.
    fn linear_of(&mut self, indices: Port, dims: &[usize]) -> Outcome<Port> {
        let last = self.dims(indices).len() - 1;
        let strides = strides_of(dims);
        let row =
            |values: &[usize]| KnownTensor::floats(vec![values.len()], values.iter().map(|&v| v as f32).collect());
        let below = self.number(BinaryFunction::Less, indices, 0.0)?;
        let turns = self.binary_with(BinaryFunction::Multiply, below, &row(dims), false)?;
        let front = self.binary(BinaryFunction::Add, indices, turns)?;
        let steps = self.binary_with(BinaryFunction::Multiply, front, &row(&strides), false)?;
        self.reduced(ReduceFunction::Sum, steps, &[last], false)
    }
}

/// The extents of positions: those before the tuples, and how many axes a tuple names.
fn tuples(shape: &[Option<usize>]) -> Outcome<(Vec<Option<usize>>, usize)> {
    match shape.split_last() {
        Some((Some(depth), before)) if *depth > 0 => Ok((before.to_vec(), *depth)),
        _ => Err("the last axis of its indices must have a known extent of at least 1".into()),
    }
}

fn gather_nd(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let batch = usize::try_from(a.node.int("batch_dims", 0)).ok().filter(|&batch| batch < dims.len());
    let batch = batch.ok_or_else(|| at("batch_dims", "it must be less than the axes of the input"))?;
    let indices = a.term(1)?;
    let shape = match &indices {
        Term::Known(indices) => indices.shape.iter().map(|&dim| Some(dim)).collect(),
        _ => {
            let indices = a.value(1)?;
            a.dims(indices)
        }
    };
    let (before, depth) = tuples(&shape)?;
    if before.len() < batch || batch + depth > dims.len() {
        return Err("its indices name more axes than there are".into());
    }
    let named = dims[batch..batch + depth].iter().copied().collect::<Option<Vec<_>>>();
    let named = named.ok_or("the extents of the axes that it gathers from must be known")?;
    let lines: usize = named.iter().product();
    let front = (0..batch).map(Extent::Axis).chain([Extent::Of(lines)]);
    let rest = || (batch + depth..dims.len()).map(Extent::Axis);
    let table = a.view(x, front.chain(rest()).collect())?;
    let layer = Take::new(batch as i32).batch_dims(batch as u32);
    one(match &indices {
        Term::Known(indices) if batch == 0 => {
            let shape = indices.shape[..indices.shape.len() - 1].to_vec();
            let numbers = wholes(shape, linear(indices, &named, a)?);
            a.layer(layer.indices(numbers), &[table])?
        }
        _ => {
            let indices = a.value(1)?;
            let numbers = a.linear_of(indices, &named)?;
            a.layer(layer, &[table, numbers])?
        }
    })
}

/// What is done where something is put on what is there already.
#[derive(Clone, Copy, PartialEq)]
enum Onto {
    /// The last one stays.
    Replace,
    Combine(BinaryFunction, ReduceFunction, f32),
}

fn onto(a: &Apply) -> Outcome<Onto> {
    Ok(match a.node.text("reduction", "none") {
        "none" => Onto::Replace,
        "add" => Onto::Combine(BinaryFunction::Add, ReduceFunction::Sum, 0.0),
        // There is no layer that multiplies along an axis, so its reduction is made of halves.
        "mul" => Onto::Combine(BinaryFunction::Multiply, ReduceFunction::Mean, 1.0),
        "max" => Onto::Combine(BinaryFunction::Maximum, ReduceFunction::Max, f32::NEG_INFINITY),
        "min" => Onto::Combine(BinaryFunction::Minimum, ReduceFunction::Min, f32::INFINITY),
        other => return Err(at("reduction", format!("{other:?} is none of none, add, mul, max, min"))),
    })
}

impl Apply<'_> {
    /// `x` of `lines` lines, with line `place` of each update put to the line of its number: both flat but for what a line
    /// holds.
    fn scattered(&mut self, x: Port, updates: Port, places: &[usize], lines: usize, onto: Onto) -> Outcome<Port> {
        if lines + places.len() > 1 << 24 {
            return Err(format!("{} positions are more than f32 can number", lines + places.len()).into());
        }
        match onto {
            Onto::Replace => {
                let mut from: Vec<usize> = (0..lines).collect();
                for (update, &place) in places.iter().enumerate() {
                    from[place] = lines + update;
                }
                let both = self.concatenated(&[x, updates], 0)?;
                self.layer(Take::new(0).indices(wholes(vec![lines], from)), &[both])
            }
            Onto::Combine(function, _, neutral) => {
                // In each round one update at most for each line; one line more holds what changes nothing.
                let mut rounds: Vec<Vec<usize>> = Vec::new();
                let mut seen = vec![0usize; lines];
                for (update, &place) in places.iter().enumerate() {
                    if seen[place] == rounds.len() {
                        if rounds.len() == 64 {
                            return Err("more than 64 updates meet at one position".into());
                        }
                        self.meter().array(lines as u64, size_of::<usize>())?;
                        rounds.push(vec![places.len(); lines]);
                    }
                    rounds[seen[place]][place] = update;
                    seen[place] += 1;
                }
                let mut pads = vec![[0; 2]; self.dims(updates).len()];
                pads[0] = [0, 1];
                let updates = self.padded(updates, &pads, PadMode::Constant(neutral))?;
                let mut x = x;
                for round in rounds {
                    let taken = self.layer(Take::new(0).indices(wholes(vec![lines], round)), &[updates])?;
                    x = self.binary(function, x, taken)?;
                }
                Ok(x)
            }
        }
    }

    /// `x` with `updates` put along `axis` where `hits` holds: their extents are `x`'s but for a further axis behind `axis`,
    /// along which the updates lie, and along which `x` is repeated.
    fn put(&mut self, x: Port, updates: Port, hits: Port, behind: usize, onto: Onto) -> Outcome<Port> {
        let (hit, update) = (Term::Made(hits), Term::Made(updates));
        if let Onto::Combine(function, reduction, neutral) = onto {
            let none = Term::Known(KnownTensor::floats(Vec::new(), vec![neutral]));
            let chosen = self.chosen(&hit, update, none)?;
            let total = match reduction {
                ReduceFunction::Mean => self.multiplied(chosen, &[behind], false)?,
                reduction => self.reduced(reduction, chosen, &[behind], false)?,
            };
            return self.binary(function, x, total);
        }
        let (count, rank) = (self.extent(hits, behind)?, self.dims(hits).len());
        let mut order = positions(count, behind, rank);
        order.data = KnownData::Floats((1..=count).map(|place| place as f32).collect::<Vec<_>>().into());
        let order = self.binary_with(BinaryFunction::Multiply, hits, &order, false)?;
        let last = self.reduced(ReduceFunction::Max, order, &[behind], true)?;
        let is_last = self.binary(BinaryFunction::Equal, order, last)?;
        let taken = self.binary(BinaryFunction::LogicalAnd, is_last, hits)?;
        let taken = self.binary(BinaryFunction::Where, updates, taken)?;
        let value = self.reduced(ReduceFunction::Sum, taken, &[behind], false)?;
        let any = self.narrowed(last, behind)?;
        self.chosen(&Term::Made(any), Term::Made(value), Term::Made(x))
    }
}

impl Apply<'_> {
    /// Zeros of `lines` positions, with each of the flat `updates` put to the one that `indices` names: the last one stays.
    pub(super) fn put_into_zeros(&mut self, updates: Port, indices: &Term, lines: usize) -> Outcome<Port> {
        self.meter().array(lines as u64, size_of::<f32>())?;
        let zeros = KnownTensor::floats(vec![lines], vec![0.0; lines]);
        let count = self.extent(updates, 0)?;
        if let Term::Known(indices) = indices {
            let given = indices.known_ints(self.meter())?;
            let place = |&index: &i64| {
                let place = usize::try_from(index).ok().filter(|&place| place < lines);
                place.ok_or_else(|| format!("its index {index} is none of the {lines} positions of its output"))
            };
            let places = given.iter().map(place).collect::<Result<Vec<_>, _>>()?;
            let x = self.builder.values(&zeros)?;
            return self.scattered(x, updates, &places, lines, Onto::Replace);
        }
        self.few_pairs(&[lines, count])?;
        let x = self.builder.values(&zeros.reshaped(vec![lines, 1])?)?;
        let indices = self.made(indices)?;
        let row = self.shaped(indices, &[1, count, 1])?;
        let hits = self.compared_with(row, &positions(lines, 0, 3))?;
        let updates = self.shaped(updates, &[1, count, 1])?;
        self.put(x, updates, hits, 1, Onto::Replace)
    }
}

fn scatter_elements(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (x, updates) = (a.value(0)?, a.value(2)?);
    let (dims, onto) = (a.known_dims(x)?, onto(a)?);
    let axis = axis_at(a.node.int("axis", 0), dims.len())?;
    let counts = a.known_dims(updates)?;
    let fits = counts.len() == dims.len() && (0..dims.len()).all(|other| other == axis || counts[other] <= dims[other]);
    if !fits {
        return Err(format!("updates of {counts:?} do not fit into {dims:?}").into());
    }
    if let Term::Known(indices) = a.term(1)? {
        if indices.shape != counts {
            return Err("its indices must have the shape of its updates".into());
        }
        let (strides, inner) = (strides_of(&dims), strides_of(&counts));
        let mut places = Vec::with_capacity(indices.data.len());
        for (update, &index) in indices.known_ints(a.meter())?.iter().enumerate() {
            let own = (0..dims.len()).map(|other| (other, update / inner[other] % counts[other].max(1)));
            let mut place = axis_at(index, dims[axis])? * strides[axis];
            place += own.filter(|(other, _)| *other != axis).map(|(other, at)| at * strides[other]).sum::<usize>();
            places.push(place);
        }
        let (lines, count) = (dims.iter().product(), places.len());
        let [x, updates] = [a.shaped(x, &[lines])?, a.shaped(updates, &[count])?];
        let made = a.scattered(x, updates, &places, lines, onto)?;
        return one(a.shaped(made, &dims)?);
    }
    let indices = a.value(1)?;
    if (0..dims.len()).any(|other| other != axis && counts[other] != dims[other]) {
        return Err("positions that the model computes must be there for all positions of the other axes".into());
    }
    a.few_pairs(&[&counts[..], &[dims[axis]]].concat())?;
    let front = a.counted_from_front(indices, dims[axis])?;
    let [column, updates] = [a.widened(front, axis)?, a.widened(updates, axis)?];
    let hits = a.compared_with(column, &positions(dims[axis], axis, dims.len() + 1))?;
    one(a.put(x, updates, hits, axis + 1, onto)?)
}

fn scatter_nd(a: &mut Apply) -> Outcome<Vec<Term>> {
    let (x, updates) = (a.value(0)?, a.value(2)?);
    let (dims, onto) = (a.known_dims(x)?, onto(a)?);
    let indices = a.term(1)?;
    let shape = match &indices {
        Term::Known(indices) => indices.shape.iter().map(|&dim| Some(dim)).collect(),
        _ => {
            let indices = a.value(1)?;
            a.dims(indices)
        }
    };
    let (before, depth) = tuples(&shape)?;
    let before = before.into_iter().collect::<Option<Vec<_>>>().ok_or("the extents of its indices must be known")?;
    if depth > dims.len() || a.known_dims(updates)? != [&before[..], &dims[depth..]].concat() {
        return Err("its updates must have the extents of the indices, and then those of what they name".into());
    }
    let (lines, count): (usize, usize) = (dims[..depth].iter().product(), before.iter().product());
    let rest: usize = dims[depth..].iter().product();
    let [flat, updates] = [a.shaped(x, &[lines, rest])?, a.shaped(updates, &[count, rest])?];
    let made = match &indices {
        Term::Known(indices) => {
            let places = linear(indices, &dims[..depth], a)?;
            a.scattered(flat, updates, &places, lines, onto)?
        }
        _ => {
            a.few_pairs(&[lines, count, rest])?;
            let indices = a.value(1)?;
            let places = a.linear_of(indices, &dims[..depth])?;
            let row = a.shaped(places, &[1, count, 1])?;
            let hits = a.compared_with(row, &positions(lines, 0, 3))?;
            let updates = a.shaped(updates, &[1, count, rest])?;
            a.put(flat, updates, hits, 1, onto)?
        }
    };
    one(a.shaped(made, &dims)?)
}

/// The place of each element in order is how many stand before it: those that are better, and of equal ones the earlier.
fn top_k(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let axis = axis_at(a.node.int("axis", -1), rank)?;
    let extent = a.extent(x, axis)?;
    // Before opset 10 it was an attribute.
    let k = match a.constant(1)? {
        Some(k) => match k.known_ints(a.meter())?[..] {
            [k] => k,
            ref given => return Err(format!("its k must be one number, and is {}", given.len()).into()),
        },
        None if a.node.attribute("k").is_some() => a.node.int("k", 0),
        None => return Err("its k, how many elements it takes, is missing".into()),
    };
    let k = match usize::try_from(k) {
        Ok(k) if k <= extent => k,
        _ => return Err(format!("its k must be from 0 to the extent {extent} of axis {axis}, and is {k}").into()),
    };
    let largest = a.node.int("largest", 1) != 0;
    if k == 1 {
        let best = a.best(x, axis, largest, false)?;
        let value = a.layer(Take::new(axis as i32).along(true), &[x, best])?;
        return Ok(vec![Term::Made(value), Term::Made(best)]);
    }
    let dims = a.dims(x);
    let others = dims.iter().enumerate().filter(|(other, _)| *other != axis);
    let others = others.fold(1usize, |count, (_, dim)| count.saturating_mul(dim.unwrap_or(1)));
    a.few_pairs(&[others, extent, extent])?;
    // NaN is equal to nothing, itself included, and would share places with others; here it is beyond all.
    let nan = Term::Made(a.unary(Unary::IsNan, x)?);
    let beyond = KnownTensor::floats(Vec::new(), vec![if largest { f32::INFINITY } else { f32::NEG_INFINITY }]);
    let key = a.chosen(&nan, Term::Known(beyond), Term::Made(x))?;
    // One stands along `axis`, and what it is compared with along the axis behind.
    let [own, other] = [a.widened(key, axis + 1)?, a.widened(key, axis)?];
    let better = if largest { BinaryFunction::Greater } else { BinaryFunction::Less };
    let better = a.binary(better, other, own)?;
    let equal = a.binary(BinaryFunction::Equal, other, own)?;
    let mut shape = vec![1; rank + 1];
    (shape[axis], shape[axis + 1]) = (extent, extent);
    let earlier = (0..extent).flat_map(|own| (0..extent).map(move |other| f32::from(u8::from(other < own))));
    a.meter().array((extent as u64).saturating_mul(extent as u64), size_of::<f32>())?;
    let earlier =
        a.binary_with(BinaryFunction::LogicalAnd, equal, &KnownTensor::floats(shape, earlier.collect()), false)?;
    let before = a.binary(BinaryFunction::LogicalOr, better, earlier)?;
    let place = a.reduced(ReduceFunction::Sum, before, &[axis + 1], false)?;
    // Turned round: which element has the place.
    let row = a.widened(place, axis)?;
    let hit = a.compared_with(row, &positions(k, axis, rank + 1))?;
    let numbered = a.binary_with(BinaryFunction::Multiply, hit, &positions(extent, axis + 1, rank + 1), false)?;
    let indices = a.reduced(ReduceFunction::Sum, numbered, &[axis + 1], false)?;
    let values = a.layer(Take::new(axis as i32).along(true), &[x, indices])?;
    Ok(vec![Term::Made(values), Term::Made(indices)])
}
