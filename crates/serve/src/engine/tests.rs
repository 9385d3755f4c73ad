//! The engine: texts are the same alone and among others, and places are freed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_infer::StopReason;
use rondo_kernels::Device;
use rondo_nn::{Initialization, PRESETS, RnnLm};

use super::*;

const WORDS: [&str; 6] = ["<eos>", "the", "cat", "sat", "on", "mat"];

fn model() -> LanguageModel {
    let mut config = PRESETS[0].config(WORDS.len());
    config.hidden_sizes = vec![8];
    config.input = rondo_nn::Input::Embedding(8);
    let mut model = RnnLm::new(config, &Device::cpu(1).unwrap()).unwrap();
    model.initialize(&Initialization::default(), &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    let vocab = Vocab::from_tokens("test", WORDS, None).unwrap();
    LanguageModel::new(model, TextCodec::new(Tokenizer::words(), vocab)).unwrap()
}

fn engine(limits: &Limits) -> (Engine, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (Engine::start("test", model(), limits, metrics.clone()).unwrap(), metrics)
}

fn generation(seed: u64, tokens: usize) -> Generation {
    Generation {
        prompt: "the cat".to_owned(),
        ids: vec![0, 1, 2],
        texts: 1,
        sampling: Sampling::default(),
        seed,
        stop: StopRule { max_tokens: Some(tokens), ..StopRule::default() },
        alternatives: 0,
    }
}

/// The tokens of each text of a request.
fn tokens(mut chunks: Chunks, texts: usize) -> Vec<Vec<u32>> {
    let mut tokens = vec![vec![]; texts];
    while let Some(chunk) = chunks.blocking_recv() {
        let chunk = chunk.unwrap();
        tokens[chunk.text].push(chunk.piece.token);
    }
    tokens
}

/// Waits until something is so, which another thread brings about.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn texts_are_the_same_alone_and_among_others() {
    let alone = |seed, texts| {
        let mut streams = model().streams();
        let ids = streams.admit_many(&[0, 1, 2], texts, &Sampling::default(), seed).unwrap();
        let mut tokens = vec![vec![]; texts];
        for _ in 0..20 {
            for token in streams.step().unwrap() {
                tokens[ids.iter().position(|&id| id == token.stream).unwrap()].push(token.token);
            }
        }
        tokens
    };
    // Five texts at a time: some of the requests wait, and one begins in parts.
    let (engine, _) = engine(&Limits { streams: 5, ..Limits::default() });
    let requests = [(1, 1), (2, 4), (3, 3), (4, 5), (5, 1), (6, 2)];
    let submit = |(seed, texts)| engine.submit(Generation { texts, ..generation(seed, 20) }).unwrap();
    let running = requests.map(submit);
    for (chunks, (seed, texts)) in running.into_iter().zip(requests) {
        assert_eq!(tokens(chunks, texts), alone(seed, texts), "{seed}");
    }
}

#[test]
fn a_client_that_goes_away_frees_its_place() {
    let (engine, metrics) = engine(&Limits { streams: 1, ..Limits::default() });
    let endless = engine.submit(generation(1, usize::MAX)).unwrap();
    let waiting = engine.submit(generation(2, 3)).unwrap();
    eventually("one runs, one waits", || engine.load() == (1, 1));
    drop(endless);
    assert_eq!(tokens(waiting, 1)[0].len(), 3);
    assert_eq!(metrics.abandoned.load(Relaxed), 1);
    eventually("none is left", || engine.load() == (0, 0));
}

#[test]
fn a_full_queue_refuses_and_forgets_those_that_gave_up() {
    let (engine, _) = engine(&Limits { streams: 1, queue: 2, ..Limits::default() });
    let _endless = engine.submit(generation(1, usize::MAX)).unwrap();
    eventually("it runs", || engine.load() == (1, 0));
    let waiting = [2, 3].map(|seed| engine.submit(generation(seed, 1)).unwrap());
    assert_eq!(engine.submit(generation(4, 1)).unwrap_err(), ApiError::busy());
    drop(waiting);
    assert!(engine.submit(generation(5, 1)).is_ok());
}

#[test]
fn what_was_queued_is_answered_after_the_end() {
    let (engine, _) = engine(&Limits { streams: 2, ..Limits::default() });
    let running = [1, 2, 3].map(|seed| engine.submit(generation(seed, 5)).unwrap());
    engine.close();
    assert_eq!(engine.submit(generation(4, 5)).unwrap_err(), ApiError::stopping());
    running.into_iter().for_each(|chunks| assert_eq!(tokens(chunks, 1)[0].len(), 5));
}

#[test]
fn the_most_likely_tokens_come_with_each_token() {
    let (engine, _) = engine(&Limits::default());
    let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
    let request = Generation { alternatives: 3, sampling: greedy, ..generation(1, 4) };
    let mut chunks = engine.submit(request).unwrap();
    let mut last = None;
    while let Some(chunk) = chunks.blocking_recv() {
        let chunk = chunk.unwrap();
        assert_eq!(chunk.alternatives.len(), 3);
        assert_eq!(chunk.alternatives[0].id, chunk.piece.token);
        assert!((chunk.alternatives[0].log_prob - chunk.piece.log_prob).abs() < 1e-5);
        last = chunk.piece.stop;
    }
    assert_eq!(last, Some(StopReason::Length));
}

#[test]
fn a_request_that_cannot_begin_gets_its_error() {
    let (engine, _) = engine(&Limits::default());
    let mut chunks = engine.submit(Generation { ids: vec![99], ..generation(1, 4) }).unwrap();
    let error = chunks.blocking_recv().unwrap().unwrap_err();
    assert!(error.status.is_client_error() && error.message.contains("99"), "{error:?}");
    assert!(chunks.blocking_recv().is_none());
    assert_eq!(tokens(engine.submit(generation(1, 4)).unwrap(), 1)[0].len(), 4);
}
