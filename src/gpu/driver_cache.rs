//! What the driver has compiled, from one process to the next: a pipeline cache on disk.
//!
//! A shader is compiled twice: by wgpu to the driver's language, and by the driver to the GPU's instructions. The
//! second may take seconds for a network with many shaders, anew in each process. Vulkan can give out what it compiled
//! as bytes and take them back; here they are written to a file and read from it. `pipeline.rs` has the cache within
//! one process.
//!
//! # Safety
//! wgpu hands the bytes of such a cache to the driver, which may trust them, so it asks for bytes that wgpu itself gave
//! out. They come from nowhere but a file that the caller names. It begins with the device, the driver and this
//! library's version, and with a checksum of all that follows: a file of another kind, of another device, a torn one
//! and one with a flipped bit are passed over. wgpu then holds its own header to the device and driver once more, and
//! starts with an empty cache where it does not fit (`fallback`). Against somebody who writes a false file on purpose
//! nothing of this helps: it must lie where only those may write who may also replace the program.

use std::path::Path;

use super::{Gpu, lock};
use crate::{Result, file};

impl Gpu {
    /// Takes over what [`save_pipeline_cache`](Self::save_pipeline_cache) wrote on this kind of device with this driver, so
    /// that the driver need not compile it again; returns whether there was such a file. To be called before anything
    /// runs: what was compiled before is not in the cache.
    ///
    /// A file that does not exist, is torn, or was written on another device or by another version is passed over. The
    /// file is trusted as the program is: keep it where nobody else may write. Only Vulkan has such caches; elsewhere
    /// nothing is read. A software adapter has nothing to keep in one.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) where there is a file that cannot be read; [`Error::Gpu`](crate::Error::Gpu)
    /// where the device refuses.
    ///
    /// ```no_run
    /// use wgpu_conv::Gpu;
    ///
    /// let gpu = Gpu::new()?;
    /// gpu.load_pipeline_cache("pipelines.bin")?;
    /// // Build and call layers and models; then:
    /// gpu.save_pipeline_cache("pipelines.bin")?;
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn load_pipeline_cache(&self, path: impl AsRef<Path>) -> Result<bool> {
        let Some(head) = self.head() else { return Ok(false) };
        let Some(bytes) = file::read_if_any(path.as_ref())? else { return Ok(false) };
        let Some(data) = checked(&bytes, &head) else { return Ok(false) };
        *lock(&self.0.driver_cache) = Some(self.create_driver_cache(Some(data))?);
        Ok(true)
    }

    /// Writes what the driver has compiled for this device to a file, for
    /// [`load_pipeline_cache`](Self::load_pipeline_cache) of a later process. Whatever happens, what stood there before is
    /// replaced by the whole new file or not at all. Without Vulkan nothing is written.
    ///
    /// # Errors
    /// [`Error::Format`](crate::Error::Format) where the file cannot be written.
    pub fn save_pipeline_cache(&self, path: impl AsRef<Path>) -> Result<()> {
        let data = lock(&self.0.driver_cache).as_ref().and_then(wgpu::PipelineCache::get_data);
        let (Some(head), Some(data)) = (self.head(), data) else { return Ok(()) };
        let bytes = [head.as_bytes(), &checksum(&data).to_le_bytes(), &data].concat();
        file::write_file(path, &bytes, file::FileKind::PipelineCache)
    }

    /// What pipelines are compiled with: what was loaded, or an empty cache; none where the device has no such thing.
    pub(super) fn driver_cache(&self) -> Result<Option<wgpu::PipelineCache>> {
        if !self.device().features().contains(wgpu::Features::PIPELINE_CACHE) {
            return Ok(None);
        }
        let mut cache = lock(&self.0.driver_cache);
        if cache.is_none() {
            *cache = Some(self.create_driver_cache(None)?);
        }
        Ok(cache.clone())
    }

    #[expect(unsafe_code, reason = "the bytes are those that wgpu gave out: see the module's documentation")]
    fn create_driver_cache(&self, data: Option<&[u8]>) -> Result<wgpu::PipelineCache> {
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("wgpu-conv"), data, fallback: true };
        self.guarded("pipeline cache", || unsafe { self.device().create_pipeline_cache(&descriptor) })
    }

    /// What a file for this device begins with; `None` where the device has no such cache.
    fn head(&self) -> Option<String> {
        let key = wgpu::util::pipeline_cache_key(self.info())?;
        let has_cache = self.device().features().contains(wgpu::Features::PIPELINE_CACHE);
        has_cache.then(|| format!("{key}\n{}\n", self.named()))
    }
}

/// The cache in the `bytes` of a file, if they are whole and begin with `head`.
fn checked<'a>(bytes: &'a [u8], head: &str) -> Option<&'a [u8]> {
    let (sum, data) = bytes.strip_prefix(head.as_bytes())?.split_first_chunk()?;
    (u64::from_le_bytes(*sum) == checksum(data)).then_some(data)
}

/// FNV-1a, 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
