//! Byte tokens, for any file.
//!
//! A printable ASCII byte, including the space, is written as itself; any other byte is written as `<0x0A>`: six
//! characters with two uppercase hexadecimal digits. The two forms are distinct, so joining bytes is exact.

use std::sync::{Arc, LazyLock};

use super::TokenizerOptions;
use super::kind::{Alignment, AnyKind, Cutter, Entry, Joiner, Kind, Named};
use crate::VocabOptions;

/// The entry of this kind.
pub(super) const ENTRY: &Entry =
    &Entry { name: "bytes", read: |_| Ok(Arc::new(Bytes)), alignment: Alignment::Bytes };

/// How it is created.
pub(super) const NAMED: &Named =
    &Named { entry: ENTRY, make: |_, _| Arc::new(Bytes), fit: |_, _, _| Arc::new(Bytes) };

static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| (0..=u8::MAX).map(form).collect());

/// The byte tokenizer; it has no options.
#[derive(Debug)]
struct Bytes;

impl Kind for Bytes {
    fn entry(&self) -> &'static Entry {
        ENTRY
    }

    fn with(&self, _eos: Option<&str>, _options: &TokenizerOptions) -> AnyKind {
        Arc::new(Bytes)
    }

    fn unit(&self) -> &'static str {
        "byte"
    }

    fn is_normalizable(&self) -> bool {
        false
    }

    fn line_end(&self) -> Option<&str> {
        Some(byte_token(b'\n'))
    }

    /// All 256 bytes, so that every file can be encoded.
    fn vocab_options(&self) -> VocabOptions {
        let reserved = (0..=u8::MAX).map(|byte| byte_token(byte).to_owned()).collect();
        VocabOptions { unknown: None, reserved, ..VocabOptions::default() }
    }

    fn cutter(&self) -> Cutter {
        Cutter::Bytes(|piece, out| {
            for &byte in piece {
                out.token(byte_token(byte))?;
                if byte == b'\n' {
                    out.end_line();
                }
            }
            Ok(())
        })
    }

    fn joiner(&self) -> Box<dyn Joiner> {
        Box::new(Bytes)
    }
}

impl Joiner for Bytes {
    fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        match token_byte(token) {
            Some(byte) => text.push(byte),
            None => text.extend_from_slice(token.as_bytes()),
        }
    }
}

fn form(byte: u8) -> String {
    if is_printable(byte) { char::from(byte).to_string() } else { format!("<0x{byte:02X}>") }
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// The token for `byte`.
fn byte_token(byte: u8) -> &'static str {
    &TOKENS[usize::from(byte)]
}

/// The byte for `token`, if it is a byte token.
fn token_byte(token: &str) -> Option<u8> {
    if let &[byte] = token.as_bytes() {
        return is_printable(byte).then_some(byte);
    }
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (byte_token(byte) == token).then_some(byte) // Rejects `<0x+A>`, `<0x0a>` and `<0x41>`.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_token_of_its_own() {
        for byte in 0..=u8::MAX {
            assert_eq!(token_byte(byte_token(byte)), Some(byte));
        }
        assert_eq!([b'A', b' ', b'<', b'\n', 0xFF].map(byte_token), ["A", " ", "<", "<0x0A>", "<0xFF>"]);
    }

    #[test]
    fn nothing_else_is_a_bytes_token() {
        for token in ["", "ab", "é", "\n", "<0x0a>", "<0x41>", "<0x+A>", "<0x100>", "<unk>"] {
            assert_eq!(token_byte(token), None, "{token:?}");
        }
    }
}
