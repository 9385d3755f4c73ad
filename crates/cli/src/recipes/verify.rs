//! `rondo recipes verify`: runs a recipe and says whether what comes out is what was published.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_runs::RunFolder;
use rondo_train::recipes::{self, Finding};
use rondo_train::settings::{TextSettings, TrainingSettings};
use rondo_train::{Recipe, Session, SessionOptions, Settings, SettingsSource};
use serde_json::json;

use crate::console::Console;
use crate::output;
use crate::train::{Format, INTERRUPTED, train};

/// Run a recipe and say whether it reaches what was published
#[derive(Args, Debug)]
#[command(after_help = "\
The best model's perplexities are held against the band that the recipe states: around the published ones, and around \
our own where those have no width. The exit code is 0 if all are within, and 1 if not.")]
pub(crate) struct VerifyArgs {
    /// Name of the recipe
    name: String,
    /// Folder with the recipe's corpus, or its name [default: looked for, else downloaded]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Folder for the run [default: the first that is free of runs/NAME-1, runs/NAME-2, …]
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    out: Option<PathBuf>,
    /// Judge this run, which has been made already, instead of making one
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    run: Option<PathBuf>,
    /// Threads to compute with [default: one for each core]
    #[arg(long, value_name = "THREADS", conflicts_with = "run")]
    threads: Option<usize>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but the result
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub(super) fn run(args: VerifyArgs) -> Result<ExitCode> {
    let recipe = recipes::find(&args.name)?;
    let (verify, _) = recipe.verification()?;
    let folder = match &args.run {
        Some(path) => RunFolder::open(path)?,
        None => {
            let flags = Settings {
                text: TextSettings { data: args.data.map(|path| vec![path]), ..TextSettings::default() },
                training: TrainingSettings { threads: args.threads, ..TrainingSettings::default() },
                ..Settings::default()
            };
            let settings = verify.with.clone().overlaid_with(flags);
            let source = SettingsSource::Recipe(args.name);
            let trained = train(Console::new(args.quiet), Format::Nothing, |options| {
                Session::start(settings, SessionOptions { source, out: args.out, ..options })
            })?;
            if trained.outcome.interrupted {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            trained.folder
        }
    };
    let findings = recipe.judge(&folder)?;
    let holds = findings.iter().all(Finding::holds);
    if args.json {
        output::json(&described(&recipe, &folder, &findings))?;
    } else {
        output::text(&told(&recipe, &folder, &findings))?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(recipe: &Recipe, folder: &RunFolder, findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let verdict = if finding.holds() { "within" } else { "outside" };
        let band = format!("{verdict} {}", finding.band);
        vec![finding.text.to_owned(), format!("perplexity {}", finding.perplexity), band]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    let verdict = if findings.iter().all(Finding::holds) { "reproduced" } else { "not reproduced" };
    format!(
        "{}\n{}: {verdict} by {}\n",
        output::columns(&rows, &[]),
        recipe.about.name,
        folder.path().display()
    )
}

fn described(recipe: &Recipe, folder: &RunFolder, findings: &[Finding]) -> serde_json::Value {
    let finding = |finding: &Finding| {
        json!({
            "text": finding.text,
            "perplexity": output::number(finding.perplexity.value()),
            "band": [finding.band.low, finding.band.high],
            "holds": finding.holds(),
        })
    };
    json!({
        "recipe": recipe.about.name,
        "run": folder.path().display().to_string(),
        "reproduced": findings.iter().all(Finding::holds),
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    })
}
