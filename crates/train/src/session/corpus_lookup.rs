//! Finds the texts of a run: the built-in corpus, a published corpus (local or downloaded), or the user's own
//! files.
//!
//! Not here: reading them ([`Corpus::read`](rondo_data::Corpus::read)).

use std::env;
use std::path::{Path, PathBuf};

use rondo_data::tales::TalesText;
use rondo_data::{
    CorpusTexts, DataError, Downloader, Located, NAMED_CORPORA, NamedCorpus, Places, Progress, Split, Tales,
    TextSource,
};

use super::Note;
use crate::observer::{Event, Observer, Watch};
use crate::settings::Settings;
use crate::{CorpusChoice, Result, TrainError};

/// The name of the built-in corpus, which is generated.
pub const BUILT_IN: &str = "built-in";
/// The name, in settings, of a corpus that is in the memory of the program that trains.
pub const IN_MEMORY: &str = "in-memory";
/// The environment variable for the folder of the published corpora, or of the requested one.
pub const DATA_VARIABLE: &str = "RONDO_DATA";
/// The environment variable for the URL of a mirror of the published corpora, with one folder for each.
pub const MIRROR_VARIABLE: &str = "RONDO_MIRROR";

/// Where to look for published corpora: the folders given by the environment, and the user's cache folder.
pub fn default_places() -> Places {
    Places {
        data_dir: None,
        environment_dir: env::var_os(DATA_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from),
        cache_dir: dirs::cache_dir().map(|cache| cache.join("rondo")),
        mirror: env::var(MIRROR_VARIABLE).ok().filter(|address| !address.is_empty()),
    }
}

/// A corpus that has been found.
#[derive(Clone, Debug)]
pub struct FoundCorpus {
    /// Its name in messages.
    pub title: String,
    /// What was found: the corpus that was asked for, or the user's own texts if these are in its place.
    pub choice: CorpusChoice,
    /// Its texts.
    pub texts: CorpusTexts,
    /// The sentences of the built-in corpus, if it is the built-in corpus.
    pub tales: Option<TalesText>,
}

impl FoundCorpus {
    /// Finds the texts, downloading them if necessary. The observer receives the download progress, and a
    /// note if files with the names of a published corpus have different content.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if the corpus or text does not exist, or cannot be
    /// downloaded.
    pub fn find(choice: &CorpusChoice, places: &Places, observer: &mut dyn Observer) -> Result<FoundCorpus> {
        find(choice, places, &mut Watch::new(observer, false))
    }

    fn named(choice: &CorpusChoice, located: &Located) -> FoundCorpus {
        let title = format!("{} in {}", located.corpus.name, located.folder.display());
        FoundCorpus { title, choice: choice.clone(), texts: located.texts(), tales: None }
    }

    fn own(paths: &[PathBuf], texts: CorpusTexts) -> FoundCorpus {
        let title = match paths {
            [path] => path.display().to_string(),
            [first, rest @ ..] => format!("{} and {} more", first.display(), rest.len()),
            [] => String::new(),
        };
        FoundCorpus { title, choice: CorpusChoice::Own(paths.to_vec()), texts, tales: None }
    }
}

impl CorpusChoice {
    /// The corpus given by a name or by paths. An existing path takes precedence over a corpus of the same
    /// name.
    pub fn given(data: &[PathBuf]) -> CorpusChoice {
        match name_for(data) {
            Some(BUILT_IN) => CorpusChoice::BuiltIn,
            Some(name) => CorpusChoice::Named { name: name.to_owned(), data: None },
            None => CorpusChoice::Own(data.to_vec()),
        }
    }
}

/// The settings with `data` moved to `corpus` if it is the name of a corpus instead of a path.
pub(super) fn with_named_corpus(mut settings: Settings) -> Settings {
    if let Some(name) = name_for(settings.text.data.as_deref().unwrap_or_default()) {
        settings.text.corpus = Some(name.to_owned());
        settings.text.data = None;
    }
    settings
}

fn name_for(data: &[PathBuf]) -> Option<&str> {
    let [path] = data else { return None };
    let name = path.to_str()?;
    let is_known = name == BUILT_IN || NAMED_CORPORA.iter().any(|corpus| corpus.name == name);
    (is_known && !path.exists()).then_some(name)
}

/// As [`FoundCorpus::find`].
pub(super) fn find(choice: &CorpusChoice, places: &Places, watch: &mut Watch<'_>) -> Result<FoundCorpus> {
    match choice {
        CorpusChoice::BuiltIn => {
            let text = Tales::new().text(Tales::SEED);
            let (title, texts) = ("built-in language".to_owned(), text.to_texts());
            Ok(FoundCorpus { title, choice: choice.clone(), texts, tales: Some(text) })
        }
        CorpusChoice::InMemory => Err(TrainError::NotInMemory),
        CorpusChoice::Named { name, data: None } => {
            let mut progress = |Progress { file, received_bytes, total_bytes }: Progress<'_>| {
                watch.notify(Event::Downloading { file, received_bytes, total_bytes });
            };
            let corpus = NamedCorpus::by_name(name)?;
            Ok(FoundCorpus::named(choice, &corpus.locate(places, &Downloader::default(), &mut progress)?))
        }
        CorpusChoice::Named { name, data: Some(data) } => {
            find_at(choice, NamedCorpus::by_name(name)?, data, watch)
        }
        CorpusChoice::Own(paths) => Ok(FoundCorpus::own(paths, CorpusTexts::find_all(paths)?)),
        CorpusChoice::OwnSplits { train, valid, test } => {
            let of = |split, paths: &[PathBuf]| -> Vec<_> {
                paths.iter().map(|path| (split, TextSource::File(path.clone()))).collect()
            };
            let texts = [(Split::Train, train), (Split::Valid, valid), (Split::Test, test)];
            let texts = texts.into_iter().flat_map(|(split, paths)| of(split, paths)).collect();
            let found = FoundCorpus::own(train, CorpusTexts::Assigned(texts));
            Ok(FoundCorpus { choice: choice.clone(), ..found })
        }
    }
}

/// Finds a published corpus in the given place, or the user's own texts if they are there instead.
fn find_at(
    choice: &CorpusChoice,
    corpus: &'static NamedCorpus,
    data: &Path,
    watch: &mut Watch<'_>,
) -> Result<FoundCorpus> {
    let there = Places { data_dir: Some(data.to_owned()), ..Places::default() };
    match (corpus.find(&there), CorpusTexts::find(data)) {
        (Ok(Some(located)), _) => Ok(FoundCorpus::named(choice, &located)),
        (Ok(None), texts) => Ok(FoundCorpus::own(&[data.to_owned()], texts?)),
        // Files with the corpus's names but other content are the user's own, if there is a text among them.
        (Err(error @ (DataError::WrongSize { .. } | DataError::IncompleteCorpus { .. })), Ok(texts)) => {
            watch.notify(Event::Note(Note::OwnText(&error)));
            Ok(FoundCorpus::own(&[data.to_owned()], texts))
        }
        (Err(error), _) => Err(error.into()),
    }
}
