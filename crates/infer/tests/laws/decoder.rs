//! States that are advanced for a beam decoder.

use rondo_infer::{Decoder, InferError};
use rondo_nn::{Cell, Input};

use crate::{VOCAB_SIZE, assert_close, damaged_model, log_probs_after, model, model_of, text};

#[test]
fn a_state_expects_what_the_model_expects_after_what_it_has_read() {
    for (cell, input) in [(Cell::Lstm, Input::Embedding(9)), (Cell::Gru, Input::OneHot)] {
        let (model, _) = model_of(cell, input);
        let mut decoder = Decoder::new(&model);
        let texts: Vec<Vec<u32>> = (0..5).map(|seed| text(12, seed)).collect();
        let mut states = vec![decoder.begin(); texts.len()];
        for place in 0..12 {
            let tokens: Vec<u32> = texts.iter().map(|text| text[place]).collect();
            let (after, rows) = decoder.advance(&states, &tokens).unwrap();
            assert_eq!((rows.len(), rows.row(0).len()), (texts.len(), VOCAB_SIZE));
            for (text, row) in texts.iter().zip(rows.rows()) {
                let expected = &log_probs_after(&model, &text[..=place])[place];
                for (&found, &expected) in row.iter().zip(expected) {
                    assert_close("log-probability", f64::from(found), expected, 2e-4);
                }
            }
            states = after;
        }
    }
}

/// As in a beam: one state goes on in two ways, another is dropped, and the order changes.
#[test]
fn states_are_shared_dropped_and_reordered() {
    let (model, _) = model();
    let mut decoder = Decoder::new(&model);
    let (first, _) = decoder.advance(&[decoder.begin(), decoder.begin()], &[3, 7]).unwrap();
    let beam = [first[1].clone(), first[0].clone(), first[1].clone()];
    let (second, rows) = decoder.advance(&beam, &[1, 2, 9]).unwrap();
    for (row, read) in rows.rows().zip([[7, 1], [3, 2], [7, 9]]) {
        for (&found, &expected) in row.iter().zip(&log_probs_after(&model, &read)[1]) {
            assert_close("log-probability", f64::from(found), expected, 2e-4);
        }
    }
    // What was advanced is as it was.
    let (_, again) = decoder.advance(&beam, &[1, 2, 9]).unwrap();
    assert_eq!(again, rows);
    let (_, alone) = decoder.advance(&second[2..], &[4]).unwrap();
    let (_, together) = decoder.advance(&second, &[4, 4, 4]).unwrap();
    assert_eq!(alone.row(0), together.row(2), "bit for bit");
}

#[test]
fn what_cannot_be_advanced_is_refused() {
    let (model, _) = model();
    let mut decoder = Decoder::new(&model);
    let begin = decoder.begin();
    let error = decoder.advance(std::slice::from_ref(&begin), &[1, 2]).unwrap_err().to_string();
    assert_eq!(error, "1 states and 2 tokens: each state reads exactly one token");
    assert!(matches!(decoder.advance(&[begin], &[99]), Err(InferError::IdOutOfRange { id: 99, .. })));
    assert!(decoder.advance(&[], &[]).unwrap().1.is_empty());
    let mut decoder = Decoder::new(&damaged_model());
    let begin = decoder.begin();
    assert!(matches!(decoder.advance(&[begin], &[1]), Err(InferError::NonFiniteLogits)));
}
