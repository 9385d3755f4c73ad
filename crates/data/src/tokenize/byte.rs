//! The textual form of single bytes.

use std::sync::LazyLock;

static FORMS: LazyLock<Vec<String>> = LazyLock::new(|| (0..=u8::MAX).map(form).collect());

fn form(byte: u8) -> String {
    if is_printable(byte) { char::from(byte).to_string() } else { format!("<0x{byte:02X}>") }
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

/// The token for `byte`; see [`Tokenizer::Bytes`](super::Tokenizer::Bytes).
pub(crate) fn byte_token(byte: u8) -> &'static str {
    &FORMS[usize::from(byte)]
}

/// The byte for `token`, if it is a byte's token.
pub(super) fn token_byte(token: &str) -> Option<u8> {
    if let &[byte] = token.as_bytes() {
        return is_printable(byte).then_some(byte);
    }
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (byte_token(byte) == token).then_some(byte) // Refuses `<0x+A>`, `<0x0a>` and `<0x41>`.
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
