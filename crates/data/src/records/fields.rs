//! A field of a file's records as a text, one line per record.

use std::io::{self, BufRead, Read};

use super::{Field, Quoting, Records};
use crate::Result;

/// The text of a field of the records in `reader`, one line per record; `origin` is its name in errors. Double quotes are
/// part of the text in files with tabs.
///
/// # Errors
/// The errors of [`Records::open`] and [`Records::require`]. Errors in later records are errors of reading, which contain a
/// [`DataError`](crate::DataError).
pub(crate) fn field_lines<'a>(
    reader: Box<dyn BufRead + 'a>,
    origin: &str,
    field: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    let records = Records::open(reader, origin, Quoting::NotWithTabs)?;
    records.require(field)?;
    let (origin, field) = (origin.to_owned(), field.to_owned());
    Ok(Box::new(FieldLines { records, origin, field, text: Vec::new(), read: 0 }))
}

/// Reads one line per record.
struct FieldLines<'a> {
    records: Records<'a>,
    origin: String,
    field: String,
    /// The line of the current record.
    text: Vec<u8>,
    /// The number of its bytes that have been read.
    read: usize,
}

impl FieldLines<'_> {
    /// Replaces the line by that of the next record; by nothing at the end.
    fn next(&mut self) -> Result<()> {
        self.read = 0;
        self.text.clear();
        if let Some(mut record) = self.records.next()? {
            record.text(&self.field, &self.origin)?;
            let found = record.fields.iter_mut().find(|(name, _)| **name == *self.field);
            if let Some((_, Field::Text(text))) = found {
                self.text = std::mem::take(text);
            }
            end_line(&mut self.text);
        }
        Ok(())
    }
}

impl BufRead for FieldLines<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.text.len() {
            self.next().map_err(io::Error::other)?;
        }
        Ok(&self.text[self.read..])
    }

    fn consume(&mut self, bytes: usize) {
        self.read += bytes;
    }
}

impl Read for FieldLines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// Replaces the line ends in the text by spaces, and ends its line.
fn end_line(text: &mut Vec<u8>) {
    let mut after_carriage_return = false;
    text.retain_mut(|byte| {
        let is_rest = after_carriage_return && *byte == b'\n';
        after_carriage_return = *byte == b'\r';
        if matches!(*byte, b'\r' | b'\n') {
            *byte = b' ';
        }
        !is_rest
    });
    text.push(b'\n');
}
