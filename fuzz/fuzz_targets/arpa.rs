//! N-gram models: an error with its line, or a model whose log-probabilities are finite.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_data::Arpa;

fuzz_target!(|input: &[u8]| {
    let Ok(model) = Arpa::read(input, "model") else { return };
    assert_eq!(model.counts().count(), model.order());
    let ids = model.words().len() as u32;
    for word in (0..ids).chain([model.unknown()]).take(100) {
        for context in [&[][..], &[word], &[ids, word], &[word, word, word], &[0, word, 1]] {
            assert!(model.log10_prob(context, word).is_finite());
        }
    }
});
