//! Bytes become characters: what is no text is refused with its place, or replaced.
//!
//! ```text
//! "\xEF\xBB\xBFcaf\xE9\n"     strict   an error: invalid byte at offset 6 (line 1)
//!                          lossy    "caf\u{FFFD}\n", 1 replaced; the byte-order mark is no character
//! ```
//!
//! Promises: where a text is cut into pieces makes no difference; what lossy reading gives is what
//! [`String::from_utf8_lossy`] gives, with U+FFFD for each NUL byte too.
//! Not here: tokens (`scanner`).

use crate::{DataError, Result};

/// Turns the bytes of a text, fed in pieces that may end anywhere, into characters.
#[derive(Debug)]
pub(crate) struct Decoder {
    origin: String,
    lossy: bool,
    /// Bytes taken in, up to the first one of `partial`.
    bytes: u64,
    /// Line ends among them.
    line_ends: u64,
    replaced: u64,
    /// The start of a character whose rest is in the next piece.
    partial: Vec<u8>,
}

impl Decoder {
    /// A decoder that refuses what is no text, or replaces it by U+FFFD if `lossy`.
    pub(crate) fn new(origin: &str, lossy: bool) -> Self {
        Self { origin: origin.to_owned(), lossy, bytes: 0, line_ends: 0, replaced: 0, partial: Vec::new() }
    }

    /// What errors call the text.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// Invalid sequences and NUL bytes that were replaced.
    pub(crate) fn replaced(&self) -> u64 {
        self.replaced
    }

    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.partial.capacity()
    }

    /// Takes the next piece and hands out the characters that are complete.
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

    /// Ends the text: a character that has begun will get no end.
    pub(crate) fn finish(&mut self, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        let len = std::mem::take(&mut self.partial).len();
        if len > 0 { self.replace(len, take) } else { Ok(()) }
    }

    /// Takes `bytes` but for an incomplete character at their end, which is kept for the next piece.
    fn decode(&mut self, bytes: &[u8], take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        let mut rest = bytes;
        loop {
            let error = match std::str::from_utf8(rest) {
                Ok(text) => return self.hand_out(text, take),
                Err(error) => error,
            };
            let (valid, after) = rest.split_at(error.valid_up_to());
            // Valid by what the error says, so nothing is ever left out here.
            self.hand_out(std::str::from_utf8(valid).unwrap_or_default(), take)?;
            let Some(len) = error.error_len() else {
                self.partial.extend_from_slice(after);
                return Ok(());
            };
            self.replace(len, take)?;
            rest = &after[len..];
        }
    }

    /// Hands out characters, among which there may be NUL bytes still.
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

    /// Takes `len` bytes that are no character.
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
