//! What a trainer is made of: the configuration of its model, its batches, and what draws the tokens of a sampled softmax.

use rondo_data::{Batches, Corpus, Units, VocabSource};
use rondo_infer::Resets;
use rondo_kernels::Device;
use rondo_nn::{Model, RnnLmConfig};

use crate::checkpoint::Checkpoint;
use crate::memory;
use crate::sampler::{Sampler, counts};
use crate::{Plan, Result, SoftmaxPlan, TrainError};

/// Checks that there are batches, whose size decides what memory is needed, and that the run fits in memory.
/// `held` are the bytes of the run that are already allocated, or that will be freed.
pub(super) fn check_memory(
    plan: &Plan,
    corpus: &Corpus,
    device: &Device,
    held: u64,
    ranks: usize,
) -> Result<()> {
    batches(plan, corpus)?;
    memory::check(plan, corpus, device, held, ranks)
}

/// The configuration of a new model. With an adaptive softmax, special tokens and then the most frequent ones come first,
/// as in a vocabulary that is ordered by frequency.
pub(super) fn new_config(plan: &Plan, corpus: &Corpus) -> RnnLmConfig {
    let vocab = corpus.vocab();
    let mut config = plan.model.config(vocab.len());
    if let Some(softmax) = config.adaptive_softmax.take() {
        let is_special = |id: &u32| match &plan.text.options.vocab {
            VocabSource::Build { options, .. } | VocabSource::List { options, .. } => {
                let token = vocab.token(*id);
                options.unknown.iter().chain(&options.reserved).any(|special| Some(special.as_str()) == token)
            }
            VocabSource::Given(_) | VocabSource::Extend { .. } | VocabSource::TokenizerFile(_) => false,
        };
        let (special, others): (Vec<u32>, Vec<u32>) =
            vocab.ids_by_frequency().into_iter().partition(is_special);
        config.adaptive_softmax = Some(softmax.with_order([special, others].concat()));
    }
    config
}

/// The configuration of the plan's model. With an adaptive softmax, the tokens are ranked as in the model `before`, which
/// was trained before.
pub(super) fn config_of(plan: &Plan, vocab_size: usize, before: Option<&RnnLmConfig>) -> RnnLmConfig {
    let mut config = plan.model.config(vocab_size);
    let before = before.and_then(|before| before.adaptive_softmax.as_ref());
    if let (Some(softmax), Some(before)) = (&mut config.adaptive_softmax, before)
        && softmax.cutoffs() == before.cutoffs()
    {
        softmax.clone_from(before);
    }
    config
}

/// Whether the checkpoint is one of a model with this configuration, except for dropout.
pub(super) fn has_shape(checkpoint: &Checkpoint, config: &RnnLmConfig) -> bool {
    checkpoint
        .config()
        .is_some_and(|found| RnnLmConfig { dropout: config.dropout, ..found.clone() } == *config)
}

/// The batches of the training text; at least one must be full. If the state is reset before each line or paragraph,
/// these, too.
pub(super) fn batches(plan: &Plan, corpus: &Corpus) -> Result<(Batches, Option<Units>)> {
    let training = &plan.training;
    let (batch_size, bptt, last_batch) = (training.batch_size, training.bptt, training.last_batch);
    match resets(plan, corpus)? {
        None => Ok((Batches::with_full_batch(&corpus.train, batch_size, bptt, last_batch)?, None)),
        Some(Resets { unit, line_end }) => {
            let units = Units::find(&corpus.train, unit, line_end)?;
            let batches = Batches::of_units(&corpus.train, &units, None, batch_size, bptt)?;
            Ok((batches, Some(units)))
        }
    }
}

/// What draws the tokens of a sampled softmax, if the plan has one.
pub(super) fn sampler(plan: &Plan, corpus: &Corpus, model: &dyn Model) -> Result<Option<Sampler>> {
    let SoftmaxPlan::Sampled(sampled) = plan.model.softmax else { return Ok(None) };
    if model.decoder().is_none() {
        let condition = "the logits of the model are those of a dense layer";
        return Err(TrainError::NoEffect { setting: "model.softmax", condition });
    }
    Ok(Some(Sampler::new(sampled, &counts(&corpus.train, model.vocab_size())?)))
}

/// Where the state is reset, if before each line or paragraph.
pub(super) fn resets(plan: &Plan, corpus: &Corpus) -> Result<Option<Resets>> {
    let Some(unit) = plan.training.reset_state.unit() else { return Ok(None) };
    match corpus.codec.line_end() {
        Some(line_end) => Ok(Some(Resets { unit, line_end })),
        None => Err(TrainError::NoLineEnds { reset_state: plan.training.reset_state }),
    }
}
