//! Long short-term memory: `c' = f∘c + i∘g`, `h' = o∘tanh(c')`, gates in the order i, f, g, o.

use super::rows::{BackwardRow, ForwardRow, Pointwise};
use crate::cpu::{Simd, math};

pub(super) struct Lstm;

impl Pointwise for Lstm {
    #[inline(always)]
    unsafe fn forward<S: Simd>(s: S, row: &ForwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let i = math::sigmoid(s, row.pre_activation(s, 0, j, count));
            let f = math::sigmoid(s, row.pre_activation(s, 1, j, count));
            let g = math::tanh(s, row.pre_activation(s, 2, j, count));
            let o = math::sigmoid(s, row.pre_activation(s, 3, j, count));
            let c = row.clip(s, s.mul_add(f, row.cell_state(s, j, count), s.mul(i, g)));
            row.set_gate(s, 0, j, count, i);
            row.set_gate(s, 1, j, count, f);
            row.set_gate(s, 2, j, count, g);
            row.set_gate(s, 3, j, count, o);
            row.set_cell_state(s, j, count, c);
            row.set_hidden(s, j, count, s.mul(o, math::tanh(s, c)));
        }
    }

    #[inline(always)]
    unsafe fn backward<S: Simd>(s: S, row: &BackwardRow<S>, j: usize, count: usize) {
        // SAFETY: the row is valid, as the caller guarantees.
        unsafe {
            let one = s.splat(1.0);
            let (i, f) = (row.gate(s, 0, j, count), row.gate(s, 1, j, count));
            let (g, o) = (row.gate(s, 2, j, count), row.gate(s, 3, j, count));
            // tanh(c') is recomputed: cheaper than writing and reading another [T, B, H].
            let c = row.cell_state_after(s, j, count);
            let tanh_c = math::tanh(s, c);
            let dh = row.d_hidden(s, j, count);
            let slope = s.sub(one, s.mul(tanh_c, tanh_c));
            let dc = s.mul_add(s.mul(dh, o), slope, row.d_cell_state(s, j, count));
            let dc = row.clip_gradient(s, c, dc);
            let df = s.mul(dc, row.cell_state_before(s, j, count));
            row.set_gate(s, 0, j, count, math::sigmoid_gradient(s, s.mul(dc, g), i));
            row.set_gate(s, 1, j, count, math::sigmoid_gradient(s, df, f));
            row.set_gate(s, 2, j, count, s.mul(s.mul(dc, i), s.sub(one, s.mul(g, g))));
            row.set_gate(s, 3, j, count, math::sigmoid_gradient(s, s.mul(dh, tanh_c), o));
            row.set_d_cell_state(s, j, count, s.mul(dc, f));
        }
    }
}
