//! The library for JavaScript, in browsers.
//!
//! What `.ci/web` makes a package of for npm: classes by wasm-bindgen, a worker that holds a model so that a page stays free
//! (`worker.js`, `remote.js`), and the README of the package. Nothing here computes; a browser waits for nothing, so whatever
//! reads a result is a promise.
//!
//! There are two modules in that package, so that who only runs models need not load what trains them: one with the feature
//! `web`, and one with `web-train`. Both have models and arrays.
//!
//! - `model.rs`: models from files
//! - `values.rs`: arrays on their way between the two languages
//! - `look.rs` (`web`): what is in a file, and what each layer makes and takes
//! - `layer.rs` (`web`): single layers of Keras's configs
//! - `training.rs` (`web-train`): training, and the files that it is made from and ends in

#[cfg(feature = "web")]
mod layer;
#[cfg(feature = "web")]
mod look;
mod model;
#[cfg(feature = "web-train")]
mod training;
mod values;

use js_sys::{Object, Reflect};
#[cfg(feature = "web")]
pub use layer::Layer;
#[cfg(feature = "web")]
pub use look::inspect;
pub use model::Model;
#[cfg(feature = "web-train")]
pub use training::read_arrays;
use wasm_bindgen::prelude::*;

use crate::{AdapterChoice, wgpu};

/// What a method that can fail returns: the crate's error becomes JavaScript's `Error` with the same message.
type Result<T> = std::result::Result<T, JsError>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn error(text: &str);
}

/// Says what a panic says, which a trap alone does not.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| error(&panic.to_string())));
}

/// The device that models run on.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Gpu(crate::Gpu);

#[wasm_bindgen]
impl Gpu {
    /// The adapter that the browser chooses, a fast one where it has several.
    pub async fn open() -> Result<Gpu> {
        require_webgpu()?;
        Ok(Self(crate::Gpu::open_async(&AdapterChoice::Best).await?))
    }

    /// Whether it is a processor that acts as a GPU.
    #[wasm_bindgen(getter, js_name = isSoftware)]
    pub fn is_software(&self) -> bool {
        self.0.info().device_type == wgpu::DeviceType::Cpu
    }
}

/// # Errors
/// What to do where there is no WebGPU.
fn require_webgpu() -> Result<()> {
    let of = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).unwrap_or_default();
    let global = js_sys::global();
    if of(&of(&global, "navigator"), "gpu").is_truthy() {
        return Ok(());
    }
    let advice = if of(&global, "isSecureContext").is_falsy() {
        "a page must be served by https, or from localhost, to use WebGPU"
    } else {
        "this browser has no WebGPU, or it is turned off: use Chrome or Edge from version 113, Safari from 26, or Firefox from \
         141; in Chrome on Linux turn on chrome://flags/#enable-unsafe-webgpu"
    };
    Err(JsError::new(advice))
}

/// `object.name = value`.
fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    // Nothing refuses a property of a new object.
    let _ = Reflect::set(object, &name.into(), &value.into());
}
