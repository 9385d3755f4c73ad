//! `rondo generate --beam`: beam search for the most likely texts.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Args;
use rondo_data::{Spacing, Vocab};
use rondo_infer::{BeamSearch, Hypothesis};
use serde_json::{Value, json};

use super::{GenerateArgs, SEPARATOR, TOKENS, end_line};
use crate::error::CliError;
use crate::model_args::Loaded;
use crate::output;

/// Beam search, if requested.
#[derive(Args, Debug)]
#[command(next_help_heading = "Search")]
pub(super) struct SearchArgs {
    /// Beam search with this beam width instead of sampling: finds the most likely texts up to a line end; --samples
    /// sets how many to print
    #[arg(
        long,
        value_name = "WIDTH",
        conflicts_with_all = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "logit_bias", "prompts", "seed"]
    )]
    pub(super) beam: Option<NonZeroUsize>,
    /// Exponent of the length penalty; larger values favor longer texts; 0 is off
    #[arg(
        long,
        value_name = "ALPHA",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        requires = "beam"
    )]
    length_penalty: f64,
}

/// Prints the best texts that continue `prefix`, which is read after `start`, with this spacing.
pub(super) fn run(
    args: &GenerateArgs,
    beams: NonZeroUsize,
    loaded: &Loaded,
    prefix: &[u32],
    start: &[u32],
    spacing: Spacing,
) -> Result<()> {
    if args.samples > beams {
        return Err(CliError::MoreThanBeams { samples: args.samples.get(), beams: beams.get() }.into());
    }
    let codec = loaded.codec();
    let search = BeamSearch {
        beams: beams.get(),
        max_tokens: args.tokens.unwrap_or(TOKENS),
        length_penalty: args.search.length_penalty,
        ends: codec.line_end().into_iter().collect(),
        forbidden: loaded.forbidden(args.forbid_unk),
    };
    let mut found = loaded.model.search(&search, start)?;
    found.truncate(args.samples.get());
    let mut texts = Vec::new();
    for hypothesis in &found {
        let (mut decoder, mut text) = (codec.decoder(spacing), Vec::new());
        prefix.iter().chain(&hypothesis.ids).try_for_each(|&id| decoder.push(id, &mut text))?;
        texts.push(text);
    }
    if args.json {
        let samples =
            found.iter().zip(&texts).map(|(hypothesis, text)| object(hypothesis, text, codec.vocab()));
        return output::json(&json!({ "samples": samples.collect::<Result<Value>>()? }));
    }
    output::write(|out| {
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                writeln!(out, "{SEPARATOR}")?;
            }
            out.write_all(text)?;
            end_line(text, out)?;
        }
        Ok(())
    })
}

fn object(hypothesis: &Hypothesis, text: &[u8], vocab: &Vocab) -> Result<Value> {
    Ok(json!({
        "text": String::from_utf8_lossy(text),
        "tokens": vocab.decode(&hypothesis.ids)?,
        "log_prob": output::number(hypothesis.log_prob_sum),
        "score": output::number(hypothesis.score),
        "ended": hypothesis.ended,
    }))
}
