//! Losses and gradients that are NaN or infinite: the run stops, skips the step or evaluation, or rolls back. Losses
//! above that of a uniform guess: the run warns.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;
use std::path::Path;

use rondo_data::{Corpus, CorpusTexts, TextSource};
use rondo_kernels::Device;
use rondo_runs::metrics::RecordKind;
use rondo_runs::{RunFolder, metrics};
use rondo_train::{Event, Note, Observer, Plan, Quantity, TrainError, Trainer, Tried};

use tiny::{corpus, plan, run, run_with};

mod tiny;

/// A ReLU network whose carried hidden state grows until it is infinite, independent of training: with a `deviation`
/// of 0.3, after more steps than the validation text has.
fn growing(on_nan: &str, deviation: f64) -> Plan {
    plan(&format!(
        "[model]\ncell = 'rnn_relu'\ndropout = 0\n[init]\nrecurrent = 'normal:{deviation}'\n\
         [training]\nepochs = 2\nbatch_size = 1\non_nan = '{on_nan}'\n\
         [optimization]\noptimizer = 'sgd'\nlearning_rate = 1e-6\nclip_norm = 1"
    ))
}

/// A ReLU network with steps that ruin the weights immediately.
fn diverging(on_nan: &str) -> Plan {
    plan(&format!(
        "[model]\ncell = 'rnn_relu'\n[training]\nepochs = 2\n{on_nan}\n\
         [optimization]\noptimizer = 'sgd'\nlearning_rate = 1e9\nclip_norm = 0"
    ))
}

/// Counts skipped steps and rollbacks.
#[derive(Default)]
struct Mishaps {
    skipped: u64,
    rolled_back: Vec<(u64, f64)>,
}

impl Observer for Mishaps {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Skipped { .. } => self.skipped += 1,
            Event::RolledBack { to_step, learning_rate, .. } => {
                self.rolled_back.push((to_step, learning_rate));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_step_that_cannot_be_taken_is_left_out_and_counted() {
    let parent = tempfile::tempdir().unwrap();
    let error = run(&growing("stop", 0.3), &parent.path().join("stops")).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { tried: Tried::Nothing, .. }), "{error}");

    let (path, mut mishaps) = (parent.path().join("skips"), Mishaps::default());
    let outcome = run_with(&growing("skip", 0.3), &path, &mut mishaps).unwrap();
    assert!(
        mishaps.skipped > 0 && outcome.steps > mishaps.skipped,
        "{} of {}",
        mishaps.skipped,
        outcome.steps
    );
    let records = metrics::read(&RunFolder::open(&path).unwrap().metrics()).unwrap();
    let last = records.last().unwrap();
    assert_eq!(last.skipped_steps, Some(mishaps.skipped as f64));
    assert!(records.iter().filter_map(|record| record.interval_loss).all(f64::is_finite));
}

#[test]
fn weights_that_are_ruined_end_the_run_whatever_is_left_out() {
    let parent = tempfile::tempdir().unwrap();
    let error = run(&diverging("on_nan = 'skip'"), &parent.path().join("run")).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { tried: Tried::Skips(20), .. }), "{error}");
    assert!(error.to_string().contains(", after 20 skipped steps in a row"), "{error}");
}

#[test]
fn a_run_goes_back_to_its_checkpoint_with_a_lower_learning_rate() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let plan = diverging("on_nan = 'rollback'\nmax_rollbacks = 5\nrollback_factor = 1e-5");
    let mut mishaps = Mishaps::default();
    let outcome = run_with(&plan, &path, &mut mishaps).unwrap();
    let (first, times) = (mishaps.rolled_back[0], mishaps.rolled_back.len());
    assert_eq!(first.0, 0, "there is no other checkpoint");
    assert!((first.1 - 1e4).abs() < 1e-6 && times < 5, "{:?}", mishaps.rolled_back);
    assert!(outcome.best_valid.is_some_and(f64::is_finite));
    let records = metrics::read(&RunFolder::open(&path).unwrap().metrics()).unwrap();
    assert_eq!(records.last().unwrap().rollbacks, Some(times as f64));
    // Each step is recorded once.
    let logs = records.iter().filter(|record| record.kind == RecordKind::Batch);
    let mut steps: Vec<u64> = logs.map(|record| record.step).collect();
    let all = steps.len();
    steps.dedup();
    assert_eq!(steps.len(), all);
}

#[test]
fn going_back_is_given_up_after_as_many_times_as_the_plan_says() {
    let parent = tempfile::tempdir().unwrap();
    let plan = diverging("on_nan = 'rollback'\nmax_rollbacks = 2\nrollback_factor = 1");
    let error = run(&plan, &parent.path().join("run")).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { tried: Tried::Rollbacks(2), .. }), "{error}");
    assert!(error.to_string().contains("after 2 rollbacks to a checkpoint"), "{error}");
}

/// Without validation text no loss shows at an epoch's end that its last step has ruined the weights.
#[test]
fn weights_that_the_last_step_of_an_epoch_ruins_are_gone_back_from() {
    let plan = plan(
        "[model]\ncell = 'rnn_relu'\n[training]\nepochs = 2\nmax_batches = 1\non_nan = 'rollback'\n\
         rollback_factor = 1e-39\n[optimization]\noptimizer = 'sgd'\nlearning_rate = 1e38\nclip_norm = 0\n\
         loss_reduction = 'sum'",
    );
    let text = TextSource::Memory { name: "train".to_owned(), text: "one two three four\n".repeat(200) };
    let texts = CorpusTexts::Splits { train: text, valid: None, test: None };
    let corpus = Corpus::read(&texts, &plan.text.options).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let folder = RunFolder::create(parent.path().join("run"), &plan.to_toml().unwrap()).unwrap();
    let (mut found, mut steps) = (vec![], vec![]);
    let mut observer = |event: Event<'_>| {
        match event {
            Event::RolledBack { what, to_step, .. } => found.push((what, to_step)),
            Event::EpochFinished(report) => steps.push(report.step),
            _ => {}
        }
        ControlFlow::Continue(())
    };
    let mut trainer = Trainer::new(plan, corpus, &Device::cpu(1).unwrap()).unwrap();
    let outcome = trainer.run(&folder, &mut observer).unwrap();
    assert_eq!((found, steps), (vec![(Quantity::WeightNorm, 0)], vec![1, 2]));
    assert_eq!(outcome.best_epoch, Some(2));
}

/// The network whose hidden state grows: finite in the few steps of training, infinite in the validation text.
fn infinite_in_validation(on_nan: &str) -> Plan {
    let mut plan = growing(on_nan, 1.5);
    plan.training.max_batches = Some(2);
    plan
}

#[test]
fn a_validation_loss_that_is_not_finite_ends_the_run_and_is_recorded() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let error = run(&infinite_in_validation("stop"), &path).unwrap_err();
    let TrainError::NonFinite { what, epoch, step, tried, best, .. } = &error else { panic!("{error}") };
    assert_eq!((*what, *epoch, *step, *tried, best), (Quantity::ValidationLoss, 1, 2, Tried::Nothing, &None));
    assert!(error.to_string().starts_with("the validation loss became "), "{error}");
    let folder = RunFolder::open(&path).unwrap();
    let records = metrics::read(&folder.metrics()).unwrap();
    let last = records.last().unwrap();
    assert!(last.valid_loss.is_some_and(|loss| !loss.is_finite()), "{last:?}");
    assert!(last.epoch_loss.is_some_and(f64::is_finite), "{last:?}");
    assert!(!folder.best_model().exists() && !folder.last_model().exists());
}

#[test]
fn a_run_whose_evaluations_are_all_left_out_ends_with_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("run");
    let error = run(&infinite_in_validation("skip"), &path).unwrap_err();
    assert!(matches!(error, TrainError::NoUsableModel { epochs: 2, .. }), "{error}");
    let expected =
        "none of the 2 epochs had a finite loss on the validation text, so no model was saved as the best";
    assert_eq!(error.to_string(), expected);
    let folder = RunFolder::open(&path).unwrap();
    assert!(!folder.best_model().exists() && folder.last_model().exists());
    let records = metrics::read(&folder.metrics()).unwrap();
    // As after any epoch without improvement, the learning rate is reduced.
    let rates: Vec<_> = records.iter().filter_map(|record| record.learning_rate).collect();
    assert_eq!(rates, [1e-6, 2.5e-7]);
}

#[test]
fn a_run_goes_back_if_its_validation_loss_is_not_finite() {
    let parent = tempfile::tempdir().unwrap();
    // The only step of an epoch makes weights that are finite, but too large for the validation text.
    let settings = "[model]\ncell = 'rnn_relu'\n[training]\nepochs = 2\nmax_batches = 1\ncheckpoint_every = '1steps'\n\
                    on_nan = 'rollback'\nmax_rollbacks = 1\nrollback_factor = 1e-9\n\
                    [optimization]\noptimizer = 'sgd'\nlearning_rate = 1e9\nclip_norm = 0";
    let (mut found, path) = (vec![], parent.path().join("run"));
    let mut observer = |event: Event<'_>| {
        if let Event::RolledBack { what, step, to_step, .. } = event {
            found.push((what, step, to_step));
        }
        ControlFlow::Continue(())
    };
    let outcome = run_with(&plan(settings), &path, &mut observer).unwrap();
    // Not to the checkpoint of step 1, which would be evaluated again with the same result.
    assert_eq!(found, [(Quantity::ValidationLoss, 1, 0)]);
    assert!(outcome.best_valid.is_some_and(f64::is_finite));

    let mut hopeless = infinite_in_validation("rollback");
    hopeless.training.epochs = 1;
    let error = run(&hopeless, &parent.path().join("hopeless")).unwrap_err();
    let TrainError::NonFinite { what, tried, .. } = error else { panic!("{error}") };
    assert_eq!((what, tried), (Quantity::ValidationLoss, Tried::Rollbacks(3)));
}

/// The notes that the training loss is worse than a uniform guess, and whether an observer saw other notes.
fn notes(plan: &Plan, path: &Path) -> Vec<(f64, f64)> {
    let mut notes = vec![];
    let mut observer = |event: Event<'_>| {
        if let Event::Note(Note::WorseThanUniform { loss, learning_rate, .. }) = event {
            notes.push((loss, learning_rate));
        }
        ControlFlow::Continue(())
    };
    run_with(plan, path, &mut observer).unwrap();
    notes
}

#[test]
fn a_loss_above_that_of_a_uniform_guess_is_told_once() {
    let parent = tempfile::tempdir().unwrap();
    let large = "[init]\nembedding = 'normal:30'\n[optimization]\nlearning_rate = 1e-9";
    let found = notes(&plan(large), &parent.path().join("large"));
    let uniform = (corpus(&plan(large), 200).vocab().len() as f64).ln();
    let [(loss, learning_rate)] = found[..] else { panic!("{found:?}") };
    assert!(loss > uniform && learning_rate == 1e-9, "{found:?}");
    // Only the first quarter of the first epoch is above it here.
    assert_eq!(notes(&plan(""), &parent.path().join("usual")), []);
}
