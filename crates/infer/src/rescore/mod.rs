//! N-best rescoring: chooses among the hypotheses of another system, such as a speech recognizer or a
//! translation system, with the help of a language model.
//!
//! ```text
//! combined = Σ weight · score + lm · log p(text) + word_bonus · words(text)
//!
//! list or file, in a Format ─ ListReader ─▶ List ─ ListScorer ─▶ the same, with log p ─ ranking ─▶ ListWriter
//!
//! id u1   −12.0  recognize speech        combined   ─▶ the best of each id
//!         −11.5  wreck a nice beach                   compared with its reference: word or character error rate
//! ```
//!
//! Promises: with the weights zero and those of the scores one, the order is the other system's; ties keep the order
//! of the list; a hypothesis whose combined score is not finite comes last; lists are read and written one by one.
//! Not here: the language model's log-probabilities ([`Scorer`](crate::Scorer) gives them).

use std::collections::HashMap;
use std::iter::Sum;

mod espnet;
mod fields;
mod format;
mod list;
mod reader;
mod score;
mod search;
mod tuning;
mod writer;

pub use format::Format;
pub use list::{Entry, LineFault, Reference, entries, references};
pub use reader::{ListReader, ScoreFile};
pub use score::ListScorer;
pub use search::{Free, search};
pub use tuning::{CrossValidated, Edge, Tuning, tune_free};
pub use writer::ListWriter;

/// A hypothesis of another system, with a language model's score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scored {
    /// The text.
    pub text: String,
    /// The other system's log-probabilities, or any other scores that are higher for better hypotheses. Those missing
    /// at the end are 0.
    pub scores: Vec<f64>,
    /// The language model's log-probability of the text (natural logarithm).
    pub lm_log_prob: f64,
    /// The hypothesis as it was read: its line or object in the list's format, if the output needs it.
    pub source: String,
}

/// The weights of the combined score.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// Multiplies the language model's log-probability.
    pub lm: f64,
    /// Added for each word: above zero, it compensates for long texts being less likely.
    pub word_bonus: f64,
    /// Multiply the other system's scores; those missing at the end are 1.
    pub scores: Vec<f64>,
}

/// The unit in which errors are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorUnit {
    /// Words, separated by whitespace.
    #[default]
    Words,
    /// Characters (Unicode code points) except whitespace, for languages that are written without spaces.
    Characters,
}

/// A count of errors, in words or in characters, and of the words or characters of the references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Substitutions, deletions and insertions.
    pub errors: u64,
    /// Words or characters in the references.
    pub words: u64,
}

/// The result of [`tune`] and [`search`].
#[derive(Clone, Debug, PartialEq)]
pub struct Tuned {
    /// The best weights.
    pub weights: Weights,
    /// The errors of the hypotheses chosen with them.
    pub after: WordErrors,
}

impl Scored {
    /// The number of words, separated by whitespace.
    #[must_use]
    pub fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }

    /// `Σ weight · score + lm · lm_log_prob + word_bonus · words`.
    ///
    /// A weight of zero leaves its term out, even where that is infinite.
    #[must_use]
    pub fn combined(&self, weights: &Weights) -> f64 {
        combined(&self.scores, self.lm_log_prob, self.words(), weights)
    }
}

fn combined(scores: &[f64], lm_log_prob: f64, words: usize, weights: &Weights) -> f64 {
    let weighed = |weight: f64, value: f64| if weight == 0.0 { 0.0 } else { weight * value };
    let score_weights = weights.scores.iter().copied().chain(std::iter::repeat(1.0));
    let scores: f64 = scores.iter().zip(score_weights).map(|(&score, weight)| weighed(weight, score)).sum();
    scores + weighed(weights.lm, lm_log_prob) + weights.word_bonus * words as f64
}

impl WordErrors {
    /// The errors of a text compared with its reference: the fewest substitutions, deletions and insertions of
    /// words or of characters.
    #[must_use]
    pub fn in_units(unit: ErrorUnit, reference: &str, text: &str) -> WordErrors {
        match unit {
            ErrorUnit::Words => WordErrors::of(reference, text),
            ErrorUnit::Characters => {
                let [reference, text] = [reference, text]
                    .map(|text| text.chars().filter(|char| !char.is_whitespace()).collect::<Vec<_>>());
                let errors = strsim::generic_levenshtein(&reference, &text) as u64;
                WordErrors { errors, words: reference.len() as u64 }
            }
        }
    }

    /// The word errors of a text compared with its reference: the fewest substitutions, deletions and
    /// insertions.
    ///
    /// ```
    /// use rondo_infer::rescore::WordErrors;
    ///
    /// let found = WordErrors::of("recognize speech", "wreck a nice beach");
    /// assert_eq!((found.errors, found.words), (4, 2));
    /// ```
    #[must_use]
    pub fn of(reference: &str, text: &str) -> WordErrors {
        let [reference, text] = [reference, text].map(|text| text.split_whitespace().collect::<Vec<_>>());
        let errors = strsim::generic_levenshtein(&reference, &text) as u64;
        WordErrors { errors, words: reference.len() as u64 }
    }

    /// The error rate: errors per word or character of the references. NaN if the references are empty and there are no
    /// errors; infinite if there are errors but the references are empty.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.words as f64
    }
}

/// The hypotheses of one id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    /// The id of the item they are hypotheses for.
    pub id: String,
    /// The hypotheses.
    pub hypotheses: Vec<Scored>,
    /// What else the list's format has for the item, if the output needs it.
    pub source: String,
}

impl List {
    /// Groups the hypotheses by id, in the order in which the ids first occur.
    pub fn group(hypotheses: impl IntoIterator<Item = (String, Scored)>) -> Vec<List> {
        let mut places = HashMap::new();
        let mut lists: Vec<List> = Vec::new();
        for (id, hypothesis) in hypotheses {
            let place = *places.entry(id.clone()).or_insert_with(|| {
                lists.push(List { id, ..List::default() });
                lists.len() - 1
            });
            lists[place].hypotheses.push(hypothesis);
        }
        lists
    }

    /// Sorts the hypotheses by decreasing combined score, as [`ranking`] does.
    pub fn sort(&mut self, weights: &Weights) {
        let order = ranking(&self.hypotheses, weights);
        self.hypotheses = order.into_iter().map(|place| self.hypotheses[place].clone()).collect();
    }
}

impl From<Entry> for Scored {
    /// A hypothesis that the language model has not scored yet.
    fn from(Entry { scores, text, source, .. }: Entry) -> Scored {
        Scored { text, scores, lm_log_prob: 0.0, source }
    }
}

impl Sum for WordErrors {
    fn sum<I: Iterator<Item = WordErrors>>(all: I) -> WordErrors {
        all.fold(WordErrors::default(), |sum, one| WordErrors {
            errors: sum.errors + one.errors,
            words: sum.words + one.words,
        })
    }
}

/// The indices of `hypotheses` by decreasing combined score; ties keep their order. Scores that are not finite come
/// last: minus infinity, then the others, which no weight can make sense of.
#[must_use]
pub fn ranking(hypotheses: &[Scored], weights: &Weights) -> Vec<usize> {
    let combined: Vec<f64> =
        hypotheses.iter().map(|hypothesis| comparable(hypothesis.combined(weights))).collect();
    let mut places: Vec<usize> = (0..hypotheses.len()).collect();
    places.sort_by(|&a, &b| {
        let (a, b) = (combined[a], combined[b]);
        a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
    });
    places
}

/// Infinity as NaN: a score cannot be better than all others.
fn comparable(score: f64) -> f64 {
    if score == f64::INFINITY { f64::NAN } else { score }
}

/// The errors if the hypothesis with the fewest is chosen from each list: no weights can do better.
#[must_use]
pub fn oracle<L: AsRef<[Scored]>>(lists: &[(L, &str)], unit: ErrorUnit) -> WordErrors {
    let fewest = |(list, reference): &(L, &str)| {
        let errors = list.as_ref().iter().map(|one| WordErrors::in_units(unit, reference, &one.text));
        errors.min_by_key(|found| found.errors)
    };
    lists.iter().filter_map(fewest).sum()
}

/// The errors of the hypotheses that `weights` choose, one from each list.
#[must_use]
pub fn errors<L: AsRef<[Scored]>>(lists: &[(L, &str)], unit: ErrorUnit, weights: &Weights) -> WordErrors {
    let chosen = |(list, reference): &(L, &str)| {
        let best = *ranking(list.as_ref(), weights).first()?;
        Some(WordErrors::in_units(unit, reference, &list.as_ref()[best].text))
    };
    lists.iter().filter_map(chosen).sum()
}

/// Tries all pairs of weights and returns the one whose choices have the fewest errors. Ties are broken by
/// the smaller absolute word bonus, then by the smaller absolute weight, then by the order given.
///
/// Each list comes with its reference; `scores` are the weights of the scores. Returns `None` if there are no weights
/// to try. For lists with several scores, [`search`] finds their weights too.
#[must_use]
pub fn tune<L: AsRef<[Scored]>>(
    lists: &[(L, &str)],
    unit: ErrorUnit,
    scores: &[f64],
    lm_weights: &[f64],
    word_bonuses: &[f64],
) -> Option<Tuned> {
    let lists = counted(lists, unit);
    let pairs = word_bonuses.iter().flat_map(|&word_bonus| {
        lm_weights.iter().map(move |&lm| Weights { lm, word_bonus, scores: scores.to_vec() })
    });
    let tried = pairs.map(|weights| Tuned { after: chosen(&lists, &weights), weights });
    tried.min_by(|a, b| {
        let size = |tuned: &Tuned| [tuned.weights.word_bonus.abs(), tuned.weights.lm.abs()];
        let sizes = size(a).into_iter().zip(size(b)).map(|(a, b)| a.total_cmp(&b));
        a.after
            .errors
            .cmp(&b.after.errors)
            .then(sizes.fold(std::cmp::Ordering::Equal, |all, one| all.then(one)))
    })
}

/// A hypothesis without its text.
struct Counted<'a> {
    scores: &'a [f64],
    lm_log_prob: f64,
    words: usize,
    found: WordErrors,
}

/// The hypotheses with their errors, which do not depend on the weights, so they are computed once.
fn counted<'a, L: AsRef<[Scored]>>(lists: &'a [(L, &str)], unit: ErrorUnit) -> Vec<Vec<Counted<'a>>> {
    let counted = |(list, reference): &'a (L, &str)| {
        let one = |one: &'a Scored| Counted {
            scores: &one.scores,
            lm_log_prob: one.lm_log_prob,
            words: one.words(),
            found: WordErrors::in_units(unit, reference, &one.text),
        };
        list.as_ref().iter().map(one).collect()
    };
    lists.iter().map(counted).collect()
}

/// The errors of the hypotheses that [`ranking`] puts first.
fn chosen(lists: &[Vec<Counted<'_>>], weights: &Weights) -> WordErrors {
    lists.iter().filter_map(|list| best(list, weights)).sum()
}

/// The errors of the hypothesis that [`ranking`] puts first.
fn best(list: &[Counted<'_>], weights: &Weights) -> Option<WordErrors> {
    let mut best: Option<(f64, WordErrors)> = None;
    for one in list {
        let score = comparable(combined(one.scores, one.lm_log_prob, one.words, weights));
        if best.is_none_or(|(highest, _)| score > highest || (highest.is_nan() && !score.is_nan())) {
            best = Some((score, one.found));
        }
    }
    best.map(|(_, found)| found)
}
