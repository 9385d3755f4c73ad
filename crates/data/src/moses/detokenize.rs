//! Detokenizer: joins tokens to text as people write it.
//!
//! Only the tokens to the left decide how a token is joined, never the following ones, so tokens can be joined as
//! they arrive.
//!
//! *Source*: Koehn et al. 2007, `detokenizer.perl`, as in `sacremoses` (`lang="en"`, without unescaping), with two
//! differences: `@,@` and `@.@` join like `@-@`; and the curly quotes `“`, `„`, `‘` open and `”` closes, whereas
//! `sacremoses` counts `“` to distinguish the two, and treats `”` and `‘` as words.

/// Joins tokens of one sentence.
///
/// ```
/// use rondo_data::moses::detokenize;
///
/// let tokens = "He said , \" It 's a two @-@ day trip ( of 1 @,@ 000 miles ) . \"";
/// assert_eq!(detokenize(tokens.split(' ')), "He said, \"It's a two-day trip (of 1,000 miles).\"");
/// ```
#[must_use]
pub fn detokenize<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> String {
    let (mut state, mut text) = (Detokenized::default(), Vec::new());
    for token in tokens {
        state.push(token.as_ref(), &mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The state after the previous tokens, which decides how the next token is joined.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detokenized {
    any: bool,
    /// Whether the next token is joined to the last without a space.
    glue: bool,
    /// Whether the last token ends in `s`.
    after_s: bool,
    /// Whether the last character is Chinese, Japanese or Korean.
    after_cjk: bool,
    /// Which quotation marks are open: `'`, `"`, ` `` `, `` ` ``, `''`.
    open: [bool; 5],
}

/// How a token is joined to its neighbors.
enum Place {
    Between,
    /// No space before it.
    Left,
    /// No space after it.
    Right,
    /// No space on either side.
    Joint,
}

impl Detokenized {
    /// Appends a token to `text`, preceded by a space if needed.
    pub fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        let (Some(first), Some(last)) = (token.chars().next(), token.chars().next_back()) else {
            return;
        };
        let place = self.place(token, first);
        let left = self.glue || matches!(place, Place::Left | Place::Joint);
        if self.any && !left {
            text.push(b' ');
        }
        let written = match place {
            Place::Joint => token.trim_matches('@'),
            _ => token,
        };
        text.extend_from_slice(written.as_bytes());
        self.glue = matches!(place, Place::Right | Place::Joint);
        self.any = true;
        self.after_s = last == 's';
        self.after_cjk = is_cjk(last);
    }

    /// Starts a sentence, with all quotation marks closed.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    fn place(&mut self, token: &str, first: char) -> Place {
        let all = |is: fn(char) -> bool| token.chars().all(is);
        if matches!(token, "@-@" | "@,@" | "@.@") {
            Place::Joint
        } else if is_cjk(first) {
            if self.after_cjk { Place::Left } else { Place::Between }
        } else if all(opens) {
            Place::Right
        } else if all(closes) || (self.any && is_contraction(token)) {
            Place::Left
        } else if all(|char| matches!(char, '\'' | '"' | '`')) {
            self.quotation_mark(token)
        } else {
            Place::Between
        }
    }

    fn quotation_mark(&mut self, token: &str) -> Place {
        // Other marks, such as `"'`, are rare, so they share the last kind.
        let kind = ["'", "\"", "``", "`"].iter().position(|&mark| mark == token).unwrap_or(4);
        if self.open[kind] {
            self.open[kind] = false;
            Place::Left
        } else if token == "'" && self.after_s {
            Place::Left // A possessive: `the Jones ' house`.
        } else {
            self.open[kind] = true;
            Place::Right
        }
    }
}

fn opens(char: char) -> bool {
    is_currency(char) || matches!(char, '(' | '[' | '{' | '¿' | '¡' | '“' | '„' | '‘')
}

fn closes(char: char) -> bool {
    matches!(char, ',' | '.' | '?' | '!' | ':' | ';' | '\\' | '%' | '}' | ']' | ')' | '”')
}

/// Whether the token is a contraction: an apostrophe and letters, as in `'s` or `'ll`.
fn is_contraction(token: &str) -> bool {
    token.strip_prefix('\'').and_then(|rest| rest.chars().next()).is_some_and(char::is_alphabetic)
}

fn is_currency(char: char) -> bool {
    matches!(char, '$' | '¢'..='¥' | '\u{20a0}'..='\u{20c1}' | '֏' | '؋' | '฿' | '៛' | '﷼' | '﹩' | '＄' | '￠' | '￡' | '￥' | '￦')
}

/// Whether `char` belongs to a script that is written without spaces, as defined by Moses.
fn is_cjk(char: char) -> bool {
    const RANGES: [(u32, u32); 11] = [
        (0x1100, 0x11ff),
        (0x2e80, 0xa4cf),
        (0xa840, 0xa87f),
        (0xac00, 0xd7af),
        (0xf900, 0xfaff),
        (0xfe30, 0xfe4f),
        (0xff65, 0xffdc),
        (0x17000, 0x18aff),
        (0x1b000, 0x1b12f),
        (0x1b170, 0x1b2ff),
        (0x20000, 0x2ffff),
    ];
    RANGES.iter().any(|&(first, last)| (first..=last).contains(&u32::from(char)))
}
