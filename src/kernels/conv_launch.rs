//! One convolution shader's launch: its uniform block, its constants and parts, and how it reads its operands.
//!
//! A shader of a convolution is put together from parts: its own file, an address formula, an activation, a way to read
//! the input (a buffer or a texture, scalars or vectors) and a way to add a residual. All convolution kernels choose
//! these in the same manner. So a kernel says what is its own (`ConvLaunch`: its file, its tile as constants, how many
//! invocations it wants) and gets the dispatch.

use super::{accumulator_of, channels_in_fours, item_count, packing};
use crate::geometry::ConvGeometry;
use crate::plan::{
    Binding, Caps, Constant, ConvProblem, Direction, Dispatch, Epilogue, IMAGE, INDEX, Operand, Part, Shader, Texel,
    params, part,
};
use crate::{DType, DataFormat, Result};

params! {
    /// The uniform block of every convolution shader; `in` and `out` are of what it reads and writes, where `in_h` and `out_h`
    /// count the rows of all depths.
    ConvParams {
        /// Invocations, or workgroups that work as one, with work to do.
        items,
        batch,
        groups,
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
        /// What of the output comes before that which the launch computes, counted as `items` are.
        first,
        in_d,
        /// Rows at one depth.
        in_height,
        out_height,
        pad_d,
    }
}

/// What a convolution's shader reads its input by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InputAccess {
    /// A buffer that it declares itself.
    Own,
    /// `input_four`, whatever the layout.
    Fours,
    /// `input_at`, which gives as many values as the shader has lanes.
    Lanes,
}

/// A launch: what differs between the kernels.
pub(super) struct ConvLaunch<'a> {
    /// Scalars per vector.
    pub(super) lanes: u32,
    /// Scalars that are stored at once.
    pub(super) stores: u32,
    pub(super) input: InputAccess,
    /// Whether it reads its kernel by `kernel_at`, which gives as many values as it has lanes.
    pub(super) kernel_at: bool,
    /// The kernel's own parts.
    pub(super) parts: &'a [Part],
    /// The kernel's own constants.
    pub(super) constants: &'a [(&'static str, Constant)],
    /// Invocations, or workgroups that work as one, with work to do.
    pub(super) items: u64,
    pub(super) workgroups: [u32; 3],
    /// Turns of loops that its busiest invocation runs.
    pub(super) turns: u64,
}

impl ConvLaunch<'_> {
    pub(super) fn dispatch(&self, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        self.dispatch_from(0, problem, caps)
    }

    /// The launch where it computes the output from its item `first` on.
    pub(super) fn dispatch_from(&self, first: u64, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        self.dispatch_on((problem.read_elements(), problem.dtype), first, problem, caps)
    }

    /// The launch where it only makes the scratch buffer `index`, of the input alone.
    pub(super) fn begin(&self, index: usize, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        let launch = self.dispatch(&ConvProblem { epilogue: Epilogue::NONE, ..*problem }, caps)?;
        Ok(Dispatch { bindings: vec![launch.bindings[0], Binding::Write(Operand::Scratch(index))], ..launch })
    }

    /// The launch where its input is the `elements` that earlier ones have left in the first scratch buffer, sums in f32.
    pub(super) fn finish(&self, elements: u64, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        Ok(self.dispatch_on((elements, DType::F32), 0, problem, caps)?.rebound(from_scratch))
    }

    /// The launch on an input of so many elements of a type, from item `first` of the output on.
    fn dispatch_on(&self, input: (u64, DType), first: u64, problem: &ConvProblem, caps: &Caps) -> Result<Dispatch> {
        let ConvGeometry { batch, groups, axes: [d, h, w], .. } = problem.geometry;
        let [in_c, in_d, in_height, in_w] = problem.read();
        let [out_c, out_d, out_height, out_w] = problem.written();
        let [act_0, act_1, act_2] = problem.epilogue.activation.parameters();
        let params = ConvParams {
            items: item_count(self.items)?,
            batch,
            groups,
            in_h: in_d.saturating_mul(in_height),
            in_w,
            in_c,
            out_h: out_d.saturating_mul(out_height),
            out_w,
            out_c,
            group_in: in_c / groups,
            group_out: out_c / groups,
            pad_h: h.pad_before,
            pad_w: w.pad_before,
            act_0,
            act_1,
            act_2,
            first: item_count(first)?,
            in_d,
            in_height,
            out_height,
            pad_d: d.pad_before,
        };
        let (mut constants, vectors) = vectors(problem.dtype, self.lanes, caps);
        constants.extend([
            ("CHANNELS_LAST", Constant::Bool(problem.data_format == DataFormat::ChannelsLast)),
            ("HAS_BIAS", Constant::Bool(problem.epilogue.bias)),
            ("FUSED", Constant::Bool(!caps.samples_texels)),
        ]);
        constants.extend(row_constants(&problem.geometry));
        constants.extend_from_slice(self.constants);
        let (sources, [input, kernel]) = self.sources(input, problem, caps, &mut constants);
        let mut bindings = vec![input, kernel, Binding::Read(Operand::Bias), Binding::Write(Operand::Output)];
        let residual = if problem.epilogue.residual {
            constants.push(("Residual", Constant::Type(problem.dtype.name(), self.stores)));
            constants.push(("ResidualAcc", Constant::Type("f32", self.stores)));
            bindings.push(Binding::Read(Operand::Other));
            part!("lib/residual.wgsl")
        } else {
            part!("lib/residual_none.wgsl")
        };
        let activation = problem.epilogue.activation.parts();
        let rows = match problem.direction {
            Direction::Forward => &[rows(&problem.geometry)][..],
            Direction::BackwardInput => &[],
        };
        let shader = Shader {
            params: ConvParams::WGSL,
            activation: Some(problem.epilogue.activation.function()),
            constants,
            parts: [&[INDEX, IMAGE, vectors], activation, &[residual], &sources, rows, self.parts].concat(),
        };
        Ok(Dispatch { shader, params: params.words(), workgroups: self.workgroups, bindings, turns: self.turns })
    }

    /// The parts that read an input of so many elements of a type and the kernel, and the bindings they read them by: textures
    /// where those are faster and large enough, whose types are added to `constants`.
    fn sources(
        &self,
        (elements, dtype): (u64, DType),
        problem: &ConvProblem,
        caps: &Caps,
        constants: &mut Vec<(&'static str, Constant)>,
    ) -> (Vec<Part>, [Binding; 2]) {
        let mut bindings = [Binding::Read(Operand::Input), Binding::Read(Operand::Kernel)];
        let wide = match self.input {
            InputAccess::Own => return (Vec::new(), bindings),
            InputAccess::Fours => channels_in_fours(problem)[0],
            InputAccess::Lanes => self.lanes == 4,
        };
        let texel = |dtype, wide| Texel { dtype, lanes: if wide { 4 } else { 1 } };
        let (input, kernel) = (texel(dtype, wide), texel(problem.dtype, self.lanes == 4));
        let texels = [(elements, input), (packing::filled(&problem.geometry), kernel)];
        let texels = texels.map(|(elements, texel)| caps.texels(elements, texel));
        let as_texels = texels[0].is_some() && (!self.kernel_at || texels[1].is_some());
        let mut parts = vec![match (as_texels, wide) {
            (true, true) => part!("lib/input_texels.wgsl"),
            (true, false) => part!("lib/input_texels_scalars.wgsl"),
            (false, _) if dtype != problem.dtype => part!("lib/input_sums.wgsl"),
            (false, false) if self.lanes == 4 => part!("lib/input_buffer_scalars.wgsl"),
            (false, _) => part!("lib/input_buffer.wgsl"),
        }];
        if self.input == InputAccess::Fours {
            parts.push(if wide { part!("lib/input_vectors.wgsl") } else { part!("lib/input_scalars.wgsl") });
        }
        if self.kernel_at {
            parts.push(match (as_texels, self.lanes) {
                (true, 4) => part!("lib/kernel_texels.wgsl"),
                (true, _) => part!("lib/kernel_texels_scalars.wgsl"),
                (false, _) => part!("lib/kernel_buffer.wgsl"),
            });
        }
        if as_texels {
            parts.push(part!("lib/texels.wgsl"));
            let types = ["InputTexels", "KernelTexels"].into_iter().zip(texels).take(1 + usize::from(self.kernel_at));
            constants.extend(types.filter_map(|(name, texels)| Some((name, Constant::Type(texels?, 1)))));
            constants.push(("TEXEL_ROW", Constant::U32(Texel::ROW)));
            bindings[0] = Binding::Texels(Operand::Input, input);
            if self.kernel_at {
                bindings[1] = Binding::Texels(Operand::Kernel, kernel);
            }
        }
        (parts, bindings)
    }
}

/// The element types of a shader that computes on vectors of `lanes` scalars, the size of its workgroups, and the part that says
/// how vectors lie in memory.
pub(super) fn vectors(dtype: DType, lanes: u32, caps: &Caps) -> (Vec<(&'static str, Constant)>, Part) {
    let as_u64 = caps.software && caps.u64 && lanes == 4 && dtype == DType::F32;
    let (stored, part) = if as_u64 {
        (Constant::Type("u64", 2), part!("lib/vectors_u64.wgsl"))
    } else {
        (Constant::Type(dtype.name(), lanes), part!("lib/vectors.wgsl"))
    };
    (accumulator_of(stored, dtype, lanes), part)
}

/// How a shader stores what is computed of tensors of `dtype` where that stays f32.
pub(super) fn sums(dtype: DType) -> Part {
    if dtype == DType::F32 { part!("lib/sums_packed.wgsl") } else { part!("lib/sums_plain.wgsl") }
}

/// How a shader walks down the rows of its windows.
pub(super) fn rows(geometry: &ConvGeometry) -> Part {
    if geometry.plane().is_some() { part!("lib/rows.wgsl") } else { part!("lib/rows_deep.wgsl") }
}

/// The constants of windows whose rows of all depths are walked as one run.
pub(super) fn row_constants(geometry: &ConvGeometry) -> impl Iterator<Item = (&'static str, Constant)> {
    let [d, h, _] = geometry.axes.map(|axis| axis.kernel);
    [("KERNEL_ROWS", Constant::U32(d.saturating_mul(h)))].into_iter().chain(window_constants(geometry))
}

/// The constants of windows: their taps, strides and dilations.
pub(super) fn window_constants(geometry: &ConvGeometry) -> [(&'static str, Constant); 9] {
    let [d, h, w] = geometry.axes;
    [
        ("KERNEL_D", d.kernel),
        ("KERNEL_H", h.kernel),
        ("KERNEL_W", w.kernel),
        ("STRIDE_D", d.stride),
        ("STRIDE_H", h.stride),
        ("STRIDE_W", w.stride),
        ("DILATION_D", d.dilation),
        ("DILATION_H", h.dilation),
        ("DILATION_W", w.dilation),
    ]
    .map(|(name, value)| (name, Constant::U32(value)))
}

/// The tensors of a launch whose input is what an earlier one has left in the first scratch buffer.
pub(super) fn from_scratch(operand: Operand) -> Operand {
    if operand == Operand::Input { Operand::Scratch(0) } else { operand }
}
