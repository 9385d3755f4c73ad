//! The root mean square of each weight's gradient, computed on the training text, for dynamic evaluation.

use std::ops::ControlFlow;

use rondo_data::{Batches, LastBatch, TokenIds};
use rondo_infer::{InferError, check_text, column_count, warm_state};
use rondo_kernels::{Slice, Store, elementwise};
use rondo_nn::{Gradient, Gradients, Mode, Model, NnError, ParameterId, Parameters, Workspace};

use crate::{Quantity, Result, TrainError};

/// The root mean square (RMS) of each weight's gradient.
///
/// ```text
/// √MS = √(mean over batches of g²)        g: the gradient of a batch's mean loss, at the trained weights
/// ```
///
/// # Source
/// Krause, Kahembwe, Murray & Renals 2018, who use batches of 100 columns by 5 steps.
#[derive(Debug)]
pub struct GradientRms {
    rms: Parameters,
    mean: f64,
}

impl GradientRms {
    /// The batch size used in the source. The variance of the gradients, and thus their size, depends on the
    /// batch size, and so do suitable values of the learning rate and `ε`.
    pub const BATCH_SIZE: usize = 100;

    /// Computes them from the batches of `ids`, or from the first `max_batches` of them. These contain the
    /// beginning of each column, so that they cover all parts of the text. No dropout is applied, and no
    /// weight is changed.
    ///
    /// `progress` is called with the number of batches done and their total number.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if a size is 0, those of [`check_text`], [`TrainError::Diverged`] if the
    /// gradients are not finite or all zero, [`InferError::Stopped`] if `progress` breaks before the end, and
    /// [`InferError::NotEnoughMemory`] if the batches do not fit in memory.
    pub fn gather(
        model: &dyn Model,
        workspace: &mut Workspace,
        ids: &TokenIds,
        bptt: usize,
        max_batches: usize,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<GradientRms> {
        for (name, size) in [("dynamic_bptt", bptt), ("dynamic_batches", max_batches)] {
            if size == 0 {
                return Err(InferError::ZeroSize { name }.into());
            }
        }
        check_text(model, ids)?;
        let columns = column_count(ids.len(), Self::BATCH_SIZE);
        let batches = Batches::new(ids, columns, bptt, LastBatch::Keep)?;
        super::check_segments(model, &batches)?;
        let count = batches.batch_count().min(max_batches);
        let parameters = model.parameters();
        let device = parameters.device();
        let mut state = warm_state(model, workspace, ids, &batches)?;
        let mut gradients = Gradients::new(parameters);
        let mut rms = parameters.like();
        let longest = bptt.min(batches.column_len() - 1) * columns;
        let (mut inputs, mut targets) = (vec![0; longest], vec![0; longest]);
        let mut tokens = 0;
        for index in 0..count {
            let batch = batches.batch(index);
            let rows = batch.steps * columns;
            let (inputs, targets) = (&mut inputs[..rows], &mut targets[..rows]);
            batches.fill(batch, inputs, targets)?;
            gradients.clear();
            let mut tape = workspace.tape(parameters, Mode::Dynamic);
            let hidden = model.forward(&mut tape, inputs, &mut state);
            let loss = model.loss(&mut tape, hidden, targets);
            tape.backward(loss, 1.0 / rows as f32, &mut gradients)?;
            drop(tape);
            for id in parameters.ids() {
                gradients.densify(parameters, id);
                if let Gradient::Dense(gradient) = gradients.get(id) {
                    elementwise::multiply(device, gradient, gradient, rms.values_mut(id), Store::Add);
                }
            }
            tokens += rows as u64;
            if progress(index + 1, count).is_break() && index + 1 < count {
                let total_tokens = (count * longest) as u64;
                return Err(InferError::Stopped { done_tokens: tokens, total_tokens }.into());
            }
        }
        let mut sum_of_means = 0.0;
        for id in parameters.ids() {
            let mut values = rms.values(id).read().map_err(NnError::from)?.into_owned();
            let mut sum = 0.0;
            for value in values.iter_mut() {
                *value = (*value / count as f32).sqrt();
                sum += f64::from(*value);
            }
            sum_of_means += sum / values.len() as f64;
            rms.values_mut(id).write_from(&values).map_err(NnError::from)?;
        }
        let mean = sum_of_means / parameters.ids().len() as f64;
        if mean.is_finite() && mean > 0.0 {
            Ok(GradientRms { rms, mean })
        } else {
            Err(TrainError::Diverged { what: Quantity::MeanGradient, found: mean, tokens })
        }
    }

    /// `√MS` of one parameter.
    #[must_use]
    pub fn rms(&self, id: ParameterId) -> Slice<'_> {
        self.rms.values(id)
    }

    /// The mean over all parameters of the mean of their `√MS`. Each parameter has the same weight, as in the
    /// source; otherwise the embedding of a large vocabulary would dominate, most of which never has a
    /// gradient.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }
}
