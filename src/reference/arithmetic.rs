//! Several arrays made into one.

use super::{Array, Convolved, total};

/// Arrays joined along `axis`, counted from the end where it is negative.
pub fn concatenate(inputs: &[Array], axis: isize) -> Array {
    Array::joined(axis.rem_euclid(inputs[0].shape.len() as isize) as usize, inputs)
}

/// The sum of arrays that broadcast to each other; a difference is a sum with a sign.
pub fn sum(inputs: &[Array], signs: &[f64]) -> Convolved {
    let signed = |array: &Array, sign: f64| array.map(|x| x * sign);
    let folded = |of: fn(f64) -> f64| {
        let mut parts = inputs.iter().zip(signs).map(|(input, &sign)| signed(input, sign).map(of));
        let first = parts.next().unwrap_or_else(|| Array::new([], [0.0]));
        parts.fold(first, |sum, part| sum.zip(&part, |a, b| a + b))
    };
    let magnitude = folded(f64::abs);
    Convolved { exact: folded(|x| x), partial: magnitude.clone(), magnitude, terms: inputs.len() }
}

/// The product of matrices, over any number of leading axes that broadcast: `[…, n, k]` times `[…, k, m]`.
pub fn matmul(left: &Array, right: &Array) -> Convolved {
    let (rank_l, rank_r) = (left.shape.len(), right.shape.len());
    let terms = left.shape[rank_l - 1];
    // `[…, n, k, 1]` times `[…, 1, k, m]`, summed over `k`.
    let left = left.reshaped([&left.shape[..], &[1]].concat());
    let mut shape = right.shape.clone();
    shape.insert(rank_r - 2, 1);
    let right = right.reshaped(shape);
    let products = left.zip(&right, |a, b| a * b);
    let axis = products.shape.len() - 2;
    let Convolved { mut exact, mut magnitude, mut partial, .. } = total(&products, &[axis]);
    for array in [&mut exact, &mut magnitude, &mut partial] {
        array.shape.remove(axis);
    }
    Convolved { exact, magnitude, terms, partial }
}

/// Keras's Dot: for each element of the batch, the sum over one axis of each.
pub fn dot(left: &Array, right: &Array, axes: [usize; 2]) -> Convolved {
    let last = |array: &Array, axis: usize| {
        let mut order: Vec<usize> = (0..array.shape.len()).filter(|&i| i != axis).collect();
        order.push(axis);
        array.transposed(&order)
    };
    let (left, right) = (last(left, axes[0]), last(right, axes[1]));
    let rows = |array: &Array| {
        let (batch, depth) = (array.shape[0], array.shape[array.shape.len() - 1]);
        let rows = array.shape[1..array.shape.len() - 1].iter().product::<usize>();
        array.reshaped([batch, rows, depth])
    };
    let mut product = matmul(&rows(&left), &rows(&right).transposed(&[0, 2, 1]));
    let outer = |array: &Array| array.shape[1..array.shape.len() - 1].to_vec();
    let mut shape = [vec![left.shape[0]], outer(&left), outer(&right)].concat();
    if shape.len() == 1 {
        shape.push(1);
    }
    for array in [&mut product.exact, &mut product.magnitude, &mut product.partial] {
        array.shape.clone_from(&shape);
    }
    product
}
