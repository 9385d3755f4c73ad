//! How running text is cut into the words of a vocabulary that stands already.

use super::Tokenizer;
use crate::Vocab;
use crate::moses::Joints;

impl Tokenizer {
    /// The tokeniser that cuts running text into words as the vocabulary has them: `@-@` for dashes if it has that,
    /// small letters if it has no others.
    ///
    /// `eos` is the token that ends a sentence; `sentences` says whether the text is split into them, or each of its
    /// lines is one.
    #[must_use]
    pub fn moses_for(vocab: &Vocab, eos: Option<&str>, sentences: bool) -> Tokenizer {
        Tokenizer::Moses {
            eos: eos.map(str::to_owned),
            sentences,
            joints: joints(vocab),
            lowercase: is_lowercase(vocab),
        }
    }
}

fn joints(vocab: &Vocab) -> Joints {
    let has = |token| vocab.id(token).is_some();
    match (has("@-@"), has("@,@") || has("@.@")) {
        (_, true) => Joints::All,
        (true, false) => Joints::Dashes,
        (false, false) => Joints::Keep,
    }
}

/// Whether the words of the vocabulary are written small: all but a few signs, such as PTB's `N` for numbers.
fn is_lowercase(vocab: &Vocab) -> bool {
    let with_capitals = vocab.tokens().filter(|token| token.contains(char::is_uppercase)).count();
    with_capitals * 100 < vocab.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocab(words: &str) -> Vocab {
        Vocab::from_tokens("test", words.split(' '), None).unwrap()
    }

    #[test]
    fn words_are_cut_as_the_vocabulary_has_them() {
        assert_eq!(joints(&vocab("a @-@ b")), Joints::Dashes);
        assert_eq!(joints(&vocab("a @-@ @,@")), Joints::All);
        assert_eq!(joints(&vocab("a b - ,")), Joints::Keep);
    }

    #[test]
    fn a_vocabulary_of_small_letters_may_have_a_sign() {
        assert!(!is_lowercase(&vocab("the cat The")));
        let words: Vec<String> = (0..200).map(|index| format!("w{index}")).collect();
        assert!(is_lowercase(&vocab(&format!("{} N", words.join(" ")))));
    }
}
