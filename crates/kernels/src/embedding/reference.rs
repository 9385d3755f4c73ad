//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// `out[r] = table[ids[r]]`.
pub fn forward<F: Float>(dims: Dims, table: &[F], ids: &[u32]) -> Vec<F> {
    let mut out = Vec::with_capacity(dims.rows * dims.width);
    for &id in ids {
        let id = id as usize;
        out.extend_from_slice(&table[id * dims.width..(id + 1) * dims.width]);
    }
    out
}

/// The dense gradient of the table.
pub fn backward<F: Float>(dims: Dims, ids: &[u32], d_out: &[F]) -> Vec<F> {
    let mut d_table = vec![F::zero(); dims.vocab * dims.width];
    for (row, &id) in ids.iter().enumerate() {
        for column in 0..dims.width {
            let to = id as usize * dims.width + column;
            d_table[to] = d_table[to] + d_out[row * dims.width + column];
        }
    }
    d_table
}

/// The ids that occur, increasing, and their rows of the gradient.
pub fn backward_sparse<F: Float>(dims: Dims, ids: &[u32], d_out: &[F]) -> (Vec<u32>, Vec<F>) {
    let dense = backward(dims, ids, d_out);
    let mut rows = ids.to_vec();
    rows.sort_unstable();
    rows.dedup();
    let values = forward(dims, &dense, &rows);
    (rows, values)
}
