//! ONNX's windows: convolutions, their transposes, pools and resizing.
//!
//! A node says by the extents of its input over how many axes its windows go; so there is a layer for each number of them.

use std::sync::Arc;

use super::onnx_fold::{KnownTensor, axes_at, axis_at};
use super::onnx_layers::{Apply, Outcome, Term, WindowSpan, at, one, padding_of, units_of};
use super::onnx_proto::NodeProto;
use crate::budget::Meter;
use crate::layers::{
    Conv, DepthwiseConv, Extent, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D,
    GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D, LayerConfig, PadMode, Pooling, ReduceFunction, Resize,
    ResizeTo, TransposedConv,
};
use crate::model::Port;
use crate::{Coordinates, DataFormat, HostTensor, Interpolation, Nearest, Padding, Unary};

impl Apply<'_> {
    /// The attribute `name` with a number for each spatial axis, all of them `none` where it is absent.
    fn per_axis(&self, name: &str, count: usize, none: u32) -> Outcome<Vec<u32>> {
        let Some(given) = self.node.ints(name) else { return Ok(vec![none; count]) };
        let numbers = given.iter().map(|&number| u32::try_from(number).ok()).collect::<Option<Vec<_>>>();
        let numbers = numbers.filter(|numbers| numbers.len() == count && numbers.iter().all(|&number| number >= none));
        numbers.ok_or_else(|| at(name, format!("{given:?} must be {count} numbers of at least {none}")))
    }

    /// The window of the node's attributes over `extents`.
    fn spans(&self, kernel: &[u32], extents: &[Option<usize>]) -> Outcome<Vec<WindowSpan>> {
        let count = kernel.len();
        let strides = self.per_axis("strides", count, 1)?;
        let dilations = self.per_axis("dilations", count, 1)?;
        let pads = self.per_axis("pads", 2 * count, 0)?;
        let auto = self.node.text("auto_pad", "NOTSET");
        let mut spans = Vec::with_capacity(count);
        for axis in 0..count {
            let mut span =
                WindowSpan { kernel: kernel[axis], stride: strides[axis], dilation: dilations[axis], pads: None };
            let total = span.same_pads(extents[axis]);
            span.pads = match (auto, total) {
                ("NOTSET" | "", _) => Some([pads[axis], pads[axis + count]]),
                ("VALID", _) => Some([0, 0]),
                ("SAME_UPPER", total) => total.map(|total| [total / 2, total - total / 2]),
                ("SAME_LOWER", Some(total)) => Some([total - total / 2, total / 2]),
                ("SAME_LOWER", None) => {
                    return Err(at("auto_pad", "SAME_LOWER with strides needs an input of known height and width"));
                }
                (other, _) => return Err(at("auto_pad", format!("{other:?} is not known"))),
            };
            spans.push(span);
        }
        Ok(spans)
    }

    /// `kernel_shape`, or else `given`.
    fn kernel_size(&self, given: Option<&[usize]>, count: usize) -> Outcome<Vec<u32>> {
        let kernel = self.per_axis("kernel_shape", count, 1)?;
        let Some(given) = given else {
            return match self.node.attribute("kernel_shape") {
                Some(_) => Ok(kernel),
                None => Err(at("kernel_shape", "it is missing")),
            };
        };
        let own = given.iter().map(|&dim| u32::try_from(dim).ok().filter(|&dim| dim > 0)).collect::<Option<Vec<_>>>();
        let own = own.ok_or_else(|| format!("a kernel of {given:?} cannot be computed"))?;
        if self.node.attribute("kernel_shape").is_some() && kernel != own {
            return Err(at("kernel_shape", format!("it says {kernel:?}, and the weights are of {own:?}")));
        }
        Ok(own)
    }
}

/// A kernel in Keras's order: `[filters, channels, …taps]` as `[…taps, channels, filters]`.
fn ordered(weights: &KnownTensor, meter: &Meter) -> Result<HostTensor, String> {
    weights.transposed(&taps_first(weights.shape.len() - 2), meter)?.to_host(meter)
}

/// The order of axes that puts `count` of taps before filters and channels, and channels before filters.
fn taps_first(count: usize) -> Vec<usize> {
    (2..2 + count).chain([1, 0]).collect()
}

impl Apply<'_> {
    /// Input `index` as a weight, if it is there.
    fn bias(&mut self, index: usize) -> Outcome<Option<Arc<HostTensor>>> {
        let bias = self.constant(index)?.cloned();
        bias.map(|bias| self.plain_weight(&bias)).transpose()
    }
}

fn groups_of(a: &Apply) -> Outcome<usize> {
    let group = usize::try_from(a.node.int("group", 1)).ok().filter(|&group| group > 0);
    group.ok_or_else(|| at("group", "it must be at least 1"))
}

pub(super) fn conv(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let weights = a.required(1)?.clone();
    let bias = a.bias(2)?;
    let dims = a.dims(x);
    if weights.shape.len() != dims.len() || dims.len() < 3 {
        return Err(format!("its weights have {} axes for an input of {}", weights.shape.len(), dims.len()).into());
    }
    let kernel = a.kernel_size(Some(&weights.shape[2..]), dims.len() - 2)?;
    let spans = a.spans(&kernel, &dims[2..])?;
    let groups = groups_of(a)?;
    one(a.convolved(x, &weights, bias, groups, &spans)?)
}

impl Apply<'_> {
    /// The convolution of `x` `[batch, channels, …]` with `weights` `[filters, channels / groups, …]`.
    fn convolved(
        &mut self,
        x: Port,
        weights: &KnownTensor,
        bias: Option<Arc<HostTensor>>,
        groups: usize,
        spans: &[WindowSpan],
    ) -> Outcome<Port> {
        match *spans {
            [w] => self.conv_over(x, weights, bias, groups, [w], |layer| Some(layer.into())),
            [h, w] => self.conv_over(x, weights, bias, groups, [h, w], |layer| Some(layer.into())),
            // Keras has no depthwise convolution of volumes.
            [d, h, w] => self.conv_over(x, weights, bias, groups, [d, h, w], |_| None),
            _ => Err(format!("windows over {} axes are not supported", spans.len()).into()),
        }
    }

    /// The convolution over `R` axes, as a depthwise one where it is that and there is such a layer.
    fn conv_over<const R: usize>(
        &mut self,
        mut x: Port,
        weights: &KnownTensor,
        bias: Option<Arc<HostTensor>>,
        groups: usize,
        spans: [WindowSpan; R],
        depthwise: fn(DepthwiseConv<R>) -> Option<LayerConfig>,
    ) -> Outcome<Port>
    where
        LayerConfig: From<Conv<R>>,
    {
        let dims = self.dims(x);
        let [filters, per_group, taps @ ..] = &weights.shape[..] else { return Err("its weights have no axes".into()) };
        let (filters, per_group, taps) = (*filters, *per_group, taps.to_vec());
        let channels = per_group.saturating_mul(groups);
        if dims.get(1).copied().flatten().is_some_and(|own| own != channels) || !filters.is_multiple_of(groups) {
            let text = format!("weights {:?} in {groups} groups do not fit an input {dims:?}", weights.shape);
            return Err(text.into());
        }
        let padding = if let Some(padding) = padding_of(&spans, &dims[2..]) {
            padding
        } else {
            let pads = spans.iter().map(|span| span.pads).collect::<Option<Vec<_>>>();
            let pads = pads.ok_or("its spatial extents must be known for these pads")?;
            let signed = pads.iter().map(|pads| pads.map(i64::from));
            let by_axis: Vec<_> = [[0; 2]; 2].into_iter().chain(signed).collect();
            x = self.padded(x, &by_axis, PadMode::Constant(0.0))?;
            Padding::Valid
        };
        let size = spans.map(|span| span.kernel);
        let strides = spans.map(|span| span.stride);
        let dilation = spans.map(|span| span.dilation);
        let use_bias = bias.is_some();
        if per_group == 1 && groups > 1 {
            let multiplier = filters / groups;
            let layer = DepthwiseConv::new(size)
                .depth_multiplier(units_of(multiplier)?)
                .data_format(DataFormat::ChannelsFirst)
                .strides(strides)
                .dilation_rate(dilation)
                .strided_dilation(true)
                .padding(padding)
                .use_bias(use_bias);
            if let Some(layer) = depthwise(layer) {
                let shape = [taps, vec![groups, multiplier]].concat();
                let kernel = self.weight(weights, &format!("depthwise kernel of {groups}"), |weights, meter| {
                    weights.transposed(&taps_first(R), meter)?.reshaped(shape)?.to_host(meter)
                })?;
                return self.weighted(layer, std::iter::once(kernel).chain(bias).collect(), x);
            }
        }
        let layer = Conv::new(units_of(filters)?, size)
            .groups(units_of(groups)?)
            .data_format(DataFormat::ChannelsFirst)
            .strides(strides)
            .dilation_rate(dilation)
            .strided_dilation(true)
            .padding(padding)
            .use_bias(use_bias);
        let kernel = self.weight(weights, "kernel", ordered)?;
        self.weighted(layer, std::iter::once(kernel).chain(bias).collect(), x)
    }
}

/// What a transposed convolution cuts off before and after an axis; negative after it where it adds positions.
#[derive(Clone, Copy)]
struct Ends {
    before: i32,
    after: i32,
}

pub(super) fn conv_transpose(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let weights = a.required(1)?.clone();
    let bias = a.bias(2)?;
    let groups = groups_of(a)?;
    let dims = a.dims(x);
    let fits = weights.shape.len() == dims.len() && dims.len() >= 3 && weights.shape[0].is_multiple_of(groups);
    if !fits || dims[1].is_some_and(|channels| channels != weights.shape[0]) {
        return Err(format!("weights {:?} in {groups} groups do not fit an input {dims:?}", weights.shape).into());
    }
    let count = dims.len() - 2;
    let kernel = a.kernel_size(Some(&weights.shape[2..]), count)?;
    let (strides, dilations) = (a.per_axis("strides", count, 1)?, a.per_axis("dilations", count, 1)?);
    let spans: Vec<WindowSpan> = (0..count)
        .map(|axis| WindowSpan { kernel: kernel[axis], stride: strides[axis], dilation: dilations[axis], pads: None })
        .collect();
    let ends = ends(a, &spans, &dims[2..])?;
    one(match (&spans[..], &ends[..]) {
        (&[w], &[left]) => a.transposed_over(x, &weights, bias, groups, [w], [left])?,
        (&[h, w], &[top, left]) => a.transposed_over(x, &weights, bias, groups, [h, w], [top, left])?,
        (&[d, h, w], &[front, top, left]) => {
            a.transposed_over(x, &weights, bias, groups, [d, h, w], [front, top, left])?
        }
        _ => return Err(format!("windows over {count} axes are not supported").into()),
    })
}

/// The ends of every axis, by pads, by the size wanted, or by `auto_pad`.
fn ends(a: &Apply, spans: &[WindowSpan], extents: &[Option<usize>]) -> Outcome<Vec<Ends>> {
    let count = spans.len();
    let more = a.per_axis("output_padding", count, 0)?;
    let pads = a.per_axis("pads", 2 * count, 0)?;
    let wanted = a.node.attribute("output_shape").map(|_| a.per_axis("output_shape", count, 1)).transpose()?;
    let auto = a.node.text("auto_pad", "NOTSET");
    let mut ends = Vec::with_capacity(count);
    for (axis, span) in spans.iter().enumerate() {
        let (before, after, more) = (i64::from(pads[axis]), i64::from(pads[axis + count]), i64::from(more[axis]));
        let near = |value: i64| i32::try_from(value).map_err(|_| at("pads", "they are too large"));
        let (before, after) = match (&wanted, auto) {
            (None, "NOTSET" | "") => (before, after - more),
            (None, "VALID") => (0, -more),
            (_, "SAME_UPPER" | "SAME_LOWER" | "NOTSET" | "VALID" | "") => {
                let extent = extents[axis].ok_or_else(|| at("auto_pad", "the extents of its input must be known"))?;
                let whole = i64::from(span.stride) * (extent as i64 - 1) + span.reach() as i64;
                // What no window reaches is only there where it was asked for.
                let same = (extent as i64 * i64::from(span.stride)).min(whole + more);
                let output = wanted.as_ref().map_or(same, |wanted| wanted[axis].into());
                let total = (whole + more - output).max(0);
                let before = if auto == "SAME_UPPER" { total / 2 } else { total - total / 2 };
                (before, whole - before - output)
            }
            (_, other) => return Err(at("auto_pad", format!("{other:?} is not known"))),
        };
        ends.push(Ends { before: near(before)?, after: near(after)? });
    }
    Ok(ends)
}

impl Apply<'_> {
    fn transposed_over<const R: usize>(
        &mut self,
        x: Port,
        weights: &KnownTensor,
        bias: Option<Arc<HostTensor>>,
        groups: usize,
        spans: [WindowSpan; R],
        ends: [Ends; R],
    ) -> Outcome<Port>
    where
        LayerConfig: From<TransposedConv<R>>,
    {
        let filters = weights.shape[1].saturating_mul(groups);
        let layer = TransposedConv::new(units_of(filters)?, spans.map(|span| span.kernel))
            .strides(spans.map(|span| span.stride))
            .dilation_rate(spans.map(|span| span.dilation))
            .groups(units_of(groups)?)
            .pads(ends.map(|ends| [ends.before, ends.after]))
            .data_format(DataFormat::ChannelsFirst)
            .use_bias(bias.is_some());
        let kernel = self.weight(weights, "kernel", ordered)?;
        self.weighted(layer, std::iter::once(kernel).chain(bias).collect(), x)
    }

    /// The windows of a MaxUnpool over `count` axes.
    pub(super) fn unpool_spans(&self, count: usize) -> Outcome<Vec<WindowSpan>> {
        let kernel = self.kernel_size(None, count)?;
        self.spans(&kernel, &vec![None; count])
    }
}

pub(super) fn pool(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let count = dims.len().checked_sub(2).filter(|count| (1..=3).contains(count));
    let count = count.ok_or("its input must have 1 to 3 axes after the channels")?;
    let kernel = a.kernel_size(None, count)?;
    let spans = a.spans(&kernel, &dims[2..])?;
    let ceil = a.node.int("ceil_mode", 0) != 0;
    let include_pads = a.node.int("count_include_pad", 0) != 0;
    match a.node.op_type.trim_start_matches("QLinear") {
        "MaxPool" => {
            let largest = a.pooled_over(x, Pooling::Max, ceil, &spans)?;
            if a.asked.get(1) != Some(&true) {
                return one(largest);
            }
            let indices = a.pool_indices(x, largest, &spans)?;
            Ok(vec![Term::Made(largest), Term::Made(indices)])
        }
        "AveragePool" if include_pads => one(a.pooled_over(x, Pooling::AverageWithPads, ceil, &spans)?),
        "AveragePool" => one(a.pooled_over(x, Pooling::Average, ceil, &spans)?),
        // The root of the sum of powers: of their mean, times the taps, since pads are zeros.
        _ => {
            if ceil {
                return Err(at("ceil_mode", "it is not supported here"));
            }
            let p = a.node.int("p", 2) as f32;
            let taps = kernel.iter().map(|&taps| f64::from(taps)).product::<f64>() as f32;
            let size = a.unary(Unary::Abs, x)?;
            let powers = a.unary(Unary::Pow { exponent: p }, size)?;
            let means = a.pooled_over(powers, Pooling::AverageWithPads, false, &spans)?;
            let sums = a.affine(means, taps, 0.0)?;
            one(a.unary(Unary::Pow { exponent: p.recip() }, sums)?)
        }
    }
}

impl Apply<'_> {
    /// A pool over one to three axes.
    fn pooled_over(&mut self, x: Port, pooling: Pooling, ceil: bool, spans: &[WindowSpan]) -> Outcome<Port> {
        match *spans {
            [w] => self.pooled(x, pooling, ceil, [w]),
            [h, w] => self.pooled(x, pooling, ceil, [h, w]),
            [d, h, w] => self.pooled(x, pooling, ceil, [d, h, w]),
            _ => Err(format!("windows over {} axes are not supported", spans.len()).into()),
        }
    }
}

pub(super) fn global_pool(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let rank = a.dims(x).len();
    let average = a.node.op_type.ends_with("GlobalAveragePool");
    let first = DataFormat::ChannelsFirst;
    one(match (rank, average) {
        (3, true) => a.layer(GlobalAveragePooling1D::new().data_format(first).keepdims(true), &[x])?,
        (3, false) => a.layer(GlobalMaxPooling1D::new().data_format(first).keepdims(true), &[x])?,
        (4, true) => a.layer(GlobalAveragePooling2D::new().data_format(first).keepdims(true), &[x])?,
        (4, false) => a.layer(GlobalMaxPooling2D::new().data_format(first).keepdims(true), &[x])?,
        (5, true) => a.layer(GlobalAveragePooling3D::new().data_format(first).keepdims(true), &[x])?,
        (5, false) => a.layer(GlobalMaxPooling3D::new().data_format(first).keepdims(true), &[x])?,
        (_, average) => {
            let axes: Vec<usize> = (2..rank).collect();
            a.reduced(if average { ReduceFunction::Mean } else { ReduceFunction::Max }, x, &axes, true)?
        }
    })
}

/// Resize, and Upsample, which was its name before opset 10.
pub(super) fn resize(a: &mut Apply) -> Outcome<Vec<Term>> {
    let x = a.value(0)?;
    let dims = a.dims(x);
    let rank = dims.len();
    if !(3..=4).contains(&rank) {
        return Err("its input must have 1 or 2 axes after the channels".into());
    }
    // Before opset 11 there was no region of interest before the scales, and one kind of coordinates.
    let old = a.node.op_type == "Upsample" || a.builder.opset < 11;
    let place = if old { 1 } else { 2 };
    let axes = match a.node.ints("axes") {
        Some(axes) => {
            // Each once.
            axes_at(axes, rank)?;
            axes.iter().map(|&axis| axis_at(axis, rank)).collect::<Result<Vec<_>, _>>()?
        }
        None => (0..rank).collect(),
    };
    let scales = match a.constant(place)? {
        Some(scales) if scales.data.len() > rank => return Err("it must have a scale for each axis".into()),
        Some(scales) => scales.to_floats(a.meter())?.to_vec(),
        None => a.node.attribute("scales").map(|attribute| attribute.floats.clone()).unwrap_or_default(),
    };
    let sizes = a.constant(3)?.map(|sizes| sizes.known_ints(a.meter())).transpose()?;
    let to = match sizes {
        None if scales.len() == axes.len() => {
            let mut by_axis = vec![1.0; rank];
            axes.iter().zip(&scales).for_each(|(&axis, &scale)| by_axis[axis] = f64::from(scale));
            if a.node.op_type == "Upsample" && scales.iter().any(|&scale| scale < 1.0) {
                return Err("its scales must be at least 1; Resize makes what is smaller".into());
            }
            if by_axis[..2] != [1.0, 1.0] {
                return Err("batch and channels must keep their extents".into());
            }
            ResizeTo::Scales(image_axes(&by_axis[2..], 1.0))
        }
        Some(sizes) if sizes.len() == axes.len() => sized(a, &dims, &axes, &sizes)?,
        _ => return Err("it must have a scale or a size for each axis".into()),
    };
    let layer = Resize::new(to)
        .coordinates(coordinates(a.node, old)?)
        .interpolation(interpolation(a.node, old)?)
        .data_format(DataFormat::ChannelsFirst);
    if rank == 4 {
        return one(a.layer(layer, &[x])?);
    }
    let image = a.view(x, vec![Extent::Axis(0), Extent::Axis(1), Extent::Of(1), Extent::Axis(2)])?;
    let resized = a.layer(layer, &[image])?;
    one(a.view(resized, vec![Extent::Axis(0), Extent::Axis(1), Extent::Axis(3)])?)
}

/// Height and width, of which a line lacks the height.
fn image_axes<T: Copy>(given: &[T], height: T) -> [T; 2] {
    match *given {
        [height, width] => [height, width],
        [width] => [height, width],
        _ => [height; 2],
    }
}

/// The sizes of Resize, as far as they must be kept to.
fn sized(a: &Apply, dims: &[Option<usize>], axes: &[usize], sizes: &[i64]) -> Outcome<ResizeTo> {
    let mut by_axis: Vec<Option<u32>> = dims.iter().map(|dim| dim.and_then(|dim| u32::try_from(dim).ok())).collect();
    for (&axis, &size) in axes.iter().zip(sizes) {
        let size = u32::try_from(size).map_err(|_| format!("a size of {size} cannot be made"))?;
        if axis < 2 && by_axis[axis].is_some_and(|own| own != size) {
            return Err("batch and channels must keep their extents".into());
        }
        by_axis[axis] = Some(size);
    }
    let wanted = by_axis[2..].iter().copied().collect::<Option<Vec<_>>>().ok_or("its sizes must be known")?;
    let policy = a.node.text("keep_aspect_ratio_policy", "stretch");
    if policy == "stretch" {
        return Ok(ResizeTo::Sizes(image_axes(&wanted, 1)));
    }
    // One scale for all axes named, as f32: the one by which no size is exceeded, or none fallen short of.
    let scale = |axis: usize| Some(by_axis[axis]? as f32 / dims[axis]? as f32);
    let scales = axes.iter().map(|&axis| scale(axis)).collect::<Option<Vec<_>>>();
    let scales = scales.ok_or_else(|| at("keep_aspect_ratio_policy", "the extents of its input must be known"))?;
    let common = match policy {
        "not_larger" => scales.iter().copied().fold(f32::INFINITY, f32::min),
        "not_smaller" => scales.iter().copied().fold(0.0, f32::max),
        other => return Err(at("keep_aspect_ratio_policy", format!("{other:?} is not known"))),
    };
    if common != 1.0 && axes.iter().any(|&axis| axis < 2) {
        let reason = "batch and channels, which are among its axes, would be resized too; name the axes of the image";
        return Err(at("keep_aspect_ratio_policy", reason));
    }
    let factors: Vec<_> =
        (2..dims.len()).map(|axis| if axes.contains(&axis) { f64::from(common) } else { 1.0 }).collect();
    Ok(ResizeTo::RoundedScales(image_axes(&factors, 1.0)))
}

fn coordinates(node: &NodeProto, old: bool) -> Outcome<Coordinates> {
    let none = if old { "asymmetric" } else { "half_pixel" };
    Ok(match node.text("coordinate_transformation_mode", none) {
        "half_pixel" => Coordinates::HalfPixel,
        "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "asymmetric" => Coordinates::Asymmetric,
        "align_corners" => Coordinates::AlignCorners,
        other => return Err(at("coordinate_transformation_mode", format!("{other:?} is not supported"))),
    })
}

fn interpolation(node: &NodeProto, old: bool) -> Outcome<Interpolation> {
    if node.int("antialias", 0) != 0 {
        return Err(at("antialias", "it is not supported"));
    }
    let exclude_outside = node.int("exclude_outside", 0) != 0;
    Ok(match node.text("mode", "nearest") {
        "nearest" if old => Interpolation::Nearest(Nearest::Simple),
        "nearest" => Interpolation::Nearest(match node.text("nearest_mode", "round_prefer_floor") {
            "round_prefer_floor" => Nearest::RoundPreferFloor,
            "round_prefer_ceil" => Nearest::RoundPreferCeil,
            "floor" => Nearest::Floor,
            "ceil" => Nearest::Ceil,
            other => return Err(at("nearest_mode", format!("{other:?} is not known"))),
        }),
        "linear" | "bilinear" if !exclude_outside => Interpolation::Linear,
        "cubic" => Interpolation::Cubic { a: f64::from(node.float("cubic_coeff_a", -0.75)), exclude_outside },
        other => return Err(at("mode", format!("{other:?} is not supported here"))),
    })
}
