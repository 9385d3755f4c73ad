//! Ids in files are those in memory, however they were made.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::super::reading::Sizes;
use super::super::{Corpus, CorpusReading, Division, Split, VocabSource, VocabSplits};
use super::*;
use crate::{DataError, Tokenizer, VocabOptions};

/// Sizes for which every text is long.
const SMALL: Sizes = Sizes { chunk_bytes: 30, short_bytes: 0, journal_every: 100 };

/// A folder with texts, and a store next to them.
struct Setup {
    folder: tempfile::TempDir,
    texts: CorpusTexts,
}

impl Setup {
    fn new(texts: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in texts {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let texts = CorpusTexts::find(folder.path()).unwrap();
        Self { folder, texts }
    }

    fn store(&self) -> IdStore {
        IdStore { folder: self.folder.path().join("ids"), least_bytes: 0 }
    }

    fn memory(&self, options: &CorpusOptions) -> Result<Corpus> {
        // Which tokens are forgotten depends on the size of the chunks.
        let sizes = if options.count_memory.is_some() { SMALL } else { Sizes::default() };
        Corpus::read_in(&self.texts, options, CorpusReading { threads: 1, ..CorpusReading::default() }, sizes)
    }

    /// Reads with the store, and returns the events.
    fn stored(&self, options: &CorpusOptions) -> Result<(Corpus, Vec<String>)> {
        self.stopping(options, u64::MAX)
    }

    /// The same, but stops after `most_bytes` of text.
    fn stopping(&self, options: &CorpusOptions, most_bytes: u64) -> Result<(Corpus, Vec<String>)> {
        let mut events = vec![];
        let mut observer = |event: CorpusEvent<'_>| match event {
            CorpusEvent::Tokenizing { text_bytes, .. } if text_bytes > most_bytes => ControlFlow::Break(()),
            CorpusEvent::Tokenizing { .. } => ControlFlow::Continue(()),
            event => {
                let event = format!("{event:?}");
                events.push(event.split([' ', '{']).next().unwrap_or_default().to_owned());
                ControlFlow::Continue(())
            }
        };
        let reading = CorpusReading { threads: 3, store: Some(self.store()), observer: Some(&mut observer) };
        let corpus = Corpus::read_in(&self.texts, options, reading, SMALL)?;
        Ok((corpus, events))
    }

    /// The only file of this name in the store.
    fn file(&self, name: &str) -> PathBuf {
        let entries = fs::read_dir(self.store().folder).unwrap();
        let mut files = entries.map(|entry| entry.unwrap().path().join(name)).filter(|path| path.exists());
        let file = files.next().unwrap();
        assert!(files.next().is_none());
        file
    }
}

fn text(lines: usize) -> String {
    let blank = |line| if line % 5 == 4 { "\n" } else { "" };
    (0..lines).map(|line| format!("line {line} of the {} text\n{}", line % 7, blank(line))).collect()
}

#[track_caller]
fn check(setup: &Setup, options: &CorpusOptions, expected_events: &[&str]) {
    let (corpus, events) = setup.stored(options).unwrap();
    let memory = setup.memory(options).unwrap();
    assert_eq!(corpus, memory);
    assert_eq!(corpus.vocab().counts(), memory.vocab().counts());
    for split in Split::ALL {
        assert_eq!(corpus.fingerprint(split).unwrap(), memory.fingerprint(split).unwrap());
    }
    assert!(corpus.train.path().is_some());
    assert_eq!(events, expected_events);
}

#[test]
fn a_text_is_tokenized_once() {
    let setup =
        Setup::new(&[("train.txt", &text(40)), ("valid.txt", "a line\n"), ("test.txt", "the text\n")]);
    let options = CorpusOptions::default();
    check(&setup, &options, &[]);
    check(&setup, &options, &["Known"]);
    assert!(!setup.file(IDS).with_file_name(WORK).exists());
    // Other options are other ids.
    let chars = CorpusOptions::for_tokenizer(Tokenizer::chars());
    check(&setup, &chars, &[]);
    check(&setup, &chars, &["Known"]);
    check(&setup, &options, &["Known"]);
}

#[test]
fn a_copy_of_a_text_is_recognized_and_a_changed_one_is_read_again() {
    let setup = Setup::new(&[("train.txt", &text(40)), ("valid.txt", "a line\n")]);
    let options = CorpusOptions::default();
    check(&setup, &options, &[]);
    let path = setup.folder.path().join("valid.txt");
    let touch = |seconds: u64| {
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    touch(1_000_000);
    check(&setup, &options, &["Known"]);
    fs::write(&path, "a text\n").unwrap();
    touch(2_000_000);
    check(&setup, &options, &["Again"]);
    fs::write(&path, "a longer line\n").unwrap();
    check(&setup, &options, &["Again"]);
    check(&setup, &options, &["Known"]);
}

#[test]
fn a_damaged_file_is_made_again() {
    let setup = Setup::new(&[("text.txt", &text(40))]);
    let options = CorpusOptions::default();
    check(&setup, &options, &[]);
    let (ids, record) = (setup.file(IDS), setup.file(RECORD));
    let bytes = fs::read(&ids).unwrap();
    fs::write(&ids, &bytes[..bytes.len() - 4]).unwrap();
    check(&setup, &options, &["Again"]);
    let mut flipped = bytes.clone();
    flipped[7] ^= 1;
    fs::write(&ids, flipped).unwrap();
    check(&setup, &options, &["Again"]);
    // The same file, copied.
    fs::write(&ids, fs::read(&ids).unwrap()).unwrap();
    check(&setup, &options, &["Known"]);
    fs::remove_file(&ids).unwrap();
    check(&setup, &options, &["Again"]);
    fs::write(&record, &fs::read(&record).unwrap()[..100]).unwrap();
    check(&setup, &options, &["Again"]);
    fs::remove_file(&record).unwrap();
    check(&setup, &options, &[]);
}

#[test]
fn an_interrupted_process_is_continued_and_damaged_work_is_not_used() {
    let texts = [("a.txt", &*text(30)), ("b.txt", &text(50)), ("c.txt", "one\n\ntwo\n\nthree\n\nfour")];
    let given = Setup::new(&texts).memory(&CorpusOptions::default()).unwrap().vocab().clone();
    let kinds = [
        CorpusOptions::default(),
        CorpusOptions { vocab: VocabSource::Given(given), ..CorpusOptions::default() },
        CorpusOptions { division: Division::RandomLines, ..CorpusOptions::default() },
        CorpusOptions { drop_tail_chars: 9, ..CorpusOptions::for_tokenizer(Tokenizer::moses()) },
    ];
    for options in kinds {
        let setup = Setup::new(&texts);
        for stop in [300, 400, 500] {
            let error = setup.stopping(&options, stop).unwrap_err();
            assert!(matches!(error, DataError::Interrupted), "{error}");
        }
        // More than the journal knows of, as after a process was killed.
        for name in ["raw", "tokens"] {
            let path = setup.file(WORK).join(name);
            fs::File::options().append(true).open(path).unwrap().write_all(b"half").unwrap();
        }
        check(&setup, &options, &["Continued"]);

        let setup = Setup::new(&texts);
        setup.stopping(&options, 700).unwrap_err();
        let raw = setup.file(WORK).join("raw");
        fs::write(&raw, &fs::read(&raw).unwrap()[..8]).unwrap();
        check(&setup, &options, &[]);
        // Work on another text is of no use.
        let setup = Setup::new(&texts);
        setup.stopping(&options, 700).unwrap_err();
        fs::write(setup.folder.path().join("a.txt"), "another text\nof two lines\n").unwrap();
        check(&setup, &options, &[]);
    }
}

#[test]
fn two_processes_make_ids_once() {
    let setup = Setup::new(&[("text.txt", &text(4000))]);
    let options = CorpusOptions::default();
    let expected = setup.memory(&options).unwrap();
    let events: Vec<Vec<String>> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| setup.stored(&options).unwrap())).collect();
        let results = readers.into_iter().map(|reader| reader.join().unwrap());
        results
            .map(|(corpus, events)| {
                assert_eq!(corpus, expected);
                events
            })
            .collect()
    });
    let known = events.iter().filter(|events| events.iter().any(|event| event == "Known")).count();
    assert_eq!(known, 3, "{events:?}");
}

#[test]
fn small_texts_stay_in_memory_unless_the_store_is_for_them() {
    let setup = Setup::new(&[("text.txt", &text(40))]);
    let store = IdStore { least_bytes: IdStore::LARGE_BYTES, ..setup.store() };
    let reading = CorpusReading { store: Some(store), ..CorpusReading::default() };
    let corpus = Corpus::read_with(&setup.texts, &CorpusOptions::default(), reading).unwrap();
    assert_eq!((corpus.train.path(), setup.store().folder.exists()), (None, false));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let setup = Setup::new(&[("text.txt", &text(4))]);
    fs::write(setup.store().folder, "a file").unwrap();
    let error = setup.stored(&CorpusOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("could not write `") && error.contains("ids"), "{error}");
}

#[test]
fn counting_in_little_memory_forgets_the_rarest_tokens_only() {
    let setup = Setup::new(&[("train.txt", &text(300)), ("valid.txt", &text(9)), ("test.txt", "unseen\n")]);
    let vocab = VocabOptions { max_size: Some(12), ..VocabOptions::for_tokenizer(&Tokenizer::words()) };
    let exact = CorpusOptions {
        vocab: VocabSource::Build { options: vocab, splits: VocabSplits::Train },
        ..CorpusOptions::default()
    };
    let limited = CorpusOptions { count_memory: Some(4000), ..exact.clone() };
    let expected = setup.memory(&exact).unwrap();
    // The frequent tokens are the same, and their counts, which are those of the ids, are exact.
    let found = setup.memory(&limited).unwrap();
    assert_eq!(found, expected);
    assert_eq!(found.vocab().counts(), expected.vocab().counts());
    // All tokens that are known are fewer than there are.
    let all = CorpusOptions { count_memory: Some(4000), ..CorpusOptions::default() };
    assert!(setup.memory(&all).unwrap().vocab().len() < 100);

    let error = setup.stopping(&limited, 3000).unwrap_err();
    assert!(matches!(error, DataError::Interrupted));
    check(&setup, &limited, &["Pruned"]);
    check(&setup, &limited, &["Known"]);
    let enough = CorpusOptions { count_memory: Some(1 << 20), ..exact };
    check(&setup, &enough, &[]);
}

#[test]
fn a_second_pass_is_continued() {
    let setup = Setup::new(&[("train.txt", &text(300))]);
    let options = CorpusOptions { count_memory: Some(4000), ..CorpusOptions::default() };
    // The first pass ends after as many bytes as there are.
    let most = 1000;
    let mut passes = 0;
    let mut last = 0;
    let mut observer = |event: CorpusEvent<'_>| {
        if let CorpusEvent::Tokenizing { text_bytes, .. } = event {
            passes += u64::from(text_bytes < last);
            last = text_bytes;
        }
        if passes > 0 && last > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let reading = CorpusReading { threads: 2, store: Some(setup.store()), observer: Some(&mut observer) };
    let error = Corpus::read_in(&setup.texts, &options, reading, SMALL).unwrap_err();
    assert!(matches!(error, DataError::Interrupted), "{error}");
    check(&setup, &options, &["Pruned", "Continued"]);
}

proptest! {
    // Files are synced to disk, which takes its time.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn ids_in_files_are_those_in_memory(
        lines in prop::collection::vec("[a-d]{0,2}( [a-d]{1,2}){0,5}", 1..60), kind in 0..4, all: bool, whole: bool,
        random: bool, stop in 0u64..600,
    ) {
        let text = lines.join("\n");
        let texts = if whole {
            vec![("one.txt", &*text), ("two.txt", "b a\n")]
        } else {
            vec![("train.txt", &*text), ("valid.txt", "b a\n\nzz\n"), ("test.txt", "c")]
        };
        let setup = Setup::new(&texts);
        let tokenizer = match kind {
            0 | 1 => Tokenizer::words(),
            2 => Tokenizer::chars(),
            _ => Tokenizer::moses(),
        };
        let mut options = CorpusOptions::for_tokenizer(tokenizer);
        if let VocabSource::Build { splits, .. } = &mut options.vocab && all {
            *splits = VocabSplits::All;
        }
        if random {
            options.division = Division::RandomLines;
        }
        let message = |error: DataError| error.to_string();
        let _ = setup.stopping(&options, stop);
        let found = setup.stored(&options).map(|(corpus, _)| corpus).map_err(message);
        prop_assert_eq!(found, setup.memory(&options).map_err(message));
    }
}
