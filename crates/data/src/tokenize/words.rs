//! Words: splits each line at whitespace.
//!
//! ```text
//! "a b\n\nc"      a b <eos> <eos> c <eos>
//! ```
//!
//! Not here: lowercasing and the removal of punctuation and numbers (`word_form`).

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::kind::{Alignment, AnyKind, Cutter, DEFAULT_EOS, Entry, Joiner, Kind, Named, Output, TextCutter};
use super::word_form::WordForm;
use super::{BlankLines, Punctuation, TokenizerOptions};
use crate::Result;

/// The entry of this kind.
pub(super) const ENTRY: &Entry = &Entry {
    name: "words",
    read: |fields| Ok(Arc::new(Words::from(serde_json::from_value::<Fields>(Value::Object(fields))?))),
    alignment: Alignment::Chunks,
};

/// How it is created.
pub(super) const NAMED: &Named = &Named { entry: ENTRY, make, fit: |_, eos, options| make(eos, options) };

/// The word tokenizer: splits at Unicode whitespace.
#[derive(Debug, Clone)]
struct Words {
    eos: Option<String>,
    blank_lines: BlankLines,
    form: WordForm,
}

/// Its JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default = "default_eos", deserialize_with = "read_eos")]
    eos: Option<String>,
    #[serde(default)]
    blank_lines: BlankLines,
    #[serde(default)]
    lowercase: bool,
    #[serde(default)]
    punctuation: Punctuation,
    #[serde(default)]
    number_token: String,
}

impl From<Fields> for Words {
    fn from(fields: Fields) -> Self {
        let Fields { eos, blank_lines, lowercase, punctuation, number_token } = fields;
        let number_token = Some(number_token).filter(|token| !token.is_empty());
        Self { eos, blank_lines, form: WordForm { lowercase, punctuation, number_token } }
    }
}

fn make(eos: Option<&str>, options: &TokenizerOptions) -> AnyKind {
    Arc::new(Words::from(Fields {
        eos: eos.map(str::to_owned),
        blank_lines: options.blank_lines.unwrap_or_default(),
        lowercase: options.lowercase.unwrap_or_default(),
        punctuation: options.punctuation.unwrap_or_default(),
        number_token: options.number_token.clone().unwrap_or_default(),
    }))
}

impl Kind for Words {
    fn entry(&self) -> &'static Entry {
        ENTRY
    }

    fn with(&self, eos: Option<&str>, options: &TokenizerOptions) -> AnyKind {
        make(eos, options)
    }

    fn is_of_words(&self) -> bool {
        true
    }

    fn eos(&self) -> Option<&str> {
        self.eos.as_deref()
    }

    fn options(&self) -> TokenizerOptions {
        let WordForm { lowercase, punctuation, number_token } = &self.form;
        TokenizerOptions {
            blank_lines: Some(self.blank_lines),
            lowercase: Some(*lowercase),
            punctuation: Some(*punctuation),
            number_token: Some(number_token.clone().unwrap_or_default()),
            ..TokenizerOptions::default()
        }
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let WordForm { lowercase, punctuation, number_token } = &self.form;
        let mut fields =
            vec![("eos", write_eos(self.eos())), ("blank_lines", self.blank_lines.name().into())];
        // For words as they are in the text, the JSON and its hash are those of versions without these options.
        if *lowercase {
            fields.push(("lowercase", true.into()));
        }
        if *punctuation != Punctuation::Keep {
            fields.push(("punctuation", punctuation.name().into()));
        }
        if let Some(token) = number_token {
            fields.push(("number_token", token.as_str().into()));
        }
        fields
    }

    fn cutter(&self) -> Cutter {
        let words = self.clone();
        Cutter::Text(Box::new(WordCutter { words, partial_word: String::new(), line_has_word: false }))
    }

    fn joiner(&self) -> Box<dyn Joiner> {
        Box::new(WordJoiner { eos: self.eos.clone(), at_line_start: true })
    }
}

impl Words {
    /// Passes on the token of a word; returns whether it has one.
    fn pass_on(&self, word: &str, out: &mut Output<'_>) -> Result<bool> {
        match self.form.token(word, self.eos()) {
            Some(token) => out.token(&token).map(|()| true),
            None => Ok(false),
        }
    }
}

/// Splits text at whitespace.
#[derive(Debug)]
struct WordCutter {
    words: Words,
    /// The start of a word that can continue in the next piece.
    partial_word: String,
    /// Whether the current line contains a word of which something remains.
    line_has_word: bool,
}

impl TextCutter for WordCutter {
    fn feed(&mut self, text: &str, out: &mut Output<'_>) -> Result<()> {
        for part in text.split_inclusive('\n') {
            self.feed_line(part, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, line_open: bool, close: bool, out: &mut Output<'_>) -> Result<()> {
        self.end_word(out)?;
        if line_open && close { self.end_line(out) } else { Ok(()) }
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.partial_word.capacity()
    }
}

impl WordCutter {
    /// Takes a part of one line or the whole line, with its line ending if the part extends that far.
    fn feed_line(&mut self, part: &str, out: &mut Output<'_>) -> Result<()> {
        let mut rest = part;
        if !self.partial_word.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.partial_word.push_str(&rest[..end]);
            rest = &rest[end..];
            if rest.is_empty() {
                return Ok(());
            }
            self.end_word(out)?;
        }
        // Only whitespace ends a word: the text after the last whitespace can continue in the next piece.
        let complete = rest.trim_end_matches(|char: char| !char.is_whitespace());
        for word in complete.split_whitespace() {
            self.line_has_word |= self.words.pass_on(word, out)?;
        }
        self.partial_word.push_str(&rest[complete.len()..]);
        if part.ends_with('\n') {
            self.end_line(out)?;
            out.end_line();
        }
        Ok(())
    }

    fn end_word(&mut self, out: &mut Output<'_>) -> Result<()> {
        if self.partial_word.is_empty() {
            return Ok(());
        }
        self.line_has_word |= self.words.pass_on(&self.partial_word, out)?;
        self.partial_word.clear();
        Ok(())
    }

    /// Ends the current line with its end-of-line token.
    fn end_line(&mut self, out: &mut Output<'_>) -> Result<()> {
        let has_end = self.line_has_word || self.words.blank_lines == BlankLines::Keep;
        self.line_has_word = false;
        match &self.words.eos {
            Some(eos) if has_end => out.token(eos),
            _ => Ok(()),
        }
    }
}

/// Joins words by single spaces, with a line ending for each end-of-line token.
#[derive(Debug)]
struct WordJoiner {
    eos: Option<String>,
    at_line_start: bool,
}

impl Joiner for WordJoiner {
    fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        if self.eos.as_deref() == Some(token) {
            text.push(b'\n');
            self.at_line_start = true;
            return;
        }
        if !self.at_line_start {
            text.push(b' ');
        }
        text.extend_from_slice(token.as_bytes());
        self.at_line_start = false;
    }
}

/// The end-of-line token of words if the JSON does not contain one.
pub(super) fn default_eos() -> Option<String> {
    Some(DEFAULT_EOS.to_owned())
}

/// An end-of-line token as JSON: a missing field means the default, so "none" is an empty string.
pub(super) fn write_eos(eos: Option<&str>) -> Value {
    eos.unwrap_or_default().into()
}

/// Parses the output of [`write_eos`].
pub(super) fn read_eos<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<String>, D::Error> {
    let eos = String::deserialize(deserializer)?;
    Ok((!eos.is_empty()).then_some(eos))
}
