//! Weights: arrays that a layer keeps from call to call, and that may be given new values.
//!
//! A convolution's kernel and its bias are variables, under Keras's names; so are a batch normalization's gamma, beta
//! and moving statistics. Unlike a tensor, a variable can be assigned. It stands on the host, where it was made or read
//! from a file, until something computes with it, and from then on the device, in one copy. It counts how often its
//! values were replaced: whatever was computed of them, such as a kernel packed for a shader, is thereby known to be
//! out of date (`ops/kernel.rs`). Two layers may hold one variable, and then share its values.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use half::f16;

#[cfg(feature = "keras")]
use crate::Commands;
use crate::{DType, DTypePolicy, Error, Gpu, HostTensor, Result, Rounding, Shape, Tensor};

/// A weight of a layer: an array with a name, as Keras's `Variable`.
///
/// Its values live on the device, in one copy, from the moment that something computes with them; until then they are on the
/// host, where they were made or read from a file. [`assign`](Self::assign) puts others in their place. Whatever was computed from
/// the old ones, such as a kernel in the form that a shader wants, is made again by the next call, on the device.
///
/// ```no_run
/// use wgpu_conv::{Gpu, HostTensor, layers::Dense};
///
/// let layer = Dense::new(2).build(&Gpu::new()?, [None, Some(3)])?;
/// let [kernel, bias] = layer.weights() else { unreachable!("a dense layer has two weights") };
/// assert_eq!((kernel.name(), kernel.shape().dims()), ("kernel", &[3, 2][..]));
/// bias.assign(&HostTensor::new([2], vec![1.0, -1.0])?)?;
/// assert_eq!(bias.read()?.values, [1.0, -1.0]);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone)]
pub struct Variable {
    name: &'static str,
    trainable: bool,
    data: Arc<Data>,
}

impl Variable {
    pub(crate) fn new(name: &'static str, trainable: bool, data: Arc<Data>) -> Self {
        Self { name, trainable, data }
    }

    /// A weight of the caller's own, in f32, that begins as `value`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where `value` does not hold as many numbers as its shape says.
    ///
    /// ```no_run
    /// # use wgpu_conv::{Gpu, HostTensor, Variable};
    /// let variable = Variable::from_value(&Gpu::new()?, "scale", &HostTensor::new([2], vec![1.0, 2.0])?)?;
    /// assert!(variable.trainable());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn from_value(gpu: &Gpu, name: &'static str, value: &HostTensor) -> Result<Self> {
        let value = HostTensor::new(value.shape.clone(), value.values.clone())?;
        let data = Data::new(gpu, DTypePolicy::Float32, Arc::new(value));
        let data = data.ok_or_else(|| Error::unsupported("a variable of float32", "shaders store it"))?;
        Ok(Self::new(name, true, data))
    }

    /// What it holds, which other variables may have in common with it.
    pub(crate) fn data(&self) -> &Arc<Data> {
        &self.data
    }

    /// Keras's name: `kernel`, `bias`, `depthwise_kernel`, ….
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The extents, in Keras's order whatever the data format.
    pub fn shape(&self) -> &Shape {
        &self.data.shape
    }

    /// Whether training may change it.
    pub fn trainable(&self) -> bool {
        self.trainable
    }

    /// The values. Blocks until the device has given them, which a browser cannot: there [`read_async`](Self::read_async) does.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device was lost; [`Error::Unsupported`] of a model whose weights were not
    /// [read](crate::model::Model::outline), and in a browser where the values are on the device.
    pub fn read(&self) -> Result<HostTensor> {
        match self.data.home() {
            Home::Host(value) => Ok(HostTensor::clone(&value)),
            Home::Unread => Err(unread(&self.data.shape)),
            #[cfg(not(target_arch = "wasm32"))]
            Home::Device(tensor) => Ok(HostTensor { shape: self.shape().clone(), values: tensor.read()? }),
            #[cfg(target_arch = "wasm32")]
            Home::Device(_) => Err(Error::unsupported("waiting for the device", "a browser has `read_async` only")),
        }
    }

    /// The values.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device was lost.
    pub async fn read_async(&self) -> Result<HostTensor> {
        match self.data.home() {
            Home::Host(value) => Ok(HostTensor::clone(&value)),
            Home::Unread => Err(unread(&self.data.shape)),
            Home::Device(tensor) => Ok(HostTensor { shape: self.shape().clone(), values: tensor.read_async().await? }),
        }
    }

    /// The values that all of these have now, in one submission: what is submitted until the future is awaited changes nothing of
    /// them.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device was lost.
    #[cfg(feature = "keras")]
    pub(crate) fn reading_all(
        gpu: &Gpu,
        variables: &[&Self],
    ) -> Result<impl Future<Output = Result<Vec<HostTensor>>> + use<>> {
        let homes: Vec<(Shape, Home)> = variables.iter().map(|it| (it.shape().clone(), it.data.home())).collect();
        let on_device = homes.iter().filter_map(|(_, home)| match home {
            Home::Device(tensor) if !tensor.is_empty() => Some(tensor.binding()),
            _ => None,
        });
        let reading = gpu.reading_after(Commands::new(gpu), &on_device.collect::<Vec<_>>())?;
        Ok(async move {
            let mut read = reading.await?.into_iter();
            let values = homes.into_iter().map(|(shape, home)| match home {
                Home::Host(value) => Ok(HostTensor::clone(&value)),
                Home::Unread => Err(unread(&shape)),
                Home::Device(tensor) if tensor.is_empty() => Ok(HostTensor { shape, values: Vec::new() }),
                Home::Device(tensor) => {
                    Ok(HostTensor { shape, values: tensor.decode(&read.next().unwrap_or_default())? })
                }
            });
            values.collect()
        })
    }

    /// Puts `value` in the place of the values, rounded to what the variable is stored as. Everything submitted before still
    /// computes with the old ones. Layers that have the variable in common, as nodes of an ONNX graph may, all get the new ones.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another shape; [`Error::Gpu`] where the device was lost.
    pub fn assign(&self, value: &HostTensor) -> Result<()> {
        if value.shape != *self.shape() || value.shape.elements()? != value.values.len() as u64 {
            return Err(Error::invalid(
                "value",
                format!("variable `{}` must be given values of shape {}", self.name, self.shape()),
                format!("shape {} with {} values", value.shape, value.values.len()),
            ));
        }
        self.data.assign(value)
    }
}

impl Variable {
    /// Puts the values on the device, where they come with the first call that computes with them otherwise, and lets go of them
    /// on the host. On wgpu's backend that keeps nothing they stay on the host.
    ///
    /// # Errors
    /// [`Error::Limit`] and [`Error::Gpu`] where the device cannot hold them.
    pub fn upload(&self) -> Result<()> {
        let gpu = &self.data.gpu;
        if gpu.pretends() {
            return Ok(());
        }
        self.data.on_device()?;
        gpu.settle_uploads()
    }
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Variable({} {})", self.name, self.shape())
    }
}

/// What a variable holds; layers may have it in common.
pub(crate) struct Data {
    gpu: Gpu,
    shape: Shape,
    dtype: DType,
    /// The narrower format that its values are of.
    rounding: Option<Rounding>,
    content: Mutex<Content>,
}

struct Content {
    home: Home,
    /// How often the values have been replaced.
    version: u64,
}

/// Where the values are.
#[derive(Clone)]
enum Home {
    Host(Arc<HostTensor>),
    Device(Tensor),
    /// In a file, which was not read for them.
    #[cfg_attr(not(feature = "keras"), allow(dead_code, reason = "only Keras's files are read so"))]
    Unread,
}

impl Data {
    /// A variable of `policy` on `gpu` that begins as `value`; `None` where shaders cannot store such.
    pub(crate) fn new(gpu: &Gpu, policy: DTypePolicy, mut value: Arc<HostTensor>) -> Option<Arc<Self>> {
        let (dtype, rounding) = policy.variables()?;
        if let Some(round) = rounding_of(dtype, rounding) {
            Arc::make_mut(&mut value).values.iter_mut().for_each(|value| *value = round.round(*value));
        }
        let shape = value.shape.clone();
        let content = Mutex::new(Content { home: Home::Host(value), version: 0 });
        Some(Arc::new(Self { gpu: gpu.clone(), shape, dtype, rounding, content }))
    }

    /// A variable of `policy` on `gpu` whose values were not read; `None` where shaders cannot store such.
    #[cfg(feature = "keras")]
    pub(crate) fn unread(gpu: &Gpu, policy: DTypePolicy, shape: Shape) -> Option<Arc<Self>> {
        let (dtype, rounding) = policy.variables()?;
        let content = Mutex::new(Content { home: Home::Unread, version: 0 });
        Some(Arc::new(Self { gpu: gpu.clone(), shape, dtype, rounding, content }))
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What it is stored as.
    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn rounding(&self) -> Option<Rounding> {
        self.rounding
    }

    /// How often its values have been replaced.
    pub(crate) fn version(&self) -> u64 {
        self.content().version
    }

    /// Says that commands which are about to run replace the values on the device.
    pub(crate) fn replaced_on_device(&self) {
        self.content().version += 1;
    }

    /// The values on the device, where they are from now on.
    pub(crate) fn on_device(&self) -> Result<Tensor> {
        let mut content = self.content();
        match &content.home {
            Home::Device(tensor) => Ok(tensor.clone()),
            Home::Unread => Err(unread(&self.shape)),
            Home::Host(value) => {
                let tensor = Tensor::owned(&self.gpu, self.shape.clone(), self.dtype)?;
                self.write(&tensor, &value.values)?;
                content.home = Home::Device(tensor.clone());
                Ok(tensor)
            }
        }
    }

    fn assign(&self, value: &HostTensor) -> Result<()> {
        let mut content = self.content();
        match &content.home {
            Home::Device(tensor) => self.write(tensor, &value.values)?,
            Home::Host(_) | Home::Unread => {
                let mut value = value.clone();
                if let Some(round) = rounding_of(self.dtype, self.rounding) {
                    value.values.iter_mut().for_each(|value| *value = round.round(*value));
                }
                content.home = Home::Host(Arc::new(value));
            }
        }
        content.version += 1;
        Ok(())
    }

    fn write(&self, tensor: &Tensor, values: &[f32]) -> Result<()> {
        match (self.dtype, self.rounding) {
            (DType::F32, None) => tensor.write(bytemuck::cast_slice(values)),
            (DType::F32, Some(rounding)) => {
                let values: Vec<f32> = values.iter().map(|&value| rounding.round(value)).collect();
                tensor.write(bytemuck::cast_slice(&values))
            }
            (DType::F16, _) => {
                let values: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
                tensor.write(bytemuck::cast_slice(&values))
            }
        }
    }

    fn home(&self) -> Home {
        self.content().home.clone()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unread(shape: &Shape) -> Error {
    Error::unsupported(
        format!("the values of a weight of shape {shape}"),
        "the file was not read for them: load the model",
    )
}

/// The format that values stored so are rounded to.
fn rounding_of(dtype: DType, rounding: Option<Rounding>) -> Option<Rounding> {
    if dtype == DType::F16 { Some(Rounding::Float16) } else { rounding }
}
