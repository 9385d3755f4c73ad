//! `rondo reproduce`: repeats a run and compares the results.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_runs::RunFolder;
use rondo_train::{Comparison, Session, SessionOptions, require_finished};
use serde_json::json;

use crate::console::Console;
use crate::output;
use crate::signals;
use crate::train::{Format, train};

/// Repeat a run and check that the results are identical
#[derive(Args, Debug)]
#[command(after_help = "\
Compares each record of metrics.jsonl except times, and the best and the last model bit for bit. Results are identical \
with the same version, processor type and number of threads; otherwise the output lists what differs between the two \
runs. Settings that were changed with `rondo train --resume` are changed at the same steps. The texts must have the fingerprints recorded in the run. The exit code is 0 if the results are identical, else 1.")]
pub(crate) struct ReproduceArgs {
    /// Folder of a finished run
    run: PathBuf,
    /// Folder for the second run [default: runs/NAME-again-1, or the next free number]
    #[arg(long, value_name = "DIR", conflicts_with = "against")]
    out: Option<PathBuf>,
    /// Compare with this finished run instead of running again
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print only the result
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
            let trained = train(Console::new(args.quiet), Format::Nothing, |options| {
                Session::repeat(first.path(), SessionOptions { out: args.out, name, ..options })
            })?;
            if trained.outcome.interrupted {
                return Ok(signals::exit_code());
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
            None => format!("{} records, identical", comparison.records),
            Some(difference) => format!(
                "line {}: `{}` is {} and {}",
                difference.line, difference.what, difference.first, difference.second
            ),
        },
    ]];
    for (name, same) in &comparison.models {
        rows.push(vec![format!("{name} model"), if *same { "identical" } else { "different" }.to_owned()]);
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
