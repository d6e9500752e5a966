//! Networks made in code, with weights drawn at random.

use wgpu_conv::layers::{
    BatchNormalization, Conv2D, Dense, DepthwiseConv2D, GlobalAveragePooling2D, LayerConfig, Merge, ReLU,
};
use wgpu_conv::model::{Functional, Model, Sequential, Symbol};
use wgpu_conv::{Gpu, Padding};

fn conv(filters: u32) -> LayerConfig {
    Conv2D::new(filters, 1).use_bias(false).into()
}

fn depthwise(stride: u32) -> LayerConfig {
    DepthwiseConv2D::new(3).strides(stride).padding(Padding::Same).use_bias(false).into()
}

fn stem() -> LayerConfig {
    Conv2D::new(32, 3).strides(2).padding(Padding::Same).use_bias(false).into()
}

/// MobileNetV1 for images of `size`, without the classes' softmax.
pub fn mobilenet_v1(gpu: &Gpu, size: usize) -> Sequential {
    let model = Sequential::new(gpu).with_input([None, Some(size), Some(size), Some(3)]).unwrap();
    let add = |model: Sequential, layer: LayerConfig| model.with(layer).unwrap();
    let normalized = |model, layer: LayerConfig| {
        let model = add(add(model, layer), BatchNormalization::new().into());
        add(model, ReLU::new().max_value(6.0).into())
    };
    let mut model = normalized(model, stem());
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1)];
    for (filters, stride) in blocks.into_iter().chain([(512, 1), (1024, 2), (1024, 1)]) {
        model = normalized(model, depthwise(stride));
        model = normalized(model, conv(filters));
    }
    add(add(model, GlobalAveragePooling2D::new().into()), Dense::new(1000).into())
}

/// MobileNetV2 for images of `size`, without the classes' softmax.
pub fn mobilenet_v2(gpu: &Gpu, size: usize) -> Model {
    let graph = Functional::new(gpu);
    let image = graph.input("image", [None, Some(size), Some(size), Some(3)]).unwrap();
    let linear = |x: &Symbol, layer: LayerConfig| (x | layer | BatchNormalization::new()).finish().unwrap();
    let normalized = |x: &Symbol, layer| linear(x, layer).apply(ReLU::new().max_value(6.0)).unwrap();
    let mut x = normalized(&image, stem());
    let mut channels = 32;
    // Expansion, filters, blocks, and the stride of the first.
    let stages =
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];
    for (expansion, filters, blocks, first) in stages {
        for stride in std::iter::once(first).chain(std::iter::repeat_n(1, blocks - 1)) {
            let wide = if expansion > 1 { normalized(&x, conv(expansion * channels)) } else { x.clone() };
            let made = linear(&normalized(&wide, depthwise(stride)), conv(filters));
            let residual = stride == 1 && channels == filters;
            x = if residual { graph.apply(Merge::add(), &[&x, &made]).unwrap() } else { made };
            channels = filters;
        }
    }
    let scores = (&normalized(&x, conv(1280)) | GlobalAveragePooling2D::new() | Dense::new(1000)).finish().unwrap();
    graph.model("mobilenet_v2", &[&image], &[&scores]).unwrap()
}
