//! The score of a region, from those of its tokens.

use super::encode::EncodedPassage;
use super::group::{Group, TokenScore};
use super::{RegionScore, RegionUnit, SurprisalOptions, UnknownWords};

/// What a region's score is made from.
pub(super) struct Combine<'a> {
    pub(super) passage: &'a EncodedPassage,
    /// The score of each token; `None` for one that is not read, or not predicted.
    pub(super) predicted: &'a [Option<TokenScore>],
    pub(super) options: &'a SurprisalOptions,
    pub(super) group: &'a Group,
}

impl Combine<'_> {
    /// The score of a region; of the end of the text for `None`.
    pub(super) fn score(&self, region: Option<usize>) -> RegionScore {
        let Combine { passage, predicted, options, group } = self;
        let range = passage.tokens_of(region);
        let tokens = &passage.tokens[range.clone()];
        let unknown_tokens = tokens.iter().filter(|token| token.is_unknown || token.id.is_none()).count();
        let mut score = RegionScore {
            tokens: tokens.len(),
            unknown_tokens,
            fault: passage.fault(region),
            ..RegionScore::default()
        };
        // The state after the last token of the region that was read.
        let read = predicted[range.clone()].iter().rev().flatten().next();
        score.state = read.map_or_else(Vec::new, |token| token.state.clone());
        if score.fault.is_some() || (unknown_tokens > 0 && options.unknown == UnknownWords::Missing) {
            return score;
        }
        let own = range.clone().find(|&index| !passage.is_blank[index]).or_else(|| range.clone().next());
        if let Some(first) = own.and_then(|index| predicted[index].as_ref()) {
            score.entropy = first.entropy;
            score.rank = first.rank;
        }
        if let ([token], 0) = (tokens, unknown_tokens) {
            score.log_frequency = token.id.and_then(|id| group.log_frequency(id));
        }
        score.log_prob = if range.is_empty() {
            // The end of a text whose line end is no token is certain.
            region.is_none().then_some(0.0)
        } else {
            self.log_prob(range.clone())
        };
        score
    }

    /// The log-probability of the tokens in `range`, as words if the regions are words.
    fn log_prob(&self, range: std::ops::Range<usize>) -> Option<f64> {
        let Combine { passage, predicted, options, .. } = self;
        let mut sum = 0.0;
        for index in range.clone() {
            let token = &passage.tokens[index];
            if token.id.is_none() {
                return Some(f64::NEG_INFINITY);
            }
            match predicted[index].as_ref()?.log_prob {
                None if passage.is_partial => continue,
                log_prob => sum += log_prob?,
            }
            if let (UnknownWords::Share(words), true) = (options.unknown, token.is_unknown) {
                sum -= (words as f64).ln();
            }
        }
        if options.unit == RegionUnit::Word {
            // That a separator comes belongs to the word before it.
            let is_word = |index: usize| !passage.is_blank[index];
            let follows_word = range.start.checked_sub(1).map_or(passage.follows_word, is_word);
            if follows_word && passage.separates.get(range.start) == Some(&true) {
                sum -= predicted[range.start].as_ref()?.separators?;
            }
            let follows = passage.separates.get(range.end).is_some_and(|&separates| separates);
            if follows && is_word(range.end - 1) {
                sum += predicted[range.end].as_ref()?.separators?;
            }
        }
        // A sum of nothing but ones is 0, not −0.
        Some(sum + 0.0)
    }
}
