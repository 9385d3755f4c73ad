//! A run of version 0.1.0 can be opened, and resuming it gives the same losses as version 0.1.0.
//!
//! `fixtures/v0.1.0` contains the text and the run: four epochs of a small LSTM with Adam.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::path::{Path, PathBuf};

use rondo_data::Vocab;
use rondo_infer::evaluate;
use rondo_kernels::Device;
use rondo_nn::{ModelFile, Workspace};
use rondo_runs::Provenance;
use rondo_runs::metrics::{self, Record, RecordKind};
use rondo_train::{Checkpoint, RunFolder, Session, SessionOptions, Settings};

/// The result of `rondo train --resume --epochs 6` with version 0.1.0 on a copy of the fixture.
const VALID_LOSS: f64 = 2.0095735902969656;
const TEST_LOSS: f64 = 1.9307798215976129;
/// The result of its fourth epoch, before resuming.
const VALID_LOSS_BEFORE: f64 = 2.3910663219598622;

/// Other instruction sets sum in a different order, which changes the last digits.
const TOLERANCE: f64 = 1e-4;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v0.1.0")
}

/// A copy of the run that may be changed.
fn copied(parent: &Path) -> PathBuf {
    let run = parent.join("run");
    fs::create_dir(&run).unwrap();
    for file in fs::read_dir(fixture().join("run")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), run.join(file.file_name())).unwrap();
    }
    run
}

/// The settings that say where the text is.
fn settings(epochs: usize) -> Settings {
    let mut settings = Settings::default();
    settings.text.data = Some(vec![fixture().join("text.txt")]);
    settings.training.epochs = Some(epochs);
    settings
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found / expected - 1.0).abs() < TOLERANCE, "{found}, expected {expected}");
}

#[test]
fn its_model_opens_and_has_the_loss_that_was_reported() {
    let parent = tempfile::tempdir().unwrap();
    let run = copied(parent.path());
    let session = Session::resume(&run, settings(4), SessionOptions::default()).unwrap();
    let file = ModelFile::read(&run.join("best.safetensors"), &Device::cpu(1).unwrap()).unwrap();
    assert!(file.context.attachments.is_empty());
    let valid = session.corpus().valid.as_ref().unwrap();
    let evaluation = evaluate(&file.model, &mut Workspace::new(session.device()), valid, 3, 5).unwrap();
    assert_close(Some(evaluation.nll_mean()), VALID_LOSS_BEFORE);
}

#[test]
fn it_resumes_to_the_losses_of_version_0_1_0() {
    let parent = tempfile::tempdir().unwrap();
    let run = copied(parent.path());
    let folder = RunFolder::open(&run).unwrap();
    let (checkpoint, _) = Checkpoint::latest(&folder).unwrap().unwrap();
    assert_eq!((checkpoint.epoch(), checkpoint.steps()), (5, 100));
    assert!(checkpoint.codec().unwrap().is_none());

    let mut session = Session::resume(&run, settings(6), SessionOptions::default()).unwrap();
    assert!(session.changes().iter().any(|change| change.setting == "training.epochs"));
    let trained = session.run(&mut ()).unwrap();
    assert_eq!((trained.outcome.steps, trained.outcome.best_epoch), (150, Some(6)));
    assert_close(trained.outcome.best_valid, VALID_LOSS);
    assert_close(trained.outcome.best_test, TEST_LOSS);
    let (checkpoint, _) = Checkpoint::latest(&folder).unwrap().unwrap();
    let model = trained.model.unwrap();
    assert_eq!(checkpoint.codec().unwrap().as_ref(), Some(model.codec()));
    // Version 0.1.0 did not keep counts; the text has been read again.
    assert_eq!(Vocab::load(fixture().join("run/vocab.json")).unwrap().counts(), None);
    let train = session.corpus().train.len() as u64;
    assert_eq!(model.codec().vocab().counts().map(|counts| counts.iter().sum()), Some(train));
}

#[test]
fn its_records_are_read_and_a_resumed_run_has_those_of_both_versions() {
    let parent = tempfile::tempdir().unwrap();
    let run = copied(parent.path());
    let records = || metrics::read(&run.join("metrics.jsonl")).unwrap();
    let old = records();
    let kinds: Vec<RecordKind> = old.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [RecordKind::Batch, RecordKind::Batch, RecordKind::Epoch].repeat(4));
    assert_eq!(old[1].interval_loss, Some(2.782440905570984));
    assert_eq!(old[2].epoch_loss, Some(2.8085157925287882));
    assert!(old.iter().all(|record| record.is_of_0_1_0() && record.elapsed_s.is_some()));

    Session::resume(&run, settings(5), SessionOptions::default()).unwrap().run(&mut ()).unwrap();
    let both = records();
    assert_eq!(both[..old.len()], old);
    let new = &both[old.len()..];
    assert_eq!(new.iter().map(|record| record.kind).collect::<Vec<_>>(), kinds[..3]);
    assert!(!new.iter().any(Record::is_of_0_1_0));
    // Tokens are counted from the start of the run: 25 batches of 5 epochs.
    let tokens_of_a_step = new[2].tokens.unwrap() / new[2].step;
    assert_eq!((new[2].step, new[0].tokens), (125, Some(110 * tokens_of_a_step)));
    // The moving average continues as it began.
    let before = old[old.len() - 2].moving_loss.unwrap();
    assert!((new[0].moving_loss.unwrap() - before).abs() < 0.1, "{before}, then {:?}", new[0].moving_loss);
}

#[test]
fn its_best_model_is_read_from_its_file_after_a_resumption() {
    let parent = tempfile::tempdir().unwrap();
    let run = copied(parent.path());
    // All epochs have been trained: the run ends at once.
    let mut session = Session::resume(&run, settings(4), SessionOptions::default()).unwrap();
    let trained = session.run(&mut ()).unwrap();
    let model = trained.model.unwrap();
    let valid = session.corpus().valid.as_ref().unwrap();
    let evaluation = evaluate(model.model(), &mut Workspace::new(session.device()), valid, 3, 5).unwrap();
    assert_close(Some(evaluation.nll_mean()), VALID_LOSS_BEFORE);
}

#[test]
fn a_best_model_that_has_been_removed_does_not_fail_the_run() {
    let parent = tempfile::tempdir().unwrap();
    let run = copied(parent.path());
    fs::remove_file(run.join("best.safetensors")).unwrap();
    let trained =
        Session::resume(&run, settings(4), SessionOptions::default()).unwrap().run(&mut ()).unwrap();
    assert!(trained.model.is_none() && trained.outcome.best_epoch.is_some());
}

#[test]
fn training_goes_on_from_its_model() {
    let parent = tempfile::tempdir().unwrap();
    let (run, out) = (copied(parent.path()), Some(parent.path().join("on")));
    let options = SessionOptions { out, ..SessionOptions::default() };
    let mut session = Session::continue_from(&run, settings(1), options).unwrap();
    let trained = session.run(&mut ()).unwrap();
    assert!(trained.outcome.best_valid.unwrap() <= VALID_LOSS_BEFORE * (1.0 + TOLERANCE));
    assert!(trained.model.is_some());
}

#[test]
fn its_settings_change_when_it_is_resumed() {
    let parent = tempfile::tempdir().unwrap();
    let run = copied(parent.path());
    let mut changed = settings(6);
    changed.optimization.learning_rate = Some(0.001);
    changed.model.dropout = Some(0.1);
    Session::resume(&run, changed, SessionOptions::default()).unwrap().run(&mut ()).unwrap();
    let changes = Provenance::read(&RunFolder::open(&run).unwrap()).unwrap().changes;
    assert_eq!((changes.len(), changes[0].epoch, changes[0].step), (1, 5, 100));
    let session = Session::resume(&run, Settings::default(), SessionOptions::default()).unwrap();
    assert!(session.is_complete() && session.changes().is_empty());
}
