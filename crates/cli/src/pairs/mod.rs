//! `rondo pairs`: the accuracy of models on minimal pairs and test suites.
//!
//! ```text
//! file ─ Tests ─ each model ─┬─ report: accuracies, as a table or JSON
//!                            └─ tests: the result of each test, as TSV
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_infer::LanguageModel;
use rondo_infer::pairs::{ItemResult, Pair, PairScore, Scope, Suite, Tests, score_pairs};
use rondo_runs::write_atomically;

use crate::console::Console;
use crate::input::{Input, STDIN};
use crate::model_args::DeviceArgs;
use crate::text_args::LossyArgs;
use crate::{output, score};
use report::Report;

mod report;

/// Test models on minimal pairs, such as BLiMP's, and on test suites in SyntaxGym's format
#[derive(Args, Debug)]
#[command(after_help = "\
The file has pairs of a good and a bad sentence, or is a test suite; it may be compressed:\n\n  \
JSON Lines   objects with sentence_good and sentence_bad, such as BLiMP's; UID names the group\n  \
TSV or CSV   columns with these names; or, without a header, two columns: the good and the bad sentence\n  \
JSON         a test suite in the format of SyntaxGym\n\n\
A model is right about a pair if the good sentence has the higher probability. Equal scores count half. Pairs whose \
sentences have the same tokens, because they differ only in unknown words or whitespace, are counted apart: they say \
nothing about the model. A prediction of a suite is right in an item if its formula holds for the surprisals of the \
regions. The 95 % intervals are Wilson's.\n\n\
Each sentence is scored after a line end, with its own line end.")]
pub(crate) struct PairsArgs {
    /// Models to test: model files, or run folders for their best models
    #[arg(value_name = "MODEL", required = true, num_args = 1..)]
    models: Vec<PathBuf>,
    /// File of minimal pairs or test suite; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    device: DeviceArgs,
    /// Field or column with the group of a pair [default: UID, if there is one]
    #[arg(long, value_name = "NAME", help_heading = "Text")]
    group: Option<String>,
    #[command(flatten)]
    lossy: LossyArgs,
    /// Compare only the words from the first to the last that differ between the sentences of a pair. If there are none
    /// in one of them, the word after them, or the line end, is compared too
    #[arg(long, help_heading = "Scoring")]
    region: bool,
    /// Also write a row for each pair, or item of a suite, and model, as TSV; with - as the file, print the rows instead
    /// of the summary
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    per_pair: Option<PathBuf>,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// The results of a model.
enum Results {
    Pairs(Vec<PairScore>),
    Suite(Vec<ItemResult>),
}

/// Runs the command.
pub(crate) fn run(args: PairsArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let input = Input::all(std::slice::from_ref(&args.file)).remove(0);
    let reader = input.open(console)?;
    let tests = Tests::read(reader, &input.origin(), args.lossy.lossy, args.group.as_deref())?;
    let models = args.device.load_all(&args.models, args.lossy.lossy, console)?;
    let mut results = vec![];
    for (path, model) in args.models.iter().zip(&models) {
        results.push((path.display().to_string(), test(&tests, model, args.scope())?));
    }
    let rows = |to: &mut dyn Write| write_rows(&tests, &results, to);
    match &args.per_pair {
        Some(path) if path == Path::new(STDIN) => {
            output::write(|out| Ok(rows(out)?))?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(path) => {
            write_atomically(path, rows)?;
            console.say(&format!("wrote `{}`", path.display()));
        }
        None => {}
    }
    let report = Report { origin: &input.origin(), scope: args.scope(), tests: &tests, results: &results };
    if args.json {
        output::json(&report.in_json())?
    } else {
        output::text(&report.in_columns())?
    }
    Ok(ExitCode::SUCCESS)
}

impl PairsArgs {
    fn scope(&self) -> Scope {
        if self.region { Scope::Region } else { Scope::Sentence }
    }
}

fn test(tests: &Tests, model: &LanguageModel, scope: Scope) -> Result<Results> {
    Ok(match tests {
        Tests::Pairs(pairs) => Results::Pairs(score_pairs(model, pairs, scope)?),
        Tests::Suite(suite) => Results::Suite(suite.evaluate(model)?),
    })
}

/// Writes the result of each test for each model.
fn write_rows(tests: &Tests, results: &[(String, Results)], to: &mut dyn Write) -> std::io::Result<()> {
    match tests {
        Tests::Pairs(_) => {
            row(to, &["model", "line", "group", "good", "bad", "log_prob_good", "log_prob_bad", "result"])?
        }
        Tests::Suite(_) => row(to, &["model", "item", "prediction", "formula", "result"])?,
    }
    for (model, results) in results {
        match (tests, results) {
            (Tests::Pairs(pairs), Results::Pairs(scores)) => write_pairs(model, pairs, scores, to)?,
            (Tests::Suite(suite), Results::Suite(items)) => write_items(model, suite, items, to)?,
            _ => unreachable!("results are those of the tests"),
        }
    }
    Ok(())
}

fn write_pairs(model: &str, pairs: &[Pair], scores: &[PairScore], to: &mut dyn Write) -> std::io::Result<()> {
    for (pair, score) in pairs.iter().zip(scores) {
        let [good, bad] = [score.good, score.bad].map(|log_prob| format!("{log_prob:.4}"));
        let (line, group) = (pair.line.to_string(), pair.group.as_deref().unwrap_or_default());
        row(to, &[model, &line, group, &pair.good, &pair.bad, &good, &bad, score.outcome.name()])?;
    }
    Ok(())
}

fn write_items(model: &str, suite: &Suite, items: &[ItemResult], to: &mut dyn Write) -> std::io::Result<()> {
    for result in items {
        for ((prediction, outcome), number) in suite.predictions().iter().zip(&result.outcomes).zip(1..) {
            row(to, &[model, &result.item, &number.to_string(), &prediction.text, outcome.name()])?;
        }
    }
    Ok(())
}

fn row(to: &mut dyn Write, columns: &[&str]) -> std::io::Result<()> {
    for (place, column) in columns.iter().enumerate() {
        to.write_all(if place > 0 { b"\t" } else { b"" })?;
        to.write_all(&score::in_column(column.as_bytes()))?;
    }
    to.write_all(b"\n")
}
