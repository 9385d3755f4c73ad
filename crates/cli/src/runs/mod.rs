//! `rondo runs`: a table of runs.
//!
//! ```text
//! folders ─▶ Entry: a run and its settings ─▶ a row per run ──────────────────────────┐
//!                └─▶ Group: the runs that differ only in the seed ─▶ a row per group ─┴─▶ Table ─▶ text, CSV, JSON
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_runs::{ListedRun, RunsError};
use serde_json::Value;

use crate::console;
use crate::output;
use crate::terminal::shown;
pub(crate) use entry::Entry;
pub(crate) use group::{Group, Groups, naming, ungrouped_note};
use table::{Columns, Table};

mod entry;
mod group;
mod group_columns;
mod run_columns;
mod table;

/// The folder of runs if none is given.
const RUNS: &str = "runs";

/// List runs in a table: settings that differ, results, times
#[derive(Args, Debug)]
#[command(after_help = "\
Columns of runs:
  name, folder, status, recipe, error
  epochs, planned_epochs, best_epoch, steps, tokens
  train_loss, train_perplexity, valid_loss, valid_perplexity,
  test_loss, test_perplexity: of the epoch with the best validation loss
  last_train_loss, last_valid_loss, …: the same of the last epoch
  parameters, vocab_size
  elapsed_s (shown as time), training_s, tokens_per_s, training_tokens_per_s, started_unix_s
  all settings, such as cell, learning_rate or training.epochs

Columns of groups:
  runs, names, all settings
  valid_perplexity, test_perplexity: means
  valid_ci95, test_ci95: half the width of the 95 % confidence interval
  (Student's t)

A run is `running` while a process trains in its folder, `interrupted` if it was stopped or killed before its end, and \
`failed` if an error stopped it. Damaged runs are reported on stderr and skipped.")]
pub(crate) struct RunsArgs {
    /// Run folders, or folders that contain runs at any depth [default: runs]
    #[arg(value_name = "FOLDER", hide_default_value = true, default_value = RUNS)]
    folders: Vec<PathBuf>,
    /// Column to sort by; rows without a value are last [default: name]
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// Sort in descending order
    #[arg(long)]
    descending: bool,
    /// Columns to show, separated by commas [default: results, and the settings that differ]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Vec<String>,
    /// One row per group of finished runs that differ only in the seed: the mean over seeds of the perplexities, and its
    /// 95 % confidence interval. The setting KEY is the first column
    #[arg(long, value_name = "KEY")]
    group_by: Option<String>,
    /// Print CSV
    #[arg(long)]
    csv: bool,
    /// Print JSON, with all settings and results unless --columns is given
    #[arg(long, conflicts_with = "csv")]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: RunsArgs) -> Result<ExitCode> {
    let entries = read_all(&args.folders)?;
    match &args.group_by {
        None => {
            let columns = run_columns::columns(&entries);
            let default = run_columns::default(&entries);
            let json = |entry: &Entry| run_columns::json(entry);
            print(&args, &entries.iter().collect::<Vec<_>>(), &columns, &default, json)?;
        }
        Some(key) => {
            let Groups { key, groups, ungrouped } = Groups::new(&entries, key)?;
            if let Some(note) = ungrouped_note(&ungrouped) {
                console::error_text(&shown(&note));
            }
            let columns = group_columns::columns(&groups);
            let default = group_columns::default(&key, &groups);
            print(&args, &groups.iter().collect::<Vec<_>>(), &columns, &default, |group| {
                group_columns::json(&key, group)
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints rows in the order and the form that the arguments ask for.
fn print<R>(
    args: &RunsArgs,
    rows: &[&R],
    columns: &Columns<'_, R>,
    default: &[String],
    json: impl Fn(&R) -> Value,
) -> Result<()> {
    let mut rows = rows.to_vec();
    if let Some(name) = &args.sort {
        columns.find(name)?.sort(&mut rows, args.descending);
    } else if args.descending {
        rows.reverse();
    }
    let chosen = if args.columns.is_empty() { default } else { &args.columns };
    let chosen = chosen.iter().map(|name| columns.find(name)).collect::<Result<Vec<_>, _>>()?;
    if args.json && args.columns.is_empty() {
        return output::json(&rows.iter().map(|row| json(row)).collect());
    }
    let table = Table::new(&chosen, &rows);
    match (args.json, args.csv) {
        (true, _) => output::json(&table.json()),
        (false, true) => output::text(&table.csv()),
        (false, false) => output::text(&table.text()),
    }
}

/// Reads all runs in the folders. Damaged ones are reported in a line each and left out.
///
/// # Errors
/// Those of [`ListedRun::find`], and of the last damaged run if there are no others.
pub(crate) fn read_all(folders: &[PathBuf]) -> Result<Vec<Entry>> {
    let (mut runs, mut damaged) = (vec![], None);
    for folder in folders {
        if folder == Path::new(RUNS) && !folder.exists() {
            return Err(RunsError::NoRuns { path: folder.clone() }.into());
        }
        for run in ListedRun::find(folder)? {
            match run {
                Ok(run) => runs.push(run),
                Err(error) => {
                    if let Some(before) = damaged.replace(error) {
                        report(&before);
                    }
                }
            }
        }
    }
    match damaged {
        Some(error) if runs.is_empty() => return Err(error.into()),
        Some(error) => report(&error),
        None => {}
    }
    let mut entries: Vec<Entry> = runs.into_iter().map(Entry::new).collect();
    Entry::tell_apart(&mut entries);
    Ok(entries)
}

/// Reports a damaged run in one line.
fn report(error: &RunsError) {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    console::error_text(&shown(&format!("skipped: {error}{cause}")));
}
