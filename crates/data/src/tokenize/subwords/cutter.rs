//! Tokenizes lines, which are buffered.

use std::sync::Arc;

use super::engine::Engine;
use crate::tokenize::kind::{Output, TextCutter};
use crate::{DataError, Result};

/// A line of more bytes is tokenized in parts, which end before whitespace if there is any.
pub(super) const MOST_BYTES: usize = 1 << 16;

/// Tokenizes a text line by line.
#[derive(Debug)]
pub(super) struct LineCutter {
    engine: Arc<dyn Engine>,
    eos: Option<String>,
    line: String,
    ids: Vec<u32>,
}

impl LineCutter {
    pub(super) fn new(engine: Arc<dyn Engine>, eos: Option<String>) -> Self {
        Self { engine, eos, line: String::new(), ids: Vec::new() }
    }

    /// Passes on the tokens of the first `end` bytes of the line, and removes these.
    fn encode(&mut self, end: usize, out: &mut Output<'_>) -> Result<()> {
        let Self { engine, line, ids, .. } = self;
        ids.clear();
        engine
            .encode(&line[..end], ids)
            .map_err(|failure| DataError::Tokenize { line: out.line(), reason: failure.0 })?;
        for &id in &*ids {
            if let Some(token) = engine.tokens().get(id as usize) {
                out.token(token)?;
            }
        }
        line.drain(..end);
        Ok(())
    }

    fn end_line(&mut self, out: &mut Output<'_>) -> Result<()> {
        self.encode(self.line.len(), out)?;
        self.eos.as_deref().map_or(Ok(()), |eos| out.token(eos))
    }
}

impl TextCutter for LineCutter {
    fn feed(&mut self, text: &str, out: &mut Output<'_>) -> Result<()> {
        for part in text.split_inclusive('\n') {
            let body = part.strip_suffix('\n');
            self.line.push_str(body.unwrap_or(part));
            while self.line.len() > MOST_BYTES {
                self.encode(cut(&self.line), out)?;
            }
            if body.is_some() {
                if self.line.ends_with('\r') {
                    self.line.pop();
                }
                self.end_line(out)?;
                out.end_line();
            }
        }
        Ok(())
    }

    fn finish(&mut self, line_open: bool, close: bool, out: &mut Output<'_>) -> Result<()> {
        if line_open && close { self.end_line(out) } else { self.encode(self.line.len(), out) }
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        self.line.len()
    }
}

/// The parts of a line that are tokenized on their own, with their places.
pub(super) fn parts(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = line.get(start..).filter(|rest| !rest.is_empty())?;
        let end = if rest.len() > MOST_BYTES { cut(rest) } else { rest.len() };
        let at = start;
        start += end;
        Some((at, &rest[..end]))
    })
}

/// Where a line that is too long is cut: before the last whitespace, or after as many characters as fit.
fn cut(line: &str) -> usize {
    let most = (0..=MOST_BYTES).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(line.len());
    let head = &line[..most];
    let word = head.rfind(|char: char| !char.is_whitespace()).map_or(0, |last| {
        let words = &head[..last];
        words.rfind(char::is_whitespace).map_or(0, |space| words[..space].trim_end().len())
    });
    if word > 0 { word } else { most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_before_whitespace() {
        let line = "ab ".repeat(MOST_BYTES);
        let found: Vec<(usize, &str)> = parts(&line).collect();
        assert!(found.len() > 2);
        assert_eq!(found.iter().map(|(_, part)| *part).collect::<String>(), line);
        assert!(found.iter().skip(1).all(|(_, part)| part.starts_with(" ab")));
        assert!(found.iter().all(|(at, part)| line[*at..].starts_with(part) && part.len() <= MOST_BYTES));
    }

    #[test]
    fn without_whitespace_they_are_cut_between_characters() {
        let line = "é".repeat(MOST_BYTES) + "x";
        let found: Vec<&str> = parts(&line).map(|(_, part)| part).collect();
        assert_eq!(found.concat(), line);
        assert_eq!(found[0].len(), MOST_BYTES);
        let spaces = " ".repeat(MOST_BYTES + 3);
        assert_eq!(parts(&spaces).map(|(_, part)| part.len()).collect::<Vec<_>>(), [MOST_BYTES, 3]);
    }
}
