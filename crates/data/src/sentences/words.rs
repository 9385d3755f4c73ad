//! The words of Punkt: punctuation is split off, except a period at the end of a word.

use crate::moses::{is_decimal, is_space};

/// A word of a text and its marks.
#[derive(Debug, Clone)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    /// The word in lowercase; `##number##` for a number.
    pub(super) kind: String,
    /// Whether it is the first word of a line.
    pub(super) begins_line: bool,
    pub(super) begins_paragraph: bool,
    /// Whether a sentence ends with it.
    pub(super) is_break: bool,
    pub(super) is_abbreviation: bool,
    pub(super) is_ellipsis: bool,
}

/// The kind of numbers.
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

    /// The kind without a final period.
    pub(super) fn kind_without_stop(&self) -> &str {
        if self.kind.len() > 1 { self.kind.strip_suffix('.').unwrap_or(&self.kind) } else { &self.kind }
    }

    /// The kind without the period that ends a sentence.
    pub(super) fn kind_in_sentence(&self) -> &str {
        if self.is_break { self.kind_without_stop() } else { &self.kind }
    }

    pub(super) fn is_number(&self) -> bool {
        self.kind.starts_with(NUMBER)
    }

    /// Whether it is an initial: a letter and a period.
    pub(super) fn is_initial(&self) -> bool {
        let mut chars = self.text.chars();
        chars.next().is_some_and(is_letter) && chars.as_str() == "."
    }

    pub(super) fn is_alphabetic(&self) -> bool {
        self.text.chars().all(is_letter)
    }

    /// Whether it contains more than punctuation.
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

/// The words of a text, with the starts of lines and paragraphs marked.
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

/// Whether a sentence can end with `char`.
pub(super) fn is_sentence_end(char: char) -> bool {
    matches!(char, '.' | '?' | '!')
}

/// Whether `char` cannot be inside a word.
pub(super) fn is_non_word(char: char) -> bool {
    const CURLY: [char; 6] = ['\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '«', '»'];
    matches!(char, ')' | '"' | ';' | '}' | ']' | '*' | ':' | '@' | '\'' | '(' | '{' | '[' | '?' | '!')
        || CURLY.contains(&char)
}

/// Whether `char` is a letter as defined by Punkt: a word character that is not a decimal digit.
pub(super) fn is_letter(char: char) -> bool {
    (char.is_alphanumeric() || char == '_') && !is_decimal(char)
}

/// The length of the word at the start of `text`, which does not start with whitespace.
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

/// The length of a dash, an ellipsis or a spaced ellipsis at the start of `text`: `--`, `...`, `. . .`
fn run_len(text: &str) -> Option<usize> {
    let run = |char: char| text.len() - text.trim_start_matches(char).len();
    match text.as_bytes().first()? {
        b'-' => Some(run('-')).filter(|&len| len > 1),
        b'.' => Some(run('.')).filter(|&len| len > 1).or_else(|| spaced_dots_len(text)),
        _ => None,
    }
}

/// The length of three or more periods separated by single spaces.
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

/// Whether `text` is a number: digits with periods, commas and dashes, and an optional sign.
fn is_numeral(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let unsigned = unsigned.strip_prefix(['.', ',']).unwrap_or(unsigned);
    unsigned.starts_with(is_decimal)
        && unsigned.chars().all(|char| is_decimal(char) || matches!(char, ',' | '.' | '-'))
}
