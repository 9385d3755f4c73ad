//! CPU implementation: the mask's elements are split between the threads, in whole groups.
//!
//! A group's factors (zero or the scale) are generated into the first-level cache and then multiplied with
//! every step that shares them.

use std::ops::Range;

use super::reference::{BLOCKS, GROUP, counter, is_kept};
use super::{Dims, Dropout, Key, Mask, RowDims, Step, philox, threshold};
use crate::Store;
use crate::cpu::elements::{Identity, in_parts, map};
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized};

/// Applies dropout to the elements of `from`, or to those of `to` if `from` is `None`.
pub(super) fn apply(
    cpu: &Cpu,
    dims: Dims,
    dropout: Dropout,
    from: Option<&[f32]>,
    to: &mut [f32],
    how: Store,
) {
    if dropout.probability == 0.0 {
        if let Some(from) = from {
            map(cpu, Identity, [from], to, how);
        }
        return;
    }
    let keys = philox::round_keys(dropout.key.seed);
    let draw = Draw {
        keys: &keys,
        stream: dropout.key.stream,
        threshold: threshold(dropout.probability),
        scale: 1.0 / (1.0 - dropout.probability),
    };
    let numbers = to.len();
    let to = SharedMut::new(to);
    let Step { before, own, all } = Step::new(dims, dropout.columns);
    // Applies the elements `mask` of the mask, the first of which is for element `first` of a step, to `repeats` steps.
    let apply = |mask: Range<usize>, first: usize, repeats: usize| {
        let mut start = mask.start;
        while start < mask.end {
            let group = start / GROUP;
            let end = mask.end.min((group + 1) * GROUP);
            let mut factors = [0.0; GROUP];
            cpu.vectorized(Factors { draw, group, factors: &mut factors });
            let factors = &factors[start % GROUP..][..end - start];
            for repeat in 0..repeats {
                let first = repeat * own + first + (start - mask.start);
                // SAFETY: the parts below do not overlap, so neither do their elements of each step.
                let to = unsafe { to.range(first..first + factors.len()) };
                let from = from.map(|from| &from[first..first + factors.len()]);
                cpu.vectorized(Multiply { factors, from, to, how });
            }
            start = end;
        }
    };
    match dropout.mask {
        Mask::Locked => {
            // Whole groups of the mask, of which the first and the last have elements of other columns.
            let skipped = before / GROUP * GROUP;
            in_parts(cpu, before + own - skipped, GROUP, numbers, |part| {
                let mask = before.max(skipped + part.start)..skipped + part.end;
                apply(mask.clone(), mask.start - before, dims.steps);
            });
        }
        Mask::Elementwise if own == all => {
            in_parts(cpu, numbers, GROUP, numbers, |part| apply(part.clone(), part.start, 1));
        }
        Mask::Elementwise => in_parts(cpu, dims.steps, 1, numbers, |part| {
            for step in part {
                let first = step * all + before;
                apply(first..first + own, step * own, 1);
            }
        }),
    }
}

/// Drops rows by their ids. The mask of a row's id is generated where the row is: one generator block per few
/// hundred elements.
pub(super) fn rows_in_place(
    cpu: &Cpu,
    dims: RowDims,
    probability: f32,
    key: Key,
    ids: &[u32],
    values: &mut [f32],
) {
    let RowDims { rows, width } = dims;
    if probability == 0.0 || width == 0 {
        return;
    }
    let scale = 1.0 / (1.0 - probability);
    let numbers = values.len();
    let values = SharedMut::new(values);
    in_parts(cpu, rows, 1, numbers, |part| {
        // SAFETY: parts do not overlap, so neither do their rows.
        let values = unsafe { values.range(part.start * width..part.end * width) };
        for (row, &id) in values.chunks_exact_mut(width).zip(&ids[part]) {
            if is_kept(key, probability, id as usize) {
                cpu.vectorized(Scale { scale, row });
            } else {
                row.fill(0.0);
            }
        }
    });
}

/// Multiplies a row.
struct Scale<'a> {
    scale: f32,
    row: &'a mut [f32],
}

impl Vectorized for Scale<'_> {
    type Output = ();

    // A plain loop, which the compiler vectorizes for this instruction set.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for value in self.row {
            *value *= self.scale;
        }
    }
}

#[derive(Clone, Copy)]
struct Draw<'a> {
    keys: &'a philox::RoundKeys,
    stream: u64,
    threshold: u32,
    scale: f32,
}

/// Generates the factors of a group.
struct Factors<'a> {
    draw: Draw<'a>,
    group: usize,
    factors: &'a mut [f32; GROUP],
}

impl Vectorized for Factors<'_> {
    type Output = ();

    // Plain loops, which the compiler vectorizes for this instruction set.
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Draw { keys, stream, threshold, scale } = self.draw;
        let first = (self.group * BLOCKS) as u64;
        let mut words = [[0u32; BLOCKS]; 4];
        for block in 0..BLOCKS {
            let random = philox::block(keys, counter(first + block as u64, stream));
            for (words, random) in words.iter_mut().zip(random) {
                words[block] = random as u32;
            }
        }
        for (factors, words) in self.factors.chunks_exact_mut(2 * BLOCKS).zip(&words) {
            let (low, high) = factors.split_at_mut(BLOCKS);
            for (block, &word) in words.iter().enumerate() {
                low[block] = if word & 0xffff >= threshold { scale } else { 0.0 };
                high[block] = if word >> 16 >= threshold { scale } else { 0.0 };
            }
        }
    }
}

/// Multiplies by a group's factors.
struct Multiply<'a> {
    factors: &'a [f32],
    from: Option<&'a [f32]>,
    to: &'a mut [f32],
    how: Store,
}

impl Vectorized for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Multiply { factors, from, to, how } = self;
        let (len, to) = (to.len(), to.as_mut_ptr());
        assert!(
            len == factors.len() && from.is_none_or(|from| from.len() == len),
            "{len} elements of a group"
        );
        let from = from.map_or(to.cast_const(), <[f32]>::as_ptr);
        each_vector!(s, len, |offset, count| {
            // SAFETY: the three have at least the length that is iterated over.
            unsafe {
                let factor = load(s, factors.as_ptr().add(offset), count);
                let mut value = s.mul(load(s, from.add(offset), count), factor);
                if how == Store::Add {
                    value = s.add(load(s, to.add(offset), count), value);
                }
                store(s, to.add(offset), count, value);
            }
        });
    }
}
