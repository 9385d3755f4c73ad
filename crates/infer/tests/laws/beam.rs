//! Searching for the most likely texts.

use rondo_infer::{BeamSearch, Hypothesis, InferError, ModelHandle, Sampling, Scorer, Scoring, Streams};
use rondo_nn::{Cell, Input};

use crate::{
    VOCAB_SIZE, assert_close, damaged_model, log_probs_of, model, model_of, model_with, rnn_lm, text,
};

const END: u32 = 2;

fn search(beams: usize, max_tokens: usize) -> BeamSearch {
    BeamSearch { beams, max_tokens, ..BeamSearch::default() }
}

fn run(search: &BeamSearch, prefix: &[u32]) -> Vec<Hypothesis> {
    let (model, _) = model();
    search.run(&model, prefix).unwrap()
}

/// All texts over `vocab_size` tokens that the search may find: up to the first end, or `max_tokens` long.
fn texts(vocab_size: u32, max_tokens: usize, allowed: impl Fn(u32) -> bool) -> Vec<Vec<u32>> {
    let mut texts = vec![vec![]];
    for _ in 0..max_tokens {
        texts = texts
            .into_iter()
            .flat_map(|text: Vec<u32>| {
                if text.last() == Some(&END) {
                    return vec![text];
                }
                let allowed = (0..vocab_size).filter(|&id| allowed(id));
                allowed.map(|id| [text.as_slice(), &[id]].concat()).collect()
            })
            .collect();
    }
    texts
}

#[test]
fn a_beam_wide_enough_finds_the_best_of_all_texts() {
    const V: u32 = 4;
    let prefix = [3, 0, 1];
    for (cell, length_penalty) in [(Cell::Lstm, 0.0), (Cell::Lstm, 0.7), (Cell::Gru, 1.5)] {
        let (model, _) = model_with(cell, Input::Embedding(5), V as usize);
        let log_prob_of = |text: &[u32]| {
            let log_probs = log_probs_of(&model, &[&prefix, text].concat());
            log_probs[prefix.len() - 1..].iter().sum::<f64>()
        };
        let score_of =
            |text: &[u32]| log_prob_of(text) / ((5.0 + text.len() as f64) / 6.0).powf(length_penalty);
        for forbidden in [vec![], vec![1]] {
            let texts = texts(V, 4, |id| !forbidden.contains(&id)).into_iter();
            let mut expected: Vec<(f64, Vec<u32>)> = texts.map(|text| (score_of(&text), text)).collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0));
            let search = BeamSearch { length_penalty, ends: vec![END], forbidden, ..search(300, 4) };
            let found = search.run(&model, &prefix).unwrap();
            assert_eq!(found.len(), expected.len());
            assert_eq!(found[0].ids, expected[0].1);
            for (found, (score, _)) in found.iter().zip(&expected) {
                assert_close("score", found.score, *score, 1e-4);
                assert_close("log-probability", found.log_prob_sum, log_prob_of(&found.ids), 1e-4);
                assert_eq!(found.ended, found.ids.last() == Some(&END));
            }
        }
    }
}

#[test]
fn a_wider_beam_finds_no_worse_a_text_here() {
    // No law, as a wide beam may drop what a narrow one keeps; but usual, and lost if rows of the state were mixed up.
    let best = |beams| run(&search(beams, 12), &[3, 4])[0].log_prob_sum;
    let scores = [1, 3, 10, 50].map(best);
    assert!(scores.is_sorted() && scores[0] < scores[3] - 0.1, "{scores:?}");
}

#[test]
fn a_beam_of_one_takes_the_likeliest_token() {
    for (cell, input) in [(Cell::Lstm, Input::Embedding(9)), (Cell::Gru, Input::OneHot)] {
        let (model, _) = model_of(cell, input);
        let prefix = text(400, 1);
        let most_likely = Sampling { temperature: 0.0, ..Sampling::default() };
        let mut streams = Streams::new(&model);
        streams.admit(&prefix, &most_likely, 0).unwrap();
        let ids: Vec<u32> = (0..30).map(|_| streams.step().unwrap()[0].token).collect();
        let found = search(1, 30).run(&model, &prefix).unwrap();
        assert_eq!((found.len(), &found[0].ids, found[0].ended), (1, &ids, false));

        // The same up to an end, which is some token that comes.
        let end = ids[ids.len() / 2];
        let len = ids.iter().position(|&id| id == end).unwrap() + 1;
        let search = BeamSearch { ends: vec![end], length_penalty: 1.0, ..search(1, 30) };
        let found = search.run(&model, &prefix).unwrap();
        assert_eq!((found[0].ids.as_slice(), found[0].ended), (&ids[..len], true));
    }
}

#[test]
fn scores_are_those_of_the_scorer() {
    let (model, _) = model();
    let search = BeamSearch { ends: vec![END], ..search(8, 25) };
    let found = search.run(&model, &[5]).unwrap();
    let scoring = Scoring { start: Some(5), ..Scoring::default() };
    let ids: Vec<&[u32]> = found.iter().map(|hypothesis| hypothesis.ids.as_slice()).collect();
    let scores = Scorer::new(&model, scoring).unwrap().score(&ids).unwrap();
    assert_eq!(found.len(), 8);
    for (found, score) in found.iter().zip(&scores) {
        assert_close("log-probability", found.log_prob_sum, score.log_prob_sum, 1e-3);
        assert_eq!(found.score, found.log_prob_sum);
    }
    assert!(found.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn forbidden_tokens_do_not_appear_and_texts_are_different() {
    let forbidden: Vec<u32> = (0..VOCAB_SIZE as u32).filter(|id| id % 3 != 0).collect();
    let mut found = run(&BeamSearch { forbidden, ends: vec![9], ..search(12, 10) }, &[0]);
    assert!(found.iter().flat_map(|hypothesis| &hypothesis.ids).all(|id| id % 3 == 0));
    assert!(found.iter().all(|one| !one.ids[..one.ids.len() - 1].contains(&9)), "nothing follows an end");
    found.sort_by(|a, b| a.ids.cmp(&b.ids));
    found.dedup_by(|a, b| a.ids == b.ids);
    assert_eq!(found.len(), 12);
}

#[test]
fn equals_are_ordered_by_their_ids() {
    // With all parameters zero all tokens are as likely.
    let device = rondo_kernels::Device::cpu(1).unwrap();
    let zeros = rondo_nn::RnnLm::new(rnn_lm(Cell::Lstm, Input::OneHot, 9).config().clone(), &device).unwrap();
    let model = ModelHandle::new(zeros);
    let found = search(3, 2).run(&model, &[1]).unwrap();
    assert_eq!(found.iter().map(|one| one.ids.as_slice()).collect::<Vec<_>>(), [[0, 0], [0, 1], [0, 2]]);
}

#[test]
fn nothing_is_found_without_a_step() {
    let found = run(&search(4, 0), &[1]);
    assert_eq!((found.len(), found[0].ids.len(), found[0].log_prob_sum), (1, 0, 0.0));
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let (model, _) = model();
    let refusal = |search: BeamSearch, prefix: &[u32]| search.run(&model, prefix).unwrap_err();
    assert!(matches!(refusal(search(1, 1), &[]), InferError::EmptyPrefix));
    assert!(matches!(refusal(search(1, 1), &[99]), InferError::IdOutOfRange { id: 99, .. }));
    assert_eq!(refusal(search(0, 1), &[1]).to_string(), "`beams` must be at least 1");
    for found in [-0.5, f64::NAN, f64::INFINITY] {
        let error = refusal(BeamSearch { length_penalty: found, ..search(1, 1) }, &[1]).to_string();
        assert_eq!(error, format!("`length_penalty` must be at least 0 and finite, but is {found}"));
    }
    let unknown = BeamSearch { ends: vec![23], ..search(1, 1) };
    assert!(matches!(refusal(unknown, &[1]), InferError::IdOutOfRange { id: 23, .. }));
    let nothing_left = BeamSearch { forbidden: (0..23).collect(), ..search(1, 1) };
    assert!(matches!(refusal(nothing_left, &[1]), InferError::AllForbidden { vocab_size: 23 }));
    let model = damaged_model();
    let error = search(2, 2).run(&model, &[1]).unwrap_err();
    assert!(matches!(error, InferError::NonFiniteLogits));
}
