//! Errors from reading files of other tools and writing files for them.

use std::path::PathBuf;

use rondo_kernels::{AvailableMemory, Bytes};

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, ConvertError>;

/// The result of reading a part of a file.
pub(crate) type Parsed<T> = std::result::Result<T, Fault>;

/// Why a model could not be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A file could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// `read`, `create`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not fit in memory.
    #[error("`{}` needs about {} of memory, but only {} can be used ({})", path.display(), Bytes(*needed), Bytes(available.bytes), available.limit)]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The bytes that reading it needs.
        needed: u64,
        /// The bytes that can be allocated.
        available: AvailableMemory,
    },
    /// A file has none of the formats that can be read.
    #[error("`{}` is neither a PyTorch, a safetensors, nor an MXNet file", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file of PyTorch from before version 1.6.
    #[error("`{}` was saved by PyTorch before 1.6, whose format cannot be read", path.display())]
    BeforeTorch16 {
        /// The file.
        path: PathBuf,
    },
    /// A compiled model of PyTorch.
    #[error("`{}` is a TorchScript archive, which contains code as well as weights", path.display())]
    TorchScript {
        /// The file.
        path: PathBuf,
    },
    /// A file is a model file of Rondo.
    #[error("`{}` is a model of Rondo already", path.display())]
    AlreadyConverted {
        /// The file.
        path: PathBuf,
    },
    /// A file is damaged, or has something that is not supported.
    #[error("`{}` cannot be read: {fault}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: Fault,
    },
    /// A file contains tensors, but not those of a recurrent language model.
    #[error("`{}` contains no recurrent language model: {}", path.display(), listed(names))]
    NoModel {
        /// The file.
        path: PathBuf,
        /// The names of its tensors.
        names: Vec<String>,
    },
    /// A model has something that Rondo's models do not have.
    #[error("`{}` has the tensor `{name}` ({what}), which Rondo's models do not have", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// What it belongs to, if that is known.
        what: &'static str,
    },
    /// A model has residual connections.
    #[error("the model in `{}` has residual connections, which Rondo's models do not have", path.display())]
    Residual {
        /// The file.
        path: PathBuf,
    },
    /// A tensor of the model is missing.
    #[error("`{}` has no tensor `{name}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A tensor does not have the shape that the others require.
    #[error("tensor `{name}` has shape {found:?}, but the others require {expected}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// What its shape must be.
        expected: String,
    },
    /// A recurrent matrix has the rows of no cell.
    #[error(
        "tensor `{name}` has shape {shape:?}: the rows must be 1 (RNN), 3 (GRU) or 4 (LSTM) times the columns"
    )]
    Gates {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// Weights do not say which nonlinearity the cell has.
    #[error("the weights in `{}` are of an RNN with tanh or with ReLU, and do not say which", path.display())]
    Nonlinearity {
        /// The file.
        path: PathBuf,
    },
    /// The cell is not the one that was asked for.
    #[error("the model in `{}` has the cell `{found}`, not `{wanted}`", path.display())]
    OtherCell {
        /// The file.
        path: PathBuf,
        /// The cell in the file.
        found: String,
        /// The cell that was asked for.
        wanted: rondo_nn::Cell,
    },
    /// There is no vocabulary.
    #[error("`{}` contains the weights of a model of {tokens} tokens, but not its vocabulary", path.display())]
    NoVocabulary {
        /// The file.
        path: PathBuf,
        /// The number of tokens of the model.
        tokens: usize,
    },
    /// It is not known how texts are split into the tokens of a vocabulary.
    #[error("`{}` lists the tokens, but not how texts are split into them", path.display())]
    NoTokenizer {
        /// The vocabulary.
        path: PathBuf,
    },
    /// A vocabulary was given, and a tokenizer that has its own.
    #[error("`{}` has its own vocabulary", tokenizer.display())]
    OwnVocabulary {
        /// The file of the tokenizer.
        tokenizer: PathBuf,
    },
    /// The vocabulary belongs to another model.
    #[error("the vocabulary of `{origin}` has {found} tokens, but the model has {expected}")]
    VocabularySize {
        /// The file or folder.
        origin: String,
        /// The tokens of the vocabulary.
        found: usize,
        /// The tokens of the model.
        expected: usize,
    },
    /// A line of a vocabulary is wrong.
    #[error("line {line} of `{origin}` {what}")]
    VocabularyLine {
        /// The file.
        origin: String,
        /// The line, starting at 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Ids of a vocabulary are missing or given twice.
    #[error("the ids of `{origin}` are not 0 to {last}: the token `{token}` has id {id}")]
    VocabularyIds {
        /// The file.
        origin: String,
        /// The last id that there should be.
        last: usize,
        /// The token.
        token: String,
        /// Its id.
        id: u64,
    },
    /// A vocabulary is not valid JSON of GluonNLP.
    #[error("`{origin}` is not a valid vocabulary of GluonNLP")]
    VocabularySyntax {
        /// The file.
        origin: String,
        /// The cause.
        source: serde_json::Error,
    },
    /// There is a model in the folder already.
    #[error("`{}` already exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A model has something that the format to be written does not have.
    #[error("a model with {what} cannot be written {format}")]
    NotInFormat {
        /// What the model has.
        what: String,
        /// The format, such as `for PyTorch`.
        format: &'static str,
    },
    /// A text or vocabulary could not be read.
    #[error(transparent)]
    Data(#[from] rondo_data::DataError),
    /// The model could not be created.
    #[error(transparent)]
    Model(#[from] rondo_nn::NnError),
    /// The model and its vocabulary do not fit together.
    #[error(transparent)]
    Infer(#[from] rondo_infer::InferError),
    /// A file could not be written.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
}

/// What is wrong with the content of a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file is shorter than it should be.
    #[error("it ends in the middle of {what}")]
    Ends {
        /// What ends too early.
        what: &'static str,
    },
    /// A part of the file is not what it should be.
    #[error("{what} is not valid")]
    NotValid {
        /// The part.
        what: &'static str,
    },
    /// An archive has two members of the same name.
    #[error("its archive contains `{name}` twice")]
    TwiceInArchive {
        /// The name.
        name: String,
    },
    /// A member of an archive is missing.
    #[error("its archive has no `{name}`")]
    NoMember {
        /// The name.
        name: String,
    },
    /// A member of an archive is compressed or encrypted.
    #[error("`{name}` in its archive is compressed or encrypted, which PyTorch's files are not")]
    Compressed {
        /// The name.
        name: String,
    },
    /// The checksum of a member does not match.
    #[error("`{name}` in its archive is damaged: the checksum does not match")]
    Checksum {
        /// The name.
        name: String,
    },
    /// The numbers are stored in big-endian order.
    #[error("its numbers are stored in big-endian order")]
    BigEndian,
    /// A pickle contains an opcode that files of PyTorch do not contain.
    #[error("its pickle has the opcode {opcode:#04x} at byte {at}, which files of PyTorch do not have")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Its position.
        at: usize,
    },
    /// A pickle is damaged.
    #[error("its pickle is not valid at byte {at}")]
    Pickle {
        /// The position.
        at: usize,
    },
    /// There are too many values.
    #[error("it has more than {most} values")]
    TooManyValues {
        /// The maximum.
        most: usize,
    },
    /// A tensor has elements outside of its storage, or more than the file can contain.
    #[error("tensor `{name}` is larger than its data")]
    Outside {
        /// The tensor.
        name: String,
    },
    /// A tensor has elements of a type that weights cannot have.
    #[error("tensor `{name}` has elements of type {dtype}; weights are f32, f64, f16 or bf16")]
    ElementType {
        /// The tensor.
        name: String,
        /// The type.
        dtype: String,
    },
    /// An array is not stored element by element.
    #[error("array {index} is sparse")]
    Sparse {
        /// Its position in the file.
        index: usize,
    },
    /// A file of safetensors is damaged.
    #[error("{reason}")]
    Safetensors {
        /// The reason.
        reason: String,
    },
}

/// The first names of a list.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    if names.is_empty() {
        return "it has no tensors".to_owned();
    }
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("its tensors are {}{more}", shown.join(", "))
}
