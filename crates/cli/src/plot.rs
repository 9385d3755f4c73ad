//! `rondo plot`: one plot of several runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_runs::plot::{self, Axis, Group, Run};
use rondo_runs::write_atomically;

use crate::console::{self, Console};
use crate::error::CliError;
use crate::runs::{Groups, naming, read_all, ungrouped_note};
use crate::terminal::shown;

/// Plot runs: loss, perplexity, learning rate and gradient norm in one SVG
#[derive(Args, Debug)]
pub(crate) struct PlotArgs {
    /// Run folders, or their metrics files
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// SVG file to write; an existing file is replaced
    #[arg(long, short, value_name = "FILE", default_value = "plot.svg")]
    out: PathBuf,
    /// Unit of the x axis; epochs or seconds suit runs with different batch sizes
    #[arg(long, value_name = "AXIS", default_value = "steps")]
    x: AxisName,
    /// Draw one line per group of finished runs that differ only in the seed, ordered by the setting KEY: the mean over
    /// seeds, with a band of its 95 % confidence interval. RUN may be a folder that contains runs
    #[arg(long, value_name = "KEY")]
    group_by: Option<String>,
}

/// [`Axis`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AxisName {
    Steps,
    Epochs,
    Seconds,
}

impl From<AxisName> for Axis {
    fn from(name: AxisName) -> Axis {
        match name {
            AxisName::Steps => Axis::Steps,
            AxisName::Epochs => Axis::Epochs,
            AxisName::Seconds => Axis::Seconds,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: PlotArgs) -> Result<ExitCode> {
    // A bitmap would need a font, and fonts differ from machine to machine.
    if args.out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("svg")) {
        return Err(CliError::PictureFormat { path: args.out }.into());
    }
    let picture = match &args.group_by {
        None => plot::compare(&Run::read_all(&args.runs)?, args.x.into())?,
        Some(key) => plot::compare_groups(&groups(&args.runs, key)?, args.x.into())?,
    };
    write_atomically(&args.out, |to| to.write_all(picture.as_bytes()))?;
    Console::new(false).say(&format!("wrote `{}`", args.out.display()));
    Ok(ExitCode::SUCCESS)
}

/// The groups of finished runs in these folders, with their records.
fn groups(folders: &[PathBuf], key: &str) -> Result<Vec<Group>> {
    let Groups { key, groups, ungrouped } = Groups::new(&read_all(folders)?, key)?;
    if let Some(note) = ungrouped_note(&ungrouped) {
        console::error_text(&shown(&note));
    }
    let names = naming(&key, &groups);
    let group = |group: &crate::runs::Group| {
        let paths: Vec<PathBuf> = group.runs.iter().map(|entry| entry.run.folder.path().to_owned()).collect();
        Ok(Group { name: group.name(&names), runs: Run::read_all(&paths)? })
    };
    groups.iter().map(group).collect()
}
