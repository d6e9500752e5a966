//! Sums too long for one invocation: how they are divided into parts, and how many outputs have theirs computed at a
//! time.
//!
//! Drivers end an invocation that loops too long, so a sum of very many terms is computed in parts (split-K). What is
//! decided here is arithmetic: how many parts of what length, so that no launch runs long and the parts of all outputs
//! fit into memory. Convolutions, matrix products and pooling have it in common.
//!
//! One launch computes `[parts, outputs]` values into scratch memory, a second one combines the parts in order. Where
//! that memory would be too large, the outputs are taken in rounds of two launches each.

use crate::plan::{Caps, MOST_TURNS, Operand};

/// Terms from which parts are on the menu.
const LONG: u64 = 1 << 13;
/// Fewest terms of a part.
const SHORTEST: u64 = 1 << 11;
/// Terms of a part where more parts would take many rounds.
const LONGEST: u64 = 1 << 14;
/// Bytes of a round's parts: what every device can bind.
const SCRATCH: u64 = Caps::FLOOR.max_binding;
/// Rounds of a plan, which lists its launches one by one.
const MOST_ROUNDS: u64 = 1 << 8;

/// The sums of `outputs` outputs in parts.
pub(super) struct LongSums {
    /// Parts of each sum.
    pub(super) parts: u32,
    /// Terms of each part; the last one may have fewer.
    pub(super) length: u32,
    outputs: u64,
    /// Outputs of a round.
    round: u64,
}

/// Outputs that are computed together.
#[derive(Clone, Copy)]
pub(super) struct Round {
    /// The first of them.
    pub(super) first: u64,
    /// How many.
    pub(super) outputs: u64,
}

impl LongSums {
    /// The division of sums of `terms` terms, rounds of whole fours of outputs; `None` where they are short, and where no
    /// division is within the bounds of turns and of rounds.
    pub(super) fn of(outputs: u64, terms: u64, caps: &Caps) -> Option<Self> {
        if terms < LONG || outputs == 0 {
            return None;
        }
        let most = SCRATCH.min(caps.max_binding) / 4;
        let of = |length: u64| {
            let parts = terms.div_ceil(length);
            let round = outputs.min(most / parts / 4 * 4);
            // A launch over the terms of a part may take a turn for every run of them besides.
            let fits = round > 0 && length.max(parts) <= MOST_TURNS / 65 * 64;
            fits.then_some(Self { parts: parts as u32, length: length as u32, outputs, round })
        };
        // As many parts as terms at most: either launch has its share of the turns.
        let balanced = SHORTEST.max(terms.isqrt() + 1);
        let one_round = of(balanced).filter(|sums| sums.round == outputs);
        one_round.or_else(|| of(balanced.max(LONGEST))).filter(|sums| sums.outputs.div_ceil(sums.round) <= MOST_ROUNDS)
    }

    /// The rounds, in order.
    pub(super) fn rounds(&self) -> impl Iterator<Item = Round> {
        let Self { outputs, round, .. } = *self;
        (0..outputs.div_ceil(round)).map(move |number| {
            let first = number * round;
            Round { first, outputs: round.min(outputs - first) }
        })
    }

    /// Bytes of the scratch buffer that all rounds share.
    pub(super) fn scratch(&self) -> u64 {
        4 * self.round * u64::from(self.parts)
    }
}

/// The tensors of a round's first launch: its output is scratch memory.
pub(super) fn to_scratch(operand: Operand) -> Operand {
    if operand == Operand::Output { Operand::Scratch(0) } else { operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_take_every_output_once_within_the_bounds() {
        for terms in [1 << 13, 20_000, 1 << 15, 1_000_001, 10_000_000, 1 << 29] {
            for outputs in [1, 3, 1000, 4_000_000, 33_554_433] {
                let Some(sums) = LongSums::of(outputs, terms, &Caps::FLOOR) else {
                    assert!(outputs * terms > 1 << 40, "{outputs} outputs of {terms} terms");
                    continue;
                };
                let [parts, length] = [sums.parts, sums.length].map(u64::from);
                assert!(parts * length >= terms && (parts - 1) * length < terms);
                assert!(parts <= MOST_TURNS && length + length.div_ceil(64) <= MOST_TURNS);
                assert!(sums.scratch() <= Caps::FLOOR.max_binding);
                let mut next = 0;
                for round in sums.rounds() {
                    assert!(round.first == next && round.outputs > 0 && round.first % 4 == 0);
                    next += round.outputs;
                }
                assert_eq!(next, outputs);
            }
        }
    }
}
