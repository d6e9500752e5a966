//! Convolutions to test: each a row that describes itself to the library and to the reference.

use wgpu_conv::layers::{Conv2D, DepthwiseConv2D, LayerConfig, SeparableConv2D};
use wgpu_conv::{Activation, DType, DTypePolicy, DataFormat, HostTensor, Padding};

use super::common::reference::{self, Array, Convolved, ReferenceWindow, activate};
use super::common::tolerance::{self, Estimate, Expected, Storage, stored};

/// Which layer, with the arguments that only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Conv2D.
    Dense {
        /// Output channels.
        filters: u32,
        /// Runs of channels that do not mix.
        groups: u32,
    },
    /// DepthwiseConv2D.
    Depthwise {
        /// Output channels for each input channel.
        multiplier: u32,
    },
    /// SeparableConv2D.
    Separable {
        /// Channels between the steps for each input channel.
        multiplier: u32,
        /// Output channels.
        filters: u32,
    },
}

/// One convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is an example of.
    pub name: &'static str,
    /// Which layer.
    pub kind: Kind,
    /// Images.
    pub batch: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Channels of the input.
    pub channels: usize,
    /// Height and width of the kernel.
    pub kernel: [u32; 2],
    /// Strides along height and width.
    pub strides: [u32; 2],
    /// Dilation rates along height and width.
    pub dilation: [u32; 2],
    /// Padding `same` instead of `valid`.
    pub same: bool,
    /// Whether a bias is added.
    pub bias: bool,
    /// Name of the activation, with its default parameters.
    pub activation: &'static str,
}

/// A pointwise convolution of one image to be changed by the methods below.
pub const fn row(name: &'static str, kind: Kind, size: [usize; 2], channels: usize) -> Row {
    Row {
        name,
        kind,
        batch: 1,
        size,
        channels,
        kernel: [1, 1],
        strides: [1, 1],
        dilation: [1, 1],
        same: false,
        bias: true,
        activation: "linear",
    }
}

impl Row {
    const fn kernel(mut self, height: u32, width: u32) -> Self {
        self.kernel = [height, width];
        self
    }

    const fn strides(mut self, height: u32, width: u32) -> Self {
        self.strides = [height, width];
        self
    }

    const fn dilation(mut self, height: u32, width: u32) -> Self {
        self.dilation = [height, width];
        self
    }

    const fn same(mut self) -> Self {
        self.same = true;
        self
    }

    const fn batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    const fn bare(mut self) -> Self {
        self.bias = false;
        self
    }

    const fn then(mut self, activation: &'static str) -> Self {
        self.activation = activation;
        self
    }

    /// The shape of the input in a data format.
    pub fn input_shape(&self, data_format: DataFormat) -> [usize; 4] {
        let ([h, w], n, c) = (self.size, self.batch, self.channels);
        match data_format {
            DataFormat::ChannelsLast => [n, h, w, c],
            DataFormat::ChannelsFirst => [n, c, h, w],
        }
    }

    /// The row as a layer of the library.
    pub fn layer(&self, data_format: DataFormat, dtype: DType) -> LayerConfig {
        let [kernel, strides, dilation] = [self.kernel, self.strides, self.dilation];
        let padding = if self.same { Padding::Same } else { Padding::Valid };
        let activation = Activation::from_name(self.activation).expect("a name of the table");
        let policy = match dtype {
            DType::F32 => DTypePolicy::Float32,
            DType::F16 => DTypePolicy::Float16,
        };
        macro_rules! shared {
            ($layer:expr) => {
                $layer
                    .strides(strides)
                    .dilation_rate(dilation)
                    .padding(padding)
                    .data_format(data_format)
                    .activation(activation)
                    .use_bias(self.bias)
                    .dtype(policy)
                    .into()
            };
        }
        match self.kind {
            Kind::Dense { filters, groups } => shared!(Conv2D::new(filters, kernel).groups(groups)),
            Kind::Depthwise { multiplier } => {
                shared!(DepthwiseConv2D::new(kernel).depth_multiplier(multiplier).strided_dilation(true))
            }
            Kind::Separable { multiplier, filters } => {
                shared!(SeparableConv2D::new(filters, kernel).depth_multiplier(multiplier).strided_dilation(true))
            }
        }
    }

    /// The row's window for the reference.
    pub fn window(&self, data_format: DataFormat) -> ReferenceWindow {
        ReferenceWindow {
            strides: self.strides.map(|s| s as usize),
            dilation_rate: self.dilation.map(|d| d as usize),
            padding: if self.same { reference::ReferencePadding::Same } else { reference::ReferencePadding::Valid },
            channels_first: data_format == DataFormat::ChannelsFirst,
        }
    }

    /// Shapes of the weights, the bias last if there is one.
    fn weight_shapes(&self) -> Vec<Vec<usize>> {
        let ([kh, kw], c) = (self.kernel.map(|k| k as usize), self.channels);
        let (mut shapes, length) = match self.kind {
            Kind::Dense { filters, groups } => {
                (vec![vec![kh, kw, c / groups as usize, filters as usize]], filters as usize)
            }
            Kind::Depthwise { multiplier } => (vec![vec![kh, kw, c, multiplier as usize]], c * multiplier as usize),
            Kind::Separable { multiplier, filters } => {
                let (m, f) = (multiplier as usize, filters as usize);
                (vec![vec![kh, kw, c, m], vec![1, 1, c * m, f]], f)
            }
        };
        if self.bias {
            shapes.push(vec![length]);
        }
        shapes
    }
}

/// The tensors of a row.
#[derive(Clone, Debug)]
pub struct Operands {
    /// The input, channels last.
    pub input: Array,
    /// The weights in Keras's order.
    pub weights: Vec<Array>,
}

impl Operands {
    /// The values of `source`, one after the other, for the input and the weights of `row`.
    pub fn new(row: &Row, mut source: impl FnMut() -> f64) -> Self {
        let mut array = |shape: Vec<usize>| {
            let data: Vec<f64> = (0..shape.iter().product()).map(|_| source()).collect();
            Array::new(shape, data)
        };
        let input = array(row.input_shape(DataFormat::ChannelsLast).to_vec());
        Self { input, weights: row.weight_shapes().into_iter().map(array).collect() }
    }

    /// The weights as the library takes them.
    pub fn host_weights(&self) -> Vec<HostTensor> {
        let host = |array: &Array| HostTensor::new(array.shape.clone(), array.to_f32()).expect("a sound shape");
        self.weights.iter().map(host).collect()
    }

    /// The reference's result before the activation.
    pub fn convolve(&self, row: &Row, data_format: DataFormat) -> Convolved {
        let window = row.window(data_format);
        let input = match data_format {
            DataFormat::ChannelsLast => self.input.clone(),
            DataFormat::ChannelsFirst => self.input.to_channels_first(),
        };
        let bias = self.weights.last().filter(|_| row.bias);
        match row.kind {
            Kind::Dense { groups, .. } => reference::conv(&input, &self.weights[0], bias, groups as usize, &window),
            Kind::Depthwise { .. } => reference::depthwise_conv(&input, &self.weights[0], bias, &window),
            Kind::Separable { .. } => {
                reference::separable_conv(&input, &self.weights[0], &self.weights[1], bias, &window)
            }
        }
    }
}

impl Row {
    /// What the library may return, activation included.
    ///
    /// What lies between two passes is stored too: a separable convolution stores the result of its depthwise step, and
    /// an activation along an axis reads what the convolution has stored.
    pub fn expected(&self, operands: &Operands, data_format: DataFormat, storage: Storage) -> Expected {
        self.bounded(operands, &operands.convolve(self, data_format), data_format, storage)
    }

    /// What it may return by a kernel that computes the outputs of a tile together.
    pub fn expected_in_tiles(&self, operands: &Operands, data_format: DataFormat, storage: Storage) -> Expected {
        let convolved = operands.convolve(self, data_format).in_tiles(data_format == DataFormat::ChannelsFirst, [1, 1]);
        self.bounded(operands, &convolved, data_format, storage)
    }

    fn bounded(
        &self,
        operands: &Operands,
        convolved: &Convolved,
        data_format: DataFormat,
        storage: Storage,
    ) -> Expected {
        let Estimate { mut bound, .. } = convolved.clone().into();
        if let Kind::Separable { multiplier, .. } = self.kind {
            bound = self.separable_bound(operands, multiplier, data_format, storage);
        }
        if Activation::from_name(self.activation).is_ok_and(|activation| activation.axis().is_some()) {
            let errors = convolved.exact.data.iter().zip(&bound.data);
            let errors: Vec<f64> = errors.map(|(&value, &bound)| stored(storage, value, bound)).collect();
            bound = Array::new(bound.shape.clone(), errors);
        }
        tolerance::activated(&convolved.exact, &bound, self.activation, &[], storage)
    }

    /// The error of the depthwise step, as it is stored, through the pointwise one, and that one's own.
    fn separable_bound(
        &self,
        operands: &Operands,
        multiplier: u32,
        data_format: DataFormat,
        storage: Storage,
    ) -> Array {
        let depthwise = Self { kind: Kind::Depthwise { multiplier }, bias: false, ..self.clone() };
        let between = Estimate::from(operands.convolve(&depthwise, data_format)).stored(storage);
        let [pointwise, bias] = [operands.weights.get(1), operands.weights.get(2)];
        let pointwise = pointwise.expect("a pointwise kernel");
        let window = ReferenceWindow {
            channels_first: data_format == DataFormat::ChannelsFirst,
            ..ReferenceWindow::<2>::default()
        };
        let own = Estimate::from(reference::conv(&between.exact, pointwise, bias, 1, &window));
        let through = reference::passed_on(&between.bound, pointwise, &window, storage);
        own.bound.zip(&through, |own, through| own + through)
    }

    /// What the library must return on `operands` that are whole numbers, if the activation keeps them whole.
    pub fn exactly(&self, operands: &Operands, data_format: DataFormat) -> Option<Expected> {
        if !["linear", "relu", "relu6"].contains(&self.activation) {
            return None;
        }
        let exact = activate(self.activation, &[], &operands.convolve(self, data_format).exact);
        // Whole numbers up to here are exact as halves, and those between the steps of a separable one are smaller.
        assert!(exact.data.iter().all(|y| y.abs() <= 2048.0), "{}: too large for a half", self.name);
        Some(Expected { bound: vec![0.0; exact.data.len()], exact, overflow: f64::INFINITY })
    }
}

/// A stream of numbers that is the same on every machine (splitmix64).
pub struct Numbers(u64);

impl Numbers {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A value in [-1, 1) that `storage` holds exactly.
    pub fn unit(&mut self, storage: Storage) -> f64 {
        let value = (self.next() >> 40) as f64 / f64::from(1 << 23) - 1.0;
        match storage {
            Storage::F32 => value,
            Storage::F16 => half::f16::from_f64(value).to_f64(),
            Storage::BF16 => half::bf16::from_f64(value).to_f64(),
        }
    }

    /// A whole number from -2 to 2.
    pub fn small(&mut self) -> f64 {
        (self.next() % 5) as f64 - 2.0
    }
}

/// What values of a type are stored as.
pub const fn storage(dtype: DType) -> Storage {
    match dtype {
        DType::F32 => Storage::F32,
        DType::F16 => Storage::F16,
    }
}

const fn dense(filters: u32) -> Kind {
    Kind::Dense { filters, groups: 1 }
}

const fn grouped(filters: u32, groups: u32) -> Kind {
    Kind::Dense { filters, groups }
}

const fn depthwise(multiplier: u32) -> Kind {
    Kind::Depthwise { multiplier }
}

const fn separable(multiplier: u32, filters: u32) -> Kind {
    Kind::Separable { multiplier, filters }
}

/// The corners that kernels are written wrong at.
pub const ROWS: [Row; 65] = [
    row("one of everything", dense(1), [1, 1], 1),
    row("one output pixel", dense(3), [3, 5], 2).kernel(3, 5),
    row("primes", dense(11), [7, 13], 5).kernel(3, 5).then("relu"),
    row("primes, batch", dense(7), [5, 11], 3).kernel(2, 3).batch(3).same(),
    row("oblong kernel", dense(4), [9, 6], 4).kernel(5, 2).same().bare(),
    row("wide", dense(4), [2, 67], 3).kernel(1, 7).same(),
    row("a long window", dense(8), [3, 53], 8).kernel(2, 39).same(),
    row("a long window in uneven pieces", grouped(9, 3), [2, 77], 18).kernel(1, 31).dilation(1, 2).then("relu"),
    row("a window as long as the image", dense(5), [2, 97], 3).kernel(1, 97).bare(),
    row("tall", dense(5), [71, 2], 4).kernel(7, 1).same(),
    row("channels not in fours", dense(6), [6, 5], 7).kernel(3, 3).same().then("tanh"),
    row("channels in fours", dense(8), [6, 5], 8).kernel(3, 3).same().then("relu"),
    row("one above four", dense(5), [5, 6], 5).kernel(3, 3).bare(),
    row("one below four", dense(3), [5, 6], 3).kernel(3, 3),
    row("first layer", dense(8), [15, 17], 3).kernel(3, 3).strides(2, 2).same().then("relu6"),
    row("stride above the kernel", dense(4), [11, 13], 4).kernel(2, 2).strides(3, 4),
    row("stride above the kernel, same", dense(4), [11, 13], 3).kernel(2, 1).strides(5, 3).same(),
    row("unequal strides", dense(8), [9, 10], 4).kernel(3, 3).strides(2, 1).same(),
    row("kernel above the input, same", dense(4), [3, 2], 4).kernel(7, 5).same(),
    row("even kernel, same", dense(4), [6, 7], 4).kernel(2, 4).same(),
    row("odd kernel, stride 2, even input", dense(3), [8, 6], 2).kernel(3, 3).strides(2, 2).same(),
    row("odd kernel, stride 2, odd input", dense(3), [9, 7], 2).kernel(3, 3).strides(2, 2).same(),
    row("dilation", dense(5), [11, 12], 3).kernel(3, 3).dilation(2, 3),
    row("dilation, same", dense(8), [8, 9], 4).kernel(3, 2).dilation(3, 2).same().then("elu"),
    row("dilation above the input, same", dense(4), [4, 5], 4).kernel(3, 3).dilation(5, 7).same(),
    row("big fan-in", dense(4), [4, 5], 64).kernel(3, 3).same(),
    row("big fan-in, odd", dense(3), [5, 4], 131).kernel(3, 3),
    row("many filters", dense(67), [3, 4], 5).kernel(2, 2),
    row("pointwise", dense(16), [7, 9], 12).then("relu"),
    row("pointwise, batch", dense(20), [5, 3], 8).batch(3),
    row("pointwise, tile", dense(64), [8, 8], 32).bare(),
    row("pointwise, below a tile", dense(63), [7, 9], 31),
    row("pointwise, above a tile", dense(65), [5, 13], 33).then("sigmoid"),
    row("pointwise, two tiles and one", dense(129), [3, 43], 65),
    row("pointwise, few pixels", dense(40), [1, 1], 36).batch(2),
    row("pointwise, long sums", dense(32), [2, 3], 1024).batch(2).then("relu"),
    row("sums in parts", dense(3), [3, 4], 2051).kernel(2, 2).batch(2),
    row("sums in parts, in fours", dense(8), [3, 4], 916).kernel(3, 3).strides(2, 1).same().then("relu"),
    row("sums in parts, in groups", grouped(8, 2), [2, 3], 4104).kernel(2, 2).same().bare(),
    row("pointwise, one filter", dense(1), [6, 7], 17),
    row("pointwise, stride", dense(8), [7, 10], 4).strides(2, 3),
    row("tile of 3x3", dense(64), [8, 8], 16).kernel(3, 3).same(),
    row("above a tile of 3x3", dense(33), [9, 15], 17).kernel(3, 3).same().then("relu"),
    row("tiles of 3x3 in fours", dense(36), [10, 14], 24).kernel(3, 3).same(),
    row("two images in tiles", dense(18), [6, 9], 20).kernel(3, 3).batch(2).then("relu"),
    row("groups", grouped(6, 3), [6, 5], 9).kernel(3, 2).same(),
    row("groups in fours", grouped(16, 2), [5, 6], 8).kernel(3, 3).then("relu"),
    row("wide groups", grouped(38, 2), [6, 7], 36).kernel(3, 2).strides(2, 1).same().then("relu"),
    row("groups are channels", grouped(10, 5), [6, 7], 5).kernel(3, 3).bare(),
    row("groups are filters and channels", grouped(8, 8), [7, 6], 8).kernel(3, 3).same(),
    row("depthwise", depthwise(1), [9, 11], 8).kernel(3, 3).same().then("relu6"),
    row("depthwise, odd channels", depthwise(1), [7, 13], 5).kernel(5, 3).bare(),
    row("depthwise, stride", depthwise(1), [12, 15], 4).kernel(3, 3).strides(2, 2).same().batch(2),
    row("depthwise, dilation", depthwise(1), [10, 17], 8).kernel(3, 3).dilation(2, 3).same(),
    row("depthwise, stride and dilation", depthwise(1), [11, 14], 4).kernel(3, 3).strides(2, 2).dilation(2, 2).same(),
    row("depthwise, wide kernel", depthwise(1), [4, 40], 4).kernel(3, 25).same(),
    row("depthwise, a long row in uneven pieces", depthwise(1), [3, 79], 8).kernel(2, 67).same().then("relu"),
    row("depthwise, a long row, stride", depthwise(2), [3, 83], 3).kernel(2, 41).strides(1, 2).batch(2),
    row("depthwise, taps far apart", depthwise(1), [4, 90], 4).kernel(3, 5).dilation(1, 19).same(),
    row("depthwise, 2", depthwise(2), [6, 9], 3).kernel(3, 3).same().then("silu"),
    row("depthwise, 3", depthwise(3), [7, 5], 4).kernel(2, 3),
    row("depthwise, 4", depthwise(4), [5, 8], 3).kernel(3, 3).strides(1, 2),
    row("depthwise, 5", depthwise(5), [6, 6], 2).kernel(1, 3).batch(2).then("softplus"),
    row("separable", separable(2, 7), [8, 9], 6).kernel(3, 3).same().then("relu"),
    row("separable, stride", separable(1, 12), [9, 8], 8).kernel(3, 3).strides(2, 2).batch(2),
];

/// Separable convolutions that may be taken in one pass: one channel makes one, and all come in fours.
pub const ONE_PASS_ROWS: [Row; 8] = [
    row("one tap", separable(1, 16), [5, 7], 8).then("relu"),
    row("3x3", separable(1, 68), [7, 9], 12).kernel(3, 3).same().then("relu").batch(2),
    row("stride", separable(1, 12), [9, 8], 8).kernel(3, 3).strides(2, 2),
    row("dilation", separable(1, 20), [10, 11], 36).kernel(3, 3).dilation(2, 3).then("tanh"),
    row("5x5, stride", separable(1, 260), [11, 13], 20).kernel(5, 5).strides(2, 2).same().bare(),
    row("oblong, above a tile", separable(1, 132), [9, 15], 68).kernel(2, 3).same().then("silu"),
    row("stride and dilation", separable(1, 64), [11, 14], 4).kernel(3, 3).strides(2, 2).dilation(2, 2).same(),
    row("two tiles of channels", separable(1, 516), [3, 5], 16).kernel(3, 3).then("leaky_relu"),
];

/// Activations along an axis, behind a convolution.
pub const AXIS_ROWS: [Row; 4] = [
    row("softmax", dense(10), [4, 6], 8).kernel(2, 2).then("softmax"),
    row("log_softmax", dense(7), [5, 4], 3).then("log_softmax"),
    row("sparsemax", dense(6), [4, 6], 4).then("sparsemax"),
    row("glu", dense(8), [5, 6], 4).kernel(2, 1).then("glu"),
];

/// Both data formats.
pub const FORMATS: [DataFormat; 2] = [DataFormat::ChannelsLast, DataFormat::ChannelsFirst];
