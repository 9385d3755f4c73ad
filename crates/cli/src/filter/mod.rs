//! `rondo filter`: passes on the texts whose perplexity and ranks are within bounds, or divides them into buckets, byte for
//! byte.
//!
//! ```text
//! files, stdin ─▶ pieces (texts) ─▶ shard ─▶ verdicts (infer) ─▶ kept texts, as they are ─▶ stdout, files (outputs)
//!                                                            └▶ summary ─▶ stderr
//! ```
//!
//! Promises: texts that are passed on are not changed, and in order; a text is written as a whole or not at all, also if
//! the command is interrupted; every text that is read is counted as kept or dropped. Memory does not grow with the number
//! of texts. Not here: how texts are judged (`infer`).

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Result;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use rondo_infer::{
    Buckets, Filter, FilterSummary, FilterUnit, Filtering, LanguageModel, TextSample, Verdict,
};
use rondo_kernels::Work;
use serde_json::{Value, json};

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::DeviceArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::signals;
use crate::text_args::LossyArgs;
use crate::{describe, output};
use outputs::Outputs;
use texts::{Piece, Texts};

mod outputs;
mod texts;

/// The seed of the sample of a reference.
const SAMPLE_SEED: u64 = 1;
/// How many texts of a reference are scored at a time.
const SAMPLE_BATCH: usize = 256;

/// Filter lines or documents by perplexity or rank, or divide them into buckets
#[derive(Args, Debug)]
#[command(after_help = "\
Lines that are kept are printed byte for byte, in order. The perplexity of a line is per word, where a word is what stands \
between whitespace, and the line end is one more: so models with different tokenizers compare. That of a document is the \
same over all of its lines, each of which is scored on its own. Documents are blocks of lines between blank lines; with \
--text-field, each line is a JSON object, and the field of it is a document.\n\n\
An unknown word costs what an unseen word costs: the probability of the unknown token is shared among as many unseen words \
as there are unknown words in the model's training text (see --unknown-words). Otherwise, text full of garbage would have a \
low perplexity, since <unk> is easy to predict. A line with a character that the model's vocabulary does not contain has an \
infinite perplexity. A blank line has the perplexity of its line end.\n\n\
Buckets are those of CCNet: --buckets head,middle,tail --reference SAMPLE divides texts at the perplexities that divide the \
sample into thirds. The first bucket has the lowest perplexities.")]
pub(crate) struct FilterArgs {
    /// Model file, or a run folder for its best model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Files of texts, also compressed; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    texts: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    lossy: LossyArgs,
    /// Field of JSON Lines that contains the text
    #[arg(long, value_name = "NAME", help_heading = "Text")]
    text_field: Option<String>,
    /// What is kept or dropped as a whole; with --text-field and line, line breaks in the field are read as spaces
    /// [default: line, or document with --text-field]
    #[arg(long, value_name = "UNIT", help_heading = "Text")]
    unit: Option<UnitName>,
    /// Keep texts with at least this perplexity
    #[arg(long, value_name = "PERPLEXITY", default_value_t = 0.0, help_heading = "Filter")]
    min_perplexity: f64,
    /// Keep texts with at most this perplexity [default: any]
    #[arg(long, value_name = "PERPLEXITY", help_heading = "Filter")]
    max_perplexity: Option<f64>,
    /// Keep texts without a token that is unknown or not among the G most likely ones in its place: those that `rondo score
    /// --max-rank G` does not flag
    #[arg(long, value_name = "G", conflicts_with = "approximate", help_heading = "Filter")]
    max_rank: Option<NonZeroU32>,
    /// Print the texts that would be dropped instead
    #[arg(long, help_heading = "Filter")]
    invert: bool,
    /// Read only part I of N: every Nth text, beginning with text I
    #[arg(long, value_name = "I/N", default_value = "1/1", help_heading = "Filter")]
    shard: Shard,
    /// Names of buckets, from the lowest perplexity to the highest, such as head,middle,tail
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = "Buckets"
    )]
    buckets: Vec<String>,
    /// File of texts of the same form: the buckets end at quantiles of their perplexities
    #[arg(
        long,
        value_name = "FILE",
        requires = "buckets",
        conflicts_with = "cutoffs",
        help_heading = "Buckets"
    )]
    reference: Option<PathBuf>,
    /// Quantiles of the reference at which buckets end, such as 0.3,0.6 [default: equal parts]
    #[arg(
        long,
        value_name = "FRACTIONS",
        value_delimiter = ',',
        requires = "reference",
        help_heading = "Buckets"
    )]
    quantiles: Vec<f64>,
    /// Number of texts of the reference to score: a random sample, the same each time
    #[arg(long, value_name = "TEXTS", default_value = "10000", help_heading = "Buckets")]
    reference_size: NonZeroUsize,
    /// Perplexities at which buckets end, instead of a reference
    #[arg(
        long,
        value_name = "PERPLEXITIES",
        value_delimiter = ',',
        requires = "buckets",
        help_heading = "Buckets"
    )]
    cutoffs: Vec<f64>,
    /// Share the unknown token's probability among this many unseen words [default: the number of unknown words in the
    /// training text]
    #[arg(long, value_name = "WORDS", help_heading = "Scoring")]
    unknown_words: Option<NonZeroU64>,
    #[command(flatten)]
    approximate: ApproximateArgs,
    /// Batch size: lines to score in parallel; affects only speed and memory
    #[arg(long, value_name = "LINES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    /// Write each bucket to its own file, PREFIX.head and so on, instead of to stdout
    #[arg(long, value_name = "PREFIX", requires = "buckets", help_heading = "Output")]
    out: Option<PathBuf>,
    /// Add the perplexity to each object, as a field of this name
    #[arg(long, value_name = "NAME", requires = "text_field", help_heading = "Output")]
    add_score: Option<String>,
    /// Add the name of the bucket to each object, as a field of this name
    #[arg(long, value_name = "NAME", requires_all = ["text_field", "buckets"], help_heading = "Output")]
    add_bucket: Option<String>,
    /// Print the counts at the end as JSON, to stderr
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// [`FilterUnit`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnitName {
    Line,
    Document,
}

/// Every `count`th text, beginning with text `index`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Shard {
    index: u64,
    count: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts =
            text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Shard { index, count }),
            _ => Err("must be I/N with I from 1 to N, such as 2/8".to_owned()),
        }
    }
}

impl Shard {
    /// Whether a text, numbered from 1, is part of it.
    fn has(self, text: u64) -> bool {
        (text - 1) % self.count == self.index - 1
    }
}

/// Runs the command.
pub(crate) fn run(args: FilterArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    args.check()?;
    let mut loaded = args.device.load_all(std::slice::from_ref(&args.model), Work::Batches, console)?;
    args.lossy.apply(&mut loaded)?;
    args.approximate.apply_all(&mut loaded)?;
    let model = &loaded[0].model;
    let stop = signals::stop()?;
    let mut filter = Filter::new(model, args.options())?;
    let buckets = args.divide(&mut filter, model, &stop, console)?;
    if let Some(buckets) = &buckets {
        filter = filter.with_buckets(buckets.clone());
    }
    let (begun, mut bytes) = (Instant::now(), 0);
    let filtered = output::write(|stdout| {
        let mut outputs = Outputs::new(&args, buckets.as_ref(), stdout)?;
        let mut count = 0;
        for input in &Input::all(&args.texts) {
            let mut texts = Texts::open(input, &args, (args.shard, count), model.codec(), console)?;
            // The verdict on the last text, for blank lines after it.
            let mut last = None;
            while !stop.load(Ordering::Relaxed) {
                let (pieces, fault) = texts.next_unless(&stop)?;
                if pieces.is_empty() && fault.is_none() {
                    break;
                }
                let all = pieces.iter().filter_map(Piece::text).collect::<Vec<_>>();
                let mut verdicts = filter.judge(&all)?.into_iter();
                for piece in &pieces {
                    if piece.text().is_some() {
                        last = verdicts.next();
                    }
                    pass(piece, last, &mut outputs, &mut bytes)?;
                }
                // Whole texts at a time: an interruption comes between batches.
                outputs.write()?;
                if let Some(fault) = fault {
                    return Err(fault);
                }
                if texts.is_interactive() {
                    outputs.flush()?;
                }
            }
            count = texts.count();
        }
        Ok(())
    });
    // A job that could not begin has nothing to say but why.
    let has_begun = filtered.is_ok() || filter.summary().texts() > 0;
    let megabytes_per_s = bytes as f64 / 1e6 / begun.elapsed().as_secs_f64();
    if args.json && has_begun {
        let mut counts = args.in_json(&filter, megabytes_per_s);
        if let Some(check) = normalizer::check_in_json(&loaded[0]) {
            counts["approximate"] = check;
        }
        console.say(&counts.to_string());
    } else if has_begun {
        console.say(args.in_columns(&filter, megabytes_per_s).trim_end());
    }
    filtered?;
    if !args.json {
        normalizer::say_checks(&loaded, console);
    }
    Ok(if stop.load(Ordering::Relaxed) { signals::exit_code() } else { ExitCode::SUCCESS })
}

/// Passes on a piece of a text for which there is a verdict, and counts its bytes.
fn pass(piece: &Piece, verdict: Option<Verdict>, outputs: &mut Outputs<'_>, read: &mut u64) -> Result<()> {
    let Some(verdict) = verdict else { return Ok(()) };
    let (Piece::Text { bytes, .. } | Piece::Blank(bytes)) = piece;
    *read += bytes.len() as u64;
    match piece {
        _ if !verdict.is_kept => Ok(()),
        Piece::Text { bytes, .. } => outputs.push(bytes, verdict),
        Piece::Blank(bytes) => {
            outputs.push_blank(bytes, verdict);
            Ok(())
        }
    }
}

impl FilterArgs {
    /// Fails if buckets are asked for without saying where they end or where they go.
    fn check(&self) -> Result<()> {
        if self.buckets.is_empty() {
            return Ok(());
        }
        if self.reference.is_none() && self.cutoffs.is_empty() {
            return Err(CliError::BucketsWithout {
                what: "where they end",
                flags: "--reference FILE` or `--cutoffs PERPLEXITIES",
            }
            .into());
        }
        if self.out.is_none() && self.add_bucket.is_none() {
            return Err(CliError::BucketsWithout {
                what: "where they go",
                flags: "--out PREFIX` or `--add-bucket NAME",
            }
            .into());
        }
        Ok(())
    }

    fn unit(&self) -> FilterUnit {
        match self.unit {
            Some(UnitName::Line) => FilterUnit::Line,
            Some(UnitName::Document) => FilterUnit::Document,
            None if self.text_field.is_some() => FilterUnit::Document,
            None => FilterUnit::Line,
        }
    }

    fn options(&self) -> Filtering {
        Filtering {
            unit: self.unit(),
            min_perplexity: self.min_perplexity,
            max_perplexity: self.max_perplexity.unwrap_or(f64::INFINITY),
            max_rank: self.max_rank,
            invert: self.invert,
            unknown_words: self.unknown_words.map(NonZeroU64::get),
            batch_size: self.batch_size,
        }
    }

    /// The buckets that are asked for, if any.
    fn divide(
        &self,
        filter: &mut Filter,
        model: &LanguageModel,
        stop: &AtomicBool,
        console: Console,
    ) -> Result<Option<Buckets>> {
        let names = self.buckets.clone();
        let Some(reference) = &self.reference else {
            let given = (!names.is_empty()).then(|| Buckets::new(names, self.cutoffs.clone()));
            return Ok(given.transpose()?);
        };
        let even = Buckets::even_quantiles(names.len());
        let quantiles = if self.quantiles.is_empty() { &even } else { &self.quantiles };
        // What is wrong with the flags is wrong before anything is read.
        Buckets::of_sample(names.clone(), quantiles, vec![0.0; names.len()])?;
        let input = Input::all(std::slice::from_ref(reference)).remove(0);
        let mut texts = Texts::open(&input, self, (Shard { index: 1, count: 1 }, 0), model.codec(), console)?;
        let mut sample = TextSample::new(self.reference_size.get(), SAMPLE_SEED);
        loop {
            let (pieces, fault) = texts.next_unless(stop)?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            if pieces.is_empty() {
                break;
            }
            for piece in pieces {
                if let Piece::Text { text, .. } = piece {
                    sample.add(text);
                }
            }
        }
        let mut perplexities = Vec::with_capacity(sample.texts().len());
        for texts in sample.texts().chunks(SAMPLE_BATCH) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            perplexities.extend(filter.perplexities(texts)?);
        }
        if stop.load(Ordering::Relaxed) {
            // Nothing is filtered then.
            return Ok(None);
        }
        let buckets = Buckets::of_sample(names.clone(), quantiles, perplexities)?;
        // As they are printed: the same cutoffs can be given again.
        let cutoffs = buckets.cutoffs().iter().map(|cutoff| (cutoff * 1e4).ceil() / 1e4);
        let buckets = Buckets::new(names, cutoffs.collect())?;
        console.say(&format!(
            "buckets end at the perplexities {} (of {} texts of `{}`); --cutoffs {} sets the same",
            listed(buckets.cutoffs(), ", "),
            describe::count(sample.texts().len()),
            input.origin(),
            listed(buckets.cutoffs(), ",")
        ));
        Ok(Some(buckets))
    }

    fn unit_name(&self) -> &'static str {
        match self.unit() {
            FilterUnit::Line => "lines",
            FilterUnit::Document => "documents",
        }
    }

    /// The counts in columns.
    fn in_columns(&self, filter: &Filter, megabytes_per_s: f64) -> String {
        let (summary, unit) = (filter.summary(), self.unit_name());
        let count = |count: u64| describe::count(count as usize);
        let row = |name: &str, cells: Vec<String>| {
            std::iter::once(name.to_owned()).chain(cells).collect::<Vec<_>>()
        };
        let mut ends: Vec<String> =
            FilterSummary::PERPLEXITIES.iter().map(|end| format!("≤ {end}")).collect();
        ends.push(format!("> {}", FilterSummary::PERPLEXITIES[FilterSummary::PERPLEXITIES.len() - 1]));
        let counts = |counts: &[u64]| counts.iter().map(|&own| count(own)).collect();
        let table = |rows: [Vec<String>; 2]| {
            let right: Vec<usize> = (1..rows[0].len()).collect();
            output::columns(&rows, &right)
        };
        let mut text = format!(
            "{} {unit} read, {} kept, {} dropped; {:.1} % unknown tokens; {megabytes_per_s:.2} MB/s\n",
            count(summary.texts()),
            count(summary.kept),
            count(summary.dropped),
            100.0 * summary.unknown_share(),
        );
        text += &table([row("perplexity", ends), row(unit, counts(&summary.histogram))]);
        if let Some(buckets) = filter.buckets() {
            text += &table([row("bucket", buckets.names().to_vec()), row("kept", counts(&summary.buckets))]);
        }
        text
    }

    /// The counts as JSON.
    fn in_json(&self, filter: &Filter, megabytes_per_s: f64) -> Value {
        let (summary, unit) = (filter.summary(), self.unit_name());
        let ends = FilterSummary::PERPLEXITIES.map(Some).into_iter().chain([None]).zip(summary.histogram);
        let histogram = ends.map(|(end, count)| json!({ "up_to_perplexity": end, unit: count }));
        let mut counts = json!({
            unit: summary.texts(),
            "kept": summary.kept,
            "dropped": summary.dropped,
            "unknown_share": output::number(summary.unknown_share()),
            "megabytes_per_s": output::number(megabytes_per_s),
            "histogram": histogram.collect::<Value>(),
        });
        if let Some(buckets) = filter.buckets() {
            let ends = buckets.cutoffs().iter().map(|&end| output::number(end)).chain([Value::Null]);
            let all = buckets.names().iter().zip(ends).zip(&summary.buckets);
            let all = all
                .map(|((name, end), kept)| json!({ "bucket": name, "up_to_perplexity": end, "kept": kept }));
            counts["buckets"] = all.collect();
        }
        counts
    }
}

/// Numbers, separated.
fn listed(numbers: &[f64], separator: &str) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_a_partition() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|text| text.parse().unwrap()).to_vec();
        for text in 1..20 {
            assert_eq!(shards.iter().filter(|shard| shard.has(text)).count(), 1);
        }
        assert!(shards[0].has(1) && shards[2].has(3) && shards[1].has(5));
        for text in ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
