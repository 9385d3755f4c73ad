//! Ids in a file train the same model as ids in memory, bit for bit, and a run finds them when it resumes.

#![allow(clippy::unwrap_used)] // A test fails by panicking.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use rondo_data::{DataError, IdStore};
use rondo_runs::metrics;
use rondo_train::{Event, Session, SessionOptions, Settings, TrainError};

const SETTINGS: &str = "
    [model]
    hidden_size = 8
    layers = 1
    dropout = 0.1
    [training]
    epochs = 2
    batch_size = 3
    bptt = 5
    threads = 2
    [optimization]
    optimizer = 'adam'
    learning_rate = 0.02
";

/// What a run leaves, without times and without what says where its ids are.
type Left = (Vec<String>, Vec<u8>);

struct Setup {
    folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let words = ["cat", "dog", "bird", "mat", "house"];
        let line = |index: usize| format!("the {} saw the {} .\n", words[index % 5], words[index * 7 % 3]);
        fs::write(folder.path().join("poem.txt"), (0..120).map(line).collect::<String>()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self, extra: &str, ids_dir: &str) -> Settings {
        let mut settings = Settings::parse("test", SETTINGS)
            .unwrap()
            .overlaid_with(Settings::parse("extra", extra).unwrap());
        settings.text.data = Some(vec![self.path("poem.txt")]);
        settings.text.ids_dir = Some(if ids_dir.is_empty() { "".into() } else { self.path(ids_dir) });
        settings
    }

    fn options(&self, out: &str) -> SessionOptions<'static> {
        SessionOptions { out: Some(self.path(out)), ..SessionOptions::default() }
    }

    fn left(&self, out: &str) -> Left {
        let records = metrics::read(&self.path(out).join("metrics.jsonl")).unwrap().into_iter();
        let records = records.map(|record| serde_json::to_string(&record.without_times()).unwrap());
        let model = self.path(out).join("best.safetensors");
        (records.collect(), weights(&fs::read(model).unwrap()))
    }
}

/// The tensors of a model file, after its header, which contains the plan.
fn weights(file: &[u8]) -> Vec<u8> {
    let (len, rest) = file.split_at(8);
    rest[u64::from_le_bytes(len.try_into().unwrap()) as usize..].to_vec()
}

fn events(path: &Path, settings: Settings, options: SessionOptions<'_>) -> (Session, Vec<String>) {
    let mut notes = vec![];
    let mut observer = |event: Event<'_>| {
        if let Event::Note(note) = event {
            notes.push(note.to_string());
        }
        ControlFlow::Continue(())
    };
    let session = if path.join("plan.toml").exists() {
        Session::resume(path, settings, SessionOptions { observer: Some(&mut observer), ..options })
    } else {
        Session::start(settings, SessionOptions { observer: Some(&mut observer), ..options })
    };
    (session.unwrap(), notes)
}

#[test]
fn training_from_a_file_is_training_from_memory() {
    for extra in ["", "[training]\nreset_state = 'line'\nshuffle_lines = true\n[text]\ntokenizer = 'chars'"] {
        let setup = Setup::new();
        Session::start(setup.settings(extra, ""), setup.options("memory")).unwrap().run(&mut ()).unwrap();
        let mut session = Session::start(setup.settings(extra, "ids"), setup.options("file")).unwrap();
        assert!(session.corpus().train.path().is_some_and(|path| path.starts_with(setup.path("ids"))));
        session.run(&mut ()).unwrap();
        assert_eq!(setup.left("file"), setup.left("memory"));
    }
}

#[test]
fn a_resumed_run_uses_its_ids_and_makes_them_if_they_are_gone() {
    let setup = Setup::new();
    Session::start(setup.settings("", ""), setup.options("memory")).unwrap().run(&mut ()).unwrap();
    let out = setup.path("file");
    let stop_at = |step| {
        let (mut session, notes) = events(&out, setup.settings("", "ids"), setup.options("file"));
        let mut stop = |event: Event<'_>| match event {
            Event::Batch(report) if report.step == step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        session.run(&mut stop).unwrap();
        notes
    };
    assert_eq!(stop_at(5), [""; 0]);
    let notes = stop_at(50);
    assert!(notes.iter().any(|note| note.starts_with("the texts are already tokenized, in `")), "{notes:?}");
    fs::remove_dir_all(setup.path("ids")).unwrap();
    let notes = stop_at(u64::MAX);
    assert!(notes.iter().all(|note| !note.contains("tokenized")), "{notes:?}");
    assert_eq!(setup.left("file"), setup.left("memory"));

    // Another text is refused as ever, even if its ids are in the store.
    fs::write(setup.path("poem.txt"), "another text\n".repeat(100)).unwrap();
    let error = Session::resume(&out, setup.settings("", "ids"), SessionOptions::default()).unwrap_err();
    assert!(matches!(error, TrainError::Runs(rondo_train::RunsError::OtherCorpus { .. })), "{error}");
}

#[test]
fn large_texts_go_to_the_cache_and_an_observer_can_stop_that() {
    let setup = Setup::new();
    let mut settings = setup.settings("", "ids");
    settings.text.ids_dir = None;
    let options = |name: &str| {
        let mut options = setup.options(name);
        options.places.cache_dir = Some(setup.path("cache"));
        options
    };
    let small = Session::start(settings.clone(), options("small")).unwrap();
    assert_eq!((small.corpus().train.path(), setup.path("cache").exists()), (None, false));

    let line = "the cat saw the dog and the bird in the house by the sea .\n";
    let lines = IdStore::LARGE_BYTES as usize / line.len() + 1;
    fs::write(setup.path("poem.txt"), line.repeat(lines)).unwrap();
    let mut stop = |event: Event<'_>| match event {
        Event::Tokenizing { text_bytes, .. } if text_bytes > 100_000_000 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = SessionOptions { observer: Some(&mut stop), ..options("stopped") };
    let error = Session::start(settings.clone(), stopped).unwrap_err();
    assert!(matches!(error, TrainError::Data(DataError::Interrupted)), "{error}");
    let (session, notes) = events(&setup.path("large"), settings, options("large"));
    assert!(session.corpus().train.path().is_some_and(|path| path.starts_with(setup.path("cache"))));
    assert!(notes.iter().any(|note| note.starts_with("tokenizing continues after ")), "{notes:?}");
}
