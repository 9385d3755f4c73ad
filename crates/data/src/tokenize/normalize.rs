//! Unicode normalization of a text before it is split into tokens.
//!
//! ```text
//! e ◌́          nfc   é          one character for a letter and its accents
//! ﬁ ²          nfkc  f i 2      and for characters that are variants of others
//! ```
//!
//! Promises: the result does not depend on how a text is split into pieces, and equals that of normalizing the text as
//! a whole, except within more than [`MOST_BYTES`] of combining characters in a row; a complete line is passed on at
//! once. Not here: case, whitespace.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{
    IsNormalized, UnicodeNormalization, is_nfc, is_nfc_quick, is_nfkc, is_nfkc_quick,
};

use crate::Result;

/// The most that is held back until it is known that it changes no more.
const MOST_BYTES: usize = 1 << 12;

/// How a text is normalized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// It is used as it is.
    #[default]
    None,
    /// Unicode normalization form C: letters and their accents are composed.
    Nfc,
    /// Unicode normalization form KC: in addition, compatibility variants, such as ligatures and full-width letters, are
    /// replaced.
    Nfkc,
}

impl Normalization {
    /// All forms.
    pub const ALL: [Self; 3] = [Self::None, Self::Nfc, Self::Nfkc];

    /// The name in recipes, flags and model files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nfc => "nfc",
            Self::Nfkc => "nfkc",
        }
    }

    /// The normalized text.
    ///
    /// ```
    /// use rondo_data::Normalization;
    ///
    /// assert_eq!(Normalization::Nfc.normalize("cafe\u{301}"), "café");
    /// assert_eq!(Normalization::Nfkc.normalize("ﬁx²"), "fix2");
    /// ```
    #[must_use]
    pub fn normalize(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Nfc if !is_nfc(text) => text.nfc().collect::<String>().into(),
            Self::Nfkc if !is_nfkc(text) => text.nfkc().collect::<String>().into(),
            _ => text.into(),
        }
    }

    /// Whether a text can be split before `char` without changing the normalized text.
    pub(super) fn is_boundary(self, char: char) -> bool {
        let one = std::iter::once(char);
        let is_stable = match self {
            Self::None => return true,
            Self::Nfc => is_nfc_quick(one) == IsNormalized::Yes,
            Self::Nfkc => is_nfkc_quick(one) == IsNormalized::Yes,
        };
        is_stable && canonical_combining_class(char) == 0
    }
}

impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Normalizes a text that is fed in pieces, which can end anywhere.
#[derive(Debug)]
pub(super) struct Normalizer {
    form: Normalization,
    /// The last boundary, and what follows it: the next piece can change them.
    held: String,
}

impl Normalizer {
    pub(super) fn new(form: Normalization) -> Self {
        Self { form, held: String::new() }
    }

    /// Takes the next piece and passes on what does not change any more.
    pub(super) fn feed(&mut self, text: &str, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        if self.form == Normalization::None {
            return take(text);
        }
        let mut rest = text;
        // Completes what is held back, up to the next boundary.
        if !self.held.is_empty() {
            let end = rest.char_indices().find(|&(_, char)| self.form.is_boundary(char));
            let end = end.map_or(rest.len(), |(end, _)| end);
            self.hold(&rest[..end], take)?;
            rest = &rest[end..];
            if rest.is_empty() {
                return Ok(());
            }
            self.finish(take)?;
        }
        // A line end is never changed by what follows it.
        let last = if rest.ends_with('\n') {
            rest.len()
        } else {
            let last = rest.char_indices().rev().find(|&(_, char)| self.form.is_boundary(char));
            last.map_or(0, |(at, _)| at)
        };
        if last > 0 {
            take(&self.form.normalize(&rest[..last]))?;
        }
        self.hold(&rest[last..], take)
    }

    /// Ends the text.
    pub(super) fn finish(&mut self, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = std::mem::take(&mut self.held);
        let result = take(&self.form.normalize(&held));
        self.held = held; // Reuses its memory.
        self.held.clear();
        result
    }

    /// Holds back `text`, character by character so that a limit is reached at the same place for any pieces.
    fn hold(&mut self, text: &str, take: &mut impl FnMut(&str) -> Result<()>) -> Result<()> {
        if self.held.len() + text.len() <= MOST_BYTES {
            self.held.push_str(text);
            return Ok(());
        }
        for char in text.chars() {
            if self.held.len() + char.len_utf8() > MOST_BYTES {
                self.finish(take)?;
            }
            self.held.push(char);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.held.capacity()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The normalized text, fed in pieces that end after these numbers of characters.
    fn in_pieces(form: Normalization, text: &str, lens: &[usize]) -> String {
        let (mut normalizer, mut all) = (Normalizer::new(form), String::new());
        let mut take = |piece: &str| {
            all.push_str(piece);
            Ok(())
        };
        let chars: Vec<char> = text.chars().collect();
        let (mut rest, mut lens) = (chars.as_slice(), lens.iter().cycle());
        while !rest.is_empty() {
            let len = lens.next().map_or(rest.len(), |&len| len.clamp(1, rest.len()));
            normalizer.feed(&rest[..len].iter().collect::<String>(), &mut take).unwrap();
            rest = &rest[len..];
        }
        normalizer.finish(&mut take).unwrap();
        all
    }

    #[test]
    fn letters_are_composed_across_pieces() {
        assert_eq!(in_pieces(Normalization::Nfc, "cafe\u{301} e\u{301}\u{323}", &[1]), "café ẹ\u{301}");
        // Korean syllables are composed of up to three letters.
        assert_eq!(in_pieces(Normalization::Nfc, "\u{1112}\u{1161}\u{11ab}", &[1]), "한");
        assert_eq!(in_pieces(Normalization::Nfkc, "ﬁ Ａ½", &[2]), "fi A1⁄2");
        assert_eq!(in_pieces(Normalization::None, "e\u{301}ﬁ", &[1]), "e\u{301}ﬁ");
    }

    #[test]
    fn a_complete_line_is_passed_on_at_once() {
        let (mut normalizer, mut seen) = (Normalizer::new(Normalization::Nfc), String::new());
        let mut take = |piece: &str| {
            seen.push_str(piece);
            Ok(())
        };
        normalizer.feed("ae", &mut take).unwrap();
        normalizer.feed("\u{301}\n", &mut take).unwrap();
        normalizer.feed("\n", &mut take).unwrap();
        assert_eq!(seen, "aé\n\n");
    }

    #[test]
    fn little_is_held_back() {
        let mut normalizer = Normalizer::new(Normalization::Nfc);
        for _ in 0..1000 {
            normalizer.feed(&"\u{301}\u{323}".repeat(1000), &mut |_| Ok(())).unwrap();
            assert!(normalizer.held_bytes() <= 2 * MOST_BYTES);
        }
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            text in "([ae가한ﬁ²\n ]|[\u{300}-\u{328}]|[\u{1100}-\u{1112}]|[\u{1161}-\u{1175}]|[\u{11a8}-\u{11c2}]|\u{958}|\u{915}\u{93c}|\u{f73}|.){0,30}",
            lens in prop::collection::vec(1usize..4, 1..5),
            form in prop::sample::select(Normalization::ALL.to_vec()),
        ) {
            prop_assert_eq!(in_pieces(form, &text, &lens), form.normalize(&text));
        }
    }
}
