//! Constants of operations: weights, tables, and what is computed from them before anything else runs (constant
//! folding).
//!
//! A step reads values, which differ from call to call, and constants, which do not. A constant is a `Kernel`. It knows
//! where its values come from, and a device holds it in the forms that plans ask for: as it is, packed in fours of
//! channels, transformed for Winograd, as f16, as a texture. Such a form is made once, by launches on the device, and
//! not for each call.
//!
//! A convolution with a batch normalization behind it reads one kernel, which is the product of the layer's kernel and
//! of γ/√(σ²+ε). That product is a [`Kernel`] as well: it says of what and how it is computed, and the device computes
//! it, when a call first reads it and again whenever one of the weights has been [assigned](crate::Variable::assign)
//! other values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::geometry::ConvGeometry;
use crate::gpu::{Bound, BufferBinding, Commands, Prepared, Recording, Resource, SharedTexels, Texels, allocated};
use crate::plan::{
    BinaryFunction, BinaryProblem, CastProblem, Elementwise, MapProblem, MoveProblem, Operand, Packing, PairSides,
    Plan, Problem, Texel,
};
use crate::strides::broadcast;
use crate::variable::Data;
use crate::{DType, Error, Gpu, Result, Rounding, Shape, Tensor};

/// In what numbers operations read a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Numbers {
    pub(crate) dtype: DType,
    /// The narrower format that they are rounded to.
    pub(crate) rounding: Option<Rounding>,
}

impl Numbers {
    pub(crate) const EXACT: Self = Self { dtype: DType::F32, rounding: None };
}

/// A constant that operations read. A device holds it in the forms that plans ask for.
pub(crate) struct Kernel {
    shape: Shape,
    numbers: Numbers,
    source: KernelValues,
    /// As plans have asked for it.
    forms: Mutex<HashMap<Form, Arc<Held>>>,
    /// This kernel turned around, as the backward pass reads it, by the move that does so: kept, with its forms, as long as this one.
    turned: Mutex<HashMap<MoveProblem, Arc<Self>>>,
}

/// What the values of a constant are.
enum KernelValues {
    /// Those of a weight.
    Variable(Arc<Data>),
    /// These, in f32.
    Table(Table),
    /// What a problem makes of one or two other constants, in f32.
    Made(Box<Problem>, Vec<Arc<Kernel>>),
    /// Nothing: only the shape is wanted, for planning.
    Planned,
}

impl KernelValues {
    /// The same values, for another constant; a table's have memory of their own there.
    fn again(&self) -> Self {
        match self {
            Self::Variable(data) => Self::Variable(data.clone()),
            Self::Table(Table { values, pooled, .. }) => {
                Self::Table(Table { values: values.clone(), pooled: *pooled, on_device: OnceLock::new() })
            }
            Self::Made(problem, reads) => Self::Made(problem.clone(), reads.clone()),
            Self::Planned => Self::Planned,
        }
    }
}

struct Table {
    values: Vec<f32>,
    /// Whether its memory comes from the pool and goes back there.
    pooled: bool,
    on_device: OnceLock<Tensor>,
}

/// What a plan asks of a constant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    numbers: Numbers,
    /// How it is packed, if it is.
    packing: Option<Packing>,
    /// Of what texels it is a texture, if it is one.
    texel: Option<Texel>,
}

impl Form {
    /// What other constants are computed from.
    pub(crate) const EXACT: Self = Self { numbers: Numbers::EXACT, packing: None, texel: None };

    /// That in which `plan` reads `kernel` as its `operand`.
    pub(super) fn of(plan: &Plan, operand: Operand, kernel: &Kernel) -> Self {
        let packing = if operand == Operand::Kernel { plan.packing.clone() } else { None };
        Self { numbers: kernel.numbers, packing, texel: plan.texel(operand) }
    }
}

/// A constant in one form on a device.
struct Held {
    resource: Resource,
    /// The version of the values that it was made of, and the commands that did.
    made: Mutex<Option<(u64, Recording)>>,
}

/// One step on the way from where a constant's values are to a form.
enum Link<'a> {
    Make(&'a Problem),
    Cast(CastProblem),
    Pack(Cow<'a, Packing>),
    Texels(Texel),
}

impl Link<'_> {
    /// The texels of the texture that it writes, where it does not write a buffer.
    fn texel(&self) -> Option<Texel> {
        match self {
            Self::Texels(texel) => Some(*texel),
            Self::Pack(packing) => packing.texel(),
            Self::Make(_) | Self::Cast(_) => None,
        }
    }
}

impl Kernel {
    /// A weight, read in these numbers.
    pub(crate) fn of_variable(data: Arc<Data>, numbers: Numbers) -> Arc<Self> {
        Self::new(data.shape().clone(), numbers, KernelValues::Variable(data))
    }

    /// Values that stay.
    pub(crate) fn of_values(shape: impl Into<Shape>, values: Vec<f32>, numbers: Numbers) -> Arc<Self> {
        let table = Table { values, pooled: false, on_device: OnceLock::new() };
        Self::new(shape.into(), numbers, KernelValues::Table(table))
    }

    /// A table in f32 that is made anew whenever its operation is: the next of its size takes over its memory.
    pub(crate) fn table(values: Vec<f32>) -> Arc<Self> {
        let shape = [values.len()].into();
        Self::new(
            shape,
            Numbers::EXACT,
            KernelValues::Table(Table { values, pooled: true, on_device: OnceLock::new() }),
        )
    }

    /// A constant that is never read: for planning without a device.
    pub(crate) fn planned(shape: Shape, numbers: Numbers) -> Arc<Self> {
        Self::new(shape, numbers, KernelValues::Planned)
    }

    /// `activation(function(left, right))`, broadcast as NumPy does, read in the numbers of `left`.
    pub(crate) fn binary(
        function: BinaryFunction,
        left: &Arc<Self>,
        right: &Arc<Self>,
        activation: Elementwise,
    ) -> Result<Arc<Self>> {
        let (of_left, of_right) = (left.shape.dims(), right.shape.dims());
        let shape = broadcast(of_left, of_right).unwrap_or_default();
        let problem = BinaryProblem::new(function, of_left, of_right, PairSides::InputOther, DType::F32)?;
        let problem = Problem::Binary(BinaryProblem { activation, ..problem });
        Ok(Self::new(
            shape.into(),
            left.numbers,
            KernelValues::Made(Box::new(problem), vec![left.clone(), right.clone()]),
        ))
    }

    /// The values times `scale`, of which `run` neighbours share one: those follow one another and begin again after the last.
    pub(crate) fn scaled(self: &Arc<Self>, scale: &Arc<Self>, run: usize) -> Result<Arc<Self>> {
        let elements = |shape: &Shape| shape.dims().iter().product::<usize>();
        let problem = scaling(elements(&self.shape), elements(&scale.shape), run)?;
        let source = KernelValues::Made(Box::new(Problem::Binary(problem)), vec![self.clone(), scale.clone()]);
        Ok(Self::new(self.shape.clone(), self.numbers, source))
    }

    /// The values with their axes in another order: axis `i` is axis `order[i]` of this one.
    pub(crate) fn permuted(self: &Arc<Self>, order: &[usize]) -> Result<Arc<Self>> {
        if order.is_sorted() {
            return Ok(self.clone());
        }
        let dims = self.shape.dims();
        let shape: Vec<usize> = order.iter().map(|&axis| dims[axis]).collect();
        Ok(self.moved(super::movement::permutation(dims, order, DType::F32)?, shape))
    }

    /// A convolution's kernel with its taps in the other order, and what it reads and what it writes exchanged: the same one as
    /// long as there is this one.
    pub(crate) fn turned(&self, geometry: &ConvGeometry) -> Result<Arc<Self>> {
        let problem = super::movement::turned(geometry, DType::F32)?;
        let mut turned = self.turned.lock().unwrap_or_else(PoisonError::into_inner);
        let turned = turned.entry(problem).or_insert_with(|| {
            // It must not hold the one that holds it.
            let own = Self::new(self.shape.clone(), self.numbers, self.source.again());
            own.moved(problem, self.shape.clone())
        });
        Ok(turned.clone())
    }

    /// One of the positions of the first axis, without it.
    pub(crate) fn row(self: &Arc<Self>, row: usize) -> Result<Arc<Self>> {
        let dims = self.shape.dims();
        Ok(self.moved(super::movement::row(dims, row, DType::F32)?, &dims[1..]))
    }

    /// What `problem` makes of the values, of another shape.
    fn moved(self: &Arc<Self>, problem: MoveProblem, shape: impl Into<Shape>) -> Arc<Self> {
        let source = KernelValues::Made(Box::new(Problem::Move(problem)), vec![self.clone()]);
        Self::new(shape.into(), self.numbers, source)
    }

    /// The same values under another shape.
    pub(crate) fn reshaped(self: &Arc<Self>, shape: impl Into<Shape>) -> Arc<Self> {
        let shape = shape.into();
        if shape == self.shape {
            return self.clone();
        }
        Self::new(shape, self.numbers, self.source.again())
    }

    /// `function` of each value.
    pub(crate) fn map(self: &Arc<Self>, function: Elementwise) -> Arc<Self> {
        let elements = self.shape.dims().iter().product::<usize>() as u32;
        let problem = Problem::Map(MapProblem { elements, dtype: DType::F32, activation: function });
        let source = KernelValues::Made(Box::new(problem), vec![self.clone()]);
        Self::new(self.shape.clone(), self.numbers, source)
    }

    fn new(shape: Shape, numbers: Numbers, source: KernelValues) -> Arc<Self> {
        Arc::new(Self { shape, numbers, source, forms: Mutex::default(), turned: Mutex::default() })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// In what type it is read.
    pub(crate) fn dtype(&self) -> DType {
        self.numbers.dtype
    }

    /// The weight whose values these are, if they are one's.
    pub(crate) fn variable(&self) -> Option<&Arc<Data>> {
        match &self.source {
            KernelValues::Variable(data) => Some(data),
            _ => None,
        }
    }

    /// What it is computed from, and how, if it is.
    pub(crate) fn made(&self) -> Option<(&Problem, &[Arc<Self>])> {
        match &self.source {
            KernelValues::Made(problem, reads) => Some((problem, reads)),
            _ => None,
        }
    }

    /// The values of a table, which are on the host.
    pub(crate) fn values(&self) -> Option<&[f32]> {
        match &self.source {
            KernelValues::Table(table) => Some(&table.values),
            _ => None,
        }
    }

    /// The same values in f32, as other constants are computed from them.
    pub(crate) fn exact(self: &Arc<Self>) -> Arc<Self> {
        if self.numbers == Numbers::EXACT {
            return self.clone();
        }
        Self::new(self.shape.clone(), Numbers::EXACT, self.source.again())
    }

    fn elements(&self) -> u64 {
        self.shape.dims().iter().map(|&dim| dim as u64).product()
    }

    /// How often the values that it is made of have been replaced.
    fn version(&self) -> u64 {
        match &self.source {
            KernelValues::Variable(data) => data.version(),
            KernelValues::Made(_, reads) => reads.iter().map(|read| read.version()).sum(),
            KernelValues::Table(_) | KernelValues::Planned => 0,
        }
    }

    /// The way to `form`, each link with the bytes of what it writes; none where the values are in that form as they are.
    fn links<'a>(&'a self, form: &'a Form) -> Vec<(Link<'a>, u64)> {
        let elements = self.elements();
        let mut links = Vec::new();
        let scaled = form.packing.as_ref().filter(|_| form.numbers == Numbers::EXACT && self.is_scaled());
        let scaled = scaled.and_then(Packing::scaled);
        let mut numbers = match &self.source {
            KernelValues::Made(..) if scaled.is_some() => Numbers::EXACT,
            KernelValues::Variable(data) => Numbers { dtype: data.dtype(), rounding: data.rounding() },
            KernelValues::Table(_) | KernelValues::Planned => Numbers::EXACT,
            KernelValues::Made(problem, _) => {
                links.push((Link::Make(problem), elements * DType::F32.size() as u64));
                Numbers::EXACT
            }
        };
        let rounds = form.numbers.rounding.is_some() && form.numbers.rounding != numbers.rounding;
        if numbers.dtype != form.numbers.dtype || rounds {
            let Numbers { dtype: to, rounding } = form.numbers;
            let cast = CastProblem { elements: elements as u32, from: numbers.dtype, to, rounding };
            links.push((Link::Cast(cast), elements * to.size() as u64));
            numbers = form.numbers;
        }
        let mut bytes = elements * numbers.dtype.size() as u64;
        if let Some(packing) = scaled.map(Cow::Owned).or(form.packing.as_ref().map(Cow::Borrowed)) {
            bytes = packing.elements * packing.dtype.size() as u64;
            links.push((Link::Pack(packing), bytes));
        }
        let is_texture = links.last().is_some_and(|(link, _)| link.texel().is_some());
        if let Some(texel) = form.texel.filter(|_| !is_texture) {
            links.push((Link::Texels(texel), bytes));
        }
        links
    }

    /// Whether it is another constant, of which each output channel is multiplied by a number of its own.
    fn is_scaled(&self) -> bool {
        let KernelValues::Made(problem, _) = &self.source else { return false };
        let channels = self.shape.dims().last().copied().unwrap_or(0);
        scaling(self.elements() as usize, channels, 1).is_ok_and(|scaling| **problem == Problem::Binary(scaling))
    }

    /// How `form` is packed, if it is.
    pub(crate) fn packing(&self, form: &Form) -> Option<Packing> {
        self.links(form).into_iter().find_map(|(link, _)| match link {
            Link::Pack(packing) => Some(packing.into_owned()),
            _ => None,
        })
    }

    /// Bytes of a device, by what takes them: the form, the weights that it is made of, and what is computed on the way and kept.
    pub(crate) fn bytes(self: &Arc<Self>, form: &Form, into: &mut Bytes) {
        match &self.source {
            KernelValues::Variable(data) => {
                let bytes = self.elements() * data.dtype().size() as u64;
                into.kept.insert((Arc::as_ptr(data).addr(), None), allocated(bytes));
            }
            KernelValues::Table(_) => {
                let bytes = self.elements() * DType::F32.size() as u64;
                into.kept.insert((Arc::as_ptr(self).addr(), None), allocated(bytes));
            }
            KernelValues::Made(_, reads) => reads.iter().for_each(|read| read.bytes(&Form::EXACT, into)),
            KernelValues::Planned => {}
        }
        let mut links = self.links(form);
        if let Some((link, bytes)) = links.pop() {
            let bytes = link.texel().map_or(allocated(bytes), |texel| texel.allocated(bytes));
            into.kept.insert((Arc::as_ptr(self).addr(), Some(form.clone())), bytes);
        }
        for (index, (_, bytes)) in links.iter().enumerate() {
            into.passing.resize(into.passing.len().max(index + 1), 0);
            into.passing[index] = into.passing[index].max(*bytes);
        }
    }

    /// The plans of the launches that make `form`, but for its packing.
    pub(crate) fn plans(self: &Arc<Self>, gpu: &Gpu, form: &Form) -> Result<Vec<Arc<Plan>>> {
        let mut plans = Vec::new();
        if let KernelValues::Made(_, reads) = &self.source {
            for read in reads {
                plans.extend(read.plans(gpu, &Form::EXACT)?);
            }
        }
        for (link, _) in self.links(form) {
            match link {
                Link::Make(problem) => plans.push(gpu.plan(problem)?),
                Link::Cast(cast) => plans.push(gpu.plan(&Problem::Cast(cast))?),
                Link::Pack(_) | Link::Texels(_) => {}
            }
        }
        Ok(plans)
    }

    /// Where `form` is on `gpu`, to be bound; [`refill`](Self::refill) gives it its values.
    pub(crate) fn on(&self, gpu: &Gpu, form: &Form) -> Result<Resource> {
        match self.links(form).last() {
            None => Ok(Resource::Buffer(self.values_on(gpu)?)),
            Some((link, bytes)) => Ok(self.held(gpu, form, link, *bytes)?.resource.clone()),
        }
    }

    /// Where the values are as other constants are computed from them.
    fn exact_on(&self, gpu: &Gpu) -> Result<BufferBinding> {
        match self.on(gpu, &Form::EXACT)? {
            Resource::Buffer(buffer) => Ok(buffer),
            Resource::Texels(_) => Err(Error::gpu("constants", "a texture where a buffer is read")),
        }
    }

    fn held(&self, gpu: &Gpu, form: &Form, last: &Link<'_>, bytes: u64) -> Result<Arc<Held>> {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = forms.get(form) {
            return Ok(held.clone());
        }
        let resource = match last.texel() {
            Some(texel) => Resource::Texels(gpu.texels(texel, bytes, self.is_pooled())?),
            None => Resource::Buffer(gpu.memory(bytes)?),
        };
        let held = Arc::new(Held { resource, made: Mutex::default() });
        forms.insert(form.clone(), held.clone());
        Ok(held)
    }

    fn is_pooled(&self) -> bool {
        matches!(&self.source, KernelValues::Table(table) if table.pooled)
    }

    /// The values of a weight or a table, on the device.
    fn values_on(&self, gpu: &Gpu) -> Result<BufferBinding> {
        match &self.source {
            KernelValues::Variable(data) => Ok(data.on_device()?.binding()),
            KernelValues::Table(table) => {
                if let Some(tensor) = table.on_device.get() {
                    return Ok(tensor.binding());
                }
                let make = if table.pooled { Tensor::uninitialized } else { Tensor::owned };
                let tensor = make(gpu, self.shape.clone(), DType::F32)?;
                tensor.write(bytemuck::cast_slice(&table.values))?;
                Ok(table.on_device.get_or_init(|| tensor).binding())
            }
            KernelValues::Made(..) | KernelValues::Planned => {
                Err(Error::gpu("constants", "what is computed has no values of its own"))
            }
        }
    }

    /// Adds to `refills` what gives `form` its values, behind what it is made of; nothing where it is there already.
    /// `passing` has the memory for what is computed on the way.
    pub(crate) fn refill(
        self: &Arc<Self>,
        gpu: &Gpu,
        form: &Form,
        passing: &mut Passing,
        refills: &mut Vec<Refill>,
    ) -> Result<()> {
        let links = self.links(form);
        let Some((last, bytes)) = links.last() else { return Ok(()) };
        let known = |refill: &Refill| Arc::ptr_eq(&refill.kernel, self) && refill.form == *form;
        if refills.iter().any(known) {
            return Ok(());
        }
        if let KernelValues::Made(_, reads) = &self.source {
            reads.iter().try_for_each(|read| read.refill(gpu, &Form::EXACT, passing, refills))?;
        }
        let held = self.held(gpu, form, last, *bytes)?;
        let mut launches = Vec::with_capacity(links.len());
        let mut read = match &self.source {
            KernelValues::Made(_, reads) => reads.iter().map(|read| read.exact_on(gpu)).collect::<Result<Vec<_>>>()?,
            _ => vec![self.values_on(gpu)?],
        };
        for (index, (link, bytes)) in links.iter().enumerate() {
            let plan;
            let (name, steps) = match link {
                Link::Make(problem) => {
                    plan = gpu.plan(problem)?;
                    (plan.name(), &plan.steps[..])
                }
                Link::Cast(cast) => {
                    plan = gpu.plan(&Problem::Cast(*cast))?;
                    (plan.name(), &plan.steps[..])
                }
                Link::Pack(packing) => ("pack".to_owned(), std::slice::from_ref(&packing.step)),
                Link::Texels(_) => ("texels".to_owned(), &[][..]),
            };
            let to = if index + 1 == links.len() {
                held.resource.clone()
            } else {
                Resource::Buffer(passing.memory(gpu, index, *bytes)?)
            };
            if let (Link::Texels(_), Resource::Texels(texels)) = (link, &to) {
                launches.push(Filling::Copy(read[0].clone(), texels.clone()));
            }
            let mut bound = Bound::default();
            for (operand, buffer) in [Operand::Input, Operand::Other].into_iter().zip(read) {
                bound.bind(operand, Resource::Buffer(buffer));
            }
            bound.bind(Operand::Output, to.clone());
            for step in steps {
                launches.push(Filling::Launch(gpu.prepare(&name, step, &bound, &[], &mut passing.texels)?));
            }
            // A texture is the last link's.
            let Resource::Buffer(written) = to else { break };
            read = vec![written];
        }
        refills.push(Refill { kernel: self.clone(), form: form.clone(), held, launches });
        Ok(())
    }
}

/// The product of `elements` values and `scales` numbers, of each of which `run` neighbours have a share.
fn scaling(elements: usize, scales: usize, run: usize) -> Result<BinaryProblem> {
    let runs = elements.checked_div(scales * run).unwrap_or(0);
    let sides = PairSides::InputOther;
    BinaryProblem::new(BinaryFunction::Multiply, &[runs, scales, run], &[scales, 1], sides, DType::F32)
}

/// Bytes that constants take on a device.
#[derive(Default)]
pub(crate) struct Bytes {
    kept: HashMap<(usize, Option<Form>), u64>,
    /// Of what is computed on the way to a form, which all forms take turns with.
    passing: Vec<u64>,
}

impl Bytes {
    pub(crate) fn total(&self) -> u64 {
        let passing = self.passing.iter().map(|&bytes| allocated(bytes));
        self.kept.values().copied().chain(passing).sum()
    }
}

/// Memory for what is computed on the way to a form. One after the other has it.
#[derive(Default)]
pub(crate) struct Passing {
    buffers: Vec<BufferBinding>,
    texels: SharedTexels,
}

impl Passing {
    /// With room for all that `bytes` counts.
    pub(crate) fn new(gpu: &Gpu, bytes: &Bytes) -> Result<Self> {
        let buffers = bytes.passing.iter().map(|&bytes| gpu.memory(bytes)).collect::<Result<_>>()?;
        Ok(Self { buffers, texels: SharedTexels::default() })
    }

    /// Memory of `bytes` for what link `index` writes.
    fn memory(&mut self, gpu: &Gpu, index: usize, bytes: u64) -> Result<BufferBinding> {
        if self.buffers.get(index).is_none_or(|buffer| buffer.size < bytes) {
            let buffer = BufferBinding { storage: gpu.storage(bytes)?, offset: 0, size: bytes };
            self.buffers.truncate(index);
            self.buffers.push(buffer);
        }
        Ok(self.buffers[index].clone().sized(bytes))
    }
}

/// What gives a form of a constant its values, to be recorded whenever they have changed.
pub(crate) struct Refill {
    kernel: Arc<Kernel>,
    form: Form,
    held: Arc<Held>,
    launches: Vec<Filling>,
}

enum Filling {
    Launch(Prepared),
    Copy(BufferBinding, Arc<Texels>),
}

impl Refill {
    /// Records it, unless the form has the present values.
    pub(crate) fn record(&self, commands: &mut Commands) -> Result<()> {
        let version = self.kernel.version();
        let mut made = self.held.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.as_ref().is_some_and(|(of, by)| *of == version && by.is_done_for(Some(commands))) {
            return Ok(());
        }
        for launch in &self.launches {
            match launch {
                Filling::Launch(prepared) => commands.replay("constants", std::slice::from_ref(prepared))?,
                Filling::Copy(from, to) => commands.fill(from, to)?,
            }
        }
        *made = Some((version, commands.recording().clone()));
        Ok(())
    }
}
