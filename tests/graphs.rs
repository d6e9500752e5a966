//! Random small graphs of layers, computed in three ways that must agree: by the compiled model, by the layers one at a time, and
//! by the reference in f64.
//!
//! A layer alone is held to the reference's bound for it, given what the layers before it made on the device. The compiled
//! model, which pads, folds and adds inside other layers, is held to the reference of the whole graph. What f32 may miss there
//! depends on the graph: a division by a small deviation enlarges what came before. So the reference computes it again with
//! every value between two layers moved by about two roundings, and what that does to an output is the unit of what is
//! allowed.
//!
//! `GRAPHS_SEED` and `GRAPHS_COUNT` choose other graphs and another number of them. A graph that fails is made as small as it
//! can be while it fails, and printed as a program, with its seed.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use common::tolerance::{Storage, UNIT, forward_dev};
use serde_json::{Value, json};
use wgpu_conv::layers::LayerConfig;
use wgpu_conv::model::{Functional, Model};
use wgpu_conv::reference::{self, Array};
use wgpu_conv::{DTypePolicy, Error, Gpu, HostTensor, PartialShape, Shape, Tensor, wgpu};

/// The first graph's seed, and how many follow it.
const SEED: u64 = 1;
const COUNT: u64 = 2000;
/// Bytes of a binding of the device that computes in parts.
const SMALL_BINDING: u64 = 2048;
/// Elements beyond which a value is not computed.
const MOST_ELEMENTS: usize = 3000;
/// Beyond this size of its values a graph says more about f32 than about its layers.
const MOST: f64 = 1e6;
/// How often what moved values do to an output may be missed: they are moved at random, and may cancel.
const MOVED: f64 = 4.0;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// From `low` to `high`.
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.next() >> 40) as f32 / (1 << 24) as f32
    }
}

/// A layer applied to values: the inputs are the first values, what node number `i` makes is number `inputs + i`.
#[derive(Clone)]
struct Node {
    class: &'static str,
    config: Value,
    reads: Vec<usize>,
    /// Of its weights.
    seed: u64,
}

#[derive(Clone)]
struct Graph {
    seed: u64,
    inputs: Vec<Vec<usize>>,
    nodes: Vec<Node>,
    outputs: Vec<usize>,
}

/// What became of a graph, if it is not sound.
enum Fault {
    /// It was not computed.
    Refused(String),
    /// It was computed wrongly.
    Wrong(String),
    /// Its values grow too large to say, or its tensors too large for the device.
    TooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Wrong(how) => write!(f, "wrong: {how}"),
            Self::TooLarge => f.write_str("too large"),
        }
    }
}

fn refused(why: Error) -> Fault {
    match why {
        Error::Limit { .. } => Fault::TooLarge,
        why => Fault::Refused(why.to_string()),
    }
}

/// A program in the manner of Keras.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, shape) in self.inputs.iter().enumerate() {
            writeln!(f, "v{index} = input of shape {shape:?}")?;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let reads: Vec<_> = node.reads.iter().map(|read| format!("v{read}")).collect();
            let arguments = node.config.as_object().into_iter().flatten();
            let arguments: Vec<_> = arguments.map(|(key, value)| format!("{key}={value}")).collect();
            let (class, arguments, reads) = (node.class, arguments.join(", "), reads.join(", "));
            writeln!(f, "v{} = {class}({arguments})({reads})", self.inputs.len() + index)?;
        }
        let outputs: Vec<_> = self.outputs.iter().map(|output| format!("v{output}")).collect();
        write!(
            f,
            "outputs {}; weights of seeds {:?}",
            outputs.join(", "),
            self.nodes.iter().map(|n| n.seed).collect::<Vec<_>>()
        )
    }
}

impl Node {
    fn layer(&self) -> Result<LayerConfig, Fault> {
        LayerConfig::from_config(self.class, &self.config).map_err(refused)
    }

    /// The shape of what it makes; `None` where it does not take such inputs.
    fn shape(&self, inputs: &[Vec<usize>]) -> Option<Vec<usize>> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|dims| Shape::from(dims.as_slice()).into()).collect();
        let layer = self.layer().ok()?;
        let shape = layer.output_shape_all(&shapes).ok()?.known()?;
        layer.count_params(&shapes).ok()?;
        let small = shape.dims().iter().product::<usize>() <= MOST_ELEMENTS;
        (small && shape.dims().first() == inputs[0].first()).then(|| shape.dims().to_vec())
    }
}

/// A layer's class and arguments for an input of these extents, which need not fit.
fn layer(random: &mut Random, dims: &[usize], data_format: &str) -> (&'static str, Value) {
    let rank = dims.len();
    // Most layers stand in the graph's own format, and some in the other.
    let other = if data_format == "channels_last" { "channels_first" } else { "channels_last" };
    let format = if random.one_in(8) { other } else { data_format };
    let channel_axis = if format == "channels_last" { -1 } else { 1 };
    let padding = random.pick(&["valid", "same"]);
    let filters = random.pick(&[1, 2, 4, 5, 8]);
    let activation = random.pick(&["linear", "linear", "relu", "relu", "tanh", "sigmoid", "softmax", "elu", "silu"]);
    let kernel = random.pick(&[[1, 1], [3, 3], [2, 2], [3, 1], [2, 3]]);
    let [strides, dilation] =
        random.pick(&[[[1, 1], [1, 1]], [[1, 1], [1, 1]], [[2, 2], [1, 1]], [[1, 2], [1, 1]], [[1, 1], [2, 2]]]);
    let square = [strides[0], strides[0]];
    let use_bias = !random.one_in(3);
    let side = |random: &mut Random| random.pick(&[0, 0, 1, 1, 2]);
    let sides = [[side(random), side(random)], [side(random), side(random)]];
    let axis = random.below(rank.max(2) - 1) as i32 + 1;
    let convolution = json!({
        "kernel_size": kernel, "strides": strides, "dilation_rate": dilation, "padding": padding, "data_format": format,
        "activation": activation, "use_bias": use_bias
    });
    let with = |base: &Value, more: Value| {
        let mut base = base.clone();
        base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        base
    };
    let pooling =
        |pool: [u32; 2]| json!({"pool_size": pool, "strides": strides, "padding": padding, "data_format": format});
    match random.below(if rank == 4 { 40 } else { 24 }) {
        0 | 1 => {
            ("BatchNormalization", json!({"axis": random.pick(&[channel_axis, channel_axis, axis]), "epsilon": 0.01}))
        }
        2 => ("Dense", json!({"units": filters, "activation": activation, "use_bias": use_bias})),
        3 => ("Rescaling", json!({"scale": random.pick(&[0.5, -2.0]), "offset": random.pick(&[0.0, 0.25])})),
        4 => ("Normalization", json!({"axis": axis, "invert": random.one_in(3)})),
        5 => ("PReLU", json!({"shared_axes": random.pick(&[json!(null), json!([1]), json!([1, 2]), json!([2])])})),
        6 => ("Activation", json!({"activation": activation})),
        7 => (
            "ReLU",
            json!({"negative_slope": random.pick(&[0.0, 0.25]), "max_value": random.pick(&[json!(null), json!(1.0)])}),
        ),
        8 => ("Softmax", json!({"axis": axis})),
        9 => ("Flatten", json!({"data_format": format})),
        10 => {
            let rest: usize = dims[1..].iter().product();
            let factor = random.pick(&[1, 2, 3, 4, 5, 8]);
            let (factor, rest) = if rest.is_multiple_of(factor) { (factor, rest / factor) } else { (1, rest) };
            let rows = random.pick(&[1, 2, 3]);
            let (rows, rest) = if rest.is_multiple_of(rows) { (rows, rest / rows) } else { (1, rest) };
            (
                "Reshape",
                json!({"target_shape": random.pick(&[
                    json!([rest, rows * factor]), json!([rows, rest, factor]), json!([factor, rows, rest]), json!([-1]),
                    json!(dims[1..].iter().rev().collect::<Vec<_>>()),
                ])}),
            )
        }
        11 | 12 => {
            let mut order: Vec<usize> = (1..rank).collect();
            let last = order.len() - 1;
            order.swap(random.below(last + 1), random.below(last + 1));
            order.rotate_left(random.below(last + 1));
            ("Permute", json!({"dims": order}))
        }
        13 => ("RepeatVector", json!({"n": random.pick(&[1, 3])})),
        14 => (
            "LayerNormalization",
            json!({"axis": random.pick(&[json!(axis), json!(-1), json!([1, 2])]), "epsilon": 0.01}),
        ),
        15 => {
            ("GroupNormalization", json!({"groups": random.pick(&[1, 2, -1]), "axis": channel_axis, "epsilon": 0.01}))
        }
        16 => ("UnitNormalization", json!({"axis": axis})),
        17 => ("Dropout", json!({"rate": 0.5})),
        18 => ("GaussianNoise", json!({"stddev": 0.5})),
        19 => ("LeakyReLU", json!({"negative_slope": 0.25})),
        20 => ("Identity", json!({})),
        21 => {
            let mut pads = vec![[0i32; 2]; rank];
            pads[axis as usize] = random.pick(&[[1, 1], [0, 2], [-1, 1], [1, 0]]);
            (
                "Pad",
                json!({"pads": pads, "mode": random.pick(&[json!({"constant": 0.0}), json!({"constant": 1.5}), json!("edge")])}),
            )
        }
        22 => ("Reduce", json!({"function": random.pick(&["sum", "mean", "max"]), "axes": [axis], "keepdims": true})),
        23 => ("Slice", json!({"starts": [random.below(2)], "ends": [-1], "axes": [axis], "steps": [1]})),
        24..=28 => ("ZeroPadding2D", json!({"padding": sides, "data_format": format})),
        29 => (
            "Cropping2D",
            json!({"cropping": sides.map(|pair| pair.map(|side: i32| side.min(1))), "data_format": format}),
        ),
        30..=32 => {
            let groups = random.pick(&[1, 1, 1, 2]);
            ("Conv2D", with(&convolution, json!({"filters": filters, "groups": groups})))
        }
        33 => (
            "DepthwiseConv2D",
            with(&convolution, json!({"depth_multiplier": random.pick(&[1, 1, 2]), "strides": square})),
        ),
        34 => ("SeparableConv2D", with(&convolution, json!({"filters": filters, "strides": square}))),
        35 => ("Conv2DTranspose", with(&convolution, json!({"filters": filters}))),
        36 => ("MaxPooling2D", pooling(random.pick(&[[2, 2], [3, 3], [1, 1]]))),
        37 => ("AveragePooling2D", pooling(random.pick(&[[2, 2], [3, 3], [1, 1]]))),
        38 => {
            let class = random.pick(&["GlobalAveragePooling2D", "GlobalMaxPooling2D"]);
            (class, json!({"keepdims": random.one_in(2), "data_format": format}))
        }
        _ => {
            let interpolation = random.pick(&["nearest", "bilinear"]);
            (
                "UpSampling2D",
                json!({"size": random.pick(&[[2, 2], [1, 2]]), "interpolation": interpolation, "data_format": format}),
            )
        }
    }
}

/// A layer of several inputs, the first of which is number `first`.
fn merge(random: &mut Random, shapes: &[Vec<usize>], first: usize) -> (&'static str, Value, Vec<usize>) {
    let alike: Vec<usize> = (0..shapes.len()).filter(|&other| shapes[other] == shapes[first]).collect();
    let any: Vec<usize> = (0..shapes.len()).filter(|&other| shapes[other].len() == shapes[first].len()).collect();
    let second = if random.one_in(3) { random.pick(&any) } else { random.pick(&alike) };
    let mut reads = vec![first, second];
    if random.one_in(2) {
        reads.reverse();
    }
    let third = random.one_in(5).then(|| random.pick(&alike));
    match random.below(9) {
        0..=3 => {
            reads.extend(third);
            ("Add", json!({}), reads)
        }
        4 => ("Multiply", json!({}), reads),
        5 => ("Subtract", json!({}), reads),
        6 => {
            reads.extend(third);
            (random.pick(&["Average", "Maximum", "Minimum"]), json!({}), reads)
        }
        7 => {
            reads.extend(third);
            ("Concatenate", json!({"axis": random.below(shapes[first].len() - 1) + 1}), reads)
        }
        _ => ("Dot", json!({"axes": random.below(shapes[first].len() - 1) + 1, "normalize": random.one_in(2)}), reads),
    }
}

impl Graph {
    fn random(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let data_format = random.pick(&["channels_last", "channels_last", "channels_first"]);
        // Some graphs are given nothing: no images, or images without rows.
        let empty = random.below(40);
        let batch = if empty == 0 { 0 } else { random.pick(&[1, 2, 3]) };
        let narrow = random.one_in(10);
        let mut image = || {
            let [height, width, channels] =
                [random.pick(&[1, 2, 3, 4, 5, 6]), random.pick(&[1, 3, 4, 6]), random.pick(&[1, 2, 4, 5, 8])];
            let height = if empty == 1 { 0 } else { height };
            if data_format == "channels_last" {
                vec![batch, height, width, channels]
            } else {
                vec![batch, channels, height, width]
            }
        };
        let mut inputs = vec![image()];
        let second = image();
        if random.one_in(4) {
            inputs.push(second);
        }
        let mut shapes = inputs.clone();
        let mut nodes: Vec<Node> = Vec::new();
        let count = 2 + random.below(7);
        for _ in 0..20 * count {
            if nodes.len() == count {
                break;
            }
            // What was made last, mostly.
            let back = random.pick(&[1, 1, 1, 2, 3, 5]).min(shapes.len());
            let first = shapes.len() - back;
            let (class, mut config, reads) = if random.one_in(4) {
                merge(&mut random, &shapes, first)
            } else {
                let (class, config) = layer(&mut random, &shapes[first], data_format);
                (class, config, vec![first])
            };
            if narrow && random.one_in(2) {
                config["dtype"] = random.pick(&["bfloat16", "mixed_bfloat16"]).into();
            }
            let node = Node { class, config, reads, seed: random.next() >> 32 };
            let of: Vec<_> = node.reads.iter().map(|&read| shapes[read].clone()).collect();
            if let Some(shape) = node.shape(&of) {
                shapes.push(shape);
                nodes.push(node);
            }
        }
        let read: Vec<usize> = nodes.iter().flat_map(|node| node.reads.clone()).collect();
        let outputs = (inputs.len()..shapes.len()).filter(|value| !read.contains(value) || random.one_in(8)).collect();
        let mut graph = Self { seed, inputs, nodes, outputs };
        graph.drop_unread();
        graph
    }

    /// The shape of each value.
    fn shapes(&self) -> Option<Vec<Vec<usize>>> {
        let mut shapes = self.inputs.clone();
        for node in &self.nodes {
            let of: Vec<_> = node.reads.iter().map(|&read| shapes[read].clone()).collect();
            shapes.push(node.shape(&of)?);
        }
        Some(shapes)
    }

    /// Without the value, of which `instead` is read wherever it was.
    fn without(&self, value: usize, instead: usize) -> Self {
        let mut graph = self.clone();
        let moved = |other: usize| match other {
            other if other == value => instead,
            other if other > value => other - 1,
            other => other,
        };
        if value < graph.inputs.len() {
            graph.inputs.remove(value);
        } else {
            graph.nodes.remove(value - self.inputs.len());
        }
        graph.nodes.iter_mut().flat_map(|node| &mut node.reads).for_each(|read| *read = moved(*read));
        graph.outputs.iter_mut().for_each(|output| *output = moved(*output));
        graph
    }

    fn drop_unread(&mut self) {
        for value in (0..self.inputs.len() + self.nodes.len()).rev() {
            let read = self.nodes.iter().any(|node| node.reads.contains(&value)) || self.outputs.contains(&value);
            if !read {
                *self = self.without(value, value);
            }
        }
    }

    /// Smaller graphs, the smallest first.
    fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for output in 0..self.outputs.len().saturating_sub(1) {
            let mut fewer = self.clone();
            fewer.outputs.remove(output);
            all.push(fewer);
        }
        for (index, node) in self.nodes.iter().enumerate().rev() {
            let value = self.inputs.len() + index;
            all.extend(node.reads.iter().map(|&instead| self.without(value, instead)));
            let mut shorter = self.clone();
            shorter.outputs = vec![value];
            all.push(shorter);
        }
        let mut one = self.clone();
        one.inputs.iter_mut().for_each(|input| input[0] = input[0].min(1));
        all.push(one);
        for graph in &mut all {
            graph.drop_unread();
        }
        let size = |graph: &Self| graph.nodes.len() + graph.outputs.len() + graph.inputs.len() + graph.inputs[0][0];
        all.retain(|graph| {
            let made = |output: &usize| *output >= graph.inputs.len();
            graph.outputs.iter().all(made)
                && !graph.nodes.is_empty()
                && size(graph) < size(self)
                && graph.shapes().is_some()
        });
        all.sort_by_key(size);
        all
    }

    fn model(&self, gpu: &Gpu) -> Result<Model, Fault> {
        let graph = Functional::new(gpu);
        let mut symbols = Vec::new();
        for (index, dims) in self.inputs.iter().enumerate() {
            let shape: Vec<_> = [None].into_iter().chain(dims[1..].iter().map(|&dim| Some(dim))).collect();
            symbols.push(graph.input(format!("v{index}"), shape).map_err(refused)?);
        }
        for node in &self.nodes {
            let reads: Vec<_> = node.reads.iter().map(|&read| &symbols[read]).collect();
            let layer = node.layer()?.named(format!("v{}", symbols.len()));
            symbols.push(graph.apply(layer, &reads).map_err(refused)?);
        }
        let inputs: Vec<_> = symbols.iter().take(self.inputs.len()).collect();
        let outputs: Vec<_> = self.outputs.iter().map(|&output| &symbols[output]).collect();
        let model = graph.model("graph", &inputs, &outputs).map_err(refused)?;
        for (index, node) in self.nodes.iter().enumerate() {
            let layer = model.get_layer(&format!("v{}", self.inputs.len() + index)).map_err(refused)?;
            let mut random = Random(node.seed);
            let value = |weight: &wgpu_conv::Variable| {
                let dims = weight.shape().dims();
                let count = dims.iter().product::<usize>();
                let width = match dims {
                    [before @ .., _] if !before.is_empty() => 1.5 / (before.iter().product::<usize>() as f32).sqrt(),
                    _ => 1.0,
                };
                let (low, high) = match weight.name() {
                    "variance" | "moving_variance" => (0.3, 2.0),
                    "gamma" => (0.5, 1.5),
                    _ => (-width, width),
                };
                let values = (0..count).map(|_| random.between(low, high)).collect();
                HostTensor { shape: weight.shape().clone(), values }
            };
            let values: Vec<_> = layer.weights().iter().map(value).collect();
            layer.set_weights(&values).map_err(refused)?;
        }
        Ok(model)
    }

    /// The values of all nodes in f64, the inputs before them; each is moved by `moved` of its own size before it is read.
    fn reference(
        &self,
        model: &Model,
        inputs: &[Array],
        moved: impl Fn(DTypePolicy) -> f64,
        random: &mut Random,
    ) -> Result<Vec<Array>, Fault> {
        let mut values = inputs.to_vec();
        for (index, node) in self.nodes.iter().enumerate() {
            let layer = model.get_layer(&format!("v{}", self.inputs.len() + index)).map_err(refused)?;
            let by = moved(layer.config().common().dtype);
            let mut read: Vec<Array> = node.reads.iter().map(|&read| values[read].clone()).collect();
            for value in read.iter_mut().flat_map(|array| &mut array.data) {
                *value *= 1.0 + if random.one_in(2) { by } else { -by };
            }
            let weights: Vec<_> =
                layer.weights().iter().map(|w| Array::from_f32(w.shape().dims(), &w.read().unwrap().values)).collect();
            values.push(reference::evaluate(layer.config(), &weights, &read).map_err(refused)?);
        }
        Ok(values)
    }

    fn check(&self, gpu: &Gpu) -> Result<(), Fault> {
        catch_unwind(AssertUnwindSafe(|| self.checked(gpu)))
            .unwrap_or_else(|_| Err(Fault::Refused("it panicked".to_owned())))
    }

    fn checked(&self, gpu: &Gpu) -> Result<(), Fault> {
        let model = self.model(gpu)?;
        let mut random = Random(self.seed);
        let hosts: Vec<HostTensor> = self
            .inputs
            .iter()
            .map(|dims| {
                let values = (0..dims.iter().product::<usize>()).map(|_| random.between(-1.0, 1.0)).collect();
                HostTensor { shape: dims.as_slice().into(), values }
            })
            .collect();
        let upload = |host: &HostTensor| Tensor::from_slice(gpu, host.shape.clone(), &host.values).map_err(refused);
        let inputs = hosts.iter().map(upload).collect::<Result<Vec<_>, _>>()?;
        if hosts.iter().any(|host| host.values.is_empty()) {
            let report = model.verify(&inputs).map_err(refused)?;
            if let Some(difference) = report.first_difference() {
                return Err(Fault::Wrong(format!("verified: {difference:?}")));
            }
        }

        // Layer by layer, each given what those before it made.
        let mut made: Vec<Tensor> = inputs.clone();
        let mut arrays = inputs.iter().map(array).collect::<Result<Vec<_>, _>>()?;
        for (index, node) in self.nodes.iter().enumerate() {
            let layer = model.get_layer(&format!("v{}", self.inputs.len() + index)).map_err(refused)?;
            let read: Vec<_> = node.reads.iter().map(|&read| made[read].clone()).collect();
            let output = layer.call_all(&read).map_err(refused)?;
            let weights: Vec<_> =
                layer.weights().iter().map(|w| Array::from_f32(w.shape().dims(), &w.read().unwrap().values)).collect();
            let read: Vec<_> = node.reads.iter().map(|&read| arrays[read].clone()).collect();
            let expected = reference::expect(layer.config(), &weights, &read).map_err(refused)?;
            if expected.exact.data.iter().any(|value| value.is_nan() || value.abs() > MOST) {
                return Err(Fault::TooLarge);
            }
            let got = array(&output)?;
            let place = || format!("{} alone, v{}", node.class, self.inputs.len() + index);
            if got.shape != expected.exact.shape {
                return Err(Fault::Wrong(format!(
                    "{}: shape {:?}, expected {:?}",
                    place(),
                    got.shape,
                    expected.exact.shape
                )));
            }
            if let Some(difference) = expected.difference(&got.data) {
                return Err(Fault::Wrong(format!("{}: {difference}", place())));
            }
            made.push(output);
            arrays.push(got);
        }

        // The compiled model. Its memory holds NaN from a call before, so that what reads more than was written shows.
        let poison: Vec<_> = hosts
            .iter()
            .map(|host| HostTensor { shape: host.shape.clone(), values: vec![f32::NAN; host.values.len()] })
            .collect();
        model.predict_all(&poison).map_err(refused)?;
        let compiled = model.call_all(&inputs).map_err(refused)?;
        let again = model.predict_all(&hosts).map_err(refused)?;
        let exact_inputs = &arrays[..inputs.len()];
        let exact = self.reference(&model, exact_inputs, |_| 0.0, &mut random)?;
        let mut effect = vec![0f64; exact.len()];
        for _ in 0..2 {
            let moved = |policy| 4.0 * UNIT + 2.0 * storage(policy).unit();
            for (effect, (exact, moved)) in
                effect.iter_mut().zip(exact.iter().zip(self.reference(&model, exact_inputs, moved, &mut random)?))
            {
                let most = exact.data.iter().zip(&moved.data).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                *effect = effect.max(most);
            }
        }
        let narrow = self.nodes.iter().any(|node| node.config.get("dtype").is_some());
        let dev = forward_dev(if narrow { Storage::BF16 } else { Storage::F32 });
        for ((&output, tensor), again) in self.outputs.iter().zip(&compiled).zip(&again) {
            let (got, exact) = (array(tensor)?, &exact[output]);
            if got.shape != exact.shape || again.shape.dims() != exact.shape {
                return Err(Fault::Wrong(format!(
                    "v{output} compiled: shape {:?}, expected {:?}",
                    got.shape, exact.shape
                )));
            }
            if got.to_f32() != again.values {
                return Err(Fault::Wrong(format!("v{output} compiled: two calls differ")));
            }
            let largest = exact.data.iter().fold(0.05f64, |most, value| most.max(value.abs()));
            let allowed = dev * largest + MOVED * effect[output];
            let bound = vec![allowed; exact.data.len()];
            let expected = reference::Expected { exact: exact.clone(), bound, overflow: f64::INFINITY };
            if let Some(difference) = expected.difference(&got.data) {
                return Err(Fault::Wrong(format!("v{output} compiled: {difference}")));
            }
        }
        Ok(())
    }

    /// The smallest graph found that has a fault of the same kind.
    fn shrunk(self, gpu: &Gpu, fault: Fault) -> (Self, Fault) {
        for smaller in self.smaller() {
            match (smaller.check(gpu), &fault) {
                (Err(found @ Fault::Wrong(_)), Fault::Wrong(_))
                | (Err(found @ Fault::Refused(_)), Fault::Refused(_)) => {
                    return smaller.shrunk(gpu, found);
                }
                _ => {}
            }
        }
        (self, fault)
    }
}

fn storage(policy: DTypePolicy) -> Storage {
    match policy {
        DTypePolicy::BFloat16 | DTypePolicy::MixedBFloat16 => Storage::BF16,
        _ => Storage::F32,
    }
}

fn array(tensor: &Tensor) -> Result<Array, Fault> {
    Ok(Array::from_f32(tensor.shape().dims(), &tensor.read::<f32>().map_err(refused)?))
}

fn environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

/// Checks graphs from `seed` on.
fn check(gpu: &Gpu, seed: u64, count: u64) {
    let (mut faults, mut large, mut layers) = (Vec::new(), 0, 0);
    for seed in seed..seed + count {
        let graph = Graph::random(seed);
        layers += graph.nodes.len();
        match graph.check(gpu) {
            Ok(()) => {}
            Err(Fault::TooLarge) => large += 1,
            Err(fault) => {
                // Making them small takes a while: the first few tell.
                let (small, fault) = if faults.len() < 5 { graph.shrunk(gpu, fault) } else { (graph, fault) };
                faults.push(format!("GRAPHS_SEED={seed} GRAPHS_COUNT=1: {fault}\n{small}\n"));
            }
        }
    }
    println!("{count} graphs of {layers} layers, {large} too large, {} pipelines", gpu.counters().pipelines);
    let shown = faults.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(faults.is_empty(), "{} of {count} graphs are wrong:\n{shown}", faults.len());
    assert!(large * 2 <= count, "{large} of {count} graphs are too large to be judged");
}

#[test]
fn random_graphs_are_computed_alike_in_three_ways() {
    let Some(gpu) = gpu::gpu() else { return };
    check(&gpu, environment("GRAPHS_SEED", SEED), environment("GRAPHS_COUNT", COUNT));
}

/// The same on a device whose bindings hold so little that most operations are launched in parts.
#[test]
fn random_graphs_are_computed_alike_in_parts() {
    let Some(gpu) = gpu::gpu() else { return };
    let adapters = pollster::block_on(wgpu::Instance::default().enumerate_adapters(wgpu::Backends::all()));
    let named = |adapter: &wgpu::Adapter| adapter.get_info().name == gpu.info().name;
    let adapter = adapters.into_iter().find(named).expect("the adapter of the tests");
    let required_limits = wgpu::Limits { max_storage_buffer_binding_size: SMALL_BINDING, ..adapter.limits() };
    let required_features = gpu.device().features() - wgpu::Features::all_experimental_mask();
    let descriptor = wgpu::DeviceDescriptor { required_features, required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    check(&Gpu::from_wgpu(device, queue), environment("GRAPHS_SEED", SEED), environment("GRAPHS_COUNT", COUNT) / 10);
}
