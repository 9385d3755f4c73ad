//! Laws of models that were trained on independent lines or paragraphs: what precedes a unit does not matter.

use std::ops::ControlFlow;

use rondo_data::{TokenIds, Unit};
use rondo_infer::{
    BeamSearch, Decoder, ModelHandle, Predictor, Resets, Sampling, Scorer, Scoring, Streams, evaluate_with,
};
use rondo_nn::{Cell, Input};

use crate::{assert_close, cells, log_probs_of, model_of, text};

const LINE_END: u32 = 0;

fn model_of_units(cell: Cell, unit: Unit) -> ModelHandle {
    let (model, _) = model_of(cell, Input::Embedding(9));
    model.with_resets(Some(Resets { unit, line_end: LINE_END }))
}

/// Units of a few tokens, with one that is a single token and one that is long. The last one has no end.
fn units(unit: Unit) -> Vec<Vec<u32>> {
    let tokens = |len, seed| -> Vec<u32> { text(len, seed).iter().map(|&id| id.max(1)).collect() };
    let lens = [3, 1, 40, 5, 2, 9, 17, 1, 4, 6];
    let mut units: Vec<Vec<u32>> = (1..).zip(lens).map(|(seed, len)| tokens(len, seed)).collect();
    let last = units.len() - 1;
    for unit_tokens in &mut units[..last] {
        unit_tokens.push(LINE_END);
        if unit == Unit::Paragraph {
            // A line of its own within the paragraph, and the blank line.
            unit_tokens.extend([7, LINE_END, LINE_END]);
        }
    }
    units
}

/// The sum of the log-probabilities of units, each read alone.
fn alone(model: &ModelHandle, units: &[Vec<u32>]) -> f64 {
    let plain = model.clone().with_resets(None);
    let sum = |unit: &Vec<u32>| {
        let read: Vec<u32> = std::iter::once(LINE_END).chain(unit.iter().copied()).collect();
        log_probs_of(&plain, &read).iter().sum::<f64>()
    };
    units.iter().map(sum).sum()
}

#[test]
fn evaluation_is_the_sum_over_units_whatever_the_batch() {
    for (cell, unit) in cells().flat_map(|cell| [(cell, Unit::Line), (cell, Unit::Paragraph)]) {
        let (model, units) = (model_of_units(cell, unit), units(unit));
        let expected = -alone(&model, &units);
        let ids = TokenIds::from(units.concat());
        for sizes in [(1, 1), (1, 500), (2, 7), (3, 1), (20, 35)] {
            let (resets, mut workspace) = (model.resets(), rondo_nn::Workspace::new(model.device()));
            let mut progress = |_| ControlFlow::Continue(());
            let found =
                evaluate_with(model.model(), &mut workspace, &ids, resets, sizes, &mut progress).unwrap();
            assert_eq!(found.tokens, ids.len() as u64);
            assert_close(&format!("{cell} {unit:?} {sizes:?}"), found.nll_sum, expected, 1e-3);
        }
        let scoring = Scoring { start: Some(LINE_END), ..Scoring::default() };
        let scores = Scorer::new(&model, scoring.clone()).unwrap().score(&units).unwrap();
        let sum: f64 = scores.iter().map(|score| score.log_prob_sum).sum();
        assert_close("the sum of scores", -sum, expected, 1e-3);
        // A text whose state is carried forgets what precedes a unit, too.
        let scoring = Scoring { carry_state: true, ..scoring };
        let scores = Scorer::new(&model, scoring).unwrap().score(&units).unwrap();
        let sum: f64 = scores.iter().map(|score| score.log_prob_sum).sum();
        assert_close("the sum of scores with the state carried", -sum, expected, 1e-3);
    }
}

#[test]
fn what_precedes_a_unit_does_not_change_what_follows() {
    for unit in [Unit::Line, Unit::Paragraph] {
        let (model, before) = (model_of_units(Cell::Lstm, unit), units(unit)[2].clone());
        let fresh = [LINE_END, 5, 6];
        // The line end that ends a unit is read before the next one.
        let after = [&[LINE_END][..], &before, &[5, 6]].concat();
        let candidates = |prefix: &[u32]| {
            let found = Predictor::new(&model).candidates(prefix, 5, |_| true).unwrap();
            found.into_iter().map(|candidate| (candidate.id, candidate.log_prob)).collect::<Vec<_>>()
        };
        assert_eq!(candidates(&after), candidates(&fresh));
        let plain = model.clone().with_resets(None);
        let without = Predictor::new(&plain).candidates(&after, 1, |_| true).unwrap()[0].log_prob;
        assert_ne!(without, candidates(&after)[0].1);

        let mut predictor = Predictor::new(&model);
        let mut last = vec![];
        // The prefix in two pieces, cut within the end of the unit.
        for piece in [&after[..before.len()], &after[before.len()..]] {
            predictor
                .read(piece, |_, distribution| {
                    last = distribution
                        .most_likely(5, |_| true)
                        .iter()
                        .map(|candidate| (candidate.id, candidate.log_prob))
                        .collect();
                })
                .unwrap();
        }
        assert_eq!(last, candidates(&fresh));

        let mut decoder = Decoder::new(&model);
        let mut row = |prefix: &[u32]| {
            let (mut state, mut probabilities) = (decoder.begin(), vec![]);
            for &token in prefix {
                let (states, rows) = decoder.advance(&[state], &[token]).unwrap();
                (state, probabilities) = (states[0].clone(), rows.row(0).to_vec());
            }
            probabilities
        };
        assert_eq!(row(&after), row(&fresh));

        let search = BeamSearch { beams: 3, max_tokens: 4, ..BeamSearch::default() };
        let found = |prefix: &[u32]| -> Vec<Vec<u32>> {
            search.run(&model, prefix).unwrap().into_iter().map(|hypothesis| hypothesis.ids).collect()
        };
        assert_eq!(found(&after), found(&fresh));
    }
}

#[test]
fn generated_units_are_independent() {
    let model = model_of_units(Cell::Gru, Unit::Line);
    let generate = |prompt: &[u32]| {
        let mut streams = Streams::new(&model);
        streams.admit(prompt, &Sampling { temperature: 1.5, ..Sampling::default() }, 3).unwrap();
        let mut next = || streams.step().unwrap()[0];
        (0..200).map(|_| next()).map(|token| (token.token, token.log_prob)).collect::<Vec<_>>()
    };
    let tokens = generate(&[LINE_END]);
    let lines: Vec<_> = tokens.split_inclusive(|token| token.0 == LINE_END).collect();
    assert!(lines.len() > 3);
    let plain = model.clone().with_resets(None);
    for line in lines {
        let read: Vec<u32> = std::iter::once(LINE_END).chain(line.iter().map(|token| token.0)).collect();
        for (expected, &(_, log_prob)) in log_probs_of(&plain, &read).into_iter().zip(line) {
            assert_close("log-probability", log_prob, expected, 1e-4);
        }
    }
}
