//! The library for JavaScript, in browsers.
//!
//! What `.ci/web` makes a package of for npm: classes by wasm-bindgen, a worker that holds a model so that a page stays free
//! (`worker.js`, `remote.js`), and the README of the package. Nothing here computes; a browser waits for nothing, so whatever
//! reads a result is a promise.
//!
//! - `model.rs`: models from files
//! - `layer.rs`: single layers of Keras's configs
//! - `values.rs`: arrays on their way between the two languages

mod layer;
mod model;
mod values;

use futures_intrusive::channel::shared::oneshot_channel;
use js_sys::{Object, Reflect};
pub use layer::Layer;
pub use model::Model;
use wasm_bindgen::prelude::*;

use crate::{AdapterChoice, Commands, Tensor, layers, wgpu};

/// What a method that can fail returns: the crate's error becomes JavaScript's `Error` with the same message.
type Result<T> = std::result::Result<T, JsError>;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console)]
    fn error(text: &str);
    /// Milliseconds.
    #[wasm_bindgen(js_namespace = performance)]
    fn now() -> f64;
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

/// What is in a model file, a `.keras`, `.h5` or ONNX file, and all that would stand in the way of building it; nothing is
/// computed, and no WebGPU is needed.
#[wasm_bindgen(unchecked_return_type = "Contents")]
pub fn inspect(bytes: &[u8]) -> Result<JsValue> {
    let contents = crate::formats::inspect_bytes(bytes)?;
    let layers = contents.layers.iter().map(|(name, class)| serde_json::json!({"name": name, "class": class}));
    let obstacles =
        contents.obstacles.iter().map(|it| serde_json::json!({"name": it.name, "kind": it.kind, "reason": it.reason}));
    values::from_json(&serde_json::json!({
        "format": contents.format,
        "name": contents.name,
        "layers": layers.collect::<Vec<_>>(),
        "obstacles": obstacles.collect::<Vec<_>>(),
    }))
}

/// `object.name = value`.
fn set(object: &Object, name: &str, value: impl Into<JsValue>) {
    // Nothing refuses a property of a new object.
    let _ = Reflect::set(object, &name.into(), &value.into());
}

/// How long a layer takes on these inputs, in milliseconds: the mean of `runs` in one submission, from which the time of an
/// empty one is taken away.
async fn time_of(gpu: &crate::Gpu, layer: &layers::Layer, inputs: &[Tensor], runs: u32) -> Result<f64> {
    let runs = runs.max(1);
    let run = |count: u32| {
        let mut commands = Commands::new(gpu);
        for _ in 0..count {
            layer.record_all(&mut commands, inputs)?;
        }
        commands.submit()
    };
    run(1)?;
    done(gpu).await;
    let start = now();
    run(1)?;
    done(gpu).await;
    let one = now();
    run(1 + runs)?;
    done(gpu).await;
    Ok((((now() - one) - (one - start)) / f64::from(runs)).max(0.0))
}

/// When everything submitted has run.
async fn done(gpu: &crate::Gpu) {
    let (sender, receiver) = oneshot_channel();
    gpu.queue().on_submitted_work_done(move || {
        let _ = sender.send(());
    });
    receiver.receive().await;
}
