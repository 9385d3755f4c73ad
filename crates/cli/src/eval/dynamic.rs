//! Dynamic evaluation: the model trains on the text while it is evaluated.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::Split;
use rondo_infer::Cache;
use rondo_nn::Workspace;
use rondo_train::{DynamicEvaluation, DynamicRule, GradientRms, TrainError, evaluate_dynamically};
use serde_json::{Map, Value};

use super::report::{Adapted, Findings};
use super::text::{self, Text};
use super::{measure, token_bar};
use crate::console::Console;
use crate::model_args::Loaded;
use crate::output;

/// Time steps per batch for the model alone; affects only speed.
const BASE_BPTT: usize = 35;

/// Dynamic evaluation, if requested.
#[derive(Args, Debug)]
pub(super) struct DynamicArgs {
    /// Dynamic evaluation: update the weights after each segment of the text, by SGD or scaled by the RMS of gradients
    /// on the training text. The model file is not changed [default: off]
    #[arg(
        long,
        value_name = "RULE",
        conflicts_with_all = ["bptt", "ngram"],
        help_heading = "Dynamic evaluation"
    )]
    dynamic: Option<RuleName>,
    /// Learning rate of dynamic evaluation [default: 0.5 for sgd, 0.00005 for rms]
    #[arg(long, value_name = "RATE", requires = "dynamic", help_heading = "Dynamic evaluation")]
    dynamic_learning_rate: Option<f64>,
    /// Decay toward the trained weights after each step, scaled by the RMS for rms; 0 is off [default: 0 for sgd, 0.002
    /// for rms]
    #[arg(long, value_name = "DECAY", requires = "dynamic", help_heading = "Dynamic evaluation")]
    dynamic_decay: Option<f64>,
    /// Time steps per segment [default: 5]
    #[arg(long, value_name = "STEPS", requires = "dynamic", help_heading = "Dynamic evaluation")]
    dynamic_bptt: Option<NonZeroUsize>,
    /// Maximum global norm of a segment's gradient [default: no clipping]
    #[arg(long, value_name = "NORM", requires = "dynamic", help_heading = "Dynamic evaluation")]
    dynamic_clip_norm: Option<f64>,
    /// Text to collect the RMS of gradients on, for rms [default: the training text of the model's corpus]
    #[arg(long, value_name = "FILE", requires = "dynamic", help_heading = "Dynamic evaluation")]
    dynamic_on: Option<PathBuf>,
    /// Number of batches of that text to use, 100 sequences each, for rms [default: 500]
    #[arg(long, value_name = "BATCHES", requires = "dynamic", help_heading = "Dynamic evaluation")]
    dynamic_batches: Option<NonZeroUsize>,
}

/// [`DynamicRule`], as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RuleName {
    Sgd,
    Rms,
}

/// The parameters of the rule, with all defaults filled in.
struct Numbers {
    name: &'static str,
    learning_rate: f64,
    decay: f64,
    bptt: usize,
}

impl DynamicArgs {
    /// Added to the RMS of gradients before dividing by it. This and the defaults of rms are those of the code of
    /// Krause, Kahembwe, Murray & Renals.
    const EPSILON: f64 = 2e-5;

    /// Whether dynamic evaluation was requested.
    pub(super) fn is_wanted(&self) -> bool {
        self.dynamic.is_some()
    }

    /// Evaluates the text with the model alone and with dynamic evaluation.
    pub(super) fn evaluate(
        &self,
        batch_size: usize,
        cache: Option<Cache>,
        text: &Text,
        loaded: &mut Loaded,
        console: Console,
    ) -> Result<Findings> {
        let numbers = self.numbers();
        let Numbers { learning_rate, decay, bptt, .. } = numbers;
        let without = DynamicEvaluation {
            batch_size,
            bptt,
            rule: DynamicRule::Sgd { learning_rate, decay },
            clip_norm: self.dynamic_clip_norm,
            cache,
        };
        // Report mistakes before spending hours on the rest.
        without.check()?;
        self.check_effects()?;
        let gradient_rms = match self.dynamic {
            Some(RuleName::Rms) => Some(self.gradient_rms(bptt, loaded, console)?),
            _ => None,
        };
        let base = measure((batch_size, BASE_BPTT), text, None, loaded, console)?.0.all;
        let options = match &gradient_rms {
            None => without,
            Some(gradient_rms) => DynamicEvaluation {
                rule: DynamicRule::Rms { learning_rate, decay, epsilon: Self::EPSILON, gradient_rms },
                ..without
            },
        };
        let bar = token_bar(console, text);
        let mut progress = |done| {
            bar.set_position(done);
            ControlFlow::Continue(())
        };
        let begun = Instant::now();
        let mut workspace = Workspace::new(loaded.model.device());
        let Some(model) = loaded.model.model_mut() else {
            unreachable!("nobody else has the model that the command has opened")
        };
        let found = evaluate_dynamically(model, &mut workspace, &text.ids, &options, &mut progress)?;
        let tokens_per_s = found.dynamic.tokens as f64 / begun.elapsed().as_secs_f64();
        let summary = format!(
            "{}, learning rate {learning_rate}, decay {decay}, a step every {bptt} time steps",
            numbers.name
        );
        let settings = numbers.settings(self.dynamic_clip_norm);
        let evaluation = found.dynamic;
        let mut adapted =
            vec![Adapted { evaluation, name: "dynamic", title: "dynamic", summary, settings, table: None }];
        if let (Some(evaluation), Some(cache)) = (found.with_cache, cache) {
            adapted.push(Adapted::dynamic_with_cache(evaluation, &cache));
        }
        Ok(Findings::adapted(base, adapted, tokens_per_s))
    }

    /// Refuses flags that have no effect with the chosen rule.
    fn check_effects(&self) -> Result<()> {
        let given =
            [("dynamic_on", self.dynamic_on.is_some()), ("dynamic_batches", self.dynamic_batches.is_some())];
        match given.into_iter().find(|&(_, given)| given && self.dynamic != Some(RuleName::Rms)) {
            Some((setting, _)) => {
                Err(TrainError::NoEffect { setting, condition: "`dynamic` is `rms`" }.into())
            }
            None => Ok(()),
        }
    }

    fn numbers(&self) -> Numbers {
        let (name, learning_rate, decay) = match self.dynamic {
            Some(RuleName::Rms) => ("rms", 5e-5, 0.002),
            _ => ("sgd", 0.5, 0.0),
        };
        Numbers {
            name,
            learning_rate: self.dynamic_learning_rate.unwrap_or(learning_rate),
            decay: self.dynamic_decay.unwrap_or(decay),
            bptt: self.dynamic_bptt.map_or(5, NonZeroUsize::get),
        }
    }

    fn gradient_rms(&self, bptt: usize, loaded: &Loaded, console: Console) -> Result<GradientRms> {
        let text = match &self.dynamic_on {
            Some(path) => text::given_text(std::slice::from_ref(path), false, loaded, console)?,
            None => text::corpus_text(&[], Split::Train, "--dynamic-on", false, loaded, console)?,
        };
        let bar =
            console.bar("{bar:24}  {human_pos} of {human_len} batches of the training text  {eta} left");
        let mut progress = |done: usize, count: usize| {
            bar.set_length(count as u64);
            bar.set_position(done as u64);
            ControlFlow::Continue(())
        };
        let batches = self.dynamic_batches.map_or(500, NonZeroUsize::get);
        let (model, mut workspace) = (loaded.model.model(), Workspace::new(loaded.model.device()));
        Ok(GradientRms::gather(model, &mut workspace, &text.ids, bptt, batches, &mut progress)?)
    }
}

impl Numbers {
    /// For JSON.
    fn settings(&self, clip_norm: Option<f64>) -> Map<String, Value> {
        let mut settings = Map::from_iter([
            ("rule".to_owned(), self.name.into()),
            ("learning_rate".to_owned(), output::number(self.learning_rate)),
            ("decay".to_owned(), output::number(self.decay)),
            ("bptt".to_owned(), self.bptt.into()),
        ]);
        if let Some(clip_norm) = clip_norm {
            settings.insert("clip_norm".to_owned(), output::number(clip_norm));
        }
        settings
    }
}
