// README.md's programs are compiled as they stand there, with the features that they need.
#![cfg_attr(any(not(doctest), feature = "keras"), doc = include_str!("../README.md"))]
#![doc = include_str!("../docs/features.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
//!
//! # How the crate is built
//!
//! ```text
//! Conv2D                a description: plain data, Keras names, no GPU
//!   └─ ConvGeometry     validated integers, three spatial axes: the only place shapes and padding are derived
//!        └─ Plan        what to launch, as data: shader, parameters, workgroup counts, name
//!             └─ Gpu    the only place that touches wgpu: pipelines, buffers, passes, readback
//!                  └─ Tensor
//! ```
//!
//! Everything before [`Gpu`] is a pure function and is tested as integers and text, without an adapter. Everything a
//! kernel needs to be fast is data in a [`Plan`](plan::Plan), so that choosing, testing and timing read one list, the
//! menu of [`candidates`].
//!
//! A layer runs nothing itself: it writes what it means on a *tape*, as data (`ops/tape.rs`): a list of steps, each a
//! problem with what it reads and writes by name (`ops/step.rs`). Rules rewrite the tape so that less runs
//! (`ops/rewrite`). The call of one layer then records it. A [`Model`](model::Model) lowers all its layers onto one tape for
//! the shapes of a call, rewrites it, lets its values share buffers by liveness, binds every launch, and replays that from
//! then on (`model/program.rs`).
//!
//! ## Floors
//!
//! A module may import its own floor where that does not import back, and any lower floor; a unit test reads every `use` and
//! every path of the sources, and holds this list to them.
//!
//! | floor | modules |
//! |---|---|
//! | 9 | `web` (features `web`, `web-train`): the library for JavaScript |
//! | 8 | [`training`] |
//! | 7 | [`model`], [`formats`], `reference` (feature `verify`), `view` (feature `view`) |
//! | 6 | [`layers`] |
//! | 5 | `ops` |
//! | 4 | `tensor`, `variable` |
//! | 3 | `gpu`: device, pipelines, commands, readback, choice by measurement |
//! | 2 | `kernels`: the menu |
//! | 1 | [`plan`] |
//! | 0 | `error`, `text`, `budget`, `file`, `dtype`, `shape`, `geometry`, `resampling`, `strides`, `activation`, `unary`, `settings` |
//!
//! Floors 0 to 2 hold no wgpu type and no device: [`plan::Caps`] is plain data that `gpu` fills in. The command line
//! stands above them all. `error` may be used everywhere, and [`Activation`], [`Settings`] are values like shapes.
//!
//! ## Words
//!
//! | word | meaning |
//! |---|---|
//! | filters, kernel_size, strides, … | Keras's arguments, in [`layers`] only |
//! | kernel | the weight tensor; code on the GPU is a *shader*, a way of computing a *candidate* or *plan* |
//! | problem | geometry, dtype, layout and epilogue: what is asked |
//! | plan, dispatch | launches as data; one launch |
//! | lanes | scalars per vector element |
//! | tile | what one invocation or workgroup computes |
//! | epilogue | bias, then what is added, then activation |
//! | tape | operations on values, in order, before anything runs |
//! | program | a model's tape, rewritten, with its memory and its bound launches |
//! | params | the uniform block |
//! | A5, D1, F2, K1, T3, … | a decision on what Keras leaves open or does otherwise: `docs/decisions.md` |
//!
//! ## Unrolled loops
//!
//! Shaders are WGSL files, specialised by a preamble of constants, and valid as they stand. One thing is done to their
//! text: a counted loop after a line `// unroll` is spelled out, its variable a `const` in each copy. Arrays that only
//! such loops index live in registers on every driver; left to the drivers, their limits decided, and a kernel lost half
//! its speed from one tile size to the next.
//!
//! ## Where it departs from the first drawing
//!
//! - Activations and settings stand on floor 0, since descriptions, plans and operations all speak of them.
//! - A weight is a [`Variable`]: on the host until something computes with it, then on the device in one copy. What kernels
//!   read instead of it, folded with a batch normalization or packed, is made on the device by recorded launches, and made
//!   again when the weight has changed (`ops/kernel.rs`); a compiled model stays compiled.
//! - Descriptions implement one internal trait (`layers/describe.rs`): with a hundred of them, a match over the variants for
//!   every question put each layer in eight places. The list of variants makes the enum; a layer is one file, and an arm of
//!   the reference.
//! - Batch normalization is a depthwise 1×1 convolution and a dense layer a pointwise one: no kernels of their own.
//! - Shaders keep the bounds checks that wgpu puts in: without them three kernels were less than 2 % faster on lavapipe and
//!   the first call of a network was not, so there is no feature for it. There are two unsafe calls, each behind a feature:
//!   `pipeline-cache` hands a driver its own bytes back (`gpu/driver_cache.rs`), `cooperative-matrix` accepts what wgpu
//!   calls experimental (`gpu/cooperative.rs`).
//! - On lavapipe convolutions read their inputs and kernels as textures (`plan::Binding::Texels`, `gpu/texels.rs`): the driver
//!   loads an element of a buffer in a loop over the lanes, and a texel for all lanes at once. An input is copied to a
//!   texture before the launch, all launches of a program taking turns with one; a kernel is kept as one. Layers took half
//!   the time by it on a processor without AVX-512, and their shaders compile faster. (Mesa 25 and 26 load either alike.)
//!   So it is on SwiftShader, where such a texture is sampled and not read as storage: layers take half the time, and a
//!   quarter where Winograd's tiles can be compiled by it.
//! - What is still moved through buffers there goes as two u64 for a vector of four f32 (`shaders/lib/vectors_u64.wgsl`):
//!   the driver moves the parts of a vector one by one for each lane, and so they are half as many.
//! - Drivers differ in when they compile: lavapipe does at a shader's first launch, on one thread. Creating pipelines on
//!   all of the host's threads is the smaller part of a first call there.
//! - Uniform blocks are kept by content, so that a repeated call writes nothing before it runs.

/// The programs of `docs/library.md`, compiled as they stand there.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
mod programs {}

mod activation;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "each format counts what it takes itself"))]
mod budget;
mod dtype;
mod error;
#[cfg(any(
    not(target_arch = "wasm32"),
    feature = "keras",
    feature = "image",
    feature = "npy",
    feature = "onnx",
    feature = "safetensors",
    feature = "view"
))]
mod file;
pub mod formats;
mod geometry;
mod gpu;
mod kernels;
pub mod layers;
pub mod model;
mod ops;
pub mod plan;
#[cfg(feature = "verify")]
pub mod reference;
mod resampling;
mod settings;
mod shape;
mod strides;
mod tensor;
mod text;
pub mod training;
mod unary;
mod variable;
#[cfg(feature = "view")]
pub mod view;
#[cfg(all(any(feature = "web", feature = "web-train"), target_arch = "wasm32"))]
pub mod web;

pub use activation::Activation;
pub use dtype::{DType, DTypePolicy, Element, HostData, Rounding};
pub use error::{Error, Result};
pub use geometry::{Axis, ConvGeometry, Padding, Window};
#[cfg(not(target_arch = "wasm32"))]
pub use gpu::Measurement;
pub use gpu::{AdapterChoice, Commands, Counters, Gpu, Tuning};
pub use kernels::candidates;
pub use resampling::{Coordinates, Interpolation, Nearest};
pub use settings::Settings;
pub use shape::{DataFormat, PartialShape, Shape};
pub use tensor::{HostTensor, Tensor};
pub use text::{printable, printable_name};
pub use unary::Unary;
pub use variable::Variable;
pub use wgpu;

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    /// The floors of the crate documentation, lowest first.
    const FLOORS: [&[&str]; 10] = [
        &[
            "error",
            "text",
            "budget",
            "file",
            "dtype",
            "shape",
            "geometry",
            "resampling",
            "strides",
            "activation",
            "unary",
            "settings",
        ],
        &["plan"],
        &["kernels"],
        &["gpu"],
        &["tensor", "variable"],
        &["ops"],
        &["layers"],
        &["model", "formats", "reference", "view"],
        &["training"],
        &["web"],
    ];

    /// What the crate root re-exports, by the module it comes from.
    const ROOT: [(&str, &str); 39] = [
        ("Activation", "activation"),
        ("DType", "dtype"),
        ("DTypePolicy", "dtype"),
        ("Element", "dtype"),
        ("HostData", "dtype"),
        ("Rounding", "dtype"),
        ("Error", "error"),
        ("Result", "error"),
        ("Axis", "geometry"),
        ("ConvGeometry", "geometry"),
        ("Padding", "geometry"),
        ("Window", "geometry"),
        ("AdapterChoice", "gpu"),
        ("Commands", "gpu"),
        ("Counters", "gpu"),
        ("Gpu", "gpu"),
        ("Measurement", "gpu"),
        ("Tuning", "gpu"),
        ("candidates", "kernels"),
        ("Coordinates", "resampling"),
        ("Interpolation", "resampling"),
        ("Nearest", "resampling"),
        ("Settings", "settings"),
        ("DataFormat", "shape"),
        ("PartialShape", "shape"),
        ("Shape", "shape"),
        ("HostTensor", "tensor"),
        ("Tensor", "tensor"),
        ("Unary", "unary"),
        ("Variable", "variable"),
        ("printable", "text"),
        ("printable_name", "text"),
        ("layers", "layers"),
        ("model", "model"),
        ("formats", "formats"),
        ("plan", "plan"),
        ("reference", "reference"),
        ("view", "view"),
        ("wgpu", "gpu"),
    ];

    fn floor(module: &str) -> usize {
        FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("{module} stands on no floor"))
    }

    /// Code without what stands in comments and in modules of tests.
    fn code(text: &str) -> String {
        let mut code = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let next = lines.clone().next().unwrap_or_default();
            if line == "#[cfg(test)]" && next.starts_with("mod ") {
                // To the brace that closes the module, or no further than a module in a file of its own.
                let whole = next.ends_with(';');
                lines.find(|line| whole || *line == "}");
            } else if !line.trim_start().starts_with("//") {
                code += line;
                code.push('\n');
            }
        }
        code
    }

    /// The first names of each path of `text`, which begins a path or a list of paths in braces.
    fn heads(text: &str) -> Vec<String> {
        let word = |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
        let Some(list) = text.strip_prefix('{') else { return vec![word(text)] };
        let mut heads = Vec::new();
        let (mut depth, mut begins) = (0, true);
        for (at, character) in list.char_indices() {
            match character {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                _ if begins && !character.is_whitespace() => {
                    heads.push(word(&list[at..]));
                    begins = false;
                }
                _ => {}
            }
        }
        heads
    }

    /// What `code` of a module so many levels below the crate's root names by paths from the root, and `wgpu` where it
    /// names that.
    fn imports(code: &str, levels: usize) -> Vec<String> {
        let mut names = Vec::new();
        for from_root in ["crate::".to_owned(), "super::".repeat(levels)] {
            names.extend(code.match_indices(&from_root).flat_map(|(at, _)| heads(&code[at + from_root.len()..])));
        }
        if code.contains("wgpu::") {
            names.push("wgpu".into());
        }
        names.retain(|name| !name.is_empty() && name != "super");
        names
    }

    #[test]
    fn imports_are_read_whole() {
        let text = "use crate::{\n    Error, gpu::{Gpu, Commands},\n    // crate::model\n    plan,\n};\n#[cfg(test)]\nmod tests {\n    \
                    use crate::view;\n}\nfn late() { super::super::ops::cast(); }\n";
        assert_eq!(imports(&code(text), 2), ["Error", "gpu", "plan", "ops"]);
    }

    /// The files of the library but for this one: where each lies below `src`, without its ending, and its code.
    fn sources() -> Vec<(PathBuf, String)> {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let (mut sources, mut folders) = (Vec::new(), vec![src.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let relative = path.strip_prefix(&src).unwrap().with_extension("");
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs")
                    && !relative.starts_with("lib")
                    && !relative.starts_with("bin")
                {
                    sources.push((relative, code(&std::fs::read_to_string(&path).unwrap())));
                }
            }
        }
        assert!(sources.len() > 20, "only {} files were read", sources.len());
        sources
    }

    #[test]
    fn modules_import_downwards() {
        let (mut broken, mut beside) = (Vec::new(), BTreeSet::new());
        for (relative, code) in sources() {
            let module = relative.iter().next().unwrap().to_str().unwrap().to_owned();
            let levels = relative.iter().count() - usize::from(relative.ends_with("mod"));
            for name in imports(&code, levels) {
                let target = ROOT.iter().find(|(root, _)| *root == name).map_or(name.as_str(), |(_, module)| module);
                if floor(target) > floor(&module) {
                    broken.push(format!("{} imports {name} of a higher floor", relative.display()));
                } else if floor(target) == floor(&module) && target != module {
                    beside.insert((module.clone(), target.to_owned()));
                }
            }
        }
        for (one, other) in &beside {
            if one < other && beside.contains(&(other.clone(), one.clone())) {
                broken.push(format!("{one} and {other} of one floor import each other"));
            }
        }
        assert!(broken.is_empty(), "{broken:#?}");
    }

    /// A shader that no kernel names would be dead text in every build.
    #[test]
    fn every_shader_is_named() {
        let code: String = sources().into_iter().map(|(_, code)| code).collect();
        let shaders = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
        let mut names = Vec::new();
        for folder in ["", "lib/"] {
            for entry in std::fs::read_dir(shaders.join(folder)).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                if name.ends_with(".wgsl") {
                    names.push(format!("{folder}{name}"));
                }
            }
        }
        assert!(names.len() > 100, "only {} shaders were found", names.len());
        names.retain(|name| !code.contains(&format!("\"{name}\"")));
        assert!(names.is_empty(), "{names:?}");
    }

    /// The type that a line declares, whoever may see it.
    fn declared(line: &str) -> Option<&str> {
        let rest = match line.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
            Some(rest) => rest.trim_start(),
            None => line,
        };
        let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
        let named = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        named.split(|c: char| !c.is_alphanumeric() && c != '_').next()
    }

    /// Who reads a name need not ask which of two types it is. Those of `web` are JavaScript's.
    #[test]
    fn types_have_one_meaning() {
        assert_eq!(declared("pub(in crate::ops) struct Tile<'a> {"), Some("Tile"));
        let mut files = BTreeMap::<String, BTreeSet<PathBuf>>::new();
        for (relative, code) in sources().into_iter().filter(|(relative, _)| !relative.starts_with("web")) {
            for name in code.lines().filter_map(declared) {
                files.entry(name.to_owned()).or_default().insert(relative.clone());
            }
        }
        assert!(files.len() > 500, "only {} types were found", files.len());
        files.retain(|_, files| files.len() > 1);
        assert!(files.is_empty(), "{files:#?}");
    }
}
