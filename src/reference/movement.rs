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
    let magnitude = mixed(&input.map(f64::abs), f64::abs);
    Convolved { exact: mixed(input, |w| w), partial: magnitude.clone(), magnitude, terms }
}

/// How elements between positions are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Between {
    /// On a straight line.
    Linear,
    /// On Keys's cubic of this slope. Elements beyond the edge count as the edge, or, if they are excluded, not at all,
    /// and those that remain for them.
    Cubic {
        /// The slope: -0.5 in TensorFlow, -0.75 in PyTorch.
        a: f64,
        /// Whether what lies beyond the edge is excluded.
        exclude_outside: bool,
    },
}

/// One axis resized: element `i` of the result is what lies at `positions[i]` of the input.
///
/// Every element of the input weighs what the kernel function is at its distance, and most weigh nothing; the edge is
/// repeated, as often as a kernel reaches, by real elements.
pub fn resample(input: &Array, axis: usize, positions: &[f64], between: Between) -> Convolved {
    const REACH: isize = 3;
    let extent = input.shape[axis];
    if positions.is_empty() {
        let empty = input.slice(axis, 0, 0);
        return Convolved { exact: empty.clone(), partial: empty.clone(), magnitude: empty, terms: 0 };
    }
    let (repeated, weight): (isize, Box<dyn Fn(f64) -> f64>) = match between {
        Between::Linear => (REACH, Box::new(|d| (1.0 - d).max(0.0))),
        Between::Cubic { a, exclude_outside } => {
            let keys = move |d: f64| match d {
                d if d < 1.0 => (a + 2.0) * d.powi(3) - (a + 3.0) * d.powi(2) + 1.0,
                d if d < 2.0 => a * (d.powi(3) - 5.0 * d.powi(2) + 8.0 * d - 4.0),
                _ => 0.0,
            };
            (if exclude_outside { 0 } else { REACH }, Box::new(keys))
        }
    };
    let padded = if repeated == 0 { input.clone() } else { pad(input, axis, repeated, repeated, Surround::Edge) };
    let row = |&position: &f64| {
        // Where all is edge, it does not matter how far outside.
        let position = position.clamp(-2.0, extent as f64 + 1.0) + repeated as f64;
        let weights = (0..padded.shape[axis]).map(|at| (at, weight((at as f64 - position).abs())));
        let weights: Vec<(usize, f64)> = weights.filter(|&(_, weight)| weight != 0.0).collect();
        let total: f64 = weights.iter().map(|&(_, weight)| weight).sum();
        weights.into_iter().map(|(at, weight)| (at, weight / total)).collect::<Vec<_>>()
    };
    mix(&padded, axis, &positions.iter().map(row).collect::<Vec<_>>())
}
