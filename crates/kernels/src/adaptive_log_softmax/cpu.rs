//! CPU implementation: the rows are split between the threads.
//!
//! With an order, words are moved one by one: that is bound by the memory and not by arithmetic.

use std::ops::Range;

use super::{Backward, Dims, Forward};
use crate::Slice;
use crate::cpu::elements::in_parts;
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

pub(super) fn forward(cpu: &Cpu, dims: Dims<'_>, args: Forward<'_>) {
    let Dims { rows, cutoffs, vocab } = dims;
    let (words, width, sums) = (dims.head_words(), dims.head_width(), 1 + cutoffs.len());
    let order = args.order.map(Slice::host);
    check_order(order, vocab);
    let (head, tails) = (args.head.host(), args.tails);
    let (log_probs, log_sums) = (SharedMut::new(args.log_probs.host()), SharedMut::new(args.log_sums.host()));
    in_parts(cpu, rows, 1, rows * vocab, |part| {
        for r in part {
            // SAFETY: parts do not overlap, so neither do their rows.
            let (log_probs, log_sums) = unsafe {
                (log_probs.range(r * vocab..(r + 1) * vocab), log_sums.range(r * sums..(r + 1) * sums))
            };
            let mut write = |ranks: Range<usize>, x: &[f32], shift: f32| match order {
                None => cpu.vectorized(Shift { x, shift, y: &mut log_probs[ranks] }),
                Some(order) => {
                    order[ranks].iter().zip(x).for_each(|(&id, &x)| log_probs[id as usize] = x + shift);
                }
            };
            let head = &head[r * width..(r + 1) * width];
            log_sums[0] = cpu.vectorized(LogSum(head));
            write(0..words, &head[..words], -log_sums[0]);
            for k in 0..cutoffs.len() {
                let ranks = dims.tail(k);
                let tail = &tails[k].host()[r * ranks.len()..(r + 1) * ranks.len()];
                log_sums[1 + k] = cpu.vectorized(LogSum(tail));
                write(ranks, tail, (head[words + k] - log_sums[0]) - log_sums[1 + k]);
            }
        }
    });
}

pub(super) fn backward(cpu: &Cpu, dims: Dims<'_>, args: Backward<'_>) {
    let Dims { rows, cutoffs, vocab } = dims;
    let (words, width, sums) = (dims.head_words(), dims.head_width(), 1 + cutoffs.len());
    let order = args.order.map(Slice::host);
    check_order(order, vocab);
    let (head, tails) = (args.head.host(), args.tails);
    let (log_sums, d_log_probs) = (args.log_sums.host(), args.d_log_probs.host());
    let d_head = SharedMut::new(args.d_head.host());
    let d_tails: Vec<_> = args.d_tails.into_iter().map(|tail| SharedMut::new(tail.host())).collect();
    in_parts(cpu, rows, 1, rows * vocab, |part| {
        for r in part {
            let d = &d_log_probs[r * vocab..(r + 1) * vocab];
            let gather = |ranks: Range<usize>, to: &mut [f32]| match order {
                None => to.copy_from_slice(&d[ranks]),
                Some(order) => {
                    to.iter_mut().zip(&order[ranks]).for_each(|(to, &id)| *to = d[id as usize]);
                }
            };
            // SAFETY: parts do not overlap, so neither do their rows.
            let d_head = unsafe { d_head.range(r * width..(r + 1) * width) };
            let (d_words, d_slots) = d_head.split_at_mut(words);
            gather(0..words, d_words);
            for (k, d_slot) in d_slots.iter_mut().enumerate() {
                let ranks = dims.tail(k);
                let own = r * ranks.len()..(r + 1) * ranks.len();
                // SAFETY: as above.
                let d_tail = unsafe { d_tails[k].range(own.clone()) };
                gather(ranks, d_tail);
                let log_sum = log_sums[r * sums + 1 + k];
                *d_slot = cpu.vectorized(LogSoftmaxBack { x: &tails[k].host()[own], log_sum, d: d_tail });
            }
            let x = &head[r * width..(r + 1) * width];
            cpu.vectorized(LogSoftmaxBack { x, log_sum: log_sums[r * sums], d: d_head });
        }
    });
}

fn check_order(order: Option<&[u32]>, vocab: usize) {
    if let Some(id) = order.and_then(|order| order.iter().find(|&&id| id as usize >= vocab)) {
        panic!("token {id} is out of range for a vocabulary of {vocab}");
    }
}

/// `log Σ eˣ`; NaN if there is a NaN or ∞.
struct LogSum<'a>(&'a [f32]);

impl Vectorized for LogSum<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let max = rows::max(s, self.0);
        max + rows::exp_sum(s, self.0, max, 1.0, None).ln()
    }
}

/// `y = x + shift`.
struct Shift<'a> {
    x: &'a [f32],
    shift: f32,
    y: &'a mut [f32],
}

impl Vectorized for Shift<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Shift { x, shift, y } = self;
        assert_eq!(x.len(), y.len(), "lengths of a sum");
        let (shift, from, to) = (s.splat(shift), x.as_ptr(), y.as_mut_ptr());
        each_vector!(s, x.len(), |offset, count| {
            // SAFETY: both slices have the length that is iterated over.
            unsafe { store(s, to.add(offset), count, s.add(load(s, from.add(offset), count), shift)) };
        });
    }
}

/// Turns `d`, the gradient of a log-softmax, into that of its input `x`; returns the sum of `d`.
struct LogSoftmaxBack<'a> {
    x: &'a [f32],
    log_sum: f32,
    d: &'a mut [f32],
}

impl Vectorized for LogSoftmaxBack<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let LogSoftmaxBack { x, log_sum, d } = self;
        assert_eq!(x.len(), d.len(), "lengths of a gradient and its input");
        let (len, x, d) = (x.len(), x.as_ptr(), d.as_mut_ptr());
        let mut sum = s.splat(0.0);
        each_vector!(s, len, |offset, count| {
            // SAFETY: the slice has the length that is iterated over; lanes beyond it are loaded as zeros.
            unsafe { sum = s.add(sum, load(s, d.add(offset), count)) };
        });
        let total = s.sum(sum);
        let log_sum = s.splat(log_sum);
        each_vector!(s, len, |offset, count| {
            // SAFETY: both slices have the length that is iterated over.
            unsafe {
                let probability = rows::shifted_exp(s, load(s, x.add(offset), count), log_sum, s.splat(1.0));
                let own = load(s, d.add(offset), count);
                store(s, d.add(offset), count, s.sub(own, s.mul(probability, s.splat(total))));
            }
        });
        total
    }
}
