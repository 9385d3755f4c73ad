//! N-best rescoring: chooses among the hypotheses of another system, such as a speech recognizer or a
//! translation system, with the help of a language model.
//!
//! ```text
//! combined = score + lm · log p(text) + word_bonus · words(text)
//!
//! id u1   −12.0  recognize speech        combined   ─▶ the best of each id
//!         −11.5  wreck a nice beach                   compared with its reference: word error rate
//! ```
//!
//! Promises: with both weights zero the order is the other system's; ties keep the order of the list.
//! Not here: the language model's log-probabilities ([`Scorer`](crate::Scorer) gives them).

use std::collections::HashMap;
use std::iter::Sum;

mod list;

pub use list::{Entry, LineFault, Reference, entries, references};

/// A hypothesis of another system, with a language model's score.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The text.
    pub text: String,
    /// The other system's log-probability, or any other score that it orders hypotheses by.
    pub score: f64,
    /// The language model's log-probability of the text (natural logarithm).
    pub lm_log_prob: f64,
}

/// The weights of the combined score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights {
    /// Multiplies the language model's log-probability.
    pub lm: f64,
    /// Added for each word: above zero, it compensates for long texts being less likely.
    pub word_bonus: f64,
}

/// A count of word errors and of reference words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Substitutions, deletions and insertions.
    pub errors: u64,
    /// Words in the references.
    pub words: u64,
}

/// The result of [`tune`].
#[derive(Clone, Copy, Debug, PartialEq)]
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

    /// `score + lm · lm_log_prob + word_bonus · words`.
    ///
    /// A weight of zero leaves its term out, even where that is infinite.
    #[must_use]
    pub fn combined(&self, weights: Weights) -> f64 {
        combined(self.score, self.lm_log_prob, self.words(), weights)
    }
}

fn combined(score: f64, lm_log_prob: f64, words: usize, weights: Weights) -> f64 {
    let weighed = |weight: f64, value: f64| if weight == 0.0 { 0.0 } else { weight * value };
    score + weighed(weights.lm, lm_log_prob) + weights.word_bonus * words as f64
}

impl WordErrors {
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

    /// The word error rate: errors per reference word. NaN if there are no reference words and no errors;
    /// infinite if there are errors but no reference words.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.words as f64
    }
}

/// The hypotheses of one id.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// The id of the item they are hypotheses for.
    pub id: String,
    /// The hypotheses.
    pub hypotheses: Vec<Scored>,
}

impl List {
    /// Groups the hypotheses by id, in the order in which the ids first occur.
    pub fn group(hypotheses: impl IntoIterator<Item = (String, Scored)>) -> Vec<List> {
        let mut places = HashMap::new();
        let mut lists: Vec<List> = Vec::new();
        for (id, hypothesis) in hypotheses {
            let place = *places.entry(id.clone()).or_insert_with(|| {
                lists.push(List { id, hypotheses: Vec::new() });
                lists.len() - 1
            });
            lists[place].hypotheses.push(hypothesis);
        }
        lists
    }

    /// Sorts the hypotheses by decreasing combined score, as [`ranking`] does.
    pub fn sort(&mut self, weights: Weights) {
        let order = ranking(&self.hypotheses, weights);
        self.hypotheses = order.into_iter().map(|place| self.hypotheses[place].clone()).collect();
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

/// The indices of `hypotheses` by decreasing combined score; NaN last; ties keep their order.
#[must_use]
pub fn ranking(hypotheses: &[Scored], weights: Weights) -> Vec<usize> {
    let combined: Vec<f64> = hypotheses.iter().map(|hypothesis| hypothesis.combined(weights)).collect();
    let mut places: Vec<usize> = (0..hypotheses.len()).collect();
    places.sort_by(|&a, &b| {
        let (a, b) = (combined[a], combined[b]);
        a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(std::cmp::Ordering::Equal))
    });
    places
}

/// The errors if the hypothesis with the fewest is chosen from each list: no weights can do better.
#[must_use]
pub fn oracle<L: AsRef<[Scored]>>(lists: &[(L, &str)]) -> WordErrors {
    let fewest = |(list, reference): &(L, &str)| {
        let errors = list.as_ref().iter().map(|one| WordErrors::of(reference, &one.text));
        errors.min_by_key(|found| found.errors)
    };
    lists.iter().filter_map(fewest).sum()
}

/// The errors of the hypotheses that `weights` choose, one from each list.
#[must_use]
pub fn errors<L: AsRef<[Scored]>>(lists: &[(L, &str)], weights: Weights) -> WordErrors {
    let chosen = |(list, reference): &(L, &str)| {
        let best = *ranking(list.as_ref(), weights).first()?;
        Some(WordErrors::of(reference, &list.as_ref()[best].text))
    };
    lists.iter().filter_map(chosen).sum()
}

/// Tries all pairs of weights and returns the one whose choices have the fewest errors. Ties are broken by
/// the smaller absolute word bonus, then by the smaller absolute weight, then by the order given.
///
/// Each list comes with its reference. Returns `None` if there are no weights to try.
#[must_use]
pub fn tune<L: AsRef<[Scored]>>(
    lists: &[(L, &str)],
    lm_weights: &[f64],
    word_bonuses: &[f64],
) -> Option<Tuned> {
    // The errors do not depend on the weights, so they are computed once.
    let lists: Vec<Vec<Counted>> = lists.iter().map(|(list, text)| counted(list.as_ref(), text)).collect();
    let pairs = word_bonuses
        .iter()
        .flat_map(|&word_bonus| lm_weights.iter().map(move |&lm| Weights { lm, word_bonus }));
    let tried = pairs.map(|weights| {
        let after = lists.iter().filter_map(|list| best(list, weights)).sum();
        Tuned { weights, after }
    });
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
struct Counted {
    score: f64,
    lm_log_prob: f64,
    words: usize,
    found: WordErrors,
}

fn counted(list: &[Scored], reference: &str) -> Vec<Counted> {
    let counted = |one: &Scored| Counted {
        score: one.score,
        lm_log_prob: one.lm_log_prob,
        words: one.words(),
        found: WordErrors::of(reference, &one.text),
    };
    list.iter().map(counted).collect()
}

/// The errors of the hypothesis that [`ranking`] puts first.
fn best(list: &[Counted], weights: Weights) -> Option<WordErrors> {
    let mut best: Option<(f64, WordErrors)> = None;
    for one in list {
        let score = combined(one.score, one.lm_log_prob, one.words, weights);
        if best.is_none_or(|(highest, _)| score > highest || (highest.is_nan() && !score.is_nan())) {
            best = Some((score, one.found));
        }
    }
    best.map(|(_, found)| found)
}
