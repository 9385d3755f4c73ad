//! Sessions: from settings to a trained model, in a few lines.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rondo_data::{Corpus, DataError, TextCodec, Tokenizer, Vocab};
use rondo_infer::InferError;
use rondo_nn::{Model, ModelFile};
use rondo_train::{
    Checkpoint, CorpusFingerprint, Event, RunFolder, RunsError, Session, SessionOptions, Settings,
    SettingsSource, TrainError,
};

const SETTINGS: &str = "
    [model]
    hidden_size = 8
    layers = 1
    dropout = 0
    [training]
    epochs = 2
    batch_size = 2
    bptt = 5
    threads = 1
    [optimization]
    optimizer = 'adam'
    learning_rate = 0.02
";

/// A folder with a text, and the settings of a run on it.
fn with_text() -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("poem.txt");
    fs::write(&text, "the cat sat on the mat .\na dog saw the cat .\n".repeat(40)).unwrap();
    let mut settings = Settings::parse("test", SETTINGS).unwrap();
    settings.text.data = Some(vec![text]);
    (folder, settings)
}

fn options(out: &Path) -> SessionOptions<'static> {
    SessionOptions { out: Some(out.to_owned()), ..SessionOptions::default() }
}

fn values(model: &dyn Model) -> Vec<Vec<f32>> {
    let parameters = model.parameters();
    parameters.ids().map(|id| parameters.values(id).read().unwrap().into_owned()).collect()
}

/// Collects notes, and asks to stop after a number of steps.
#[derive(Default)]
struct Notes {
    told: Vec<String>,
    stop_after: Option<u64>,
}

impl rondo_train::Observer for Notes {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Note(note) => self.told.push(note.to_string()),
            Event::Batch(report) if Some(report.step) == self.stop_after => return ControlFlow::Break(()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn a_text_becomes_a_trained_model() {
    let (folder, settings) = with_text();
    let out = folder.path().join("run");
    let mut session = Session::start(settings, options(&out)).unwrap();
    assert_eq!(session.title(), folder.path().join("poem.txt").display().to_string());
    assert_eq!((session.plan().training.epochs, session.folder().path()), (2, &*out));
    let trained = session.run(&mut ()).unwrap();
    let file = ModelFile::read(&trained.folder.best_model(), session.device()).unwrap();
    let model = trained.model.unwrap();
    assert_eq!(values(model.model()), values(&file.model));
    assert_eq!(file.context.attachments["codec"], model.codec().to_json().into_bytes());
    assert_eq!(*model.codec(), session.corpus().codec);
}

/// Ids of the numbers 0 to 6, each followed by the next one.
fn ids_in_memory(count: u32) -> Corpus {
    let numbers = (0..7).map(|number: u32| number.to_string());
    let vocab = Vocab::from_tokens("numbers", numbers, None).unwrap();
    let codec = TextCodec::new(Tokenizer::words(), vocab);
    Corpus::of_divided_ids(codec, (0..count).map(|at| at % 7).collect(), 0.1, 0.1).unwrap()
}

#[test]
fn a_corpus_in_memory_is_trained_on_and_passed_again_to_resume() {
    let folder = tempfile::tempdir().unwrap();
    let settings = || Settings::parse("test", SETTINGS).unwrap();
    let with = |corpus: Corpus, out: &str| SessionOptions {
        in_memory: Some(corpus),
        ..options(&folder.path().join(out))
    };
    let mut session = Session::start(settings(), with(ids_in_memory(400), "whole")).unwrap();
    assert_eq!(session.title(), "in-memory");
    let whole = session.run(&mut ()).unwrap().model.unwrap();
    assert!(whole.generate("3", rondo_infer::StreamOptions::default()).unwrap().starts_with(" 4 5 6 0"));

    let mut stopped = Session::start(settings(), with(ids_in_memory(400), "run")).unwrap();
    let mut notes = Notes { stop_after: Some(20), ..Notes::default() };
    assert!(stopped.run(&mut notes).unwrap().outcome.interrupted);
    drop(stopped);
    let resume = |corpus: Option<Corpus>| {
        let options = SessionOptions { in_memory: corpus, ..SessionOptions::default() };
        Session::resume(folder.path().join("run"), Settings::default(), options)
    };
    assert!(matches!(resume(None), Err(TrainError::NotInMemory)));
    assert!(matches!(resume(Some(ids_in_memory(500))), Err(TrainError::Runs(RunsError::OtherCorpus { .. }))));
    let resumed = resume(Some(ids_in_memory(400))).unwrap().run(&mut ()).unwrap().model.unwrap();
    assert_eq!(values(resumed.model()), values(whole.model()));

    // A model to continue from must know these tokens.
    let mut continued = settings();
    continued.training.from = Some(folder.path().join("whole"));
    let session = Session::start(continued.clone(), with(ids_in_memory(300), "continued")).unwrap();
    assert_eq!(session.corpus().codec, *whole.codec());
    let codec = TextCodec::new(Tokenizer::words(), Vocab::from_tokens("other", ["7", "8"], None).unwrap());
    let other = Corpus::of_ids(codec, vec![0, 1].into(), None, None).unwrap();
    assert!(matches!(Session::start(continued, with(other, "other")), Err(TrainError::OtherCodec)));
}

#[test]
fn the_folder_is_locked_until_the_run_ends() {
    let (folder, settings) = with_text();
    let out = folder.path().join("run");
    let mut session = Session::start(settings, options(&out)).unwrap();
    let resume = || Session::resume(&out, Settings::default(), SessionOptions::default());
    assert!(matches!(resume(), Err(TrainError::Runs(RunsError::Locked { .. }))));
    session.run(&mut ()).unwrap();
    resume().unwrap();
}

#[test]
fn a_stopped_run_goes_on_in_the_same_session_or_in_another() {
    let (folder, settings) = with_text();
    let [whole, same, other] = ["whole", "same", "other"].map(|name| folder.path().join(name));
    let start = |out: &PathBuf| Session::start(settings.clone(), options(out)).unwrap();
    start(&whole).run(&mut ()).unwrap();

    let mut session = start(&same);
    let mut stopping = Notes { stop_after: Some(7), ..Notes::default() };
    assert!(session.run(&mut stopping).unwrap().outcome.interrupted);
    assert!(!session.run(&mut ()).unwrap().outcome.interrupted);

    start(&other).run(&mut stopping).unwrap();
    let mut notes = Notes::default();
    let mut resuming = SessionOptions { observer: Some(&mut notes), ..SessionOptions::default() };
    resuming.source = SettingsSource::Recipe("has no effect".to_owned());
    let mut more = Settings::default();
    more.training.log_every = Some(3);
    let trained = Session::resume(&other, more, resuming).unwrap().run(&mut ()).unwrap();
    assert_eq!(notes.told, ["`training.log_every` changes from `200` to `3`"]);
    assert_eq!(trained.outcome.best_epoch, Some(2));
    for run in [&same, &other] {
        assert!(
            fs::read(run.join("best.safetensors")).unwrap()
                == fs::read(whole.join("best.safetensors")).unwrap()
        );
    }
}

#[test]
fn an_observer_that_asks_to_stop_while_the_session_is_prepared_stops_the_run_at_once() {
    let (folder, settings) = with_text();
    let out = folder.path().join("run");
    drop(Session::start(settings, options(&out)).unwrap());
    let mut stop = |_: Event<'_>| ControlFlow::Break(());
    let resuming = SessionOptions { observer: Some(&mut stop), ..SessionOptions::default() };
    let trained = Session::resume(&out, Settings::default(), resuming).unwrap().run(&mut ()).unwrap();
    assert!(trained.outcome.interrupted && trained.model.is_none());
    assert_eq!(trained.outcome.steps, 0);
}

#[test]
fn training_goes_on_from_a_model_without_its_vocabulary_and_resumes_without_either() {
    let (folder, settings) = with_text();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let trained = Session::start(settings, options(&first)).unwrap().run(&mut ()).unwrap();
    fs::remove_file(trained.folder.vocab()).unwrap();

    let mut stopping = Notes { stop_after: Some(9), ..Notes::default() };
    let mut session = Session::continue_from(&first, Settings::default(), options(&second)).unwrap();
    assert_eq!(session.plan().model.hidden_sizes, [8]);
    let stopped = session.run(&mut stopping).unwrap();
    assert_eq!(stopped.outcome.best_epoch, Some(0));
    assert_eq!(*stopped.model.unwrap().codec(), *trained.model.unwrap().codec());
    drop(session);

    fs::remove_dir_all(&first).unwrap();
    fs::remove_file(second.join("vocab.json")).unwrap();
    let mut session = Session::resume(&second, Settings::default(), SessionOptions::default()).unwrap();
    assert!(!session.run(&mut ()).unwrap().outcome.interrupted);
    assert!(second.join("vocab.json").is_file());
    let folder = RunFolder::open(&second).unwrap();
    assert!(Checkpoint::latest(&folder).unwrap().unwrap().0.codec().unwrap().is_some());
}

#[test]
fn what_is_wrong_shows_before_a_folder_is_made() {
    let (folder, settings) = with_text();
    let out = folder.path().join("run");
    let unlike =
        CorpusFingerprint { vocabulary: "another".to_owned(), train: String::new(), valid: None, test: None };
    let other = SessionOptions { corpus: Some(unlike), ..options(&out) };
    let error = Session::start(settings.clone(), other).unwrap_err();
    assert!(matches!(error, TrainError::Runs(RunsError::OtherCorpus { .. })), "{error}");
    let error = Session::continue_from(folder.path(), settings, options(&out)).unwrap_err();
    assert!(matches!(error, TrainError::Infer(InferError::NoModel { .. })), "{error}");
    assert!(!out.exists());
}

#[test]
fn settings_changed_before_the_first_checkpoint_are_kept() {
    let (folder, settings) = with_text();
    let out = folder.path().join("run");
    drop(Session::start(settings, options(&out)).unwrap());
    let mut more = Settings::default();
    more.training.epochs = Some(3);
    drop(Session::resume(&out, more, SessionOptions::default()).unwrap());
    let session = Session::resume(&out, Settings::default(), SessionOptions::default()).unwrap();
    assert_eq!(session.plan().training.epochs, 3);
}

#[test]
fn a_prefix_that_the_model_cannot_read_is_refused_before_the_folder_is_made() {
    let (folder, mut settings) = with_text();
    settings.text.unknown_token = Some(String::new());
    settings.sample.prefix = Some(vec!["the bird".to_owned()]);
    let out = folder.path().join("run");
    let error = Session::start(settings, options(&out)).unwrap_err();
    assert!(
        matches!(&error, TrainError::SamplePrefix { source: DataError::UnknownToken { .. }, .. }),
        "{error}"
    );
    assert!(!out.exists());
}

#[test]
fn a_run_that_extends_a_vocabulary_resumes_before_its_first_checkpoint_and_is_repeated_from_its_plan() {
    let (folder, settings) = with_text();
    let [first, second, again] = ["first", "second", "again"].map(|name| folder.path().join(name));
    Session::start(settings, options(&first)).unwrap().run(&mut ()).unwrap();
    let other = folder.path().join("other.txt");
    fs::write(&other, "the owl sat on the mat .\na fox saw the owl .\n".repeat(40)).unwrap();
    let mut more = Settings::default();
    more.text.data = Some(vec![other]);
    more.training.extend_vocab = Some(true);
    let started = Session::continue_from(&first, more, options(&second)).unwrap();
    let (plan, vocabulary) = (started.plan().clone(), started.corpus().vocab().clone());
    assert!(vocabulary.id("owl").is_some());
    drop(started);

    let mut resumed = Session::resume(&second, Settings::default(), SessionOptions::default()).unwrap();
    assert_eq!((resumed.plan(), resumed.corpus().vocab()), (&plan, &vocabulary));
    let trained = resumed.run(&mut ()).unwrap();
    let source = SettingsSource::Plan(second.join("plan.toml"));
    let mut repeated =
        Session::start(Settings::default(), SessionOptions { source, ..options(&again) }).unwrap();
    assert_eq!(repeated.plan(), &plan);
    let same = repeated.run(&mut ()).unwrap();
    assert_eq!(values(same.model.unwrap().model()), values(trained.model.unwrap().model()));
}

#[test]
fn a_text_in_place_of_a_named_corpus_is_what_the_plan_says() {
    let (folder, mut settings) = with_text();
    settings.text.corpus = Some("ptb".to_owned());
    let out = folder.path().join("run");
    drop(Session::start(settings, options(&out)).unwrap());
    let written = Settings::parse("plan", &fs::read_to_string(out.join("plan.toml")).unwrap()).unwrap().text;
    assert_eq!((written.corpus, written.data), (None, Some(vec![folder.path().join("poem.txt")])));
    let resumed = Session::resume(&out, Settings::default(), SessionOptions::default()).unwrap();
    assert_eq!(resumed.changes(), []);
}
