//! Tunes weights on lists with references, and says how far the result can be trusted.
//!
//! ```text
//! one score       a grid of weights, in units of the spreads of the scores within the lists   ─┐
//! several scores  minimum error rate training (`search`)                                       ─┴▶ weights, errors
//!
//! cross-validation    1 2 3 4 │5│   tuned on four fifths of the lists, counted on the fifth that is left out;
//!                     1 2 3 │4│ 5   summed over the five parts
//! ```
//!
//! A grid in absolute numbers finds nothing if the scores are small: a tool that divides its scores by a thousand would
//! need weights below all of them.

use super::search::{round, spreads};
use super::{ErrorUnit, Free, Scored, Tuned, Weights, WordErrors, counted, errors, search, tune};

/// The weights of the grid, in units of the spread of the other system's score over that of what they multiply.
const LM_WEIGHTS: [f64; 20] = [
    0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0,
    20.0,
];
const WORD_BONUSES: [f64; 17] =
    [0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, -0.05, -0.1, -0.2, -0.5, -1.0, -2.0, -5.0, -10.0];
/// The parts of a cross-validation.
const FOLDS: usize = 5;
/// A weight is at the edge if this many times as much is no worse.
const FURTHER: f64 = 10.0;

/// Tuned weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The weights, and the errors with them on the lists that they were tuned on.
    pub tuned: Tuned,
    /// The errors on lists that the weights were not tuned on; `None` with a single list.
    pub cross_validated: Option<CrossValidated>,
    /// The weights that are as large as makes a difference.
    pub at_edge: Vec<Edge>,
}

/// The errors on lists that the weights were not tuned on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossValidated {
    /// The errors, each list counted once.
    pub errors: WordErrors,
    /// The number of parts.
    pub folds: usize,
}

/// A weight that may be too small: a much larger one gives no more errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// That of the language model.
    Model,
    /// The word bonus.
    WordBonus,
    /// That of a score.
    Score(usize),
}

/// Tunes the weights that are free, starting from `start`, and cross-validates them.
///
/// # Panics
/// As [`search`](fn@search).
#[must_use]
pub fn tune_free<L: AsRef<[Scored]> + Copy>(
    lists: &[(L, &str)],
    unit: ErrorUnit,
    start: &Weights,
    free: &Free,
) -> Tuning {
    let tuned = tuned(lists, unit, start, free);
    let folds = FOLDS.min(lists.len());
    let of_fold = |fold: usize| {
        let (mut rest, mut here) = (Vec::new(), Vec::new());
        for (place, list) in lists.iter().enumerate() {
            if place % folds == fold { &mut here } else { &mut rest }.push(*list);
        }
        errors(&here, unit, &self::tuned(&rest, unit, start, free).weights)
    };
    let cross_validated =
        (folds > 1).then(|| CrossValidated { errors: (0..folds).map(of_fold).sum(), folds });
    let at_edge = edges(lists, unit, &tuned, free);
    Tuning { tuned, cross_validated, at_edge }
}

fn tuned<L: AsRef<[Scored]>>(lists: &[(L, &str)], unit: ErrorUnit, start: &Weights, free: &Free) -> Tuned {
    if start.scores.len() > 1 {
        return search(lists, unit, start, free);
    }
    let spreads = spreads(&counted(lists, unit), start.scores.len());
    let [.., lm, words] = spreads[..] else { return search(lists, unit, start, free) };
    let score = match (spreads.len(), start.scores.first()) {
        (3, Some(&weight)) if spreads[0] * weight != 0.0 => spreads[0] * weight.abs(),
        // Without another score, only the ratio of the two weights counts.
        _ => lm,
    };
    let grid = |is_free: bool, start: f64, spread: f64, grid: &[f64]| match is_free {
        true if spread > 0.0 && score > 0.0 => {
            grid.iter().map(|&weight| round(weight * score / spread, 2)).collect()
        }
        true => vec![0.0],
        false => vec![start],
    };
    let lm_weights: Vec<f64> = grid(free.lm, start.lm, lm, &LM_WEIGHTS);
    let bonuses: Vec<f64> = grid(free.word_bonus, start.word_bonus, words, &WORD_BONUSES);
    tune(lists, unit, &start.scores, &lm_weights, &bonuses)
        .unwrap_or_else(|| Tuned { weights: start.clone(), after: errors(lists, unit, start) })
}

/// The weights that a much larger one would not make worse.
fn edges<L: AsRef<[Scored]>>(lists: &[(L, &str)], unit: ErrorUnit, tuned: &Tuned, free: &Free) -> Vec<Edge> {
    let scores = (0..free.scores.len()).filter(|&place| free.scores[place]).map(Edge::Score);
    let model = free.lm.then_some(Edge::Model);
    let bonus = free.word_bonus.then_some(Edge::WordBonus);
    let is_at_edge = |edge: &Edge| {
        let mut weights = tuned.weights.clone();
        let weight = match *edge {
            Edge::Model => &mut weights.lm,
            Edge::WordBonus => &mut weights.word_bonus,
            Edge::Score(place) => &mut weights.scores[place],
        };
        let is_used = *weight != 0.0;
        *weight *= FURTHER;
        is_used && errors(lists, unit, &weights).errors <= tuned.after.errors
    };
    // Without errors, or without a difference that any weight makes, there is no edge to speak of.
    let none = Weights { lm: 0.0, word_bonus: 0.0, scores: tuned.weights.scores.clone() };
    if errors(lists, unit, &none).errors == tuned.after.errors {
        return Vec::new();
    }
    scores.chain(model).chain(bonus).filter(is_at_edge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists of two hypotheses, of which the model prefers the right one, and the other score the wrong one, a little.
    fn lists(scale: f64, count: usize) -> Vec<(Vec<Scored>, String)> {
        let list = |place: usize| {
            let one = |text: &str, score: f64, lm_log_prob: f64| Scored {
                text: text.to_owned(),
                scores: vec![score * scale],
                lm_log_prob,
                ..Scored::default()
            };
            let easy = place.is_multiple_of(3);
            let wrong = one("wrong words", -10.0, -20.0);
            let right = one("right words", if easy { -9.0 } else { -11.0 }, if easy { -21.0 } else { -17.0 });
            (vec![wrong, right], "right words".to_owned())
        };
        (0..count).map(list).collect()
    }

    fn fit(lists: &[(Vec<Scored>, String)]) -> Tuning {
        let pairs: Vec<(&[Scored], &str)> =
            lists.iter().map(|(list, reference)| (list.as_slice(), reference.as_str())).collect();
        let start = Weights { lm: 0.0, word_bonus: 0.0, scores: vec![1.0] };
        let free = Free { scores: vec![false], lm: true, word_bonus: true, signed: false };
        tune_free(&pairs, ErrorUnit::Words, &start, &free)
    }

    /// A fixed grid found nothing when the scores were small.
    #[test]
    fn the_grid_has_the_scale_of_the_scores() {
        for scale in [1e-6, 1.0, 1e6] {
            let found = fit(&lists(scale, 12));
            assert_eq!(found.tuned.after.errors, 0, "{scale}");
            let relative = found.tuned.weights.lm / scale;
            assert!(relative > 0.34 && relative < 1.0, "{scale}: {relative}");
            assert_eq!(found.at_edge, []);
            let validated = found.cross_validated.unwrap();
            assert_eq!((validated.folds, validated.errors), (5, WordErrors { errors: 0, words: 24 }));
        }
        assert_eq!(fit(&lists(1.0, 1)).cross_validated, None);
    }

    /// A score that says nothing useful leaves the model alone: no weight is large enough.
    #[test]
    fn a_weight_at_the_edge_is_named() {
        let mut lists = lists(1.0, 9);
        for (place, (list, _)) in lists.iter_mut().enumerate() {
            list[0].lm_log_prob = -30.0;
            // Once, the other score is so wrong that it must not count at all.
            list[0].scores[0] = if place == 4 { 50.0 } else { list[0].scores[0] };
        }
        assert_eq!(fit(&lists).at_edge, [Edge::Model]);
    }

    /// What is tuned on two lists that contradict each other fails on each of them.
    #[test]
    fn cross_validation_counts_what_was_not_seen() {
        let mut lists = lists(1.0, 2);
        // The first list needs a model weight of 0, the second a large one.
        lists[0].0[0].lm_log_prob = -1.0;
        lists[0].0[1].lm_log_prob = -40.0;
        let found = fit(&lists);
        let validated = found.cross_validated.unwrap();
        assert!(validated.errors.errors > found.tuned.after.errors, "{found:?}");
    }
}
