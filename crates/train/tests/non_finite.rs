//! Losses and gradients that are NaN or infinite: the run stops, skips the step, or rolls back.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::ops::ControlFlow;

use rondo_runs::metrics::RecordKind;
use rondo_runs::{RunFolder, metrics};
use rondo_train::{Event, Observer, Plan, TrainError, Tried};

use tiny::{plan, run, run_with};

mod tiny;

/// A ReLU network whose carried hidden state grows until it is infinite, independent of training.
fn growing(on_nan: &str) -> Plan {
    plan(&format!(
        "[model]\ncell = 'rnn_relu'\ndropout = 0\n[init]\nrecurrent = 'normal:1.5'\n\
         [training]\nepochs = 2\non_nan = '{on_nan}'\n\
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
    let error = run(&growing("stop"), &parent.path().join("stops")).unwrap_err();
    assert!(matches!(error, TrainError::NonFinite { tried: Tried::Nothing, .. }), "{error}");

    let (path, mut mishaps) = (parent.path().join("skips"), Mishaps::default());
    let outcome = run_with(&growing("skip"), &path, &mut mishaps).unwrap();
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
