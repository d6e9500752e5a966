//! The program `wgpu-conv`, run as its users run it.
#![cfg(feature = "cli")]

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::process::{Command, Output, Stdio};

use common::fixtures::path;
use wgpu_conv::Activation;
use wgpu_conv::layers::{Conv2D, Dense, Flatten, Reshape};
use wgpu_conv::model::{Model, Sequential};

const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/digits");

fn digits(file: &str) -> String {
    path(&format!("models/digits/{file}")).display().to_string()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgpu-conv")).args(arguments).output().expect("the program must start")
}

/// What the program prints, which must succeed.
fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the program complains of, which must fail in good order.
fn complaint(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("error: ") && text.contains("next: ") && !text.contains("panicked"), "{text}");
    text
}

#[test]
fn help_teaches_by_example() {
    let text = printed(&["--help"]);
    assert!(text.contains("wgpu-conv run digits.keras seven.png") && text.contains("--adapter"), "{text}");
    assert!(printed(&["run", "--help"]).contains("--compare"));
    for command in ["run", "summary", "inspect", "verify", "bench", "convert", "view", "train", "adapters"] {
        let help = printed(&[command, "--help"]);
        let example = format!("  wgpu-conv {command} ");
        assert!(text.contains(&format!("  {command} ")), "{command} is not listed");
        assert!(command == "adapters" || help.contains("Examples:") && help.contains(&example), "{help}");
    }
}

/// Tables fit a terminal of 80 columns.
#[track_caller]
fn assert_narrow<'a>(lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        assert!(line.chars().count() <= 80 && !line.ends_with(' '), "{line:?}");
    }
}

#[test]
fn summaries_are_printed() {
    if gpu::gpu().is_none() {
        return;
    }
    let text = printed(&["summary", &digits("model.keras")]);
    assert!(text.contains("SeparableConv2D") && text.contains("9,466"), "{text}");
    assert_narrow(text.lines());
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["summary", &digits("model.keras"), "--json"])).unwrap();
    assert_eq!((&json["parameters"], &json["inputs"][0]["shape"]), (&9466.into(), &serde_json::json!([null, 8, 8, 1])));
    assert_eq!(json["layers"][0]["weights"][0], serde_json::json!({"name": "kernel", "shape": [3, 3, 1, 16]}));
}

/// A new folder for the files of a test.
fn folder(name: &str) -> std::path::PathBuf {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// An ONNX model whose only node is of an operator that nobody has.
fn unknown_onnx(model: &str, node: &str) -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| [&[number, bytes.len() as u8][..], bytes].concat();
    let node = [field(0x0a, b"x"), field(0x12, b"y"), field(0x1a, node.as_bytes()), field(0x22, b"Fold")].concat();
    let graph = [field(0x0a, &node), field(0x12, model.as_bytes())].concat();
    [&b"\x08\x08"[..], &field(0x3a, &graph), &field(0x42, b"\x0a\x00\x10\x11")].concat()
}

/// Without a GPU: none is opened.
#[test]
fn files_are_inspected() {
    let text = printed(&["inspect", &digits("model.keras"), "--adapter", "abacus"]);
    assert!(text.contains("a Keras model, model digits_dscnn") && text.contains("13 layer(s)"), "{text}");
    assert!(text.contains("Nothing in it is unknown here."), "{text}");
    let text = printed(&["inspect", &digits("expected.safetensors")]);
    assert!(text.contains("input_0") && text.contains("(360, 8, 8, 1)"), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["inspect", &digits("expected.safetensors"), "--json"])).unwrap();
    assert!(json["weights"].as_array().unwrap().iter().any(|tensor| tensor["name"] == "labels"), "{json}");
    assert!(complaint(&["inspect", "missing.keras"]).contains("missing.keras"));
    let file = folder("inspected").join("unknown.onnx");
    std::fs::write(&file, unknown_onnx("g", "fold")).unwrap();
    let output = run(&["inspect", file.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("an ONNX model, model g"), "{text}");
    assert!(text.contains("1 layer(s)") && text.contains("fold (Fold)"), "{text}");
}

#[test]
fn models_are_verified() {
    if gpu::gpu().is_none() {
        return;
    }
    let model = digits("model.keras");
    let text = printed(&["verify", &model]);
    assert!(text.contains("All of digits_dscnn agrees with the reference") && text.contains("output 0"), "{text}");
    let (table, _) = text.split_once("\n\n").unwrap();
    assert_narrow(table.lines());
    let statistics = digits("layers.json");
    let text = printed(&["verify", &model, "--expected", &statistics]);
    assert!(text.contains("agrees with the recorded statistics"), "{text}");

    // The mean of one layer said to be another, as a wrong weight would make it.
    let text = std::fs::read_to_string(&statistics).unwrap();
    let mut layers: serde_json::Value = serde_json::from_str(&text).unwrap();
    let changed = layers.as_array_mut().unwrap().iter_mut().find(|layer| layer["layer"] == "pw1").unwrap();
    changed["mean"] = (changed["mean"].as_f64().unwrap() + 0.01).into();
    let wrong = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("layers.json");
    std::fs::write(&wrong, layers.to_string()).unwrap();
    let wrong = wrong.to_str().unwrap();
    let inputs = digits("expected.safetensors");
    let output = run(&["verify", &model, &inputs, "--expected", wrong]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("First difference: pw1 (Conv2D)") && text.contains("mean: received"), "{text}");
    let output = run(&["verify", &model, &inputs, "--expected", wrong, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["first_difference"]), (Some(1), &"pw1".into()));
    let pw1 = json["layers"].as_array().unwrap().iter().find(|layer| layer["layer"] == "pw1").unwrap();
    assert_eq!(pw1["difference"]["statistic"], "mean");

    assert!(complaint(&["verify", &model, "--expected", &model]).contains("model.keras"));
    assert!(complaint(&["verify", &model, "missing.png"]).contains("missing.png"));
}

#[test]
fn models_are_converted() {
    if gpu::gpu().is_none() {
        return;
    }
    let place = |name: &str| std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).display().to_string();
    let (copy, weights) = (place("converted.keras"), place("converted.safetensors"));
    assert!(
        printed(&["convert", &digits("model_legacy.h5"), &copy, "--overwrite"])
            .contains("digits_dscnn with 9466 weight values")
    );
    let right = ["run", &copy, &digits("expected.safetensors"), "--tensor", "input_0", "--compare", "labels"];
    assert!(printed(&right).ends_with("356 of 360 right (98.9 %)\n"));
    printed(&["convert", &copy, &weights, "--overwrite"]);
    // Types that shaders may not have here are those of a file all the same.
    let (half, again) = (place("half.keras"), place("half_again.keras"));
    let mut chain = Sequential::new(&gpu::gpu().unwrap()).with_input([None, Some(5)]).unwrap();
    chain.add(Dense::new(3).dtype(wgpu_conv::DTypePolicy::EmulatedFloat16)).unwrap();
    chain.into_model().unwrap().save(&half).unwrap();
    assert!(printed(&["convert", &half, &again, "--overwrite"]).contains("18 weight values"));
    assert_eq!(std::fs::read(&half).unwrap().len(), std::fs::read(&again).unwrap().len());
    assert!(complaint(&["convert", &copy, &weights]).contains("--overwrite"));
    assert!(printed(&["inspect", &weights]).contains("stem/kernel"));
    assert!(complaint(&["convert", &copy, &place("converted.onnx")]).contains(".weights.h5"));
    assert!(complaint(&["convert", "missing.keras", &weights]).contains("missing.keras"));
}

#[test]
fn models_are_measured() {
    if gpu::gpu().is_none() {
        return;
    }
    let text = printed(&["bench", &digits("model.keras"), "2x8x8x1", "--runs", "2"]);
    assert!(text.contains("first call") && text.contains("memory: ") && text.contains("(2, 8, 8, 1)"), "{text}");
    let (table, _) = text.split_once("\n\n").unwrap();
    assert_narrow(table.lines());
    let arguments = ["bench", &digits("model.keras"), "--runs", "1", "--json"];
    let json: serde_json::Value = serde_json::from_str(&printed(&arguments)).unwrap();
    assert_eq!((&json["inputs"], json["layers"].as_array().unwrap().len()), (&serde_json::json!([[1, 8, 8, 1]]), 13));
    assert!(
        json["first_call_ms"].as_f64() > json["launches_ms"].as_f64() && json["memory"]["total"].as_u64() > Some(0)
    );
    // What `bench` has measured, `run` finds.
    let kernels = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernels.txt");
    let _ = std::fs::remove_file(&kernels);
    let tuned = ["--tune", kernels.to_str().unwrap()];
    printed(&[&["bench", &digits("model.keras"), "--runs", "1"], &tuned[..]].concat());
    let measured = std::fs::read_to_string(&kernels).unwrap();
    assert!(measured.contains("conv_direct_f32x"), "{measured}");
    let pictures = ["run", &digits("model.keras"), PICTURES, "--batch", "1"];
    assert_eq!(printed(&pictures).lines().count(), printed(&[&pictures, &tuned[..]].concat()).lines().count());
    assert_eq!(std::fs::read_to_string(&kernels).unwrap(), measured);
    assert!(complaint(&["bench", &digits("model.keras"), "--tune", PICTURES]).contains("cannot be read"));
    assert!(complaint(&["bench", &digits("model.keras"), "2x8x8x3"]).contains("stem"));
    assert_eq!(run(&["bench", &digits("model.keras"), "2x8xx3"]).status.code(), Some(2));
}

#[test]
fn the_test_set_is_scored() {
    if gpu::gpu().is_none() {
        return;
    }
    let text = printed(&["run", &digits("model.keras"), &digits("expected.safetensors"), "--compare", "labels"]);
    assert!(text.ends_with("356 of 360 right (98.9 %)\n"), "{text}");
    assert!(text.contains("340 more; --rows 0 prints all"), "{text}");
    assert!(text.lines().all(|line| !line.ends_with(' ')), "{text}");
}

#[test]
fn pictures_of_a_folder_get_labels() {
    if gpu::gpu().is_none() {
        return;
    }
    let text = printed(&["run", &digits("model.keras"), PICTURES, "--json", "--top", "3", "--batch", "7"]);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let results = value["results"].as_array().unwrap();
    assert_eq!((value["model"].as_str(), results.len()), (Some("digits_dscnn"), 20));
    for result in results {
        let label = result["top"][0]["label"].as_str().unwrap();
        assert!(result["input"].as_str().unwrap().contains(&format!("digit_{label}_")), "{result}");
        assert_eq!(result["top"].as_array().unwrap().len(), 3);
        assert!(result["ms"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn labels_have_names() {
    if gpu::gpu().is_none() {
        return;
    }
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("labels.txt");
    std::fs::write(&file, "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n").unwrap();
    let labels = file.to_str().unwrap();
    let picture = format!("{PICTURES}/digit_7_048.png");
    let text = printed(&["run", &digits("model.keras"), &picture, "--labels", labels]);
    assert!(text.contains("seven") && text.contains("1 input(s) through digits_dscnn"), "{text}");
    std::fs::write(&file, "zero\n").unwrap();
    assert!(
        complaint(&["run", &digits("model.keras"), &picture, "--labels", labels]).contains("1 lines for the 10 labels")
    );
}

/// How many scores a model gives may depend on the picture: labels that fit the first row need not fit the second.
#[test]
fn labels_must_fit_every_row() {
    if gpu::gpu().is_none() {
        return;
    }
    let labels = folder("rows").join("labels.txt");
    std::fs::write(&labels, "a\nb\nc\nd\n").unwrap();
    let file = |name: &str| format!("{}/tests/fixtures/findings/trust/{name}", env!("CARGO_MANIFEST_DIR"));
    let [model, four, more] = ["dyn.keras", "d1.npy", "d2.npy"].map(file);
    let (text, errors, code) = all_of(run(&["run", &model, &four, &more, "--labels", labels.to_str().unwrap()]));
    assert_eq!(code, Some(1), "{text}{errors}");
    assert!(errors.contains("4 lines for the 16 labels") && !errors.contains("panicked"), "{text}{errors}");
}

#[test]
fn adapters_are_listed_and_chosen() {
    let Some(gpu) = gpu::gpu() else { return };
    let text = printed(&["adapters"]);
    assert!(text.starts_with("index") && text.contains(&gpu.info().name), "{text}");
    let picture = format!("{PICTURES}/digit_7_048.png");
    for choice in ["0", &gpu.info().name] {
        assert!(printed(&["run", &digits("model.keras"), &picture, "--adapter", choice]).contains("ms on"));
    }
    assert!(complaint(&["--adapter", "abacus", "run", &digits("model.keras"), &picture]).contains("abacus"));
}

#[test]
fn mistakes_are_explained() {
    if gpu::gpu().is_none() {
        return;
    }
    let (model, test_set) = (digits("model.keras"), digits("expected.safetensors"));
    assert!(complaint(&["run", "missing.keras", PICTURES]).contains("missing.keras"));
    assert!(complaint(&["run", &test_set, PICTURES]).contains("weights without a model"));
    assert!(complaint(&["run", &model, "missing.png"]).contains("missing.png"));
    assert!(complaint(&["run", &model, &model]).contains("safetensors"));
    assert!(complaint(&["run", &model, &test_set, "--tensor", "nothing"]).contains("input_0"));
    assert!(complaint(&["run", &model, &test_set, "--compare", "nothing"]).contains("keras_pred"));
    assert!(complaint(&["run", &model, PICTURES, "--compare", "labels"]).contains("safetensors"));
    assert!(complaint(&["run", &model, PICTURES, "--mean", "0.4,0.5"]).contains("one for each channel"));
    assert!(complaint(&["run", &model, PICTURES, "--std=-1,2,3"]).contains("3 numbers, a model with input shape"));
    let wrong = [["--batch", "0"], ["--top", "0"], ["--scale", "nan"], ["--offset", "inf"]];
    for [option, value] in [&wrong[..], &[["--mean", "0.5,nan"], ["--std", "inf"], ["--std", "0.2,0"]]].concat() {
        let output = run(&["run", &model, PICTURES, option, value]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{option} {value}: {text}");
        assert!(text.contains("it must be"), "{text}");
    }
    assert_eq!(run(&["run"]).status.code(), Some(2));
    assert_eq!(run(&["fly"]).status.code(), Some(2));
}

#[test]
fn a_model_is_written_as_a_page_and_pictures() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("wgpu-conv-view-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (page, maps) = (folder.join("seven.html").display().to_string(), folder.join("maps").display().to_string());
    let seven = format!("{PICTURES}/digit_7_048.png");
    let view = ["view", &digits("model.keras"), &seven, "-o", &page, "--open", "dw1", "--png", &maps];
    assert!(printed(&view).ends_with("maps: 14 pictures\n"));
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<tr class=\"best\"><th scope=\"row\">7</th>") && html.contains("digit_7_048.png on "));
    assert_eq!(html.matches("<dt>Time</dt>").count(), 13);
    assert_eq!(html.matches("class=\"toggle\" aria-expanded=\"true\"").count(), 1);
    assert!(std::fs::read(format!("{maps}/004_dw1.png")).unwrap().starts_with(b"\x89PNG"));
    assert!(complaint(&["view", &digits("model.keras"), &seven, "-o", &page, "--open", "dw9"]).contains("dw9"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// Runs the program where there is nothing to compute on.
fn run_without_adapter(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgpu-conv"));
    command.env("WGPU_BACKEND", "vulkan");
    command.env("WGPU_ADAPTER_NAME", "none");
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, "/nonexistent.json");
    }
    command.args(arguments).output().expect("the program must start")
}

#[test]
fn an_architecture_is_drawn_without_an_adapter() {
    let model = digits("model.keras");
    assert_eq!(run_without_adapter(&["verify", &model]).status.code(), Some(1), "there is an adapter");
    let folder = std::env::temp_dir().join(format!("wgpu-conv-shapes-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let in_folder = |name: &str| folder.join(name).display().to_string();
    // The model without its weights, as to_json of Keras writes it.
    let mut archive = zip::ZipArchive::new(std::fs::File::open(&model).unwrap()).unwrap();
    let config = in_folder("config.json");
    std::io::copy(&mut archive.by_name("config.json").unwrap(), &mut std::fs::File::create(&config).unwrap()).unwrap();
    let (page, maps) = (in_folder("page.html"), in_folder("maps"));
    for file in [model, digits("model_legacy.h5"), digits("model.onnx"), config] {
        let output =
            run_without_adapter(&["view", &file, "--shape-only", "-o", &page, "--png", &maps, "--open", "all"]);
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let html = std::fs::read_to_string(&page).unwrap();
        assert!(html.contains("<dd>8 × 8 × 32</dd>") && !html.contains("id=\"sheet-"), "{file}");
        assert!(!html.contains("<dt>Values</dt>") && !html.contains("<dt>Time</dt>"), "{file}");
    }
    assert!(std::fs::read(folder.join("maps/004_dw1.png")).unwrap().starts_with(b"\x89PNG"));
    std::fs::remove_dir_all(folder).unwrap();
}

/// What a model does on the host stands wherever it is shown, and what fails names a step that helps.
#[test]
fn ends_on_the_host_are_shown() {
    let ends = |name: &str| format!("{}/tests/fixtures/findings/onnx/{name}", env!("CARGO_MANIFEST_DIR"));
    let folder = std::env::temp_dir().join(format!("wgpu-conv-ends-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let in_folder = |name: &str| folder.join(name).display().to_string();
    let (model, page) = (ends("end_failing.onnx"), in_folder("page.html"));
    let text = printed(&["summary", &model]);
    assert!(
        text.contains("Computed on the host, of what these layers make:\n   NonZero_0 (NonZero), Gather_1"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&printed(&["summary", &model, "--json"])).unwrap();
    assert_eq!(json["on_host"][1], serde_json::json!({"layer": "Gather_1", "class": "Gather"}));
    printed(&["view", &model, "-o", &page, "--shape-only"]);
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("computed on the host, of what these layers make: NonZero_0 (NonZero)"), "{html}");
    let (input, arrays) = (in_folder("x.npy"), in_folder("x.npz"));
    let x = wgpu_conv::HostTensor::new([1, 4], vec![0.0, 1.0, 2.0, 0.0]).unwrap();
    wgpu_conv::formats::write_arrays(&input, &[("x", &x)]).unwrap();
    wgpu_conv::formats::write_arrays(&arrays, &[("a", &x), ("b", &x)]).unwrap();
    std::fs::write(in_folder("torn.npz"), &std::fs::read(&arrays).unwrap()[..40]).unwrap();
    for (input, next) in [
        (input, "end the model before what the host computes"),
        (arrays, "name an array of the file: --tensor NAME"),
        (in_folder("torn.npz"), "give a whole picture (.png, .jpg) or array (.npy, .npz, .safetensors)"),
    ] {
        let text = complaint(&["run", &model, &input]);
        assert!(text.contains(&format!("next: {next}")), "{text}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// What was printed on standard output and standard error, and the exit status.
fn all_of(output: Output) -> (String, String, Option<i32>) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

/// What the library warns of is told: here that a class of a program may compute more than its file says.
#[test]
fn warnings_are_notes_on_standard_error() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/findings/functional_subclass.keras");
    let (text, errors, code) = all_of(run(&["inspect", file]));
    assert!(code == Some(0) && text.contains("layer(s)"), "{text}");
    assert!(errors.contains("note: ") && errors.contains("which is of a program"), "{errors}");
    let (_, errors, _) = all_of(run(&["inspect", &digits("model.keras")]));
    assert_eq!(errors, "");
}

#[test]
fn models_are_summed_up_and_converted_without_an_adapter() {
    let folder = folder("no_adapter");
    let path = |name: &str| folder.join(name).display().to_string();
    for file in ["model.keras", "model_legacy.h5", "model.onnx"] {
        let (text, errors, code) = all_of(run_without_adapter(&["summary", &digits(file)]));
        assert!(code == Some(0) && text.contains("Total params: 9,"), "{file}: {text}{errors}");
    }
    let (text, errors, code) =
        all_of(run_without_adapter(&["convert", &digits("model_legacy.h5"), &path("a.keras"), "--json"]));
    assert_eq!(code, Some(0), "{errors}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["model"], &json["values"]), (&"digits_dscnn".into(), &9466.into()));
    // The weights are those of the file: what nothing computes is not lost on the way.
    let (_, errors, code) = all_of(run_without_adapter(&["convert", &path("a.keras"), &path("a.safetensors")]));
    assert_eq!(code, Some(0), "{errors}");
    let (_, errors, code) = all_of(run_without_adapter(&["convert", &digits("model.keras"), &path("b.safetensors")]));
    assert_eq!(code, Some(0), "{errors}");
    let [a, b] = ["a.safetensors", "b.safetensors"].map(|name| std::fs::read(folder.join(name)).unwrap());
    assert!(a == b && a.len() > 4 * 9466 && a[a.len() / 2..].iter().any(|&byte| byte != 0));
}

/// A summary needs no weights: neither those that are damaged, nor any at all.
#[test]
fn a_summary_reads_no_weights() {
    let folder = folder("no_weights");
    let mut bytes = std::fs::read(digits("model.keras")).unwrap();
    let expected = printed(&["summary", &digits("model.keras")]);
    let damaged = folder.join("damaged.keras");
    let middle = bytes.len() / 3..bytes.len() / 2;
    assert!(bytes[middle.clone()].iter().any(|&byte| byte != 0));
    bytes[middle].fill(0);
    std::fs::write(&damaged, &bytes).unwrap();
    let damaged = damaged.to_str().unwrap();
    let (text, errors, code) = all_of(run_without_adapter(&["summary", damaged]));
    assert_eq!((text, code), (expected, Some(0)), "{errors}");
    let (_, errors, code) = all_of(run_without_adapter(&["convert", damaged, &format!("{damaged}.h5")]));
    assert_eq!(code, Some(1), "{errors}");
}

/// A name in a file that ends its line and goes on as if the program had said it.
#[test]
fn names_in_files_write_no_lines_of_their_own() {
    let folder = folder("forged");
    let forged = "fold\n0 errors: ALL IS WELL\r\u{1b}[2J\u{202e}";
    let file = folder.join("forged.onnx");
    std::fs::write(&file, unknown_onnx(forged, forged)).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [&["inspect", file][..], &["summary", file], &["view", file, "--shape-only", "-o", file]] {
        let (text, errors, code) = all_of(run(arguments));
        assert_eq!(code, Some(1), "{arguments:?}");
        for line in text.lines().chain(errors.lines()) {
            assert!(!line.starts_with("0 errors"), "{arguments:?}: {text}{errors}");
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        }
        assert!(text.contains("fold\\u{a}0 errors") || errors.contains("fold\\u{a}0 errors"), "{text}{errors}");
    }
    // The name of a file is one as well.
    let (_, errors, _) = all_of(run(&["inspect", "no\nerror: forged"]));
    assert!(!errors.contains("\nerror: forged"), "{errors}");
}

#[test]
fn one_bad_picture_costs_no_other_its_result() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("one_bad");
    for (name, picture) in [("a.png", "digit_7_048.png"), ("c.png", "digit_7_048.png")] {
        std::fs::copy(format!("{PICTURES}/{picture}"), folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("b.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    let pictures = folder.to_str().unwrap();
    let (text, errors, code) = all_of(run(&["run", &digits("model.keras"), pictures, "--batch", "1"]));
    assert_eq!(code, Some(1), "{text}{errors}");
    assert!(text.contains("a.png") && text.contains("c.png") && !text.contains("b.png"), "{text}");
    assert!(errors.contains("error: ") && errors.contains("b.png"), "{errors}");
    assert!(text.ends_with("1 could not be read or computed, as told above\n"), "{text}");
    let (text, _, code) = all_of(run(&["run", &digits("model.keras"), pictures, "--json"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, json["results"].as_array().unwrap().len()), (Some(1), 2));
    assert!(json["failed"][0]["input"].as_str().unwrap().ends_with("b.png"), "{json}");
    // With right labels, too: what lacks them is told, and the others are compared.
    let test_set = digits("expected.safetensors");
    let (text, errors, code) = all_of(run(&[
        "run",
        &digits("model.keras"),
        &test_set,
        pictures,
        "--compare",
        "labels",
        "--tensor",
        "input_0",
    ]));
    assert!(code == Some(1) && text.contains("356 of 360 right (98.9 %)"), "{text}{errors}");
    // A file that is not there, and a folder without inputs, among others.
    let picture = format!("{PICTURES}/digit_7_048.png");
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    let (text, errors, code) =
        all_of(run(&["run", &digits("model.keras"), "missing.png", empty.to_str().unwrap(), &picture]));
    assert!(code == Some(1) && text.contains("digit_7_048.png"), "{text}{errors}");
    assert!(errors.contains("missing.png") && errors.contains("no file ending in"), "{errors}");
    assert_narrow(text.lines().take(2));
}

/// ONNX: softmax over the first axis of an input of 40 by 3.
const SOFTMAX_OF_40: &[u8] = b"\x08\x08:;\n\x1c\n\x01a\x12\x01y\"\x07Softmax*\x0b\n\x04axis\x18\x00\xa0\x01\x02\x12\x01gZ\x13\n\x01a\x12\x0e\n\x0c\x08\x01\x12\x08\n\x02\x08(\n\x02\x08\x03b\x03\n\x01yB\x04\n\x00\x10\x11";
/// ONNX: the places of an input of N by L that are not zero.
const NON_ZERO: &[u8] = b"\x08\x08:6\n\x0f\n\x01a\x12\x01y\"\x07NonZero\x12\x01gZ\x15\n\x01a\x12\x10\n\x0e\x08\x01\x12\n\n\x03\x12\x01N\n\x03\x12\x01Lb\x09\n\x01y\x12\x04\n\x02\x08\x07B\x04\n\x00\x10\x11";

#[test]
fn a_batch_that_a_model_fixes_stays_whole() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("fixed_batch");
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("softmax.onnx"), SOFTMAX_OF_40).unwrap();
    let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (40, 3), }\n";
    let values: Vec<i32> = (0..120).map(|index| index * 7 % 11 - 5).collect();
    let numbers: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let array = [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &numbers].concat();
    std::fs::write(path("x.npy"), array).unwrap();
    let tensor = safetensors::tensor::TensorView::new(safetensors::Dtype::I32, vec![40, 3], &numbers).unwrap();
    std::fs::write(path("x.safetensors"), safetensors::serialize([("x", tensor)], None).unwrap()).unwrap();
    for input in ["x.npy", "x.safetensors"] {
        printed(&["run", &path("softmax.onnx"), &path(input), "-o", &path("y.npy"), "--overwrite"]);
        let made = &wgpu_conv::formats::read_arrays(path("y.npy")).unwrap()[0].1;
        for column in 0..3 {
            let of = |row: usize| f64::from(values[row * 3 + column]).exp();
            let sum: f64 = (0..40).map(of).sum();
            for row in 0..40 {
                let (got, expected) = (f64::from(made.values[row * 3 + column]), of(row) / sum);
                assert!((got - expected).abs() < 1e-6, "{input}, {row}, {column}: {got} for {expected}");
            }
        }
    }
    // Of one file some rows may come to something and others not: those say why.
    std::fs::write(path("places.onnx"), NON_ZERO).unwrap();
    let x = wgpu_conv::HostTensor::new([2, 3], vec![0.0, 1.0, 2.0, 3.0, 0.0, 0.0]).unwrap();
    wgpu_conv::formats::write_arrays(path("x2.npy"), &[("x", &x)]).unwrap();
    let (text, errors, code) = all_of(run(&["run", &path("places.onnx"), &path("x2.npy"), "-o", &path("places.npz")]));
    assert!(code == Some(1) && text.contains("1 could not be read or computed, as told above"), "{text}{errors}");
    assert!(errors.contains("run the others by themselves"), "{errors}");
    // A name tells inputs of one model apart, not those of several inputs.
    let two = format!("{}/tests/fixtures/findings/nested_dict_inputs.keras", env!("CARGO_MANIFEST_DIR"));
    let text = complaint(&["run", &two, &path("x.npy"), "--tensor", "x"]);
    assert!(text.contains("received x for 2 inputs"), "{text}");
}

#[test]
fn outputs_are_written_as_they_are() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("outputs");
    let path = |name: &str| folder.join(name).display().to_string();
    let test_set = ["run", &digits("model.keras"), &digits("expected.safetensors"), "--tensor", "input_0"];
    let written =
        |file: &str| [&test_set[..], &["-o", file]].concat().iter().map(|it| it.to_string()).collect::<Vec<_>>();
    let run_with = |arguments: &[String]| run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    for file in ["scores.npy", "scores.npz", "scores.safetensors"] {
        let (text, errors, code) = all_of(run_with(&written(&path(file))));
        assert!(code == Some(0) && text.contains(&format!("{file}: (360, 10)")), "{text}{errors}");
        // What is there stays, unless asked for.
        let (_, errors, code) = all_of(run_with(&written(&path(file))));
        assert!(code == Some(1) && errors.contains("--overwrite"), "{errors}");
        assert_eq!(run_with(&[&written(&path(file))[..], &["--overwrite".to_owned()]].concat()).status.code(), Some(0));
    }
    // They are Keras's scores.
    let npy = std::fs::read(path("scores.npy")).unwrap();
    let scores: Vec<f32> =
        npy[npy.len() - 4 * 3600..].chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap())).collect();
    let file = std::fs::read(digits("expected.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&file).unwrap();
    let expected = file.tensor("output_0").unwrap();
    let expected = expected.data().chunks(4).map(|it| f32::from_le_bytes(it.try_into().unwrap()));
    assert!(scores.iter().zip(expected).all(|(score, expected)| (score - expected).abs() <= 1e-3));
    // By name they are the same.
    let named = wgpu_conv::formats::read_arrays(path("scores.npz")).unwrap();
    let [(name, array)] = &named[..] else { panic!("{named:?}") };
    assert_eq!((name.as_str(), array.shape.dims(), &array.values), ("output_0", &[360, 10][..], &scores));
    let (_, errors, code) = all_of(run_with(&written(&path("scores.csv"))));
    assert!(code == Some(1) && errors.contains("must end in .npz or .safetensors"), "{errors}");
    // They are written as well where nobody reads to the end what is printed.
    let file = path("unread.npy");
    let arguments = [&written(&file)[..], &["--rows".to_owned(), "0".to_owned()]].concat();
    let mut unread =
        Command::new(env!("CARGO_BIN_EXE_wgpu-conv")).args(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    drop(unread.stdout.take());
    assert!(unread.wait().unwrap().success());
    assert_eq!(std::fs::read(file).unwrap(), npy);
    let (_, errors, code) = all_of(run_with(&written(&path("nowhere/scores.npy"))));
    assert!(code == Some(1) && errors.contains("there is no folder"), "{errors}");
    // A zip file of anything else is left as it is, and so is a model.
    std::fs::write(path("model.npz"), std::fs::read(digits("model.keras")).unwrap()).unwrap();
    let (_, errors, code) = all_of(run_with(&[&written(&path("model.npz"))[..], &["--overwrite".to_owned()]].concat()));
    assert!(code == Some(1) && errors.contains("not arrays"), "{errors}");
}

#[test]
fn what_nothing_is_said_of_is_told_so() {
    if gpu::gpu().is_none() {
        return;
    }
    // An array whose numbers are none.
    let file = folder("nan").join("nan.npy");
    let header = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 8, 8, 1), }");
    let nan = [f32::NAN.to_le_bytes(); 64].concat();
    std::fs::write(&file, [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &nan].concat()).unwrap();
    let file = file.to_str().unwrap();
    let text = printed(&["run", &digits("model.keras"), file]);
    assert!(text.contains("no label: the output is NaN"), "{text}");
    assert_narrow(text.lines().take(2));
    let json: serde_json::Value =
        serde_json::from_str(&printed(&["run", &digits("model.keras"), file, "--json"])).unwrap();
    assert_eq!(json["results"][0]["reason"], "no label: the output is NaN");
    assert_eq!((&json["results"][0]["top"], &json["results"][0]["nan"]), (&serde_json::json!([]), &10.into()));
}

#[test]
fn hints_fit() {
    let folder = folder("hints");
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("model.tflite"), b"\x1c\0\0\0TFL3").unwrap();
    std::fs::create_dir(path("saved")).unwrap();
    std::fs::write(path("saved/saved_model.pb"), b"").unwrap();
    std::fs::write(path("labels.txt"), b"\xff\xfe").unwrap();
    for command in ["inspect", "summary"] {
        for (file, hint) in [("model.tflite", "--tflite"), ("saved", "--saved-model")] {
            let text = complaint(&[command, &path(file)]);
            assert!(text.contains(hint) && text.contains("next: convert it there"), "{text}");
            assert!(!text.contains("next: `wgpu-conv inspect"), "{text}");
        }
    }
    let text = complaint(&["run", &digits("model.keras"), PICTURES, "--labels", &path("labels.txt")]);
    assert!(text.contains("next: give a text file"), "{text}");
    let text = complaint(&["run", &digits("model.keras"), PICTURES, "-o", &path("none/scores.npy")]);
    assert!(text.contains("there is no folder") && text.contains("next: choose another path"), "{text}");
    let text = complaint(&["summary", &digits("model.keras"), "--from", "features=1x8"]);
    assert!(text.contains("are for ONNX files") && text.contains("received model.keras"), "{text}");
    // What there is comes with the array that was found.
    let x = wgpu_conv::HostTensor::new([1, 8, 8, 1], vec![0.0; 64]).unwrap();
    wgpu_conv::formats::write_arrays(path("x.npz"), &[("x", &x)]).unwrap();
    let text = complaint(&["train", &digits("model.keras"), &path("x.npz"), "-o", &path("trained.keras")]);
    assert!(text.contains("it holds no array but x (1, 8, 8, 1)") && text.contains("--y NAME"), "{text}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgpu-conv"));
    command.env("WGPU_BACKEND", "foo").args(["verify", &digits("model.keras")]);
    let (_, text, _) = all_of(command.output().unwrap());
    assert!(text.contains("vulkan, metal, dx12") && text.contains("received foo"), "{text}");
    // A keras.json that is faulty stops the program, which reads it, and says what it is.
    std::fs::write(path("keras.json"), r#"{"floatx": "float8"}"#).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgpu-conv"));
    command.env("KERAS_HOME", &folder).args(["summary", &digits("model.keras")]);
    let (_, text, code) = all_of(command.output().unwrap());
    assert!(code == Some(1) && text.contains("keras.json: `floatx` must be") && text.contains("next: mend"), "{text}");
}

/// A live page may have its parts in files beside it: in a folder of its own, which is written again and never another's.
#[test]
fn a_live_page_may_be_a_folder() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli_live");
    // What an earlier run left.
    let _ = std::fs::remove_dir_all(&folder);
    let (package, site, others) = (folder.join("package"), folder.join("site"), folder.join("others"));
    for made in [&package, &others] {
        std::fs::create_dir_all(made).unwrap();
    }
    let version = concat!("{\"version\": \"", env!("CARGO_PKG_VERSION"), "\"}");
    std::fs::write(package.join("package.json"), version).unwrap();
    for name in ["wgpu_conv_bg.wasm", "wgpu_conv.js", "worker.js"] {
        std::fs::write(package.join(name), name).unwrap();
    }
    let (model, package) = (digits("model.keras"), package.display().to_string());
    for _ in 0..2 {
        let text = printed(&["view", &model, "--live", &package, "-o", &site.display().to_string()]);
        assert!(text.contains("index.html: 14 layers"), "{text}");
        let page = std::fs::read_to_string(site.join("index.html")).unwrap();
        assert!(page.contains("id=\"live-beside\"") && page.len() < 200_000, "{} bytes", page.len());
        assert_eq!(std::fs::read(site.join("model.keras")).unwrap(), std::fs::read(&model).unwrap());
        assert_eq!(std::fs::read(site.join("wgpu-conv/worker.js")).unwrap(), b"worker.js");
    }
    // A model that lies beside a page without one is somebody's, and so is what a link leads to.
    let still = folder.join("still");
    printed(&["view", &model, "--shape-only", "-o", &still.with_extension("html").display().to_string()]);
    std::fs::create_dir_all(&still).unwrap();
    std::fs::rename(still.with_extension("html"), still.join("index.html")).unwrap();
    std::fs::write(still.join("model.keras"), "mine").unwrap();
    let text = complaint(&["view", &model, "--live", &package, "-o", &still.display().to_string()]);
    assert!(text.contains("belongs to no such page"), "{text}");
    assert_eq!(std::fs::read(still.join("model.keras")).unwrap(), b"mine");
    #[cfg(unix)]
    {
        std::fs::remove_file(site.join("model.keras")).unwrap();
        std::os::unix::fs::symlink(still.join("model.keras"), site.join("model.keras")).unwrap();
        let text = complaint(&["view", &model, "--live", &package, "-o", &site.display().to_string()]);
        assert!(text.contains("belongs to no such page"), "{text}");
        assert_eq!(std::fs::read(still.join("model.keras")).unwrap(), b"mine");
    }
    std::fs::write(others.join("letter.txt"), "kept").unwrap();
    let text = complaint(&["view", &model, "--live", &package, "-o", &others.display().to_string()]);
    assert!(text.contains("holds other things") && !others.join("wgpu-conv").exists(), "{text}");
    std::fs::write(others.join("index.html"), "<p>another's").unwrap();
    let text = complaint(&["view", &model, "--live", &package, "-o", &others.display().to_string()]);
    assert!(text.contains("not a page of this program's") && !others.join("wgpu-conv").exists(), "{text}");
    let one = folder.join("one.html").display().to_string();
    assert!(printed(&["view", &model, "--live", &package, "-o", &one]).contains("one.html: 14 layers"));
}

#[test]
fn pages_take_the_place_of_pages_alone() {
    let folder = folder("pages");
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::write(path("mine.html"), "<!DOCTYPE html>\n<html><title>Mine</title></html>\n").unwrap();
    std::fs::write(path("mine.zip"), b"PK\x03\x04 photos").unwrap();
    std::fs::create_dir(path("maps")).unwrap();
    std::fs::write(path("maps/000_input_layer.png"), b"\x89PNG\r\n\x1a\n a photo").unwrap();
    let view = |page: &str| run(&["view", &digits("model.keras"), "--shape-only", "-o", &path(page), "--json"]);
    for (file, kept) in [("mine.html", "Mine"), ("mine.zip", "photos")] {
        let (_, errors, code) = all_of(view(file));
        assert!(code == Some(1) && errors.contains("left as it is"), "{errors}");
        assert!(String::from_utf8_lossy(&std::fs::read(path(file)).unwrap()).contains(kept));
    }
    for _ in 0..2 {
        let (text, errors, code) = all_of(view("page.html"));
        assert_eq!(code, Some(0), "{errors}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["bytes"].as_u64(), Some(std::fs::metadata(path("page.html")).unwrap().len()));
    }
    let pictures =
        ["view", &digits("model.keras"), "--shape-only", "-o", &path("page.html"), "--png", &path("maps"), "--json"];
    for _ in 0..2 {
        let json: serde_json::Value = serde_json::from_str(&printed(&pictures)).unwrap();
        assert_eq!(json["pictures"].as_array().unwrap().len(), 14, "{json}");
    }
}

#[test]
fn adapters_are_told_to_programs() {
    let Some(gpu) = gpu::gpu() else { return };
    let json: serde_json::Value = serde_json::from_str(&printed(&["adapters", "--json"])).unwrap();
    assert!(json.as_array().unwrap().iter().any(|adapter| adapter["name"] == gpu.info().name.as_str()), "{json}");
}

/// A network for the digits that has not learned anything.
fn network() -> Model {
    let softmax = Activation::from_name("softmax").unwrap();
    let mut chain = Sequential::new(&gpu::gpu().unwrap()).with_input([None, Some(8), Some(8), Some(1)]).unwrap();
    chain.add(Conv2D::new(8, 3).activation(Activation::RELU)).unwrap();
    chain.add(Flatten::new()).unwrap();
    chain.add(Dense::new(10).activation(softmax)).unwrap();
    chain.into_model().unwrap()
}

/// Without `--loss` it is told which one is taken: that of several sigmoids is the binary one.
#[test]
fn a_loss_that_is_chosen_is_told() {
    let Some(gpu) = gpu::gpu() else { return };
    let folder = folder("chosen_loss");
    let at = |name: &str| folder.join(name).display().to_string();
    let floats = |count: usize| (0..count).flat_map(|at| ((at % 2) as f32).to_le_bytes()).collect::<Vec<u8>>();
    let (x, y) = (floats(4 * 5), floats(4 * 3));
    let view =
        |shape: [usize; 2], bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.into(), bytes);
    let arrays = [("x", view([4, 5], &x).unwrap()), ("y", view([4, 3], &y).unwrap())];
    std::fs::write(at("data.safetensors"), safetensors::serialize(arrays, None).unwrap()).unwrap();
    for (activation, told) in [
        ("sigmoid", "note: the loss is BinaryCrossentropy of probabilities"),
        ("softmax", "note: the loss is CategoricalCrossentropy of probabilities"),
        ("linear", "note: the loss is CategoricalCrossentropy of logits"),
    ] {
        let mut chain = Sequential::new(&gpu).with_input([None, Some(5)]).unwrap();
        chain.add(Dense::new(3).activation(Activation::from_name(activation).unwrap())).unwrap();
        let (model, out) = (at(&format!("{activation}.keras")), at(&format!("{activation}_trained.keras")));
        chain.into_model().unwrap().save(&model).unwrap();
        let (_, errors, code) = all_of(run(&["train", &model, &at("data.safetensors"), "-o", &out, "--epochs", "1"]));
        assert!(code == Some(0) && errors.contains(told), "{activation}: {errors}");
    }
}

/// From random weights, by arrays and by pictures; the file is read by the other commands and gone on with.
#[test]
fn models_are_trained() {
    if gpu::gpu().is_none() {
        return;
    }
    let folder = folder("trained");
    let at = |name: &str| folder.join(name).display().to_string();
    let (model, data) = (at("new.keras"), digits("expected.safetensors"));
    network().save(&model).unwrap();
    let (out, page, csv) = (at("trained.keras"), at("curves.html"), at("epochs.csv"));
    let by = ["--y", "labels", "--epochs", "2", "--batch-size", "60"];
    let train = |more: &[&str]| run(&[&["train", &model, &data, "-o", &out][..], &by, more].concat());
    let output = train(&[
        "--from-scratch",
        "--validation-split",
        "0.2",
        "--page",
        &page,
        "--csv",
        &csv,
        "--learning-rate",
        "0.01",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        text.starts_with("epoch  loss ") && text.contains("val_accuracy") && text.contains("trained.keras: "),
        "{text}"
    );
    assert_narrow(text.lines().take_while(|line| !line.is_empty()));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.matches("<svg").count() == 2 && page.contains("val_loss"), "{page}");
    assert_eq!(std::fs::read_to_string(&csv).unwrap().lines().count(), 3);
    assert!(printed(&["inspect", &out]).contains("3 layer(s)"));

    // The file is left as it is, unless it is said otherwise; then it goes on by what it says itself.
    let error = complaint(&[&["train", &model, &data, "-o", &out][..], &by].concat());
    assert!(error.contains("--overwrite replaces it"), "{error}");
    let resumed =
        ["train", &out, &data, "-o", &out, "--overwrite", "--resume", "--y", "labels", "--epochs", "1", "--json"];
    let json: serde_json::Value = serde_json::from_str(&printed(&resumed)).unwrap();
    assert_eq!((json["samples"].as_u64(), json["epochs"].as_array().map(Vec::len)), (Some(360), Some(1)));
    assert!(json["epochs"][0]["accuracy"].is_f64(), "{json}");

    // A folder of pictures for each class, of which the model knows ten.
    for picture in std::fs::read_dir(PICTURES).unwrap() {
        let path = picture.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some(class) = name.strip_prefix("digit_").and_then(|rest| rest.get(..1)) {
            let class = folder.join("pictures").join(class);
            std::fs::create_dir_all(&class).unwrap();
            std::fs::copy(&path, class.join(name)).unwrap();
        }
    }
    let (pictures, second) = (at("pictures"), at("pictures.keras"));
    let frozen = ["--freeze", "all-but:1", "--epochs", "1", "--json"];
    let json: serde_json::Value =
        serde_json::from_str(&printed(&[&["train", &model, &pictures, "-o", &second][..], &frozen].concat())).unwrap();
    assert_eq!((json["samples"].as_u64(), json["classes"].as_array().map(Vec::len)), (Some(20), Some(10)));
    let before = Model::load(&gpu::gpu().unwrap(), &model).unwrap();
    let after = Model::load(&gpu::gpu().unwrap(), &second).unwrap();
    let (before, after) = (before.weights(), after.weights());
    let moved = before.iter().zip(&after).map(|((_, one), (_, other))| one.read().unwrap() != other.read().unwrap());
    assert_eq!(moved.collect::<Vec<_>>(), [false, false, true, true], "the last layer alone learns");

    // A softmax is one as well where a layer stands behind it that only changes the shape.
    let (reshaped, weights) = (at("reshaped.keras"), at("new.weights.h5"));
    let given = gpu::gpu().unwrap();
    Model::load(&given, &model).unwrap().save(&weights).unwrap();
    let mut chain = Sequential::new(&given).with_input([None, Some(8), Some(8), Some(1)]).unwrap();
    for block in Model::load(&given, &model).unwrap().blocks() {
        let wgpu_conv::model::Block::Layer(layer) = block else { panic!("{}", block.name()) };
        chain.add(layer.config().clone()).unwrap();
    }
    chain.add(Reshape::new([10])).unwrap();
    let chain = chain.into_model().unwrap();
    chain.load_weights(&weights).unwrap();
    chain.save(&reshaped).unwrap();
    let losses = [&model, &reshaped].map(|model| {
        let text =
            printed(&[&["train", model, &data, "-o", &at("loss.keras"), "--overwrite", "--json"][..], &by].concat());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        json["epochs"][0]["loss"].as_f64().unwrap()
    });
    assert!((losses[0] - losses[1]).abs() < 1e-6, "{losses:?}");

    // A rate that falls is another training, and Keras's schedule in the file.
    let falls = ["--learning-rate", "0.01", "--cosine-decay", "--overwrite"];
    printed(&[&["train", &model, &data, "-o", &at("falls.keras")][..], &by, &falls].concat());
    let config = std::fs::read(at("falls.keras")).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(config)).unwrap();
    let config = std::io::read_to_string(archive.by_name("config.json").unwrap()).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let rate = &config["compile_config"]["optimizer"]["config"]["learning_rate"];
    // 360 digits, 60 at a time, twice.
    assert_eq!((&rate["class_name"], &rate["config"]["decay_steps"]), (&"CosineDecay".into(), &12.into()), "{rate}");

    // First weights follow from the seed as well.
    let scores = |seed: &str| {
        let scratch = ["--from-scratch", "--seed", seed, "--overwrite", "--json"];
        let text = printed(&[&["train", &model, &data, "-o", &at("scratch.keras")][..], &by, &scratch].concat());
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["epochs"].clone()
    };
    let [first, again, other] = ["3", "3", "4"].map(scores);
    assert!(first == again && first != other, "{first} {again} {other}");

    // A new last layer, for as many classes as there are folders, or labels; and the model up to the one before.
    std::fs::remove_dir_all(folder.join("pictures/9")).unwrap();
    let third = at("nine.keras");
    let new = ["--new-head", "--freeze", "all-but:1", "--epochs", "1", "--json"];
    printed(&[&["train", &model, &pictures, "-o", &third][..], &new].concat());
    let nine = Model::load(&gpu::gpu().unwrap(), &third).unwrap();
    assert_eq!(nine.output_shapes()[0].dims().last(), Some(&Some(9)));
    let kept =
        before.iter().zip(&nine.weights()).take(2).all(|(one, two)| one.1.read().unwrap() == two.1.read().unwrap());
    assert!(kept, "all but the last layer is as it was");
    let layers = Model::load(&gpu::gpu().unwrap(), &third).unwrap();
    let names: Vec<_> = layers.blocks().iter().map(|block| block.name().to_owned()).collect();
    let features = at("features.npy");
    printed(&["run", &third, &data, "--tensor", "input_0", "--until", &names[names.len() - 2], "-o", &features]);
    let width = layers.blocks()[names.len() - 1].count_params();
    let bytes = std::fs::read(features).unwrap().len() as u64;
    assert!(bytes > 360 * (width / 9 - 1) * 4 && bytes < 360 * (width / 9 - 1) * 4 + 256, "{bytes} for {width}");

    for (more, why) in [
        (&["train", &model, &data, "-o", &at("a.h5")][..], "must end in .keras"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--y", "words"], "there must be an array of targets"),
        (&["train", &model, &data, "-o", &at("no/a.keras"), "--y", "labels"], "there is no folder"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--y", "labels", "--csv", &csv], "--overwrite replaces it"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--y", "labels", "--page", &csv, "--overwrite"], "not a page"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--csv", &at("a.keras")], "two things at once"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--y", "labels", "--optimizer", "adem"], "must be one of SGD"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--y", "labels", "--freeze", "stam"], "stam"),
        (&["train", &model, PICTURES, "-o", &at("a.keras")], "a folder of pictures for each class"),
        (&["train", &model, &data, "-o", &at("a.keras"), "--y", "labels", "--resume"], "how its model was compiled"),
    ] {
        let error = complaint(more);
        assert!(error.contains(why), "{error} for {why}");
    }
    assert!(!folder.join("a.keras").exists());
}
