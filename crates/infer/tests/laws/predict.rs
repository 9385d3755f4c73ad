//! What may come next.

use rondo_infer::{InferError, Predictor};

use crate::{VOCAB_SIZE, assert_close, damaged_model, log_probs_after, model, text};

#[test]
fn after_each_token_stands_what_the_plainest_way_gives() {
    let (model, _) = model();
    let ids = text(150, 4);
    let expected = log_probs_after(&model, &ids);
    let mut predictor = Predictor::new(&model);
    predictor.read(&[7, 7, 7], |_, _| ()).unwrap();
    predictor.restart();
    let mut places = Vec::new();
    // In two parts, the second of which goes on from the first, in several batches.
    for (begin, end) in [(0, 11), (11, ids.len())] {
        predictor
            .read(&ids[begin..end], |place, distribution| {
                let expected = &expected[begin + place];
                for (id, &expected) in (0..).zip(expected) {
                    assert_close("log-probability", distribution.log_prob(id), expected, 2e-4);
                }
                let sum: f64 = (0..VOCAB_SIZE as u32).map(|id| distribution.log_prob(id).exp()).sum();
                assert_close("sum", sum, 1.0, 1e-6);
                places.push(begin + place);
            })
            .unwrap();
    }
    assert!(places.into_iter().eq(0..ids.len()));
}

#[test]
fn the_likeliest_allowed_tokens_are_the_candidates() {
    let (model, _) = model();
    let prefix = text(70, 9);
    let mut expected: Vec<(f64, u32)> =
        log_probs_after(&model, &prefix)[69].iter().copied().zip(0..).filter(|(_, id)| id % 2 == 1).collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut predictor = Predictor::new(&model);
    for count in [1, 5, 100] {
        // What was read before does not matter.
        predictor.read(&[1, 2], |_, _| ()).unwrap();
        let found = predictor.candidates(&prefix, count, |id| id % 2 == 1).unwrap();
        assert_eq!(found.len(), count.min(VOCAB_SIZE / 2));
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found.id, expected.1);
            assert_close("log-probability", found.log_prob, expected.0, 2e-4);
        }
    }
}

#[test]
fn what_cannot_be_predicted_is_refused() {
    let (model, _) = model();
    let mut predictor = Predictor::new(&model);
    assert!(matches!(predictor.candidates(&[], 1, |_| true), Err(InferError::EmptyPrefix)));
    assert!(matches!(predictor.read(&[1, 99], |_, _| ()), Err(InferError::IdOutOfRange { id: 99, .. })));
    let model = damaged_model();
    let mut predictor = Predictor::new(&model);
    assert!(matches!(predictor.candidates(&[1], 1, |_| true), Err(InferError::NonFiniteLogits)));
}
