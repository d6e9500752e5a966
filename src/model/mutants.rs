//! Wrong shaders must not pass `verify`: mutation testing of the check itself.
//!
//! Layers of every kind, from ten terms to a million, run with faults put into the text of each shader that they
//! launch: a padding off by one, two elements swapped, a loop that stops early. What they make is held to the bounds
//! that `verify` holds it to. A bound so wide that a fault slips through would be worthless; this test finds such a
//! bound.
//!
//! A mutant whose layer makes the same bits as the right one has no fault that these inputs show; it is counted and
//! passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::gpu::own_gpu;
use crate::layers::{
    ActivationLayer, AveragePooling2D, AveragePooling3D, BatchNormalization, Concatenate, Conv2D, Conv2DTranspose,
    Conv3D, Conv3DTranspose, Cropping2D, Dense, DepthwiseConv2D, Dot, GlobalAveragePooling2D, GlobalMaxPooling2D,
    GroupNormalization, Initializer, Layer, LayerConfig, LayerNormalization, MaxPooling2D, Merge, PReLU, Permute,
    Reduce, ReduceFunction, Rescaling, SeparableConv2D, Softmax, UnitNormalization, UpSampling2D, Upsampling,
    ZeroPadding2D,
};
use crate::reference::{Array, Expected, expect};
use crate::{Activation, DataFormat, Gpu, HostTensor, Padding, PartialShape, Result, Shape, Tensor, Tuning};

/// A layer, what it is tried on, and the families of kernels beside the chosen one that it is tried with.
struct Case {
    layer: LayerConfig,
    inputs: Vec<Vec<usize>>,
    kernels: &'static [&'static str],
}

fn case(layer: impl Into<LayerConfig>, inputs: &[&[usize]]) -> Case {
    Case { layer: layer.into(), inputs: inputs.iter().map(|shape| shape.to_vec()).collect(), kernels: &[] }
}

fn with(layer: impl Into<LayerConfig>, input: &[usize], kernels: &'static [&'static str]) -> Case {
    Case { kernels, ..case(layer, &[input]) }
}

fn cases() -> Vec<Case> {
    let same = Padding::Same;
    let mut cases = vec![
        with(
            Conv2D::new(8, 3).padding(same),
            &[1, 7, 9, 8],
            &["conv_direct", "conv_tiled", "conv_subgroup", "conv_winograd"],
        ),
        with(Conv2D::new(6, (3, 2)).strides((2, 1)).padding(same), &[1, 9, 7, 5], &["conv_gathered"]),
        case(Conv2D::new(4, 3).dilation_rate((2, 1)).data_format(DataFormat::ChannelsFirst), &[&[1, 4, 9, 7]]),
        with(Conv2D::new(8, 3).groups(2).padding(same), &[1, 7, 6, 8], &["conv_grouped"]),
        with(Conv2D::new(4, 5), &[1, 6, 5, 512], &["conv_split", "conv_tiled", "conv_parts"]),
        with(
            DepthwiseConv2D::new(3).padding(same),
            &[1, 9, 8, 8],
            &["conv_depthwise", "conv_depthwise_strip", "conv_direct"],
        ),
        case(DepthwiseConv2D::new(100), &[&[1, 101, 100, 2]]),
        case(SeparableConv2D::new(8, 3).padding(same), &[&[1, 7, 6, 8]]),
        with(Conv2DTranspose::new(4, 3).strides(2).padding(same), &[1, 4, 5, 8], &["conv_transposed"]),
        case(Conv2DTranspose::new(3, 3), &[&[1, 3, 4, 500]]),
        with(
            Conv3D::new(8, (2, 3, 2)).padding(same),
            &[1, 3, 4, 5, 8],
            &["conv_direct", "conv_tiled", "conv_subgroup"],
        ),
        with(Conv3DTranspose::new(4, 3).strides((3, 2, 2)), &[1, 2, 3, 2, 8], &["conv_transposed"]),
        case(AveragePooling3D::new((2, 1, 3)).padding(same), &[&[1, 3, 4, 5, 4]]),
        case(AveragePooling2D::new((3, 2)).padding(same), &[&[1, 7, 6, 8]]),
        case(AveragePooling2D::new(100), &[&[1, 101, 100, 8]]),
        case(MaxPooling2D::new((2, 3)).padding(same), &[&[1, 7, 6, 4]]),
        case(GlobalAveragePooling2D::new(), &[&[1, 3, 4, 4]]),
        case(GlobalAveragePooling2D::new(), &[&[1, 100, 120, 4]]),
        case(GlobalAveragePooling2D::new(), &[&[1, 1000, 1000, 2]]),
        case(GlobalMaxPooling2D::new(), &[&[1, 90, 101, 4]]),
        case(ActivationLayer::new(Activation::Sparsemax { axis: 1 }), &[&[2, 40, 4]]),
        case(ActivationLayer::new(Activation::Glu { axis: 1 }), &[&[2, 40, 4]]),
        case(ActivationLayer::new(Activation::Silu), &[&[3, 50]]),
        case(LayerNormalization::new().axis([1]), &[&[2, 10, 4]]),
        case(LayerNormalization::new().axis([1]), &[&[1, 1000, 4]]),
        case(GroupNormalization::new(-1), &[&[1, 10, 12, 4]]),
        case(GroupNormalization::new(-1), &[&[1, 300, 334, 2]]),
        case(GroupNormalization::new(2), &[&[2, 5, 6, 8]]),
        case(UnitNormalization::new().axis([1]), &[&[2, 10, 4]]),
        case(UnitNormalization::new().axis([1]), &[&[1, 100_000, 2]]),
        case(BatchNormalization::new(), &[&[2, 5, 6, 4]]),
        case(Rescaling::new(0.3).offset(0.7), &[&[2, 5, 6, 4]]),
        case(PReLU::new(), &[&[2, 5, 6, 4]]),
        case(UpSampling2D::new(2), &[&[1, 4, 5, 4]]),
        case(UpSampling2D::new((2, 3)).interpolation(Upsampling::Bilinear), &[&[1, 4, 5, 4]]),
        case(UpSampling2D::new(2).interpolation(Upsampling::Bicubic), &[&[1, 4, 5, 4]]),
        case(ZeroPadding2D::new([[1, 2], [0, 3]]), &[&[1, 4, 5, 4]]),
        case(Cropping2D::new([[1, 0], [2, 1]]), &[&[1, 5, 6, 4]]),
        case(Permute::new([2, 1]), &[&[2, 5, 7]]),
        case(Concatenate::new(), &[&[2, 5, 4], &[2, 5, 6]]),
        case(Merge::add(), &[&[2, 5, 4], &[2, 5, 4]]),
        case(Merge::multiply(), &[&[2, 5, 4], &[2, 1, 4]]),
        case(Merge::subtract(), &[&[2, 5, 3], &[2, 5, 3]]),
        case(Merge::maximum(), &[&[2, 5, 4], &[2, 5, 4]]),
        case(Dot::new([2, 1]), &[&[2, 3, 10], &[2, 10, 4]]),
        case(Dot::new([2, 1]), &[&[1, 2, 10_000], &[1, 10_000, 4]]),
        case(Dot::new([2, 1]).normalize(true), &[&[1, 2, 1000], &[1, 1000, 4]]),
    ];
    for inputs in [10, 100, 1_000, 10_000, 73_728, 1_000_000] {
        cases.push(with(
            Dense::new(if inputs > 100_000 { 1 } else { 4 }).kernel_initializer(Initializer::Zeros),
            &[2, inputs],
            if inputs == 1_000 { &["conv_direct", "conv_subgroup"] } else { &[] },
        ));
    }
    for extent in [10, 1_000, 100_000] {
        for activation in [Activation::Softmax { axis: 1 }, Activation::LogSoftmax { axis: 1 }] {
            cases.push(case(ActivationLayer::new(activation), &[&[1, extent, 4]]));
        }
        use ReduceFunction::{L1, L2, LogSum, LogSumExp, Max, Mean, Min, Sum, SumSquare};
        for function in [Sum, Mean, Max, Min, SumSquare, L1, L2, LogSum, LogSumExp] {
            cases.push(case(Reduce::new(function).axes([1]), &[&[1, extent, 4]]));
        }
    }
    cases.push(case(Softmax::new().axis(1), &[&[1, 1_000_000, 2]]));
    cases
}

/// Numbers of either sign, the same for a seed everywhere.
fn numbers(seed: u64, shape: &[usize]) -> Array {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    Array::new(shape, std::iter::repeat_with(next).take(shape.iter().product()).collect::<Vec<_>>())
}

/// A case with its operands.
struct Trial {
    case: Case,
    inputs: Vec<Array>,
    weights: Vec<HostTensor>,
}

impl Trial {
    fn new(gpu: &Gpu, case: Case, seed: u64) -> Result<Self> {
        // Logarithms want positive numbers, and means that are not 0 show a wrong one.
        let shift = match &case.layer {
            LayerConfig::Reduce(layer) if layer.function == ReduceFunction::LogSum => 1.5,
            LayerConfig::GroupNormalization(_) | LayerConfig::LayerNormalization(_) => 0.75,
            _ => 0.0,
        };
        let inputs = case
            .inputs
            .iter()
            .zip(1..)
            .map(|(shape, i)| numbers(seed + 1000 * i, shape).map(|x| f64::from((x + shift) as f32)));
        let inputs = inputs.collect();
        let layer = case.layer.build_all(gpu, &shapes(&case.inputs))?;
        let weights = layer.weights().iter().zip(1..).map(|(weight, i)| {
            let mut values = numbers(seed + 100 * i, weight.shape().dims()).to_f32();
            if weight.name() == "moving_variance" {
                values.iter_mut().for_each(|value| *value = value.abs() + 0.5);
            }
            // One that is lost is larger than what sums of a million products may miss, 0.2.
            if weight.name() == "bias" {
                values.iter_mut().for_each(|value| *value += 0.5_f32.copysign(*value));
            }
            HostTensor { shape: weight.shape().clone(), values }
        });
        let weights = weights.collect();
        Ok(Self { case, inputs, weights })
    }

    fn expected(&self) -> Result<Expected> {
        let weights: Vec<_> =
            self.weights.iter().map(|weight| Array::from_f32(weight.shape.dims(), &weight.values)).collect();
        expect(&self.case.layer, &weights, &self.inputs)
    }

    /// What the layer makes, by the chosen kernel or by another one.
    fn run(&self, gpu: &Gpu, pin: Option<&str>) -> Result<Vec<f32>> {
        gpu.set_tuning(pin.map_or(Tuning::Heuristic, |name| Tuning::Pin(name.to_owned())));
        let (layer, weights) = (self.case.layer.clone(), self.weights.clone());
        let layer = Layer::with_weights(gpu, layer, &shapes(&self.case.inputs), weights)?;
        let inputs = self.inputs.iter().map(|input| Tensor::from_slice(gpu, input.shape.as_slice(), &input.to_f32()));
        layer.call_all(&inputs.collect::<Result<Vec<_>>>()?)?.read()
    }

    /// The first candidate of each family that the case names, and that there is on this device.
    fn pins(&self, gpu: &Gpu) -> Result<Vec<String>> {
        if self.case.kernels.is_empty() {
            return Ok(Vec::new());
        }
        let problem = self.case.layer.convolutions(Shape::from(self.case.inputs[0].as_slice()))?[0];
        let plans = gpu.candidates(&crate::plan::Problem::Conv(problem))?;
        let first = |family: &&str| plans.iter().skip(1).find(|plan| plan.family == *family);
        Ok(self.case.kernels.iter().filter_map(first).map(crate::plan::Plan::name).collect())
    }

    /// Whether results do not depend on what is subtracted from every value of a line: the largest, to keep exponentials small.
    fn is_shifted(&self) -> bool {
        match &self.case.layer {
            LayerConfig::Reduce(layer) => layer.function == ReduceFunction::LogSumExp,
            LayerConfig::Softmax(_) => true,
            LayerConfig::Activation(layer) => layer.activation.axis().is_some(),
            _ => false,
        }
    }
}

fn shapes(shapes: &[Vec<usize>]) -> Vec<PartialShape> {
    shapes.iter().map(|shape| Shape::from(shape.as_slice()).into()).collect()
}

/// The faults.
const FAULTS: [&str; 13] = [
    "padding off by one above",
    "padding off by one before",
    "strides swapped",
    "dilations swapped",
    "height and width swapped",
    "the neighbour read",
    "two of the input swapped",
    "two of the kernel swapped",
    "two of the output swapped",
    "bias forgotten",
    "gamma forgotten",
    "stopped early",
    "a thousandth left out",
];

/// Shaders that add up sums which were made in parts.
const IN_PARTS: [&str; 3] = ["// line_parts.wgsl", "// sum_parts.wgsl", "// sum_splits.wgsl"];

/// Whether a shader is one of those, by the line before each part of its text that names the part's file.
fn adds_parts(text: &str) -> bool {
    text.lines().any(|line| IN_PARTS.contains(&line))
}

/// `text` with one fault each: which, where, and the text. `shifted` leaves out what a [shift](Trial::is_shifted) comes from.
/// Where sums are made `in_parts`, neighbours may be terms of one sum: to take one for the other then is another order, or one of
/// a million terms for one like it.
fn mutants(text: &str, shifted: bool, in_parts: bool) -> Vec<(&'static str, String, String)> {
    let lines: Vec<&str> = text.lines().collect();
    if shifted && text.contains("const TERM: u32 = 4u;") {
        return Vec::new();
    }
    let mut mutants = Vec::new();
    let mut all = |fault: &'static str, change: &dyn Fn(&str) -> String| {
        let changed =
            lines.iter().map(|line| if line.starts_with("const ") { (*line).to_owned() } else { change(line) });
        let changed = changed.collect::<Vec<_>>().join("\n");
        if changed != lines.join("\n") {
            mutants.push((fault, String::new(), changed));
        }
    };
    all("padding off by one above", &|line| line.replace("params.pad_h", "(params.pad_h + 1u)"));
    all("padding off by one before", &|line| line.replace("params.pad_w", "(params.pad_w + 1u)"));
    all("strides swapped", &|line| exchanged(line, "STRIDE_H", "STRIDE_W"));
    all("dilations swapped", &|line| exchanged(line, "DILATION_H", "DILATION_W"));
    all("height and width swapped", &|line| exchanged(line, "params.in_h", "params.in_w"));
    if !adds_parts(text) {
        all("the neighbour read", &|line| indexed(line, READS, " + 1u"));
        all("two of the input swapped", &|line| indexed(line, READS, " ^ 1u"));
    }
    all("two of the kernel swapped", &|line| indexed(line, &["kernel["], " ^ 1u"));
    if !in_parts {
        all("two of the output swapped", &|line| indexed(line, &["output["], " ^ 1u"));
    }
    for (fault, flag) in [
        ("bias forgotten", "HAS_BIAS"),
        ("bias forgotten", "DEPTHWISE_BIAS"),
        ("gamma forgotten", "HAS_GAMMA"),
        ("beta forgotten", "HAS_BETA"),
    ] {
        let (present, absent) = (format!("const {flag}: bool = true;"), format!("const {flag}: bool = false;"));
        if text.contains(&present) {
            mutants.push((fault, String::new(), text.replace(&present, &absent)));
        }
    }
    let mut function = "";
    for (i, line) in lines.iter().enumerate() {
        if let Some(rest) = line.strip_prefix("fn ") {
            function = rest.split('(').next().unwrap_or_default();
        }
        // A mean that is found roughly is mended by what follows.
        if shifted && function.contains("largest") || function.contains("rough") {
            continue;
        }
        let mut with = |fault: &'static str, changed: String| {
            let mut lines: Vec<&str> = lines.clone();
            lines[i] = &changed;
            let text = lines.join("\n") + "\nvar<private> mutant_turn: u32;\n";
            mutants.push((fault, format!("in {function}: {}", line.trim()), text));
        };
        if let Some(early) = ended_early(line) {
            with("stopped early", early);
        }
        if adds_up(line) {
            let left_out = format!("mutant_turn += 1u; if mutant_turn % 1000u != 8u {{ {} }}", line.trim());
            with("a thousandth left out", left_out);
        }
    }
    mutants
}

/// Where shaders read what they compute from.
const READS: &[&str] = &["input[", "textureLoad(input, texel_place(", "left["];

/// Two names for each other.
fn exchanged(line: &str, one: &str, other: &str) -> String {
    let mut changed = String::new();
    let mut rest = line;
    while let Some(at) = [one, other].iter().filter_map(|name| rest.find(name)).min() {
        let (before, from) = rest.split_at(at);
        let (name, with) = if from.starts_with(one) { (one, other) } else { (other, one) };
        let after = &from[name.len()..];
        // `in_h` is no part of `in_height`.
        let whole = !after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        changed += before;
        changed += if whole { with } else { name };
        rest = after;
    }
    changed + rest
}

/// Every index behind one of `openings` changed.
fn indexed(line: &str, openings: &[&str], change: &str) -> String {
    if line.trim_start().starts_with("//") {
        return line.to_owned();
    }
    let mut changed = String::new();
    let mut rest = line;
    while let Some((at, opening)) = openings.iter().filter_map(|opening| Some((rest.find(opening)?, opening))).min() {
        let start = at + opening.len();
        let mut depth = 1;
        let closing = rest[start..].find(|c| {
            depth += match c {
                '[' | '(' => 1,
                ']' | ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let Some(length) = closing else { break };
        // `depthwise_kernel[` ends with another name.
        let whole = !rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let index = &rest[start..start + length];
        let index = if whole { format!("({index}){change}") } else { index.to_owned() };
        changed += &format!("{}{index}", &rest[..start]);
        rest = &rest[start + length..];
    }
    changed + rest
}

/// A loop that ends a two-hundredth of its turns early, one at least.
fn ended_early(line: &str) -> Option<String> {
    let [start, condition, step] = line.splitn(3, "; ").collect::<Vec<_>>()[..] else { return None };
    let (variable, bound) = condition.split_once(" < ")?;
    start
        .trim_start()
        .starts_with("for (var ")
        .then(|| format!("{start}; {variable} < ({bound}) - (({bound}) + 199u) / 200u; {step}"))
}

/// Whether the line adds to a sum.
fn adds_up(line: &str) -> bool {
    let line = line.trim();
    let Some((target, value)) = line.split_once(" = ").or_else(|| line.split_once(" += ")) else { return false };
    let sums = ["sum", "run", "total", "row", "acc", "most"];
    let added = line.contains(" += ") || value.starts_with("fma(") || value.starts_with("multiply_add(");
    added && line.ends_with(';') && sums.iter().any(|sum| target.starts_with(sum))
}

#[test]
fn wrong_shaders_are_caught() {
    let Some(device) = own_gpu() else { return };
    let (mut failures, mut launched) = (Vec::new(), BTreeSet::new());
    let mut counts = BTreeMap::<(&str, &str), [usize; 2]>::new();
    for (case, seed) in cases().into_iter().zip(1..) {
        let trial = Trial::new(&device, case, seed).unwrap();
        let expected = trial.expected().unwrap();
        let class = trial.case.layer.class_name();
        for pin in std::iter::once(None).chain(trial.pins(&device).unwrap().into_iter().map(Some)) {
            let pin = pin.as_deref();
            let what = format!("{class} of {:?} by {}", trial.case.inputs, pin.unwrap_or("the chosen kernel"));
            let texts = Arc::new(Mutex::new(Vec::new()));
            let gpu = device.apart();
            let seen = texts.clone();
            gpu.rewrite_shaders(move |text| {
                seen.lock().unwrap().push(text.clone());
                text
            });
            let right = trial.run(&gpu, pin).unwrap();
            if let Some(difference) = expected.difference(&right) {
                failures.push(format!("{what}, which is right: {difference}"));
            }
            let texts = std::mem::take(&mut *texts.lock().unwrap());
            let in_parts = texts.iter().any(|text| adds_parts(text));
            for text in texts {
                // A shader once for each kind of layer and size of its sums.
                if !launched.insert((class, trial.inputs[0].data.len(), text.clone())) {
                    continue;
                }
                for (fault, place, mutant) in mutants(&text, trial.is_shifted(), in_parts) {
                    let gpu = device.apart();
                    let right_text = text.clone();
                    gpu.rewrite_shaders(move |shader| if shader == right_text { mutant.clone() } else { shader });
                    let wrong = trial.run(&gpu, pin).unwrap_or_else(|why| panic!("{what}, {fault} {place}: {why}"));
                    let same = wrong.iter().zip(&right).all(|(a, b)| a.to_bits() == b.to_bits());
                    counts.entry((class, fault)).or_default()[usize::from(same)] += 1;
                    if !same && expected.difference(&wrong).is_none() {
                        let most =
                            wrong.iter().enumerate().map(|(i, &y)| expected.error(i, y.into())).fold(0.0, f64::max);
                        failures.push(format!("{what}: {fault} {place}: passed, with {most:.3} of what is allowed"));
                    }
                }
            }
        }
    }
    for ((class, fault), [shown, same]) in &counts {
        println!("{class}, {fault}: {shown} shown, {same} without effect");
    }
    // Every fault is shown somewhere, and every class shows one.
    let shown = |of: &dyn Fn(&str, &str) -> bool| {
        counts.iter().any(|((class, fault), [shown, _])| of(class, fault) && *shown > 0)
    };
    for fault in FAULTS {
        assert!(shown(&|_, of| of == fault), "{fault} is never shown");
    }
    for case in cases() {
        assert!(shown(&|class, _| class == case.layer.class_name()), "{} shows no fault", case.layer.class_name());
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
