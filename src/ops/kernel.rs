//! Constants of operations: weights, and tables made from them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use half::f16;

use crate::gpu::{Bound, BufferBinding, Commands, Constant, allocated};
use crate::plan::{Operand, Packing, Plan, Texel};
use crate::{DType, Gpu, HostTensor, Result, Rounding, Shape, Tensor};

/// A constant that operations read, on the host; a device gets it in the form that a plan asks for, when one first does.
pub(crate) struct Kernel {
    /// Without values where only planning is wanted. In common with the layer's weight that it is, and with other layers'.
    value: Arc<HostTensor>,
    dtype: DType,
    rounding: Option<Rounding>,
    /// Whether its memory comes from the pool and goes back there.
    pooled: bool,
    /// As it is, and as plans have asked for it.
    forms: Mutex<HashMap<Form, Constant>>,
}

/// What a plan asks of a constant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// How it is packed, if it is.
    packing: Option<Packing>,
    /// Of what texels it is a texture, if it is one.
    texel: Option<Texel>,
}

impl Form {
    /// That in which `plan` reads `operand`.
    pub(crate) fn of(plan: &Plan, operand: Operand) -> Self {
        let packing = if operand == Operand::Kernel { plan.packing.clone() } else { None };
        Self { packing, texel: plan.texel(operand) }
    }
}

impl Kernel {
    /// `value`, stored as `dtype`, rounded to a narrower format on the way where `rounding` asks for it.
    pub(crate) fn new(value: impl Into<Arc<HostTensor>>, dtype: DType, rounding: Option<Rounding>) -> Arc<Self> {
        Arc::new(Self { value: value.into(), dtype, rounding, pooled: false, forms: Mutex::default() })
    }

    /// A table in f32 that is made anew whenever its operation is: the next of its size takes over its memory.
    pub(crate) fn table(values: Vec<f32>) -> Arc<Self> {
        let value = Arc::new(HostTensor { shape: [values.len()].into(), values });
        Arc::new(Self { value, dtype: DType::F32, rounding: None, pooled: true, forms: Mutex::default() })
    }

    /// Where its values stand on the host: kernels of one tensor have one place.
    #[cfg(feature = "onnx")]
    pub(crate) fn place(&self) -> usize {
        Arc::as_ptr(&self.value).addr()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.value.shape
    }

    /// The values, before any rounding.
    pub(crate) fn values(&self) -> &[f32] {
        &self.value.values
    }

    pub(crate) fn dtype(&self) -> DType {
        self.dtype
    }

    pub(crate) fn rounding(&self) -> Option<Rounding> {
        self.rounding
    }

    /// Bytes that `form` takes on a device.
    pub(crate) fn bytes(&self, form: &Form) -> Result<u64> {
        let elements = match &form.packing {
            Some(packing) => packing.elements,
            None => self.shape().elements()?,
        };
        let bytes = elements * self.dtype.size() as u64;
        Ok(form.texel.map_or_else(|| allocated(bytes), |texel| texel.allocated(bytes)))
    }

    /// The kernel on `gpu` in a form, made now if it is the first time.
    pub(crate) fn on(&self, gpu: &Gpu, form: &Form) -> Result<Constant> {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(constant) = forms.get(form) {
            return Ok(constant.clone());
        }
        let plain = match forms.get(&Form::default()) {
            Some(Constant::Buffer(plain)) => plain.clone(),
            _ => self.upload(gpu)?.binding(),
        };
        let packed = match &form.packing {
            None => plain,
            Some(packing) => self.packed(gpu, packing, &plain)?,
        };
        let constant = match form.texel {
            None => Constant::Buffer(packed),
            Some(texel) => gpu.texels_of(&packed, texel, self.pooled)?,
        };
        forms.insert(form.clone(), constant.clone());
        Ok(constant)
    }

    fn packed(&self, gpu: &Gpu, packing: &Packing, plain: &BufferBinding) -> Result<BufferBinding> {
        let output = owned(gpu, [packing.elements as usize].into(), self.dtype)?.binding();
        let mut commands = Commands::new(gpu);
        commands.dispatch("pack", &packing.step, &Bound::new(plain, &output), &[])?;
        commands.submit()?;
        Ok(output)
    }

    fn upload(&self, gpu: &Gpu) -> Result<Tensor> {
        let rounded = |value: &f32| self.rounding.map_or(*value, |rounding| rounding.round(*value));
        let tensor = if self.pooled {
            Tensor::uninitialized(gpu, self.shape().clone(), self.dtype)?
        } else {
            owned(gpu, self.shape().clone(), self.dtype)?
        };
        match self.dtype {
            DType::F32 if self.rounding.is_none() => tensor.write(bytemuck::cast_slice(self.values()))?,
            DType::F32 => tensor.write(bytemuck::cast_slice(&self.values().iter().map(rounded).collect::<Vec<_>>()))?,
            DType::F16 => {
                let values: Vec<f16> = self.values().iter().map(|&value| f16::from_f32(value)).collect();
                tensor.write(bytemuck::cast_slice(&values))?;
            }
        }
        Ok(tensor)
    }
}

/// A tensor whose memory no pool keeps: it lives as long as the layer, and the next is of another size.
fn owned(gpu: &Gpu, shape: Shape, dtype: DType) -> Result<Tensor> {
    let bytes = shape.elements()? * dtype.size() as u64;
    Ok(Tensor::within(gpu, &gpu.memory(bytes)?, shape, dtype))
}
