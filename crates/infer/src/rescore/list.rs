//! Lists of hypotheses and of references, line by line.
//!
//! ```text
//! u1 ⇥ -12.0 ⇥ recognize speech                          a hypothesis: id, score, text
//! {"id": "u1", "score": -11.5, "text": "wreck a nice beach"}
//!
//! u1 ⇥ recognize speech                                  a reference: id, text
//! ```
//!
//! Promises: what is no line of a list is an error with its number; an id and a text are parts of one line.
//! Not here: what is made of the lists.

use std::collections::HashSet;
use std::io::BufRead;

use rondo_data::TextLines;
use serde_json::Value;

use crate::{InferError, Result};

/// A hypothesis as it stands in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its line, from 1.
    pub line: usize,
    /// What it is a hypothesis of.
    pub id: String,
    /// The other system's log-probability, a finite number.
    pub score: f64,
    /// What it says.
    pub text: String,
}

/// What should have been said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Its line, from 1.
    pub line: usize,
    /// What it is the reference of.
    pub id: String,
    /// The text.
    pub text: String,
}

/// What is wrong with a line of a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// A hypothesis has three columns.
    #[error("expected an id, a score and a text with tabs between them")]
    HypothesisColumns,
    /// A reference has two columns.
    #[error("expected an id, a tab and a text")]
    ReferenceColumns,
    /// A score is no number.
    #[error("the score `{score}` is no number")]
    Score {
        /// What stands in its place.
        score: String,
    },
    /// A line begins as JSON but is none.
    #[error("no JSON: {reason}")]
    Json {
        /// Why not.
        reason: String,
    },
    /// An object lacks a key, or has something else there.
    #[error("the key `{key}` is missing, or no {kind}")]
    Key {
        /// The key.
        key: &'static str,
        /// What it should be.
        kind: &'static str,
    },
    /// An id or a text has what parts columns or lines.
    #[error("`{}` stands in the id or the text", char.escape_default())]
    Char {
        /// The character.
        char: char,
    },
    /// An id has two references.
    #[error("`{id}` has a reference already")]
    SecondReference {
        /// The id.
        id: String,
    },
}

/// Reads a list of hypotheses. Blank lines are nothing; what is no text is an error, or U+FFFD if `lossy`.
///
/// # Errors
/// [`InferError::Data`] for what cannot be read or is no text, [`InferError::ListLine`] for what is no hypothesis,
/// [`InferError::EmptyList`] if there is none.
pub fn entries(reader: impl BufRead, origin: &str, lossy: bool) -> Result<Vec<Entry>> {
    read(reader, origin, lossy, "hypothesis", |line, text| {
        let (id, score, text) = if text.starts_with('{') { json_entry(text)? } else { tab_entry(text)? };
        Ok(Entry { line, id, score, text })
    })
}

/// Reads a list of references, one an id; otherwise as [`entries`].
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

/// Reads what each line holds; `parse` gets its number and says what is wrong with it.
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
        _ => return Err(LineFault::Key { key: "id", kind: "text" }),
    };
    let score = object["score"].as_f64().ok_or(LineFault::Key { key: "score", kind: "number" })?;
    let text = object["text"].as_str().ok_or(LineFault::Key { key: "text", kind: "text" })?;
    // What is printed has a hypothesis a line, and columns.
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
        assert_eq!(tabs("u1 -1.5 a"), "expected an id, a score and a text with tabs between them");
        assert_eq!(tabs("u1\tx\ta"), "the score `x` is no number");
        assert_eq!(tabs("u1\tnan\ta"), "the score `nan` is no number");
        let json = |line| json_entry(line).unwrap_err().to_string();
        assert!(json("{").starts_with("no JSON: "));
        assert_eq!(json(r#"{"score":1,"text":"a"}"#), "the key `id` is missing, or no text");
        assert_eq!(json(r#"{"id":"a","score":"1","text":"a"}"#), "the key `score` is missing, or no number");
        assert_eq!(json(r#"{"id":"a","score":1}"#), "the key `text` is missing, or no text");
        assert_eq!(json(r#"{"id":"a","score":1,"text":"a\nb"}"#), r"`\n` stands in the id or the text");
    }

    /// Editors of Windows begin a file with a byte-order mark, which was once taken for a part of the first id.
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
        assert_eq!(error(b"\n \n"), "list is empty: it holds no hypothesis");
        assert_eq!(
            error(b"u\t1\ta\nx"),
            "list, line 2: expected an id, a score and a text with tabs between them"
        );
        assert_eq!(error(b"u\t1\ta\xFF"), "`list` is not UTF-8 text: invalid byte at offset 5 (line 1)");
        assert_eq!(entries(b"u\t1\ta\xFF".as_slice(), "list", true).unwrap()[0].text, "a\u{fffd}");
        let twice = references(b"u\ta\nu\tb".as_slice(), "list", false).unwrap_err().to_string();
        assert_eq!(twice, "list, line 2: `u` has a reference already");
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
