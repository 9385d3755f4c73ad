//! `rondo completions`: completion scripts for shells.

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
For fish:  rondo completions fish > ~/.config/fish/completions/rondo.fish
For PowerShell, in its profile:  rondo completions powershell | Out-String | Invoke-Expression")]
pub(crate) struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// Runs the command.
pub(crate) fn run(args: CompletionsArgs) -> Result<ExitCode> {
    // Generate in memory: clap_complete panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rondo", &mut script);
    output::text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
