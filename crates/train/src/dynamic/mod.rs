//! Dynamic evaluation: the model goes on learning from the text that it is evaluated on.
//!
//! ```text
//! text      segment 0        segment 1        segment 2
//!           evaluate ─ step  evaluate ─ step  evaluate …        state: carried on
//! weights   w₀ ───────────▶ w₁ ────────────▶ w₂                 each step decays toward w₀, the trained weights
//! ```
//!
//! Promises: each segment is predicted before anything is learnt from it; the caller's model has its trained weights
//! again afterwards, whatever happens; with learning rate and decay 0 the number is that of the same segments without
//! a step.
//! Not here: the neural cache, which changes no weights (`rondo-infer`).

mod gradient_rms;

use std::ops::ControlFlow;

use rondo_data::{Batches, LastBatch, TokenIds};
use rondo_infer::{Evaluation, InferError, check_text, column_count, warm_state};
use rondo_kernels::optimizer::{self, Dynamic, GLUON_EPSILON, RmsScale};
use rondo_nn::{Gradient, Gradients, Mode, Model, ParameterId, Parameters, Workspace};

use crate::optimizer::global_norm;
use crate::{Quantity, Result, TrainError};
pub use gradient_rms::GradientRms;

/// How a model learns while it is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct DynamicEvaluation<'a> {
    /// Columns that the text is cut into, as in any evaluation.
    pub batch_size: usize,
    /// Time steps of a segment: after each there is a step.
    pub bptt: usize,
    /// The rule of the steps.
    pub rule: DynamicRule<'a>,
    /// The largest global norm of a segment's gradient, if it is clipped.
    pub clip_norm: Option<f64>,
}

/// What a step does with the gradient `g` of a segment's mean loss.
#[derive(Clone, Copy, Debug)]
pub enum DynamicRule<'a> {
    /// `w = w − η · g + λ · (w₀ − w)`.
    Sgd {
        /// `η`.
        learning_rate: f64,
        /// `λ`; 0 is off.
        decay: f64,
    },
    /// `w = w − η · g / (√MS + ε) + min(1, λ · √MS / mean √MS) · (w₀ − w)`: what usually has large gradients is moved
    /// less by one, and drawn back more.
    Rms {
        /// `η`.
        learning_rate: f64,
        /// `λ`; 0 is off.
        decay: f64,
        /// `ε`.
        epsilon: f64,
        /// `√MS`, from the training text.
        usual: &'a GradientRms,
    },
}

impl DynamicRule<'_> {
    fn adapt(&self) -> Dynamic {
        match *self {
            DynamicRule::Sgd { learning_rate, decay } | DynamicRule::Rms { learning_rate, decay, .. } => {
                Dynamic { learning_rate, decay }
            }
        }
    }

    fn usual(&self, id: ParameterId) -> Option<RmsScale<'_>> {
        match *self {
            DynamicRule::Sgd { .. } => None,
            DynamicRule::Rms { epsilon, usual, .. } => {
                Some(RmsScale { rms: usual.rms(id), mean: usual.mean(), epsilon })
            }
        }
    }
}

impl DynamicEvaluation<'_> {
    /// Fails unless its numbers make sense.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] and [`TrainError::OutOfRange`].
    pub fn check(&self) -> Result<()> {
        for (name, size) in [("batch_size", self.batch_size), ("dynamic_bptt", self.bptt)] {
            if size == 0 {
                return Err(InferError::ZeroSize { name }.into());
            }
        }
        let Dynamic { learning_rate, decay } = self.rule.adapt();
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
                expected: "a number above 0",
            }),
            _ => Ok(()),
        }
    }
}

/// Predicts each token of a text from those before it, taking a step after each segment.
///
/// `progress` is told how many tokens have been predicted, after each segment. The model has its trained weights again
/// when this returns.
///
/// # Errors
/// As [`DynamicEvaluation::check`] and [`check_text`]; [`TrainError::Diverged`] if a loss or a norm is not finite;
/// [`InferError::Stopped`] when `progress` breaks before the end.
/// # Source
/// Krause, Kahembwe, Murray & Renals 2018, and the code beside it.
pub fn evaluate_dynamically(
    model: &mut dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    options: &DynamicEvaluation<'_>,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Evaluation> {
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
) -> Result<Evaluation> {
    let columns = column_count(ids.len(), options.batch_size);
    let batches = Batches::new(ids, columns, options.bptt, LastBatch::Keep)?;
    let total_tokens = batches.target_count() as u64;
    let mut state = warm_state(model, workspace, ids, &batches)?;
    let mut gradients = Gradients::new(model.parameters());
    let longest = options.bptt.min(batches.column_len() - 1) * columns;
    let (mut inputs, mut targets) = (vec![0; longest], vec![0; longest]);
    let mut evaluation = Evaluation { nll_sum: 0.0, tokens: 0 };
    for index in 0..batches.batch_count() {
        let batch = batches.batch(index);
        let rows = batch.steps * columns;
        let (inputs, targets) = (&mut inputs[..rows], &mut targets[..rows]);
        batches.fill(batch, inputs, targets)?;
        gradients.clear();
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
            step(model, &mut gradients, options, trained, evaluation.tokens)?;
        }
    }
    Ok(evaluation)
}

/// Changes the weights after `tokens` tokens; fails if the gradient's norm is wanted and not finite.
fn step(
    model: &mut dyn Model,
    gradients: &mut Gradients,
    options: &DynamicEvaluation<'_>,
    trained: &Parameters,
    tokens: u64,
) -> Result<()> {
    let device = trained.device();
    let mut scale = 1.0;
    if let Some(limit) = options.clip_norm {
        let norm = global_norm(device, gradients, trained)?;
        if !norm.is_finite() {
            return Err(TrainError::Diverged { what: Quantity::GradientNorm, found: norm, tokens });
        }
        scale = optimizer::clip_scale(norm, limit, GLUON_EPSILON);
    }
    let adapt = options.rule.adapt();
    for id in trained.ids() {
        let usual = options.rule.usual(id);
        if usual.is_some() || adapt.decay != 0.0 {
            // The decay changes every row, so a gradient of some rows is no cheaper.
            gradients.densify(trained, id);
        }
        let (from, weight) = (trained.values(id), model.parameters_mut().values_mut(id));
        match gradients.get(id) {
            Gradient::Rows { rows, values } => {
                let width = trained.shape(id).last().copied().unwrap_or(1);
                optimizer::sgd_rows(device, adapt.learning_rate, scale, width, rows, values, weight);
            }
            Gradient::Dense(gradient) => {
                optimizer::dynamic(device, &adapt, usual, scale, Some(gradient), from, weight);
            }
            Gradient::Zero => optimizer::dynamic(device, &adapt, usual, scale, None, from, weight),
        }
    }
    Ok(())
}
