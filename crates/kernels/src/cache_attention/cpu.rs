//! CPU implementation: the rows are split between the threads.

use super::Dims;
use crate::cpu::elements::in_parts;
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

/// The number of words compared before checking whether any of them matched.
const GROUP: usize = 32;

pub(super) fn forward(cpu: &Cpu, dims: Dims, theta: f32, scores: &[f32], next: &[u32], shares: &mut [f32]) {
    let shares = SharedMut::new(shares);
    in_parts(cpu, dims.rows, 1, scores.len(), |part| {
        // SAFETY: parts do not overlap.
        let shares = unsafe { shares.range(part.clone()) };
        cpu.vectorized(Forward { dims, first_row: part.start, theta, scores, next, shares });
    });
}

struct Forward<'a> {
    dims: Dims,
    first_row: usize,
    theta: f32,
    scores: &'a [f32],
    next: &'a [u32],
    shares: &'a mut [f32],
}

impl Vectorized for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { dims, first_row, theta, scores, next, shares } = self;
        for (row, share) in (first_row..).zip(shares) {
            let window = dims.window_of(row);
            if window.is_empty() {
                *share = 0.0;
                continue;
            }
            let word = next[window.end];
            let scores = &scores[row * dims.positions..][window.clone()];
            let max = rows::max(s, scores);
            let all = rows::exp_sum(s, scores, max, theta, None);
            let quotient = matching(scores, &next[window], word, max, theta) / all;
            // If every word matches, rounding must not make the probability exceed 1.
            *share = if quotient > 1.0 { 1.0 } else { quotient };
        }
    }
}

/// `Σ e^((score − max) · θ)` over the positions followed by `word`. Few positions match, so each gets its own
/// scalar exponential; finding them takes the time, and a branch-free comparison of a group can be
/// vectorized.
#[inline(always)]
fn matching(scores: &[f32], next: &[u32], word: u32, max: f32, theta: f32) -> f32 {
    let mut sum = 0.0;
    for (scores, next) in scores.chunks(GROUP).zip(next.chunks(GROUP)) {
        let mut found = false;
        for &id in next {
            found |= id == word;
        }
        if found {
            for (&score, &id) in scores.iter().zip(next) {
                if id == word {
                    sum += ((score - max) * theta).exp();
                }
            }
        }
    }
    sum
}
