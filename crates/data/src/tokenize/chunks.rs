//! Cuts a text into chunks that can be tokenized independently, where it has the line ends for it.
//!
//! ```text
//! bytes ─▶ hash ─▶ without the tail ─▶ ┃ some lines ┃ some lines ┃ a long li ┆ ne, some lines ┃
//!                                                                           └ continues the chunk before it
//! ```
//!
//! A border is a place where no tokenizer keeps anything: after a line end, for sentences of running text after a blank
//! line. A chunk that does not begin at a border continues with the state in which the chunk before it ends.
//!
//! Promises: the chunks of a text are the text, and none is longer than the requested size.
//! Not here: tokenizing them ([`super::pool`]).

use std::io::{BufRead, ErrorKind};

use super::scanner::is_char_start;
use crate::error::read_error;
use crate::{DataError, Result, hash::Sha256};

/// The usual size of a chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// How the bytes of a text are processed before tokenization.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// The number of characters to drop from the end; 0 drops none.
    pub(crate) drop_tail_chars: u64,
    /// Whether bytes that are not text are replaced by U+FFFD instead of being an error.
    pub(crate) lossy: bool,
}

/// Where a text can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// After each line.
    Line,
    /// After each blank line.
    BlankLine,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Position {
    /// The number of bytes before it.
    pub(crate) bytes: u64,
    /// The number of line ends before it.
    pub(crate) lines: u64,
}

/// A part of a text.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    pub(crate) start: Position,
    /// Whether it begins at a border or at the start of the text.
    pub(crate) is_independent: bool,
    /// Where the next chunk begins, if that is at a border.
    pub(crate) border: Option<Position>,
    /// The whole text, if this is its last chunk, which can be empty.
    pub(crate) end: Option<TextEnd>,
}

/// What is known about a text after all of it was read.
#[derive(Debug)]
pub(crate) struct TextEnd {
    /// The size in bytes, with the dropped characters.
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// The number of characters in it, if some are to be dropped; it can be less than the number to drop.
    pub(crate) held_chars: u64,
}

/// Reads a text in chunks.
pub(crate) struct Chunks<R> {
    reader: R,
    origin: String,
    border: Border,
    /// The usual size of a chunk.
    size: usize,
    tail: Tail,
    hasher: Sha256,
    /// The number of bytes read.
    bytes: u64,
    /// What was read and is in no chunk yet.
    pending: Vec<u8>,
    /// Where `pending` begins.
    at: Position,
    is_independent: bool,
    is_over: bool,
    failure: Option<DataError>,
}

impl<R: BufRead> Chunks<R> {
    /// Reads a text from its start; `origin` is its name in errors.
    pub(crate) fn new(reader: R, origin: &str, border: Border, drop_tail_chars: u64, size: usize) -> Self {
        Self {
            reader,
            origin: origin.to_owned(),
            border,
            size,
            tail: Tail { len: drop_tail_chars, chars: 0, bytes: Vec::new() },
            hasher: Sha256::default(),
            bytes: 0,
            pending: Vec::with_capacity(size),
            at: Position::default(),
            is_independent: true,
            is_over: false,
            failure: None,
        }
    }

    /// Skips the text before a border at which a chunk of it ended; false if the text is shorter.
    pub(crate) fn skip_to(&mut self, position: Position) -> Result<bool> {
        while self.at.bytes < position.bytes {
            if self.pending.is_empty() && !self.read()? {
                return Ok(false);
            }
            let skipped = self.pending.len().min((position.bytes - self.at.bytes) as usize);
            self.pending.drain(..skipped);
            self.at.bytes += skipped as u64;
        }
        self.at = position;
        Ok(true)
    }

    /// The next chunk; `None` after the last one.
    ///
    /// # Errors
    /// [`DataError::Read`], after a chunk of everything before it.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        if let Some(failure) = self.failure.take() {
            self.is_over = true;
            return Err(failure);
        }
        if self.is_over {
            return Ok(None);
        }
        while self.pending.len() < self.size {
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Ok(Some(self.last())),
                Err(failure) if self.pending.is_empty() => {
                    self.is_over = true;
                    return Err(failure);
                }
                Err(failure) => {
                    self.failure = Some(failure);
                    let len = self.pending.len();
                    return Ok(Some(self.cut(len, false)));
                }
            }
        }
        let border = last_border(&self.pending[..self.size], self.border, self.is_independent);
        Ok(Some(match border {
            Some(len) => self.cut(len, true),
            None => self.cut(self.size, false),
        }))
    }

    /// The next piece of text as it is read, which can end anywhere; `None` after the last one.
    ///
    /// # Errors
    /// [`DataError::Read`].
    pub(crate) fn next_piece(&mut self) -> Result<Option<Chunk>> {
        if self.is_over {
            return Ok(None);
        }
        Ok(Some(if self.read()? { self.cut(self.pending.len(), false) } else { self.last() }))
    }

    /// Reads a piece; false at the end of the text.
    fn read(&mut self) -> Result<bool> {
        let piece = loop {
            match self.reader.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(piece) => break piece,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(read_error(&self.origin, source)),
            }
        };
        // A text in memory is one piece of any size.
        let len = piece.len().min(self.size);
        let piece = &piece[..len];
        self.bytes += len as u64;
        self.hasher.update(piece);
        if self.tail.len == 0 {
            self.pending.extend_from_slice(piece);
        } else {
            self.tail.push(piece, &mut self.pending);
        }
        self.reader.consume(len);
        Ok(true)
    }

    /// Cuts off the first `len` bytes as a chunk.
    fn cut(&mut self, len: usize, at_border: bool) -> Chunk {
        let mut rest = Vec::with_capacity(self.size.max(self.pending.len() - len));
        rest.extend_from_slice(&self.pending[len..]);
        self.pending.truncate(len);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let next = Position { bytes: self.at.bytes + len as u64, lines: self.at.lines + lines };
        let start = std::mem::replace(&mut self.at, next);
        let is_independent = std::mem::replace(&mut self.is_independent, at_border);
        Chunk { bytes, start, is_independent, border: at_border.then_some(next), end: None }
    }

    fn last(&mut self) -> Chunk {
        self.is_over = true;
        let (bytes, sha256) = (self.bytes, std::mem::take(&mut self.hasher).finish());
        let end = Some(TextEnd { bytes, sha256, held_chars: self.tail.chars });
        Chunk { end, ..self.cut(self.pending.len(), false) }
    }
}

/// The end of the last line or blank line in `bytes`, if there is one. `at_line_start` says whether they begin a line.
fn last_border(bytes: &[u8], border: Border, at_line_start: bool) -> Option<usize> {
    let mut end = bytes.iter().rposition(|&byte| byte == b'\n')? + 1;
    if border == Border::Line {
        return Some(end);
    }
    // Only blank lines of ASCII count: those with other whitespace are also ends of paragraphs, but rare.
    loop {
        let start = bytes[..end - 1].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
        let is_blank = bytes[start..end].iter().all(u8::is_ascii_whitespace);
        if is_blank && (start > 0 || at_line_start) {
            return Some(end);
        }
        if start == 0 {
            return None;
        }
        end = start;
    }
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
    fn push(&mut self, piece: &[u8], freed_bytes: &mut Vec<u8>) {
        self.bytes.extend_from_slice(piece);
        self.chars += piece.iter().filter(|&&byte| is_char_start(byte)).count() as u64;
        let Some(freed) = self.chars.checked_sub(self.len).filter(|&freed| freed > 0) else {
            return;
        };
        let mut starts = self.bytes.iter().enumerate().filter(|&(_, &byte)| is_char_start(byte));
        let kept_from = starts.nth(freed as usize).map_or(self.bytes.len(), |(index, _)| index);
        freed_bytes.extend(self.bytes.drain(..kept_from));
        self.chars = self.len;
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn chunks(text: &[u8], border: Border, size: usize) -> Vec<Chunk> {
        let mut chunks = Chunks::new(BufReader::with_capacity(3, text), "test", border, 0, size);
        std::iter::from_fn(|| chunks.next_chunk().unwrap()).collect()
    }

    #[test]
    fn blank_lines_are_borders_of_running_text() {
        let found = |text: &[u8], at_start| last_border(text, Border::BlankLine, at_start);
        assert_eq!(found(b"a\n\nb\nc", true), Some(3));
        assert_eq!(found(b"a\n \t\r\nb\n", true), Some(6));
        assert_eq!((found(b"\na", true), found(b"\na", false)), (Some(1), None));
        assert_eq!((found(b"a\nb\n", true), found(b"", true)), (None, None));
        assert_eq!(last_border(b"a\nb", Border::Line, false), Some(2));
    }

    proptest! {
        #[test]
        fn chunks_are_the_text_and_know_their_place(
            text in prop::collection::vec(prop::sample::select(b"ab \n".to_vec()), 0..60), size in 1usize..9,
            blank: bool,
        ) {
            let border = if blank { Border::BlankLine } else { Border::Line };
            let found = chunks(&text, border, size);
            let mut read = vec![];
            for (index, chunk) in found.iter().enumerate() {
                let lines = read.iter().filter(|&&byte| byte == b'\n').count() as u64;
                prop_assert_eq!(chunk.start, Position { bytes: read.len() as u64, lines });
                prop_assert!(chunk.bytes.len() <= size);
                prop_assert_eq!(chunk.end.is_some(), index + 1 == found.len());
                prop_assert_eq!(chunk.is_independent, index == 0 || found[index - 1].border.is_some());
                if let Some(place) = chunk.border {
                    // Another reader that skips what is before it continues with the same chunks.
                    let mut rest = Chunks::new(&*text, "test", border, 0, size);
                    prop_assert!(rest.skip_to(place).unwrap());
                    prop_assert_eq!(&rest.next_chunk().unwrap().unwrap().start, &found[index + 1].start);
                }
                read.extend_from_slice(&chunk.bytes);
            }
            prop_assert_eq!(read, text);
        }
    }
}
