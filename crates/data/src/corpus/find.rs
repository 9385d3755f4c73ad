//! Finds the texts of a corpus by their file names.

use std::{fs, io, path::Path};

use super::{Split, TextSource};
use crate::{DataError, Result};

/// The extensions of text files, before that of a compression; other files in a folder are ignored.
const TEXT_EXTENSIONS: [&str; 4] = ["txt", "text", "tokens", "raw"];
/// The extensions of files of records, which count in a folder without text files.
const RECORD_EXTENSIONS: [&str; 4] = ["jsonl", "ndjson", "csv", "tsv"];
/// The extensions of compressed files.
const COMPRESSED_EXTENSIONS: [&str; 2] = ["gz", "zst"];

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
    /// Any number of texts per split, each with its split. Those of a split are read in this order.
    Assigned(Vec<(Split, TextSource)>),
    /// One text, in one or more pieces, to be split.
    Whole(Vec<TextSource>),
}

impl CorpusTexts {
    /// Finds the texts at `path`.
    ///
    /// A file is a text to be split. In a folder, a .txt, .text, .tokens or .raw file, which can be compressed (.gz or
    /// .zst), is a text of a split if its name contains the word `train`, `valid`, `validation`, `val`, `dev` or
    /// `test`, as in `ptb.train.txt` or `wiki.valid.tokens` (if there are several, the last one counts). Several files
    /// of a split must have names that differ only in numbers. The text files of a folder in which no file has such a
    /// name are the pieces of one text, in order of their names. In a folder without text files, .jsonl, .ndjson, .csv
    /// and .tsv files are texts. Subfolders and hidden files are ignored.
    ///
    /// # Errors
    /// [`DataError::Missing`], [`DataError::Read`], [`DataError::NoTrainingText`],
    /// [`DataError::AmbiguousSplit`], [`DataError::SameText`].
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

    /// Finds the texts at several paths: a single path as in [`find`](Self::find).
    ///
    /// Several files are assigned to splits by their names, as in a folder, if some of them are validation or test
    /// texts and others are not; files without the name of a split are training texts then. Otherwise, they are the
    /// pieces of one text, in this order.
    ///
    /// # Errors
    /// See [`find`](Self::find). With several paths, a folder is an error when it is read as a file.
    pub fn find_all<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        if let [path] = paths {
            return Self::find(path);
        }
        let source = |path: &P| TextSource::File(path.as_ref().to_owned());
        let split = |path: &P| {
            let name = path.as_ref().file_name().map(|name| name.to_string_lossy().into_owned());
            name.and_then(|name| split_in_name(&name)).unwrap_or(Split::Train)
        };
        let splits: Vec<Split> = paths.iter().map(split).collect();
        let has_training_text = splits.contains(&Split::Train);
        if has_training_text && splits.iter().any(|split| *split != Split::Train) {
            return Ok(Self::Assigned(splits.into_iter().zip(paths.iter().map(source)).collect()));
        }
        Ok(Self::Whole(paths.iter().map(source).collect()))
    }

    /// The texts of a split in reading order; none if the corpus has no separate texts for it.
    #[must_use]
    pub fn split(&self, split: Split) -> Vec<&TextSource> {
        match (self, split) {
            (Self::Splits { train, .. }, Split::Train) => vec![train],
            (Self::Splits { valid, .. }, Split::Valid) => valid.iter().collect(),
            (Self::Splits { test, .. }, Split::Test) => test.iter().collect(),
            (Self::Assigned(texts), _) => {
                texts.iter().filter(|(of, _)| *of == split).map(|(_, text)| text).collect()
            }
            (Self::Whole(_), _) => vec![],
        }
    }

    /// The texts in reading order, each with its split; `None` for texts to be split.
    #[must_use]
    pub fn sources(&self) -> Vec<(Option<Split>, &TextSource)> {
        match self {
            Self::Splits { .. } | Self::Assigned(_) => {
                let texts = |split| self.split(split).into_iter().map(move |text| (Some(split), text));
                Split::ALL.into_iter().flat_map(texts).collect()
            }
            Self::Whole(texts) => texts.iter().map(|text| (None, text)).collect(),
        }
    }

    fn find_in_folder(folder: &Path) -> Result<Self> {
        let files = file_names(folder).map_err(|source| read_error(folder, source))?;
        let with_extension = |extensions: &[&str]| -> Vec<&str> {
            files.iter().map(String::as_str).filter(|name| has_extension(name, extensions)).collect()
        };
        let mut texts = with_extension(&TEXT_EXTENSIONS);
        if texts.is_empty() {
            texts = with_extension(&RECORD_EXTENSIONS);
        }
        let mut by_name = texts.clone();
        by_name.sort_by_key(|name| uncompressed(name));
        for pair in by_name.windows(2) {
            if uncompressed(pair[0]) == uncompressed(pair[1]) {
                let files = pair.iter().map(|name| (*name).to_owned()).collect();
                return Err(DataError::SameText { folder: folder.to_owned(), files });
            }
        }
        let source = |name: &str| TextSource::File(folder.join(name));
        let find = |split| {
            let named: Vec<&str> =
                texts.iter().copied().filter(|name| split_in_name(name) == Some(split)).collect();
            let without_numbers = |name: &str| name.replace(|char: char| char.is_ascii_digit(), "");
            if named.windows(2).any(|pair| without_numbers(pair[0]) != without_numbers(pair[1])) {
                let files = named.into_iter().map(str::to_owned).collect();
                return Err(DataError::AmbiguousSplit { folder: folder.to_owned(), split, files });
            }
            Ok(named.into_iter().map(source).collect::<Vec<_>>())
        };
        let (train, valid, test) = (find(Split::Train)?, find(Split::Valid)?, find(Split::Test)?);
        match (&train[..], &valid[..], &test[..]) {
            ([], [], []) if !texts.is_empty() => Ok(Self::Whole(texts.into_iter().map(source).collect())),
            ([], ..) => Err(DataError::NoTrainingText { folder: folder.to_owned(), found: files }),
            ([train], [] | [_], [] | [_]) => Ok(Self::Splits {
                train: train.clone(),
                valid: valid.into_iter().next(),
                test: test.into_iter().next(),
            }),
            _ => {
                let of = |split, texts: Vec<TextSource>| texts.into_iter().map(move |text| (split, text));
                let (train, valid) = (of(Split::Train, train), of(Split::Valid, valid));
                Ok(Self::Assigned(train.chain(valid).chain(of(Split::Test, test)).collect()))
            }
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

/// The name without the extension of a compression.
fn uncompressed(name: &str) -> &str {
    let stem = COMPRESSED_EXTENSIONS.iter().find_map(|extension| {
        let at = name.len().checked_sub(extension.len() + 1)?;
        let end = name.get(at..)?;
        (end[1..].eq_ignore_ascii_case(extension) && end.starts_with('.')).then(|| &name[..at])
    });
    stem.unwrap_or(name)
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let extension = uncompressed(name).rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    extension.is_some_and(|extension| extensions.contains(&extension.as_str()))
}

/// The split named by a file name; the last word that names a split counts.
fn split_in_name(name: &str) -> Option<Split> {
    let name = uncompressed(name);
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
    use std::path::PathBuf;

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
    fn texts_without_names_of_splits_are_pieces_in_order_of_names() {
        check(
            &["b.txt", "a.txt.gz", "c.TXT.ZST", "README.md", "d.gz"],
            &[("whole", "a.txt.gz"), ("whole", "b.txt"), ("whole", "c.TXT.ZST")],
        );
        check(&["b.jsonl", "a.csv.gz"], &[("whole", "a.csv.gz"), ("whole", "b.jsonl")]);
        check(&["b.jsonl", "a.txt"], &[("whole", "a.txt")]);
    }

    #[test]
    fn numbered_files_belong_to_one_split() {
        check(
            &["train-2.txt", "train-10.txt", "valid.txt", "test-1.txt.gz", "test-2.txt.gz"],
            &[
                ("train", "train-10.txt"),
                ("train", "train-2.txt"),
                ("valid", "valid.txt"),
                ("test", "test-1.txt.gz"),
                ("test", "test-2.txt.gz"),
            ],
        );
    }

    #[test]
    fn several_files_are_assigned_by_their_names_or_joined() {
        #[track_caller]
        fn check(names: &[&str], expected: &[(&str, &str)]) {
            let texts = CorpusTexts::find_all(names).unwrap();
            let split = |split: Option<Split>| split.map_or("whole".to_owned(), |split| split.to_string());
            let found: Vec<_> =
                texts.sources().into_iter().map(|(of, text)| (split(of), text.origin())).collect();
            let expected: Vec<_> =
                expected.iter().map(|&(split, name)| (split.to_owned(), name.to_owned())).collect();
            assert_eq!(found, expected);
        }
        check(
            &["x/train.txt", "x/val.txt", "x/test.txt.gz"],
            &[("train", "x/train.txt"), ("valid", "x/val.txt"), ("test", "x/test.txt.gz")],
        );
        check(&["dev.txt", "train.txt"], &[("train", "train.txt"), ("valid", "dev.txt")]);
        check(
            &["b.txt", "test.txt", "a.txt"],
            &[("train", "b.txt"), ("train", "a.txt"), ("test", "test.txt")],
        );
        check(&["b.txt", "a.txt"], &[("whole", "b.txt"), ("whole", "a.txt")]);
        check(&["train-1.txt", "train-2.txt"], &[("whole", "train-1.txt"), ("whole", "train-2.txt")]);
        check(&["valid.txt", "test.txt"], &[("whole", "valid.txt"), ("whole", "test.txt")]);
    }

    #[test]
    fn ambiguity_names_the_files() {
        check_error(
            &["train.txt", "valid.txt", "dev.txt"],
            "folder `DIR` has more than one file for the `valid` split: `dev.txt`, `valid.txt`",
        );
        check_error(
            &["train.txt", "train-long.txt"],
            "folder `DIR` has more than one file for the `train` split: `train-long.txt`, `train.txt`",
        );
        check_error(&["a.txt.gz", "a.txt"], "folder `DIR` has the same text twice: `a.txt`, `a.txt.gz`");
    }

    #[test]
    fn a_folder_without_texts_says_what_was_looked_for_and_found() {
        let expected = "folder `DIR` has no training text: expected a .txt, .text, .tokens or .raw file with \
             `train` in its name, or only files without names of splits; found";
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
