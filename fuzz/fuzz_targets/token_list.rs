//! Vocabularies of other tools: an error, or a vocabulary with an id for each token. The first byte is the number of the
//! model's tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_convert::Vocabulary;

fuzz_target!(|input: &[u8]| {
    let [tokens, text @ ..] = input else { return };
    let text = String::from_utf8_lossy(text);
    let Ok(vocabulary) = Vocabulary::parse("list", &text, usize::from(*tokens)) else { return };
    for (id, token) in (0..).zip(vocabulary.vocab.tokens()) {
        assert_eq!(vocabulary.vocab.id(token), Some(id));
    }
});
