//! Layers that the caller writes in WGSL.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::arguments::common_setters;
#[cfg(feature = "keras")]
use super::config::{Codec, Configured};
use super::describe::{Declared, Describe};
use super::{Common, Custom, Initializer};
use crate::gpu::check_code;
use crate::ops::{self, Kernel, Side, Tape, Value};
use crate::plan::Code;
use crate::text::kept;
use crate::{DType, Error, PartialShape, Result, Settings, Shape};

/// A function from the shapes of the inputs to that of the output, in which extents may be unknown.
pub type OutputShapeFn = dyn Fn(&[PartialShape]) -> Result<PartialShape> + Send + Sync;

/// A function from the shapes of the inputs to that of a weight.
pub type WeightShapeFn = dyn Fn(&[PartialShape]) -> Result<Shape> + Send + Sync;

/// A layer whose function is written in WGSL by the caller: a function of WGSL that makes one element of the output.
///
/// The code declares `fn element(i: u32) -> f32`, which makes element number `i` of the output, counted row by row. It may declare
/// more: functions, constants, structs, but no bindings. For every input and weight, of `x` for one that is called `x`, it finds
///
/// | function | value |
/// |---|---|
/// | `x(p0, p1, …) -> f32` | the element at a position, as many numbers as `x` has axes; 0 outside of it |
/// | `x_at(i) -> f32` | element number `i`, counted row by row; 0 behind the last |
/// | `x_size() -> u32` | the number of elements |
/// | `x_extent(axis) -> u32` | an extent |
/// | `output_extent(axis) -> u32` | an extent of the output |
/// | `place(i) -> array<u32, N>` | the position of element number `i` in the output, which has N axes |
///
/// Positions are `u32`, so one before the first wraps around and is outside as well: `x(row - 1u)` is 0 for row 0. Tensors are in
/// the compute type in memory; the functions give and take f32. Loops must end: a driver stops what runs for seconds, and some
/// what takes more than 65 535 turns.
///
/// The layer is used as any other: in models, and for a class of a `.keras` file in a `CustomLayer`. It has no gradient, so what is
/// trained must stand behind it. No config holds its code: a model that was read with it is written as it was read, with the name
/// of the class, and of one that was made with it the weights can be saved.
///
/// # Shapes
/// Inputs of any shape; the output is of the first one's, or of what [`output`](Self::output) says. Inputs and weights are 7 at
/// most together, of 6 axes at most.
///
/// # Errors
/// Code that does not compile is refused where the layer is built, or asked for its output shape, with the line. In a browser,
/// whose own compiler reads it, the first readback brings what that says.
///
/// ```
/// use wgpu_conv::layers::{Initializer, LayerConfig, Wgsl};
/// use wgpu_conv::{Gpu, HostTensor, Tensor};
///
/// // Swish with a learned slope for every channel.
/// let swish = Wgsl::new(
///     "fn element(i: u32) -> f32 {
///         let channel = place(i)[1];
///         return x_at(i) / (1.0 + exp(-beta(channel) * x_at(i)));
///     }",
/// )
/// .weight("beta", Initializer::Ones, |inputs| match inputs[0].dims()[1] {
///     Some(channels) => Ok([channels].into()),
///     None => Err(wgpu_conv::Error::Invalid {
///         argument: "input".into(),
///         rule: "the channels must be known".into(),
///         received: inputs[0].to_string(),
///     }),
/// });
/// # let Ok(gpu) = Gpu::new() else { return Ok(()) };
/// let layer = swish.build(&gpu, [None, Some(2)])?;
/// layer.set_weights(&[HostTensor { shape: [2].into(), values: vec![0.0, 50.0] }])?;
/// let output = layer.call(&Tensor::from_slice(&gpu, [1, 2], &[3.0f32, 3.0])?)?;
/// assert_eq!(output.read::<f32>()?, [1.5, 3.0]);
///
/// let wrong = Wgsl::new("fn element(i: u32) -> f32 {\n    return y_at(i);\n}");
/// let error = wrong.output_shape(&[[2, 2].into()]).unwrap_err().to_string();
/// assert!(error.contains("line 2, column 12, `return y_at(i);`: no definition in scope"), "{error}");
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Wgsl {
    /// Name, trainability and types.
    pub common: Common,
    /// The code.
    pub code: String,
    /// What the code calls the inputs, in the order in which the layer is called with them; `x` alone by default.
    pub inputs: Vec<String>,
    /// The weights, in order; none by default.
    pub weights: Vec<WgslWeight>,
    /// The shape of the output; the first input's by default.
    pub output: Option<Custom<OutputShapeFn>>,
}

/// A weight of a [`Wgsl`].
#[derive(Clone, PartialEq)]
pub struct WgslWeight {
    /// What the code calls it.
    pub name: String,
    /// What it begins as.
    pub initializer: Initializer,
    /// Its shape.
    pub shape: Custom<WeightShapeFn>,
}

impl fmt::Debug for WgslWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WgslWeight").field(&self.name).field(&self.initializer).finish()
    }
}

common_setters!(Wgsl, common);

impl Wgsl {
    /// A layer of one input `x` and an output of its shape, by this code.
    pub fn new(code: impl Into<String>) -> Self {
        Self {
            common: Common::new(&Settings::current()),
            code: code.into(),
            inputs: vec!["x".into()],
            weights: Vec::new(),
            output: None,
        }
    }

    /// What the code calls the inputs, in the order in which the layer is called with them; `x` alone by default.
    pub fn inputs<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.inputs = names.into_iter().map(Into::into).collect();
        self
    }

    /// Another weight, behind those there are: its name in the code, what it begins as, and its shape for inputs of given shapes.
    pub fn weight(
        mut self,
        name: impl Into<String>,
        initializer: Initializer,
        shape: impl Fn(&[PartialShape]) -> Result<Shape> + Send + Sync + 'static,
    ) -> Self {
        self.weights.push(WgslWeight { name: name.into(), initializer, shape: Custom::new(Arc::new(shape)) });
        self
    }

    /// The shape of the output for inputs of given shapes, in which extents may be unknown; the first input's by default.
    pub fn output(mut self, shape: impl Fn(&[PartialShape]) -> Result<PartialShape> + Send + Sync + 'static) -> Self {
        self.output = Some(Custom::new(Arc::new(shape)));
        self
    }

    /// The output shape for `inputs`; unknown extents stay unknown.
    ///
    /// # Errors
    /// [`Error::Invalid`] for code that does not compile for `inputs`, and what the shape functions return;
    /// [`Error::Limit`] for too many tensors or axes.
    pub fn output_shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.validate()?;
        if inputs.len() != self.inputs.len() {
            let rule = format!("the layer must be given {} inputs, as many as it names", self.inputs.len());
            return Err(Error::invalid("inputs", rule, format!("{} inputs", inputs.len())));
        }
        let output = self.unchecked_output(inputs)?;
        self.code(inputs, &output)?;
        Ok(output)
    }

    fn unchecked_output(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        match &self.output {
            Some(output) => output.function()(inputs),
            None => Ok(inputs[0].clone()),
        }
    }

    fn weight_shapes(&self, inputs: &[PartialShape]) -> Result<Vec<Shape>> {
        self.weights.iter().map(|weight| weight.shape.function()(inputs)).collect()
    }

    /// The code for tensors of as many axes as these have, which has been compiled once.
    fn code(&self, inputs: &[PartialShape], output: &PartialShape) -> Result<Code> {
        let weights = self.weight_shapes(inputs)?;
        let inputs = self.inputs.iter().zip(inputs).map(|(name, shape)| (name.as_str(), shape.rank()));
        let weights = self.weights.iter().zip(&weights).map(|(weight, shape)| (weight.name.as_str(), shape.rank()));
        let code = Code::new(&self.code, &inputs.chain(weights).collect::<Vec<_>>(), output.rank())?;
        let (dtype, _) = self.common.dtype.compute().unwrap_or((DType::F32, None));
        check_code(code, dtype).map_err(|says| {
            let rule = "the `code` of a layer in WGSL must compile, and declare `fn element(i: u32) -> f32`";
            Error::invalid("code", rule, says)
        })?;
        Ok(code)
    }
}

impl Describe for Wgsl {
    fn module(&self) -> &'static str {
        super::OPERATORS
    }

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<()> {
        self.common.validate()?;
        self.weights.iter().try_for_each(|weight| weight.initializer.validate())?;
        if self.inputs.is_empty() {
            let rule = "a layer in WGSL must name an input at least";
            return Err(Error::invalid("inputs", rule, "none"));
        }
        Ok(())
    }

    fn inputs(&self) -> RangeInclusive<usize> {
        self.inputs.len()..=self.inputs.len()
    }

    fn shape(&self, inputs: &[PartialShape]) -> Result<PartialShape> {
        self.output_shape(inputs)
    }

    fn weights(&self, inputs: &[PartialShape]) -> Result<Vec<Declared>> {
        let shapes = self.weight_shapes(inputs)?;
        let declared = self.weights.iter().zip(shapes).map(|(weight, shape)| {
            Declared::free(kept(&weight.name), shape, self.common.trainable, weight.initializer.clone())
        });
        Ok(declared.collect())
    }

    fn lower(&self, tape: &mut Tape, inputs: &[Value], operands: &[Arc<Kernel>]) -> Result<Value> {
        let shapes: Vec<PartialShape> = inputs.iter().map(|&input| tape.shape(input).into()).collect();
        let output = self.unchecked_output(&shapes)?;
        let code = self.code(&shapes, &output)?;
        let Some(output) = output.known() else {
            let rule = "`output` must give all extents where those of the inputs are known";
            return Err(Error::invalid("output", rule, format!("{output} for inputs of {shapes:?}")));
        };
        for ((weight, shape), built) in self.weights.iter().zip(self.weight_shapes(&shapes)?).zip(operands) {
            if shape != *built.shape() {
                let rule = format!("weight {} has the shape {}, which the input must fit", weight.name, built.shape());
                return Err(Error::invalid("input", rule, format!("inputs of {shapes:?}, for which it is {shape}")));
            }
        }
        let reads = inputs.iter().map(|&input| Side::Value(input)).chain(operands.iter().map(Side::Constant));
        ops::custom(tape, code, &reads.collect::<Vec<_>>(), output, inputs[0])
    }
}

#[cfg(feature = "keras")]
impl Configured for Wgsl {
    fn template() -> Self {
        Self::new("")
    }

    /// None: configs hold no code.
    fn of_class(_class: &str, _name: &str) -> Option<Self> {
        None
    }

    fn fields(&mut self, _codec: &mut Codec<'_>) -> Result<()> {
        Err(Error::unsupported(
            "a layer in WGSL in a config",
            "no config holds code; save the weights of the model alone",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::LayerConfig;
    use crate::{DTypePolicy, HostTensor, Tensor};

    fn channels(inputs: &[PartialShape]) -> Result<Shape> {
        let channels = inputs[0].dims().last().copied().flatten();
        channels.map(|channels| [channels].into()).ok_or_else(|| Error::invalid("input", "known channels", "none"))
    }

    fn scaled() -> Wgsl {
        Wgsl::new("fn element(i: u32) -> f32 { return x_at(i) * scale(place(i)[1]); }").weight(
            "scale",
            Initializer::Constant(2.0),
            channels,
        )
    }

    /// What is wrong with code and with what is said about it is an error, with the caller's line, and before a device is asked.
    #[test]
    fn what_is_wrong_is_said() {
        let body = |code: &str| Wgsl::new(format!("fn element(i: u32) -> f32 {{\n    {code}\n}}"));
        let refused = |layer: Wgsl, says: &[&str]| {
            let error = layer.output_shape(&[[2, 3].into()]).unwrap_err().to_string();
            assert!(says.iter().all(|part| error.contains(part)), "must say {says:?}: {error}");
        };
        refused(body("return y_at(i);"), &["must compile", "line 2, column 12, `return y_at(i);`", "`y_at`"]);
        refused(body("return x(i);"), &["line 2, column 12", "Requires 2 arguments, but 1 are provided"]);
        refused(body("return x_at(i)"), &["line 3, column 1, `}`", "expected"]);
        refused(body("let n = 1u; return n;"), &["line", "element"]);
        refused(body("var sum = 0.0; return sum + i;"), &["line 2"]);
        refused(body("x_elements[i] = 1.0; return 0.0;"), &["line 2"]);
        refused(Wgsl::new(""), &["element"]);
        refused(body("return 0.0;").inputs(["a b"]), &["names of letters", "\"a b\""]);
        refused(body("return 0.0;").inputs(["fn"]), &["in what stands around it"]);
        refused(body("return 0.0;").weight("x", Initializer::Ones, channels), &["each its own", "\"x\""]);
        refused(body("return 0.0;").inputs(Vec::<String>::new()), &["must name an input"]);
        refused(body("return 0.0;").inputs(["a", "b"]), &["given 2 inputs", "1 inputs"]);
        refused(body("return 0.0;").output(|_| Ok([1; 7].into())), &["axes of a tensor", "7 needed"]);
        let many = (0..7)
            .fold(body("return 0.0;"), |layer, weight| layer.weight(format!("w{weight}"), Initializer::Ones, channels));
        refused(many, &["inputs and weights together: 8 needed", "7"]);
        // A loop without an end in sight, but for a driver's, compiles; recursion does not.
        refused(Wgsl::new("fn element(i: u32) -> f32 { return element(i); }"), &["element"]);
    }

    #[test]
    fn tensors_of_all_sizes_are_read() {
        let Ok(gpu) = crate::Gpu::new() else { return };
        let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let x = Tensor::from_slice(&gpu, [3, 2], &values).unwrap();
        let layer = scaled().build(&gpu, [None, Some(2)]).unwrap();
        layer.set_weights(&[HostTensor { shape: [2].into(), values: vec![10.0, 1.0] }]).unwrap();
        assert_eq!(layer.call(&x).unwrap().read::<f32>().unwrap(), [0.0, 1.0, 20.0, 3.0, 40.0, 5.0]);
        // Turned, with a sum without axes beside it, and positions outside, which are 0.
        let code = "fn element(i: u32) -> f32 {
            let at = place(i);
            let outside = x(at[1] + 3u, at[0]) + x_at(6u) + x(0u - 1u, 0u);
            return x(at[1], at[0]) + bias() + outside + f32(output_extent(1u) + x_extent(7u) + x_size());
        }";
        let turned = Wgsl::new(code)
            .weight("bias", Initializer::Constant(0.5), |_| Ok([].into()))
            .output(|inputs| Ok(vec![inputs[0].dims()[1], inputs[0].dims()[0]].into()));
        let made = turned.build(&gpu, [3, 2]).unwrap().call(&x).unwrap();
        assert_eq!(made.shape().dims(), [2, 3]);
        assert_eq!(made.read::<f32>().unwrap(), [9.5, 11.5, 13.5, 10.5, 12.5, 14.5]);
        let sum = Wgsl::new(
            "fn element(i: u32) -> f32 { var s = 0.0; for (var j = 0u; j < x_size(); j++) { s += x_at(j); } return s; }",
        );
        let made = sum.output(|_| Ok([0usize; 0].into())).build(&gpu, [3, 2]).unwrap().call(&x).unwrap();
        assert_eq!((made.shape().rank(), made.read::<f32>().unwrap()), (0, vec![15.0]));
        // More than one row of workgroups, and none at all.
        for rows in [100_001, 0] {
            let many = Tensor::from_slice(&gpu, [rows, 2], &vec![1.0f32; 2 * rows]).unwrap();
            let made = scaled().build(&gpu, [None, Some(2)]).unwrap().call(&many).unwrap().read::<f32>().unwrap();
            assert!(made.len() == 2 * rows && made.iter().all(|&value| value == 2.0));
        }
        let half = LayerConfig::from(scaled().dtype(DTypePolicy::BFloat16)).build(&gpu, [None, Some(2)]).unwrap();
        let third = Tensor::from_slice(&gpu, [1, 2], &[1.0f32 / 3.0, 1.0]).unwrap();
        assert_eq!(half.call(&third).unwrap().read::<f32>().unwrap(), [0.66796875, 2.0]);
        if gpu.caps().f16 {
            let half = scaled().dtype(DTypePolicy::Float16).build(&gpu, [None, Some(2)]).unwrap();
            let made = half.call(&third).unwrap().read::<half::f16>().unwrap();
            assert_eq!(made, [0.33325195, 1.0].map(|value: f32| half::f16::from_f32(2.0 * value)));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let Ok(gpu) = crate::Gpu::new() else { return };
        let layer = scaled().build(&gpu, [None, Some(2)]).unwrap();
        let wide = Tensor::from_slice(&gpu, [1, 3], &[0.0f32; 3]).unwrap();
        let error = layer.call(&wide).unwrap_err().to_string();
        assert!(error.contains("weight scale has the shape (2,)") && error.contains("(3,)"), "{error}");
        assert!(scaled().build(&gpu, [None, None]).unwrap_err().to_string().contains("known channels"));
        let open = scaled().output(|_| Ok([None, Some(2)].into())).build(&gpu, [None, Some(2)]).unwrap();
        let error = open.call(&Tensor::from_slice(&gpu, [1, 2], &[0.0f32; 2]).unwrap()).unwrap_err().to_string();
        assert!(error.contains("must give all extents") && error.contains("(None, 2)"), "{error}");
        let huge = scaled().output(|_| Ok([1 << 20, 1 << 20].into())).build(&gpu, [None, Some(2)]).unwrap();
        let x = Tensor::from_slice(&gpu, [1, 2], &[0.0f32; 2]).unwrap();
        assert!(huge.call(&x).is_err());
        let error = layer.gradients(std::slice::from_ref(&x), &x, false).unwrap_err().to_string();
        assert!(error.contains("(function in WGSL)") && error.contains("says no gradient"), "{error}");
    }
}
