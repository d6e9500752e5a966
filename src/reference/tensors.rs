//! Indexing and Einstein's summation, element by element from their definitions.

use super::tolerance::accumulated;
use super::{Array, Estimate};
use crate::layers::Subscript;

/// What whole number `value` names along an axis; `None` where it names nothing.
fn place(value: f64, extent: usize) -> Option<usize> {
    let number = value.trunc();
    let counted = if number < 0.0 { number + extent as f64 } else { number };
    (counted >= 0.0 && counted < extent as f64).then_some(counted as usize)
}

/// NumPy's `take`.
pub(super) fn take(table: &Array, numbers: &Array, axis: usize) -> Array {
    take_in_batches(table, numbers, axis, 0)
}

/// `take` from the part of the table where the numbers stand, along the first `batch` axes.
pub(super) fn take_in_batches(table: &Array, numbers: &Array, axis: usize, batch: usize) -> Array {
    let shape = [&table.shape[..axis], &numbers.shape[batch..], &table.shape[axis + 1..]].concat();
    let count: usize = numbers.shape[batch..].iter().product();
    let inner: usize = table.shape[axis + 1..].iter().product();
    let (outer, extent): (usize, usize) = (table.shape[..axis].iter().product(), table.shape[axis]);
    let batches: usize = table.shape[..batch].iter().product();
    let mut data = Vec::new();
    for o in 0..outer {
        let first = o / (outer / batches.max(1)).max(1) * count;
        for j in 0..count {
            let line = place(numbers.data[if batch > 0 { first + j } else { j }], extent);
            data.extend((0..inner).map(|i| line.map_or(f64::NAN, |line| table.data[(o * extent + line) * inner + i])));
        }
    }
    Array::new(shape, data)
}

/// NumPy's `take_along_axis`.
pub(super) fn take_along(table: &Array, numbers: &Array, axis: usize) -> Array {
    let inner: usize = table.shape[axis + 1..].iter().product();
    let (extent, count) = (table.shape[axis], numbers.shape[axis]);
    let taken = numbers.data.iter().enumerate().map(|(at, &number)| {
        let (i, o) = (at % inner, at / inner / count);
        place(number, extent).map_or(f64::NAN, |line| table.data[(o * extent + line) * inner + i])
    });
    Array::new(numbers.shape.clone(), taken.collect::<Vec<_>>())
}

/// NumPy's basic indexing, axis by axis.
pub(super) fn index(input: &Array, subscripts: &[Subscript]) -> Array {
    let named = subscripts.iter().filter(|s| !matches!(s, Subscript::New | Subscript::Ellipsis)).count();
    let rest = input.shape.len() - named;
    let mut array = input.clone();
    let mut axis = 0;
    for subscript in subscripts {
        let extent = array.shape.get(axis).copied().unwrap_or(1);
        let places: Vec<usize> = match *subscript {
            Subscript::New => {
                array.shape.insert(axis, 1);
                axis += 1;
                continue;
            }
            Subscript::Ellipsis => {
                axis += rest;
                continue;
            }
            Subscript::Only => vec![0],
            Subscript::At(position) => place(position.into(), extent).into_iter().collect(),
            Subscript::Part { index, of } => {
                let each = extent / of as usize;
                (index as usize * each..(index as usize + 1) * each).collect()
            }
            Subscript::Range { start, stop, step } => {
                let counted = |at: i32| i64::from(at) + if at < 0 { extent as i64 } else { 0 };
                let (last, backwards) = (extent as i64 - 1, step < 0);
                let first = start.map_or(if backwards { last } else { 0 }, counted);
                let end = stop.map_or(if backwards { -1 } else { last + 1 }, |stop| counted(stop).max(-1));
                let first = if backwards { first.min(last) } else { first.max(0) };
                let walk = (0..).map(|i| first + i * i64::from(step));
                let walk = walk.take_while(|&at| if backwards { at > end } else { at < end.min(last + 1) });
                walk.filter(|&at| at >= 0).map(|at| at as usize).collect()
            }
        };
        array = array.gathered(axis, &places);
        match subscript {
            Subscript::Only | Subscript::At(_) => drop(array.shape.remove(axis)),
            _ => axis += 1,
        }
    }
    array
}

/// Einstein's summation, one product after the other.
pub(super) fn einsum(equation: &str, inputs: &[Array]) -> Estimate {
    let plain: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match plain.split_once("->") {
        Some((left, right)) => (left.to_owned(), Some(right.to_owned())),
        None => (plain, None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    // Digits name what an ellipsis stands for, the last axis 0.
    let spelled = |term: &str, axes: usize| {
        let letters = term.replace("...", "").len();
        let digits: String =
            (0..axes.saturating_sub(letters)).rev().filter_map(|d| char::from_digit(d as u32, 36)).collect();
        term.replace("...", &digits)
    };
    let named: Vec<String> = terms.iter().zip(inputs).map(|(term, input)| spelled(term, input.shape.len())).collect();
    let most = named
        .iter()
        .flat_map(|term| term.chars())
        .filter(char::is_ascii_digit)
        .collect::<std::collections::BTreeSet<_>>();
    let output = match right {
        Some(right) => {
            let digits: String = most.iter().rev().collect();
            right.replace("...", &digits)
        }
        None => {
            let all: String = named.concat();
            let mut once: Vec<char> =
                all.chars().filter(|c| c.is_ascii_alphabetic() && all.matches(*c).count() == 1).collect();
            once.sort_unstable();
            most.iter().rev().chain(&once).collect()
        }
    };
    let mut letters: Vec<char> = output.chars().collect();
    for letter in named.iter().flat_map(|term| term.chars()) {
        if !letters.contains(&letter) {
            letters.push(letter);
        }
    }
    let extent = |letter: &char| {
        let of = named
            .iter()
            .zip(inputs)
            .filter_map(|(term, input)| Some(input.shape[term.chars().position(|c| c == *letter)?]));
        of.max().unwrap_or(1)
    };
    let extents: Vec<usize> = letters.iter().map(extent).collect();
    let kept = output.chars().count();
    let (made, summed): (usize, usize) = (extents[..kept].iter().product(), extents[kept..].iter().product());
    let (mut exact, mut magnitude) = (vec![0.0; made], vec![0.0; made]);
    for at in 0..made * summed {
        // The coordinate of each letter, the last running fastest.
        let mut rest = at;
        let mut coordinates = vec![0; letters.len()];
        for (coordinate, extent) in coordinates.iter_mut().zip(&extents).rev() {
            (*coordinate, rest) = (rest % extent, rest / extent);
        }
        let element = |(term, input): (&String, &Array)| {
            let place = term.chars().zip(&input.shape).fold(0, |place, (letter, &dim)| {
                let coordinate = letters.iter().position(|l| *l == letter).map_or(0, |i| coordinates[i]);
                place * dim + if dim == 1 { 0 } else { coordinate }
            });
            input.data[place]
        };
        let product: f64 = named.iter().zip(inputs).map(element).product();
        exact[at / summed] += product;
        magnitude[at / summed] += product.abs();
    }
    let bound: Vec<f64> = magnitude.iter().map(|&m| accumulated(summed, m)).collect();
    let shape = extents[..kept].to_vec();
    Estimate { exact: Array::new(shape.clone(), exact), bound: Array::new(shape, bound) }
}
