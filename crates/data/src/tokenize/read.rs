//! Reads a text piece by piece, hashes it, and drops its tail on request.

use std::io::{BufRead, ErrorKind};

use sha2::{Digest, Sha256};

use super::{Scanner, TextStats, Tokenizer, scanner::is_char_start};
use crate::error::read_error;
use crate::{DataError, Result, hex::hex};

/// How the bytes of a text are processed before tokenization.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// The number of characters to drop from the end; 0 drops none.
    pub(crate) drop_tail_chars: u64,
    /// Whether bytes that are not text are replaced by U+FFFD instead of being an error.
    pub(crate) lossy: bool,
}

/// Like [`Tokenizer::for_each_token`], with the options of `reading`.
///
/// # Errors
/// The errors of [`Tokenizer::for_each_token`], and [`DataError::TailTooLong`] if no text is left.
pub(crate) fn read_tokens(
    tokenizer: &Tokenizer,
    mut reader: impl BufRead,
    origin: &str,
    Reading { drop_tail_chars, lossy }: Reading,
    mut visit: impl FnMut(&str, u64) -> Result<()>,
) -> Result<TextStats> {
    let mut scanner = Scanner::new(tokenizer, origin, lossy);
    let mut tail = Tail { len: drop_tail_chars, chars: 0, bytes: Vec::new() };
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    loop {
        let piece = match reader.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(source) => return Err(read_error(origin, source)),
        };
        bytes += piece.len() as u64;
        hasher.update(piece);
        if drop_tail_chars == 0 {
            scanner.feed(piece, &mut visit)?;
        } else {
            tail.push(piece, |freed| scanner.feed(freed, &mut visit))?;
        }
        let len = piece.len();
        reader.consume(len);
    }
    scanner.finish(&mut visit)?;
    if drop_tail_chars > 0 && scanner.chars() == 0 {
        return Err(DataError::TailTooLong { origin: origin.to_owned(), chars: tail.chars, drop_tail_chars });
    }
    Ok(TextStats {
        bytes,
        sha256: hex(&hasher.finalize()),
        chars: scanner.chars(),
        lines: scanner.lines(),
        tokens: scanner.tokens(),
        replaced: scanner.replaced(),
    })
}

/// Holds back the last characters read so far, since they are dropped if no more follow.
///
/// A byte that is not inside a UTF-8 character counts as one character, so the text does not have to be valid.
struct Tail {
    len: u64,
    chars: u64,
    bytes: Vec<u8>,
}

impl Tail {
    /// Takes `piece` and passes on the bytes that are no longer among the last `len` characters.
    fn push(&mut self, piece: &[u8], hand_out: impl FnOnce(&[u8]) -> Result<()>) -> Result<()> {
        self.bytes.extend_from_slice(piece);
        self.chars += piece.iter().filter(|&&byte| is_char_start(byte)).count() as u64;
        let Some(freed) = self.chars.checked_sub(self.len).filter(|&freed| freed > 0) else {
            return Ok(());
        };
        let mut starts = self.bytes.iter().enumerate().filter(|&(_, &byte)| is_char_start(byte));
        let kept_from = starts.nth(freed as usize).map_or(self.bytes.len(), |(index, _)| index);
        hand_out(&self.bytes[..kept_from])?;
        self.bytes.drain(..kept_from);
        self.chars = self.len;
        Ok(())
    }
}
