//! Reads lists of hypotheses and of references, line by line.
//!
//! ```text
//! u1 ⇥ -12.0 ⇥ recognize speech                          a hypothesis: id, score, text
//! {"id": "u1", "score": -11.5, "text": "wreck a nice beach"}
//!
//! u1 ⇥ recognize speech                                  a reference: id, text
//! ```
//!
//! Promises: a malformed line is an error with its line number; an id and a text are each part of a single
//! line.
//! Not here: how the lists are used.

use std::collections::HashSet;
use std::io::BufRead;

use rondo_data::TextLines;
use serde_json::Value;

use crate::{InferError, Result};

/// A hypothesis from a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its line number, from 1.
    pub line: usize,
    /// The id of the item it is a hypothesis for.
    pub id: String,
    /// The other system's log-probability; finite.
    pub score: f64,
    /// The text.
    pub text: String,
}

/// The correct text for an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its line number, from 1.
    pub line: usize,
    /// The id of the item it is the reference for.
    pub id: String,
    /// The text.
    pub text: String,
}

/// Why a line of a list cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// A hypothesis must have three columns.
    #[error("expected three tab-separated columns: id, score, text")]
    HypothesisColumns,
    /// A reference must have two columns.
    #[error("expected two tab-separated columns: id, text")]
    ReferenceColumns,
    /// A score is not a number.
    #[error("the score `{score}` is not a finite number")]
    Score {
        /// The text found in its place.
        score: String,
    },
    /// A line begins like JSON but is invalid.
    #[error("invalid JSON: {reason}")]
    Json {
        /// The parser's message.
        reason: String,
    },
    /// A key of an object is missing or has the wrong type.
    #[error("the key `{key}` is missing or is not {kind}")]
    Key {
        /// The key.
        key: &'static str,
        /// The expected type.
        kind: &'static str,
    },
    /// An id or a text contains a tab or a line break.
    #[error("the id or the text contains `{}`, which separates columns or lines", char.escape_default())]
    Char {
        /// The character.
        char: char,
    },
    /// An id has two references.
    #[error("second reference for the id `{id}`")]
    SecondReference {
        /// The id.
        id: String,
    },
}

/// Reads a list of hypotheses. Blank lines are skipped; invalid UTF-8 is an error, or is replaced by U+FFFD
/// if `lossy`.
///
/// # Errors
/// [`InferError::Data`] if the list cannot be read or is not UTF-8, [`InferError::ListLine`] for a malformed
/// line, [`InferError::EmptyList`] if there are no hypotheses.
pub fn entries(reader: impl BufRead, origin: &str, lossy: bool) -> Result<Vec<Entry>> {
    read(reader, origin, lossy, "hypothesis", |line, text| {
        let (id, score, text) = if text.starts_with('{') { json_entry(text)? } else { tab_entry(text)? };
        Ok(Entry { line, id, score, text })
    })
}

/// Reads a list of references, one per id; otherwise as [`entries`].
///
/// # Errors
/// As [`entries`].
pub fn references(reader: impl BufRead, origin: &str, lossy: bool) -> Result<Vec<Reference>> {
    let mut known = HashSet::new();
    read(reader, origin, lossy, "reference", |line, text| {
        let (id, text) = text.split_once('\t').ok_or(LineFault::ReferenceColumns)?;
        if !known.insert(id.to_owned()) {
            return Err(LineFault::SecondReference { id: id.to_owned() });
        }
        Ok(Reference { line, id: id.to_owned(), text: text.to_owned() })
    })
}

/// Parses each line; `parse` gets its number and returns what is wrong with it.
fn read<T>(
    reader: impl BufRead,
    origin: &str,
    lossy: bool,
    what: &'static str,
    mut parse: impl FnMut(usize, &str) -> std::result::Result<T, LineFault>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for (text, line) in TextLines::new(reader, origin, lossy).zip(1..) {
        let text = text?;
        if !text.trim().is_empty() {
            let error = |fault| InferError::ListLine { origin: origin.to_owned(), line, fault };
            all.push(parse(line, &text).map_err(error)?);
        }
    }
    if all.is_empty() { Err(InferError::EmptyList { origin: origin.to_owned(), what }) } else { Ok(all) }
}

type Fields = (String, f64, String);

fn tab_entry(line: &str) -> std::result::Result<Fields, LineFault> {
    let mut fields = line.splitn(3, '\t');
    let (Some(id), Some(score), Some(text)) = (fields.next(), fields.next(), fields.next()) else {
        return Err(LineFault::HypothesisColumns);
    };
    let number = score.trim().parse().ok().filter(|score: &f64| score.is_finite());
    let score = number.ok_or_else(|| LineFault::Score { score: score.to_owned() })?;
    Ok((id.to_owned(), score, text.to_owned()))
}

fn json_entry(line: &str) -> std::result::Result<Fields, LineFault> {
    let object: Value =
        serde_json::from_str(line).map_err(|error| LineFault::Json { reason: error.to_string() })?;
    // Ids are often numbers.
    let id = match &object["id"] {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        _ => return Err(LineFault::Key { key: "id", kind: "a string" }),
    };
    let score = object["score"].as_f64().ok_or(LineFault::Key { key: "score", kind: "a number" })?;
    let text = object["text"].as_str().ok_or(LineFault::Key { key: "text", kind: "a string" })?;
    // The output has one hypothesis per line, in columns.
    if let Some(char) = [&id, text].iter().find_map(|text| text.chars().find(|char| "\n\r\t".contains(*char)))
    {
        return Err(LineFault::Char { char });
    }
    Ok((id, score, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hypotheses_are_lines_with_tabs_or_json() {
        let expected = Ok(("u1".to_owned(), -1.5, "a  b".to_owned()));
        assert_eq!(tab_entry("u1\t-1.5\ta  b"), expected);
        assert_eq!(json_entry(r#"{"id":"u1","score":-1.5,"text":"a  b","more":0}"#), expected);
        assert_eq!(json_entry(r#"{"id":7,"score":2,"text":""}"#), Ok(("7".to_owned(), 2.0, String::new())));
        assert_eq!(tab_entry("u1\t1e3\t"), Ok(("u1".to_owned(), 1000.0, String::new())));
    }

    #[test]
    fn other_lines_say_what_is_wrong() {
        let tabs = |line| tab_entry(line).unwrap_err().to_string();
        assert_eq!(tabs("u1 -1.5 a"), "expected three tab-separated columns: id, score, text");
        assert_eq!(tabs("u1\tx\ta"), "the score `x` is not a finite number");
        assert_eq!(tabs("u1\tnan\ta"), "the score `nan` is not a finite number");
        let json = |line| json_entry(line).unwrap_err().to_string();
        assert!(json("{").starts_with("invalid JSON: "));
        assert_eq!(json(r#"{"score":1,"text":"a"}"#), "the key `id` is missing or is not a string");
        assert_eq!(
            json(r#"{"id":"a","score":"1","text":"a"}"#),
            "the key `score` is missing or is not a number"
        );
        assert_eq!(json(r#"{"id":"a","score":1}"#), "the key `text` is missing or is not a string");
        assert_eq!(
            json(r#"{"id":"a","score":1,"text":"a\nb"}"#),
            r"the id or the text contains `\n`, which separates columns or lines"
        );
    }

    /// Editors on Windows start a file with a byte-order mark, which was once read as part of the first id.
    #[test]
    fn a_byte_order_mark_is_no_part_of_an_id() {
        let list = "\u{feff}u1\t-1\ta\r\n\r\nu1\t-2\tb\r\n";
        let found = entries(list.as_bytes(), "list", false).unwrap();
        let found: Vec<_> = found.iter().map(|entry| (entry.line, &*entry.id, &*entry.text)).collect();
        assert_eq!(found, [(1, "u1", "a"), (3, "u1", "b")]);
        assert_eq!(references("\u{feff}u1\ta".as_bytes(), "list", false).unwrap()[0].id, "u1");
    }

    #[test]
    fn what_is_no_list_is_named() {
        let error = |bytes: &[u8]| entries(bytes, "list", false).unwrap_err().to_string();
        assert_eq!(error(b"\n \n"), "list is empty: it contains no hypothesis");
        assert_eq!(
            error(b"u\t1\ta\nx"),
            "list, line 2: expected three tab-separated columns: id, score, text"
        );
        assert_eq!(error(b"u\t1\ta\xFF"), "`list` is not UTF-8 text: invalid byte at offset 5 (line 1)");
        assert_eq!(entries(b"u\t1\ta\xFF".as_slice(), "list", true).unwrap()[0].text, "a\u{fffd}");
        let twice = references(b"u\ta\nu\tb".as_slice(), "list", false).unwrap_err().to_string();
        assert_eq!(twice, "list, line 2: second reference for the id `u`");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(id in "[^\\t\\r\\n\\x00{]{1,5}", score in -1e300f64..1e300, text in "[^\\r\\n\\x00]{0,9}") {
            prop_assume!(!id.starts_with('\u{feff}'));
            let list = format!("{id}\t{score:?}\t{text}\n");
            let entry = Entry { line: 1, id: id.clone(), score, text: text.clone() };
            prop_assert_eq!(entries(list.as_bytes(), "list", false).unwrap(), vec![entry]);
        }

        #[test]
        fn hostile_lists_never_panic(bytes in prop::collection::vec(prop::sample::select(b"a1-.e\t\n\r{}\":,\0\xFF\xC3\xA9".to_vec()), 0..40), lossy: bool) {
            let _ = entries(bytes.as_slice(), "list", lossy);
            let _ = references(bytes.as_slice(), "list", lossy);
        }
    }
}
