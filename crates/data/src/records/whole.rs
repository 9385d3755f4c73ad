//! Records with all of their fields.
//!
//! ```text
//! {"good": "a cat sits", "bad": "a cat sit", "id": 7}     ─▶     line 1: good, bad, id
//! ```
//!
//! JSON Lines and CSV are told apart and parsed as for a single field, with one difference: if the first line of a table
//! has a tab, its columns are separated by tabs.
//!
//! Not here: what the fields mean.

use std::io::{BufRead, Cursor, Read};
use std::sync::Arc;

use csv::StringRecord;
use serde_json::Value;

use super::{csv_error, delimiter, first_line, next_object, no_field, no_text};
use crate::{DataError, Result};

/// Reads the records of a file of JSON Lines or CSV, with all of their fields; see [`Record`].
///
/// ```
/// use rondo_data::RecordReader;
///
/// let table = "good\tbad\nthe cat sits\tthe cat sit\n";
/// let mut records = RecordReader::new(table.as_bytes(), "pairs.tsv")?;
/// assert_eq!(records.columns(), Some(&["good".to_owned(), "bad".to_owned()][..]));
/// let record = records.next().unwrap()?;
/// assert_eq!((record.line(), record.text("bad")?), (2, "the cat sit"));
/// assert!(records.next().is_none());
/// # Ok::<(), rondo_data::DataError>(())
/// ```
pub struct RecordReader<'a> {
    source: Source<'a>,
    origin: Arc<str>,
}

enum Source<'a> {
    Json { reader: Box<dyn BufRead + 'a>, bytes: Vec<u8>, line: u64 },
    Csv(Box<Table<'a>>),
}

/// A table, the names of its columns, and a first row that turned out not to be names.
struct Table<'a> {
    reader: csv::Reader<Box<dyn Read + 'a>>,
    names: Vec<String>,
    first: Option<StringRecord>,
    lines_before: u64,
}

/// A record: the fields of a line of JSON Lines, or of a row of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    origin: Arc<str>,
    line: u64,
    fields: Vec<(String, Value)>,
}

impl<'a> RecordReader<'a> {
    /// Reads the first line, which tells the format; `origin` is the name of the file in errors.
    ///
    /// # Errors
    /// [`DataError::JsonArray`] for a JSON array instead of JSON Lines; [`DataError::Read`].
    pub fn new(reader: impl BufRead + 'a, origin: &str) -> Result<Self> {
        let mut reader: Box<dyn BufRead + 'a> = Box::new(reader);
        let (first, line) = first_line(&mut reader, origin)?;
        let origin: Arc<str> = origin.into();
        let source = match first.trim_ascii_start().first() {
            Some(b'[') => return Err(DataError::JsonArray { origin: origin.to_string() }),
            Some(b'{') => {
                Source::Json { reader: Box::new(Cursor::new(first).chain(reader)), bytes: Vec::new(), line }
            }
            _ => {
                let delimiter = if first.contains(&b'\t') { b'\t' } else { delimiter(&first) };
                let all: Box<dyn Read + 'a> = Box::new(Cursor::new(first).chain(reader));
                let mut reader = csv::ReaderBuilder::new();
                reader.delimiter(delimiter).quoting(delimiter != b'\t');
                let mut reader = reader.from_reader(all);
                let header =
                    reader.headers().map_err(|error| csv_error(error, origin.to_string(), line - 1))?;
                let names = header.iter().map(str::to_owned).collect();
                Source::Csv(Box::new(Table { reader, names, first: None, lines_before: line - 1 }))
            }
        };
        Ok(Self { source, origin })
    }

    /// The names of a table's columns, which are its first row; `None` for JSON Lines.
    #[must_use]
    pub fn columns(&self) -> Option<&[String]> {
        match &self.source {
            Source::Json { .. } => None,
            Source::Csv(table) => Some(&table.names),
        }
    }

    /// The same table without names in its first row: that is a record too, and these are the names of the columns.
    /// JSON Lines stay as they are. To be called before the first record is read.
    #[must_use]
    pub fn with_columns(mut self, names: &[&str]) -> Self {
        if let Source::Csv(table) = &mut self.source {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            table.first = Some(StringRecord::from(std::mem::replace(&mut table.names, names)));
        }
        self
    }

    fn read(&mut self) -> Result<Option<Record>> {
        let origin = &self.origin;
        let (line, fields) = match &mut self.source {
            Source::Json { reader, bytes, line } => match next_object(reader, bytes, line, origin)? {
                Some((line, object)) => (line, object.into_iter().collect::<Vec<_>>()),
                None => return Ok(None),
            },
            Source::Csv(table) => {
                let Table { reader, names, first, lines_before } = table.as_mut();
                let (row, line) = match first.take() {
                    // A file without any rows has an empty first one.
                    Some(row) if row.is_empty() => return Ok(None),
                    Some(row) => (row, *lines_before + 1),
                    None => {
                        let mut row = StringRecord::new();
                        let read = reader.read_record(&mut row);
                        if !read.map_err(|error| csv_error(error, origin.to_string(), *lines_before))? {
                            return Ok(None);
                        }
                        let line = row.position().map_or(0, csv::Position::line);
                        (row, *lines_before + line)
                    }
                };
                let fields = row.iter().map(|field| Value::String(field.to_owned()));
                (line, names.iter().cloned().zip(fields).collect())
            }
        };
        Ok(Some(Record { origin: origin.clone(), line, fields }))
    }
}

impl Iterator for RecordReader<'_> {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

impl Record {
    /// The number of its first line, starting at 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The names of its fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The text of a field.
    ///
    /// # Errors
    /// [`DataError::NoField`] if there is no such field, [`DataError::FieldIsNoText`] if it is not a string.
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.value(name) {
            Some(Value::String(text)) => Ok(text),
            Some(value) => Err(no_text(&self.origin, self.line, name, value)),
            None => {
                let known = self.names().map(str::to_owned).collect();
                Err(no_field(&self.origin, self.line, name, known))
            }
        }
    }

    /// A field of any type as text, such as the label of a group: a string as it is, other values as JSON.
    ///
    /// # Errors
    /// [`DataError::NoField`] if there is no such field.
    pub fn label(&self, name: &str) -> Result<String> {
        match self.value(name) {
            None | Some(Value::String(_)) => self.text(name).map(str::to_owned),
            Some(value) => Ok(value.to_string()),
        }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Record> {
        RecordReader::new(text.as_bytes(), "file").unwrap().map(|record| record.unwrap()).collect()
    }

    #[test]
    fn all_fields_of_a_record_are_read() {
        for text in [
            "\n{\"a\": \"b, \\\"c\\\"\", \"n\": \"7\"}\n\n",
            "\na,n\n\"b, \"\"c\"\"\",7\n",
            "\na\tn\nb, \"c\"\t7\n",
        ] {
            let records = read(text);
            assert_eq!(records.len(), 1, "{text}");
            assert_eq!(records[0].text("a").unwrap(), "b, \"c\"");
            assert_eq!(records[0].label("n").unwrap(), "7");
            assert_eq!(records[0].names().collect::<Vec<_>>(), ["a", "n"]);
        }
        assert_eq!(read("{\"n\": 7}")[0].label("n").unwrap(), "7");
        assert_eq!(read("\na,b\n\"c\nd\",e\nf,g\n")[1].line(), 5);
    }

    #[test]
    fn what_is_missing_or_no_text_is_named_with_its_line() {
        let record = &read("\n{\"good\": 1, \"bad\": null}")[0];
        let error = |name| record.text(name).unwrap_err().to_string();
        assert_eq!(error("good"), "the field `good` on line 2 of `file` is a number, not text");
        assert_eq!(error("bad"), "the field `bad` on line 2 of `file` is null, not text");
        let expected =
            "line 2 of `file` has no field `god`: its fields are `bad`, `good`; did you mean `good`?";
        assert_eq!(error("god"), expected);
        let mut rows = RecordReader::new("a\tb\nc\n".as_bytes(), "file").unwrap();
        let error = rows.next().unwrap().unwrap_err().to_string();
        assert_eq!(error, "line 2 of `file` has 1 fields, but its header has 2");
    }

    #[test]
    fn a_first_row_can_be_a_record() {
        let table = || RecordReader::new("a, b, c\td\ne\tf\n".as_bytes(), "file").unwrap();
        assert_eq!(table().columns().unwrap(), ["a, b, c", "d"]);
        let records: Vec<_> = table().with_columns(&["x", "y"]).map(|record| record.unwrap()).collect();
        let texts: Vec<_> = records.iter().map(|record| (record.line(), record.text("x").unwrap())).collect();
        assert_eq!(texts, [(1, "a, b, c"), (2, "e")]);
        let empty = RecordReader::new("".as_bytes(), "file").unwrap();
        assert_eq!(empty.with_columns(&["x", "y"]).count(), 0);
    }
}
