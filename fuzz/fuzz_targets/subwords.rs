//! Tokenizers in files: an error, or a tokenizer that encodes a text the same in any pieces, and whose ids are decoded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_data::{TextCodec, Tokenizer};

const TEXT: &str = "the cat walks,\n\nunhappiness ﬁ 🦀 </s>";

fuzz_target!(|input: &[u8]| {
    let Ok(tokenizer) = Tokenizer::from_bytes("fuzz", input.to_vec()) else { return };
    let Ok(Some(codec)) = TextCodec::of_tokenizer(tokenizer) else { return };
    let Ok(encoded) = codec.encode(TEXT) else { return };
    let by_line: Vec<u32> = codec
        .lines(TEXT.as_bytes(), "fuzz")
        .flat_map(|line| line.expect("the whole text was encoded").ids)
        .collect();
    assert_eq!(by_line, encoded.ids);
    codec.decode(&encoded.ids).expect("each id has a token");
});
