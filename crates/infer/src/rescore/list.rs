//! The lines of lists of hypotheses and of references, and what can be wrong with them.
//!
//! ```text
//! u1 ⇥ -12.0 ⇥ recognize speech                          a hypothesis: id, score, text
//! {"id": "u1", "score": -11.5, "text": "wreck a nice beach"}
//!
//! u1 ⇥ recognize speech                                  a reference: id, text
//! ```
//!
//! Promises: a malformed line is an error with its line number.
//! Not here: how the lists are used, and the other formats (`format`).

use std::collections::HashSet;
use std::io::BufRead;

use rondo_data::TextLines;

use super::Format;
use super::fields::{LineParser, first_word};
use crate::{InferError, Result};

/// A hypothesis from a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// Its line number, from 1.
    pub line: usize,
    /// The id of the item it is a hypothesis for.
    pub id: String,
    /// The other system's scores, which are higher for better hypotheses; NaN or infinite if the list says so.
    pub scores: Vec<f64>,
    /// The text.
    pub text: String,
    /// The line, if the output needs more than the fields above.
    pub source: String,
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
    /// A hypothesis does not have the columns of the first line.
    #[error("expected {}", columns(*scores))]
    HypothesisColumns {
        /// The number of columns that are scores.
        scores: usize,
    },
    /// The format of a list cannot be told from its first line.
    #[error("expected a hypothesis, in a format such as id, score and text in tab-separated columns")]
    UnknownFormat,
    /// A document was read line by line.
    #[error("this is a document, which has no hypotheses in its lines")]
    Document,
    /// The key of a hypothesis does not end in its number.
    #[error("expected a key such as `utt-1`, found `{found}`")]
    KaldiKey {
        /// The key.
        found: String,
    },
    /// A line has too few fields for SRILM.
    #[error("expected an acoustic score, a language model score, the number of words, and the words")]
    SrilmFields,
    /// A line has too few fields for Moses.
    #[error("expected id ||| words ||| features ||| total, found {found} fields")]
    MosesFields {
        /// The number of fields.
        found: usize,
    },
    /// Files of scores are given for a list that has scores itself.
    #[error(
        "a list in the format `{format}` has its own scores: files of scores are for `kaldi` and `mikolov`"
    )]
    OwnScores {
        /// The format.
        format: &'static str,
    },
    /// A reference must have an id and a text.
    #[error("expected two tab-separated columns: id, text")]
    ReferenceColumns,
    /// A score is not a number.
    #[error("the score `{score}` is not a number")]
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
        key: String,
        /// The expected type.
        kind: &'static str,
    },
    /// An id has two references.
    #[error("second reference for the id `{id}`")]
    SecondReference {
        /// The id.
        id: String,
    },
}

/// Names the columns of a hypothesis.
fn columns(scores: usize) -> String {
    match scores {
        0 | 1 => "three tab-separated columns: id, score, text".to_owned(),
        scores => format!("{} tab-separated columns: id, {scores} scores, text", scores + 2),
    }
}

/// Reads a list of hypotheses in any format of lines, which its first line tells. Blank lines are skipped; invalid
/// UTF-8 is an error, or is replaced by U+FFFD if `lossy`. [`ListReader`](super::ListReader) reads all formats, list by
/// list.
///
/// # Errors
/// [`InferError::Data`] if the list cannot be read or is not UTF-8, [`InferError::ListLine`] for a malformed
/// line, [`InferError::EmptyList`] if there are no hypotheses.
pub fn entries(reader: impl BufRead, origin: &str, lossy: bool) -> Result<Vec<Entry>> {
    let mut parser = None;
    read(reader, origin, lossy, "hypothesis", |line, text| {
        let format = || Format::detect(text).ok_or(LineFault::UnknownFormat);
        let parser = match &mut parser {
            Some(parser) => parser,
            none => none.insert(LineParser::new(format()?)),
        };
        parser.parse(line, text, origin)
    })
}

/// Reads a list of references, one per id. For a list of hypotheses in the `format`, an id and a text are written as
///
/// | format of the hypotheses | a line of the references |
/// |---|---|
/// | any | `id ⇥ text`, or an object with `id` and `text` |
/// | `mikolov`, `kaldi`, `srilm`, `espnet` | `id words …` as well |
/// | `moses` | the text alone as well: the id is the number of the line, from 0 |
///
/// Otherwise as [`entries`].
///
/// # Errors
/// As [`entries`].
pub fn references(reader: impl BufRead, origin: &str, lossy: bool, format: Format) -> Result<Vec<Reference>> {
    let mut known = HashSet::new();
    // A text of Moses can contain a tab, so the first line tells.
    let mut is_plain = None;
    read(reader, origin, lossy, "reference", |line, text| {
        let is_plain = *is_plain.get_or_insert(format == Format::Moses && !text.starts_with("0\t"));
        let (id, text) = reference(text, format, line, is_plain)?;
        if !known.insert(id.clone()) {
            return Err(LineFault::SecondReference { id });
        }
        Ok(Reference { line, id, text })
    })
}

fn reference(
    text: &str,
    format: Format,
    line: usize,
    is_plain: bool,
) -> std::result::Result<(String, String), LineFault> {
    if is_plain {
        return Ok(((line - 1).to_string(), text.to_owned()));
    }
    if format == Format::Jsonl && text.starts_with('{') {
        let object: serde_json::Value =
            serde_json::from_str(text).map_err(|error| LineFault::Json { reason: error.to_string() })?;
        let key = |key: &str| match &object[key] {
            serde_json::Value::String(value) => Ok(value.clone()),
            serde_json::Value::Number(value) if key == "id" => Ok(value.to_string()),
            _ => Err(LineFault::Key { key: key.to_owned(), kind: "a string" }),
        };
        return Ok((key("id")?, key("text")?));
    }
    let pair = match format {
        _ if text.contains('\t') => text.split_once('\t'),
        Format::Mikolov | Format::Kaldi | Format::Srilm | Format::Espnet => Some(first_word(text)),
        _ => None,
    };
    let (id, text) = pair.ok_or(LineFault::ReferenceColumns)?;
    Ok((id.to_owned(), text.to_owned()))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_written_as_the_hypotheses() {
        let read = |text: &str, format| {
            let found = references(text.as_bytes(), "references", false, format);
            let pairs = |found: Vec<Reference>| {
                found.into_iter().map(|one| format!("{}={}", one.id, one.text)).collect::<Vec<_>>().join(";")
            };
            found.map(pairs).map_err(|error| error.to_string())
        };
        let columns = "u1\tthe cat\nu2\t\n";
        for format in Format::ALL.into_iter().filter(|&format| format != Format::Moses) {
            assert_eq!(read(columns, format).unwrap(), "u1=the cat;u2=", "{format:?}");
        }
        assert_eq!(read("u1 the cat\nu2\n", Format::Kaldi).unwrap(), "u1=the cat;u2=");
        assert_eq!(read("1 the cat\n", Format::Mikolov).unwrap(), "1=the cat");
        assert_eq!(read("the cat\na\tdog\n", Format::Moses).unwrap(), "0=the cat;1=a\tdog");
        assert_eq!(read("0\tthe cat\n1\ta dog\n", Format::Moses).unwrap(), "0=the cat;1=a dog");
        let objects = "{\"id\":1,\"text\":\"the cat\"}\n";
        assert_eq!(read(objects, Format::Jsonl).unwrap(), "1=the cat");
        let tabs = "references, line 1: expected two tab-separated columns: id, text";
        assert_eq!(read("u1 the cat", Format::Tsv).unwrap_err(), tabs);
        let key = "references, line 1: the key `text` is missing or is not a string";
        assert_eq!(read("{\"id\":1}", Format::Jsonl).unwrap_err(), key);
    }

    /// Editors on Windows start a file with a byte-order mark, which was once read as part of the first id.
    #[test]
    fn a_byte_order_mark_is_no_part_of_an_id() {
        let list = "\u{feff}u1\t-1\ta\r\n\r\nu1\t-2\tb\r\n";
        let found = entries(list.as_bytes(), "list", false).unwrap();
        let found: Vec<_> = found.iter().map(|entry| (entry.line, &*entry.id, &*entry.text)).collect();
        assert_eq!(found, [(1, "u1", "a"), (3, "u1", "b")]);
        assert_eq!(references("\u{feff}u1\ta".as_bytes(), "list", false, Format::Tsv).unwrap()[0].id, "u1");
    }

    #[test]
    fn what_is_no_list_is_named() {
        let error = |bytes: &[u8]| entries(bytes, "list", false).unwrap_err().to_string();
        assert_eq!(
            error(b"\nu1 -1 a"),
            "list, line 2: expected a hypothesis, in a format such as id, score and text in tab-separated columns"
        );
        assert_eq!(error(b"\n \n"), "list is empty: it contains no hypothesis");
        assert_eq!(
            error(b"u\t1\ta\nx"),
            "list, line 2: expected three tab-separated columns: id, score, text"
        );
        assert_eq!(error(b"u\t1\ta\xFF"), "`list` is not UTF-8 text: invalid byte at offset 5 (line 1)");
        assert_eq!(entries(b"u\t1\ta\xFF".as_slice(), "list", true).unwrap()[0].text, "a\u{fffd}");
        let twice = references(b"u\ta\nu\tb".as_slice(), "list", false, Format::Tsv).unwrap_err().to_string();
        assert_eq!(twice, "list, line 2: second reference for the id `u`");
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(id in "[^\\t\\r\\n\\x00{]{1,5}", score in -1e300f64..1e300, text in "[^\\r\\n\\x00]{0,9}") {
            prop_assume!(!id.starts_with('\u{feff}'));
            let list = format!("{id}\t{score:?}\t{text}\n");
            prop_assume!(text.split('\t').next().unwrap_or("").trim().parse::<f64>().is_err());
            let entry = Entry { line: 1, id: id.clone(), scores: vec![score], text: text.clone(), source: String::new() };
            prop_assert_eq!(entries(list.as_bytes(), "list", false).unwrap(), vec![entry]);
        }

        #[test]
        fn hostile_lists_never_panic(bytes in prop::collection::vec(prop::sample::select(b"a1-.e\t\n\r{}\":,\0\xFF\xC3\xA9".to_vec()), 0..40), lossy: bool) {
            let _ = entries(bytes.as_slice(), "list", lossy);
            for format in Format::ALL {
                let _ = references(bytes.as_slice(), "list", lossy, format);
            }
        }
    }
}
