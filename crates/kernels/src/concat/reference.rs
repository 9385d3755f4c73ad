//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// Copies the block of `source` to `target`.
pub fn forward<F: Float>(dims: Dims, source: &[F], target: &mut [F]) {
    for (from, to) in pairs(dims) {
        target[to] = source[from];
    }
}

/// Adds the block of `d_target` to `d_source`.
pub fn backward<F: Float>(dims: Dims, d_target: &[F], d_source: &mut [F]) {
    for (from, to) in pairs(dims) {
        d_source[from] = d_source[from] + d_target[to];
    }
}

/// The index of each of the block's elements in both matrices.
fn pairs(dims: Dims) -> impl Iterator<Item = (usize, usize)> {
    let Dims { rows, columns, source, target } = dims;
    let index = |place: super::Place, row, column| (place.row + row) * place.width + place.column + column;
    (0..rows).flat_map(move |row| {
        (0..columns).map(move |column| (index(source, row, column), index(target, row, column)))
    })
}
