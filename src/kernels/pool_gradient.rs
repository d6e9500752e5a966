//! The gradient of pooling. An input element collects from all windows that it lies in; of max pooling, a first launch
//! notes which value of each window was taken.

use super::conv_launch::window_constants;
use super::pool::counted;
use super::{WORKGROUP, accumulator, item_count, workgroups};
use crate::plan::{
    Binding, Caps, Constant, Dispatch, INDEX, Operand, Part, Plan, PoolFunction, PoolGradientProblem, PoolProblem,
    Shader, params, part,
};
use crate::{DataFormat, Result};

params! {
    /// The uniform block of `pool_choice.wgsl` and `pool_gradient.wgsl`.
    PoolGradientParams {
        /// Invocations with work to do.
        items,
        channels,
        in_d, in_h, in_w,
        out_d, out_h, out_w,
        pad_d, pad_h, pad_w,
        /// The first position of the padded input that counts, and the one behind the last.
        begin_d, begin_h, begin_w,
        end_d, end_h, end_w,
    }
}

/// Sizes and places of volumes.
pub(super) const VOLUME: Part = part!("lib/volume.wgsl");

pub(super) fn plans(problem: &PoolGradientProblem, caps: &Caps) -> Result<Vec<Plan>> {
    let PoolProblem { function, geometry, dtype, .. } = problem.of;
    let (windows, elements) = (geometry.out_elements(), geometry.in_elements());
    let collect = |share: Part| launch(problem, elements, &[share, part!("pool_gradient.wgsl")], caps);
    let (read, write) = (Binding::Read(Operand::Gradient), Binding::Write(Operand::Output));
    let (name, steps, scratch) = match function {
        PoolFunction::Max => {
            let choice = launch(problem, windows, &[part!("pool_choice.wgsl")], caps)?;
            let choice = Dispatch {
                bindings: vec![Binding::Read(Operand::Input), Binding::Write(Operand::Scratch(0))],
                ..choice
            };
            let collect = Dispatch {
                bindings: vec![read, write, Binding::Read(Operand::Scratch(0))],
                ..collect(part!("lib/pool_gradient_max.wgsl"))?
            };
            ("max", vec![choice, collect], vec![4 * windows])
        }
        PoolFunction::Average | PoolFunction::AveragePadded { .. } => {
            let collect = Dispatch { bindings: vec![read, write], ..collect(part!("lib/pool_gradient_average.wgsl"))? };
            ("average", vec![collect], vec![])
        }
    };
    Ok(vec![Plan::new("pool_gradient", format!("{name}_{dtype}x1_{WORKGROUP}"), steps).with_scratch(scratch)])
}

fn launch(problem: &PoolGradientProblem, items: u64, parts: &[Part], caps: &Caps) -> Result<Dispatch> {
    let PoolProblem { geometry, dtype, data_format, .. } = problem.of;
    let [d, h, w] = geometry.axes;
    let [[begin_d, end_d], [begin_h, end_h], [begin_w, end_w]] = counted(&problem.of);
    let params = PoolGradientParams {
        items: item_count(items)?,
        channels: geometry.out_channels,
        in_d: d.input,
        in_h: h.input,
        in_w: w.input,
        out_d: d.output,
        out_h: h.output,
        out_w: w.output,
        pad_d: d.pad_before,
        pad_h: h.pad_before,
        pad_w: w.pad_before,
        begin_d,
        begin_h,
        begin_w,
        end_d,
        end_h,
        end_w,
    };
    let mut constants = accumulator(dtype, 1);
    constants.push(("CHANNELS_LAST", Constant::Bool(data_format == DataFormat::ChannelsLast)));
    constants.extend(window_constants(&geometry));
    Ok(Dispatch {
        shader: Shader {
            params: PoolGradientParams::WGSL,
            activation: None,
            constants,
            parts: [&[INDEX, VOLUME], parts].concat(),
        },
        params: params.words(),
        workgroups: workgroups(items, caps)?,
        bindings: vec![],
        turns: geometry.taps(),
    })
}
