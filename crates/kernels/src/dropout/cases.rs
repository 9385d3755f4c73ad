//! Sizes for tests and benchmarks.

use super::{Dims, RowDims};

/// From a single element through odd sizes to the activations of a small and a medium model.
pub const CASES: &[Dims] = &[
    Dims { steps: 1, batch: 1, width: 1 },
    Dims { steps: 3, batch: 2, width: 5 },
    Dims { steps: 2, batch: 1, width: 1023 },
    Dims { steps: 2, batch: 5, width: 205 },
    Dims { steps: 35, batch: 20, width: 200 },
    Dims { steps: 35, batch: 32, width: 650 },
];

/// Rows of words: from a single element through odd sizes to the embedding of a batch of WikiText-2.
pub const ROW_CASES: &[RowDims] =
    &[RowDims { rows: 1, width: 1 }, RowDims { rows: 13, width: 33 }, RowDims { rows: 700, width: 200 }];
