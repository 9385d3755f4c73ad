//! Running text: lines become paragraphs, paragraphs sentences, sentences tokens.
//!
//! ```text
//! "He left. It was\nlate.\n\nThen"      He left . <eos>  It was late . <eos>  Then <eos>
//! ```
//!
//! Promises: where a text is cut into pieces makes no difference; at most [`PARAGRAPH_BYTES`] are held, or a word if
//! it is longer.
//! Not here: what sentences and tokens are ([`sentences`](crate::sentences), [`moses`](crate::moses)).

use crate::Result;
use crate::moses::{Joints, Moses};
use crate::sentences::Punkt;

/// A longer paragraph is read in parts: up to its last sentence, or to its last word if it has but one.
const PARAGRAPH_BYTES: usize = 1 << 20;

/// How running text is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'t> {
    pub(super) eos: Option<&'t str>,
    pub(super) sentences: bool,
    pub(super) joints: Joints,
    pub(super) lowercase: bool,
}

/// The paragraph that is being read.
#[derive(Debug)]
pub(super) struct Running {
    paragraph: String,
    /// The line that it begins in.
    line: u64,
    /// Whether its beginning is the rest of a sentence whose other tokens have been visited.
    continues: bool,
    limit: usize,
    /// Tokens visited.
    tokens: u64,
    moses: Moses,
    lower: String,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            paragraph: String::new(),
            line: 1,
            continues: false,
            limit: PARAGRAPH_BYTES,
            tokens: 0,
            moses: Moses::default(),
            lower: String::new(),
        }
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.paragraph.len()
    }

    /// Takes a part of line number `line`, or all of it, with the line end if it reaches that far.
    pub(super) fn feed(
        &mut self,
        rules: Rules<'_>,
        part: &str,
        line: u64,
        visit: &mut impl FnMut(&str, u64) -> Result<()>,
    ) -> Result<()> {
        if self.paragraph.is_empty() {
            self.line = line;
        }
        let mut rest = part;
        while self.paragraph.len() + rest.len() > self.limit {
            let room = self.limit - self.paragraph.len();
            let cut = (0..=room).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(0);
            self.paragraph.push_str(&rest[..cut]);
            rest = &rest[cut..];
            self.make_room(rules, visit)?;
        }
        self.paragraph.push_str(rest);
        if part.ends_with('\n') && (!rules.sentences || self.last_line_is_blank()) {
            self.finish(rules, true, visit)?;
        }
        Ok(())
    }

    /// Ends the paragraph; its last sentence stays open, without end-of-sentence token, unless `close`.
    pub(super) fn finish(
        &mut self,
        rules: Rules<'_>,
        close: bool,
        visit: &mut impl FnMut(&str, u64) -> Result<()>,
    ) -> Result<()> {
        let paragraph = std::mem::take(&mut self.paragraph);
        let result = self.visit_sentences(rules, &paragraph, close, visit);
        self.paragraph = paragraph; // Keeps its memory for the next one.
        self.paragraph.clear();
        self.limit = PARAGRAPH_BYTES;
        self.continues = false;
        result
    }

    /// Whether the last of the paragraph's lines, which are complete, has nothing but white space.
    fn last_line_is_blank(&self) -> bool {
        let lines = self.paragraph.strip_suffix('\n').unwrap_or(&self.paragraph);
        lines.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
    }

    /// Visits what is complete of a paragraph that is too long.
    fn make_room(&mut self, rules: Rules<'_>, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let text = std::mem::take(&mut self.paragraph);
        let last = if rules.sentences { Punkt::english().ranges(&text).pop() } else { None };
        let sentence = last.map_or(0, |range| range.start);
        let word = text.trim_end_matches(|char: char| !char.is_whitespace()).len();
        let (cut, close) = if text[..sentence].trim().is_empty() { (word, false) } else { (sentence, true) };
        if text[..cut].trim().is_empty() {
            self.limit *= 2; // One word fills it all: it is held until it ends.
            self.paragraph = text;
            return Ok(());
        }
        self.visit_sentences(rules, &text[..cut], close, visit)?;
        self.continues = !close;
        self.line += line_ends(&text[..cut]);
        self.limit = PARAGRAPH_BYTES;
        self.paragraph.push_str(&text[cut..]);
        Ok(())
    }

    fn visit_sentences(
        &mut self,
        rules: Rules<'_>,
        text: &str,
        close: bool,
        visit: &mut impl FnMut(&str, u64) -> Result<()>,
    ) -> Result<()> {
        let ranges = if rules.sentences {
            Punkt::english().ranges(text)
        } else {
            let sentence = text.trim();
            let start = text.len() - text.trim_start().len();
            Vec::from_iter((!sentence.is_empty()).then(|| start..start + sentence.len()))
        };
        let (mut line, mut counted) = (self.line, 0);
        let before = self.tokens;
        for (index, range) in ranges.iter().enumerate() {
            line += line_ends(&text[counted..range.start]);
            counted = range.start;
            let Self { moses, lower, tokens, .. } = self;
            moses.for_each_token(&text[range.clone()], rules.joints, |token| {
                *tokens += 1;
                if !rules.lowercase {
                    return visit(token, line);
                }
                lower.clear();
                lower.extend(token.chars().flat_map(char::to_lowercase));
                visit(lower, line)
            })?;
            let is_open = !close && index + 1 == ranges.len();
            if let Some(eos) = rules.eos.filter(|_| !is_open && self.tokens > before) {
                self.tokens += 1;
                visit(eos, line)?;
            }
        }
        // The rest of a sentence, all of which has been visited, still needs its end.
        if ranges.is_empty()
            && close
            && self.continues
            && let Some(eos) = rules.eos
        {
            self.tokens += 1;
            visit(eos, line)?;
        }
        Ok(())
    }
}

fn line_ends(text: &str) -> u64 {
    text.bytes().filter(|&byte| byte == b'\n').count() as u64
}
