//! CPU implementation: the rows are split between the threads.

use std::ops::Range;

use super::Dims;
use crate::Store;
use crate::cpu::elements::in_parts;
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

pub(super) fn forward(
    cpu: &Cpu,
    dims: Dims,
    logits: &[f32],
    targets: &[u32],
    nll: &mut [f32],
    log_sums: &mut [f32],
) {
    check_targets(targets, dims.vocab);
    let (nll, log_sums) = (SharedMut::new(nll), SharedMut::new(log_sums));
    in_parts(cpu, dims.rows, 1, logits.len(), |part| {
        // SAFETY: parts do not overlap.
        let (nll, log_sums) = unsafe { (nll.range(part.clone()), log_sums.range(part.clone())) };
        cpu.vectorized(Forward { vocab: dims.vocab, part, logits, targets, nll, log_sums });
    });
}

pub(super) fn backward(
    cpu: &Cpu,
    dims: Dims,
    scale: f32,
    (logits, targets, log_sums): (&[f32], &[u32], &[f32]),
    d_logits: &mut [f32],
    how: Store,
) {
    let vocab = dims.vocab;
    check_targets(targets, vocab);
    let d_logits = SharedMut::new(d_logits);
    in_parts(cpu, dims.rows, 1, logits.len(), |part| {
        // SAFETY: parts do not overlap, so neither do their rows.
        let d_logits = unsafe { d_logits.range(part.start * vocab..part.end * vocab) };
        cpu.vectorized(Backward { vocab, part, scale, logits, targets, log_sums, d_logits, how });
    });
}

fn check_targets(targets: &[u32], vocab: usize) {
    if let Some(row) = targets.iter().position(|&target| target as usize >= vocab) {
        panic!("target {} of row {row} is out of range for a vocabulary of {vocab}", targets[row]);
    }
}

struct Forward<'a> {
    vocab: usize,
    part: Range<usize>,
    logits: &'a [f32],
    targets: &'a [u32],
    nll: &'a mut [f32],
    log_sums: &'a mut [f32],
}

impl Vectorized for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { vocab, part, logits, targets, nll, log_sums } = self;
        for (row, (nll, log_sum)) in part.zip(nll.iter_mut().zip(log_sums)) {
            let logits = &logits[row * vocab..(row + 1) * vocab];
            let max = rows::max(s, logits);
            let log = rows::exp_sum(s, logits, max, 1.0, None).ln();
            *log_sum = max + log;
            // Not `log_sum − logit`: for a likely target, that would lose the significant digits.
            *nll = log + (max - logits[targets[row] as usize]);
        }
    }
}

struct Backward<'a> {
    vocab: usize,
    part: Range<usize>,
    scale: f32,
    logits: &'a [f32],
    targets: &'a [u32],
    log_sums: &'a [f32],
    d_logits: &'a mut [f32],
    how: Store,
}

impl Vectorized for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { vocab, part, scale, logits, targets, log_sums, d_logits, how } = self;
        for (row, d_logits) in part.zip(d_logits.chunks_exact_mut(vocab)) {
            let log_sum = s.splat(log_sums[row]);
            let from = logits[row * vocab..(row + 1) * vocab].as_ptr();
            let to = d_logits.as_mut_ptr();
            each_vector!(s, vocab, |offset, count| {
                // SAFETY: both rows have the length that is iterated over.
                unsafe {
                    let logit = load(s, from.add(offset), count);
                    let probability = rows::shifted_exp(s, logit, log_sum, s.splat(1.0));
                    let mut value = s.mul(probability, s.splat(scale));
                    if how == Store::Add {
                        value = s.add(load(s, to.add(offset), count), value);
                    }
                    store(s, to.add(offset), count, value);
                }
            });
            d_logits[targets[row] as usize] -= scale;
        }
    }
}
