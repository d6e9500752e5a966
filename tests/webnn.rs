//! Convolutions, transposed convolutions and pooling of the WebNN reference suite, with the pads, strides, layouts and output
//! sizes that WebNN names one by one: each case is a model of a padding and a layer, or of one layer.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use common::reference::Array;
use common::{fixtures, test_each};
use serde_json::Value;
use wgpu_conv::layers::{Conv2D, LayerConfig, Pads, Pool2D, Pooling, TransposedConv2D, ZeroPadding2D};
use wgpu_conv::model::Sequential;
use wgpu_conv::{DataFormat, Gpu, HostTensor, Shape};

/// How far a result may be from the expected one, of which the suite gives some seven digits.
const TOLERANCE: f64 = 2e-6;

fn error(error: wgpu_conv::Error) -> String {
    error.to_string()
}

fn array(operand: &Value) -> Array {
    let shape: Vec<usize> = serde_json::from_value(operand["shape"].clone()).expect("a shape");
    let data: Vec<f64> = serde_json::from_value(operand["data"].clone()).expect("numbers");
    Array::new(shape, data)
}

/// Numbers among the options, as many as by default.
fn numbers<const N: usize>(options: &Value, name: &str, default: [u32; N]) -> [u32; N] {
    let Some(given) = options.get(name) else { return default };
    let given: Vec<u32> = serde_json::from_value(given.clone()).expect("numbers");
    given.try_into().expect("as many numbers")
}

/// Where the channels stand; `nchw` unless the option says otherwise.
fn data_format(options: &Value, name: &str) -> DataFormat {
    match options.get(name).and_then(Value::as_str) {
        Some("nhwc") => DataFormat::ChannelsLast,
        None | Some("nchw") => DataFormat::ChannelsFirst,
        other => panic!("{name} is {other:?}"),
    }
}

/// Height and width of a shape.
fn plane(format: DataFormat, shape: &[usize]) -> [u32; 2] {
    let first = if format == DataFormat::ChannelsLast { 1 } else { 2 };
    [shape[first] as u32, shape[first + 1] as u32]
}

/// `padding` by axis, which WebNN gives as top, bottom, left and right.
fn padding(options: &Value) -> [[u32; 2]; 2] {
    let [top, bottom, left, right] = numbers(options, "padding", [0; 4]);
    [[top, bottom], [left, right]]
}

/// The filter with its axes in the order of `layout`.
fn filter(operand: &Value, options: &Value, default: &str, layout: &str) -> Array {
    let from = options.get("filterLayout").and_then(Value::as_str).unwrap_or(default);
    let order: Vec<usize> = layout.chars().map(|axis| from.find(axis).expect("an axis")).collect();
    array(operand).transposed(&order)
}

/// The layers of a case, the weights of the last, and the input.
fn layers(case: &Value) -> (Vec<LayerConfig>, Vec<Array>, Array) {
    let args = case["args"].as_array().expect("arguments");
    let none = Value::Object(serde_json::Map::new());
    let options = args.last().filter(|last| last.get("data").is_none()).unwrap_or(&none);
    let input = array(&args[0]);
    let output: Vec<usize> = serde_json::from_value(case["expectedShape"].clone()).expect("a shape");
    let (strides, dilations) = (numbers(options, "strides", [1; 2]), numbers(options, "dilations", [1; 2]));
    let groups = options.get("groups").map_or(1, |groups| groups.as_u64().expect("a number") as u32);
    let bias = options.get("bias").map(array);
    match case["op"].as_str() {
        Some("conv2d") => {
            let format = data_format(options, "inputLayout");
            let kernel = filter(&args[1], options, "oihw", "hwio");
            let [height, width, _, filters] = kernel.shape[..] else { panic!("a kernel of {:?}", kernel.shape) };
            let conv = Conv2D::new(filters as u32, (height as u32, width as u32)).groups(groups).data_format(format);
            let conv = conv.strides(strides).dilation_rate(dilations).use_bias(bias.is_some());
            let padding = ZeroPadding2D::new(padding(options)).data_format(format);
            (vec![padding.into(), conv.into()], [vec![kernel], bias.into_iter().collect()].concat(), input)
        }
        Some("convTranspose2d") => {
            let format = data_format(options, "inputLayout");
            let kernel = filter(&args[1], options, "iohw", "hwoi");
            let [height, width, filters, _] = kernel.shape[..] else { panic!("a kernel of {:?}", kernel.shape) };
            let window = [height as u32, width as u32];
            let conv = TransposedConv2D::new(filters as u32 * groups, window).groups(groups).data_format(format);
            // What `outputPadding` or `outputSizes` add goes behind the last position.
            let (before, after) = (plane(format, &input.shape), plane(format, &output));
            let pads = [0, 1].map(|axis| {
                let begin = padding(options)[axis][0] as i32;
                let whole = (before[axis] - 1) * strides[axis] + (window[axis] - 1) * dilations[axis] + 1;
                [begin, whole as i32 - begin - after[axis] as i32]
            });
            let conv = conv.strides(strides).dilation_rate(dilations).pads(pads).use_bias(bias.is_some());
            (vec![conv.into()], [vec![kernel], bias.into_iter().collect()].concat(), input)
        }
        Some(op) => {
            let format = data_format(options, "layout");
            let function = if op == "maxPool2d" { Pooling::Max } else { Pooling::Average };
            let window = numbers(options, "windowDimensions", plane(format, &input.shape));
            let pool = Pool2D::new(function, window).strides(strides).dilation_rate(dilations).data_format(format);
            let pool = pool.pads(Pads::Explicit(padding(options)));
            let floor = pool.output_shape(Shape::from(input.shape.as_slice())).expect("a shape");
            let ceil = floor != Shape::from(output.as_slice()).into();
            (vec![pool.ceil_mode(ceil).into()], vec![], input)
        }
        None => panic!("no operation: {case}"),
    }
}

fn hold(gpu: &Gpu, case: &Value) -> Result<(), String> {
    let (layers, weights, input) = layers(case);
    let mut chain = Sequential::new(gpu).with_input(Shape::from(input.shape.as_slice())).map_err(error)?;
    for layer in layers {
        chain.add(layer).map_err(error)?;
    }
    let model = chain.into_model().ok_or("no model")?;
    let weights: Vec<HostTensor> = weights
        .iter()
        .map(|weight| HostTensor::new(weight.shape.as_slice(), weight.to_f32()).map_err(error))
        .collect::<Result<_, _>>()?;
    let last = model.layers().last().ok_or("no layer")?.1;
    last.set_weights(&weights).map_err(error)?;
    let input = HostTensor::new(input.shape.as_slice(), input.to_f32()).map_err(error)?;
    let output = model.predict(&input).map_err(error)?;
    let shape: Vec<usize> = serde_json::from_value(case["expectedShape"].clone()).map_err(|why| why.to_string())?;
    let expected: Vec<f64> = serde_json::from_value(case["expected"].clone()).map_err(|why| why.to_string())?;
    if output.shape.dims() != shape {
        return Err(format!("shape {}, expected {shape:?}", output.shape));
    }
    for (index, (got, exact)) in output.values.iter().zip(&expected).enumerate() {
        let missed = (f64::from(*got) - exact).abs();
        // Not what is within, so that NaN is wrong.
        if !(missed <= TOLERANCE * exact.abs().max(1.0)) {
            return Err(format!("element {index}: {got}, expected {exact}"));
        }
    }
    Ok(())
}

#[test]
fn convolutions_and_pooling_of_webnn() {
    let Some(gpu) = gpu::gpu() else { return };
    let text = std::fs::read_to_string(fixtures::path("webnn/webnn_baseline.json")).expect("the suite");
    let suite: Value = serde_json::from_str(&text).expect("JSON");
    let operations = ["conv2d", "convTranspose2d", "averagePool2d", "maxPool2d"];
    let cases = suite["cases"].as_array().expect("cases");
    for operation in operations {
        let count = cases.iter().filter(|case| case["op"] == operation).count();
        println!("{operation}: {count} cases");
        assert!(count > 0, "no case of {operation}");
    }
    let known = cases.iter().filter(|case| operations.iter().any(|operation| case["op"] == *operation));
    test_each(known, |case| case["test"].to_string(), |case| hold(&gpu, case));
}
