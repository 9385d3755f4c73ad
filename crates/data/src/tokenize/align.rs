//! Finds the part of a text that each of its tokens stands for.
//!
//! ```text
//! text     He said, "It's   2,000."
//! tokens   he said , " it 's 2 @,@ 000 . " <eos>
//! parts    0..2 3..7 7..8 9..10 10..12 12..14 17..18 18..19 19..22 22..23 23..24 24..24
//! ```
//!
//! Tokenizers part, join, lowercase and normalize, so tokens are found by their letters. A token that does not match the
//! text is reported, never guessed.
//!
//! Promises: parts are in order and do not overlap; all characters except whitespace and those that the tokenizer
//! removes belong to a part. Not here: words (`infer`).

use std::ops::Range;

use super::kind::{Alignment, Counts, Cutter, Output};
use super::{Normalization, Tokenizer};
use crate::moses::is_space;

/// What the tokens of a text have to match: characters, each of which is made from a part of the text.
struct Letters {
    letters: Vec<(char, Range<usize>)>,
    used: usize,
}

/// A text as characters, with the bytes that they stand for.
pub(crate) struct Characters {
    text: String,
    /// Where a character stands for more or fewer bytes than it has: its end in `text`, and in the bytes.
    replaced: Vec<(usize, usize)>,
}

impl Characters {
    /// The characters of a text: U+FFFD for invalid UTF-8 and, as lossy reading has it, for NUL.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let (mut text, mut replaced, mut at) = (String::new(), Vec::new(), 0);
        let mut replace = |text: &mut String, at: usize| {
            text.push(char::REPLACEMENT_CHARACTER);
            replaced.push((text.len(), at));
        };
        for chunk in bytes.utf8_chunks() {
            for (index, part) in chunk.valid().split('\0').enumerate() {
                if index > 0 {
                    at += 1;
                    replace(&mut text, at);
                }
                text.push_str(part);
                at += part.len();
            }
            if !chunk.invalid().is_empty() {
                at += chunk.invalid().len();
                replace(&mut text, at);
            }
        }
        Self { text, replaced }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The place in the bytes of a place in the text.
    pub(crate) fn byte(&self, place: usize) -> usize {
        let before = self.replaced.partition_point(|&(end, _)| end <= place);
        match before.checked_sub(1).map(|last| self.replaced[last]) {
            Some((end, byte)) => byte + (place - end),
            None => place,
        }
    }
}

impl Tokenizer {
    /// The bytes of `text` that each of the `tokens` of this line stands for; none for a line end, at the end of the text.
    ///
    /// # Errors
    /// The index of the first token that does not match the text, or the number of tokens if text is left over.
    pub(crate) fn align(&self, text: &[u8], tokens: &[String]) -> Result<Vec<Range<usize>>, usize> {
        // Only the last token can be a line end; the same word in the text is a word.
        let line_end = tokens.last().is_some_and(|last| self.line_end() == Some(last));
        let count = tokens.len() - usize::from(line_end);
        let words = &tokens[..count];
        let alignment = self.alignment();
        let mut parts = if alignment == Alignment::Bytes {
            if count != text.len() {
                return Err(count.min(text.len()));
            }
            (0..count).map(|at| at..at + 1).collect()
        } else {
            let characters = Characters::new(text);
            let mut parts = match alignment {
                Alignment::Chunks => self.align_chunks(characters.text(), words)?,
                Alignment::Own => self.align_spans(characters.text(), words)?,
                _ => self.align_letters(alignment, characters.text(), words)?,
            };
            for part in &mut parts {
                *part = characters.byte(part.start)..characters.byte(part.end);
            }
            parts
        };
        parts.extend(line_end.then_some(text.len()..text.len()));
        Ok(parts)
    }

    /// Each part between whitespace is tokenized on its own.
    fn align_chunks(&self, text: &str, tokens: &[String]) -> Result<Vec<Range<usize>>, usize> {
        let Cutter::Text(mut cutter) = self.cutter() else { return Err(0) };
        let (mut parts, mut counts) = (Vec::<Range<usize>>::new(), Counts::default());
        for chunk in text.split_whitespace() {
            let start = chunk.as_ptr().addr() - text.as_ptr().addr();
            let end = start + chunk.len();
            let mut matches = true;
            let mut visit = |token: &str, _| {
                matches &= tokens.get(parts.len()).is_some_and(|expected| expected == token);
                // If normalization divides a word, the first token stands for all of it.
                let is_first = parts.last().is_none_or(|part| part.end <= start);
                parts.push(if is_first { start..end } else { end..end });
                Ok(())
            };
            let mut out = Output::new(&mut visit, &mut counts);
            let normalized = self.normalization().normalize(chunk);
            // The space ends the word.
            let fed = cutter.feed(&normalized, &mut out).and_then(|()| cutter.feed(" ", &mut out));
            if fed.is_err() || !matches {
                return Err(parts.len().saturating_sub(1));
            }
        }
        if parts.len() == tokens.len() { Ok(parts) } else { Err(parts.len()) }
    }

    /// The tokenizer says where its tokens are. Several can stand for the same character, which belongs to the first.
    fn align_spans(&self, text: &str, tokens: &[String]) -> Result<Vec<Range<usize>>, usize> {
        let spans = self.spans(text).ok_or(0_usize)?;
        let same = spans.iter().zip(tokens).take_while(|((found, _), token)| found == *token).count();
        if same < spans.len() || same < tokens.len() {
            return Err(same);
        }
        let mut end = 0;
        let mut part = |range: Range<usize>| {
            let part = range.start.max(end)..range.end.max(end);
            end = part.end;
            part
        };
        Ok(spans.into_iter().map(|(_, range)| part(range)).collect())
    }

    /// The characters of the tokens are those of the text.
    fn align_letters(
        &self,
        alignment: Alignment,
        text: &str,
        tokens: &[String],
    ) -> Result<Vec<Range<usize>>, usize> {
        let is_running_text = alignment == Alignment::Letters;
        let lowercase = is_running_text && self.options().lowercase == Some(true);
        let mut letters = Letters { letters: Vec::with_capacity(text.len()), used: 0 };
        for (start, part) in normalizable(text, self.normalization()) {
            let range = start..start + part.len();
            for char in self.normalization().normalize(part).chars() {
                if is_running_text && (is_space(char) || char < ' ') {
                    continue;
                }
                if lowercase {
                    letters.letters.extend(char.to_lowercase().map(|char| (char, range.clone())));
                } else {
                    letters.letters.push((char, range.clone()));
                }
            }
        }
        let mut parts = Vec::with_capacity(tokens.len());
        for (index, token) in tokens.iter().enumerate() {
            let part =
                letters.take(token).or_else(|| letters.take(joint(token).filter(|_| is_running_text)?));
            parts.push(part.ok_or(index)?);
        }
        if letters.used < letters.letters.len() {
            return Err(tokens.len());
        }
        // A character that normalization or lowercasing makes several of belongs to the first token.
        let mut end = 0;
        for part in &mut parts {
            *part = part.start.max(end)..part.end.max(end);
            end = part.end;
        }
        Ok(parts)
    }
}

impl Letters {
    /// The part of the text that has the letters of `token`, which come next.
    fn take(&mut self, token: &str) -> Option<Range<usize>> {
        let rest = &self.letters[self.used..];
        let count = token.chars().count();
        let found = count > 0 && token.chars().eq(rest.iter().take(count).map(|&(letter, _)| letter));
        let (first, last) = (rest.first()?, rest.get(count.checked_sub(1)?)?);
        let part = found.then_some(first.1.start..last.1.end)?;
        self.used += count;
        Some(part)
    }
}

/// The text of a joint such as `@-@`.
fn joint(token: &str) -> Option<&str> {
    match token {
        "@-@" => Some("-"),
        "@,@" => Some(","),
        "@.@" => Some("."),
        _ => None,
    }
}

/// The shortest parts of a text that are normalized independently, with their places.
fn normalizable(text: &str, form: Normalization) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let end = rest.char_indices().skip(1).find(|&(_, char)| form.is_boundary(char));
        let part = &rest[..end.map_or(rest.len(), |(end, _)| end)];
        let at = start;
        start += part.len();
        Some((at, part))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Joints, Punctuation, TextCodec, Vocab};

    /// The tokens of a line with the text of their parts.
    fn aligned(tokenizer: &Tokenizer, text: &[u8]) -> Result<Vec<(String, String)>, usize> {
        let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "\n"], Some("<unk>")).unwrap();
        let mut encoder = TextCodec::new(tokenizer.clone(), vocab).lossy(true).line_encoder("test");
        let tokens = encoder.encode(text).unwrap().tokens;
        let tokens: Vec<String> = tokens.iter().map(str::to_owned).collect();
        let parts = tokenizer.align(text, &tokens)?;
        let shown = |part: Range<usize>| String::from_utf8_lossy(&text[part]).into_owned();
        Ok(tokens.into_iter().zip(parts.into_iter().map(shown)).collect())
    }

    #[track_caller]
    fn check(tokenizer: &Tokenizer, text: &str, expected: &[(&str, &str)]) {
        let found = aligned(tokenizer, text.as_bytes()).unwrap();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(token, part)| (token.as_str(), part.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn words_are_found_between_whitespace() {
        let words = Tokenizer::words();
        check(&words, " a  b\u{a0}c", &[("a", "a"), ("b", "b"), ("c", "c"), ("<eos>", "")]);
        check(&words, "<eos> a", &[("<eos>", "<eos>"), ("a", "a"), ("<eos>", "")]);
        check(&words, "", &[("<eos>", "")]);
        let plain =
            words.with_lowercase(true).with_punctuation(Punctuation::Remove).with_number_token("<num>");
        check(&plain, "“Don’t — $2,000!”", &[("don’t", "“Don’t"), ("<num>", "$2,000!”"), ("<eos>", "")]);
        let nfkc = words.with_normalization(Normalization::Nfkc);
        check(&nfkc, "ﬁ e\u{301}", &[("fi", "ﬁ"), ("é", "e\u{301}"), ("<eos>", "")]);
        // The diaeresis becomes a space and a combining one.
        check(&nfkc, "a¨b", &[("a", "a¨b"), ("\u{308}b", ""), ("<eos>", "")]);
    }

    #[test]
    fn running_text_is_found_by_its_letters() {
        let moses = Tokenizer::moses().with_joints(Joints::All).with_lowercase(true);
        check(
            &moses,
            "He said, \"It's  2,000\u{1}-well-known.\"",
            &[
                ("he", "He"),
                ("said", "said"),
                (",", ","),
                ("\"", "\""),
                ("it", "It"),
                ("'s", "'s"),
                ("2", "2"),
                ("@,@", ","),
                ("000", "000"),
                ("@-@", "-"),
                ("well", "well"),
                ("@-@", "-"),
                ("known", "known"),
                (".", "."),
                ("\"", "\""),
                ("<eos>", ""),
            ],
        );
        check(&moses, "İx Σς", &[("i\u{307}x", "İx"), ("σς", "Σς"), ("<eos>", "")]);
        check(
            &Tokenizer::moses(),
            "<unk> @-@",
            &[("<unk>", "<unk>"), ("@", "@"), ("-", "-"), ("@", "@"), ("<eos>", "")],
        );
    }

    #[test]
    fn characters_and_bytes_stand_for_themselves() {
        check(&Tokenizer::chars(), "é b", &[("é", "é"), (" ", " "), ("b", "b"), ("\n", "")]);
        let nfc = Tokenizer::chars().with_normalization(Normalization::Nfc);
        check(&nfc, "e\u{301}b", &[("é", "e\u{301}"), ("b", "b"), ("\n", "")]);
        let found = aligned(&Tokenizer::bytes(), b"a\xff").unwrap();
        assert_eq!(found[1], ("<0xFF>".to_owned(), "\u{fffd}".to_owned()));
        let found = aligned(&Tokenizer::chars(), b"a\xff\xe2\x82b\0").unwrap();
        let parts: Vec<&str> = found.iter().map(|(token, _)| token.as_str()).collect();
        assert_eq!(parts, ["a", "\u{fffd}", "\u{fffd}", "b", "\u{fffd}", "\n"]);
    }

    #[test]
    fn what_does_not_match_is_reported() {
        let tokens = |tokens: &[&str]| tokens.iter().map(|&token| token.to_owned()).collect::<Vec<_>>();
        for tokenizer in [Tokenizer::words(), Tokenizer::moses(), Tokenizer::chars()] {
            assert_eq!(tokenizer.align(b"a b", &tokens(&["x", "b"])), Err(0), "{tokenizer}");
        }
        assert_eq!(Tokenizer::words().align(b"a b", &tokens(&["a"])), Err(1));
        assert_eq!(Tokenizer::words().align(b"a", &tokens(&["a", "b"])), Err(1));
        assert_eq!(Tokenizer::moses().align(b"a b", &tokens(&["a"])), Err(1));
        assert_eq!(Tokenizer::bytes().align(b"ab", &tokens(&["a"])), Err(1));
    }

    proptest! {
        #[test]
        fn parts_cover_all_but_whitespace(
            bytes in prop_oneof![
                "([aEé.,'\"$-]|[0-9]| |\u{a0}|ﬁ|¨|İ|[\u{300}-\u{304}]|[\u{1100}-\u{1102}\u{1161}\u{11a8}]|.){0,20}"
                    .prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..12),
            ],
            form in prop::sample::select(Normalization::ALL.to_vec()),
            kind in 0..5_usize,
        ) {
            prop_assume!(!bytes.contains(&b'\n') && !bytes.ends_with(b"\r") && !bytes.starts_with(b"\xef\xbb\xbf"));
            let tokenizer = [
                Tokenizer::words(),
                Tokenizer::moses().with_joints(Joints::All).with_lowercase(true),
                Tokenizer::moses(),
                Tokenizer::chars(),
                Tokenizer::bytes(),
            ][kind].with_normalization(form);
            let vocab = Vocab::from_tokens("test", ["<unk>", "<eos>", "\n", "<0x0A>"], Some("<unk>")).unwrap();
            let mut encoder = TextCodec::new(tokenizer.clone(), vocab).lossy(true).line_encoder("test");
            let tokens = encoder.encode(&bytes).unwrap().tokens;
            let tokens: Vec<String> = tokens.iter().map(str::to_owned).collect();
            let parts = tokenizer.align(&bytes, &tokens);
            prop_assert!(parts.is_ok(), "{parts:?} {tokens:?}");
            let mut end = 0;
            for part in parts.unwrap().into_iter().chain(std::iter::once(bytes.len()..bytes.len())) {
                prop_assert!(part.start >= end);
                let between = String::from_utf8_lossy(&bytes[end..part.start]).into_owned();
                prop_assert!(between.chars().all(|char| is_space(char) || char < ' '), "{between:?}");
                end = part.end;
            }
        }
    }
}
