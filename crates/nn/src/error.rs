//! Errors from creating, loading and saving models.

use std::path::PathBuf;

use rondo_kernels::{AvailableMemory, Bytes};

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, NnError>;

/// Why a model could not be created, loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// The configuration is invalid.
    #[error("`{field}` {reason}")]
    Config {
        /// The invalid field.
        field: &'static str,
        /// What it must be, and what it is.
        reason: String,
    },
    /// An initializer could not be parsed.
    #[error(
        "unknown initializer `{text}`, expected `zeros`, `xavier`, `uniform:LIMIT` or `normal:DEVIATION`"
    )]
    Initializer {
        /// The given text.
        text: String,
    },
    /// The device failed.
    #[error(transparent)]
    Device(#[from] rondo_kernels::DeviceError),
    /// A file could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// `read`, `write`, …
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
    /// A file is incomplete, damaged or not a safetensors file.
    #[error("`{}` is not a valid safetensors file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: safetensors::SafeTensorError,
    },
    /// The metadata of a safetensors file is missing or invalid.
    #[error("`{}` has missing or invalid metadata `{key}`: {reason}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint was given instead of a model.
    #[error("`{}` is a checkpoint, from which a run resumes, and not a model", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
    },
    /// A tensor is missing.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// The file contains a tensor that the model does not have.
    #[error("unexpected tensor `{name}`: the model has no such parameter")]
    UnknownTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor `{name}` has shape {found:?}, but the model's configuration requires {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape according to the configuration.
        expected: Vec<usize>,
    },
    /// A tensor has the wrong element type.
    #[error("tensor `{name}` has element type {found}, expected {expected}")]
    Type {
        /// Its name.
        name: String,
        /// The element type in the file.
        found: String,
        /// The expected element type.
        expected: String,
    },
    /// A model file describes a different model than the one to be read.
    #[error("`{}` contains a different model: {found}, expected {expected}", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// The file's description of its model.
        found: String,
        /// The description of the model to be read.
        expected: String,
    },
    /// The checksum of a file does not match its content.
    #[error("`{}` is damaged: the SHA-256 of its content is {found}, but {expected} was recorded", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The checksum of the content.
        found: String,
        /// The checksum recorded in the file.
        expected: String,
    },
}
