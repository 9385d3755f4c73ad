//! Minimal pairs: a good and a bad sentence that differ in one respect.
//!
//! ```text
//! {"sentence_good": "the cats that the dog sees sleep .", "sentence_bad": "the cats that the dog sees sleeps .", …}
//!                    └──────────── the same ───┘ └─ region ─┘
//! ```
//!
//! A model is right about a pair if it gives the good sentence a higher log-probability. *Source*: Warstadt et al. 2020
//! (BLiMP), whose files are JSON Lines with these fields.
//!
//! Not here: which tokens are in a region (`regions`).

use std::ops::Range;

use rondo_data::records::{Quoting, Records};

use super::regions::region_log_probs;
use super::{Accuracy, Outcome};
use crate::{InferError, LanguageModel, RegionUnit, Result};

const GOOD: &str = "sentence_good";
const BAD: &str = "sentence_bad";
/// BLiMP's name for the paradigm of a pair.
const GROUP: &str = "UID";

/// Log-probabilities that differ by less than this fraction are equal: the same sum is rounded differently in different
/// batches.
const ROUNDING: f64 = 1e-6;

/// A minimal pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The line of the file, starting at 1.
    pub line: u64,
    /// The good sentence.
    pub good: String,
    /// The bad sentence.
    pub bad: String,
    /// The group it belongs to.
    pub group: Option<String>,
}

/// What is scored of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The whole sentence and its line end.
    Sentence,
    /// The words from the first to the last that differ between the sentences, given what is before them. If these are
    /// none in one of them, the word after them, or the line end, is scored too.
    Region,
}

/// The scores of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairScore {
    /// The log-probability of the good sentence (natural logarithm), or of its region.
    pub good: f64,
    /// The log-probability of the bad one.
    pub bad: f64,
    /// Whether the good one is more probable.
    pub outcome: Outcome,
    /// The number of unknown tokens in both sentences.
    pub unknown_tokens: usize,
}

/// Reads pairs; see [`Tests::read`](super::Tests::read).
pub(super) fn read(text: &str, origin: &str, group: Option<&str>) -> Result<Vec<Pair>> {
    let mut records = Records::open(Box::new(text.as_bytes()), origin, Quoting::NotWithTabs)?;
    if let Some(columns) = records.columns() {
        let has_names = [GOOD, BAD].iter().any(|name| columns.iter().any(|column| **column == **name));
        match columns.len() {
            _ if has_names => {}
            0 => return Err(InferError::NoPairs { origin: origin.to_owned() }),
            2 => records = records.with_columns(&[GOOD, BAD]),
            columns => return Err(InferError::PairColumns { origin: origin.to_owned(), columns }),
        }
    }
    let mut pairs = vec![];
    while let Some(record) = records.next()? {
        let group = match group {
            None if record.get(GROUP).is_none() => None,
            field => Some(record.label(field.unwrap_or(GROUP), origin)?),
        };
        // A line end within a sentence would end it.
        let sentence = |name| {
            let text = record.text(name, origin)?;
            Ok::<_, InferError>(String::from_utf8_lossy(text).replace(['\r', '\n'], " "))
        };
        pairs.push(Pair { line: record.line, good: sentence(GOOD)?, bad: sentence(BAD)?, group });
    }
    if pairs.is_empty() {
        return Err(InferError::NoPairs { origin: origin.to_owned() });
    }
    Ok(pairs)
}

/// The scores of pairs, in order.
///
/// # Errors
/// [`InferError::Data`] for a sentence that cannot be encoded; [`InferError::Unaligned`] if the model's tokens cannot be
/// assigned to regions; [`InferError::NeedsDistribution`] for regions of an approximate model whose tokens are characters;
/// [`InferError::NonFiniteLogits`].
pub fn score_pairs(model: &LanguageModel, pairs: &[Pair], scope: Scope) -> Result<Vec<PairScore>> {
    let texts: Vec<_> = pairs.iter().flat_map(|pair| regions(pair, scope)).collect();
    // The end of a word of characters needs the whole distribution, and is of no importance to a sentence.
    let is_approximate = model.normalizer_check().is_some();
    let unit = if is_approximate && scope == Scope::Sentence { RegionUnit::Token } else { RegionUnit::Word };
    let scores = region_log_probs(model, &texts.iter().map(Scored::text).collect::<Vec<_>>(), unit)?;
    let mut encoder = model.codec().line_encoder("the sentence");
    let mut scored = texts.iter().zip(&scores).map(|(text, scores)| {
        let log_prob: f64 = scores[text.scored.clone()].iter().map(|score| score.log_prob).sum();
        (log_prob, scores.iter().map(|score| score.unknown_tokens).sum::<usize>())
    });
    let mut results = vec![];
    for pair in pairs {
        let (Some((good, good_unknown)), Some((bad, bad_unknown))) = (scored.next(), scored.next()) else {
            unreachable!("each sentence has a score");
        };
        let [good_line, bad_line] =
            [encoder.encode(pair.good.as_bytes())?, encoder.encode(pair.bad.as_bytes())?];
        let outcome = if !good.is_finite() || !bad.is_finite() {
            Outcome::Impossible
        } else if good_line.ids == bad_line.ids {
            Outcome::SameTokens
        } else if (good - bad).abs() <= ROUNDING * good.abs().max(bad.abs()) {
            Outcome::Equal
        } else if good > bad {
            Outcome::Right
        } else {
            Outcome::Wrong
        };
        results.push(PairScore { good, bad, outcome, unknown_tokens: good_unknown + bad_unknown });
    }
    Ok(results)
}

/// The accuracy on all pairs, and on each group, in the order in which groups come first.
pub fn accuracies(pairs: &[Pair], scores: &[PairScore]) -> (Accuracy, Vec<(String, Accuracy)>) {
    let mut names: Vec<&str> = vec![];
    let mut outcomes: Vec<Vec<(Outcome, usize)>> = vec![];
    for (pair, score) in pairs.iter().zip(scores) {
        let Some(group) = pair.group.as_deref() else { continue };
        let place = names.iter().position(|name| *name == group).unwrap_or_else(|| {
            names.push(group);
            outcomes.push(vec![]);
            names.len() - 1
        });
        outcomes[place].push((score.outcome, score.unknown_tokens));
    }
    let groups = names.into_iter().zip(outcomes);
    let groups = groups.map(|(name, outcomes)| (name.to_owned(), outcomes.into_iter().collect()));
    (scores.iter().map(|score| (score.outcome, score.unknown_tokens)).collect(), groups.collect())
}

/// A sentence, its regions, and which of these and of its end are scored.
struct Scored<'a> {
    sentence: &'a str,
    regions: Vec<Range<usize>>,
    scored: Range<usize>,
}

impl Scored<'_> {
    fn text(&self) -> (String, Vec<Range<usize>>) {
        (self.sentence.to_owned(), self.regions.clone())
    }

    fn whole(sentence: &str) -> Scored<'_> {
        Scored { sentence, regions: std::iter::once(0..sentence.len()).collect(), scored: 0..2 }
    }
}

/// What is scored of the sentences of a pair.
fn regions(pair: &Pair, scope: Scope) -> [Scored<'_>; 2] {
    let sentences = [pair.good.as_str(), pair.bad.as_str()];
    let words = sentences.map(|sentence| sentence.split_whitespace().collect::<Vec<_>>());
    if scope == Scope::Sentence || words[0] == words[1] {
        return sentences.map(Scored::whole);
    }
    let shortest = words[0].len().min(words[1].len());
    let [good, bad] = &words;
    let before = good.iter().zip(bad).take_while(|(good, bad)| good == bad).count();
    let after = good.iter().rev().zip(bad.iter().rev()).take_while(|(good, bad)| good == bad).count();
    let after = after.min(shortest - before);
    // Nothing is no less probable than something.
    let needs_more = shortest == before + after;
    let (after, with_end) = (after.saturating_sub(usize::from(needs_more)), needs_more && after == 0);
    let scored = |(sentence, words): (&'_ str, &Vec<&str>)| {
        let end_of = |count: usize| match count.checked_sub(1).and_then(|last| words.get(last)) {
            Some(word) => word.as_ptr() as usize - sentence.as_ptr() as usize + word.len(),
            None => 0,
        };
        let (start, end) = (end_of(before), end_of(words.len() - after));
        (vec![0..start, start..end, end..sentence.len()], if with_end { 1..4 } else { 1..2 })
    };
    let [good, bad] = [(sentences[0], good), (sentences[1], bad)].map(scored);
    [(sentences[0], good), (sentences[1], bad)].map(|(sentence, (regions, scored))| Scored {
        sentence,
        regions,
        scored,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The regions that are scored, and `⏎` for the line end.
    fn scored(good: &str, bad: &str) -> [String; 2] {
        let pair = Pair { line: 1, good: good.to_owned(), bad: bad.to_owned(), group: None };
        regions(&pair, Scope::Region).map(|Scored { sentence, regions, scored }| {
            let ends_line = if scored.end > regions.len() { "⏎" } else { "" };
            let parts = regions[scored.start..scored.end.min(regions.len())].iter();
            parts.map(|region| &sentence[region.clone()]).collect::<String>() + ends_line
        })
    }

    #[test]
    fn a_region_has_the_words_that_differ() {
        assert_eq!(scored("the cats sleep .", "the cats sleeps ."), [" sleep", " sleeps"]);
        assert_eq!(scored("a b c d", "a x c y"), [" b c d", " x c y"]);
        assert_eq!(scored("cats sleep", "cat sleep"), ["cats", "cat"]);
        assert_eq!(scored("a  a b", "a c a b"), ["  a", " c a"]);
        assert_eq!(scored("a b", "a b c"), ["⏎", " c⏎"]);
        assert_eq!(scored("b", "a b"), ["b", "a b"]);
        assert_eq!(scored("", "a"), ["⏎", "a⏎"]);
        assert_eq!(scored("a b", "a  b"), ["a b⏎", "a  b⏎"]);
    }

    #[track_caller]
    fn check(text: &str, expected: &[(u64, &str, &str, Option<&str>)]) {
        let pairs = read(text, "file", None).unwrap();
        let found: Vec<_> = pairs
            .iter()
            .map(|pair| (pair.line, pair.good.as_str(), pair.bad.as_str(), pair.group.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn pairs_are_records_or_two_columns() {
        let json = "{\"sentence_good\": \"a\", \"sentence_bad\": \"b\", \"UID\": \"g\"}\n\n\
                    {\"sentence_bad\": \"d\", \"sentence_good\": \"c\\nc\"}\n";
        check(json, &[(1, "a", "b", Some("g")), (3, "c c", "d", None)]);
        check("UID,sentence_bad,sentence_good\ng,\"b, b\",a\n", &[(2, "a", "b, b", Some("g"))]);
        check("a, a\tb\nc\td\n", &[(1, "a, a", "b", None), (2, "c", "d", None)]);
        check("\"a, a\",b\n", &[(1, "a, a", "b", None)]);
        let groups = read("sentence_good\tsentence_bad\tn\na\tb\t7\n", "file", Some("n")).unwrap();
        assert_eq!(groups[0].group.as_deref(), Some("7"));
    }

    #[track_caller]
    fn check_error(text: &str, group: Option<&str>, expected: &str) {
        assert_eq!(read(text, "file", group).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_has_no_pairs_says_why() {
        check_error("", None, "`file` is empty: it contains no minimal pairs");
        check_error("sentence_good\tsentence_bad\n", None, "`file` is empty: it contains no minimal pairs");
        let columns = "`file` has no minimal pairs: it needs the columns `sentence_good` and `sentence_bad`, or two \
                       columns without names, and has 3";
        check_error("a\tb\tc\n", None, columns);
        let json = "{\"sentence_good\": \"a\", \"bad\": \"b\"}\n";
        let field = "line 1 of `file` has no field `sentence_bad`: its fields are `sentence_good`, `bad`; \
                     did you mean `sentence_good`?";
        check_error(json, None, field);
        let group = "line 2 of `file` has no field `g`: its fields are `sentence_good`, `sentence_bad`";
        check_error("sentence_good\tsentence_bad\na\tb\n", Some("g"), group);
    }
}
