//! Recurrent language models: the autograd tape they run on, their layers, and the model file.
//!
//! ```text
//!   Model ── forward, loss ──► Tape ──► operations of `rondo-kernels`
//!   (RnnLm, or a custom one)      │
//!     │                           │
//!   Parameters ◄── optimizer ── Gradients
//!     │
//!   model file (safetensors, checksummed)
//! ```
//!
//! Not here: text (a token is an id), optimizers, flags, clocks.

mod candidates;
mod config;
mod error;
mod gradients;
mod initialize;
mod model;
mod model_file;
mod parameters;
mod pass_memory;
mod penalty;
mod presets;
mod rnn_lm;
mod state;
mod tape;
pub mod tensor_file;

pub use candidates::Candidates;
pub use config::{
    AdaptiveSoftmax, Biases, CellOptions, Dropout, DropoutSite, Initialization, Initializer, Input,
    MogrifierOptions, RnnLmConfig,
};
pub use error::{NnError, Result};
pub use gradients::{Gradient, Gradients};
pub use model::{Decoder, Hidden, Model};
pub use model_file::{
    CHECKPOINT_KEY, ModelContext, ModelFile, StoredTensor, WEIGHTS_KEY, WeightFormat, parameter_tensors,
    read_parameters,
};
pub use parameters::{ParameterId, Parameters};
pub use pass_memory::{BatchSize, PassMemory};
pub use penalty::ActivationPenalty;
pub use presets::{PRESETS, Preset};
pub use rnn_lm::RnnLm;
pub use rondo_kernels::activation_penalty::Penalty;
pub use rondo_kernels::recurrence::Cell;
pub use state::{State, StatePart};
pub use tape::{
    Contribution, GradientObserver, Layer, Loss, Mode, MogrifierLayer, OperationObserver, Pass, Projection,
    Shape, Tape, Value, Workspace,
};
