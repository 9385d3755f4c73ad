//! Splits English sentences into words and punctuation by the rules of the Moses tokenizer, and joins them again.
//!
//! ```text
//! He said, "It's well-known."      tokenize     He said , " It 's well-known . "
//! He said , " It 's well @-@ known . "      detokenize      He said, "It's well-known."
//! ```
//!
//! The published corpora of running text (WikiText, the One Billion Word Benchmark) were tokenized by these
//! rules, so a model with their vocabulary reads other texts correctly only if they are tokenized in the same
//! way.
//!
//! *Source*: Koehn et al. 2007, `tokenizer.perl` and `detokenizer.perl`, as in `sacremoses` (`lang="en"`, without
//! escaping). Agreement with sacremoses 0.2.0 is measured by `tests/own_text.rs` on whole books, with the output of
//! `golden/make_own_text.py`; see `golden/README.md`, section *Own text*.
//!
//! A special token in angle brackets at the start of a word, such as `<unk>`, stays one token.
//!
//! Promises: the tokens of a sentence contain all its characters in order, except whitespace and control characters.
//! Not here: sentences ([`sentences`](crate::sentences)), escapes such as `&apos;`, protected patterns, other
//! languages, though the letters and signs of all scripts are parts of words. Curly quotes are kept as they are, so `don’t` is three tokens, as in `sacremoses`.

mod classes;
mod detokenize;
mod prefixes;

pub(crate) use classes::{is_decimal, is_space};
pub use detokenize::{Detokenized, detokenize};

use std::ops::Range;

use serde::{Deserialize, Serialize};

use classes::{is_alphanumeric, is_letter};

/// How a dash, comma or period inside a word or number is handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Joints {
    /// It is kept: `well-known`, `1,000`, `2.5`.
    #[default]
    Keep,
    /// Dashes are split: `well @-@ known`, `1,000`, `2.5`; the Moses option `aggressive_dash_splits`.
    Dashes,
    /// All are split, as in WikiText: `well @-@ known`, `1 @,@ 000`, `2 @.@ 5`.
    All,
}

impl Joints {
    /// The name in recipes, flags and model files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Dashes => "dashes",
            Self::All => "all",
        }
    }
}

/// Splits a sentence into tokens.
///
/// ```
/// use rondo_data::moses::{Joints, tokenize};
///
/// let tokens = tokenize("Mr. Hyde's 1,000 well-known words...", Joints::Keep);
/// assert_eq!(tokens, ["Mr.", "Hyde", "'s", "1,000", "well-known", "words", "..."]);
/// assert_eq!(tokenize("2.5 half-hours", Joints::All), ["2", "@.@", "5", "half", "@-@", "hours"]);
/// ```
#[must_use]
pub fn tokenize(sentence: &str, joints: Joints) -> Vec<String> {
    let mut tokens = Vec::new();
    Moses::default()
        .for_each_token(sentence, joints, |token| {
            tokens.push(token.to_owned());
            Ok::<_, std::convert::Infallible>(())
        })
        .unwrap_or_else(|never| match never {});
    tokens
}

/// The position of the first special token, such as `<unk>` or `<eos>`, at the start of a word.
fn find_sign(text: &str) -> Option<Range<usize>> {
    text.match_indices('<').find_map(|(start, _)| {
        // Only the name is searched: searching the rest of the text for a closing bracket would take quadratic
        // time if many opening brackets have none.
        let after = &text[start + 1..];
        let name_len = after.find(|char: char| !char.is_alphanumeric()).filter(|&len| len > 0)?;
        let begins_a_word = text[..start].chars().next_back().is_none_or(char::is_whitespace);
        (begins_a_word && after[name_len..].starts_with('>')).then(|| start..start + name_len + 2)
    })
}

/// The tokenizer with its buffers, which can be used for many sentences.
#[derive(Debug, Default)]
pub struct Moses {
    from: Vec<char>,
    to: Vec<char>,
    token: String,
}

impl Moses {
    /// Visits the tokens of a sentence in order.
    ///
    /// # Errors
    /// Any error returned by `visit`, which stops the visits.
    pub fn for_each_token<E>(
        &mut self,
        sentence: &str,
        joints: Joints,
        mut visit: impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = sentence;
        while let Some(sign) = find_sign(rest) {
            self.part(&rest[..sign.start], joints, &mut visit)?;
            visit(&rest[sign.clone()])?;
            rest = &rest[sign.end..];
        }
        self.part(rest, joints, &mut visit)
    }

    /// Visits the tokens of the text between two special tokens.
    fn part<E>(
        &mut self,
        sentence: &str,
        joints: Joints,
        visit: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.part_symbols(sentence);
        if joints != Joints::Keep {
            self.pass(part_dashes);
        }
        // Each pass processes the output of the previous one, so the order is the same as in Moses.
        if self.has('.') {
            self.pass(part_multiple_dots);
        }
        if self.has(',') {
            self.pass(part_commas);
        }
        if self.has('\'') {
            self.pass(|from, to| part_apostrophes(from, to, |l| !is_letter(l), |r| !is_letter(r), " ' "));
            let neither = |l: char| !is_letter(l) && !l.is_numeric();
            self.pass(|from, to| part_apostrophes(from, to, neither, is_letter, " ' "));
            self.pass(|from, to| part_apostrophes(from, to, is_letter, |r| !is_letter(r), " ' "));
            self.pass(|from, to| part_apostrophes(from, to, is_letter, is_letter, " '"));
            self.pass(|from, to| part_apostrophes(from, to, char::is_numeric, |r| r == 's', " '"));
        }
        self.visit_tokens(joints, visit)
    }

    fn has(&self, char: char) -> bool {
        self.from.contains(&char)
    }

    fn pass(&mut self, pass: impl FnOnce(&[char], &mut Vec<char>)) {
        self.to.clear();
        pass(&self.from, &mut self.to);
        std::mem::swap(&mut self.from, &mut self.to);
    }

    /// Reads the sentence: whitespace becomes single spaces, control characters are removed, symbols are separated.
    fn part_symbols(&mut self, sentence: &str) {
        self.from.clear();
        let mut after_space = true;
        for char in sentence.chars() {
            if is_space(char) {
                if !after_space {
                    self.from.push(' ');
                }
                after_space = true;
                continue;
            }
            if char < ' ' {
                continue;
            }
            after_space = false;
            if is_alphanumeric(char) || matches!(char, '.' | '\'' | '`' | ',' | '-') {
                self.from.push(char);
            } else {
                self.from.extend([' ', char, ' ']);
            }
        }
        if after_space {
            self.from.pop(); // The sentence ends before it.
        }
    }

    /// Visits the words between spaces; a period that ends a sentence and no abbreviation is a separate token.
    fn visit_tokens<E>(
        &mut self,
        joints: Joints,
        visit: &mut impl FnMut(&str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = self.from.split(|&char| char == ' ').filter(|token| !token.is_empty()).peekable();
        while let Some(token) = rest.next() {
            let next = rest.peek().and_then(|next| next.first().copied());
            match token {
                [prefix @ .., '.'] if ends_with_full_stop(prefix, next) => {
                    visit_joined(prefix, joints, &mut self.token, visit)?;
                    visit(".")?;
                }
                // At the end of the text, a period before an apostrophe is split off, too.
                [prefix @ .., '.', '\''] if next.is_none() => {
                    visit_joined(prefix, joints, &mut self.token, visit)?;
                    visit(".")?;
                    visit("'")?;
                }
                _ => visit_joined(token, joints, &mut self.token, visit)?,
            }
        }
        Ok(())
    }
}

/// Whether the period after `prefix` is a separate token, if `next` is the start of the next token.
fn ends_with_full_stop(prefix: &[char], next: Option<char>) -> bool {
    let is_dots = prefix.iter().all(|&char| char == '.'); // The whole token is a period or an ellipsis.
    let is_dotted = prefix.contains(&'.') && prefix.iter().any(|&char| is_letter(char));
    if is_dots || is_dotted || next.is_some_and(char::is_lowercase) {
        return false;
    }
    !prefixes::is_non_breaking(prefix, next.is_some_and(|next| next.is_ascii_digit()))
}

/// Visits a token, or its parts and the joints between them.
fn visit_joined<E>(
    token: &[char],
    joints: Joints,
    text: &mut String,
    visit: &mut impl FnMut(&str) -> Result<(), E>,
) -> Result<(), E> {
    text.clear();
    for (index, &char) in token.iter().enumerate() {
        let is_joint = joints == Joints::All
            && matches!(char, ',' | '.')
            && index > 0
            && token[index - 1].is_ascii_digit()
            && token.get(index + 1).is_some_and(char::is_ascii_digit);
        if is_joint {
            visit(text)?;
            visit(if char == ',' { "@,@" } else { "@.@" })?;
            text.clear();
        } else {
            text.push(char);
        }
    }
    if text.is_empty() { Ok(()) } else { visit(text) }
}

/// `a-b` becomes `a @-@ b`.
fn part_dashes(from: &[char], to: &mut Vec<char>) {
    for (index, &char) in from.iter().enumerate() {
        let is_inside = char == '-'
            && index > 0
            && is_alphanumeric(from[index - 1])
            && from.get(index + 1).is_some_and(|&next| is_alphanumeric(next));
        if is_inside {
            to.extend(" @-@ ".chars());
        } else {
            to.push(char);
        }
    }
}

/// Two or more periods form one token.
fn part_multiple_dots(from: &[char], to: &mut Vec<char>) {
    for run in from.chunk_by(|a, b| (*a == '.') == (*b == '.')) {
        let is_multiple = run.len() > 1 && run[0] == '.';
        if is_multiple {
            to.push(' ');
        }
        to.extend(run);
        if is_multiple {
            to.push(' ');
        }
    }
}

/// A comma is a token unless it is between digits.
///
/// A comma between another comma and a digit is split only from the first comma: Moses consumes a comma together with
/// the character before it, and does not look at that character again.
fn part_commas(from: &[char], to: &mut Vec<char>) {
    let mut consumed = false; // Whether the last character was a comma that was consumed.
    for (index, &char) in from.iter().enumerate() {
        if char != ',' {
            to.push(char);
            consumed = false;
            continue;
        }
        let before = index.checked_sub(1).map(|before| from[before]);
        let parted_before = !consumed && before.is_some_and(|before| !before.is_numeric());
        let parted = parted_before
            || match from.get(index + 1) {
                Some(next) => !next.is_numeric(),
                None => before.is_some_and(char::is_numeric),
            };
        if parted {
            to.extend([' ', ',', ' ']);
        } else {
            to.push(',');
        }
        consumed = parted_before;
    }
}

/// Replaces `x'y` by x, `parted` and y if `left` accepts x and `right` accepts y; y is not considered as an x again.
fn part_apostrophes(
    from: &[char],
    to: &mut Vec<char>,
    left: impl Fn(char) -> bool,
    right: impl Fn(char) -> bool,
    parted: &str,
) {
    let mut rest = from;
    while let Some(&first) = rest.first() {
        if let [x, '\'', y, tail @ ..] = rest
            && left(*x)
            && right(*y)
        {
            to.push(*x);
            to.extend(parted.chars());
            to.push(*y);
            rest = tail;
        } else {
            to.push(first);
            rest = &rest[1..];
        }
    }
}

#[cfg(test)]
mod tests;
