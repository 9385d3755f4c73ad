//! Character classes: letters, digits and spaces.
//!
//! Moses uses the letters of Unicode, except Chinese characters and Korean syllables: each of these is a token.
//! So are the viramas and nuktas of Indic and other scripts, which are inside of words: `sacremoses` 0.2 lists them, since
//! they are no letters in Unicode.

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

/// The viramas and nuktas that are parts of words, in order.
///
/// *Source*: `sacremoses/indic.py`, version 0.2.0.
const WORD_SIGNS: [u32; 63] = [
    0x93c, 0x94d, 0x9bc, 0x9cd, 0xa3c, 0xa4d, 0xabc, 0xacd, 0xafd, 0xafe, 0xaff, 0xb3c, 0xb4d, 0xbcd, 0xc4d,
    0xcbc, 0xccd, 0xd3b, 0xd3c, 0xd4d, 0xdca, 0xeba, 0x1039, 0x1714, 0x1bab, 0x1c37, 0xa8c4, 0xa8f3, 0xa8f4,
    0xa953, 0xaaf6, 0x10a3f, 0x11046, 0x110b9, 0x110ba, 0x11133, 0x11173, 0x111c0, 0x111ca, 0x11235, 0x11236,
    0x112e9, 0x112ea, 0x1133c, 0x1134d, 0x11442, 0x11446, 0x114c2, 0x114c3, 0x115bf, 0x115c0, 0x1163f,
    0x116b6, 0x116b7, 0x11839, 0x1183a, 0x119e0, 0x11a34, 0x11c3f, 0x11d42, 0x11d45, 0x11d97, 0x1e94a,
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

/// Whether `char` is a letter, or a sign that is part of words.
pub(super) fn is_letter(char: char) -> bool {
    char.is_alphabetic() || (!char.is_ascii() && WORD_SIGNS.binary_search(&u32::from(char)).is_ok())
}

/// Whether `char` is part of words and numbers.
pub(super) fn is_alphanumeric(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_alphanumeric();
    }
    let code = u32::from(char);
    let is_word = is_letter(char) && !NO_LETTERS.iter().any(|&(first, last)| (first..=last).contains(&code));
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
        for char in ['\u{94d}', '\u{93c}', '\u{dca}', '\u{11133}'] {
            assert!(is_alphanumeric(char) && !char.is_alphabetic(), "{char}");
        }
        assert!(WORD_SIGNS.is_sorted());
        assert!(
            ZEROS.is_sorted() && ZEROS.iter().all(|&zero| char::from_u32(zero).is_some_and(char::is_numeric))
        );
    }
}
