//! No setting causes a panic or an abort: settings from wide ranges are refused with an error, or planned and
//! estimated; small models among them are created and trained.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::cell::Cell as Counter;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rondo_kernels::Device;
use rondo_nn::{Cell, Initializer, Model, RnnLm};
use rondo_train::settings::{
    AveragingKind, LossReduction, OptimizerKind, ScheduleKind, Settings, SoftmaxKind,
};
use rondo_train::{CorpusSize, MemoryEstimate, Plan, RunFolder, Trainer};

mod tiny;

/// The largest model that is created here, and the largest run that is trained, in bytes.
const SMALL: u64 = 50_000_000;

/// Sizes of all magnitudes, and those at which arithmetic breaks.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 1usize..40,
        2 => (0u32..63, any::<u64>()).prop_map(|(bits, number)| (number >> (63 - bits)) as usize),
        1 => prop::sample::select(vec![0, 1, 64, 65, 1024, 1025, 1 << 31, 1 << 32, i64::MAX as usize, usize::MAX]),
    ]
}

/// Numbers of all magnitudes, and those that are none.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.01..1.0, 1 => any::<f64>(), 1 => prop::sample::select(vec![0.0, -1.0, 1e300, f64::NAN])]
}

fn initializer() -> impl Strategy<Value = Initializer> {
    prop_oneof![
        Just(Initializer::Zeros),
        Just(Initializer::Xavier),
        (0.0..f32::MAX).prop_map(Initializer::Uniform),
        (0.0..f32::MAX).prop_map(Initializer::Normal),
    ]
}

prop_compose! {
    fn model()(
        cell in prop::option::of(prop::sample::select(Cell::ALL.to_vec())),
        hidden_size in prop::option::of(size()),
        layers in prop::option::of(size()),
        hidden_sizes in prop::option::weighted(0.2, prop::collection::vec(size(), 0..5)),
        embedding_size in prop::option::weighted(0.3, size()),
        tied in prop::option::of(any::<bool>()),
        dropout in prop::option::of(number()),
        dropout_weights in prop::option::weighted(0.3, number()),
        cutoffs in prop::option::weighted(0.3, prop::collection::btree_set(size(), 1..4)),
        projection_size in prop::option::weighted(0.3, size()),
        cell_clip in prop::option::weighted(0.3, number()),
        rounds in prop::option::weighted(0.3, (1usize..70, size())),
    ) -> Settings {
        let mut settings = Settings::default();
        let model = &mut settings.model;
        (model.cell, model.hidden_size, model.layers) = (cell, hidden_size, layers);
        (model.hidden_sizes, model.embedding_size, model.tied) = (hidden_sizes, embedding_size, tied);
        model.dropout = dropout.map(|dropout| dropout as f32);
        model.dropout_weights = dropout_weights.map(|dropout| dropout as f32);
        model.projection_size = projection_size;
        model.cell_clip = cell_clip.map(|limit| limit as f32);
        if let (Some((rounds, rank)), Some(Cell::Mogrifier)) = (rounds, cell) {
            (model.mogrifier_rounds, model.mogrifier_rank) = (Some(rounds), Some(rank));
        }
        model.softmax = cutoffs.map(|cutoffs| SoftmaxKind::Adaptive { cutoffs: cutoffs.into_iter().collect() });
        settings
    }
}

prop_compose! {
    fn training()(
        epochs in prop::option::of(size()),
        batch_size in prop::option::of(size()),
        bptt in prop::option::of(size()),
        variable_bptt in prop::option::of(any::<bool>()),
        log_every in prop::option::of(size()),
        max_batches in prop::option::of(size()),
        threads in prop::option::weighted(0.2, size()),
        evaluation in prop::option::of((size(), size(), size())),
        sample_length in prop::option::weighted(0.2, size()),
        temperature in prop::option::weighted(0.2, number()),
    ) -> Settings {
        let mut settings = Settings::default();
        let training = &mut settings.training;
        (training.epochs, training.batch_size, training.bptt) = (epochs, batch_size, bptt);
        (training.variable_bptt, training.log_every) = (variable_bptt, log_every);
        (training.max_batches, training.threads) = (max_batches, threads);
        if let Some((every, batch_size, bptt)) = evaluation {
            let evaluation = &mut settings.evaluation;
            (evaluation.every, evaluation.batch_size, evaluation.bptt) = (Some(every), Some(batch_size), Some(bptt));
        }
        settings.sample.length = sample_length;
        settings.sample.temperature = temperature;
        settings
    }
}

prop_compose! {
    fn optimization()(
        optimizer in prop::option::of(prop::sample::select(vec![
            OptimizerKind::Sgd, OptimizerKind::Adam, OptimizerKind::AdamW,
        ])),
        learning_rate in prop::option::of(number()),
        weight_decay in prop::option::of(number()),
        clip_norm in prop::option::of(number()),
        reduction in prop::option::of(prop::sample::select(vec![LossReduction::Mean, LossReduction::Sum])),
        averaging_after in prop::option::of(size()),
        decay in prop::option::of((
            prop::sample::select(vec![ScheduleKind::Linear, ScheduleKind::Cosine]), size(), number(),
        )),
        penalty in prop::option::of(number()),
        init in prop::option::of((initializer(), initializer())),
    ) -> Settings {
        let mut settings = Settings::default();
        let optimization = &mut settings.optimization;
        (optimization.optimizer, optimization.learning_rate) = (optimizer, learning_rate);
        (optimization.weight_decay, optimization.clip_norm) = (weight_decay, clip_norm);
        optimization.loss_reduction = reduction;
        optimization.activation_penalty = penalty.map(|penalty| penalty as f32);
        if let Some((schedule, warmup, minimum)) = decay {
            (optimization.schedule, optimization.warmup) = (Some(schedule), Some(warmup));
            optimization.min_learning_rate = Some(minimum).filter(|&minimum| minimum < 0.02);
            optimization.averaging = Some(AveragingKind::Tail { fraction: 0.3 });
        }
        if averaging_after.is_some() {
            optimization.averaging = Some(AveragingKind::Asgd);
            optimization.averaging_after = averaging_after;
        }
        if let Some((embedding, recurrent)) = init {
            (settings.init.embedding, settings.init.recurrent) = (Some(embedding), Some(recurrent));
        }
        settings
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    (model(), training(), optimization())
        .prop_map(|(model, training, optimization)| model.overlaid_with(training).overlaid_with(optimization))
}

/// Runs a property, and fails unless it has been of use often enough: it returns whether it has.
fn check<S: Strategy>(cases: u32, at_least: usize, strategy: S, property: impl Fn(S::Value) -> Option<()>) {
    let useful = Counter::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    let result = runner.run(&strategy, |value| {
        useful.set(useful.get() + usize::from(property(value).is_some()));
        Ok(())
    });
    result.unwrap();
    assert!(useful.get() >= at_least, "only {} of {cases} cases were not refused at once", useful.get());
}

#[test]
fn settings_are_planned_and_estimated_or_refused() {
    let device = Device::cpu(1).unwrap();
    check(2000, 200, (settings(), size(), size(), size()), |(settings, vocab_size, train, valid)| {
        let plan = Plan::new(&settings).ok()?;
        let _ = plan.to_toml();
        for length in [plan.training.bptt, 1] {
            let _ = plan.optimization.gradient_scale(length.saturating_mul(plan.training.batch_size));
            let _ = plan.optimization.optimizer_options(length, plan.training.batch_size);
        }
        let size = CorpusSize { vocab_size: vocab_size.max(1), train, evaluated: vec![valid] };
        let estimate = MemoryEstimate::of(&plan, &size, &device).ok()?;
        let config = plan.model.config(size.vocab_size);
        let parameters = 4 * config.parameter_count() as u64;
        // The weights and the best of them, at least.
        assert!(estimate.total() >= parameters.saturating_mul(2), "{estimate:?}");
        if parameters < SMALL {
            let model = RnnLm::new(config, &device).unwrap();
            assert_eq!(4 * model.parameters().count() as u64, parameters);
        }
        Some(())
    });
}

#[test]
fn small_runs_are_trained_or_end_in_an_error() {
    let device = Device::cpu(1).unwrap();
    // Most are refused at once; some 5 % are trained.
    check(300, 3, settings(), |settings| {
        let plan = Plan::new(&settings).ok()?;
        let corpus = tiny::corpus(&plan, 100);
        let estimate = MemoryEstimate::of(&plan, &CorpusSize::from(&corpus), &device).ok()?;
        if estimate.total() > SMALL {
            return None;
        }
        let text = plan.to_toml().ok()?;
        let mut trainer = Trainer::new(plan, corpus, &device).ok()?;
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path().join("run"), &text).unwrap();
        let _ = trainer.run(&run, &mut tiny::StopAfter(3));
        Some(())
    });
}
