//! Operands as textures: for adapters whose texture loads are cheaper than their buffer loads.
//!
//! SwiftShader is the other such adapter: there the textures are sampled ones (`gpu/pipeline.rs`).
//!
//! A tensor is an array in a buffer. On Mesa's processor adapter (lavapipe) a shader loads an element of a buffer in a
//! loop over the lanes of a subgroup, but a texel for all lanes at once, and so convolutions there read their input and
//! kernel as textures. Such a texture holds the tensor's elements in order, row by row, one or four to a texel
//! (vectorised loads). An input is copied to one before the launch; launches in a row take turns with one texture for
//! each operand. A kernel is kept as one, copied there when it has changed, or written there by the launch that packs it.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use super::{BufferBinding, Gpu, Inner};
use crate::plan::{Operand, Texel};
use crate::{DType, Result};

/// A texture that holds the elements of a tensor in order, as [`Texel`]s.
pub(crate) struct Texels {
    texture: wgpu::Texture,
    pub(super) view: wgpu::TextureView,
    texel: Texel,
    home: Weak<Inner>,
    /// Whether it goes back to the pool when the last handle is dropped; else it is freed.
    pooled: bool,
}

/// The width and the height of a texture for `bytes`: neither is a power of two. Lavapipe compiles a shader anew for textures
/// whose extents are, and for those of which one is; of 34 compilations for EfficientNetB0 six were such.
fn extent(bytes: u64, texel: Texel) -> [u32; 2] {
    let texels = bytes.div_ceil(texel.size()).max(1);
    let row = u64::from(Texel::ROW);
    [texels.min(row) as u32, texels.div_ceil(row) as u32].map(|extent| match extent {
        1 | 2 => 3,
        extent => extent + u32::from(extent.is_power_of_two()),
    })
}

impl Texel {
    /// Bytes of a texture for `bytes` of elements.
    pub(crate) fn allocated(self, bytes: u64) -> u64 {
        let [width, height] = extent(bytes, self);
        u64::from(width) * u64::from(height) * self.size()
    }

    pub(super) const fn format(self) -> wgpu::TextureFormat {
        match (self.dtype, self.lanes) {
            (DType::F32, 1) => wgpu::TextureFormat::R32Float,
            (DType::F32, _) => wgpu::TextureFormat::Rgba32Float,
            (DType::F16, 1) => wgpu::TextureFormat::R16Float,
            (DType::F16, _) => wgpu::TextureFormat::Rgba16Float,
        }
    }
}

impl Texels {
    fn holds(&self, [width, height]: [u32; 2]) -> bool {
        self.texture.width() >= width && self.texture.height() >= height
    }

    /// Copies all of `from`.
    pub(super) fn fill(&self, encoder: &mut wgpu::CommandEncoder, from: &BufferBinding) {
        let row = u64::from(Texel::ROW);
        let texels = from.size.div_ceil(self.texel.size());
        let [rows, rest] = [texels / row, texels % row];
        let mut copy = |first: u64, width: u64, height: u64| {
            let source = wgpu::TexelCopyBufferInfo {
                buffer: from.storage.buffer(),
                layout: wgpu::TexelCopyBufferLayout {
                    offset: from.offset + first * row * self.texel.size(),
                    bytes_per_row: (height > 1).then_some((row * self.texel.size()) as u32),
                    rows_per_image: None,
                },
            };
            let target = wgpu::TexelCopyTextureInfo {
                origin: wgpu::Origin3d { x: 0, y: first as u32, z: 0 },
                ..self.texture.as_image_copy()
            };
            let size = wgpu::Extent3d { width: width as u32, height: height as u32, depth_or_array_layers: 1 };
            encoder.copy_buffer_to_texture(source, target, size);
        };
        if rows > 0 {
            copy(0, row, rows);
        }
        if rest > 0 {
            copy(rows, rest, 1);
        }
    }
}

impl Drop for Texels {
    fn drop(&mut self) {
        if let Some(gpu) = self.home.upgrade() {
            let [width, height] = [self.texture.width(), self.texture.height()].map(u64::from);
            let size = width * height * self.texel.size();
            if self.pooled {
                gpu.buffers.put_texture(&self.texture, size);
            } else {
                gpu.buffers.freed(size);
            }
        }
    }
}

impl Gpu {
    /// A texture for `bytes`, with undefined content; where `pooled`, from the pool and back there.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::Error::Gpu) out of memory.
    pub(crate) fn texels(&self, texel: Texel, bytes: u64, pooled: bool) -> Result<Arc<Texels>> {
        let extent = extent(bytes, texel);
        let (format, size) = (texel.format(), texel.allocated(bytes));
        let idle = if pooled { self.0.buffers.take_texture(format, extent, size) } else { None };
        let texture = match idle {
            Some(texture) => texture,
            None => self.create_texture(format, extent, size)?,
        };
        let view = self.guarded("texture", || texture.create_view(&wgpu::TextureViewDescriptor::default()))?;
        Ok(Arc::new(Texels { texture, view, texel, home: Arc::downgrade(&self.0), pooled }))
    }
}

/// The textures that launches in a row fill and read in turn: one for each operand and kind of texel, the largest that was
/// asked for.
#[derive(Default)]
pub(crate) struct SharedTexels(HashMap<(Operand, Texel), Arc<Texels>>);

impl SharedTexels {
    /// One for `bytes` of `operand`.
    pub(crate) fn get(&mut self, gpu: &Gpu, operand: Operand, texel: Texel, bytes: u64) -> Result<Arc<Texels>> {
        if let Some(texels) = self.0.get(&(operand, texel)).filter(|texels| texels.holds(extent(bytes, texel))) {
            return Ok(texels.clone());
        }
        let texels = gpu.texels(texel, bytes, true)?;
        self.0.insert((operand, texel), texels.clone());
        Ok(texels)
    }
}
