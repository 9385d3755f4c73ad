//! What can go wrong when models are made, loaded and saved.

use std::path::PathBuf;

/// The result of something in this crate.
pub type Result<T> = std::result::Result<T, NnError>;

/// Why a model could not be made, loaded or saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NnError {
    /// The sizes of a configuration do not fit together.
    #[error("`{field}` {reason}")]
    Config {
        /// The field at fault.
        field: &'static str,
        /// What it must be, and what it is.
        reason: String,
    },
    /// An initializer could not be read.
    #[error(
        "unknown initializer `{text}`, expected `zeros`, `xavier`, `uniform:LIMIT` or `normal:DEVIATION`"
    )]
    Initializer {
        /// What was written.
        text: String,
    },
    /// The device has failed.
    #[error(transparent)]
    Device(#[from] rondo_kernels::DeviceError),
    /// A file could not be read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is no safetensors file, or a damaged one.
    #[error("`{}` is not a whole safetensors file", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },
    /// A safetensors file does not say which model it holds.
    #[error("`{}` has no usable `{key}` in its metadata: {reason}", path.display())]
    Metadata {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        key: &'static str,
        /// Why it was of no use.
        reason: String,
    },
    /// A tensor is missing.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// Its name.
        name: String,
    },
    /// There is a tensor that the model has no place for.
    #[error("tensor `{name}` is not part of the model")]
    UnknownTensor {
        /// Its name.
        name: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor `{name}` has shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape in the file.
        found: Vec<usize>,
        /// The shape that the configuration gives it.
        expected: Vec<usize>,
    },
    /// A tensor holds numbers of another type.
    #[error("tensor `{name}` holds {found}, expected {expected}")]
    Type {
        /// Its name.
        name: String,
        /// The type in the file.
        found: String,
        /// The type that it should have.
        expected: String,
    },
    /// A model file describes a different model than the one that is to be read.
    #[error("`{}` holds a different model: it is described as {found}, expected {expected}", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// How the file describes its model.
        found: String,
        /// How the model to be read describes itself.
        expected: String,
    },
    /// A file is whole, but says something else than what was written.
    #[error("`{}` is damaged: its SHA-256 is {found}, it was written with {expected}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What its content comes to.
        found: String,
        /// What it says that its content comes to.
        expected: String,
    },
}
