//! Models in formats that are not read here: what they are, and what to convert them with.

use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// How far into a file is looked.
const HEAD: u64 = 4096;

const FROM_TENSORFLOW: &str = "convert it to ONNX, with `pip install tf2onnx`: `python -m tf2onnx.convert";
const FROM_PYTORCH: &str = "convert it to ONNX where its code is: `torch.onnx.export(model, example, \"model.onnx\")`; nothing in \
                            such a file is executed here";
const FROM_CORE_ML: &str = "convert it to Keras or ONNX from what it was made of: Core ML has no way back";

/// # Errors
/// [`Error::Unsupported`], saying what to convert it with, where at `path` there is a model in another format, as far as its
/// name and its first bytes tell. Whether there is a model that can be read is left to its reader.
pub(super) fn check(path: &Path) -> Result<()> {
    let found = if path.is_dir() { folder(path) } else { file(path) };
    match found {
        Some((what, how)) => Err(Error::unsupported(format!("{}: {what}", path.display()), how)),
        None => Ok(()),
    }
}

/// What a folder is, and what to do with it.
fn folder(path: &Path) -> Option<(&'static str, String)> {
    let holds = |name: &str| path.join(name).is_file();
    if holds("saved_model.pb") || holds("saved_model.pbtxt") {
        let how = format!(
            "{FROM_TENSORFLOW} --saved-model FOLDER --output model.onnx`; a model of Keras rather where its code \
                           is: `model.save(\"model.keras\")`"
        );
        Some(("a SavedModel of TensorFlow", how))
    } else if holds("model.json") {
        Some(("a folder of TensorFlow.js", from_tensorflow_js()))
    } else if holds("Manifest.json") && path.join("Data").is_dir() {
        Some(("a package of Core ML", FROM_CORE_ML.into()))
    } else if holds("config.json") && holds("model.weights.h5") {
        let how =
            "convert it to a file: `cd FOLDER && zip -0 ../model.keras metadata.json config.json model.weights.h5`";
        Some(("an unpacked .keras file", how.into()))
    } else {
        None
    }
}

fn from_tensorflow_js() -> String {
    "convert it to Keras, with `pip install tensorflowjs`: `tensorflowjs_converter --input_format=tfjs_layers_model \
     --output_format=keras model.json model.h5`"
        .into()
}

/// What a file is, and what to do with it.
fn file(path: &Path) -> Option<(&'static str, String)> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let mut head = Vec::new();
    std::fs::File::open(path).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let holds = |text: &str| head.windows(text.len()).any(|window| window == text.as_bytes());
    let at_four = head.get(4..8).unwrap_or_default();
    let text = head.trim_ascii_start();
    let is_header = |length: &[u8; 8]| u64::from_le_bytes(*length) < metadata.len() && head.get(8) == Some(&b'{');
    Some(match ending.as_str() {
        _ if at_four == b"TFL3" => {
            ("a model of TensorFlow Lite", format!("{FROM_TENSORFLOW} --tflite model.tflite --output model.onnx`"))
        }
        _ if at_four == b"ORTM" => (
            "a model of ONNX Runtime's own format",
            "convert it to ONNX: give the .onnx file that it \
                                     was made of"
                .into(),
        ),
        _ if head.starts_with(b"PK") && (holds("data.pkl") || holds("constants.pkl")) => {
            ("a model of PyTorch", FROM_PYTORCH.into())
        }
        "pt" | "pth" | "ckpt" if head.first() == Some(&0x80) => ("a model of PyTorch", FROM_PYTORCH.into()),
        "pkl" | "pickle" if head.first() == Some(&0x80) => (
            "a pickled object of Python",
            "convert it to Keras's own file where \
                                 its code is: `model.save(\"model.keras\")`; nothing in such a file is executed here"
                .into(),
        ),
        "pb" | "pbtxt" => {
            let how = format!(
                "{FROM_TENSORFLOW} --graphdef model.pb --inputs x:0 --outputs y:0 --output model.onnx`; where it \
                               is the saved_model.pb of a folder, with `--saved-model FOLDER`"
            );
            ("a graph of TensorFlow", how)
        }
        "mlmodel" => ("a model of Core ML", FROM_CORE_ML.into()),
        "index" | "meta" if name.contains("ckpt") || name.contains("variables") => checkpoint(),
        _ if name.contains(".data-0000") => checkpoint(),
        _ if text.starts_with(b"{") && (holds("\"modelTopology\"") || holds("\"weightsManifest\"")) => {
            ("a model of TensorFlow.js", from_tensorflow_js())
        }
        _ if head.starts_with(b"version https://git-lfs") => {
            ("a pointer of Git LFS in place of a file", "convert it to the file itself: `git lfs pull`".into())
        }
        _ if text.get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doctype")) => {
            ("a page of HTML", "convert it to nothing, but download the file itself: its address led to a page".into())
        }
        _ if head.starts_with(&[0x1f, 0x8b]) => ("a compressed file", "convert it with `gunzip`, or `tar -xzf`".into()),
        _ if head.starts_with(b"PK") && (ending == "npz" || ending == "pt") => (
            "arrays of NumPy",
            "convert it to Keras's own file where its code is: `model.save(\"model.keras\")`".into(),
        ),
        _ if head.first_chunk().is_some_and(is_header) => {
            let how = "convert it to a model, which is a zip archive (.keras), HDF5 (.h5) or ONNX, where its code is: `model.save(\"model.keras\")`; or build the model in a program and \
                       give it these with `Model::load_weights`";
            ("weights without a model, in safetensors", how.into())
        }
        _ => return None,
    })
}

fn checkpoint() -> (&'static str, String) {
    (
        "a checkpoint of TensorFlow, weights without a model",
        "convert it to Keras's own file where its code is: \
      `model.load_weights(\"checkpoint\"); model.save(\"model.keras\")`"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a file `name` that begins with `bytes`.
    fn said(folder: &Path, name: &str, bytes: &[u8]) -> Option<String> {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        check(&path).err().map(|error| error.to_string())
    }

    #[test]
    fn models_of_others_are_known() {
        let root = std::env::temp_dir().join(format!("wgpu-conv-foreign-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let safetensors = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 4]].concat();
        for (name, bytes, what, how) in [
            ("a.tflite", &b"\x1c\0\0\0TFL3..."[..], "TensorFlow Lite", "--tflite"),
            ("renamed.onnx", b"\x1c\0\0\0TFL3...", "TensorFlow Lite", "--tflite"),
            ("b.pt", b"PK\x03\x04......model/data.pkl", "PyTorch", "torch.onnx.export"),
            ("c.pth", b"\x80\x02\x8a\x0a", "PyTorch", "torch.onnx.export"),
            ("d.pb", b"\x0a\x07", "TensorFlow", "tf2onnx"),
            ("e.mlmodel", b"\x08\x01\x12", "Core ML", "convert it"),
            ("f.safetensors", &safetensors, "weights without a model", "load_weights"),
            (
                "g.json",
                br#"{"format": "layers-model", "modelTopology": {}}"#,
                "TensorFlow.js",
                "tensorflowjs_converter",
            ),
            ("h.keras", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"),
            ("i.onnx", b"\n<!DOCTYPE html>\n<html>", "HTML", "download"),
            ("j.ort", b"\x10\0\0\0ORTM", "ONNX Runtime", ".onnx"),
        ] {
            let text = said(&root, name, bytes).unwrap_or_else(|| panic!("{name} is let through"));
            assert!(text.contains(what) && text.contains(how) && text.contains("convert it"), "{name}: {text}");
        }
        for (name, bytes) in [
            ("a.keras", &b"PK\x03\x04......metadata.json"[..]),
            ("b.h5", b"\x89HDF\r\n\x1a\n"),
            ("c.onnx", b"\x08\x08\x3a\x01"),
            ("config.json", br#"{"class_name": "Sequential"}"#),
            ("empty.keras", b""),
        ] {
            assert_eq!(said(&root, name, bytes), None, "{name}");
        }
        for (file, what) in
            [("saved/saved_model.pb", "SavedModel"), ("js/model.json", "TensorFlow.js"), ("unpacked/config.json", "")]
        {
            said(&root, file, b"{}");
            let folder = root.join(file).parent().unwrap().to_owned();
            match check(&folder) {
                Err(error) => assert!(!what.is_empty() && error.to_string().contains(what), "{error}"),
                Ok(()) => assert!(what.is_empty(), "{file}"),
            }
        }
        said(&root, "unpacked/model.weights.h5", b"");
        assert!(check(&root.join("unpacked")).unwrap_err().to_string().contains("zip -0"));
        check(&root.join("missing")).unwrap();
        std::fs::remove_dir_all(root).unwrap();
    }
}
