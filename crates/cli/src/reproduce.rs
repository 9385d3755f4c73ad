//! `rondo reproduce`: runs a run's plan again and compares.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_runs::{Provenance, RunFolder};
use rondo_train::{Comparison, Session, SessionOptions, Settings, SettingsSource, require_finished};
use serde_json::json;

use crate::console::Console;
use crate::output;
use crate::train::{Format, INTERRUPTED, train};

/// Run a run's plan again, and say whether it comes to the same
#[derive(Args, Debug)]
#[command(after_help = "\
Everything but times is compared: each record of metrics.jsonl, and the best and the last model in every bit. With the \
same version, kind of processor and number of threads they are the same; if they are not, what differs between the two \
runs is listed. The texts must be the run's, by their fingerprints. The exit code is 0 if all is the same, and 1 if not.")]
pub(crate) struct ReproduceArgs {
    /// Folder of a run that has come to its end
    run: PathBuf,
    /// Folder for the second run [default: the first that is free of runs/NAME-again-1, runs/NAME-again-2, …]
    #[arg(long, value_name = "DIR", conflicts_with = "against")]
    out: Option<PathBuf>,
    /// Compare with this run, which has been made already, instead of making one
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print nothing but the result
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the command.
pub(crate) fn run(args: ReproduceArgs) -> Result<ExitCode> {
    let first = RunFolder::open(&args.run)?;
    require_finished(&first)?;
    let second = match args.against {
        Some(path) => RunFolder::open(path)?,
        None => {
            let name = first.path().file_name().unwrap_or_default().to_string_lossy();
            let name = Some(format!("{name}-again"));
            let (source, corpus) =
                (SettingsSource::Plan(first.path().to_owned()), Some(Provenance::read(&first)?.corpus));
            let trained = train(Console::new(args.quiet), Format::Nothing, |options| {
                let options = SessionOptions { source, out: args.out, name, corpus, ..options };
                Session::start(Settings::default(), options)
            })?;
            if trained.outcome.interrupted {
                return Ok(ExitCode::from(INTERRUPTED));
            }
            trained.folder
        }
    };
    let comparison = Comparison::of(&first, &second)?;
    if args.json {
        output::json(&described(&first, &second, &comparison))?;
    } else {
        output::text(&told(&first, &second, &comparison))?;
    }
    Ok(if comparison.is_same() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn told(first: &RunFolder, second: &RunFolder, comparison: &Comparison) -> String {
    let mut rows = vec![vec![
        "metrics".to_owned(),
        match &comparison.difference {
            None => format!("{} records, the same", comparison.records),
            Some(difference) => format!(
                "line {}: `{}` is {} and {}",
                difference.line, difference.what, difference.first, difference.second
            ),
        },
    ]];
    for (name, same) in &comparison.models {
        rows.push(vec![format!("{name} model"), if *same { "the same" } else { "another" }.to_owned()]);
    }
    for (what, first, second) in &comparison.circumstances {
        rows.push(vec![(*what).to_owned(), format!("{first}, then {second}")]);
    }
    let verdict = if comparison.is_same() { "reproduced" } else { "not reproduced" };
    let (first, second) = (first.path().display(), second.path().display());
    format!("{}\n{first}: {verdict} by {second}\n", output::columns(&rows, &[]))
}

fn described(first: &RunFolder, second: &RunFolder, comparison: &Comparison) -> serde_json::Value {
    let difference = comparison.difference.as_ref().map(|difference| {
        json!({
            "line": difference.line,
            "what": difference.what,
            "first": difference.first,
            "second": difference.second,
        })
    });
    let circumstances = comparison.circumstances.iter();
    json!({
        "run": first.path().display().to_string(),
        "second_run": second.path().display().to_string(),
        "reproduced": comparison.is_same(),
        "records": comparison.records,
        "difference": difference,
        "models": comparison.models.iter().map(|(name, same)| json!({ "model": name, "same": same })).collect::<Vec<_>>(),
        "circumstances": circumstances
            .map(|(what, first, second)| json!({ "what": what, "first": first, "second": second }))
            .collect::<Vec<_>>(),
    })
}
