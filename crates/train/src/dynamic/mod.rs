//! Dynamic evaluation: the model continues to learn from the text that it is evaluated on.
//!
//! ```text
//! text      segment 0        segment 1        segment 2
//!           evaluate ─ step  evaluate ─ step  evaluate …        hidden state: carried
//! weights   w₀ ───────────▶ w₁ ────────────▶ w₂                 each step decays toward w₀, the trained weights
//! ```
//!
//! Promises: each segment is predicted before the model learns from it; the caller's model has its trained
//! weights again afterwards, even after an error; with learning rate and decay 0, the result equals that of
//! the same segments without steps. A neural cache (`rondo-infer`) can take part.

mod gradient_rms;
mod update;

use std::ops::ControlFlow;

use rondo_data::{Batches, LastBatch, TokenIds};
use rondo_infer::{
    Cache, CacheReader, Evaluation, InferError, check_memory, check_text, column_count, warm_state,
};
use rondo_kernels::optimizer::{Dynamic, RmsScale};
use rondo_nn::{ActivationPenalty, BatchSize, Gradients, Mode, Model, ParameterId, Parameters, Workspace};

use crate::{Quantity, Result, TrainError};
pub use gradient_rms::GradientRms;
use update::Updates;

/// The options of dynamic evaluation.
#[derive(Clone, Copy, Debug)]
pub struct DynamicEvaluation<'a> {
    /// The batch size: the number of columns that the text is divided into, as in any evaluation.
    pub batch_size: usize,
    /// The time steps of a segment. The weights are updated after each segment.
    pub bptt: usize,
    /// The update rule.
    pub rule: DynamicRule<'a>,
    /// The maximum gradient norm of a segment, if gradients are clipped.
    pub clip_norm: Option<f64>,
    /// A neural cache to evaluate with as well; the batch size must then be 1.
    pub cache: Option<Cache>,
}

/// The result of dynamic evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicLosses {
    /// The model that learns.
    pub dynamic: Evaluation,
    /// The same with the neural cache, if there is one. It does not change what the model learns.
    pub with_cache: Option<Evaluation>,
}

/// The update rule, for the gradient `g` of a segment's mean loss.
#[derive(Clone, Copy, Debug)]
pub enum DynamicRule<'a> {
    /// `w = w − η · g + λ · (w₀ − w)`.
    Sgd {
        /// `η`.
        learning_rate: f64,
        /// `λ`; 0 is off.
        decay: f64,
    },
    /// `w = w − η · g / (√MS + ε) + min(1, λ · √MS / mean √MS) · (w₀ − w)`: weights whose gradients are
    /// usually large take smaller steps and decay more strongly toward the trained weights.
    Rms {
        /// `η`.
        learning_rate: f64,
        /// `λ`; 0 is off.
        decay: f64,
        /// `ε`.
        epsilon: f64,
        /// `√MS`, computed on the training text.
        gradient_rms: &'a GradientRms,
    },
}

impl DynamicRule<'_> {
    fn adapt(&self) -> Dynamic {
        match *self {
            DynamicRule::Sgd { learning_rate, decay } | DynamicRule::Rms { learning_rate, decay, .. } => {
                Dynamic { learning_rate, decay, decays: 1 }
            }
        }
    }

    fn rms_scale(&self, id: ParameterId) -> Option<RmsScale<'_>> {
        match *self {
            DynamicRule::Sgd { .. } => None,
            DynamicRule::Rms { epsilon, gradient_rms, .. } => {
                Some(RmsScale { rms: gradient_rms.rms(id), mean: gradient_rms.mean(), epsilon })
            }
        }
    }
}

impl DynamicEvaluation<'_> {
    /// Checks that all options are in range.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] and [`TrainError::OutOfRange`].
    pub fn check(&self) -> Result<()> {
        for (name, size) in [("batch_size", self.batch_size), ("dynamic_bptt", self.bptt)] {
            if size == 0 {
                return Err(InferError::ZeroSize { name }.into());
            }
        }
        if let Some(cache) = self.cache {
            cache.check()?;
            if self.batch_size != 1 {
                let (found, expected) = (self.batch_size.to_string(), "1 with a neural cache");
                return Err(TrainError::OutOfRange { setting: "batch_size", found, expected });
            }
        }
        let Dynamic { learning_rate, decay, .. } = self.rule.adapt();
        let epsilon = match self.rule {
            DynamicRule::Sgd { .. } => 0.0,
            DynamicRule::Rms { epsilon, .. } => epsilon,
        };
        for (setting, number) in
            [("dynamic_learning_rate", learning_rate), ("dynamic_decay", decay), ("dynamic_epsilon", epsilon)]
        {
            if !(number >= 0.0 && number.is_finite()) {
                let expected = "a finite number of at least 0";
                return Err(TrainError::OutOfRange { setting, found: number.to_string(), expected });
            }
        }
        match self.clip_norm {
            Some(limit) if limit.is_nan() || limit <= 0.0 => Err(TrainError::OutOfRange {
                setting: "dynamic_clip_norm",
                found: limit.to_string(),
                expected: "greater than 0",
            }),
            _ => Ok(()),
        }
    }
}

/// Predicts each token of a text from the previous ones, and updates the weights after each segment.
///
/// `progress` is called after each segment with the number of tokens predicted so far. The model has its
/// trained weights again when this function returns.
///
/// # Errors
/// Those of [`DynamicEvaluation::check`] and [`check_text`]; [`TrainError::Diverged`] if a loss or a gradient
/// norm is not finite; [`InferError::Stopped`] if `progress` breaks before the end;
/// [`InferError::NotEnoughMemory`] if the segments do not fit in memory.
/// # Source
/// Krause, Kahembwe, Murray & Renals 2018, and its published code.
pub fn evaluate_dynamically(
    model: &mut dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    options: &DynamicEvaluation<'_>,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<DynamicLosses> {
    options.check()?;
    check_text(model, ids)?;
    let mut trained = model.parameters().like();
    trained.copy_from(model.parameters());
    let result = segments(model, workspace, ids, options, &trained, progress);
    model.parameters_mut().copy_from(&trained);
    result
}

fn segments(
    model: &mut dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    options: &DynamicEvaluation<'_>,
    trained: &Parameters,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<DynamicLosses> {
    let columns = column_count(ids.len(), options.batch_size);
    let batches = Batches::new(ids, columns, options.bptt, LastBatch::Keep)?;
    check_segments(model, &batches)?;
    let total_tokens = batches.target_count() as u64;
    let mut state = warm_state(model, workspace, ids, &batches)?;
    let mut gradients = Gradients::with_products(model.parameters());
    let mut updates = Updates::new(options, trained, model.lookup_table());
    let longest = options.bptt.min(batches.column_len() - 1) * columns;
    let (mut inputs, mut targets) = (vec![0; longest], vec![0; longest]);
    let mut cache = options.cache.map(|cache| CacheReader::new(cache, longest)).transpose()?;
    let mut evaluation = Evaluation { nll_sum: 0.0, tokens: 0 };
    let mut cached_sum = 0.0;
    for index in 0..batches.batch_count() {
        let batch = batches.batch(index);
        let rows = batch.steps * columns;
        let (inputs, targets) = (&mut inputs[..rows], &mut targets[..rows]);
        batches.fill(batch, inputs, targets)?;
        gradients.clear();
        updates.catch_up(model, inputs);
        let mut tape = workspace.tape(model.parameters(), Mode::Dynamic);
        let hidden = model.forward(&mut tape, inputs, &mut state);
        let loss = model.loss(&mut tape, hidden, targets);
        let nll_sum = tape.nll_sum(loss)?;
        if !nll_sum.is_finite() {
            return Err(TrainError::Diverged {
                what: Quantity::Loss,
                found: nll_sum,
                tokens: evaluation.tokens,
            });
        }
        if let Some(cache) = &mut cache {
            cached_sum += cache.nll_sum(&tape, hidden, loss, targets)?;
        }
        evaluation.nll_sum += nll_sum;
        evaluation.tokens += rows as u64;
        let last = index + 1 == batches.batch_count();
        if !last {
            tape.backward(loss, 1.0 / rows as f32, &mut gradients)?;
        }
        drop(tape);
        if progress(evaluation.tokens).is_break() && !last {
            return Err(InferError::Stopped { done_tokens: evaluation.tokens, total_tokens }.into());
        }
        if !last {
            updates.step(model, &mut gradients, evaluation.tokens)?;
        }
    }
    let with_cache = cache.map(|_| Evaluation { nll_sum: cached_sum, ..evaluation });
    Ok(DynamicLosses { dynamic: evaluation, with_cache })
}

/// Checks that forward and backward passes over the segments fit in memory.
fn check_segments(model: &dyn Model, batches: &Batches) -> Result<()> {
    let steps = batches.bptt().min(batches.column_len() - 1);
    let batch = BatchSize { steps, columns: batches.batch_size() };
    Ok(check_memory(model, "dynamic evaluation", "`bptt`", |memory| {
        memory.train(batch, ActivationPenalty::default());
        memory.gradients(batch, true);
    })?)
}
