//! Texts that can be read only once, word lists and tokenizers: the run keeps copies, so that it can be resumed and
//! repeated.
//!
//! ```text
//! stdin, named pipe ─▶ temporary file ─▶ read as a corpus ─▶ moved into the folder of the run, named in its plan
//! ```
//!
//! The temporary file is next to the folder of the run, which is created only after the texts have been read.
//! Not here: finding texts (`corpus_lookup`).

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rondo_data::{DataError, TextSource, Tokenizer, Vocab, VocabSource};
use rondo_runs::RunFolder;
use tempfile::NamedTempFile;

use crate::plan::STDIN;
use crate::settings::{TextSettings, TokenizerChoice};
use crate::{CorpusChoice, Result, TextPlan, TrainError};

/// Files to keep in the folder of a run. They are removed if there will be no run.
#[derive(Debug, Default)]
pub(super) struct Stored {
    files: Vec<(NamedTempFile, String)>,
}

impl Stored {
    /// Reads the texts of the plan that can be read only once into temporary files, which replace them in the plan.
    /// `out` is where the folder of the run will be.
    pub(super) fn texts(plan: &mut TextPlan, out: &Path) -> Result<Stored> {
        let mut stored = Stored::default();
        let groups = match &mut plan.corpus {
            CorpusChoice::Own(paths) => vec![paths],
            CorpusChoice::OwnSplits { train, valid, test } => vec![train, valid, test],
            CorpusChoice::BuiltIn | CorpusChoice::Named { .. } | CorpusChoice::InMemory => vec![],
        };
        for path in groups.into_iter().flatten() {
            if is_stream(path) {
                let name = RunFolder::stored_text(stored.files.len() + 1);
                let copy = stored.store(path, name, out)?;
                if fs::metadata(&copy).is_ok_and(|copy| copy.len() == 0) {
                    // An error of reading would name the copy, which is removed.
                    return Err(DataError::Empty { origin: stream_name(path) }.into());
                }
                *path = copy;
            }
        }
        Ok(stored)
    }

    /// Copies the word list or the tokenizer of the plan, if it has one.
    pub(super) fn and_vocabulary(mut self, plan: &mut TextPlan, out: &Path) -> Result<Stored> {
        // Each is read here so that an error names the user's file, not the copy.
        let tokenizer = plan.options.tokenizer.clone();
        let (file, name) = match &mut plan.options.vocab {
            VocabSource::List { list, options } => {
                Vocab::from_list(&TextSource::File(list.clone()), &tokenizer, options)?;
                (list, RunFolder::VOCAB_LIST)
            }
            VocabSource::TokenizerFile(file)
                if file.extension().is_some_and(|extension| extension == "json") =>
            {
                (file, RunFolder::TOKENIZER_JSON)
            }
            VocabSource::TokenizerFile(file) => (file, RunFolder::TOKENIZER_MODEL),
            _ => return Ok(self),
        };
        if name != RunFolder::VOCAB_LIST {
            Tokenizer::open(&*file)?;
        }
        *file = self.store(file, name.to_owned(), out)?;
        Ok(self)
    }

    /// Whether a path is that of a temporary file.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.files.iter().any(|(file, _)| file.path() == path)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Copies what `path` contains to a temporary file, and returns its path.
    fn store(&mut self, path: &Path, name: String, out: &Path) -> Result<PathBuf> {
        // On the same file system as the folder, which may not exist yet.
        let parent = out.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
        let failed = || TrainError::io("write to", parent);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((&name, ""));
        let (prefix, suffix) = (format!(".{stem}-"), format!(".{extension}"));
        let file = tempfile::Builder::new().prefix(&prefix).suffix(&suffix).tempfile_in(parent);
        let mut file = file.map_err(failed())?;
        let copied = if path == Path::new(STDIN) {
            io::copy(&mut io::stdin().lock(), file.as_file_mut())
        } else {
            File::open(path).and_then(|mut from| io::copy(&mut from, file.as_file_mut()))
        };
        copied.map_err(TrainError::io("read", path))?;
        let path = file.path().to_owned();
        self.files.push((file, name));
        Ok(path)
    }

    /// Moves the files into the folder of the run and names them in the plan.
    pub(super) fn move_to(self, run: &RunFolder, plan: &mut TextPlan) -> Result<()> {
        let folder = std::path::absolute(run.path()).map_err(TrainError::io("find", run.path()))?;
        for (file, name) in self.files {
            let (from, to) = (file.path().to_owned(), folder.join(name));
            let written = TrainError::io("write", &to);
            if let Err(error) = file.persist(&to) {
                // Another file system after all.
                fs::copy(&from, &to).map_err(written)?;
                drop(error); // Removes the temporary file.
            }
            for path in paths(plan).filter(|path| **path == from) {
                path.clone_from(&to);
            }
        }
        Ok(())
    }
}

/// The name of a stream in messages.
pub(super) fn stream_name(path: &Path) -> String {
    if path == Path::new(STDIN) { "stdin".to_owned() } else { path.display().to_string() }
}

/// Finds what the run has stored in its folder, if that has been moved.
pub(super) fn relocate(plan: &mut TextPlan, run: &RunFolder) {
    relocate_paths(paths(plan), run);
}

/// The same for the settings of the run.
pub(super) fn relocate_in_settings(settings: &mut TextSettings, run: &RunFolder) {
    let TextSettings { data, train, valid, test, vocab_list, tokenizer, .. } = settings;
    let texts = [data, train, valid, test].into_iter().flatten().flatten();
    let tokenizer = match tokenizer {
        Some(TokenizerChoice::File(path)) => Some(path),
        _ => None,
    };
    relocate_paths(texts.chain(vocab_list).chain(tokenizer), run);
}

fn relocate_paths<'a>(paths: impl Iterator<Item = &'a mut PathBuf>, run: &RunFolder) {
    for path in paths.filter(|path| !path.exists()) {
        let Some(name) = path.file_name() else { continue };
        let vocabularies = [RunFolder::VOCAB_LIST, RunFolder::TOKENIZER_JSON, RunFolder::TOKENIZER_MODEL];
        let is_stored = vocabularies.iter().any(|stored| name == *stored)
            || RunFolder::is_stored_text(&name.to_string_lossy());
        let here = run.path().join(name);
        if is_stored && here.exists() {
            *path = here;
        }
    }
}

/// All paths of the user's own files in the plan.
fn paths(plan: &mut TextPlan) -> impl Iterator<Item = &mut PathBuf> {
    let texts: Vec<&mut PathBuf> = match &mut plan.corpus {
        CorpusChoice::Own(paths) => paths.iter_mut().collect(),
        CorpusChoice::OwnSplits { train, valid, test } => train.iter_mut().chain(valid).chain(test).collect(),
        CorpusChoice::BuiltIn | CorpusChoice::Named { .. } | CorpusChoice::InMemory => vec![],
    };
    let list = match &mut plan.options.vocab {
        VocabSource::List { list, .. } | VocabSource::TokenizerFile(list) => Some(list),
        _ => None,
    };
    texts.into_iter().chain(list)
}

/// Whether a text can be read only once: stdin, a named pipe, or a device.
pub(super) fn is_stream(path: &Path) -> bool {
    let is_special =
        |path: &Path| fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
    path == Path::new(STDIN)
        || ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder))
        || is_special(path)
}
