//! What can be wrong with a text, a vocabulary file or the sizes asked for.

use std::{io, path::PathBuf};

use crate::corpus::Split;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, DataError>;

/// Everything that can go wrong in this crate, with the values at fault.
///
/// An `origin` is the path of a file, or the name that the caller gave to another source of text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A text or a folder could not be opened or read.
    #[error("could not read `{origin}`")]
    Read {
        /// What was read.
        origin: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A whole file could not be written.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
    /// A path leads to nothing.
    #[error("there is no file or folder `{}`", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// A table of what is known of sentences has a line of another kind.
    #[error("line {line} of `{}` is no line of a Punkt table", path.display())]
    PunktTable {
        /// The table.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// A text has no token.
    #[error("`{origin}` is empty: it holds no token")]
    Empty {
        /// The text.
        origin: String,
    },
    /// A text is not UTF-8.
    #[error("`{origin}` is not UTF-8 text: invalid byte at offset {byte}, in line {line}")]
    InvalidUtf8 {
        /// The text.
        origin: String,
        /// The line of the byte, from 1.
        line: u64,
        /// Where the first invalid sequence begins, in bytes from the start of the file.
        byte: u64,
    },
    /// A text has a NUL byte, which no text has.
    #[error("`{origin}` looks like a binary file: NUL byte at offset {byte}, in line {line}")]
    Binary {
        /// The text.
        origin: String,
        /// The line of the byte, from 1.
        line: u64,
        /// Where the byte is, in bytes from the start of the file.
        byte: u64,
    },
    /// More characters were to be dropped from the end of a text than it has, or all of them.
    #[error("`{origin}` has {chars} characters: none is left without the last {drop_tail_chars}")]
    TailTooLong {
        /// The text.
        origin: String,
        /// How many characters it has.
        chars: u64,
        /// How many were to be dropped.
        drop_tail_chars: u64,
    },
    /// A folder has neither a training text nor a single text.
    #[error(
        "folder `{}` has no training text: looked for `train` in the names of its .txt, .text, .tokens and \
         .raw files, or for a single such file, found {}", folder.display(), listed(found)
    )]
    NoTrainingText {
        /// The folder.
        folder: PathBuf,
        /// The files in it.
        found: Vec<String>,
    },
    /// A folder has several files for one split.
    #[error("folder `{}` has several {split} texts: {}", folder.display(), listed(files))]
    AmbiguousSplit {
        /// The folder.
        folder: PathBuf,
        /// The split that is claimed more than once.
        split: Split,
        /// The files that claim it.
        files: Vec<String>,
    },
    /// A folder has several texts of which none is named as a split.
    #[error("folder `{}` has several texts, none of them named `train`: {}", folder.display(), listed(files))]
    AmbiguousText {
        /// The folder.
        folder: PathBuf,
        /// Its texts.
        files: Vec<String>,
    },
    /// The parts to split off are not fractions of a text.
    #[error(
        "valid fraction {valid_fraction} and test fraction {test_fraction} must each be at least 0 and \
         together below 1"
    )]
    SplitFractions {
        /// The part asked for as validation text.
        valid_fraction: f64,
        /// The part asked for as test text.
        test_fraction: f64,
    },
    /// A text is too short to be divided into splits that have at least a token each.
    #[error(
        "a text of {tokens} tokens is too short to be divided with valid fraction {valid_fraction} and \
         test fraction {test_fraction}"
    )]
    CannotDivide {
        /// The length of the text.
        tokens: usize,
        /// The part asked for as validation text.
        valid_fraction: f64,
        /// The part asked for as test text.
        test_fraction: f64,
    },
    /// A token is not in a vocabulary that has no unknown token to stand for it.
    #[error(
        "`{}` is not in the vocabulary, which has no unknown token: line {line} of `{origin}`",
        shown(token)
    )]
    UnknownToken {
        /// The token.
        token: String,
        /// The text it stands in.
        origin: String,
        /// Its line, from 1.
        line: u64,
    },
    /// An id is not one of the vocabulary's.
    #[error("id {id} is not in the vocabulary of {vocab_size} tokens")]
    IdOutOfRange {
        /// The id.
        id: u32,
        /// How many ids there are.
        vocab_size: usize,
    },
    /// A vocabulary would have no token.
    #[error("a vocabulary needs at least one token")]
    EmptyVocab,
    /// The special tokens alone exceed the largest size asked for.
    #[error("a vocabulary of at most {max_size} tokens has no room for its {special_tokens} special tokens")]
    VocabTooSmall {
        /// The largest size asked for.
        max_size: usize,
        /// How many special tokens there are.
        special_tokens: usize,
    },
    /// A vocabulary file is not the JSON it should be.
    #[error("`{origin}` is not a vocabulary file")]
    VocabSyntax {
        /// The file.
        origin: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A vocabulary file has another format or a version from the future.
    #[error(
        "`{origin}` has format `{}` version {version}, expected `{}` version {}",
        shown(format),
        crate::vocab::FORMAT,
        crate::vocab::VERSION
    )]
    VocabVersion {
        /// The file.
        origin: String,
        /// The format it names.
        format: String,
        /// The version it names.
        version: u32,
    },
    /// A text is not the JSON of a codec.
    #[error("`{origin}` is not a text codec")]
    CodecSyntax {
        /// What was read.
        origin: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A codec has another format or a version from the future.
    #[error(
        "`{origin}` has format `{}` version {version}, expected `{}` version {}",
        shown(format),
        crate::codec::FORMAT,
        crate::codec::VERSION
    )]
    CodecVersion {
        /// What was read.
        origin: String,
        /// The format it names.
        format: String,
        /// The version it names.
        version: u32,
    },
    /// A vocabulary file gives one token two ids.
    #[error("`{origin}` lists token `{}` twice, as id {first_id} and {second_id}", shown(token))]
    DuplicateToken {
        /// The file.
        origin: String,
        /// The token.
        token: String,
        /// Its first id.
        first_id: usize,
        /// Its second id.
        second_id: usize,
    },
    /// A vocabulary file names an unknown token that it does not list.
    #[error("`{origin}` does not list its unknown token `{}`", shown(token))]
    UnlistedUnknown {
        /// The file.
        origin: String,
        /// The unknown token.
        token: String,
    },
    /// A size that must be at least one is zero.
    #[error("`{name}` must be at least 1")]
    ZeroSize {
        /// The name of the size.
        name: &'static str,
    },
    /// A text has fewer tokens than the smallest batch asked for needs.
    #[error(
        "a text of {tokens} tokens is too short for batch size {batch_size} and bptt {bptt}: {}",
        largest_that_fit(*batch_size, *bptt, *largest_batch_size, *largest_bptt)
    )]
    CorpusTooShort {
        /// The length of the text.
        tokens: usize,
        /// The batch size asked for.
        batch_size: usize,
        /// The steps per batch asked for.
        bptt: usize,
        /// The largest batch size that fits with this `bptt`; 0 if none does.
        largest_batch_size: usize,
        /// The largest steps per batch that fit with this `batch_size`; 0 if none does.
        largest_bptt: usize,
    },
    /// No corpus has this name.
    #[error("there is no corpus `{}`; there are {}", shown(name), listed(known))]
    UnknownCorpus {
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A file of a named corpus has another length than the published one.
    #[error("`{}` has {found_bytes} bytes, the file of `{corpus}` has {expected_bytes}", path.display())]
    WrongSize {
        /// The corpus.
        corpus: &'static str,
        /// The file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// The published length.
        expected_bytes: u64,
    },
    /// A folder holds some files of a named corpus and lacks others.
    #[error("folder `{}` lacks files of `{corpus}`: {}", folder.display(), listed(missing))]
    IncompleteCorpus {
        /// The corpus.
        corpus: &'static str,
        /// The folder.
        folder: PathBuf,
        /// What it lacks.
        missing: Vec<String>,
    },
    /// A named corpus is not on this machine, and there is no folder to download it to.
    #[error("`{corpus}` was not found, and there is no cache folder to download it to")]
    NoCacheFolder {
        /// The corpus.
        corpus: &'static str,
    },
    /// A named corpus is not on this machine and could not be downloaded.
    #[error(
        "`{corpus}` was not found and could not be downloaded; it can be put into folder `{}` by hand: {wanted}",
        folder.display()
    )]
    NotDownloaded {
        /// The corpus.
        corpus: &'static str,
        /// Where its files belong.
        folder: PathBuf,
        /// Its files, each with its length and address.
        wanted: String,
        /// Why the download failed.
        source: Box<DataError>,
    },
    /// A server could not be reached, or the connection broke.
    #[error("could not download `{url}`")]
    Transfer {
        /// The address.
        url: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A server refused.
    #[error("could not download `{url}`: the server answered with HTTP status {status}")]
    HttpStatus {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// A server has a file of another length than the published one.
    #[error("`{url}` has {found_bytes} bytes, expected {expected_bytes}")]
    RemoteSize {
        /// The address.
        url: String,
        /// The length announced, or received until it was too much.
        found_bytes: u64,
        /// The published length.
        expected_bytes: u64,
    },
    /// A file has another hash than the published one.
    #[error("`{origin}` has SHA-256 {found}, expected {expected}")]
    WrongHash {
        /// The file or its address.
        origin: String,
        /// Its SHA-256 in hexadecimal.
        found: String,
        /// The published SHA-256.
        expected: String,
    },
    /// Another process is writing the same file.
    #[error("another process is downloading to `{}`", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

/// Names in backticks, separated by commas; a long list is cut, for a folder can hold thousands of files.
fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    if names.is_empty() {
        return "no file".to_owned();
    }
    let mut text = names.iter().take(MOST).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

/// A token fit for one line of a message: control characters escaped, cut after 60 characters.
fn shown(token: &str) -> String {
    const MOST: usize = 60;
    let mut text = String::new();
    for char in token.chars().take(MOST) {
        if char.is_control() { text.extend(char.escape_default()) } else { text.push(char) }
    }
    if token.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}

/// Says what would fit instead, leaving out what cannot.
fn largest_that_fit(
    batch_size: usize,
    bptt: usize,
    largest_batch_size: usize,
    largest_bptt: usize,
) -> String {
    match (largest_batch_size, largest_bptt) {
        (0, 0) => "no smaller batch size or bptt alone is enough".to_owned(),
        (rows, 0) => format!("the largest batch size for bptt {bptt} is {rows}"),
        (0, steps) => format!("the largest bptt for batch size {batch_size} is {steps}"),
        (rows, steps) => format!(
            "the largest batch size for bptt {bptt} is {rows}, the largest bptt for batch size {batch_size} is {steps}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_shown_on_one_line() {
        assert_eq!(shown("don't"), "don't");
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(shown(&"x".repeat(100)), format!("{}…", "x".repeat(60)));
    }

    #[test]
    fn lists_are_cut() {
        assert_eq!(listed(&[]), "no file");
        assert_eq!(listed(&["a".into(), "b".into()]), "`a`, `b`");
        let many: Vec<String> = (0..14).map(|i| i.to_string()).collect();
        assert!(listed(&many).ends_with("`11` and 2 more"));
    }

    #[test]
    fn only_what_fits_is_proposed() {
        assert_eq!(largest_that_fit(20, 35, 0, 4), "the largest bptt for batch size 20 is 4");
        assert_eq!(largest_that_fit(20, 35, 3, 0), "the largest batch size for bptt 35 is 3");
        assert_eq!(largest_that_fit(20, 35, 0, 0), "no smaller batch size or bptt alone is enough");
    }
}
