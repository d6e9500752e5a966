//! Arrays of `f64`, and the ways to take them apart and put them together.

/// A dense array of `f64`, last axis fastest. Every `f16` and `f32` is an `f64`, so nothing is lost on the way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extent of each axis; none for a scalar.
    pub shape: Vec<usize>,
    /// The elements, row-major.
    pub data: Vec<f64>,
}

impl Array {
    /// An array of this shape.
    ///
    /// # Panics
    /// When the number of elements is not the product of the extents.
    #[track_caller]
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Vec<f64>>) -> Self {
        let (shape, data) = (shape.into(), data.into());
        assert_eq!(shape.iter().product::<usize>(), data.len(), "elements of shape {shape:?}");
        Self { shape, data }
    }

    /// An array of `f32` values.
    #[track_caller]
    pub fn from_f32(shape: impl Into<Vec<usize>>, data: &[f32]) -> Self {
        Self::new(shape, data.iter().copied().map(f64::from).collect::<Vec<_>>())
    }

    /// The elements rounded to `f32`: exact for values that were stored as `f16` or `f32`.
    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&value| value as f32).collect()
    }

    /// The elements rounded to `f16`: exact for values that were stored as `f16`.
    pub fn to_f16(&self) -> Vec<half::f16> {
        self.data.iter().map(|&value| half::f16::from_f64(value)).collect()
    }

    /// The same elements, one to one, through a function.
    pub fn map(&self, function: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape.clone(), data: self.data.iter().map(|&value| function(value)).collect() }
    }

    /// Axes in another order: axis `i` of the result is axis `order[i]` of this array.
    pub fn transposed(&self, order: &[usize]) -> Self {
        let strides = self.strides();
        let shape: Vec<usize> = order.iter().map(|&axis| self.shape[axis]).collect();
        let mut index = vec![0; shape.len()];
        let mut data = Vec::with_capacity(self.data.len());
        for _ in 0..self.data.len() {
            data.push(self.data[index.iter().zip(order).map(|(i, &axis)| i * strides[axis]).sum::<usize>()]);
            for (i, &extent) in index.iter_mut().zip(&shape).rev() {
                *i += 1;
                if *i < extent {
                    break;
                }
                *i = 0;
            }
        }
        Self { shape, data }
    }

    /// `[batch, channels, …axes]` to `[batch, …axes, channels]`.
    pub fn to_channels_last(&self) -> Self {
        let order: Vec<usize> = [0].into_iter().chain(2..self.shape.len()).chain([1]).collect();
        self.transposed(&order)
    }

    /// `[batch, …axes, channels]` to `[batch, channels, …axes]`.
    pub fn to_channels_first(&self) -> Self {
        let last = self.shape.len() - 1;
        let order: Vec<usize> = [0, last].into_iter().chain(1..last).collect();
        self.transposed(&order)
    }

    /// The same elements in another shape.
    ///
    /// # Panics
    /// When the shape has another number of elements.
    #[track_caller]
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Self {
        Self::new(shape, self.data.clone())
    }

    /// One axis rebuilt: element `i` of it becomes what was at `source(i)`, or `fill` where that is `None`.
    fn rebuilt(&self, axis: usize, extent: usize, fill: f64, source: impl Fn(usize) -> Option<usize>) -> Self {
        let inner: usize = self.shape[axis + 1..].iter().product();
        let outer: usize = self.shape[..axis].iter().product();
        let mut data = Vec::with_capacity(outer * extent * inner);
        for block in 0..outer {
            for i in 0..extent {
                match source(i) {
                    Some(from) => {
                        let start = (block * self.shape[axis] + from) * inner;
                        data.extend_from_slice(&self.data[start..start + inner]);
                    }
                    None => data.resize(data.len() + inner, fill),
                }
            }
        }
        let mut shape = self.shape.clone();
        shape[axis] = extent;
        Self { shape, data }
    }

    /// Zeros before and after, along one axis.
    pub fn padded(&self, axis: usize, before: usize, after: usize) -> Self {
        self.padded_with(axis, before, after, 0.0)
    }

    /// A value before and after, along one axis.
    pub fn padded_with(&self, axis: usize, before: usize, after: usize, fill: f64) -> Self {
        let extent = self.shape[axis];
        self.rebuilt(axis, before + extent + after, fill, |i| i.checked_sub(before).filter(|&i| i < extent))
    }

    /// `rate - 1` zeros between neighbours, along one axis.
    pub fn dilated(&self, axis: usize, rate: usize) -> Self {
        let extent = self.shape[axis].checked_sub(1).map_or(0, |last| last * rate + 1);
        self.rebuilt(axis, extent, 0.0, |i| i.is_multiple_of(rate).then_some(i / rate))
    }

    /// `extent` elements from `start` on, along one axis.
    pub fn slice(&self, axis: usize, start: usize, extent: usize) -> Self {
        self.rebuilt(axis, extent, 0.0, |i| Some(start + i))
    }

    /// The elements at these places of one axis, in this order; a place may be named often or never.
    pub fn gathered(&self, axis: usize, places: &[usize]) -> Self {
        self.rebuilt(axis, places.len(), 0.0, |i| Some(places[i]))
    }

    /// The elements repeated along axes of extent 1, and along new ones in front, up to `shape`.
    ///
    /// # Panics
    /// When an extent is neither 1 nor that of `shape`.
    #[track_caller]
    pub fn broadcast(&self, shape: &[usize]) -> Self {
        let mut result = self.reshaped([vec![1; shape.len() - self.shape.len()], self.shape.clone()].concat());
        for (axis, &extent) in shape.iter().enumerate() {
            if result.shape[axis] != extent {
                assert_eq!(result.shape[axis], 1, "{:?} broadcast to {shape:?}", self.shape);
                result = result.gathered(axis, &vec![0; extent]);
            }
        }
        result
    }

    /// A function of the elements of two arrays, each broadcast to the other.
    ///
    /// # Panics
    /// When the shapes do not broadcast.
    #[track_caller]
    pub fn zip(&self, other: &Self, function: impl Fn(f64, f64) -> f64) -> Self {
        let rank = self.shape.len().max(other.shape.len());
        let extent = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |i| shape[i]);
        let larger = |axis| match (extent(&self.shape, axis), extent(&other.shape, axis)) {
            (1, other) => other,
            (extent, _) => extent,
        };
        let shape: Vec<usize> = (0..rank).map(larger).collect();
        let (left, right) = (self.broadcast(&shape), other.broadcast(&shape));
        let data: Vec<f64> = left.data.iter().zip(&right.data).map(|(&a, &b)| function(a, b)).collect();
        Self { shape, data }
    }

    /// Each set of elements that differ along `axes` only becomes one, in an axis of extent 1.
    pub fn reduced(&self, axes: &[usize], function: impl Fn(&[f64]) -> f64) -> Self {
        let kept: Vec<usize> = (0..self.shape.len()).filter(|axis| !axes.contains(axis)).collect();
        let moved = self.transposed(&[&kept[..], axes].concat());
        let shape: Vec<usize> = self
            .shape
            .iter()
            .enumerate()
            .map(|(axis, &extent)| if axes.contains(&axis) { 1 } else { extent })
            .collect();
        let size = axes.iter().map(|&axis| self.shape[axis]).product::<usize>();
        let sets = shape.iter().product::<usize>();
        Self::new(shape, (0..sets).map(|set| function(&moved.data[set * size..(set + 1) * size])).collect::<Vec<_>>())
    }

    /// Arrays joined along one axis.
    ///
    /// # Panics
    /// Without parts, or when their other axes differ.
    pub fn joined(axis: usize, parts: &[Self]) -> Self {
        let mut shape = parts[0].shape.clone();
        let (outer, inner) = (shape[..axis].iter().product::<usize>(), shape[axis + 1..].iter().product::<usize>());
        shape[axis] = parts.iter().map(|part| part.shape[axis]).sum();
        let mut data = Vec::with_capacity(shape.iter().product());
        for block in 0..outer {
            for part in parts {
                let row = part.shape[axis] * inner;
                data.extend_from_slice(&part.data[block * row..(block + 1) * row]);
            }
        }
        Self::new(shape, data)
    }

    /// Each line along `axis` (negative: counted from the end) goes through `function`; the others keep their place.
    /// All lines must come back equally long, but may come back longer or shorter than they went.
    pub fn along(&self, axis: isize, function: impl Fn(&[f64]) -> Vec<f64>) -> Self {
        let rank = self.shape.len();
        let axis = axis.checked_rem_euclid(rank as isize).expect("a scalar has no axis") as usize;
        let mut order: Vec<usize> = (0..rank).filter(|&i| i != axis).collect();
        order.push(axis);
        let moved = self.transposed(&order);
        let extent = self.shape[axis];
        let count = moved.shape[..rank - 1].iter().product::<usize>();
        let lines: Vec<Vec<f64>> =
            (0..count).map(|line| function(&moved.data[line * extent..(line + 1) * extent])).collect();
        let mut shape = moved.shape;
        // Where there is no line, one of zeros tells how long they would be.
        shape[rank - 1] = lines.first().map_or_else(|| function(&vec![0.0; extent]).len(), Vec::len);
        let mut back: Vec<usize> = (0..rank - 1).collect();
        back.insert(axis, rank - 1);
        Self::new(shape, lines.concat()).transposed(&back)
    }

    /// Elements per step along each axis.
    fn strides(&self) -> Vec<usize> {
        (0..self.shape.len()).map(|axis| self.shape[axis + 1..].iter().product()).collect()
    }
}

/// The larger of two numbers, NaN where either is: `f64::max` passes over it, and Keras does not.
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The smaller of two numbers, NaN where either is.
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    -larger(-a, -b)
}
