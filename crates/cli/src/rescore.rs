//! `rondo rescore`: reranks the hypotheses of another system.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_infer::rescore::{
    List, Reference, Scored, Tuned, Weights, entries, errors, oracle, ranking, references, tune,
};
use rondo_infer::{InferError, Scoring};
use serde_json::json;

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::ModelArgs;
use crate::text_args::LossyArgs;
use crate::{describe, output};

/// The grid of weights: the scores of other systems differ in scale by orders of magnitude.
const LM_WEIGHTS: [f64; 20] = [
    0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0,
    20.0,
];
const WORD_BONUSES: [f64; 17] =
    [0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, -0.1, -0.2, -0.5, -1.0, -2.0, -5.0, -10.0, -20.0];

/// Rerank the hypotheses of another system with a language model
#[derive(Args, Debug)]
#[command(after_help = "\
The list has one hypothesis per line in three tab-separated columns: an id (such as the utterance), the other system's \
log-probability, and the text; or a JSON object with the keys id, score and text. The output has the same columns, \
grouped by id, the best hypothesis first, with the combined score:\n\n  \
score + weight × log-probability of the line (natural logarithm) + word bonus × number of words\n\n\
A file of references has an id and a text per line, separated by a tab. With it, weights that are not given are chosen \
from a grid to minimize the word error rate, and the word error rates before and after are printed. Use these weights \
on other lists: on the list they were tuned on, the word error rate is too optimistic.")]
pub(crate) struct RescoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// List of hypotheses; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    list: Option<PathBuf>,
    #[command(flatten)]
    lossy: LossyArgs,
    /// Weight of the language model's log-probability [default: tuned with --reference, else 1]
    #[arg(long, short, value_name = "FACTOR", allow_negative_numbers = true, help_heading = "Weights")]
    weight: Option<f64>,
    /// Bonus per word [default: tuned with --reference, else 0]
    #[arg(long, value_name = "NATS", allow_negative_numbers = true, help_heading = "Weights")]
    word_bonus: Option<f64>,
    /// Reference texts, to tune the weights on and to compute word error rates
    #[arg(long, value_name = "FILE", help_heading = "Weights")]
    reference: Option<PathBuf>,
    /// Batch size: hypotheses to score in parallel; affects only speed and memory
    #[arg(long, value_name = "SENTENCES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    /// Print only the best hypothesis of each id
    #[arg(long, help_heading = "Output")]
    best: bool,
    /// Print JSON, one object per line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: RescoreArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let loaded = args.model.load(Console::new(false))?;
    let input = &Input::all(args.list.as_slice())[0];
    let entries = entries(input.open(console)?, &input.origin(), args.lossy.lossy)?;
    let references = match &args.reference {
        Some(path) => {
            let input = &Input::all(std::slice::from_ref(path))[0];
            references(input.open(console)?, &input.origin(), args.lossy.lossy)?
        }
        None => Vec::new(),
    };
    let model = loaded.model.with_codec(loaded.codec().clone().lossy(args.lossy.lossy))?;
    let scoring = Scoring { batch_size: args.batch_size, ..Scoring::default() };
    let lists = model.score_lists(entries, &scoring).map_err(|error| match error {
        InferError::Hypothesis { line, source } => {
            anyhow::Error::new(source).context(format!("{}, line {line}", input.origin()))
        }
        error => error.into(),
    })?;
    let weights = if let Some(path) = &args.reference {
        let origin = Input::all(std::slice::from_ref(path))[0].origin();
        weigh(&args, &paired(&lists, &references, &origin)?, lists.len(), console)
    } else {
        Weights { lm: args.weight.unwrap_or(1.0), word_bonus: args.word_bonus.unwrap_or(0.0) }
    };
    output::write(|out| lists.iter().try_for_each(|list| print(&args, list, weights, out)))?;
    Ok(ExitCode::SUCCESS)
}

/// Each list that has a reference, with it.
fn paired<'a>(
    lists: &'a [List],
    references: &'a [Reference],
    origin: &str,
) -> Result<Vec<(&'a [Scored], &'a str)>> {
    let by_id: HashMap<&str, &List> = lists.iter().map(|list| (list.id.as_str(), list)).collect();
    let pair = |reference: &'a Reference| match by_id.get(reference.id.as_str()) {
        Some(list) => Ok((list.hypotheses.as_slice(), reference.text.as_str())),
        None => Err(CliError::Line {
            origin: origin.to_owned(),
            line: reference.line,
            reason: format!("the list has no hypothesis with the id `{}`", reference.id),
        }
        .into()),
    };
    references.iter().map(pair).collect()
}

/// Tunes the weights that are not given, and prints the word error rates.
fn weigh(args: &RescoreArgs, pairs: &[(&[Scored], &str)], lists: usize, console: Console) -> Weights {
    let given = |value: &Option<f64>, grid: &[f64]| value.map_or(grid.to_vec(), |value| vec![value]);
    let (lm, bonus) = (given(&args.weight, &LM_WEIGHTS), given(&args.word_bonus, &WORD_BONUSES));
    let before = errors(pairs, Weights::default());
    let Tuned { weights, after } =
        tune(pairs, &lm, &bonus).unwrap_or(Tuned { weights: Weights::default(), after: before });
    let said = |given: bool| if given { "given" } else { "tuned" };
    let row = |name: &str, value: String, note: String| vec![name.to_owned(), value, note];
    let rate = |name: &str, found: rondo_infer::rescore::WordErrors| {
        let note = format!(
            "{} errors in {} words",
            describe::count(found.errors as usize),
            describe::count(found.words as usize)
        );
        row(name, format!("{:.2} %", 100.0 * found.rate()), note)
    };
    let rows = [
        row("weight", weights.lm.to_string(), said(args.weight.is_some()).to_owned()),
        row("word bonus", weights.word_bonus.to_string(), said(args.word_bonus.is_some()).to_owned()),
        rate("word error rate before", before),
        rate("word error rate after", after),
        rate("oracle (best possible)", oracle(pairs)),
    ];
    console.say(output::columns(&rows, &[1]).trim_end());
    if pairs.len() < lists {
        console.say(&format!("note: {} of the {lists} ids have no reference", lists - pairs.len()));
    }
    weights
}

fn print(args: &RescoreArgs, list: &List, weights: Weights, out: &mut dyn Write) -> Result<()> {
    let count = if args.best { 1 } else { list.hypotheses.len() };
    for place in ranking(&list.hypotheses, weights).into_iter().take(count) {
        let one = &list.hypotheses[place];
        let combined = one.combined(weights);
        if args.json {
            let object = json!({
                "id": list.id,
                "score": output::number(combined),
                "text": one.text,
                "other_score": output::number(one.score),
                "lm_log_prob": output::number(one.lm_log_prob),
                "words": one.words(),
            });
            writeln!(out, "{object}")?;
        } else {
            writeln!(out, "{}\t{combined:.4}\t{}", list.id, one.text)?;
        }
    }
    Ok(())
}
