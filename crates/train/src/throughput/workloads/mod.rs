//! The benchmark workloads: models of published sizes, and their training options.
//!
//! The token ids are synthetic and always the same: they follow Zipf's law over the vocabulary.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rondo_nn::{
    ActivationPenalty, AdaptiveSoftmax, Biases, Cell, CellOptions, Dropout, DropoutSite, Input, RnnLmConfig,
};

use crate::settings::{ClipUnit, LossReduction, SamplerKind, StepDivisor};
use crate::{
    AveragingRule, ClipNorm, OptimizationPlan, OptimizerPlan, Result, SampledSoftmax, Sampler, ScheduleRule,
    TrainError,
};

/// A model and its training options: plain SGD on batches of `T` steps by `B` columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name, such as `W1`, or `W8:W1` for generation only with the model of `W1`.
    pub name: &'static str,
    /// The model.
    pub config: RnnLmConfig,
    /// The batch size, `B`.
    pub batch_size: usize,
    /// The time steps of a batch, `T`.
    pub bptt: usize,
    /// The maximum gradient norm of the mean loss; `None` is off.
    pub clip_norm: Option<f64>,
    /// The learning rate.
    pub learning_rate: f64,
    /// The sample of the softmax in training; `None` is the full softmax.
    pub sampled: Option<SampledSoftmax>,
    /// Whether it measures only generation.
    pub generates_only: bool,
}

/// Sizes that replace a workload's own, to see how its cost changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The batch size, `B`.
    pub batch_size: Option<usize>,
    /// The time steps of a batch, `T`.
    pub bptt: Option<usize>,
    /// The vocabulary size, `V`.
    pub vocab_size: Option<usize>,
    /// The hidden size `H` of all layers, and the embedding size if it equals the hidden size in the
    /// workload. If it differs and is tied to the decoder, the last layer keeps its size.
    pub hidden_size: Option<usize>,
    /// The number of layers, `L`. Added layers have the size of the first one; the last layer keeps its size.
    pub layers: Option<usize>,
}

/// The names of all workloads.
pub const WORKLOADS: [&str; 12] =
    ["W1", "W1u", "W1s", "W1a", "W2", "W3", "W4", "W5", "W6", "W7", "W8:W1", "W8:W6"];

/// The maximum number of columns, steps or layers, so that products of sizes do not overflow.
const LARGEST: usize = 1 << 20;

impl Workload {
    /// Finds the workload with this name, ignoring case.
    ///
    /// # Errors
    /// [`TrainError::UnknownWorkload`], which lists all names.
    pub fn find(name: &str) -> Result<Workload> {
        let Some(name) = WORKLOADS.into_iter().find(|known| known.eq_ignore_ascii_case(name)) else {
            return Err(TrainError::UnknownWorkload { name: name.to_owned(), known: WORKLOADS.to_vec() });
        };
        let model = name.strip_prefix("W8:").unwrap_or(name);
        let mut workload = of_model(model);
        workload.name = name;
        workload.generates_only = model != name;
        Ok(workload)
    }

    /// The workload with different sizes.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`] for a size that is 0 or too large; [`TrainError::Model`] if the sizes do
    /// not fit together.
    pub fn resized(mut self, sizes: Sizes) -> Result<Workload> {
        let Sizes { batch_size, bptt, vocab_size, hidden_size, layers } = sizes;
        for (setting, size) in [("batch_size", batch_size), ("bptt", bptt), ("layers", layers)] {
            if let Some(size) = size.filter(|size| !(1..=LARGEST).contains(size)) {
                let (found, expected) = (size.to_string(), "between 1 and 1,048,576");
                return Err(TrainError::OutOfRange { setting, found, expected });
            }
        }
        self.batch_size = batch_size.unwrap_or(self.batch_size);
        self.bptt = bptt.unwrap_or(self.bptt);
        let config = &mut self.config;
        config.vocab_size = vocab_size.unwrap_or(config.vocab_size);
        let (&[first, ..], &[.., last]) = (config.hidden_sizes.as_slice(), config.hidden_sizes.as_slice())
        else {
            unreachable!("a workload's model has layers")
        };
        let count = layers.unwrap_or(config.hidden_sizes.len());
        config.hidden_sizes = vec![first; count];
        config.hidden_sizes[count - 1] = last;
        if let Some(hidden_size) = hidden_size {
            let keeps_last = config.tied && first != last;
            let changed = if keeps_last { count - 1 } else { count };
            config.hidden_sizes[..changed].fill(hidden_size);
            if config.input == Input::Embedding(first) {
                config.input = Input::Embedding(hidden_size);
            }
        }
        config.check()?;
        Ok(self)
    }

    /// The necessary floating-point operations of a token's forward pass: the multiplications and additions
    /// of its matrix multiplications. A one-hot input is a lookup and needs none. Training needs three times
    /// as many, because each matrix multiplication becomes two in the backward pass.
    ///
    /// ```text
    /// 2 · (Σ_layers G·H·(D + H) + H_last·V)
    /// ```
    ///
    /// With an adaptive softmax, [`RnnLmConfig::decoder_products`] replaces `H_last·V`.
    pub fn forward_flop_per_token(&self) -> f64 {
        self.flop_per_token(self.config.decoder_products())
    }

    /// As [`forward_flop_per_token`](Workload::forward_flop_per_token), with a decoder of this many multiplications.
    fn flop_per_token(&self, decoder: f64) -> f64 {
        let RnnLmConfig { input, cell, ref hidden_sizes, .. } = self.config;
        let mut width = match input {
            Input::Embedding(width) => width,
            Input::OneHot => 0,
        };
        let mut products = 0;
        for &hidden in hidden_sizes {
            products += cell.gates() * hidden * (width + hidden);
            width = hidden;
        }
        2.0 * (products as f64 + decoder)
    }

    /// The floating-point operations of a training step; see [`Workload::forward_flop_per_token`]. A sampled softmax is
    /// over the expected number of different tokens drawn; targets that are not among them are not counted.
    pub fn step_flop(&self) -> f64 {
        let all = self.config.decoder_products();
        let decoder = match self.sampler() {
            Some(sampler) => all * sampler.expected_count() / self.config.vocab_size as f64,
            None => all,
        };
        3.0 * self.flop_per_token(decoder) * self.step_tokens() as f64
    }

    /// What draws the tokens of a sampled softmax, if there is one.
    pub(super) fn sampler(&self) -> Option<Sampler> {
        /// The count of the most frequent token, from which those of the others follow by Zipf's law.
        const HIGHEST: u64 = 1_000_000;
        let counts = (1..=self.config.vocab_size as u64).map(|rank| HIGHEST / rank);
        self.sampled.map(|sampled| Sampler::new(sampled, &counts.collect::<Vec<_>>()))
    }

    /// The number of tokens in a batch, `T·B`.
    pub fn step_tokens(&self) -> usize {
        self.batch_size * self.bptt
    }

    /// Its training options.
    pub(super) fn optimization(&self) -> OptimizationPlan {
        OptimizationPlan {
            optimizer: OptimizerPlan::Sgd { momentum: 0.0 },
            learning_rate: self.learning_rate,
            weight_decay: 0.0,
            loss_reduction: LossReduction::Mean,
            step_divisor: StepDivisor::One,
            clip_norm: self.clip_norm.map(|limit| ClipNorm { limit, unit: ClipUnit::One }),
            clip_value: None,
            min_learning_rate: None,
            penalty: ActivationPenalty::default(),
            schedule: ScheduleRule::Constant,
            warmup: 0,
            averaging: AveragingRule::Off,
        }
    }

    /// `columns` columns of synthetic ids, each with `rows` rows to predict.
    pub(super) fn text(&self, columns: usize, rows: usize) -> Vec<u32> {
        zipf(self.config.vocab_size, columns * (rows + 1))
    }
}

/// `count` samples from Zipf's law: the probability of id `i` is proportional to `1 / (i + 1)`.
fn zipf(vocab_size: usize, count: usize) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=vocab_size)
        .map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut draw = || {
        let at = rng.random::<f64>() * sum;
        sums.partition_point(|&sum| sum <= at).min(vocab_size - 1) as u32
    };
    (0..count).map(|_| draw()).collect()
}

/// The table of models: sizes, batches, clipping and learning rate.
fn of_model(name: &str) -> Workload {
    let base = |input, cell, hidden_sizes: &[usize], vocab_size| Workload {
        name: "",
        config: RnnLmConfig {
            vocab_size,
            input,
            cell,
            hidden_sizes: hidden_sizes.to_vec(),
            biases: Biases::Two,
            tied: false,
            dropout: Dropout::default(),
            adaptive_softmax: None,
            cell_options: CellOptions::default(),
        },
        batch_size: 20,
        bptt: 35,
        clip_norm: Some(0.25),
        learning_rate: 1.0,
        sampled: None,
        generates_only: false,
    };
    let with = |mut workload: Workload, tied, dropout| {
        workload.config.tied = tied;
        workload.config.dropout = dropout;
        workload
    };
    let lstm = |width, vocab_size| base(Input::Embedding(width), Cell::Lstm, &[width; 2], vocab_size);
    const WIKITEXT_2: usize = 33_278;
    const PTB: usize = 10_000;
    const CHARACTERS: usize = 77;
    match name {
        "W1" => Workload { learning_rate: 20.0, ..with(lstm(200, WIKITEXT_2), true, everywhere(0.2)) },
        "W1u" => Workload { learning_rate: 20.0, ..with(lstm(200, WIKITEXT_2), false, everywhere(0.2)) },
        "W1s" => {
            let sampled = SampledSoftmax { draws: 4096, sampler: SamplerKind::default() };
            Workload { sampled: Some(sampled), ..of_model("W1") }
        }
        "W1a" => {
            let mut workload = of_model("W1u");
            workload.config.adaptive_softmax = Some(AdaptiveSoftmax::new(vec![2_000, 10_000]));
            workload
        }
        "W2" => Workload { learning_rate: 20.0, ..with(lstm(650, WIKITEXT_2), true, everywhere(0.5)) },
        "W3" => Workload { batch_size: 32, ..with(lstm(650, PTB), false, everywhere(0.5)) },
        "W4" => {
            let rnn = base(Input::Embedding(100), Cell::RnnRelu, &[100; 2], PTB);
            Workload { batch_size: 32, bptt: 5, ..with(rnn, true, everywhere(0.2)) }
        }
        "W5" => {
            let rnn = base(Input::OneHot, Cell::RnnTanh, &[256], CHARACTERS);
            // There is no clipping, so the learning rate must not need it.
            Workload { batch_size: 32, bptt: 64, clip_norm: None, learning_rate: 0.1, ..rnn }
        }
        "W6" => {
            let lstm = base(Input::Embedding(64), Cell::Lstm, &[512; 2], CHARACTERS);
            Workload { batch_size: 64, bptt: 64, ..lstm }
        }
        "W7" => {
            let lstm = base(Input::Embedding(400), Cell::Lstm, &[1150, 1150, 400], WIKITEXT_2);
            let locked = |probability| DropoutSite { probability, locked: true };
            let dropout = Dropout {
                input: locked(0.65),
                between: locked(0.2),
                output: locked(0.4),
                ..Dropout::default()
            };
            Workload { batch_size: 80, bptt: 70, learning_rate: 30.0, ..with(lstm, true, dropout) }
        }
        name => unreachable!("`{name}` is in `WORKLOADS` but not in the table"),
    }
}

/// Element-wise dropout with the same probability at every site.
fn everywhere(probability: f32) -> Dropout {
    let site = DropoutSite { probability, locked: false };
    Dropout { input: site, between: site, output: site, ..Dropout::default() }
}

#[cfg(test)]
mod tests;
