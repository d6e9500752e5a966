//! Cases: the rows of `benches/shapes`.

use wgpu_conv::layers::{Conv2D, DepthwiseConv2D, Initializer, LayerConfig, SeparableConv2D};
use wgpu_conv::{Padding, Shape};

use crate::Result;

macro_rules! shapes {
    ($name:literal) => {
        ($name, include_str!(concat!("../shapes/", $name, ".txt")))
    };
}

/// The files of a usual run: their names, and what they hold.
pub const FILES: [(&str, &str); 7] = [
    shapes!("workloads"),
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
    Depthwise,
    Separable,
}

/// One layer, without bias and activation.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub kind: Kind,
    /// `[batch, height, width, channels]`.
    pub input: [usize; 4],
    pub filters: u32,
    pub kernel: u32,
    pub stride: u32,
    pub dilation: u32,
    pub groups: u32,
    pub padding: Padding,
    /// Such layers in the network.
    pub count: u32,
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
        let [name, kind, sizes @ .., padding, count] = &words[..] else { return Err("a row has 13 columns".into()) };
        let sizes: Vec<u32> = sizes.iter().map(|word| word.parse()).collect::<std::result::Result<_, _>>()?;
        let [batch, height, width, channels, filters, kernel, stride, dilation, groups] = sizes[..] else {
            return Err("a row has 13 columns".into());
        };
        let kind = match *kind {
            "conv" => Kind::Conv,
            "depthwise" => Kind::Depthwise,
            "separable" => Kind::Separable,
            other => return Err(format!("there is no kind {other}").into()),
        };
        let input = [batch, height, width, channels].map(|extent| extent as usize);
        let (name, padding, count) = (format!("{file}/{name}"), Padding::from_name(padding)?, count.parse()?);
        Ok(Self { name, kind, input, filters, kernel, stride, dilation, groups, padding, count })
    }

    /// The name without its file.
    pub fn short_name(&self) -> &str {
        self.name.split_once('/').map_or(&self.name, |(_, name)| name)
    }

    /// The layer.
    pub fn config(&self) -> LayerConfig {
        let &Self { filters, kernel, stride, dilation, padding, .. } = self;
        match self.kind {
            Kind::Conv => Conv2D::new(filters, kernel)
                .groups(self.groups)
                .strides(stride)
                .dilation_rate(dilation)
                .padding(padding)
                .use_bias(false)
                .kernel_initializer(weights(1.0))
                .into(),
            Kind::Depthwise => DepthwiseConv2D::new(kernel)
                .depth_multiplier(filters / self.groups)
                .strides(stride)
                .dilation_rate(dilation)
                .padding(padding)
                .use_bias(false)
                .depthwise_initializer(weights(1.0))
                .into(),
            Kind::Separable => SeparableConv2D::new(filters, kernel)
                .strides(stride)
                .dilation_rate(dilation)
                .padding(padding)
                .use_bias(false)
                .depthwise_initializer(weights(1.0))
                .pointwise_initializer(weights(1.0))
                .into(),
        }
    }

    /// The input's values.
    pub fn values(&self) -> Vec<f32> {
        uniform(self.input.iter().product(), 1.0)
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
