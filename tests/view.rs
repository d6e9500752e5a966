//! Models to look at: what a viewer tells of layers, and the pages it writes.
#![cfg(feature = "view")]

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/networks.rs"]
pub mod networks;

use wgpu_conv::layers::{
    BatchNormalization, Conv2D, Dense, DepthwiseConv2D, GlobalAveragePooling2D, LayerConfig, ReLU,
};
use wgpu_conv::model::{Model, Sequential};
use wgpu_conv::view::{CloseButton, Color, LayerView, Live, Look, ModelLook, Page, Picture, Sketch, Status, Viewer};
use wgpu_conv::{DataFormat, Gpu, HostTensor, Padding, Tensor};

fn numbers(shape: &[usize]) -> HostTensor {
    let count = shape.iter().product::<usize>();
    HostTensor::new(shape, (0..count).map(|index| (index * 7 % 23) as f32 / 8.0 - 1.0).collect()).unwrap()
}

fn sequential(gpu: &Gpu, format: DataFormat, size: [Option<usize>; 2]) -> Sequential {
    let [h, w] = size;
    let (input, axis) = match format {
        DataFormat::ChannelsLast => ([None, h, w, Some(3)], -1),
        DataFormat::ChannelsFirst => ([None, Some(3), h, w], 1),
    };
    let depthwise = DepthwiseConv2D::new(3).depth_multiplier(2).strides([1, 2]).padding(Padding::Same);
    Sequential::new(gpu)
        .with_input(input)
        .and_then(|model| model.with(depthwise.data_format(format).name("dw")))
        .and_then(|model| model.with(BatchNormalization::new().axis(axis).name("bn")))
        .and_then(|model| model.with(ReLU::new().name("relu")))
        .and_then(|model| model.with(Conv2D::new(4, 1).data_format(format).name("pw")))
        .and_then(|model| model.with(GlobalAveragePooling2D::new().data_format(format).name("pool")))
        .and_then(|model| model.with(Dense::new(5).name("scores")))
        .unwrap()
}

fn recorded(model: &Model, input: &HostTensor) -> Vec<(String, Vec<usize>, Vec<f32>)> {
    let tensor = Tensor::from_slice(model.gpu(), &input.shape, &input.values).unwrap();
    let recorded = model.call_recorded(&[tensor]).unwrap();
    let read = |tensor: &Tensor| (tensor.shape().dims().to_vec(), tensor.read::<f32>().unwrap());
    recorded.iter().map(|layer| (layer.path.clone(), read(&layer.output).0, read(&layer.output).1)).collect()
}

#[test]
fn layers_answer_what_they_are_and_what_they_made_of_the_sample() {
    let Some(gpu) = gpu::gpu() else { return };
    let sequential = sequential(&gpu, DataFormat::ChannelsLast, [Some(6), Some(7)]);
    let model = sequential.model().unwrap();
    let mut viewer = Viewer::new(model);
    let names: Vec<_> = viewer.layers().iter().map(|layer| layer.name().to_owned()).collect();
    assert_eq!(names, ["input", "dw", "bn", "relu", "pw", "pool", "scores"]);
    let dw = viewer.get_layer("dw").unwrap();
    assert_eq!((dw.class_name(), &*dw.layer_type()), ("DepthwiseConv2D", "DepthwiseConv2d"));
    assert_eq!((viewer.input_shape("dw").unwrap(), dw.output_shape()), (Some(&[6, 7, 3][..]), Some(&[6, 4, 6][..])));
    assert_eq!((dw.count_params(), dw.neural_value(), dw.time()), (3 * 3 * 3 * 2 + 6, None, None));
    assert_eq!(viewer.links("dw", 5).unwrap(), [(0, 2..3)]);
    assert_eq!(viewer.links("relu", 5).unwrap(), [(2, 5..6)]);
    assert_eq!(viewer.links("pw", 1).unwrap(), [(3, 0..6)]);

    let input = numbers(&[3, 6, 7, 3]);
    let made = recorded(model, &input);
    for sample in [0, 2] {
        viewer.set_sample(sample);
        let outputs = viewer.predict(std::slice::from_ref(&input)).unwrap();
        assert_eq!(outputs, [HostTensor::new([3, 5], made[5].2.clone()).unwrap()]);
        assert_eq!(viewer.get_layer(0).unwrap().neural_value().unwrap(), &input.values[sample * 126..][..126]);
        for (path, shape, values) in &made {
            let each: usize = shape[1..].iter().product();
            let layer = viewer.get_layer(path).unwrap();
            assert_eq!(layer.neural_value().unwrap(), &values[sample * each..][..each], "{path} of sample {sample}");
        }
    }
    viewer.set_sample(3);
    let error = viewer.predict(std::slice::from_ref(&input)).unwrap_err().to_string();
    assert_eq!(error, "a batch must have the chosen sample 3; received shape=(3, 6, 7, 3)");
    assert!(viewer.layers().iter().all(|layer| layer.neural_value().is_none()), "a predict forgets the one before");
}

#[test]
fn values_have_their_channels_last_whatever_the_data_format() {
    let Some(gpu) = gpu::gpu() else { return };
    let sequential = sequential(&gpu, DataFormat::ChannelsFirst, [None, None]);
    let model = sequential.model().unwrap();
    let mut viewer = Viewer::new(model);
    assert_eq!(viewer.get_layer("bn").unwrap().output_shape(), None);
    assert!(viewer.picture("bn", &Picture::new()).unwrap_err().to_string().contains("call predict before"));
    let input = numbers(&[1, 3, 5, 6]);
    viewer.predict(std::slice::from_ref(&input)).unwrap();
    assert_eq!(viewer.get_layer("input").unwrap().output_shape(), Some(&[5, 6, 3][..]));
    assert_eq!(viewer.links("dw", 5).unwrap(), [(0, 2..3)]);
    for (path, shape, values) in recorded(model, &input) {
        let layer = viewer.get_layer(&path).unwrap();
        let [_, channels, height, width] = shape[..] else {
            assert_eq!(layer.neural_value().unwrap(), values);
            continue;
        };
        assert_eq!(layer.output_shape(), Some(&[height, width, channels][..]), "{path}");
        for (index, value) in layer.neural_value().unwrap().iter().enumerate() {
            let (pixel, channel) = (index / channels, index % channels);
            assert_eq!(*value, values[channel * height * width + pixel], "{path} at {index}");
        }
    }
}

#[test]
fn recording_costs_one_readback_and_nothing_where_it_is_off() {
    let Some(gpu) = gpu::gpu() else { return };
    // A device of its own, whose counters no other test moves.
    let gpu = Gpu::open(&wgpu_conv::AdapterChoice::Name(gpu.info().name.clone())).unwrap();
    let sequential = sequential(&gpu, DataFormat::ChannelsLast, [Some(6), Some(7)]);
    let model = sequential.model().unwrap();
    let input = [numbers(&[1, 6, 7, 3])];
    let mut viewer = Viewer::new(model);
    let recorded = viewer.predict(&input).unwrap();
    let before = gpu.counters();
    viewer.predict(&input).unwrap();
    // The layers and the copies of what they made go to the device together.
    assert_eq!(gpu.counters().submissions - before.submissions, 1);

    viewer.set_recording(false);
    let expected = model.predict_all(&input).unwrap();
    let before = gpu.counters();
    let outputs = viewer.predict(&input).unwrap();
    let after = gpu.counters();
    assert_eq!(outputs, expected);
    assert_eq!(
        (after.submissions - before.submissions, after.buffers, after.pipelines),
        (1, before.buffers, before.pipelines)
    );
    assert!(viewer.layers().iter().all(|layer| layer.neural_value().is_none()));
    for (fused, single) in outputs[0].values.iter().zip(&recorded[0].values) {
        assert!((fused - single).abs() <= 1e-4 * single.abs().max(0.05), "{fused} and {single}");
    }
}

/// Six maps of 4×5, then twelve of 2×3, then five scores.
fn sketch() -> Sketch {
    let mut sketch = Sketch::new();
    let input = sketch.input("image", &[6, 7, 3]).unwrap();
    let dw = sketch.layer(DepthwiseConv2D::new(3).depth_multiplier(2).name("dw"), &[input]).unwrap();
    let conv = sketch.layer(Conv2D::new(12, 3).name("conv <&\"'> <script>"), &[dw]).unwrap();
    let pool: LayerConfig = GlobalAveragePooling2D::new().name("pool").into();
    let pool = sketch.layer(pool, &[conv]).unwrap();
    sketch.layer(Dense::new(5).name("scores"), &[pool]).unwrap();
    sketch
}

#[test]
fn layers_open_and_close_and_return_to_where_they_began() {
    let mut viewer = Viewer::of_sketch(sketch());
    let status = |viewer: &Viewer, name: &str| viewer.get_layer(name).unwrap().status();
    assert_eq!((status(&viewer, "dw"), status(&viewer, "scores")), (Status::Close, Status::Open));
    for _ in 0..2 {
        viewer.open_layer("dw").unwrap();
        assert_eq!(status(&viewer, "dw"), Status::Open);
    }
    for _ in 0..2 {
        viewer.close_layer("dw").unwrap();
        viewer.close_layer("scores").unwrap();
        assert_eq!((status(&viewer, "dw"), status(&viewer, "scores")), (Status::Close, Status::Open));
    }
    viewer.set_layer_look("dw", Look::new().init_status(Status::Open)).unwrap();
    assert_eq!(status(&viewer, "dw"), Status::Open);
    viewer.set_all(Status::Close);
    assert_eq!(status(&viewer, "dw"), Status::Close);
    viewer.reset();
    assert_eq!(status(&viewer, "dw"), Status::Open);
    let error = viewer.open_layer("dwx").unwrap_err().to_string();
    assert_eq!(
        error,
        "a layer of `sketch` must be one of image, dw, conv <&\"'> <script>, pool, scores; received \"dwx\""
    );
    assert!(viewer.set_layer_look("dw", Look::new().min_opacity(2.0)).is_err());
    let look = ModelLook { layers: Look::new().anime_time(0), ..ModelLook::default() };
    assert!(viewer.set_look(look).is_err());
}

#[test]
fn a_sketch_is_drawn_but_computes_nothing() {
    let mut viewer = Viewer::of_sketch(sketch());
    let error = viewer.predict(&[numbers(&[1, 6, 7, 3])]).unwrap_err().to_string();
    assert_eq!(error, "predict must be called on a model, which has weights; received an architecture");
    assert!(viewer.picture("dw", &Picture::new()).unwrap().starts_with(b"\x89PNG"));
    assert!(viewer.page(&Page::new()).unwrap().contains("<dd>4 × 5 × 6</dd>"));
}

#[test]
fn a_page_is_whole_and_escapes_what_it_is_given() {
    let mut viewer = Viewer::of_sketch(sketch());
    viewer.open_layer("dw").unwrap();
    let button = CloseButton { display: false, ratio: 2.0 };
    viewer.set_layer_look("dw", Look::new().anime_time(4000).close_button(button).color(Color([1, 2, 3]))).unwrap();
    let page = viewer.page(&Page::new().title("<b> & </title>").flat(true).note("\"seen\"")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">") && page.ends_with("</html>\n"));
    assert!(page.contains("<title>&lt;b&gt; &amp; &lt;/title&gt;</title>") && page.contains("<body class=\"flat\">"));
    assert!(page.contains("&quot;seen&quot;"));
    assert!(page.contains("<h2>conv &lt;&amp;&quot;&#39;&gt; &lt;script&gt;</h2>"));
    // No name ends the data or the page's script.
    assert_eq!(page.matches("</script>").count(), 2);
    let data = page.split("id=\"model\">").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let layer = &data["layers"][1];
    assert_eq!((&layer["time"], &layer["closable"], &layer["open"]), (&4000.into(), &false.into(), &true.into()));
    assert_eq!((&layer["maps"], &layer["columns"], &layer["rows"]), (&6.into(), &3.into(), &2.into()));
    assert_eq!(layer["links"], serde_json::json!([2, 1]));
    assert_eq!(data["layers"][2]["name"], "conv <&\"'> <script>");
    assert!(page.contains("style=\"--color:#010203\"") && page.contains("--ratio:2\""));
    // Several maps have a button, a single one has none; every layer stands in the order of computation.
    assert_eq!(page.matches("class=\"toggle\"").count(), 3);
    assert_eq!(page.matches("aria-expanded=\"true\" aria-controls=\"stage-1\"").count(), 1);
    let places: Vec<_> =
        (0..5).map(|place| page.find(&format!("<li class=\"layer\" id=\"layer-{place}\"")).unwrap()).collect();
    assert!(places.is_sorted());
    // Nothing is fetched: no address but those in the file, and the name of a vocabulary.
    assert_eq!(page.matches("http").count(), 1 + page.matches("http-equiv").count());
    assert!(page.contains("default-src 'none'"));
    let pictures = page.matches("<img ").count();
    assert_eq!((pictures, page.matches(" alt=\"").count()), (5, 5));
}

#[test]
fn a_page_has_sheets_scores_and_times() {
    let Some(gpu) = gpu::gpu() else { return };
    let sequential = sequential(&gpu, DataFormat::ChannelsLast, [Some(6), Some(7)]);
    let model = sequential.model().unwrap();
    let mut viewer = Viewer::new(model);
    let outputs = viewer.predict(&[numbers(&[1, 6, 7, 3])]).unwrap();
    viewer.set_times([("dw", std::time::Duration::from_micros(1234))]).unwrap();
    let labels = ["zero", "one", "two", "three", "four"].map(str::to_owned);
    let page = viewer.page(&Page::new().labels(labels.clone())).unwrap();
    // The input and four layers have several maps.
    for (place, sheet) in [true, true, true, true, true, false, false].into_iter().enumerate() {
        assert_eq!(page.contains(&format!("id=\"sheet-{place}\"")), sheet, "layer {place}");
    }
    assert!(page.contains("<dd>1.23 ms</dd>") && page.contains("alt=\"The input input, 6 × 7 × 3\""));
    let (best, _) = wgpu_conv::model::top(&outputs[0].values, 1)[0];
    assert!(page.contains(&format!("<tr class=\"best\"><th scope=\"row\">{}</th>", labels[best])), "{best}");
    assert_eq!(page.matches("<th scope=\"row\">").count(), 5);
    // Every layer says what its brightness means, and the input is shown in its colours.
    assert_eq!(page.matches("<span class=\"ramp\"").count(), 7, "{page}");
    assert!(page.contains("alt=\"The input input in colour, 6 by 7\""));
    viewer.clear();
    assert!(!viewer.page(&Page::new()).unwrap().contains("id=\"sheet-1\""));
    // A score that is no number is no label.
    viewer.predict(&[HostTensor::new([1, 6, 7, 3], vec![f32::NAN; 126]).unwrap()]).unwrap();
    let page = viewer.page(&Page::new().labels(labels)).unwrap();
    assert!(page.contains("<tr><th scope=\"row\">no label: the output is NaN</th></tr>"), "{page}");
    assert_eq!(page.matches("<th scope=\"row\">").count(), 1);
}

/// Names may hold any character: none turns the direction of a page's text, and none is lost without a trace.
#[test]
fn names_on_a_page_are_written_out() {
    let mut sketch = Sketch::new();
    sketch.input("im\u{202e}age\nof \u{1b}[2J", &[6, 7, 3]).unwrap();
    let page = Viewer::of_sketch(sketch).page(&Page::new().title("t\u{2066}t").note("a\u{9b}b")).unwrap();
    assert!(!page.contains(['\u{202e}', '\u{2066}', '\u{9b}', '\u{1b}']));
    assert!(page.contains("<h2>im\\u{202e}age\\u{a}of \\u{1b}[2J</h2>"), "{page}");
    assert!(page.contains("<title>t\\u{2066}t</title>") && page.contains("a\\u{9b}b"));
    assert!(page.contains(r#""name":"im\\u{202e}age\\u{a}of \\u{1b}[2J""#));
}

/// Every value of every layer is in the page: of random weights and noise, which compress worst.
#[test]
fn pages_of_mobilenets_stay_below_15_megabytes() {
    let Some(gpu) = gpu::gpu() else { return };
    let v1 = networks::mobilenet_v1(&gpu, 224);
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let input = HostTensor::new([1, 224, 224, 3], (0..224 * 224 * 3).map(|_| noise()).collect()).unwrap();
    for (model, values) in [(v1.model().unwrap(), 15_000_000), (&networks::mobilenet_v2(&gpu, 224), 19_000_000)] {
        let mut viewer = Viewer::new(model);
        viewer.predict(std::slice::from_ref(&input)).unwrap();
        let shown: usize = viewer.layers().iter().filter_map(LayerView::neural_value).map(<[f32]>::len).sum();
        let page = viewer.page(&Page::new()).unwrap();
        assert!(shown > values && page.len() < 15_000_000, "{}: {shown} values, {} bytes", model.name(), page.len());
    }
}

/// Without a device, from the same files.
#[cfg(all(feature = "keras", feature = "onnx"))]
#[test]
fn an_architecture_is_shown_as_the_model_before_its_first_predict() {
    use wgpu_conv::model::Architecture;

    let Some(gpu) = gpu::gpu() else { return };
    let mut count = 0;
    for folder in std::fs::read_dir(common::fixtures::directory().join("models")).unwrap() {
        for name in ["model.keras", "model_legacy.h5", "model.onnx"] {
            let file = folder.as_ref().unwrap().path().join(name);
            if !file.exists() {
                continue;
            }
            let (model, architecture) = match (Model::load(&gpu, &file), Architecture::load(&file)) {
                (Ok(model), Ok(architecture)) => (model, architecture),
                (model, architecture) => {
                    assert_eq!(model.unwrap_err().to_string(), architecture.unwrap_err().to_string());
                    continue;
                }
            };
            assert_eq!(architecture.count_params(), model.count_params(), "{}", file.display());
            let page = |viewer: Viewer| viewer.page(&Page::new()).unwrap();
            let same = page(Viewer::of_architecture(&architecture)) == page(Viewer::new(&model));
            assert!(same, "{}", file.display());
            count += 1;
        }
    }
    assert!(count >= 3, "{count} files");
}

/// What a page computes with stands in it, and is of this version. (`tests/live_page.py` uses such a page in a browser.)
#[test]
fn a_live_page_holds_all_it_computes_with() {
    let package = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("live_package");
    // What an earlier run left.
    let _ = std::fs::remove_dir_all(&package);
    std::fs::create_dir_all(&package).unwrap();
    let write = |name: &str, text: &str| std::fs::write(package.join(name), text).unwrap();
    let refused = || Live::new(&package, Vec::new()).unwrap_err().to_string();
    assert!(refused().contains("`npm install wgpu-conv` or `bash .ci/web`"), "{}", refused());
    write("package.json", "{\"version\": \"9.0.0\"}");
    assert!(refused().contains(concat!("of another version; this program takes ", env!("CARGO_PKG_VERSION"))));
    write("package.json", concat!("{\"version\": \"", env!("CARGO_PKG_VERSION"), "\"}"));
    assert!(refused().contains("wgpu_conv_bg.wasm"), "{}", refused());
    for name in ["wgpu_conv_bg.wasm", "wgpu_conv.js", "worker.js"] {
        write(name, name);
    }
    let mut sketch = Sketch::new();
    let input = sketch.input("image", &[4, 4, 1]).unwrap();
    sketch.layer(Conv2D::new(2, 3).name("conv"), &[input]).unwrap();
    let viewer = Viewer::of_sketch(sketch);
    let live = Live::new(&package, b"model".to_vec()).unwrap();
    let page = viewer.page(&Page::new().live(live).labels(["</script>".to_owned()])).unwrap();
    for (name, text) in [("module", "d2dwdV9jb252X2JnLndhc20="), ("worker", "d29ya2VyLmpz"), ("file", "bW9kZWw=")] {
        assert!(page.contains(&format!("id=\"live-{name}\">{text}</script>")), "{name}");
    }
    assert!(page.contains("\nclass RemoteModel") && !page.contains("import.meta.url)"));
    assert!(page.contains("'wasm-unsafe-eval'") && page.contains("id=\"pad\"") && !page.contains("</script>\"]"));
    // Or in files beside it, which it asks for and holds nothing of.
    let (live, files) = Live::new(&package, b"model".to_vec()).unwrap().beside("model.keras");
    let names = ["wgpu-conv/wgpu_conv_bg.wasm", "wgpu-conv/wgpu_conv.js", "wgpu-conv/worker.js", "model.keras"];
    assert_eq!(files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!((&files[2].1[..], &files[3].1[..]), (&b"worker.js"[..], &b"model"[..]));
    let beside = viewer.page(&Page::new().live(live)).unwrap();
    assert!(beside.contains("id=\"live-beside\">wgpu-conv/worker.js model.keras</script>"));
    assert!(beside.contains("worker-src 'self'; connect-src 'self'") && !beside.contains("worker-src blob:"));
    assert!(!beside.contains("id=\"live-module\"") && !beside.contains("id=\"live-file\""));
    // A page that trains has the module for that, too, and samples where there are some.
    let training = |samples: Option<&[u8]>| Live::training(&package, b"model".to_vec(), samples.map(<[u8]>::to_vec));
    assert!(training(None).unwrap_err().to_string().contains("wgpu_conv_train_bg.wasm"));
    for name in ["wgpu_conv_train_bg.wasm", "wgpu_conv_train.js"] {
        write(name, name);
    }
    let learns = viewer.page(&Page::new().live(training(Some(b"samples")).unwrap())).unwrap();
    assert!(learns.contains("id=\"live-samples\">c2FtcGxlcw==</script>") && learns.contains("id=\"live-train-glue\">"));
    assert!(learns.contains("id=\"learn\"") && learns.contains("\nclass Learning") && !page.contains("Learning {"));
    let waits = viewer.page(&Page::new().live(training(None).unwrap())).unwrap();
    assert!(waits.contains("id=\"live-train-module\">") && !waits.contains("id=\"live-samples\""));
    let (live, files) = training(Some(b"samples")).unwrap().beside("model.keras");
    let names: Vec<_> = files[4..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["wgpu-conv/wgpu_conv_train_bg.wasm", "wgpu-conv/wgpu_conv_train.js", "samples.npz"]);
    let beside = viewer.page(&Page::new().live(live)).unwrap();
    assert!(beside.contains("id=\"live-beside\">wgpu-conv/worker.js model.keras samples.npz</script>"));
    let still = viewer.page(&Page::new()).unwrap();
    assert!(!still.contains("wasm-unsafe-eval") && !still.contains("id=\"pad\"") && !still.contains("RemoteModel"));
}
