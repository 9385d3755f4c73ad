//! Tests of the table against values computed by hand, and of changed sizes.

use super::*;

fn found(name: &str) -> Workload {
    Workload::find(name).unwrap()
}

#[test]
fn a_step_costs_what_was_computed_by_hand() {
    // Multiply-adds of a token's forward pass, layer by layer and then the decoder; tokens per step; GFLOP of
    // a step, with 6 operations for each multiply-add.
    let by_hand = [
        ("W1", 2 * 4 * 200 * 400 + 200 * 33_278, 20 * 35, 30.6),
        ("W1u", 2 * 4 * 200 * 400 + 200 * 33_278, 20 * 35, 30.6),
        ("W2", 2 * 4 * 650 * 1_300 + 650 * 33_278, 20 * 35, 119.0),
        ("W3", 2 * 4 * 650 * 1_300 + 650 * 10_000, 32 * 35, 89.0),
        ("W4", 2 * 100 * 200 + 100 * 10_000, 32 * 5, 1.0),
        ("W5", 256 * 256 + 256 * 77, 32 * 64, 1.05),
        ("W6", 4 * 512 * (64 + 512) + 4 * 512 * 1_024 + 512 * 77, 64 * 64, 82.0),
        ("W7", 4 * 1_150 * 1_550 + 4 * 1_150 * 2_300 + 4 * 400 * 1_550 + 400 * 33_278, 80 * 70, 1_130.0),
    ];
    for (name, multiply_adds, tokens, gflop) in by_hand {
        let workload = found(name);
        assert_eq!(workload.step_tokens(), tokens, "{name}");
        assert_eq!(workload.forward_flop_per_token(), 2.0 * f64::from(multiply_adds), "{name}");
        let share = workload.step_flop() / (gflop * 1e9);
        assert!((share - 1.0).abs() < 0.01, "{name}: {} G, by hand {gflop} G", workload.step_flop() / 1e9);
    }
}

#[test]
fn an_adaptive_softmax_costs_what_zipf_says() {
    // The head, and the tails with the frequencies of their ranks.
    let (all, gamma) = (33_278f64, 0.577_215_664_9);
    let share = |from: f64, to: f64| (to.ln() - from.ln()) / (all.ln() + gamma);
    let tails = share(2_000.0, 10_000.0) * 50.0 * (200.0 + 8_000.0)
        + share(10_000.0, all) * 12.0 * (200.0 + 23_278.0);
    let expected = 2.0 * (2.0 * 4.0 * 200.0 * 400.0 + 200.0 * 2_002.0 + tails);
    assert!((found("W1a").forward_flop_per_token() / expected - 1.0).abs() < 1e-9);
    assert!(found("W1a").step_flop() < 0.2 * found("W1u").step_flop());
}

#[test]
fn every_name_is_a_workload_whose_sizes_fit_together() {
    for name in WORKLOADS {
        let workload = found(name);
        assert_eq!(workload.name, name);
        workload.config.check().unwrap();
        assert_eq!(workload.generates_only, name.starts_with("W8"), "{name}");
    }
    assert_eq!(found("w8:w6").config, found("W6").config);
    let error = Workload::find("W9").unwrap_err().to_string();
    assert!(error.starts_with("unknown workload `W9`, expected one of `W1`, `W1u`, "), "{error}");
}

#[test]
fn other_sizes_keep_the_shape() {
    let resized = |name, sizes| found(name).resized(sizes).map(|workload| workload.config);
    let wider = Sizes { hidden_size: Some(64), layers: Some(3), ..Sizes::default() };
    for (name, input, hidden_sizes) in [
        ("W1", Input::Embedding(64), [64, 64, 64]),
        ("W3", Input::Embedding(64), [64, 64, 64]),
        ("W5", Input::OneHot, [64, 64, 64]),
        // The embedding has a different size; a tied decoder keeps the size of the last layer.
        ("W6", Input::Embedding(64), [64, 64, 64]),
        ("W7", Input::Embedding(400), [64, 64, 400]),
    ] {
        let config = resized(name, wider).unwrap();
        assert_eq!((config.input, config.hidden_sizes.as_slice()), (input, &hidden_sizes[..]), "{name}");
    }
    assert_eq!(resized("W6", Sizes { hidden_size: Some(32), ..wider }).unwrap().input, Input::Embedding(64));
    assert_eq!(resized("W7", Sizes { layers: Some(1), ..Sizes::default() }).unwrap().hidden_sizes, [400]);
    let text = Sizes { batch_size: Some(3), bptt: Some(4), vocab_size: Some(50), ..Sizes::default() };
    let workload = found("W2").resized(text).unwrap();
    assert_eq!((workload.step_tokens(), workload.config.vocab_size), (12, 50));
    for layers in [0, usize::MAX] {
        let error =
            resized("W1", Sizes { layers: Some(layers), ..Sizes::default() }).unwrap_err().to_string();
        assert_eq!(error, format!("`layers` must be between 1 and 1,048,576, but is {layers}"));
    }
    assert!(resized("W1", Sizes { hidden_size: Some(0), ..Sizes::default() }).is_err());
}

#[test]
fn ids_are_distributed_as_zipf_says_and_always_the_same() {
    let ids = zipf(50, 100_000);
    assert_eq!(ids[..1_000], zipf(50, 1_000));
    let share = |id| ids.iter().filter(|&&other| other == id).count() as f64 / ids.len() as f64;
    let harmonic: f64 = (1..=50).map(|rank| 1.0 / f64::from(rank)).sum();
    for id in [0, 1, 9, 49] {
        let expected = 1.0 / (f64::from(id + 1) * harmonic);
        assert!((share(id) / expected - 1.0).abs() < 0.2, "{id}: {}, expected {expected}", share(id));
    }
}
