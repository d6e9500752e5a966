//! Augmentations that mix each image with another of its batch, and the shares by which things are mixed: beta numbers and
//! Dirichlet's.

use super::Images;
use crate::ops::{self, Kernel, Numbers, Side, Value};
use crate::plan::{AxisFunction, BinaryFunction, Factors, NoiseFunction};
use crate::{Activation, DType, Error, Result, Unary};

/// How often a gamma number is tried: each is rejected with a probability of 5 % at most.
const TRIES: usize = 16;

/// The least cube root of what a gamma number is made of.
const LEAST_ROOT: f64 = 1e-12;

/// What Keras adds to the α that it draws for a batch.
const LEAST_ALPHA: f64 = 1e-6;

/// The α of a distribution of shares, which all of them have: a value of one element.
#[derive(Clone, Copy)]
pub(super) struct Concentration {
    alpha: Value,
    /// Whether it may be below 1.
    low: bool,
}

fn affine(scale: f64, offset: f64) -> Unary {
    Unary::Affine { scale: scale as f32, offset: offset as f32 }
}

impl Images<'_> {
    /// Each image times a share, and another of the batch times what that share leaves of 1.
    pub(super) fn mix_up(&mut self) -> Result<Value> {
        let alpha = self.alpha()?;
        let others = self.in_another_order()?;
        let alpha = self.concentration(alpha)?;
        let own = self.beta(alpha, self.batch)?;
        let own = ops::cast(self.tape, self.tape.dtype(self.images), None, own)?;
        let rest = self.map(affine(-1.0, 1.0), own)?;
        let own = self.two(BinaryFunction::Multiply, own, self.images)?;
        let others = self.two(BinaryFunction::Multiply, rest, others)?;
        self.two(BinaryFunction::Add, own, others)
    }

    /// A box of each image gets what another image of the batch has there: of as much of its area as a share leaves of 1, where α is
    /// drawn for the batch.
    pub(super) fn cut_mix(&mut self) -> Result<Value> {
        let range = self.range("factor", 0.0)?;
        let alpha = self.between(range, vec![1], DType::F32)?;
        let alpha = Concentration { alpha: self.map(affine(1.0, LEAST_ALPHA), alpha)?, low: true };
        let own = self.beta(alpha, self.batch)?;
        let area = self.map(affine(-1.0, 1.0), own)?;
        let side = self.map(Unary::Sqrt, area)?;
        let boxes = self.boxes([side; 2])?;
        let others = self.in_another_order()?;
        self.applied(boxes, others)
    }

    /// The images of the batch in another order, each order as likely: image i is that whose number is how many random numbers lie
    /// below number i.
    fn in_another_order(&mut self) -> Result<Value> {
        let batch = self.batch;
        let positions =
            |shape: [usize; 2]| Kernel::of_values(shape, (0..batch).map(|at| at as f32).collect(), Numbers::EXACT);
        let drawn = self.between([0.0, 1.0], vec![1, batch], DType::F32)?;
        let own = self.tape.reshape(drawn, [batch, 1])?;
        let below = self.two(BinaryFunction::Less, drawn, own)?;
        // Of equal ones the earlier counts as the lower.
        let equal = self.two(BinaryFunction::Equal, drawn, own)?;
        let places = ops::value_of(self.tape, &positions([1, batch]), &[1, batch])?;
        let earlier = ops::with(self.tape, BinaryFunction::Less, places, &positions([batch, 1]))?;
        let equal = self.two(BinaryFunction::Multiply, equal, earlier)?;
        let below = self.two(BinaryFunction::Add, below, equal)?;
        let order = ops::reduce(self.tape, AxisFunction::Sum, &[1], false, below)?;
        let images = (Side::Value(self.images), self.tape.dtype(self.images));
        ops::take(self.tape, 0, 0, images, (Side::Value(order), DType::F32))
    }

    /// The argument `alpha`.
    pub(super) fn alpha(&self) -> Result<f64> {
        match self.numbers("alpha")?[..] {
            [alpha] if alpha > 0.0 => Ok(alpha),
            _ => {
                let received = format!("alpha={}", self.argument("alpha"));
                Err(Error::invalid("alpha", "`alpha` must be a number above 0", received))
            }
        }
    }

    /// An α that is known.
    pub(super) fn concentration(&mut self, alpha: f64) -> Result<Concentration> {
        let value = Kernel::of_values([1], vec![alpha as f32], Numbers::EXACT);
        Ok(Concentration { alpha: ops::value_of(self.tape, &value, &[1])?, low: alpha < 1.0 })
    }

    /// `count` numbers of Beta(α, α), `[count, 1, 1, 1]`: the first of two shares.
    pub(super) fn beta(&mut self, alpha: Concentration, count: usize) -> Result<Value> {
        let shares = self.shares(alpha, count, 2)?;
        let first = ops::part(self.tape, 1, 0, 1, shares)?;
        self.tape.reshape(first, [count, 1, 1, 1])
    }

    /// Shares `[rows, count]` of which those of a row sum to 1, by Dirichlet's distribution: gamma numbers by their sum.
    ///
    /// A gamma number of α ≥ 1 is `d·v`, where `v = (1 + c·x)³` of a normal number x is rejected now and then (Marsaglia and Tsang, "A
    /// simple method for generating gamma variables", 2000); one of any α is that of α + 1 times `u^(1/α)`. Here are their logarithms,
    /// of which a softmax makes shares; what `d` they all have goes.
    pub(super) fn shares(
        &mut self,
        Concentration { alpha, low }: Concentration,
        rows: usize,
        count: usize,
    ) -> Result<Value> {
        let tries = vec![rows, count, TRIES];
        let d = self.map(affine(1.0, f64::from(u8::from(low)) - 1.0 / 3.0), alpha)?;
        let c = self.map(affine(9.0, 0.0), d)?;
        let c = self.map(Unary::Pow { exponent: -0.5 }, c)?;
        let normal = NoiseFunction::Normal(Factors::new(0.0, 0.0, 1.0));
        let x = self.draw(normal, 0.0, tries.clone(), DType::F32)?;
        let threshold = self.between([1.0, 0.0], tries, DType::F32)?;
        let threshold = self.map(Unary::Log, threshold)?;
        let root = self.two(BinaryFunction::Multiply, x, c)?;
        let root = self.map(affine(1.0, 1.0), root)?;
        // So small a root is always rejected.
        let root = self.clipped([LEAST_ROOT, f64::from(f32::MAX)], root)?;
        let log = self.map(Unary::Log, root)?;
        let log = self.map(affine(3.0, 0.0), log)?;
        let cube = self.map(Unary::Pow { exponent: 3.0 }, root)?;
        let apart = self.two(BinaryFunction::Subtract, log, cube)?;
        let apart = self.map(affine(1.0, 1.0), apart)?;
        let apart = self.two(BinaryFunction::Multiply, apart, d)?;
        let square = self.map(Unary::Square, x)?;
        let square = self.map(affine(0.5, 0.0), square)?;
        let limit = self.two(BinaryFunction::Add, square, apart)?;
        let rejected = self.two(BinaryFunction::GreaterEqual, threshold, limit)?;
        // The first that is not rejected.
        let order = Kernel::of_values([TRIES], (0..TRIES).map(|place| place as f32).collect(), Numbers::EXACT);
        let rejected = self.map(affine(TRIES as f64, 0.0), rejected)?;
        let order = ops::with(self.tape, BinaryFunction::Add, rejected, &order)?;
        let first = ops::reduce(self.tape, AxisFunction::Min, &[2], true, order)?;
        let is = self.two(BinaryFunction::Equal, order, first)?;
        let log = self.two(BinaryFunction::Where, log, is)?;
        let mut log = ops::reduce(self.tape, AxisFunction::Sum, &[2], false, log)?;
        if low {
            let power = self.between([1.0, 0.0], vec![rows, count], DType::F32)?;
            let power = self.map(Unary::Log, power)?;
            let power = self.two(BinaryFunction::Divide, power, alpha)?;
            log = self.two(BinaryFunction::Add, log, power)?;
        }
        ops::activate(self.tape, &Activation::Softmax { axis: -1 }, log)
    }
}
