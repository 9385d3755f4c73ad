//! The words of Punkt: punctuation parted, but for the full stop of the last word before it.

use crate::moses::{is_decimal, is_space};

/// A word of a text and what has been found out about it.
#[derive(Debug, Clone)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    /// In small letters; `##number##` for a number.
    pub(super) kind: String,
    /// The first word of a line, or of the first line after a blank one.
    pub(super) begins_line: bool,
    pub(super) begins_paragraph: bool,
    /// Whether a sentence ends with it.
    pub(super) is_break: bool,
    pub(super) is_abbreviation: bool,
    pub(super) is_ellipsis: bool,
}

/// What a number counts as.
pub(super) const NUMBER: &str = "##number##";

impl<'t> Word<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let kind = if is_numeral(text) { NUMBER.to_owned() } else { text.to_lowercase() };
        Self {
            text,
            kind,
            begins_line: false,
            begins_paragraph: false,
            is_break: false,
            is_abbreviation: false,
            is_ellipsis: false,
        }
    }

    pub(super) fn ends_in_stop(&self) -> bool {
        self.text.ends_with('.')
    }

    /// The kind without a last full stop.
    pub(super) fn kind_without_stop(&self) -> &str {
        if self.kind.len() > 1 { self.kind.strip_suffix('.').unwrap_or(&self.kind) } else { &self.kind }
    }

    /// The kind without the full stop that ends a sentence.
    pub(super) fn kind_in_sentence(&self) -> &str {
        if self.is_break { self.kind_without_stop() } else { &self.kind }
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind.starts_with(NUMBER)
    }

    /// A letter and a full stop.
    pub(super) fn is_initial(&self) -> bool {
        let mut chars = self.text.chars();
        chars.next().is_some_and(is_letter) && chars.as_str() == "."
    }

    pub(super) fn is_alphabetic(&self) -> bool {
        self.text.chars().all(is_letter)
    }

    /// Whether there is more to it than punctuation.
    pub(super) fn has_letters(&self) -> bool {
        self.kind.chars().any(is_letter)
    }

    pub(super) fn begins_upper(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_uppercase)
    }

    pub(super) fn begins_lower(&self) -> bool {
        self.text.chars().next().is_some_and(char::is_lowercase)
    }
}

/// The words of a text, with the beginnings of lines and paragraphs marked.
pub(super) fn words(text: &str) -> Vec<Word<'_>> {
    let mut all = Vec::new();
    let mut begins_paragraph = false;
    for line in text.split('\n') {
        let first = all.len();
        let mut rest = line.trim_start_matches(is_space);
        while !rest.is_empty() {
            let len = word_len(rest);
            all.push(Word::new(&rest[..len]));
            rest = rest[len..].trim_start_matches(is_space);
        }
        match all.get_mut(first) {
            Some(word) => {
                word.begins_line = true;
                word.begins_paragraph = std::mem::take(&mut begins_paragraph);
            }
            None => begins_paragraph = true,
        }
    }
    all
}

/// Whether a sentence may end with `char`.
pub(super) fn is_sentence_end(char: char) -> bool {
    matches!(char, '.' | '?' | '!')
}

/// Whether `char` cannot stand inside a word.
pub(super) fn is_non_word(char: char) -> bool {
    const CURLY: [char; 6] = ['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '«', '»'];
    matches!(char, ')' | '"' | ';' | '}' | ']' | '*' | ':' | '@' | '\'' | '(' | '{' | '[' | '?' | '!')
        || CURLY.contains(&char)
}

/// A letter as Punkt counts them: what words are made of but decimal digits.
pub(super) fn is_letter(char: char) -> bool {
    (char.is_alphanumeric() || char == '_') && !is_decimal(char)
}

/// The length of the word that `text`, which does not begin with white space, begins with.
fn word_len(text: &str) -> usize {
    if let Some(len) = run_len(text) {
        return len;
    }
    let mut chars = text.char_indices();
    let Some((_, first)) = chars.next() else {
        return 0;
    };
    let begins_word = !matches!(
        first,
        '(' | '"' | '`' | '{' | '[' | ':' | ';' | '&' | '#' | '*' | '@' | ')' | '}' | ']' | '-' | ','
    );
    if !begins_word {
        return first.len_utf8();
    }
    chars.map(|(at, _)| at).find(|&at| ends_word(&text[at..])).unwrap_or(text.len())
}

/// Whether a word ends before `rest`, which is not empty.
fn ends_word(rest: &str) -> bool {
    let ends =
        |rest: &str| rest.starts_with(|char| is_space(char) || is_non_word(char)) || run_len(rest).is_some();
    ends(rest) || rest.strip_prefix(',').is_some_and(|after| after.is_empty() || ends(after))
}

/// The length of a dash, an ellipsis or an ellipsis with spaces that `text` begins with: `--`, `...`, `. . .`
fn run_len(text: &str) -> Option<usize> {
    let run = |char: char| text.len() - text.trim_start_matches(char).len();
    match text.as_bytes().first()? {
        b'-' => Some(run('-')).filter(|&len| len > 1),
        b'.' => Some(run('.')).filter(|&len| len > 1).or_else(|| spaced_dots_len(text)),
        _ => None,
    }
}

/// The length of three or more full stops with one space between each two.
fn spaced_dots_len(text: &str) -> Option<usize> {
    let (mut rest, mut dots) = (text.strip_prefix('.')?, 1);
    let mut len = 1;
    loop {
        let mut chars = rest.chars();
        let Some(after) =
            chars.next().filter(|&char| is_space(char)).and_then(|_| chars.as_str().strip_prefix('.'))
        else {
            return (dots > 2).then_some(len);
        };
        rest = after;
        dots += 1;
        len = text.len() - rest.len();
    }
}

/// Whether `text` is a number: digits with full stops, commas and dashes, and perhaps a sign.
fn is_numeral(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let unsigned = unsigned.strip_prefix(['.', ',']).unwrap_or(unsigned);
    unsigned.starts_with(is_decimal)
        && unsigned.chars().all(|char| is_decimal(char) || matches!(char, ',' | '.' | '-'))
}
