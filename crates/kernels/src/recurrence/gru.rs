//! The gated recurrent unit, with the reset gate after the multiplication: `n = tanh(a_n + r∘q)`, `h' = n +
//! z∘(h − n)`; gates r, z, n.

use super::rows::{BackwardRow, ForwardRow, Pointwise};
use crate::cpu::{Simd, math};

pub(super) struct Gru;

impl Pointwise for Gru {
    #[inline(always)]
    unsafe fn forward<S: Simd>(s: S, row: &ForwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let r = math::sigmoid(s, row.pre_activation(s, 0, j, count));
            let z = math::sigmoid(s, row.pre_activation(s, 1, j, count));
            let q = row.reset_operand(s, 2, j, count);
            let n = math::tanh(s, s.mul_add(r, q, row.input_activation(s, 2, j, count)));
            row.set_gate(s, 0, j, count, r);
            row.set_gate(s, 1, j, count, z);
            row.set_gate(s, 2, j, count, n);
            row.set_extra(s, j, count, q);
            let h = row.hidden_before(s, j, count);
            row.set_hidden(s, j, count, s.mul_add(z, s.sub(h, n), n));
        }
    }

    #[inline(always)]
    unsafe fn backward<S: Simd>(s: S, row: &BackwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let one = s.splat(1.0);
            let (r, z) = (row.gate(s, 0, j, count), row.gate(s, 1, j, count));
            let n = row.gate(s, 2, j, count);
            let dh = row.d_hidden(s, j, count);
            let dz = s.mul(dh, s.sub(row.hidden_before(s, j, count), n));
            let dn = s.mul(s.mul(dh, s.sub(one, z)), s.sub(one, s.mul(n, n)));
            let dr = s.mul(dn, row.extra(s, j, count));
            row.set_gate(s, 0, j, count, math::sigmoid_gradient(s, dr, r));
            row.set_gate(s, 1, j, count, math::sigmoid_gradient(s, dz, z));
            row.set_gate(s, 2, j, count, dn);
            row.set_extra(s, j, count, s.mul(dn, r));
            row.set_d_hidden_before(s, j, count, s.mul(dh, z));
        }
    }
}
