//! A piece of text by the model in training, to read how it is coming along.

use rondo_data::Corpus;
use rondo_infer::{ModelHandle, Sampling, Streams};

use crate::{Result, SamplePlan};

/// Continues `prefix` as the plan says; the prefix is not part of the result.
///
/// The prefix is read as every prompt is ([`TextCodec::prompt`](rondo_data::TextCodec::prompt)). Where no token ends a
/// line, the first one of the training text stands for an empty prefix.
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
    let mut drawn = Vec::with_capacity(plan.length);
    for _ in 0..plan.length {
        drawn.extend(streams.step()?.iter().map(|token| token.token));
    }
    Ok(codec.decode(&drawn)?)
}
