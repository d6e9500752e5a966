//! Cases: the rows of `benches/shapes`.

use wgpu_conv::layers::{Conv, ConvTranspose, DepthwiseConv2D, Initializer, LayerConfig, SeparableConv2D};
use wgpu_conv::{DataFormat, Padding, Shape};

use crate::Result;

macro_rules! shapes {
    ($name:literal) => {
        ($name, include_str!(concat!("../shapes/", $name, ".txt")))
    };
}

/// The files of a usual run: their names, and what they hold.
pub const FILES: [(&str, &str); 8] = [
    shapes!("workloads"),
    shapes!("siblings"),
    shapes!("mobilenet_v1"),
    shapes!("mobilenet_v2"),
    shapes!("resnet50"),
    shapes!("efficientnet_b0"),
    shapes!("xception"),
    shapes!("convnext_t"),
];

/// The file of `--sweep`.
pub const SWEEPS: [(&str, &str); 1] = [shapes!("sweeps")];

/// Which layer a row describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Conv,
    Transposed,
    Depthwise,
    Separable,
}

/// One layer, without bias and activation.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub kind: Kind,
    /// Its shape; `[batch, height, width, channels]` for an image whose channels come last.
    pub input: Shape,
    pub format: DataFormat,
    pub filters: u32,
    /// By axis.
    pub kernel: Vec<u32>,
    pub stride: u32,
    pub dilation: u32,
    pub groups: u32,
    pub padding: Padding,
    /// Such layers in the network.
    pub count: u32,
}

/// A layer with what the layers of all kinds have in common.
macro_rules! windowed {
    ($case:expr, $layer:expr) => {
        $layer
            .strides($case.stride)
            .dilation_rate($case.dilation)
            .padding($case.padding)
            .data_format($case.format)
            .use_bias(false)
    };
}

impl Case {
    /// The rows of a file.
    pub fn read((file, text): (&str, &str)) -> Result<Vec<Self>> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#'));
        lines
            .map(|(index, line)| {
                Self::parse(file, line).map_err(|why| format!("{file}.txt:{}: {why}", index + 1).into())
            })
            .collect()
    }

    fn parse(file: &str, line: &str) -> Result<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, kind, format, input, channels, filters, kernel, stride, dilation, groups, padding, count] =
            words[..]
        else {
            return Err("a row has 12 columns".into());
        };
        let kind = match kind {
            "conv" => Kind::Conv,
            "transposed" => Kind::Transposed,
            "depthwise" => Kind::Depthwise,
            "separable" => Kind::Separable,
            other => return Err(format!("there is no kind {other}").into()),
        };
        let extents = |text: &str| text.split('x').map(str::parse).collect::<std::result::Result<Vec<u32>, _>>();
        let mut input: Vec<usize> = extents(input)?.into_iter().map(|extent| extent as usize).collect();
        let mut kernel = extents(kernel)?;
        // One number is that of every axis.
        let axes = input.len() - 1;
        if kernel.len() == 1 {
            kernel = vec![kernel[0]; axes];
        }
        let (format, place) = match format {
            "last" => (DataFormat::ChannelsLast, input.len()),
            "first" => (DataFormat::ChannelsFirst, 1),
            other => return Err(format!("channels come first or last, not {other}").into()),
        };
        input.insert(place, channels.parse()?);
        Ok(Self {
            name: format!("{file}/{name}"),
            kind,
            input: input.into(),
            format,
            filters: filters.parse()?,
            kernel,
            stride: stride.parse()?,
            dilation: dilation.parse()?,
            groups: groups.parse()?,
            padding: Padding::from_name(padding)?,
            count: count.parse()?,
        })
    }

    /// The name without its file.
    pub fn short_name(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(_, name)| name)
    }

    /// The layer.
    pub fn config(&self) -> Result<LayerConfig> {
        match (self.kind, &self.kernel[..]) {
            (Kind::Conv | Kind::Transposed, &[length]) => Ok(self.over([length])),
            (Kind::Conv | Kind::Transposed, &[height, width]) => Ok(self.over([height, width])),
            (Kind::Conv | Kind::Transposed, &[depth, height, width]) => Ok(self.over([depth, height, width])),
            (Kind::Depthwise, &[height, width]) => {
                let layer = windowed!(self, DepthwiseConv2D::new([height, width]));
                Ok(layer.depth_multiplier(self.filters / self.groups).depthwise_initializer(weights(1.0)).into())
            }
            (Kind::Separable, &[height, width]) => {
                let layer = windowed!(self, SeparableConv2D::new(self.filters, [height, width]));
                Ok(layer.depthwise_initializer(weights(1.0)).pointwise_initializer(weights(1.0)).into())
            }
            (kind, kernel) => Err(format!("{kind:?} has no case over {} axes", kernel.len()).into()),
        }
    }

    /// A convolution over `R` axes, or its transpose.
    fn over<const R: usize>(&self, kernel: [u32; R]) -> LayerConfig
    where
        LayerConfig: From<Conv<R>> + From<ConvTranspose<R>>,
    {
        if self.kind == Kind::Transposed {
            let layer = windowed!(self, ConvTranspose::<R>::new(self.filters, kernel));
            return layer.kernel_initializer(weights(1.0)).into();
        }
        windowed!(self, Conv::<R>::new(self.filters, kernel))
            .groups(self.groups)
            .kernel_initializer(weights(1.0))
            .into()
    }

    /// The input's values.
    pub fn values(&self) -> Vec<f32> {
        uniform(self.input.dims().iter().product(), 1.0)
    }
}

/// Weights between `-bound` and `bound`, the same in every run, with no need of the crate's feature for random ones.
pub fn weights(bound: f32) -> Initializer {
    Initializer::custom(move |shape: &Shape, _| Ok(uniform(shape.dims().iter().product(), bound)))
}

/// `count` numbers between `-bound` and `bound`. Another count begins elsewhere, so that layers differ.
pub fn uniform(count: usize, bound: f32) -> Vec<f32> {
    let mut numbers = Numbers(count as u32);
    (0..count).map(|_| (numbers.next() as f32 / f32::from(1_u16 << 15) - 1.0) * bound).collect()
}

/// Sixteen random bits at a time (Numerical Recipes' linear congruential generator).
pub struct Numbers(pub u32);

impl Numbers {
    /// The next 16 bits.
    pub fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 16
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (((self.next() as usize) << 16) | self.next() as usize) % limit
    }
}
