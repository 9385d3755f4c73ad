//! Options for building a vocabulary: which tokens it contains, and in which order.

use std::collections::HashSet;

use indexmap::IndexSet;
use serde::{Deserialize, Serialize};

use crate::{Counter, DataError, Result, Tokenizer};

/// The order of the ids of a vocabulary; see the diagram in [`vocab`](crate::vocab).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VocabOrder {
    /// Special tokens first, then by decreasing frequency, ties alphabetical (by Unicode scalar values).
    #[default]
    Frequency,
    /// In order of first appearance in the text. This includes special tokens, which are not moved to the front;
    /// those that do not appear in the text come last.
    FirstAppearance,
}

/// Options for building a vocabulary: which tokens it contains, and in which order.
///
/// The special tokens, `unknown` and `reserved`, are always included. A special token that is listed twice or that
/// also occurs in the text is included once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VocabOptions {
    /// The order of the ids.
    pub order: VocabOrder,
    /// Leave out tokens that occur fewer times than this; 0 and 1 keep all tokens.
    pub min_freq: u64,
    /// The maximum vocabulary size, including special tokens: the most frequent tokens are kept, with ties broken
    /// as in `order`. `None` means no limit.
    pub max_size: Option<usize>,
    /// The token that replaces out-of-vocabulary tokens; with `None`, an out-of-vocabulary token in a text is an
    /// error.
    pub unknown: Option<String>,
    /// Tokens that are included even if they do not occur in the text.
    pub reserved: Vec<String>,
}

impl Default for VocabOptions {
    /// All tokens in order of decreasing frequency, after the unknown token `<unk>`.
    fn default() -> Self {
        Self {
            order: VocabOrder::Frequency,
            min_freq: 1,
            max_size: None,
            unknown: Some("<unk>".to_owned()),
            reserved: Vec::new(),
        }
    }
}

impl VocabOptions {
    /// The default options for a tokenizer, in order of decreasing frequency.
    ///
    /// Words: the unknown token `<unk>` has id 0, followed by the tokenizer's `<eos>`. Characters: those of the
    /// text, with no unknown token. Bytes: all 256, so that every file can be encoded.
    #[must_use]
    pub fn for_tokenizer(tokenizer: &Tokenizer) -> Self {
        tokenizer.vocab_options()
    }

    /// The tokens of `counter` to include, in order of their ids.
    pub(super) fn choose<'a>(&'a self, counter: &'a Counter) -> Result<Vec<&'a str>> {
        let special: IndexSet<&str> = self.unknown.iter().chain(&self.reserved).map(String::as_str).collect();
        let room = match self.max_size {
            Some(max_size) if max_size < special.len() => {
                return Err(DataError::VocabTooSmall { max_size, special_tokens: special.len() });
            }
            Some(max_size) => max_size - special.len(),
            None => usize::MAX,
        };
        let is_candidate = |&(token, count): &(&str, u64)| count >= self.min_freq && !special.contains(token);
        match self.order {
            VocabOrder::Frequency => {
                let common = counter.most_common().into_iter().filter(is_candidate).take(room);
                Ok(special.iter().copied().chain(common.map(|(token, _)| token)).collect())
            }
            VocabOrder::FirstAppearance => {
                let mut common: Vec<_> = counter.iter().filter(is_candidate).collect();
                common.sort_by_key(|&(_, count)| std::cmp::Reverse(count)); // Stable: ties by first appearance.
                let kept: HashSet<&str> = common.into_iter().take(room).map(|(token, _)| token).collect();
                let seen = counter.iter().map(|(token, _)| token);
                let seen = seen.filter(|token| kept.contains(token) || special.contains(token));
                let unseen = special.iter().copied().filter(|token| counter.count(token) == 0);
                Ok(seen.chain(unseen).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "c a b <unk> a b <eos> d b";

    fn chosen(options: &VocabOptions) -> Vec<String> {
        let counter: Counter = TEXT.split(' ').collect();
        options.choose(&counter).unwrap().into_iter().map(str::to_owned).collect()
    }

    fn options(order: VocabOrder) -> VocabOptions {
        VocabOptions { order, reserved: vec!["<eos>".into(), "<pad>".into()], ..VocabOptions::default() }
    }

    #[test]
    fn by_frequency_special_tokens_come_first_and_once() {
        let expected = ["<unk>", "<eos>", "<pad>", "b", "a", "c", "d"];
        assert_eq!(chosen(&options(VocabOrder::Frequency)), expected);
        let reserved = ["<eos>", "<unk>", "<eos>", "<pad>"].map(String::from).to_vec();
        assert_eq!(chosen(&VocabOptions { reserved, ..VocabOptions::default() }), expected);
    }

    #[test]
    fn by_first_appearance_nothing_is_moved_to_the_front() {
        let expected = ["c", "a", "b", "<unk>", "<eos>", "d", "<pad>"];
        assert_eq!(chosen(&options(VocabOrder::FirstAppearance)), expected);
    }

    #[test]
    fn rare_tokens_are_left_out_but_special_ones_stay() {
        let with_min = |order| chosen(&VocabOptions { min_freq: 2, ..options(order) });
        assert_eq!(with_min(VocabOrder::Frequency), ["<unk>", "<eos>", "<pad>", "b", "a"]);
        assert_eq!(with_min(VocabOrder::FirstAppearance), ["a", "b", "<unk>", "<eos>", "<pad>"]);
    }

    #[test]
    fn max_size_counts_special_tokens_and_keeps_the_most_frequent() {
        let with_max = |order, max_size| chosen(&VocabOptions { max_size: Some(max_size), ..options(order) });
        assert_eq!(with_max(VocabOrder::Frequency, 6), ["<unk>", "<eos>", "<pad>", "b", "a", "c"]);
        assert_eq!(with_max(VocabOrder::FirstAppearance, 6), ["c", "a", "b", "<unk>", "<eos>", "<pad>"]);
        assert_eq!(with_max(VocabOrder::Frequency, 3), ["<unk>", "<eos>", "<pad>"]);
        let options = VocabOptions { max_size: Some(2), ..options(VocabOrder::Frequency) };
        let error = options.choose(&Counter::new()).unwrap_err().to_string();
        assert_eq!(error, "a vocabulary of at most 2 tokens has no room for its 3 special tokens");
    }

    #[test]
    fn every_tokenizer_has_a_usual_choice() {
        let usual = |tokenizer| VocabOptions::for_tokenizer(&tokenizer);
        assert_eq!(usual(Tokenizer::default()).reserved, ["<eos>"]);
        assert_eq!(usual(Tokenizer::chars()).unknown, None);
        let bytes = usual(Tokenizer::bytes());
        assert_eq!(bytes.choose(&Counter::new()).unwrap().len(), 256);
    }
}
