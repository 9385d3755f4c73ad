//! The picture on the first page: three cells on the built-in language, trained and plotted by Rondo itself.

use std::fs;
use std::io;
use std::process::{Command, ExitCode};

/// The cells to compare.
const CELLS: [&str; 3] = ["lstm", "gru", "rnn_tanh"];
/// Folder of the runs; each command starts from new ones.
const RUNS: &str = "target/pictures";
/// The picture.
const PICTURE: &str = "docs/cells.svg";

/// Trains a model with each cell, a minute each on two cores, and writes the picture.
pub(crate) fn run() -> ExitCode {
    match fs::remove_dir_all(RUNS) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            eprintln!("could not remove `{RUNS}`: {error}");
            return ExitCode::FAILURE;
        }
        _ => {}
    }
    let runs = CELLS.map(|cell| format!("{RUNS}/{cell}"));
    let trained = CELLS.iter().zip(&runs).all(|(cell, run)| rondo(&["train", "--cell", cell, "--out", run]));
    let mut plot = vec!["plot", "--out", PICTURE];
    plot.extend(runs.iter().map(String::as_str));
    if trained && rondo(&plot) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the command `rondo` of this checkout, and says whether it succeeded.
fn rondo(arguments: &[&str]) -> bool {
    let cargo = ["run", "--release", "--package", "rondo-cli", "--"];
    let status = Command::new("cargo").args(cargo).args(arguments).status();
    match &status {
        Ok(status) if status.success() => true,
        Ok(status) => {
            eprintln!("`rondo {}` failed ({status})", arguments.join(" "));
            false
        }
        Err(error) => {
            eprintln!("could not start `cargo`: {error}");
            false
        }
    }
}
