//! The reference implementation: plain loops.

use num_traits::Float;

use super::Dims;

/// For each row, the softmax probability over its window that falls on positions with the row's own next
/// word.
pub fn forward<F: Float>(dims: Dims, theta: F, scores: &[F], next: &[u32]) -> Vec<F> {
    let share = |row: usize| {
        let word = next[dims.positions - dims.rows + row];
        let score = |position: usize| scores[row * dims.positions + position];
        let max = dims.window_of(row).map(score).fold(F::neg_infinity(), F::max);
        let (mut matching, mut all) = (F::zero(), F::zero());
        for position in dims.window_of(row) {
            let weight = ((score(position) - max) * theta).exp();
            all = all + weight;
            if next[position] == word {
                matching = matching + weight;
            }
        }
        if dims.window_of(row).is_empty() { F::zero() } else { matching / all }
    };
    (0..dims.rows).map(share).collect()
}
