//! Files of records, JSON Lines or CSV.
//!
//! ```text
//! {"id": 1, "text": "a b"}        id,text
//! {"id": 2, "text": "c\nd"}       1,a b           ─▶     id  text        field_lines      a b ⏎ c d ⏎
//!                                 2,"c                   1   a b            ─▶
//!                                 d"                     2   c⏎d
//! ```
//!
//! A CSV file begins with the names of its columns; its delimiter is the tab, if that line has one, else the most frequent of
//! comma, semicolon and vertical bar. Double quotes enclose fields as in RFC 4180; [`Quoting`] says where. Blank lines between
//! records are skipped.
//!
//! As a text ([`readable`](crate::readable)), each record is one line: line ends within the field become spaces, and a null is a blank
//! line.
//!
//! Promises: one record is in memory at a time, and it is complete as soon as it has been read; a record without a field
//! that is asked for, and quotes that do not enclose a field, are errors that name the line. Not here: telling whether a
//! text consists of records (`look`).

use std::io::{BufRead, Cursor, Read};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::{DataError, Result, error::read_error};

mod fields;
#[cfg(not(feature = "corpora"))]
mod no_table;
#[cfg(feature = "corpora")]
mod quotes;
#[cfg(feature = "corpora")]
mod table;

pub(crate) use fields::field_lines;
#[cfg(not(feature = "corpora"))]
use no_table::Table;
#[cfg(feature = "corpora")]
use table::Table;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Where double quotes enclose fields, as in RFC 4180; elsewhere, they are part of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Quoting {
    /// In all files.
    #[default]
    Rfc4180,
    /// In all files except those with tabs.
    NotWithTabs,
    /// Nowhere.
    None,
}

/// A record: its fields, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The line that it begins on, starting at 1.
    pub line: u64,
    /// The names of its fields, and what they contain.
    pub fields: Vec<(Arc<str>, Field)>,
}

/// What a field contains.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    /// A text. In CSV it does not have to be UTF-8.
    Text(Vec<u8>),
    /// Anything else that JSON has.
    Json(Value),
}

/// Reads the records of a file, in order.
///
/// ```
/// use rondo_data::records::{Quoting, Records};
///
/// let table = "id,text\n1,\"so, he said\"\n2,and then\n";
/// let mut records = Records::open(Box::new(table.as_bytes()), "table", Quoting::Rfc4180)?;
/// let first = records.next()?.unwrap();
/// assert_eq!(first.text("text", "table")?, b"so, he said");
/// assert_eq!(records.next()?.unwrap().line, 3);
/// assert_eq!(records.next()?, None);
/// # Ok::<(), rondo_data::DataError>(())
/// ```
pub struct Records<'a> {
    source: Source<'a>,
    origin: String,
}

enum Source<'a> {
    Json(JsonLines<'a>),
    Table(Box<Table<'a>>),
}

impl<'a> Records<'a> {
    /// Opens a file, and reads the header if it has one; `origin` is its name in errors.
    ///
    /// # Errors
    /// [`DataError::JsonArray`] for a JSON array instead of JSON Lines; [`DataError::NoTables`] for a table without the
    /// feature `corpora`; [`DataError::Read`].
    pub fn open(mut reader: Box<dyn BufRead + 'a>, origin: &str, quoting: Quoting) -> Result<Self> {
        let origin = origin.to_owned();
        let mut line = 1;
        // The first characters that are neither blank nor a byte-order mark tell the format.
        let mut first = Vec::new();
        while first.trim_ascii().is_empty() {
            line += first.iter().filter(|&&byte| byte == b'\n').count() as u64;
            first.clear();
            let read = reader.read_until(b'\n', &mut first).map_err(|source| read_error(&origin, source))?;
            if read == 0 {
                break;
            }
            if first.starts_with(BYTE_ORDER_MARK) {
                first.drain(..BYTE_ORDER_MARK.len());
            }
        }
        let source = match first.trim_ascii_start().first() {
            Some(b'[') => return Err(DataError::JsonArray { origin }),
            Some(b'{') => {
                let reader = Box::new(Cursor::new(first).chain(reader));
                Source::Json(JsonLines { reader, bytes: Vec::new(), line })
            }
            _ => Source::Table(Box::new(Table::new(first, reader, line, &origin, quoting)?)),
        };
        Ok(Self { source, origin })
    }

    /// The names of the columns, if the file is a table.
    #[must_use]
    pub fn columns(&self) -> Option<&[Arc<str>]> {
        match &self.source {
            Source::Json(_) => None,
            Source::Table(table) => Some(table.columns()),
        }
    }

    /// The same table without names in its first row: that is a record too, and these are the names of the columns.
    /// JSON Lines stay as they are. To be called before the first record is read.
    #[must_use]
    pub fn with_columns(mut self, names: &[&str]) -> Self {
        if let Source::Table(table) = &mut self.source {
            table.rename_columns(names);
        }
        self
    }

    /// Fails if the file is a table without a column of this name; each record of JSON Lines is checked when it is read.
    ///
    /// # Errors
    /// [`DataError::NoField`].
    pub fn require(&self, column: &str) -> Result<()> {
        let Some(columns) = self.columns().filter(|columns| !columns.iter().any(|name| **name == *column))
        else {
            return Ok(());
        };
        let known = columns.iter().map(ToString::to_string).collect();
        let (origin, line, field) = (self.origin.clone(), self.header_line(), column.to_owned());
        Err(DataError::NoField { origin, line, field, known })
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// [`DataError::JsonRecord`], [`DataError::RecordLen`], [`DataError::Quotes`] or [`DataError::Read`].
    #[expect(clippy::should_implement_trait, reason = "an iterator would have to yield results of options")]
    pub fn next(&mut self) -> Result<Option<Record>> {
        match &mut self.source {
            Source::Json(lines) => lines.next(&self.origin),
            Source::Table(table) => table.next(&self.origin),
        }
    }

    /// The line of the header.
    fn header_line(&self) -> u64 {
        match &self.source {
            Source::Json(lines) => lines.line,
            Source::Table(table) => table.header_line(),
        }
    }
}

impl Record {
    /// The field with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|(field, _)| **field == *name).map(|(_, field)| field)
    }

    /// The text of a field; that of a null is empty. `origin` is the name of the file in errors.
    ///
    /// # Errors
    /// [`DataError::NoField`] or [`DataError::FieldIsNoText`].
    pub fn text(&self, name: &str, origin: &str) -> Result<&[u8]> {
        let (origin, line, field) = (|| origin.to_owned(), self.line, name.to_owned());
        let found = match self.get(name) {
            Some(Field::Text(text)) => return Ok(text),
            Some(Field::Json(Value::Null)) => return Ok(&[]),
            None => {
                let known = self.fields.iter().map(|(name, _)| name.to_string()).collect();
                return Err(DataError::NoField { origin: origin(), line, field, known });
            }
            Some(Field::Json(Value::Bool(_))) => "a Boolean",
            Some(Field::Json(Value::Number(_))) => "a number",
            Some(Field::Json(Value::Array(_))) => "an array",
            Some(Field::Json(_)) => "an object",
        };
        Err(DataError::FieldIsNoText { origin: origin(), line, field, found })
    }

    /// A short field as text: a text as it is, other values as JSON. `origin` is the name of the file in errors.
    ///
    /// # Errors
    /// [`DataError::NoField`].
    pub fn label(&self, name: &str, origin: &str) -> Result<String> {
        match self.get(name) {
            Some(Field::Json(value)) => Ok(value.to_string()),
            _ => Ok(String::from_utf8_lossy(self.text(name, origin)?).into_owned()),
        }
    }
}

/// One JSON object per line.
struct JsonLines<'a> {
    reader: Box<dyn BufRead + 'a>,
    bytes: Vec<u8>,
    /// The number of the next line, starting at 1.
    line: u64,
}

impl JsonLines<'_> {
    fn next(&mut self, origin: &str) -> Result<Option<Record>> {
        loop {
            self.bytes.clear();
            let read = self.reader.read_until(b'\n', &mut self.bytes);
            if read.map_err(|source| read_error(origin, source))? == 0 {
                return Ok(None);
            }
            let line = self.line;
            self.line += 1;
            if self.bytes.trim_ascii().is_empty() {
                continue;
            }
            let record: IndexMap<String, Value> = serde_json::from_slice(&self.bytes)
                .map_err(|source| DataError::JsonRecord { origin: origin.to_owned(), line, source })?;
            let field = |(name, value): (String, Value)| {
                let field = match value {
                    Value::String(text) => Field::Text(text.into_bytes()),
                    other => Field::Json(other),
                };
                (name.into(), field)
            };
            return Ok(Some(Record { line, fields: record.into_iter().map(field).collect() }));
        }
    }
}

#[cfg(test)]
mod tests;
