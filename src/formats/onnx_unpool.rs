//! Where a MaxPool finds its largest values, and MaxUnpool, which puts values back there.
//!
//! An index counts all elements of the pool's input, row by row. Within one channel of one image it is found tap by tap: the places
//! of a tap are a strided part of the input, and the least place that holds the largest value is taken. Going back needs no search
//! where the indices are those of a pool of this graph: a position is looked for in the few windows that reach it. Any other
//! indices are compared with all positions (`onnx_places.rs`).

use super::onnx_fold::{KnownTensor, strides_of};
use super::onnx_layers::{Apply, Outcome, Term, WindowSpan, at, one};
use crate::layers::{Extent, PadMode, Take};
use crate::model::Port;
use crate::plan::BinaryFunction;
use crate::{HostTensor, Unary};

/// The most taps of a window whose largest value is looked for, and the most windows that a position is looked for in.
const MOST_TAPS: usize = 256;

/// What is known of the indices of a MaxPool, beside their values.
#[derive(Clone)]
pub(super) struct PoolIndices {
    /// The same within one channel of one image.
    within: Port,
    spans: Vec<WindowSpan>,
    /// The spatial extents of the pool's input.
    extents: Vec<usize>,
}

/// All places of a grid of these extents, row by row.
fn grid(extents: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let (extents, steps) = (extents.to_vec(), strides_of(extents));
    (0..extents.iter().product())
        .map(move |place: usize| extents.iter().zip(&steps).map(|(&extent, &step)| place / step % extent).collect())
}

impl Apply<'_> {
    /// The index of each of the `largest` values, which a pool has found in `x`.
    pub(super) fn pool_indices(&mut self, x: Port, largest: Port, spans: &[WindowSpan]) -> Outcome<Port> {
        let (dims, counts) = (self.known_dims(x)?, self.known_dims(largest)?);
        let (extents, counts) = (&dims[2..], &counts[2..]);
        let (plane, all): (usize, usize) = (extents.iter().product(), dims.iter().product());
        if all > 1 << 24 {
            return Err(format!("the indices of an input of {all} elements are more than f32 can number, 2^24").into());
        }
        let kernel: Vec<usize> = spans.iter().map(|span| span.kernel as usize).collect();
        let taps = kernel.iter().fold(1usize, |taps, &own| taps.saturating_mul(own));
        if taps > MOST_TAPS {
            return Err(format!("its indices are looked for in windows of {MOST_TAPS} taps at most, not {taps}").into());
        }
        let outputs: usize = counts.iter().product();
        self.meter().array((taps as u64).saturating_mul(outputs as u64), 2 * size_of::<f32>())?;
        let before: Vec<i64> = spans.iter().map(|span| i64::from(span.pads.unwrap_or_default()[0])).collect();
        // As far as the last window reaches.
        let mut pads = vec![[0; 2]; 2];
        for (axis, span) in spans.iter().enumerate() {
            let end = (counts[axis] as i64 - 1) * i64::from(span.stride) + span.reach() as i64;
            pads.push([before[axis], (end - before[axis] - extents[axis] as i64).max(0)]);
        }
        let padded = self.padded(x, &pads, PadMode::Constant(0.0))?;
        let steps = strides_of(extents);
        let mut within = None;
        for tap in grid(&kernel) {
            let first: Vec<i64> = tap.iter().zip(spans).map(|(&t, span)| t as i64 * i64::from(span.dilation)).collect();
            let place_of = |output: Vec<usize>| {
                let mut place = 0;
                for (axis, span) in spans.iter().enumerate() {
                    let at = output[axis] as i64 * i64::from(span.stride) + first[axis] - before[axis];
                    let at = usize::try_from(at).ok().filter(|&at| at < extents[axis])?;
                    place += at * steps[axis];
                }
                Some(place)
            };
            // What lies in the pads has the place behind all, whatever is there.
            let places: Vec<usize> = grid(counts).map(|output| place_of(output).unwrap_or(plane)).collect();
            if places.iter().all(|&place| place == plane) {
                continue;
            }
            let shape = [&[1, 1], counts].concat();
            let rest = places.iter().map(|&place| (plane - place) as f32).collect();
            let places = places.iter().map(|&place| place as f32).collect();
            let cuts: Vec<_> = spans
                .iter()
                .enumerate()
                .map(|(axis, span)| {
                    let (first, stride) = (first[axis], i64::from(span.stride));
                    (2 + axis, first, first + (counts[axis] as i64 - 1) * stride + 1, stride)
                })
                .collect();
            let values = self.sliced(padded, &cuts)?;
            // A smaller value counts as the place behind all.
            let less = self.binary(BinaryFunction::Less, values, largest)?;
            let rest =
                self.binary_with(BinaryFunction::Multiply, less, &KnownTensor::floats(shape.clone(), rest), false)?;
            let own = self.binary_with(BinaryFunction::Add, rest, &KnownTensor::floats(shape, places), false)?;
            within = Some(match within {
                Some(within) => self.binary(BinaryFunction::Minimum, within, own)?,
                None => own,
            });
        }
        let within = within.ok_or("its windows hold pads alone")?;
        let columns_first = match self.node.int("storage_order", 0) {
            0 => false,
            1 => true,
            other => return Err(at("storage_order", format!("{other} is neither 0 nor 1"))),
        };
        let ordered = if columns_first { self.columns_first(within, extents)? } else { within };
        let channels = dims[0] * dims[1];
        let first: Vec<f32> = (0..channels).map(|channel| (channel * plane) as f32).collect();
        let mut shape = vec![1; dims.len()];
        shape[..2].copy_from_slice(&dims[..2]);
        let indices = self.binary_with(BinaryFunction::Add, ordered, &KnownTensor::floats(shape, first), false)?;
        if !columns_first {
            let known = PoolIndices { within, spans: spans.to_vec(), extents: extents.to_vec() };
            self.builder.pool_indices.insert(indices, known);
        }
        Ok(indices)
    }

    /// Places of a grid that are counted row by row, counted along its first axis first.
    fn columns_first(&mut self, mut places: Port, extents: &[usize]) -> Outcome<Port> {
        let mut total = None;
        for (axis, &extent) in extents.iter().enumerate().rev() {
            let own = if axis == 0 { places } else { self.number(BinaryFunction::Modulo, places, extent as f32)? };
            let step: usize = extents[..axis].iter().product();
            let part = self.affine(own, step as f32, 0.0)?;
            total = Some(match total {
                Some(total) => self.binary(BinaryFunction::Add, total, part)?,
                None => part,
            });
            if axis > 0 {
                let multiple = self.binary(BinaryFunction::Subtract, places, own)?;
                let quotient = self.number(BinaryFunction::Divide, multiple, extent as f32)?;
                // A whole number, but for what a division may be off by.
                places = self.unary(Unary::Round, quotient)?;
            }
        }
        total.ok_or_else(|| "its input has no axes after the channels".into())
    }

    /// `x` put back to where the pool of `known` indices took it from; where windows have one place in common, the last one stays.
    fn unpooled(&mut self, x: Port, known: &PoolIndices) -> Outcome<Port> {
        let counts = self.known_dims(x)?[2..].to_vec();
        let windows: Vec<usize> =
            known.spans.iter().map(|span| span.reach().div_ceil(u64::from(span.stride)) as usize).collect();
        if windows.iter().fold(1usize, |count, &own| count.saturating_mul(own)) > MOST_TAPS {
            return Err(
                format!("a position lies in {windows:?} windows, and is looked for in {MOST_TAPS} at most").into()
            );
        }
        let shape = [&[1, 1], &known.extents[..]].concat();
        let places = (0..known.extents.iter().product::<usize>()).map(|place| place as f32).collect();
        let places = KnownTensor::floats(shape, places);
        let mut made: Option<Port> = None;
        for window in grid(&windows) {
            let (mut values, mut indices) = (x, known.within);
            for (axis, span) in known.spans.iter().enumerate() {
                // The first window that may reach a position, and those behind it; one beyond all has been tried, or will be.
                let back = (windows[axis] - 1 - window[axis]) as i64;
                let before = i64::from(span.pads.unwrap_or_default()[0]);
                let of = |at: usize| {
                    ((at as i64 + before) / i64::from(span.stride) - back).clamp(0, counts[axis] as i64 - 1) as f32
                };
                let own: Vec<f32> = (0..known.extents[axis]).map(of).collect();
                let own = HostTensor { shape: [own.len()].into(), values: own };
                let take = Take::new(2 + axis as i32).indices(own);
                values = self.layer(take.clone(), &[values])?;
                indices = self.layer(take, &[indices])?;
            }
            let hit = self.binary_with(BinaryFunction::Equal, indices, &places, false)?;
            made = Some(match made {
                None => self.binary(BinaryFunction::Where, values, hit)?,
                Some(before) => self.chosen(&Term::Made(hit), Term::Made(values), Term::Made(before))?,
            });
        }
        made.ok_or_else(|| "its windows have no extent".into())
    }
}

pub(super) fn max_unpool(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.known_dims(x)?;
    let count = dims.len().checked_sub(2).filter(|count| (1..=3).contains(count));
    let count = count.ok_or("its input must have 1 to 3 axes after the channels")?;
    let spans = a.unpool_spans(count)?;
    let mut inferred = dims[..2].to_vec();
    for (span, &extent) in spans.iter().zip(&dims[2..]) {
        let whole = (extent as i64 - 1) * i64::from(span.stride) + i64::from(span.kernel);
        let whole = whole - span.pads.unwrap_or_default().iter().map(|&pad| i64::from(pad)).sum::<i64>();
        let whole = usize::try_from(whole).ok().filter(|&whole| extent > 0 && whole > 0);
        inferred.push(whole.ok_or_else(|| at("pads", "nothing is left of its output"))?);
    }
    let output = match a.constant(2)? {
        None => inferred.clone(),
        Some(shape) => {
            let wanted = shape.known_ints(a.meter())?;
            let wanted: Option<Vec<_>> = wanted.iter().map(|&extent| usize::try_from(extent).ok()).collect();
            let fits = |wanted: &Vec<usize>| {
                wanted.len() == dims.len()
                    && wanted[..2] == dims[..2]
                    && wanted.iter().zip(&inferred).all(|(wanted, least)| wanted >= least)
            };
            wanted.filter(fits).ok_or_else(|| {
                format!("its output_shape must have the axes of its input, and be at least {inferred:?}")
            })?
        }
    };
    let indices = a.term(1)?;
    let of_indices = match &indices {
        Term::Known(indices) => indices.shape.clone(),
        _ => {
            let indices = a.value(1)?;
            a.known_dims(indices)?
        }
    };
    if of_indices != dims {
        return Err(format!("its indices must have the shape {dims:?} of its input, and have {of_indices:?}").into());
    }
    if let Term::Made(port) = indices
        && let Some(known) = a.builder.pool_indices.get(&port)
        && known.extents == output[2..]
    {
        let known = known.clone();
        return one(a.unpooled(x, &known)?);
    }
    // Whether an index counts positions of what the attributes make or of what is wanted comes to the same.
    let alike = output[3..] == inferred[3..] && (output[2] == inferred[2] || dims[..2] == [1, 1]);
    if !alike {
        return Err("onnxruntime counts its indices in output_shape, and the standard in what its attributes make; give it the \
                    indices of a MaxPool of the same file, or leave output_shape out"
            .into());
    }
    let count = dims.iter().product();
    let updates = a.view(x, vec![Extent::Of(count)])?;
    let flat = a.put_into_zeros(updates, &indices, output.iter().product())?;
    one(a.view(flat, output.iter().map(|&extent| Extent::Of(extent)).collect())?)
}
