//! Recurrent language models: the tape they run on, their layers, and the file they are kept in.
//!
//! ```text
//!   RnnLm ── forward, loss ──► Tape ──► operations of `rondo-kernels`
//!     │                          │
//!   Parameters ◄── optimiser ── Gradients
//!     │
//!   model file (safetensors, checksummed)
//! ```
//!
//! Not here: text (a token is a number), optimisers, flags, clocks.

mod config;
mod error;
mod initialise;
mod model;
mod model_file;
mod parameters;
mod penalty;
mod presets;
mod tape;
pub mod tensor_file;

pub use config::{Biases, Dropout, DropoutSite, Initialisation, Initialiser, Input, RnnLmConfig};
pub use error::{NnError, Result};
pub use model::{Hidden, LayerState, RnnLm, State};
pub use model_file::ModelFile;
pub use parameters::{Gradient, Gradients, ParameterId, Parameters};
pub use penalty::ActivationPenalty;
pub use presets::{PRESETS, Preset};
pub use rondo_kernels::activation_penalty::Penalty;
pub use rondo_kernels::recurrence::Cell;
pub use tape::{Layer, Loss, Mode, OperationObserver, Pass, Projection, Shape, Tape, Value, Workspace};
