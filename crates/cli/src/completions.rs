//! `rondo completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::{Cli, output};

/// Print shell completions
#[derive(Args, Debug)]
#[command(after_help = "\
For bash:  rondo completions bash > ~/.local/share/bash-completion/completions/rondo
For zsh:   rondo completions zsh > \"${fpath[1]}/_rondo\"
For fish:  rondo completions fish > ~/.config/fish/completions/rondo.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: CompletionsArgs) -> Result<ExitCode> {
    // They are made in memory: the generator takes a closed pipe for a defect.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rondo", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
