//! Files of records, JSON Lines or CSV, one field of which is the text.
//!
//! ```text
//! {"id": 1, "text": "a b"}        id,text
//! {"id": 2, "text": "c\nd"}       1,a b           ─▶     a b ⏎ c d ⏎
//!                                 2,"c
//!                                 d"
//! ```
//!
//! Each record is one line of the text: line ends within the field become spaces, and a null is a blank line. Blank
//! lines between records are skipped. A CSV file begins with the names of its columns; its delimiter is the most
//! frequent of tab, comma, semicolon and vertical bar in that line. Double quotes enclose fields, except in files with
//! tabs, where they are part of the text.
//!
//! [`RecordReader`] reads records with all of their fields.
//!
//! Promises: one record is in memory at a time, and its line is complete as soon as the record has been read; a record
//! without the field is an error that names its line. Not here: telling whether a text consists of records (`look`).

use std::io::{self, BufRead, Cursor, Read};

use csv::{ByteRecord, ErrorKind};
use serde_json::{Map, Value};

use crate::{DataError, Result, error::read_error};

mod whole;

pub use whole::{Record, RecordReader};

/// The delimiters of CSV files, the most usual ones first.
const DELIMITERS: [u8; 4] = [b'\t', b',', b';', b'|'];

/// The text of a field of the records in `reader`, one line per record; `origin` is its name in errors.
///
/// # Errors
/// [`DataError::NoField`] if the header of a CSV file does not have the field; [`DataError::JsonArray`] for a JSON array
/// instead of JSON Lines; [`DataError::Read`]. Errors in later records are errors of reading, which contain a
/// [`DataError`].
pub(crate) fn field_lines<'a>(
    mut reader: Box<dyn BufRead + 'a>,
    origin: &str,
    field: &str,
) -> Result<Box<dyn BufRead + 'a>> {
    let (origin, field) = (origin.to_owned(), field.to_owned());
    let (first, line) = first_line(&mut reader, &origin)?;
    let start = first.trim_ascii_start().first().copied();
    if start == Some(b'[') {
        return Err(DataError::JsonArray { origin });
    }
    let records: Box<dyn Records + 'a> = if start == Some(b'{') {
        Box::new(JsonLines {
            reader: Box::new(Cursor::new(first).chain(reader)),
            bytes: Vec::new(),
            line,
            origin,
            field,
        })
    } else {
        Box::new(Csv::new(first, reader, line, origin, field)?)
    };
    Ok(Box::new(FieldLines { records, text: Vec::new(), read: 0 }))
}

/// The first line that is not blank, which tells the format, without a byte-order mark; and its number, from 1.
fn first_line(reader: &mut dyn BufRead, origin: &str) -> Result<(Vec<u8>, u64)> {
    let (mut first, mut line) = (Vec::new(), 1);
    while first.trim_ascii().is_empty() {
        line += first.iter().filter(|&&byte| byte == b'\n').count() as u64;
        first.clear();
        let read = reader.read_until(b'\n', &mut first).map_err(|source| read_error(origin, source))?;
        if read == 0 {
            break;
        }
        if first.starts_with(BYTE_ORDER_MARK) {
            first.drain(..BYTE_ORDER_MARK.len());
        }
    }
    Ok((first, line))
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The fields of a file's records, in order.
trait Records {
    /// Appends the field of the next record to `text`; false at the end.
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool>;
}

/// Reads one line per record.
struct FieldLines<'a> {
    records: Box<dyn Records + 'a>,
    /// The line of the current record.
    text: Vec<u8>,
    /// The number of its bytes that have been read.
    read: usize,
}

impl BufRead for FieldLines<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read == self.text.len() {
            self.text.clear();
            self.read = 0;
            if self.records.next(&mut self.text).map_err(io::Error::other)? {
                end_line(&mut self.text);
            }
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

/// One JSON object per line.
struct JsonLines<'a> {
    reader: Box<dyn BufRead + 'a>,
    bytes: Vec<u8>,
    /// The number of the next line, starting at 1.
    line: u64,
    origin: String,
    field: String,
}

impl Records for JsonLines<'_> {
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let Self { reader, bytes, line, origin, field } = self;
        let Some((line, record)) = next_object(reader, bytes, line, origin)? else { return Ok(false) };
        match record.get(field) {
            Some(Value::String(string)) => text.extend_from_slice(string.as_bytes()),
            Some(Value::Null) => {}
            Some(other) => return Err(no_text(origin, line, field, other)),
            None => return Err(no_field(origin, line, field, record.keys().cloned().collect())),
        }
        Ok(true)
    }
}

/// The next object of JSON Lines and its line, if any; `next_line` is the number of the next line.
fn next_object(
    reader: &mut dyn BufRead,
    bytes: &mut Vec<u8>,
    next_line: &mut u64,
    origin: &str,
) -> Result<Option<(u64, Map<String, Value>)>> {
    loop {
        bytes.clear();
        let read = reader.read_until(b'\n', bytes);
        if read.map_err(|source| read_error(origin, source))? == 0 {
            return Ok(None);
        }
        let line = *next_line;
        *next_line += 1;
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        return match serde_json::from_slice(bytes) {
            Ok(record) => Ok(Some((line, record))),
            Err(source) => Err(DataError::JsonRecord { origin: origin.to_owned(), line, source }),
        };
    }
}

fn no_field(origin: &str, line: u64, field: &str, known: Vec<String>) -> DataError {
    DataError::NoField { origin: origin.to_owned(), line, field: field.to_owned(), known }
}

fn no_text(origin: &str, line: u64, field: &str, value: &Value) -> DataError {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "a Boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    DataError::FieldIsNoText { origin: origin.to_owned(), line, field: field.to_owned(), found }
}

/// A table with a header.
struct Csv<'a> {
    reader: csv::Reader<Box<dyn Read + 'a>>,
    record: ByteRecord,
    /// The index of the field.
    column: usize,
    /// The number of lines before the header.
    lines_before: u64,
    origin: String,
}

impl<'a> Csv<'a> {
    /// Reads the header, of which `first` is the first line.
    fn new(
        first: Vec<u8>,
        reader: Box<dyn BufRead + 'a>,
        line: u64,
        origin: String,
        field: String,
    ) -> Result<Self> {
        let delimiter = delimiter(&first);
        let all: Box<dyn Read + 'a> = Box::new(Cursor::new(first).chain(reader));
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).quoting(delimiter != b'\t').from_reader(all);
        let lines_before = line - 1;
        let header = match reader.byte_headers() {
            Ok(header) => header,
            Err(error) => return Err(csv_error(error, origin, lines_before)),
        };
        match header.iter().position(|name| name == field.as_bytes()) {
            Some(column) => Ok(Self { reader, record: ByteRecord::new(), column, lines_before, origin }),
            None => {
                let known = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
                Err(DataError::NoField { origin, line, field, known })
            }
        }
    }
}

impl Records for Csv<'_> {
    fn next(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let read = self.reader.read_byte_record(&mut self.record);
        let is_one = read.map_err(|error| csv_error(error, self.origin.clone(), self.lines_before))?;
        // Every record has as many fields as the header.
        text.extend_from_slice(self.record.get(self.column).unwrap_or_default());
        Ok(is_one)
    }
}

/// The most frequent delimiter in the header, outside of quotes; a comma if there is none.
fn delimiter(header: &[u8]) -> u8 {
    let mut counts = [0; DELIMITERS.len()];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some(index) = DELIMITERS.iter().position(|delimiter| delimiter == byte).filter(|_| !quoted) {
            counts[index] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let index = counts.iter().position(|&count| count == most).filter(|_| most > 0);
    index.map_or(b',', |index| DELIMITERS[index])
}

fn csv_error(error: csv::Error, origin: String, lines_before: u64) -> DataError {
    let unreadable = |source: io::Error| read_error(&origin, source);
    match error.into_kind() {
        ErrorKind::Io(source) => unreadable(source),
        ErrorKind::UnequalLengths { pos, expected_len, len } => DataError::RecordLen {
            line: lines_before + pos.map_or(0, |position| position.line()),
            origin,
            found: len,
            expected: expected_len,
        },
        other => unreadable(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}"))),
    }
}

#[cfg(test)]
mod tests;
