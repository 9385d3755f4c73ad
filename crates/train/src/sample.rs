//! Generates samples from the model during training, to show its progress.

use rondo_data::Corpus;
use rondo_infer::{ModelHandle, Sampling, Streams};

use crate::{Result, SamplePlan};

/// Generates a continuation of `prefix` as the plan says. The prefix is not part of the result.
///
/// The prefix is encoded like any prompt ([`TextCodec::prompt`](rondo_data::TextCodec::prompt)). If the
/// tokenizer has no end-of-line token, an empty prefix is replaced by the first token of the training text.
pub(crate) fn generate(
    model: &ModelHandle,
    corpus: &Corpus,
    plan: &SamplePlan,
    prefix: &str,
    seed: u64,
) -> Result<String> {
    let codec = &corpus.codec;
    let mut prompt = codec.prompt(prefix)?;
    if prompt.is_empty() {
        prompt.extend(corpus.train.first()?);
    }
    let sampling = Sampling { temperature: plan.temperature as f32, ..Sampling::default() };
    let mut streams = Streams::new(model);
    streams.admit(&prompt, &sampling, seed)?;
    let mut drawn = vec![];
    for _ in 0..plan.length {
        drawn.extend(streams.step()?.iter().map(|token| token.token));
    }
    Ok(codec.decode(&drawn)?)
}
