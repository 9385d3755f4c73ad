//! How often each token of a vocabulary occurs in the training text.
//!
//! Not here: what is computed from the counts (`ngram`), where they are stored (`file`).

use super::Vocab;
use crate::{Counter, DataError, Result, TokenIds};

impl Vocab {
    /// How often the token with this id occurs in the training text; `None` if the vocabulary has no counts or no such
    /// token. See [`counts`](Self::counts).
    #[must_use]
    pub fn count(&self, id: u32) -> Option<u64> {
        self.counts()?.get(id as usize).copied()
    }

    /// How often each token occurs in the text that the vocabulary was made from, by id: `[V]`. Out-of-vocabulary tokens
    /// count as the unknown token. `None` if that is not known.
    ///
    /// ```
    /// use rondo_data::{Counter, Vocab, VocabOptions};
    ///
    /// # fn main() -> rondo_data::Result<()> {
    /// let counter: Counter = "the cat saw the dog".split(' ').collect();
    /// let vocab = Vocab::from_counter(&counter, &VocabOptions { min_freq: 2, ..VocabOptions::default() })?;
    /// assert_eq!(vocab.counts(), Some(&[3, 2][..])); // <unk> stands for cat, saw and dog
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counts(&self) -> Option<&[u64]> {
        self.counts.as_deref()
    }

    /// The ids by decreasing frequency in the training text, equally frequent ones by id; by id alone if frequencies are
    /// not known, since most vocabularies are ordered by frequency.
    #[must_use]
    pub fn ids_by_frequency(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = (0..self.len() as u32).collect();
        if let Some(counts) = self.counts() {
            ids.sort_by_key(|&id| std::cmp::Reverse(counts[id as usize]));
        }
        ids
    }

    /// The same vocabulary with these counts, `[V]`; see [`counts`](Self::counts).
    ///
    /// # Errors
    /// [`DataError::CountsLength`] unless there is one count for each token.
    pub fn with_counts(self, counts: Vec<u64>) -> Result<Self> {
        self.with_counts_from("the vocabulary", Some(counts))
    }

    /// The same vocabulary with these counts, which come from `origin`.
    pub(super) fn with_counts_from(self, origin: &str, counts: Option<Vec<u64>>) -> Result<Self> {
        if let Some(found) = counts.as_ref().map(Vec::len).filter(|&found| found != self.len()) {
            return Err(DataError::CountsLength { origin: origin.to_owned(), found, expected: self.len() });
        }
        Ok(Self { counts, ..self })
    }

    /// The counts of the tokens, given those of a text. A token that has no id is not counted.
    pub(super) fn counts_in(&self, counter: &Counter) -> Vec<u64> {
        let mut counts = vec![0; self.len()];
        for (token, count) in counter.iter() {
            if let Some(id) = self.id_or_unknown(token) {
                counts[id as usize] += count;
            }
        }
        counts
    }

    /// Sets the counts of the tokens from the id `first` on to those of a text; the others stay, if there are any.
    ///
    /// # Errors
    /// See [`TokenIds::read`].
    /// # Panics
    /// If an id is not below the vocabulary size.
    pub(crate) fn count_from(&mut self, first: usize, text: &TokenIds) -> Result<()> {
        let mut counts = vec![0; self.len()];
        for ids in text.blocks() {
            ids?.iter().for_each(|&id| counts[id as usize] += 1);
        }
        match &mut self.counts {
            Some(known) => known[first..].copy_from_slice(&counts[first..]),
            None => self.counts = Some(counts),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VocabOptions;

    #[test]
    fn counts_are_those_of_the_counter_and_unknown_tokens_add_up() {
        let counter: Counter = "b a <unk> b c d b".split(' ').collect();
        let options =
            VocabOptions { max_size: Some(3), reserved: vec!["<eos>".into()], ..VocabOptions::default() };
        let vocab = Vocab::from_counter(&counter, &options).unwrap();
        assert_eq!(vocab.tokens().collect::<Vec<_>>(), ["<unk>", "<eos>", "b"]);
        assert_eq!(vocab.counts(), Some(&[4, 0, 3][..]));
        assert_eq!((vocab.count(2), vocab.count(3)), (Some(3), None));
        // Without an unknown token, only what has an id is counted.
        let chars = VocabOptions { unknown: None, min_freq: 2, ..VocabOptions::default() };
        assert_eq!(Vocab::from_counter(&counter, &chars).unwrap().counts(), Some(&[3][..]));
    }

    #[test]
    fn an_extended_vocabulary_counts_new_tokens_in_the_new_text() {
        let old = Vocab::from_tokens("test", ["<unk>", "a"], Some("<unk>")).unwrap();
        let counter: Counter = "a c b c".split(' ').collect();
        assert_eq!(old.extended(&counter, 1, None).counts(), None);
        assert_eq!(old.ids_by_frequency(), [0, 1]);
        let old = old.with_counts(vec![5, 7]).unwrap();
        assert_eq!(old.ids_by_frequency(), [1, 0]);
        assert_eq!(old.extended(&counter, 1, None).counts(), Some(&[5, 7, 2, 1][..]));
    }

    #[test]
    fn a_count_is_needed_for_each_token() {
        let vocab = Vocab::from_tokens("test", ["a", "b"], None).unwrap();
        assert_eq!((vocab.counts(), vocab.count(0)), (None, None));
        let error = vocab.clone().with_counts(vec![1]).unwrap_err().to_string();
        assert_eq!(error, "the vocabulary has a different number of counts (1) than of tokens (2)");
        assert!(vocab.with_counts(vec![1, u64::MAX]).is_ok());
    }

    #[test]
    fn counts_are_a_statistic_and_not_part_of_what_a_vocabulary_is() {
        let vocab = Vocab::from_tokens("test", ["a", "b"], None).unwrap();
        let counted = vocab.clone().with_counts(vec![1, 2]).unwrap();
        assert_eq!(counted, vocab);
        assert_eq!(counted.fingerprint(), vocab.fingerprint());
        assert_ne!(Vocab::from_tokens("test", ["b", "a"], None).unwrap(), vocab);
        assert_ne!(Vocab::from_tokens("test", ["a", "b"], Some("a")).unwrap(), vocab);
    }
}
