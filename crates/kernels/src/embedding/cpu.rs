//! CPU implementation: forward splits the rows between the threads, backward the columns.
//!
//! Word frequencies are very uneven, so splitting the gradient by rows would leave one thread with most of
//! the work; columns cost the same, and each is summed in the order of the tokens, regardless of the number
//! of threads.

use std::ops::Range;

use super::Dims;
use crate::cpu::elements::{LINE, add_to, in_parts};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized};

pub(super) fn forward(cpu: &Cpu, dims: Dims, table: &[f32], ids: &[u32], out: &mut [f32]) {
    let Dims { rows, vocab, width } = dims;
    check_ids(ids, vocab);
    if width == 0 {
        return;
    }
    let out = SharedMut::new(out);
    in_parts(cpu, rows, 1, rows * width, |part| {
        // SAFETY: parts do not overlap, so neither do their rows.
        let out = unsafe { out.range(part.start * width..part.end * width) };
        for (out, &id) in out.chunks_exact_mut(width).zip(&ids[part]) {
            out.copy_from_slice(&table[id as usize * width..][..width]);
        }
    });
}

pub(super) fn backward(cpu: &Cpu, dims: Dims, ids: &[u32], d_out: &[f32], d_table: &mut [f32]) {
    let Dims { rows, vocab, width } = dims;
    check_ids(ids, vocab);
    let d_table = &SharedMut::new(d_table);
    in_parts(cpu, width, LINE, rows * width, |columns| {
        cpu.vectorized(AddRows { width, columns, ids, d_out, d_table });
    });
}

pub(super) fn plan_rows(ids: &[u32], order: &mut [u32], starts: &mut [u32], rows: &mut [u32]) -> usize {
    assert!(u32::try_from(ids.len()).is_ok(), "{} ids, but positions have only 32 bits", ids.len());
    for (position, order) in order.iter_mut().enumerate() {
        *order = position as u32;
    }
    order.sort_unstable_by_key(|&position| (ids[position as usize], position));
    let mut unique = 0;
    for (at, &position) in order.iter().enumerate() {
        let id = ids[position as usize];
        if unique == 0 || rows[unique - 1] != id {
            rows[unique] = id;
            starts[unique] = at as u32;
            unique += 1;
        }
    }
    starts[unique] = order.len() as u32;
    unique
}

pub(super) fn backward_sparse(
    cpu: &Cpu,
    dims: Dims,
    d_out: &[f32],
    order: &[u32],
    starts: &[u32],
    values: &mut [f32],
) {
    let Dims { rows, width, .. } = dims;
    let values = &SharedMut::new(values);
    in_parts(cpu, width, LINE, rows * width, |columns| {
        cpu.vectorized(SumRows { width, columns, d_out, order, starts, values });
    });
}

fn check_ids(ids: &[u32], vocab: usize) {
    if let Some(row) = ids.iter().position(|&id| id as usize >= vocab) {
        panic!("id {} at position {row} is out of range for a table of {vocab} rows", ids[row]);
    }
}

struct AddRows<'a, 'b> {
    width: usize,
    columns: Range<usize>,
    ids: &'a [u32],
    d_out: &'a [f32],
    d_table: &'a SharedMut<'b, f32>,
}

impl Vectorized for AddRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let AddRows { width, columns, ids, d_out, d_table } = self;
        for (from, &id) in d_out.chunks_exact(width).zip(ids) {
            let first = id as usize * width;
            // SAFETY: each thread has its own columns.
            let to = unsafe { d_table.range(first + columns.start..first + columns.end) };
            add_to(s, &from[columns.clone()], to);
        }
    }
}

struct SumRows<'a, 'b> {
    width: usize,
    columns: Range<usize>,
    d_out: &'a [f32],
    order: &'a [u32],
    starts: &'a [u32],
    values: &'a SharedMut<'b, f32>,
}

impl Vectorized for SumRows<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let SumRows { width, columns, d_out, order, starts, values } = self;
        for (unique, bounds) in starts.windows(2).enumerate() {
            let first = unique * width;
            // SAFETY: each thread has its own columns.
            let to = unsafe { values.range(first + columns.start..first + columns.end) };
            to.fill(0.0);
            for &position in &order[bounds[0] as usize..bounds[1] as usize] {
                let from = &d_out[position as usize * width..][columns.clone()];
                add_to(s, from, to);
            }
        }
    }
}
