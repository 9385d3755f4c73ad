//! Vocabulary files: an error, or a vocabulary that is the same after writing and reading it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_data::Vocab;

fuzz_target!(|json: &str| {
    let Ok(vocab) = Vocab::from_json("fuzz.json", json) else { return };
    let again = Vocab::from_json("fuzz.json", &vocab.to_json()).expect("what is written is read back");
    assert_eq!((&vocab, vocab.counts()), (&again, again.counts()));
    assert_eq!(vocab.fingerprint(), again.fingerprint());
    for (token, id) in vocab.tokens().zip(0..) {
        assert_eq!((vocab.id(token), vocab.token(id)), (Some(id), Some(token)));
    }
});
