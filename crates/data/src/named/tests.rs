//! Tests of named corpora: where they are looked for, and what errors say about incomplete ones.

use std::{collections::BTreeSet, time::Duration};

use super::*;
use crate::{
    download::server::{Answer, Server, body},
    hash::sha256,
};

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");

/// A corpus of two files, both with the bytes that the test server sends.
fn corpus() -> &'static NamedCorpus {
    let sha256: &'static str = sha256(body()).leak();
    let file = |name, split| NamedFile {
        name,
        split: Some(split),
        bytes: body().len() as u64,
        sha256,
        url: "http://127.0.0.1:1/published",
    };
    Box::leak(Box::new(NamedCorpus {
        name: "tiny",
        folder: "tiny-folder",
        description: "For tests",
        license: "none",
        files: vec![file("a.train.txt", Split::Train), file("a.test.txt", Split::Test)].leak(),
    }))
}

fn downloader() -> Downloader {
    Downloader { attempts: 1, pause: Duration::ZERO, ..Downloader::default() }
}

fn write_corpus(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for file in corpus().files {
        fs::write(folder.join(file.name), body()).unwrap();
    }
}

/// Three empty folders to search.
struct Folders {
    _root: tempfile::TempDir,
    data: PathBuf,
    environment: PathBuf,
    cache: PathBuf,
}

impl Folders {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let [data, environment, cache] = ["data", "environment", "cache"].map(|name| root.path().join(name));
        Self { _root: root, data, environment, cache }
    }

    fn places(&self) -> Places {
        Places {
            data_dir: Some(self.data.clone()),
            environment_dir: Some(self.environment.clone()),
            cache_dir: Some(self.cache.clone()),
            mirror: None,
        }
    }
}

#[test]
fn places_are_looked_at_in_order() {
    let folders = Folders::new();
    assert_eq!(corpus().find(&folders.places()).unwrap(), None);
    // Each of these is searched before those above it.
    for (folder, place) in [
        (folders.cache.join("tiny-folder"), Place::Cache),
        (folders.environment.clone(), Place::Environment),
        (folders.environment.join("tiny-folder"), Place::Environment),
        (folders.data.clone(), Place::Data),
        (folders.data.join("tiny-folder"), Place::Data),
    ] {
        write_corpus(&folder);
        let located = corpus().find(&folders.places()).unwrap().unwrap();
        assert_eq!((located.folder, located.place), (folder, place));
    }
}

#[test]
fn the_cache_holds_corpora_in_folders_only() {
    let folders = Folders::new();
    write_corpus(&folders.cache);
    assert_eq!(corpus().find(&folders.places()).unwrap(), None);
}

#[test]
fn a_path_to_a_file_holds_no_corpus() {
    let folders = Folders::new();
    fs::write(&folders.data, "a file").unwrap();
    assert_eq!(corpus().find(&folders.places()).unwrap(), None);
}

#[test]
fn another_size_is_an_error_wherever_it_is() {
    for name in ["data", "environment", "cache"] {
        let folders = Folders::new();
        let folder = folders.data.with_file_name(name).join("tiny-folder");
        write_corpus(&folder);
        let path = folder.join("a.test.txt");
        fs::write(&path, "short").unwrap();
        let error = corpus().find(&folders.places()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "`{}` has 5 bytes, but the published file of `tiny` has {}",
                path.display(),
                body().len()
            )
        );
        assert_eq!(fs::read(path).unwrap(), b"short");
    }
}

#[test]
fn half_a_corpus_is_an_error_where_the_user_put_it() {
    let folders = Folders::new();
    write_corpus(&folders.data);
    fs::remove_file(folders.data.join("a.test.txt")).unwrap();
    let error = corpus().find(&folders.places()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("folder `{}` is missing files of `tiny`: `a.test.txt`", folders.data.display())
    );
}

#[test]
fn what_is_nowhere_is_downloaded_into_the_cache() {
    let (folders, server) = (Folders::new(), Server::start([Answer::Honest; 2]));
    let places = Places { mirror: Some(server.url("copies/")), ..folders.places() };
    let mut files = BTreeSet::new();
    let located = corpus()
        .locate(&places, &downloader(), &mut |progress| {
            files.insert(progress.file.to_owned());
        })
        .unwrap();
    assert_eq!((&located.folder, located.place), (&folders.cache.join("tiny-folder"), Place::Cache));
    let contents: Vec<_> = located.paths().map(|path| fs::read(path).unwrap()).collect();
    assert_eq!(contents, [body(), body()]);
    assert_eq!(files.into_iter().collect::<Vec<_>>(), ["a.test.txt", "a.train.txt"]);
    let paths: Vec<String> = server.requests().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/copies/tiny-folder/a.train.txt", "/copies/tiny-folder/a.test.txt"]);
    // The server has no more answers.
    let again = corpus().locate(&places, &downloader(), &mut |_| panic!("downloaded again")).unwrap();
    assert_eq!(again, located);
}

#[test]
fn an_interrupted_download_is_completed() {
    let (folders, server) = (Folders::new(), Server::start([Answer::Honest]));
    write_corpus(&folders.cache.join("tiny-folder"));
    fs::remove_file(folders.cache.join("tiny-folder/a.train.txt")).unwrap();
    let places = Places { mirror: Some(server.url("")), ..folders.places() };
    corpus().locate(&places, &downloader(), &mut |_| {}).unwrap();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn without_network_the_error_says_which_files_to_put_where() {
    let folders = Folders::new();
    let places = Places { mirror: Some("http://127.0.0.1:1".into()), ..folders.places() };
    let error = corpus().locate(&places, &downloader(), &mut |_| {}).unwrap_err();
    let bytes = body().len();
    assert_eq!(
        error.to_string(),
        format!(
            "corpus `tiny` was not found and could not be downloaded; \
             to add it by hand, put its files in folder `{}`: \
             `a.train.txt` ({bytes} bytes) from http://127.0.0.1:1/tiny-folder/a.train.txt, \
             `a.test.txt` ({bytes} bytes) from http://127.0.0.1:1/tiny-folder/a.test.txt",
            folders.cache.join("tiny-folder").display()
        )
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "could not download `http://127.0.0.1:1/tiny-folder/a.train.txt`");
}

#[test]
fn without_a_cache_nothing_is_downloaded() {
    let error = corpus().locate(&Places::default(), &downloader(), &mut |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "corpus `tiny` was not found, and there is no cache folder to download it to"
    );
}

#[test]
fn a_changed_file_of_the_same_size_is_found_on_request() {
    let folders = Folders::new();
    write_corpus(&folders.data);
    let located = corpus().find(&folders.places()).unwrap().unwrap();
    located.verify().unwrap();
    let path = folders.data.join("a.test.txt");
    let mut changed = body();
    changed[7] ^= 1;
    fs::write(&path, &changed).unwrap();
    let located = corpus().find(&folders.places()).unwrap().unwrap();
    let error = located.verify().unwrap_err();
    let (found, expected) = (sha256(changed), corpus().files[1].sha256);
    assert_eq!(error.to_string(), format!("`{}` has SHA-256 {found}, expected {expected}", path.display()));
}

#[test]
fn the_files_are_read_as_the_splits_they_are() {
    let folder = PathBuf::from("somewhere");
    for corpus in &NAMED_CORPORA {
        let located = Located { corpus, folder: folder.clone(), place: Place::Data };
        let texts: Vec<TextSource> = located.paths().map(TextSource::File).collect();
        let expected = match &texts[..] {
            [_] => CorpusTexts::Whole(texts),
            [train, valid, test] => CorpusTexts::Splits {
                train: train.clone(),
                valid: Some(valid.clone()),
                test: Some(test.clone()),
            },
            other => panic!("{}: {} files", corpus.name, other.len()),
        };
        assert_eq!(located.texts(), expected, "{}", corpus.name);
    }
}

#[test]
fn names_are_unique_and_found() {
    let names: BTreeSet<&str> = NAMED_CORPORA.iter().map(|corpus| corpus.name).collect();
    assert_eq!(names.len(), NAMED_CORPORA.len());
    for corpus in &NAMED_CORPORA {
        assert_eq!(NamedCorpus::by_name(corpus.name).unwrap(), corpus);
    }
    assert_eq!(
        NamedCorpus::by_name("wikitext").unwrap_err().to_string(),
        "unknown corpus `wikitext`, expected one of `wikitext-2`, `ptb`, `time-machine`, `time-machine-d2l`, \
         `sherlock-holmes`, `tiny-shakespeare`; did you mean `wikitext-2`?"
    );
}

#[test]
fn the_registry_is_well_formed() {
    for file in NAMED_CORPORA.iter().flat_map(|corpus| corpus.files) {
        assert!(file.sha256.len() == 64 && file.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(file.sha256, file.sha256.to_lowercase());
        assert!(file.url.starts_with("http") && file.url.ends_with(".txt"), "{}", file.url);
    }
    assert_eq!(NAMED_CORPORA.iter().map(NamedCorpus::bytes).sum::<u64>(), 21_218_143);
}

#[test]
fn the_published_files_are_what_the_registry_says() {
    if !Path::new(SHARED).exists() {
        eprintln!("skipped: no folder of corpora at {SHARED}");
        return;
    }
    let places = Places { data_dir: Some(SHARED.into()), ..Places::default() };
    for corpus in &NAMED_CORPORA {
        let located = corpus.find(&places).unwrap().unwrap_or_else(|| panic!("{} is absent", corpus.name));
        located.verify().unwrap();
    }
}
