//! What a cell's arithmetic sees of one batch row at one step, and the trait that cells implement.

use crate::cpu::Simd;
use crate::cpu::math::{load, store};

/// A cell's own arithmetic, for `count` neighboring hidden units, from `j`, of one batch row.
pub(super) trait Pointwise {
    /// Turns pre-activations into activated gates and the next states.
    ///
    /// # Safety
    /// The row must be valid for its step, and `j + count` within the hidden size.
    unsafe fn forward<S: Simd>(s: S, row: &ForwardRow<S>, j: usize, count: usize);
    /// Turns gradients of the next states into gradients of the pre-activations and the contributions to the
    /// previous states that do not go through the recurrent projection.
    ///
    /// # Safety
    /// As for `forward`.
    unsafe fn backward<S: Simd>(s: S, row: &BackwardRow<S>, j: usize, count: usize);
}

/// One batch row at one step of the forward pass.
pub(super) struct ForwardRow<S> {
    pub(super) width: usize,
    pub(super) bias_ih: *const f32,
    pub(super) bias_hh: Option<*const f32>,
    pub(super) gates: *mut f32,
    pub(super) extra: *mut f32,
    pub(super) hidden_before: *const f32,
    pub(super) hidden_after: *mut f32,
    pub(super) cell_state_before: *const f32,
    pub(super) cell_state_after: *mut f32,
    pub(super) cell_clip: Option<f32>,
    pub(super) simd: std::marker::PhantomData<S>,
}

/// One batch row at one step of the backward pass.
pub(super) struct BackwardRow<S> {
    pub(super) width: usize,
    pub(super) gates: *mut f32,
    pub(super) extra: *mut f32,
    pub(super) hidden_before: *const f32,
    pub(super) cell_state_before: *const f32,
    pub(super) cell_state_after: *const f32,
    pub(super) d_output: *const f32,
    pub(super) d_hidden: *mut f32,
    pub(super) d_cell_state: *mut f32,
    pub(super) cell_clip: Option<f32>,
    pub(super) simd: std::marker::PhantomData<S>,
}

/// The rows are made from slices of checked length; every method requires `gate < G` and `j + count ≤ width`, so that
/// all offsets stay within the row.
impl<S: Simd> ForwardRow<S> {
    /// A new cell state, clipped if there is a limit.
    #[inline(always)]
    pub(super) fn clip(&self, s: S, c: S::Vector) -> S::Vector {
        match self.cell_clip {
            // This argument order keeps NaN: see `min` and `max`.
            Some(limit) => s.min(s.splat(limit), s.max(s.splat(-limit), c)),
            None => c,
        }
    }

    /// `xw + b_ih` of a gate.
    ///
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn input_activation(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        let at = gate * self.width + j;
        // SAFETY: the caller keeps within the row.
        unsafe { s.add(load(s, self.gates.add(at), count), load(s, self.bias_ih.add(at), count)) }
    }

    /// `xw + h·Rᵀ + b_ih + b_hh` of a gate whose recurrent projection has been added in place.
    ///
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn pre_activation(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        let sum = unsafe { self.input_activation(s, gate, j, count) };
        match self.bias_hh {
            // SAFETY: the caller keeps within the row.
            Some(bias) => s.add(sum, unsafe { load(s, bias.add(gate * self.width + j), count) }),
            None => sum,
        }
    }

    /// `h·Rᵀ + b_hh` of the gate that the reset gate multiplies.
    ///
    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn reset_operand(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        let product = unsafe { load(s, self.extra.add(j), count) };
        match self.bias_hh {
            // SAFETY: the caller keeps within the row.
            Some(bias) => s.add(product, unsafe { load(s, bias.add(gate * self.width + j), count) }),
            None => product,
        }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn hidden_before(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.hidden_before.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn cell_state(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.cell_state_before.add(j), count) }
    }

    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_gate(&self, s: S, gate: usize, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.gates.add(gate * self.width + j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_extra(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.extra.add(j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_hidden(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.hidden_after.add(j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_cell_state(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.cell_state_after.add(j), count, value) }
    }
}

/// As [`ForwardRow`].
impl<S: Simd> BackwardRow<S> {
    /// The gradient of the cell state before it was clipped, from that of the state after: zero where it was.
    #[inline(always)]
    pub(super) fn clip_gradient(&self, s: S, c: S::Vector, dc: S::Vector) -> S::Vector {
        match self.cell_clip {
            Some(limit) => {
                let limit = s.splat(limit);
                s.where_positive(s.sub(limit, c), s.where_positive(s.add(limit, c), dc))
            }
            None => dc,
        }
    }

    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn gate(&self, s: S, gate: usize, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.gates.add(gate * self.width + j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn extra(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.extra.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn hidden_before(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.hidden_before.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn cell_state_before(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.cell_state_before.add(j), count) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn cell_state_after(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.cell_state_after.add(j), count) }
    }

    /// The gradient of the state after the step: from the output and from the later steps.
    ///
    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn d_hidden(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { s.add(load(s, self.d_output.add(j), count), load(s, self.d_hidden.add(j), count)) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn d_cell_state(&self, s: S, j: usize, count: usize) -> S::Vector {
        // SAFETY: the caller keeps within the row.
        unsafe { load(s, self.d_cell_state.add(j), count) }
    }

    /// # Safety
    /// `gate` and `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_gate(&self, s: S, gate: usize, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.gates.add(gate * self.width + j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_extra(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.extra.add(j), count, value) }
    }

    /// The contribution to the previous state that does not go through the recurrent projection.
    ///
    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_d_hidden_before(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.d_hidden.add(j), count, value) }
    }

    /// # Safety
    /// `j + count` must be within the row.
    #[inline(always)]
    pub(super) unsafe fn set_d_cell_state(&self, s: S, j: usize, count: usize, value: S::Vector) {
        // SAFETY: the caller keeps within the row.
        unsafe { store(s, self.d_cell_state.add(j), count, value) }
    }
}
