//! CPU implementation: the blocks of all rows are split between the threads, then the rows.

use std::ops::Range;

use super::{BLOCK, Dims, Forward, Pick};
use crate::cpu::elements::{LINE, in_parts};
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

/// The cost of an element here, which needs an exponential, in elements that could be copied in the same
/// time.
const COST: usize = 8;

pub(super) fn forward(cpu: &Cpu, dims: Dims, args: Forward<'_>) {
    let (logits, caps) = (args.logits.host(), args.caps.map(|caps| caps.host()));
    let maxima = SharedMut::new(args.maxima.host());
    let sums = args.sums.map(|(temperature, sums)| (factor(temperature), SharedMut::new(sums.host())));
    in_parts(cpu, maxima.len(), LINE, logits.len(), |part| {
        // SAFETY: parts do not overlap.
        let maxima = unsafe { maxima.range(part.clone()) };
        // SAFETY: as above.
        let sums = sums.as_ref().map(|(factor, sums)| (*factor, unsafe { sums.range(part.clone()) }));
        cpu.vectorized(Blocks { dims, part, logits, caps, maxima, sums });
    });
}

pub(super) fn pick(cpu: &Cpu, dims: Dims, args: Pick<'_>) {
    let (logits, caps) = (args.logits.host(), args.caps.map(|caps| caps.host()));
    let (maxima, factor, blocks) = (args.maxima.host(), factor(args.temperature), dims.blocks());
    let (sums, ids) = (SharedMut::new(args.sums.host()), SharedMut::new(args.ids.host()));
    in_parts(cpu, dims.rows, 1, dims.rows * (blocks + BLOCK) * COST, |part| {
        for row in part {
            let here = row * blocks..(row + 1) * blocks;
            // SAFETY: parts do not overlap, so neither do their rows.
            let (sums, id) = unsafe { (sums.range(here.clone()), ids.range(row..row + 1)) };
            let logits = &logits[row * dims.vocab..(row + 1) * dims.vocab];
            let point = args.points[row];
            id[0] = cpu.vectorized(Row { logits, caps, factor, maxima: &maxima[here], sums, point });
        }
    });
}

/// One over the temperature, but finite even for the smallest temperature: infinity times zero would be NaN.
fn factor(temperature: f32) -> f32 {
    (1.0 / temperature).min(f32::MAX)
}

/// Some blocks of a matrix, numbered across its rows.
struct Blocks<'a> {
    dims: Dims,
    part: Range<usize>,
    logits: &'a [f32],
    caps: Option<&'a [f32]>,
    maxima: &'a mut [f32],
    /// With one over the temperature.
    sums: Option<(f32, &'a mut [f32])>,
}

impl Vectorized for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Blocks { dims, part, logits, caps, maxima, mut sums } = self;
        let mut numbers = [0.0; BLOCK];
        for (place, (index, max)) in part.zip(maxima).enumerate() {
            let (row, block) = (index / dims.blocks(), index % dims.blocks());
            capped(s, &logits[row * dims.vocab..(row + 1) * dims.vocab], caps, block, &mut numbers);
            *max = rows::max(s, &numbers);
            if let Some((factor, sums)) = &mut sums {
                let sum = || rows::exp_sum(s, &numbers, *max, *factor, None);
                sums[place] = if max.is_finite() { sum() } else { 0.0 };
            }
        }
    }
}

/// A row to pick a token from.
struct Row<'a> {
    logits: &'a [f32],
    caps: Option<&'a [f32]>,
    /// One over the temperature.
    factor: f32,
    maxima: &'a [f32],
    sums: &'a mut [f32],
    point: f64,
}

impl Vectorized for Row<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> u32 {
        let Row { logits, caps, factor, maxima, sums, point } = self;
        let max = rows::max(s, maxima);
        if !max.is_finite() {
            return 0;
        }
        let (shift, factor_of_all) = (s.splat(max), s.splat(factor));
        let (from, to, len) = (maxima.as_ptr(), sums.as_mut_ptr(), maxima.len().min(sums.len()));
        each_vector!(s, len, |at, count| {
            // SAFETY: both slices have the length that is iterated over.
            unsafe {
                let share = rows::shifted_exp(s, load(s, from.add(at), count), shift, factor_of_all);
                store(s, to.add(at), count, s.mul(load(s, to.add(at), count), share));
            }
        });
        let (block, within) = fall(sums, point);
        let (mut numbers, mut weights) = ([0.0; BLOCK], [0.0; BLOCK]);
        capped(s, logits, caps, block, &mut numbers);
        rows::exp_sum(s, &numbers, maxima[block], factor, Some(&mut weights));
        let (token, _) = fall(&weights, within);
        (block * BLOCK + token) as u32
    }
}

/// The elements of a row's block under their caps; −∞ beyond the row's end, so that all blocks are whole
/// vectors.
#[inline(always)]
fn capped<S: Simd>(s: S, row: &[f32], caps: Option<&[f32]>, block: usize, numbers: &mut [f32; BLOCK]) {
    let here = block * BLOCK..row.len().min((block + 1) * BLOCK);
    let row = &row[here.clone()];
    let caps = caps.map(|caps| &caps[here]);
    numbers[row.len()..].fill(f32::NEG_INFINITY);
    let (from, to) = (row.as_ptr(), numbers.as_mut_ptr());
    each_vector!(s, row.len(), |at, count| {
        // SAFETY: the row, its caps and `numbers` are at least as long as the row, which is iterated over.
        unsafe {
            let cap = match caps {
                Some(caps) => load(s, caps.as_ptr().add(at), count),
                None => s.splat(f32::INFINITY),
            };
            // This argument order turns NaN into the cap.
            store(s, to.add(at), count, s.min(load(s, from.add(at), count), cap));
        }
    });
}

/// The index among `weights` at which `point` in `[0, 1)` falls, and the position within it: again in `[0,
/// 1)`, or 1 if rounding has left the point just past the last weight.
#[inline(always)]
fn fall(weights: &[f32], point: f64) -> (usize, f64) {
    let mut left = point * weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    for (place, &weight) in weights.iter().enumerate() {
        let weight = f64::from(weight);
        if left < weight {
            return (place, left / weight);
        }
        left -= weight;
    }
    (weights.iter().rposition(|&weight| weight > 0.0).unwrap_or(0), 1.0)
}
