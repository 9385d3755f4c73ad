//! Sizes for tests and benchmarks.

use super::{Cell, Dims};

/// Steps, batch rows and hidden sizes: ones, odd ones, few rows of many units, and a layer of the WikiText-2
/// recipe.
const SIZES: [(usize, usize, usize); 7] =
    [(1, 1, 1), (3, 2, 5), (2, 7, 16), (4, 3, 33), (5, 13, 48), (4, 2, 130), (7, 20, 200)];

/// Every cell in every size.
pub fn cases() -> impl Iterator<Item = Dims> {
    Cell::ALL.into_iter().flat_map(|cell| {
        SIZES.into_iter().map(move |(steps, batch, hidden)| Dims { cell, steps, batch, hidden })
    })
}
