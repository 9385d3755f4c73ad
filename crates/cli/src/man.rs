//! `rondo man`: manual pages, for packages.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};

use crate::Cli;
use crate::error::CliError;

/// Write a manual page of each command to a folder
#[derive(Args, Debug)]
pub(crate) struct ManArgs {
    /// Folder of the pages, created if it does not exist
    folder: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: ManArgs) -> Result<ExitCode> {
    let path = args.folder;
    let written = fs::create_dir_all(&path).and_then(|()| clap_mangen::generate_to(Cli::command(), &path));
    written.map_err(|source| CliError::Write { path, source })?;
    Ok(ExitCode::SUCCESS)
}
