//! Codecs of model files and checkpoints: an error, or a codec that is the same after writing and reading it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_data::{Spacing, TextCodec};

fuzz_target!(|json: &str| {
    let Ok(codec) = TextCodec::from_json("fuzz.json", json) else { return };
    let again = TextCodec::from_json("fuzz.json", &codec.to_json()).expect("what is written is read back");
    assert_eq!(codec, again);
    assert_eq!(codec.fingerprint(), again.fingerprint());
    // Any codec reads a text or rejects it, and writes each of its tokens.
    if let Ok(encoded) = codec.encode("the cat\n\u{e9} \u{0}") {
        codec.decode(&encoded.ids).expect("its own ids");
    }
    let mut decoder = codec.decoder(Spacing::Natural);
    let mut written = Vec::new();
    for id in 0..codec.vocab().len() as u32 {
        decoder.push(id, &mut written).expect("its own id");
    }
});
