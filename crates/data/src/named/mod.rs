//! The corpora that have a name: what they consist of, where they may be, where they are published.
//!
//! ```text
//! --data DIR/name, DIR  ──▶  RONDO_DATA/name, RONDO_DATA  ──▶  cache/name  ──▶  download into cache/name
//! ```
//!
//! Promises: what is found is used as it is and never changed, and has the published size (the hash on
//! [`Located::verify`]); what is downloaded has the published hash too.
//! Not here: the environment and the user's folders, which the caller reads ([`Places`]).

mod registry;
#[cfg(test)]
mod tests;

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use crate::{
    DataError, Result,
    corpus::{CorpusTexts, Split, TextSource},
    download::{Downloader, Progress, RemoteFile, sha256},
};
pub use registry::NAMED_CORPORA;

/// A published corpus.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedCorpus {
    /// What to ask for.
    pub name: &'static str,
    /// The folder of its files, in a folder of corpora.
    pub folder: &'static str,
    /// What it is.
    pub description: &'static str,
    /// What may be done with it.
    pub license: &'static str,
    /// Its files: training, validation and test text, or a single one.
    pub files: &'static [NamedFile],
}

/// A file of a published corpus.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Its name in the corpus's folder.
    pub name: &'static str,
    /// Which split it is; `None` for a text to be divided.
    pub split: Option<Split>,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: &'static str,
    /// Where it is published.
    pub url: &'static str,
}

/// Where corpora may be; all optional.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// What the user gave on the command line: the corpus's folder or a folder of corpora.
    pub data_dir: Option<PathBuf>,
    /// What the environment names: the corpus's folder or a folder of corpora.
    pub environment_dir: Option<PathBuf>,
    /// The folder of corpora that downloads go to.
    pub cache_dir: Option<PathBuf>,
    /// An address with a copy of the corpora, `mirror/folder/file`, to use instead of the published ones.
    pub mirror: Option<String>,
}

/// Which of the [`Places`] something was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// [`Places::data_dir`].
    Data,
    /// [`Places::environment_dir`].
    Environment,
    /// [`Places::cache_dir`], perhaps after a download.
    Cache,
}

/// A corpus on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Which corpus.
    pub corpus: &'static NamedCorpus,
    /// The folder that holds its files.
    pub folder: PathBuf,
    /// How the folder was found.
    pub place: Place,
}

impl NamedCorpus {
    /// The corpus called `name`.
    ///
    /// # Errors
    /// [`DataError::UnknownCorpus`], which lists the names there are.
    pub fn by_name(name: &str) -> Result<&'static Self> {
        let unknown = || DataError::UnknownCorpus {
            name: name.to_owned(),
            known: NAMED_CORPORA.iter().map(|corpus| corpus.name.to_owned()).collect(),
        };
        NAMED_CORPORA.iter().find(|corpus| corpus.name == name).ok_or_else(unknown)
    }

    /// The length of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Looks for the corpus on this machine.
    ///
    /// # Errors
    /// [`DataError::WrongSize`] and [`DataError::IncompleteCorpus`] if what is there is not all of it: another
    /// place is then not looked at, since the user meant this one. [`DataError::Read`].
    pub fn find(&'static self, places: &Places) -> Result<Option<Located>> {
        let chosen = [(Place::Data, &places.data_dir), (Place::Environment, &places.environment_dir)];
        for (place, root) in chosen {
            let Some(root) = root else { continue };
            for folder in [root.join(self.folder), root.clone()] {
                let missing = self.missing_in(&folder)?;
                if missing.is_empty() {
                    return Ok(Some(Located { corpus: self, folder, place }));
                }
                if missing.len() < self.files.len() {
                    let missing = missing.iter().map(|file| file.name.to_owned()).collect();
                    return Err(DataError::IncompleteCorpus { corpus: self.name, folder, missing });
                }
            }
        }
        let Some(cache) = &places.cache_dir else { return Ok(None) };
        let folder = cache.join(self.folder);
        // Half a corpus in the cache is an interrupted download, which `locate` completes.
        let missing = self.missing_in(&folder)?;
        Ok(missing.is_empty().then_some(Located { corpus: self, folder, place: Place::Cache }))
    }

    /// Looks for the corpus on this machine and otherwise downloads it into the cache.
    ///
    /// # Errors
    /// As [`NamedCorpus::find`] and [`Downloader::download`]; [`DataError::NoCacheFolder`] if there is no place
    /// to download to. If the network fails, [`DataError::NotDownloaded`] says which files to put where.
    pub fn locate(
        &'static self,
        places: &Places,
        downloader: &Downloader,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Located> {
        if let Some(located) = self.find(places)? {
            return Ok(located);
        }
        let Some(cache) = &places.cache_dir else {
            return Err(DataError::NoCacheFolder { corpus: self.name });
        };
        let folder = cache.join(self.folder);
        for file in self.missing_in(&folder)? {
            let url = self.url(file, places.mirror.as_deref());
            let remote = RemoteFile { url: &url, bytes: file.bytes, sha256: file.sha256 };
            downloader.download(&remote, &folder.join(file.name), progress).map_err(|error| match error {
                DataError::Transfer { .. } | DataError::HttpStatus { .. } | DataError::RemoteSize { .. } => {
                    DataError::NotDownloaded {
                        corpus: self.name,
                        wanted: self.wanted(places.mirror.as_deref()),
                        folder: folder.clone(),
                        source: Box::new(error),
                    }
                }
                local => local,
            })?;
        }
        Ok(Located { corpus: self, folder, place: Place::Cache })
    }

    /// The files that are not in `folder`.
    fn missing_in(&self, folder: &Path) -> Result<Vec<&'static NamedFile>> {
        let mut missing = Vec::new();
        for file in self.files {
            let path = folder.join(file.name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() == file.bytes => {}
                Ok(metadata) => {
                    return Err(DataError::WrongSize {
                        corpus: self.name,
                        path,
                        found_bytes: metadata.len(),
                        expected_bytes: file.bytes,
                    });
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    missing.push(file);
                }
                Err(source) => {
                    return Err(DataError::Read { origin: path.display().to_string(), source });
                }
            }
        }
        Ok(missing)
    }

    fn url(&self, file: &NamedFile, mirror: Option<&str>) -> String {
        match mirror {
            Some(mirror) => format!("{}/{}/{}", mirror.trim_end_matches('/'), self.folder, file.name),
            None => file.url.to_owned(),
        }
    }

    /// What to put into the folder by hand, for a sentence.
    fn wanted(&self, mirror: Option<&str>) -> String {
        let mut list = String::new();
        for file in self.files {
            let before = if list.is_empty() { "" } else { ", " };
            let url = self.url(file, mirror);
            // Writing to a string cannot fail.
            let _ = write!(list, "{before}`{}` ({} bytes) from {url}", file.name, file.bytes);
        }
        list
    }
}

impl Located {
    /// The paths of the files, in the order of [`NamedCorpus::files`].
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.corpus.files.iter().map(|file| self.folder.join(file.name))
    }

    /// The corpus as texts to read: a text for each split, or a whole one to be divided.
    #[must_use]
    pub fn texts(&self) -> CorpusTexts {
        let text_of = |split| {
            let file = self.corpus.files.iter().find(|file| file.split == split)?;
            Some(TextSource::File(self.folder.join(file.name)))
        };
        match text_of(Some(Split::Train)) {
            Some(train) => CorpusTexts::Splits {
                train,
                valid: text_of(Some(Split::Valid)),
                test: text_of(Some(Split::Test)),
            },
            None => CorpusTexts::Whole(self.paths().map(TextSource::File).collect()),
        }
    }

    /// Compares the hash of every file with the published one.
    ///
    /// # Errors
    /// [`DataError::WrongHash`] for the first that differs; [`DataError::Read`].
    pub fn verify(&self) -> Result<()> {
        for (file, path) in self.corpus.files.iter().zip(self.paths()) {
            let origin = path.display().to_string();
            let found = File::open(&path).and_then(|mut opened| sha256(&mut opened));
            let found = found.map_err(|source| DataError::Read { origin: origin.clone(), source })?;
            if found != file.sha256 {
                return Err(DataError::WrongHash { origin, found, expected: file.sha256.to_owned() });
            }
        }
        Ok(())
    }
}
