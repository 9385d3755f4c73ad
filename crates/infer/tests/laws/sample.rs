//! What temperature, top-k, top-p and forbidding do to a draw.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_infer::{InferError, Sampler, Sampling};
use rondo_kernels::{Buffer, Device};

use crate::{SEED, VOCAB_SIZE, device, text};

/// Logits of a small vocabulary, the largest of them twice.
const LOGITS: [f32; 6] = [0.5, 2.0, -1.0, 2.0, f32::NEG_INFINITY, 1.0];

fn sampler(sampling: &Sampling, vocab_size: usize) -> Sampler {
    Sampler::new(sampling, vocab_size, &device()).unwrap()
}

/// How often each token was drawn in `draws` draws.
fn counts(sampling: &Sampling, logits: &[f32], draws: usize) -> Vec<usize> {
    let mut sampler = sampler(sampling, logits.len());
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut counts = vec![0; logits.len()];
    for _ in 0..draws {
        counts[sampler.draw(on_device(logits).slice(), &mut rng).unwrap() as usize] += 1;
    }
    counts
}

/// Fails unless tokens are drawn in proportion to `weights`: a token of no weight never, each other one within five
/// standard deviations of its expectation, or five draws where it is rare.
#[track_caller]
fn check_distribution(sampling: &Sampling, logits: &[f32], weights: &[f64]) {
    const DRAWS: usize = 20_000;
    let sum: f64 = weights.iter().sum();
    for (id, (&count, weight)) in counts(sampling, logits, DRAWS).iter().zip(weights).enumerate() {
        let probability = weight / sum;
        let expected = DRAWS as f64 * probability;
        let deviation = if expected > 0.0 { (expected * (1.0 - probability)).sqrt().max(1.0) } else { 0.0 };
        assert!(
            (count as f64 - expected).abs() <= 5.0 * deviation,
            "token {id}: drawn {count} times, expected {expected:.1} ± {deviation:.1}"
        );
    }
}

fn weights(temperature: f64) -> [f64; 6] {
    LOGITS.map(|logit| (f64::from(logit) / temperature).exp())
}

#[test]
fn the_plain_draw_follows_the_softmax() {
    check_distribution(&Sampling::default(), &LOGITS, &weights(1.0));
}

#[test]
fn temperature_sharpens_and_flattens() {
    for temperature in [0.3_f32, 2.5] {
        let sampling = Sampling { temperature, ..Sampling::default() };
        check_distribution(&sampling, &LOGITS, &weights(f64::from(temperature)));
    }
    let hot = Sampling { temperature: 1000.0, ..Sampling::default() };
    check_distribution(&hot, &LOGITS, &weights(1000.0));
    check_distribution(&hot, &[3.0, -3.0], &[1.0, 1.0]);
}

#[test]
fn only_the_likeliest_are_drawn_with_top_k() {
    let top_3 = Sampling { top_k: Some(3), ..Sampling::default() };
    let [_, b, _, d, _, f] = weights(1.0);
    check_distribution(&top_3, &LOGITS, &[0.0, b, 0.0, d, 0.0, f]);
    let all = Sampling { top_k: Some(100), ..Sampling::default() };
    check_distribution(&all, &LOGITS, &weights(1.0));
}

#[test]
fn only_the_nucleus_is_drawn_with_top_p() {
    let [a, b, c, d, _, f] = weights(1.0);
    let sum: f64 = weights(1.0).iter().sum();
    // Just above what the first two have, so that the third is needed.
    let top_p = ((b + d) / sum + 0.001) as f32;
    let nucleus = Sampling { top_p: Some(top_p), ..Sampling::default() };
    check_distribution(&nucleus, &LOGITS, &[0.0, b, 0.0, d, 0.0, f]);
    let all = Sampling { top_p: Some(1.0), ..Sampling::default() };
    check_distribution(&all, &LOGITS, &[a, b, c, d, 0.0, f]);
    // After top-k its share is of what that leaves.
    let both = Sampling { top_k: Some(2), top_p: Some(0.6), ..Sampling::default() };
    check_distribution(&both, &LOGITS, &[0.0, b, 0.0, d, 0.0, 0.0]);
}

#[test]
fn a_wide_nucleus_is_found_in_a_large_vocabulary() {
    // All alike: the nucleus of one half is the first half, by id.
    let sampling = Sampling { top_p: Some(0.5), ..Sampling::default() };
    let counts = counts(&sampling, &[1.5; 1000], 10_000);
    assert!(counts[..500].iter().filter(|&&count| count > 0).count() > 490);
    assert!(counts[500..].iter().all(|&count| count == 0));
}

#[test]
fn the_cold_limit_is_the_first_largest_logit() {
    let arg_max = [
        Sampling { temperature: 0.0, ..Sampling::default() },
        Sampling { top_k: Some(1), ..Sampling::default() },
        Sampling { top_p: Some(1e-6), ..Sampling::default() },
    ];
    for sampling in arg_max {
        assert_eq!(counts(&sampling, &LOGITS, 100), [0, 100, 0, 0, 0, 0], "{sampling:?}");
    }
    // A very low temperature leaves a draw between equals, and nothing else.
    let cold = Sampling { temperature: 1e-30, ..Sampling::default() };
    check_distribution(&cold, &LOGITS, &[0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn forbidden_tokens_are_never_drawn() {
    let forbidden = vec![1, 5];
    let [a, _, c, d, _, _] = weights(1.0);
    let sampling = Sampling { forbidden: forbidden.clone(), ..Sampling::default() };
    check_distribution(&sampling, &LOGITS, &[a, 0.0, c, d, 0.0, 0.0]);
    // Neither do they take a place among the most likely.
    let top_2 = Sampling { forbidden: forbidden.clone(), top_k: Some(2), ..Sampling::default() };
    check_distribution(&top_2, &LOGITS, &[a, 0.0, 0.0, d, 0.0, 0.0]);
    let cold = Sampling { forbidden, temperature: 0.0, ..Sampling::default() };
    assert_eq!(counts(&cold, &LOGITS, 10), [0, 0, 0, 10, 0, 0]);
}

#[test]
fn extreme_logits_are_drawn_from_without_overflow() {
    let sampling = Sampling { temperature: 0.5, ..Sampling::default() };
    check_distribution(&sampling, &[-3e38, 3e38, 3e38], &[0.0, 1.0, 1.0]);
}

#[test]
fn impossible_settings_are_refused() {
    let device = Device::cpu(1).unwrap();
    let refusal = |sampling| Sampler::new(&sampling, 2, &device).unwrap_err().to_string();
    let default = Sampling::default;
    for (temperature, shown) in [(-1.0, "-1"), (f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let expected = format!("`temperature` must be at least 0 and finite, but is {shown}");
        assert_eq!(refusal(Sampling { temperature, ..default() }), expected);
    }
    assert_eq!(refusal(Sampling { top_k: Some(0), ..default() }), "`top_k` must be at least 1");
    for (top_p, shown) in [(0.0, "0"), (1.5, "1.5"), (f32::NAN, "NaN")] {
        let expected = format!("`top_p` must be above 0 and at most 1, but is {shown}");
        assert_eq!(refusal(Sampling { top_p: Some(top_p), ..default() }), expected);
    }
    let error = refusal(Sampling { forbidden: vec![2], ..default() });
    assert_eq!(error, "token id 2 is out of range: the model's vocabulary has 2 tokens");
    let error = refusal(Sampling { forbidden: vec![0, 1], ..default() });
    assert_eq!(error, "all 2 tokens of the vocabulary are forbidden");
}

#[test]
fn logits_that_are_no_distribution_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let (cold, few) = (Some(0.0), Some(1));
    for (temperature, top_k) in [(None, None), (cold, None), (None, few)] {
        let temperature = temperature.unwrap_or(1.0);
        let sampling = Sampling { temperature, top_k, ..Sampling::default() };
        let mut sampler = sampler(&sampling, 3);
        for logits in [[0.0, nan, 1.0], [0.0, -nan, 1.0], [0.0, infinity, 1.0], [-infinity; 3]] {
            let error = sampler.draw(on_device(&logits).slice(), &mut rng).unwrap_err();
            assert!(matches!(error, InferError::NonFiniteLogits), "{logits:?}");
        }
        // One row of several is enough.
        let rows = [0.0, 1.0, 2.0, nan, 0.0, 0.0, 2.0, 1.0, 0.0];
        let (mut rngs, mut ids) = ([(); 3].map(|()| ChaCha8Rng::seed_from_u64(SEED)), [0; 3]);
        assert!(
            sampler.draw_rows(on_device(&rows).slice(), &mut |row| rngs[row].random(), &mut ids).is_err()
        );
    }
}

#[test]
fn a_draw_leaves_no_trace_in_the_sampler() {
    let logits: Vec<f32> = text(VOCAB_SIZE, SEED).iter().map(|&id| id as f32 / 5.0).collect();
    let logits = on_device(&logits);
    let logits = logits.slice();
    for top_k in [None, Some(9)] {
        let sampling = Sampling { top_k, top_p: Some(0.9), ..Sampling::default() };
        let mut used = sampler(&sampling, VOCAB_SIZE);
        let (mut rng, mut again) = (ChaCha8Rng::seed_from_u64(SEED), ChaCha8Rng::seed_from_u64(SEED));
        for _ in 0..50 {
            let fresh = sampler(&sampling, VOCAB_SIZE).draw(logits, &mut again).unwrap();
            assert_eq!(used.draw(logits, &mut rng).unwrap(), fresh);
        }
    }
}

/// Logits of a vocabulary of several blocks: those of text at the front, as vocabularies are ordered, and no order.
fn large_logits() -> Vec<f32> {
    let noise = text(LARGE_VOCAB_SIZE, SEED).into_iter().map(|id| id as f32 / VOCAB_SIZE as f32);
    (1..).zip(noise).map(|(rank, noise): (u16, _)| 3.0 * noise - f32::from(rank).ln()).collect()
}

const LARGE_VOCAB_SIZE: usize = 2_000;

#[test]
fn a_large_vocabulary_is_drawn_from_as_a_small_one_is() {
    let logits = large_logits();
    let forbidden = |id: usize| id % 7 == 3;
    let weight = |(id, &logit): (usize, &f32)| {
        if forbidden(id) { 0.0 } else { (f64::from(logit) / 0.7).exp() }
    };
    let weights: Vec<f64> = logits.iter().enumerate().map(weight).collect();
    let ids = (0..LARGE_VOCAB_SIZE as u32).filter(|&id| forbidden(id as usize));
    let sampling = Sampling { temperature: 0.7, forbidden: ids.collect(), ..Sampling::default() };
    check_distribution(&sampling, &logits, &weights);
    // The most_likely by a whole sort, equals by their ids.
    let mut order: Vec<usize> = (0..LARGE_VOCAB_SIZE).filter(|&id| !forbidden(id)).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    let of_first = |count: usize| -> Vec<f64> {
        (0..LARGE_VOCAB_SIZE).map(|id| if order[..count].contains(&id) { weights[id] } else { 0.0 }).collect()
    };
    for count in [1, 5, 300] {
        let sampling = Sampling { top_k: Some(count), ..sampling.clone() };
        check_distribution(&sampling, &logits, &of_first(count));
    }
    let all: f64 = weights.iter().sum();
    for count in [2, 40, 700] {
        let share =
            order[..count].iter().map(|&id| weights[id]).sum::<f64>() - weights[order[count - 1]] / 2.0;
        let sampling = Sampling { top_p: Some((share / all) as f32), ..sampling.clone() };
        check_distribution(&sampling, &logits, &of_first(count));
    }
    let cold = Sampling { temperature: 0.0, ..sampling };
    assert_eq!(counts(&cold, &logits, 1)[order[0]], 1);
}

#[test]
fn neither_threads_nor_rows_beside_it_change_a_draw() {
    // Numbers enough for several threads.
    const ROWS: usize = 11;
    let logits = large_logits();
    let default = Sampling::default();
    let samplings = [
        default.clone(),
        Sampling { temperature: 0.0, ..default.clone() },
        Sampling { top_k: Some(50), ..default.clone() },
        Sampling { top_p: Some(0.8), ..default },
    ];
    for sampling in samplings {
        let rngs = (0..ROWS as u64).map(ChaCha8Rng::seed_from_u64);
        let rows = logits.repeat(ROWS);
        let mut together = Vec::new();
        for threads in 1..=3 {
            // A GPU has no threads.
            let device = if device().works_ahead() { device() } else { Device::cpu(threads).unwrap() };
            let mut sampler = Sampler::new(&sampling, LARGE_VOCAB_SIZE, &device).unwrap();
            let (mut rngs, mut ids) = (rngs.clone().collect::<Vec<_>>(), [0; ROWS]);
            sampler.draw_rows(on_device(&rows).slice(), &mut |row| rngs[row].random(), &mut ids).unwrap();
            together.push(ids);
        }
        let mut sampler = sampler(&sampling, LARGE_VOCAB_SIZE);
        let alone: Vec<u32> =
            rngs.map(|mut rng| sampler.draw(on_device(&logits).slice(), &mut rng).unwrap()).collect();
        assert!(together.iter().all(|ids| ids[..] == alone), "{sampling:?}: {together:?}, {alone:?}");
    }
}

fn on_device(values: &[f32]) -> Buffer {
    Buffer::from_slice(&device(), values).unwrap()
}
