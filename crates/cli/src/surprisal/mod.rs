//! `rondo surprisal`: a table with the surprisal of each word of sentences.
//!
//! ```text
//! items      lines, or records: a text, perhaps a context and a document, other columns
//! table      one row per region, with the item's columns and those of each model
//! states     the models' states after each row
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_infer::{
    Passage, Region, RegionFault, RegionUnit, Start, SurprisalOptions, Surprisals, UnknownWords,
};
use rondo_kernels::Work;

use crate::base::Base;
use crate::console::Console;
use crate::describe;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::DeviceArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::output;
use crate::several_models;
use crate::table::{Table, TableFormat};
use crate::text_args::ReadingArgs;
use columns::{Columns, Rows};
use items::{Item, ItemArgs};
use states::StatesFile;

mod columns;
mod items;
mod states;

/// Print a table with the surprisal of each word, token or character of sentences
#[derive(Args, Debug)]
#[command(
    override_usage = "rondo surprisal [OPTIONS] MODEL... [ITEMS]...",
    after_help = "\
Models are run folders or .safetensors files; the files after them contain the items, one per line, or in a column of a \
table. Each row of the result is a region: its item (and file, if there are several), the item's other columns, the \
number of the region, its text as typed, where it starts and ends (in characters from 0, the end not included), and for \
each model its number of tokens, surprisal, number of unknown tokens, the entropy of the prediction of its first token, the \
rank of that token, and, for a region of one token, the logarithm of its frequency in the training text. The last row of an \
item is its end, with an empty text: surprisals of an item add up to its score.\n\n\
Each item begins after a line end, so its first word has a surprisal. A word of a model of characters includes its end: the \
surprisal says that exactly this word comes, not one that begins with it. NA is a missing number.\n\n\
With --approximate, the columns entropy and rank are left out: they need the whole distribution, as words of characters do."
)]
pub(crate) struct SurprisalArgs {
    /// Models, then files of items; - is stdin [default: stdin]
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    items: ItemArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    /// What a row is
    #[arg(long, value_name = "UNIT", default_value = "word", help_heading = "Regions")]
    by: Unit,
    /// Punctuation at the beginning and the end of a word is a region of its own
    #[arg(long, help_heading = "Regions")]
    split_punctuation: bool,
    /// Leave out the row for the end of an item
    #[arg(long, help_heading = "Regions")]
    no_end: bool,
    /// What an item without context begins after: a line end, or nothing, a state of zeros
    #[arg(long, value_name = "START", default_value = "line-end", help_heading = "Scoring")]
    start: StartAt,
    /// How unknown words are scored: mark (by the unknown token, and counted), missing (NA), or share:N (by the unknown
    /// token's probability divided by N)
    #[arg(long, value_name = "RULE", default_value = "mark", help_heading = "Scoring")]
    unknown: Unknown,
    /// Also score with the mean of the models' probabilities
    #[arg(long, help_heading = "Scoring")]
    ensemble: bool,
    #[command(flatten)]
    approximate: ApproximateArgs,
    /// Batch size: items to read in parallel; affects only speed and memory
    #[arg(long, value_name = "ITEMS", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    /// Base of the logarithm: 2 (bits), e (nats) or 10
    #[arg(long, value_name = "BASE", default_value = "2", help_heading = "Output")]
    base: Base,
    /// Add the mean of the models' surprisals, and its 95 % confidence interval: for models that differ in their seed
    #[arg(long, help_heading = "Output")]
    mean: bool,
    /// Format of the table
    #[arg(long, value_name = "FORMAT", default_value = "tsv", help_heading = "Output")]
    format: TableFormat,
    /// Write the model's hidden and cell states after each row to an .npz file, as arrays hidden_0, cell_0 and so on
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    states: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unit {
    Token,
    Word,
    Character,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StartAt {
    LineEnd,
    Zero,
}

#[derive(Clone, Copy, Debug)]
struct Unknown(UnknownWords);

impl FromStr for Unknown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words =
            text.strip_prefix("share:").and_then(|words| words.parse().ok()).filter(|&words| words > 0);
        match (text, words) {
            ("mark", _) => Ok(Unknown(UnknownWords::Mark)),
            ("missing", _) => Ok(Unknown(UnknownWords::Missing)),
            (_, Some(words)) => Ok(Unknown(UnknownWords::Share(words))),
            _ => Err("must be mark, missing or share:N with a number of words N".to_owned()),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: SurprisalArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let (models, files) = several_models::split(&args.paths);
    let names = several_models::names(models);
    let mut loaded = args.device.load_all(models, Work::Batches, console)?;
    for loaded in &mut loaded {
        loaded.model = loaded.model.with_codec(args.reading.codec(loaded, false)?)?;
    }
    args.approximate.apply_all(&mut loaded)?;
    let models: Vec<_> = loaded.iter().map(|loaded| loaded.model.clone()).collect();
    let takes_bytes = loaded.iter().all(|loaded| loaded.codec().is_lossy() || loaded.codec().is_of_bytes());
    let inputs = Input::all(files);
    let options = args.options();
    let columns = Columns { args: &args, names: &names, has_files: inputs.len() > 1 };
    let mut states = match &args.states {
        Some(path) => {
            let parts = Surprisals::new(&models, options.clone())?.state_parts();
            Some(
                StatesFile::new(path, parts)
                    .map_err(|source| CliError::Write { path: path.clone(), source })?,
            )
        }
        None => None,
    };
    let mut notes = Notes::default();
    let mut passed: Option<Vec<String>> = None;
    output::write(|out| {
        let mut table: Option<Table<'_>> = None;
        let mut out = Some(out);
        for input in &inputs {
            let origin = input.origin();
            let mut items = args.items.open(input, loaded[0].codec(), takes_bytes, console)?;
            let own: Vec<String> = items.columns().iter().map(ToString::to_string).collect();
            match &passed {
                Some(passed) if *passed != own => {
                    return Err(
                        CliError::OtherColumns { origin, found: own, expected: passed.clone() }.into()
                    );
                }
                _ => passed = Some(own.clone()),
            }
            if let Some(out) = out.take() {
                let (all, renamed) = columns.names(&own);
                notes.renamed = renamed;
                table = Some(Table::new(args.format, all, out)?);
            }
            let Some(table) = &mut table else { continue };
            // No state crosses from one file to the next.
            let mut surprisals = Surprisals::new(&models, options.clone())?;
            loop {
                let mut batch = items.next()?;
                if batch.is_empty() {
                    break;
                }
                // States need memory: few at a time.
                let at_once = if states.is_some() { args.batch_size.max(1) } else { batch.len() };
                for batch in batch.chunks_mut(at_once) {
                    let passages: Vec<Passage> =
                        batch.iter_mut().map(|item| std::mem::take(&mut item.passage)).collect();
                    let all = surprisals.read(&passages)?;
                    for ((item, passage), regions) in batch.iter().zip(&passages).zip(&all) {
                        let rows = Rows { item, passage, origin: &origin, columns: &columns };
                        notes.add(item, passage, regions, &names);
                        let shown = (1..).zip(regions).filter(|(_, region)| !(args.no_end && region.is_end));
                        for (number, region) in shown {
                            table.row(&rows.row(number, region))?;
                            if let Some(states) = &mut states {
                                states.push(item.number, number, &region.scores[0].state)?;
                            }
                        }
                    }
                }
                if items.is_interactive() {
                    table.flush()?;
                }
            }
            notes.left_out.extend(items.left_out().map(str::to_owned));
        }
        table.map_or(Ok(()), |mut table| table.flush())
    })?;
    if let Some(states) = states {
        states.finish()?;
    }
    notes.say(console);
    if args.approximate.approximate {
        console.say("note: no columns `entropy` and `rank`, which need the whole distribution; --approximate leaves it out");
    }
    normalizer::say_checks(&loaded, console);
    Ok(ExitCode::SUCCESS)
}

impl SurprisalArgs {
    fn options(&self) -> SurprisalOptions {
        SurprisalOptions {
            unit: match self.by {
                Unit::Token => RegionUnit::Token,
                Unit::Word => RegionUnit::Word,
                Unit::Character => RegionUnit::Character,
            },
            split_punctuation: self.split_punctuation,
            start: match self.start {
                StartAt::LineEnd => Start::LineEnd,
                StartAt::Zero => Start::Zero,
            },
            unknown: self.unknown.0,
            ensemble: self.ensemble,
            carry_state: self.items.has_documents(),
            states: self.states.is_some(),
            batch_size: self.batch_size,
        }
    }
}

/// What is said at the end.
#[derive(Default)]
struct Notes {
    /// Columns that have got another name.
    renamed: Vec<String>,
    /// Fields that are not passed through.
    left_out: Vec<String>,
    /// Items with a character that a model does not know, and regions whose tokens do not match them, with the first of them.
    impossible: u64,
    shared: (u64, Option<String>),
    unaligned: (u64, Option<String>),
}

impl Notes {
    fn add(&mut self, item: &Item, passage: &Passage, regions: &[Region], names: &[String]) {
        let scores = || regions.iter().flat_map(|region| &region.scores);
        self.impossible += u64::from(scores().any(|score| score.log_prob == Some(f64::NEG_INFINITY)));
        for region in regions {
            for (score, name) in region.scores.iter().zip(names) {
                let (count, token) = match &score.fault {
                    Some(RegionFault::SharedToken(token)) => (&mut self.shared, token),
                    Some(RegionFault::Unaligned(token)) => (&mut self.unaligned, token),
                    None => continue,
                };
                count.0 += 1;
                let text = String::from_utf8_lossy(&passage.text[region.bytes.clone()]);
                count.1.get_or_insert_with(|| {
                    format!(
                        "the first is `{text}` of item {}, whose token in `{name}` is `{token}`",
                        item.number
                    )
                });
            }
        }
    }

    fn say(&self, console: Console) {
        let counted = |count: u64, one: &str, many: &str| {
            format!("{} {}", describe::count(count as usize), if count == 1 { one } else { many })
        };
        for name in &self.renamed {
            console.say(&format!("note: the column `{name}` of the items is `item_{name}` in the table"));
        }
        for name in &self.left_out {
            console.say(&format!("note: the field `{name}` is left out: the first record does not have it"));
        }
        if let (count, Some(first)) = &self.shared {
            let regions = counted(*count, "region has", "regions have");
            console.say(&format!(
                "note: {regions} no surprisal, because a token is part of two regions: {first}"
            ));
        }
        if let (count, Some(first)) = &self.unaligned {
            let regions = counted(*count, "region has", "regions have");
            console.say(&format!(
                "note: {regions} no surprisal, because the tokens do not match the text: {first}"
            ));
        }
        if self.impossible > 0 {
            let items = counted(self.impossible, "item has", "items have");
            console.say(&format!("note: {items} characters that the model's vocabulary does not contain, and infinite surprisals"));
        }
    }
}
