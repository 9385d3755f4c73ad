//! Where texts come from: the built-in language, a named corpus on this machine or downloaded, the user's own.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Result;
use indicatif::DecimalBytes;
use rondo_data::tales::TalesText;
use rondo_data::{
    CorpusTexts, DataError, Downloader, Located, NAMED_CORPORA, NamedCorpus, Places, Progress, Tales,
};
use rondo_train::CorpusChoice;

use crate::console::Console;

/// The folder of the corpora, or of the one that is asked for.
pub(crate) const DATA_VARIABLE: &str = "RONDO_DATA";
/// An address that has copies of the corpora, in a folder each.
pub(crate) const MIRROR_VARIABLE: &str = "RONDO_MIRROR";
/// The name of the corpus that is generated.
pub(crate) const BUILT_IN: &str = "built-in";

/// A corpus that has been found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What it is called in messages.
    pub(crate) title: String,
    /// Its texts.
    pub(crate) texts: CorpusTexts,
    /// The sentences of the built-in corpus, if that is what it is.
    pub(crate) tales: Option<TalesText>,
}

/// The corpus that `--data` gives by its name. What exists is a path, whatever it is called.
pub(crate) fn name_for(data: &[PathBuf]) -> Option<&str> {
    let [path] = data else { return None };
    let name = path.to_str()?;
    let is_known = name == BUILT_IN || NAMED_CORPORA.iter().any(|corpus| corpus.name == name);
    (is_known && !path.exists()).then_some(name)
}

/// The corpus that `--data` gives, by name or by path.
pub(crate) fn choice(data: &[PathBuf]) -> CorpusChoice {
    match name_for(data) {
        Some(BUILT_IN) => CorpusChoice::BuiltIn,
        Some(name) => CorpusChoice::Named { name: name.to_owned(), data: None },
        None => CorpusChoice::Own(data.to_vec()),
    }
}

/// Where named corpora may be, as the environment and the system say.
pub(crate) fn places() -> Places {
    Places {
        data_dir: None,
        environment_dir: env::var_os(DATA_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from),
        cache_dir: dirs::cache_dir().map(|cache| cache.join("rondo")),
        mirror: env::var(MIRROR_VARIABLE).ok().filter(|address| !address.is_empty()),
    }
}

/// Finds the texts, downloading them if need be.
pub(crate) fn find(choice: &CorpusChoice, console: Console) -> Result<Found> {
    match choice {
        CorpusChoice::BuiltIn => {
            let text = Tales::new().text(Tales::SEED);
            Ok(Found { title: "built-in language".to_owned(), texts: text.to_texts(), tales: Some(text) })
        }
        CorpusChoice::Named { name, data: None } => {
            let corpus = NamedCorpus::by_name(name)?;
            let located =
                corpus.locate(&places(), &Downloader::default(), &mut download_progress(console))?;
            Ok(Found::named(&located))
        }
        CorpusChoice::Named { name, data: Some(data) } => find_at(NamedCorpus::by_name(name)?, data, console),
        CorpusChoice::Own(paths) => Ok(Found::own(paths, CorpusTexts::find_all(paths)?)),
    }
}

/// Finds a named corpus where the user says that it is; texts of the user's own may be there instead.
fn find_at(corpus: &'static NamedCorpus, data: &Path, console: Console) -> Result<Found> {
    let there = Places { data_dir: Some(data.to_owned()), ..Places::default() };
    match (corpus.find(&there), CorpusTexts::find(data)) {
        (Ok(Some(located)), _) => Ok(Found::named(&located)),
        (Ok(None), texts) => Ok(Found::own(&[data.to_owned()], texts?)),
        // Files with the corpus's names that are not its files are the user's own, if there is a text among them.
        (Err(error @ (DataError::WrongSize { .. } | DataError::IncompleteCorpus { .. })), Ok(texts)) => {
            console.say(&format!("note     {error}: reading it as a text of your own"));
            Ok(Found::own(&[data.to_owned()], texts))
        }
        (Err(error), _) => Err(error.into()),
    }
}

impl Found {
    fn named(located: &Located) -> Found {
        let title = format!("{} in {}", located.corpus.name, located.folder.display());
        Found { title, texts: located.texts(), tales: None }
    }

    fn own(paths: &[PathBuf], texts: CorpusTexts) -> Found {
        let title = match paths {
            [path] => path.display().to_string(),
            [first, rest @ ..] => format!("{} and {} more", first.display(), rest.len()),
            [] => String::new(),
        };
        Found { title, texts, tales: None }
    }
}

/// Draws a bar for each file, or tells of it when it begins.
fn download_progress(console: Console) -> impl FnMut(Progress<'_>) {
    let bar = console.bar(
        "{msg}  {bar:24}  {decimal_bytes} of {decimal_total_bytes}  {decimal_bytes_per_sec}  {eta} left",
    );
    let mut file = String::new();
    move |progress| {
        if file != progress.file {
            progress.file.clone_into(&mut file);
            bar.set_message(format!("downloading {file}"));
            if !console.is_live() {
                console.say(&format!("downloading {file}, {}", DecimalBytes(progress.total_bytes)));
            }
        }
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.received_bytes);
    }
}
