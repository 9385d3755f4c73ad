//! CPU implementation: the elements are split between the threads; each step reads and writes every element
//! once.

use std::ops::Range;

use super::Rows;
use super::factors::{AdamFactors, SgdFactors};
use crate::cpu::elements::{LINE, in_parts};
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized};

pub(super) fn clip_values(cpu: &Cpu, limit: f32, values: &mut [f32]) {
    let len = values.len();
    let values = SharedMut::new(values);
    in_parts(cpu, len, LINE, len, |part| {
        // SAFETY: parts do not overlap.
        let values = unsafe { values.range(part) };
        cpu.vectorized(Clip { limit, values });
    });
}

struct Clip<'a> {
    limit: f32,
    values: &'a mut [f32],
}

impl Vectorized for Clip<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (low, high) = (s.splat(-self.limit), s.splat(self.limit));
        let pointer = self.values.as_mut_ptr();
        each_vector!(s, self.values.len(), |offset, count| {
            // SAFETY: offset + count stays within the slice.
            unsafe {
                let x = load(s, pointer.add(offset), count);
                // This argument order propagates NaN.
                store(s, pointer.add(offset), count, s.max(low, s.min(high, x)));
            }
        });
    }
}

pub(super) fn sgd(
    cpu: &Cpu,
    factors: SgdFactors,
    scale: f32,
    gradient: &[f32],
    weight: &mut [f32],
    velocity: Option<&mut [f32]>,
) {
    let len = weight.len();
    let weight = SharedMut::new(weight);
    let velocity = velocity.map(SharedMut::new);
    in_parts(cpu, len, LINE, len, |part| {
        // SAFETY: parts do not overlap.
        let weight = unsafe { weight.range(part.clone()) };
        // SAFETY: as above.
        let velocity = velocity.as_ref().map(|velocity| unsafe { velocity.range(part.clone()) });
        cpu.vectorized(SgdStep { factors, scale, gradient: &gradient[part], weight, velocity });
    });
}

pub(super) fn sgd_rows(
    cpu: &Cpu,
    factors: SgdFactors,
    scale: f32,
    gradient: Rows<'_>,
    weight: &mut [f32],
    velocity: Option<&mut [f32]>,
) {
    let (values, width) = (gradient.values.host(), gradient.width);
    let weight = SharedMut::new(weight);
    let velocity = velocity.map(SharedMut::new);
    each_row(cpu, gradient.rows.host(), width, |at, row| {
        // SAFETY: each row belongs to one thread.
        let weight = unsafe { weight.range(row.clone()) };
        // SAFETY: as above.
        let velocity = velocity.as_ref().map(|velocity| unsafe { velocity.range(row) });
        let gradient = &values[at * width..(at + 1) * width];
        cpu.vectorized(SgdStep { factors, scale, gradient, weight, velocity });
    });
}

/// Calls a function for each of some rows, split between the threads, with its position in the list and its elements.
fn each_row(cpu: &Cpu, rows: &[u32], width: usize, run: impl Fn(usize, Range<usize>) + Sync) {
    assert!(rows.is_sorted_by(|a, b| a < b), "rows of a sparse gradient must be strictly increasing");
    in_parts(cpu, rows.len(), 1, rows.len() * width, |part| {
        for at in part {
            let first = rows[at] as usize * width;
            run(at, first..first + width);
        }
    });
}

struct SgdStep<'a> {
    factors: SgdFactors,
    scale: f32,
    gradient: &'a [f32],
    weight: &'a mut [f32],
    velocity: Option<&'a mut [f32]>,
}

impl Vectorized for SgdStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let SgdStep { factors, scale, gradient, weight, velocity } = self;
        assert!(gradient.len() == weight.len(), "{} gradients, {} weights", gradient.len(), weight.len());
        let (scale, decay) = (s.splat(scale), s.splat(factors.decay));
        let (momentum, rate) = (s.splat(factors.momentum), s.splat(factors.rate));
        let (len, from, weight) = (weight.len(), gradient.as_ptr(), weight.as_mut_ptr());
        if let Some(velocity) = velocity {
            assert!(velocity.len() == len, "{} velocities, {len} weights", velocity.len());
            let velocity = velocity.as_mut_ptr();
            each_vector!(s, len, |offset, count| {
                // SAFETY: all slices have the length that is iterated over.
                unsafe {
                    let w = load(s, weight.add(offset), count);
                    let g = s.mul_add(w, decay, s.mul(load(s, from.add(offset), count), scale));
                    let v = s.mul_add(load(s, velocity.add(offset), count), momentum, g);
                    store(s, velocity.add(offset), count, v);
                    store(s, weight.add(offset), count, s.mul_add(v, rate, w));
                }
            });
        } else {
            each_vector!(s, len, |offset, count| {
                // SAFETY: all slices have the length that is iterated over.
                unsafe {
                    let w = load(s, weight.add(offset), count);
                    let g = s.mul_add(w, decay, s.mul(load(s, from.add(offset), count), scale));
                    store(s, weight.add(offset), count, s.mul_add(g, rate, w));
                }
            });
        }
    }
}

pub(super) fn adam(
    cpu: &Cpu,
    factors: AdamFactors,
    scale: f32,
    gradient: &[f32],
    weight: &mut [f32],
    moments: (&mut [f32], &mut [f32]),
) {
    let len = weight.len();
    let weight = SharedMut::new(weight);
    let (first, second) = (SharedMut::new(moments.0), SharedMut::new(moments.1));
    in_parts(cpu, len, LINE, len, |part| {
        // SAFETY: parts do not overlap.
        let (weight, first, second) =
            unsafe { (weight.range(part.clone()), first.range(part.clone()), second.range(part.clone())) };
        cpu.vectorized(AdamStep { factors, scale, gradient: &gradient[part], weight, first, second });
    });
}

pub(super) fn adam_rows(
    cpu: &Cpu,
    factors: AdamFactors,
    scale: f32,
    gradient: Rows<'_>,
    weight: &mut [f32],
    moments: (&mut [f32], &mut [f32]),
) {
    let (values, width) = (gradient.values.host(), gradient.width);
    let weight = SharedMut::new(weight);
    let (first, second) = (SharedMut::new(moments.0), SharedMut::new(moments.1));
    each_row(cpu, gradient.rows.host(), width, |at, row| {
        // SAFETY: each row belongs to one thread.
        let (weight, first, second) =
            unsafe { (weight.range(row.clone()), first.range(row.clone()), second.range(row)) };
        let gradient = &values[at * width..(at + 1) * width];
        cpu.vectorized(AdamStep { factors, scale, gradient, weight, first, second });
    });
}

struct AdamStep<'a> {
    factors: AdamFactors,
    scale: f32,
    gradient: &'a [f32],
    weight: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Vectorized for AdamStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AdamStep { factors, scale, gradient, weight, first, second } = self;
        let len = weight.len();
        assert!(
            gradient.len() == len && first.len() == len && second.len() == len,
            "{} gradients, {len} weights, {} and {} moments",
            gradient.len(),
            first.len(),
            second.len()
        );
        let (scale, decay, keep) = (s.splat(scale), s.splat(factors.decay), s.splat(factors.keep));
        let (beta1, rest1) = (s.splat(factors.beta1), s.splat(factors.rest1));
        let (beta2, rest2) = (s.splat(factors.beta2), s.splat(factors.rest2));
        let (root, epsilon, rate) = (s.splat(factors.root), s.splat(factors.epsilon), s.splat(factors.rate));
        let (from, weight) = (gradient.as_ptr(), weight.as_mut_ptr());
        let (first, second) = (first.as_mut_ptr(), second.as_mut_ptr());
        each_vector!(s, len, |offset, count| {
            // SAFETY: all slices have the length that is iterated over.
            unsafe {
                let w = load(s, weight.add(offset), count);
                let g = s.mul_add(w, decay, s.mul(load(s, from.add(offset), count), scale));
                let m = s.mul_add(load(s, first.add(offset), count), beta1, s.mul(g, rest1));
                let v = s.mul_add(load(s, second.add(offset), count), beta2, s.mul(s.mul(g, g), rest2));
                store(s, first.add(offset), count, m);
                store(s, second.add(offset), count, v);
                let denominator = s.mul_add(s.sqrt(v), root, epsilon);
                let w = s.mul_add(s.div(m, denominator), rate, s.mul(w, keep));
                store(s, weight.add(offset), count, w);
            }
        });
    }
}

pub(super) fn average(cpu: &Cpu, share: f32, weight: &[f32], average: &mut [f32]) {
    let len = average.len();
    let average = SharedMut::new(average);
    in_parts(cpu, len, LINE, len, |part| {
        // SAFETY: parts do not overlap.
        let average = unsafe { average.range(part.clone()) };
        cpu.vectorized(AverageStep { share, weight: &weight[part], average });
    });
}

pub(super) fn average_rows(
    cpu: &Cpu,
    width: usize,
    rows: &[u32],
    kept: &[f32],
    weight: &[f32],
    average: &mut [f32],
) {
    let average = SharedMut::new(average);
    each_row(cpu, rows, width, |at, row| {
        // SAFETY: each row belongs to one thread.
        let average = unsafe { average.range(row.clone()) };
        cpu.vectorized(AverageStep { share: 1.0 - kept[at], weight: &weight[row], average });
    });
}

struct AverageStep<'a> {
    share: f32,
    weight: &'a [f32],
    average: &'a mut [f32],
}

impl Vectorized for AverageStep<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AverageStep { share, weight, average } = self;
        assert!(weight.len() == average.len(), "{} weights, {} averages", weight.len(), average.len());
        // Both ends are exact: with `share` 1 the average becomes the weight itself.
        let (share, rest) = (s.splat(share), s.splat(1.0 - share));
        let (len, weight, average) = (average.len(), weight.as_ptr(), average.as_mut_ptr());
        each_vector!(s, len, |offset, count| {
            // SAFETY: both slices have the length that is iterated over.
            unsafe {
                let a = load(s, average.add(offset), count);
                let w = load(s, weight.add(offset), count);
                store(s, average.add(offset), count, s.mul_add(w, share, s.mul(a, rest)));
            }
        });
    }
}
