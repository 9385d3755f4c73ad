//! Finds the weights of several scores: minimum error rate training.
//!
//! ```text
//! combined score as one weight changes                 errors along the axis
//!      ╲   b                                           ┌──┐
//!   a ──╳──────  a line per hypothesis;                │  └────┐  ┌─
//!      ╱ ╲   c   the upper envelope is chosen          │       └──┘  ← the fewest, summed over the lists
//!  ───┴───┴─────────▶ weight                           └──────────────▶ weight
//! ```
//!
//! Along one weight, the combined score of each hypothesis is a straight line, so the weights at which the choice
//! changes are computed exactly: no grid, and no assumption about the scale of a score. The search goes through the
//! weights in turn until none improves, from several starts, whose scales are those of the scores in the lists.
//!
//! # Source
//! Och 2003, "Minimum Error Rate Training in Statistical Machine Translation".

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Counted, ErrorUnit, Scored, Tuned, Weights, WordErrors, chosen, counted};

/// Random starts, in addition to the given weights and each score alone.
const RANDOM_STARTS: usize = 12;
const SEED: u64 = 0;
/// Rounds over all weights from one start; the search has converged long before.
const MOST_ROUNDS: usize = 30;

/// The weights that [`search`] may change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// For each score, whether its weight may change.
    pub scores: Vec<bool>,
    /// The language model's weight.
    pub lm: bool,
    /// The word bonus.
    pub word_bonus: bool,
    /// Whether weights of scores can be negative; the language model's cannot, the word bonus always can.
    pub signed: bool,
}

/// Finds weights whose choices have few errors, starting from `start`, whose scores must have a weight each. Weights that
/// make no difference stay as they are at the start. The result is never worse than the start.
///
/// Each list comes with its reference. If all weights of scores are free, the first of them that is not 0 is 1 in the
/// result. Hypotheses with NaN or infinite scores take no part in the search, only in the final count.
///
/// # Panics
/// If `start` and `free` have different numbers of scores.
#[must_use]
pub fn search<L: AsRef<[Scored]>>(
    lists: &[(L, &str)],
    unit: ErrorUnit,
    start: &Weights,
    free: &Free,
) -> Tuned {
    assert_eq!(start.scores.len(), free.scores.len(), "weights and free weights");
    let counted = counted(lists, unit);
    let problem = Problem::new(&counted, free);
    let first = flat(start);
    let mut weights = first.clone();
    let mut fewest = problem.climb(&mut weights);
    for mut other in problem.starts(&first) {
        let found = problem.climb(&mut other);
        if found < fewest {
            (fewest, weights) = (found, other);
        }
    }
    let errors = |weights: &[f64]| chosen(&counted, &unflat(weights)).errors;
    if free.scores.iter().all(|&free| free)
        && free.lm
        && free.word_bonus
        && let Some(&scale) = weights.iter().take(free.scores.len()).find(|&&weight| weight > 0.0)
    {
        weights.iter_mut().for_each(|weight| *weight /= scale);
    }
    if errors(&weights) > errors(&first) {
        weights = first;
    }
    let most = errors(&weights);
    // The fewest digits that do not change the choices for the worse.
    let rounded = (2..=6).map(|digits| {
        weights
            .iter()
            .zip(problem.free.iter())
            .map(|(&w, &free)| if free { round(w, digits) } else { w })
            .collect()
    });
    let weights = rounded.into_iter().find(|rounded: &Vec<f64>| errors(rounded) <= most).unwrap_or(weights);
    let weights = unflat(&weights);
    Tuned { after: chosen(&counted, &weights), weights }
}

/// The weights in one vector: of the scores, of the language model, of the number of words.
fn flat(weights: &Weights) -> Vec<f64> {
    weights.scores.iter().copied().chain([weights.lm, weights.word_bonus]).collect()
}

fn unflat(weights: &[f64]) -> Weights {
    let (scores, rest) = weights.split_at(weights.len() - 2);
    Weights { lm: rest[0], word_bonus: rest[1], scores: scores.to_vec() }
}

/// The spread of each value within the lists, in the order of [`flat`]: its unit. 0 if it makes no difference.
pub(super) fn spreads(lists: &[Vec<Counted<'_>>], count: usize) -> Vec<f64> {
    Problem::new(lists, &Free { scores: vec![true; count], ..Free::default() }).spreads
}

/// A number, rounded to significant digits.
pub(super) fn round(number: f64, digits: i32) -> f64 {
    if number == 0.0 {
        return 0.0;
    }
    format!("{number:.*e}", (digits - 1) as usize).parse().unwrap_or(number)
}

/// A hypothesis with finite values, as numbers only.
struct Point {
    values: Vec<f64>,
    found: WordErrors,
}

/// The lists as numbers, in the order of [`flat`].
struct Problem {
    lists: Vec<Vec<Point>>,
    free: Vec<bool>,
    /// The lowest value of each weight.
    lowest: Vec<f64>,
    /// The spread of each value within the lists: its unit.
    spreads: Vec<f64>,
}

impl Problem {
    fn new(lists: &[Vec<Counted<'_>>], free: &Free) -> Problem {
        let count = free.scores.len();
        let point = |one: &Counted<'_>| {
            let mut values = one.scores.to_vec();
            values.resize(count, 0.0);
            values.extend([one.lm_log_prob, one.words as f64]);
            values.iter().all(|value| value.is_finite()).then_some(Point { values, found: one.found })
        };
        let lists: Vec<Vec<Point>> =
            lists.iter().map(|list| list.iter().filter_map(point).collect()).collect();
        let spreads = (0..count + 2).map(|k| spread(&lists, k)).collect();
        let score_lowest = if free.signed { f64::NEG_INFINITY } else { 0.0 };
        let lowest = std::iter::repeat_n(score_lowest, count).chain([0.0, f64::NEG_INFINITY]).collect();
        let free = free.scores.iter().copied().chain([free.lm, free.word_bonus]).collect();
        Problem { lists, free, lowest, spreads }
    }

    /// Where to start in addition to the given weights: each score alone, and at random.
    fn starts(&self, first: &[f64]) -> Vec<Vec<f64>> {
        let count = first.len();
        let can_move = |k: usize| self.free[k] && self.spreads[k] > 0.0;
        let mut starts = Vec::new();
        for alone in (0..count - 1).filter(|&k| can_move(k)) {
            let weight = |k: usize| if self.free[k] { f64::from(u8::from(k == alone)) } else { first[k] };
            starts.push((0..count).map(weight).collect());
        }
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        for _ in 0..RANDOM_STARTS {
            let weight = |k: usize| {
                let size = 10f64.powf(rng.random_range(-1.5..1.5));
                if can_move(k) { size / self.spreads[k] } else { first[k] }
            };
            starts.push((0..count).map(weight).collect());
        }
        starts
    }

    /// Improves one weight after the other until none improves; returns the errors.
    fn climb(&self, weights: &mut [f64]) -> u64 {
        let mut errors = self.errors(weights);
        for _ in 0..MOST_ROUNDS {
            let before = errors;
            for k in 0..weights.len() {
                if self.free[k] && self.spreads[k] > 0.0 {
                    let (found, weight) = self.best_along(weights, k);
                    if found < errors {
                        (errors, weights[k]) = (found, weight);
                    }
                }
            }
            if errors == before {
                break;
            }
        }
        errors
    }

    /// The errors of the first hypothesis of each list with the highest combined score.
    fn errors(&self, weights: &[f64]) -> u64 {
        let of_list = |list: &Vec<Point>| {
            let mut best: Option<(f64, u64)> = None;
            for point in list {
                let score: f64 = point.values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
                if best.is_none_or(|(highest, _)| score > highest) {
                    best = Some((score, point.found.errors));
                }
            }
            best.map_or(0, |(_, errors)| errors)
        };
        self.lists.iter().map(of_list).sum()
    }

    /// The fewest errors along one weight, and the middle of the widest interval that has them.
    fn best_along(&self, weights: &[f64], k: usize) -> (u64, f64) {
        let lowest = self.lowest[k];
        let (mut errors, mut changes) = (0_i64, Vec::new());
        for list in self.lists.iter().filter(|list| !list.is_empty()) {
            let envelope = envelope(list, weights, k, lowest);
            let count = |index: usize| list[index].found.errors as i64;
            errors += count(envelope[0].1);
            for pair in envelope.windows(2) {
                changes.push((pair[1].0, count(pair[1].1) - count(pair[0].1)));
            }
        }
        changes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (Some(&(first, _)), Some(&(last, _))) = (changes.first(), changes.last()) else {
            return (errors as u64, weights[k]);
        };
        // Beyond the last change, as far as makes a difference in no scale.
        let margin = (0.5 * first.abs().max(last.abs()).max(last - first)).max(f64::MIN_POSITIVE);
        let low = if lowest.is_finite() { lowest } else { first - 2.0 * margin };
        let (mut best, mut from) = ((errors, f64::NEG_INFINITY, weights[k]), low);
        let ends = changes.iter().map(|&(at, change)| (at, change)).chain([(last + 2.0 * margin, 0)]);
        for (to, change) in ends {
            // Intervals without width are rounding errors.
            let width = to - from;
            let middle = from + width / 2.0;
            if width > 0.0 && middle > from && middle < to && (errors, -width) < (best.0, -best.1) {
                best = (errors, width, middle);
            }
            errors += change;
            from = from.max(to);
        }
        (best.0 as u64, best.2)
    }
}

/// The root mean square of the deviations from the mean of each list.
fn spread(lists: &[Vec<Point>], k: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for list in lists.iter().filter(|list| !list.is_empty()) {
        let mean = list.iter().map(|point| point.values[k]).sum::<f64>() / list.len() as f64;
        sum += list.iter().map(|point| (point.values[k] - mean).powi(2)).sum::<f64>();
        count += list.len() as f64;
    }
    let spread: f64 = (sum / f64::max(count, 1.0)).sqrt();
    // Rounding of equal values is no spread.
    let largest = lists.iter().flatten().map(|point| point.values[k].abs()).fold(0.0, f64::max);
    if spread.is_finite() && spread > 1e-12 * largest { spread } else { 0.0 }
}

/// The hypotheses that are best for some value of weight `k` above `lowest`, by increasing value: from where, and which.
fn envelope(list: &[Point], weights: &[f64], k: usize, lowest: f64) -> Vec<(f64, usize)> {
    let line = |point: &Point| {
        let others = point.values.iter().zip(weights).enumerate().filter(|&(at, _)| at != k);
        (point.values[k], others.map(|(_, (value, weight))| value * weight).sum::<f64>())
    };
    let lines: Vec<(f64, f64)> = list.iter().map(line).collect();
    let mut order: Vec<usize> = (0..lines.len()).collect();
    // Of parallel lines, the highest comes last, and of equal ones the first of the list.
    order.sort_by(|&a, &b| {
        let ((slope_a, base_a), (slope_b, base_b)) = (lines[a], lines[b]);
        slope_a.total_cmp(&slope_b).then(base_a.total_cmp(&base_b)).then(b.cmp(&a))
    });
    let mut hull: Vec<(f64, usize)> = Vec::new();
    for index in order {
        let (slope, base) = lines[index];
        let mut from = lowest;
        while let Some(&(begins, last)) = hull.last() {
            let (last_slope, last_base) = lines[last];
            let crossing = if slope > last_slope {
                (last_base - base) / (slope - last_slope)
            } else {
                f64::NEG_INFINITY
            };
            if crossing > begins {
                from = crossing;
                break;
            }
            // Better from before the other begins.
            hull.pop();
        }
        if hull.is_empty() {
            from = lowest;
        }
        if from < f64::INFINITY {
            hull.push((from, index));
        }
    }
    hull
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[[f64; 2]]) -> Vec<Point> {
        let point =
            |&[slope, base]: &[f64; 2]| Point { values: vec![slope, base], found: WordErrors::default() };
        values.iter().map(point).collect()
    }

    /// The envelope agrees with trying each value.
    #[test]
    fn the_envelope_is_the_best_everywhere() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for round in 0..200 {
            let values: Vec<[f64; 2]> = (0..rng.random_range(1..9))
                .map(|_| [f64::from(rng.random_range(-3..4)), f64::from(rng.random_range(-5..5))])
                .collect();
            for lowest in [0.0, f64::NEG_INFINITY] {
                let found = envelope(&points(&values), &[0.0, 1.0], 0, lowest);
                assert!(found[0].0 == lowest && found.is_sorted_by(|a, b| a.0 < b.0), "{found:?}");
                for step in 0..400 {
                    // Off the crossings of such small whole numbers.
                    let x = -10.0 + 0.05 * f64::from(step) + 0.0123;
                    if x < lowest {
                        continue;
                    }
                    let score = |index: usize| values[index][0] * x + values[index][1];
                    let best =
                        (0..values.len()).rev().max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap();
                    let chosen = found.iter().rev().find(|(from, _)| *from <= x).unwrap().1;
                    assert!(score(chosen) == score(best) && chosen == best, "round {round}, {x}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_rounded_to_significant_digits() {
        assert_eq!(
            [round(1234.5, 2), round(-0.012_345, 3), round(0.0, 2), round(1e-300, 2)],
            [1200.0, -0.0123, 0.0, 1e-300]
        );
    }
}
