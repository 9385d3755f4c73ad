//! Checks that quotes enclose fields: a reader of CSV that forgives everything would swallow the lines after a quote that
//! is never closed.

use std::io::{self, Read};

use crate::DataError;

/// Passes on the bytes of a CSV file, and fails at quotes that do not enclose a field.
pub(super) struct CheckedQuotes<R> {
    reader: R,
    origin: String,
    /// The current line, and that of the last opening quote.
    line: u64,
    opened: u64,
    /// `None` if quotes are part of the text.
    delimiter: Option<u8>,
    place: Place,
}

/// Where the next byte is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote within quotes: the first of two, or the closing one.
    AfterQuote,
}

impl<R: Read> CheckedQuotes<R> {
    pub(super) fn new(reader: R, origin: &str, line: u64, delimiter: Option<u8>) -> Self {
        Self { reader, origin: origin.to_owned(), line, opened: line, delimiter, place: Place::FieldStart }
    }

    fn error(&self, line: u64, is_closed: bool) -> io::Error {
        io::Error::other(DataError::Quotes { origin: self.origin.clone(), line, is_closed })
    }

    fn check(&mut self, bytes: &[u8], delimiter: u8) -> io::Result<()> {
        for &byte in bytes {
            let ends_field = byte == delimiter || matches!(byte, b'\n' | b'\r');
            self.place = match (self.place, byte) {
                (Place::FieldStart, b'"') => {
                    self.opened = self.line;
                    Place::Quoted
                }
                (Place::AfterQuote, b'"') => Place::Quoted,
                (Place::Quoted, b'"') => Place::AfterQuote,
                (Place::Quoted, _) => Place::Quoted,
                _ if ends_field => Place::FieldStart,
                (Place::AfterQuote, _) => return Err(self.error(self.line, true)),
                _ => Place::Unquoted,
            };
            self.line += u64::from(byte == b'\n');
        }
        Ok(())
    }
}

impl<R: Read> Read for CheckedQuotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        let Some(delimiter) = self.delimiter else { return Ok(read) };
        if read == 0 && !buffer.is_empty() && self.place == Place::Quoted {
            return Err(self.error(self.opened, false));
        }
        self.check(&buffer[..read], delimiter)?;
        Ok(read)
    }
}
