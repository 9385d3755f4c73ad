//! The state between two pieces of a text: an incomplete character, what can still be composed, the current line, the
//! cutter's buffer.

use super::Tokenizer;
use super::chunks::Position;
use super::decode::Decoder;
use super::kind::{Counts, Cutter, Output, TextCutter, Visit};
use super::normalize::Normalizer;
use crate::Result;

/// Tokenizes a text that is fed in pieces, which can end anywhere.
#[derive(Debug)]
pub(crate) struct Scanner {
    decoder: Decoder,
    normalizer: Normalizer,
    cutter: Cutter,
    counts: Counts,
    /// Whether the current line contains any text.
    line_open: bool,
}

impl Scanner {
    /// Creates a scanner that rejects bytes that are not text, or replaces them by U+FFFD if `lossy`.
    pub(crate) fn new(tokenizer: &Tokenizer, origin: &str, lossy: bool) -> Self {
        Self::at(tokenizer, origin, lossy, Position::default())
    }

    /// The same, for the rest of a text from a border on; see [`Chunks`](super::chunks::Chunks).
    pub(crate) fn at(tokenizer: &Tokenizer, origin: &str, lossy: bool, start: Position) -> Self {
        let decoder = Decoder::at(origin, lossy, start);
        let normalizer = Normalizer::new(tokenizer.normalization());
        let counts = Counts { lines: start.lines, ..Counts::default() };
        Self { decoder, normalizer, cutter: tokenizer.cutter(), counts, line_open: false }
    }

    /// The line of the next byte, starting at 1.
    pub(crate) fn line(&self) -> u64 {
        self.counts.line()
    }

    pub(crate) fn chars(&self) -> u64 {
        self.counts.chars
    }

    /// The number of complete lines; after [`finish`](Self::finish), the number of all lines.
    pub(crate) fn lines(&self) -> u64 {
        self.counts.lines
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.counts.tokens
    }

    /// The number of invalid sequences and NUL bytes that were replaced by U+FFFD.
    pub(crate) fn replaced(&self) -> u64 {
        self.decoder.replaced()
    }

    /// The number of buffered bytes.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let held = match &self.cutter {
            Cutter::Text(cutter) => cutter.held_bytes(),
            Cutter::Bytes(_) => 0,
        };
        self.decoder.held_bytes() + self.normalizer.held_bytes() + held
    }

    /// Takes the next piece and visits the complete tokens.
    pub(crate) fn feed(&mut self, piece: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        let Self { decoder, normalizer, cutter, counts, line_open } = self;
        match cutter {
            Cutter::Text(cutter) => {
                let mut take = |text: &str| feed_text(&mut **cutter, text, counts, line_open, visit);
                decoder.feed(piece, &mut |text| normalizer.feed(text, &mut take))
            }
            Cutter::Bytes(cut) => {
                counts.chars += piece.iter().filter(|&&byte| is_char_start(byte)).count() as u64;
                *line_open = piece.last().map_or(*line_open, |&byte| byte != b'\n');
                cut(piece, &mut Output::new(visit, counts))
            }
        }
    }

    /// Visits the characters that normalization holds back because the next piece could be composed with them.
    pub(crate) fn flush(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        let Self { normalizer, cutter, counts, line_open, .. } = self;
        let Cutter::Text(cutter) = cutter else { return Ok(()) };
        normalizer.finish(&mut |text| feed_text(&mut **cutter, text, counts, line_open, visit))
    }

    /// Ends the text: visits a last word and, for a last line without line ending, the end-of-line token.
    pub(crate) fn finish(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        self.end(true, visit)?;
        self.counts.lines += u64::from(self.line_open);
        self.line_open = false;
        Ok(())
    }

    /// Ends the text, but not its last line or the last sentence in it: visits a last word, with no end-of-line token
    /// after it.
    pub(crate) fn finish_open(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        self.end(false, visit)
    }

    fn end(&mut self, close: bool, visit: &mut Visit<'_>) -> Result<()> {
        let Self { decoder, normalizer, cutter, counts, line_open } = self;
        let Cutter::Text(cutter) = cutter else { return Ok(()) };
        let mut take = |text: &str| feed_text(&mut **cutter, text, counts, line_open, visit);
        decoder.finish(&mut |text| normalizer.feed(text, &mut take))?;
        normalizer.finish(&mut take)?;
        cutter.finish(*line_open, close, &mut Output::new(visit, counts))
    }
}

/// Takes at least one character.
fn feed_text(
    cutter: &mut dyn TextCutter,
    text: &str,
    counts: &mut Counts,
    line_open: &mut bool,
    visit: &mut Visit<'_>,
) -> Result<()> {
    counts.chars += text.chars().count() as u64;
    *line_open = !text.ends_with('\n');
    cutter.feed(text, &mut Output::new(visit, counts))
}

/// Whether `byte` is the first byte of a UTF-8 character (not inside one).
pub(super) fn is_char_start(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}
