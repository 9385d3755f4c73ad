//! Notes about texts that contain more than plain text: records, markup, markers, carriage returns.
//!
//! Only the start of a text is looked at, as far as it is buffered anyway. Nothing is changed: a note says what was found
//! and what to do about it. Not here: reading records (`records`).

use std::fmt;
use std::io::BufRead;

use serde_json::{Map, Value};

use crate::{Corpus, Result, Tokenizer, error::read_error};

/// The number of bytes to look at.
const START_BYTES: usize = 8 << 10;
/// Words that stand for the start or end of a line or text in other tools.
const MARKERS: [&str; 8] = ["<s>", "</s>", "<eos>", "<bos>", "<sos>", "<BOS>", "<EOS>", "<|endoftext|>"];
/// A text with at least this many closing tags is markup.
const CLOSING_TAGS: usize = 3;

/// What the start of a text looks like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextLook {
    /// The text looks like JSON Lines: its fields that are text, the longest first.
    json_fields: Option<Vec<String>>,
    /// The text looks like a table: the name of its format, and the first row.
    table: Option<(&'static str, Vec<String>)>,
    markup: bool,
    markers: Vec<&'static str>,
    carriage_returns: bool,
}

/// Something that looks unintended in a text. It is displayed as one line without a final period.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextNote {
    /// The text looks like JSON Lines.
    JsonLines {
        /// The fields of its first object that are text, the longest first.
        fields: Vec<String>,
    },
    /// The text looks like a table.
    Table {
        /// `CSV` or `TSV`.
        format: &'static str,
        /// Its first row.
        columns: Vec<String>,
    },
    /// The text looks like HTML or XML.
    Markup,
    /// The text contains markers of lines or texts as words.
    Markers {
        /// The markers.
        found: Vec<&'static str>,
    },
    /// The text has carriage returns, and its tokens are characters.
    CarriageReturns,
}

impl TextLook {
    /// Looks at the start of a text without consuming it. It waits for the first bytes only.
    ///
    /// # Errors
    /// [`DataError::Read`](crate::DataError::Read).
    pub fn at(reader: &mut dyn BufRead, origin: &str) -> Result<Self> {
        loop {
            match reader.fill_buf() {
                Ok(start) => return Ok(Self::of(start)),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(source) => return Err(read_error(origin, source)),
            }
        }
    }

    /// Looks at the first bytes of a text, which can end anywhere.
    #[must_use]
    pub fn of(start: &[u8]) -> Self {
        let start = &start[..start.len().min(START_BYTES)];
        let text = String::from_utf8_lossy(start);
        let text = text.trim_start_matches('\u{feff}');
        let json_fields = json_fields(text);
        let is_json = json_fields.is_some();
        let markup = !is_json && is_markup(text);
        Self {
            json_fields,
            table: if is_json || markup { None } else { table(text) },
            markup,
            markers: MARKERS.into_iter().filter(|marker| has_word(text, marker)).collect(),
            carriage_returns: text.contains('\r'),
        }
    }

    /// The notes for a text that is read with this tokenizer.
    #[must_use]
    pub fn notes(&self, tokenizer: &Tokenizer) -> Vec<TextNote> {
        let mut notes = Vec::new();
        if let Some(fields) = &self.json_fields {
            notes.push(TextNote::JsonLines { fields: fields.clone() });
        }
        if let Some((format, columns)) = &self.table {
            notes.push(TextNote::Table { format, columns: columns.clone() });
        }
        if self.markup {
            notes.push(TextNote::Markup);
        }
        if !self.markers.is_empty() {
            notes.push(TextNote::Markers { found: self.markers.clone() });
        }
        if self.carriage_returns && tokenizer.unit() == "character" {
            notes.push(TextNote::CarriageReturns);
        }
        notes
    }
}

impl fmt::Display for TextNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JsonLines { fields } => {
                let field = fields.first().map_or("NAME", String::as_str);
                write!(
                    f,
                    "looks like JSON Lines, and is read as plain text; `--text-field {field}` reads only "
                )?;
                write!(f, "that field")
            }
            Self::Table { format, columns } => {
                // The last column is the usual place of a text.
                let column = columns.last().map_or("NAME", String::as_str);
                write!(
                    f,
                    "looks like {format}, and is read as plain text; `--text-field NAME` reads only the "
                )?;
                write!(f, "column with that name in the first row, such as `{column}`")
            }
            Self::Markup => {
                write!(f, "looks like HTML or XML: its tags are read as text; extract the text first")
            }
            Self::Markers { found } => {
                let found = found.iter().map(|marker| format!("`{marker}`")).collect::<Vec<_>>().join(", ");
                write!(f, "contains {found} as text: Rondo marks line ends itself; remove such markers first")
            }
            Self::CarriageReturns => write!(
                f,
                "has carriage returns (line ends of Windows), which are read as characters; `tr -d '\\r'` removes them"
            ),
        }
    }
}

impl Corpus {
    /// What looks unintended in the texts: each kind of note once, with the first text that it is about and the number
    /// of other texts that have it too.
    #[must_use]
    pub fn notes(&self) -> Vec<(&str, TextNote, usize)> {
        let mut notes: Vec<(&str, TextNote, usize)> = Vec::new();
        for source in &self.sources {
            for note in source.look.notes(self.tokenizer()) {
                let kind = std::mem::discriminant(&note);
                match notes.iter_mut().find(|(_, known, _)| std::mem::discriminant(known) == kind) {
                    Some((_, _, others)) => *others += 1,
                    None => notes.push((&source.text.origin, note, 0)),
                }
            }
        }
        // Carriage returns after the start of a text are in the vocabulary.
        let is_of_characters = self.tokenizer().unit() == "character";
        let is_noted = notes.iter().any(|(_, note, _)| *note == TextNote::CarriageReturns);
        if let (true, false, Some(_), [source, others @ ..]) =
            (is_of_characters, is_noted, self.vocab().id("\r"), &self.sources[..])
        {
            notes.push((&source.text.origin, TextNote::CarriageReturns, others.len()));
        }
        notes
    }
}

/// The lines of the start, except the last one, which can be incomplete, if there is another.
fn complete_lines(text: &str) -> Vec<&str> {
    let end = text.rfind('\n').map_or(text.len(), |end| end + 1);
    text[..end].lines().filter(|line| !line.trim().is_empty()).collect()
}

/// The text fields of the first object, the longest first, if the text consists of objects.
fn json_fields(text: &str) -> Option<Vec<String>> {
    let lines = complete_lines(text);
    let first = lines.first()?.trim();
    if !first.starts_with('{') {
        return None;
    }
    let parse = |line: &str| serde_json::from_str::<Map<String, Value>>(line).ok();
    let Some(record) = parse(first) else {
        // The first object can be longer than what can be seen.
        let is_cut = lines.len() == 1 && first.trim_start_matches('{').trim_start().starts_with('"');
        return (is_cut && first.contains("\":")).then(Vec::new);
    };
    if lines.len() > 1 && parse(lines[1]).is_none() {
        return None;
    }
    let mut fields: Vec<(usize, String)> =
        record.into_iter().filter_map(|(name, value)| Some((value.as_str()?.len(), name))).collect();
    fields.sort_by_key(|field| std::cmp::Reverse(field.0));
    Some(fields.into_iter().map(|(_, name)| name).collect())
}

/// The format and the first row, if all rows have the same number of fields, and more than one.
fn table(text: &str) -> Option<(&'static str, Vec<String>)> {
    let lines = complete_lines(text);
    if lines.len() < 2 {
        return None;
    }
    let tabs = |line: &str| line.matches('\t').count();
    if tabs(lines[0]) > 0 && lines.iter().all(|line| tabs(line) == tabs(lines[0])) {
        return Some(("TSV", lines[0].split('\t').map(str::to_owned).collect()));
    }
    comma_separated(&lines).map(|names| ("CSV", names))
}

/// The first row, if all rows have the same number of fields between commas, and more than one.
#[cfg(feature = "corpora")]
fn comma_separated(lines: &[&str]) -> Option<Vec<String>> {
    // In prose, a space follows a comma; a quoted field can contain both.
    let header = lines[0];
    if !header.contains(',') || header.contains(", ") || header.contains(['"', '.', ';']) {
        return None;
    }
    let all = lines.join("\n");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(all.as_bytes());
    let mut rows = 0;
    for record in reader.records() {
        // Rows of different lengths are an error.
        let record = record.ok()?;
        let has_prose = |field: &str| field.starts_with(' ');
        if record.iter().skip(1).any(has_prose) {
            return None;
        }
        rows += 1;
    }
    (rows > 1).then(|| header.split(',').map(|name| name.trim().to_owned()).collect())
}

/// Without the reader of tables, there is no telling them from prose.
#[cfg(not(feature = "corpora"))]
fn comma_separated(_lines: &[&str]) -> Option<Vec<String>> {
    None
}

fn is_markup(text: &str) -> bool {
    let start = text.trim_start().get(..14).unwrap_or(text.trim_start()).to_ascii_lowercase();
    if ["<?xml", "<!doctype", "<html"].iter().any(|first| start.starts_with(first)) {
        return true;
    }
    let closing = text.match_indices("</").filter(|(at, _)| {
        let name = &text[at + 2..];
        let end = name.find(|char: char| !char.is_ascii_alphanumeric() && !"-_:".contains(char));
        // `</s>` is a marker of other tools.
        end.is_some_and(|end| end > 0 && name[end..].starts_with('>') && &name[..end] != "s")
    });
    closing.count() >= CLOSING_TAGS
}

fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        before.is_none_or(char::is_whitespace) && after.is_none_or(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn notes_with(text: &str, tokenizer: &Tokenizer) -> Vec<String> {
        TextLook::of(text.as_bytes()).notes(tokenizer).iter().map(ToString::to_string).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let notes = notes_with(text, &Tokenizer::words());
        assert_eq!(notes.len(), expected.len(), "{notes:?}");
        for (note, expected) in notes.iter().zip(expected) {
            assert!(note.contains(expected), "{note}");
        }
    }

    #[test]
    fn plain_texts_have_no_notes() {
        for text in [
            "",
            "a",
            "the cat , a dog\nand , a mouse\n",
            "One, two.\nThree, four.\nFive, six.\n",
            "he said {\n\"text\": no\n",
            "1,000 of them\n2 of them\n",
            "a < b </ c > d\nHTML has <b>\n",
            "<unk> is a word <unk>\n",
            " = Title = \n\n a <unk> b @,@ c\n",
            "f</s>f\n",
            "a\tb\nc\n",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn records_are_noticed_with_a_field_to_read() {
        check(
            "{\"id\": \"1\", \"text\": \"the company\"}\n{\"text\": \"b\"}\n",
            &["JSON Lines, and is read as plain text; `--text-field text` reads only that field"],
        );
        check("{\"id\": 7, \"body\": \"a\"}", &["`--text-field body`"]);
        check(&format!("{{\"text\": \"{}", "long ".repeat(4000)), &["`--text-field NAME`"]);
        check("id,text\n1,\"the company said\"\n2,\"it will sell, soon\"\n", &["looks like CSV"]);
        check("id,text\n1,a\n2,b\n", &["such as `text`"]);
        check("1\ta b\n2\tc d\n", &["looks like TSV"]);
    }

    #[test]
    fn markup_and_markers_are_noticed() {
        check("<!DOCTYPE html><html>", &["HTML or XML"]);
        check("<?xml version='1.0'?>\n<a>", &["HTML or XML"]);
        check("<doc id=1>\na\n</doc>\n<doc>\nb\n</doc>\n<doc>c</doc>\n", &["HTML or XML"]);
        check("<s> the company </s>\n<s> it </s>\n<s> x </s>\n", &["contains `<s>`, `</s>` as text"]);
        check("the <eos> company\n", &["contains `<eos>` as text"]);
    }

    #[test]
    fn carriage_returns_matter_to_characters_only() {
        assert_eq!(notes_with("a\r\nb\r\n", &Tokenizer::chars()).len(), 1);
        for tokenizer in [Tokenizer::words(), Tokenizer::moses(), Tokenizer::bytes()] {
            assert_eq!(notes_with("a\r\nb\r\n", &tokenizer), [""; 0]);
        }
    }

    proptest! {
        #[test]
        fn any_start_can_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "[<>/a-c{}\":,\t\n\r ]{0,60}") {
            let _ = TextLook::of(&bytes);
            let _ = TextLook::of(text.as_bytes());
        }
    }
}
