//! Text that is not tokenized: the lines of a list, or a whole file.
//!
//! Promises: a byte-order mark at the start is skipped; bytes that are not text are an error that gives their
//! position, or are replaced by U+FFFD on request, as in tokenization. Not here: tokens (`tokenize`).

use std::io::{BufRead, ErrorKind};

use crate::error::read_error;
use crate::{Result, tokenize::Decoder};

/// The lines of a text without their line endings (`\n` or `\r\n`). One line is in memory at a time.
///
/// ```
/// use rondo_data::TextLines;
///
/// let lines: Vec<_> = TextLines::new("a\r\n\nb".as_bytes(), "example", false).collect::<Result<_, _>>()?;
/// assert_eq!(lines, ["a", "", "b"]);
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug)]
pub struct TextLines<R> {
    reader: R,
    decoder: Decoder,
    bytes: Vec<u8>,
    done: bool,
}

impl<R: BufRead> TextLines<R> {
    /// Reads the lines of `reader`; `origin` is its name in errors. Invalid UTF-8 is an error, or replaced if
    /// `lossy`.
    pub fn new(reader: R, origin: &str, lossy: bool) -> Self {
        Self { reader, decoder: Decoder::new(origin, lossy), bytes: Vec::new(), done: false }
    }

    fn next_line(&mut self) -> Result<Option<String>> {
        self.bytes.clear();
        let read = self.reader.read_until(b'\n', &mut self.bytes);
        read.map_err(|source| read_error(self.decoder.origin(), source))?;
        if self.bytes.is_empty() {
            return Ok(None);
        }
        let mut line = String::with_capacity(self.bytes.len());
        let mut take = |text: &str| {
            line.push_str(text);
            Ok(())
        };
        self.decoder.feed(&self.bytes, &mut take)?;
        if self.bytes.last() != Some(&b'\n') {
            self.done = true;
            self.decoder.finish(&mut take)?;
        }
        if line.ends_with('\n') {
            line.pop();
            if line.ends_with('\r') {
                line.pop();
            }
        }
        Ok(Some(line))
    }
}

impl<R: BufRead> Iterator for TextLines<R> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let line = self.next_line();
        self.done |= !matches!(line, Ok(Some(_)));
        line.transpose()
    }
}

/// Reads a whole text, line endings unchanged; `origin` is its name in errors.
///
/// # Errors
/// [`DataError::Read`](crate::DataError::Read); unless `lossy`,
/// [`DataError::InvalidUtf8`](crate::DataError::InvalidUtf8) and [`DataError::Binary`](crate::DataError::Binary) for
/// bytes that are not text.
pub fn read_text(mut reader: impl BufRead, origin: &str, lossy: bool) -> Result<String> {
    let mut decoder = Decoder::new(origin, lossy);
    let mut all = String::new();
    let mut take = |text: &str| {
        all.push_str(text);
        Ok(())
    };
    loop {
        let piece = match reader.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(source) => return Err(read_error(origin, source)),
        };
        decoder.feed(piece, &mut take)?;
        let len = piece.len();
        reader.consume(len);
    }
    decoder.finish(&mut take)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn lines(bytes: &[u8], lossy: bool) -> std::result::Result<Vec<String>, String> {
        TextLines::new(BufReader::with_capacity(3, bytes), "list", lossy)
            .collect::<Result<_>>()
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_byte_order_mark_and_carriage_returns_are_no_part_of_lines() {
        assert_eq!(
            lines(b"\xEF\xBB\xBFa\r\nb\rc\n\n\xEF\xBB\xBF", false).unwrap(),
            ["a", "b\rc", "", "\u{feff}"]
        );
        assert_eq!(lines(b"", false).unwrap(), [""; 0]);
        assert_eq!(lines(b"\xEF\xBB\xBF", false).unwrap(), [""]);
        assert_eq!(lines(b"a\n", false).unwrap(), ["a"]);
    }

    #[test]
    fn what_is_no_text_has_its_place_or_is_replaced() {
        let text = b"a\ncaf\xE9\nb\0\n";
        let error = "`list` is not UTF-8 text: invalid byte at offset 5 (line 2)";
        assert_eq!(lines(text, false).unwrap_err(), error);
        assert_eq!(read_text(text.as_slice(), "list", false).unwrap_err().to_string(), error);
        assert_eq!(
            lines(b"a\nb\0\n", false).unwrap_err(),
            "`list` looks like a binary file: NUL byte at offset 3 (line 2)"
        );
        assert_eq!(lines(text, true).unwrap(), ["a", "caf\u{fffd}", "b\u{fffd}"]);
        assert_eq!(read_text(text.as_slice(), "list", true).unwrap(), "a\ncaf\u{fffd}\nb\u{fffd}\n");
    }

    proptest! {
        #[test]
        fn lines_are_those_of_the_whole(
            bytes in prop::collection::vec(prop::sample::select(b"ab\r\n\0\xC3\xA9\xE2\x82\xFF".to_vec()), 0..30),
            lossy: bool,
        ) {
            let whole = read_text(BufReader::with_capacity(1, &*bytes), "list", lossy);
            let expected = whole.map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
            prop_assert_eq!(lines(&bytes, lossy), expected.map_err(|error| error.to_string()));
        }
    }
}
