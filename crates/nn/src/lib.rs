//! Recurrent language models: the tape they run on, their layers, and the file they are kept in.
//!
//! ```text
//!   RnnLm ── forward, loss ──► Tape ──► operations of `rondo-kernels`
//!     │                          │
//!   Parameters ◄── optimiser ── Gradients
//!     │
//!   model file (safetensors)
//! ```
//!
//! Not here: text (a token is a number), optimisers, flags, clocks.

mod config;
mod error;
mod initialise;
mod model;
mod model_file;
mod parameters;
mod tape;

pub use config::{
    Biases, Dropout, DropoutSite, Initialisation, Initialiser, Input, PRESETS, Preset, RnnLmConfig,
};
pub use error::{NnError, Result};
pub use model::{LayerState, RnnLm, State};
pub use model_file::ModelFile;
pub use parameters::{Gradient, Gradients, ParameterId, Parameters};
pub use rondo_kernels::recurrence::Cell;
pub use tape::{Layer, Loss, Mode, Projection, Shape, Tape, Value, Workspace};
