//! The program `wgpu-conv`, run as its users run it.
#![cfg(feature = "cli")]

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::process::{Command, Output};

use common::fixtures::path;

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
    for command in ["run", "summary", "inspect", "verify", "bench", "convert", "view", "adapters"] {
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
    // A model whose only node is of an operator that nobody has.
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("unknown.onnx");
    let node = b"\x0a\x01x\x12\x01y\x1a\x04fold\x22\x04Fold";
    let graph = [&[0x0a, node.len() as u8][..], node, b"\x12\x01g"].concat();
    let opset = b"\x0a\x00\x10\x11";
    let model = [&b"\x08\x08\x3a"[..], &[graph.len() as u8], &graph, b"\x42", &[opset.len() as u8], opset].concat();
    std::fs::write(&file, model).unwrap();
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
    assert!(complaint(&["run", &test_set, PICTURES]).contains("zip archive"));
    assert!(complaint(&["run", &model, "missing.png"]).contains("missing.png"));
    assert!(complaint(&["run", &model, &model]).contains("safetensors"));
    assert!(complaint(&["run", &model, &test_set, "--tensor", "nothing"]).contains("input_0"));
    assert!(complaint(&["run", &model, &test_set, "--compare", "nothing"]).contains("keras_pred"));
    assert!(complaint(&["run", &model, PICTURES, "--compare", "labels"]).contains("safetensors"));
    for [option, value] in [["--batch", "0"], ["--top", "0"], ["--scale", "nan"], ["--offset", "inf"]] {
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
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, "/nonexistent.json");
    }
    command.args(arguments).output().expect("the program must start")
}

#[test]
fn an_architecture_is_drawn_without_an_adapter() {
    let model = digits("model.keras");
    assert_eq!(run_without_adapter(&["summary", &model]).status.code(), Some(1), "there is an adapter");
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
