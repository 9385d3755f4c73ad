//! Character tokens: Unicode scalar values, including line endings.

use std::sync::Arc;

use super::TokenizerOptions;
use super::kind::{Alignment, AnyKind, Cutter, Entry, Joiner, Kind, Named, Output, TextCutter};
use crate::{Result, VocabOptions};

/// The entry of this kind.
pub(super) const ENTRY: &Entry =
    &Entry { name: "chars", read: |_| Ok(Arc::new(Chars)), alignment: Alignment::Characters };

/// How it is created.
pub(super) const NAMED: &Named =
    &Named { entry: ENTRY, make: |_, _| Arc::new(Chars), fit: |_, _, _| Arc::new(Chars) };

/// The character tokenizer; it has no options.
#[derive(Debug)]
struct Chars;

impl Kind for Chars {
    fn entry(&self) -> &'static Entry {
        ENTRY
    }

    fn with(&self, _eos: Option<&str>, _options: &TokenizerOptions) -> AnyKind {
        Arc::new(Chars)
    }

    fn unit(&self) -> &'static str {
        "character"
    }

    fn line_end(&self) -> Option<&str> {
        Some("\n")
    }

    fn vocab_options(&self) -> VocabOptions {
        VocabOptions { unknown: None, ..VocabOptions::default() }
    }

    fn cutter(&self) -> Cutter {
        Cutter::Text(Box::new(Chars))
    }

    fn joiner(&self) -> Box<dyn Joiner> {
        Box::new(Chars)
    }
}

impl TextCutter for Chars {
    fn feed(&mut self, text: &str, out: &mut Output<'_>) -> Result<()> {
        for (start, char) in text.char_indices() {
            out.token(&text[start..start + char.len_utf8()])?;
            if char == '\n' {
                out.end_line();
            }
        }
        Ok(())
    }

    fn finish(&mut self, _line_open: bool, _close: bool, _out: &mut Output<'_>) -> Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn held_bytes(&self) -> usize {
        0
    }
}

impl Joiner for Chars {
    fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        text.extend_from_slice(token.as_bytes());
    }
}
