//! What a page needs to compute by itself, in the reader's browser: the library for JavaScript, and the model's file. Either all
//! of it stands in the page, so that it opens from anywhere and asks for nothing, or in files beside the page, as large models
//! do on a server.

use std::fmt::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::LayerView;
use super::page::escaped;
use crate::file::read;
use crate::{Error, Result};

/// The folder of the package, beside a page that reads from files.
const PACKAGE: &str = "wgpu-conv";

/// What a live page has for the input and the scores.
pub(super) const ENDS: &str = include_str!("live.html");

/// What it has to train the model, where it does that.
pub(super) const TRAINING: &str = include_str!("train.html");

/// The package for JavaScript and a model, to be put in a page by [`Page::live`](super::Page::live).
#[derive(Clone, PartialEq)]
pub struct Live(Delivery);

#[derive(Clone, PartialEq)]
enum Delivery {
    /// In the page.
    Held { module: Vec<u8>, glue: Vec<u8>, worker: Vec<u8>, model: Vec<u8>, training: Option<Training> },
    /// In files beside it: the model's by this name, and whether it is trained, on samples in a file of another.
    Beside { model: String, training: Option<Option<String>> },
}

/// The module that trains, and samples to train on.
#[derive(Clone, PartialEq)]
struct Training {
    module: Vec<u8>,
    glue: Vec<u8>,
    samples: Option<Vec<u8>>,
}

/// What the file of the samples is called, beside a page.
const SAMPLES: &str = "samples.npz";

impl Live {
    /// The package in the folder `package`, as npm installs it or `.ci/web` makes it, and the file of a model, which
    /// [`Model::from_bytes`](crate::model::Model::from_bytes) would load.
    ///
    /// # Errors
    /// [`Error::Format`] where the folder does not hold the package, and for one of another version than this crate.
    pub fn new(package: impl AsRef<Path>, model: Vec<u8>) -> Result<Self> {
        let package = package.as_ref();
        let file = |name: &str| file_of(package, name);
        let description = file("package.json")?;
        let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
        if !String::from_utf8_lossy(&description).contains(version) {
            let problem =
                format!("the package is of another version; this program takes {}", env!("CARGO_PKG_VERSION"));
            return Err(Error::format(package.display().to_string(), problem));
        }
        let (module, glue, worker) = (file("wgpu_conv_bg.wasm")?, file("wgpu_conv.js")?, file("worker.js")?);
        Ok(Self(Delivery::Held { module, glue, worker, model, training: None }))
    }

    /// The same for a page that trains the model as well, a `.keras` or `.h5` file, on the reader's GPU, and shows how it learns.
    /// `samples` are an `.npz` file with arrays called `x_train` and `y_train`, or `x` and `y`; those called `x_test` and `y_test`, or
    /// `x_val` and `y_val`, are only measured by. Without, the page waits for such a file to be dropped on it.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    ///
    /// ```no_run
    /// use wgpu_conv::view::{Live, Page};
    ///
    /// let read = |path: &str| std::fs::read(path).unwrap();
    /// let live = Live::training("node_modules/wgpu-conv", read("digits.keras"), Some(read("digits.npz")))?;
    /// let page = Page::new().live(live);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn training(package: impl AsRef<Path>, model: Vec<u8>, samples: Option<Vec<u8>>) -> Result<Self> {
        let package = package.as_ref();
        let mut live = Self::new(package, model)?;
        if let Delivery::Held { training, .. } = &mut live.0 {
            let file = |name: &str| file_of(package, name);
            let (module, glue) = (file("wgpu_conv_train_bg.wasm")?, file("wgpu_conv_train.js")?);
            *training = Some(Training { module, glue, samples });
        }
        Ok(live)
    }

    /// The same for a page that reads from files beside it, and those files: their paths from the page's folder, and what they
    /// hold. `model` is the name of the model's file. Browsers read such files from a server alone, not from disk.
    ///
    /// ```no_run
    /// use wgpu_conv::view::{Live, Page};
    ///
    /// let (live, files) = Live::new("node_modules/wgpu-conv", std::fs::read("large.keras").unwrap())?.beside("model.keras");
    /// assert!(files.iter().any(|(path, _)| path == "wgpu-conv/worker.js"));
    /// let page = Page::new().live(live);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn beside(self, model: &str) -> (Self, Vec<(String, Vec<u8>)>) {
        let (mut files, trained) = match self.0 {
            Delivery::Held { module, glue, worker, model: bytes, training } => (
                vec![
                    (format!("{PACKAGE}/wgpu_conv_bg.wasm"), module),
                    (format!("{PACKAGE}/wgpu_conv.js"), glue),
                    (format!("{PACKAGE}/worker.js"), worker),
                    (model.to_owned(), bytes),
                ],
                training,
            ),
            Delivery::Beside { training, .. } => {
                return (Self(Delivery::Beside { model: model.to_owned(), training }), Vec::new());
            }
        };
        let training = trained.map(|Training { module, glue, samples }| {
            files.push((format!("{PACKAGE}/wgpu_conv_train_bg.wasm"), module));
            files.push((format!("{PACKAGE}/wgpu_conv_train.js"), glue));
            samples.map(|samples| {
                files.push((SAMPLES.to_owned(), samples));
                SAMPLES.to_owned()
            })
        });
        (Self(Delivery::Beside { model: model.to_owned(), training }), files)
    }

    /// Whether the page trains the model.
    pub(super) fn trains(&self) -> bool {
        match &self.0 {
            Delivery::Held { training, .. } => training.is_some(),
            Delivery::Beside { training, .. } => training.is_some(),
        }
    }

    /// What the policy of the page allows beyond others: the module, and a worker, which is made of the page's own text or of a
    /// file beside it.
    pub(super) const fn policy(&self) -> &'static str {
        match self.0 {
            Delivery::Held { .. } => {
                " blob: 'wasm-unsafe-eval'; worker-src blob:; connect-src blob: data:; media-src blob:"
            }
            Delivery::Beside { .. } => " 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; media-src blob:",
        }
    }

    /// Writes it as text, with the inputs that the page begins with, and the script that computes.
    pub(super) fn write(&self, html: &mut String, inputs: &[LayerView]) {
        let _ = match &self.0 {
            Delivery::Held { module, glue, worker, model, training } => {
                let mut parts = vec![("module", module), ("glue", glue), ("worker", worker), ("file", model)];
                if let Some(Training { module, glue, samples }) = training {
                    parts.extend([("train-module", module), ("train-glue", glue)]);
                    parts.extend(samples.iter().map(|samples| ("samples", samples)));
                }
                parts.iter().try_for_each(|(name, bytes)| write_part(html, name, &STANDARD.encode(bytes)))
            }
            Delivery::Beside { model, training } => {
                let samples = training.iter().flatten().map(|name| format!(" {name}")).collect::<String>();
                write_part(html, "beside", &escaped(&format!("{PACKAGE}/worker.js {model}{samples}")))
            }
        };
        if let [input] = inputs
            && let Some(values) = input.neural_value()
        {
            let bytes: &[u8] = bytemuck::cast_slice(values);
            let _ = write_part(html, "sample", &STANDARD.encode(bytes));
        }
        // Both are one script in the page, where nothing is imported.
        let remote = include_str!("../web/remote.js").replacen("export class", "class", 1);
        let remote =
            remote.replacen("new Worker(new URL(\"./worker.js\", import.meta.url), { type: \"module\" })", "null", 1);
        let _ = write!(
            html,
            "<style>\n{}{}</style>\n<script>\n{remote}{}{}</script>\n",
            include_str!("live.css"),
            if self.trains() { concat!(include_str!("curves.css"), include_str!("train.css")) } else { "" },
            if self.trains() { include_str!("train.js") } else { "" },
            include_str!("live.js"),
        );
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Delivery::Held { module, model, .. } => {
                f.debug_struct("Live").field("module", &module.len()).field("model", &model.len()).finish()
            }
            Delivery::Beside { model, .. } => f.debug_struct("Live").field("beside", model).finish(),
        }
    }
}

/// A file of the package.
fn file_of(package: &Path, name: &str) -> Result<Vec<u8>> {
    read(package.join(name)).map_err(|error| {
        let rule = "a live page is made with the package for JavaScript: give the folder that `npm install wgpu-conv` or \
                    `bash .ci/web` makes";
        Error::format(package.display().to_string(), format!("{rule} ({error})"))
    })
}

/// A part that the script reads by its name.
fn write_part(html: &mut String, name: &str, text: &str) -> std::fmt::Result {
    writeln!(html, "<script type=\"text/plain\" id=\"live-{name}\">{text}</script>")
}
