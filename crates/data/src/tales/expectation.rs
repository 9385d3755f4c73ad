//! Exact expected values for the sentences of a grammar.
//!
//! ```text
//! x(N) = local(N) + Σ_M uses(N, M) · x(M)        uses(N, M): expected number of M in an expansion of N
//!
//! local(N)                            x(N)
//! entropy of the choice at N          entropy of the text derived from N   (each sentence has one derivation)
//! words in an expansion of N          words in the text derived from N
//! 1                                   expansions in a derivation of N
//! ```
//!
//! This is one linear system with three right-hand sides, solved by Gaussian elimination.
//! # Source
//! Grenander 1976 (entropy of a stochastic grammar); Chi 1999, "Statistical properties of probabilistic
//! context-free grammars".

use super::grammar::{Expansion, Symbol};

const ENTROPY_NATS: usize = 0;
const WORDS: usize = 1;
const EXPANSIONS: usize = 2;

/// The expected values for each nonterminal.
pub(super) struct Expectations(Vec<[f64; 3]>);

impl Expectations {
    /// Computes the expected values.
    ///
    /// # Panics
    /// If sentences have no finite expected length.
    pub(super) fn new(expansions: &[Vec<Expansion>]) -> Self {
        let (system, local): (Vec<_>, Vec<_>) =
            expansions.iter().enumerate().map(|(from, all)| equation(from, all, expansions.len())).unzip();
        let solution = solve(system, local);
        // A non-negative matrix A with x = 1 + A·x for a positive x has a spectral radius below 1, so this
        // ensures that the recursion terminates.
        assert!(
            solution.iter().all(|x| x[EXPANSIONS].is_finite() && x[EXPANSIONS] > 0.0),
            "sentences have no finite expected length"
        );
        Self(solution)
    }

    /// The entropy of the text derived from a nonterminal, in nats.
    pub(super) fn entropy_nats(&self, nonterminal: usize) -> f64 {
        self.0[nonterminal][ENTROPY_NATS]
    }

    /// The expected number of words derived from a nonterminal.
    pub(super) fn words(&self, nonterminal: usize) -> f64 {
        self.0[nonterminal][WORDS]
    }
}

/// The equation for one of `count` nonterminals: its row of the identity minus `uses`, and its `local` values.
fn equation(from: usize, alternatives: &[Expansion], count: usize) -> (Vec<f64>, [f64; 3]) {
    let total: f64 = alternatives.iter().map(|expansion| f64::from(expansion.weight)).sum();
    let mut row = vec![0.0; count];
    row[from] = 1.0;
    let mut local = [0.0; 3];
    local[EXPANSIONS] = 1.0;
    for expansion in alternatives.iter().filter(|expansion| expansion.weight > 0) {
        let probability = f64::from(expansion.weight) / total;
        local[ENTROPY_NATS] -= probability * probability.ln();
        for symbol in &expansion.symbols {
            match *symbol {
                Symbol::Word(_) => local[WORDS] += probability,
                Symbol::Nonterminal(nonterminal) => row[nonterminal] -= probability,
            }
        }
    }
    (row, local)
}

/// Solves `system · x = right` by Gaussian elimination with partial pivoting.
///
/// A singular system gives values that are not finite.
fn solve(mut system: Vec<Vec<f64>>, mut right: Vec<[f64; 3]>) -> Vec<[f64; 3]> {
    let count = system.len();
    for column in 0..count {
        let pivot = (column..count)
            .max_by(|&a, &b| system[a][column].abs().total_cmp(&system[b][column].abs()))
            .unwrap_or(column);
        system.swap(column, pivot);
        right.swap(column, pivot);
        let (pivot_rows, below) = system.split_at_mut(column + 1);
        let pivot_row = &pivot_rows[column];
        let pivot_right = right[column];
        for (row, right) in below.iter_mut().zip(&mut right[column + 1..]) {
            let factor = row[column] / pivot_row[column];
            if factor != 0.0 {
                subtract(&mut row[column..], factor, &pivot_row[column..]);
                subtract(right, factor, &pivot_right);
            }
        }
    }
    for column in (0..count).rev() {
        for side in 0..right[column].len() {
            let known: f64 =
                (column + 1..count).map(|other| system[column][other] * right[other][side]).sum();
            right[column][side] = (right[column][side] - known) / system[column][column];
        }
    }
    right
}

/// `target -= factor · row`, element by element.
fn subtract(target: &mut [f64], factor: f64, row: &[f64]) {
    for (target, value) in target.iter_mut().zip(row) {
        *target -= factor * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elimination_solves_a_system_that_needs_a_row_exchange() {
        let system = vec![vec![0.0, 2.0, 1.0], vec![1.0, 1.0, 0.0], vec![3.0, 0.0, -1.0]];
        let right = vec![[7.0, 0.0, 2.0], [3.0, 0.0, 2.0], [0.0, 0.0, 3.0]];
        let solution = solve(system, right);
        for (found, expected) in solution.iter().zip([[1.0, 0.0, 1.0], [2.0, 0.0, 1.0], [3.0, 0.0, 0.0]]) {
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{solution:?}");
            }
        }
    }
}
