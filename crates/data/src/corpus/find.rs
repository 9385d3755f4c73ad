//! Finds the texts of a corpus by their file names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Split, TextSource};
use crate::{DataError, Result};

/// The extensions of text files; other files in a folder are ignored.
const TEXT_EXTENSIONS: [&str; 4] = ["txt", "text", "tokens", "raw"];

/// The texts of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorpusTexts {
    /// One text per split.
    Splits {
        /// The training text.
        train: TextSource,
        /// The validation text.
        valid: Option<TextSource>,
        /// The test text.
        test: Option<TextSource>,
    },
    /// One text, in one or more pieces, to be split.
    Whole(Vec<TextSource>),
}

impl CorpusTexts {
    /// Finds the texts at `path`.
    ///
    /// A file is a text to be split. In a folder, a .txt, .text, .tokens or .raw file is the text of a split if
    /// its name contains the word `train`, `valid`, `validation`, `val`, `dev` or `test`, as in `ptb.train.txt`
    /// or `wiki.valid.tokens` (if there are several, the last one counts). A folder without such files can
    /// contain a single text, to be split. Subfolders and hidden files are ignored.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Read`], [`DataError::NoTrainingText`],
    /// [`DataError::AmbiguousSplit`], [`DataError::AmbiguousText`].
    pub fn find(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => Self::find_in_folder(path),
            Ok(_) => Ok(Self::Whole(vec![TextSource::File(path.to_owned())])),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(DataError::Missing { path: path.to_owned() })
            }
            Err(source) => Err(read_error(path, source)),
        }
    }

    /// Finds the texts at several paths: a single path as in [`find`](Self::find), several files as the pieces of
    /// one text, in this order.
    ///
    /// # Errors
    /// See [`find`](Self::find). With several paths, a folder is an error when it is read as a file.
    pub fn find_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        match paths {
            [path] => Self::find(path),
            _ => {
                Ok(Self::Whole(paths.iter().map(|path| TextSource::File(path.as_ref().to_owned())).collect()))
            }
        }
    }

    /// The text of a split, if the corpus has a separate text for it.
    #[must_use]
    pub fn split(&self, split: Split) -> Option<&TextSource> {
        match (self, split) {
            (Self::Splits { train, .. }, Split::Train) => Some(train),
            (Self::Splits { valid, .. }, Split::Valid) => valid.as_ref(),
            (Self::Splits { test, .. }, Split::Test) => test.as_ref(),
            (Self::Whole(_), _) => None,
        }
    }

    /// The texts in reading order, each with its split; `None` for texts to be split.
    #[must_use]
    pub fn sources(&self) -> Vec<(Option<Split>, &TextSource)> {
        match self {
            Self::Splits { .. } => {
                Split::ALL.into_iter().filter_map(|split| Some((Some(split), self.split(split)?))).collect()
            }
            Self::Whole(texts) => texts.iter().map(|text| (None, text)).collect(),
        }
    }

    fn find_in_folder(folder: &Path) -> Result<Self> {
        let files = file_names(folder).map_err(|source| read_error(folder, source))?;
        let texts: Vec<&String> = files.iter().filter(|name| is_text(name)).collect();
        let source = |name: &str| TextSource::File(folder.join(name));
        let find = |split| {
            let named: Vec<_> = texts.iter().filter(|name| split_in_name(name) == Some(split)).collect();
            match named[..] {
                [] => Ok(None),
                [name] => Ok(Some(source(name))),
                _ => {
                    let files = named.into_iter().map(|name| (*name).clone()).collect();
                    Err(DataError::AmbiguousSplit { folder: folder.to_owned(), split, files })
                }
            }
        };
        let (train, valid, test) = (find(Split::Train)?, find(Split::Valid)?, find(Split::Test)?);
        match (train, &texts[..]) {
            (Some(train), _) => Ok(Self::Splits { train, valid, test }),
            (None, [name]) if split_in_name(name).is_none() => Ok(Self::Whole(vec![source(name)])),
            (None, [_, _, ..]) if valid.is_none() && test.is_none() => {
                let files = texts.into_iter().cloned().collect();
                Err(DataError::AmbiguousText { folder: folder.to_owned(), files })
            }
            (None, _) => Err(DataError::NoTrainingText { folder: folder.to_owned(), found: files }),
        }
    }
}

/// Sorted, so that errors are the same on every machine.
fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // The path's metadata, unlike the entry's, follows links; a dangling link is not a file.
        let is_file = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
        // A name that is not Unicode cannot match.
        if let (true, Ok(name)) = (is_file, entry.file_name().into_string())
            && !name.starts_with('.')
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn is_text(name: &str) -> bool {
    let extension = PathBuf::from(name).extension().map(|extension| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| TEXT_EXTENSIONS.iter().any(|text| extension == *text))
}

/// The split named by a file name; the last word that names a split counts.
fn split_in_name(name: &str) -> Option<Split> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_lowercase();
    stem.rsplit(|char: char| !char.is_alphanumeric()).find_map(|word| match word {
        "train" => Some(Split::Train),
        "valid" | "validation" | "val" | "dev" => Some(Split::Valid),
        "test" => Some(Split::Test),
        _ => None,
    })
}

fn read_error(path: &Path, source: io::Error) -> DataError {
    DataError::Read { origin: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "text\n").unwrap();
        }
        folder
    }

    /// The texts found, as split names and file names.
    fn found(names: &[&str]) -> Result<Vec<(String, String)>> {
        let folder = folder(names);
        let texts = CorpusTexts::find(folder.path())?;
        let describe = |(split, source): (Option<Split>, &TextSource)| {
            let path = PathBuf::from(source.origin());
            let split = split.map_or("whole".to_owned(), |split| split.to_string());
            (split, path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        Ok(texts.sources().into_iter().map(describe).collect())
    }

    #[track_caller]
    fn check(names: &[&str], expected: &[(&str, &str)]) {
        let expected: Vec<_> =
            expected.iter().map(|&(split, name)| (split.to_owned(), name.to_owned())).collect();
        assert_eq!(found(names).unwrap(), expected);
    }

    /// The message, with the path of the folder replaced.
    #[track_caller]
    fn check_error(names: &[&str], expected: &str) {
        let folder = folder(names);
        let error = CorpusTexts::find(folder.path()).unwrap_err().to_string();
        assert_eq!(error.replace(&folder.path().display().to_string(), "DIR"), expected);
    }

    #[test]
    fn splits_are_found_by_many_names() {
        check(
            &["wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens", "README.md"],
            &[("train", "wiki.train.tokens"), ("valid", "wiki.valid.tokens"), ("test", "wiki.test.tokens")],
        );
        for valid in ["valid.txt", "my-validation.txt", "val.text", "a_dev.raw", "PTB.VALID.TXT"] {
            check(&["train.txt", valid], &[("train", "train.txt"), ("valid", valid)]);
        }
        check(&["train.txt", "test.py", ".test.txt", "training.txt"], &[("train", "train.txt")]);
        check(&["test-set.train.txt"], &[("train", "test-set.train.txt")]);
    }

    #[test]
    fn a_single_text_is_to_be_divided() {
        check(&["input.txt", "README.md"], &[("whole", "input.txt")]);
        let folder = folder(&["a.txt", "b.bin"]);
        let file = |name| folder.path().join(name);
        assert_eq!(
            CorpusTexts::find(file("b.bin")).unwrap(),
            CorpusTexts::Whole(vec![TextSource::File(file("b.bin"))])
        );
        let texts = CorpusTexts::find_all(&[file("b.bin"), file("a.txt")]).unwrap();
        assert_eq!(texts.sources().len(), 2);
        assert_eq!(CorpusTexts::find_all(&[folder.path()]).unwrap().sources().len(), 1);
    }

    #[test]
    fn ambiguity_names_the_files() {
        check_error(
            &["train.txt", "valid.txt", "dev.txt"],
            "folder `DIR` has more than one file for the `valid` split: `dev.txt`, `valid.txt`",
        );
        check_error(
            &["b.txt", "a.txt"],
            "folder `DIR` has several texts, but none has `train` in its name: `a.txt`, `b.txt`",
        );
    }

    #[test]
    fn a_folder_without_texts_says_what_was_looked_for_and_found() {
        let expected = "folder `DIR` has no training text: expected a .txt, .text, .tokens or .raw file with \
             `train` in its name, or a single such file; found";
        check_error(&[], &format!("{expected} no files"));
        check_error(&["b.md", "a.json"], &format!("{expected} `a.json`, `b.md`"));
        check_error(&["test.txt"], &format!("{expected} `test.txt`"));
        check_error(&["valid.txt", "test.txt"], &format!("{expected} `test.txt`, `valid.txt`"));
    }

    #[test]
    fn a_path_to_nothing_is_named() {
        let folder = folder(&[]);
        let path = folder.path().join("nothing");
        let expected = format!("no such file or folder: `{}`", path.display());
        assert_eq!(CorpusTexts::find(&path).unwrap_err().to_string(), expected);
    }
}
