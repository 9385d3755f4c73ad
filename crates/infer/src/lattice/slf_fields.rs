//! The fields of a line of SLF.
//!
//! ```text
//! J=0 S=0 E=1 W="New York" a=-120.5        name=value, in any order
//! W=don\'t W=\303\251t\303\251 W='tis       a backslash stands before a character, or before three octal digits
//! ```
//!
//! Not here: what the fields mean (`slf`).

use std::collections::HashMap;

use super::LatticeFault;

type Parsed<T> = std::result::Result<T, LatticeFault>;

/// The fields of a line, by name.
pub(super) type Fields = HashMap<String, String>;

/// The fields of a line, `name=value`; a value in quotation marks can contain spaces, and a backslash stands before a
/// character or three octal digits.
pub(super) fn fields(line: &str) -> Parsed<Fields> {
    let (mut fields, mut rest) = (Fields::new(), line.trim_start());
    while !rest.is_empty() {
        let word = || rest.split_whitespace().next().unwrap_or_default().to_owned();
        let equals = rest.find(|char: char| char == '=' || char.is_whitespace());
        let (name, value) = match equals {
            Some(at) if at > 0 && rest[at..].starts_with('=') => (&rest[..at], &rest[at + 1..]),
            _ => return Err(LatticeFault::Field { found: word() }),
        };
        let quote = value.chars().next().filter(|&char| char == '"' || char == '\'');
        // An apostrophe that nothing closes is part of the word, as in `W='tis`.
        let quoted = match quote {
            Some(quote) => match unescaped(&value[1..], Some(quote)) {
                Some(found) => Some(found),
                None if quote == '"' && value.len() > 1 && !value[1..].starts_with(char::is_whitespace) => {
                    return Err(LatticeFault::Quote { found: word() });
                }
                None => None,
            },
            None => None,
        };
        let (text, len) = match quoted {
            Some((text, len)) => (text, len + 1),
            None => unescaped(value, None).unwrap_or_default(),
        };
        rest = value[len..].trim_start();
        fields.insert(name.to_owned(), text);
    }
    Ok(fields)
}

/// A value up to its closing quotation mark, or up to whitespace; and the number of its bytes, with the mark. `None` if
/// the mark is missing, or is followed by more text.
fn unescaped(text: &str, quote: Option<char>) -> Option<(String, usize)> {
    let (mut bytes, mut chars) = (Vec::new(), text.char_indices());
    while let Some((at, char)) = chars.next() {
        match (char, quote) {
            ('\\', _) => {
                let octal = text
                    .get(at + 1..at + 4)
                    .filter(|digits| digits.bytes().all(|d| (b'0'..b'8').contains(&d)));
                if let Some(code) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                    bytes.push(code);
                    chars.nth(2);
                } else if let Some((_, char)) = chars.next() {
                    bytes.extend(char.encode_utf8(&mut [0; 4]).bytes());
                }
            }
            (char, Some(quote)) if char == quote => {
                let after = &text[at + quote.len_utf8()..];
                let is_end = after.is_empty() || after.starts_with(char::is_whitespace);
                return is_end.then(|| (String::from_utf8_lossy(&bytes).into_owned(), at + quote.len_utf8()));
            }
            (char, None) if char.is_whitespace() => {
                return Some((String::from_utf8_lossy(&bytes).into_owned(), at));
            }
            (char, _) => bytes.extend(char.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    match quote {
        Some(_) => None,
        None => Some((String::from_utf8_lossy(&bytes).into_owned(), text.len())),
    }
}
