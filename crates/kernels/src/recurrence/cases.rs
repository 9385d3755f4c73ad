//! Sizes for tests and benchmarks.

use super::mogrifier::Rounds;
use super::{Cell, Dims};

/// Steps, batch rows and hidden size.
type Size = (usize, usize, usize);

/// Steps, batch rows and hidden sizes: ones, odd ones, few rows of many units, and a layer of the WikiText-2
/// recipe.
const SIZES: [Size; 7] =
    [(1, 1, 1), (3, 2, 5), (2, 7, 16), (4, 3, 33), (5, 13, 48), (4, 2, 130), (7, 20, 200)];

/// Some of the sizes, and widths of projections: narrower and wider than the states, with few rows and many.
const PROJECTIONS: [(Size, usize); 5] =
    [((1, 1, 1), 1), ((3, 2, 5), 3), ((5, 13, 48), 17), ((4, 2, 130), 141), ((7, 20, 200), 96)];

/// Some of the sizes, and rounds of a Mogrifier: counts, input widths and ranks.
const ROUNDS: [(Size, Rounds); 6] = [
    ((1, 1, 1), Rounds { count: 1, input: 3, rank: None }),
    ((3, 2, 5), Rounds { count: 2, input: 7, rank: Some(2) }),
    ((4, 3, 33), Rounds { count: 6, input: 20, rank: None }),
    ((5, 13, 48), Rounds { count: 3, input: 40, rank: Some(5) }),
    ((4, 2, 130), Rounds { count: 5, input: 150, rank: Some(20) }),
    ((7, 20, 200), Rounds { count: 1, input: 96, rank: Some(40) }),
];

/// Every cell in every size, and cells with projections and other rounds.
pub fn cases() -> impl Iterator<Item = Dims> {
    let plain = Cell::ALL.into_iter().flat_map(|cell| {
        SIZES.into_iter().map(move |(steps, batch, hidden)| Dims::new(cell, steps, batch, hidden))
    });
    let projected = Cell::ALL.into_iter().filter(|cell| cell.can_project()).flat_map(|cell| {
        PROJECTIONS.into_iter().map(move |((steps, batch, hidden), output)| Dims {
            projection: Some(output),
            ..Dims::new(cell, steps, batch, hidden)
        })
    });
    let gated = ROUNDS.into_iter().map(|((steps, batch, hidden), rounds)| Dims {
        rounds: Some(rounds),
        ..Dims::new(Cell::Mogrifier, steps, batch, hidden)
    });
    plain.chain(projected).chain(gated)
}
