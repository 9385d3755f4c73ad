//! Texts for a terminal: what a file, a model or an argument contains must not control it.
//!
//! ```text
//! stderr                        lines for people: always escaped
//! stdout, if it is a terminal   escaped, byte by byte as it arrives
//! stdout to a file or a pipe    data: exactly as they are
//! ```
//!
//! Escaped are the control characters C0, DEL and C1, which begin every escape sequence (CSI, OSC and others), except line
//! breaks and tabs; the embeddings, overrides and isolates of bidirectional text, which can show a line in another order than
//! it has; and bytes that are not UTF-8, which some terminals read as C1.

use std::io::{self, Write};
use std::str;

/// A text with its control characters escaped, line breaks excepted.
pub(crate) fn shown(text: &str) -> String {
    escaped(text, |char| char == '\n')
}

/// Lines with their control characters escaped, line breaks and tabs excepted.
pub(crate) fn lines(text: &str) -> String {
    escaped(text, is_layout)
}

fn is_layout(char: char) -> bool {
    matches!(char, '\n' | '\t')
}

/// Whether a character changes the order in which the characters after it are shown, up to the end of the line.
fn reorders(char: char) -> bool {
    matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && !is_kept(char) || reorders(char) {
            escaped.extend(char.escape_debug());
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// A writer to a terminal that escapes what is written.
///
/// The bytes of a character may arrive in several writes; an incomplete one waits for the others, and is written when the
/// writer is dropped.
pub(crate) struct Escaping<W: Write> {
    terminal: W,
    incomplete: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    pub(crate) fn new(terminal: W) -> Escaping<W> {
        Escaping { terminal, incomplete: Vec::new() }
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let waiting = [&std::mem::take(&mut self.incomplete), bytes].concat();
        let mut escaped = String::with_capacity(waiting.len());
        let mut chunks = waiting.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            escaped += &lines(chunk.valid());
            let is_incomplete = chunks.peek().is_none()
                && str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if is_incomplete {
                self.incomplete = chunk.invalid().to_vec();
            } else {
                escaped.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
            }
        }
        self.terminal.write_all(escaped.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.terminal.flush()
    }
}

impl<W: Write> Drop for Escaping<W> {
    fn drop(&mut self) {
        let rest: String = self.incomplete.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        // As in `BufWriter`, an error while dropping has nowhere to go.
        let _ = self.terminal.write_all(rest.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal receives of these writes.
    fn received(writes: &[&[u8]]) -> String {
        let mut terminal = Vec::new();
        let mut writer = Escaping::new(&mut terminal);
        for bytes in writes {
            writer.write_all(bytes).unwrap();
        }
        drop(writer);
        String::from_utf8(terminal).unwrap()
    }

    #[test]
    fn escape_sequences_are_visible() {
        // CSI and OSC with ESC, CSI as C1, a bell, a carriage return and DEL.
        let text = "a\u{1b}[2Jb\u{1b}]0;title\u{7}\u{9b}31m\r\u{7f}\tc\n";
        let expected = "a\\u{1b}[2Jb\\u{1b}]0;title\\u{7}\\u{9b}31m\\r\\u{7f}\tc\n";
        assert_eq!(received(&[text.as_bytes()]), expected);
        assert_eq!(lines(text), expected);
        assert_eq!(shown("a\t\u{1b}\n"), "a\\t\\u{1b}\n");
    }

    #[test]
    fn text_cannot_be_shown_in_another_order() {
        let text = "run\u{202e}txt.exe\u{202c}\u{2066}\u{2069}";
        assert_eq!(shown(text), "run\\u{202e}txt.exe\\u{202c}\\u{2066}\\u{2069}");
        // Hebrew and Arabic, and the marks that they need.
        let text = "שלום\u{200f} سلام\u{61c} C++\u{200e}";
        assert_eq!(lines(text), text);
    }

    #[test]
    fn characters_may_arrive_in_pieces_and_bytes_that_are_none_are_escaped() {
        assert_eq!(received(&[b"\xc3", b"\xa9t\xe2", b"\x82", b"\xac"]), "ét€");
        // C1 in pieces, and C1 as the bytes of an 8-bit terminal.
        assert_eq!(received(&[b"\xc2", b"\x9b1m", b"\x9b2m"]), "\\u{9b}1m\\x9b2m");
        assert_eq!(received(&[b"a\xe2\x82b\xe2\x82"]), "a\\xe2\\x82b\\xe2\\x82");
    }
}
