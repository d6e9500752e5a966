//! One rule for each kind of problem: from the gradient of what a step wrote, those of what it read.

use super::Reverse;
use crate::ops::normalize::of_channels;
use crate::ops::{
    Kernel, Numbers, Read, Reads, Span, Step, Tape, Value, activate, cast, expand, gather, map, reduce, two, value_of,
    with,
};
use crate::plan::{
    AxisFunction, AxisProblem, BatchFunction, BatchProblem, BinaryFunction, BinaryGradientProblem, BinaryProblem,
    CastProblem, ConvProblem, Direction, Elementwise, Epilogue, Hand, KernelGradientProblem, MapProblem, NoiseProblem,
    NormalizeFunction, NormalizeProblem, Operand, Outside, PairAxis, PairSides, PoolGradientProblem, PoolProblem,
    Problem, ProductProblem, TakeProblem,
};
use crate::{Activation, DType, DataFormat, Result, Unary};

/// The roles of what a function of two reads.
fn hands(sides: PairSides) -> [Operand; 2] {
    match sides {
        PairSides::InputOther => [Operand::Input, Operand::Other],
        PairSides::InputKernel => [Operand::Input, Operand::Kernel],
        PairSides::KernelInput => [Operand::Kernel, Operand::Input],
    }
}

fn affine(scale: f32, offset: f32) -> Elementwise {
    Elementwise::of_unary(&Unary::Affine { scale, offset })
}

impl Reverse<'_> {
    /// Gives what `step` read its gradients, where they are asked for; `gradient` is that of what it wrote.
    pub(super) fn step(&mut self, step: &Step, gradient: Value) -> Result<()> {
        match &step.problem {
            Problem::Conv(problem) => self.conv(step, problem, gradient),
            Problem::Map(problem) => self.map(step, problem, gradient),
            Problem::AlongAxis(problem) => self.along_axis(step, problem, gradient),
            Problem::Cast(CastProblem { from, .. }) => {
                let gradient = cast(self.tape, *from, None, gradient)?;
                self.give(step, Operand::Input, gradient)
            }
            Problem::Pool(problem) => self.pool(step, problem, gradient),
            Problem::Normalize(problem) => self.normalize(step, problem, gradient),
            Problem::BatchNormalize(problem) => self.batch_normalize(step, problem, gradient),
            Problem::Resize(problem) => self.resize(step, problem, gradient),
            Problem::Move(problem) => self.movement(step, problem, gradient),
            Problem::Binary(problem) => self.of_two(step, problem, gradient),
            Problem::Product(problem) => self.product(step, problem, gradient),
            Problem::Take(problem) => self.take(step, problem, gradient),
            Problem::Noise(problem) => self.noise(step, problem, gradient),
            Problem::Affine(_) => {
                Err(Self::without(step, "augment images before anything that is trained or differentiated"))
            }
            Problem::Custom(_) => Err(Self::without(
                step,
                "code in WGSL says no gradient: put it before all layers that are trained, or make it of layers of this crate",
            )),
            Problem::Recurrent(problem) => self.recurrent(step, problem, gradient),
            Problem::Separable(_) => {
                Err(Self::without(step, "two convolutions are one only after the rules of fusion"))
            }
            Problem::MapGradient(_)
            | Problem::BinaryGradient(_)
            | Problem::PoolGradient(_)
            | Problem::RecurrentGradient(_)
            | Problem::KernelGradient(_)
            | Problem::Loss(_)
            | Problem::Update(_) => Err(Self::without(step, "it is of the backward pass itself")),
        }
    }

    /// To the input the convolution run the other way; to the kernel a product over pixels; to the bias a sum over them.
    fn conv(&mut self, step: &Step, problem: &ConvProblem, gradient: Value) -> Result<()> {
        let Epilogue { residual, activation, .. } = problem.epilogue;
        if residual || activation != Elementwise::LINEAR {
            return Err(Self::without(step, "something was fused into it"));
        }
        let ConvProblem { geometry, direction, dtype, data_format, .. } = *problem;
        if self.wants(step, Operand::Bias) {
            let sum = self.over_channels(problem, gradient)?;
            self.give(step, Operand::Bias, sum)?;
        }
        if let (true, Some(input)) = (self.wants(step, Operand::Kernel), step.reading(Operand::Input)) {
            let of = KernelGradientProblem { geometry, dtype, data_format };
            let [input, output] = match direction {
                Direction::Forward => [input.clone(), Read::Value(gradient)],
                Direction::BackwardInput => [Read::Value(gradient), input.clone()],
            };
            let reads = Reads::none().read(Operand::Input, &input).read(Operand::Gradient, &output);
            let elements = geometry.kernel_elements() as usize;
            let made = self.tape.step(Problem::KernelGradient(of), reads, [elements].into(), DType::F32)?;
            self.give(step, Operand::Kernel, made)?;
        }
        if let (true, Some(kernel)) = (self.wants(step, Operand::Input), step.reading(Operand::Kernel)) {
            let made = match self.turned(problem, kernel, gradient)? {
                Some(made) => made,
                None => {
                    let direction = match direction {
                        Direction::Forward => Direction::BackwardInput,
                        Direction::BackwardInput => Direction::Forward,
                    };
                    self.convolved(ConvProblem { direction, ..*problem }, kernel, gradient)?
                }
            };
            self.give(step, Operand::Input, made)?;
        }
        Ok(())
    }

    fn convolved(&mut self, problem: ConvProblem, kernel: &Read, input: Value) -> Result<Value> {
        let problem = ConvProblem { epilogue: Epilogue::NONE, ..problem };
        let reads = Reads::of(input).read(Operand::Kernel, kernel);
        let elements = problem.written_elements() as usize;
        self.tape.step(Problem::Conv(problem), reads, [elements].into(), problem.dtype)
    }

    /// The gradient to the input of a convolution as another convolution, with the kernel turned around: every kernel of the menu
    /// is offered for it. `None` where a transposed one is nearer, that is with strides, or where the kernel is computed.
    fn turned(&mut self, problem: &ConvProblem, kernel: &Read, gradient: Value) -> Result<Option<Value>> {
        let ConvProblem { geometry, direction, .. } = *problem;
        let (Direction::Forward, Read::Constant(kernel)) = (direction, kernel) else { return Ok(None) };
        let Some(back) = geometry.turned() else { return Ok(None) };
        let kernel = kernel.turned(&geometry)?;
        let problem = ConvProblem { geometry: back, ..*problem };
        self.convolved(problem, &Read::Constant(kernel), gradient).map(Some)
    }

    /// The sum over images and positions for each channel of what a convolution writes.
    fn over_channels(&mut self, problem: &ConvProblem, gradient: Value) -> Result<Value> {
        let channels = problem.written()[0] as usize;
        let batch = problem.geometry.batch as usize;
        let positions = (self.tape.elements(gradient) as usize).checked_div(channels * batch).unwrap_or(0);
        let (dims, axes): (Vec<usize>, &[usize]) = match problem.data_format {
            DataFormat::ChannelsLast => (vec![batch * positions, channels], &[0]),
            DataFormat::ChannelsFirst => (vec![batch, channels, positions], &[0, 2]),
        };
        let gradient = self.tape.reshape(gradient, dims)?;
        reduce(self.tape, AxisFunction::Sum, axes, false, gradient)
    }

    fn map(&mut self, step: &Step, problem: &MapProblem, gradient: Value) -> Result<()> {
        let Some(input) = step.reading(Operand::Input) else { return Ok(()) };
        let gradient = self.slope(problem.activation, input, gradient)?;
        self.give(step, Operand::Input, gradient)
    }

    /// `gradient` times the derivative of `function` at `input`.
    pub(super) fn slope(&mut self, function: Elementwise, input: &Read, gradient: Value) -> Result<Value> {
        let dtype = self.tape.dtype(gradient);
        let of = MapProblem { elements: self.tape.elements(gradient), dtype, activation: function };
        let reads = Reads::none().read(Operand::Input, input).value(Operand::Gradient, gradient);
        self.tape.step(Problem::MapGradient(of), reads, self.tape.shape(gradient).clone(), dtype)
    }

    /// What was drawn for each element is drawn again, for the gradient.
    fn noise(&mut self, step: &Step, problem: &NoiseProblem, gradient: Value) -> Result<()> {
        let Some(clock) = step.reading(Operand::Clock) else { return Ok(()) };
        let of = NoiseProblem { function: problem.function.slope(), ..*problem };
        let reads = Reads::of(gradient).read(Operand::Clock, clock);
        let made = self.tape.step(Problem::Noise(of), reads, self.tape.shape(gradient).clone(), problem.dtype)?;
        self.give(step, Operand::Input, made)
    }

    /// To each side what comes from behind times the slope along that side, summed where the side repeats.
    fn of_two(&mut self, step: &Step, problem: &BinaryProblem, gradient: Value) -> Result<()> {
        if problem.activation != Elementwise::LINEAR {
            return Err(Self::without(step, "something was fused into it"));
        }
        let operands = hands(problem.sides);
        for (side, operand) in [Hand::Left, Hand::Right].into_iter().zip(operands) {
            if !self.wants(step, operand) {
                continue;
            }
            let own = match (problem.function, side) {
                (BinaryFunction::Equal, _) => continue,
                (BinaryFunction::Add | BinaryFunction::Subtract, _) => gradient,
                (BinaryFunction::Multiply, _) | (BinaryFunction::Divide, Hand::Left) => {
                    self.by_other(step, problem, side, gradient)?
                }
                _ => {
                    let of = BinaryGradientProblem { of: *problem, side };
                    let mut reads = Reads::none().value(Operand::Gradient, gradient);
                    for operand in operands {
                        if let Some(read) = step.reading(operand) {
                            reads = reads.read(operand, read);
                        }
                    }
                    let shape = self.tape.shape(gradient).clone();
                    self.tape.step(Problem::BinaryGradient(of), reads, shape, problem.dtype)?
                }
            };
            let strides = problem.axes.map(|axis| match side {
                Hand::Left => (axis.extent, axis.left),
                Hand::Right => (axis.extent, axis.right),
            });
            let mut sum = self.over_repeats(&strides, own)?;
            if (problem.function, side) == (BinaryFunction::Subtract, Hand::Right) {
                sum = map(self.tape, affine(-1.0, 0.0), sum)?;
            }
            self.give(step, operand, sum)?;
        }
        Ok(())
    }

    /// `gradient` times the side of a product that is not `side`, or divided by what a quotient was divided by.
    fn by_other(&mut self, step: &Step, problem: &BinaryProblem, side: Hand, gradient: Value) -> Result<Value> {
        let [left, right] = hands(problem.sides);
        let other = if side == Hand::Left { right } else { left };
        let mut run = 1;
        let axes = problem.axes.map(|axis| {
            let dense = run;
            run *= axis.extent;
            let repeats = if side == Hand::Left { axis.right } else { axis.left };
            PairAxis { extent: axis.extent, left: if axis.extent == 1 { 0 } else { dense }, right: repeats }
        });
        let Some(other) = step.reading(other) else { return Err(Self::without(step, "it reads but one side")) };
        let (sides, role) = match other {
            Read::Constant(_) => (PairSides::InputKernel, Operand::Kernel),
            Read::Value(_) => (PairSides::InputOther, Operand::Other),
        };
        let reads = Reads::of(gradient).read(role, other);
        let of = BinaryProblem { axes, sides, activation: Elementwise::LINEAR, ..*problem };
        let shape = self.tape.shape(gradient).clone();
        self.tape.step(Problem::Binary(of), reads, shape, problem.dtype)
    }

    /// The sum of `gradient`, which has the extents of `axes`, innermost first, over those along which a side has stride 0.
    fn over_repeats(&mut self, axes: &[(u32, u32)], gradient: Value) -> Result<Value> {
        let axes: Vec<_> = axes.iter().rev().filter(|(extent, _)| *extent != 1).collect();
        let dims: Vec<usize> = axes.iter().map(|(extent, _)| *extent as usize).collect();
        let repeated: Vec<usize> = (0..axes.len()).filter(|&axis| axes[axis].1 == 0).collect();
        if repeated.is_empty() {
            return Ok(gradient);
        }
        let gradient = self.tape.reshape(gradient, dims)?;
        reduce(self.tape, AxisFunction::Sum, &repeated, false, gradient)
    }

    fn along_axis(&mut self, step: &Step, problem: &AxisProblem, gradient: Value) -> Result<()> {
        let AxisProblem { function, outer, extent, inner, .. } = *problem;
        let (Some(input), Some(output)) = (step.value(Operand::Input), step.written().next()) else {
            return Err(Self::without(step, "it reads a constant"));
        };
        let dims = |extent: u32| [outer, extent, inner].map(|dim| dim as usize);
        let (whole, result) = (dims(extent), dims(function.output_extent(extent)));
        let x = self.tape.reshape(input, whole)?;
        let y = self.tape.reshape(output, result)?;
        let g = self.tape.reshape(gradient, result)?;
        let sum = |tape: &mut Tape, value| reduce(tape, AxisFunction::Sum, &[1], true, value);
        let scaled = |tape: &mut Tape, factor, value| map(tape, affine(factor, 0.0), value);
        let exponential = |tape: &mut Tape, value| activate(tape, &Activation::Exponential, value);
        let unary = |tape: &mut Tape, function: Unary, value| map(tape, Elementwise::of_unary(&function), value);
        use BinaryFunction::{Divide, Equal, Multiply, Subtract};
        let made = match function {
            AxisFunction::Softmax => {
                let weighted = self.binary(Multiply, g, y)?;
                let mean = sum(self.tape, weighted)?;
                let apart = self.binary(Subtract, g, mean)?;
                self.binary(Multiply, apart, y)?
            }
            AxisFunction::LogSoftmax => {
                let total = sum(self.tape, g)?;
                let softmax = exponential(self.tape, y)?;
                let share = self.binary(Multiply, softmax, total)?;
                self.binary(Subtract, g, share)?
            }
            AxisFunction::Sparsemax => {
                // What is above the threshold moves with the others that are.
                let support = unary(self.tape, Unary::Sign, y)?;
                let within = self.binary(Multiply, g, support)?;
                let (total, count) = (sum(self.tape, within)?, sum(self.tape, support)?);
                let mean = self.binary(Divide, total, count)?;
                let apart = self.binary(Subtract, g, mean)?;
                self.binary(Multiply, apart, support)?
            }
            AxisFunction::Glu => {
                let half = |start: usize| {
                    let [outer, length, inner] = result;
                    let run = Span { extent: length, start: start as i64, step: 1, repeat: 1 };
                    [Span::whole(outer), run, Span::whole(inner)]
                };
                return self.through(g, |tape| {
                    let value = gather(tape, &half(0), Outside::ZERO, x)?;
                    let gate = gather(tape, &half(result[1]), Outside::ZERO, x)?;
                    let gate = activate(tape, &Activation::Sigmoid, gate)?;
                    two(tape, Multiply, value, gate)
                });
            }
            AxisFunction::Mean => {
                let share = scaled(self.tape, 1.0 / extent as f32, g)?;
                expand(self.tape, &whole, share)?
            }
            AxisFunction::Sum => expand(self.tape, &whole, g)?,
            // Split equally among those that are largest (G2).
            AxisFunction::Max | AxisFunction::Min => {
                let chosen = self.binary(Equal, x, y)?;
                let count = sum(self.tape, chosen)?;
                let share = self.binary(Divide, g, count)?;
                self.binary(Multiply, chosen, share)?
            }
            AxisFunction::SumSquare => {
                let doubled = scaled(self.tape, 2.0, g)?;
                self.binary(Multiply, x, doubled)?
            }
            AxisFunction::L1 => {
                let sign = unary(self.tape, Unary::Sign, x)?;
                self.binary(Multiply, sign, g)?
            }
            // 0 where all are 0, as the square root has no slope there.
            AxisFunction::L2 => {
                let norm = unary(self.tape, Unary::Clip { min: 1e-18, max: f32::INFINITY }, y)?;
                let direction = self.binary(Divide, x, norm)?;
                self.binary(Multiply, direction, g)?
            }
            AxisFunction::LogSum => {
                let negative = scaled(self.tape, -1.0, y)?;
                let inverse = exponential(self.tape, negative)?;
                let share = self.binary(Multiply, g, inverse)?;
                expand(self.tape, &whole, share)?
            }
            AxisFunction::LogSumExp => {
                let apart = self.binary(Subtract, x, y)?;
                let softmax = exponential(self.tape, apart)?;
                self.binary(Multiply, softmax, g)?
            }
        };
        self.give(step, Operand::Input, made)
    }

    fn pool(&mut self, step: &Step, problem: &PoolProblem, gradient: Value) -> Result<()> {
        let of = PoolGradientProblem { of: *problem };
        let mut reads = Reads::none().value(Operand::Gradient, gradient);
        if let (true, Some(input)) = (of.reads_input(), step.reading(Operand::Input)) {
            reads = reads.read(Operand::Input, input);
        }
        let elements = problem.geometry.in_elements() as usize;
        let made = self.tape.step(Problem::PoolGradient(of), reads, [elements].into(), problem.dtype)?;
        self.give(step, Operand::Input, made)
    }

    /// To the table, for each of its lines the sum of the gradients of where it was taken to: a product with a matrix of ones
    /// and zeros. Numbers of lines have no gradient.
    fn take(&mut self, step: &Step, problem: &TakeProblem, gradient: Value) -> Result<()> {
        let TakeProblem { outer, extent, count, inner, index, sides, dtype, .. } = *problem;
        let [table, numbers] = hands(sides);
        if !self.wants(step, table) {
            return Ok(());
        }
        if outer != 1 || index != [0, 1, 0] {
            return Err(Self::without(step, "lines are added up only where whole lines of one table are taken"));
        }
        let dims = [count as usize, 1];
        let numbers = match step.reading(numbers) {
            Some(Read::Value(value)) => self.tape.reshape(*value, dims)?,
            Some(Read::Constant(kernel)) => value_of(self.tape, kernel, &dims)?,
            None => return Ok(()),
        };
        let numbers = cast(self.tape, DType::F32, None, numbers)?;
        let mut ones = None;
        // A number below 0 counts from the end.
        for first in [0.0, -(extent as f32)] {
            let lines = (0..extent).map(|line| first + line as f32).collect();
            let lines = Kernel::of_values([extent as usize], lines, Numbers::EXACT);
            let hits = with(self.tape, BinaryFunction::Equal, numbers, &lines)?;
            ones = Some(match ones {
                None => hits,
                Some(ones) => self.sum(ones, hits)?,
            });
        }
        let Some(ones) = ones else { return Ok(()) };
        let ones = cast(self.tape, dtype, None, ones)?;
        let sizes = [extent, inner, count];
        let of = ProductProblem::new(&[], sizes, [1, extent], [inner, 1], PairSides::InputOther, dtype)?;
        let reads = Reads::of(ones).value(Operand::Other, gradient);
        let shape = [extent as usize, inner as usize];
        let made = self.tape.step(Problem::Product(of), reads, shape.into(), dtype)?;
        self.give(step, table, made)
    }

    /// Through mean and variance too: two sums over each channel, which are the gradients of beta and gamma, and the gradient to
    /// the input by them. An activation that follows, and nothing else reads the result, is walked on the way.
    fn batch_normalize(&mut self, step: &Step, problem: &BatchProblem, gradient: Value) -> Result<()> {
        let (Some(output), Some(input)) = (step.written().next(), step.value(Operand::Input)) else {
            return Err(Self::without(step, "it reads a constant"));
        };
        if problem.function != BatchFunction::Apply || problem.activation != Elementwise::LINEAR {
            return Err(Self::without(step, "only a whole batch normalisation has one"));
        }
        let (activation, gradient) = self.behind_slope(output, gradient);
        let of = |function| Problem::BatchNormalize(BatchProblem { function, activation, ..*problem });
        let mut reads = Reads::of(input).value(Operand::Gradient, gradient);
        for operand in [Operand::Kernel, Operand::Bias, Operand::Moments] {
            if let Some(read) = step.reading(operand) {
                reads = reads.read(operand, read);
            }
        }
        let channels = problem.channels as usize;
        let sums = self.tape.step(of(BatchFunction::Sums), reads.clone(), [2, channels].into(), DType::F32)?;
        for (index, operand) in [Operand::Bias, Operand::Kernel].into_iter().enumerate() {
            if self.wants(step, operand) {
                let sum = of_channels(self.tape, index, sums)?;
                self.give(step, operand, sum)?;
            }
        }
        if self.wants(step, Operand::Input) {
            let (reads, shape) = (reads.value(Operand::Sums, sums), self.tape.shape(input).clone());
            let made = self.tape.step(of(BatchFunction::Gradient), reads, shape, DType::F32)?;
            self.give(step, Operand::Input, made)?;
        }
        Ok(())
    }

    /// Of a `gradient` that is nothing but that of an element-wise function of `output`: the function, and the gradient behind
    /// it. Else that of [`LINEAR`](Elementwise::LINEAR), and `gradient` itself.
    fn behind_slope(&self, output: Value, gradient: Value) -> (Elementwise, Value) {
        let is = |value: Value, other: Value| self.tape.storage(value) == self.tape.storage(other);
        let maker = self.tape.steps.iter().rfind(|step| step.written().any(|value| is(value, gradient)));
        if let Some(step) = maker
            && let Problem::MapGradient(MapProblem { activation, .. }) = step.problem
            && let (Some(input), Some(behind)) = (step.value(Operand::Input), step.value(Operand::Gradient))
            && is(input, output)
        {
            return (activation, behind);
        }
        (Elementwise::LINEAR, gradient)
    }

    /// The normalisation by its parts, walked backwards: mean, variance, root, gamma, beta.
    fn normalize(&mut self, step: &Step, problem: &NormalizeProblem, gradient: Value) -> Result<()> {
        let NormalizeProblem { function, outer, spread, group, extent, epsilon, spread_step, group_step, run, .. } =
            *problem;
        let Some(input) = step.value(Operand::Input) else {
            return Err(Self::without(step, "it reads a constant"));
        };
        let (gamma, beta) = (step.reading(Operand::Kernel).cloned(), step.reading(Operand::Bias).cloned());
        // The elements with axes of their own for what shares an element of gamma.
        let dims = [outer, spread, group, extent / run.max(1), run].map(|dim| dim as usize);
        let weights =
            [1, if spread_step == 0 { 1 } else { dims[1] }, if group_step == 0 { 1 } else { dims[2] }, dims[3], 1];
        let gradient = self.tape.reshape(gradient, dims)?;
        let epsilon = f32::from_bits(epsilon);
        self.through(gradient, |tape| {
            use BinaryFunction::{Add, Divide, Multiply, Subtract};
            let unary = |tape: &mut Tape, function: Unary, value| map(tape, Elementwise::of_unary(&function), value);
            let axes = &[1, 3, 4];
            let x = tape.reshape(input, dims)?;
            let mut y = match function {
                NormalizeFunction::Unit => {
                    let square = unary(tape, Unary::Square, x)?;
                    let sum = reduce(tape, AxisFunction::Sum, axes, true, square)?;
                    let sum = unary(tape, Unary::Clip { min: epsilon, max: f32::INFINITY }, sum)?;
                    let norm = unary(tape, Unary::Sqrt, sum)?;
                    two(tape, Divide, x, norm)?
                }
                NormalizeFunction::Standard | NormalizeFunction::Deviation => {
                    let mean = reduce(tape, AxisFunction::Mean, axes, true, x)?;
                    let apart = two(tape, Subtract, x, mean)?;
                    let square = unary(tape, Unary::Square, apart)?;
                    let variance = reduce(tape, AxisFunction::Mean, axes, true, square)?;
                    let variance = map(tape, affine(1.0, epsilon), variance)?;
                    let deviation = unary(tape, Unary::Sqrt, variance)?;
                    two(tape, Divide, if function == NormalizeFunction::Standard { apart } else { x }, deviation)?
                }
            };
            for (weight, function) in [(gamma, Multiply), (beta, Add)] {
                let weight = match weight {
                    None => continue,
                    Some(Read::Value(weight)) => tape.reshape(weight, weights)?,
                    Some(Read::Constant(weight)) => value_of(tape, &weight, &weights)?,
                };
                y = two(tape, function, y, weight)?;
            }
            Ok(y)
        })
    }

    /// Of either side, the product of the gradient with the other, summed over the batch axes along which it repeats.
    fn product(&mut self, step: &Step, problem: &ProductProblem, gradient: Value) -> Result<()> {
        let ProductProblem { batch, rows, columns, terms, left, right, sides, dtype } = *problem;
        let [left_operand, right_operand] = hands(sides);
        // Outermost first, with the strides of the gradient, which is dense.
        let mut axes: Vec<PairAxis> = batch.into_iter().filter(|axis| axis.extent != 1).collect();
        axes.reverse();
        let mut dense = vec![0u32; axes.len()];
        let mut step_of = rows.saturating_mul(columns);
        for (axis, stride) in axes.iter().zip(&mut dense).rev() {
            *stride = step_of;
            step_of = step_of.saturating_mul(axis.extent);
        }
        for (operand, other, hand) in
            [(left_operand, right_operand, Hand::Left), (right_operand, left_operand, Hand::Right)]
        {
            if !self.wants(step, operand) {
                continue;
            }
            let Some(other) = step.reading(other) else { continue };
            // Left [m, k] = gradient [m, n] · rightᵀ [n, k]; right [k, n] = leftᵀ [k, m] · gradient [m, n]. Where the side
            // lies the other way, so does the product: transposed, its factors change places.
            let (own, sizes, gradient_is_left, of_gradient, of_other) = match hand {
                Hand::Left => (left, [rows, terms, columns], true, [columns, 1], [right[1], right[0]]),
                Hand::Right => (right, [terms, columns, rows], false, [columns, 1], [left[1], left[0]]),
            };
            let straight = own[1] == 1 || sizes[1] == 1;
            let pairs: Vec<PairAxis> = axes
                .iter()
                .zip(&dense)
                .map(|(axis, &gradient)| {
                    let other = if hand == Hand::Left { axis.right } else { axis.left };
                    if gradient_is_left == straight {
                        PairAxis { extent: axis.extent, left: gradient, right: other }
                    } else {
                        PairAxis { extent: axis.extent, left: other, right: gradient }
                    }
                })
                .collect();
            let flip = |[a, b]: [u32; 2]| [b, a];
            let [first, second] = if gradient_is_left { [of_gradient, of_other] } else { [of_other, of_gradient] };
            let (shape, first, second) = if straight {
                (sizes, first, second)
            } else {
                ([sizes[1], sizes[0], sizes[2]], flip(second), flip(first))
            };
            let of = ProductProblem::new(&pairs, shape, first, second, PairSides::InputOther, dtype)?;
            let gradient = Read::Value(gradient);
            let [one, two] = if gradient_is_left == straight { [&gradient, other] } else { [other, &gradient] };
            let reads = Reads::none().read(Operand::Input, one).read(Operand::Other, two);
            let elements = of.elements() as usize;
            let made = self.tape.step(Problem::Product(of), reads, [elements].into(), dtype)?;
            // Innermost first: the matrix, then the batch.
            let matrix = (shape[0].saturating_mul(shape[1]), 1);
            let strides: Vec<(u32, u32)> = [matrix]
                .into_iter()
                .chain(
                    axes.iter()
                        .rev()
                        .map(|axis| (axis.extent, if hand == Hand::Left { axis.left } else { axis.right })),
                )
                .collect();
            let sum = self.over_repeats(&strides, made)?;
            self.give(step, operand, sum)?;
        }
        Ok(())
    }
}
