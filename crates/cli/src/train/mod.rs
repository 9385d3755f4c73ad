//! `rondo train`: from settings to a trained model.
//!
//! ```text
//! flags: one for each setting ─▶ Session ─▶ overview ─▶ run ─▶ summary
//!                                                        └─▶ progress
//! ```

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_runs::RunsError;
use rondo_train::{Checkpoint, Plan, Session, SessionOptions, SettingsSource, TrainError, Trained};

use crate::console::Console;
use crate::corpus_lookup::Notes;
use crate::describe::in_shell;
use crate::device;
use crate::error::CliError;
use crate::input::STDIN;
use crate::ranks;
use crate::signals;
use flags::SettingFlags;
use overview::Overview;
use progress::Progress;
use summary::Summary;

mod baselines;
mod flags;
mod overview;
mod progress;
mod summary;

/// Train a language model and keep the one with the best validation perplexity
#[derive(Args, Debug)]
#[command(
    after_help = SHORT_HELP_END,
    after_long_help = "\
Examples:
  rondo train                                  learn the built-in language in about a minute
  rondo train --recipe wikitext2-standard-200  reproduce a published result
  rondo train --data FOLDER                    train on your own text
  rondo train --from RUN --data FOLDER         fine-tune a model on another text
  rondo train --resume --out RUN               resume an interrupted run

Recipes: a recipe replaces the defaults shown above with its own settings. Flags override both.

Repeated flags: of a flag with one value, the last one counts. A flag that takes any number of values, such as --data or \
--sample-prefix, adds to those before.

Corpora: --data also accepts the name of a corpus, like --corpus (see `rondo datasets`). Rondo looks for a named \
corpus in the folder RONDO_DATA and in the user's cache folder, and downloads it into the cache if it is in neither.

Interrupting: Ctrl-C and SIGTERM stop a run after the current batch and save a checkpoint and the model; a second \
Ctrl-C stops at once. The exit code is 130, or 143 after SIGTERM. `rondo train --resume --out DIR` continues from the last checkpoint and gives bit for \
bit the results of an uninterrupted run.

Changing a run: with --resume, flags can change the learning rate, its schedule and minimum, momentum, betas, epsilon, \
weight decay, clipping, dropout, penalties, averaging, the number of epochs, early stopping, and what is evaluated, \
reported and saved. A given learning rate becomes the current one. The changes and their steps are recorded; \
`rondo reproduce` repeats them. For other settings, start a new run: --from RUN keeps the weights, --plan RUN only the \
settings.

RONDO_CPU=portable, neon, avx2, avx512 or amx selects the vector instructions; RONDO_DEVICE=cpu, gpu, gpu:N or auto the device."
)]
pub(crate) struct TrainArgs {
    /// Recipe to start from: a name (see `rondo recipes`) or a TOML file; flags override it [default: built-in, unless
    /// --data, --corpus or --plan is given]
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "plan")]
    recipe: Option<String>,
    /// Start a run with the settings of this plan.toml, or of the one in this run folder; flags override them
    #[arg(long, value_name = "FILE|DIR", hide_short_help = true)]
    plan: Option<PathBuf>,
    /// Run folder for models, checkpoints, metrics and the plan [default: runs/NAME-1, or the next free number]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Resume the run in --out from its last checkpoint
    #[arg(long, requires = "out", conflicts_with_all = ["recipe", "plan"])]
    resume: bool,
    /// Print only the result
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// The end of the short help.
const SHORT_HELP_END: &str = "\
These are the most common settings. `rondo train --help-all` lists all of them, with examples and environment \
variables.";

/// Runs the command.
pub(crate) fn run(args: TrainArgs) -> Result<ExitCode> {
    let TrainArgs { recipe, plan, out, resume, quiet, json, settings: SettingFlags(mut settings) } = args;
    settings.training.device =
        settings.training.device.map_or_else(device::from_environment, |given| Ok(Some(given)))?;
    let format = if json { Format::Json } else { Format::Text };
    let texts = [&settings.text.data, &settings.text.train, &settings.text.valid, &settings.text.test];
    if texts.into_iter().flatten().flatten().any(|path| path == Path::new(STDIN)) && io::stdin().is_terminal()
    {
        Console::new(quiet).say("reading the text from the terminal; end with Ctrl-D on an empty line");
    }
    let (quiet, format) = if ranks::leads() { (quiet, format) } else { (true, Format::Nothing) };
    let trained = train(Console::new(quiet), format, |options| match (resume, out) {
        (true, Some(out)) => Session::resume(out, settings, options),
        (_, out) => {
            let source = match (recipe, plan) {
                (Some(recipe), _) => SettingsSource::Recipe(recipe),
                (None, Some(plan)) => SettingsSource::Plan(plan),
                (None, None) => SettingsSource::Default,
            };
            Session::start(settings, SessionOptions { source, out, ..options })
        }
    })?;
    Ok(if trained.outcome.interrupted { signals::exit_code() } else { ExitCode::SUCCESS })
}

/// How the result of a run is printed to stdout.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// Not at all: the caller prints a result of its own.
    Nothing,
}

/// Prepares a session, prints an overview, trains, and prints a summary.
pub(crate) fn train(
    console: Console,
    format: Format,
    prepare: impl FnOnce(SessionOptions<'_>) -> rondo_train::Result<Session>,
) -> Result<Trained> {
    let instructions = device::instructions()?;
    let mut notes = Notes::new(console);
    let observer = Some(&mut notes as _);
    let ranks = ranks::all();
    let mut session = prepare(SessionOptions { instructions, ranks, observer, ..SessionOptions::default() })?;
    drop(notes);
    console.say(&Overview(&session).to_string());
    if session.is_complete() {
        let (run, epochs) = (session.folder().path().display().to_string(), session.plan().training.epochs);
        let (program, run) = (summary::program(), in_shell(&run));
        let how = match session.plan().optimization.schedule.decays_over_run() {
            false => format!("--resume --out {run} --epochs {}", 2 * epochs),
            // A run that decays has a fixed length, so that training continues in a new one.
            true => format!("--from {run}"),
        };
        console
            .say(&format!("\ncomplete: all {epochs} epochs are trained; for more, `{program} train {how}`"));
    }
    let stop = signals::stop()?;
    let mut progress = Progress::new(console, &session, stop);
    let trained = session.run(&mut progress).map_err(|error| stopped(&session, error))?;
    drop(progress);
    let summary = Summary { session: &session, trained: &trained };
    match format {
        Format::Text => summary.print(console)?,
        Format::Json => summary.print_json()?,
        Format::Nothing => {}
    }
    Ok(trained)
}

/// An error that ended a run, with its last checkpoint, if any, and what to do.
fn stopped(session: &Session, source: TrainError) -> anyhow::Error {
    let folder = session.folder().path().to_owned();
    let latest = || Checkpoint::latest(session.folder()).ok().flatten().map(|(checkpoint, _)| checkpoint);
    match source {
        TrainError::Runs(RunsError::Locked { .. }) => source.into(),
        // Resumed with the same settings, the run would fail the same way.
        TrainError::NonFinite { .. } | TrainError::NoUsableModel { .. } => {
            let Plan { optimization, training, .. } = session.plan();
            CliError::Diverged {
                folder,
                checkpoint: latest().map(|checkpoint| (checkpoint.path().to_owned(), checkpoint.steps())),
                learning_rate: lower_learning_rate(session.plan()),
                present: optimization.learning_rate,
                clip_norm: optimization.clip_norm_limit(training.bptt, training.batch_size),
                source: Box::new(source),
            }
            .into()
        }
        source => {
            let step = latest().map(|checkpoint| checkpoint.steps());
            CliError::Stopped { folder, step, source: Box::new(source) }.into()
        }
    }
}

/// The learning rate to try after this one: the default if that is lower, otherwise a tenth.
fn lower_learning_rate(plan: &Plan) -> f64 {
    let rate = plan.optimization.learning_rate;
    let default = plan.default_learning_rate();
    if default < rate {
        return default;
    }
    // Two digits, so that 0.7 / 10 is not 0.06999….
    format!("{:.1e}", rate / 10.0).parse().unwrap_or(rate / 10.0)
}
