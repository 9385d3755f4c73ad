//! `rondo recipes verify`: runs a recipe, and says whether its perplexities are within the published bands.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_runs::RunFolder;
use rondo_train::recipes::{self, Finding, Verification};
use rondo_train::settings::{TextSettings, TrainingSettings};
use rondo_train::{Recipe, Session, SessionOptions, Settings, SettingsSource};
use serde_json::{Value, json};

use super::{flags, given};
use crate::console::Console;
use crate::output;
use crate::signals;
use crate::train::{Format, train};

/// Run a recipe and check whether it reproduces the published perplexities
#[derive(Args, Debug)]
#[command(after_help = "\
A recipe states one or more bands for the perplexities of the best model: the published range, slightly widened. Bands \
with different settings need a run each; `rondo recipes` lists the bands, and --band selects some of them. The exit code \
is 0 if all perplexities are within their bands, and 1 if not.")]
pub(crate) struct VerifyArgs {
    /// Name of the recipe
    name: String,
    /// Check only the bands with this name; can be given several times [default: all bands]
    #[arg(long = "band", value_name = "NAME")]
    bands: Vec<String>,
    /// Folder with the recipe's corpus, or the name of the corpus [default: found, or downloaded]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Folder for the run, or for the runs if there are several [default: the first free of runs/NAME-1, runs/NAME-2, …]
    #[arg(long, value_name = "DIR", conflicts_with = "run")]
    out: Option<PathBuf>,
    /// Check this finished run instead of training
    #[arg(long, value_name = "DIR", conflicts_with = "data")]
    run: Option<PathBuf>,
    /// Random seed [default: the recipe's]
    #[arg(long, value_name = "SEED", conflicts_with = "run")]
    seed: Option<u64>,
    /// Number of threads [default: one per core]
    #[arg(long, value_name = "THREADS", conflicts_with = "run")]
    threads: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Print only the result
    #[arg(long, short)]
    quiet: bool,
}

/// A run with its perplexities and bands.
struct Judged {
    verification: Verification,
    folder: RunFolder,
    findings: Vec<Finding>,
}

impl Judged {
    fn new(verification: Verification, folder: RunFolder) -> Result<Judged> {
        let findings = verification.judge(&folder)?;
        Ok(Judged { verification, folder, findings })
    }

    /// Whether all perplexities are within their bands.
    fn holds(&self) -> bool {
        self.findings.iter().all(Finding::holds)
    }
}

/// Runs the command.
pub(super) fn run(args: VerifyArgs) -> Result<ExitCode> {
    let recipe = recipes::find(&args.name)?;
    let mut judged = vec![];
    if let Some(path) = &args.run {
        let folder = RunFolder::open(path)?;
        judged.push(Judged::new(recipe.verification_of(&folder, &args.bands)?, folder)?);
        if !args.json {
            output::text(&block(&recipe, &judged[0]))?;
        }
    } else {
        let verifications = recipe.verifications(&args.bands)?;
        let outs = outs(args.out.as_deref(), &verifications);
        for (verification, out) in verifications.into_iter().zip(outs) {
            let flags = Settings {
                text: TextSettings {
                    data: args.data.clone().map(|path| vec![path]),
                    ..TextSettings::default()
                },
                training: TrainingSettings {
                    seed: args.seed,
                    threads: args.threads,
                    ..TrainingSettings::default()
                },
                ..Settings::default()
            };
            let settings = verification.with.clone().overlaid_with(flags);
            let source = SettingsSource::Recipe(args.name.clone());
            let trained = train(Console::new(args.quiet), Format::Nothing, |options| {
                let session = Session::start(settings, SessionOptions { source, out, ..options })?;
                // A text other than the recipe's is refused before it is trained on.
                verification.check(session.folder())?;
                Ok(session)
            })?;
            if trained.outcome.interrupted {
                return Ok(signals::exit_code());
            }
            let one = Judged::new(verification, trained.folder)?;
            if !args.json {
                let gap = if judged.is_empty() { "" } else { "\n" };
                output::text(&format!("{gap}{}", block(&recipe, &one)))?;
            }
            judged.push(one);
        }
    }
    if args.json {
        output::json(&described(&recipe, &judged))?;
    }
    let holds = judged.iter().all(Judged::holds);
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder of each run: the one that was asked for or, if there are several runs, one in it for each.
fn outs(out: Option<&Path>, verifications: &[Verification]) -> Vec<Option<PathBuf>> {
    let name = |(index, verification): (usize, &Verification)| {
        let name = verification.bands.first().and_then(|band| band.name.clone());
        name.unwrap_or_else(|| (index + 1).to_string())
    };
    match out {
        Some(out) if verifications.len() > 1 => {
            verifications.iter().enumerate().map(|one| Some(out.join(name(one)))).collect()
        }
        out => verifications.iter().map(|_| out.map(Path::to_owned)).collect(),
    }
}

/// A run as text: a line for each perplexity, and the verdict.
fn block(recipe: &Recipe, judged: &Judged) -> String {
    let row = |finding: &Finding| {
        let verdict = if finding.holds() { "within" } else { "outside" };
        vec![
            format!("epoch {}", finding.after_epoch),
            finding.text.to_owned(),
            format!("perplexity {}", finding.perplexity),
            format!("{verdict} {}", finding.band),
        ]
    };
    let rows: Vec<Vec<String>> = judged.findings.iter().map(row).collect();
    let verdict = if judged.holds() { "reproduced" } else { "not reproduced" };
    let with = match flags(&judged.verification.with) {
        flags if flags.is_empty() => flags,
        flags => format!(" with {flags}"),
    };
    format!(
        "{}\n{}{with}: {verdict} by {}\n",
        output::columns(&rows, &[]),
        recipe.about.name,
        judged.folder.path().display()
    )
}

/// All runs as JSON. `run` is null if there are several; each finding names its own.
fn described(recipe: &Recipe, judged: &[Judged]) -> Value {
    let path = |judged: &Judged| judged.folder.path().display().to_string();
    let finding = |judged: &Judged, finding: &Finding| {
        json!({
            "run": path(judged),
            "name": finding.name,
            "after_epoch": finding.after_epoch,
            "text": finding.text,
            "perplexity": output::number(finding.perplexity.value()),
            "band": [finding.band.low, finding.band.high],
            "holds": finding.holds(),
        })
    };
    let run = |judged: &Judged| {
        json!({
            "run": path(judged),
            "with": given(&judged.verification.with),
            "reproduced": judged.holds(),
        })
    };
    let findings =
        judged.iter().flat_map(|judged| judged.findings.iter().map(move |one| finding(judged, one)));
    json!({
        "recipe": recipe.about.name,
        "run": match judged { [judged] => Some(path(judged)), _ => None },
        "reproduced": judged.iter().all(Judged::holds),
        "findings": findings.collect::<Vec<_>>(),
        "runs": judged.iter().map(run).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_runs_have_a_folder_each() {
        let all = recipes::find("ptb-rnn").unwrap().verifications(&[]).unwrap();
        let outs = |count: usize, out: Option<&str>| outs(out.map(Path::new), &all[..count]);
        assert_eq!(outs(2, None), [None, None]);
        assert_eq!(outs(1, Some("a")), [Some("a".into())]);
        assert_eq!(outs(2, Some("a")), [Some("a/lstm".into()), Some("a/relu".into())]);
    }
}
