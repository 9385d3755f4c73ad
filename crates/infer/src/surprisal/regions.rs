//! Divides a text into regions, and finds the region of each token.

use std::ops::Range;

use super::encode::Token;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) bytes: Range<usize>,
    pub(super) characters: Range<usize>,
}

/// Where a token belongs, in the order of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Region(usize),
    /// The end of the text.
    End,
}

/// The characters of a text, with their bytes; U+FFFD for invalid UTF-8.
fn each_character(text: &[u8]) -> impl Iterator<Item = (Range<usize>, char)> + '_ {
    let mut at = 0;
    text.utf8_chunks().flat_map(move |chunk| {
        let start = at;
        let end = start + chunk.valid().len();
        at = end + chunk.invalid().len();
        let valid = chunk.valid().char_indices().map(move |(place, char)| {
            let place = start + place;
            (place..place + char.len_utf8(), char)
        });
        let invalid = (!chunk.invalid().is_empty()).then_some((end..at, char::REPLACEMENT_CHARACTER));
        valid.chain(invalid)
    })
}

pub(super) fn character_count(text: &[u8]) -> usize {
    each_character(text).count()
}

/// Whether a character separates words.
fn separates(char: char, ascii: bool) -> bool {
    if ascii { matches!(char, ' ' | '\t'..='\r') } else { char.is_whitespace() }
}

/// The words of a text: what stands between whitespace. With `split_punctuation`, punctuation at their beginning and end is
/// apart, each mark or run of the same mark on its own; but not the period of an abbreviation such as `U.S.`.
pub(super) fn words(text: &[u8], split_punctuation: bool, ascii: bool) -> Vec<Span> {
    let (mut spans, mut word) = (Vec::new(), Vec::new());
    let end = text.len()..text.len();
    for (number, (bytes, char)) in each_character(text).chain([(end, ' ')]).enumerate() {
        if !separates(char, ascii) {
            word.push((bytes, number, char));
            continue;
        }
        if split_punctuation {
            split_word(&word, &mut spans);
        } else {
            spans.extend(span(&word));
        }
        word.clear();
    }
    spans
}

/// The regions that these ranges of bytes are.
pub(super) fn given(text: &[u8], ranges: &[Range<usize>]) -> Vec<Span> {
    let starts: Vec<usize> = each_character(text).map(|(bytes, _)| bytes.start).collect();
    let number = |byte: usize| starts.partition_point(|&start| start < byte);
    let span = |bytes: &Range<usize>| Span {
        bytes: bytes.clone(),
        characters: number(bytes.start)..number(bytes.end),
    };
    ranges.iter().map(span).collect()
}

/// A character of a word: its bytes, its number and itself.
type Letter = (Range<usize>, usize, char);

fn span(letters: &[Letter]) -> Option<Span> {
    let ((first, start, _), (last, end, _)) = (letters.first()?, letters.last()?);
    Some(Span { bytes: first.start..last.end, characters: *start..end + 1 })
}

fn split_word(word: &[Letter], spans: &mut Vec<Span>) {
    let is_mark = |letter: &Letter| is_punctuation(letter.2);
    let start = word.iter().position(|letter| !is_mark(letter)).unwrap_or(word.len());
    let mut end = word.iter().rposition(|letter| !is_mark(letter)).map_or(start, |last| last + 1);
    let inner = &word[start..end];
    if inner.iter().any(|letter| letter.2 == '.') && word.get(end).is_some_and(|letter| letter.2 == '.') {
        end += 1;
    }
    let runs = |letters: &[Letter], spans: &mut Vec<Span>| {
        spans.extend(letters.chunk_by(|a, b| a.2 == b.2).filter_map(span));
    };
    runs(&word[..start], spans);
    spans.extend(span(&word[start..end]));
    runs(&word[end..], spans);
}

/// Whether a character is punctuation or a symbol of ASCII, or punctuation of Latin, Chinese or Japanese texts.
fn is_punctuation(char: char) -> bool {
    char.is_ascii_punctuation()
        || matches!(char,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
            | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}' | '\u{3001}'..='\u{3003}'
            | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{ff01}'..='\u{ff0f}'
            | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
}

/// The characters of a text.
pub(super) fn characters(text: &[u8]) -> Vec<Span> {
    let span = |(number, (bytes, _))| Span { bytes, characters: number..number + 1 };
    each_character(text).enumerate().map(span).collect()
}

/// The parts of a text that its tokens stand for, without the line end.
pub(super) fn tokens(text: &[u8], tokens: &[Token]) -> Vec<Span> {
    let parts = tokens.iter().filter(|token| !token.is_line_end).filter_map(|token| token.part.clone());
    let (mut letters, mut number) = (each_character(text).peekable(), 0_usize);
    // The number of characters that begin before a byte.
    let mut count = |byte: usize| {
        while letters.next_if(|(bytes, _)| bytes.start < byte).is_some() {
            number += 1;
        }
        number
    };
    parts
        .map(|bytes| {
            // A byte within a character is within it.
            let start = count(bytes.start);
            let start = if text.get(bytes.start).is_some_and(|byte| byte & 0xC0 == 0x80) {
                start.saturating_sub(1)
            } else {
                start
            };
            Span { characters: start..count(bytes.end).max(start), bytes }
        })
        .collect()
}

/// The region of each token: that of its first character after whitespace, or the next one if it is only whitespace. Also,
/// for each region, the index of a token that it shares with another.
pub(super) fn place(
    text: &[u8],
    parts: &[(Range<usize>, bool)],
    spans: &[Span],
    whole: bool,
    ascii: bool,
) -> (Vec<Place>, Vec<Option<usize>>) {
    let (mut places, mut shared) = (Vec::with_capacity(parts.len()), vec![None; spans.len()]);
    let (mut region, mut waiting) = (0, 0);
    for (index, (part, is_line_end)) in parts.iter().enumerate() {
        let mut inner =
            each_character(&text[part.clone()]).filter(|&(_, char)| whole || !separates(char, ascii));
        let Some((first, _)) = inner.next() else {
            match places.last() {
                // The rest of a character that is divided.
                Some(&last) if !is_line_end && part.is_empty() && waiting == 0 => places.push(last),
                _ => waiting += 1,
            }
            continue;
        };
        let last = inner.last().map_or(first.end, |(last, _)| last.end);
        let (start, end) = (part.start + first.start, part.start + last);
        while region + 1 < spans.len() && spans[region].bytes.end <= start {
            region += 1;
        }
        places.extend(std::iter::repeat_n(Place::Region(region), waiting + 1));
        waiting = 0;
        if spans.get(region).is_some_and(|span| end > span.bytes.end) {
            let others = spans.iter().skip(region).take_while(|span| span.bytes.start < end).count();
            shared[region..region + others].fill(Some(index));
        }
    }
    places.extend(std::iter::repeat_n(Place::End, waiting));
    (places, shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, spans: &[Span]) -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        spans
            .iter()
            .map(|span| {
                let by_characters: String = characters[span.characters.clone()].iter().collect();
                assert_eq!(by_characters, text[span.bytes.clone()]);
                by_characters
            })
            .collect()
    }

    #[track_caller]
    fn check(text: &str, words_of: &str, parts: &str) {
        let split = |list: &str| {
            list.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(shown(text, &words(text.as_bytes(), false, false)), split(words_of));
        assert_eq!(shown(text, &words(text.as_bytes(), true, false)), split(parts));
    }

    #[test]
    fn words_stand_between_whitespace_and_punctuation_at_their_ends() {
        check("", "", "");
        check(" \u{a0} ", "", "");
        check(" the  cat\tslept. ", "the|cat|slept.", "the|cat|slept|.");
        check(
            "“Well-known,” he didn't say...",
            "“Well-known,”|he|didn't|say...",
            "“|Well-known|,|”|he|didn't|say|...",
        );
        check("the U.S., e.g. (Mr. X)", "the|U.S.,|e.g.|(Mr.|X)", "the|U.S.|,|e.g.|(|Mr|.|X|)");
        check("-- a — 😀! e\u{301}", "--|a|—|😀!|e\u{301}", "--|a|—|😀|!|e\u{301}");
    }

    #[test]
    fn whitespace_of_ascii_is_enough_for_bytes() {
        let text = "a\u{a0}b c";
        assert_eq!(shown(text, &words(text.as_bytes(), false, true)), ["a\u{a0}b", "c"]);
    }

    #[test]
    fn invalid_bytes_are_characters() {
        let spans = words(b"a\xff b\xe2\x82", false, false);
        assert_eq!(spans[0], Span { bytes: 0..2, characters: 0..2 });
        assert_eq!(spans[1], Span { bytes: 3..6, characters: 3..5 });
        assert_eq!(characters(b"\xffa").len(), 2);
    }

    #[test]
    fn tokens_belong_to_the_region_of_their_letters() {
        let text = b"ab, cd";
        let spans = words(text, true, false);
        let parts = |list: &[Range<usize>]| -> Vec<(Range<usize>, bool)> {
            list.iter().map(|part| (part.clone(), part.start == text.len())).collect()
        };
        let (places, shared) = place(text, &parts(&[0..2, 2..3, 4..6, 6..6]), &spans, false, false);
        assert_eq!(places, [Place::Region(0), Place::Region(1), Place::Region(2), Place::End]);
        assert_eq!(shared, [None; 3]);
        // Whitespace belongs to what follows it.
        let (places, _) = place(text, &parts(&[0..2, 2..3, 3..4, 4..6, 6..6]), &spans, false, false);
        assert_eq!(places[2..], [Place::Region(2), Place::Region(2), Place::End]);
        let (_, shared) = place(text, &parts(&[0..3, 4..6, 6..6]), &spans, false, false);
        assert_eq!(shared, [Some(0), Some(0), None]);
        let (_, shared) = place(text, &parts(std::slice::from_ref(&(0..6))), &spans, false, false);
        assert_eq!(shared, [Some(0); 3]);
    }
}
