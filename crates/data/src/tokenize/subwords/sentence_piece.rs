//! The `.model` of SentencePiece, by the crate `sentencepiece-rs`.
//!
//! The crate is slow for models with BPE, so words are looked up if they can be tokenized independently.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use sentencepiece_rs::SentencePieceProcessor;

use super::engine::{Engine, Failure};

/// The character that stands for a space.
const SPACE: char = '▁';

/// The number of words that are kept.
const MOST_WORDS: usize = 1 << 16;

/// A tokenizer of SentencePiece.
#[derive(Debug)]
pub(super) struct SentencePiece {
    processor: SentencePieceProcessor,
    tokens: Vec<String>,
    unknown: String,
    /// The ids of normalized words, each with the space before it; `None` if tokens can span words.
    words: Option<Mutex<HashMap<String, Vec<u32>>>>,
}

impl SentencePiece {
    /// Parses the file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let processor = SentencePieceProcessor::from_serialized_model(bytes).map_err(failure)?;
        let model = processor.model();
        let tokens: Vec<String> = model.pieces().iter().map(|piece| piece.piece.clone()).collect();
        let unknown = tokens.get(model.unk_id()).cloned();
        let unknown = unknown.ok_or_else(|| Failure("it has no unknown token".to_owned()))?;
        let spans_words = |token: &String| token.chars().skip(1).any(|char| char == SPACE);
        let are_words_independent =
            tokens.iter().any(|token| token.starts_with(SPACE) && token.chars().count() == 1)
                && !tokens.iter().any(spans_words);
        let words = are_words_independent.then(Mutex::default);
        Ok(Self { processor, tokens, unknown, words })
    }

    /// The ids of a normalized word with the space before it, if it is one that is tokenized independently.
    fn word(&self, word: &str) -> Result<Option<Vec<u32>>, Failure> {
        // Models differ in whether normalization adds a space before a text, or keeps only one.
        for text in [word.strip_prefix(SPACE).unwrap_or(word), word] {
            let text = text.replace(SPACE, " ");
            if self.processor.normalize(&text).map_err(failure)? == word {
                return self.ids(&text).map(Some);
            }
        }
        Ok(None)
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>, Failure> {
        let ids = self.processor.encode_to_ids(text).map_err(failure)?;
        Ok(ids.into_iter().map(|id| id as u32).collect())
    }

    /// The parts of a line that normalization does not change, except for a space before the first word.
    fn spans_of_same(&self, line: &str) -> Option<Vec<(u32, Range<usize>)>> {
        let (pieces, ids) = (self.processor.encode(line).ok()?, self.ids(line).ok()?);
        self.spans_of(line, &pieces, &ids, true).or_else(|| self.spans_of(line, &pieces, &ids, false))
    }

    /// The parts of a line, to which a space was `added` at the start or not.
    fn spans_of(
        &self,
        line: &str,
        pieces: &[String],
        ids: &[u32],
        added: bool,
    ) -> Option<Vec<(u32, Range<usize>)>> {
        let (mut spans, mut at, mut added) = (Vec::with_capacity(pieces.len()), 0, added);
        for (piece, &id) in pieces.iter().zip(ids) {
            let start = at;
            if self.processor.model().is_byte(id as usize) {
                // The first byte of a character stands for all of it.
                at += 1;
                let end = (at..=line.len()).find(|&end| line.is_char_boundary(end))?;
                spans.push((id, if line.is_char_boundary(start) { start..end } else { end..end }));
                continue;
            }
            for char in piece.chars() {
                let rest = line.get(at..)?;
                at += match char {
                    SPACE if std::mem::take(&mut added) => 0,
                    SPACE if rest.starts_with(' ') => 1,
                    char if rest.starts_with(char) => char.len_utf8(),
                    _ => return None,
                };
            }
            spans.push((id, start..at));
        }
        (at == line.len()).then_some(spans)
    }

    /// The parts of a line whose words are found by the whitespace between them; if normalization changes a word, its first
    /// token stands for all of it.
    fn spans_of_words(&self, line: &str) -> Option<Vec<(u32, Range<usize>)>> {
        let mut spans = Vec::new();
        for word in line.split_whitespace() {
            let start = word.as_ptr().addr() - line.as_ptr().addr();
            let whole = start..start + word.len();
            match self.spans_of_same(word) {
                Some(of_word) => {
                    spans.extend(
                        of_word.into_iter().map(|(id, part)| (id, start + part.start..start + part.end)),
                    );
                }
                None => {
                    let parts = std::iter::once(whole.clone()).chain(std::iter::repeat(whole.end..whole.end));
                    spans.extend(self.ids(word).ok()?.into_iter().zip(parts));
                }
            }
        }
        Some(spans)
    }
}

fn failure(error: sentencepiece_rs::Error) -> Failure {
    Failure(error.to_string())
}

impl Engine for SentencePiece {
    fn tokens(&self) -> &[String] {
        &self.tokens
    }

    fn unknown(&self) -> Option<&str> {
        Some(&self.unknown)
    }

    fn encode(&self, line: &str, ids: &mut Vec<u32>) -> Result<(), Failure> {
        let start = ids.len();
        if let Some(words) = &self.words {
            let line = self.processor.normalize(line).map_err(failure)?;
            let starts = line.match_indices(SPACE).map(|(at, _)| at).filter(|&at| at > 0);
            let mut before = 0;
            let mut all = true;
            let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
            for end in starts.chain(std::iter::once(line.len())) {
                let word = &line[before..end];
                before = end;
                if let Some(known) = words.get(word) {
                    ids.extend_from_slice(known);
                } else if let Some(new) = self.word(word)? {
                    ids.extend_from_slice(&new);
                    if words.len() >= MOST_WORDS {
                        words.clear();
                    }
                    words.insert(word.to_owned(), new);
                } else if !word.is_empty() {
                    all = false;
                    break;
                }
            }
            if all {
                return Ok(());
            }
            ids.truncate(start);
        }
        ids.extend(self.ids(line)?);
        Ok(())
    }

    fn spans(&self, line: &str) -> Option<Vec<(u32, Range<usize>)>> {
        self.spans_of_same(line).or_else(|| self.spans_of_words(line))
    }

    fn decode(&self, tokens: &[String]) -> String {
        self.processor.decode_pieces(tokens).unwrap_or_default()
    }

    fn bytes(&self, _token: &str) -> Option<Vec<u8>> {
        None
    }
}
