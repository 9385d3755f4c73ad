//! Scores a text line by line as it is read.

use std::vec::IntoIter;

use rondo_data::EncodedLine;

use super::{Scorer, SentenceScore};
use crate::{InferError, Result};

/// A line and its score.
#[derive(Clone, Debug)]
pub struct ScoredLine {
    /// The line.
    pub line: EncodedLine,
    /// The model's score; a line without tokens has probability 1.
    pub score: SentenceScore,
}

/// The lines of a text with their scores: see [`Scorer::lines`].
#[derive(Debug)]
pub struct ScoredLines<'s, I> {
    scorer: &'s mut Scorer,
    lines: I,
    ready: IntoIter<ScoredLine>,
    error: Option<InferError>,
    done: bool,
}

impl Scorer {
    /// Scores lines lazily, reading [`Scoring::lookahead_tokens`](super::Scoring) ahead.
    ///
    /// Yields an item for each line, in order; an error comes after the lines before it and is the last item.
    pub fn lines<I>(&mut self, lines: I) -> ScoredLines<'_, I::IntoIter>
    where
        I: IntoIterator<Item = rondo_data::Result<EncodedLine>>,
    {
        let lines = lines.into_iter();
        ScoredLines { scorer: self, lines, ready: Vec::new().into_iter(), error: None, done: false }
    }
}

impl<I: Iterator<Item = rondo_data::Result<EncodedLine>>> ScoredLines<'_, I> {
    /// Reads ahead and scores the lines read.
    fn refill(&mut self) -> Result<()> {
        let mut lines = Vec::new();
        let mut tokens = 0;
        while tokens < self.scorer.scoring.lookahead_tokens {
            match self.lines.next() {
                Some(Ok(line)) => {
                    tokens += line.ids.len().max(1);
                    lines.push(line);
                }
                end => {
                    self.error = end.and_then(std::result::Result::err).map(InferError::from);
                    self.done = true;
                    break;
                }
            }
        }
        let ids: Vec<&[u32]> = lines.iter().map(|line| line.ids.as_slice()).collect();
        let scores = self.scorer.score(&ids)?;
        let scored: Vec<_> =
            lines.into_iter().zip(scores).map(|(line, score)| ScoredLine { line, score }).collect();
        self.ready = scored.into_iter();
        Ok(())
    }
}

impl<I: Iterator<Item = rondo_data::Result<EncodedLine>>> Iterator for ScoredLines<'_, I> {
    type Item = Result<ScoredLine>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.ready.next() {
                return Some(Ok(line));
            }
            if self.done {
                return self.error.take().map(Err);
            }
            if let Err(error) = self.refill() {
                self.done = true;
                return Some(Err(error));
            }
        }
    }
}
