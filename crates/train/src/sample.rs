//! A piece of text from the model in training, to read how it is coming along.

use rondo_data::Corpus;
use rondo_infer::{Generator, Sampling};
use rondo_nn::{Model, Workspace};

use crate::{Result, SamplePlan};

/// Continues `prefix` as the plan says; the prefix is not part of the result.
///
/// A prefix without a token stands for the beginning of a text: what follows the end of a line.
pub(crate) fn generate(
    model: &dyn Model,
    workspace: &mut Workspace,
    corpus: &Corpus,
    plan: &SamplePlan,
    prefix: &str,
    seed: u64,
) -> Result<String> {
    let codec = &corpus.codec;
    let mut ids = codec.encode_prefix(prefix)?;
    if ids.is_empty() {
        // Where no token ends a line, the first of the training text begins it.
        let start = match codec.line_end() {
            None => corpus.train.first()?,
            line_end => line_end,
        };
        ids.extend(start);
    }
    let sampling = Sampling { temperature: plan.temperature as f32, ..Sampling::default() };
    let mut generator = Generator::new(model, workspace, &ids, 1, &sampling, seed)?;
    let mut drawn = Vec::with_capacity(plan.length);
    for _ in 0..plan.length {
        drawn.extend_from_slice(generator.step()?);
    }
    Ok(codec.decode(&drawn)?)
}
