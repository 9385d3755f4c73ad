//! Lists of hypotheses and references: an error with its line, or entries that can be scored and ranked. The first
//! byte is the options; a form feed separates the two lists.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rondo_infer::rescore::{Scored, Weights, entries, errors, oracle, ranking, references, tune};

fuzz_target!(|input: &[u8]| {
    let [how, lists @ ..] = input else { return };
    let (lossy, lm_log_prob) = (how % 2 == 1, -f64::from(*how) * 1e30);
    let mut lists = lists.splitn(2, |&byte| byte == 0x0C);
    let (hypotheses, texts) = (lists.next().unwrap_or_default(), lists.next().unwrap_or_default());
    let references = references(texts, "references", lossy);
    let Ok(entries) = entries(hypotheses, "hypotheses", lossy) else { return };
    assert!(entries.iter().all(|entry| entry.score.is_finite()));
    let scored: Vec<_> = entries
        .into_iter()
        .map(|entry| Scored { text: entry.text, score: entry.score, lm_log_prob })
        .collect();
    let mut order = ranking(&scored, Weights { lm: 1.0, word_bonus: -1.0 });
    order.sort_unstable();
    assert!(order.into_iter().eq(0..scored.len()));
    let reference =
        references.ok().and_then(|all| all.into_iter().next()).map_or(String::new(), |one| one.text);
    if scored.len() * reference.len() < 10_000 {
        let pairs = [(scored.as_slice(), reference.as_str())];
        let least = oracle(&pairs).errors;
        assert!(errors(&pairs, Weights::default()).errors >= least);
        let _ = tune(&pairs, &[0.0, 1.0], &[0.0, 1.0]);
    }
});
