//! `rondo normalizer`: fits an approximate normalizer to a trained model; and the flag that uses it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Subcommand};
use rondo_data::Split;
use rondo_infer::{CHECK_EVERY, NormalizerCheck, NormalizerStatistics};
use rondo_kernels::Work;
use rondo_train::{NormalizerOptions, fit_normalizer};
use serde_json::{Value, json};

use crate::console::Console;
use crate::eval::corpus_text;
use crate::model_args::{DeviceArgs, Loaded};
use crate::{describe, output};

/// Fit an approximate normalizer to a model, for scores without the whole vocabulary
#[derive(Args, Debug)]
pub(crate) struct NormalizerArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Fit(FitArgs),
}

/// Fit an approximate normalizer to a model and store it in the model file
#[derive(Args, Debug)]
#[command(after_help = "\
The softmax divides by a sum over the whole vocabulary. The normalizer sums the most frequent tokens exactly and predicts \
the logarithm of the rest from the model's last hidden state. The model itself does not change: without --approximate, its \
results are the same as before. Fitting reads the training text of the model's run and takes about a minute.")]
struct FitArgs {
    /// Model file, or a run folder for its best model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    /// Number of the most frequent tokens that are summed exactly: more are slower and more exact
    #[arg(long, value_name = "TOKENS", default_value_t = NormalizerOptions::default().frequent, help_heading = "Fit")]
    frequent: usize,
    /// Number of units that predict the rest of the sum
    #[arg(long, value_name = "UNITS", default_value_t = NormalizerOptions::default().units, help_heading = "Fit")]
    units: usize,
    /// Positions of the training text to fit to, at most
    #[arg(long, value_name = "TOKENS", default_value_t = NormalizerOptions::default().positions, help_heading = "Fit")]
    positions: usize,
    /// How often each position is used
    #[arg(long, value_name = "PASSES", default_value_t = NormalizerOptions::default().passes, help_heading = "Fit")]
    passes: usize,
    /// Seed of the random numbers
    #[arg(long, value_name = "SEED", default_value_t = NormalizerOptions::default().seed, help_heading = "Fit")]
    seed: u64,
}

/// The flag that asks for approximate probabilities.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ApproximateArgs {
    /// Use the model's approximate normalizer, which `rondo normalizer fit` fits: faster for large vocabularies; a note
    /// says how exact it was on this text
    #[arg(long, help_heading = "Scoring")]
    pub(crate) approximate: bool,
}

/// Runs the command.
pub(crate) fn run(args: NormalizerArgs) -> Result<ExitCode> {
    let Action::Fit(args) = args.action;
    let console = Console::new(false);
    let loaded =
        args.device.unmapped().load_all(std::slice::from_ref(&args.model), Work::Batches, console)?.remove(0);
    let text = |split| corpus_text(&[], split, "--data", false, &loaded, console);
    let (train, valid) = (text(Split::Train)?, text(Split::Valid)?);
    let options = NormalizerOptions {
        frequent: args.frequent,
        units: args.units,
        positions: args.positions,
        passes: args.passes,
        seed: args.seed,
    };
    let begun = Instant::now();
    let normalizer = fit_normalizer(&loaded.model, &train.ids, &valid.ids, options)?;
    let seconds = begun.elapsed().as_secs_f64();
    let statistics = normalizer.statistics;
    loaded.model.with_normalizer(normalizer).save(&loaded.path)?;
    let rows = [
        [
            "fitted".to_owned(),
            format!(
                "{} tokens summed exactly, {} units for the rest, in {seconds:.1} s",
                describe::count(args.frequent),
                describe::count(args.units)
            ),
        ],
        ["error".to_owned(), format!("{} of the validation text", in_words(statistics))],
        ["file".to_owned(), loaded.path.display().to_string()],
    ];
    output::text(&output::columns(&rows.map(|row| row.to_vec()), &[]))?;
    Ok(ExitCode::SUCCESS)
}

/// The errors of a normalizer.
pub(crate) fn in_words(statistics: NormalizerStatistics) -> String {
    format!(
        "mean {:+.4}, standard deviation {:.4} nats at {} position{}",
        statistics.mean,
        statistics.deviation,
        describe::count(statistics.positions as usize),
        if statistics.positions == 1 { "" } else { "s" }
    )
}

impl ApproximateArgs {
    /// Makes the model approximate, if asked for.
    pub(crate) fn apply(self, loaded: &mut Loaded) -> Result<()> {
        self.apply_all(std::slice::from_mut(loaded))
    }

    /// Makes the models approximate, if asked for.
    pub(crate) fn apply_all(self, loaded: &mut [Loaded]) -> Result<()> {
        for loaded in loaded.iter_mut().filter(|_| self.approximate) {
            loaded.model = loaded.model.approximate()?;
        }
        Ok(())
    }
}

/// Says how exact an approximate model was.
pub(crate) fn say_check(loaded: &Loaded, console: Console) {
    say_checks(std::slice::from_ref(loaded), console);
}

/// Says how exact approximate models were; several are named.
pub(crate) fn say_checks(all: &[Loaded], console: Console) {
    for loaded in all {
        let of = if all.len() > 1 { format!(" of `{}`", loaded.path.display()) } else { String::new() };
        say_check_of(loaded, &of, console);
    }
}

fn say_check_of(loaded: &Loaded, of: &str, console: Console) {
    let Some(check) = loaded.model.normalizer_check() else { return };
    let (here, fitted) = (check.here, check.fitted);
    if here.positions == 0 {
        return;
    }
    console.say(&format!(
        "note: approximate normalizer{of}, checked at one position in {}: error {} (validation text: standard deviation {:.4})",
        describe::count(CHECK_EVERY as usize),
        in_words(here),
        fitted.deviation
    ));
    if check.is_poor() {
        let more = loaded.model.normalizer().map(|normalizer| 4 * normalizer.frequent.len());
        let more = more.filter(|&more| more < loaded.codec().vocab().len());
        let again = more.map_or(String::new(), |more| {
            format!(
                ", or sum more tokens exactly: `rondo normalizer fit {} --frequent {more}`",
                loaded.path.display()
            )
        });
        console.say(&format!(
            "warning: the approximation{of} is poor on this text; leave out --approximate{again}"
        ));
    }
}

/// The check of an approximate model, for JSON.
pub(crate) fn check_in_json(loaded: &Loaded) -> Option<Value> {
    let NormalizerCheck { here, fitted } = loaded.model.normalizer_check()?;
    let statistics = |statistics: NormalizerStatistics| {
        json!({
            "positions": statistics.positions,
            "mean": output::number(statistics.mean),
            "standard_deviation": output::number(statistics.deviation),
        })
    };
    Some(json!({ "error": statistics(here), "validation_error": statistics(fitted) }))
}
