//! Files changed at random are read as people read files. None may panic, take longer than a few seconds, or allocate more
//! than the [budget](Budget) says; what is said of them may not hold what a terminal obeys.
//!
//! The files that are changed are those of `tests/fuzz/seeds` and of `tests/fixtures`; each is first read as it stands.
//!
//! ```sh
//! cargo test --all-features --test fuzz                                 # 2 s for each format
//! FUZZ_SECONDS=600 FUZZ_SEED=$RANDOM cargo test --release --all-features --test fuzz -- onnx
//! FUZZ_FILE=target/tmp/fuzz/onnx-1b2c.onnx cargo test --all-features --test fuzz -- onnx     # one file
//! ```
//!
//! A seed makes the same files again; 0 is the default. A file that fails is kept in `target/tmp/fuzz`, and its path is printed.
//! Where the whole process dies (a stack that overflows, memory that is refused), it is the file called `current` there.

#![expect(unsafe_code, reason = "an allocator that counts is an implementation of an unsafe trait")]

#[path = "common/counting.rs"]
pub mod counting;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "fuzz/mutate.rs"]
pub mod mutate;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use counting::{MOST, NOW};
use mutate::{Format, Random, entries, external, mutant, zip};
use serde_json::{Value, json};
use wgpu_conv::formats::{Budget, InputReader, inspect, read_arrays, read_labels};
use wgpu_conv::layers::{Flatten, LayerConfig};
use wgpu_conv::model::{Architecture, Model, Sequential};
use wgpu_conv::view::{Page, Viewer};
use wgpu_conv::{Gpu, Result, Settings, printable};

/// Formats are tried one after another: what is counted is what the whole process allocates.
static ALONE: Mutex<()> = Mutex::new(());

/// What reading one file may take on the processor; a build without optimisation is several times as slow.
const LONGEST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 5 });

/// After so long a file counts as one that is never read to its end, and the process with it.
const HANGING: Duration = Duration::from_secs(120);

/// The weights of ONNX models that have them in another file: its name, and as many bytes as a seed may have.
const WEIGHTS: &str = "weights.bin";
const WEIGHTS_BYTES: usize = 48 << 10;

/// When the file now read was begun, in milliseconds after [`watch`] was first called, or 0.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Ends the process where a file is read for longer than [`HANGING`].
fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        std::thread::spawn(|| {
            loop {
                let begun = BEGUN.load(Ordering::Relaxed);
                std::thread::sleep(HANGING);
                if begun != 0 && begun == BEGUN.load(Ordering::Relaxed) {
                    eprintln!("longer than {HANGING:?}: a file called `current` in {}", folder().display());
                    std::process::exit(101);
                }
            }
        });
    });
}

/// The time that this thread has computed, where the system tells; else the time of day.
fn computed() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    told.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// One file, read in steps.
struct Trial<'a> {
    path: &'a Path,
    stored: usize,
    gpu: Option<&'a Gpu>,
    faults: Vec<String>,
}

impl Trial<'_> {
    /// What `read` gives, having noted what is wrong with how it was done.
    fn step<T>(&mut self, name: &str, read: impl FnOnce(&Path) -> Result<T>) -> Option<T> {
        let before = NOW.load(Ordering::Relaxed);
        MOST.store(before, Ordering::Relaxed);
        let start = computed();
        let outcome = catch_unwind(AssertUnwindSafe(|| read(self.path)));
        let (time, most) = (computed() - start, MOST.load(Ordering::Relaxed).saturating_sub(before));
        let mut fault = |text: String| self.faults.push(format!("{name}: {text}"));
        // The file itself comes on top, and the one beside it.
        let allowed = Budget::default().memory as usize + 5 * (self.stored + WEIGHTS_BYTES);
        if most > allowed {
            fault(format!("{} MiB at once, of {}", most >> 20, allowed >> 20));
        }
        if time > LONGEST {
            fault(format!("it took {} s", time.as_secs()));
        }
        match outcome {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                let text = error.to_string();
                if printable(&text) != text {
                    fault(format!("it says {text:?}"));
                }
                None
            }
            Err(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                fault(format!("panicked: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or_default()));
                None
            }
        }
    }
}

/// A model of any format: looked into, drawn, and with its weights where there is a device.
fn model(trial: &mut Trial) {
    trial.step("inspect", |path| inspect(path));
    if let Some(architecture) = trial.step("its architecture", |path| Architecture::load(path)) {
        trial.step("its page", |_| Viewer::of_architecture(&architecture).page(&Page::new()));
    }
    if let Some(gpu) = trial.gpu
        && let Some(model) = trial.step("loading", |path| Model::load(gpu, path))
    {
        trial.step("its summary", |_| Ok(model.summary()));
        trial.step("its weights", |path| model.load_weights(path));
    }
}

/// Weights alone: what they are, and for a model that has some.
fn weights(trial: &mut Trial) {
    trial.step("inspect", |path| inspect(path));
    let digits = fixtures().join("conformance/models/digits/model.keras");
    if let Some(model) = trial.gpu.map(|gpu| Model::load(gpu, digits).expect("the model")) {
        trial.step("weights of a model", |path| model.load_weights(path));
    }
}

/// Pictures and arrays, as inputs of a model.
fn input(trial: &mut Trial) {
    let Some(gpu) = trial.gpu else { return };
    for shape in [[None, Some(8), Some(8), Some(1)], [None, None, None, Some(3)]] {
        let model = Sequential::new(gpu).with_input(shape).and_then(|model| model.with(Flatten::new()));
        let Ok(model) = model else { continue };
        let model = model.model().expect("the input shape is known");
        trial.step("an input", |path| InputReader::new(model)?.read(path));
    }
}

/// Arrays to train with.
fn arrays(trial: &mut Trial) {
    trial.step("arrays", |path| read_arrays(path));
}

fn npy_arrays(trial: &mut Trial) {
    input(trial);
    arrays(trial);
}

fn tensors(trial: &mut Trial) {
    weights(trial);
    arrays(trial);
    trial.step("labels", |path| read_labels(path, "labels"));
    input(trial);
}

fn configs(trial: &mut Trial) {
    model(trial);
    trial.step("settings", |path| Settings::load(path));
    let json: Option<Value> = std::fs::read(trial.path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    for layer in json.iter().filter_map(|json| json.pointer("/config/layers")?.as_array()).flatten().take(20) {
        trial.step("a layer", |_| LayerConfig::from_json(layer)?.0.get_config());
    }
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Where failing files are kept.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz")
}

/// The files below `folder` that end so, and are small enough to be changed often.
fn files(folder: &Path, ending: &str, found: &mut Vec<Vec<u8>>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.extend(Some(std::fs::read(&path).expect("a seed")).filter(|bytes| bytes.len() < WEIGHTS_BYTES));
        }
    }
}

/// The seeds of a format: its own, and what `tests/fixtures` has of it.
fn seeds(own: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(own);
    for ending in endings {
        if own.is_dir() {
            files(&own, ending, &mut found);
        }
        files(&fixtures(), ending, &mut found);
    }
    found
}

/// The configs of `.keras` files, and a chain of each kind of layer that is compared with Keras.
fn config_seeds() -> Vec<Vec<u8>> {
    let archives = seeds("keras", &[".keras"]);
    let configs = archives.iter().filter_map(|bytes| entries(bytes)).flatten();
    let mut found: Vec<_> = configs.filter(|(name, _)| name == "config.json").map(|(_, content)| content).collect();
    let mut suites = Vec::new();
    let layers = fixtures().join("conformance/keras/layers");
    for entry in std::fs::read_dir(layers).expect("the suites") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ending| ending == "json") {
            suites.push(path);
        }
    }
    suites.sort();
    for suite in suites {
        let suite: Value = serde_json::from_slice(&std::fs::read(suite).expect("a suite")).expect("JSON");
        let mut met = BTreeMap::new();
        for case in suite["cases"].as_array().into_iter().flatten().filter(|case| case["keras"].is_object()) {
            let class = case["class"].as_str().unwrap_or_default().to_owned();
            if *met.entry(class).and_modify(|count| *count += 1).or_insert(1) > 2 {
                continue;
            }
            let input =
                json!({"class_name": "InputLayer", "config": {"batch_shape": case["input_shape"], "name": "x"}});
            let chain =
                json!({"class_name": "Sequential", "config": {"name": "chain", "layers": [input, case["keras"]]}});
            found.push(chain.to_string().into_bytes());
        }
    }
    found.extend(seeds("json", &["trust/zeropad_abort.json", "trust/zeropad_8000.json"]));
    found.push(
        br#"{"floatx": "float32", "epsilon": 1e-07, "backend": "jax", "image_data_format": "channels_last"}"#.to_vec(),
    );
    found
}

/// Reads `seeds` and then files changed at random, for as long as was asked for.
fn fuzz(name: &str, ending: &str, format: Format, seeds: &[Vec<u8>], read: fn(&mut Trial)) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    watch();
    let setting =
        |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")));
    let (seconds, seed): (u64, u64) = (setting("FUZZ_SECONDS").unwrap_or(2), setting("FUZZ_SEED").unwrap_or(0));
    let gpu = gpu::gpu();
    let (folder, start) = (folder(), Instant::now());
    std::fs::create_dir_all(&folder).expect("a folder for failing files");
    let current = folder.join(format!("{name}.current{ending}"));
    let mut found: BTreeMap<String, (usize, PathBuf)> = BTreeMap::new();
    let mut tried = 0;
    let mut attempt = |bytes: &[u8]| {
        tried += 1;
        BEGUN.store(start.elapsed().as_millis() as u64 + tried, Ordering::Relaxed);
        std::fs::write(&current, bytes).expect("the file now read");
        let mut trial = Trial { path: &current, stored: bytes.len(), gpu: gpu.as_ref(), faults: Vec::new() };
        read(&mut trial);
        BEGUN.store(0, Ordering::Relaxed);
        for fault in trial.faults {
            // Faults that differ in their numbers are one.
            let kind: String = fault.chars().filter(|c| !c.is_ascii_digit()).take(200).collect();
            let kept = folder.join(format!("{name}-{seed}-{tried}{ending}"));
            found
                .entry(kind)
                .or_insert_with(|| {
                    std::fs::write(&kept, bytes).expect("a failing file");
                    eprintln!("{}: {fault}", kept.display());
                    (0, kept)
                })
                .0 += 1;
        }
    };
    if let Some(path) = std::env::var_os("FUZZ_FILE") {
        attempt(&std::fs::read(path).expect("FUZZ_FILE"));
    } else {
        assert!(seeds.len() > 5, "{name}: only {} seeds", seeds.len());
        seeds.iter().for_each(|bytes| attempt(bytes));
        let begun = Instant::now();
        let mut number = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            attempt(&mutant(format, seeds, &mut Random(seed.wrapping_mul(1 << 32) + number)));
            number += 1;
        }
    }
    let _ = std::fs::remove_file(&current);
    println!("{name}: {tried} files, {} faults", found.len());
    assert!(found.is_empty(), "{name}, FUZZ_SEED={seed}, {tried} files: {found:#?}");
}

#[test]
fn keras() {
    fuzz("keras", ".keras", Format::Archive, &seeds("keras", &[".keras"]), model);
}

#[test]
fn hdf5() {
    fuzz("hdf5", ".h5", Format::Bytes, &seeds("hdf5", &[".h5"]), model);
}

#[test]
fn weights_hdf5() {
    // The weights of models are files of their own within `.keras` files.
    let archives = seeds("keras", &[".keras"]);
    let entries = archives.iter().filter_map(|bytes| entries(bytes)).flatten();
    let weights: Vec<_> =
        entries.filter(|(name, _)| name.ends_with(".weights.h5")).map(|(_, content)| content).collect();
    fuzz("weights_hdf5", ".weights.h5", Format::Bytes, &weights, self::weights);
}

#[test]
fn onnx() {
    fuzz("onnx", ".onnx", Format::Onnx, &seeds("onnx", &[".onnx"]), model);
}

#[test]
fn onnx_external() {
    // A folder that every such model finds beside it, whichever of its bytes it asks for.
    std::fs::create_dir_all(folder()).expect("a folder for files");
    std::fs::write(folder().join(WEIGHTS), [0x3c; WEIGHTS_BYTES]).expect("weights beside the models");
    let seeds: Vec<_> = seeds("onnx", &[".onnx"]).iter().filter_map(|bytes| external(bytes, WEIGHTS)).collect();
    fuzz("onnx_external", ".onnx", Format::Onnx, &seeds, model);
}

#[test]
fn safetensors() {
    fuzz("safetensors", ".safetensors", Format::Safetensors, &seeds("safetensors", &[".safetensors"]), tensors);
}

#[test]
fn npy() {
    fuzz("npy", ".npy", Format::Npy, &seeds("npy", &[".npy"]), npy_arrays);
}

#[test]
fn npz() {
    let named = |(index, bytes)| (format!("arr_{index}.npy"), bytes);
    let arrays: Vec<_> = seeds("npy", &[".npy"]).into_iter().enumerate().map(named).collect();
    let archives: Vec<_> = arrays.windows(2).map(|pair| zip(pair).expect("an archive")).collect();
    fuzz("npz", ".npz", Format::Archive, &archives, self::arrays);
}

#[test]
fn png() {
    fuzz("png", ".png", Format::Png, &seeds("png", &[".png"]), input);
}

#[test]
fn jpeg() {
    fuzz("jpeg", ".jpg", Format::Bytes, &seeds("jpeg", &[".jpg"]), input);
}

#[test]
fn json() {
    fuzz("json", ".json", Format::Json, &config_seeds(), configs);
}
