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
pub(super) const ENDS: &str = "\
<section class=\"ends\" aria-label=\"Input and output\">
<div class=\"draw\">
<canvas id=\"pad\" width=\"280\" height=\"280\" tabindex=\"0\" role=\"application\" aria-label=\"Pad to draw on: with the pointer, \
or with the arrow keys; the space bar lifts and lowers the pen\"></canvas>
<div class=\"acts\" role=\"group\" aria-label=\"Input\">
<button type=\"button\" id=\"wipe\">Clear</button>
<button type=\"button\" id=\"sample\" hidden>Sample</button>
<button type=\"button\" id=\"camera\" aria-pressed=\"false\">Camera</button>
<label class=\"file\">Picture<input type=\"file\" id=\"picture\" accept=\"image/*\"></label>
<label class=\"file\">Model<input type=\"file\" id=\"own\" accept=\".keras,.h5,.onnx\"></label>
</div>
<p class=\"kind\">Draw, turn the camera on, or drop a picture or a model of your own anywhere on the page. Nothing leaves this machine.</p>
</div>
<div class=\"scores\" id=\"scores\"></div>
<p id=\"state\" class=\"kind\" role=\"status\">Starting.</p>
</section>
";

/// The package for JavaScript and a model, to be put in a page by [`Page::live`](super::Page::live).
#[derive(Clone, PartialEq)]
pub struct Live(Delivery);

#[derive(Clone, PartialEq)]
enum Delivery {
    /// In the page.
    Held { module: Vec<u8>, glue: Vec<u8>, worker: Vec<u8>, model: Vec<u8> },
    /// In files beside it: the model's by this name.
    Beside(String),
}

impl Live {
    /// The package in the folder `package`, as npm installs it or `.ci/web` makes it, and the file of a model, which
    /// [`Model::from_bytes`](crate::model::Model::from_bytes) would load.
    ///
    /// # Errors
    /// [`Error::Format`] where the folder does not hold the package, and for one of another version than this crate.
    pub fn new(package: impl AsRef<Path>, model: Vec<u8>) -> Result<Self> {
        let package = package.as_ref();
        let file = |name: &str| {
            read(package.join(name)).map_err(|error| {
                let rule = "a live page is made with the package for JavaScript: give the folder that `npm install wgpu-conv` or \
                            `bash .ci/web` makes";
                Error::format(package.display().to_string(), format!("{rule} ({error})"))
            })
        };
        let description = file("package.json")?;
        let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
        if !String::from_utf8_lossy(&description).contains(version) {
            let problem =
                format!("the package is of another version; this program takes {}", env!("CARGO_PKG_VERSION"));
            return Err(Error::format(package.display().to_string(), problem));
        }
        let (module, glue, worker) = (file("wgpu_conv_bg.wasm")?, file("wgpu_conv.js")?, file("worker.js")?);
        Ok(Self(Delivery::Held { module, glue, worker, model }))
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
        let files = match self.0 {
            Delivery::Held { module, glue, worker, model: bytes } => vec![
                (format!("{PACKAGE}/wgpu_conv_bg.wasm"), module),
                (format!("{PACKAGE}/wgpu_conv.js"), glue),
                (format!("{PACKAGE}/worker.js"), worker),
                (model.to_owned(), bytes),
            ],
            Delivery::Beside(_) => Vec::new(),
        };
        (Self(Delivery::Beside(model.to_owned())), files)
    }

    /// What the policy of the page allows beyond others: the module, and a worker, which is made of the page's own text or of a
    /// file beside it.
    pub(super) const fn policy(&self) -> &'static str {
        match self.0 {
            Delivery::Held { .. } => {
                " blob: 'wasm-unsafe-eval'; worker-src blob:; connect-src blob: data:; media-src blob:"
            }
            Delivery::Beside(_) => " 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; media-src blob:",
        }
    }

    /// Writes it as text, with the inputs that the page begins with, and the script that computes.
    pub(super) fn write(&self, html: &mut String, inputs: &[LayerView]) {
        let _ = match &self.0 {
            Delivery::Held { module, glue, worker, model } => {
                let parts = [("module", module), ("glue", glue), ("worker", worker), ("file", model)];
                parts.iter().try_for_each(|(name, bytes)| write_part(html, name, &STANDARD.encode(bytes)))
            }
            Delivery::Beside(model) => write_part(html, "beside", &escaped(&format!("{PACKAGE}/worker.js {model}"))),
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
            "<style>\n{}</style>\n<script>\n{remote}{}</script>\n",
            include_str!("live.css"),
            include_str!("live.js")
        );
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Delivery::Held { module, model, .. } => {
                f.debug_struct("Live").field("module", &module.len()).field("model", &model.len()).finish()
            }
            Delivery::Beside(model) => f.debug_struct("Live").field("beside", model).finish(),
        }
    }
}

/// A part that the script reads by its name.
fn write_part(html: &mut String, name: &str, text: &str) -> std::fmt::Result {
    writeln!(html, "<script type=\"text/plain\" id=\"live-{name}\">{text}</script>")
}
