//! The flags that interpolate a model with an n-gram model.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use rondo_data::{Arpa, TokenIds};
use rondo_infer::Interpolation;
use rondo_runs::Perplexity;

use crate::console::Console;
use crate::describe;
use crate::input::Input;
use crate::model_args::Loaded;

/// The batches in which the text to tune on is read; they affect only speed.
const BATCH_SIZE: usize = 20;
const BPTT: usize = 35;

/// The n-gram model to interpolate with, if any.
#[derive(Args, Debug)]
pub(crate) struct NgramArgs {
    /// ARPA file with an n-gram model of words to interpolate with, token by token: (1 - W) times the model's probability
    /// plus W times the n-gram model's [default: none]
    #[arg(long, value_name = "FILE", help_heading = "N-gram model")]
    ngram: Option<PathBuf>,
    /// Weight W of the n-gram model, from 0 to 1 [default: tuned with --ngram-tune, else 0.5]
    #[arg(
        long,
        value_name = "W",
        requires = "ngram",
        conflicts_with = "ngram_tune",
        allow_negative_numbers = true,
        help_heading = "N-gram model"
    )]
    ngram_weight: Option<f64>,
    /// Text to tune the weight on, by expectation maximization, such as the validation text
    #[arg(long, value_name = "FILE", requires = "ngram", help_heading = "N-gram model")]
    ngram_tune: Option<PathBuf>,
}

/// An n-gram model that has been read, with its weight.
pub(crate) struct LoadedNgram {
    /// Its file.
    pub(crate) origin: String,
    /// The model and its weight.
    pub(crate) interpolation: Interpolation,
    /// The text that the weight was tuned on.
    pub(crate) tuned_on: Option<String>,
}

impl NgramArgs {
    /// Whether there is one.
    pub(crate) fn is_wanted(&self) -> bool {
        self.ngram.is_some()
    }

    /// Reads the n-gram model, if one is given, and tunes its weight if requested. Notes words that only one of the two
    /// models knows.
    pub(crate) fn load(&self, loaded: &Loaded, console: Console) -> Result<Option<LoadedNgram>> {
        let Some(path) = &self.ngram else { return Ok(None) };
        let input = &Input::all(std::slice::from_ref(path))[0];
        let origin = input.origin();
        let arpa = Arc::new(Arpa::read(input.open(console)?, &origin)?);
        let weight = self.ngram_weight.unwrap_or(0.5);
        let mut interpolation = Interpolation::new(arpa, loaded.codec(), weight)?;
        note_unknown(&interpolation, loaded, &origin, console);
        let mut tuned_on = None;
        if let Some(path) = &self.ngram_tune {
            let input = &Input::all(std::slice::from_ref(path))[0];
            let ids =
                TokenIds::from(loaded.codec().encode_reader(input.open(console)?, &input.origin())?.ids);
            let go_on = &mut |_| ControlFlow::Continue(());
            let tuned = loaded.model.tune_ngram(&ids, &interpolation, BATCH_SIZE, BPTT, go_on)?;
            let [base, ngram, mixed] = [tuned.base, tuned.ngram, tuned.mixed]
                .map(|evaluation| Perplexity::from_nll_mean(evaluation.nll_mean()));
            console.say(&format!(
                "n-gram weight {:.4}, tuned on {}: perplexity {base} (model), {ngram} (n-gram model), {mixed} \
                 (interpolated)",
                tuned.weight,
                input.origin()
            ));
            interpolation = interpolation.with_weight(tuned.weight)?;
            tuned_on = Some(input.origin());
        }
        Ok(Some(LoadedNgram { origin, interpolation, tuned_on }))
    }
}

fn note_unknown(interpolation: &Interpolation, loaded: &Loaded, origin: &str, console: Console) {
    let (tokens, words) = (interpolation.unknown_tokens(), interpolation.unknown_words());
    if tokens > 0 {
        let probability = if interpolation.arpa().lists_unknown() {
            "have the probability of its `<unk>` there"
        } else {
            "are impossible there, because it has no `<unk>`"
        };
        console.say(&format!(
            "note: {} of the {} tokens of the model are not in `{origin}`: they {probability}",
            describe::count(tokens),
            describe::count(loaded.codec().vocab().len())
        ));
    }
    if words > 0 {
        console.say(&format!(
            "note: {} of the {} words of `{origin}` are not in the model's vocabulary",
            describe::count(words),
            describe::count(interpolation.arpa().words().len())
        ));
    }
}
