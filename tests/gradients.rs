//! Gradients of layers and of graphs against central differences of the reference, which knows no gradients.
//!
//! Each element of the output is given a factor of its own, as if a graph stood behind the layer. A gradient, times a
//! direction in which what it is taken to changes, must be how fast the sum of factors times outputs then changes, which
//! the reference says in f64.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/table.rs"]
pub mod table;

use common::reference::{Array, evaluate};
use common::test_each;
use common::tolerance::{DIFFERENCE, GRADIENT_DEV, Storage};
use table::Numbers;
use wgpu_conv::layers::*;
use wgpu_conv::model::Functional;
use wgpu_conv::{Activation, DataFormat, Gpu, HostTensor, Padding, PartialShape, Result, Shape, Tensor, Unary};

fn drawn(numbers: &mut Numbers, shape: &[usize]) -> Array {
    let data: Vec<f64> = (0..shape.iter().product()).map(|_| numbers.unit(Storage::F32)).collect();
    Array::new(shape, data)
}

fn tensor(gpu: &Gpu, array: &Array) -> Result<Tensor> {
    Tensor::from_slice(gpu, array.shape.as_slice(), &array.to_f32())
}

fn product(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// Whether `gradient` along `direction` is how fast `value` of `at` changes that way.
fn holds(
    what: &str,
    gradient: &[f32],
    at: &Array,
    direction: &Array,
    value: &dyn Fn(&Array) -> Result<f64>,
) -> std::result::Result<(), String> {
    let moved = |step: f64| {
        let moved = at.zip(direction, |at, direction| at + step * direction);
        value(&moved).map_err(|error| error.to_string())
    };
    let expected = (moved(DIFFERENCE)? - moved(-DIFFERENCE)?) / (2.0 * DIFFERENCE);
    let gradient: Vec<f64> = gradient.iter().map(|&value| value.into()).collect();
    let received = product(&gradient, &direction.data);
    let length = |values: &[f64]| product(values, values).sqrt();
    let scale =
        (length(&gradient) * length(&direction.data) / (gradient.len() as f64).sqrt()).max(expected.abs()).max(0.05);
    if (received - expected).abs() <= GRADIENT_DEV * scale {
        return Ok(());
    }
    Err(format!("to {what}: received {received:e}, expected {expected:e}"))
}

/// Holds the gradients of a layer to every input and every trainable weight.
fn check(gpu: &Gpu, layer: &LayerConfig, shapes: &[Vec<usize>], of: Range) -> std::result::Result<(), String> {
    let mut numbers = Numbers::new(31);
    let error = |error: wgpu_conv::Error| error.to_string();
    let partial: Vec<PartialShape> = shapes.iter().map(|shape| Shape::from(shape.as_slice()).into()).collect();
    let built = layer.build_all(gpu, &partial).map_err(error)?;
    let mut draw = |shape: &[usize], of: Range| drawn(&mut numbers, shape).map(|x| f64::from(of(x) as f32));
    let inputs: Vec<Array> = shapes.iter().map(|shape| draw(shape, of)).collect();
    let of_weight = |name: &str| if name.contains("variance") { POSITIVE } else { ALL };
    let weights: Vec<Array> =
        built.weights().iter().map(|weight| draw(weight.shape().dims(), of_weight(weight.name()))).collect();
    let host = |array: &Array| HostTensor::new(array.shape.as_slice(), array.to_f32());
    built.set_weights(&weights.iter().map(host).collect::<Result<Vec<_>>>().map_err(error)?).map_err(error)?;
    let output = evaluate(layer, &weights, &inputs).map_err(error)?;
    let factors = draw(&output.shape, ALL);
    let given = inputs.iter().map(|input| tensor(gpu, input)).collect::<Result<Vec<_>>>().map_err(error)?;
    let made = built.gradients(&given, &tensor(gpu, &factors).map_err(error)?, false).map_err(error)?;
    let total = |weights: &[Array], inputs: &[Array]| -> Result<f64> {
        Ok(product(&evaluate(layer, weights, inputs)?.data, &factors.data))
    };
    for (index, gradient) in made.inputs.iter().enumerate() {
        let value = |moved: &Array| {
            let mut inputs = inputs.clone();
            inputs[index] = moved.clone();
            total(&weights, &inputs)
        };
        let gradient = gradient.read::<f32>().map_err(error)?;
        for _ in 0..3 {
            let direction = draw(&inputs[index].shape, ALL);
            holds(&format!("input {index}"), &gradient, &inputs[index], &direction, &value)?;
        }
    }
    let trainable: Vec<usize> = (0..weights.len()).filter(|&index| built.weights()[index].trainable()).collect();
    assert_eq!(trainable.len(), made.weights.len(), "one gradient for each trainable weight");
    for (index, (name, gradient)) in trainable.into_iter().zip(&made.weights) {
        let value = |moved: &Array| {
            let mut weights = weights.clone();
            weights[index] = moved.clone();
            total(&weights, &inputs)
        };
        let gradient = gradient.read::<f32>().map_err(error)?;
        for _ in 0..3 {
            let direction = draw(&weights[index].shape, ALL);
            holds(name, &gradient, &weights[index], &direction, &value)?;
        }
    }
    Ok(())
}

struct Row {
    name: String,
    layer: LayerConfig,
    inputs: Vec<Vec<usize>>,
    of: Range,
}

/// What inputs are made of, of numbers between −1 and 1.
type Range = fn(f64) -> f64;

const ALL: Range = |x| x;
const POSITIVE: Range = |x| x.abs() + 0.5;

fn row(name: &str, layer: impl Into<LayerConfig>, inputs: &[&[usize]]) -> Row {
    Row { name: name.into(), layer: layer.into(), inputs: inputs.iter().map(|shape| shape.to_vec()).collect(), of: ALL }
}

fn positive(name: &str, layer: impl Into<LayerConfig>, inputs: &[&[usize]]) -> Row {
    Row { of: POSITIVE, ..row(name, layer, inputs) }
}

fn hold(rows: Vec<Row>) {
    let Some(gpu) = gpu::gpu() else { return };
    test_each(rows, |row| row.name.clone(), |row| check(&gpu, &row.layer, &row.inputs, row.of));
}

/// Sizes, strides, dilation, groups, paddings and formats of every kind of convolution.
#[test]
fn convolutions() {
    let mut rows = Vec::new();
    for data_format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
        let image = |h: usize, w: usize, c: usize| match data_format {
            DataFormat::ChannelsLast => vec![2, h, w, c],
            DataFormat::ChannelsFirst => vec![2, c, h, w],
        };
        for padding in [Padding::Valid, Padding::Same] {
            for (strides, dilation) in [([1, 1], [1, 1]), ([2, 1], [1, 1]), ([3, 2], [1, 1]), ([1, 1], [2, 3])] {
                let name = format!("{} {padding:?} {strides:?} {dilation:?}", data_format.name());
                let mut push = |what: &str, layer: LayerConfig, input: Vec<usize>| {
                    rows.push(Row { name: format!("{what} {name}"), layer, inputs: vec![input], of: ALL });
                };
                macro_rules! with {
                    ($layer:expr) => {
                        $layer.strides(strides).dilation_rate(dilation).padding(padding).data_format(data_format).into()
                    };
                }
                push("Conv2D", with!(Conv2D::new(5, (3, 2))), image(7, 8, 3));
                push("Conv2D in fours", with!(Conv2D::new(8, (2, 3)).activation(Activation::Tanh)), image(7, 8, 4));
                push("Conv2D in groups", with!(Conv2D::new(6, 2).groups(2)), image(7, 7, 4));
                push("DepthwiseConv2D", with!(DepthwiseConv2D::new((3, 2)).depth_multiplier(2)), image(7, 8, 3));
                if strides[0] == strides[1] {
                    push("SeparableConv2D", with!(SeparableConv2D::new(4, 3)), image(7, 8, 4));
                }
                push("Conv2DTranspose", with!(Conv2DTranspose::new(3, (3, 2))), image(4, 3, 2));
            }
        }
    }
    hold(rows);
}

/// Every function of single values, away from kinks.
#[test]
fn element_wise_functions() {
    let activation = |activation: Activation| {
        let layer = ActivationLayer::new(activation);
        row(&format!("{activation:?}"), layer, &[&[3, 37]])
    };
    let mut rows: Vec<Row> = common::reference::ACTIVATIONS
        .into_iter()
        .filter(|name| *name != "threshold")
        .map(|name| Activation::from_name(name).expect("a name of the reference"))
        .filter(|activation| !matches!(activation, Activation::Glu { .. }))
        .map(activation)
        .collect();
    rows.push(row("glu", ActivationLayer::new(Activation::Glu { axis: 1 }), &[&[2, 6, 5]]));
    rows.push(row("softmax in the middle", ActivationLayer::new(Activation::Softmax { axis: 1 }), &[&[2, 5, 3]]));
    rows.push(activation(Activation::Threshold { threshold: 0.25, default_value: -1.0 }));
    rows.push(activation(Activation::Relu { negative_slope: 0.5, max_value: Some(0.6), threshold: 0.1 }));
    rows.push(activation(Activation::Relu { negative_slope: 0.5, max_value: None, threshold: 0.1 }));
    rows.push(activation(Activation::Gelu { approximate: true }));
    for name in Unary::names() {
        let function = Unary::from_name(name).expect("a name");
        // Those that are not there for all numbers.
        let of: Range = match name {
            "sqrt" | "reciprocal" | "log" | "log1p" | "pow" => POSITIVE,
            "acosh" => |x| x.abs() + 1.25,
            "atanh" => |x| x * 0.75,
            _ => ALL,
        };
        rows.push(Row { of, ..row(name, Map::new(function), &[&[3, 37]]) });
    }
    rows.push(positive("pow", Map::new(Unary::Pow { exponent: 2.5 }), &[&[3, 37]]));
    for function in [
        Unary::Pow { exponent: 3.0 },
        Unary::Clip { min: -0.4, max: 0.3 },
        Unary::Affine { scale: -2.0, offset: 0.5 },
        Unary::ClippedAffine { scale: -1.5, offset: 0.5 },
        Unary::ScaledElu { alpha: 1.5, scale: 0.7 },
        Unary::Shrink { threshold: 0.3, bias: 0.1 },
        Unary::Swish { beta: 1.7 },
    ] {
        rows.push(row(function.name(), Map::new(function), &[&[3, 37]]));
    }
    hold(rows);
}

#[test]
fn pooling_and_reductions() {
    let mut rows = Vec::new();
    for data_format in [DataFormat::ChannelsLast, DataFormat::ChannelsFirst] {
        let shape: &[usize] = if data_format == DataFormat::ChannelsLast { &[2, 7, 6, 3] } else { &[2, 3, 7, 6] };
        for padding in [Padding::Valid, Padding::Same] {
            let name = format!("{} {padding:?}", data_format.name());
            let max = MaxPooling2D::new((3, 2)).strides((2, 1)).padding(padding).data_format(data_format);
            rows.push(row(&format!("MaxPooling2D {name}"), max, &[shape]));
            let mean = AveragePooling2D::new((2, 3)).strides((1, 2)).padding(padding).data_format(data_format);
            rows.push(row(&format!("AveragePooling2D {name}"), mean, &[shape]));
        }
        let name = data_format.name();
        rows.push(row(
            &format!("global mean {name}"),
            GlobalAveragePooling2D::new().data_format(data_format),
            &[shape],
        ));
        let mean = AdaptiveAveragePooling2D::new((2, 4)).data_format(data_format);
        rows.push(row(&format!("adaptive mean {name}"), mean, &[shape]));
        let largest = AdaptiveMaxPooling2D::new((2, 4)).data_format(data_format);
        rows.push(row(&format!("adaptive largest {name}"), largest, &[shape]));
        rows.push(row(&format!("global largest {name}"), GlobalMaxPooling2D::new().data_format(data_format), &[shape]));
    }
    use ReduceFunction::{L1, L2, LogSumExp, Max, Mean, Min, Sum, SumSquare};
    for reduction in [Mean, Max, Min, Sum, SumSquare, L1, L2, LogSumExp] {
        for axes in [vec![1], vec![0, 2], vec![0, 1, 2]] {
            let name = format!("{reduction:?} over {axes:?}");
            rows.push(row(&name, Reduce::new(reduction).axes(axes), &[&[3, 4, 5]]));
        }
    }
    rows.push(positive("LogSum", Reduce::new(ReduceFunction::LogSum).axes([1]), &[&[3, 4, 5]]));
    hold(rows);
}

#[test]
fn movement() {
    hold(vec![
        row("Permute", Permute::new([3, 1, 2]), &[&[2, 3, 4, 5]]),
        row("Flatten", Flatten::new(), &[&[2, 3, 4]]),
        row("Reshape", Reshape::new([6, 2]), &[&[2, 3, 4]]),
        row("RepeatVector", RepeatVector::new(3), &[&[2, 5]]),
        row("ZeroPadding2D", ZeroPadding2D::new([[1, 2], [0, 3]]), &[&[2, 4, 5, 3]]),
        row("Cropping2D", Cropping2D::new([[1, 1], [0, 2]]), &[&[2, 5, 6, 3]]),
        row("UpSampling2D", UpSampling2D::new((2, 3)), &[&[2, 3, 4, 3]]),
        row("UpSampling2D bilinear", UpSampling2D::new((2, 3)).interpolation(Upsampling::Bilinear), &[&[2, 3, 4, 3]]),
        row("Concatenate", Concatenate::new().axis(1), &[&[2, 3, 4], &[2, 1, 4], &[2, 2, 4]]),
    ]);
}

#[test]
fn merges_products_and_normalisations() {
    let wide: &[usize] = &[2, 3, 4, 5];
    let narrow: &[usize] = &[2, 1, 4, 1];
    let mut rows = Vec::new();
    for kind in MergeKind::ALL {
        rows.push(row(&format!("{kind:?}"), Merge::new(kind), &[wide, wide]));
        rows.push(row(&format!("{kind:?}, broadcast"), Merge::new(kind), &[narrow, wide]));
    }
    rows.push(row("Add of three", Merge::add(), &[wide, narrow, wide]));
    rows.push(row("Dense", Dense::new(7).activation(Activation::Sigmoid), &[&[3, 2, 5]]));
    rows.push(row("Dense, softmax", Dense::new(4).activation(Activation::Softmax { axis: -1 }), &[&[3, 5]]));
    rows.push(row("PReLU", PReLU::new().shared_axes([1]), &[&[2, 3, 4]]));
    rows.push(row("BatchNormalization", BatchNormalization::new().axis(1), &[&[2, 3, 4]]));
    rows.push(row("LayerNormalization", LayerNormalization::new(), &[&[2, 3, 6]]));
    rows.push(row("GroupNormalization", GroupNormalization::new(2), &[&[2, 3, 2, 4]]));
    rows.push(row("UnitNormalization", UnitNormalization::new(), &[&[2, 3, 6]]));
    rows.push(row("Dot", Dot::new([1, 2]), &[&[2, 4, 3], &[2, 5, 4]]));
    rows.push(row("Dot the other way", Dot::new([2, 1]), &[&[2, 3, 4], &[2, 4, 5]]));
    rows.push(row("MatMul", MatMul::new(), &[&[2, 3, 4], &[2, 4, 5]]));
    // Kernels that are read with their axes in another order.
    for (equation, bias) in
        [("abc,cd->abd", "d"), ("abc,dc->abd", "d"), ("abc,dec->abed", "ed"), ("abcd,edc->abe", "e")]
    {
        let input: &[usize] = if equation.starts_with("abcd") { &[2, 3, 4, 5] } else { &[2, 3, 4] };
        let output = if equation.ends_with("abed") { vec![None, Some(3), Some(6)] } else { vec![None, Some(6)] };
        let layer = EinsumDense::new(equation, output).bias_axes(bias);
        rows.push(row(&format!("EinsumDense {equation}"), layer, &[input]));
    }
    rows.push(row("MatMul, one matrix for all", MatMul::new(), &[&[2, 3, 4], &[4, 5]]));
    hold(rows);
}

/// Backwards through time: each cell, one direction and the other, all states and the last one, units beyond a workgroup.
#[test]
fn recurrences() {
    let cells = [
        ("LSTM", Cell::Lstm),
        ("GRU", Cell::Gru { reset_after: true }),
        ("GRU, reset before", Cell::Gru { reset_after: false }),
        ("SimpleRNN", Cell::Simple),
    ];
    let mut rows = Vec::new();
    for (name, cell) in cells {
        for (sequences, backwards) in [(false, false), (true, false), (false, true), (true, true)] {
            let layer = Recurrent::new(cell, 5).return_sequences(sequences).go_backwards(backwards);
            rows.push(row(&format!("{name} sequences={sequences} backwards={backwards}"), layer, &[&[3, 4, 2]]));
        }
        let one = Recurrent::new(cell, 3).use_bias(false);
        rows.push(row(&format!("{name}, a time alone, no bias"), one, &[&[2, 1, 3]]));
        let wide = Recurrent::new(cell, 67).return_sequences(true);
        rows.push(row(&format!("{name}, more units than invocations"), wide, &[&[2, 3, 3]]));
        let other = Recurrent::new(cell, 4)
            .activation(Activation::Softsign)
            .recurrent_activation(Activation::Softplus)
            .return_sequences(true);
        rows.push(row(&format!("{name}, other functions"), other, &[&[2, 3, 3]]));
        // States to begin with, and the last ones told.
        let begun = |layer: Recurrent| -> Vec<&'static [usize]> {
            let (x, state): (&[usize], &[usize]) = (&[3, 4, 2], &[3, 5]);
            [x].into_iter().chain(vec![state; layer.cell.states()]).collect()
        };
        for (sequences, states, backwards) in [(true, false, false), (false, true, false), (true, true, true)] {
            let layer =
                Recurrent::new(cell, 5).return_sequences(sequences).return_state(states).go_backwards(backwards);
            let name = format!("{name} begun, sequences={sequences} states={states} backwards={backwards}");
            rows.push(row(&name, layer.clone(), &begun(layer)));
        }
        let told = Recurrent::new(cell, 5).return_sequences(true).return_state(true);
        rows.push(row(&format!("{name} tells its states"), told, &[&[3, 4, 2]]));
        let once: Vec<&[usize]> = [&[2, 1, 3][..]].into_iter().chain(vec![&[2, 4][..]; cell.states()]).collect();
        rows.push(row(&format!("{name} begun, a time alone"), Recurrent::new(cell, 4).return_state(true), &once));
    }
    let images = ConvLSTM2D::new(3, 2).padding(Padding::Same).return_sequences(true);
    rows.push(row("ConvLSTM2D, all times", images, &[&[2, 3, 4, 3, 2]]));
    let last = ConvLSTM2D::new(2, (3, 2)).strides(2).go_backwards(true).data_format(DataFormat::ChannelsFirst);
    rows.push(row("ConvLSTM2D, the last of channels first", last, &[&[2, 3, 2, 6, 5]]));
    rows.push(row("ConvLSTM1D, a time alone", ConvLSTM1D::new(2, 3).dilation_rate(2), &[&[2, 1, 7, 2]]));
    rows.push(row("ConvLSTM3D", ConvLSTM3D::new(2, 2).use_bias(false), &[&[1, 2, 3, 3, 2, 2]]));
    hold(rows);
}

/// A line of a table that is taken twice has both gradients.
#[test]
fn lines_of_a_table() {
    let Some(gpu) = gpu::gpu() else { return };
    let embedding = Embedding::new(4, 2).build(&gpu, [None, Some(3)]).unwrap();
    let numbers = Tensor::from_slice(&gpu, [1, 3], &[2.0f32, 0.0, 2.0]).unwrap();
    let factors = Tensor::from_slice(&gpu, [1, 3, 2], &[1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let made = embedding.gradients(&[numbers], &factors, false).unwrap();
    let table = made.weights[0].1.read::<f32>().unwrap();
    assert_eq!(table, [3.0, 4.0, 0.0, 0.0, 6.0, 8.0, 0.0, 0.0]);
}

/// The gradient at a kink, and among equals.
#[test]
fn ties_and_kinks() {
    let Some(gpu) = gpu::gpu() else { return };
    let gradient = |layer: LayerConfig, inputs: &[(&[usize], &[f32])], factors: (&[usize], &[f32])| {
        let partial: Vec<PartialShape> = inputs.iter().map(|(shape, _)| Shape::from(*shape).into()).collect();
        let built = layer.build_all(&gpu, &partial).expect("a layer");
        let given: Vec<_> =
            inputs.iter().map(|(shape, data)| Tensor::from_slice(&gpu, *shape, data).unwrap()).collect();
        let factors = Tensor::from_slice(&gpu, factors.0, factors.1).unwrap();
        let made = built.gradients(&given, &factors, false).expect("gradients").inputs;
        made.iter().map(|made| made.read::<f32>().unwrap()).collect::<Vec<_>>()
    };
    // Of a window's equals the first in row-major order; behind a relu zeros are equal as a rule.
    let pool = MaxPooling2D::new(2).into();
    assert_eq!(
        gradient(pool, &[(&[1, 2, 2, 1], &[1.0, 3.0, 3.0, 3.0])], (&[1, 1, 1, 1], &[5.0])),
        [[0.0, 5.0, 0.0, 0.0]]
    );
    // A NaN is what comes out, so the gradient goes there.
    let pool = MaxPooling2D::new(2).into();
    let nan = gradient(pool, &[(&[1, 2, 2, 1], &[1.0, 3.0, f32::NAN, 4.0])], (&[1, 1, 1, 1], &[5.0]));
    assert_eq!(nan, [[0.0, 0.0, 5.0, 0.0]]);
    // Of a whole image, all of them alike.
    let global = GlobalMaxPooling2D::new().into();
    let shared = gradient(global, &[(&[1, 2, 2, 1], &[1.0, 3.0, 3.0, 0.0])], (&[1, 1], &[5.0]));
    assert_eq!(shared, [[0.0, 2.5, 2.5, 0.0]]);
    let maximum = Merge::maximum().into();
    let both = gradient(maximum, &[(&[1, 3], &[1.0, 2.0, 3.0]), (&[1, 3], &[1.0, 3.0, 2.0])], (&[1, 3], &[4.0; 3]));
    assert_eq!(both, [[2.0, 0.0, 4.0], [2.0, 4.0, 0.0]]);
    // From the left, but for relu and abs.
    let slope = |layer: LayerConfig, at: f32| gradient(layer, &[(&[1, 1], &[at])], (&[1, 1], &[1.0]))[0][0];
    let activation = |activation| ActivationLayer::new(activation).into();
    assert_eq!(slope(activation(Activation::RELU), 0.0), 0.0);
    assert_eq!(slope(activation(Activation::LeakyRelu { negative_slope: 0.25 }), 0.0), 0.25);
    assert_eq!(slope(activation(Activation::Relu6), 6.0), 1.0);
    assert_eq!(slope(activation(Activation::HardTanh), -1.0), 0.0);
    assert_eq!(slope(activation(Activation::HardTanh), 1.0), 1.0);
    assert_eq!(slope(activation(Activation::Elu { alpha: 2.0 }), 0.0), 2.0);
    assert_eq!(slope(Map::new(Unary::Abs).into(), 0.0), 0.0);
    assert_eq!(slope(Map::new(Unary::Clip { min: -1.0, max: 2.0 }).into(), 2.0), 1.0);
}

/// A residual block whose input is read twice: gradients from both readers are added, and weights come by their paths.
#[test]
fn a_graph() {
    let Some(gpu) = gpu::gpu() else { return };
    let graph = Functional::new(&gpu);
    let x = graph.input("x", [2, 5, 5, 4]).unwrap();
    let conv = LayerConfig::from(Conv2D::new(4, 3).padding(Padding::Same).name("conv"));
    let norm = LayerConfig::from(BatchNormalization::new().name("norm"));
    let relu = LayerConfig::from(ActivationLayer::new(Activation::Silu).name("silu"));
    let add = LayerConfig::from(Merge::add().name("add"));
    let mean = LayerConfig::from(GlobalAveragePooling2D::new().name("mean"));
    let dense = LayerConfig::from(Dense::new(3).activation(Activation::Softmax { axis: -1 }).name("dense"));
    let layers = [&conv, &norm, &relu, &add, &mean, &dense];
    let a = graph.apply(conv.clone(), &[&x]).unwrap();
    let b = graph.apply(norm.clone(), &[&a]).unwrap();
    let c = graph.apply(relu.clone(), &[&b]).unwrap();
    let d = graph.apply(add.clone(), &[&c, &x]).unwrap();
    let e = graph.apply(mean.clone(), &[&d]).unwrap();
    let y = graph.apply(dense.clone(), &[&e]).unwrap();
    let model = graph.model("graph", &[&x], &[&y]).unwrap();
    let mut numbers = Numbers::new(5);
    let mut weights: Vec<(String, Array)> = Vec::new();
    for (path, variable) in model.weights() {
        let array = drawn(&mut numbers, variable.shape().dims());
        let array = if path.contains("variance") { array.map(|x| f64::from((x.abs() + 0.5) as f32)) } else { array };
        variable.assign(&HostTensor::new(array.shape.as_slice(), array.to_f32()).unwrap()).unwrap();
        weights.push((path, array));
    }
    let input = drawn(&mut numbers, &[2, 5, 5, 4]);
    let factors = drawn(&mut numbers, &[2, 3]);
    let total = |weights: &[(String, Array)], input: &Array| -> Result<f64> {
        let of = |index: usize, inputs: &[Array]| {
            let layer = layers[index];
            let prefix = format!("{}/", layer.common().name.as_deref().unwrap_or_default());
            let own: Vec<Array> =
                weights.iter().filter(|(path, _)| path.starts_with(&prefix)).map(|(_, array)| array.clone()).collect();
            evaluate(layer, &own, inputs)
        };
        let a = of(0, std::slice::from_ref(input))?;
        let c = of(2, &[of(1, &[a])?])?;
        let d = of(3, &[c, input.clone()])?;
        let y = of(5, &[of(4, &[d])?])?;
        Ok(product(&y.data, &factors.data))
    };
    let given = tensor(&gpu, &input).unwrap();
    let made = model.gradients(&[given], &[tensor(&gpu, &factors).unwrap()], false).unwrap();
    let direction = drawn(&mut numbers, &input.shape);
    let gradient = made.inputs[0].read::<f32>().unwrap();
    holds("the input", &gradient, &input, &direction, &|moved| total(&weights, moved)).unwrap();
    let paths: Vec<&str> = made.weights.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["conv/kernel", "conv/bias", "norm/gamma", "norm/beta", "dense/kernel", "dense/bias"]);
    for (path, gradient) in &made.weights {
        let index = weights.iter().position(|(known, _)| known == path).unwrap();
        let value = |moved: &Array| {
            let mut weights = weights.clone();
            weights[index].1 = moved.clone();
            total(&weights, &input)
        };
        let direction = drawn(&mut numbers, &weights[index].1.shape);
        holds(path, &gradient.read::<f32>().unwrap(), &weights[index].1, &direction, &value).unwrap();
    }
}

/// Gradients of another shape, and a model's of another number, are refused.
#[test]
fn gradients_that_do_not_fit_are_refused() {
    let Some(gpu) = gpu::gpu() else { return };
    let dense = Dense::new(2).build(&gpu, [None, Some(3)]).unwrap();
    let input = Tensor::from_slice(&gpu, [1, 3], &[1.0f32; 3]).unwrap();
    let wrong = Tensor::from_slice(&gpu, [2, 1], &[1.0f32; 2]).unwrap();
    let error = dense.gradients(std::slice::from_ref(&input), &wrong, false).unwrap_err().to_string();
    assert!(error.contains("shape and the type of the output") && error.contains("(2, 1)"), "{error}");
}

/// The same twice is the same to the last bit.
#[test]
fn equal_inputs_give_equal_bits() {
    let Some(gpu) = gpu::gpu() else { return };
    let conv = Conv2D::new(4, 3).build(&gpu, [None, None, None, Some(3)]).unwrap();
    let mut numbers = Numbers::new(9);
    let input = tensor(&gpu, &drawn(&mut numbers, &[2, 20, 21, 3])).unwrap();
    let factors = tensor(&gpu, &drawn(&mut numbers, &[2, 18, 19, 4])).unwrap();
    let bits = || -> Vec<u32> {
        let made = conv.gradients(std::slice::from_ref(&input), &factors, false).unwrap();
        let all = made.inputs.iter().chain(made.weights.iter().map(|(_, tensor)| tensor));
        all.flat_map(|tensor| tensor.read::<f32>().unwrap()).map(f32::to_bits).collect()
    };
    assert_eq!(bits(), bits());
}
