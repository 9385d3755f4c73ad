//! Estimates the memory that a run needs, and refuses a run that does not fit before any of it is allocated.
//!
//! ```text
//! parameters   weights, best weights, their average, optimizer, gradients, packed weights
//! batches      activations, kept values and scratch of a training step
//! evaluation   what evaluations need in addition
//! ```
//!
//! Promises: no plan makes the estimate overflow or panic. Not here: the texts, which have been read by then.

use rondo_data::{Corpus, Split};
use rondo_infer::{column_count, evaluation_batch};
use rondo_kernels::Device;
use rondo_nn::{BatchSize, Input, PassMemory, RnnLmConfig};

use crate::{AveragingRule, OptimizerPlan, Plan, Result, SampledSoftmax, SoftmaxPlan, TrainError};

/// The steps of a batch of random length beyond `bptt` that are provided for: five standard deviations.
const LONGER: usize = 25;
/// The steps in which an evaluation reads what precedes a column, and in which a sample reads its prefix.
const WARM_UP: usize = 256;

/// The memory that a run needs in addition to its texts, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Everything of the size of the parameters: the weights and their copies, gradients and the optimizer's
    /// state.
    pub parameters: u64,
    /// What a training step needs in addition.
    pub training: u64,
    /// What evaluations and samples need in addition.
    pub evaluation: u64,
}

/// The sizes of a corpus that the memory of a run depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CorpusSize {
    /// The size of the vocabulary.
    pub vocab_size: usize,
    /// The number of tokens of the training text.
    pub train: usize,
    /// The numbers of tokens of the texts to evaluate.
    pub evaluated: Vec<usize>,
}

impl From<&Corpus> for CorpusSize {
    fn from(corpus: &Corpus) -> CorpusSize {
        let evaluated = [Split::Valid, Split::Test].into_iter().filter_map(|split| corpus.split(split));
        CorpusSize {
            vocab_size: corpus.vocab().len(),
            train: corpus.train.len(),
            evaluated: evaluated.map(|ids| ids.len()).collect(),
        }
    }
}

impl MemoryEstimate {
    /// The memory of a run of this plan on a device. The configuration of its model must be valid.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the model has more parameters than memory can hold.
    pub fn of(plan: &Plan, corpus: &CorpusSize, device: &Device) -> Result<MemoryEstimate> {
        MemoryEstimate::of_rank(plan, corpus, device, 1)
    }

    /// The same for one of `ranks` processes that train together.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn of_rank(
        plan: &Plan,
        corpus: &CorpusSize,
        device: &Device,
        ranks: usize,
    ) -> Result<MemoryEstimate> {
        let config = plan.model.config(corpus.vocab_size);
        config.check()?;
        let (training, optimization) = (&plan.training, &plan.optimization);
        let columns = training.batch_size;
        let longer = if training.variable_bptt { LONGER } else { 0 };
        let longest = (corpus.train / columns.max(1)).saturating_sub(1).max(1);
        let parts = ranks.max(1).saturating_mul(training.accumulate);
        let size = BatchSize {
            steps: training.bptt.saturating_add(longer).min(longest),
            columns: columns.div_ceil(parts.max(1)),
        };

        let passes = || {
            let passes = PassMemory::new(&config, device);
            match plan.model.softmax {
                SoftmaxPlan::Sampled(SampledSoftmax { draws, .. }) => passes.with_sampled_softmax(draws),
                SoftmaxPlan::Full | SoftmaxPlan::Adaptive { .. } => passes,
            }
        };
        let mut gradients = passes();
        gradients.gradients(size, changes_all_rows(plan));
        let mut passes = passes();
        passes.train(size, optimization.penalty);
        let trained = passes.bytes();
        for &tokens in &corpus.evaluated {
            let EvaluationSizes { batch, warm_up } = evaluation_sizes(plan, tokens);
            warm_up.into_iter().for_each(|size| passes.read(size));
            passes.evaluate(batch);
        }
        if !plan.sample.prefixes.is_empty() {
            passes.read(BatchSize { steps: WARM_UP, columns: 1 });
            passes.logits(1);
        }
        let packed = passes.packed_bytes();
        let copies = copies(plan).saturating_mul(parameter_bytes(&config));
        Ok(MemoryEstimate {
            parameters: copies.saturating_add(gradients.bytes()).saturating_add(packed),
            training: trained.saturating_sub(packed),
            evaluation: passes.bytes() - trained.max(packed),
        })
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        self.parameters.saturating_add(self.training).saturating_add(self.evaluation)
    }

    /// The settings to reduce in order to reduce the largest part.
    fn to_reduce(self, plan: &Plan, vocab_size: usize) -> &'static str {
        if self.training >= self.parameters && self.training >= self.evaluation {
            return "`training.batch_size`, `training.bptt` or `text.max_vocab_size`";
        }
        if self.evaluation >= self.parameters {
            return "`evaluation.batch_size` or `evaluation.bptt`";
        }
        let config = plan.model.config(vocab_size);
        let wide_input = matches!(config.input, Input::Embedding(width) if width > config.hidden_sizes[0]);
        let [mut vocabulary, mut input, mut layers] = [0u64; 3];
        for (name, shape) in config.parameter_shapes() {
            let part = match name.as_str() {
                "rnn.0.weight_ih" if wide_input => &mut input,
                name if name.starts_with("rnn.") => &mut layers,
                _ => &mut vocabulary,
            };
            let count = shape.iter().fold(1u64, |count, &size| count.saturating_mul(size as u64));
            *part = part.saturating_add(count);
        }
        if input > layers.max(vocabulary) {
            "`model.embedding_size`"
        } else if vocabulary > layers {
            "`text.max_vocab_size`, `model.embedding_size` or `model.hidden_size`"
        } else {
            "`model.hidden_size` or `model.layers`"
        }
    }
}

/// Returns an error if a run of this plan does not fit in memory. `held` are the bytes of the estimate that
/// are already allocated, and of data that will be freed before.
pub(crate) fn check(plan: &Plan, corpus: &Corpus, device: &Device, held: u64, ranks: usize) -> Result<()> {
    let size = CorpusSize::from(corpus);
    let estimate = MemoryEstimate::of_rank(plan, &size, device, ranks)?;
    let needed = estimate.total().saturating_sub(held);
    device.check_memory(needed).map_err(|available| {
        let reduce = estimate.to_reduce(plan, size.vocab_size);
        TrainError::NotEnoughMemory { needed, available, reduce }
    })
}

/// The bytes of a model's parameters.
pub(crate) fn parameter_bytes(config: &RnnLmConfig) -> u64 {
    (config.parameter_count() as u64).saturating_mul(size_of::<f32>() as u64)
}

/// The tensors of the size of the parameters, except gradients: the weights and the best of them, their
/// average, and the optimizer's state.
fn copies(plan: &Plan) -> u64 {
    let optimizer = match plan.optimization.optimizer {
        OptimizerPlan::Sgd { momentum: 0.0 } => 0,
        OptimizerPlan::Sgd { .. } => 1,
        OptimizerPlan::Adam { .. } => 2,
    };
    let average = u64::from(plan.optimization.averaging != AveragingRule::Off);
    2 + average + optimizer
}

/// Whether the optimizer changes all rows of an embedding in each step. Those of a sampled softmax are lazy.
fn changes_all_rows(plan: &Plan) -> bool {
    if matches!(plan.model.softmax, SoftmaxPlan::Sampled(_)) {
        return false;
    }
    let plain = OptimizerPlan::Sgd { momentum: 0.0 };
    plan.optimization.optimizer != plain || plan.optimization.weight_decay != 0.0
}

/// The batches of the evaluation of a text, and of the passes before it that find the columns' states.
struct EvaluationSizes {
    batch: BatchSize,
    warm_up: Option<BatchSize>,
}

fn evaluation_sizes(plan: &Plan, tokens: usize) -> EvaluationSizes {
    let (columns, bptt) = (plan.evaluation.batch_size, plan.evaluation.bptt);
    let batch = evaluation_batch(tokens, columns, bptt);
    let several = column_count(tokens, columns) > 1;
    let warm_up = several.then(|| BatchSize { steps: batch.steps.min(WARM_UP), columns: batch.columns });
    EvaluationSizes { batch, warm_up }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    const WIKITEXT_2: fn() -> CorpusSize =
        || CorpusSize { vocab_size: 33_278, train: 2_088_628, evaluated: vec![217_646, 245_569] };

    fn plan(settings: &str) -> Plan {
        Plan::new(&Settings::parse("test", settings).unwrap()).unwrap()
    }

    fn estimate(settings: &str) -> MemoryEstimate {
        MemoryEstimate::of(&plan(settings), &WIKITEXT_2(), &Device::cpu(1).unwrap()).unwrap()
    }

    #[test]
    fn the_largest_part_is_to_be_reduced() {
        for (settings, expected) in [
            ("", "`training.batch_size`, `training.bptt` or `text.max_vocab_size`"),
            ("[model]\nhidden_size = 1000000", "`model.hidden_size` or `model.layers`"),
            ("[model]\nembedding_size = 10000000\nhidden_size = 20000", "`model.embedding_size`"),
            (
                "[training]\nbptt = 1\nbatch_size = 1\n[evaluation]\nbatch_size = 1000\nbptt = 200",
                "`evaluation.batch_size` or `evaluation.bptt`",
            ),
            (
                "[training]\nbptt = 1\n[model]\nembedding_size = 1000",
                "`text.max_vocab_size`, `model.embedding_size` or `model.hidden_size`",
            ),
        ] {
            assert_eq!(estimate(settings).to_reduce(&plan(settings), 33_278), expected, "{settings}");
        }
    }

    #[test]
    fn each_setting_adds_its_memory() {
        let base = estimate("").total();
        let parameters = parameter_bytes(&plan("").model.config(33_278));
        for (settings, copies) in [
            ("[optimization]\nmomentum = 0.9", 1),
            ("[optimization]\noptimizer = 'adam'", 2),
            ("[optimization]\naveraging = 'asgd'", 1),
        ] {
            assert_eq!(estimate(settings).total(), base + copies * parameters, "{settings}");
        }
        for settings in [
            "[training]\nbatch_size = 40",
            "[training]\nbptt = 70",
            "[training]\nvariable_bptt = true",
            "[evaluation]\nbatch_size = 60",
            "[evaluation]\nbptt = 70",
            "[sample]\nprefix = ['the']",
            "[model]\nhidden_size = 201",
            "[model]\nlayers = 3",
        ] {
            assert!(estimate(settings).total() > base, "{settings}");
        }
        // A sampled softmax needs neither the logits nor the gradients of the whole vocabulary.
        let sampled = estimate("[model]\nsoftmax = 'sampled:4096'").total();
        assert!(sampled < base - base / 3, "{sampled} instead of {base}");
    }
}
