//! Chooses among the hypotheses of another system, such as a recognizer of speech or a translator, with the help of
//! a language model.
//!
//! ```text
//! combined = score + lm · log p(text) + word_bonus · words(text)
//!
//! id u1   −12.0  recognize speech        combined   ─▶ the best of each id
//!         −11.5  wreck a nice beach                   against its reference: word error rate
//! ```
//!
//! Promises: with both weights zero the order is the other system's; equals keep the order of the list.
//! Not here: the language model's log-probabilities ([`Scorer`](crate::Scorer) gives them).

use std::collections::HashMap;
use std::iter::Sum;

mod list;

pub use list::{Entry, LineFault, Reference, entries, references};

/// A hypothesis of another system, and what a language model makes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// What it says.
    pub text: String,
    /// The other system's log-probability, or whatever it orders hypotheses by.
    pub score: f64,
    /// The natural logarithm of the probability that the language model gives the text.
    pub lm_log_prob: f64,
}

/// How much the language model has to say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weights {
    /// What its log-probability is multiplied by.
    pub lm: f64,
    /// What each word adds: above zero it makes up for long texts being less likely.
    pub word_bonus: f64,
}

/// Words that are wrong, of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WordErrors {
    /// Words substituted, left out and put in.
    pub errors: u64,
    /// Words of the references.
    pub words: u64,
}

/// What [`tune`] has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuned {
    /// The best weights.
    pub weights: Weights,
    /// The errors of what they choose.
    pub after: WordErrors,
}

impl Scored {
    /// Words between white space.
    #[must_use]
    pub fn words(&self) -> usize {
        self.text.split_whitespace().count()
    }

    /// `score + lm · lm_log_prob + word_bonus · words`.
    ///
    /// A weight of zero leaves its part out, even where that is infinite.
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
    /// The errors of one text against what it should say: the fewest words to substitute, leave out and put in.
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

    /// The word error rate: errors for each word of the references. NaN if these have no word, nor is any wrong;
    /// infinite if all that is said is wrong.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.errors as f64 / self.words as f64
    }
}

/// The hypotheses of one id.
#[derive(Clone, Debug, PartialEq)]
pub struct List {
    /// What they are hypotheses of.
    pub id: String,
    /// The hypotheses.
    pub hypotheses: Vec<Scored>,
}

impl List {
    /// Puts the hypotheses of each id together, ids in the order of their first.
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

    /// Sorts the hypotheses by falling combined score, as [`ranking`] does.
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

/// The places of `hypotheses` by falling combined score; equals, and those whose score is no number, last, by their
/// place.
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

/// The errors if of each list the hypothesis with the fewest is chosen: no weights do better.
#[must_use]
pub fn oracle<L: AsRef<[Scored]>>(lists: &[(L, &str)]) -> WordErrors {
    let fewest = |(list, reference): &(L, &str)| {
        let errors = list.as_ref().iter().map(|one| WordErrors::of(reference, &one.text));
        errors.min_by_key(|found| found.errors)
    };
    lists.iter().filter_map(fewest).sum()
}

/// The errors of the hypotheses that `weights` choose, one of each list.
#[must_use]
pub fn errors<L: AsRef<[Scored]>>(lists: &[(L, &str)], weights: Weights) -> WordErrors {
    let chosen = |(list, reference): &(L, &str)| {
        let best = *ranking(list.as_ref(), weights).first()?;
        Some(WordErrors::of(reference, &list.as_ref()[best].text))
    };
    lists.iter().filter_map(chosen).sum()
}

/// Tries all pairs of the weights and finds that whose choice has the fewest errors. Of equals, it is the one with the
/// smaller word bonus, whatever its sign, then with the smaller weight, then the earlier: what says least.
///
/// Each list comes with its reference. None is found if there are no weights to try.
#[must_use]
pub fn tune<L: AsRef<[Scored]>>(
    lists: &[(L, &str)],
    lm_weights: &[f64],
    word_bonuses: &[f64],
) -> Option<Tuned> {
    // What does not depend on the weights is found once: errors above all.
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
