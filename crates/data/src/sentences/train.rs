//! Learns abbreviations, collocations and sentence starters from a text, without supervision.
//!
//! Each is found by a likelihood ratio: does the period follow the word more often than by chance?

use rustc_hash::{FxHashMap, FxHashSet};

use super::words::{NUMBER, Word, is_letter, words};
use super::{Orthography, Punkt};

/// A word with a higher score is an abbreviation.
const ABBREVIATION: f64 = 0.3;
/// A word that occurs fewer times can be an abbreviation because of the word that follows it.
const RARE: u64 = 5;
/// A pair of words with a higher score is a collocation.
const COLLOCATION: f64 = 7.88;
/// A word with a higher score is a sentence starter.
const STARTER: f64 = 30.0;

/// The counts of the training text.
#[derive(Default)]
struct Counts {
    kinds: FxHashMap<String, u64>,
    words: u64,
    ending_in_stop: u64,
    breaks: u64,
    starters: FxHashMap<String, u64>,
    pairs: FxHashMap<(String, String), u64>,
}

impl Punkt {
    /// Learns from `text`; a hundred pages are enough to learn its abbreviations.
    ///
    /// # Source
    /// Kiss & Strunk 2006, sections 3 and 4, with the constants and the rare abbreviations of NLTK's `PunktTrainer`,
    /// which gives the same result; see `golden/README.md`.
    #[must_use]
    pub fn train(text: &str) -> Self {
        let mut punkt = Self::default();
        let mut counts = Counts::default();
        let mut words = words(text);
        for word in &words {
            *counts.kinds.entry(word.kind.clone()).or_default() += 1;
            counts.ending_in_stop += u64::from(word.ends_in_stop());
        }
        counts.words = words.len() as u64;
        punkt.abbreviations = abbreviations(&counts);
        for word in &mut words {
            punkt.annotate(word);
        }
        punkt.see_orthography(&words);
        counts.breaks = words.iter().filter(|word| word.is_break).count() as u64;
        for pair in words.windows(2) {
            if let [word, next] = pair
                && word.ends_in_stop()
            {
                punkt.see_pair(word, next, &mut counts);
            }
        }
        punkt.starters = starters(&counts);
        punkt.collocations = collocations(&counts, &punkt.starters);
        punkt
    }

    /// Records the position and the case of each word.
    fn see_orthography(&mut self, words: &[Word<'_>]) {
        #[derive(Clone, Copy, PartialEq)]
        enum Place {
            Begin,
            Inside,
            Unknown,
        }
        let mut place = Place::Inside;
        for word in words {
            // A paragraph starts with a sentence, unless the last word was an abbreviation.
            if word.begins_paragraph && place != Place::Unknown {
                place = Place::Begin;
            }
            if word.begins_line && place == Place::Inside {
                place = Place::Unknown;
            }
            let seen = match (place, word.begins_upper(), word.begins_lower()) {
                (_, false, false) => Orthography::default(),
                (Place::Begin, true, _) => Orthography::BEGIN_UPPER,
                (Place::Inside, true, _) => Orthography::INSIDE_UPPER,
                (Place::Unknown, true, _) => Orthography::UNKNOWN_UPPER,
                (Place::Begin, ..) => Orthography::BEGIN_LOWER,
                (Place::Inside, ..) => Orthography::INSIDE_LOWER,
                (Place::Unknown, ..) => Orthography::UNKNOWN_LOWER,
            };
            if seen != Orthography::default() {
                self.orthography.entry(word.kind_in_sentence().to_owned()).or_default().0 |= seen.0;
            }
            place = if word.is_break {
                if word.is_number() || word.is_initial() { Place::Unknown } else { Place::Begin }
            } else if word.is_ellipsis || word.is_abbreviation {
                Place::Unknown
            } else {
                Place::Inside
            };
        }
    }

    /// Counts a word that ends in a period, together with the next word.
    fn see_pair(&mut self, word: &Word<'_>, next: &Word<'_>, counts: &mut Counts) {
        if self.is_rare_abbreviation(word, next, counts) {
            self.abbreviations.insert(word.kind_without_stop().to_owned());
        }
        let is_ordinal = word.is_number() || word.is_initial();
        if word.is_break && !is_ordinal && next.is_alphabetic() {
            *counts.starters.entry(next.kind.clone()).or_default() += 1;
        }
        if word.is_break && is_ordinal && word.has_letters() && next.has_letters() {
            let pair = (word.kind_without_stop().to_owned(), next.kind_in_sentence().to_owned());
            *counts.pairs.entry(pair).or_default() += 1;
        }
    }

    /// Whether a rare word is an abbreviation: it precedes punctuation, or a lowercase word that does not start
    /// sentences.
    fn is_rare_abbreviation(&self, word: &Word<'_>, next: &Word<'_>, counts: &Counts) -> bool {
        if word.is_abbreviation || !word.is_break {
            return false;
        }
        let kind = word.kind_in_sentence();
        let shorter = kind.char_indices().next_back().map_or("", |(last, _)| &kind[..last]);
        let count = counts.of(kind) + counts.of(shorter); // As in NLTK, which removes one letter too many.
        if count >= RARE || self.abbreviations.contains(kind) {
            return false;
        }
        let seen = self.orthography_of(next.kind_in_sentence());
        next.text.starts_with([',', ':', ';'])
            || (next.begins_lower()
                && seen.any_of(Orthography::BEGIN_UPPER)
                && !seen.any_of(Orthography::INSIDE_UPPER))
    }
}

impl Counts {
    fn of(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    /// The count with and without a period.
    fn with_and_without_stop(&self, kind: &str) -> u64 {
        self.of(kind) + self.of(&format!("{kind}."))
    }
}

/// Words that occur with a period much more often than without, given their length.
fn abbreviations(counts: &Counts) -> FxHashSet<String> {
    let mut found = FxHashSet::default();
    for (kind, &with_stop) in &counts.kinds {
        let Some(stem) = kind.strip_suffix('.').filter(|_| kind.contains(is_letter) && kind != NUMBER) else {
            continue;
        };
        let without_stop = counts.of(stem);
        let likelihood = stop_likelihood(with_stop + without_stop, with_stop, counts);
        let stops = stem.matches('.').count() as f64 + 1.0;
        let others = stem.chars().filter(|&char| char != '.').count() as f64;
        // Long words are rarely abbreviations, words with inner periods often, words seen without a period rarely.
        let score = likelihood * (-others).exp() * stops * others.powf(-(without_stop as f64));
        if score >= ABBREVIATION {
            found.insert(stem.to_owned());
        }
    }
    found
}

/// The log-likelihood ratio, times two, of a period probability of 99 % for this word over the chance probability.
fn stop_likelihood(count: u64, with_stop: u64, counts: &Counts) -> f64 {
    let by_chance = counts.ending_in_stop as f64 / counts.words as f64;
    let (with, without) = (with_stop as f64, (count - with_stop) as f64);
    let chance = with * (by_chance + 1e-8).ln() + without * (1.0 - by_chance + 1e-8).ln();
    let always = with * 0.99_f64.ln() + without * (1.0 - 0.99_f64).ln();
    -2.0 * (chance - always)
}

fn starters(counts: &Counts) -> FxHashSet<String> {
    let is_starter = |(kind, &at_break): (&String, &u64)| {
        let count = counts.with_and_without_stop(kind);
        let likelihood = pair_likelihood(counts.breaks, count, at_break, counts.words);
        let more_than_by_chance = counts.words as f64 / counts.breaks as f64 > count as f64 / at_break as f64;
        (likelihood >= STARTER && more_than_by_chance).then(|| kind.clone())
    };
    counts.starters.iter().filter_map(is_starter).collect()
}

fn collocations(counts: &Counts, starters: &FxHashSet<String>) -> FxHashSet<(String, String)> {
    let is_collocation = |(pair, &together): (&(String, String), &u64)| {
        let first = counts.with_and_without_stop(&pair.0);
        let second = counts.with_and_without_stop(&pair.1);
        let counted = !starters.contains(&pair.1) && first > 1 && second > 1;
        if !counted || together < 2 || together > first.min(second) {
            return None;
        }
        let likelihood = pair_likelihood(first, second, together, counts.words);
        let more_than_by_chance = counts.words as f64 / first as f64 > second as f64 / together as f64;
        (likelihood >= COLLOCATION && more_than_by_chance).then(|| pair.clone())
    };
    counts.pairs.iter().filter_map(is_collocation).collect()
}

/// Dunning's log-likelihood ratio, times two, for two events that occur `a` and `b` times, and `ab` times together,
/// among `n`: how much better two probabilities of the second event fit the counts than one. Terms with an undefined
/// logarithm count as 0.
fn pair_likelihood(a: u64, b: u64, ab: u64, n: u64) -> f64 {
    let [a, b, ab, n] = [a, b, ab, n].map(|count| count as f64);
    let term = |hits: f64, misses: f64, p: f64| {
        if p > 0.0 && p < 1.0 { hits * p.ln() + misses * (1.0 - p).ln() } else { 0.0 }
    };
    let (p, p1) = (b / n, ab / a);
    let p2 = if n == a { 1.0 } else { (b - ab) / (n - a) };
    let (misses_after, misses_else) = (a - ab, n - a - b + ab);
    let apart = if a == ab { 0.0 } else { term(ab, misses_after, p1) }
        + if b == ab { 0.0 } else { term(b - ab, misses_else, p2) };
    -2.0 * (term(ab, misses_after, p) + term(b - ab, misses_else, p) - apart)
}
