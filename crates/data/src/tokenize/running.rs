//! Running text: joins lines to paragraphs, and splits paragraphs into sentences and sentences into tokens.
//!
//! ```text
//! "He left. It was\nlate.\n\nThen"      He left . <eos>  It was late . <eos>  Then <eos>
//! ```
//!
//! Promises: the result does not depend on how a text is split into pieces; at most [`PARAGRAPH_BYTES`] are buffered,
//! or one word if it is longer.
//! Not here: how sentences and tokens are found ([`sentences`](crate::sentences), [`moses`](crate::moses)).

use super::kind::{Output, TextCutter};
use super::moses::RunningText;
use crate::Result;
use crate::moses::Moses;
use crate::sentences::Punkt;

/// A longer paragraph is processed in parts: up to its last sentence, or up to its last word if it is one sentence.
const PARAGRAPH_BYTES: usize = 1 << 20;

/// Tokenizes running text; it buffers the current paragraph.
#[derive(Debug)]
pub(super) struct Running {
    rules: RunningText,
    paragraph: String,
    /// The first line of the paragraph.
    line: u64,
    /// Whether the paragraph starts with the rest of a sentence whose other tokens were already visited.
    continues: bool,
    limit: usize,
    moses: Moses,
    lower: String,
}

impl TextCutter for Running {
    fn feed(&mut self, text: &str, out: &mut Output<'_>) -> Result<()> {
        for part in text.split_inclusive('\n') {
            self.feed_line(part, out)?;
            if part.ends_with('\n') {
                out.end_line();
            }
        }
        Ok(())
    }

    fn finish(&mut self, line_open: bool, close: bool, out: &mut Output<'_>) -> Result<()> {
        self.end_paragraph(close || !line_open, out)
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.paragraph.len()
    }
}

impl Running {
    pub(super) fn new(rules: RunningText) -> Self {
        Self {
            rules,
            paragraph: String::new(),
            line: 1,
            continues: false,
            limit: PARAGRAPH_BYTES,
            moses: Moses::default(),
            lower: String::new(),
        }
    }

    /// Takes a part of one line or the whole line, with its line ending if the part extends that far.
    fn feed_line(&mut self, part: &str, out: &mut Output<'_>) -> Result<()> {
        if self.paragraph.is_empty() {
            self.line = out.line();
        }
        let mut rest = part;
        while self.paragraph.len() + rest.len() > self.limit {
            let room = self.limit - self.paragraph.len();
            let cut = (0..=room).rev().find(|&at| rest.is_char_boundary(at)).unwrap_or(0);
            self.paragraph.push_str(&rest[..cut]);
            rest = &rest[cut..];
            self.make_room(out)?;
        }
        self.paragraph.push_str(rest);
        if part.ends_with('\n') && (!self.rules.sentences || self.last_line_is_blank()) {
            self.end_paragraph(true, out)?;
        }
        Ok(())
    }

    /// Ends the paragraph. Its last sentence stays open, without an end-of-sentence token, unless `close` is true.
    fn end_paragraph(&mut self, close: bool, out: &mut Output<'_>) -> Result<()> {
        let paragraph = std::mem::take(&mut self.paragraph);
        let result = self.visit_sentences(&paragraph, close, out);
        self.paragraph = paragraph; // Reuses its memory for the next paragraph.
        self.paragraph.clear();
        self.limit = PARAGRAPH_BYTES;
        self.continues = false;
        result
    }

    /// Whether the last line of the paragraph, which is complete, contains only whitespace.
    fn last_line_is_blank(&self) -> bool {
        let lines = self.paragraph.strip_suffix('\n').unwrap_or(&self.paragraph);
        lines.rsplit('\n').next().is_some_and(|line| line.trim().is_empty())
    }

    /// Visits the complete part of a paragraph that is too long.
    fn make_room(&mut self, out: &mut Output<'_>) -> Result<()> {
        let text = std::mem::take(&mut self.paragraph);
        let last = if self.rules.sentences { Punkt::english().ranges(&text).pop() } else { None };
        let sentence = last.map_or(0, |range| range.start);
        let word = text.trim_end_matches(|char: char| !char.is_whitespace()).len();
        let (cut, close) = if text[..sentence].trim().is_empty() { (word, false) } else { (sentence, true) };
        if text[..cut].trim().is_empty() {
            self.limit *= 2; // One word fills the buffer, so it is buffered until it ends.
            self.paragraph = text;
            return Ok(());
        }
        self.visit_sentences(&text[..cut], close, out)?;
        self.continues = !close;
        self.line += line_ends(&text[..cut]);
        self.limit = PARAGRAPH_BYTES;
        self.paragraph.push_str(&text[cut..]);
        Ok(())
    }

    fn visit_sentences(&mut self, text: &str, close: bool, out: &mut Output<'_>) -> Result<()> {
        let Self { rules, moses, lower, .. } = self;
        let ranges = if rules.sentences {
            Punkt::english().ranges(text)
        } else {
            let sentence = text.trim();
            let start = text.len() - text.trim_start().len();
            Vec::from_iter((!sentence.is_empty()).then(|| start..start + sentence.len()))
        };
        let (mut line, mut counted) = (self.line, 0);
        let before = out.tokens();
        for (index, range) in ranges.iter().enumerate() {
            line += line_ends(&text[counted..range.start]);
            counted = range.start;
            moses.for_each_token(&text[range.clone()], rules.joints, |token| {
                if !rules.lowercase {
                    return out.token_of_line(token, line);
                }
                lower.clear();
                lower.extend(token.chars().flat_map(char::to_lowercase));
                out.token_of_line(lower, line)
            })?;
            let is_open = !close && index + 1 == ranges.len();
            if let Some(eos) = rules.eos.as_deref().filter(|_| !is_open && out.tokens() > before) {
                out.token_of_line(eos, line)?;
            }
        }
        // The rest of a sentence whose tokens were all visited still needs its end.
        if ranges.is_empty()
            && close
            && self.continues
            && let Some(eos) = &rules.eos
        {
            out.token_of_line(eos, line)?;
        }
        Ok(())
    }
}

fn line_ends(text: &str) -> u64 {
    text.bytes().filter(|&byte| byte == b'\n').count() as u64
}
