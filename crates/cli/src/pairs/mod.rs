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
use rondo_infer::pairs::{ItemResult, Pair, PairScore, Scope, Tests, score_pairs};
use rondo_kernels::Work;
use rondo_runs::write_atomically;

use crate::console::Console;
use crate::input::{Input, STDIN};
use crate::model_args::DeviceArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::output;
use crate::table::{Cell, Table, TableFormat};
use crate::text_args::LossyArgs;
use report::Report;

mod report;

/// Test models on minimal pairs (as of BLiMP) and on test suites of SyntaxGym
#[derive(Args, Debug)]
#[command(after_help = "\
The file has pairs of a good and a bad sentence, or is a test suite; it may be compressed:\n\n  \
JSON Lines   objects with sentence_good and sentence_bad, such as BLiMP's; UID names the group\n  \
TSV or CSV   columns with these names; or, without a header, a good and a bad sentence\n  \
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
    #[command(flatten)]
    approximate: ApproximateArgs,
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
    let mut loaded = args.device.load_all(&args.models, Work::Batches, console)?;
    args.lossy.apply(&mut loaded)?;
    args.approximate.apply_all(&mut loaded)?;
    let mut results = vec![];
    for (path, loaded) in args.models.iter().zip(&loaded) {
        results.push((path.display().to_string(), test(&tests, &loaded.model, args.scope())?));
    }
    let rows = |to: &mut dyn Write| write_rows(&tests, &results, to);
    match &args.per_pair {
        Some(path) if path == Path::new(STDIN) => {
            output::write(|out| rows(out))?;
            normalizer::say_checks(&loaded, console);
            return Ok(ExitCode::SUCCESS);
        }
        Some(path) => {
            write_atomically(path, |to| rows(to).map_err(std::io::Error::other))?;
            console.say(&format!("wrote `{}`", path.display()));
        }
        None => {}
    }
    let report = Report {
        origin: &input.origin(),
        scope: args.scope(),
        tests: &tests,
        results: &results,
        checks: loaded.iter().map(normalizer::check_in_json).collect(),
    };
    if args.json {
        output::json(&report.in_json())?
    } else {
        output::text(&report.in_columns())?
    }
    normalizer::say_checks(&loaded, console);
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
fn write_rows(tests: &Tests, results: &[(String, Results)], to: &mut dyn Write) -> Result<()> {
    let columns: &[&str] = match tests {
        Tests::Pairs(_) => {
            &["model", "line", "group", "good", "bad", "log_prob_good", "log_prob_bad", "result"]
        }
        Tests::Suite(_) => &["model", "item", "prediction", "formula", "result"],
    };
    let mut table = Table::new(TableFormat::Tsv, columns.iter().map(|&name| name.to_owned()).collect(), to)?;
    for (model, results) in results {
        match (tests, results) {
            (Tests::Pairs(pairs), Results::Pairs(scores)) => {
                for (pair, score) in pairs.iter().zip(scores) {
                    table.row(&of_pair(model, pair, score))?;
                }
            }
            (Tests::Suite(suite), Results::Suite(items)) => {
                for result in items {
                    let outcomes = (1..).zip(suite.predictions()).zip(&result.outcomes);
                    for ((number, prediction), outcome) in outcomes {
                        let (item, formula) = (text(&result.item), text(&prediction.text));
                        table.row(&[
                            text(model),
                            item,
                            Cell::Count(number),
                            formula,
                            text(outcome.name()),
                        ])?;
                    }
                }
            }
            _ => unreachable!("results are those of the tests"),
        }
    }
    table.flush()
}

fn of_pair(model: &str, pair: &Pair, score: &PairScore) -> [Cell; 8] {
    [
        text(model),
        Cell::Count(pair.line),
        text(pair.group.as_deref().unwrap_or_default()),
        text(&pair.good),
        text(&pair.bad),
        Cell::Number(score.good),
        Cell::Number(score.bad),
        text(score.outcome.name()),
    ]
}

fn text(text: &str) -> Cell {
    Cell::Text(text.as_bytes().to_vec())
}
