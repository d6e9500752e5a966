//! What happens on a device beside arithmetic: reuse, limits, the caller's own devices and buffers, readback, threads, a
//! lost device, and values that are no numbers.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use common::reference::{ACTIVATIONS, Array, activate, evaluate};
use common::test_each;
use common::tolerance::{self, Storage};
use wgpu_conv::layers::{
    ActivationLayer, AdaptiveAveragePooling2D, AdaptiveMaxPooling2D, AveragePooling2D, BatchNormalization,
    BinaryFunction, Broadcast, Concatenate, Conv2D, Conv2DTranspose, Cropping2D, Dense, DepthwiseConv2D, Dropout,
    GlobalAveragePooling2D, GlobalMaxPooling2D, GroupNormalization, LayerConfig, LayerNormalization, MaxPooling2D,
    Merge, Normalization, PReLU, Pad, PadMode, Permute, ReLU, Reduce, ReduceFunction, Rescaling, Resize, ResizeTo,
    SeparableConv2D, Slice, UnitNormalization, UpSampling2D, ZeroPadding2D,
};
use wgpu_conv::model::{Functional, Sequential};
use wgpu_conv::plan::Problem;
use wgpu_conv::{
    Activation, Commands, DType, DataFormat, Error, Gpu, HostTensor, Interpolation, Padding, Result, Shape, Tensor,
    Tuning, wgpu,
};

/// Errors that reached the handler of a device of the caller's: none must.
type Uncaptured = Arc<Mutex<Vec<String>>>;

/// A device of the caller's own on the adapter of the tests, its limits changed, its handler of uncaptured errors
/// recording.
fn device(change: impl FnOnce(&mut wgpu::Limits)) -> Option<(wgpu::Device, wgpu::Queue, Uncaptured)> {
    let gpu = gpu::gpu()?;
    let name = &gpu.info().name;
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle().with_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter =
        adapters.into_iter().find(|adapter| adapter.get_info().name == *name).expect("the adapter of the tests");
    let mut required_limits = adapter.limits();
    change(&mut required_limits);
    // What is experimental is refused without leave.
    let required_features = gpu.device().features() - wgpu::Features::all_experimental_mask();
    let descriptor = wgpu::DeviceDescriptor { required_features, required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    let uncaptured = Uncaptured::default();
    let record = uncaptured.clone();
    device.on_uncaptured_error(Arc::new(move |error| {
        record.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
    }));
    Some((device, queue, uncaptured))
}

fn quiet(uncaptured: &Uncaptured) {
    let seen = uncaptured.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(seen.is_empty(), "errors reached the caller's handler: {seen:?}");
}

/// Values that repeat after a prime, from -1 to 1.
fn wave(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect()
}

/// Whole numbers from -2 to 2, whose sums are exact on every kernel.
fn whole(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 37 % 101 % 5) as f32 - 2.0).collect()
}

fn tensor(gpu: &Gpu, shape: impl Into<Shape>, values: fn(usize) -> Vec<f32>) -> Tensor {
    let shape = shape.into();
    let values = values(shape.dims().iter().product());
    Tensor::from_slice(gpu, shape, &values).expect("a tensor")
}

/// Gives every weight of a layer whole numbers.
fn make_whole(layer: &mut wgpu_conv::layers::Layer) {
    let mut weights = layer.get_weights().unwrap();
    for weight in &mut weights {
        weight.values = whole(weight.values.len());
    }
    layer.set_weights(&weights).expect("its own shapes");
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.read::<f32>().expect("values").into_iter().map(f32::to_bits).collect()
}

/// One of every layer, for an input of four axes whose last has extent 4.
fn every_layer() -> [LayerConfig; 22] {
    [
        AdaptiveAveragePooling2D::new((4, 3)).into(),
        AdaptiveMaxPooling2D::new((4, 3)).into(),
        ActivationLayer::new(Activation::Softmax { axis: -1 }).into(),
        BatchNormalization::new().into(),
        Conv2D::new(6, 3).activation(Activation::RELU).into(),
        Dense::new(5).activation(Activation::Tanh).into(),
        DepthwiseConv2D::new(3).depth_multiplier(2).into(),
        Dropout::new(0.5).into(),
        AveragePooling2D::new(2).into(),
        GlobalAveragePooling2D::new().into(),
        GlobalMaxPooling2D::new().into(),
        GroupNormalization::new(2).into(),
        LayerNormalization::new().into(),
        MaxPooling2D::new(3).strides(2).padding(Padding::Same).into(),
        Normalization::new().into(),
        Reduce::new(ReduceFunction::L2).axes([1, 3]).into(),
        Rescaling::new(0.5).offset([1.0, 2.0, 3.0, 4.0]).into(),
        Resize::new(ResizeTo::Sizes([5, 9])).interpolation(Interpolation::Linear).into(),
        UnitNormalization::new().into(),
        UpSampling2D::new(2).into(),
        ReLU::new().max_value(6.0).into(),
        SeparableConv2D::new(7, 3).padding(Padding::Same).into(),
    ]
}

#[test]
fn a_second_call_makes_nothing() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    for config in every_layer() {
        let layer = config.build(&gpu, [2, 6, 7, 4]).expect("a layer");
        let input = tensor(&gpu, [2, 6, 7, 4], wave);
        let first = bits(&layer.call(&input).expect("a call"));
        let before = gpu.counters();
        let second = bits(&layer.call(&input).expect("a call"));
        let after = gpu.counters();
        assert_eq!(first, second, "{}", config.class_name());
        let made = (after.pipelines - before.pipelines, after.buffers - before.buffers, after.bytes - before.bytes);
        assert_eq!(made, (0, 0, 0), "{}: pipelines, buffers, bytes", config.class_name());
    }
    quiet(&uncaptured);
}

#[test]
fn a_second_layer_of_the_kind_compiles_nothing() {
    let Some((device, queue, _)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    // Which kernel is best depends on the size; the code of one does not.
    gpu.set_tuning(Tuning::Pin("conv_direct_f32x1".to_owned()));
    // The windows of adaptive pooling are larger for a larger input.
    let adaptive = |config: &LayerConfig| config.class_name().starts_with("Adaptive");
    for config in every_layer().into_iter().filter(|config| !adaptive(config)) {
        let mut pipelines = Vec::new();
        for shape in [[2, 6, 7, 4], [2, 6, 7, 4], [1, 19, 14, 4]] {
            let layer = config.build(&gpu, shape).expect("a layer");
            layer.call(&tensor(&gpu, shape, wave)).expect("a call");
            pipelines.push(gpu.counters().pipelines);
        }
        assert!(pipelines.iter().all(|count| *count == pipelines[0]), "{}: {pipelines:?}", config.class_name());
    }
}

#[test]
fn many_calls_do_not_grow_memory() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let layer = SeparableConv2D::new(8, 3).build(&gpu, [1, 12, 12, 4]).expect("a layer");
    let run = || {
        let input = tensor(&gpu, [1, 12, 12, 4], wave);
        layer.call(&input).expect("a call")
    };
    let mut last = run();
    last.read::<f32>().expect("values");
    let mut warm = None;
    for round in 0..300 {
        last = run();
        if round == 20 {
            warm = Some(gpu.counters());
        }
    }
    last.read::<f32>().expect("values");
    let (warm, end) = (warm.expect("300 rounds"), gpu.counters());
    assert_eq!((end.bytes, end.buffers, end.pipelines), (warm.bytes, warm.buffers, warm.pipelines));
    drop(last);
    gpu.release_unused();
    assert!(gpu.counters().bytes < end.bytes, "idle buffers are freed");
    run();
    quiet(&uncaptured);
}

/// D6: an empty batch gives an empty result of the right extents, without a launch.
#[test]
fn an_empty_batch_launches_nothing() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    for config in every_layer() {
        let layer = config.build(&gpu, [None, Some(6), Some(7), Some(4)]).expect("a layer");
        let before = gpu.counters();
        let output = layer.call(&tensor(&gpu, [0, 6, 7, 4], wave)).expect("a call");
        let name = config.class_name();
        let mut expected = config.output_shape([5, 6, 7, 4]).expect("a shape").known().expect("known").dims().to_vec();
        expected[0] = 0;
        assert_eq!(output.shape().dims(), expected, "{name}");
        assert_eq!(output.read::<f32>().expect("no values"), [0.0; 0], "{name}");
        assert_eq!(gpu.counters().submissions, before.submissions, "{name}");
    }
    quiet(&uncaptured);
}

/// Every layer, the reference and models take no images, and images without rows, or say that they do not.
#[test]
fn empty_images_are_computed_or_refused() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let mut taken = 0;
    for config in every_layer() {
        for shape in [[0, 6, 7, 4], [2, 0, 7, 4], [2, 6, 0, 4], [0, 0, 7, 4], [2, 6, 7, 0]] {
            let name = format!("{} of {shape:?}", config.class_name());
            let built = [None, Some(shape[1]), Some(shape[2]), Some(shape[3])];
            let expected = config.output_shape(shape).and_then(|expected| {
                config.count_params(&[built.into()])?;
                Ok(expected.known().expect("known"))
            });
            let called = config.build(&gpu, built).and_then(|layer| {
                let graph = Functional::new(&gpu);
                let symbol = graph.input("x", built)?;
                let output = symbol.apply(config.clone())?;
                let model = graph.model("model", &[&symbol], &[&output])?;
                let input = tensor(&gpu, shape, wave);
                let weights: Vec<Array> = layer
                    .weights()
                    .iter()
                    .map(|w| Array::from_f32(w.shape().dims(), &w.read().unwrap().values))
                    .collect();
                let exact = evaluate(&config, &weights, &[Array::new(shape, vec![])])?;
                let predicted = model.predict(&HostTensor::new(shape, Vec::new())?)?;
                let report = model.verify(std::slice::from_ref(&input))?;
                assert_eq!(report.first_difference(), None, "{name}");
                let output = layer.call(&input)?;
                Ok((output.shape().clone(), output.read::<f32>()?, exact, predicted))
            });
            match (expected, called) {
                (Ok(expected), Ok((shape, values, exact, predicted))) => {
                    assert_eq!((&shape, exact.shape.as_slice()), (&expected, expected.dims()), "{name}");
                    assert_eq!(
                        (values.len() as u64, &predicted.shape),
                        (expected.elements().unwrap(), &expected),
                        "{name}"
                    );
                    assert_eq!(predicted.values, values, "{name}");
                    assert_eq!(exact.to_f32(), values, "{name}");
                    taken += 1;
                }
                (Err(_), Err(Error::Invalid { .. })) => {}
                (expected, called) => panic!("{name}: {expected:?}, {called:?}"),
            }
        }
    }
    assert!(taken >= 60, "{taken} of 80 are taken");
    quiet(&uncaptured);
}

/// What Keras makes nothing of, and what ONNX says of sets without elements.
#[test]
fn nothing_comes_of_nothing() {
    let Some(gpu) = gpu::gpu() else { return };
    let transposed = Conv2DTranspose::new(3, 4).padding(Padding::Same).output_padding((0, 0)).strides(1);
    let config = LayerConfig::from(transposed.data_format(DataFormat::ChannelsLast));
    assert_eq!(config.output_shape([2, 1, 1, 5]).unwrap().to_string(), "(2, 0, 0, 3)");
    let layer = config.build(&gpu, [None, None, None, Some(5)]).unwrap();
    let output = layer.call(&tensor(&gpu, [2, 1, 1, 5], wave)).unwrap();
    assert_eq!((output.shape().dims(), output.read::<f32>().unwrap()), (&[2, 0, 0, 3][..], vec![]));
    let output = layer.call(&tensor(&gpu, [2, 3, 1, 5], wave)).unwrap();
    assert_eq!(output.shape().dims(), [2, 2, 0, 3]);
    assert!(layer.call(&tensor(&gpu, [2, 0, 1, 5], wave)).is_err(), "no pixels");

    let empty = tensor(&gpu, [2, 0, 3], wave);
    let sums = [ReduceFunction::Sum, ReduceFunction::SumSquare, ReduceFunction::L1, ReduceFunction::L2]
        .map(|function| (function, 0.0));
    let lowest = [ReduceFunction::Max, ReduceFunction::LogSum, ReduceFunction::LogSumExp]
        .map(|function| (function, f32::NEG_INFINITY));
    for (function, value) in sums.into_iter().chain(lowest).chain([(ReduceFunction::Min, f32::INFINITY)]) {
        for (axes, keepdims, shape) in
            [(vec![1], true, vec![2, 1, 3]), (vec![1, 2], false, vec![2]), (vec![], false, vec![])]
        {
            let config = LayerConfig::from(Reduce::new(function).axes(axes).keepdims(keepdims));
            let output = config.build(&gpu, [None, Some(0), Some(3)]).unwrap().call(&empty).unwrap();
            let expected = vec![value; shape.iter().product()];
            assert_eq!(
                (output.shape().dims(), output.read::<f32>().unwrap()),
                (&*shape, expected.clone()),
                "{config:?}"
            );
            let exact = evaluate(&config, &[], &[Array::new([2, 0, 3], vec![])]).unwrap();
            assert_eq!((&exact.shape, exact.to_f32()), (&shape, expected), "{config:?}");
        }
    }
    let mean = LayerConfig::from(Reduce::new(ReduceFunction::Mean).axes([1]));
    assert!(mean.output_shape([2, 0, 3]).is_err(), "ONNX leaves it open");
    assert_eq!(mean.output_shape([0, 0, 3]).unwrap().to_string(), "(0, 1, 3)");

    // Zeros around an image without rows.
    let padding = ZeroPadding2D::new(1).data_format(DataFormat::ChannelsLast);
    let padded =
        padding.build(&gpu, [None, None, None, Some(4)]).unwrap().call(&tensor(&gpu, [1, 0, 2, 4], wave)).unwrap();
    assert_eq!((padded.shape().dims(), padded.read::<f32>().unwrap()), (&[1, 2, 4, 4][..], vec![0.0; 32]));
}

#[test]
fn host_types() {
    let Some(gpu) = gpu::gpu() else { return };
    let values = [0.1f64, -1.0 / 3.0, 1e-40, 1e300];
    let read = Tensor::from_slice(&gpu, [4], &values).and_then(|t| t.read::<f32>()).expect("f64 is taken");
    assert_eq!(read, values.map(|v| v as f32));
    if gpu.caps().f16 {
        // An odd number of halves: neither uploads nor readbacks are multiples of four bytes then.
        for count in [1, 2, 3, 5, 255, 257] {
            let halves: Vec<half::f16> = wave(count).into_iter().map(half::f16::from_f32).collect();
            let tensor = Tensor::from_slice(&gpu, [count], &halves).expect("a tensor");
            assert_eq!(tensor.read::<half::f16>().expect("halves"), halves);
            let widened: Vec<f32> = halves.iter().map(|h| h.to_f32()).collect();
            assert_eq!(tensor.read::<f32>().expect("widened"), widened);
            let relu = ReLU::new().build(&gpu, [count]).expect("a layer").call(&tensor).expect("a call");
            assert_eq!(relu.dtype(), DType::F32, "the layer's policy is float32, to which it casts");
            assert_eq!(relu.read::<f32>().expect("values"), widened.iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_buffer_of_the_callers() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device.clone(), queue.clone());
    let alignment = u64::from(gpu.caps().binding_alignment);
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = |size, usage| {
        device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
    };
    let values = wave(2 * 5 * 5 * 3);
    let shared = buffer(4 * alignment + 600, usage);
    queue.write_buffer(&shared, 4 * alignment, bytemuck::cast_slice(&values));
    let foreign = Tensor::from_buffer(&gpu, shared.clone(), 4 * alignment, [2, 5, 5, 3], DType::F32).expect("a tensor");
    let own = tensor(&gpu, [2, 5, 5, 3], wave);
    let layer = Conv2D::new(4, 3).build(&gpu, [2, 5, 5, 3]).expect("a layer");
    assert_eq!(bits(&foreign), bits(&own));
    assert_eq!(bits(&layer.call(&foreign).expect("a call")), bits(&layer.call(&own).expect("a call")));
    let (held, offset) = foreign.buffer();
    assert_eq!((held, offset), (&shared, 4 * alignment));
    let refusals = [
        (
            buffer(600, wgpu::BufferUsages::COPY_DST),
            0,
            "buffer",
            "the buffer must have the usages STORAGE and COPY_SRC",
        ),
        (buffer(600, wgpu::BufferUsages::STORAGE), 0, "buffer", "the buffer must have the usages STORAGE and COPY_SRC"),
        (shared.clone(), 4, "offset", "the offset must be a multiple of"),
        (shared.clone(), 8 * alignment, "buffer", "the buffer must hold the shape"),
        (buffer(596, usage), 0, "buffer", "the buffer must hold the shape"),
        (shared, u64::MAX - alignment + 1, "buffer", "the buffer must hold the shape"),
    ];
    for (buffer, offset, argument, rule) in refusals {
        match Tensor::from_buffer(&gpu, buffer, offset, [2, 5, 5, 3], DType::F32) {
            Err(Error::Invalid { argument: named, rule: broken, .. }) => {
                assert!(
                    named == argument && broken.starts_with(rule),
                    "{named}: {broken}, expected {argument}: {rule}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    quiet(&uncaptured);
}

/// A binding that is too large for the device is cut into runs of images; one image that is too large is refused.
#[test]
fn large_batches_are_split() {
    const MEBIBYTE: u64 = 1 << 20;
    let lowered = |limits: &mut wgpu::Limits| {
        limits.max_storage_buffer_binding_size = MEBIBYTE;
        limits.min_storage_buffer_offset_alignment = 256;
    };
    let Some((device, queue, uncaptured)) = device(lowered) else { return };
    let (small, large) = (Gpu::from_wgpu(device, queue), gpu::gpu().expect("a device was opened"));
    assert_eq!(small.caps().max_binding, MEBIBYTE);
    // With fewer channels than Winograd's tiles take, which would round where the other kernels do not.
    let (image, deep) = ([7, 64, 64, 12], [7, 30, 61, 64]);
    let channels_first = DataFormat::ChannelsFirst;
    let transposed = Conv2DTranspose::new(8, 3).strides(2).padding(Padding::Same);
    let rows: Vec<(&str, LayerConfig, [usize; 4])> = vec![
        ("input and output above a binding", Conv2D::new(16, 3).padding(Padding::Same).into(), image),
        ("output only", Conv2D::new(64, 1).into(), [9, 64, 33, 4]),
        ("input only", DepthwiseConv2D::new(3).strides(2).padding(Padding::Same).into(), [11, 64, 64, 20]),
        ("channels first", Conv2D::new(16, 3).data_format(channels_first).into(), [6, 12, 66, 66]),
        ("separable", SeparableConv2D::new(16, 3).padding(Padding::Same).into(), [5, 64, 64, 16]),
        ("one large image", Dense::new(3).into(), [1, 300, 311, 12]),
        ("transposed", transposed.clone().into(), [5, 64, 64, 12]),
        ("transposed, channels first", transposed.data_format(channels_first).into(), [5, 12, 64, 64]),
        ("transposed pointwise", Conv2DTranspose::new(24, 1).into(), [3, 64, 65, 12]),
        ("activation", ReLU::new().max_value(6.0).into(), [7, 64, 65, 11]),
        ("softmax", ActivationLayer::new(Activation::Softmax { axis: -1 }).into(), image),
        ("softmax over rows", ActivationLayer::new(Activation::Softmax { axis: 1 }).into(), image),
        ("batch normalization", BatchNormalization::new().into(), [1, 300, 311, 12]),
        ("batch normalization, channels first", BatchNormalization::new().axis(1).into(), [7, 12, 64, 64]),
        ("layer normalization", LayerNormalization::new().into(), image),
        ("layer normalization of images", LayerNormalization::new().axis([1, 2, 3]).into(), image),
        ("group normalization", GroupNormalization::new(3).into(), image),
        ("unit normalization", UnitNormalization::new().axis([1, 2]).into(), image),
        ("normalization", Normalization::new().into(), image),
        ("rescaling", Rescaling::new(0.5).offset(2.0).into(), image),
        ("parametric", PReLU::new().into(), image),
        ("parametric by channel", PReLU::new().shared_axes([1, 2]).into(), [7, 64, 64, 20]),
        ("max pooling", MaxPooling2D::new(2).into(), image),
        ("mean pooling", AveragePooling2D::new(3).strides(1).padding(Padding::Same).into(), image),
        ("max pooling, channels first", MaxPooling2D::new(3).data_format(channels_first).into(), [6, 12, 66, 66]),
        ("global pooling", GlobalAveragePooling2D::new().into(), deep),
        (
            "global pooling, channels first",
            GlobalMaxPooling2D::new().data_format(channels_first).into(),
            [7, 12, 64, 64],
        ),
        ("padding", ZeroPadding2D::new([[1, 2], [0, 3]]).into(), deep),
        ("padding, channels first", ZeroPadding2D::new(1).data_format(channels_first).into(), [7, 12, 64, 64]),
        ("cropping", Cropping2D::new([[1, 2], [0, 3]]).into(), deep),
        ("padding by edges", Pad::new([[0, 0], [1, 2], [0, 0], [2, -1]]).mode(PadMode::Edge).into(), image),
        ("padding by reflection", Pad::new([[0, 0], [1, 2], [3, 0], [0, 0]]).mode(PadMode::Reflect).into(), deep),
        ("enlarging", UpSampling2D::new(2).into(), [3, 64, 64, 12]),
        ("resizing", Resize::new(ResizeTo::Sizes([70, 50])).interpolation(Interpolation::Linear).into(), image),
        ("permutation", Permute::new([3, 1, 2]).into(), image),
        ("reduction", Reduce::new(ReduceFunction::L2).axes([1, 3]).into(), image),
        ("slices backwards", Slice::new([-1, 9], [-99, 0]).axes([1, 2]).steps([-1, -2]).into(), [7, 64, 64, 12]),
    ];
    test_each(
        rows,
        |(name, ..)| *name,
        |(_, config, shape)| {
            let run = |gpu: &Gpu| -> Result<(Vec<u32>, u64)> {
                let mut layer = config.build(gpu, *shape)?;
                make_whole(&mut layer);
                let input = tensor(gpu, *shape, whole);
                let before = gpu.counters().submissions;
                let output = layer.call(&input)?;
                let submissions = gpu.counters().submissions - before;
                Ok((bits(&output), submissions))
            };
            let error = |error: Error| error.to_string();
            let (split, unsplit) = (run(&small).map_err(error)?, run(&large).map_err(error)?);
            if split.0 != unsplit.0 {
                return Err("the split result differs".to_owned());
            }
            if split.1 > unsplit.1 { Err(format!("{} submissions", split.1)) } else { Ok(()) }
        },
    );
    let pairs: Vec<(&str, LayerConfig, [[usize; 4]; 2])> = vec![
        ("addition", Merge::add().into(), [image, image]),
        ("an image added to all", Broadcast::new(BinaryFunction::Add).into(), [image, [1, 64, 64, 12]]),
        ("a factor for each channel", Merge::multiply().into(), [deep, [7, 1, 1, 64]]),
        ("concatenation", Concatenate::new().into(), [image, [7, 64, 64, 5]]),
        ("concatenation of rows", Concatenate::new().axis(1).into(), [image, [7, 30, 64, 12]]),
    ];
    test_each(
        pairs,
        |(name, ..)| *name,
        |(_, config, shapes)| {
            let run = |gpu: &Gpu| -> Result<Vec<u32>> {
                let layer = config.build_all(gpu, &shapes.map(Into::into))?;
                Ok(bits(&layer.call_all(&shapes.map(|shape| tensor(gpu, shape, whole)))?))
            };
            let error = |error: Error| error.to_string();
            let (split, unsplit) = (run(&small).map_err(error)?, run(&large).map_err(error)?);
            if split == unsplit { Ok(()) } else { Err("the split result differs".to_owned()) }
        },
    );
    // One image is too large; and 16 of the next would have to go together for the second run to start aligned.
    let refusals = [
        ([1, 512, 513, 1], 512 * 513 * 4, "bytes of one storage binding"),
        (
            [17, 65, 63, 20],
            16 * 65 * 63 * 20 * 4,
            "bytes of one storage binding of 16 parts, whose runs start at multiples of 256 bytes",
        ),
    ];
    for (shape, bytes, what) in refusals {
        let layer = DepthwiseConv2D::new(3).padding(Padding::Same).build(&small, shape).expect("a layer");
        match layer.call(&tensor(&small, shape, whole)) {
            Err(Error::Limit { resource, needed, limit }) => {
                assert_eq!((&*resource, needed, limit), (what, bytes, MEBIBYTE));
            }
            other => panic!("{other:?}"),
        }
    }
    quiet(&uncaptured);
}

/// What no buffer can hold is an error that says how much it was.
#[test]
fn too_large_is_an_error() {
    let lowered = |limits: &mut wgpu::Limits| {
        limits.max_buffer_size = 4 << 20;
        limits.max_storage_buffer_binding_size = 4 << 20;
    };
    let Some((device, queue, uncaptured)) = device(lowered) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let input = tensor(&gpu, [1, 64, 64, 1], wave);
    let refusals: [(&str, Result<Tensor>); 4] = [
        ("a tensor", Tensor::from_slice(&gpu, [1 << 21], &vec![0.0f32; 1 << 21])),
        ("an output", Conv2D::new(4096, 1).build(&gpu, input.shape()).and_then(|layer| layer.call(&input))),
        (
            "an output that 32 bits cannot number",
            Conv2D::new(1 << 20, 1).build(&gpu, input.shape()).and_then(|layer| layer.call(&input)),
        ),
        ("a kernel", Conv2D::new(1 << 21, 1).build(&gpu, input.shape()).and_then(|layer| layer.call(&input))),
    ];
    for (what, outcome) in refusals {
        match outcome {
            Err(Error::Limit { needed, limit, .. }) => assert!(needed > limit, "{what}: {needed} of {limit}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    quiet(&uncaptured);
}

/// More workgroups than one dimension of a launch may have are folded into the others.
#[test]
fn workgroups_fold() {
    let Some((device, queue, uncaptured)) = device(|limits| limits.max_compute_workgroups_per_dimension = 5) else {
        return;
    };
    let (folded, flat) = (Gpu::from_wgpu(device, queue), gpu::gpu().expect("a device was opened"));
    assert_eq!(folded.caps().max_workgroups, 5);
    for config in every_layer() {
        let shape = [3, 11, 13, 4];
        let run = |gpu: &Gpu| -> Result<BTreeMap<String, Vec<u32>>> {
            // A handle of this test's own, for the pins of a shared one are everybody's.
            let gpu = Gpu::from_wgpu(gpu.device().clone(), gpu.queue().clone());
            let mut layer = config.build(&gpu, shape)?;
            if !matches!(config, LayerConfig::BatchNormalization(_)) {
                make_whole(&mut layer);
            }
            let mut names = vec![String::new()];
            for problem in config.convolutions(shape)? {
                let plans = gpu.candidates(&Problem::Conv(problem))?;
                names.extend(plans.into_iter().map(|plan| plan.name()));
            }
            let input = tensor(&gpu, shape, whole);
            let mut results = BTreeMap::new();
            for name in names {
                gpu.set_tuning(Tuning::Pin(name.clone()));
                results.insert(name, bits(&layer.call(&input)?));
            }
            Ok(results)
        };
        let (folded, flat) = (run(&folded).expect("folded"), run(&flat).expect("flat"));
        assert!(folded.keys().eq(flat.keys()), "{}: {:?} and {:?}", config.class_name(), folded.keys(), flat.keys());
        for (name, folded) in &folded {
            let differ = folded.iter().zip(&flat[name]).filter(|(a, b)| a != b).count();
            assert_eq!(differ, 0, "{}: values of {name} that differ", config.class_name());
        }
    }
    // 5³ workgroups are not enough for this.
    let input = tensor(&folded, [1 << 14], wave);
    match ReLU::new().build(&folded, [1 << 14]).and_then(|layer| layer.call(&input)) {
        Err(Error::Limit { resource, needed, limit }) => {
            assert_eq!((&*resource, needed, limit), ("workgroups of one dispatch", 256, 125))
        }
        other => panic!("{other:?}"),
    }
    quiet(&uncaptured);
}

#[test]
fn several_layers_in_one_submission() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let shape = [2, 8, 9, 3];
    let layers = [
        Conv2D::new(8, 3).padding(Padding::Same).activation(Activation::RELU).build(&gpu, shape).expect("a layer"),
        DepthwiseConv2D::new(3).build(&gpu, [2, 8, 9, 8]).expect("a layer"),
        SeparableConv2D::new(5, 2)
            .activation(Activation::Softmax { axis: -1 })
            .build(&gpu, [2, 6, 7, 8])
            .expect("a layer"),
    ];
    let input = tensor(&gpu, shape, wave);
    let one_by_one = layers.iter().try_fold(input.clone(), |x, layer| layer.call(&x)).expect("calls");
    let expected = bits(&one_by_one);
    let before = gpu.counters().submissions;
    let mut commands = Commands::new(&gpu);
    let output = layers.iter().try_fold(input.clone(), |x, layer| layer.record(&mut commands, &x)).expect("recorded");
    assert_eq!(gpu.counters().submissions, before, "nothing runs before it is submitted");
    commands.submit().expect("submitted");
    assert_eq!(gpu.counters().submissions, before + 1);
    assert_eq!(bits(&output), expected);
    let mut dropped = Commands::new(&gpu);
    layers[0].record(&mut dropped, &input).expect("recorded");
    let before = gpu.counters().submissions;
    drop(dropped);
    assert_eq!(gpu.counters().submissions, before);
    quiet(&uncaptured);
}

#[test]
fn reading_without_blocking() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let values = wave(1000);
    let tensor = Tensor::from_slice(&gpu, [1000], &values).expect("a tensor");
    assert_eq!(pollster::block_on(tensor.read_async::<f32>()).expect("values"), values);
    // A read that is given up leaves its buffer fit for the next.
    for _ in 0..20 {
        let mut reading = pin!(tensor.read_async::<f32>());
        match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => assert_eq!(read.expect("values"), values),
            Poll::Pending => {}
        }
    }
    for _ in 0..20 {
        assert_eq!(tensor.read::<f32>().expect("values"), values);
    }
    quiet(&uncaptured);
}

/// The threads of this process that poll devices for such reads, those of the other tests included; on Linux.
fn pollers() -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return 0 };
    let names = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|name| name.trim() == "wgpu-conv poll").count()
}

#[test]
fn reads_without_blocking_share_one_thread() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let all: Vec<_> = (1..60).map(wave).collect();
    let tensors: Vec<_> =
        all.iter().map(|values| Tensor::from_slice(&gpu, [values.len()], values).expect("a tensor")).collect();
    let mut readings: Vec<_> = tensors.iter().map(|tensor| Box::pin(tensor.read_async::<f32>())).collect();
    let mut early: Vec<_> = readings
        .iter_mut()
        .map(|reading| match reading.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        })
        .collect();
    if cfg!(target_os = "linux") {
        // Each of the few other tests that read so has a device of its own.
        assert!((1..10).contains(&pollers()), "{} threads for {} reads", pollers(), readings.len());
    }
    // The last to begin is the first to be waited for.
    for ((reading, early), values) in readings.into_iter().zip(&mut early).zip(&all).rev() {
        let read = early.take().unwrap_or_else(|| pollster::block_on(reading));
        assert_eq!(read.expect("values"), *values);
    }
    quiet(&uncaptured);
}

#[test]
fn a_lost_device_is_an_error() {
    let Some((device, queue, _)) = device(|_| ()) else { return };
    for gpu in [Gpu::from_wgpu(device, queue), Gpu::new().expect("another device")] {
        let config = LayerConfig::from(Conv2D::new(4, 3));
        let shape = [Some(1), Some(6), Some(6), Some(3)];
        let built = Sequential::new(&gpu).with_input(shape).unwrap().with(Conv2D::new(4, 3)).unwrap();
        let model = built.model().unwrap();
        let layer = config.build(&gpu, [1, 6, 6, 3]).expect("a layer");
        let input = tensor(&gpu, [1, 6, 6, 3], wave);
        let output = layer.call(&input).expect("a call");
        model.call(&input).expect("a call");
        let host = HostTensor::new([1, 6, 6, 3], wave(108)).expect("values");
        let mut recorded = Commands::new(&gpu);
        layer.record(&mut recorded, &input).expect("recorded");
        gpu.device().destroy();
        let read = |tensor: Tensor| tensor.read::<f32>().map(drop);
        let outcomes: [(&str, Result<()>); 11] = [
            ("what was recorded", recorded.submit()),
            ("what was there", read(output.clone())),
            ("an asynchronous read", pollster::block_on(output.read_async::<f32>()).map(drop)),
            ("a call", layer.call(&input).map(drop)),
            ("a new shape", layer.call(&input.reshape([1, 4, 9, 3]).expect("a shape")).map(drop)),
            ("an upload", Tensor::from_slice(&gpu, [3], &[0.0f32; 3]).map(drop)),
            ("a layer", config.build(&gpu, [1, 6, 6, 3]).and_then(|layer| layer.call(&input)).map(drop)),
            ("a model", model.call(&input).map(drop)),
            ("a prediction", model.predict(&host).map(drop)),
            ("waiting", gpu.synchronize()),
            ("another handle", Tensor::from_slice(&gpu.apart(), [3], &[0.0f32; 3]).map(drop)),
        ];
        for (what, outcome) in outcomes {
            let said = outcome.as_ref().map_err(ToString::to_string);
            let named =
                matches!(&said, Err(text) if text.contains("the device was lost: ") && text.contains("open another"));
            assert!(named && matches!(outcome, Err(Error::Gpu { .. })), "{what}: {said:?}");
        }
    }
}

#[test]
fn tensors_of_another_device_are_refused() {
    let (Some((device, queue, uncaptured)), Some(here)) = (device(|_| ()), gpu::gpu()) else { return };
    let there = Gpu::from_wgpu(device, queue);
    let input = tensor(&there, [1, 6, 6, 3], wave);
    let shape = [Some(1), Some(6), Some(6), Some(3)];
    let refused = |outcomes: [(&str, Result<()>); 2]| {
        for (argument, outcome) in outcomes {
            match outcome {
                Err(Error::Invalid { argument: named, received, .. }) => {
                    assert_eq!((&*named, received), (argument, format!("{argument} of another Gpu")));
                }
                other => panic!("{argument}: {other:?}"),
            }
        }
    };
    let layers: [LayerConfig; 2] = [Conv2D::new(4, 3).into(), ReLU::new().into()];
    for config in layers {
        let layer = config.build(&here, [1, 6, 6, 3]).expect("a layer");
        let own = tensor(&here, [1, 6, 6, 3], wave);
        let recorded = layer.record(&mut Commands::new(&there), &own).map(drop);
        refused([("input", layer.call(&input).map(drop)), ("commands", recorded)]);
        let built = Sequential::new(&here).with_input(shape).unwrap().with(config).unwrap();
        let model = built.model().unwrap();
        let recorded = model.record(&mut Commands::new(&there), &[own]).map(drop);
        refused([("input", model.call(&input).map(drop)), ("commands", recorded)]);
    }
    let merge = LayerConfig::from(Merge::add()).build_all(&here, &[shape.into(), shape.into()]).expect("a layer");
    let mixed = merge.call_all(&[tensor(&here, [1, 6, 6, 3], wave), input.clone()]).map(drop);
    refused([("input", mixed), ("input", merge.call_all(&[input.clone(), input]).map(drop))]);
    quiet(&uncaptured);
}

/// wgpu numbers buffers anew in each instance: the number of another's may be that of one here.
#[test]
fn buffers_of_another_device_are_refused() {
    let (Some((device, queue, uncaptured)), Some(here)) = (device(|_| ()), gpu::gpu()) else { return };
    let there = Gpu::from_wgpu(device.clone(), queue.clone());
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let descriptor = |mapped_at_creation| wgpu::BufferDescriptor { label: None, size: 1024, usage, mapped_at_creation };
    let of = |gpu: &Gpu, buffer| Tensor::from_buffer(gpu, buffer, 0, [16, 16], DType::F32);
    let refused = |outcome: Result<Tensor>| match outcome {
        Err(Error::Invalid { argument, rule, .. }) => {
            assert!(argument == "buffer" && rule.contains("made by the device"), "{rule}");
        }
        other => panic!("{other:?}"),
    };
    // As many as make sure that numbers meet.
    for _ in 0..40 {
        let (one, other) = (here.device().create_buffer(&descriptor(false)), device.create_buffer(&descriptor(false)));
        refused(of(&there, one.clone()));
        refused(of(&here, other.clone()));
        assert_eq!(bits(&of(&here, one).expect("one's own")).len(), 256);
        of(&there, other.clone()).expect("one's own");
        of(&there.apart(), other).expect("another handle to the device");
    }
    let output = tensor(&there, [16, 16], wave);
    refused(of(&here, output.buffer().0.clone()));
    // Two devices of one adapter, and one that no `Gpu` stands for.
    let Some((third, _queue, third_uncaptured)) = self::device(|_| ()) else { return };
    refused(of(&there, third.create_buffer(&descriptor(false))));
    refused(of(&there, device.create_buffer(&descriptor(true))));
    assert_eq!(bits(&tensor(&there, [16, 16], wave)), bits(&output), "both devices are as they were");
    quiet(&uncaptured);
    assert!(third_uncaptured.lock().unwrap().len() <= 1);
}

#[test]
fn what_was_not_submitted_is_not_read() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let shape = [None, Some(6), Some(6), Some(3)];
    let layer = Conv2D::new(4, 3).build(&gpu, shape).expect("a layer");
    let next = ReLU::new().build(&gpu, [None, Some(4), Some(4), Some(4)]).expect("a layer");
    let built = Sequential::new(&gpu).with_input(shape).unwrap().with(Conv2D::new(4, 3)).unwrap();
    let model = built.model().unwrap();
    let input = tensor(&gpu, [2, 6, 6, 3], wave);
    // What the memory held before.
    let stale = bits(&layer.call(&input).expect("a call"));
    let refused = |what: &str, outcome: Result<()>| match outcome {
        Err(Error::Invalid { rule, .. }) => assert!(rule.contains("Commands::submit"), "{what}: {rule}"),
        other => panic!("{what}: {other:?}"),
    };
    let mut commands = Commands::new(&gpu);
    let output = layer.record(&mut commands, &input).expect("recorded");
    let compiled = model.record(&mut commands, std::slice::from_ref(&input)).expect("recorded").swap_remove(0);
    let view = output.reshape([2, 64]).expect("a shape").reshape([2, 4, 4, 4]).expect("a shape");
    for (what, tensor) in [("a layer's", &output), ("a model's", &compiled), ("a view", &view)] {
        refused(what, tensor.read::<f32>().map(drop));
        refused(what, pollster::block_on(tensor.read_async::<f32>()).map(drop));
        refused(what, next.call(tensor).map(drop));
        refused(what, next.record(&mut Commands::new(&gpu), tensor).map(drop));
        refused(what, model.call(tensor).map(drop));
    }
    // The commands that compute it may read it, and everybody once they are submitted.
    let chained = next.record(&mut commands, &view).expect("recorded");
    let empty = layer.record(&mut commands, &tensor(&gpu, [0, 6, 6, 3], wave)).expect("recorded");
    assert_eq!(empty.read::<f32>().expect("nothing to wait for"), [0.0; 0]);
    commands.submit().expect("submitted");
    assert_eq!(bits(&output), stale);
    assert_eq!(bits(&compiled).len(), stale.len());
    assert_eq!(bits(&chained), bits(&next.call(&output).expect("a call")));
    // Dropped, nothing runs.
    let mut dropped = Commands::new(&gpu);
    let never = layer.record(&mut dropped, &input).expect("recorded");
    drop(dropped);
    refused("dropped", never.read::<f32>().map(drop));
    refused("dropped", next.call(&never).map(drop));
    quiet(&uncaptured);
}

#[test]
fn threads_share_a_layer() {
    let Some((device, queue, uncaptured)) = device(|_| ()) else { return };
    let gpu = Gpu::from_wgpu(device, queue);
    let layer = SeparableConv2D::new(6, 3)
        .activation(Activation::RELU)
        .build(&gpu, [None, None, None, Some(4)])
        .expect("a layer");
    let shapes = [[1, 9, 8, 4], [2, 7, 11, 4], [1, 12, 5, 4], [3, 6, 6, 4]];
    let expected = shapes.map(|shape| bits(&layer.call(&tensor(&gpu, shape, wave)).expect("a call")));
    std::thread::scope(|scope| {
        for (shape, expected) in shapes.iter().zip(&expected) {
            let (gpu, layer) = (&gpu, &layer);
            scope.spawn(move || {
                for _ in 0..25 {
                    let output = layer.call(&tensor(gpu, *shape, wave)).expect("a call");
                    assert_eq!(bits(&output), *expected, "{shape:?}");
                }
            });
        }
    });
    quiet(&uncaptured);
}

/// A8: the plain names work along the last axis of the array, which is the width where channels come first; the channels
/// are asked for explicitly.
#[test]
fn axes_of_activations() {
    let Some(gpu) = gpu::gpu() else { return };
    let shape = [2, 6, 4, 8];
    let x = Array::from_f32(shape.to_vec(), &wave(2 * 6 * 4 * 8));
    let exact = x.map(|_| 0.0);
    let mut rows = Vec::new();
    for name in ["softmax", "log_softmax", "sparsemax", "glu"] {
        let plain = Activation::from_name(name).expect("a name");
        rows.push((name, plain, -1));
        rows.push((name, plain.over_channels(DataFormat::ChannelsLast, 4), 3));
        rows.push((name, plain.over_channels(DataFormat::ChannelsFirst, 4), 1));
    }
    rows.extend([("softmax", Activation::Softmax { axis: 0 }, 0), ("glu", Activation::Glu { axis: -4 }, -4)]);
    test_each(
        rows,
        |(name, activation, _)| format!("{name} {activation:?}"),
        |(name, activation, axis)| {
            let layer = ActivationLayer::new(*activation).build(&gpu, shape);
            let output =
                layer.and_then(|layer| layer.call(&tensor(&gpu, shape, wave))).map_err(|error| error.to_string())?;
            let expected = tolerance::activated(&x, &exact, name, &[("axis", f64::from(*axis))], Storage::F32);
            if output.shape().dims() != expected.exact.shape {
                return Err(format!("shape {}, expected {:?}", output.shape(), expected.exact.shape));
            }
            expected.check(&output.read::<f32>().map_err(|error| error.to_string())?)
        },
    );
}

/// Where Keras gives NaN at an infinity, the limit that is accepted instead (A6); squareplus has the same
/// indeterminate form.
fn limit(name: &str, x: f32) -> Option<f32> {
    match name {
        "silu" | "hard_silu" | "mish" | "gelu" | "squareplus" if x < 0.0 => Some(0.0),
        // The reference multiplies the slope of 0 by infinity, which Keras does not.
        "relu" if x < 0.0 => Some(0.0),
        "softsign" => Some(x.signum()),
        _ => None,
    }
}

/// NaN goes in and comes out as in the reference, which compares it away where Keras does (A5); infinities go where Keras sends
/// them or to the limit. Shaders need not keep to either on hardware; on the software adapters they do.
#[test]
fn values_that_are_no_numbers() {
    let Some(gpu) = gpu::gpu() else { return };
    if !gpu.caps().software {
        println!("skipped: {} is no software adapter", gpu.info().name);
        return;
    }
    let input = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0, -1.0, f32::MAX, f32::MIN];
    test_each(
        ACTIVATIONS.into_iter().filter(|name| Activation::from_name(name).is_ok_and(|a| a.axis().is_none())),
        |name| *name,
        |name| {
            let activation = Activation::from_name(name).map_err(|error| error.to_string())?;
            let layer = ActivationLayer::new(activation).build(&gpu, [8]);
            let output = layer
                .and_then(|layer| layer.call(&Tensor::from_slice(&gpu, [8], &input)?))
                .and_then(|y| y.read::<f32>());
            let got = output.map_err(|error| error.to_string())?;
            let reference = activate(name, &[], &Array::from_f32([8], &input));
            for (i, (&x, &y)) in input.iter().zip(&got).enumerate() {
                let exact = reference.data[i] as f32;
                let right = if x.is_nan() {
                    y == exact || y.is_nan() && exact.is_nan()
                } else if x.is_infinite() && exact.is_nan() {
                    y.is_nan() || limit(name, x) == Some(y)
                } else if exact.is_infinite() || x.is_infinite() && exact.abs() <= 1.0 {
                    (y - exact).abs() <= f32::EPSILON || y == exact
                } else {
                    !y.is_nan()
                };
                if !right {
                    return Err(format!("{x} gives {y}, exact is {exact}"));
                }
            }
            Ok(())
        },
    );
}

/// A NaN in the window makes its outputs NaN and no others; padding stays clean of infinite weights.
#[test]
fn no_numbers_in_a_window() {
    let Some(gpu) = gpu::gpu() else { return };
    if !gpu.caps().software {
        println!("skipped: {} is no software adapter", gpu.info().name);
        return;
    }
    let mut values = vec![1.0f32; 5 * 6 * 4];
    values[(2 * 6 + 3) * 4] = f32::NAN;
    let layer = Conv2D::new(4, 3).padding(Padding::Same).build(&gpu, [1, 5, 6, 4]).expect("a layer");
    let own = Gpu::from_wgpu(gpu.device().clone(), gpu.queue().clone());
    let input = Tensor::from_slice(&own, [1, 5, 6, 4], &values).expect("a tensor");
    let [problem] = layer.config().convolutions([1, 5, 6, 4]).expect("a convolution")[..] else {
        panic!("one convolution")
    };
    let layer = layer.config().build(&own, [1, 5, 6, 4]).expect("a layer");
    for plan in own.candidates(&Problem::Conv(problem)).expect("plans") {
        own.set_tuning(Tuning::Pin(plan.name()));
        let output = layer.call(&input).and_then(|y| y.read::<f32>()).expect("values");
        for (i, y) in output.iter().enumerate() {
            let (row, column) = (i / 24, i / 4 % 6);
            let touched = row.abs_diff(2) <= 1 && column.abs_diff(3) <= 1;
            assert_eq!(y.is_nan(), touched, "{} at row {row}, column {column}: {y}", plan.name());
        }
    }
}
