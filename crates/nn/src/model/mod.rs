//! The trait a language model implements so that the toolkit can train, evaluate and sample from it.

use std::fmt;

use crate::tape::{Loss, Tape, Value};
use crate::{ParameterId, Parameters, State};

/// A recurrent language model: the interface that training, evaluation, scoring and generation use.
///
/// [`RnnLm`](crate::RnnLm) implements it with fused operations. A custom model implements it with the
/// primitives of [`Tape`], and is then trained, evaluated and sampled from by the same code.
///
/// ```
/// use rondo_kernels::Device;
/// use rondo_nn::{Hidden, Initializer, Model, Parameters, ParameterId, Shape, State, Tape, Value};
///
/// /// `h = tanh(x·Wxh + h·Whh)`, `logits = h·Why`.
/// #[derive(Clone, Debug)]
/// struct Elman { parameters: Parameters, wxh: ParameterId, whh: ParameterId, why: ParameterId }
///
/// impl Model for Elman {
///     fn boxed_clone(&self) -> Box<dyn Model> { Box::new(self.clone()) }
///     fn vocab_size(&self) -> usize { self.parameters.shape(self.wxh)[0] }
///     fn parameters(&self) -> &Parameters { &self.parameters }
///     fn parameters_mut(&mut self) -> &mut Parameters { &mut self.parameters }
///     fn description(&self) -> String { r#"{"kind":"elman"}"#.to_owned() }
///     fn zero_state(&self, batch: usize) -> State {
///         State::zeros(self.parameters.device(), batch, [("hidden", self.parameters.shape(self.whh)[0])])
///     }
///     fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Hidden {
///         let [wxh, whh] = [self.wxh, self.whh].map(|id| tape.parameter(id));
///         let mut h = tape.state(&state.parts()[0]);
///         let mut outputs = Vec::new();
///         for ids in ids.chunks(state.batch()) {
///             let x = tape.one_hot(ids, self.vocab_size());
///             let (from_input, from_memory) = (tape.product(x, wxh), tape.product(h, whh));
///             let sum = tape.add(from_input, from_memory);
///             h = tape.tanh(sum);
///             outputs.push(h);
///         }
///         tape.keep(h, &mut state.parts_mut()[0]);
///         Hidden::new(tape.concat_rows(&outputs))
///     }
///     fn logits(&self, tape: &mut Tape<'_>, hidden: Hidden) -> Value {
///         let why = tape.parameter(self.why);
///         tape.product(hidden.dropped, why)
///     }
/// }
/// # let _ = |model: Elman| model.boxed_clone();
/// ```
pub trait Model: fmt::Debug + Send + Sync {
    /// A copy of the model with its own parameters: `Box::new(self.clone())` for a type that derives `Clone`.
    fn boxed_clone(&self) -> Box<dyn Model>;

    /// `V`, the vocabulary size.
    fn vocab_size(&self) -> usize;

    /// Its parameters.
    fn parameters(&self) -> &Parameters;

    /// Its parameters, mutably.
    fn parameters_mut(&mut self) -> &mut Parameters;

    /// A description of the architecture as JSON: stored in model files and checkpoints, and compared when
    /// they are read.
    fn description(&self) -> String;

    /// A zero state for a batch size of `batch`.
    fn zero_state(&self, batch: usize) -> State;

    /// Whether [`forward`](Model::forward) respects [`Tape::set_resets`], as is needed to train on independent lines.
    ///
    /// The default is `false`. A model made of [`Tape::recurrent_layer`]s respects it; other models do so with
    /// [`Tape::reset_state`].
    fn can_reset(&self) -> bool {
        false
    }

    /// Runs the network over `ids: [T, B]` from `state`, updates `state`, and returns the last layer's
    /// output.
    ///
    /// # Panics
    /// If there are not `T·B` ids for the state's `B`, or an id is not below
    /// [`vocab_size`](Model::vocab_size).
    fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Hidden;

    /// The logits `[T, B, V]`, given the output of [`forward`](Model::forward): their softmax is the distribution of the next
    /// token.
    fn logits(&self, tape: &mut Tape<'_>, hidden: Hidden) -> Value;

    /// The dense layer that [`logits`](Model::logits) consists of, if it is nothing else: `logits = W · h + b` with the
    /// `dropped` output of [`forward`](Model::forward) as `h`. Approximate normalizers need it.
    ///
    /// The default is `None`.
    fn decoder(&self) -> Option<Decoder> {
        None
    }

    /// The table `[V, E]` that [`forward`](Model::forward) looks up its ids in, if nothing else uses it: then only the rows of
    /// a batch's ids matter in that batch.
    ///
    /// The default is `None`.
    fn lookup_table(&self) -> Option<ParameterId> {
        None
    }

    /// The negative log-likelihood of each of `targets: [T, B]`, given the output of
    /// [`forward`](Model::forward).
    ///
    /// The default computes the cross-entropy of all logits. A model with a large vocabulary should avoid
    /// storing all logits.
    ///
    /// # Panics
    /// If there are not `T·B` targets, or a target is not below [`vocab_size`](Model::vocab_size).
    fn loss(&self, tape: &mut Tape<'_>, hidden: Hidden, targets: &[u32]) -> Loss {
        let logits = self.logits(tape, hidden);
        tape.cross_entropy(logits, targets)
    }
}

/// The dense layer that makes the logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// `[V, H]`.
    pub weight: ParameterId,
    /// `[V]`, if there is a bias.
    pub bias: Option<ParameterId>,
}

/// The last layer's output for a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// `[T, B, H]`, before dropout.
    pub raw: Value,
    /// `[T, B, H]`, after dropout: the input of the decoder.
    pub dropped: Value,
}

impl Hidden {
    /// The output of a layer without dropout.
    pub fn new(output: Value) -> Hidden {
        Hidden { raw: output, dropped: output }
    }
}
