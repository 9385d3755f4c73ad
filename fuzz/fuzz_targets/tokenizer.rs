//! The tokenizer's configuration in model files: an error, or a tokenizer that is the same after writing and reading it
//! and splits any text. The configuration is the first line, and the text is the rest.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_data::{DataError, Spacing, TextCodec, Tokenizer, Vocab};

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |&byte| byte == b'\n');
    let (json, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(json) = std::str::from_utf8(json) else { return };
    let Ok(tokenizer) = serde_json::from_str::<Tokenizer>(json) else { return };
    let written = serde_json::to_string(&tokenizer).expect("JSON holds a tokenizer");
    assert_eq!(serde_json::from_str::<Tokenizer>(&written).expect("what is written is read back"), tokenizer);
    let mut tokens = Vec::new();
    let read = tokenizer.for_each_token(text, "fuzz", |token, _| {
        tokens.push(token.to_owned());
        Ok(())
    });
    match read {
        Ok(stats) => assert_eq!(stats.tokens, tokens.len() as u64),
        Err(DataError::InvalidUtf8 { .. } | DataError::Binary { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let mut joined = Vec::new();
    let vocab = Vocab::from_tokens("fuzz", ["a"], None).expect("there is a token");
    let mut decoder = TextCodec::new(tokenizer.clone(), vocab).decoder(Spacing::AsRead);
    for token in &tokens {
        decoder.push_token(token, &mut joined);
    }
    if tokenizer == Tokenizer::bytes() {
        assert_eq!(joined, text);
    }
    if let Ok(vocab) = Vocab::from_tokens("fuzz", json.split(' ').take(1), None) {
        let _ = Tokenizer::moses_for(&vocab, tokenizer.eos(), true);
    }
});
