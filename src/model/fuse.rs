//! Rewriting a tape so that less runs: scales and shifts go into the kernels before them, activations and additions into
//! the store of the operation that makes their input.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ops::{Kernel, Operands, Storage, Tape, Value};
use crate::plan::{BinaryFunction, ConvProblem, Direction, Elementwise, Epilogue, Problem};
use crate::{DataFormat, Result, Shape};

/// Kernels and biases that scales and shifts were folded into, by the addresses of what they were made of, so that
/// programs of one model share them.
pub(super) type Folded = HashMap<[usize; 4], Fold>;

/// A folded kernel and bias, and what they were made of: kept, so that the addresses stay theirs.
pub(super) struct Fold {
    made: [Option<Arc<Kernel>>; 2],
    _of: [Option<Arc<Kernel>>; 4],
}

/// Fuses what can be, so that `outputs` are as they were but for rounding.
pub(super) fn fuse(tape: &mut Tape, outputs: &[Value], folded: &mut Folded) {
    pad(tape);
    drop_unread(tape, outputs);
    let mut index = 0;
    while index < tape.steps.len() {
        let fused = match tape.maker(outputs, index, tape.steps[index].operands.input) {
            Some(maker) => fold(tape, maker, index, folded) || activate(tape, maker, index),
            None => false,
        };
        if fused || add(tape, outputs, index) {
            tape.steps.remove(index);
        } else {
            index += 1;
        }
    }
}

/// Lets convolutions of zero-padded images read the images themselves.
///
/// A step that is computed as a convolution need not be one over that picture: batch normalization of `[2, 6, 6, 4]` runs over
/// 72 pixels in a row, and has nowhere to pad. So the convolution must see the padded picture as it is.
fn pad(tape: &mut Tape) {
    for index in 0..tape.steps.len() {
        let step = &tape.steps[index];
        let (Problem::Conv(conv), Some(&pad)) = (step.problem, tape.pad_of(step.operands.input)) else { continue };
        if conv.direction != Direction::Forward || !sees(&conv, tape.shape(pad.padded), pad.data_format) {
            continue;
        }
        let (_, _, extents) = pad.data_format.split::<_, 2>(tape.shape(pad.source).dims());
        let mut geometry = conv.geometry;
        for ((axis, extent), before) in geometry.axes.iter_mut().zip(extents).zip(pad.before) {
            axis.input = extent as u32;
            axis.pad_before += before;
        }
        tape.steps[index].problem = Problem::Conv(ConvProblem { geometry, ..conv });
        tape.steps[index].operands.input = pad.source;
    }
}

/// Whether what a convolution reads is the picture of this shape: its images, rows, columns and channels, as they lie.
fn sees(problem: &ConvProblem, shape: &Shape, data_format: DataFormat) -> bool {
    let (batch, channels, [height, width]) = data_format.split::<_, 2>(shape.dims());
    let read = problem.read().map(|extent| extent as usize);
    problem.data_format == data_format && problem.geometry.batch as usize == batch && read == [channels, height, width]
}

/// Takes away the steps whose results nothing reads.
fn drop_unread(tape: &mut Tape, outputs: &[Value]) {
    let mut read: HashSet<Storage> = outputs.iter().map(|&output| tape.storage(output)).collect();
    for index in (0..tape.steps.len()).rev() {
        let step = &tape.steps[index];
        if read.contains(&tape.storage(step.output)) {
            let Operands { input, other, .. } = step.operands;
            read.extend([Some(input), other].into_iter().flatten().map(|value| tape.storage(value)));
        } else {
            tape.steps.remove(index);
        }
    }
}

/// Folds the scale and shift of step `index` into the convolution `maker`.
fn fold(tape: &mut Tape, maker: usize, index: usize, folded: &mut Folded) -> bool {
    let (Problem::Conv(conv), Problem::Conv(scale)) = (tape.steps[maker].problem, tape.steps[index].problem) else {
        return false;
    };
    if !takes_more(&conv) || !is_scale(&scale) || channel_run(&conv) != channel_run(&scale) {
        return false;
    }
    let [first, second] = [maker, index].map(|step| tape.steps[step].operands.clone());
    let (Some(kernel), Some(scales)) = (&first.kernel, &second.kernel) else { return false };
    let Some(run) = conv.kernel_run() else { return false };
    let of = [Some(kernel.clone()), first.bias.clone(), Some(scales.clone()), second.bias.clone()];
    let addresses = of.each_ref().map(|kernel| kernel.as_ref().map_or(0, |kernel| Arc::as_ptr(kernel).addr()));
    let made = match folded.get(&addresses) {
        Some(fold) => fold.made.clone(),
        None => match scaled([kernel, scales], [first.bias.as_ref(), second.bias.as_ref()], run) {
            Ok(made) => folded.entry(addresses).or_insert(Fold { made, _of: of }).made.clone(),
            // A kernel that no operation can scale is left as it is.
            Err(_) => return false,
        },
    };
    let [kernel, bias] = made;
    let output = tape.steps[index].output;
    let step = &mut tape.steps[maker];
    let epilogue = Epilogue { bias: bias.is_some(), ..scale.epilogue };
    step.operands.kernel = kernel;
    step.operands.bias = bias;
    step.problem = Problem::Conv(ConvProblem { epilogue, ..conv });
    step.output = output;
    true
}

/// Whether a convolution's kernel and epilogue can take in what follows.
fn takes_more(problem: &ConvProblem) -> bool {
    problem.epilogue.activation == Elementwise::LINEAR && !problem.epilogue.residual
}

/// Whether a convolution does no more than multiply each channel by a number, and add one.
fn is_scale(problem: &ConvProblem) -> bool {
    problem.geometry.is_depthwise() && problem.geometry.is_pointwise() && !problem.epilogue.residual
}

/// How the output's channels lie: how many there are, and how many elements in a row are of one.
fn channel_run(problem: &ConvProblem) -> (u32, u32) {
    let [channels, height, width] = problem.written();
    match problem.data_format {
        DataFormat::ChannelsLast => (channels, 1),
        DataFormat::ChannelsFirst => (channels, height * width),
    }
}

/// The kernel and the bias of `(x · kernel + bias) · scale + shift`; `run` neighbours in the kernel share a scale.
fn scaled(
    [kernel, scale]: [&Arc<Kernel>; 2],
    [bias, shift]: [Option<&Arc<Kernel>>; 2],
    run: usize,
) -> Result<[Option<Arc<Kernel>>; 2]> {
    let bias = match (bias.map(|bias| bias.scaled(scale, 1)).transpose()?, shift) {
        (Some(bias), Some(shift)) => Some(Kernel::binary(BinaryFunction::Add, &bias, shift, Elementwise::LINEAR)?),
        (bias, shift) => bias.or_else(|| shift.cloned()),
    };
    Ok([Some(kernel.scaled(scale, run)?), bias])
}

/// Moves the activation that is step `index` into the store of the step `maker`.
fn activate(tape: &mut Tape, maker: usize, index: usize) -> bool {
    let Problem::Map(map) = tape.steps[index].problem else { return false };
    let output = tape.steps[index].output;
    let step = &mut tape.steps[maker];
    let activation = match &mut step.problem {
        Problem::Conv(conv) => &mut conv.epilogue.activation,
        Problem::Binary(binary) => &mut binary.activation,
        _ => return false,
    };
    if *activation != Elementwise::LINEAR {
        return false;
    }
    *activation = map.activation;
    step.output = output;
    true
}

/// Moves the addition that is step `index` into the store of a convolution that makes one of its sides. The convolution
/// then stands where the addition stood, behind the other side; step `index` is left to be taken away.
fn add(tape: &mut Tape, outputs: &[Value], index: usize) -> bool {
    let step = tape.steps[index].clone();
    let (Problem::Binary(sum), Some(right)) = (step.problem, step.operands.other) else { return false };
    let left = step.operands.input;
    let alike = tape.shape(left) == tape.shape(right) && tape.shape(left) == tape.shape(step.output);
    if sum.function != BinaryFunction::Add || !alike {
        return false;
    }
    for (side, residual) in [(left, right), (right, left)] {
        let Some(maker) = tape.maker(outputs, index, side) else { continue };
        let Problem::Conv(conv) = tape.steps[maker].problem else { continue };
        if takes_more(&conv) {
            let mut moved = tape.steps[maker].clone();
            let epilogue = Epilogue { residual: true, activation: sum.activation, ..conv.epilogue };
            moved.problem = Problem::Conv(ConvProblem { epilogue, ..conv });
            moved.operands.other = Some(residual);
            moved.output = step.output;
            tape.steps[index] = moved;
            tape.steps[maker..=index].rotate_left(1);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{ConvArgs, Numbers, Pad, Side, activate, binary, conv, scale_and_shift};
    use crate::plan::MapProblem;
    use crate::{Activation, Axis, ConvGeometry, DType};

    fn kernel(shape: &[usize], value: f32) -> Arc<Kernel> {
        let values = vec![value; shape.iter().product()];
        Kernel::of_values(shape, values, Numbers { dtype: DType::F32, rounding: None })
    }

    /// A 3×3 convolution of 4 to 4 channels, without a bias.
    fn convolved(tape: &mut Tape, input: Value) -> Value {
        let [height, width] = [1, 2].map(|axis| tape.shape(input).dims()[axis] as u32);
        let axis = |input: u32| Axis { input, output: input - 2, kernel: 3, stride: 1, dilation: 1, pad_before: 0 };
        let axes = [axis(height), axis(width)];
        let geometry = ConvGeometry { batch: 2, groups: 1, in_channels: 4, out_channels: 4, axes };
        let (data_format, activation) = (DataFormat::ChannelsLast, Activation::Linear);
        let args = ConvArgs { geometry, direction: Direction::Forward, data_format, activation };
        conv(tape, &args, input, &kernel(&[3, 3, 4, 4], 3.0), None).unwrap()
    }

    fn normalized(tape: &mut Tape, input: Value) -> Value {
        scale_and_shift(tape, -1, input, &kernel(&[4], 2.0), Some(&kernel(&[4], 5.0))).unwrap()
    }

    fn input(tape: &mut Tape) -> Value {
        tape.input([2, 9, 7, 4].into(), DType::F32).unwrap()
    }

    fn added(tape: &mut Tape, left: Value, right: Value) -> Value {
        binary(tape, BinaryFunction::Add, Side::Value(left), Side::Value(right), Elementwise::LINEAR).unwrap()
    }

    /// The convolutions that are left, each with whether it adds a residual, and whether it ends with an activation.
    fn convolutions(tape: &Tape) -> Vec<(bool, bool)> {
        let problems = tape.steps.iter().map(|step| step.problem);
        problems
            .map(|problem| match problem {
                Problem::Conv(conv) => (conv.epilogue.residual, conv.epilogue.activation != Elementwise::LINEAR),
                other => panic!("{other:?} is left"),
            })
            .collect()
    }

    #[test]
    fn a_residual_block_is_its_convolutions() {
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let shortcut = convolved(&mut tape, x);
        let shortcut = normalized(&mut tape, shortcut);
        let branch = convolved(&mut tape, x);
        let branch = normalized(&mut tape, branch);
        let sum = added(&mut tape, shortcut, branch);
        let y = activate(&mut tape, &Activation::RELU, sum).unwrap();
        fuse(&mut tape, &[y], &mut Folded::new());
        assert_eq!(convolutions(&tape), [(false, false), (true, true)]);
        let last = &tape.steps[1];
        assert_eq!(tape.storage(last.output), tape.storage(y));
        assert_eq!(last.operands.other.map(|other| tape.storage(other)), Some(tape.storage(tape.steps[0].output)));
        for step in &tape.steps {
            let shapes = [&step.operands.kernel, &step.operands.bias].map(|kernel| kernel.as_ref().unwrap().shape());
            assert_eq!(shapes, [&[3, 3, 4, 4].into(), &[4].into()]);
        }
    }

    #[test]
    fn what_somebody_else_reads_stays() {
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let first = convolved(&mut tape, x);
        let y = activate(&mut tape, &Activation::RELU, first).unwrap();
        let mut seen = tape.clone();
        fuse(&mut tape, &[y], &mut Folded::new());
        assert_eq!(convolutions(&tape), [(false, true)]);
        fuse(&mut seen, &[first, y], &mut Folded::new());
        assert_eq!(seen.steps.len(), 2, "an output keeps its own values");
        // A value added to itself is read twice by one step.
        let mut tape = Tape::default();
        let x = input(&mut tape);
        let once = convolved(&mut tape, x);
        let twice = added(&mut tape, once, once);
        fuse(&mut tape, &[twice], &mut Folded::new());
        assert_eq!(tape.steps.len(), 2);
    }

    /// `source` with two rows above it, one below and a column after it.
    fn padded(tape: &mut Tape, source: Value) -> Value {
        let padded = tape.uninitialized([2, 12, 8, 4].into(), DType::F32).unwrap();
        let padding = MapProblem { elements: 768, dtype: DType::F32, activation: Elementwise::LINEAR };
        tape.step_into(Problem::Map(padding), source, padded);
        tape.note_pad(Pad { padded, source, data_format: DataFormat::ChannelsLast, before: [2, 0] });
        padded
    }

    #[test]
    fn padding_stays_before_what_sees_no_picture() {
        let mut tape = Tape::default();
        let source = input(&mut tape);
        let picture = padded(&mut tape, source);
        let y = normalized(&mut tape, picture);
        fuse(&mut tape, &[y], &mut Folded::new());
        assert_eq!(tape.steps.len(), 2);
        assert_eq!(tape.steps[1].operands.input, picture);
    }

    #[test]
    fn padding_goes_into_the_convolution() {
        let mut tape = Tape::default();
        let source = input(&mut tape);
        let picture = padded(&mut tape, source);
        let y = convolved(&mut tape, picture);
        fuse(&mut tape, &[y], &mut Folded::new());
        let [step] = &tape.steps[..] else { panic!("{} steps", tape.steps.len()) };
        let Problem::Conv(conv) = step.problem else { panic!("{:?}", step.problem) };
        let [height, width] = conv.geometry.axes;
        assert_eq!((height.input, height.output, height.pad_before), (9, 10, 2));
        assert_eq!((width.input, width.output, width.pad_before), (7, 6, 0));
        assert_eq!(step.operands.input, source);
    }
}
