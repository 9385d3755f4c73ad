//! The simple RNN: `h' = tanh(a)` or `max(a, 0)`.

use super::rows::{BackwardRow, ForwardRow, Pointwise};
use crate::cpu::{Simd, math};

/// With tanh.
pub(super) struct Tanh;
/// With ReLU.
pub(super) struct Relu;

impl Pointwise for Tanh {
    #[inline(always)]
    unsafe fn forward<S: Simd>(s: S, row: &ForwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let h = math::tanh(s, row.pre_activation(s, 0, j, count));
            row.set_gate(s, 0, j, count, h);
            row.set_hidden(s, j, count, h);
        }
    }

    #[inline(always)]
    unsafe fn backward<S: Simd>(s: S, row: &BackwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let h = row.gate(s, 0, j, count);
            let slope = s.sub(s.splat(1.0), s.mul(h, h));
            row.set_gate(s, 0, j, count, s.mul(row.d_hidden(s, j, count), slope));
        }
    }
}

impl Pointwise for Relu {
    #[inline(always)]
    unsafe fn forward<S: Simd>(s: S, row: &ForwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            // This argument order propagates NaN (`max` returns its second operand then), so that the trainer
            // can detect it.
            let h = s.max(s.splat(0.0), row.pre_activation(s, 0, j, count));
            row.set_gate(s, 0, j, count, h);
            row.set_hidden(s, j, count, h);
        }
    }

    #[inline(always)]
    unsafe fn backward<S: Simd>(s: S, row: &BackwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let h = row.gate(s, 0, j, count);
            row.set_gate(s, 0, j, count, s.where_positive(h, row.d_hidden(s, j, count)));
        }
    }
}
