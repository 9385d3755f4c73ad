//! The form of words: lowercase, without punctuation, with one token for all numbers.
//!
//! ```text
//! in the text       “Don’t    U.S.,    mother-in-law’s    $1,234.50    —    naïve?!    <unk>.
//! token             don’t     u.s      mother-in-law’s    <num>             naïve      <unk>
//! ```
//!
//! With all three options, in this order:
//!
//! 1. A special token stays as it is: the end-of-line token, the number token, and a name in angle brackets, such as
//!    `<unk>` or `</s>`, which consists of ASCII letters, digits and `_`, `-`, `/`, `|`. Punctuation around it is
//!    removed.
//! 2. Punctuation is removed at both ends of a word: the token begins with the first letter or digit, and ends with
//!    the last one and the combining marks after it. Punctuation inside a word stays. Nothing remains of a word without
//!    letters and digits.
//! 3. What is left is a number if it consists of digits, with single separators (`.` `,` `:` `/` `'` `-` `–`) between
//!    them: `1,234.5`, `12:30`, `1990-91`, but not `1990s` or `3rd`.
//! 4. Any other word is lowercased.
//!
//! Letters and digits are the characters that are alphabetic or numeric in Unicode. Punctuation is everything else, such
//! as symbols and emoji.
//!
//! Promises: each word gives one token or none, independently of its neighbors; a token gives itself.
//! Not here: what a word is (`words`), Unicode normalization (`normalize`).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_normalization::char::is_combining_mark;

/// What can stand between the digits of a number; the last two are the Arabic decimal and thousands separators.
const SEPARATORS: [char; 9] = ['.', ',', ':', '/', '\'', '-', '–', '\u{66b}', '\u{66c}'];

/// Zero-width characters that can end a word of Persian or Indic scripts.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// How the punctuation and symbols at the ends of words are handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Punctuation {
    /// They are part of the word.
    #[default]
    Keep,
    /// They are removed, and so are words without letters and digits.
    Remove,
}

impl Punctuation {
    /// The name in recipes, flags and model files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
        }
    }
}

/// The form that words get.
#[derive(Debug, Clone, Default)]
pub(super) struct WordForm {
    pub(super) lowercase: bool,
    pub(super) punctuation: Punctuation,
    /// The token of all numbers; without it, each number is a word.
    pub(super) number_token: Option<String>,
}

impl WordForm {
    /// The token of a word, or `None` if nothing remains of it. `eos` is the end-of-line token.
    pub(super) fn token<'a>(&'a self, word: &'a str, eos: Option<&str>) -> Option<Cow<'a, str>> {
        if !self.lowercase && self.punctuation == Punctuation::Keep && self.number_token.is_none() {
            return Some(word.into());
        }
        let (outer, inner) = match self.punctuation {
            Punctuation::Keep => (word, word),
            Punctuation::Remove => {
                let is_outside = |char: char| !char.is_alphanumeric() && !matches!(char, '<' | '>');
                (word.trim_matches(is_outside), without_punctuation(word))
            }
        };
        let number_token = self.number_token.as_deref();
        if let Some(special) = [word, outer]
            .into_iter()
            .find(|word| is_bracketed(word) || eos == Some(*word) || number_token == Some(*word))
        {
            return Some(special.into());
        }
        match number_token {
            _ if inner.is_empty() => None,
            Some(token) if is_number(inner) => Some(token.into()),
            _ if self.lowercase => Some(lowercase(inner)),
            _ => Some(inner.into()),
        }
    }
}

/// Whether a word is a name in angle brackets.
fn is_bracketed(word: &str) -> bool {
    let name = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    name.is_some_and(|name| {
        let fits = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '/' | '|');
        name.chars().all(fits) && name.contains(|char: char| char.is_ascii_alphanumeric())
    })
}

/// The part of a word from its first letter or digit to its last, with the marks that follow that.
fn without_punctuation(word: &str) -> &str {
    let Some(start) = word.find(char::is_alphanumeric) else { return "" };
    let rest = &word[start..];
    let end = rest.trim_end_matches(|char: char| !char.is_alphanumeric()).len();
    let continues = |char: char| is_combining_mark(char) || JOINERS.contains(&char);
    let marks = rest[end..].find(|char| !continues(char)).unwrap_or(rest.len() - end);
    &rest[..end + marks]
}

/// Whether a word consists of digits with single separators between them.
fn is_number(word: &str) -> bool {
    word.split(SEPARATORS).all(|digits| !digits.is_empty() && digits.chars().all(char::is_numeric))
}

fn lowercase(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return word.into();
    }
    word.to_lowercase().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{BlankLines, Tokenizer, TokenizerOptions};

    /// The tokenizer with these options: lowercase, punctuation removed, numbers replaced.
    fn words(lowercase: bool, punctuation: bool, number_token: &str) -> Tokenizer {
        Tokenizer::words().with_options(TokenizerOptions {
            lowercase: Some(lowercase),
            punctuation: Some(if punctuation { Punctuation::Remove } else { Punctuation::Keep }),
            number_token: Some(number_token.to_owned()),
            ..TokenizerOptions::default()
        })
    }

    fn all() -> Tokenizer {
        words(true, true, "<num>")
    }

    fn tokens(tokenizer: &Tokenizer, text: &str) -> String {
        let mut tokens = Vec::new();
        let visit = |token: &str, _| {
            tokens.push(token.to_owned());
            Ok(())
        };
        tokenizer.for_each_token(text.as_bytes(), "text", visit).unwrap();
        tokens.join(" ")
    }

    #[test]
    fn punctuation_is_removed_at_the_ends_of_words_and_stays_inside() {
        for (text, expected) in [
            ("\"Don't,\" 'tis (the dogs') rock-'n'-roll", "Don't tis the dogs rock-'n'-roll"),
            ("“It’s” well-known… in the U.S., e.g. A&B", "It’s well-known in the U.S e.g A&B"),
            ("_very_ ``good'' [sic] #tag @name 50% $5 -3", "very good sic tag name 50 5 3"),
            ("wait — and/or – no--yes * * * ?! $ %", "wait and/or no--yes"),
            ("¿Qué? «oui» 「はい」 हैं। नमस्ते!", "Qué oui はい हैं नमस्ते"),
            ("nice👍🏽 👩‍💻 ❤️ :-) x\u{ad} \u{200b}y", "nice x y"),
            ("e\u{301}! \u{301} می‌خواهم\u{200c}.", "e\u{301} می‌خواهم\u{200c}"),
        ] {
            assert_eq!(tokens(&words(false, true, "").with_eos(None), text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_become_one_token_and_words_with_digits_stay() {
        let text = "1 1,234.50 12:30 1/2 1990–91 ½ ٣٫٥ 1990s 3rd 1..2 B2 5°C $5, -3 .5 50%";
        let removed = "N N N N N N N 1990s 3rd 1..2 B2 5°C N N N N";
        assert_eq!(tokens(&words(false, true, "N").with_eos(None), text), removed);
        let kept = "N N N N N N N 1990s 3rd 1..2 B2 5°C $5, -3 .5 50%";
        assert_eq!(tokens(&words(false, false, "N").with_eos(None), text), kept);
    }

    #[test]
    fn special_tokens_stay_as_they_are() {
        let text = "<unk>, (<UNK>) <num> </s> <|end|> <eos>. a<b 3<4 <3 <-> NUM <a@b>";
        let expected = "<unk> <UNK> <num> </s> <|end|> <eos> a<b 3<4 <num> num a@b";
        assert_eq!(tokens(&all().with_eos(None), text), expected);
        assert_eq!(tokens(&words(true, true, "NUM").with_eos(None), "\"NUM\" 3 Num"), "NUM NUM num");
        assert_eq!(tokens(&words(true, true, "").with_eos(Some("END")), "END. End"), "END end END");
        assert_eq!(tokens(&words(true, false, ""), "The <UNK> END."), "the <UNK> end. <eos>");
    }

    #[test]
    fn a_line_of_punctuation_is_a_blank_line() {
        let text = "Two words.\n* * *\n\nÀ Σίσυφος ΣΊΣΥΦΟΣ!";
        assert_eq!(tokens(&all(), text), "two words <eos> <eos> <eos> à σίσυφος σίσυφος <eos>");
        let skip = all().with_blank_lines(BlankLines::Skip);
        assert_eq!(tokens(&skip, text), "two words <eos> à σίσυφος σίσυφος <eos>");
    }

    /// Model files contain exactly this text, so it must never change.
    #[test]
    fn only_options_that_change_words_are_in_the_json() {
        let plain = r#"{"kind":"words","eos":"<eos>","blank_lines":"keep"}"#;
        assert_eq!(words(false, false, "").to_json(), plain);
        assert_eq!(words(false, false, ""), Tokenizer::words());
        let json = r#"{"kind":"words","eos":"<eos>","blank_lines":"keep","lowercase":true,"punctuation":"remove","number_token":"<num>"}"#;
        assert_eq!(all().to_json(), json);
        assert_eq!(serde_json::from_str::<Tokenizer>(json).unwrap(), all());
        for other in [words(true, false, ""), words(false, true, ""), words(false, false, "<num>")] {
            assert_eq!(serde_json::from_str::<Tokenizer>(&other.to_json()).unwrap(), other);
            assert_ne!(other, Tokenizer::words());
        }
        let built = Tokenizer::words()
            .with_lowercase(true)
            .with_punctuation(Punctuation::Remove)
            .with_number_token("<num>");
        assert_eq!(built, all());
    }

    proptest! {
        #[test]
        fn a_word_gives_a_token_that_gives_itself_wherever_it_stands(
            word in "([aÉ9½<>'.,$-]|\u{301}|\u{200d}|[^\\s]){1,8}", before in "[aB1.,<> ]{0,6}", capacity in 1usize..5,
            lowercase: bool, punctuation: bool, number_token in prop::sample::select(vec!["", "<num>", "NUM"]),
        ) {
            prop_assume!(!word.contains(['\0', '\u{feff}']));
            let tokenizer = words(lowercase, punctuation, number_token).with_eos(None);
            let token = tokens(&tokenizer, &word);
            prop_assert!(!token.contains(char::is_whitespace));
            prop_assert_eq!(&tokens(&tokenizer, &token), &token);
            let both = [tokens(&tokenizer, &before), token];
            let expected = both.iter().filter(|token| !token.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
            let text = format!("{before} {word}");
            prop_assert_eq!(&tokens(&tokenizer, &text), &expected);
            let mut pieces = Vec::new();
            let reader = std::io::BufReader::with_capacity(capacity, text.as_bytes());
            tokenizer.for_each_token(reader, "text", |token, _| { pieces.push(token.to_owned()); Ok(()) }).unwrap();
            prop_assert_eq!(pieces.join(" "), expected);
        }
    }
}
