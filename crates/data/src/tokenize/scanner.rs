//! The state between two pieces of a text: an unfinished word, the line.

use super::decode::Decoder;
use super::running::{Rules, Running};
use super::{BlankLines, Tokenizer, byte_token};
use crate::Result;

/// Cuts a text into tokens, fed with pieces of it that may end anywhere.
#[derive(Debug)]
pub(crate) struct Scanner {
    decoder: Decoder,
    cutter: Cutter,
}

/// Cuts characters into tokens; bytes too, which need not be characters.
#[derive(Debug)]
struct Cutter {
    tokenizer: Tokenizer,
    chars: u64,
    /// Lines that are complete: the current one is the next.
    lines: u64,
    tokens: u64,
    /// The start of a word whose rest may be in the next piece.
    partial_word: String,
    /// The paragraph of running text that is not yet complete.
    running: Option<Running>,
    /// Whether the current line has any text.
    line_open: bool,
    /// Whether the current line has had a word.
    line_has_word: bool,
}

impl Scanner {
    /// A scanner that refuses what is no text, or takes it for U+FFFD if `lossy`.
    pub(crate) fn new(tokenizer: &Tokenizer, origin: &str, lossy: bool) -> Self {
        let cutter = Cutter {
            tokenizer: tokenizer.clone(),
            chars: 0,
            lines: 0,
            tokens: 0,
            partial_word: String::new(),
            running: matches!(tokenizer, Tokenizer::Moses { .. }).then(Running::new),
            line_open: false,
            line_has_word: false,
        };
        Self { decoder: Decoder::new(origin, lossy), cutter }
    }

    /// The line that the next byte belongs to, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.cutter.line()
    }

    pub(crate) fn chars(&self) -> u64 {
        self.cutter.chars
    }

    /// Complete lines; after [`finish`](Self::finish) all of them.
    pub(crate) fn lines(&self) -> u64 {
        self.cutter.lines
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.cutter.running.as_ref().map_or(self.cutter.tokens, Running::tokens)
    }

    /// Invalid sequences and NUL bytes that were taken for U+FFFD.
    pub(crate) fn replaced(&self) -> u64 {
        self.decoder.replaced()
    }

    /// The text that is held until more of it comes.
    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let paragraph = self.cutter.running.as_ref().map_or(0, Running::held_bytes);
        self.decoder.held_bytes() + self.cutter.partial_word.capacity() + paragraph
    }

    /// Takes the next piece and visits the tokens that are complete.
    pub(crate) fn feed(
        &mut self,
        piece: &[u8],
        visit: &mut impl FnMut(&str, u64) -> Result<()>,
    ) -> Result<()> {
        let Self { decoder, cutter } = self;
        if cutter.tokenizer == Tokenizer::Bytes {
            return cutter.feed_bytes(piece, visit);
        }
        decoder.feed(piece, &mut |text| cutter.feed_text(text, visit))
    }

    /// Ends the text: visits a last word and, on a last line without line end, the end-of-line token.
    pub(crate) fn finish(&mut self, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let Self { decoder, cutter } = self;
        decoder.finish(&mut |text| cutter.feed_text(text, visit))?;
        cutter.finish(visit)
    }

    /// Ends the text but not its last line, or the last sentence in it: visits a last word, and no end-of-line token
    /// after it.
    pub(crate) fn finish_open(&mut self, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let Self { decoder, cutter } = self;
        decoder.finish(&mut |text| cutter.feed_text(text, visit))?;
        cutter.finish_open(visit)
    }
}

impl Cutter {
    fn line(&self) -> u64 {
        self.lines + 1
    }

    fn finish(&mut self, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        self.end_paragraph(true, visit)?;
        self.finish_open(visit)?;
        if self.line_open {
            self.line_open = false;
            match self.tokenizer {
                Tokenizer::Words { .. } => self.end_line_of_words(visit)?,
                Tokenizer::Moses { .. } | Tokenizer::Chars | Tokenizer::Bytes => self.lines += 1,
            }
        }
        Ok(())
    }

    fn finish_open(&mut self, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        self.end_paragraph(!self.line_open, visit)?;
        self.end_word(visit)
    }

    fn feed_bytes(&mut self, piece: &[u8], visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        for &byte in piece {
            visit(byte_token(byte), self.line())?;
            self.lines += u64::from(byte == b'\n');
        }
        let len = piece.len() as u64;
        self.tokens += len;
        self.chars += piece.iter().filter(|&&byte| is_char_start(byte)).count() as u64;
        self.line_open = piece.last().map_or(self.line_open, |&byte| byte != b'\n');
        Ok(())
    }

    /// Takes characters, at least one.
    fn feed_text(&mut self, text: &str, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        self.chars += text.chars().count() as u64;
        match self.tokenizer {
            Tokenizer::Words { .. } => {
                for part in text.split_inclusive('\n') {
                    self.feed_words(part, visit)?;
                }
            }
            Tokenizer::Moses { .. } => {
                for part in text.split_inclusive('\n') {
                    self.feed_running(part, visit)?;
                }
            }
            Tokenizer::Chars | Tokenizer::Bytes => self.feed_chars(text, visit)?,
        }
        self.line_open = !text.ends_with('\n');
        Ok(())
    }

    fn feed_chars(&mut self, text: &str, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        for (start, char) in text.char_indices() {
            visit(&text[start..start + char.len_utf8()], self.line())?;
            self.tokens += 1;
            self.lines += u64::from(char == '\n');
        }
        Ok(())
    }

    fn feed_running(&mut self, part: &str, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let (rules, line) = (rules(&self.tokenizer), self.line());
        if let (Some(rules), Some(running)) = (rules, &mut self.running) {
            running.feed(rules, part, line, visit)?;
        }
        self.lines += u64::from(part.ends_with('\n'));
        Ok(())
    }

    /// Ends a paragraph of running text, and its last sentence if `close`.
    fn end_paragraph(&mut self, close: bool, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        match (rules(&self.tokenizer), &mut self.running) {
            (Some(rules), Some(running)) => running.finish(rules, close, visit),
            _ => Ok(()),
        }
    }

    /// Takes a part of one line, or all of it, with the line end if it reaches that far.
    fn feed_words(&mut self, part: &str, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        let mut rest = part;
        if !self.partial_word.is_empty() {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            self.partial_word.push_str(&rest[..end]);
            rest = &rest[end..];
            if rest.is_empty() {
                return Ok(());
            }
            self.end_word(visit)?;
        }
        // Only white space ends a word: what follows the last of it may go on in the next piece.
        let complete = rest.trim_end_matches(|char: char| !char.is_whitespace());
        for word in complete.split_whitespace() {
            self.visit_word(word, visit)?;
        }
        self.partial_word.push_str(&rest[complete.len()..]);
        if part.ends_with('\n') {
            self.end_line_of_words(visit)?;
        }
        Ok(())
    }

    fn visit_word(&mut self, word: &str, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        self.tokens += 1;
        self.line_has_word = true;
        visit(word, self.line())
    }

    fn end_word(&mut self, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        if self.partial_word.is_empty() {
            return Ok(());
        }
        let mut word = std::mem::take(&mut self.partial_word);
        self.visit_word(&word, visit)?;
        word.clear();
        self.partial_word = word; // Keeps its memory for the next one.
        Ok(())
    }

    fn end_line_of_words(&mut self, visit: &mut impl FnMut(&str, u64) -> Result<()>) -> Result<()> {
        if let Tokenizer::Words { eos: Some(eos), blank_lines } = &self.tokenizer
            && (self.line_has_word || *blank_lines == BlankLines::Keep)
        {
            self.tokens += 1;
            visit(eos, self.line())?;
        }
        self.lines += 1;
        self.line_has_word = false;
        Ok(())
    }
}

fn rules(tokenizer: &Tokenizer) -> Option<Rules<'_>> {
    match tokenizer {
        Tokenizer::Moses { eos, sentences, joints, lowercase } => {
            Some(Rules { eos: eos.as_deref(), sentences: *sentences, joints: *joints, lowercase: *lowercase })
        }
        _ => None,
    }
}

/// Whether `byte` begins a character in UTF-8 (and is not inside one).
pub(super) fn is_char_start(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}
