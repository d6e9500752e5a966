//! Buffers: pooled storage and staging, and uniform blocks by content; and the textures of the same pool.
//!
//! Device memory is slow to allocate, and a network that is called again wants the same sizes again. So a buffer that
//! nothing holds any more waits in a pool (a caching allocator) until one of its size and usage is asked for. Storage
//! buffers hold tensors, staging buffers are what the host reads from, and a uniform block holds the numbers that a
//! shader reads, such as sizes and pads: equal blocks are one buffer, so that a repeated call writes nothing before it
//! runs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::{Gpu, Inner, lock};
use crate::{Error, Result};

/// Bytes of idle buffers beyond which a returned buffer is freed instead of kept.
const MOST_IDLE: u64 = 512 << 20;
/// Bytes written without a submission after which one is made, so that wgpu's staging copies do not pile up: many, so that a
/// change of all weights comes with the call that reads them.
const MOST_UNSUBMITTED: u64 = 256 << 20;
/// Uniform blocks kept; they are a few dozen bytes each.
const MOST_UNIFORMS: usize = 4096;
/// Bytes written without a submission after which [`Gpu::settle_uploads`] makes one.
const MUCH_UNSUBMITTED: u64 = 16 << 20;
/// Buffer sizes are multiples of this, so that f16 tensors of odd length and vec4 loads stay inside.
const GRANULE: u64 = 256;

const STORAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);
const STAGING: wgpu::BufferUsages = wgpu::BufferUsages::MAP_READ.union(wgpu::BufferUsages::COPY_DST);

/// By format, width and height.
type IdleTextures = HashMap<(wgpu::TextureFormat, [u32; 2]), Vec<wgpu::Texture>>;

/// Buffers waiting to be used again, and what has been made so far.
#[derive(Default)]
pub(super) struct BufferPool {
    idle: Mutex<HashMap<(wgpu::BufferUsages, u64), Vec<wgpu::Buffer>>>,
    idle_textures: Mutex<IdleTextures>,
    idle_bytes: AtomicU64,
    uniforms: Mutex<HashMap<Vec<u32>, wgpu::Buffer>>,
    placeholder: Mutex<Option<Arc<DeviceBuffer>>>,
    made: AtomicU64,
    bytes: AtomicU64,
    unsubmitted: AtomicU64,
    submissions: AtomicU64,
    /// Held while submitting.
    turn: Mutex<()>,
}

impl BufferPool {
    /// Buffers made so far, and bytes of those that exist.
    pub(super) fn allocated(&self) -> (u64, u64) {
        (self.made.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    pub(super) fn submissions(&self) -> u64 {
        self.submissions.load(Ordering::Relaxed)
    }

    /// Frees what is idle.
    pub(super) fn clear(&self) {
        lock(&self.idle).clear();
        lock(&self.idle_textures).clear();
        let freed = self.idle_bytes.swap(0, Ordering::Relaxed);
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
    }

    fn take(&self, usage: wgpu::BufferUsages, size: u64) -> Option<wgpu::Buffer> {
        let buffer = lock(&self.idle).get_mut(&(usage, size))?.pop()?;
        self.idle_bytes.fetch_sub(size, Ordering::Relaxed);
        Some(buffer)
    }

    fn put(&self, buffer: &wgpu::Buffer) {
        let (usage, size) = (buffer.usage(), buffer.size());
        if self.keeps(size) {
            lock(&self.idle).entry((usage, size)).or_default().push(buffer.clone());
        }
    }

    /// Whether `size` bytes more may be idle; else they are freed.
    fn keeps(&self, size: u64) -> bool {
        let keeps = self.idle_bytes.load(Ordering::Relaxed) + size <= MOST_IDLE;
        if keeps {
            self.idle_bytes.fetch_add(size, Ordering::Relaxed);
        } else {
            self.freed(size);
        }
        keeps
    }

    /// Counts something freed that took `size` bytes.
    pub(super) fn freed(&self, size: u64) {
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    /// An idle texture of `size` bytes.
    pub(super) fn take_texture(
        &self,
        format: wgpu::TextureFormat,
        extent: [u32; 2],
        size: u64,
    ) -> Option<wgpu::Texture> {
        let texture = lock(&self.idle_textures).get_mut(&(format, extent))?.pop()?;
        self.idle_bytes.fetch_sub(size, Ordering::Relaxed);
        Some(texture)
    }

    /// Takes back a texture of `size` bytes.
    pub(super) fn put_texture(&self, texture: &wgpu::Texture, size: u64) {
        if self.keeps(size) {
            let key = (texture.format(), [texture.width(), texture.height()]);
            lock(&self.idle_textures).entry(key).or_default().push(texture.clone());
        }
    }
}

/// A buffer; one of ours goes back to its device's pool when the last handle is dropped.
///
/// The pool may hand it out again at once: the queue runs submissions in order, and [`Commands`](super::Commands) keeps
/// every buffer it has recorded until it is submitted.
pub(crate) struct DeviceBuffer {
    buffer: wgpu::Buffer,
    home: Weak<Inner>,
    /// Whether it goes back to the pool; else it is freed.
    pooled: bool,
}

impl DeviceBuffer {
    /// A buffer of the caller's, which no pool takes over.
    pub(crate) fn foreign(buffer: wgpu::Buffer) -> Arc<Self> {
        Arc::new(Self { buffer, home: Weak::new(), pooled: false })
    }

    pub(crate) fn buffer(&self) -> &wgpu::Buffer {
        &self.buffer
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        if let Some(gpu) = self.home.upgrade() {
            if self.pooled {
                gpu.buffers.put(&self.buffer);
            } else {
                gpu.buffers.freed(self.buffer.size());
            }
        }
    }
}

/// What a buffer for `bytes` takes.
pub(crate) const fn allocated(bytes: u64) -> u64 {
    if bytes == 0 { GRANULE } else { bytes.next_multiple_of(GRANULE) }
}

/// A range of a buffer as a dispatch binds it.
#[derive(Clone)]
pub(crate) struct BufferBinding {
    pub(crate) storage: Arc<DeviceBuffer>,
    /// Bytes.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) size: u64,
}

impl BufferBinding {
    /// The first `size` bytes.
    pub(crate) fn sized(self, size: u64) -> Self {
        Self { size, ..self }
    }
}

impl Gpu {
    /// Storage for `bytes`, with undefined content.
    ///
    /// # Errors
    /// [`Error::Limit`] above the device's largest buffer, [`Error::Gpu`] out of memory.
    pub(crate) fn storage(&self, bytes: u64) -> Result<Arc<DeviceBuffer>> {
        self.buffer("storage buffer", STORAGE, bytes)
    }

    /// Storage of `bytes`, whole, that no pool keeps: it is freed when the last handle is dropped.
    pub(crate) fn memory(&self, bytes: u64) -> Result<BufferBinding> {
        let buffer = self.create_in_place_of_idle("storage buffer", STORAGE, self.checked_size(bytes)?)?;
        let storage = Arc::new(DeviceBuffer { buffer, home: Arc::downgrade(&self.0), pooled: false });
        Ok(BufferBinding { storage, offset: 0, size: bytes })
    }

    /// A buffer that the host can read `bytes` from.
    pub(super) fn staging(&self, bytes: u64) -> Result<Arc<DeviceBuffer>> {
        self.buffer("staging buffer", STAGING, bytes)
    }

    fn buffer(&self, label: &'static str, usage: wgpu::BufferUsages, bytes: u64) -> Result<Arc<DeviceBuffer>> {
        let size = self.checked_size(bytes)?;
        let buffer = match self.0.buffers.take(usage, size) {
            Some(buffer) => buffer,
            None => self.create_in_place_of_idle(label, usage, size)?,
        };
        Ok(Arc::new(DeviceBuffer { buffer, home: Arc::downgrade(&self.0), pooled: true }))
    }

    /// A new buffer; where there is no memory for it, idle ones are freed first.
    fn create_in_place_of_idle(
        &self,
        label: &'static str,
        usage: wgpu::BufferUsages,
        size: u64,
    ) -> Result<wgpu::Buffer> {
        self.in_place_of_idle(|| self.create(label, usage, size))
    }

    fn in_place_of_idle<T>(&self, make: impl Fn() -> Result<T>) -> Result<T> {
        let pool = &self.0.buffers;
        make().or_else(|error| {
            if pool.idle_bytes.load(Ordering::Relaxed) == 0 {
                return Err(error);
            }
            pool.clear();
            make()
        })
    }

    /// A new texture of `size` bytes; where there is no memory for it, what is idle is freed first.
    pub(super) fn create_texture(
        &self,
        format: wgpu::TextureFormat,
        [width, height]: [u32; 2],
        size: u64,
    ) -> Result<wgpu::Texture> {
        let mut usage = wgpu::TextureUsages::COPY_DST | wgpu::TextureUsages::STORAGE_BINDING;
        usage.set(wgpu::TextureUsages::TEXTURE_BINDING, self.caps().samples_texels);
        let descriptor = wgpu::TextureDescriptor {
            label: Some("texels"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format,
            usage,
            view_formats: &[],
        };
        let make = || self.guarded("texture", || self.device().create_texture(&descriptor));
        let texture = self.in_place_of_idle(make)?;
        self.made(size);
        Ok(texture)
    }

    /// Counts something made that takes `size` bytes.
    fn made(&self, size: u64) {
        self.0.buffers.made.fetch_add(1, Ordering::Relaxed);
        self.0.buffers.bytes.fetch_add(size, Ordering::Relaxed);
    }

    /// The size of a buffer for `bytes`.
    fn checked_size(&self, bytes: u64) -> Result<u64> {
        let size = allocated(bytes);
        if size > self.caps().max_buffer {
            return Err(Error::limit("bytes of one buffer", size, self.caps().max_buffer));
        }
        Ok(size)
    }

    fn create(&self, label: &'static str, usage: wgpu::BufferUsages, size: u64) -> Result<wgpu::Buffer> {
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let buffer = self.guarded(label, || self.device().create_buffer(&descriptor))?;
        self.made(size);
        Ok(buffer)
    }

    /// Writes `bytes` at the start of `storage`.
    pub(crate) fn write(&self, storage: &DeviceBuffer, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.enqueue(storage, bytes)?;
        let pending = self.0.buffers.unsubmitted.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if pending > MOST_UNSUBMITTED {
            self.submit("upload", &[], None)?;
        }
        Ok(())
    }

    /// Submits what was written, where it is much: whoever writes one thing after another calls it between.
    pub(crate) fn settle_uploads(&self) -> Result<()> {
        if self.0.buffers.unsubmitted.load(Ordering::Relaxed) > MUCH_UNSUBMITTED {
            self.submit("upload", &[], None)?;
        }
        Ok(())
    }

    fn enqueue(&self, storage: &DeviceBuffer, bytes: &[u8]) -> Result<()> {
        let whole = bytes.len() - bytes.len() % 4;
        self.guarded("upload", || {
            self.queue().write_buffer(&storage.buffer, 0, &bytes[..whole]);
            if whole < bytes.len() {
                let mut last = [0; 4];
                last[..bytes.len() - whole].copy_from_slice(&bytes[whole..]);
                self.queue().write_buffer(&storage.buffer, whole as u64, &last);
            }
        })
    }

    /// Submits `commands` behind `uploads`, after which earlier uploads are no longer pending.
    ///
    /// The queue runs uploads before the next submission, whoever makes it: one submission at a time, so that uploads run
    /// with the commands that read them.
    pub(super) fn submit(
        &self,
        context: &str,
        uploads: &[(Arc<DeviceBuffer>, Vec<u8>)],
        commands: Option<wgpu::CommandBuffer>,
    ) -> Result<wgpu::SubmissionIndex> {
        let pool = &self.0.buffers;
        let _in_turn = lock(&pool.turn);
        for (storage, bytes) in uploads {
            self.enqueue(storage, bytes)?;
        }
        pool.unsubmitted.store(0, Ordering::Relaxed);
        pool.submissions.fetch_add(1, Ordering::Relaxed);
        let index = self.guarded(context, || self.queue().submit(commands))?;
        // Lets wgpu free what finished submissions used; it does not wait.
        self.guarded(context, || self.device().poll(wgpu::PollType::Poll))?
            .map_err(|error| Error::gpu(context.to_owned(), error))?;
        Ok(index)
    }

    /// The uniform buffer that holds `words`, made once for each content.
    pub(super) fn uniform(&self, words: &[u32]) -> Result<wgpu::Buffer> {
        let pool = &self.0.buffers;
        if let Some(buffer) = lock(&pool.uniforms).get(words) {
            return Ok(buffer.clone());
        }
        let size = (words.len() as u64 * 4).next_multiple_of(16);
        let buffer = self.create("uniform buffer", wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST, size)?;
        self.guarded("uniform buffer", || self.queue().write_buffer(&buffer, 0, bytemuck::cast_slice(words)))?;
        let mut uniforms = lock(&pool.uniforms);
        if uniforms.len() == MOST_UNIFORMS {
            let freed: u64 = uniforms.drain().map(|(_, buffer)| buffer.size()).sum();
            pool.bytes.fetch_sub(freed, Ordering::Relaxed);
        }
        uniforms.insert(words.to_vec(), buffer.clone());
        Ok(buffer)
    }

    /// What stands where an operand is absent: shaders have one layout, with or without a bias.
    pub(super) fn placeholder(&self) -> Result<BufferBinding> {
        let mut placeholder = lock(&self.0.buffers.placeholder);
        let storage = match &*placeholder {
            Some(storage) => storage.clone(),
            None => {
                let buffer = self.create("placeholder", STORAGE, GRANULE)?;
                placeholder.insert(DeviceBuffer::foreign(buffer)).clone()
            }
        };
        Ok(BufferBinding { storage, offset: 0, size: GRANULE })
    }
}
