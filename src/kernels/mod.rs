//! The menu: every way to solve a problem, as plans.
//!
//! # Recipe: add a kernel
//! 1. `shaders/<stem>.wgsl`, with a head comment that gives its index formula and its constants.
//! 2. `src/kernels/<stem>.rs`: `plans(problem, caps)`, empty when the kernel does not apply.
//! 3. One line in [`candidates`]. Tests, benches and the choice find it by themselves.

mod along_axis;
mod cast;
mod conv_depthwise;
mod conv_direct;
mod map;

use crate::geometry::ConvGeometry;
use crate::plan::{
    ACTIVATION, Binding, Caps, Constant, ConvProblem, Dispatch, IMAGE, INDEX, Operand, Part, Plan, Problem, Shader, params,
};
use crate::{DType, DataFormat, Error, Result};

/// Every plan that solves `problem` within `caps`, best guess first. The last of a convolution is always `conv_direct`.
///
/// # Errors
/// [`Error::Unsupported`] for f16 where `caps` has none, [`Error::Limit`] for sizes that no shader here can address.
pub fn candidates(problem: &Problem, caps: &Caps) -> Result<Vec<Plan>> {
    match problem {
        Problem::Conv(problem) => {
            check(problem)?;
            let mut plans = conv_depthwise::plans(problem, caps)?;
            plans.extend(conv_direct::plans(problem, caps)?);
            Ok(plans)
        }
        Problem::Map(problem) => map::plans(problem, caps),
        Problem::AlongAxis(problem) => along_axis::plans(problem, caps),
        Problem::Cast(problem) => cast::plans(problem, caps),
    }
}

/// # Errors
/// [`Error::Limit`] where an element or a coordinate cannot be numbered in a shader's 32 bits.
fn check(problem: &ConvProblem) -> Result<()> {
    let geometry = &problem.geometry;
    for elements in [geometry.in_elements(), geometry.kernel_elements(), geometry.out_elements()] {
        if elements > u64::from(u32::MAX) {
            return Err(Error::limit("elements of one tensor", elements, u32::MAX.into()));
        }
    }
    for axis in &geometry.axes {
        let reach = u64::from(axis.output) * u64::from(axis.stride) + axis.effective_kernel();
        if reach > i32::MAX as u64 {
            return Err(Error::limit("positions along a padded axis", reach, i32::MAX as u64));
        }
    }
    Ok(())
}

params! {
    /// The uniform block of every convolution shader.
    ConvParams {
        /// Invocations with work to do.
        items,
        batch,
        in_h,
        in_w,
        in_c,
        out_h,
        out_w,
        out_c,
        group_in,
        group_out,
        pad_h,
        pad_w,
        /// Bits of the activation's parameters.
        act_0,
        act_1,
        act_2,
    }
}

const CONV_BINDINGS: &[Binding] = &[
    Binding::Read(Operand::Input),
    Binding::Read(Operand::Kernel),
    Binding::Read(Operand::Bias),
    Binding::Write(Operand::Output),
];

/// Invocations of one workgroup where nothing is shared: a multiple of every subgroup size.
const WORKGROUP: u32 = 64;

/// One dispatch of a convolution shader of `lanes` scalars per vector, over `items` invocations.
fn conv_dispatch(
    problem: &ConvProblem,
    caps: &Caps,
    file: Part,
    lanes: u32,
    items: u64,
    extra: &[(&'static str, Constant)],
) -> Result<Dispatch> {
    let ConvGeometry { batch, in_channels, out_channels, axes: [h, w], .. } = problem.geometry;
    let [act_0, act_1, act_2] = problem.epilogue.activation.parameters();
    let params = ConvParams {
        items: item_count(items)?,
        batch,
        in_h: h.input,
        in_w: w.input,
        in_c: in_channels,
        out_h: h.output,
        out_w: w.output,
        out_c: out_channels,
        group_in: problem.geometry.group_in(),
        group_out: problem.geometry.group_out(),
        pad_h: h.pad_before,
        pad_w: w.pad_before,
        act_0,
        act_1,
        act_2,
    };
    let mut constants = accumulator(problem.dtype, lanes);
    constants.extend([
        ("CHANNELS_LAST", Constant::Bool(problem.data_format == DataFormat::ChannelsLast)),
        ("HAS_BIAS", Constant::Bool(problem.epilogue.bias)),
        ("KERNEL_H", Constant::U32(h.kernel)),
        ("KERNEL_W", Constant::U32(w.kernel)),
        ("STRIDE_H", Constant::U32(h.stride)),
        ("STRIDE_W", Constant::U32(w.stride)),
        ("DILATION_H", Constant::U32(h.dilation)),
        ("DILATION_W", Constant::U32(w.dilation)),
    ]);
    constants.extend_from_slice(extra);
    let shader = Shader {
        params: ConvParams::WGSL,
        activation: Some(problem.epilogue.activation.function()),
        constants,
        parts: vec![INDEX, IMAGE, ACTIVATION, file],
    };
    Ok(Dispatch { shader, params: params.words(), workgroups: workgroups(items, caps)?, bindings: CONV_BINDINGS })
}

/// The element types of a shader that computes on vectors of `lanes` scalars, and the size of its workgroups.
fn accumulator(dtype: DType, lanes: u32) -> Vec<(&'static str, Constant)> {
    vec![
        ("WORKGROUP", Constant::U32(WORKGROUP)),
        ("LANES", Constant::U32(lanes)),
        ("Elem", Constant::Type(dtype.name(), 1)),
        ("Vec", Constant::Type(dtype.name(), lanes)),
        ("Acc", Constant::Type("f32", lanes)),
        ("AccBits", Constant::Type("u32", lanes)),
    ]
}

/// Workgroups of [`WORKGROUP`] invocations for `items` of them.
fn workgroups(items: u64, caps: &Caps) -> Result<[u32; 3]> {
    caps.fold(items.div_ceil(WORKGROUP.into()))
}

/// `items` as the shaders count them; a whole last workgroup must be countable too.
fn item_count(items: u64) -> Result<u32> {
    u32::try_from(items + u64::from(WORKGROUP))
        .map(|padded| padded - WORKGROUP)
        .map_err(|_| Error::limit("invocations of one dispatch", items, u64::from(u32::MAX - WORKGROUP)))
}
