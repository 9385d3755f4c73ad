//! Continuing a text.

use rondo_infer::{Generator, InferError, Sampling};
use rondo_nn::{Cell, Input};

use crate::{VOCAB_SIZE, damaged_model, log_probs_after, model, model_of, text};

/// The first `count` tokens of each of `streams` streams.
fn generate(prefix: &[u32], streams: usize, sampling: &Sampling, seed: u64, count: usize) -> Vec<Vec<u32>> {
    let (model, mut workspace) = model();
    let mut generator = Generator::new(&model, &mut workspace, prefix, streams, sampling, seed).unwrap();
    let mut texts = vec![Vec::new(); streams];
    for _ in 0..count {
        for (text, &id) in texts.iter_mut().zip(generator.step().unwrap()) {
            text.push(id);
        }
    }
    texts
}

#[test]
fn without_chance_the_likeliest_token_follows() {
    // The long prefix is read in several chunks, while the expectation reads it a token at a time.
    for (cell, input) in [(Cell::Lstm, Input::Embedding(9)), (Cell::Gru, Input::OneHot)] {
        let (model, mut workspace) = model_of(cell, input);
        for prefix_len in [1, 2, 600] {
            let mut ids = text(prefix_len, 1);
            let sampling = Sampling { temperature: 0.0, ..Sampling::default() };
            let mut generator = Generator::new(&model, &mut workspace, &ids, 1, &sampling, 0).unwrap();
            for _ in 0..20 {
                ids.push(generator.step().unwrap()[0]);
            }
            let likeliest = |log_probs: &Vec<f64>| {
                let (id, _) = log_probs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
                id as u32
            };
            let expected: Vec<u32> = log_probs_after(&model, &ids).iter().map(likeliest).collect();
            assert_eq!(ids[prefix_len..], expected[prefix_len - 1..expected.len() - 1], "{cell}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let sampling = Sampling::default();
    let first = generate(&[3, 4], 2, &sampling, 5, 40);
    assert_eq!(generate(&[3, 4], 2, &sampling, 5, 40), first);
    assert_ne!(generate(&[3, 4], 2, &sampling, 6, 40), first);
    assert_ne!(first[0], first[1]);
}

#[test]
fn a_stream_does_not_depend_on_those_beside_it() {
    let sampling = Sampling { top_p: Some(0.95), ..Sampling::default() };
    let many = generate(&[3, 4], 9, &sampling, 5, 200);
    for streams in [1, 2, 5] {
        assert_eq!(generate(&[3, 4], streams, &sampling, 5, 200), many[..streams]);
    }
}

#[test]
fn forbidden_tokens_do_not_appear() {
    let forbidden: Vec<u32> = (0..VOCAB_SIZE as u32).filter(|id| id % 2 == 0).collect();
    let sampling = Sampling { temperature: 3.0, forbidden, ..Sampling::default() };
    assert!(generate(&[0], 3, &sampling, 1, 50).iter().flatten().all(|id| id % 2 == 1));
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let (model, mut workspace) = model();
    let sampling = Sampling::default();
    let mut refusal = |prefix: &[u32], streams| {
        Generator::new(&model, &mut workspace, prefix, streams, &sampling, 1).unwrap_err()
    };
    assert!(matches!(refusal(&[], 1), InferError::EmptyPrefix));
    assert!(matches!(refusal(&[99], 1), InferError::IdOutOfRange { id: 99, .. }));
    assert_eq!(refusal(&[1], 0).to_string(), "`streams` must be at least 1");
    let hot = Sampling { temperature: f32::NAN, ..Sampling::default() };
    assert!(matches!(
        Generator::new(&model, &mut workspace, &[1], 1, &hot, 1),
        Err(InferError::Temperature { .. })
    ));
}

#[test]
fn a_damaged_model_is_named() {
    let (model, mut workspace) = damaged_model();
    let mut generator = Generator::new(&model, &mut workspace, &[1], 1, &Sampling::default(), 1).unwrap();
    assert!(matches!(generator.step(), Err(InferError::NonFiniteLogits)));
}
