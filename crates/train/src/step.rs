//! One training step: forward, loss, back, clipping, and the optimiser's step.
//!
//! Whoever trains takes this one: the trainer, and the measurement of its speed.

use rondo_data::{Batches, Chunk};
use rondo_nn::{ActivationPenalty, Gradients, Mode, RnnLm, State, Workspace};

use crate::optimizer::Optimizer;

/// What a step works on.
pub(crate) struct Step<'a> {
    pub(crate) model: &'a mut RnnLm,
    pub(crate) workspace: &'a mut Workspace,
    pub(crate) gradients: &'a mut Gradients,
    pub(crate) optimizer: &'a mut Optimizer,
    /// Read, and left as the chunk's last.
    pub(crate) state: &'a mut State,
}

/// The numbers that a step goes by.
#[derive(Clone, Copy)]
pub(crate) struct StepTerms {
    /// The seed of the masks, and the step they are of.
    pub(crate) mode: Mode,
    /// What the gradient of the summed losses is multiplied by.
    pub(crate) gradient_scale: f64,
    pub(crate) penalty: ActivationPenalty,
    pub(crate) learning_rate: f64,
}

/// What a step has found.
#[derive(Clone, Copy)]
pub(crate) struct StepOutcome {
    /// The sum of the chunk's losses, in nats.
    pub(crate) nll_sum: f64,
    /// The global norm of the gradient before it was clipped.
    pub(crate) gradient_norm: f64,
}

/// A number of a step is infinite or none at all; the parameters are as they were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NonFinite {
    /// `loss` or `gradient norm`.
    pub(crate) what: &'static str,
    pub(crate) found: f64,
}

impl Step<'_> {
    /// Takes the step on a chunk.
    pub(crate) fn take(self, tokens: &Tokens, terms: StepTerms) -> Result<StepOutcome, NonFinite> {
        let Step { model, workspace, gradients, optimizer, state } = self;
        gradients.clear();
        let mut tape = workspace.tape(model.parameters(), terms.mode);
        let hidden = model.forward(&mut tape, &tokens.inputs, state);
        let loss = model.loss(&mut tape, hidden, &tokens.targets);
        let nll_sum = tape.nll_sum(loss);
        if !nll_sum.is_finite() {
            return Err(NonFinite { what: "loss", found: nll_sum });
        }
        model.penalise(&mut tape, hidden, terms.penalty);
        tape.backward(loss, terms.gradient_scale as f32, gradients);
        drop(tape);
        let gradient_norm = optimizer.step(terms.learning_rate, gradients, model.parameters_mut());
        if !gradient_norm.is_finite() {
            return Err(NonFinite { what: "gradient norm", found: gradient_norm });
        }
        Ok(StepOutcome { nll_sum, gradient_norm })
    }
}

/// The inputs and targets of a chunk, in memory that serves all chunks.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) inputs: Vec<u32>,
    pub(crate) targets: Vec<u32>,
}

impl Tokens {
    /// None yet, with memory for `capacity` of each.
    pub(crate) fn new(capacity: usize) -> Tokens {
        Tokens { inputs: Vec::with_capacity(capacity), targets: Vec::with_capacity(capacity) }
    }

    /// Takes those of another chunk.
    pub(crate) fn fill(&mut self, batches: &Batches, chunk: Chunk) -> crate::Result<()> {
        let count = chunk.steps * batches.batch_size();
        self.inputs.resize(count, 0);
        self.targets.resize(count, 0);
        Ok(batches.fill(chunk, &mut self.inputs, &mut self.targets)?)
    }
}
