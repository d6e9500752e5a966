//! How the elements of one array are found in another: strides, broadcasting, and axes merged where they lie side by
//! side.

use crate::{Error, Result};

/// Axes of a strided problem, after merging.
pub const MOST_AXES: usize = 6;

/// One axis of a box of elements that are read in one array and written to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MoveAxis {
    /// Coordinates along the axis.
    pub extent: u32,
    /// Input elements from one source coordinate to the next; 0 reads the same again.
    pub from: i32,
    /// Output elements from one coordinate to the next.
    pub to: u32,
    /// How a coordinate becomes a source coordinate; `None` where the two are the same, and never outside.
    pub reach: Option<Reach>,
}

impl MoveAxis {
    /// An axis that chooses nothing, as those behind the last of a problem.
    pub(crate) const UNIT: Self = Self { extent: 1, from: 0, to: 0, reach: None };

    /// Whether every coordinate is its own source.
    pub(crate) const fn is_plain(&self) -> bool {
        self.reach.is_none()
    }
}

/// The source coordinate of coordinate `c`: `⌊(c·step + start) / repeat⌋`, outside unless in `0..source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reach {
    /// Source coordinates.
    pub source: u32,
    /// Where coordinate 0 lies, in repeats.
    pub start: i32,
    /// Repeats from one coordinate to the next; negative runs backwards.
    pub step: i32,
    /// Coordinates that share a source coordinate; at least 1.
    pub repeat: u32,
}

impl Reach {
    /// The first and the last of `extent` coordinates' places, before they are divided.
    fn ends(&self, extent: u32) -> [i64; 2] {
        let first = i64::from(self.start);
        [first, first + i64::from(extent.max(1) - 1) * i64::from(self.step)]
    }

    /// Whether a coordinate of `extent` lies outside.
    fn leaves(&self, extent: u32) -> bool {
        let inside = 0..i64::from(self.source) * i64::from(self.repeat);
        self.ends(extent).iter().any(|end| !inside.contains(end))
    }
}

/// What a move reads where a source coordinate lies outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outside {
    /// The f32 of these bits.
    Fill(u32),
    /// The nearest inside.
    Edge,
    /// The mirror image in the first or last element, which is not repeated.
    Reflect,
    /// The other end, as if the source were repeated.
    Wrap,
}

impl Outside {
    /// Zeros.
    pub const ZERO: Self = Self::Fill(0);

    /// This value.
    pub fn fill(value: f32) -> Self {
        Self::Fill(value.to_bits())
    }
}

/// The axes of a move, innermost first, with the input element that coordinate 0 of all reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MoveAxes {
    pub(crate) axes: [MoveAxis; MOST_AXES],
    pub(crate) from: u32,
}

/// `axes`, outermost first, without those that choose nothing, merged where two lie side by side in input and output.
///
/// # Errors
/// [`Error::Unsupported`] where more than [`MOST_AXES`] remain, [`Error::Limit`] beyond 32 bits.
pub(crate) fn move_axes(axes: &[MoveAxis]) -> Result<MoveAxes> {
    let mut base = 0i64;
    let mut plain = Vec::with_capacity(axes.len());
    for axis in axes {
        let mut axis = *axis;
        if let Some(reach) = axis.reach {
            if let Some(beyond) = reach.ends(axis.extent).into_iter().find(|end| i32::try_from(*end).is_err()) {
                return Err(Error::limit("positions along a moved axis", beyond.unsigned_abs(), i32::MAX as u64));
            }
            if reach.repeat == 1 && !reach.leaves(axis.extent) {
                base += i64::from(reach.start) * i64::from(axis.from);
                axis.from = narrow(i64::from(axis.from) * i64::from(reach.step))?;
                axis.reach = None;
            }
        }
        if axis.extent != 1 || !axis.is_plain() {
            plain.push(axis);
        }
    }
    let merged = merged(plain, |outer, inner| {
        let beside = outer.is_plain()
            && inner.is_plain()
            && i64::from(outer.from) == i64::from(inner.from) * i64::from(inner.extent)
            && u64::from(outer.to) == u64::from(inner.to) * u64::from(inner.extent);
        Some(MoveAxis { extent: outer.extent.checked_mul(inner.extent)?, ..*inner }).filter(|_| beside)
    });
    let from = u32::try_from(base)
        .map_err(|_| Error::limit("elements of one tensor", base.unsigned_abs(), u32::MAX.into()))?;
    Ok(MoveAxes { axes: padded(merged, MoveAxis::UNIT)?, from })
}

/// One axis along which two inputs are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PairAxis {
    /// Coordinates along the axis.
    pub extent: u32,
    /// Elements of the left input from one to the next; 0 reads the same again.
    pub left: u32,
    /// Elements of the right input from one to the next; 0 reads the same again.
    pub right: u32,
}

impl PairAxis {
    const UNIT: Self = Self { extent: 1, left: 0, right: 0 };
}

/// The shape of two shapes broadcast together as NumPy does: aligned at their last axes, extents of 1 repeated; `None`
/// where they do not fit.
pub(crate) fn broadcast(left: &[usize], right: &[usize]) -> Option<Vec<usize>> {
    let known = |dims: &[usize]| dims.iter().copied().map(Some).collect::<Vec<_>>();
    broadcast_partial(&known(left), &known(right))?.into_iter().collect()
}

/// [`broadcast`] of shapes with unknown extents. What meets an unknown one is unknown, unless it is known to be larger
/// than 1: then it must be the same.
pub(crate) fn broadcast_partial(left: &[Option<usize>], right: &[Option<usize>]) -> Option<Vec<Option<usize>>> {
    let rank = left.len().max(right.len());
    let along =
        |dims: &[Option<usize>], axis: usize| (axis + dims.len()).checked_sub(rank).map_or(Some(1), |i| dims[i]);
    (0..rank)
        .map(|axis| match (along(left, axis), along(right, axis)) {
            (Some(1), dim) | (dim, Some(1)) => Some(dim),
            (None, dim) | (dim, None) => Some(dim),
            (left, right) => (left == right).then_some(left),
        })
        .collect()
}

/// Elements from one coordinate to the next along each axis of `dims`, last axis fastest.
pub(crate) fn row_major(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis].max(1);
    }
    strides
}

/// Along each axis of `output`, the elements of an array of `dims` broadcast to it; 0 where it repeats.
pub(crate) fn broadcast_strides(dims: &[usize], output: &[usize]) -> Vec<usize> {
    let missing = output.len() - dims.len();
    let own = row_major(dims);
    (0..output.len())
        .map(|axis| axis.checked_sub(missing).filter(|&own| dims[own] != 1).map_or(0, |axis| own[axis]))
        .collect()
}

/// The axes of `output`, outermost first, along which arrays of `left` and `right`, which broadcast to it, are read.
pub(crate) fn paired(left: &[usize], right: &[usize], output: &[usize]) -> Result<Vec<PairAxis>> {
    let strides = broadcast_strides(left, output).into_iter().zip(broadcast_strides(right, output));
    let axis = |(&extent, (left, right)): (&usize, (usize, usize))| {
        Ok(PairAxis { extent: count(extent)?, left: count(left)?, right: count(right)? })
    };
    output.iter().zip(strides).map(axis).collect()
}

/// `axes`, outermost first, without those of one coordinate, merged where two lie side by side on both sides; innermost
/// first.
///
/// # Errors
/// [`Error::Unsupported`] where more than [`MOST_AXES`] remain.
pub(crate) fn pair_axes(axes: &[PairAxis]) -> Result<[PairAxis; MOST_AXES]> {
    let merged = merged(axes.iter().copied().filter(|axis| axis.extent != 1).collect(), |outer, inner| {
        let beside = |outer: u32, stride: u32| u64::from(outer) == u64::from(stride) * u64::from(inner.extent);
        Some(PairAxis { extent: outer.extent.checked_mul(inner.extent)?, ..*inner })
            .filter(|_| beside(outer.left, inner.left) && beside(outer.right, inner.right))
    });
    padded(merged, PairAxis::UNIT)
}

/// `axes`, outermost first, joined two by two from the inside; what comes out stands innermost first.
fn merged<A: Copy>(axes: Vec<A>, join: impl Fn(&A, &A) -> Option<A>) -> Vec<A> {
    let mut merged: Vec<A> = Vec::with_capacity(axes.len());
    for outer in axes.into_iter().rev() {
        match merged.last().and_then(|inner| join(&outer, inner)) {
            Some(joined) => *merged.last_mut().expect("an inner axis was just joined") = joined,
            None => merged.push(outer),
        }
    }
    merged
}

fn padded<A: Copy>(axes: Vec<A>, unit: A) -> Result<[A; MOST_AXES]> {
    if axes.len() > MOST_AXES {
        return Err(Error::unsupported(
            format!("an operation over {} axes that do not lie side by side", axes.len()),
            format!("at most {MOST_AXES} are walked at once; reshape the tensor or permute it in steps"),
        ));
    }
    Ok(std::array::from_fn(|axis| axes.get(axis).copied().unwrap_or(unit)))
}

fn narrow(stride: i64) -> Result<i32> {
    i32::try_from(stride).map_err(|_| Error::limit("elements along one axis", stride.unsigned_abs(), i32::MAX as u64))
}

fn count(extent: usize) -> Result<u32> {
    crate::geometry::extent(extent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(extent: u32, from: i32, to: u32) -> MoveAxis {
        MoveAxis { extent, from, to, reach: None }
    }

    fn used(axes: &[MoveAxis]) -> Vec<MoveAxis> {
        let moved = move_axes(axes).unwrap();
        moved.axes.into_iter().filter(|axis| *axis != MoveAxis::UNIT).collect()
    }

    #[test]
    fn axes_that_lie_side_by_side_are_one() {
        // [2, 5, 7, 3] to NCHW: height and width stay together.
        let axes = [plain(2, 105, 105), plain(3, 1, 35), plain(5, 21, 7), plain(7, 3, 1)];
        assert_eq!(used(&axes), [plain(35, 3, 1), plain(3, 1, 35), plain(2, 105, 105)]);
        // A copy is one run.
        assert_eq!(used(&[plain(2, 105, 105), plain(5, 21, 21), plain(21, 1, 1)]), [plain(210, 1, 1)]);
    }

    #[test]
    fn cuts_become_a_start_and_reversals_a_negative_stride() {
        let cut = Reach { source: 9, start: 2, step: 1, repeat: 1 };
        let moved = move_axes(&[MoveAxis { extent: 4, from: 3, to: 3, reach: Some(cut) }, plain(3, 1, 1)]).unwrap();
        assert_eq!((moved.from, moved.axes[0]), (6, plain(12, 1, 1)));
        let reverse = Reach { source: 4, start: 3, step: -1, repeat: 1 };
        let moved = move_axes(&[MoveAxis { extent: 4, from: 2, to: 1, reach: Some(reverse) }]).unwrap();
        assert_eq!((moved.from, moved.axes[0]), (6, plain(4, -2, 1)));
        // A pad stays, and keeps its neighbours apart.
        let pad = Reach { source: 4, start: -1, step: 1, repeat: 1 };
        let padded = MoveAxis { extent: 6, from: 3, to: 3, reach: Some(pad) };
        assert_eq!(used(&[plain(2, 12, 18), padded, plain(3, 1, 1)]), [plain(3, 1, 1), padded, plain(2, 12, 18)]);
    }

    #[test]
    fn shapes_broadcast_as_in_numpy() {
        assert_eq!(broadcast(&[2, 1, 3], &[4, 1]), Some(vec![2, 4, 3]));
        assert_eq!(broadcast(&[2, 3], &[2]), None);
        assert_eq!(broadcast(&[], &[0, 1]), Some(vec![0, 1]));
        let unknown = broadcast_partial(&[None, None, Some(3)], &[Some(1), Some(4), None]);
        assert_eq!(unknown, Some(vec![None, Some(4), Some(3)]));
        // Squeeze and excite: [2, 5, 7, 3] by [2, 1, 1, 3].
        let axes = |left: &[usize], right: &[usize]| pair_axes(&paired(left, right, left).unwrap()).unwrap();
        let axis = |extent, left, right| PairAxis { extent, left, right };
        let excited = axes(&[2, 5, 7, 3], &[2, 1, 1, 3]);
        assert_eq!(excited[..4], [axis(3, 1, 1), axis(35, 3, 0), axis(2, 105, 3), PairAxis::UNIT]);
        assert_eq!(axes(&[2, 5, 7], &[])[0], axis(70, 1, 0));
    }

    #[test]
    fn too_many_axes_are_refused() {
        let axes: Vec<_> = (0..7).map(|axis| plain(2, 1 << axis, 1 << (6 - axis))).collect();
        assert!(matches!(move_axes(&axes), Err(Error::Unsupported { .. })));
    }
}
