//! Built layers: a description with its weights on a device.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::describe::Declared;
use super::{Constraint, LayerConfig, Regularizer};
use crate::geometry::axis_index;
use crate::ops::{self, Kernel, Numbers, Tape, Value, rewrite};
use crate::plan::{ConvProblem, Problem};
use crate::tensor::{check_call, require};
use crate::variable::{Data, Variable};
use crate::{Commands, DTypePolicy, Error, Gpu, HostTensor, PartialShape, Result, Shape, Tensor};

/// A layer built on a device: its description, its name and its weights.
///
/// ```no_run
/// use wgpu_conv::{Gpu, Padding, Tensor, layers::Conv2D};
///
/// let gpu = Gpu::new()?;
/// let conv = Conv2D::new(8, 3).padding(Padding::Same).build(&gpu, [None, None, None, Some(3)])?;
/// let output = conv.call(&Tensor::from_slice(&gpu, [1, 5, 7, 3], &[0.5f32; 105])?)?;
/// assert_eq!(output.shape().dims(), [1, 5, 7, 8]);
/// assert_eq!(conv.count_params(), 3 * 3 * 3 * 8 + 8);
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub struct Layer {
    gpu: Gpu,
    config: LayerConfig,
    name: String,
    /// The axes of the first input that it was built for, and their extents.
    fixed: Vec<(i32, usize)>,
    numbers: Numbers,
    weights: Vec<Variable>,
    /// What training holds each weight to.
    rules: Vec<WeightRules>,
    /// The weights as operations read them.
    kernels: Vec<Arc<Kernel>>,
    /// What the forward pass reads, made of the weights.
    operands: Vec<Arc<Kernel>>,
    /// The number of the next call in training.
    pub(super) training_step: AtomicU64,
}

/// Weights that layers may have in common, by the tensor that they begin as: a device gets each once.
#[derive(Default)]
pub(crate) struct SharedWeights {
    variables: HashMap<(usize, DTypePolicy), (Arc<HostTensor>, Arc<Data>)>,
    kernels: HashMap<(usize, Numbers), Arc<Kernel>>,
}

impl SharedWeights {
    fn variable(&mut self, gpu: &Gpu, policy: DTypePolicy, value: Arc<HostTensor>) -> Result<Arc<Data>> {
        let place = (Arc::as_ptr(&value).addr(), policy);
        if let Some((_, data)) = self.variables.get(&place) {
            return Ok(data.clone());
        }
        let data = Data::new(gpu, policy, value.clone()).ok_or_else(float64_unsupported)?;
        self.variables.insert(place, (value, data.clone()));
        Ok(data)
    }

    fn kernel(&mut self, data: &Arc<Data>, numbers: Numbers) -> Arc<Kernel> {
        let place = (Arc::as_ptr(data).addr(), numbers);
        self.kernels.entry(place).or_insert_with(|| Kernel::of_variable(data.clone(), numbers)).clone()
    }
}

/// What training holds a weight to.
pub(crate) struct WeightRules {
    /// A penalty on it, added to the loss.
    pub(crate) regularizer: Option<Regularizer>,
    /// A projection after every update.
    pub(crate) constraint: Option<Constraint>,
}

/// A layer that fits its inputs, before it has weights.
struct Blueprint {
    config: LayerConfig,
    name: String,
    fixed: Vec<(i32, usize)>,
    numbers: Numbers,
    weights: Vec<Declared>,
}

impl Blueprint {
    fn new(gpu: &Gpu, config: LayerConfig, inputs: &[PartialShape]) -> Result<Self> {
        config.output_shape_all(inputs)?;
        let numbers = config.numbers()?;
        require(gpu, numbers.dtype)?;
        let fixed = config.fixed_extents(inputs);
        let name = config.common().name.clone().unwrap_or_else(|| unique_name(config.class_name()));
        let weights = config.describe().weights(inputs)?;
        Ok(Self { config, name, fixed, numbers, weights })
    }

    /// The layer with these values for weights.
    ///
    /// # Errors
    /// [`Error::Invalid`] where they are not of the weights' number and shapes.
    fn built(self, gpu: &Gpu, values: Vec<Arc<HostTensor>>, shared: &mut SharedWeights) -> Result<Layer> {
        check_weights(self.weights.iter().map(|weight| (weight.name, &weight.shape)), &values)?;
        let dtype = self.config.common().dtype;
        let data = values.into_iter().map(|value| shared.variable(gpu, dtype, value)).collect::<Result<_>>()?;
        self.of(gpu, data, shared)
    }

    /// The layer with a weight for each that it has.
    fn of(self, gpu: &Gpu, data: Vec<Arc<Data>>, shared: &mut SharedWeights) -> Result<Layer> {
        let Self { config, name, fixed, numbers, weights: declared } = self;
        let (mut weights, mut kernels) = (Vec::new(), Vec::new());
        let mut rules = Vec::with_capacity(declared.len());
        for (Declared { name, trainable, regularizer, constraint, .. }, data) in declared.into_iter().zip(data) {
            kernels.push(shared.kernel(&data, numbers));
            weights.push(Variable::new(name, trainable, data));
            rules.push(WeightRules { regularizer, constraint });
        }
        let operands = config.describe().operands(kernels.clone(), numbers)?;
        let training_step = AtomicU64::new(0);
        Ok(Layer { gpu: gpu.clone(), config, name, fixed, numbers, weights, rules, kernels, operands, training_step })
    }
}

impl Layer {
    pub(super) fn new(gpu: &Gpu, config: LayerConfig, inputs: &[PartialShape]) -> Result<Self> {
        let layer = Blueprint::new(gpu, config, inputs)?;
        for weight in &layer.weights {
            let bytes = weight.shape.elements()?.saturating_mul(layer.numbers.dtype.size() as u64);
            if bytes > gpu.caps().max_buffer {
                return Err(Error::limit("bytes of one buffer", bytes, gpu.caps().max_buffer));
            }
        }
        let value = |weight: &Declared| {
            let values = weight.initializer.values(&weight.shape, layer.numbers.dtype)?;
            Ok(Arc::new(HostTensor { shape: weight.shape.clone(), values }))
        };
        let values = layer.weights.iter().map(value).collect::<Result<_>>()?;
        layer.built(gpu, values, &mut SharedWeights::default())
    }

    /// The layer with `values` for weights, in Keras's order, in place of initial ones. Their number and shapes are checked
    /// before anything of their size is made, so a forged config cannot ask for more than was given.
    ///
    /// # Errors
    /// Those of [`LayerConfig::build`] and [`set_weights`](Self::set_weights).
    pub fn with_weights(
        gpu: &Gpu,
        config: impl Into<LayerConfig>,
        inputs: &[PartialShape],
        values: Vec<HostTensor>,
    ) -> Result<Self> {
        let values = values.into_iter().map(Arc::new).collect();
        Self::with_shared(gpu, config, inputs, values, &mut SharedWeights::default())
    }

    /// [`with_weights`](Self::with_weights), with weights that other layers may have in common with it.
    pub(crate) fn with_shared(
        gpu: &Gpu,
        config: impl Into<LayerConfig>,
        inputs: &[PartialShape],
        values: Vec<Arc<HostTensor>>,
        shared: &mut SharedWeights,
    ) -> Result<Self> {
        Blueprint::new(gpu, config.into(), inputs)?.built(gpu, values, shared)
    }

    /// The layer without the values of its weights, which nothing can be computed with before it is given some.
    #[cfg(feature = "keras")]
    pub(crate) fn without_values(gpu: &Gpu, config: LayerConfig, inputs: &[PartialShape]) -> Result<Self> {
        let layer = Blueprint::new(gpu, config, inputs)?;
        let dtype = layer.config.common().dtype;
        let data = |weight: &Declared| Data::unread(gpu, dtype, weight.shape.clone()).ok_or_else(float64_unsupported);
        let data = layer.weights.iter().map(data).collect::<Result<_>>()?;
        layer.of(gpu, data, &mut SharedWeights::default())
    }

    /// Puts the weights on the device now: see [`Variable::upload`].
    ///
    /// # Errors
    /// Those of [`Variable::upload`].
    pub fn upload(&self) -> Result<()> {
        self.weights.iter().try_for_each(Variable::upload)
    }

    /// Lets training change the weights, or not, of a layer built for `inputs`.
    pub(crate) fn set_trainable(&mut self, trainable: bool, inputs: &[PartialShape]) -> Result<()> {
        let config = self.config.clone().trainable(trainable);
        let declared = config.describe().weights(inputs)?;
        let weights = declared.iter().zip(&self.weights);
        self.weights = weights
            .map(|(declared, weight)| Variable::new(declared.name, declared.trainable, weight.data().clone()))
            .collect();
        self.config = config;
        Ok(())
    }

    /// Gives the weights of a layer built for `inputs` first values, by its initializers.
    pub(crate) fn initialize(&self, inputs: &[PartialShape]) -> Result<()> {
        let fresh = Self::new(&self.gpu, self.config.clone(), inputs)?;
        self.weights.iter().zip(&fresh.weights).try_for_each(|(weight, first)| weight.assign(&first.read()?))
    }

    /// The description it was built from.
    pub fn config(&self) -> &LayerConfig {
        &self.config
    }

    /// The name given, or the class name in snake case with a counter.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The device it was built on.
    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    /// What training holds each weight to, in order.
    pub(crate) fn weight_rules(&self) -> &[WeightRules] {
        &self.rules
    }

    /// The penalty on what the layer gives, divided by the size of the batch.
    pub(crate) fn activity_regularizer(&self) -> Option<Regularizer> {
        self.config.describe().activity_regularizer()
    }

    /// The weights, in Keras's order.
    pub fn weights(&self) -> &[Variable] {
        &self.weights
    }

    /// The number of weight elements.
    pub fn count_params(&self) -> u64 {
        let elements = |weight: &Variable| weight.shape().dims().iter().map(|&dim| dim as u64).product::<u64>();
        self.weights.iter().map(elements).sum()
    }

    /// The values of all weights, in Keras's order. Blocks until the device has given them.
    ///
    /// # Errors
    /// Those of [`Variable::read`].
    pub fn get_weights(&self) -> Result<Vec<HostTensor>> {
        self.weights.iter().map(Variable::read).collect()
    }

    /// Replaces the values of all weights, given in Keras's order: see [`Variable::assign`]. Models that are compiled with the
    /// layer stay so.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the number or a shape differs, naming the expected and the received; the layer is
    /// unchanged then. [`Error::Gpu`] where the device was lost.
    pub fn set_weights(&self, values: &[HostTensor]) -> Result<()> {
        check_weights(self.weights.iter().map(|weight| (weight.name(), weight.shape())), values)?;
        self.weights.iter().zip(values).try_for_each(|(weight, value)| weight.assign(value))
    }

    /// The output shape for `input`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a [call](Self::call) would refuse the shape.
    pub fn output_shape(&self, input: impl Into<PartialShape>) -> Result<PartialShape> {
        self.output_shape_all(&[input.into()])
    }

    /// The output shape for several inputs: see [`output_shape`](Self::output_shape).
    ///
    /// # Errors
    /// [`Error::Invalid`] where a [call](Self::call_all) would refuse the shapes.
    pub fn output_shape_all(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        if let Some(input) = inputs.first() {
            self.check_fixed(input)?;
        }
        self.config.output_shape_all(inputs)
    }

    /// The layer's output for `input`, in one submission. It is there when the device gets to it:
    /// [`Tensor::read`] waits for it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a shape or type the layer cannot take, [`Error::Limit`] and [`Error::Gpu`] where the device
    /// cannot compute it.
    pub fn call(&self, input: &Tensor) -> Result<Tensor> {
        self.call_all(std::slice::from_ref(input))
    }

    /// The output of a layer that takes several tensors: see [`call`](Self::call).
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn call_all(&self, inputs: &[Tensor]) -> Result<Tensor> {
        let mut commands = Commands::new(&self.gpu);
        let output = self.record_all(&mut commands, inputs)?;
        commands.submit()?;
        Ok(output)
    }

    /// Adds the layer to `commands`; the tensor returned has its values once they are submitted.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn record(&self, commands: &mut Commands, input: &Tensor) -> Result<Tensor> {
        self.record_all(commands, std::slice::from_ref(input))
    }

    /// [`record`](Self::record) for a layer that takes several tensors.
    ///
    /// # Errors
    /// Those of [`call`](Self::call).
    pub fn record_all(&self, commands: &mut Commands, inputs: &[Tensor]) -> Result<Tensor> {
        let (tape, _, output) = self.on_tape(commands, inputs, false)?;
        Ok(tape.record(commands, inputs, &[output])?.swap_remove(0))
    }

    /// Sets the number of the next call in training, by which layers draw at random: equal numbers, equal draws. It begins at 0,
    /// and each [`call_in_training`](Self::call_in_training) or call of [`gradients`](Self::gradients) in training takes one.
    pub fn set_training_step(&self, step: u64) {
        self.training_step.store(step, Ordering::Relaxed);
    }

    /// A tape with the layer alone, called with `inputs`: the tape, the values of the inputs, and that of the output. In
    /// training the tape has one more input, the number of the step.
    pub(super) fn on_tape(
        &self,
        commands: &Commands,
        inputs: &[Tensor],
        training: bool,
    ) -> Result<(Tape, Vec<Value>, Value)> {
        check_call("a layer", &self.gpu, commands, inputs)?;
        let mut tape = Tape::default();
        tape.place = self.name.as_str().into();
        let values =
            inputs.iter().map(|input| tape.input(input.shape().clone(), input.dtype())).collect::<Result<Vec<_>>>()?;
        if training {
            tape.train()?;
        }
        let output = self.lower(&mut tape, &values)?;
        Ok((tape, values, output))
    }

    /// Writes the layer's operations on `tape`.
    pub(crate) fn lower(&self, tape: &mut Tape, inputs: &[Value]) -> Result<Value> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|&input| tape.shape(input).into()).collect();
        self.output_shape_all(&shapes)?;
        let mut cast = Vec::with_capacity(inputs.len());
        for (index, &input) in inputs.iter().enumerate() {
            if self.config.describe().takes_whole_numbers(index) {
                cast.push(input);
                continue;
            }
            if !self.config.common().autocast && tape.dtype(input) != self.numbers.dtype {
                return Err(Error::invalid(
                    "input",
                    format!("with autocast off, it must be given {}", self.numbers.dtype),
                    format!("an input of {}", tape.dtype(input)),
                ));
            }
            let same = ops::cast(tape, self.numbers.dtype, self.numbers.rounding, input)?;
            tape.set_mask(same, tape.mask(input));
            cast.push(same);
        }
        tape.rounding = self.numbers.rounding;
        let description = self.config.describe();
        let output = if tape.is_training() {
            description.train(tape, &cast, &self.kernels, &self.operands)?
        } else {
            description.lower(tape, &cast, &self.operands)?
        };
        let mask = description.mask(tape, &cast, output)?;
        let output = ops::rounded(tape, output)?;
        if tape.mask(output) == mask {
            return Ok(output);
        }
        // What the layer passed on as it is keeps its mask; its output is another value with the same elements.
        let output = tape.reshape(output, tape.shape(output).clone())?;
        tape.set_mask(output, mask);
        Ok(output)
    }

    fn check_fixed(&self, input: &PartialShape) -> Result<()> {
        for &(axis, extent) in &self.fixed {
            let received = axis_index(axis, input.rank()).and_then(|index| input.dims()[index]);
            match received {
                Some(received) if received != extent => {
                    return Err(Error::invalid(
                        "input",
                        format!("axis {axis} of the input must have the extent {extent} that it was built with"),
                        format!("{received} in input shape={input}"),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Layer").field("name", &self.name).field("class", &self.config.class_name()).finish()
    }
}

impl LayerConfig {
    /// The convolutions that a call with an input of shape `input` computes, in order. Dense and BatchNormalization are
    /// convolutions too; other layers have none.
    ///
    /// [`Gpu::candidates`] and [`candidates`](crate::candidates) list the ways to compute each.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unsupported`] where [building](Self::build) the layer for `input` would refuse.
    ///
    /// ```
    /// use wgpu_conv::layers::{LayerConfig, SeparableConv2D};
    ///
    /// let [depthwise, pointwise] = LayerConfig::from(SeparableConv2D::new(64, 3)).convolutions([1, 9, 7, 32])?[..] else {
    ///     unreachable!("a separable convolution is two");
    /// };
    /// assert_eq!((depthwise.geometry.groups(), depthwise.geometry.out_channels()), (32, 32));
    /// assert!(pointwise.geometry.is_pointwise());
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn convolutions(&self, input: impl Into<Shape>) -> Result<Vec<ConvProblem>> {
        let problems = self.problems(&[input.into()])?;
        Ok(problems
            .into_iter()
            .filter_map(|problem| match problem {
                Problem::Conv(problem) => Some(problem),
                _ => None,
            })
            .collect())
    }

    /// Everything that a call with inputs of these shapes computes, in order.
    ///
    /// # Errors
    /// Those of [`convolutions`](Self::convolutions).
    pub fn problems(&self, inputs: &[Shape]) -> Result<Vec<Problem>> {
        let shapes: Vec<PartialShape> = inputs.iter().map(Into::into).collect();
        self.output_shape_all(&shapes)?;
        let numbers = self.numbers()?;
        let weights = self.describe().weights(&shapes)?.into_iter();
        let weights = weights.map(|declared| Kernel::planned(declared.shape, numbers)).collect();
        let mut tape = Tape::default();
        tape.rounding = numbers.rounding;
        let values = inputs.iter().map(|shape| tape.input(shape.clone(), numbers.dtype)).collect::<Result<Vec<_>>>()?;
        let output = self.describe().lower(&mut tape, &values, &self.describe().operands(weights, numbers)?)?;
        rewrite::of_description(&mut tape, &[output])?;
        Ok(tape.steps.into_iter().map(|step| step.problem).collect())
    }

    /// In what numbers the forward pass computes.
    fn numbers(&self) -> Result<Numbers> {
        let (dtype, rounding) = self.common().dtype.compute().ok_or_else(float64_unsupported)?;
        Ok(Numbers { dtype, rounding })
    }

    /// The axes of the first input that building fixes, with their extents there.
    fn fixed_extents(&self, inputs: &[PartialShape]) -> Vec<(i32, usize)> {
        let Some(input) = inputs.first() else { return Vec::new() };
        let axes = self.describe().fixed_axes(input.rank()).into_iter();
        axes.filter_map(|axis| Some((axis, input.dims()[axis_index(axis, input.rank())?]?))).collect()
    }
}

/// # Errors
/// [`Error::Invalid`] where `values` are not of the shapes that a layer's weights have.
pub(crate) fn check_weights<'a>(
    expected: impl ExactSizeIterator<Item = (&'static str, &'a Shape)>,
    values: &[impl Borrow<HostTensor>],
) -> Result<()> {
    let expected: Vec<_> = expected.collect();
    let shapes: Vec<Shape> = values.iter().map(|value| value.borrow().shape.clone()).collect();
    check_shapes(expected.iter().copied(), &shapes)?;
    for ((name, shape), value) in expected.into_iter().zip(values.iter().map(Borrow::borrow)) {
        if shape.elements()? != value.values.len() as u64 {
            return Err(Error::invalid(
                "weights",
                format!("weight {name} must have the shape {shape}"),
                format!("shape {} with {} values", value.shape, value.values.len()),
            ));
        }
    }
    Ok(())
}

/// # Errors
/// [`Error::Invalid`] naming the weight, the expected and the received, where `shapes` are others than `expected`.
pub(crate) fn check_shapes<'a>(
    expected: impl ExactSizeIterator<Item = (&'static str, &'a Shape)>,
    received: &[Shape],
) -> Result<()> {
    if received.len() != expected.len() {
        let shapes: Vec<_> = received.iter().map(Shape::to_string).collect();
        let expected: Vec<_> = expected.map(|(name, shape)| format!("{name} {shape}")).collect();
        return Err(Error::invalid(
            "weights",
            format!("it must be given {} weights: [{}]", expected.len(), expected.join(", ")),
            format!("{}: [{}]", received.len(), shapes.join(", ")),
        ));
    }
    for ((name, shape), received) in expected.zip(received) {
        if shape != received {
            return Err(Error::invalid(
                "weights",
                format!("weight {name} must have the shape {shape}"),
                format!("shape {received}"),
            ));
        }
    }
    Ok(())
}

fn float64_unsupported() -> Error {
    Error::unsupported(
        "float64 as a compute dtype",
        "shaders have f32 and f16; give the layer another policy with `.dtype(DTypePolicy::Float32)`, or call \
         `Settings::set_floatx`",
    )
}

static NAMES: Mutex<Option<HashMap<&'static str, u32>>> = Mutex::new(None);

/// `conv2d`, `conv2d_1`, …: the class name in snake case, counted for the whole process.
fn unique_name(class: &'static str) -> String {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let count = names.get_or_insert_default().entry(class).or_insert(0);
    let name = match *count {
        0 => snake_case(class),
        n => format!("{}_{n}", snake_case(class)),
    };
    *count += 1;
    name
}

/// Starts the counters of automatic layer names again.
pub fn reset_names() {
    *NAMES.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

/// A class name as Keras writes it in layer names and in weight files: `DepthwiseConv2D` as `depthwise_conv2d`, `ReLU`
/// as `re_lu` (`keras/src/utils/naming.py`, `to_snake_case`).
pub(crate) fn snake_case(class: &str) -> String {
    let letters: Vec<char> = class.chars().collect();
    let mut name = String::new();
    for (index, &letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|i| letters[i]);
        let opens_word = letter.is_ascii_uppercase() && letters.get(index + 1).is_some_and(char::is_ascii_lowercase);
        if before.is_some_and(|b| opens_word || (letter.is_ascii_uppercase() && b.is_ascii_lowercase())) {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::snake_case;

    #[test]
    fn classes_in_snake_case() {
        for (class, name) in [
            ("Conv2D", "conv2d"),
            ("DepthwiseConv2D", "depthwise_conv2d"),
            ("SeparableConv2D", "separable_conv2d"),
            ("BatchNormalization", "batch_normalization"),
            ("GlobalAveragePooling2D", "global_average_pooling2d"),
            ("ReLU", "re_lu"),
            ("Dense", "dense"),
        ] {
            assert_eq!(snake_case(class), name);
        }
    }
}
