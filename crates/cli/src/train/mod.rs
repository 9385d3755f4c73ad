//! `rondo train`: from what the user wants to a trained model.
//!
//! ```text
//! flags: one for each setting ─▶ Session ─▶ overview ─▶ run ─▶ ending
//!                                                        └─▶ progress
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result};
use clap::Args;
use rondo_runs::{RunFolder, RunsError};
use rondo_train::{Checkpoint, Session, SessionOptions, SettingsSource, TrainError, Trained};

use crate::console::Console;
use crate::corpus_lookup::Notes;
use crate::device;
use crate::error::CliError;
use flags::SettingFlags;
use overview::Overview;
use progress::Progress;
use summary::Summary;

mod baselines;
mod flags;
mod overview;
mod progress;
mod summary;

/// Exit code of a run that was interrupted: what shells give to a program that Ctrl-C has ended.
pub(crate) const INTERRUPTED: u8 = 130;

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

Ctrl-C ends a run after the batch it is at: all that is needed to go on is saved, and the model, which is evaluated if \
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
    let TrainArgs { recipe, plan, out, resume, quiet, json, settings: SettingFlags(settings) } = args;
    let format = if json { Format::Json } else { Format::Text };
    let trained = train(Console::new(quiet), format, |options| match (resume, out) {
        (true, Some(out)) => Session::resume(out, settings, options),
        (_, out) => {
            let source = match (recipe, plan) {
                (Some(recipe), _) => SettingsSource::Recipe(recipe),
                (None, Some(plan)) => SettingsSource::Plan(plan),
                (None, None) => SettingsSource::Usual,
            };
            Session::start(settings, SessionOptions { source, out, ..options })
        }
    })?;
    Ok(if trained.outcome.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
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

/// Prepares a session, says what it is about to do, trains, and says what has come of it.
pub(crate) fn train(
    console: Console,
    format: Format,
    prepare: impl FnOnce(SessionOptions<'_>) -> rondo_train::Result<Session>,
) -> Result<Trained> {
    let instructions = device::instructions()?;
    let mut notes = Notes::new(console);
    let observer = Some(&mut notes as _);
    let mut session = prepare(SessionOptions { instructions, observer, ..SessionOptions::default() })?;
    drop(notes);
    console.say(&Overview(&session).to_string());
    let stop = stop_on_interruption()?;
    let mut progress = Progress::new(console, &session.corpus().codec, stop);
    let trained = session.run(&mut progress).map_err(|error| stopped(session.folder(), error))?;
    drop(progress);
    let ending = Summary { session: &session, trained: &trained };
    match format {
        Format::Text => ending.print(console)?,
        Format::Json => ending.print_json()?,
        Format::Nothing => {}
    }
    Ok(trained)
}

/// An error that has ended a run, with what can be gone on from.
fn stopped(folder: &RunFolder, error: TrainError) -> anyhow::Error {
    match error {
        // Gone on with by the same settings, the run would come to the same end.
        TrainError::NonFinite { .. } | TrainError::Runs(RunsError::Locked { .. }) => error.into(),
        error => {
            let latest = Checkpoint::latest(folder).ok().flatten();
            let step = latest.map(|(checkpoint, _)| checkpoint.steps());
            CliError::Stopped { folder: folder.path().to_owned(), step, source: error }.into()
        }
    }
}

/// A flag that becomes true when the user or the system asks the process to end; asked again, it ends at once.
fn stop_on_interruption() -> Result<Arc<AtomicBool>> {
    // A process can set the handler only once, but `recipes verify` may train several times.
    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    if let Some(stop) = STOP.get() {
        return Ok(Arc::clone(stop));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if asked.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    })
    .context("could not watch for interruptions")?;
    Ok(Arc::clone(STOP.get_or_init(|| stop)))
}
