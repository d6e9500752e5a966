//! Tensors: arrays on the device, and arrays on the host to fill them from and read them into.
//!
//! A `Tensor` is what layers and models take and return: a shape, an element type and a place in a buffer of one
//! device. Its values stay on the device from layer to layer; they are copied to the host only when they are read. A
//! clone is another handle to the same values, which never change, so a tensor may be read by any number of operations.
//! Its memory goes back to the device's pool (`gpu/buffer.rs`) when the last handle is dropped. A `HostTensor` is the
//! plain counterpart: a shape and a vector of f32.

use std::sync::Arc;

use crate::geometry::indexable;
use crate::gpu::{BufferBinding, DeviceBuffer, Recording};
use crate::{Commands, DType, Element, Error, Gpu, HostData, Result, Shape};

/// An array on a device: contiguous, last axis fastest. Cloning is cheap and shares the values, which never change.
///
/// A tensor has no data format: whether `[2, 5, 5, 3]` holds 3 or 5 channels is an argument of the layer that reads it.
///
/// ```no_run
/// use wgpu_conv::{Gpu, Tensor};
///
/// let gpu = Gpu::new()?;
/// let tensor = Tensor::from_slice(&gpu, [2, 2], &[1.0f32, 2.0, 3.0, 4.0])?;
/// assert_eq!(tensor.read::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor {
    gpu: Gpu,
    shape: Shape,
    dtype: DType,
    storage: Arc<DeviceBuffer>,
    /// Bytes into the storage.
    offset: u64,
    /// The commands that compute it, where it was recorded.
    recording: Option<Recording>,
}

/// An array on the host: what weights are set from and read into.
#[derive(Clone, Debug, PartialEq)]
pub struct HostTensor {
    /// The extents, outermost first.
    pub shape: Shape,
    /// The elements, last axis fastest.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// # Errors
    /// [`Error::Invalid`] where `values` does not hold as many elements as `shape` says.
    pub fn new(shape: impl Into<Shape>, values: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        check_length(&shape, values.len())?;
        Ok(Self { shape, values })
    }
}

impl Tensor {
    /// A tensor of `shape` with the values of `data`: f32, [`half::f16`], or f64, which is rounded to f32.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `data` does not hold as many elements as `shape` says; [`Error::Unsupported`] for f16 on
    /// a device without it; [`Error::Limit`] and [`Error::Gpu`] where the device cannot hold it.
    pub fn from_slice<T: HostData>(gpu: &Gpu, shape: impl Into<Shape>, data: &[T]) -> Result<Self> {
        let shape = shape.into();
        check_length(&shape, data.len())?;
        let tensor = Self::uninitialized(gpu, shape, T::STORED_AS)?;
        tensor.write(&T::to_bytes(data))?;
        Ok(tensor)
    }

    /// Fills a tensor that begins its storage and that nothing has read yet.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        self.gpu.write(&self.storage, bytes)
    }

    /// A tensor over a buffer of the caller's, made on the same device, `offset` bytes into it.
    ///
    /// The buffer needs the usages `STORAGE` and `COPY_SRC`: what is read back, or through a texture, is copied. It must not
    /// be mapped, nor be written while operations on the tensor are pending.
    ///
    /// # Errors
    /// [`Error::Invalid`] where usage, offset or size do not fit, and for a buffer of another device; [`Error::Gpu`] where the device
    /// was lost. (In a browser, a buffer of another device is an error of the first readback.)
    pub fn from_buffer(
        gpu: &Gpu,
        buffer: wgpu::Buffer,
        offset: u64,
        shape: impl Into<Shape>,
        dtype: DType,
    ) -> Result<Self> {
        let shape = shape.into();
        require(gpu, dtype)?;
        let alignment = u64::from(gpu.caps().binding_alignment);
        let bytes = u64::from(indexable(&shape)?) * dtype.size() as u64;
        let end = bytes.next_multiple_of(4).max(4).checked_add(offset);
        if !buffer.usage().contains(wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC) {
            return Err(Error::invalid(
                "buffer",
                "the buffer must have the usages STORAGE and COPY_SRC",
                format!("{:?}", buffer.usage()),
            ));
        }
        if !offset.is_multiple_of(alignment) {
            return Err(Error::invalid(
                "offset",
                format!("the offset must be a multiple of {alignment} bytes"),
                format!("offset={offset}"),
            ));
        }
        if end.is_none_or(|end| end > buffer.size()) {
            return Err(Error::invalid(
                "buffer",
                "the buffer must hold the shape from the offset on, in multiples of 4 bytes",
                format!("{} bytes, offset={offset}, shape={shape} of {dtype}", buffer.size()),
            ));
        }
        #[cfg(not(target_arch = "wasm32"))]
        gpu.check_owns(&buffer)?;
        Ok(Self { gpu: gpu.clone(), shape, dtype, storage: DeviceBuffer::foreign(buffer), offset, recording: None })
    }

    /// A tensor that an operation is about to write.
    pub(crate) fn uninitialized(gpu: &Gpu, shape: Shape, dtype: DType) -> Result<Self> {
        require(gpu, dtype)?;
        let bytes = u64::from(indexable(&shape)?) * dtype.size() as u64;
        let storage = gpu.storage(bytes)?;
        Ok(Self { gpu: gpu.clone(), shape, dtype, storage, offset: 0, recording: None })
    }

    /// A tensor whose memory no pool keeps: it lives as long as a layer does, and the next is of another size.
    pub(crate) fn owned(gpu: &Gpu, shape: Shape, dtype: DType) -> Result<Self> {
        let bytes = shape.elements()? * dtype.size() as u64;
        Ok(Self::within(gpu, &gpu.memory(bytes)?, shape, dtype))
    }

    /// A tensor at the start of `memory`, which is large enough.
    pub(crate) fn within(gpu: &Gpu, memory: &BufferBinding, shape: Shape, dtype: DType) -> Self {
        let (storage, offset) = (memory.storage.clone(), memory.offset);
        Self { gpu: gpu.clone(), shape, dtype, storage, offset, recording: None }
    }

    /// A tensor that `commands` are about to write: it has its values once they are submitted.
    pub(crate) fn recorded(commands: &Commands, shape: Shape, dtype: DType) -> Result<Self> {
        let tensor = Self::uninitialized(commands.gpu(), shape, dtype)?;
        Ok(Self { recording: Some(commands.recording().clone()), ..tensor })
    }

    /// # Errors
    /// [`Error::Invalid`] unless the values are there for `reader`: the commands it is recorded in, or what was submitted.
    fn check_computed(&self, reader: Option<&Commands>) -> Result<()> {
        if self.is_empty() || self.recording.as_ref().is_none_or(|recording| recording.is_done_for(reader)) {
            return Ok(());
        }
        Err(Error::invalid(
            "input",
            "the commands that compute a tensor must be submitted before anything else reads it: call `Commands::submit`",
            format!("a tensor of shape {} that was recorded and not submitted", self.shape),
        ))
    }

    /// The extents of the axes.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The device that holds it.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// The buffer that holds the values, and where in it they start, in bytes. Those of a tensor that was
    /// [recorded](Commands) are there once its commands are submitted.
    pub fn buffer(&self) -> (&wgpu::Buffer, u64) {
        (self.storage.buffer(), self.offset)
    }

    /// The same values under another shape of as many elements.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number of elements differs.
    pub fn reshape(&self, shape: impl Into<Shape>) -> Result<Self> {
        let shape = shape.into();
        if shape.elements()? != self.shape.elements()? {
            return Err(Error::invalid(
                "shape",
                "the number of elements must be unchanged",
                format!("shape={shape} for a tensor of shape {}", self.shape),
            ));
        }
        Ok(Self { shape, ..self.clone() })
    }

    /// The values, after everything submitted before. Blocks until they are there; a browser has only
    /// [`read_async`](Self::read_async).
    ///
    /// # Errors
    /// [`Error::Invalid`] where `T` would lose precision, and for a tensor that was [recorded](Commands) and not submitted;
    /// [`Error::Gpu`] where the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn read<T: Element>(&self) -> Result<Vec<T>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        self.check_computed(None)?;
        self.decode(&self.gpu.read(&self.binding())?)
    }

    /// The values, after everything submitted before.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub async fn read_async<T: Element>(&self) -> Result<Vec<T>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        self.check_computed(None)?;
        self.decode(&self.gpu.read_async(&self.binding()).await?)
    }

    pub(crate) fn decode<T: Element>(&self, bytes: &[u8]) -> Result<Vec<T>> {
        T::from_bytes(self.dtype, bytes).ok_or_else(|| {
            Error::invalid(
                "T",
                "values must be read as a type that holds them exactly",
                format!("{} for a tensor of {}", T::DTYPE, self.dtype),
            )
        })
    }

    /// Whether some extent is 0.
    pub(crate) fn is_empty(&self) -> bool {
        self.shape.dims().contains(&0)
    }

    /// The number of elements, known to fit since the tensor exists.
    pub(crate) fn elements(&self) -> u32 {
        self.shape.dims().iter().product::<usize>() as u32
    }

    pub(crate) fn binding(&self) -> BufferBinding {
        let size = u64::from(self.elements()) * self.dtype.size() as u64;
        BufferBinding { storage: self.storage.clone(), offset: self.offset, size }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({} of {})", self.shape, self.dtype)
    }
}

/// Checks what something `built` on `gpu` is given: where it is recorded, and what it reads.
///
/// # Errors
/// [`Error::Invalid`] for commands and inputs of another device, and for inputs whose values are not there for the commands.
pub(crate) fn check_call(built: &str, gpu: &Gpu, commands: &Commands, inputs: &[Tensor]) -> Result<()> {
    for (argument, other) in inputs.iter().map(|input| ("input", input.gpu())).chain([("commands", commands.gpu())]) {
        if !other.is(gpu) {
            return Err(Error::invalid(
                argument,
                format!("{built} must be called on the Gpu it was built on"),
                format!("{argument} of another Gpu"),
            ));
        }
    }
    inputs.iter().try_for_each(|input| input.check_computed(Some(commands)))
}

/// # Errors
/// [`Error::Invalid`] where `shape` has not so many elements.
pub(crate) fn check_length(shape: &Shape, length: usize) -> Result<()> {
    if shape.elements()? == length as u64 {
        return Ok(());
    }
    Err(Error::invalid(
        "data",
        "the data must hold as many elements as the shape says",
        format!("{length} elements for shape={shape}"),
    ))
}

/// # Errors
/// [`Error::Unsupported`] where `gpu` cannot store `dtype`.
pub(crate) fn require(gpu: &Gpu, dtype: DType) -> Result<()> {
    if dtype == DType::F16 && !gpu.caps().f16 {
        return Err(Error::unsupported(
            format!("f16 on {}", gpu.info().name),
            "the adapter has no SHADER_F16; use float32, or the dtype policy EmulatedFloat16, which rounds to f16 and \
             computes in f32",
        ));
    }
    Ok(())
}
