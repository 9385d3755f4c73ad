//! Reads a text piece by piece with one thread.

use std::io::BufRead;

use super::chunks::{CHUNK_BYTES, Chunks, Reading};
use super::{Scanner, TextStats, Tokenizer};
use crate::{DataError, Result};

/// Like [`Tokenizer::for_each_token`], with the options of `reading`.
///
/// # Errors
/// The errors of [`Tokenizer::for_each_token`], and [`DataError::TailTooLong`] if no text is left.
pub(crate) fn read_tokens(
    tokenizer: &Tokenizer,
    reader: impl BufRead,
    origin: &str,
    Reading { drop_tail_chars, lossy }: Reading,
    mut visit: impl FnMut(&str, u64) -> Result<()>,
) -> Result<TextStats> {
    let mut scanner = Scanner::new(tokenizer, origin, lossy);
    let mut chunks = Chunks::new(reader, origin, tokenizer.border(), drop_tail_chars, CHUNK_BYTES);
    let mut end = None;
    while let Some(chunk) = chunks.next_piece()? {
        if !chunk.bytes.is_empty() {
            scanner.feed(&chunk.bytes, &mut visit)?;
        }
        end = chunk.end;
    }
    scanner.finish(&mut visit)?;
    let (bytes, sha256, held_chars) =
        end.map_or_else(Default::default, |end| (end.bytes, end.sha256, end.held_chars));
    if drop_tail_chars > 0 && scanner.chars() == 0 {
        return Err(DataError::TailTooLong { origin: origin.to_owned(), chars: held_chars, drop_tail_chars });
    }
    Ok(TextStats {
        bytes,
        sha256,
        chars: scanner.chars(),
        lines: scanner.lines(),
        tokens: scanner.tokens(),
        replaced: scanner.replaced(),
    })
}
