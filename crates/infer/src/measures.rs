//! How well a model predicts a text, per token, word, character and byte, so that models with different tokenizers
//! compare.
//!
//! Words are what stands between whitespace, and each line end counts as one more, as in the perplexities of n-gram
//! toolkits. Characters and bytes are those of the decoded text, line ends included.

use rondo_data::{Spacing, TextCodec, TokenIds};

use crate::{Evaluation, Result};

/// What a text consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// Tokens.
    pub tokens: u64,
    /// Tokens with the id of the unknown token.
    pub unknown_tokens: u64,
    /// Line ends.
    pub lines: u64,
    /// Words: what stands between whitespace.
    pub words: u64,
    /// Characters, line ends included.
    pub characters: u64,
    /// Bytes, line ends included.
    pub bytes: u64,
}

/// How well a model predicts a text, and what the text consists of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measures {
    /// What the text consists of.
    pub counts: TextCounts,
    /// All predicted tokens.
    pub all: Evaluation,
    /// The unknown tokens among them.
    pub unknown: Evaluation,
}

impl TextCounts {
    /// Counts a text given as ids, as it is decoded.
    ///
    /// # Errors
    /// [`InferError::Data`](crate::InferError::Data) if it cannot be read or decoded.
    pub fn of(codec: &TextCodec, ids: &TokenIds) -> Result<TextCounts> {
        let (mut counts, mut in_word) = (TextCounts::default(), false);
        let (mut decoder, mut text) = (codec.decoder(Spacing::AsRead), vec![]);
        let (line_end, unknown) = (codec.line_end(), codec.unknown_id());
        for block in ids.blocks() {
            for &id in &*block? {
                decoder.push(id, &mut text)?;
                counts.tokens += 1;
                counts.lines += u64::from(line_end == Some(id));
                counts.unknown_tokens += u64::from(unknown == Some(id));
                counts.add_text(&text, &mut in_word);
                text.clear();
            }
        }
        Ok(counts)
    }

    fn add_text(&mut self, text: &[u8], in_word: &mut bool) {
        self.bytes += text.len() as u64;
        for &byte in text {
            // The other bytes of a character begin with the bits 10. White space beyond ASCII is rare in tokens.
            self.characters += u64::from(byte & 0b1100_0000 != 0b1000_0000);
            let is_word = !byte.is_ascii_whitespace();
            self.words += u64::from(is_word && !*in_word);
            *in_word = is_word;
        }
    }

    /// Adds what another text consists of.
    pub fn add(&mut self, other: TextCounts) {
        self.tokens += other.tokens;
        self.unknown_tokens += other.unknown_tokens;
        self.lines += other.lines;
        self.words += other.words;
        self.characters += other.characters;
        self.bytes += other.bytes;
    }
}

impl Measures {
    /// Before anything is predicted.
    pub(crate) fn of_nothing() -> Measures {
        let zero = Evaluation { nll_sum: 0.0, tokens: 0 };
        Measures { counts: TextCounts::default(), all: zero, unknown: zero }
    }

    /// Adds a predicted token.
    pub(crate) fn add(&mut self, nll: f64, is_unknown: bool) {
        for part in [Some(&mut self.all), is_unknown.then_some(&mut self.unknown)].into_iter().flatten() {
            part.nll_sum += nll;
            part.tokens += 1;
        }
    }

    /// The tokens that are not unknown.
    pub fn known(&self) -> Evaluation {
        Evaluation {
            nll_sum: self.all.nll_sum - self.unknown.nll_sum,
            tokens: self.all.tokens - self.unknown.tokens,
        }
    }

    /// The same text if the unknown token's probability is shared by this many unseen words, as n-gram toolkits do.
    #[must_use]
    pub fn with_unknown_words(self, words: u64) -> Measures {
        let more = self.unknown.tokens as f64 * (words as f64).ln();
        let with_more =
            |evaluation: Evaluation| Evaluation { nll_sum: evaluation.nll_sum + more, ..evaluation };
        Measures { all: with_more(self.all), unknown: with_more(self.unknown), ..self }
    }

    /// Mean negative log-likelihood per word, line ends counted as words, in nats; `None` without words.
    pub fn nll_per_word(&self) -> Option<f64> {
        self.nll_per(self.counts.words + self.counts.lines)
    }

    /// Mean negative log-likelihood per character, in nats; `None` without characters.
    pub fn nll_per_character(&self) -> Option<f64> {
        self.nll_per(self.counts.characters)
    }

    /// Mean negative log-likelihood per byte, in bits; `None` without bytes.
    pub fn bits_per_byte(&self) -> Option<f64> {
        Some(self.nll_per(self.counts.bytes)? / std::f64::consts::LN_2)
    }

    /// The mean of all tokens stands for the few that are not predicted.
    fn nll_per(&self, count: u64) -> Option<f64> {
        (count > 0).then(|| self.all.nll_mean() * self.counts.tokens as f64 / count as f64)
    }
}

#[cfg(test)]
mod tests {
    use rondo_data::{Tokenizer, Vocab};

    use super::*;

    #[test]
    fn a_text_is_counted_as_it_is_decoded() {
        let words = ["<unk>", "<eos>", "caf\u{e9}", "the"];
        let vocab = Vocab::from_tokens("test", words, Some("<unk>")).unwrap();
        let codec = TextCodec::new(Tokenizer::words(), vocab);
        let counts = TextCounts::of(&codec, &TokenIds::from(vec![3, 2, 1, 0, 1])).unwrap();
        // `the café⏎<unk>⏎`
        let expected =
            TextCounts { tokens: 5, unknown_tokens: 1, lines: 2, words: 3, characters: 15, bytes: 16 };
        assert_eq!(counts, expected);
        let chars =
            TextCodec::new(Tokenizer::chars(), Vocab::from_tokens("test", ["a", " ", "\n"], None).unwrap());
        let counts = TextCounts::of(&chars, &TokenIds::from(vec![0, 0, 1, 0, 2])).unwrap();
        let expected =
            TextCounts { tokens: 5, unknown_tokens: 0, lines: 1, words: 2, characters: 5, bytes: 5 };
        assert_eq!(counts, expected);
    }

    #[test]
    fn losses_are_spread_over_words_characters_and_bytes() {
        let counts =
            TextCounts { tokens: 10, unknown_tokens: 2, lines: 2, words: 8, characters: 50, bytes: 60 };
        let measures = Measures {
            counts,
            all: Evaluation { nll_sum: 18.0, tokens: 9 },
            unknown: Evaluation { nll_sum: 4.0, tokens: 2 },
        };
        assert_eq!(measures.known(), Evaluation { nll_sum: 14.0, tokens: 7 });
        assert_eq!(measures.nll_per_word(), Some(2.0));
        assert_eq!(measures.nll_per_character(), Some(0.4));
        assert!((measures.bits_per_byte().unwrap() - 20.0 / 60.0 / 2f64.ln()).abs() < 1e-12);
        let shared = measures.with_unknown_words(100);
        assert!((shared.all.nll_sum - 18.0 - 2.0 * 100f64.ln()).abs() < 1e-12);
        assert!((shared.known().nll_sum - 14.0).abs() < 1e-12);
    }
}
