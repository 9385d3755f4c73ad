//! Checks Rondo's dependencies against `deny.toml` with cargo-deny.
//!
//! Licenses, versions and sources are checked offline. Security advisories are in a database on github.com: if it
//! cannot be reached, a message says so and the other checks still count.

use std::process::{Command, ExitCode, Stdio};

/// The version that CI installs and that is known to support this `deny.toml`.
const VERSION: &str = "0.20.2";

/// Runs the checks; succeeds if all of them pass.
pub(crate) fn run() -> ExitCode {
    if !is_installed() {
        eprintln!("cargo-deny is not installed; install it (two to four minutes) with:");
        eprintln!("    {}", install());
        return ExitCode::FAILURE;
    }
    let mut passed = succeeds(&["--locked", "check", "licenses", "bans", "sources"]);
    match fetch_database() {
        Ok(()) => passed &= succeeds(&["--locked", "check", "--disable-fetch", "advisories"]),
        Err(reason) => eprintln!("advisories NOT CHECKED: could not fetch the advisory database: {reason}"),
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command that installs cargo-deny. Without its built-in Git, it fetches the database with the system's.
fn install() -> String {
    format!("cargo install --locked --version {VERSION} --no-default-features cargo-deny")
}

fn is_installed() -> bool {
    let mut version = Command::new("cargo");
    version.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn succeeds(arguments: &[&str]) -> bool {
    Command::new("cargo").arg("deny").args(arguments).status().is_ok_and(|status| status.success())
}

/// Fetches the advisory database, or returns a one-line reason for the failure.
fn fetch_database() -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["deny", "fetch", "db"])
        .env("GIT_TERMINAL_PROMPT", "0") // Never wait for a password.
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(reason(&String::from_utf8_lossy(&output.stderr))) }
}

/// The last fatal error in Git's output, else its last line.
fn reason(said: &str) -> String {
    let fatal = said.lines().rfind(|line| line.starts_with("fatal: ")).or(said.lines().next_back());
    fatal.unwrap_or("no reason given").trim_start_matches("fatal: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_installs_what_this_needs() {
        let ci = include_str!("../../.ci/run");
        assert!(ci.lines().any(|line| line == install()), "`.ci/run` does not run `{}`", install());
        let contributing = include_str!("../../CONTRIBUTING.md");
        assert!(contributing.contains(&install()), "CONTRIBUTING.md does not have `{}`", install());
    }

    #[test]
    fn the_reason_is_gits_last_word() {
        let said =
            "[ERROR] failed to fetch\nCloning into 'x'...\nfatal: Could not resolve host: github.com\n";
        assert_eq!(reason(said), "Could not resolve host: github.com");
        assert_eq!(reason("no git\n"), "no git");
        assert_eq!(reason(""), "no reason given");
    }
}
