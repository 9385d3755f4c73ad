//! Lists of hypotheses and references in every format: an error with its line, or lists that can be ranked and written.
//! The first byte is the options; a form feed separates the two lists.

#![no_main]

use std::ops::ControlFlow;

use libfuzzer_sys::fuzz_target;
use rondo_infer::rescore::{
    ErrorUnit, Format, Free, List, ListReader, ListWriter, ScoreFile, Weights, errors, oracle, ranking,
    references, search, tune,
};

fuzz_target!(|input: &[u8]| {
    let [how, texts @ ..] = input else { return };
    let (lossy, unit) = (how % 2 == 1, if how % 4 < 2 { ErrorUnit::Words } else { ErrorUnit::Characters });
    let given = Format::ALL.get(usize::from(how / 4) % 8).copied();
    let mut texts = texts.splitn(2, |&byte| byte == 0x0C);
    let (hypotheses, other) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
    let scores = ScoreFile::read("file", other, "scores").ok().filter(|_| *how >= 128);
    let mut reader = ListReader::new(given, lossy).with_scores(scores.into_iter().collect());
    let mut lists = Vec::new();
    let each = &mut |_: &ListReader, list: List| {
        lists.push(list);
        ControlFlow::Continue(())
    };
    let read = reader.read(hypotheses, "hypotheses", "file", each);
    let Some(format) = reader.format() else { return };
    let references = references(other, "references", lossy, format).unwrap_or_default();
    if read.is_err() {
        return;
    }
    let names = reader.score_names();
    let weights = Weights { lm: 1.0, word_bonus: -1.0, scores: vec![0.5; names.len()] };
    let (mut writer, mut written) = (ListWriter::new(format, false), Vec::new());
    for list in &mut lists {
        assert!(!list.hypotheses.is_empty());
        for one in &mut list.hypotheses {
            assert!(one.scores.len() <= names.len());
            one.lm_log_prob = -f64::from(*how) * 1e30;
        }
        let mut order = ranking(&list.hypotheses, &weights);
        order.sort_unstable();
        assert!(order.into_iter().eq(0..list.hypotheses.len()));
        writer.list(list, &weights, &mut written).expect("memory can be written");
    }
    writer.finish(&mut written).expect("memory can be written");
    let reference = references.first().map_or("", |one| &one.text);
    if hypotheses.len() * reference.len() < 10_000 {
        let pairs: Vec<_> = lists.iter().map(|list| (list.hypotheses.as_slice(), reference)).collect();
        let least = oracle(&pairs, unit).errors;
        let before = errors(&pairs, unit, &weights).errors;
        assert!(before >= least);
        let _ = tune(&pairs, unit, &weights.scores, &[0.0, 1.0], &[0.0, 1.0]);
        let free = Free { scores: vec![true; names.len()], lm: true, word_bonus: true, signed: lossy };
        let found = search(&pairs, unit, &weights, &free);
        assert!(found.after.errors >= least && found.after.errors <= before);
    }
});
