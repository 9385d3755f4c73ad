//! `rondo score`: the log-probability of each line.
//!
//! Promises: one line in, one record out, in order, for every tokenizer; the text of a record is the line, and nothing
//! in it breaks the record.

use std::io::Write;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use rondo_data::{EncodedLine, TextCodec};
use rondo_infer::{Evaluation, Measures, Scorer, Scoring, SentenceScore, TextCounts};
use rondo_kernels::Work;
use rondo_runs::{Loss, Perplexity};
use serde_json::{Value, json};

use crate::base::Base;
use crate::console::Console;
use crate::error::CliError;
use crate::input::{Input, STDIN};
use crate::lines::LineBatches;
use crate::model_args::ModelArgs;
use crate::ngram_args::NgramArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::text_args::{FieldArgs, ReadingArgs};
use crate::{describe, measures, output, ranks};
use divided::{add_up, write_in_turn};

mod divided;
mod html;

/// Score lines: log-probability, number of tokens, unknown tokens
#[derive(Args, Debug)]
#[command(after_help = "\
Each line of the text gives one record, in order, with four tab-separated columns: the log-probability (natural \
logarithm, unless --base says otherwise), the number of scored tokens (the line end counts as one), the number of \
unknown tokens, and the line as it is in the text, in which a tab is printed as \\t. With several files, the name of \
the file comes first. A line is not split into sentences. A blank line has the probability of its line end, or 1 if \
the model skips blank lines. With --lossy, the line is printed with its invalid bytes; JSON has U+FFFD for them.\n\n\
A line with a character that the model's vocabulary does not contain has the log-probability -inf; a note at the end \
counts these lines. Lines from stdin are answered as soon as they arrive.")]
pub(crate) struct ScoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Text files; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    texts: Vec<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    field: FieldArgs,
    /// Carry the hidden state from each line of a file to the next, instead of scoring each from the initial state
    #[arg(long, help_heading = "Scoring")]
    carry_state: bool,
    /// Batch size: lines to score in parallel; affects only speed and memory
    #[arg(long, value_name = "LINES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    #[command(flatten)]
    approximate: ApproximateArgs,
    #[command(flatten)]
    ngram: NgramArgs,
    /// Flag lines with a token that is not among the G most likely ones in its place, as DeepLog does for logs: the number
    /// of these tokens is one more column, before the line. Unknown tokens count; a note has the number of flagged lines
    #[arg(
        long,
        value_name = "G",
        conflicts_with_all = ["html", "approximate", "ngram"],
        help_heading = "Scoring"
    )]
    max_rank: Option<NonZeroU32>,
    /// End with an error at a character that the model's vocabulary does not contain
    #[arg(long, help_heading = "Scoring")]
    strict: bool,
    /// Also print the log-probability of each token; unknown tokens are marked
    #[arg(long, help_heading = "Output")]
    per_token: bool,
    /// Base of the logarithm of log-probabilities: 2 (bits), e (nats) or 10; the loss of a summary is in nats
    #[arg(long, value_name = "BASE", default_value = "e", help_heading = "Output")]
    base: Base,
    /// Print a summary of all lines instead of a record for each: counts, loss and perplexity with and without unknown
    /// tokens, per word and character, bits per byte
    #[arg(long, conflicts_with_all = ["per_token", "html"], help_heading = "Output")]
    summary: bool,
    /// With --summary, share the unknown token's probability among this many unseen words, as n-gram toolkits do
    #[arg(long, value_name = "WORDS", requires = "summary", help_heading = "Output")]
    unknown_words: Option<NonZeroU64>,
    /// Print JSON, one object per line
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write an HTML page that colors each token by its surprisal in bits, one line of the page per line, instead of
    /// printing scores
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["json", "per_token", "base", "batch_size", "ngram", "approximate"],
        help_heading = "Output"
    )]
    html: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(args: ScoreArgs) -> Result<ExitCode> {
    let ranks = ranks::all();
    let console = Console::new(!ranks.leads());
    if !ranks.is_alone() {
        args.require_divided()?;
    }
    let mut loaded = args.model.load(Work::Batches, console)?;
    args.approximate.apply(&mut loaded)?;
    loaded.model = loaded.model.with_codec(args.reading.codec(&loaded, false)?)?;
    loaded.text_field.clone_from(&args.field.text_field);
    let inputs = Input::all(&args.texts);
    if let Some(path) = &args.html {
        let impossible = html::write(&inputs, &args, &loaded, path)?;
        say_impossible(impossible, console);
        return Ok(ExitCode::SUCCESS);
    }
    let codec = loaded.codec();
    let scoring = Scoring {
        start: codec.line_end(),
        carry_state: args.carry_state,
        batch_size: args.batch_size,
        ..Scoring::default()
    };
    let ngram = args.ngram.load(&loaded, console)?;
    let zero = Evaluation { nll_sum: 0.0, tokens: 0 };
    let mut summary = Measures { counts: TextCounts::default(), all: zero, unknown: zero };
    let (mut impossible, mut flagged) = (0, [0.0; 2]);
    write_in_turn(&*ranks, |out| {
        for input in &inputs {
            let origin = input.origin();
            let file = (inputs.len() > 1).then_some(origin.as_str());
            // No state crosses from one file to the next.
            let mut scorer = loaded.model.scorer(scoring.clone())?;
            if let Some(ngram) = &ngram {
                scorer = scorer.with_ngram(ngram.interpolation.clone());
            }
            if args.max_rank.is_some() {
                scorer = scorer.with_ranks()?;
            }
            let mut encoder = codec.line_encoder(&origin);
            let mut batches = LineBatches::open(input, loaded.text_field.as_deref(), Some(codec), console)?;
            loop {
                let lines = batches.next()?;
                if lines.is_empty() {
                    break;
                }
                let is_own = out.begin_batch()?;
                let lines: Vec<EncodedLine> =
                    lines.iter().map(|line| encoder.encode(line)).collect::<rondo_data::Result<_>>()?;
                if !is_own {
                    continue;
                }
                for (line, score) in lines.iter().zip(scores(&mut scorer, &lines)?) {
                    check(line, &origin, args.strict)?;
                    impossible += u64::from(!line.missing.is_empty());
                    let record = Record { file, line, score: score.as_ref(), codec };
                    if let Some(max_rank) = args.max_rank {
                        flagged[0] += f64::from(u8::from(record.unlikely_tokens(max_rank) > 0));
                        flagged[1] += 1.0;
                    }
                    if args.summary {
                        record.add_to(&mut summary)?;
                    } else {
                        record.print(&args, out.writer())?;
                    }
                }
                if batches.is_interactive() {
                    out.writer().flush()?;
                }
            }
        }
        Ok(())
    })?;
    add_up(&*ranks, &mut summary, &mut impossible)?;
    if args.summary && ranks.leads() {
        let summary = args.unknown_words.map_or(summary, |words| summary.with_unknown_words(words.get()));
        print_summary(&args, &summary)?;
    }
    say_impossible(impossible, console);
    if let Some(max_rank) = args.max_rank {
        ranks.sum(&mut flagged)?;
        let [unlikely, lines] = flagged.map(|count| describe::count(count as usize));
        let have = if flagged[0] == 1.0 { "has" } else { "have" };
        console.say(&format!(
            "note: {unlikely} of {lines} lines {have} a token that is not among the {max_rank} most likely ones"
        ));
    }
    normalizer::say_check(&loaded, console);
    Ok(ExitCode::SUCCESS)
}

impl ScoreArgs {
    /// Fails for what only one process can do.
    fn require_divided(&self) -> Result<()> {
        let reads_stdin = self.texts.is_empty() || self.texts.iter().any(|path| path == Path::new(STDIN));
        let given =
            [("--carry-state", self.carry_state), ("--html", self.html.is_some()), ("-", reads_stdin)];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((flag, _)) => Err(CliError::FlagNotDivided { flag }.into()),
        }
    }
}

/// Fails if a character of the line has no id, and that is to be an error.
fn check(line: &EncodedLine, origin: &str, strict: bool) -> Result<()> {
    match line.missing.first().filter(|_| strict) {
        Some(token) => {
            let (origin, line, token) = (origin.to_owned(), line.number, token.clone());
            Err(CliError::MissingToken { origin, line, token }.into())
        }
        None => Ok(()),
    }
}

fn say_impossible(lines: u64, console: Console) {
    if lines > 0 {
        let have = if lines == 1 { "line has" } else { "lines have" };
        console.say(&format!(
            "note: {lines} {have} characters that the model's vocabulary does not contain, and probability 0"
        ));
    }
}

/// The scores of lines; `None` for a line with missing tokens, which is not read.
fn scores(scorer: &mut Scorer, lines: &[EncodedLine]) -> Result<Vec<Option<SentenceScore>>> {
    let possible = lines.iter().filter(|line| line.missing.is_empty());
    let ids: Vec<&[u32]> = possible.map(|line| line.ids.as_slice()).collect();
    let mut scores = scorer.score(&ids)?.into_iter();
    Ok(lines.iter().map(|line| if line.missing.is_empty() { scores.next() } else { None }).collect())
}

/// A line and its score.
struct Record<'a> {
    file: Option<&'a str>,
    line: &'a EncodedLine,
    score: Option<&'a SentenceScore>,
    codec: &'a TextCodec,
}

impl Record<'_> {
    /// The tokens that are scored, with their log-probabilities and whether they are unknown.
    fn tokens(&self) -> impl Iterator<Item = (&str, f64, bool)> {
        let (line, unknown) = (self.line, self.codec.unknown_id());
        self.score.into_iter().flat_map(move |score| {
            let scored = line.tokens.iter().zip(&line.ids).skip(score.unscored_tokens).zip(&score.log_probs);
            scored.map(move |((token, &id), &log_prob)| (token, f64::from(log_prob), unknown == Some(id)))
        })
    }

    /// The number of tokens that are unknown, or not among this number of most likely ones.
    fn unlikely_tokens(&self, max_rank: NonZeroU32) -> usize {
        let unlikely =
            |score: &SentenceScore| score.unlikely_tokens(&self.line.ids, self.codec.unknown_id(), max_rank);
        self.score.map_or(0, unlikely) + self.line.missing.len()
    }

    /// The rank of each scored token, if it is known, and whether the token is unknown.
    fn ranks(&self) -> impl Iterator<Item = (u32, bool)> {
        let ranks = self.score.into_iter().flat_map(|score| &score.ranks).copied();
        ranks.zip(self.tokens().map(|(_, _, is_unknown)| is_unknown))
    }

    fn log_prob(&self) -> f64 {
        self.score.map_or(f64::NEG_INFINITY, |score| score.log_prob_sum)
    }

    /// Adds the line to a summary, unless it has probability 0.
    fn add_to(&self, summary: &mut Measures) -> Result<()> {
        if self.score.is_none() {
            return Ok(());
        }
        summary.counts.add(TextCounts::of(self.codec, &self.line.ids.clone().into())?);
        for (_, log_prob, is_unknown) in self.tokens() {
            let parts = [Some(&mut summary.all), Some(&mut summary.unknown).filter(|_| is_unknown)];
            for part in parts.into_iter().flatten() {
                part.nll_sum -= log_prob;
                part.tokens += 1;
            }
        }
        Ok(())
    }

    fn print(&self, args: &ScoreArgs, out: &mut dyn Write) -> Result<()> {
        let (line, base) = (self.line, args.base);
        let count = self.score.map_or(line.tokens.len(), |score| score.log_probs.len());
        let unknown = line.unknown_tokens + line.missing.len() as u64;
        if args.json {
            let mut object = json!({
                "line": line.number,
                "text": String::from_utf8_lossy(&line.text),
                "log_prob": output::number(base.log(self.log_prob())),
                "base": base.name(),
                "tokens": count,
                "unknown_tokens": unknown,
                "unknown_words": line.out_of_vocab_tokens,
            });
            if let Some(file) = self.file {
                object["file"] = file.into();
            }
            if let Some(max_rank) = args.max_rank {
                object["unlikely_tokens"] = self.unlikely_tokens(max_rank).into();
            }
            if !line.missing.is_empty() {
                object["missing"] = line.missing.clone().into();
            }
            if !args.per_token {
                return Ok(writeln!(out, "{object}")?);
            }
            object["log_probs"] = Value::Null;
            return self.print_with_tokens(&object, base, out);
        }
        if let Some(file) = self.file {
            out.write_all(&in_column(file.as_bytes()))?;
            write!(out, "\t")?;
        }
        write!(out, "{}\t{count}\t{unknown}\t", base.column(self.log_prob()))?;
        if let Some(max_rank) = args.max_rank {
            write!(out, "{}\t", self.unlikely_tokens(max_rank))?;
        }
        out.write_all(&in_column(&line.text))?;
        writeln!(out)?;
        if args.per_token {
            for (token, log_prob, is_unknown) in self.tokens() {
                write!(out, "\t{}\t", base.column(log_prob))?;
                out.write_all(&in_column(token.as_bytes()))?;
                writeln!(out, "{}", if is_unknown { "\tunknown" } else { "" })?;
            }
        }
        Ok(())
    }
}

impl Record<'_> {
    /// Prints an object, with the tokens one by one as its `log_probs`: as one value, they would take much memory.
    fn print_with_tokens(&self, object: &Value, base: Base, out: &mut dyn Write) -> Result<()> {
        for (place, (key, value)) in object.as_object().into_iter().flatten().enumerate() {
            write!(out, "{}{}:", if place == 0 { '{' } else { ',' }, Value::from(key.as_str()))?;
            if key != "log_probs" {
                write!(out, "{value}")?;
                continue;
            }
            let mut ranks = self.ranks();
            for (place, (token, log_prob, is_unknown)) in self.tokens().enumerate() {
                let mut object = json!({ "token": token, "log_prob": output::number(base.log(log_prob)) });
                if is_unknown {
                    object["unknown"] = true.into();
                }
                if let Some((rank, _)) = ranks.next() {
                    object["rank"] = rank.into();
                }
                write!(out, "{}{object}", if place == 0 { '[' } else { ',' })?;
            }
            write!(out, "{}", if self.tokens().next().is_none() { "[]" } else { "]" })?;
        }
        Ok(writeln!(out, "}}")?)
    }
}

/// Prints a summary of all lines.
fn print_summary(args: &ScoreArgs, summary: &Measures) -> Result<()> {
    let (evaluation, base) = (summary.all, args.base);
    let perplexity = Perplexity::from_nll_mean(evaluation.nll_mean());
    if args.json {
        let mut object = json!({
            "tokens": evaluation.tokens,
            "log_prob": output::number(base.log(-evaluation.nll_sum)),
            "base": base.name(),
            "loss": output::number(evaluation.nll_mean()),
            "perplexity": output::number(perplexity.value()),
        });
        measures::add_to(&mut object, summary);
        return output::json(&object);
    }
    let mut rows = vec![
        ["tokens".to_owned(), describe::count(evaluation.tokens as usize)],
        [
            "log-probability".to_owned(),
            format!("{} (base {})", base.column(-evaluation.nll_sum), base.name()),
        ],
        ["loss".to_owned(), format!("{} nats per token", Loss(evaluation.nll_mean()))],
        ["perplexity".to_owned(), perplexity.to_string()],
    ];
    rows.extend(measures::rows(summary));
    output::text(&output::columns(&rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>(), &[]))
}

/// A text in a column: what would end it is escaped, everything else is as it is.
fn in_column(text: &[u8]) -> Vec<u8> {
    let mut column = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'\t' => column.extend(b"\\t"),
            b'\n' => column.extend(b"\\n"),
            b'\r' => column.extend(b"\\r"),
            byte => column.push(byte),
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_a_column_is_escaped() {
        assert_eq!(in_column("a\tb \"c\" \'é\' \\".as_bytes()), "a\\tb \"c\" 'é' \\".as_bytes());
        assert_eq!(in_column(b"\xff\r\n"), b"\xff\\r\\n");
    }

    #[test]
    fn no_logarithm_is_minus_zero() {
        let ln = 0.001_f64.ln();
        assert_eq!(
            [Base::Two, Base::E, Base::Ten].map(|base| base.column(ln)),
            ["-9.9658", "-6.9078", "-3.0000"]
        );
        for base in [Base::Two, Base::E, Base::Ten] {
            assert_eq!([-0.0, 0.0, -1e-7].map(|nats| base.column(nats)), ["0.0000"; 3]);
            assert!(base.log(-0.0).is_sign_positive());
            assert_eq!(base.column(f64::NEG_INFINITY), "-inf");
        }
    }
}
