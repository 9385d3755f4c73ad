//! CPU implementation: the rows are split between the threads.

use super::Dims;
use crate::Store;
use crate::cpu::elements::in_parts;
use crate::cpu::math::{each_vector, load, store};
use crate::cpu::{Cpu, SharedMut, Simd, Vectorized, rows};

pub(super) fn forward(cpu: &Cpu, dims: Dims, temperature: f32, x: &[f32], y: &mut [f32]) {
    let columns = dims.columns;
    let y = SharedMut::new(y);
    in_parts(cpu, dims.rows, 1, x.len(), |part| {
        let numbers = part.start * columns..part.end * columns;
        // SAFETY: parts do not overlap, so neither do their rows.
        let y = unsafe { y.range(numbers.clone()) };
        cpu.vectorized(Forward { columns, factor: 1.0 / temperature, x: &x[numbers], y });
    });
}

pub(super) fn backward(
    cpu: &Cpu,
    dims: Dims,
    temperature: f32,
    y: &[f32],
    d_y: &[f32],
    d_x: &mut [f32],
    how: Store,
) {
    let columns = dims.columns;
    let d_x = SharedMut::new(d_x);
    in_parts(cpu, dims.rows, 1, y.len(), |part| {
        let numbers = part.start * columns..part.end * columns;
        // SAFETY: parts do not overlap, so neither do their rows.
        let d_x = unsafe { d_x.range(numbers.clone()) };
        let (y, d_y) = (&y[numbers.clone()], &d_y[numbers]);
        cpu.vectorized(Backward { columns, factor: 1.0 / temperature, y, d_y, d_x, how });
    });
}

struct Forward<'a> {
    columns: usize,
    /// One over the temperature.
    factor: f32,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl Vectorized for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Forward { columns, factor, x, y } = self;
        if columns == 0 {
            return;
        }
        for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact_mut(columns)) {
            let sum = rows::exp_sum(s, x, rows::max(s, x), factor, Some(y));
            let scale = s.splat(1.0 / sum);
            let y = y.as_mut_ptr();
            each_vector!(s, columns, |offset, count| {
                // SAFETY: offset + count stays within the row.
                unsafe { store(s, y.add(offset), count, s.mul(load(s, y.add(offset), count), scale)) };
            });
        }
    }
}

struct Backward<'a> {
    columns: usize,
    /// One over the temperature.
    factor: f32,
    y: &'a [f32],
    d_y: &'a [f32],
    d_x: &'a mut [f32],
    how: Store,
}

impl Vectorized for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Backward { columns, factor, y, d_y, d_x, how } = self;
        if columns == 0 {
            return;
        }
        let factor = s.splat(factor);
        let rows = y.chunks_exact(columns).zip(d_y.chunks_exact(columns)).zip(d_x.chunks_exact_mut(columns));
        for ((y, d_y), d_x) in rows {
            let dot = s.splat(rows::dot(s, y, d_y));
            let (y, d_y, d_x) = (y.as_ptr(), d_y.as_ptr(), d_x.as_mut_ptr());
            each_vector!(s, columns, |offset, count| {
                // SAFETY: all three have the length that is iterated over.
                unsafe {
                    let difference = s.sub(load(s, d_y.add(offset), count), dot);
                    let mut value = s.mul(s.mul(load(s, y.add(offset), count), difference), factor);
                    if how == Store::Add {
                        value = s.add(load(s, d_x.add(offset), count), value);
                    }
                    store(s, d_x.add(offset), count, value);
                }
            });
        }
    }
}
