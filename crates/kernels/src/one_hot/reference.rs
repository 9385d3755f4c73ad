//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// `out[r, v] = 1` where `v = ids[r]`, else 0.
pub fn forward<F: Float>(dims: Dims, ids: &[u32]) -> Vec<F> {
    let mut out = vec![F::zero(); dims.rows * dims.vocab];
    for (row, &id) in ids.iter().enumerate() {
        out[row * dims.vocab + id as usize] = F::one();
    }
    out
}
