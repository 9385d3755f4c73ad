//! Models of PyTorch and MXNet as models of Rondo, and back.
//!
//! ```text
//! .pt, .pth, .bin   zip ─▶ pickle ─▶ torch ─┐
//! .safetensors      safetensors ────────────┼─▶ names ─▶ weights ─▶ a model ─┐
//! .params           mxnet ──────────────────┘  which is which                ├─▶ Imported ─▶ a model file
//! words, JSON, or a corpus ─▶ vocabulary ─▶ a codec ─────────────────────────┘
//!
//! a model of Rondo ─▶ export ─▶ PyTorch's state dict, ONNX
//! ```
//!
//! Promises: a file is data, and nothing in it is executed; nothing is allocated that only a
//! header claims; what Rondo's models do not have is refused by its name. Not here: training, flags.

mod bytes;
mod error;
mod export;
mod import;
mod mxnet;
mod names;
mod pickle;
mod safe;
mod tensor;
mod torch;
mod vocabulary;
mod weights;
mod zip;

pub use error::{ConvertError, Fault, Result};
pub use export::{Storage, Target, export};
pub use import::{ImportOptions, Imported};
pub use vocabulary::{Vocabulary, VocabularySource};
pub use weights::{Format, Weights};

pub(crate) use error::Parsed;
