//! Finding an adapter and opening a device on it.
//!
//! A machine may have several adapters: a discrete GPU, an integrated one, a processor that acts as one (lavapipe,
//! SwiftShader, WARP). An [`AdapterChoice`] names one of them, or the best. The device is opened with what plans can
//! make use of, such as f16, subgroups and timestamps, where the adapter has it, and that is written down as [`Caps`],
//! the plain data by which `kernels/` decides which plans a device can run. A caller who has a device already brings it
//! by [`Gpu::from_wgpu`].

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};

#[cfg(not(target_arch = "wasm32"))]
use super::{DEVICES, lock};
use super::{Gpu, Inner, Plans, buffer, cooperative, pipeline};
use crate::plan::{Caps, Texel};
use crate::{Error, Result};

/// Which adapter to open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdapterChoice {
    /// The adapter that `WGPU_ADAPTER_NAME` names in part, if it is set; else the first of the best kind: discrete,
    /// integrated, virtual, software. `WGPU_BACKEND` narrows the backends, as for every choice.
    #[default]
    Best,
    /// The adapter at this place of [`Gpu::adapters`].
    Index(usize),
    /// The first adapter whose name holds this, in any letter case.
    Name(String),
    /// The first adapter that is not software.
    Hardware,
    /// The first software adapter.
    Software,
}

impl std::str::FromStr for AdapterChoice {
    type Err = std::convert::Infallible;

    /// `hardware`, `software`, a number, or part of a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "best" => Self::Best,
            "hardware" => Self::Hardware,
            "software" => Self::Software,
            other => other.parse().map_or_else(|_| Self::Name(other.to_owned()), Self::Index),
        })
    }
}

impl std::fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Best => f.write_str("the best adapter"),
            Self::Index(index) => write!(f, "index {index}"),
            Self::Name(part) => write!(f, "the name `{part}`"),
            Self::Hardware => f.write_str("hardware"),
            Self::Software => f.write_str("software"),
        }
    }
}

/// The backends this build may use on this system, by name.
const BACKENDS: [(wgpu::Backends, &str); 4] = [
    (wgpu::Backends::VULKAN, "Vulkan"),
    (wgpu::Backends::METAL, "Metal"),
    (wgpu::Backends::DX12, "DX12"),
    (wgpu::Backends::BROWSER_WEBGPU, "WebGPU"),
];

impl Gpu {
    /// Opens the best adapter: see [`AdapterChoice::Best`].
    ///
    /// # Errors
    /// [`Error::Gpu`] where there is no adapter, naming the backends tried and a package that provides a software one.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn new() -> Result<Self> {
        Self::open(&AdapterChoice::Best)
    }

    /// Opens the adapter of `choice`.
    ///
    /// # Errors
    /// [`Error::Gpu`] where no adapter fits or its device cannot be opened; [`Error::Invalid`] where `WGPU_BACKEND` names
    /// anything else than backends.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(choice: &AdapterChoice) -> Result<Self> {
        pollster::block_on(Self::open_async(choice))
    }

    /// The adapters of this system, in the order that [`AdapterChoice::Index`] counts.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn adapters() -> Vec<wgpu::AdapterInfo> {
        let (_, adapters) = pollster::block_on(adapters());
        adapters.iter().map(wgpu::Adapter::get_info).collect()
    }

    /// [`open`](Self::open) without blocking; in a browser the choice is the browser's.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub async fn open_async(choice: &AdapterChoice) -> Result<Self> {
        Self::open_on(&find(choice).await?).await
    }

    pub(super) async fn open_on(adapter: &wgpu::Adapter) -> Result<Self> {
        let info = adapter.get_info();
        let mut features = wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::SUBGROUP
            | wgpu::Features::TIMESTAMP_QUERY;
        features.set(wgpu::Features::PIPELINE_CACHE, cfg!(feature = "pipeline-cache"));
        let cooperative_f16 = cooperative::f16_edge(adapter);
        features.set(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, cooperative_f16.is_some());
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgpu-conv"),
            required_features: adapter.features() & features,
            required_limits: adapter.limits(),
            experimental_features: cooperative::leave(),
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|error| Error::gpu(format!("opening {}", info.name), error))?;
        let lost = Arc::new(OnceLock::new());
        let record = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            let _ = record.set(format!("{reason:?}: {message}"));
        });
        let adapter = is_lavapipe(&info).then(|| adapter.clone());
        Ok(Self::assemble(device, queue, info, cooperative_f16, lost, adapter))
    }

    /// Runs on the caller's own device. Nothing global is installed on it: its handlers of uncaptured errors and of
    /// device loss stay the caller's.
    ///
    /// Plans use the features and limits that the device was opened with, but for cooperative matrices: only an adapter
    /// tells which of them there are. Clone the result to share it: tensors and layers of two calls do not mix, even on
    /// one device.
    pub fn from_wgpu(device: wgpu::Device, queue: wgpu::Queue) -> Self {
        let info = device.adapter_info();
        Self::assemble(device, queue, info, None, Arc::default(), None)
    }

    /// Another handle to this device, with caches, measurements and a choice of plans of its own: what
    /// [`from_wgpu`](Self::from_wgpu) makes of [`device`](Self::device) and [`queue`](Self::queue), and it knows all that
    /// this handle knows about the adapter. Tensors and layers of the two do not mix.
    pub fn apart(&self) -> Self {
        let Inner { device, queue, info, caps, lost, adapter, .. } = &*self.0;
        let (device, queue, lost, adapter) = (device.clone(), queue.clone(), lost.clone(), adapter.clone());
        Self::assemble(device, queue, info.clone(), caps.cooperative_f16, lost, adapter)
    }

    fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        info: wgpu::AdapterInfo,
        cooperative_f16: Option<u32>,
        lost: Arc<OnceLock<String>>,
        adapter: Option<wgpu::Adapter>,
    ) -> Self {
        let limits = device.limits();
        let one_size = info.subgroup_min_size == info.subgroup_max_size;
        let has_subgroups = device.features().contains(wgpu::Features::SUBGROUP) && one_size;
        let caps = Caps {
            subgroup: has_subgroups.then_some(info.subgroup_min_size),
            cooperative_f16,
            // What computes nothing can hold any type: models are converted there.
            f16: device.features().contains(wgpu::Features::SHADER_F16) || info.backend == wgpu::Backend::Noop,
            u64: device.features().contains(wgpu::Features::SHADER_INT64),
            software: info.device_type == wgpu::DeviceType::Cpu,
            cores: cores(&info),
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            max_invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
            workgroup_storage: limits.max_compute_workgroup_storage_size,
            max_binding: limits.max_storage_buffer_binding_size,
            max_buffer: limits.max_buffer_size,
            binding_alignment: limits.min_storage_buffer_offset_alignment,
            texel_rows: texel_rows(&info, &limits),
            samples_texels: is_swiftshader(&info),
        };
        let gpu = Self(Arc::new(Inner {
            device,
            queue,
            adapter,
            copies_params: loads_lane_by_lane(&info),
            info,
            caps,
            pipelines: pipeline::PipelineCache::default(),
            buffers: buffer::BufferPool::default(),
            bind_groups: AtomicU64::new(0),
            plans: Mutex::new(Plans::default()),
            #[cfg(not(target_arch = "wasm32"))]
            measurements: Mutex::default(),
            #[cfg(not(target_arch = "wasm32"))]
            measuring: Mutex::default(),
            #[cfg(not(target_arch = "wasm32"))]
            tuning_file: Mutex::default(),
            #[cfg(all(feature = "pipeline-cache", not(target_arch = "wasm32")))]
            driver_cache: Mutex::default(),
            #[cfg(not(target_arch = "wasm32"))]
            poller: Mutex::default(),
            lost,
            #[cfg(target_arch = "wasm32")]
            promised: Mutex::default(),
        }));
        #[cfg(not(target_arch = "wasm32"))]
        {
            let mut devices = lock(&DEVICES);
            devices.retain(|other| other.strong_count() > 0);
            devices.push(Arc::downgrade(&gpu.0));
        }
        gpu
    }
}

/// Cores of a device of such a maker and kind. A middle of what is sold: 20 to 68 on cards, 4 to 16 beside processors, 4 to 8 in
/// telephones.
fn cores(info: &wgpu::AdapterInfo) -> u32 {
    /// ARM, Qualcomm and Imagination, as Vulkan's vendors.
    const MOBILE: [u32; 3] = [0x13b5, 0x5143, 0x1010];
    match info.device_type {
        _ if MOBILE.contains(&info.vendor) => 4,
        wgpu::DeviceType::IntegratedGpu => 8,
        _ => Caps::FLOOR.cores,
    }
}

/// Rows of a texture that may stand in for a buffer; 0 where one need not.
fn texel_rows(info: &wgpu::AdapterInfo, limits: &wgpu::Limits) -> u32 {
    let rows = limits.max_texture_dimension_2d;
    // A texture has a column and may have a row more than it needs.
    if loads_lane_by_lane(info) && rows > Texel::ROW { rows - 1 } else { 0 }
}

/// Whether the adapter is a processor that loads elements of a buffer lane by lane, but a texel for all lanes at once.
fn loads_lane_by_lane(info: &wgpu::AdapterInfo) -> bool {
    is_lavapipe(info) || is_swiftshader(info)
}

/// Whether the adapter is Chromium's processor. A browser does not name its adapters; Chromium falls back on this one.
fn is_swiftshader(info: &wgpu::AdapterInfo) -> bool {
    /// Its maker, as Vulkan's vendor.
    const SWIFTSHADER: u32 = 0x1ae0;
    let software = info.device_type == wgpu::DeviceType::Cpu;
    software && (info.vendor == SWIFTSHADER || info.backend == wgpu::Backend::BrowserWebGpu)
}

/// Whether the adapter is Mesa's processor.
fn is_lavapipe(info: &wgpu::AdapterInfo) -> bool {
    info.driver == "llvmpipe"
}

async fn adapters() -> (wgpu::Instance, Vec<wgpu::Adapter>) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle().with_env());
    let backends = wgpu::Backends::from_env().unwrap_or_default();
    let mut adapters = instance.enumerate_adapters(backends).await;
    // wgpu's backend for tests, if the environment turns it on, answers whatever it is asked with zeros.
    adapters.retain(|adapter| adapter.get_info().backend != wgpu::Backend::Noop);
    (instance, adapters)
}

/// # Errors
/// [`Error::Invalid`] where `names`, what `WGPU_BACKEND` is set to, names anything else than backends.
fn check_backends(names: &str) -> Result<()> {
    // wgpu passes over what it does not know, and knows one that computes nothing.
    let known = |name: &str| {
        let backends = wgpu::Backends::from_comma_list(name);
        !name.is_empty() && !backends.is_empty() && backends != wgpu::Backends::NOOP
    };
    if names.split(',').all(|name| known(name.trim())) {
        return Ok(());
    }
    let rule =
        "`WGPU_BACKEND` must be one or more of vulkan, metal, dx12 and webgpu, with commas between them, or not be set";
    Err(Error::invalid("WGPU_BACKEND", rule, names))
}

async fn find(choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    if let Ok(names) = std::env::var("WGPU_BACKEND") {
        check_backends(&names)?;
    }
    let (instance, mut adapters) = adapters().await;
    if adapters.is_empty() {
        // A browser enumerates nothing, but answers a request.
        let options = wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::from_env().unwrap_or(wgpu::PowerPreference::HighPerformance),
            force_fallback_adapter: *choice == AdapterChoice::Software,
            ..Default::default()
        };
        let adapter = instance.request_adapter(&options).await.map_err(|error| Error::gpu(no_adapter(), error))?;
        return match adapter.get_info().backend {
            wgpu::Backend::Noop => Err(Error::gpu(no_adapter(), "there is only wgpu's, which computes nothing")),
            _ => Ok(adapter),
        };
    }
    let position = match choice {
        AdapterChoice::Best => match std::env::var("WGPU_ADAPTER_NAME") {
            Ok(part) => named(&adapters, &part),
            Err(_) => (0..adapters.len()).min_by_key(|&index| rank(adapters[index].get_info().device_type)),
        },
        AdapterChoice::Index(index) => Some(*index).filter(|&index| index < adapters.len()),
        AdapterChoice::Name(part) => named(&adapters, part),
        AdapterChoice::Hardware => adapters.iter().position(|adapter| !is_software(adapter)),
        AdapterChoice::Software => adapters.iter().position(is_software),
    };
    match position {
        Some(position) => Ok(adapters.swap_remove(position)),
        None => {
            let wanted = match (choice, std::env::var("WGPU_ADAPTER_NAME")) {
                (AdapterChoice::Best, Ok(part)) => format!("WGPU_ADAPTER_NAME={part}"),
                (choice, _) => choice.to_string(),
            };
            let names: Vec<_> = adapters.iter().map(|adapter| adapter.get_info().name).collect();
            Err(Error::gpu("choosing an adapter", format!("none fits {wanted}; there are {}", names.join(", "))))
        }
    }
}

fn named(adapters: &[wgpu::Adapter], part: &str) -> Option<usize> {
    let part = part.to_lowercase();
    adapters.iter().position(|adapter| adapter.get_info().name.to_lowercase().contains(&part))
}

fn is_software(adapter: &wgpu::Adapter) -> bool {
    adapter.get_info().device_type == wgpu::DeviceType::Cpu
}

const fn rank(kind: wgpu::DeviceType) -> u32 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// What was tried, and what to install.
fn no_adapter() -> String {
    let compiled = wgpu::Instance::enabled_backend_features();
    let tried = compiled & wgpu::Backends::from_env().unwrap_or_default();
    let names = |backends: wgpu::Backends| {
        let names: Vec<_> = BACKENDS.iter().filter(|(b, _)| backends.contains(*b)).map(|(_, name)| *name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let advice = if cfg!(target_os = "linux") {
        "install a driver, or a software adapter: `apt install mesa-vulkan-drivers` (Debian, Ubuntu), \
         `dnf install mesa-vulkan-drivers` (Fedora), `pacman -S vulkan-swrast` (Arch)"
    } else if cfg!(target_os = "windows") {
        "Windows brings the software adapter WARP: enable the feature `dx12`"
    } else {
        "this system brings its adapter with it: enable the feature of its backend"
    };
    format!("no adapter (backends compiled in: {}; tried: {}); {advice}", names(compiled), names(tried))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_named() {
        for names in ["vulkan", "VK", "metal, dx12", "webgpu"] {
            check_backends(names).unwrap();
        }
        for names in ["foo", "", "vulkan,foo", "vulkan,", "noop"] {
            let text = check_backends(names).unwrap_err().to_string();
            assert!(text.contains("vulkan, metal, dx12"), "{text}");
        }
    }
}
