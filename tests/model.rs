//! Models: made layer by layer, and read from the file of one that Keras trained.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/networks.rs"]
pub mod networks;

use common::tolerance::MODEL_DEV;
use wgpu_conv::layers::{
    ActivationLayer, AveragePooling2D, BatchNormalization, Concatenate, Conv2D, Conv2DTranspose, Cropping2D, Dense,
    DepthwiseConv2D, Dropout, GlobalAveragePooling2D, LayerConfig, MaxPooling2D, Merge, MergeKind, ReLU, Reshape,
    SeparableConv2D, Softmax, UpSampling2D, ZeroPadding2D,
};
use wgpu_conv::model::{Functional, Sequential, Symbol};
use wgpu_conv::plan::Problem;
use wgpu_conv::{Activation, DataFormat, Gpu, HostTensor, Padding, Tensor, Tuning};

const INPUT: [Option<usize>; 4] = [None, Some(6), Some(7), Some(3)];

fn numbers(shape: [usize; 4]) -> HostTensor {
    let count = shape.iter().product::<usize>();
    HostTensor::new(shape, (0..count).map(|index| (index % 17) as f32 / 8.0 - 1.0).collect()).unwrap()
}

fn upload(gpu: &Gpu, data: &HostTensor) -> Tensor {
    Tensor::from_slice(gpu, &data.shape, &data.values).unwrap()
}

fn small(gpu: &Gpu) -> Sequential {
    Sequential::new(gpu)
        .with_input(INPUT)
        .unwrap()
        .with(Conv2D::new(4, 3).name("conv").activation(Activation::RELU))
        .unwrap()
        .with(Dropout::new(0.5).name("drop"))
        .unwrap()
        .with(GlobalAveragePooling2D::new().name("pool"))
        .unwrap()
        .with(Dense::new(5).name("scores"))
        .unwrap()
}

#[test]
fn a_model_is_its_layers_one_after_another() {
    let Some(gpu) = gpu::gpu() else { return };
    let model = small(&gpu);
    let data = numbers([3, 6, 7, 3]);
    let input = upload(&gpu, &data);
    let one_by_one = model.layers().iter().fold(input.clone(), |x, (_, layer)| layer.call(&x).unwrap());
    let expected = one_by_one.read::<f32>().unwrap();
    assert_eq!(model.call(&input).unwrap().read::<f32>().unwrap(), expected);
    assert_eq!(model.predict(&data).unwrap(), HostTensor::new([3, 5], expected).unwrap());
    let recorded = model.call_recorded(&input).unwrap();
    let shapes: Vec<_> = recorded.iter().map(|made| format!("{} {}", made.path, made.output.shape())).collect();
    assert_eq!(shapes, ["conv (3, 4, 5, 4)", "drop (3, 4, 5, 4)", "pool (3, 4)", "scores (3, 5)"]);
}

#[test]
fn a_model_runs_in_one_submission_and_compiles_nothing_twice() {
    let Some(gpu) = gpu::gpu() else { return };
    // A device of its own, whose counters no other test moves.
    let gpu = Gpu::open(&wgpu_conv::AdapterChoice::Name(gpu.info().name.clone())).unwrap();
    let model = small(&gpu);
    let input = upload(&gpu, &numbers([2, 6, 7, 3]));
    model.call(&input).unwrap();
    let before = gpu.counters();
    model.call(&input).unwrap();
    let after = gpu.counters();
    assert_eq!(after.submissions - before.submissions, 1);
    assert_eq!(after.pipelines, before.pipelines);
}

#[test]
fn an_input_shape_may_come_with_the_first_call() {
    let Some(gpu) = gpu::gpu() else { return };
    let model = Sequential::from_layers(&gpu, [Conv2D::new(2, 3).name("a"), Conv2D::new(2, 1).name("b")]).unwrap();
    assert!(model.weights().is_empty() && model.output_shape().is_none() && model.count_params() == 0);
    assert!(model.summary().contains("0 (unbuilt)"), "{}", model.summary());
    assert!(model.get_layer("a").is_err());
    model.call(&upload(&gpu, &numbers([2, 6, 7, 3]))).unwrap();
    let paths: Vec<_> = model.weights().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["a/kernel", "a/bias", "b/kernel", "b/bias"]);
    assert_eq!(model.output_shape().unwrap().to_string(), "(None, 4, 5, 2)");
    // Other batches and sizes are welcome, other channels are not.
    assert_eq!(model.call(&upload(&gpu, &numbers([1, 9, 5, 3]))).unwrap().shape().dims(), [1, 7, 3, 2]);
    let refused = model.call(&upload(&gpu, &numbers([1, 9, 5, 4]))).unwrap_err().to_string();
    assert!(refused.contains("layer a"), "{refused}");
}

#[test]
fn layers_are_added_taken_away_and_shared() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut model = Sequential::new(&gpu).with_input(INPUT).unwrap();
    assert!(!model.pop());
    model.add(Conv2D::new(3, 3).name("conv")).unwrap().again("conv").unwrap();
    assert_eq!((model.layers().len(), model.count_params()), (1, 84));
    assert_eq!(model.output_shape().unwrap().to_string(), "(None, 2, 3, 3)");
    assert!(model.summary().contains("input, conv"), "{}", model.summary());
    let conv = model.get_layer("conv").unwrap();
    let input = upload(&gpu, &numbers([1, 6, 7, 3]));
    let twice = conv.call(&conv.call(&input).unwrap()).unwrap().read::<f32>().unwrap();
    assert_eq!(model.call(&input).unwrap().read::<f32>().unwrap(), twice);
    assert!(model.pop() && model.layers().len() == 1 && model.pop() && model.layers().is_empty());

    let pipe = Sequential::new(&gpu).with_input(INPUT).unwrap() | DepthwiseConv2D::new(3) | Conv2D::new(2, 1);
    assert_eq!(pipe.finish().unwrap().output_shape().unwrap().to_string(), "(None, 4, 5, 2)");
}

#[test]
fn what_does_not_fit_is_refused_where_it_is_added() {
    let Some(gpu) = gpu::gpu() else { return };
    let mut model = small(&gpu);
    let layers = model.layers().len();
    let refusals: [(LayerConfig, &str); 4] = [
        (Dense::new(2).name("conv").into(), "must be unique"),
        (Dense::new(2).name("input").into(), "must be unique"),
        (Conv2D::new(2, 3).name("late").into(), "late"),
        (Conv2D::new(0, 3).into(), "filters"),
    ];
    for (layer, reason) in refusals {
        let error = model.add(layer).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(model.again("nobody").unwrap_err().to_string().contains("conv, drop, pool, scores"));
    assert!(model.get_layer("nobody").unwrap_err().to_string().contains("conv, drop, pool, scores"));
    assert!(model.get_layer(4).unwrap_err().to_string().contains("index 4 of 4"));
    assert_eq!(model.get_layer(3).unwrap().name(), "scores");
    assert_eq!(model.layers().len(), layers);
    assert!(model.with_input(INPUT).unwrap_err().to_string().contains("before its layers"));

    let mut waiting = Sequential::from_layers(&gpu, [Conv2D::new(2, 3).name("a")]).unwrap();
    assert!(waiting.add(Conv2D::new(2, 3).name("a")).unwrap_err().to_string().contains("must be unique"));
    assert!(waiting.again("b").unwrap_err().to_string().contains("must be one of a"));
}

#[test]
fn predicting_takes_any_number_of_inputs() {
    let Some(gpu) = gpu::gpu() else { return };
    let model = small(&gpu);
    let all = model.predict(&numbers([70, 6, 7, 3])).unwrap();
    assert_eq!(all.shape.dims(), [70, 5]);
    let model = model.into_model().unwrap();
    let data = numbers([70, 6, 7, 3]);
    let sizes: Vec<_> = model.predict_batches(&data, 32).unwrap().map(|batch| batch.unwrap().shape.dims()[0]).collect();
    assert_eq!(sizes, [32, 32, 6]);
    let none = model.predict(&numbers([0, 6, 7, 3])).unwrap();
    assert_eq!((none.shape.dims(), none.values.len()), (&[0, 5][..], 0));
    assert!(model.predict_batches(&data, 0).err().unwrap().to_string().contains("batch_size"));
    let torn = HostTensor { shape: [2, 6, 7, 3].into(), values: vec![0.0; 7] };
    assert!(model.predict(&torn).is_err());
    let no_axis = HostTensor { shape: Vec::new().into(), values: vec![0.0] };
    assert!(model.predict(&no_axis).is_err());
}

#[test]
fn a_summary_fits_a_terminal() {
    let Some(gpu) = gpu::gpu() else { return };
    let text = small(&gpu).named("small").summary();
    assert!(text.starts_with("Model: \"small\"\n"), "{text}");
    for part in ["conv (Conv2D)", "(None, 4, 5, 4)", "│           112 │", "Total params: 137 (548.00 B)"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[cfg(all(feature = "keras", feature = "image", feature = "npy", feature = "safetensors"))]
mod digits {
    use std::io::{Read, Write};
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::common::fixtures::{dev, path, tensors};
    use crate::common::reference::Array;
    use wgpu_conv::formats::{InputReader, KerasFile, input_files, read_labels};
    use wgpu_conv::model::{Model, top};

    /// The conformance material's own limit for whole models.
    const LIMIT: f64 = 1e-4;

    fn fixture(name: &str) -> PathBuf {
        path(&format!("models/digits/{name}"))
    }

    fn host(array: &Array) -> HostTensor {
        HostTensor::new(array.shape.clone(), array.to_f32()).unwrap()
    }

    fn labels(scores: &HostTensor) -> Vec<f64> {
        scores.values.chunks(10).map(|row| top(row, 1)[0].0 as f64).collect()
    }

    #[test]
    fn every_label_is_the_one_keras_gave() {
        let Some(gpu) = gpu::gpu() else { return };
        let model = Model::load(&gpu, fixture("model.keras")).unwrap();
        let expected = tensors(&fixture("expected.safetensors")).unwrap();
        let scores = model.predict(&host(&expected["input_0"])).unwrap();
        assert_eq!(labels(&scores), expected["keras_pred"].data);
        let dev = dev(&scores.values, &expected["output_0"].data);
        assert!(dev <= LIMIT, "{dev:e}");
        assert_eq!(model.count_params(), 9466);
        assert!(model.summary().contains("Non-trainable params: 192"), "{}", model.summary());
    }

    #[test]
    fn every_layer_has_the_statistics_keras_gave() {
        let Some(gpu) = gpu::gpu() else { return };
        let model = Model::load(&gpu, fixture("model.keras")).unwrap();
        let input = host(&tensors(&fixture("expected.safetensors")).unwrap()["input_0"]);
        let recorded = model.call_recorded(&[upload(&gpu, &input)]).unwrap();
        let rows: Vec<serde_json::Value> =
            serde_json::from_str(&std::fs::read_to_string(fixture("layers.json")).unwrap()).unwrap();
        let rows: Vec<_> = rows.into_iter().filter(|row| row["class"] != "InputLayer").collect();
        assert_eq!(rows.len(), recorded.len());
        common::test_each(
            rows.into_iter().zip(recorded),
            |(row, _)| row["layer"].to_string(),
            |(row, made)| {
                let (name, tensor) = (&made.path, &made.output);
                let shape: Vec<usize> = serde_json::from_value(row["shape"].clone()).unwrap();
                if row["layer"] != name.as_str() || shape != tensor.shape().dims() {
                    return Err(format!("{name} {}", tensor.shape()));
                }
                let values = tensor.read::<f32>().map_err(|error| error.to_string())?;
                let wide = || values.iter().map(|&value| f64::from(value));
                let count = values.len() as f64;
                let mean = wide().sum::<f64>() / count;
                let deviation = (wide().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
                let mut got = vec![
                    mean,
                    deviation,
                    wide().fold(f64::INFINITY, f64::min),
                    wide().fold(f64::NEG_INFINITY, f64::max),
                ];
                got.extend(wide().take(8));
                got.extend(wide().skip(values.len() - 4));
                let number = |value: &serde_json::Value| value.as_f64().unwrap();
                let mut golden: Vec<f64> = ["mean", "std", "min", "max"].iter().map(|key| number(&row[*key])).collect();
                for key in ["first8", "last4"] {
                    golden.extend(row[key].as_array().unwrap().iter().map(number));
                }
                let dev = dev(&got, &golden);
                if dev <= LIMIT { Ok(()) } else { Err(format!("dev {dev:e}")) }
            },
        );
    }

    #[test]
    fn pictures_are_classified_by_what_they_show() {
        let Some(gpu) = gpu::gpu() else { return };
        let model = Model::load(&gpu, fixture("model.keras")).unwrap();
        let reader = InputReader::new(&model).unwrap();
        let pictures = input_files(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/digits")).unwrap();
        assert_eq!(pictures.len(), 20);
        let expected = tensors(&fixture("expected.safetensors")).unwrap();
        common::test_each(
            pictures,
            |picture| picture.display().to_string(),
            |picture| {
                let inputs = reader.read(picture).map_err(|error| error.to_string())?;
                let stem = picture.file_stem().unwrap().to_str().unwrap();
                let (digit, row) = stem.strip_prefix("digit_").unwrap().split_once('_').unwrap();
                let row: usize = row.parse().unwrap();
                let golden = &expected["input_0"].data[row * 64..][..64];
                let apart =
                    inputs.data.values.iter().zip(golden).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
                let label = labels(&model.predict(&inputs.data).map_err(|error| error.to_string())?)[0];
                if apart > 1.0 / 509.0 || inputs.note.is_some() || label.to_string() != digit {
                    return Err(format!("label {label}, pixels {apart} apart, {:?}", inputs.note));
                }
                Ok(())
            },
        );
    }

    /// A directory of this test's own.
    fn scratch(name: &str) -> PathBuf {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn pictures_of_other_sizes_and_colours_are_made_to_fit() {
        let Some(gpu) = gpu::gpu() else { return };
        let model = Model::load(&gpu, fixture("model.keras")).unwrap();
        let reader = InputReader::new(&model).unwrap().scale(1.0).offset(-10.0);
        let directory = scratch("pictures");
        let wide = directory.join("wide.png");
        image::RgbImage::from_pixel(32, 16, image::Rgb([200, 100, 50])).save(&wide).unwrap();
        let inputs = reader.read(&wide).unwrap();
        assert_eq!(inputs.data.shape.dims(), [1, 8, 8, 1]);
        assert!(inputs.note.unwrap().contains("resized from 16×32 to 8×8"));
        let grey = 0.299 * 200.0 + 0.587 * 100.0 + 0.114 * 50.0 - 10.0;
        assert!(inputs.data.values.iter().all(|value| (value - grey).abs() < 1e-3), "{:?}", &inputs.data.values[..4]);
        // What does not block computes the same.
        pollster::block_on(model.warm_up_async(&[[1, 8, 8, 1].into()])).unwrap();
        let inputs = [inputs.data];
        let computed = pollster::block_on(model.predict_all_async(&inputs)).unwrap();
        assert_eq!(computed, model.predict_all(&inputs).unwrap());

        let first = Sequential::new(&gpu)
            .with_input([None, Some(3), Some(2), Some(2)])
            .unwrap()
            .with(Conv2D::new(1, 1).data_format(wgpu_conv::DataFormat::ChannelsFirst))
            .unwrap();
        let small = directory.join("small.png");
        image::RgbImage::from_raw(2, 2, (0..12).collect()).unwrap().save(&small).unwrap();
        let reader = InputReader::new(first.model().unwrap()).unwrap().scale(1.0);
        let planes: Vec<_> = reader.read(&small).unwrap().data.values.iter().map(|value| value.round()).collect();
        assert_eq!(planes, [0., 3., 6., 9., 1., 4., 7., 10., 2., 5., 8., 11.]);
        // (v - 1) / 2 of red, (v - 2) / 4 of green, (v - 3) / 0.5 of blue.
        let normalized = reader.clone().mean([1.0, 2.0, 3.0]).and_then(|reader| reader.std([2.0, 4.0, 0.5])).unwrap();
        assert!(normalized.scaling().contains("mean [1.0, 2.0, 3.0] is taken away"), "{}", normalized.scaling());
        let planes = normalized.read(&small).unwrap().data.values;
        let expected: [f32; 12] = [-0.5, 1.0, 2.5, 4.0, -0.25, 0.5, 1.25, 2.0, -2.0, 4.0, 10.0, 16.0];
        let near = |got: &[f32], expected: &[f32]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near(&planes, &expected), "{planes:?}");
        // 51 = 255 / 5, and by one number for all channels: (51 / 255 - 0.5) / 0.25 = -1.2.
        image::RgbImage::from_pixel(2, 2, image::Rgb([51, 51, 51])).save(directory.join("one.png")).unwrap();
        let one = InputReader::new(first.model().unwrap()).unwrap().mean(0.5).and_then(|reader| reader.std(0.25));
        let values = one.unwrap().read(directory.join("one.png")).unwrap().data.values;
        assert!(near(&values, &[-1.2; 12]), "{values:?}");
        for (refused, reason) in [
            (reader.clone().mean([1.0, 2.0]), "one for each channel of the model's input; received 2 numbers"),
            (reader.clone().std([1.0, 2.0, 3.0, 4.0]), "received 4 numbers"),
            (reader.clone().mean(Vec::new()), "received 0 numbers"),
            (reader.clone().mean(f64::NAN), "must be finite"),
            (reader.clone().std(f64::INFINITY), "must be finite"),
            (reader.clone().std([1.0, 0.0, 1.0]), "other than 0"),
            // In f32 it is 0.
            (reader.clone().std(1e-60), "other than 0"),
        ] {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }

        // Axes that are moved before the first layer that knows its layout, as ONNX models of pictures do.
        let moved = Sequential::new(&gpu)
            .with_input([None, Some(2), Some(2), Some(3)])
            .unwrap()
            .with(wgpu_conv::layers::Transpose::new([0, 3, 1, 2]))
            .unwrap()
            .with(Conv2D::new(1, 1).data_format(wgpu_conv::DataFormat::ChannelsFirst))
            .unwrap();
        let reader = InputReader::new(moved.model().unwrap()).unwrap().scale(1.0);
        let inputs = reader.read(&small).unwrap();
        assert_eq!(inputs.data.shape.dims(), [1, 2, 2, 3]);
        let pixels: Vec<_> = inputs.data.values.iter().map(|value| value.round()).collect();
        assert_eq!(pixels, (0u8..12).map(f32::from).collect::<Vec<_>>());
        let normalized = reader.clone().mean([1.0, 2.0, 3.0]).and_then(|reader| reader.std([2.0, 4.0, 0.5])).unwrap();
        let pixels = normalized.read(&small).unwrap().data.values;
        let expected: Vec<f32> = (0..12).map(|i| expected[i % 3 * 4 + i / 3]).collect();
        assert!(near(&pixels, &expected), "{pixels:?}");

        // The pixels of a browser are the same pictures, and must have the model's size.
        let rgba: Vec<u8> = (0u8..4).flat_map(|pixel| [3 * pixel, 3 * pixel + 1, 3 * pixel + 2, 255]).collect();
        for model in [first.model().unwrap(), moved.model().unwrap()] {
            let reader = InputReader::new(model).unwrap();
            assert_eq!(reader.pixels([2, 2], &rgba).unwrap(), reader.read(&small).unwrap().data);
        }
        let refused = |size, rgba: &[u8]| reader.pixels(size, rgba).unwrap_err().to_string();
        assert!(refused([1, 4], &rgba).contains("the size of the model's input, (2, 2, 3); received 1 × 4"));
        assert!(refused([2, 2], &rgba[1..]).contains("must have 16 bytes; received 15 bytes"));

        // One channel may be moved by a reshape.
        let reshaped = Sequential::new(&gpu)
            .with_input([None, Some(8), Some(8), Some(1)])
            .and_then(|model| model.with(wgpu_conv::layers::Reshape::new([1, 8, 8])))
            .and_then(|model| model.with(Conv2D::new(1, 1).data_format(wgpu_conv::DataFormat::ChannelsFirst)))
            .unwrap();
        let reader = InputReader::new(reshaped.model().unwrap()).unwrap();
        assert_eq!(reader.read(&wide).unwrap().data.shape.dims(), [1, 8, 8, 1]);
        let reader = InputReader::new(moved.model().unwrap()).unwrap();

        std::fs::write(&small, b"\x89PNG\r\n\x1a\nnothing").unwrap();
        assert!(reader.read(&small).unwrap_err().to_string().contains("small.png"));
    }

    /// As Keras takes them, and with a word where that may not be meant.
    #[test]
    fn arrays_of_bytes_are_taken_as_they_are() {
        let Some(gpu) = gpu::gpu() else { return };
        let file = scratch("bytes").join("bytes.npy");
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (8, 8, 1), }\n";
        let data: Vec<u8> = (0..64).map(|i| i * 4).collect();
        let length = (header.len() as u16).to_le_bytes();
        std::fs::write(&file, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()).unwrap();
        let model = Model::load(&gpu, fixture("model.keras")).unwrap();
        let inputs = InputReader::new(&model).unwrap().read(&file).unwrap();
        assert_eq!(inputs.data.values, data.iter().map(|&byte| f32::from(byte)).collect::<Vec<_>>());
        assert!(inputs.note.unwrap().contains("taken as they are"));
    }

    #[test]
    fn arrays_are_one_input_or_several() {
        let Some(gpu) = gpu::gpu() else { return };
        let model = Model::load(&gpu, fixture("model.keras")).unwrap();
        let reader = InputReader::new(&model).unwrap();
        let test_set = fixture("expected.safetensors");
        let inputs = reader.read(&test_set).unwrap();
        assert_eq!((inputs.names.len(), inputs.data.shape.dims()), (360, &[360, 8, 8, 1][..]));
        assert!(inputs.names[359].ends_with("expected.safetensors[359]"));
        assert_eq!(read_labels(&test_set, "labels").unwrap().len(), 360);
        let refused = |reader: InputReader| reader.read(&test_set).unwrap_err().to_string();
        assert!(refused(reader.clone().tensor("nothing")).contains("input_0 [360, 8, 8, 1]"));
        assert!(refused(reader.clone().tensor("labels")).contains("(8, 8, 1)"));
        assert!(refused(reader.clone().tensor("output_0")).contains("(8, 8, 1)"));

        let file = scratch("arrays").join("one.npy");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (8, 8, 1), }\n";
        let length = (header.len() as u16).to_le_bytes();
        let data: Vec<u8> = inputs.data.values[..64].iter().flat_map(|value| value.to_le_bytes()).collect();
        std::fs::write(&file, [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &data].concat()).unwrap();
        let one = reader.read(&file).unwrap();
        assert_eq!((one.names.len(), one.data.shape.dims()), (1, &[1, 8, 8, 1][..]));
        assert_eq!(one.data.values, inputs.data.values[..64]);
        assert!(reader.read("input.bmp").unwrap_err().to_string().contains("png, jpg"));
        assert!(reader.read("missing.png").unwrap_err().to_string().contains("cannot be read"));
    }

    /// The digits file with its config changed.
    fn forged(change: impl Fn(String) -> String) -> Vec<u8> {
        let file = std::fs::read(fixture("model.keras")).unwrap();
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
        let mut forged = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in ["config.json", "model.weights.h5"] {
            let mut bytes = Vec::new();
            archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
            if name == "config.json" {
                bytes = change(String::from_utf8(bytes).unwrap()).into_bytes();
            }
            forged.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            forged.write_all(&bytes).unwrap();
        }
        forged.finish().unwrap().into_inner()
    }

    #[test]
    fn files_that_contradict_themselves_are_refused_naming_the_layer() {
        let Some(gpu) = gpu::gpu() else { return };
        let rows: [(&str, &str, &[&str]); 5] = [
            ("\"filters\": 16", "\"filters\": 8", &["layer stem: weight kernel", "(3, 3, 1, 8)", "(3, 3, 1, 16)"]),
            ("\"filters\": 16", "\"filters\": 1000000000", &["layer stem: weight kernel", "(3, 3, 1, 16)"]),
            ("\"use_bias\": false", "\"use_bias\": true", &["stem", "2 weights", "received 1"]),
            ("\"units\": 10", "\"units\": 0", &["logits"]),
            ("[null, 8, 8, 1]", "[null, 8, 8]", &["stem"]),
        ];
        common::test_each(
            rows,
            |(_, to, _)| *to,
            |(from, to, parts)| {
                let error = match Model::from_bytes(&gpu, &forged(|config| config.replacen(from, to, 1))) {
                    Ok(model) => return Err(format!("loaded as {model:?}")),
                    Err(error) => error.to_string(),
                };
                if parts.iter().all(|part| error.contains(part)) { Ok(()) } else { Err(error) }
            },
        );
    }

    #[test]
    fn unsupported_layers_are_listed_before_a_device_is_opened() {
        let bytes = forged(|config| config.replace("\"class_name\": \"ReLU\"", "\"class_name\": \"Telescope\""));
        let file = KerasFile::from_bytes(&bytes).unwrap();
        let names: Vec<_> =
            file.unsupported().iter().map(|layer| (layer.name.as_str(), layer.class.as_str())).collect();
        assert_eq!(names, [("stem_relu", "Telescope")]);
        let Some(gpu) = gpu::gpu() else { return };
        let error = file.build(&gpu).unwrap_err().to_string();
        assert!(error.contains("stem_relu (Telescope)"), "{error}");
        let missing = Model::load(&gpu, "missing.keras").unwrap_err().to_string();
        assert!(missing.contains("missing.keras: cannot be read"), "{missing}");
    }
}

#[test]
fn a_compiled_mobilenet_makes_nothing_and_takes_the_memory_of_two_values() {
    let Some(shared) = gpu::gpu() else { return };
    // A device of its own, whose counters no other test moves.
    let gpu = Gpu::from_wgpu(shared.device().clone(), shared.queue().clone());
    let model = networks::mobilenet_v1(&gpu, 224);
    let model = model.model().unwrap();
    let input = numbers([1, 224, 224, 3]);
    let report = model.memory_report(std::slice::from_ref(&input.shape)).unwrap();
    // Nothing stands on the device before the first call.
    assert_eq!(gpu.counters().bytes, 0);
    model.warm_up(std::slice::from_ref(&input.shape)).unwrap();
    let before = gpu.counters();
    let output = model.predict(&input).unwrap();
    let after = gpu.counters();
    assert_eq!(output.shape.dims(), [1, 1000]);
    assert_eq!(
        (after.buffers, after.pipelines, after.bind_groups, after.submissions),
        (before.buffers, before.pipelines, before.bind_groups, before.submissions + 1)
    );
    // The largest pair of neighbours: 112 × 112 × 32 before and 112 × 112 × 64 after the first pointwise convolution.
    let pair = 112 * 112 * (32 + 64) * 4;
    // Where inputs are read through textures, the largest of them once more; and the image while it is filled up to four
    // channels, in a buffer and as a texture.
    let image = 224 * 224 * 3 * 4;
    let textures = if gpu.caps().texel_rows > 0 { 112 * 112 * 64 * 4 + 224 * 224 * 4 * 4 + image } else { 0 };
    let weights = model.count_params() * 4;
    assert!(report.activations <= (pair + image + textures) * 11 / 10, "{report}");
    let uniforms_and_staging = 1 << 20;
    assert!(after.bytes <= report.total() + uniforms_and_staging, "{} bytes, {report}", after.bytes);
    // The weights themselves, what kernels read instead of them where they are folded or packed, and the largest kernel between.
    let largest = 1024 * 1024 * 4;
    assert!(report.weights <= weights * 21 / 10 + largest, "{report}, {weights} bytes of weights as saved");

    // New weights: whatever was made of the old ones is made again, in what there is, with the next call.
    for (_, layer) in model.layers() {
        let mut values = layer.get_weights().unwrap();
        values.iter_mut().flat_map(|value| &mut value.values).for_each(|value| *value *= 0.5);
        layer.set_weights(&values).unwrap();
    }
    let before = gpu.counters();
    let other = model.predict(&input).unwrap();
    let after = gpu.counters();
    assert_eq!(
        (after.buffers, after.pipelines, after.bind_groups, after.submissions),
        (before.buffers, before.pipelines, before.bind_groups, before.submissions + 1)
    );
    assert_ne!(output.values, other.values);
}

#[test]
fn graphs_share_layers_nest_models_and_keep_what_lies_between() {
    let Some(gpu) = gpu::gpu() else { return };
    let graph = Functional::new(&gpu);
    let image = graph.input("image", [None, None, None, Some(3)]).unwrap();
    let features = (&image | Conv2D::new(4, 3).name("first").activation(Activation::Tanh)).finish().unwrap();
    let unused = (&features | Conv2D::new(9, 1).name("unused")).finish().unwrap();
    let inner = Sequential::new(&gpu)
        .named("inner")
        .with_input([None, None, None, Some(4)])
        .unwrap()
        .with(DepthwiseConv2D::new(3).name("depthwise"))
        .unwrap()
        .with(BatchNormalization::new().name("norm"))
        .unwrap();
    let once = graph.apply_model(inner.into_model().expect("built"), &[&features]).unwrap().swap_remove(0);
    let twice = graph.again("inner", &[&once]).unwrap().swap_remove(0);
    let mean = (&twice | GlobalAveragePooling2D::new().name("mean")).finish().unwrap();
    let refused = |inputs: &[&Symbol], outputs: &[&Symbol]| graph.model("m", inputs, outputs).unwrap_err().to_string();
    let other = graph.input("other", [None, Some(2)]).unwrap();
    assert!(refused(&[], &[&mean]).contains("\"image\""));
    assert!(refused(&[&image, &other], &[&mean]).contains("\"other\", which nothing reads"));
    assert!(refused(&[&image], &[]).contains("outputs"));
    assert!(graph.apply(Dense::new(2), &[&other, &other]).unwrap_err().to_string().contains("one input"));
    assert!(graph.input("image", [None, Some(2)]).is_err());
    let model = graph.model("net", &[&image], &[&mean, &features]).unwrap();
    assert!(unused.apply(Dense::new(1)).is_err(), "the graph has ended");

    let names: Vec<_> = model.layers().into_iter().map(|(path, _)| path).collect();
    assert_eq!(names, ["first", "inner/depthwise", "inner/norm", "mean"]);
    assert_eq!(model.count_params(), (27 * 4 + 4) + (9 * 4 + 4) + 16);
    assert!(model.summary().contains("inner (Sequential)"), "{}", model.summary());
    assert!(model.get_layer("inner").unwrap_err().to_string().contains("inner/<layer>"));
    assert!(model.get_layer("first/x").unwrap_err().to_string().contains("which is a layer"));

    let input = numbers([2, 9, 8, 3]);
    let before = model.predict_all(std::slice::from_ref(&input)).unwrap();
    let shapes: Vec<_> = before.iter().map(|output| output.shape.to_string()).collect();
    assert_eq!(shapes, ["(2, 4)", "(2, 7, 6, 4)"]);
    let recorded = model.call_recorded(&[upload(&gpu, &input)]).unwrap();
    let paths: Vec<_> = recorded.iter().map(|made| made.path.as_str()).collect();
    assert_eq!(paths, ["first", "inner/depthwise", "inner/norm", "inner/depthwise", "inner/norm", "mean"]);
    let one_by_one = recorded[5].output.read::<f32>().unwrap();
    let one_by_one: Vec<_> = one_by_one.into_iter().map(f64::from).collect();
    assert!(common::fixtures::dev(&before[0].values, &one_by_one) <= common::tolerance::MODEL_DEV);
    drop(recorded);

    // New weights reach programs that were compiled before.
    let layer = model.get_layer("inner/norm").unwrap();
    let mut weights = layer.get_weights().unwrap();
    weights[1].values.fill(1.0);
    layer.set_weights(&weights).unwrap();
    let after = model.predict_all(&[input]).unwrap();
    assert_eq!(after[1], before[1]);
    assert_ne!(after[0], before[0]);
}

/// Depthwise and pointwise convolutions are one pass where such a plan is pinned, as layers of their own with all that is
/// fused into them or as one layer, unless somebody else reads what lies between; the numbers stay.
#[test]
fn separable_convolutions_are_taken_in_one_pass() {
    let Some(shared) = gpu::gpu() else { return };
    let gpu = Gpu::from_wgpu(shared.device().clone(), shared.queue().clone());
    let graph = Functional::new(&gpu);
    let image = graph.input("image", [None, Some(9), Some(7), Some(16)]).unwrap();
    let depthwise = DepthwiseConv2D::new(3).padding(Padding::Same);
    let between = (&image | depthwise | BatchNormalization::new() | ReLU::new()).finish().unwrap();
    let pointwise = (&between | Conv2D::new(16, 1) | BatchNormalization::new()).finish().unwrap();
    let sum = graph.apply(Merge::add(), &[&image, &pointwise]).unwrap();
    let scores = (&sum | ReLU::new() | SeparableConv2D::new(20, 5).activation(Activation::Tanh)).finish().unwrap();
    let model = graph.model("block", &[&image], &[&scores]).unwrap();
    let input = upload(&gpu, &numbers([2, 9, 7, 16]));
    let run = |tuning: Tuning| {
        gpu.set_tuning(tuning);
        let memory = model.memory_report(&[input.shape().clone()]).unwrap().every_activation;
        let before = gpu.counters().pipelines;
        let output = model.call(&input).unwrap().read::<f32>().unwrap();
        (memory, gpu.counters().pipelines - before, output)
    };
    let [two, one] = [Tuning::Heuristic, Tuning::Pin("conv_separable_f32x4_64x64".to_owned())].map(run);
    // Six of the first make the scales and shifts of batch normalizations, and fold them into kernels.
    assert_eq!((two.1, one.1), (10, 2), "pipelines");
    assert!(one.0 < two.0, "{} bytes, with what lies between {}", one.0, two.0);
    let recorded = model.call_recorded(std::slice::from_ref(&input)).unwrap();
    let unfused = recorded.last().unwrap().output.read::<f32>().unwrap();
    let largest = two.2.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
    for (place, exact) in two.2.iter().enumerate() {
        for other in [one.2[place], unfused[place]] {
            let error = f64::from((other - exact).abs() / largest);
            assert!(error <= MODEL_DEV, "{other} beside {exact}");
        }
    }
}

/// A kernel is multiplied by a batch normalization's scale before it is packed or while it is, and again when the scale changes.
#[test]
fn kernels_are_scaled_in_every_form() {
    let Some(shared) = gpu::gpu() else { return };
    let gpu = Gpu::from_wgpu(shared.device().clone(), shared.queue().clone());
    // No fours of channels.
    let shape = [2, 9, 11, 18];
    let conv = Conv2D::new(22, 3).padding(Padding::Same);
    let problem = Problem::Conv(LayerConfig::from(conv.clone()).convolutions(shape).unwrap()[0]);
    let model = Sequential::new(&gpu).with_input(shape).unwrap().with(conv).unwrap();
    let model = model.with(BatchNormalization::new()).unwrap().into_model().unwrap();
    let input = upload(&gpu, &numbers(shape));
    let plans = gpu.candidates(&problem).unwrap();
    assert!(plans.iter().any(|plan| plan.family == "conv_winograd"));
    for (round, plan) in plans.iter().enumerate() {
        gpu.set_tuning(Tuning::Pin(plan.name()));
        model.call(&input).unwrap();
        let own = |index: usize, value: f32| 0.75 + ((index * 29 + round) % 13) as f32 / 16.0 * value.signum();
        for (_, variable) in model.weights().into_iter().filter(|(path, _)| path.contains("batch_normalization")) {
            let mut value = variable.read().unwrap();
            value.values.iter_mut().enumerate().for_each(|(index, value)| *value = own(index, *value));
            variable.assign(&value).unwrap();
        }
        let fused = model.call(&input).unwrap().read::<f32>().unwrap();
        let recorded = model.call_recorded(std::slice::from_ref(&input)).unwrap();
        let unfused = recorded.last().unwrap().output.read::<f32>().unwrap();
        let largest = unfused.iter().fold(0.0, |most: f32, value| most.max(value.abs()));
        for (fused, unfused) in fused.iter().zip(&unfused) {
            let error = f64::from((fused - unfused).abs() / largest);
            assert!(error <= MODEL_DEV, "{}: {fused} beside {unfused}", plan.name());
        }
    }
}

/// A part of a model makes what the layers of the whole one make, and needs no input that only the rest reads.
#[test]
fn a_model_is_cut_at_its_layers() {
    let Some(gpu) = gpu::gpu() else { return };
    let whole = small(&gpu);
    let input = upload(&gpu, &numbers([3, 6, 7, 3]));
    let recorded = whole.call_recorded(&input).unwrap();
    let of = |path: &str| recorded.iter().find(|made| made.path == path).unwrap().output.read::<f32>().unwrap();
    let (conv, pool) = (of("conv"), of("pool"));
    drop(recorded);
    let part = whole.into_model().unwrap().with_outputs(&["pool", "conv"]).unwrap();
    assert_eq!(part.blocks().iter().map(|block| block.name()).collect::<Vec<_>>(), ["conv", "drop", "pool"]);
    let made = part.call_all(std::slice::from_ref(&input)).unwrap();
    assert_eq!(made.iter().map(|made| made.read::<f32>().unwrap()).collect::<Vec<_>>(), [pool, conv]);

    let graph = Functional::new(&gpu);
    let (one, two) = (graph.input("one", [None, Some(3)]).unwrap(), graph.input("two", [None, Some(3)]).unwrap());
    let left = one.apply(Dense::new(3).name("left")).unwrap();
    let right = graph.again("left", &[&two]).unwrap().swap_remove(0);
    let last = two.apply(Dense::new(2).name("last")).unwrap();
    let sum = graph.apply(Merge::add().name("sum"), &[&left, &right]).unwrap();
    let build = graph.model("two", &[&one, &two], &[&sum, &last]).unwrap();
    let error = build.with_outputs(&["left"]).unwrap_err().to_string();
    assert!(error.contains("must be applied once") && error.contains("\"left\""), "{error}");
    let two_inputs = || {
        let graph = Functional::new(&gpu);
        let (one, two) = (graph.input("one", [None, Some(3)]).unwrap(), graph.input("two", [None, Some(3)]).unwrap());
        let sum = graph.apply(Merge::add().name("sum"), &[&one, &two]).unwrap();
        let last = two.apply(Dense::new(2).name("last")).unwrap();
        graph.model("two", &[&one, &two], &[&sum, &last]).unwrap()
    };
    let part = two_inputs().with_outputs(&["last"]).unwrap();
    assert_eq!(part.inputs().iter().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["two"]);
    let error = two_inputs().with_outputs(&["lost"]).unwrap_err().to_string();
    assert!(error.contains("sum") && error.contains("\"lost\""), "{error}");
    assert!(two_inputs().with_outputs(&[]).unwrap_err().to_string().contains("must have an output"));
    let error = two_inputs().with_classes(3).unwrap_err().to_string();
    assert!(error.contains("must have one output"), "{error}");
}

/// For other classes the last layer is a new one, also where other layers stand behind it; all others keep what they have.
#[test]
fn a_model_is_given_other_classes() {
    let Some(gpu) = gpu::gpu() else { return };
    let convolution = Sequential::new(&gpu)
        .with_input(INPUT)
        .unwrap()
        .with(Conv2D::new(4, 3).name("seen").activation(Activation::RELU))
        .unwrap()
        .with(GlobalAveragePooling2D::new().keepdims(true).name("pool"))
        .unwrap()
        .with(Conv2D::new(7, 1).name("scores"))
        .unwrap()
        .with(Reshape::new([7]).name("flat"))
        .unwrap()
        .with(ActivationLayer::new(Activation::Softmax { axis: -1 }).name("shares"))
        .unwrap()
        .into_model()
        .unwrap();
    for (model, last) in [(small(&gpu).into_model().unwrap(), "scores"), (convolution, "scores")] {
        let first = model.layers()[0].1.get_weights().unwrap();
        let model = model.with_classes(3).unwrap();
        assert_eq!(model.output_shapes()[0].to_string(), "(None, 3)");
        assert_eq!(model.layers()[0].1.get_weights().unwrap(), first);
        let scores = model.get_layer(last).unwrap();
        assert_eq!(scores.weights().iter().map(|w| w.shape().dims().last().copied()).collect::<Vec<_>>(), [Some(3); 2]);
        let made = model.predict(&numbers([2, 6, 7, 3])).unwrap();
        assert_eq!(made.shape.to_string(), "(2, 3)");
        assert!(model.verify(&[upload(&gpu, &numbers([2, 6, 7, 3]))]).unwrap().first_difference().is_none());
    }
    let error = small(&gpu).into_model().unwrap().with_classes(0).unwrap_err().to_string();
    assert!(error.contains("at least one class"), "{error}");
    let flat = Sequential::new(&gpu).with_input([None, Some(3)]).unwrap().with(ReLU::new()).unwrap();
    let error = flat.into_model().unwrap().with_classes(2).unwrap_err().to_string();
    assert!(error.contains("must be Dense or a convolution") && error.contains("an input"), "{error}");
    let normal = Sequential::new(&gpu).with_input([None, Some(3)]).unwrap().with(BatchNormalization::new()).unwrap();
    let error = normal.into_model().unwrap().with_classes(2).unwrap_err().to_string();
    assert!(error.contains("BatchNormalization"), "{error}");
}

/// A network with all that follows pictures: pads, joins, means of channels, scores along channels, an output that is read inside.
fn twin(gpu: &Gpu, format: DataFormat) -> wgpu_conv::model::Model {
    let axis = if format == DataFormat::ChannelsLast { -1 } else { 1 };
    let size = [Some(12), Some(10)];
    let shape = match format {
        DataFormat::ChannelsLast => [None, size[0], size[1], Some(3)],
        DataFormat::ChannelsFirst => [None, Some(3), size[0], size[1]],
    };
    let graph = Functional::new(gpu);
    let image = graph.input("image", shape).unwrap();
    let conv = |filters: u32, size: u32| Conv2D::new(filters, size).data_format(format).padding(Padding::Same);
    let normalized = || BatchNormalization::new().axis(axis);
    let stem =
        (&image | ZeroPadding2D::new(1).data_format(format) | conv(16, 3).padding(Padding::Valid)).finish().unwrap();
    let mut x = (&stem | normalized() | ReLU::new()).finish().unwrap();
    for _ in 0..2 {
        let next = (&x | conv(16, 3) | normalized() | ReLU::new() | conv(16, 3)).finish().unwrap();
        let means =
            (&next | GlobalAveragePooling2D::new().data_format(format).keepdims(true) | conv(16, 1)).finish().unwrap();
        let factors = (&means | ActivationLayer::new(Activation::Sigmoid)).finish().unwrap();
        let scaled = graph.apply(Merge::new(MergeKind::Multiply), &[&next, &factors]).unwrap();
        let sum = graph.apply(Merge::new(MergeKind::Add), &[&x, &scaled]).unwrap();
        let deep = (&sum | DepthwiseConv2D::new(5).data_format(format).padding(Padding::Same)).finish().unwrap();
        let joined = graph.apply(Concatenate::new().axis(axis), &[&sum, &deep]).unwrap();
        x = (&joined | conv(16, 1)).finish().unwrap();
    }
    let small = (&x | MaxPooling2D::new(2).data_format(format) | conv(32, 3)).finish().unwrap();
    let seen = (&small | AveragePooling2D::new(2).data_format(format).padding(Padding::Same)).finish().unwrap();
    let large = (&small | UpSampling2D::new(2).data_format(format)).finish().unwrap();
    let grown =
        (&small | Conv2DTranspose::new(32, 4).data_format(format).strides(2).padding(Padding::Same)).finish().unwrap();
    let both = graph.apply(Merge::new(MergeKind::Maximum), &[&large, &grown]).unwrap();
    let scores =
        (&both | Cropping2D::new(1).data_format(format) | conv(5, 1) | Softmax::new().axis(axis)).finish().unwrap();
    graph.model("twin", &[&image], &[&scores, &stem, &seen]).unwrap()
}

#[test]
fn channels_first_networks_are_their_twins() {
    let Some(gpu) = gpu::gpu() else { return };
    let [first, last] = [DataFormat::ChannelsFirst, DataFormat::ChannelsLast].map(|format| twin(&gpu, format));
    for ((name, from), (_, to)) in last.weights().into_iter().zip(first.weights()) {
        let mut values = from.read().unwrap();
        if name.ends_with("bias") || name.ends_with("beta") || name.ends_with("mean") {
            values.values.iter_mut().enumerate().for_each(|(index, value)| *value = (index % 5) as f32 / 4.0 - 0.5);
            from.assign(&values).unwrap();
        }
        to.assign(&values).unwrap();
    }
    let image = numbers([2, 12, 10, 3]);
    let to_first = |from: &HostTensor| {
        let [batch, height, width, channels] = from.shape.dims().try_into().unwrap();
        let at = |index: usize| {
            let (n, rest) = (index / (channels * height * width), index % (channels * height * width));
            let (c, pixel) = (rest / (height * width), rest % (height * width));
            from.values[(n * height * width + pixel) * channels + c]
        };
        let values = (0..from.values.len()).map(at).collect();
        HostTensor::new([batch, channels, height, width], values).unwrap()
    };
    let expected = last.predict_all(std::slice::from_ref(&image)).unwrap();
    let computed = first.predict_all(&[to_first(&image)]).unwrap();
    assert_eq!(expected.len(), 3);
    for (expected, computed) in expected.iter().zip(&computed) {
        let expected = to_first(expected);
        assert_eq!(expected.shape, computed.shape);
        let largest = expected.values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
        let pairs = expected.values.iter().zip(&computed.values);
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest > 0.1 && worst <= 1e-5 * largest, "{worst} of {largest}");
    }
}
