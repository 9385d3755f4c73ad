//! CPU implementation: the right factor is packed panel by panel, and panels or rows are split between the threads.

use super::Dims;
use crate::Store;
use crate::cpu::Cpu;
use crate::cpu::tile::{self, Matrix};

pub(super) fn forward_scratch_len(dims: Dims) -> usize {
    tile::packed_len(dims.k, dims.n)
}

pub(super) fn backward_scratch_len(dims: Dims) -> usize {
    tile::packed_len(dims.n, dims.k).max(tile::packed_len(dims.m, dims.n))
}

pub(super) fn forward(cpu: &Cpu, dims: Dims, a: &[f32], b: &[f32], c: &mut [f32], scratch: &mut [f32]) {
    let Dims { m, k, n } = dims;
    let (a, b) = (Matrix::rows(a, k), Matrix::rows(b, n));
    // SAFETY: the caller has checked that a is [m, k] and b [k, n].
    unsafe {
        tile::pack_and_multiply(cpu, (m, k, n), a, b, scratch, c, Store::Overwrite);
    }
}

pub(super) fn backward_a(
    cpu: &Cpu,
    dims: Dims,
    d_c: &[f32],
    b: &[f32],
    d_a: &mut [f32],
    store: Store,
    scratch: &mut [f32],
) {
    let Dims { m, k, n } = dims;
    let (d_c, b) = (Matrix::rows(d_c, n), Matrix::rows(b, n).transposed());
    // SAFETY: the caller has checked that d_c is [m, n] and b [k, n].
    unsafe {
        tile::pack_and_multiply(cpu, (m, n, k), d_c, b, scratch, d_a, store);
    }
}

pub(super) fn backward_b(
    cpu: &Cpu,
    dims: Dims,
    a: &[f32],
    d_c: &[f32],
    d_b: &mut [f32],
    store: Store,
    scratch: &mut [f32],
) {
    let Dims { m, k, n } = dims;
    let (a, d_c) = (Matrix::rows(a, k).transposed(), Matrix::rows(d_c, n));
    // SAFETY: the caller has checked that a is [m, k] and d_c [m, n].
    unsafe {
        tile::pack_and_multiply(cpu, (k, m, n), a, d_c, scratch, d_b, store);
    }
}
