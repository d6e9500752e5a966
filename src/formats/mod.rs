//! Files: models with their weights, read and written, and the inputs to run them on.
//!
//! Each format stands behind the feature named for it. Readers build layer descriptions, weights and tensors; nothing below knows
//! of these formats.
//!
//! | files | what they do |
//! |---|---|
//! | `load`, `files`, `inspect`, `foreign` | the doors: which format a file has, and whose reader takes it |
//! | `keras`, `keras_2`, `keras_write`, `hdf5`, `weights` | `.keras` and `.h5`: the container, older configs, writing, weights |
//! | `graph`, `operators`, `composites` | Keras's configs as models: the graph, `keras.ops`, layers that are several here |
//! | `onnx`, `onnx_*` | ONNX: `onnx_proto` is the file, `onnx_nodes` the table of operators, `onnx_fold` what is constant |
//! | `input`, `image`, `npy`, `arrays`, `safetensors`, `statistics` | inputs, arrays to train with, and recorded values |
//!
//! Files are not trusted: nothing in one is executed, no other file is opened for it but the weights that an ONNX file has in
//! its own folder, and what reading it may take is a stated [`Budget`]. A file must have an end: a regular file, no pipe and no
//! device.
//!
//! # Recipe: add a file format
//! 1. A feature in `Cargo.toml`, and its row in `docs/features.md`: `tests/package.rs` asks for that.
//! 2. `formats/<name>.rs`, which counts by a `Meter` what it takes, and its `mod` line behind the feature; the feature in the
//!    lists above `mod file` in `lib.rs` and here. The compiler asks, where the feature is built alone.
//! 3. Its place in a door: inputs in `input.rs` (`ENDINGS`, `InputReader::read`), arrays in `arrays.rs`, weights in `files.rs`,
//!    models in `load.rs` (`Format`) and `inspect.rs`; out of `foreign.rs` if it stood there. What is written says how such a
//!    file is known again (`FileKind::is`). The compiler asks for the arms of `Format` alone.
//! 4. A target in `tests/fuzz.rs`, files in `tests/files.rs`, endings in `bin/wgpu-conv/main.rs`, rows in `docs/layers.md`. Nobody
//!    asks for these.

#[cfg(all(feature = "keras", feature = "npy"))]
mod arrays;
#[cfg(feature = "keras")]
mod composites;
#[cfg(any(feature = "keras", feature = "safetensors"))]
mod files;
#[cfg(any(feature = "keras", feature = "onnx"))]
mod foreign;
#[cfg(feature = "keras")]
mod graph;
#[cfg(feature = "keras")]
mod hdf5;
#[cfg(feature = "image")]
mod image;
#[cfg(any(feature = "image", feature = "npy", feature = "safetensors"))]
mod input;
#[cfg(any(feature = "keras", feature = "onnx", feature = "safetensors"))]
mod inspect;
#[cfg(feature = "keras")]
mod keras;
#[cfg(feature = "keras")]
mod keras_2;
#[cfg(feature = "keras")]
mod keras_write;
#[cfg(feature = "keras")]
mod learned;
#[cfg(any(feature = "keras", feature = "onnx"))]
mod load;
#[cfg(feature = "npy")]
mod npy;
#[cfg(feature = "onnx")]
mod onnx;
#[cfg(feature = "onnx")]
mod onnx_external;
#[cfg(feature = "onnx")]
mod onnx_fold;
#[cfg(feature = "onnx")]
mod onnx_functions;
#[cfg(feature = "onnx")]
mod onnx_fused;
#[cfg(feature = "onnx")]
mod onnx_layers;
#[cfg(feature = "onnx")]
mod onnx_logic;
#[cfg(feature = "onnx")]
mod onnx_nodes;
#[cfg(feature = "onnx")]
mod onnx_places;
#[cfg(feature = "onnx")]
mod onnx_proto;
#[cfg(feature = "onnx")]
mod onnx_quantized;
#[cfg(feature = "onnx")]
mod onnx_recurrent;
#[cfg(feature = "onnx")]
mod onnx_selection;
#[cfg(feature = "onnx")]
mod onnx_tail;
#[cfg(feature = "onnx")]
mod onnx_types;
#[cfg(feature = "onnx")]
mod onnx_unpool;
#[cfg(feature = "onnx")]
mod onnx_windows;
#[cfg(feature = "keras")]
mod operators;
#[cfg(feature = "safetensors")]
mod safetensors;
#[cfg(all(feature = "keras", feature = "verify", not(target_arch = "wasm32")))]
mod statistics;
#[cfg(any(feature = "keras", feature = "safetensors"))]
mod weights;

#[cfg(all(feature = "web-train", target_arch = "wasm32"))]
pub(crate) use arrays::arrays_of;
#[cfg(all(feature = "keras", feature = "npy"))]
pub use arrays::read_arrays;

pub use crate::budget::Budget;
#[cfg(any(feature = "keras", feature = "image", feature = "npy", feature = "onnx", feature = "safetensors"))]
use crate::file::read;
#[cfg(any(
    not(target_arch = "wasm32"),
    feature = "keras",
    feature = "image",
    feature = "npy",
    feature = "onnx",
    feature = "safetensors",
    feature = "view"
))]
pub use crate::file::{FileKind, check_file, read as read_file, write_file};
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub(crate) use files::{layers_in_order, save_training};
#[cfg(any(feature = "image", feature = "npy", feature = "safetensors"))]
pub use input::{InputReader, Inputs, input_files, read_inputs, write_arrays};
#[cfg(any(feature = "keras", feature = "onnx"))]
pub use inspect::inspect_bytes;
#[cfg(any(feature = "keras", feature = "onnx", feature = "safetensors"))]
pub use inspect::{Contents, Obstacle, inspect};
#[cfg(feature = "keras")]
pub use keras::{KerasFile, UnsupportedLayer};
#[cfg(all(feature = "keras", not(target_arch = "wasm32")))]
pub(crate) use keras::{LossScaleState, TrainingState, saved_training};
#[cfg(feature = "onnx")]
pub use onnx::{OnnxFile, UnsupportedNode};
#[cfg(feature = "safetensors")]
pub use safetensors::read_labels;
#[cfg(all(feature = "keras", feature = "verify", not(target_arch = "wasm32")))]
pub use statistics::read_layer_statistics;

/// Whether `bytes` are an HDF5 file.
#[cfg(feature = "keras")]
fn is_hdf5(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x89HDF\r\n\x1a\n")
}

/// `bytes` as values of `N` bytes each.
#[cfg(any(feature = "keras", feature = "npy", feature = "onnx", feature = "safetensors"))]
fn decode<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
}

/// The JSON in `text`, called `place` in messages. Its values take many times more memory than its text, so they are
/// counted first: by the signs between them, those within texts too.
///
/// # Errors
/// [`Error::Format`](crate::Error::Format) for anything else, [`Error::Limit`](crate::Error::Limit) where it is over the
/// budget.
#[cfg(feature = "keras")]
fn json(text: &[u8], place: &str, meter: &crate::budget::Meter) -> crate::Result<serde_json::Value> {
    const VALUE: u64 = size_of::<serde_json::Value>() as u64;
    // With its text, if it has one. What grows has room for twice as many, and for four at first.
    let values = |byte: &u8| match byte {
        b',' => 2 * VALUE,
        b':' => 3 * VALUE + 24,
        b'[' | b'{' => 4 * VALUE + 16,
        _ => 0,
    };
    meter.memory(text.len() as u64 + text.iter().map(values).sum::<u64>())?;
    let wrong = |error: serde_json::Error| crate::Error::format(place, error.to_string());
    serde_json::from_slice(text).or_else(|error| {
        let text = match finite(text) {
            Ok(text) if text.is_empty() => return Err(wrong(error)),
            Ok(text) => text,
            Err(key) => {
                let of = if key.is_empty() { String::new() } else { format!(" as `{key}`") };
                let rule =
                    "it holds NaN{of}, as Python writes it, which is no number of JSON: save the model without it";
                return Err(crate::Error::format(place, rule.replace("{of}", &of)));
            }
        };
        serde_json::from_slice(&text).map_err(wrong)
    })
}

/// `text` with `1e39` in place of Python's `Infinity`; empty where there is none.
///
/// # Errors
/// The key of the first NaN, which nothing can stand for, or nothing in a list.
#[cfg(feature = "keras")]
fn finite(text: &[u8]) -> std::result::Result<Vec<u8>, String> {
    use crate::layers::INFINITY;
    const NAMED: &[u8] = b"Infinity";
    let mut string = 0..0;
    let (mut at, mut copied) = (0, 0);
    let mut replaced = Vec::new();
    while at < text.len() {
        if text[at] == b'"' {
            string = at + 1..at + 1;
            while string.end < text.len() && text[string.end] != b'"' {
                string.end += if text[string.end] == b'\\' { 2 } else { 1 };
            }
            at = string.end + 1;
            continue;
        }
        if text[at..].starts_with(b"NaN") {
            let is_value = text[..at].trim_ascii_end().ends_with(b":");
            let key = text.get(string).filter(|_| is_value).unwrap_or_default();
            return Err(String::from_utf8_lossy(key).into_owned());
        }
        if text[at..].starts_with(NAMED) {
            replaced.extend_from_slice(&text[copied..at]);
            replaced.extend_from_slice(format!("{INFINITY:e}").as_bytes());
            copied = at + NAMED.len();
        }
        at += 1;
    }
    if copied > 0 {
        replaced.extend_from_slice(&text[copied..]);
    }
    Ok(replaced)
}

#[cfg(feature = "keras")]
#[cfg(test)]
mod tests {
    fn read(text: &str) -> crate::Result<serde_json::Value> {
        super::json(text.as_bytes(), "config.json", &crate::budget::Meter::new("config.json", text.len()))
    }

    #[test]
    fn infinity_is_a_number_beyond_those_of_f32() {
        let json = read(r#"{"name": "Infinity", "max_value": Infinity, "a": [-Infinity, 1]}"#).unwrap();
        assert_eq!(json["name"], "Infinity");
        let number = |pointer: &str| json.pointer(pointer).unwrap().as_f64().unwrap() as f32;
        assert_eq!([number("/max_value"), number("/a/0"), number("/a/1")], [f32::INFINITY, f32::NEG_INFINITY, 1.0]);
    }

    #[test]
    fn nan_is_named() {
        for (text, expected) in [
            (r#"{"name": "NaN", "max_value": NaN}"#, "it holds NaN as `max_value`, as Python writes it"),
            (r#"{"a \"NaN": [1, NaN]}"#, "it holds NaN, as Python"),
            (r#"{"args": {"x" : NaN}, "y": Infinity}"#, "it holds NaN as `x`, as Python"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
        for text in [r#"{"a": "Infinity"#, r#"{"a": "NaN\"#, r#"{"a": 1e999}"#, r#"{"a": Infinityx}"#] {
            let message = read(text).unwrap_err().to_string();
            assert!(!message.contains("Python"), "{text}: {message}");
        }
    }
}
