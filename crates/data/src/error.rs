//! Errors for invalid texts, vocabulary files, corpora and sizes. This is a single file because it is one type, so that
//! its messages can be read side by side.

use std::{io, path::PathBuf};

use crate::arpa::ArpaFault;
use crate::corpus::Split;
use crate::nearest::or_nearest;

/// Why there are no tokenizers for subwords.
pub(crate) const NO_TOKENIZERS: &str =
    "this build of Rondo has no tokenizers for subwords (its feature `tokenizers` is off)";

/// The result type of this crate's functions.
pub type Result<T> = std::result::Result<T, DataError>;

/// Everything that can go wrong in this crate, with the invalid values.
///
/// An `origin` is the path of a file, or the name that the caller gave to another source of text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A text or folder could not be opened or read.
    #[error("could not read `{origin}`")]
    Read {
        /// The path or name of the source.
        origin: String,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A file of ids contains a number that is not an id.
    #[error("`{}` is damaged: it contains id {id}, and all ids are below {limit}; remove it, and it is made again", path.display())]
    DamagedIds {
        /// The file.
        path: PathBuf,
        /// The number.
        id: u32,
        /// The number of ids that there are.
        limit: u32,
    },
    /// A file is to be written where there is one.
    #[error("`{}` already exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A generated language is to have more topics than words.
    #[error("{topics} topics need at least {topics} words, and there are {vocab}")]
    TooManyTopics {
        /// The number of topics.
        topics: usize,
        /// The number of words.
        vocab: usize,
    },
    /// A text is not what it was a moment ago.
    #[error("`{origin}` changed while it was read")]
    TextChanged {
        /// The text.
        origin: String,
    },
    /// The observer of a corpus that is being tokenized asked to stop.
    #[error("tokenizing the texts was interrupted")]
    Interrupted,
    /// A file could not be written atomically.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
    /// A path does not exist.
    #[error("no such file or folder: `{}`", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The file of a tokenizer cannot be read.
    #[error("`{origin}` is not a tokenizer that Rondo can read: {reason}")]
    TokenizerFile {
        /// The file.
        origin: String,
        /// What is wrong with it, as the library for its format says.
        reason: String,
    },
    /// A tokenizer is to be read from a file, without the feature for it.
    #[error("`{origin}` cannot be read: {NO_TOKENIZERS}")]
    NoTokenizers {
        /// The file.
        origin: String,
    },
    /// A tokenizer that was read from a file cannot split a line.
    #[error("the tokenizer cannot split line {line} of the text: {reason}")]
    Tokenize {
        /// The line number, starting at 1.
        line: u64,
        /// Why, as the library for its format says.
        reason: String,
    },
    /// A tokenizer could not be trained.
    #[error("the tokenizer could not be trained: {reason}")]
    Training {
        /// Why, as the library for its format says.
        reason: String,
    },
    /// A line of a Punkt table cannot be parsed.
    #[error("line {line} of `{}` is not a valid Punkt table entry", path.display())]
    PunktTable {
        /// The table.
        path: PathBuf,
        /// The line number, starting at 1.
        line: u64,
    },
    /// An ARPA file cannot be read.
    #[error("`{origin}`, line {line}: {fault}")]
    Arpa {
        /// The file.
        origin: String,
        /// The line number, starting at 1.
        line: u64,
        /// What is wrong.
        fault: ArpaFault,
    },
    /// A text has no tokens.
    #[error("`{origin}` is empty: it contains no tokens")]
    Empty {
        /// The text.
        origin: String,
    },
    /// A text is not UTF-8.
    #[error("`{origin}` is not UTF-8 text: invalid byte at offset {byte} (line {line})")]
    InvalidUtf8 {
        /// The text.
        origin: String,
        /// The line of the invalid byte, starting at 1.
        line: u64,
        /// The offset of the first invalid sequence, in bytes from the start of the file.
        byte: u64,
    },
    /// A text contains a NUL byte, so it is probably a binary file.
    #[error("`{origin}` looks like a binary file: NUL byte at offset {byte} (line {line})")]
    Binary {
        /// The text.
        origin: String,
        /// The line of the NUL byte, starting at 1.
        line: u64,
        /// The offset of the NUL byte, in bytes from the start of the file.
        byte: u64,
    },
    /// A table is to be read, without the feature for it.
    #[error(
        "`{origin}` is a table, and this program was built without support for tables (feature `corpora`)"
    )]
    NoTables {
        /// The file.
        origin: String,
    },
    /// A compressed text is to be read, without the feature for it.
    #[error(
        "`{origin}` is compressed with {format}, and this program was built without decompression (its feature \
         `corpora` has gzip and Zstandard)"
    )]
    NoDecompression {
        /// The text.
        origin: String,
        /// The name of the format.
        format: &'static str,
        /// A command that decompresses it to its standard output.
        command: &'static str,
    },
    /// A text is compressed in a format that is not supported.
    #[error("`{origin}` is compressed with {format}, which is not supported: gzip and Zstandard are")]
    Compressed {
        /// The text.
        origin: String,
        /// The name of the format.
        format: &'static str,
        /// A command that decompresses it to its standard output.
        command: &'static str,
    },
    /// A record has no field with the name of the text field.
    #[error("line {line} of `{origin}` has no field `{}`: {}{}", shown(field), fields(known), or_nearest(field, known.iter().map(String::as_str)))]
    NoField {
        /// The file.
        origin: String,
        /// The line number of the record, or of the header, starting at 1.
        line: u64,
        /// The name that was asked for.
        field: String,
        /// The names of its fields.
        known: Vec<String>,
    },
    /// The text field of a record is not text.
    #[error("the field `{}` on line {line} of `{origin}` is {found}, not text", shown(field))]
    FieldIsNoText {
        /// The file.
        origin: String,
        /// The line number, starting at 1.
        line: u64,
        /// The name of the field.
        field: String,
        /// What it is, such as `a number`.
        found: &'static str,
    },
    /// A line of a file of JSON Lines is not an object.
    #[error("line {line} of `{origin}` is not a JSON object")]
    JsonRecord {
        /// The file.
        origin: String,
        /// The line number, starting at 1.
        line: u64,
        /// The parse error.
        source: serde_json::Error,
    },
    /// A file is a JSON array instead of JSON Lines.
    #[error("`{origin}` is a JSON array, not one JSON object per line")]
    JsonArray {
        /// The file.
        origin: String,
    },
    /// Quotes in a CSV file do not enclose a field.
    #[error("`{origin}`, line {line}: a quoted field {}", if *is_closed { "continues after its closing quote" } else { "is not closed" })]
    Quotes {
        /// The file.
        origin: String,
        /// The line number, starting at 1: where the field continues, or where it begins.
        line: u64,
        /// Whether the field is closed.
        is_closed: bool,
    },
    /// A row of a CSV file does not have as many fields as its header.
    #[error("line {line} of `{origin}` has {found} fields, but its header has {expected}")]
    RecordLen {
        /// The file.
        origin: String,
        /// The line number, starting at 1.
        line: u64,
        /// The number of its fields.
        found: u64,
        /// The number of fields of the header.
        expected: u64,
    },
    /// The number of characters to drop from the end of a text is not smaller than its length.
    #[error("`{origin}` has {chars} characters: dropping the last {drop_tail_chars} leaves nothing")]
    TailTooLong {
        /// The text.
        origin: String,
        /// The number of characters in the text.
        chars: u64,
        /// The number of characters to drop.
        drop_tail_chars: u64,
    },
    /// A folder contains neither a training text nor a single text file.
    #[error(
        "folder `{}` has no training text: expected a .txt, .text, .tokens or .raw file with `train` in its \
         name, or only files without names of splits; found {}", folder.display(), listed(found)
    )]
    NoTrainingText {
        /// The folder.
        folder: PathBuf,
        /// The files in the folder.
        found: Vec<String>,
    },
    /// A folder has several files for one split.
    #[error("folder `{}` has more than one file for the `{split}` split: {}", folder.display(), listed(files))]
    AmbiguousSplit {
        /// The folder.
        folder: PathBuf,
        /// The split with more than one file.
        split: Split,
        /// The files for this split.
        files: Vec<String>,
    },
    /// A folder contains a text and the same text compressed.
    #[error("folder `{}` has the same text twice: {}", folder.display(), listed(files))]
    SameText {
        /// The folder.
        folder: PathBuf,
        /// The two files.
        files: Vec<String>,
    },
    /// The validation and test fractions are out of range.
    #[error(
        "validation fraction {valid_fraction} and test fraction {test_fraction} must each be at least 0 and \
         add up to less than 1"
    )]
    SplitFractions {
        /// The requested fraction for the validation set.
        valid_fraction: f64,
        /// The requested fraction for the test set.
        test_fraction: f64,
    },
    /// A text is too short to be split into parts of at least one token each.
    #[error(
        "a text of {tokens} tokens is too short to be split with validation fraction {valid_fraction} and \
         test fraction {test_fraction}"
    )]
    CannotDivide {
        /// The length of the text in tokens.
        tokens: usize,
        /// The requested fraction for the validation set.
        valid_fraction: f64,
        /// The requested fraction for the test set.
        test_fraction: f64,
    },
    /// A token is out of vocabulary, and the vocabulary has no unknown token to replace it.
    #[error(
        "out-of-vocabulary token `{}` on line {line} of `{origin}`: the vocabulary has no unknown token",
        shown(token)
    )]
    UnknownToken {
        /// The token.
        token: String,
        /// The text that contains the token.
        origin: String,
        /// The line number, starting at 1.
        line: u64,
    },
    /// A token id is out of range.
    #[error("token id {id} is out of range for a vocabulary of {vocab_size} tokens")]
    IdOutOfRange {
        /// The token id.
        id: u32,
        /// The vocabulary size.
        vocab_size: usize,
    },
    /// A line of a word list is not one token.
    #[error("line {line} of the word list `{origin}` is not one {unit}: `{}`", shown(word))]
    ListedWord {
        /// The list.
        origin: String,
        /// The line number, starting at 1.
        line: u64,
        /// The line.
        word: String,
        /// What a line must be: the name of one token.
        unit: &'static str,
    },
    /// A vocabulary would be empty.
    #[error("a vocabulary needs at least one token")]
    EmptyVocab,
    /// The special tokens alone exceed the maximum vocabulary size.
    #[error("a vocabulary of at most {max_size} tokens has no room for its {special_tokens} special tokens")]
    VocabTooSmall {
        /// The maximum vocabulary size.
        max_size: usize,
        /// The number of special tokens.
        special_tokens: usize,
    },
    /// A vocabulary file cannot be parsed.
    #[error("`{origin}` is not a valid vocabulary file")]
    VocabSyntax {
        /// The file.
        origin: String,
        /// The parse error, with its position.
        source: serde_json::Error,
    },
    /// A vocabulary file has a different format or an unsupported version.
    #[error(
        "`{origin}` has format `{}` version {version}, expected `{}` version {}",
        shown(format),
        crate::vocab::FORMAT,
        crate::vocab::VERSION
    )]
    VocabVersion {
        /// The file.
        origin: String,
        /// The format in the file.
        format: String,
        /// The version in the file.
        version: u32,
    },
    /// The JSON of a text codec cannot be parsed.
    #[error("`{origin}` is not a valid text codec")]
    CodecSyntax {
        /// The path or name of the source.
        origin: String,
        /// The parse error, with its position.
        source: serde_json::Error,
    },
    /// A text codec has a different format or an unsupported version.
    #[error(
        "`{origin}` has format `{}` version {version}, expected `{}` version {}",
        shown(format),
        crate::codec::FORMAT,
        crate::codec::VERSION
    )]
    CodecVersion {
        /// The path or name of the source.
        origin: String,
        /// The format in the JSON.
        format: String,
        /// The version in the JSON.
        version: u32,
    },
    /// A vocabulary file lists the same token twice.
    #[error("`{origin}` lists token `{}` twice, with ids {first_id} and {second_id}", shown(token))]
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
    /// A vocabulary does not have one count for each token.
    #[error("{origin} has a different number of counts ({found}) than of tokens ({expected})")]
    CountsLength {
        /// The vocabulary, or its file.
        origin: String,
        /// The number of counts.
        found: usize,
        /// The number of tokens.
        expected: usize,
    },
    /// The unknown token of a vocabulary file is not in its list of tokens.
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
    /// A text is too short for even one batch.
    #[error(
        "a text of {tokens} tokens is too short for batch size {batch_size} and BPTT length {bptt}: {}",
        largest_that_fit(*batch_size, *bptt, *largest_batch_size, *largest_bptt)
    )]
    CorpusTooShort {
        /// The length of the text in tokens.
        tokens: usize,
        /// The requested batch size.
        batch_size: usize,
        /// The requested number of steps per batch.
        bptt: usize,
        /// The largest batch size that fits with this `bptt`; 0 if there is none.
        largest_batch_size: usize,
        /// The largest number of steps per batch that fits with this `batch_size`; 0 if there is none.
        largest_bptt: usize,
    },
    /// There is no corpus with this name.
    #[error("unknown corpus `{}`, expected one of {}{}", shown(name), listed(known), or_nearest(name, known.iter().map(String::as_str)))]
    UnknownCorpus {
        /// The name.
        name: String,
        /// The names of all corpora.
        known: Vec<String>,
    },
    /// A file of a named corpus does not have the published size.
    #[error("`{}` has {found_bytes} bytes, but the published file of `{corpus}` has {expected_bytes}", path.display())]
    WrongSize {
        /// The corpus.
        corpus: &'static str,
        /// The file.
        path: PathBuf,
        /// Its size.
        found_bytes: u64,
        /// The published size.
        expected_bytes: u64,
    },
    /// A folder contains only some files of a named corpus.
    #[error("folder `{}` is missing files of `{corpus}`: {}", folder.display(), listed(missing))]
    IncompleteCorpus {
        /// The corpus.
        corpus: &'static str,
        /// The folder.
        folder: PathBuf,
        /// The missing files.
        missing: Vec<String>,
    },
    /// A named corpus is not on this machine, and there is no folder to download it to.
    #[error("corpus `{corpus}` was not found, and there is no cache folder to download it to")]
    NoCacheFolder {
        /// The corpus.
        corpus: &'static str,
    },
    /// A named corpus is not on this machine and could not be downloaded.
    #[error(
        "corpus `{corpus}` was not found and could not be downloaded; \
         to add it by hand, put its files in folder `{}`: {wanted}",
        folder.display()
    )]
    NotDownloaded {
        /// The corpus.
        corpus: &'static str,
        /// The folder for its files.
        folder: PathBuf,
        /// Its files, each with its size and URL.
        wanted: String,
        /// The download error.
        source: Box<DataError>,
    },
    /// A server could not be reached, or the connection was lost.
    #[error("could not download `{url}`")]
    Transfer {
        /// The URL.
        url: String,
        /// The underlying I/O error.
        source: io::Error,
    },
    /// A server answered with an error status.
    #[error("could not download `{url}`: the server returned HTTP status {status}")]
    HttpStatus {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A file on a server does not have the published size.
    #[error("`{url}` has {found_bytes} bytes, expected {expected_bytes}")]
    RemoteSize {
        /// The URL.
        url: String,
        /// The size announced by the server, or the number of bytes received before giving up.
        found_bytes: u64,
        /// The published size.
        expected_bytes: u64,
    },
    /// The hash of a file differs from the published one.
    #[error("`{origin}` has SHA-256 {found}, expected {expected}")]
    WrongHash {
        /// The path of the file or its URL.
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

/// The error of reading `origin`. An error of this crate from within a reader, such as that of
/// [`readable`](crate::readable), stays as it is.
#[must_use]
pub fn read_error(origin: &str, source: io::Error) -> DataError {
    match source.downcast::<DataError>() {
        Ok(error) => error,
        Err(source) => DataError::Read { origin: origin.to_owned(), source },
    }
}

/// Names in backticks, separated by commas. A long list is truncated, since a folder can contain thousands of files.
fn listed(names: &[String]) -> String {
    const MOST: usize = 12;
    if names.is_empty() {
        return "no files".to_owned();
    }
    let mut text = names.iter().take(MOST).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(&format!(" and {} more", names.len() - MOST));
    }
    text
}

/// The names of a record's fields, for a message.
fn fields(known: &[String]) -> String {
    let known: Vec<String> = known.iter().filter(|name| !name.is_empty()).map(|name| shown(name)).collect();
    if known.is_empty() {
        "it has no fields".to_owned()
    } else {
        format!("its fields are {}", listed(&known))
    }
}

/// A token formatted for a one-line message: control characters are escaped, and it is truncated to 60 characters.
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

/// The hint with the sizes that would fit; sizes that cannot fit are left out.
fn largest_that_fit(
    batch_size: usize,
    bptt: usize,
    largest_batch_size: usize,
    largest_bptt: usize,
) -> String {
    match (largest_batch_size, largest_bptt) {
        (0, 0) => "reducing only the batch size or only the BPTT length is not enough".to_owned(),
        (rows, 0) => format!("the largest batch size for BPTT length {bptt} is {rows}"),
        (0, steps) => format!("the largest BPTT length for batch size {batch_size} is {steps}"),
        (rows, steps) => format!(
            "the largest batch size for BPTT length {bptt} is {rows}, \
             the largest BPTT length for batch size {batch_size} is {steps}"
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
        assert_eq!(listed(&[]), "no files");
        assert_eq!(listed(&["a".into(), "b".into()]), "`a`, `b`");
        let many: Vec<String> = (0..14).map(|i| i.to_string()).collect();
        assert!(listed(&many).ends_with("`11` and 2 more"));
    }

    #[test]
    fn only_what_fits_is_proposed() {
        assert_eq!(largest_that_fit(20, 35, 0, 4), "the largest BPTT length for batch size 20 is 4");
        assert_eq!(largest_that_fit(20, 35, 3, 0), "the largest batch size for BPTT length 35 is 3");
        assert_eq!(
            largest_that_fit(20, 35, 0, 0),
            "reducing only the batch size or only the BPTT length is not enough"
        );
    }
}
