//! `rondo filter`: passes on the lines of a text whose perplexity is within bounds, byte for byte.
//!
//! ```text
//! files, stdin ─▶ batches of lines ─▶ shard ─▶ perplexities ─▶ kept lines, as they are ─▶ stdout
//!                                                           └▶ counts ─▶ stderr
//! ```
//!
//! Promises: lines that are passed on are not changed, and in order; a line is written as a whole or not at all, also if
//! the command is interrupted; every line that is read is counted as kept or dropped. Memory does not grow with the text.

use std::io::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use clap::Args;
use rondo_data::{EncodedLine, TextCodec};
use rondo_infer::{Scoring, SentenceScore};
use serde_json::{Map, Value, json};

use crate::console::Console;
use crate::error::CliError;
use crate::input::{Input, check_text};
use crate::lines::LineBatches;
use crate::model_args::DeviceArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::text_args::LossyArgs;
use crate::train::{INTERRUPTED, stop_on_interruption};
use crate::{describe, output};

/// The upper ends of the buckets of the histogram.
const BUCKETS: [f64; 7] = [25.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1600.0];

/// Pass on the lines of a text whose perplexity is within bounds
#[derive(Args, Debug)]
#[command(after_help = "\
Lines that are kept are printed byte for byte, in order. The perplexity of a line is per word, where a word is what stands \
between whitespace, and the line end is one more: so models with different tokenizers compare. With --text-field, each line \
is a JSON object, and the field is its text.\n\n\
An unknown word costs what an unseen word costs: the probability of the unknown token is shared among as many unseen words \
as there are unknown words in the model's training text (see --unknown-words). Otherwise, text full of garbage would have a \
low perplexity, since <unk> is easy to predict. A line with a character that the model's vocabulary does not contain has an \
infinite perplexity. A blank line has the perplexity of its line end.")]
pub(crate) struct FilterArgs {
    /// Model file, or a run folder for its best model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Files of lines, also compressed; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    texts: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    lossy: LossyArgs,
    /// Field of JSON Lines that contains the text
    #[arg(long, value_name = "NAME", help_heading = "Text")]
    text_field: Option<String>,
    /// Keep lines with at least this perplexity
    #[arg(long, value_name = "PERPLEXITY", default_value_t = 0.0, help_heading = "Filter")]
    min_perplexity: f64,
    /// Keep lines with at most this perplexity [default: any]
    #[arg(long, value_name = "PERPLEXITY", help_heading = "Filter")]
    max_perplexity: Option<f64>,
    /// Print the lines that would be dropped instead
    #[arg(long, help_heading = "Filter")]
    invert: bool,
    /// Read only part I of N: every Nth line, beginning with line I
    #[arg(long, value_name = "I/N", default_value = "1/1", help_heading = "Filter")]
    shard: Shard,
    /// Share the unknown token's probability among this many unseen words [default: the number of unknown words in the
    /// training text]
    #[arg(long, value_name = "WORDS", help_heading = "Scoring")]
    unknown_words: Option<NonZeroU64>,
    #[command(flatten)]
    approximate: ApproximateArgs,
    /// Batch size: lines to score in parallel; affects only speed and memory
    #[arg(long, value_name = "LINES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    /// Add the perplexity to each object, as a field of this name
    #[arg(long, value_name = "NAME", requires = "text_field", help_heading = "Output")]
    add_score: Option<String>,
    /// Print the counts at the end as JSON, to stderr
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// Every `count`th line, beginning with line `index`.
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
    /// Whether a line, numbered from 1, is part of it.
    fn has(self, line: u64) -> bool {
        (line - 1) % self.count == self.index - 1
    }
}

/// Runs the command.
pub(crate) fn run(args: FilterArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let (min, max) = (args.min_perplexity, args.max_perplexity.unwrap_or(f64::INFINITY));
    if min.is_nan() || max.is_nan() || min > max {
        return Err(CliError::Bounds { min, max }.into());
    }
    let mut loaded = args.device.load_all(std::slice::from_ref(&args.model), console)?.remove(0);
    loaded.model = loaded.model.with_codec(loaded.codec().clone().lossy(args.lossy.lossy))?;
    args.approximate.apply(&mut loaded)?;
    let stop = stop_on_interruption()?;
    let codec = loaded.codec();
    let filter = Filter { args: &args, codec, unknown_cost: unknown_cost(&args, codec) };
    let scoring = Scoring { start: codec.line_end(), batch_size: args.batch_size, ..Scoring::default() };
    let mut scorer = loaded.model.scorer(scoring)?;
    let (mut counts, begun, mut all_lines) = (Counts::default(), Instant::now(), 0);
    let filtered = output::write(|out| {
        for input in &Input::all(&args.texts) {
            let origin = input.origin();
            let mut encoder = codec.line_encoder(&origin);
            let noted_for = Some(codec).filter(|_| args.text_field.is_none());
            let mut batches = LineBatches::open(input, None, noted_for, console)?;
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let lines = batches.next_unless(&stop)?;
                if lines.is_empty() {
                    break;
                }
                let (mut own, mut encoded, mut fault) = (Vec::new(), Vec::new(), None);
                for line in lines {
                    (number, all_lines) = (number + 1, all_lines + 1);
                    if !args.shard.has(all_lines) {
                        continue;
                    }
                    // The lines before a faulty one are filtered first.
                    match filter.text_of(&line, &origin, number) {
                        Ok(text) => encoded.push(encoder.encode(&text)?),
                        Err(error) => {
                            fault = Some(error);
                            break;
                        }
                    }
                    own.push(line);
                }
                let possible = encoded.iter().filter(|line| line.missing.is_empty());
                let ids: Vec<&[u32]> = possible.map(|line| line.ids.as_slice()).collect();
                let mut scores = scorer.score(&ids)?.into_iter();
                let mut kept = Vec::new();
                for (line, encoded) in own.iter().zip(&encoded) {
                    let score = if encoded.missing.is_empty() { scores.next() } else { None };
                    let perplexity = filter.perplexity(encoded, score.as_ref());
                    let keeps = filter.keeps(perplexity);
                    counts.add(line, encoded, perplexity, keeps);
                    if keeps {
                        filter.push(line, perplexity, &mut kept)?;
                    }
                }
                // Whole lines at a time: an interruption comes between batches.
                out.write_all(&kept)?;
                if let Some(fault) = fault {
                    return Err(fault);
                }
                if batches.is_interactive() {
                    out.flush()?;
                }
            }
        }
        Ok(())
    });
    counts.say(&args, begun.elapsed().as_secs_f64(), normalizer::check_in_json(&loaded), console);
    filtered?;
    if !args.json {
        normalizer::say_check(&loaded, console);
    }
    Ok(if stop.load(Ordering::Relaxed) { INTERRUPTED.into() } else { ExitCode::SUCCESS })
}

/// What each unknown token adds to the negative log-likelihood of its line.
fn unknown_cost(args: &FilterArgs, codec: &TextCodec) -> f64 {
    let vocab = codec.vocab();
    let counted = codec.unknown_id().and_then(|id| vocab.count(id)).filter(|&count| count > 0);
    let words = args.unknown_words.map_or(counted.unwrap_or(vocab.len() as u64), NonZeroU64::get);
    (words as f64).ln()
}

/// How lines are judged.
struct Filter<'a> {
    args: &'a FilterArgs,
    codec: &'a TextCodec,
    unknown_cost: f64,
}

impl Filter<'_> {
    /// The text of a line: itself, or a field of the object in it.
    fn text_of(&self, line: &[u8], origin: &str, number: u64) -> Result<Vec<u8>> {
        let FilterArgs { text_field, add_score, .. } = self.args;
        let takes_bytes = self.codec.is_lossy() || (self.codec.is_of_bytes() && text_field.is_none());
        check_text(line, takes_bytes, origin, number)?;
        let Some(field) = text_field else { return Ok(line.to_vec()) };
        let refused =
            |reason: String| CliError::FilterRecord { origin: origin.to_owned(), line: number, reason };
        let json = String::from_utf8_lossy(line);
        let json = json.strip_prefix('\u{feff}').unwrap_or(&json);
        if json.trim_ascii().is_empty() {
            return Ok(Vec::new());
        }
        let object: Map<String, Value> = serde_json::from_str(json)
            .map_err(|_| refused("is not a JSON object, and `--text-field` is for JSON Lines".to_owned()))?;
        if let Some(name) = add_score.as_ref().filter(|name| object.contains_key(*name)) {
            return Err(
                refused(format!("already has a field `{name}`, which `--add-score` would add")).into()
            );
        }
        match object.get(field) {
            Some(Value::String(text)) => Ok(text.replace(['\r', '\n'], " ").into_bytes()),
            Some(Value::Null) => Ok(Vec::new()),
            Some(_) => Err(refused(format!("has a field `{field}` that is not text")).into()),
            None => Err(refused(format!("has no field `{field}`")).into()),
        }
    }

    /// The perplexity of a line per word, its line end included; infinite if it has characters that the model does not
    /// know.
    fn perplexity(&self, line: &EncodedLine, score: Option<&SentenceScore>) -> f64 {
        let Some(score) = score else { return f64::INFINITY };
        let words = self.codec.as_read(&line.text);
        let words = String::from_utf8_lossy(&words).split_whitespace().count();
        let nll = line.unknown_tokens as f64 * self.unknown_cost - score.log_prob_sum;
        (nll / (words + 1) as f64).exp()
    }

    fn keeps(&self, perplexity: f64) -> bool {
        let FilterArgs { min_perplexity, max_perplexity, invert, .. } = self.args;
        let is_within = perplexity >= *min_perplexity && max_perplexity.is_none_or(|max| perplexity <= max);
        is_within != *invert
    }

    /// Appends a line as it is, or with its perplexity.
    fn push(&self, line: &[u8], perplexity: f64, kept: &mut Vec<u8>) -> Result<()> {
        let end = line.trim_ascii_end().len();
        match (&self.args.add_score, line[..end].strip_suffix(b"}")) {
            (Some(name), Some(object)) => {
                // What the object contains stays byte for byte.
                let comma = if object.trim_ascii_end().ends_with(b"{") { "" } else { "," };
                kept.extend_from_slice(object);
                let score = output::number((perplexity * 1e4).round() / 1e4);
                write!(kept, "{comma}{}:{score}}}", Value::from(name.as_str()))?;
                kept.extend_from_slice(&line[end..]);
            }
            _ => kept.extend_from_slice(line),
        }
        Ok(())
    }
}

/// What was read.
#[derive(Default)]
struct Counts {
    kept: u64,
    dropped: u64,
    bytes: u64,
    tokens: u64,
    unknown_tokens: u64,
    /// The number of lines up to each of [`BUCKETS`], and beyond.
    buckets: [u64; BUCKETS.len() + 1],
}

impl Counts {
    fn add(&mut self, line: &[u8], encoded: &EncodedLine, perplexity: f64, keeps: bool) {
        *(if keeps { &mut self.kept } else { &mut self.dropped }) += 1;
        self.bytes += line.len() as u64;
        self.tokens += encoded.tokens.len() as u64;
        self.unknown_tokens += encoded.unknown_tokens + encoded.missing.len() as u64;
        self.buckets[BUCKETS.partition_point(|&end| end < perplexity)] += 1;
    }

    /// Prints the counts, with the check of an approximate model if they are JSON.
    fn say(&self, args: &FilterArgs, seconds: f64, approximate: Option<Value>, console: Console) {
        let Counts { kept, dropped, bytes, tokens, unknown_tokens, buckets } = self;
        let megabytes_per_s = *bytes as f64 / 1e6 / seconds;
        let unknown = *unknown_tokens as f64 / (*tokens).max(1) as f64;
        if args.json {
            let histogram = BUCKETS.map(Some).into_iter().chain([None]).zip(buckets);
            let histogram: Value =
                histogram.map(|(end, count)| json!({ "up_to_perplexity": end, "lines": count })).collect();
            let mut counts = json!({
                "lines": kept + dropped,
                "kept": kept,
                "dropped": dropped,
                "unknown_share": output::number(unknown),
                "megabytes_per_s": output::number(megabytes_per_s),
                "histogram": histogram,
            });
            if let Some(check) = approximate {
                counts["approximate"] = check;
            }
            return console.say(&counts.to_string());
        }
        let count = |count: u64| describe::count(count as usize);
        console.say(&format!(
            "{} lines read, {} kept, {} dropped; {:.1} % unknown tokens; {megabytes_per_s:.2} MB/s",
            count(kept + dropped),
            count(*kept),
            count(*dropped),
            100.0 * unknown
        ));
        let ends = BUCKETS
            .map(|end| format!("≤ {end}"))
            .into_iter()
            .chain([format!("> {}", BUCKETS[BUCKETS.len() - 1])]);
        let ends: Vec<String> = std::iter::once("perplexity".to_owned()).chain(ends).collect();
        let lines: Vec<String> =
            std::iter::once("lines".to_owned()).chain(buckets.iter().map(|&lines| count(lines))).collect();
        let right: Vec<usize> = (1..ends.len()).collect();
        console.say(output::columns(&[ends, lines], &right).trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_a_partition() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].map(|text| text.parse().unwrap()).to_vec();
        for line in 1..20 {
            assert_eq!(shards.iter().filter(|shard| shard.has(line)).count(), 1);
        }
        assert!(shards[0].has(1) && shards[2].has(3) && shards[1].has(5));
        for text in ["", "1", "0/2", "3/2", "a/b", "1/0", "-1/2"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
