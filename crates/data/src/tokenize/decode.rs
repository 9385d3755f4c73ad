//! Decodes bytes to characters: bytes that are not text are an error with their position, or are replaced.
//!
//! ```text
//! "\xEF\xBB\xBFcaf\xE9\n"     strict   an error: invalid byte at offset 6 (line 1)
//!                          lossy    "caf\u{FFFD}\n", 1 replaced; the byte-order mark is skipped
//! ```
//!
//! Promises: the result does not depend on how a text is split into pieces; lossy decoding gives the same result as
//! [`String::from_utf8_lossy`], with U+FFFD for each NUL byte as well.
//! Not here: tokens (`scanner`).

use super::chunks::Position;
use crate::{DataError, Result};

/// Decodes the bytes of a text, which are fed in pieces that can end anywhere, to characters.
#[derive(Debug)]
pub(crate) struct Decoder {
    origin: String,
    lossy: bool,
    /// The number of bytes decoded, up to the first byte of `partial`.
    bytes: u64,
    /// The number of line endings among them.
    line_ends: u64,
    replaced: u64,
    /// The start of a character that continues in the next piece.
    partial: Vec<u8>,
}

impl Decoder {
    /// Creates a decoder that rejects bytes that are not text, or replaces them by U+FFFD if `lossy`.
    pub(crate) fn new(origin: &str, lossy: bool) -> Self {
        Self::at(origin, lossy, Position::default())
    }

    /// The same, for the rest of a text from a place between characters on.
    pub(super) fn at(origin: &str, lossy: bool, start: Position) -> Self {
        let Position { bytes, lines } = start;
        Self { origin: origin.to_owned(), lossy, bytes, line_ends: lines, replaced: 0, partial: Vec::new() }
    }

    /// The name of the text in errors.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The number of invalid sequences and NUL bytes that were replaced.
    pub(crate) fn replaced(&self) -> u64 {
        self.replaced
    }

    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Decodes the next piece and passes on the complete characters.
    pub(crate) fn feed(&mut self, piece: &[u8], take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut rest = piece;
        while !self.partial.is_empty()
            && let Some((&byte, tail)) = rest.split_first()
        {
            self.partial.push(byte);
            rest = tail;
            let candidate = std::mem::take(&mut self.partial);
            self.decode(&candidate, take)?;
        }
        self.decode(rest, take)
    }

    /// Ends the text; an incomplete character at the end is invalid.
    pub(crate) fn finish(&mut self, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        let len = std::mem::take(&mut self.partial).len();
        if len > 0 { self.replace(len, take) } else { Ok(()) }
    }

    /// Decodes `bytes`, except an incomplete character at their end, which is kept for the next piece.
    fn decode(&mut self, bytes: &[u8], take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut rest = bytes;
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => return self.hand_out(text, take),
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            // Valid according to the error, so nothing is ever lost here.
            self.hand_out(std::str::from_utf8(valid).unwrap_or_default(), take)?;
            let Some(len) = error.error_len() else {
                self.partial.extend_from_slice(after);
                return Ok(());
            };
            self.replace(len, take)?;
            rest = &after[len..];
        }
    }

    /// Passes on characters, after handling NUL bytes among them.
    fn hand_out(&mut self, text: &str, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut rest = text;
        while let Some(nul) = rest.find('\0') {
            self.pass(&rest[..nul], take)?;
            if !self.lossy {
                let (line, byte) = (self.line_ends + 1, self.bytes);
                return Err(DataError::Binary { origin: self.origin.clone(), line, byte });
            }
            self.replace(1, take)?;
            rest = &rest[nul + 1..];
        }
        self.pass(rest, take)
    }

    fn pass(&mut self, text: &str, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let at_start = self.bytes == 0;
        self.bytes += text.len() as u64;
        self.line_ends += text.bytes().filter(|&byte| byte == b'\n').count() as u64;
        let text = if at_start { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
        if text.is_empty() { Ok(()) } else { take(text) }
    }

    /// Handles `len` bytes that are not text.
    fn replace(&mut self, len: usize, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        if !self.lossy {
            let (line, byte) = (self.line_ends + 1, self.bytes);
            return Err(DataError::InvalidUtf8 { origin: self.origin.clone(), line, byte });
        }
        self.bytes += len as u64;
        self.replaced += 1;
        take("\u{fffd}")
    }
}
