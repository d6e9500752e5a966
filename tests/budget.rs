//! What reading a file takes: memory, counted by an allocator, and time. A small file cannot ask for more than the stated
//! budget, and what is large is read in proportion to its size.

#![expect(unsafe_code, reason = "an allocator that counts is an implementation of an unsafe trait")]

#[path = "common/counting.rs"]
pub mod counting;
#[path = "common/gpu.rs"]
pub mod gpu;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use counting::{MOST, NOW};
use wgpu_conv::formats::{Budget, InputReader, KerasFile, OnnxFile, inspect};
use wgpu_conv::layers::{Dense, Identity, ReLU};
use wgpu_conv::model::{Architecture, Model, Sequential};
use wgpu_conv::view::{Page, Viewer};
use wgpu_conv::{Error, Result};

/// Tests of this file run one after another: they count what the whole process allocates.
static ALONE: Mutex<()> = Mutex::new(());

/// What a computer that tests run on may take longer than the few seconds that the budget stands for.
const LONGEST: Duration = Duration::from_secs(20);

/// What `done` gives, after the most bytes that it had allocated at once are found to be within the budget for a file of
/// `stored` bytes, and its time within [`LONGEST`].
#[track_caller]
fn bounded<T>(name: &str, stored: usize, done: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let start = Instant::now();
    let result = done();
    let (time, most) = (start.elapsed(), MOST.load(Ordering::Relaxed) - before);
    // The file itself comes on top.
    let allowed = Budget::default().memory as usize + 5 * stored;
    assert!(most <= allowed, "{name}: {most} bytes at once, of {allowed}");
    assert!(time < LONGEST, "{name}: it took {time:?}");
    result
}

/// As [`bounded`], and refused for the budget.
#[track_caller]
fn refused<T>(name: &str, stored: usize, done: impl FnOnce() -> Result<T>) {
    match bounded(name, stored, done) {
        Err(Error::Limit { resource, needed, limit }) => {
            assert!(resource.contains("budget for reading"), "{name}: {resource}");
            assert!(needed > limit, "{name}: {needed} of {limit}");
        }
        Err(other) => panic!("{name}: {other}"),
        Ok(_) => panic!("{name}: it must be refused"),
    }
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn finding(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/findings").join(name)
}

fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/conformance/models/digits/model.keras")
}

/// A file of this process in the directory for such, with `bytes` in it.
fn written(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("wgpu-conv-budget-{}-{name}", std::process::id()));
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn constants_are_computed_within_the_budget() {
    let _alone = alone();
    for name in ["cos_int", "reduce300"] {
        let path = finding(&format!("onnx/{name}.onnx"));
        refused(name, 7000, || OnnxFile::open(&path));
        refused(name, 7000, || inspect(&path));
    }
}

/// A field of an ONNX file: its number, and what it holds.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    [bytes, content.to_vec()].concat()
}

/// Two bytes each make nodes, attributes, tensors and names of a hundred bytes and more.
#[test]
fn messages_are_counted_before_they_are_decoded() {
    let _alone = alone();
    let many = |number: u8| [number << 3 | 2, 0].repeat(8 << 20);
    for (name, graph) in [
        ("nodes", many(1)),
        ("names", field(1, &many(1))),
        ("attributes", field(1, &many(5))),
        ("initializers", many(5)),
        ("extents", field(5, &[1 << 3].repeat(0).into_iter().chain([1 << 3, 1].repeat(8 << 20)).collect::<Vec<_>>())),
        ("inputs", many(11)),
    ] {
        let opset = field(8, &[2 << 3, 17]);
        let bytes = [vec![1 << 3, 8], field(7, &graph), opset].concat();
        let read = bounded(name, bytes.len(), || OnnxFile::from_bytes(&bytes));
        assert!(read.is_err(), "{name}");
    }
}

#[test]
fn pictures_are_counted_before_they_are_decoded() {
    let _alone = alone();
    let Some(gpu) = gpu::gpu() else { return };
    let reader = InputReader::new(&Model::load(&gpu, digits()).unwrap()).unwrap();
    refused("JPEG", 700, || reader.read(finding("trust/bomb_13000x13000.jpg")));
    let truncated = reader.read(finding("trust/one_truncated70.jpg")).unwrap_err().to_string();
    assert!(truncated.contains("truncated"), "{truncated}");
    assert!(reader.read(finding("trust/one_whole.jpg")).is_ok());
    // A PNG file of 60000×60000 pixels of 16 bits in four channels, without one of them.
    let mut header = b"IHDR".to_vec();
    header.extend([60_000u32.to_be_bytes(), 60_000u32.to_be_bytes()].concat());
    header.extend([16, 6, 0, 0, 0]);
    let chunk = |content: &[u8]| {
        let length = (content.len() as u32 - 4).to_be_bytes();
        [&length, content, &checksum(content).to_be_bytes()].concat()
    };
    let bytes = [&b"\x89PNG\r\n\x1a\n"[..], &chunk(&header), &chunk(b"IDAT\0"), &chunk(b"IEND")].concat();
    let path = written("large.png", &bytes);
    refused("PNG", bytes.len(), || reader.read(&path));
    std::fs::remove_file(path).unwrap();
}

/// The checksum of a chunk of a PNG file (CRC-32).
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

/// A group that holds itself under two names has 2^64 groups below it, to the depth that is looked into. In h5py:
/// `group = file.create_group("layers"); group["a"] = group; group["b"] = group`.
#[test]
fn groups_that_hold_themselves_are_counted() {
    let _alone = alone();
    let path = finding("trust/groups_in_themselves.weights.h5");
    refused("inspect", 2160, || inspect(&path));
}

#[test]
fn values_of_a_config_are_counted() {
    let _alone = alone();
    let text = format!(r#"{{"class_name": "Sequential", "config": {{"layers": [{}1]}}}}"#, "1,".repeat(16 << 20));
    let path = written("ones.json", text.as_bytes());
    refused("a config", text.len(), || Architecture::load(&path));
    std::fs::remove_file(path).unwrap();
}

#[test]
fn maps_are_counted_before_they_are_drawn() {
    let _alone = alone();
    for name in ["zeropad_abort", "zeropad_8000"] {
        let architecture = Architecture::load(finding(&format!("trust/{name}.json"))).unwrap();
        let viewer = Viewer::of_architecture(&architecture);
        refused(name, 300, || viewer.page(&Page::new()));
    }
}

#[test]
fn shapes_that_no_device_holds_are_refused_before_there_are_values() {
    let _alone = alone();
    let Some(gpu) = gpu::gpu() else { return };
    let model = Model::load(&gpu, digits()).unwrap();
    for batch in [1 << 26, 1 << 40, usize::MAX / 64] {
        let shape = [[batch, 8, 8, 1].into()];
        let results = [
            bounded("warm_up", 0, || model.warm_up(&shape)),
            bounded("sample_inputs", 0, || model.sample_inputs(&shape, 0).map(drop)),
            bounded("memory_report", 0, || model.memory_report(&shape).map(drop)),
        ];
        for result in &results[..2] {
            assert!(matches!(result, Err(Error::Limit { .. } | Error::Invalid { .. })), "{batch}: {result:?}");
        }
    }
}

/// What has no end is not read.
#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    let _alone = alone();
    let pipe = std::env::temp_dir().join(format!("wgpu-conv-budget-{}.onnx", std::process::id()));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [Path::new("/dev/zero"), &std::env::temp_dir(), &pipe] {
        let errors = [
            bounded("inspect", 0, || inspect(path).map(drop)),
            bounded("open", 0, || KerasFile::open(path).map(drop)),
            bounded("load", 0, || Architecture::load(path).map(drop)),
        ];
        for error in errors {
            let text = error.unwrap_err().to_string();
            assert!(text.contains("cannot be read"), "{text}");
        }
    }
    std::fs::remove_file(pipe).unwrap();
}

/// Thirty thousand layers one after another, and thirty thousand beside each other.
#[test]
fn many_layers_are_read_in_proportion() {
    let _alone = alone();
    const COUNT: usize = 30_000;
    let layer = |index: usize, read: &str| {
        let tensor =
            format!(r#"{{"class_name": "__keras_tensor__", "config": {{"keras_history": ["{read}", 0, 0]}}}}"#);
        format!(
            r#"{{"module": "keras.layers", "class_name": "ReLU", "registered_name": null, "name": "l{index}",
            "config": {{"name": "l{index}"}}, "inbound_nodes": [{{"args": [{tensor}], "kwargs": {{}}}}]}}"#
        )
    };
    let input = |name: &str| {
        format!(
            r#"{{"class_name": "InputLayer", "name": "{name}", "config": {{"name": "{name}", "batch_shape": [null, 4]}},
            "inbound_nodes": []}}"#
        )
    };
    let model = |layers: Vec<String>, inputs: Vec<String>, outputs: Vec<String>| {
        let history =
            |names: Vec<String>| names.iter().map(|name| format!(r#"["{name}", 0, 0]"#)).collect::<Vec<_>>().join(",");
        let (layers, inputs, outputs) = (layers.join(","), history(inputs), history(outputs));
        format!(
            r#"{{"class_name": "Functional", "config": {{"name": "m", "layers": [{layers}],
            "input_layers": [{inputs}], "output_layers": [{outputs}]}}}}"#
        )
    };
    let name = |index: usize| format!("l{index}");
    let mut chain = vec![input("x")];
    chain.extend((0..COUNT).map(|index| layer(index, &if index == 0 { "x".into() } else { name(index - 1) })));
    let chain = model(chain, vec!["x".into()], vec![name(COUNT - 1)]);
    let inputs: Vec<String> = (0..COUNT).map(|index| format!("x{index}")).collect();
    let beside = inputs.iter().map(|name| input(name)).chain((0..COUNT).map(|index| layer(index, &inputs[index])));
    let beside = model(beside.collect(), inputs.clone(), (0..COUNT).map(name).collect());
    for (kind, text) in [("a chain", chain), ("beside each other", beside)] {
        let path = written("layers.json", text.as_bytes());
        let architecture = bounded(kind, text.len(), || Architecture::load(&path)).unwrap();
        assert_eq!(architecture.layers().len(), COUNT, "{kind}");
        std::fs::remove_file(path).unwrap();
    }
}

/// A model of many layers, written and read again with its weights.
#[test]
fn many_layers_are_built_in_proportion() {
    let _alone = alone();
    let Some(gpu) = gpu::gpu() else { return };
    const COUNT: usize = 10_000;
    let mut model = Sequential::new(&gpu).with_input([None, Some(4)]).unwrap();
    let start = Instant::now();
    for index in 0..COUNT {
        match index % 2 {
            0 => model.add(ReLU::new().name(format!("r{index}"))).unwrap(),
            _ => model.add(Identity::new().name(format!("i{index}"))).unwrap(),
        };
    }
    let path = std::env::temp_dir().join(format!("wgpu-conv-budget-{}-many.keras", std::process::id()));
    model.model().unwrap().save(&path).unwrap();
    assert!(start.elapsed() < LONGEST, "making it took {:?}", start.elapsed());
    let stored = std::fs::metadata(&path).unwrap().len() as usize;
    let contents = bounded("inspect", stored, || inspect(&path)).unwrap();
    assert_eq!((contents.layers.len(), contents.obstacles.len()), (COUNT, 0));
    let read = bounded("load", stored, || Model::load(&gpu, &path)).unwrap();
    assert_eq!(read.layers().len(), COUNT);
    bounded("load_weights", stored, || read.load_weights(&path)).unwrap();
    std::fs::remove_file(path).unwrap();
}

/// Weights go from the file to the device layer by layer: the host holds the file and a layer, and in the end neither.
#[test]
fn loading_takes_little_more_than_the_file() {
    let Some(gpu) = gpu::gpu() else { return };
    let _alone = alone();
    let mut model = Sequential::new(&gpu).with_input([None, Some(1000)]).unwrap();
    for _ in 0..16 {
        model = model.with(Dense::new(1000)).unwrap();
    }
    let path = written("dense.keras", b"");
    std::fs::remove_file(&path).unwrap();
    model.into_model().unwrap().save(&path).unwrap();
    let stored = std::fs::metadata(&path).unwrap().len() as usize;
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let loaded = Model::load(&gpu, &path).unwrap();
    let [most, kept] = [&MOST, &NOW].map(|bytes| bytes.load(Ordering::Relaxed) - before);
    assert!(most <= stored * 13 / 10, "{most} bytes at once for a file of {stored}");
    assert!(kept <= stored / 10, "{kept} bytes kept of a file of {stored}");
    assert_eq!(loaded.layers()[15].1.get_weights().unwrap()[0].values.len(), 1_000_000);
    std::fs::remove_file(path).unwrap();
}
