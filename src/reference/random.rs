//! What layers draw in training, by another road: Philox 4×32-10 in words of 64 bits, on the host.
//!
//! The words for four neighbouring elements are those of the counter `[block, site, step, step >> 24]`, the step in parts of 24
//! bits, under the key of the seed's two words. A `site` is the number of what draws among all that draws in the program.

use super::Array;

/// Philox 4×32-10 (Salmon and others, Parallel Random Numbers: As Easy as 1, 2, 3, 2011).
///
/// ```
/// let words = wgpu_conv::reference::random::philox([0; 4], [0; 2]);
/// assert_eq!(words, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
pub fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    let halves = |factor: u64, word: u32| {
        let product = factor * u64::from(word);
        [product as u32, (product >> 32) as u32]
    };
    for _ in 0..10 {
        let [low_0, high_0] = halves(0xd251_1f53, counter[0]);
        let [low_1, high_1] = halves(0xcd9e_8d57, counter[2]);
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0];
        key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
    }
    counter
}

/// Where something draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// The layer's seed.
    pub seed: u64,
    /// Its number among all that draws in the program.
    pub site: u32,
    /// The number of the training step.
    pub step: u64,
}

impl Draw {
    /// The words of the first elements, a multiple of 4 of them, without their lowest 8 bits.
    fn words(&self, elements: usize) -> impl Iterator<Item = [u32; 4]> {
        let Self { seed, site, step } = *self;
        let parts = [step & 0xff_ffff, (step >> 24) & 0xff_ffff].map(|part| part as u32);
        let key = [seed as u32, (seed >> 32) as u32];
        (0..elements.div_ceil(4) as u32)
            .map(move |block| philox([block, site, parts[0], parts[1]], key).map(|word| word >> 8))
    }

    /// Numbers in [0, 1), each as likely.
    pub fn uniform(&self, elements: usize) -> Vec<f64> {
        let words = self.words(elements).flatten();
        words.take(elements).map(|word| f64::from(word) / f64::from(1 << 24)).collect()
    }

    /// Normal numbers of mean 0 and deviation 1.
    pub fn normal(&self, elements: usize) -> Vec<f64> {
        let two = |[radius, angle]: [u32; 2]| {
            let [radius, angle] = [radius + 1, angle].map(|word| f64::from(word) / f64::from(1 << 24));
            let (radius, angle) = ((-2.0 * radius.ln()).sqrt(), std::f64::consts::TAU * (angle - 0.5));
            [radius * angle.cos(), radius * angle.sin()]
        };
        let four = self.words(elements).flat_map(|[a, b, c, d]| [two([a, b]), two([c, d])]);
        four.flatten().take(elements).collect()
    }

    /// Of `shape`, 1 where something is kept that is dropped with a probability of `rate`, and 0 where it is dropped.
    pub fn kept(&self, rate: f64, shape: &[usize]) -> Array {
        let numbers = self.uniform(shape.iter().product());
        Array::new(shape, numbers.into_iter().map(|number| f64::from(u8::from(number >= rate))).collect::<Vec<_>>())
    }

    /// Of `shape`, normal numbers.
    pub fn noise(&self, shape: &[usize]) -> Array {
        Array::new(shape, self.normal(shape.iter().product()))
    }
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The vectors that the authors publish with their library (Random123, kat_vectors).
    #[test]
    fn known_answers() {
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        for (counter, key, words) in [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (pi, [0xa409_3822, 0x299f_31d0], [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ] {
            assert_eq!(philox(counter, key), words);
        }
    }
}
