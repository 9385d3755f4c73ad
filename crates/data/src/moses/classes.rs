//! Character classes: letters, digits and spaces.
//!
//! Moses uses the letters of Unicode, except Chinese characters and Korean syllables: each of these is a token.
//! Not here: the virama signs of Indic scripts, which are letters in Moses but not in Rust.

/// The zeros of the decimal digits in the basic plane outside ASCII; the other nine digits follow each zero.
const ZEROS: [u32; 36] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50, 0xed0,
    0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
    0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// Letters that Moses does not treat as letters: ideographs and Korean syllables.
const NO_LETTERS: [(u32, u32); 8] = [
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3038, 0x303b),
    (0x3400, 0x4dbf),
    (0x4e00, 0x9fff),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0x20000, 0x3fffd),
];

/// Whether `char` is whitespace, including the four separators among the control characters.
pub(crate) fn is_space(char: char) -> bool {
    char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}')
}

/// Whether `char` is a decimal digit of any script.
pub(crate) fn is_decimal(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_digit();
    }
    let code = u32::from(char);
    let after = ZEROS.partition_point(|&zero| zero <= code);
    after > 0 && code < ZEROS[after - 1] + 10
}

/// Whether `char` is part of words and numbers.
pub(super) fn is_alphanumeric(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_alphanumeric();
    }
    let code = u32::from(char);
    let is_word =
        char.is_alphabetic() && !NO_LETTERS.iter().any(|&(first, last)| (first..=last).contains(&code));
    is_word || is_decimal(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_decimal_digits_are_of_words_and_nothing_else() {
        for char in ['a', 'Z', '7', 'é', 'ß', 'я', '٣', '９', 'Ⅷ'] {
            assert!(is_alphanumeric(char), "{char}");
        }
        for char in ['_', '²', '½', '漢', '가', '々', '’', '-', ' ', '\u{1d}'] {
            assert!(!is_alphanumeric(char), "{char}");
        }
        assert!(
            ZEROS.is_sorted() && ZEROS.iter().all(|&zero| char::from_u32(zero).is_some_and(char::is_numeric))
        );
    }
}
