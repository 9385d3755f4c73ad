//! Tables: CSV and its relatives.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::Arc;

use csv::{ByteRecord, ErrorKind};

use super::quotes::CheckedQuotes;
use super::{Field, Quoting, Record};
use crate::{DataError, Result, error::read_error};

/// The delimiters of CSV files, the most usual ones first.
const DELIMITERS: [u8; 4] = [b'\t', b',', b';', b'|'];

/// A table with a header.
pub(super) struct Table<'a> {
    reader: csv::Reader<CheckedQuotes<Box<dyn Read + 'a>>>,
    record: ByteRecord,
    columns: Vec<Arc<str>>,
    /// A first row that turned out not to be names.
    first: Option<Vec<Arc<str>>>,
    /// The number of lines before the header.
    lines_before: u64,
}

impl<'a> Table<'a> {
    /// Reads the header, of which `first` is the first line.
    pub(super) fn new(
        first: Vec<u8>,
        reader: Box<dyn BufRead + 'a>,
        line: u64,
        origin: &str,
        quoting: Quoting,
    ) -> Result<Self> {
        let delimiter = delimiter(&first);
        let quoted = match quoting {
            Quoting::Rfc4180 => true,
            Quoting::NotWithTabs => delimiter != b'\t',
            Quoting::None => false,
        };
        let all: Box<dyn Read + 'a> = Box::new(Cursor::new(first).chain(reader));
        let checked = CheckedQuotes::new(all, origin, line, quoted.then_some(delimiter));
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).quoting(quoted).from_reader(checked);
        let lines_before = line - 1;
        let header = reader.byte_headers().map_err(|error| csv_error(error, origin, lines_before))?;
        let columns = header.iter().map(|name| String::from_utf8_lossy(name).into()).collect();
        Ok(Self { reader, record: ByteRecord::new(), columns, first: None, lines_before })
    }

    /// The names of the columns.
    pub(super) fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// The line of the header.
    pub(super) fn header_line(&self) -> u64 {
        self.lines_before + 1
    }

    /// Names the columns, whose first row is a record, too.
    pub(super) fn rename_columns(&mut self, names: &[&str]) {
        let names = names.iter().map(|&name| name.into()).collect();
        self.first = Some(std::mem::replace(&mut self.columns, names));
    }

    /// The next record; `None` at the end.
    pub(super) fn next(&mut self, origin: &str) -> Result<Option<Record>> {
        if let Some(first) = self.first.take() {
            let fields = self.columns.iter().zip(first);
            let fields =
                fields.map(|(name, field)| (Arc::clone(name), Field::Text(field.as_bytes().to_vec())));
            return Ok(Some(Record { line: self.lines_before + 1, fields: fields.collect() }));
        }
        let read = self.reader.read_byte_record(&mut self.record);
        if !read.map_err(|error| csv_error(error, origin, self.lines_before))? {
            return Ok(None);
        }
        let line = self.lines_before + self.record.position().map_or(0, csv::Position::line);
        // Every record has as many fields as the header.
        let fields = self.columns.iter().zip(&self.record);
        let fields = fields.map(|(name, field)| (Arc::clone(name), Field::Text(field.to_vec()))).collect();
        Ok(Some(Record { line, fields }))
    }
}

/// The delimiter of a header, outside of quotes: a tab if there is one, else the most frequent; a comma if there is none.
fn delimiter(header: &[u8]) -> u8 {
    let mut counts = [0; DELIMITERS.len()];
    let mut quoted = false;
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some(index) = DELIMITERS.iter().position(|delimiter| delimiter == byte).filter(|_| !quoted) {
            counts[index] += 1;
        }
    }
    if counts[0] > 0 {
        return DELIMITERS[0];
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let index = counts.iter().position(|&count| count == most).filter(|_| most > 0);
    index.map_or(b',', |index| DELIMITERS[index])
}

fn csv_error(error: csv::Error, origin: &str, lines_before: u64) -> DataError {
    let unreadable = |source: io::Error| read_error(origin, source);
    match error.into_kind() {
        ErrorKind::Io(source) => unreadable(source),
        ErrorKind::UnequalLengths { pos, expected_len, len } => DataError::RecordLen {
            line: lines_before + pos.map_or(0, |position| position.line()),
            origin: origin.to_owned(),
            found: len,
            expected: expected_len,
        },
        other => unreadable(io::Error::new(io::ErrorKind::InvalidData, format!("{other:?}"))),
    }
}
