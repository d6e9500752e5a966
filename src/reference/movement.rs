//! What moves elements without changing them, and resizing, which mixes neighbours.

use super::{Array, Convolved};

/// What stands around a padded axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surround {
    /// One value.
    Constant(f64),
    /// The element at the edge.
    Edge,
    /// The elements next to the edge, which is not repeated.
    Reflect,
    /// The elements of the other end.
    Wrap,
}

/// Elements before and after, along one axis; a negative number takes elements away.
pub fn pad(input: &Array, axis: usize, before: isize, after: isize, surround: Surround) -> Array {
    let extent = input.shape[axis] as isize;
    let cut = |amount: isize| (-amount).max(0);
    let (first, last) = (cut(before), extent - cut(after));
    let [before, after] = [before.max(0), after.max(0)];
    if let Surround::Constant(value) = surround {
        let kept = input.slice(axis, first as usize, (last - first) as usize);
        return kept.padded_with(axis, before as usize, after as usize, value);
    }
    let kept = last - first;
    let place = |i: isize| match surround {
        Surround::Edge | Surround::Constant(_) => i.clamp(0, kept - 1),
        Surround::Wrap => i.rem_euclid(kept),
        Surround::Reflect if kept == 1 => 0,
        Surround::Reflect => {
            let turn = i.rem_euclid(2 * (kept - 1));
            turn.min(2 * (kept - 1) - turn)
        }
    };
    let places: Vec<usize> = (-before..kept + after).map(|i| (first + place(i)) as usize).collect();
    input.gathered(axis, &places)
}

/// Each element this often, one after the other, along one axis.
pub fn repeat(input: &Array, axis: usize, times: usize) -> Array {
    let places: Vec<usize> = (0..input.shape[axis] * times).map(|i| i / times).collect();
    input.gathered(axis, &places)
}

/// Along one axis, sums of elements: `table[i]` names the elements that make element `i`, and their weights.
pub fn mix(input: &Array, axis: usize, table: &[Vec<(usize, f64)>]) -> Convolved {
    let mixed = |array: &Array, of: fn(f64) -> f64| {
        array.along(axis as isize, |line| {
            table.iter().map(|sources| sources.iter().map(|&(at, weight)| line[at] * of(weight)).sum()).collect()
        })
    };
    let terms = table.iter().map(Vec::len).max().unwrap_or(0);
    Convolved { exact: mixed(input, |w| w), magnitude: mixed(&input.map(f64::abs), f64::abs), terms }
}

/// The table for [`mix`] of an axis resized from one extent to another by straight lines between the centres of
/// elements; beyond the outermost centres stands the outermost element.
pub fn linear_table(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let position = |i: usize| ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, from as f64 - 1.0);
    let row = |i| {
        let position: f64 = position(i);
        let (low, part) = (position.floor() as usize, position.fract());
        vec![(low, 1.0 - part), ((low + 1).min(from - 1), part)]
    };
    (0..to).map(row).collect()
}
