//! The recurrent language model.

use std::sync::Arc;

use rand::Rng;
use rondo_kernels::Device;
use rondo_kernels::recurrence::Cell;

use crate::config::{AdaptiveSoftmax, Biases, Initialization, Input, RnnLmConfig};
use crate::tape::{AdaptiveLayers, Layer, Loss, MogrifierLayer, Projection, Tail, Tape, Value};
use crate::{Decoder, Hidden, Model, ParameterId, Parameters, Result, State};

mod extend;

/// A recurrent language model: predicts the probabilities of the next token from the tokens read so far.
///
/// ```text
/// token ─ embedding ─ dropout ─ layer 0 ─ dropout ─ … ─ layer L−1 ─ dropout ─ decoder ─ next token
///         or one-hot             ↻ state              ↻ state             W·h + b, softmax
/// ```
///
/// | parameter | shape | |
/// |---|---|---|
/// | `embedding.weight` | `[V, E]` | for a one-hot input, `input.weight: [V, G·H]` replaces this and layer 0's `weight_ih` |
/// | `rnn.{l}.weight_ih` | `[G·H, D]` | |
/// | `rnn.{l}.weight_hh` | `[G·H, P]` | `P` is `H` unless the output is projected |
/// | `rnn.{l}.bias_ih`, `rnn.{l}.bias_hh` | `[G·H]` | the second only with [`Biases::Two`] |
/// | `rnn.{l}.weight_hr` | `[P, H]` | only with a projection |
/// | `rnn.{l}.mogrifier_x`, `rnn.{l}.mogrifier_h` | `[R·D, H]`, `[R·H, D]` | only of a Mogrifier: stacked, one for each of the `R` rounds that gate the input or the state; with a rank, two factors, `…_right` and `…_left` |
/// | `decoder.weight` | `[V, P]` | absent when tied to the embedding |
/// | `decoder.bias` | `[V]` | |
///
/// With an [adaptive softmax](AdaptiveSoftmax), these replace the decoder's weight and bias:
///
/// | parameter | shape | |
/// |---|---|---|
/// | `decoder.head.weight` | `[C₁ + K, H]` | a row for each frequent word, then one for each of the `K` tails |
/// | `decoder.tails.{i}.projection` | `[P, H]` | `P = H / 4^(i+1)` |
/// | `decoder.tails.{i}.weight` | `[N, P]` | a row for each of the tail's `N` words |
#[derive(Clone, Debug)]
pub struct RnnLm {
    config: RnnLmConfig,
    parameters: Parameters,
    input: InputLayer,
    layers: Vec<LayerParameters>,
    output: OutputLayer,
}

#[derive(Clone, Copy, Debug)]
enum InputLayer {
    Embedding(ParameterId),
    OneHot(ParameterId),
}

#[derive(Clone, Debug)]
enum OutputLayer {
    Dense(Decoder),
    Adaptive(Arc<AdaptiveLayers>),
}

#[derive(Clone, Copy, Debug)]
struct LayerParameters {
    layer: Layer,
    /// `None` for layer 0 of a one-hot input.
    weight_ih: Option<ParameterId>,
}

impl RnnLm {
    /// A model with all parameters zero; see [`RnnLm::initialize`].
    ///
    /// # Errors
    /// As [`RnnLmConfig::check`]; [`NnError::Device`](crate::NnError::Device) if the device has failed.
    pub fn new(config: RnnLmConfig, device: &Device) -> Result<RnnLm> {
        config.check()?;
        let mut parameters = Parameters::new(device);
        for (name, shape) in config.parameter_shapes() {
            parameters.add(&name, &shape);
        }
        RnnLm::with_parameters(config, parameters)
    }

    /// A model with these parameters, whose names and shapes are [those of the configuration](RnnLmConfig::parameter_shapes).
    ///
    /// # Errors
    /// As [`RnnLm::new`].
    /// # Panics
    /// If a parameter is missing.
    pub(crate) fn with_parameters(config: RnnLmConfig, parameters: Parameters) -> Result<RnnLm> {
        config.check()?;
        let id = |name: &str| match parameters.find(name) {
            Some(id) => id,
            None => unreachable!("`{name}` is among the configuration's parameters"),
        };
        let input = match config.input {
            Input::Embedding(_) => InputLayer::Embedding(id("embedding.weight")),
            Input::OneHot => InputLayer::OneHot(id("input.weight")),
        };
        let options = config.cell_options;
        if options.projection_size.is_some() {
            parameters.device().require_cpu("a projection of the hidden state")?;
        }
        if config.cell == Cell::Mogrifier {
            parameters.device().require_cpu("a Mogrifier")?;
        }
        let layer = |(l, &hidden_size): (usize, &usize)| LayerParameters {
            layer: Layer {
                projection: options.projection_size.map(|_| id(&format!("rnn.{l}.weight_hr"))),
                cell_clip: options.cell_clip,
                mogrifier: (config.cell == Cell::Mogrifier).then(|| MogrifierLayer {
                    rounds: options.mogrifier.rounds,
                    rank: options.mogrifier.rank,
                    weights: mogrifier_names(&config).map(|name| parameters.find(&format!("rnn.{l}.{name}"))),
                }),
                cell: config.cell,
                hidden_size,
                weight_hh: id(&format!("rnn.{l}.weight_hh")),
                bias_ih: id(&format!("rnn.{l}.bias_ih")),
                bias_hh: (config.biases == Biases::Two).then(|| id(&format!("rnn.{l}.bias_hh"))),
                weight_dropout: config.dropout.weights,
            },
            weight_ih: parameters.find(&format!("rnn.{l}.weight_ih")),
        };
        let layers = config.hidden_sizes.iter().enumerate().map(layer).collect();
        let output = match &config.adaptive_softmax {
            None => OutputLayer::Dense(Decoder {
                weight: id(if config.tied { "embedding.weight" } else { "decoder.weight" }),
                bias: Some(id("decoder.bias")),
            }),
            Some(softmax) => {
                parameters.device().require_cpu("an adaptive softmax")?;
                let tail = |tail| Tail {
                    projection: id(&format!("decoder.tails.{tail}.projection")),
                    weight: id(&format!("decoder.tails.{tail}.weight")),
                };
                let tails = (0..softmax.cutoffs().len()).map(tail).collect();
                let head = id("decoder.head.weight");
                let (vocab_size, device) = (config.vocab_size, parameters.device());
                let layers = AdaptiveLayers::new(softmax, vocab_size, head, tails, device)?;
                OutputLayer::Adaptive(Arc::new(layers))
            }
        };
        Ok(RnnLm { config, parameters, input, layers, output })
    }

    /// Initializes all parameters randomly, in order.
    ///
    /// # Errors
    /// [`NnError::Device`](crate::NnError::Device) if they cannot be written to the device.
    pub fn initialize(&mut self, initialization: &Initialization, rng: &mut impl Rng) -> Result<()> {
        for id in self.parameters.ids() {
            let name = self.parameters.name(id);
            let initializer = match name {
                "embedding.weight" | "input.weight" => initialization.embedding,
                _ if name.contains("bias") => initialization.bias,
                _ if name.starts_with("decoder.") => initialization.decoder,
                _ => initialization.recurrent,
            };
            let shape = self.parameters.shape(id);
            let (rows, columns) = (shape[0], shape.get(1).copied().unwrap_or(1));
            let mut values = vec![0.0; rows * columns];
            initializer.fill(rows, columns, &mut values, rng);
            self.parameters.values_mut(id).write_from(&values)?;
        }
        Ok(())
    }

    /// Its configuration.
    pub fn config(&self) -> &RnnLmConfig {
        &self.config
    }
}

impl Model for RnnLm {
    fn boxed_clone(&self) -> Box<dyn Model> {
        Box::new(self.clone())
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn description(&self) -> String {
        self.config.to_json()
    }

    fn zero_state(&self, batch: usize) -> State {
        let cell = self.config.cell;
        let parts = self.config.hidden_sizes.iter().enumerate().flat_map(|(l, &hidden_size)| {
            let cell_state = cell.has_cell_state().then(|| (format!("cell/{l}"), hidden_size));
            std::iter::once((format!("hidden/{l}"), self.config.output_size(hidden_size))).chain(cell_state)
        });
        State::zeros(self.parameters.device(), batch, parts)
    }

    fn can_reset(&self) -> bool {
        true
    }

    fn forward(&self, tape: &mut Tape<'_>, ids: &[u32], state: &mut State) -> Hidden {
        let batch = state.batch();
        let steps = ids.len() / batch;
        assert_eq!(ids.len(), steps * batch, "ids for {batch} batch rows");
        let dropout = &self.config.dropout;
        let mut x = match self.input {
            InputLayer::Embedding(table) => {
                let x = tape.embedding_with_dropout(table, ids, steps, batch, dropout.words);
                Some(tape.dropout(x, dropout.input))
            }
            InputLayer::OneHot(_) => None,
        };
        let mut raw = None;
        let parts_per_layer = if self.config.cell.has_cell_state() { 2 } else { 1 };
        let states = state.parts_mut().chunks_exact_mut(parts_per_layer);
        for (l, (parameters, state)) in self.layers.iter().zip(states).enumerate() {
            let projection = match (x, parameters.weight_ih, self.input) {
                (Some(x), Some(weight_ih), _) => Projection::Dense { x, weight_ih },
                (_, _, InputLayer::OneHot(table) | InputLayer::Embedding(table)) => {
                    Projection::LookUp { ids, table }
                }
            };
            let y = tape.recurrent_layer(parameters.layer, projection, steps, batch, state);
            let last = l + 1 == self.layers.len();
            raw = Some(y);
            x = Some(tape.dropout(y, if last { dropout.output } else { dropout.between }));
        }
        match (raw, x) {
            (Some(raw), Some(dropped)) => Hidden { raw, dropped },
            _ => unreachable!("the configuration has been checked to have at least one layer"),
        }
    }

    fn logits(&self, tape: &mut Tape<'_>, hidden: Hidden) -> Value {
        match &self.output {
            OutputLayer::Dense(Decoder { weight, bias }) => tape.linear(hidden.dropped, *weight, *bias),
            OutputLayer::Adaptive(layers) => tape.adaptive_log_softmax(hidden.dropped, layers),
        }
    }

    fn decoder(&self) -> Option<Decoder> {
        match self.output {
            OutputLayer::Dense(decoder) => Some(decoder),
            OutputLayer::Adaptive(_) => None,
        }
    }

    fn lookup_table(&self) -> Option<ParameterId> {
        match self.input {
            InputLayer::Embedding(table) if !self.config.tied => Some(table),
            _ => None,
        }
    }

    fn loss(&self, tape: &mut Tape<'_>, hidden: Hidden, targets: &[u32]) -> Loss {
        match &self.output {
            OutputLayer::Dense(Decoder { weight, bias }) => {
                tape.decoder(hidden.dropped, *weight, *bias, targets)
            }
            OutputLayer::Adaptive(layers) => tape.adaptive_softmax(hidden.dropped, layers, targets),
        }
    }
}

/// The names of the stacked weights of a Mogrifier.
fn mogrifier_names(config: &RnnLmConfig) -> [&'static str; 4] {
    match config.cell_options.mogrifier.rank {
        None => ["mogrifier_x", "", "mogrifier_h", ""],
        Some(_) => ["mogrifier_x_right", "mogrifier_x_left", "mogrifier_h_right", "mogrifier_h_left"],
    }
}

impl RnnLmConfig {
    /// The configuration as JSON, as stored in model files.
    pub fn to_json(&self) -> String {
        // A configuration consists of numbers, strings and lists of them, which always serialize.
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("a configuration as JSON: {error}"))
    }

    /// Names and shapes of the parameters, in order. A tied matrix is listed once.
    pub fn parameter_shapes(&self) -> Vec<(String, Vec<usize>)> {
        // Nothing that fits in memory is wide enough for this to saturate.
        let gates_width = |hidden: usize| self.cell.gates().saturating_mul(hidden);
        let mut shapes = Vec::new();
        let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
        let mut width = match self.input {
            Input::Embedding(width) => {
                add("embedding.weight".to_owned(), &[self.vocab_size, width]);
                Some(width)
            }
            Input::OneHot => {
                let first = self.hidden_sizes.first().map_or(0, |&hidden| gates_width(hidden));
                add("input.weight".to_owned(), &[self.vocab_size, first]);
                None
            }
        };
        for (l, &hidden) in self.hidden_sizes.iter().enumerate() {
            if let Some(width) = width {
                add(format!("rnn.{l}.weight_ih"), &[gates_width(hidden), width]);
            }
            add(format!("rnn.{l}.weight_hh"), &[gates_width(hidden), self.output_size(hidden)]);
            add(format!("rnn.{l}.bias_ih"), &[gates_width(hidden)]);
            if self.biases == Biases::Two {
                add(format!("rnn.{l}.bias_hh"), &[gates_width(hidden)]);
            }
            if let Some(projection) = self.cell_options.projection_size {
                add(format!("rnn.{l}.weight_hr"), &[projection, hidden]);
            }
            if self.cell == Cell::Mogrifier {
                let shapes = self.cell_options.mogrifier.rounds(width.unwrap_or(0)).weight_shapes(hidden);
                for (name, shape) in mogrifier_names(self).into_iter().zip(shapes) {
                    if let Some(shape) = shape {
                        add(format!("rnn.{l}.{name}"), &shape);
                    }
                }
            }
            width = Some(self.output_size(hidden));
        }
        let width = width.unwrap_or(0);
        if let Some(softmax) = &self.adaptive_softmax {
            let dims = softmax.dims(self.vocab_size, 1);
            add("decoder.head.weight".to_owned(), &[dims.head_width(), width]);
            for tail in 0..softmax.cutoffs().len() {
                let projection = AdaptiveSoftmax::projection_width(tail, width);
                add(format!("decoder.tails.{tail}.projection"), &[projection, width]);
                add(format!("decoder.tails.{tail}.weight"), &[dims.tail(tail).len(), projection]);
            }
            return shapes;
        }
        if !self.tied {
            add("decoder.weight".to_owned(), &[self.vocab_size, width]);
        }
        add("decoder.bias".to_owned(), &[self.vocab_size]);
        shapes
    }

    /// The number of parameters of such a model; a tied matrix counts once.
    ///
    /// # Panics
    /// If there are more than memory can hold, which [`RnnLmConfig::check`] rejects.
    pub fn parameter_count(&self) -> usize {
        match self.checked_parameter_count() {
            Some(count) => count,
            None => panic!("more parameters than memory can hold: {self:?}"),
        }
    }

    /// The number of parameters; `None` if their size in bytes overflows.
    pub(crate) fn checked_parameter_count(&self) -> Option<usize> {
        let mut count = 0usize;
        for (_, shape) in self.parameter_shapes() {
            let own = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
            count = count.checked_add(own)?;
        }
        (count <= isize::MAX as usize / size_of::<f32>()).then_some(count)
    }
}
