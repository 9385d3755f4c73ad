//! Texts generated side by side.

use rondo_infer::{InferError, Sampling, StreamId, Streams};
use rondo_kernels::Device;
use rondo_nn::{Cell, Input, Mode};

use crate::{VOCAB_SIZE, assert_close, damaged_model, log_probs_after, model, model_of, text};

/// The first `count` tokens of each of `streams` streams.
fn generate(prefix: &[u32], streams: usize, sampling: &Sampling, seed: u64, count: usize) -> Vec<Vec<u32>> {
    let (model, _) = model();
    let mut running = Streams::new(&model);
    running.admit_many(prefix, streams, sampling, seed).unwrap();
    let mut texts = vec![Vec::new(); streams];
    for _ in 0..count {
        for (text, token) in texts.iter_mut().zip(running.step().unwrap()) {
            text.push(token.token);
        }
    }
    texts
}

/// Settings that draw in every way there is.
fn samplings() -> Vec<Sampling> {
    let default = Sampling::default;
    vec![
        default(),
        Sampling { temperature: 0.0, ..default() },
        Sampling { temperature: 0.7, forbidden: vec![3, 4], ..default() },
        Sampling { top_k: Some(5), ..default() },
        Sampling { top_p: Some(0.8), ..default() },
        Sampling { min_p: Some(0.2), ..default() },
        Sampling { top_k: Some(9), top_p: Some(0.9), min_p: Some(0.05), ..default() },
        Sampling { repetition_penalty: 1.3, ..default() },
        Sampling { presence_penalty: 0.5, frequency_penalty: 0.25, temperature: 0.9, ..default() },
        Sampling { logit_bias: vec![(2, 1.5), (7, -3.0)], ..default() },
    ]
}

#[test]
fn greedy_decoding_takes_the_likeliest_token() {
    // The long prefix is read in several pieces, while the expectation reads it a token at a time.
    for (cell, input) in [(Cell::Lstm, Input::Embedding(9)), (Cell::Gru, Input::OneHot)] {
        let (model, _) = model_of(cell, input);
        for prefix_len in [1, 2, 600] {
            let mut ids = text(prefix_len, 1);
            let mut streams = Streams::new(&model);
            streams.admit(&ids, &Sampling { temperature: 0.0, ..Sampling::default() }, 0).unwrap();
            ids.extend((0..20).map(|_| streams.step().unwrap()[0].token));
            let most_likely = |log_probs: &Vec<f64>| {
                let (id, _) = log_probs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
                id as u32
            };
            let expected: Vec<u32> = log_probs_after(&model, &ids).iter().map(most_likely).collect();
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

/// Streams come and go at every step, with prompts, seeds and settings of their own, on every number of threads.
#[test]
fn streams_that_join_and_leave_have_the_tokens_they_have_alone() {
    const STREAMS: usize = 30;
    const STEPS: usize = 70;
    let samplings = samplings();
    let prompt = |number: usize| text(1 + number % 5, 40 + number as u64);
    let (length, begins) = (|number: usize| 5 + number * 7 % 23, |number: usize| number * 11 % 40);
    let alone: Vec<Vec<(u32, f64)>> = (0..STREAMS)
        .map(|number| {
            let (model, _) = model();
            let mut streams = Streams::new(&model);
            streams.admit(&prompt(number), &samplings[number % samplings.len()], number as u64).unwrap();
            let tokens = (0..length(number)).map(|_| streams.step().unwrap()[0]);
            tokens.map(|token| (token.token, token.log_prob)).collect()
        })
        .collect();

    let (model, _) = model();
    let mut streams = Streams::new(&model);
    let mut running: Vec<(StreamId, usize)> = vec![];
    let mut together = vec![vec![]; STREAMS];
    for step in 0..STEPS {
        for number in (0..STREAMS).filter(|&number| begins(number) == step) {
            let sampling = &samplings[number % samplings.len()];
            running.push((streams.admit(&prompt(number), sampling, number as u64).unwrap(), number));
        }
        for token in streams.step().unwrap() {
            let (_, number) = running.iter().find(|(id, _)| *id == token.stream).unwrap();
            together[*number].push((token.token, token.log_prob));
        }
        for (id, _) in running.extract_if(.., |(_, number)| together[*number].len() == length(*number)) {
            streams.retire(id).unwrap();
        }
    }
    assert!(streams.is_empty());
    assert_eq!(together, alone);
}

#[test]
fn log_probabilities_are_the_models_own_however_tokens_are_drawn() {
    for sampling in samplings() {
        let (model, _) = model();
        let mut streams = Streams::new(&model);
        streams.admit(&[3, 1], &sampling, 9).unwrap();
        let mut ids = vec![3, 1];
        let mut found = vec![];
        for _ in 0..25 {
            let token = streams.step().unwrap()[0];
            ids.push(token.token);
            found.push(token.log_prob);
        }
        let expected = log_probs_after(&model, &ids);
        for (place, found) in found.into_iter().enumerate() {
            assert_close("log-probability", found, expected[place + 1][ids[place + 2] as usize], 2e-4);
        }
    }
}

/// The logits after a text.
fn logits_after(ids: &[u32]) -> Vec<f32> {
    let (model, mut workspace) = model();
    let model = model.model();
    let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
    let hidden = model.forward(&mut tape, ids, &mut model.zero_state(1));
    let logits = model.logits(&mut tape, hidden);
    tape.read(logits).unwrap().chunks(VOCAB_SIZE).next_back().unwrap().to_vec()
}

#[test]
fn penalties_and_bias_change_logits_as_documented() {
    const PROMPT: [u32; 4] = [5, 2, 2, 19];
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    let mut differ = 0;
    for sampling in [
        Sampling { repetition_penalty: 2.0, ..greedy.clone() },
        Sampling { repetition_penalty: 0.5, ..greedy.clone() },
        Sampling { presence_penalty: 2.5, ..greedy.clone() },
        Sampling { frequency_penalty: 0.8, ..greedy.clone() },
        Sampling { logit_bias: vec![(3, 2.0), (8, 4.0), (5, -9.0)], ..greedy.clone() },
        Sampling {
            repetition_penalty: 1.2,
            presence_penalty: -0.4,
            frequency_penalty: 0.3,
            logit_bias: vec![(4, 1.0)],
            ..greedy.clone()
        },
    ] {
        let drawn = generate(&PROMPT, 1, &sampling, 0, 30).remove(0);
        for place in 0..drawn.len() {
            let generated = &drawn[..place];
            let mut logits = logits_after(&[&PROMPT, generated].concat());
            for (id, logit) in (0..).zip(&mut logits) {
                let count = generated.iter().filter(|&&token| token == id).count() as f32;
                if PROMPT.contains(&id) || count > 0.0 {
                    let penalty = sampling.repetition_penalty;
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
                let present = if count > 0.0 { sampling.presence_penalty } else { 0.0 };
                *logit -= present + sampling.frequency_penalty * count;
                *logit +=
                    sampling.logit_bias.iter().find(|(token, _)| *token == id).map_or(0.0, |(_, bias)| *bias);
            }
            let largest = (0..VOCAB_SIZE).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            assert_eq!(drawn[place] as usize, largest, "{sampling:?}, place {place}");
        }
        differ += usize::from(drawn != generate(&PROMPT, 1, &greedy, 0, 30)[0]);
    }
    assert!(differ >= 5, "only {differ} of the settings change anything");
}

#[test]
fn min_p_leaves_tokens_with_a_share_of_the_likeliests_probability() {
    let (model, _) = model();
    let log_probs = &log_probs_after(&model, &[5])[0];
    let largest = log_probs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for min_p in [0.9, 0.3, 0.05] {
        let sampling = Sampling { min_p: Some(min_p), ..Sampling::default() };
        let allowed: Vec<bool> =
            log_probs.iter().map(|log_prob| (log_prob - largest).exp() >= f64::from(min_p)).collect();
        let mut seen = [false; VOCAB_SIZE];
        for seed in 0..400 {
            seen[generate(&[5], 1, &sampling, seed, 1)[0][0] as usize] = true;
        }
        assert!(seen.iter().zip(&allowed).all(|(seen, allowed)| allowed | !seen), "{min_p}");
        assert!(seen.iter().filter(|seen| **seen).count() > usize::from(min_p < 0.1), "{min_p}");
    }
}

#[test]
fn forbidden_tokens_do_not_appear() {
    let forbidden: Vec<u32> = (0..VOCAB_SIZE as u32).filter(|id| id % 2 == 0).collect();
    let sampling = Sampling { temperature: 3.0, forbidden, ..Sampling::default() };
    assert!(generate(&[0], 3, &sampling, 1, 50).iter().flatten().all(|id| id % 2 == 1));
}

#[test]
fn what_cannot_be_continued_is_refused_and_leaves_the_others_alone() {
    let (model, _) = model();
    let mut streams = Streams::new(&model);
    let sampling = Sampling::default();
    let running = streams.admit(&[1], &sampling, 1).unwrap();
    let mut refusal = |prefix: &[u32], count, sampling: &Sampling| {
        streams.admit_many(prefix, count, sampling, 1).unwrap_err().to_string()
    };
    assert!(refusal(&[], 1, &sampling).starts_with("the prefix is empty"));
    assert_eq!(
        refusal(&[99], 1, &sampling),
        "token id 99 is out of range: the model's vocabulary has 23 tokens"
    );
    assert_eq!(refusal(&[1], 0, &sampling), "`streams` must be at least 1");
    let with = |change: fn(&mut Sampling)| {
        let mut sampling = Sampling::default();
        change(&mut sampling);
        sampling
    };
    for (wrong, expected) in [
        (with(|s| s.temperature = f32::NAN), "`temperature` must be at least 0 and finite, but is NaN"),
        (with(|s| s.min_p = Some(1.5)), "`min_p` must be at least 0 and at most 1, but is 1.5"),
        (with(|s| s.repetition_penalty = 0.0), "`repetition_penalty` must be above 0 and finite, but is 0"),
        (with(|s| s.presence_penalty = f32::INFINITY), "`presence_penalty` must be finite, but is inf"),
        (with(|s| s.logit_bias = vec![(1, f32::NAN)]), "`logit_bias` must be finite, but is NaN"),
        (
            with(|s| s.logit_bias = vec![(23, 0.0)]),
            "token id 23 is out of range: the model's vocabulary has 23 tokens",
        ),
    ] {
        assert_eq!(refusal(&[1], 1, &wrong), expected);
    }
    assert_eq!(streams.len(), 1);
    streams.retire(running).unwrap();
    assert!(matches!(streams.retire(running), Err(InferError::NoStream { .. })));
    assert_eq!(streams.step().unwrap(), []);
}

#[test]
fn a_damaged_model_is_named() {
    let mut streams = Streams::new(&damaged_model());
    streams.admit(&[1], &Sampling::default(), 1).unwrap();
    assert!(matches!(streams.step(), Err(InferError::NonFiniteLogits)));
}

/// The rows of a batch are computed alike whatever stands beside them, on every instruction set: what lets streams
/// share a batch.
#[test]
fn tokens_are_the_same_on_any_number_of_threads() {
    let tokens = |threads: usize| {
        let device = Device::cpu(threads).unwrap();
        let model = crate::rnn_lm_on(&device, Cell::Lstm, Input::Embedding(9), 700);
        let mut streams = Streams::new(&rondo_infer::ModelHandle::new(model));
        streams.admit_many(&[3, 4], 7, &Sampling::default(), 5).unwrap();
        (0..50).flat_map(|_| streams.step().unwrap().to_vec()).map(|token| token.token).collect::<Vec<_>>()
    };
    let one = tokens(1);
    assert_eq!(one, tokens(2));
    assert_eq!(one, tokens(3));
}

#[test]
fn monstrous_settings_of_one_stream_leave_the_others_alone() {
    let (model, _) = model();
    let mut alone = Streams::new(&model);
    alone.admit(&[3, 4], &Sampling::default(), 7).unwrap();
    let expected: Vec<u32> = (0..20).map(|_| alone.step().unwrap()[0].token).collect();
    let mut streams = Streams::new(&model);
    let id = streams.admit(&[3, 4], &Sampling::default(), 7).unwrap();
    for sampling in [
        Sampling { repetition_penalty: 1e-39, ..Sampling::default() },
        Sampling { frequency_penalty: f32::MIN, presence_penalty: f32::MAX, ..Sampling::default() },
        Sampling { logit_bias: vec![(2, f32::MAX), (2, f32::MAX)], ..Sampling::default() },
    ] {
        streams.admit(&[5], &sampling, 1).unwrap();
    }
    let mut tokens = Vec::new();
    for _ in 0..20 {
        tokens
            .extend(streams.step().unwrap().iter().find(|token| token.stream == id).map(|found| found.token));
    }
    assert_eq!(tokens, expected);
}

/// Some frequent tokens, some rare ones, and many that do not occur.
fn counts() -> Vec<u64> {
    let mut counts = vec![0; VOCAB_SIZE];
    counts[2..7].copy_from_slice(&[10, 600, 250, 100, 40]);
    counts
}

#[test]
fn a_first_token_is_drawn_by_its_frequency() {
    let (model, _) = model();
    let firsts = |sampling: &Sampling, seed, count| -> Vec<u32> {
        let mut streams = Streams::new(&model);
        let drawn = (0..count).map(|number| {
            let first = streams.admit_first(&counts(), number..number + 1, sampling, seed).unwrap()[0];
            assert_close("log", first.log_prob, (counts()[first.token as usize] as f64 / 1000.0).ln(), 1e-9);
            streams.retire(first.stream).unwrap();
            first.token
        });
        drawn.collect()
    };
    let default = Sampling::default;
    let drawn = firsts(&default(), 5, 2000);
    for (token, &expected) in (0..).zip(&counts()) {
        let found = drawn.iter().filter(|&&drawn| drawn == token).count() as f64 / 2000.0;
        assert!((found - expected as f64 / 1000.0).abs() < 0.04, "{token}: {found}");
    }
    assert_eq!(firsts(&default(), 5, 50), drawn[..50]);
    assert_ne!(firsts(&default(), 6, 50), drawn[..50]);
    let only = |sampling: Sampling, tokens: &[u32]| {
        let drawn = firsts(&sampling, 7, 100);
        assert!(drawn.iter().all(|token| tokens.contains(token)), "{sampling:?}: {drawn:?}");
    };
    only(Sampling { temperature: 0.0, ..default() }, &[3]);
    only(Sampling { forbidden: vec![3, 2], ..default() }, &[4, 5, 6]);
    only(Sampling { top_k: Some(2), ..default() }, &[3, 4]);
    only(Sampling { logit_bias: vec![(6, 100.0), (9, 100.0)], ..default() }, &[6]);

    let mut streams = Streams::new(&model);
    let mut refused = |forbidden, counts: &[u64]| {
        let sampling = Sampling { forbidden, ..default() };
        streams.admit_first(counts, 0..1, &sampling, 1).unwrap_err()
    };
    assert!(matches!(refused(vec![2, 3, 4, 5, 6], &counts()), InferError::EmptyPrefix));
    assert!(matches!(refused(vec![], &[0; VOCAB_SIZE]), InferError::EmptyPrefix));
    assert!(streams.is_empty());
}

/// A text that begins with a drawn token is continued as one whose prompt is that token.
#[test]
fn a_drawn_first_token_is_read_like_a_prompt() {
    let (model, _) = model();
    for sampling in samplings() {
        // With the rest drawn greedily, the random numbers of the first token do not matter.
        let greedy = Sampling { temperature: 0.0, ..sampling };
        let mut streams = Streams::new(&model);
        let beside = streams.admit(&[9, 1], &greedy, 3).unwrap();
        let firsts = streams.admit_first(&counts(), 4..7, &greedy, 3).unwrap();
        let mut texts: Vec<Vec<u32>> = firsts.iter().map(|first| vec![first.token]).collect();
        for _ in 0..12 {
            for token in streams.step().unwrap() {
                if let Some(place) = firsts.iter().position(|first| first.stream == token.stream) {
                    texts[place].push(token.token);
                } else {
                    assert_eq!(token.stream, beside);
                }
            }
        }
        // A penalty for repetition counts the drawn token as generated, unlike a prompt.
        let plain = Sampling { presence_penalty: 0.0, frequency_penalty: 0.0, ..greedy.clone() };
        if plain == greedy {
            for text in texts {
                let mut alone = Streams::new(&model);
                alone.admit(&text[..1], &greedy, 3).unwrap();
                let expected: Vec<u32> = (0..12).map(|_| alone.step().unwrap()[0].token).collect();
                assert_eq!(text[1..], expected, "{greedy:?}");
            }
        }
    }
}
