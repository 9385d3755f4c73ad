//! Named corpora: their files, where to look for them, and where to download them.
//!
//! ```text
//! --data DIR/name, DIR  ──▶  RONDO_DATA/name, RONDO_DATA  ──▶  cache/name  ──▶  download into cache/name
//! ```
//!
//! Promises: existing files are used as they are and never changed, and their sizes are checked against the published
//! ones (their hashes with [`Located::verify`]). The hashes of downloaded files are always checked.
//! Not here: reading environment variables and user folders, which is the caller's job ([`Places`]).

mod registry;
#[cfg(test)]
mod tests;

#[cfg(feature = "download")]
use std::fmt::Write as _;
use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
};

#[cfg(feature = "download")]
use crate::download::{Downloader, Progress, RemoteFile};
use crate::{
    DataError, Result,
    corpus::{CorpusTexts, Split, TextSource},
    hash::sha256_of,
};
pub use registry::NAMED_CORPORA;

/// A published corpus.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedCorpus {
    /// The name of the corpus.
    pub name: &'static str,
    /// The name of its folder, inside a folder of corpora.
    pub folder: &'static str,
    /// A one-line description.
    pub description: &'static str,
    /// The license terms.
    pub license: &'static str,
    /// Its files: training, validation and test text, or a single text.
    pub files: &'static [NamedFile],
}

/// A file of a published corpus.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// The file name, inside the corpus's folder.
    pub name: &'static str,
    /// The split it contains; `None` for a text to be split.
    pub split: Option<Split>,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in lowercase hexadecimal.
    pub sha256: &'static str,
    /// The URL it is published at.
    pub url: &'static str,
}

/// Where to look for corpora; all fields are optional.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The folder given on the command line: the corpus's folder or a folder of corpora.
    pub data_dir: Option<PathBuf>,
    /// The folder given by the environment: the corpus's folder or a folder of corpora.
    pub environment_dir: Option<PathBuf>,
    /// The folder of corpora that downloads are saved to.
    pub cache_dir: Option<PathBuf>,
    /// A URL with a copy of the corpora, `mirror/folder/file`, to use instead of the published URLs.
    pub mirror: Option<String>,
}

/// Which of the [`Places`] a corpus was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// [`Places::data_dir`].
    Data,
    /// [`Places::environment_dir`].
    Environment,
    /// [`Places::cache_dir`], possibly after a download.
    Cache,
}

/// A corpus that was found on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The corpus.
    pub corpus: &'static NamedCorpus,
    /// The folder that contains its files.
    pub folder: PathBuf,
    /// How the folder was found.
    pub place: Place,
}

impl NamedCorpus {
    /// The corpus with this name.
    ///
    /// # Errors
    /// [`DataError::UnknownCorpus`], which lists the names of all corpora.
    pub fn by_name(name: &str) -> Result<&'static Self> {
        let unknown = || DataError::UnknownCorpus {
            name: name.to_owned(),
            known: NAMED_CORPORA.iter().map(|corpus| corpus.name.to_owned()).collect(),
        };
        NAMED_CORPORA.iter().find(|corpus| corpus.name == name).ok_or_else(unknown)
    }

    /// The total size of its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Looks for the corpus on this machine.
    ///
    /// # Errors
    /// [`DataError::WrongSize`] and [`DataError::IncompleteCorpus`] if a place contains the corpus only in part:
    /// no other place is searched then, since the user meant this one. [`DataError::Read`].
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
        // An incomplete corpus in the cache is an interrupted download, which `locate` resumes.
        let missing = self.missing_in(&folder)?;
        Ok(missing.is_empty().then_some(Located { corpus: self, folder, place: Place::Cache }))
    }

    /// Looks for the corpus on this machine, and downloads it into the cache if it is not found.
    ///
    /// # Errors
    /// The errors of [`NamedCorpus::find`] and [`Downloader::download`]; [`DataError::NoCacheFolder`] if there is
    /// no folder to download to. If the network fails, [`DataError::NotDownloaded`] says which files to put
    /// where.
    #[cfg(feature = "download")]
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

    /// The files that are missing in `folder`.
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

    #[cfg(feature = "download")]
    fn url(&self, file: &NamedFile, mirror: Option<&str>) -> String {
        match mirror {
            Some(mirror) => format!("{}/{}/{}", mirror.trim_end_matches('/'), self.folder, file.name),
            None => file.url.to_owned(),
        }
    }

    /// The files to put into the folder by hand, as part of a sentence.
    #[cfg(feature = "download")]
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

    /// The texts of the corpus: one text per split, or a single text to be split.
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
    /// [`DataError::WrongHash`] for the first file that differs; [`DataError::Read`].
    pub fn verify(&self) -> Result<()> {
        for (file, path) in self.corpus.files.iter().zip(self.paths()) {
            let origin = path.display().to_string();
            let found = File::open(&path).and_then(|mut opened| sha256_of(&mut opened));
            let found = found.map_err(|source| DataError::Read { origin: origin.clone(), source })?;
            if found != file.sha256 {
                return Err(DataError::WrongHash { origin, found, expected: file.sha256.to_owned() });
            }
        }
        Ok(())
    }
}
