//! `rondo compare`: the difference of the losses of two models on the same text.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_infer::compare::{Bootstrap, CompareUnit, Comparer, Comparing, Comparison};
use rondo_kernels::Work;
use rondo_runs::{Loss, Perplexity};
use serde_json::{Value, json};

use crate::console::Console;
use crate::input::Input;
use crate::lines::LineBatches;
use crate::model_args::DeviceArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::text_args::{FieldArgs, LossyArgs};
use crate::{describe, output};

/// Compare the losses of two models on the same text, with a confidence interval
#[derive(Args, Debug)]
#[command(after_help = "\
Each line of the text is one sentence, scored after a line end and with its own, as by `rondo score`. The difference is \
the loss of B minus the loss of A: below 0, B is better. Its 95 % interval is that of a paired bootstrap: lines are \
drawn with replacement, the same for both models, and the total difference is divided by the total number of units.\n\n\
Models with the same tokens are compared per token; others per word (what stands between whitespace) or character of \
the text, with each line end as one more. An unknown word costs a model only the loss of its unknown token, whichever \
word it is: see --unknown-words. Lines with a character that the vocabulary of a model does not contain are left out.")]
pub(crate) struct CompareArgs {
    /// Model A: model file, or a run folder for its best model
    #[arg(value_name = "A")]
    a: PathBuf,
    /// Model B
    #[arg(value_name = "B")]
    b: PathBuf,
    /// Text files; - is stdin [default: stdin]
    #[arg(value_name = "TEXT")]
    texts: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    lossy: LossyArgs,
    #[command(flatten)]
    field: FieldArgs,
    /// Unit of the losses [default: token if both models have the same tokens, else word if both have words or spaces,
    /// else character]
    #[arg(long, value_name = "UNIT", help_heading = "Scoring")]
    by: Option<UnitName>,
    /// Carry the hidden state from each line of a file to the next, for models of running text
    #[arg(long, help_heading = "Scoring")]
    carry_state: bool,
    #[command(flatten)]
    approximate: ApproximateArgs,
    /// Batch size: lines to score in parallel; affects only speed and memory
    #[arg(long, value_name = "LINES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    /// Share the unknown token's probability among this many unseen words, as n-gram toolkits do
    #[arg(long, value_name = "WORDS", help_heading = "Scoring")]
    unknown_words: Option<NonZeroU64>,
    /// Number of resamples of the lines
    #[arg(long, value_name = "NUMBER", default_value = "10000", help_heading = "Interval")]
    resamples: NonZeroUsize,
    /// Seed of the resamples
    #[arg(long, value_name = "SEED", default_value_t = Bootstrap::default().seed, help_heading = "Interval")]
    seed: u64,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// [`CompareUnit`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnitName {
    Token,
    Word,
    Character,
}

impl From<UnitName> for CompareUnit {
    fn from(name: UnitName) -> CompareUnit {
        match name {
            UnitName::Token => CompareUnit::Token,
            UnitName::Word => CompareUnit::Word,
            UnitName::Character => CompareUnit::Character,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: CompareArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let paths = [args.a.clone(), args.b.clone()];
    let mut loaded = args.device.load_all(&paths, Work::Batches, console)?;
    args.lossy.apply(&mut loaded)?;
    args.approximate.apply_all(&mut loaded)?;
    let models: Vec<_> = loaded.iter().map(|loaded| loaded.model.clone()).collect();
    let Ok(models) = <[_; 2]>::try_from(models) else { unreachable!("two paths give two models") };
    let codec = models[0].codec().clone();
    let options = Comparing {
        unit: args.by.map(CompareUnit::from),
        carry_state: args.carry_state,
        batch_size: args.batch_size,
        unknown_words: args.unknown_words.map_or(1, NonZeroU64::get),
    };
    let mut comparer = Comparer::new(models, options)?;
    let inputs = Input::all(&args.texts);
    for input in &inputs {
        let mut text = comparer.text(&input.origin())?;
        let mut batches = LineBatches::open(input, args.field.text_field.as_deref(), Some(&codec), console)?;
        loop {
            let lines = batches.next()?;
            if lines.is_empty() {
                break;
            }
            text.add(&lines)?;
        }
    }
    let bootstrap = Bootstrap { resamples: args.resamples.get(), seed: args.seed };
    let comparison = comparer.finish(bootstrap)?;
    let title = inputs.iter().map(Input::origin).collect::<Vec<_>>().join(", ");
    let paths = paths.map(|path| path.display().to_string());
    if args.json {
        let mut object = in_json(&title, &paths, bootstrap, &comparison);
        for (place, check) in loaded.iter().map(normalizer::check_in_json).enumerate() {
            if let Some(check) = check {
                object["models"][place]["approximate"] = check;
            }
        }
        output::json(&object)?;
    } else {
        output::text(&in_columns(&title, &paths, bootstrap, &comparison))?;
    }
    say_notes(&comparison, console);
    normalizer::say_checks(&loaded, console);
    Ok(ExitCode::SUCCESS)
}

/// Says what makes a comparison less fair.
fn say_notes(comparison: &Comparison, console: Console) {
    let [a, b] = comparison.unknown_tokens;
    if a != b {
        let favored = if a > b { "A" } else { "B" };
        console.say(&format!(
            "note: the comparison favors model {favored}, which has more unknown words; --unknown-words shares the \
             unknown token's probability among them"
        ));
    }
    if comparison.left_out > 0 {
        let lines = if comparison.left_out == 1 { "line" } else { "lines" };
        console.say(&format!(
            "note: left out for both models: {} {lines} with characters that a vocabulary does not contain",
            describe::count(comparison.left_out)
        ));
    }
}

fn in_columns(title: &str, paths: &[String; 2], bootstrap: Bootstrap, comparison: &Comparison) -> String {
    let unit = comparison.unit.name();
    let counts = format!(
        "{} lines, {} {unit}s",
        describe::count(comparison.lines),
        describe::count(comparison.units as usize)
    );
    let [a, b] = paths;
    let head: Vec<Vec<String>> = [["text", title], ["counts", &counts], ["model A", a], ["model B", b]]
        .map(|row| row.map(str::to_owned).to_vec())
        .into();
    let [of_a, of_b] = comparison.losses();
    let row = |name: String, [a, b]: [String; 2]| vec![name, a, b];
    let rows = [
        row(String::new(), ["A".to_owned(), "B".to_owned()]),
        row("total loss (nats)".to_owned(), comparison.nll_sums.map(|sum| format!("{sum:.1}"))),
        row(format!("loss per {unit}"), [of_a, of_b].map(|loss| Loss(loss).to_string())),
        row(
            format!("perplexity per {unit}"),
            [of_a, of_b].map(|loss| Perplexity::from_nll_mean(loss).to_string()),
        ),
        row(
            "unknown words".to_owned(),
            comparison.unknown_tokens.map(|count| describe::count(count as usize)),
        ),
    ];
    let (low, high) = comparison.interval;
    let difference = [
        [
            "B - A".to_owned(),
            format!("{:+.4} nats per {unit}, 95 % interval {low:+.4} to {high:+.4}", comparison.difference),
        ],
        [
            "B is better".to_owned(),
            format!(
                "in {:.1} % of {} resamples of the lines",
                100.0 * comparison.b_is_better,
                describe::count(bootstrap.resamples)
            ),
        ],
    ];
    let difference: Vec<Vec<String>> = difference.map(|row| row.to_vec()).into();
    [output::columns(&head, &[]), output::columns(&rows, &[1, 2]), output::columns(&difference, &[])]
        .join("\n")
}

fn in_json(title: &str, paths: &[String; 2], bootstrap: Bootstrap, comparison: &Comparison) -> Value {
    let models = (0..2).map(|place| {
        let loss = comparison.losses()[place];
        json!({
            "model": paths[place],
            "nll_sum": output::number(comparison.nll_sums[place]),
            "loss": output::number(loss),
            "perplexity": output::number(Perplexity::from_nll_mean(loss).value()),
            "unknown_tokens": comparison.unknown_tokens[place],
        })
    });
    json!({
        "text": title,
        "unit": comparison.unit.name(),
        "lines": comparison.lines,
        "left_out": comparison.left_out,
        "units": comparison.units,
        "models": models.collect::<Value>(),
        "difference": output::number(comparison.difference),
        "interval": [output::number(comparison.interval.0), output::number(comparison.interval.1)],
        "b_is_better": output::number(comparison.b_is_better),
        "resamples": bootstrap.resamples,
        "seed": bootstrap.seed,
    })
}
