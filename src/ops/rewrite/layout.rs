//! Channels last, inside of a network whose pictures have them first (layout propagation).
//!
//! PyTorch and most ONNX files keep the channels of a picture before its rows (NCHW). The kernels here read four neighbouring
//! channels at once, which lie together only where the channels are last (NHWC): the same network runs up to three times as
//! fast so. This rule moves the channels of the first picture to the end, lets every step behind it work there, and moves them
//! back where something needs them first: an output of the network, or a step that is no step on pictures.
//!
//! ```text
//! %1 = Conv first (%0)             %1 = Move %0            %0 comes from outside, with its channels first
//! %2 = Map relu (%1)        →      %2 = Conv last (%1)
//! %3 = Conv first (%2)             %3 = Map relu (%2)
//!                                  %4 = Conv last (%3)
//!                                  %5 = Move %4            the output, with its channels first again
//! ```
//!
//! Convolutions, the zeros around their pictures, poolings and resizings lead: from them on the channels are last. A step that
//! works on elements, or that only moves them, follows what it reads. Where too little is led for what has to be moved, all
//! stays as it is.

use std::collections::HashMap;

use crate::Result;
use crate::geometry::product;
use crate::ops::tape::StorageIndex;
use crate::ops::{Read, Step, Tape, Value, ZeroPadded};
use crate::plan::{
    AxisProblem, BinaryProblem, ConvProblem, MOST_AXES, MoveAxis, MoveProblem, Operand, Outside, PairSides,
    PoolProblem, Problem, Reach, ResizeProblem,
};
use crate::{DType, DataFormat, Shape};

/// Elements that leading steps read and write for each that is moved, below which the channels stay first.
const WORTHWHILE: u64 = 4;

/// What a tensor holds: so many pictures, each `[channels, pixels]`, or `[pixels, channels]` with the channels last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pictures {
    batch: u32,
    channels: u32,
    pixels: u32,
}

impl Pictures {
    /// Pictures of so many pixels; `None` where there are none, and where the elements of one cannot be stepped over.
    fn new(batch: u32, channels: u32, extents: impl IntoIterator<Item = u32>) -> Option<Self> {
        let pixels = u32::try_from(product(extents)).ok()?;
        let pictures = Self { batch, channels, pixels };
        let one = product([channels, pixels]);
        (pictures.elements() > 0 && i32::try_from(one).is_ok()).then_some(pictures)
    }

    /// Those of a tensor of extents `dims`, channels first.
    fn of(dims: &[usize]) -> Option<Self> {
        let dims = dims.iter().map(|&extent| u32::try_from(extent).ok()).collect::<Option<Vec<_>>>()?;
        let [batch, channels, rest @ ..] = &dims[..] else { return None };
        Self::new(*batch, *channels, rest.iter().copied())
    }

    fn elements(self) -> u64 {
        product([self.batch, self.channels, self.pixels])
    }

    /// Whether the elements lie in one order wherever the channels are.
    fn is_alike(self) -> bool {
        self.channels <= 1 || self.pixels <= 1
    }

    /// Moves the channels from first to last, or back.
    fn moved(self, to: DataFormat, dtype: DType) -> Result<MoveProblem> {
        let Self { batch, channels, pixels } = self;
        let plain = |extent, from: u32, to| MoveAxis { extent, from: from as i32, to, reach: None };
        let picture = channels * pixels;
        let [outer, inner] = match to {
            DataFormat::ChannelsLast => [plain(pixels, 1, channels), plain(channels, pixels, 1)],
            DataFormat::ChannelsFirst => [plain(channels, 1, pixels), plain(pixels, channels, 1)],
        };
        MoveProblem::new(&[plain(batch, picture, picture), outer, inner], 0, Outside::ZERO, dtype)
    }
}

/// A step as it is with the channels last.
struct Relaid {
    problem: Problem,
    reads: Vec<(Operand, Pictures)>,
    writes: Pictures,
    /// Whether what it reads is to be relaid for it.
    leads: bool,
}

/// `step`, which works with the channels first, with them last; `None` where it does not, or where that is not known.
fn relaid(tape: &Tape, step: &Step) -> Option<Relaid> {
    let mut written = step.written();
    let (Some(output), None) = (written.next(), written.next()) else { return None };
    let input = step.value(Operand::Input)?;
    let dims = |value: Value| tape.shape(value).dims();
    let pictures = |batch: u32, [channels, extents @ ..]: [u32; 4]| Pictures::new(batch, channels, extents);
    let one = |problem, read, writes, leads| Relaid { problem, reads: vec![(Operand::Input, read)], writes, leads };
    let (first, data_format) = (DataFormat::ChannelsFirst, DataFormat::ChannelsLast);
    let relaid = match step.problem {
        Problem::Conv(conv) if conv.data_format == first && !conv.epilogue.residual => {
            let batch = conv.geometry.batch;
            let (read, writes) = (pictures(batch, conv.read())?, pictures(batch, conv.written())?);
            one(Problem::Conv(ConvProblem { data_format, ..conv }), read, writes, true)
        }
        Problem::Pool(pool) if pool.data_format == first => {
            let (batch, channels, axes) = (pool.geometry.batch, pool.geometry.in_channels, pool.geometry.axes);
            let read = Pictures::new(batch, channels, axes.map(|axis| axis.input))?;
            let writes = Pictures::new(batch, channels, axes.map(|axis| axis.output))?;
            one(Problem::Pool(PoolProblem { data_format, ..pool }), read, writes, true)
        }
        Problem::Resize(resize) if resize.data_format == first => {
            let read = Pictures::new(resize.batch, resize.channels, resize.input)?;
            let writes = Pictures::new(resize.batch, resize.channels, resize.output)?;
            one(Problem::Resize(ResizeProblem { data_format, ..resize }), read, writes, true)
        }
        problem @ (Problem::Map(_) | Problem::Cast(_)) => {
            let own = Pictures::of(dims(output)).filter(|_| dims(output) == dims(input))?;
            one(problem, own, own, false)
        }
        Problem::AlongAxis(axis) => {
            let (problem, read, writes) = relaid_axis(axis, Pictures::of(dims(input))?)?;
            one(Problem::AlongAxis(problem), read, writes, false)
        }
        Problem::Binary(binary) => relaid_binary(tape, step, binary, dims(output))?,
        Problem::Move(moved) => {
            let (read, writes) = (Pictures::of(dims(input))?, Pictures::of(dims(output))?);
            let problem = relaid_block(moved, read, writes).or_else(|| relaid_pixels(moved, read, writes))?;
            one(Problem::Move(problem), read, writes, tape.pad_of(output).is_some_and(|pad| is_of(pad, read)))
        }
        _ => return None,
    };
    let is_known = |(operand, _)| relaid.reads.iter().any(|(known, _)| *known == operand);
    step.values_read().all(is_known).then_some(relaid)
}

/// Whether `pad` puts zeros around these pictures, whose channels are first.
fn is_of(pad: &ZeroPadded, pictures: Pictures) -> bool {
    let [batch, channels] = [pictures.batch, pictures.channels].map(|extent| extent as usize);
    pad.data_format == DataFormat::ChannelsFirst && (pad.batch, pad.channels) == (batch, channels)
}

/// A function along the channels, or one that leaves a value of all pixels.
fn relaid_axis(problem: AxisProblem, read: Pictures) -> Option<(AxisProblem, Pictures, Pictures)> {
    let AxisProblem { function, outer, extent, inner, .. } = problem;
    let Pictures { batch, channels, pixels } = read;
    let along_channels = [outer, extent, inner] == [batch, channels, pixels];
    let along_pixels = [outer, extent, inner] == [batch * channels, pixels, 1] && function.output_extent(pixels) == 1;
    if along_channels {
        let writes = Pictures { channels: function.output_extent(channels), ..read };
        Some((AxisProblem { outer: batch * pixels, inner: 1, ..problem }, read, writes))
    } else {
        let writes = Pictures { pixels: 1, ..read };
        along_pixels.then_some((AxisProblem { outer: batch, inner: channels, ..problem }, read, writes))
    }
}

/// A function of two sides, each of which has channels and pixels or repeats them.
fn relaid_binary(tape: &Tape, step: &Step, problem: BinaryProblem, output: &[usize]) -> Option<Relaid> {
    let input = step.value(Operand::Input)?;
    let other = match problem.sides {
        PairSides::InputOther => step.value(Operand::Other).map(|value| tape.shape(value)),
        PairSides::InputKernel | PairSides::KernelInput => step.constant(Operand::Kernel).map(|kernel| kernel.shape()),
    };
    // As many axes as the output has.
    let whole = |shape: &Shape| {
        let missing = output.len().checked_sub(shape.rank())?;
        Some([&vec![1; missing][..], shape.dims()].concat())
    };
    let (input, other) = (whole(tape.shape(input))?, whole(other?)?);
    let last = |dims: &[usize]| match dims {
        [batch, channels, rest @ ..] => [&[*batch], rest, &[*channels]].concat(),
        short => short.to_vec(),
    };
    let [read, second, writes] = [Pictures::of(&input)?, Pictures::of(&other)?, Pictures::of(output)?];
    let mut reads = vec![(Operand::Input, read)];
    match problem.sides {
        PairSides::InputOther => reads.push((Operand::Other, second)),
        // A constant stays as it is.
        _ if !second.is_alike() => return None,
        _ => {}
    }
    let BinaryProblem { function, sides, activation, dtype, .. } = problem;
    let of_extents = |input: &[usize], other: &[usize]| {
        let (left, right) = if sides == PairSides::KernelInput { (other, input) } else { (input, other) };
        Some(BinaryProblem { activation, ..BinaryProblem::new(function, left, right, sides, dtype).ok()? })
    };
    let known = of_extents(&input, &other)? == problem;
    let problem = Problem::Binary(of_extents(&last(&input), &last(&other))?);
    known.then_some(Relaid { problem, reads, writes, leads: false })
}

/// Some channels of every picture, put among others: a part of a concatenation, or of a split.
fn relaid_block(problem: MoveProblem, read: Pictures, writes: Pictures) -> Option<MoveProblem> {
    let pixels = read.pixels;
    if (read.batch, read.pixels) != (writes.batch, writes.pixels) {
        return None;
    }
    let count = u32::try_from(problem.elements() / u64::from(read.batch) / u64::from(pixels)).ok()?;
    let [start, to] = [problem.input_offset / pixels, problem.output_offset / pixels];
    let reach = Some(Reach { source: read.channels, start: i32::try_from(start).ok()?, step: 1, repeat: 1 });
    let whole = |picture: u32, put: u32| MoveAxis { extent: read.batch, from: picture as i32, to: put, reach: None };
    let channels = |from: u32, to| MoveAxis { extent: count, from: from as i32, to, reach };
    let each = |from: u32, to| MoveAxis { extent: pixels, from: from as i32, to, reach: None };
    let MoveProblem { outside, dtype, .. } = problem;
    let [from, into] = [read.channels, writes.channels];
    let batch = whole(from * pixels, into * pixels);
    let first = MoveProblem::new(&[batch, channels(pixels, pixels), each(1, 1)], to * pixels, outside, dtype).ok()?;
    (first == problem)
        .then(|| MoveProblem::new(&[batch, each(from, into), channels(1, 1)], to, outside, dtype).ok())
        .flatten()
}

/// Pixels of every channel, put elsewhere: pads, crops, rows repeated.
fn relaid_pixels(problem: MoveProblem, read: Pictures, writes: Pictures) -> Option<MoveProblem> {
    let Pictures { batch, channels, pixels } = read;
    if (batch, channels) != (writes.batch, writes.channels) {
        return None;
    }
    let used = problem.axes.iter().rposition(|axis| *axis != MoveAxis::UNIT)?;
    let (inner, planes) = (&problem.axes[..used], problem.axes[used]);
    let own = MoveAxis { extent: batch * channels, from: pixels as i32, to: writes.pixels, reach: None };
    if planes != own || used + 2 > MOST_AXES {
        return None;
    }
    let wide = channels as i32;
    let spread = |axis: &MoveAxis| {
        Some(MoveAxis { from: axis.from.checked_mul(wide)?, to: axis.to.checked_mul(channels)?, ..*axis })
    };
    let picture =
        MoveAxis { extent: batch, from: (pixels * channels) as i32, to: writes.pixels * channels, reach: None };
    let mut axes = vec![picture];
    axes.extend(inner.iter().rev().map(spread).collect::<Option<Vec<_>>>()?);
    axes.push(MoveAxis { extent: channels, from: 1, to: 1, reach: None });
    let offsets = [problem.input_offset, problem.output_offset].map(|offset| offset.checked_mul(channels));
    let moved = MoveProblem::new(&axes, offsets[1]?, problem.outside, problem.dtype).ok()?;
    Some(MoveProblem { input_offset: moved.input_offset.checked_add(offsets[0]?)?, ..moved })
}

/// Turns the steps of `tape`, whose results are `outputs`, where that pays. A tape that holds weights as values, as in
/// training, stays as it is.
///
/// So does one with a tensor of more than `most` bytes, which no binding holds: steps on it are taken in parts, by planes where
/// the channels are first.
pub(super) fn apply(tape: &mut Tape, outputs: &[Value], most: u64) -> Result<()> {
    let is_large = |(_, value)| tape.bytes(value) > most;
    if !tape.variables().is_empty() || tape.steps.iter().flat_map(Step::values).any(is_large) {
        return Ok(());
    }
    let steps_relaid: Vec<_> = tape.steps.iter().map(|step| relaid(tape, step)).collect();
    if !steps_relaid.iter().flatten().any(|relaid| relaid.leads && !relaid.writes.is_alike()) {
        return Ok(());
    }
    let before = tape.clone();
    let mut relayout = Relayout::new(tape, outputs, &steps_relaid);
    for (step, relaid) in before.steps.iter().zip(steps_relaid) {
        relayout.step(step.clone(), relaid)?;
    }
    let Relayout { moved, led, .. } = relayout;
    if moved * WORTHWHILE > led {
        log::debug!("layout: channels stay first, {moved} elements would be moved for {led}");
        *tape = before;
    }
    Ok(())
}

/// A tape whose steps are being relaid in order.
struct Relayout<'a> {
    tape: &'a mut Tape,
    /// What each storage holds whose channels are last by now.
    relaid: Vec<Option<Pictures>>,
    /// Whether each storage may be relaid: somebody outside knows those that may not, or a step writes them that is not relaid.
    free: Vec<bool>,
    /// What the steps that write each storage read as pictures, one list for each step.
    sources: Vec<Vec<Vec<(StorageIndex, Pictures)>>>,
    /// Of a storage that several steps write, whether the first one was relaid.
    begun: HashMap<StorageIndex, bool>,
    /// The copies of such with their channels first.
    copies_first: HashMap<StorageIndex, Value>,
    /// The copies of others with their channels last.
    copies_last: HashMap<StorageIndex, (Pictures, Value)>,
    /// Elements that are moved from one format to the other.
    moved: u64,
    /// Elements that relaid steps that lead read and write.
    led: u64,
}

impl<'a> Relayout<'a> {
    fn new(tape: &'a mut Tape, outputs: &[Value], steps_relaid: &[Option<Relaid>]) -> Self {
        let storages = tape.storages();
        let (mut free, mut sources) = (vec![true; storages], vec![Vec::new(); storages]);
        for value in outputs.iter().chain(tape.inputs()) {
            free[tape.storage(*value).0] = false;
        }
        for (step, relaid) in tape.steps.iter().zip(steps_relaid) {
            for value in step.written() {
                let storage = tape.storage(value).0;
                let reads = relaid.iter().flat_map(|relaid| &relaid.reads);
                let read = |&(operand, pictures)| Some((tape.storage(step.value(operand)?), pictures));
                sources[storage].push(reads.filter_map(read).collect());
                free[storage] &= relaid.is_some();
            }
        }
        tape.steps.clear();
        Self {
            tape,
            relaid: vec![None; storages],
            free,
            sources,
            begun: HashMap::new(),
            copies_first: HashMap::new(),
            copies_last: HashMap::new(),
            moved: 0,
            led: 0,
        }
    }

    /// Takes over the next step.
    fn step(&mut self, mut step: Step, relaid: Option<Relaid>) -> Result<()> {
        let taken = relaid.filter(|relaid| self.takes(&step, relaid));
        if let Some(output) = step.written().next() {
            self.begun.entry(self.tape.storage(output)).or_insert(taken.is_some());
        }
        let Some(Relaid { problem, reads, writes, leads }) = taken else {
            let values: Vec<_> = step.values_read().collect();
            for (operand, value) in values {
                let first = self.first(&step, value)?;
                step.read(operand, Some(Read::Value(first)));
            }
            self.note_source(&step, None);
            self.tape.steps.push(step);
            return Ok(());
        };
        for (operand, pictures) in reads {
            let Some(value) = step.value(operand) else { continue };
            let last = self.last(&step, value, pictures)?;
            step.read(operand, Some(Read::Value(last)));
            self.led += if leads { pictures.elements() } else { 0 };
        }
        self.led += if leads { writes.elements() } else { 0 };
        step.problem = problem;
        let Some(output) = step.written().next() else { return Ok(()) };
        let storage = self.tape.storage(output);
        if writes.is_alike() || self.free[storage.0] {
            self.note_source(&step, Some(writes));
            self.relaid[storage.0] = (!writes.is_alike()).then_some(writes);
            self.tape.steps.push(step);
        } else {
            self.tape.forget_pad(output);
            let (shape, dtype) = (self.tape.shape(output).clone(), self.tape.dtype(output));
            let last = self.tape.uninitialized(shape, dtype)?;
            let place = step.place.clone();
            step.write(last);
            self.tape.steps.push(step);
            self.copies_last.insert(storage, (writes, last));
            self.moved += writes.elements();
            let problem = Problem::Move(writes.moved(DataFormat::ChannelsFirst, dtype)?);
            self.tape.steps.push(Step::new(place, problem, last, output));
        }
        Ok(())
    }

    /// Whether a step is to be relaid: one that leads, or where it or another that writes the same reads something relaid. What
    /// is written in parts is relaid as a whole.
    fn takes(&self, step: &Step, relaid: &Relaid) -> bool {
        let Some(output) = step.written().next() else { return false };
        let storage = self.tape.storage(output);
        if let Some(&begun) = self.begun.get(&storage) {
            return begun;
        }
        let sources = &self.sources[storage.0];
        let follows = sources.iter().flatten().any(|&(read, pictures)| self.relaid[read.0] == Some(pictures));
        (relaid.leads || follows) && (self.free[storage.0] || sources.len() == 1)
    }

    /// `value`, the channels of whose pictures are to be last, for `step`.
    fn last(&mut self, step: &Step, value: Value, pictures: Pictures) -> Result<Value> {
        let storage = self.tape.storage(value);
        if self.relaid.get(storage.0).copied().flatten() == Some(pictures) {
            return Ok(value);
        }
        let value = self.first(step, value)?;
        if pictures.is_alike() {
            return Ok(value);
        }
        if let Some((_, known)) = self.copies_last.get(&storage).filter(|(known, _)| *known == pictures) {
            return Ok(*known);
        }
        let last = self.put(step, value, pictures, DataFormat::ChannelsLast)?;
        self.copies_last.insert(storage, (pictures, last));
        Ok(last)
    }

    /// `value` with its channels first, for `step`.
    fn first(&mut self, step: &Step, value: Value) -> Result<Value> {
        let storage = self.tape.storage(value);
        let Some(pictures) = self.relaid.get(storage.0).copied().flatten() else { return Ok(value) };
        let first = match self.copies_first.get(&storage) {
            Some(first) => *first,
            None => self.put(step, value, pictures, DataFormat::ChannelsFirst)?,
        };
        self.copies_first.insert(storage, first);
        let shape = self.tape.shape(value).clone();
        self.tape.reshape(first, shape)
    }

    fn put(&mut self, step: &Step, value: Value, pictures: Pictures, to: DataFormat) -> Result<Value> {
        self.moved += pictures.elements();
        let (shape, dtype) = (self.tape.shape(value).clone(), self.tape.dtype(value));
        let moved = self.tape.uninitialized(shape, dtype)?;
        let problem = Problem::Move(pictures.moved(to, dtype)?);
        self.tape.steps.push(Step::new(step.place.clone(), problem, value, moved));
        Ok(moved)
    }

    /// Says anew what the result of `step` is a padding of, if it is one: the picture that it reads now, whose channels have
    /// come to be last, if it was relaid. What was relaid as other pictures is no longer known as a padding.
    fn note_source(&mut self, step: &Step, relaid: Option<Pictures>) {
        let (Some(output), Some(source)) = (step.written().next(), step.value(Operand::Input)) else { return };
        let Some(&pad) = self.tape.pad_of(output) else { return };
        self.tape.forget_pad(output);
        match relaid {
            None => self.tape.note_pad(ZeroPadded { source, ..pad }),
            Some(pictures) if is_of(&pad, pictures) => {
                self.tape.note_pad(ZeroPadded { source, data_format: DataFormat::ChannelsLast, ..pad });
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{ConvArgs, Kernel, Numbers, activate, concatenate, conv, reduce, two};
    use crate::plan::{AxisFunction, BinaryFunction, Direction};
    use crate::{Activation, Axis, ConvGeometry};

    const SHAPE: [usize; 4] = [2, 8, 6, 5];

    /// A 3×3 convolution of 8 channels, which come first.
    fn convolved(tape: &mut Tape, input: Value) -> Value {
        let axis = |extent| Axis { input: extent, output: extent, kernel: 3, stride: 1, dilation: 1, pad_before: 1 };
        let channels = tape.shape(input).dims()[1] as u32;
        let geometry = ConvGeometry::new(2, 1, [channels, 8], [Axis::UNIT, axis(6), axis(5)]).unwrap();
        let (data_format, activation) = (DataFormat::ChannelsFirst, Activation::RELU);
        let args = ConvArgs { geometry, direction: Direction::Forward, data_format, activation };
        let shape = [3, 3, channels as usize, 8];
        let kernel = Kernel::of_values(shape, vec![1.0; shape.iter().product()], Numbers::EXACT);
        conv::<2>(tape, &args, input, &kernel, None).unwrap()
    }

    /// How many steps move elements, and how many convolve them with the channels last.
    fn counted(tape: &Tape) -> (usize, usize) {
        let count = |is: fn(&Problem) -> bool| tape.steps.iter().filter(|step| is(&step.problem)).count();
        let is_last =
            |problem: &Problem| matches!(problem, Problem::Conv(conv) if conv.data_format == DataFormat::ChannelsLast);
        (count(|problem| matches!(problem, Problem::Move(_))), count(is_last))
    }

    #[test]
    fn channels_are_moved_once_and_back() {
        let mut tape = Tape::default();
        let image = tape.input(SHAPE.into(), DType::F32).unwrap();
        let output = (0..6).fold(image, |image, _| convolved(&mut tape, image));
        apply(&mut tape, &[output], u64::MAX).unwrap();
        assert_eq!(counted(&tape), (2, 6));
        let last = tape.steps.last().unwrap();
        assert_eq!(last.written().next(), Some(output), "what is given out has its channels first");
    }

    #[test]
    fn channels_stay_first_where_a_tensor_is_taken_in_parts() {
        let mut tape = Tape::default();
        let image = tape.input(SHAPE.into(), DType::F32).unwrap();
        let output = (0..6).fold(image, |image, _| convolved(&mut tape, image));
        let bytes = tape.bytes(image);
        apply(&mut tape, &[output], bytes - 1).unwrap();
        assert_eq!(counted(&tape), (0, 0));
        apply(&mut tape, &[output], bytes).unwrap();
        assert_eq!(counted(&tape), (2, 6));
    }

    #[test]
    fn where_little_is_convolved_channels_stay_first() {
        let mut tape = Tape::default();
        let image = tape.input(SHAPE.into(), DType::F32).unwrap();
        let output = convolved(&mut tape, image);
        apply(&mut tape, &[output], u64::MAX).unwrap();
        assert_eq!(counted(&tape), (0, 0));
        assert_eq!(tape.steps.len(), 2);
    }

    #[test]
    fn joins_means_and_factors_of_channels_follow() {
        let mut tape = Tape::default();
        let image = tape.input(SHAPE.into(), DType::F32).unwrap();
        let mut x = image;
        for _ in 0..4 {
            let next = convolved(&mut tape, x);
            // A factor for each channel, which the means of the channels make: squeeze and excitation.
            let means = reduce(&mut tape, AxisFunction::Mean, &[2, 3], true, next).unwrap();
            let factors = activate(&mut tape, &Activation::Sigmoid, means).unwrap();
            let scaled = two(&mut tape, BinaryFunction::Multiply, next, factors).unwrap();
            x = concatenate(&mut tape, 1, &[x, scaled]).unwrap();
        }
        let scores = reduce(&mut tape, AxisFunction::Mean, &[2, 3], false, x).unwrap();
        let parts = counted(&tape).0;
        apply(&mut tape, &[scores], u64::MAX).unwrap();
        assert_eq!(counted(&tape), (parts + 1, 4), "the image alone is moved");
    }
}
