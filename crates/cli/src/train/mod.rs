//! `rondo train`: from what the user wants to a trained model.
//!
//! ```text
//! wanted: recipe, plan or nothing ─┐
//! flags: one for each setting ─────┴─▶ Plan ─▶ overview ─▶ Trainer ─▶ ending
//! resume: a run's plan, checkpoint ┘                          └─▶ progress
//! ```

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::Args;
use rondo_data::Corpus;
use rondo_infer::ModelParts;
use rondo_kernels::Device;
use rondo_runs::{RunFolder, RunsError};
use rondo_train::{Checkpoint, Outcome, Plan, TrainError, Trainer, fingerprint};

use crate::console::Console;
use crate::corpora::Found;
use crate::failure::CliError;
use crate::{corpora, device};
use ending::Ending;
use flags::SettingFlags;
use overview::Overview;
use progress::Progress;
pub(crate) use wanted::{Wanted, of_plan, resolve};

mod ending;
mod flags;
mod overview;
mod progress;
mod resume;
mod wanted;
mod yardstick;

/// Exit code of a run that was interrupted: what shells give to a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Where runs go that no folder is named for.
const RUNS: &str = "runs";

/// Train a language model, keeping the one with the best validation perplexity
#[derive(Args, Debug)]
#[command(after_help = "\
Without flags, a small model learns the built-in language in about a minute. With --recipe, a published result is \
reproduced. With --data, the text is your own. With --from, training goes on with a model that is there, by the \
settings it was trained with and on its text, or on another one. The defaults above are those without a recipe; what a recipe says is \
the default where it is given.

--data also takes the name of a corpus, as --corpus does: see `rondo datasets`. A named corpus is looked for in the \
folder that RONDO_DATA names and in the user's cache, and is downloaded into the cache if it is in neither. \
RONDO_CPU (portable, avx2 or avx512) chooses the processor's instructions.

Ctrl-C ends a run after the chunk it is at: all that is needed to go on is saved, and the model, which is evaluated if \
there is no other. Ctrl-C again ends at once. The exit code is 130 then. Whatever ends a run, `rondo train --resume \
--out DIR` goes on with it from its last checkpoint, and comes to the same numbers, bit for bit, as if nothing had \
happened. Flags may then change where the texts are, --epochs, and what is shown and saved.")]
pub(crate) struct TrainArgs {
    /// Start from the settings of this recipe; flags win over them [default: built-in, unless there is --data, --corpus
    /// or --plan]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "plan")]
    recipe: Option<String>,
    /// Repeat the run with this plan.toml, or with the one in this folder; flags win over it
    #[arg(long, value_name = "FILE|DIR")]
    plan: Option<PathBuf>,
    /// Folder for models, metrics and the plan [default: the first that is free of runs/NAME-1, runs/NAME-2, …]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on with the run in --out from its last checkpoint
    #[arg(long, requires = "out", conflicts_with_all = ["recipe", "plan"])]
    resume: bool,
    /// Print nothing but the result
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Runs the command.
pub(crate) fn run(args: TrainArgs) -> Result<ExitCode> {
    let console = Console::new(args.quiet);
    let format = if args.json { Format::Json } else { Format::Text };
    let (outcome, _) = match args.out {
        Some(out) if args.resume => resume::resume(out, args.settings.0, console, format)?,
        out => train(resolve(args.recipe, args.plan, args.settings.0)?, out, console, format)?,
    };
    Ok(if outcome.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}

/// How a run's end is printed to stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Not at all: the caller has something of its own to say.
    Nothing,
}

/// Trains as `wanted` says, in the folder `out` or the first free one.
pub(crate) fn train(
    Wanted { name, settings, corpus: expected }: Wanted,
    out: Option<PathBuf>,
    console: Console,
    format: Format,
) -> Result<(Outcome, RunFolder)> {
    let mut plan = Plan::new(&settings)?;
    let device = device_of(&plan, console)?;
    let mut model = None;
    if let Some(from) = &plan.training.from {
        let loaded = ModelParts::open(from, None, &device)?;
        plan = Plan::continuing(
            &settings,
            loaded.model.config(),
            loaded.codec.tokenizer(),
            loaded.codec.vocab().clone(),
        )?;
        model = Some(loaded.model);
    }
    let found = corpora::find(&plan.text.corpus, console)?;
    let corpus = Corpus::read(&found.texts, &plan.text.options)?;
    if let Some(expected) = expected {
        expected.check(&fingerprint(&corpus)?)?;
    }
    // All that can be wrong with plan and texts shows by now: the folder is made last.
    let trainer = match model {
        Some(model) => Trainer::continuing(plan.clone(), corpus.clone(), model)?,
        None => Trainer::new(plan.clone(), corpus.clone(), &device)?,
    };
    let text = plan.to_toml()?;
    let folder = match out {
        Some(path) => RunFolder::create(path, &text)?,
        None => RunFolder::create_next(RUNS, &name, &text)?,
    };
    let run = Started { plan: &plan, device: &device, found: &found, corpus: &corpus, folder: &folder };
    let outcome = run.follow(trainer, console, format)?;
    Ok((outcome, folder))
}

fn device_of(plan: &Plan, console: Console) -> Result<Device> {
    device::cpu(NonZeroUsize::new(plan.training.threads), plan.training.precision, console)
}

/// A run that is about to begin or to go on.
struct Started<'a> {
    plan: &'a Plan,
    device: &'a Device,
    found: &'a Found,
    corpus: &'a Corpus,
    folder: &'a RunFolder,
}

impl Started<'_> {
    /// Says what it is about to do, trains, and says what has come of it.
    fn follow(&self, mut trainer: Trainer, console: Console, format: Format) -> Result<Outcome> {
        let &Started { plan, device, found, corpus, folder } = self;
        console.say(&Overview { plan, device, found, corpus, folder }.to_string());
        let stop = stop_on_interruption()?;
        let mut progress = Progress::new(console, &corpus.codec, stop);
        let outcome = trainer.run(folder, &mut progress).map_err(|error| self.stopped(error))?;
        drop(progress);
        let ending = Ending { outcome, found, corpus, folder, device };
        match format {
            Format::Text => ending.print(console)?,
            Format::Json => ending.print_json()?,
            Format::Nothing => {}
        }
        Ok(outcome)
    }

    /// An error that has ended the run, with what can be gone on from.
    fn stopped(&self, error: TrainError) -> anyhow::Error {
        match error {
            // Gone on with by the same settings, the run would come to the same end.
            TrainError::NonFinite { .. } | TrainError::Runs(RunsError::Locked { .. }) => error.into(),
            error => {
                let latest = Checkpoint::latest(self.folder).ok().flatten();
                let step = latest.map(|(checkpoint, _)| checkpoint.steps());
                CliError::Stopped { folder: self.folder.path().to_owned(), step, source: error }.into()
            }
        }
    }
}

/// A flag that becomes true when the user or the system asks the process to end; asked again, it ends at once.
fn stop_on_interruption() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })
    .context("could not watch for interruptions")?;
    Ok(stop)
}
