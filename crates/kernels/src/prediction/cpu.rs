//! CPU implementation: the rows are split between the threads.
//!
//! A row is read twice, first for its maximum. The second pass goes block by block and adds the blocks' sums in `f64`,
//! so that the entropy of a large vocabulary is as exact as that of a small one.

use std::ops::Range;

use super::{Dims, Forward};
use crate::cpu::elements::in_parts;
use crate::cpu::math::each_vector;
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

/// Tokens whose sums are added in `f32`.
const BLOCK: usize = 256;

/// The cost of an element here, which needs an exponential, in elements that could be copied in the same time.
const COST: usize = 8;

/// The exponential of anything smaller is 0, so it need not be told from −∞.
const LEAST: f32 = -100.0;

pub(super) fn forward(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    let (logits, targets) = (args.logits.host(), args.targets.host());
    let log_probs = SharedMut::new(args.log_probs.host());
    let entropies = SharedMut::new(args.entropies.host());
    let ranks = SharedMut::new(args.ranks.host());
    in_parts(cpu, dims.rows, 1, logits.len() * COST, |part: Range<usize>| {
        // SAFETY: parts do not overlap.
        let (log_probs, entropies, ranks) = unsafe {
            (log_probs.range(part.clone()), entropies.range(part.clone()), ranks.range(part.clone()))
        };
        for (place, row) in part.enumerate() {
            let logits = &logits[row * dims.vocab..(row + 1) * dims.vocab];
            let token = logits[targets[row] as usize];
            let found = cpu.vectorized(Row { logits, token });
            (log_probs[place], entropies[place], ranks[place]) = found;
        }
    });
}

/// A row, and the logit of its token.
struct Row<'a> {
    logits: &'a [f32],
    token: f32,
}

impl Vectorized for Row<'_> {
    /// Log-probability, entropy and rank.
    type Output = (f32, f32, u32);

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> (f32, f32, u32) {
        let Row { logits, token } = self;
        let max = rows::max(s, logits);
        if !max.is_finite() {
            return (f32::NAN, f32::NAN, 0);
        }
        let (mut weight_sum, mut moment, mut above) = (0.0_f64, 0.0_f64, 0);
        let mut padded = [f32::NEG_INFINITY; BLOCK];
        for block in logits.chunks(BLOCK) {
            let from = if block.len() == BLOCK {
                block.as_ptr()
            } else {
                // −∞ beyond the row's end, so that all blocks are whole vectors.
                padded[..block.len()].copy_from_slice(block);
                padded.as_ptr()
            };
            let zero = s.splat(0.0);
            let (mut weights, mut products, mut larger) = (zero, zero, zero);
            each_vector!(s, BLOCK, |at, _count| {
                // SAFETY: there are BLOCK elements, a multiple of every vector's length.
                let x = unsafe { s.load(from.add(at)) };
                let weight = rows::shifted_exp(s, x, s.splat(max), s.splat(1.0));
                let shifted = s.max(s.sub(x, s.splat(max)), s.splat(LEAST));
                weights = s.add(weights, weight);
                products = s.mul_add(weight, shifted, products);
                larger = s.add(larger, s.where_positive(s.sub(x, s.splat(token)), s.splat(1.0)));
            });
            weight_sum += f64::from(s.sum(weights));
            moment += f64::from(s.sum(products));
            above += s.sum(larger) as u32;
        }
        let log_sum = weight_sum.ln();
        let log_prob = f64::from(token) - f64::from(max) - log_sum;
        (log_prob as f32, (log_sum - moment / weight_sum) as f32, 1 + above)
    }
}
