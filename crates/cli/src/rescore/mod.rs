//! `rondo rescore`: reranks the hypotheses of another system.
//!
//! ```text
//! list by list:   read ─▶ score ─▶ print          files whose lists stand together, and stdin
//! all at once:    read ─▶ score ─▶ tune ─▶ print  with references, and files whose lists are mixed
//! ```

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::TextSource;
use rondo_infer::InferError;
use rondo_infer::rescore::{
    ErrorUnit, Format, List, ListReader, ListScorer, ListWriter, Reference, ScoreFile, Scored, Weights,
    ranking, references,
};
use serde_json::json;

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::{Loaded, ModelArgs};
use crate::ngram_args::NgramArgs;
use crate::output;
use crate::text_args::LossyArgs;
use stdin::{StdinAhead, Waiting};
use weigh::{Given, NamedWeight, paired};

mod stdin;
mod weigh;

/// Hypotheses are scored together until they have this number of bytes: texts of similar length are scored in one batch.
const BYTES_AT_ONCE: usize = 1 << 16;

/// Rerank the hypotheses of another system with a language model
#[derive(Args, Debug)]
#[command(after_help = "\
The list has one hypothesis per line in three tab-separated columns: an id (such as the utterance), the other system's \
log-probability, and the text. Further columns of numbers before the text are further scores. Lists of other tools are \
read with --format, which is recognized where only one is possible:\n\n  \
mikolov  id words ...\n  \
kaldi    utt-N words ..., with costs in files of their own: --scores ac=FILE --scores lm=FILE\n  \
srilm    acoustic-score lm-score word-count words ... (base 10), one file per list\n  \
moses    id ||| words ||| name= numbers ... ||| total\n  \
espnet   the JSON document with rec_text and score\n  \
jsonl    objects with id, text and score; further scores are in keys that end in _score, or in scores\n\n\
The output has the same format, best hypothesis first, with the combined score in the place of the score:\n\n  \
score + weight x log-probability of the line (natural logarithm) + word bonus x number of words\n\n\
Several scores have a weight each, set by --weight NAME=FACTOR: of TSV score1, score2, ...; of SRILM acoustic and lm; of \
Moses total and the names of the features; of Kaldi the names in --scores. Each is 1 by default; next to a total (total \
of Moses, score of JSON), the others are 0.\n\n\
References have an id and a text per line, separated by a tab; for the lists of other tools, an id and the words, and \
for moses the text alone. With them, weights that are not given are chosen to minimize the error rate, and the error \
rates before and after are printed. Use these weights on other lists: on the list they were tuned on, the error rate is \
too optimistic.\n\n\
Lists are read, scored and printed one by one if the lines of each stand together. With references, and for files whose \
lists are mixed, all are held in memory.")]
pub(crate) struct RescoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Lists of hypotheses; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    lists: Vec<PathBuf>,
    /// Format of the lists [default: recognized by the first line]
    #[arg(long, help_heading = "Text")]
    format: Option<FormatName>,
    /// File with a further score of each hypothesis, and its name: for kaldi lines of a key and a cost (lower is better),
    /// for mikolov a log-probability per line; can be repeated
    #[arg(long, value_name = "NAME=FILE", help_heading = "Text")]
    scores: Vec<NamedFile>,
    #[command(flatten)]
    lossy: LossyArgs,
    /// Weight of the language model's log-probability, or, with a name, of a score of the list; can be repeated
    /// [default: tuned with --reference, else 1]
    #[arg(
        long,
        short,
        value_name = "[NAME=]FACTOR",
        allow_negative_numbers = true,
        help_heading = "Weights"
    )]
    weight: Vec<NamedWeight>,
    /// Bonus per word [default: tuned with --reference, else 0]
    #[arg(long, value_name = "NATS", allow_negative_numbers = true, help_heading = "Weights")]
    word_bonus: Option<f64>,
    /// Reference texts, to tune the weights on and to compute error rates
    #[arg(long, value_name = "FILE", help_heading = "Weights")]
    reference: Option<PathBuf>,
    /// Unit in which errors are counted; characters are for languages without spaces between words
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "words",
        requires = "reference",
        help_heading = "Weights"
    )]
    error_rate: UnitName,
    #[command(flatten)]
    ngram: NgramArgs,
    /// Batch size: hypotheses to score in parallel; affects only speed and memory
    #[arg(long, value_name = "SENTENCES", default_value_t = 32, help_heading = "Scoring")]
    batch_size: usize,
    /// Print only the best hypothesis of each id
    #[arg(long, help_heading = "Output")]
    best: bool,
    /// Print JSON, one object per line
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Also write the model's log-probability of each hypothesis, one per line in the order of the list; for kaldi, the
    /// key and the negative log-probability
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    scores_out: Option<PathBuf>,
}

/// [`Format`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Tsv,
    Mikolov,
    Kaldi,
    Srilm,
    Moses,
    Espnet,
    Jsonl,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::Tsv => Format::Tsv,
            FormatName::Mikolov => Format::Mikolov,
            FormatName::Kaldi => Format::Kaldi,
            FormatName::Srilm => Format::Srilm,
            FormatName::Moses => Format::Moses,
            FormatName::Espnet => Format::Espnet,
            FormatName::Jsonl => Format::Jsonl,
        }
    }
}

/// [`ErrorUnit`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnitName {
    Words,
    Characters,
}

impl From<UnitName> for ErrorUnit {
    fn from(name: UnitName) -> ErrorUnit {
        match name {
            UnitName::Words => ErrorUnit::Words,
            UnitName::Characters => ErrorUnit::Characters,
        }
    }
}

/// A file and the name of what it has.
#[derive(Clone, Debug)]
struct NamedFile {
    name: String,
    path: PathBuf,
}

impl FromStr for NamedFile {
    type Err = String;

    fn from_str(text: &str) -> Result<NamedFile, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => {
                Ok(NamedFile { name: name.to_owned(), path: path.into() })
            }
            _ => Err("expected NAME=FILE".to_owned()),
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: RescoreArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let loaded = args.model.load(console)?;
    let inputs = Input::all(&args.lists);
    let is_together = args.reference.is_none() && are_together(&args, &inputs, console)?;
    let mut job = Job::new(&args, &inputs, &loaded, console)?;
    output::write(|out| if is_together { job.stream(out) } else { job.hold(out) })?;
    job.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the lines of each list stand together. Files are read for this once; what can be read only once, such as stdin,
/// has to be so.
fn are_together(args: &RescoreArgs, inputs: &[Input], console: Console) -> Result<bool> {
    let (mut reader, hasher) =
        (ListReader::new(args.format.map(Format::from), args.lossy.lossy), RandomState::new());
    // Equal hashes of different ids only mean that all lists are held.
    let (mut seen, mut is_together) = (HashSet::new(), true);
    let each = &mut |_: &ListReader, list: List| {
        is_together &= seen.insert(hasher.hash_one(&list.id));
        if is_together { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    for input in inputs {
        let Input::File(TextSource::File(path)) = input else { continue };
        if path.is_file() || !path.exists() {
            reader.read(input.open(console)?, &input.origin(), &file_id(input), each)?;
        }
    }
    Ok(is_together)
}

/// The id of hypotheses in a file of a format that has none: the file's name without its endings.
fn file_id(input: &Input) -> String {
    let origin = input.origin();
    let mut name = Path::new(&origin).file_name().and_then(|name| name.to_str()).unwrap_or(&origin);
    for ending in [".gz", ".zst", ".score", ".nbest", ".txt"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    name.to_owned()
}

/// Counts of what is reported at the end.
#[derive(Default)]
struct Counts {
    not_finite: u64,
    empty: u64,
    /// Ids whose lists had been printed when further lines came.
    again: u64,
}

/// A run of the command.
struct Job<'a> {
    args: &'a RescoreArgs,
    inputs: &'a [Input],
    reader: ListReader,
    scorer: ListScorer,
    given: Given,
    console: Console,
    counts: Counts,
    /// The model's scores, as they will be written.
    scores_out: Option<String>,
    unit: &'static str,
}

impl<'a> Job<'a> {
    fn new(args: &'a RescoreArgs, inputs: &'a [Input], loaded: &Loaded, console: Console) -> Result<Job<'a>> {
        let files = args.scores.iter().map(|NamedFile { name, path }| {
            let source = TextSource::File(path.clone());
            Ok(ScoreFile::read(name, source.open()?, &source.origin())?)
        });
        let files = files.collect::<Result<_>>()?;
        let lossy = args.lossy.lossy;
        let model = loaded.model.with_codec(loaded.codec().clone().lossy(lossy))?;
        let mut scorer = model.list_scorer(args.batch_size)?;
        if let Some(ngram) = args.ngram.load(loaded, console)? {
            scorer = scorer.with_ngram(ngram.interpolation);
        }
        Ok(Job {
            args,
            inputs,
            reader: ListReader::new(args.format.map(Format::from), lossy).with_scores(files),
            scorer,
            given: Given::new(&args.weight, args.word_bonus),
            console,
            counts: Counts::default(),
            scores_out: args.scores_out.as_ref().map(|_| String::new()),
            unit: loaded.codec().unit(),
        })
    }

    /// Reads all lists; `each` gets every one, with the reader, and whether more input is already there.
    fn read(
        &mut self,
        each: &mut dyn FnMut(&mut Job<'a>, &ListReader, List, bool) -> Result<()>,
    ) -> Result<()> {
        let inputs = self.inputs;
        // Taken out, because the job handles the lists while the reader reads.
        let mut lists = std::mem::replace(&mut self.reader, ListReader::new(None, false));
        for input in inputs {
            let (reader, waiting): (Box<dyn BufRead>, Option<Waiting>) = match input {
                Input::Stdin => {
                    let stdin = StdinAhead::new(self.console);
                    let waiting = stdin.waiting();
                    (Box::new(stdin), Some(waiting))
                }
                Input::File(_) => (input.open(self.console)?, None),
            };
            let mut failed = None;
            let read = lists.read(reader, &input.origin(), &file_id(input), &mut |reader, mut list| {
                let more = waiting.as_ref().is_none_or(Waiting::any);
                self.count(&list);
                list.hypotheses.shrink_to_fit();
                match each(self, reader, list, more) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
            if let Some(error) = failed {
                return Err(error);
            }
            read?;
        }
        self.reader = lists;
        if self.reader.hypotheses() == 0 {
            let origin = inputs.iter().map(Input::origin).collect::<Vec<_>>().join(", ");
            return Err(InferError::EmptyList { origin, what: "hypothesis" }.into());
        }
        Ok(())
    }

    /// Reads, scores and prints list by list.
    fn stream(&mut self, out: &mut dyn Write) -> Result<()> {
        let (hasher, mut seen) = (RandomState::new(), HashSet::new());
        let mut pending = Pending::default();
        let mut writer = None;
        self.read(&mut |job, reader, list, more| {
            if !seen.insert(hasher.hash_one(&list.id)) {
                job.counts.again += 1;
            }
            pending.bytes += bytes(&list);
            pending.lists.push(list);
            if !more || pending.bytes >= BYTES_AT_ONCE {
                job.print(reader, &mut pending, &mut writer, out)?;
                out.flush()?;
            }
            Ok(())
        })?;
        let reader = self.reader.clone();
        self.print(&reader, &mut pending, &mut writer, out)?;
        if let Some(mut writer) = writer {
            writer.finish(out)?;
        }
        Ok(())
    }

    /// Scores and prints the lists that have been read.
    fn print(
        &mut self,
        reader: &ListReader,
        pending: &mut Pending,
        writer: &mut Option<ListWriter>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let names = reader.score_names();
        self.check(reader, &names)?;
        let format = reader.format().unwrap_or(Format::Tsv);
        let writer = writer.get_or_insert_with(|| ListWriter::new(format, self.args.best));
        self.score(&mut pending.lists, format)?;
        let weights = self.given.weights(&names);
        for list in pending.lists.drain(..) {
            self.write(&list, &weights, &names, writer, out)?;
        }
        pending.bytes = 0;
        Ok(())
    }

    /// Reads and scores all lists, tunes the weights, and prints.
    fn hold(&mut self, out: &mut dyn Write) -> Result<()> {
        // Opened first, so that a missing file is reported before the lists are scored.
        let input = self.args.reference.as_ref().map(|path| Input::all(std::slice::from_ref(path)).remove(0));
        let opened = input.as_ref().map(|input| input.open(self.console)).transpose()?;
        let (mut lists, mut unscored, mut pending_bytes) = (Vec::<List>::new(), 0, 0);
        self.read(&mut |job, reader, list, _| {
            if lists.is_empty() {
                job.check(reader, &reader.score_names())?;
            }
            pending_bytes += bytes(&list);
            lists.push(list);
            if pending_bytes >= BYTES_AT_ONCE {
                job.score(&mut lists[unscored..], reader.format().unwrap_or(Format::Tsv))?;
                (unscored, pending_bytes) = (lists.len(), 0);
            }
            Ok(())
        })?;
        let (format, names) = (self.reader.format().unwrap_or(Format::Tsv), self.reader.score_names());
        self.score(&mut lists[unscored..], format)?;
        let lists = merged(lists);
        let weights = match input.as_ref().zip(opened) {
            Some((input, reader)) => {
                let references = references(reader, &input.origin(), self.args.lossy.lossy, format)?;
                self.tuned(&lists, &references, &input.origin(), &names, format)
            }
            None => self.given.weights(&names),
        };
        let mut writer = ListWriter::new(format, self.args.best);
        for list in &lists {
            self.write(list, &weights, &names, &mut writer, out)?;
        }
        Ok(writer.finish(out)?)
    }

    /// Checks, once the first list is there, that the flags fit the format.
    fn check(&self, reader: &ListReader, names: &[String]) -> Result<()> {
        let has_ids = self.args.best || self.args.json || self.inputs.len() == 1;
        if reader.format() == Some(Format::Srilm) && !has_ids {
            return Err(CliError::ListsWithoutIds { files: self.inputs.len() }.into());
        }
        self.given.check(reader.format(), names)
    }

    /// Counts what is reported at the end.
    fn count(&mut self, list: &List) {
        for one in &list.hypotheses {
            self.counts.not_finite += u64::from(one.scores.iter().any(|score| !score.is_finite()));
            self.counts.empty += u64::from(one.words() == 0);
        }
    }

    fn score(&mut self, lists: &mut [List], format: Format) -> Result<()> {
        self.scorer.score(lists)?;
        if let Some(out) = &mut self.scores_out {
            for one in lists.iter().flat_map(|list| &list.hypotheses) {
                if format == Format::Kaldi {
                    let key = one.source.split_whitespace().next().unwrap_or_default();
                    // `0 − x` rather than `−x`, which would give −0 for a text of probability 1.
                    out.push_str(&format!("{key} {:.4}\n", 0.0 - one.lm_log_prob));
                } else {
                    out.push_str(&format!("{:.4}\n", one.lm_log_prob));
                }
            }
        }
        Ok(())
    }

    /// Tunes the weights on the references, if there are any for the lists.
    fn tuned(
        &self,
        lists: &[List],
        references: &[Reference],
        origin: &str,
        names: &[String],
        format: Format,
    ) -> Weights {
        let (pairs, unknown) = paired(lists, references);
        let weights = if pairs.is_empty() {
            self.console.say(&format!("note: no id of the list is in `{origin}`: no weight is tuned"));
            self.given.weights(names)
        } else {
            let unit = self.args.error_rate.into();
            self.given.tuned(&pairs, unit, names, Some(format), self.console)
        };
        if !pairs.is_empty() && pairs.len() < lists.len() {
            let missing = lists.len() - pairs.len();
            self.console.say(&format!("note: {missing} of the {} ids have no reference", lists.len()));
        }
        if let Some(first) = unknown.first() {
            self.console.say(&format!(
                "note: {} of the {} references have ids that are not in the list: the first is `{}` in line {}",
                unknown.len(),
                references.len(),
                first.id,
                first.line
            ));
        }
        weights
    }

    fn write(
        &self,
        list: &List,
        weights: &Weights,
        names: &[String],
        writer: &mut ListWriter,
        out: &mut dyn Write,
    ) -> Result<()> {
        if !self.args.json {
            return Ok(writer.list(list, weights, out)?);
        }
        let count = if self.args.best { 1 } else { list.hypotheses.len() };
        for place in ranking(&list.hypotheses, weights).into_iter().take(count) {
            let one = &list.hypotheses[place];
            let mut object = json!({
                "id": list.id,
                "score": output::number(one.combined(weights)),
                "text": one.text,
                "lm_log_prob": output::number(one.lm_log_prob),
                "words": one.words(),
            });
            if let [score] = one.scores[..] {
                object["other_score"] = output::number(score);
            } else {
                let scores = names.iter().zip(&one.scores);
                object["scores"] =
                    scores.map(|(name, &score)| (name.clone(), output::number(score))).collect();
            }
            writeln!(out, "{object}")?;
        }
        Ok(())
    }

    /// Writes the model's scores, and reports what was unusual about the lists.
    fn finish(&self) -> Result<()> {
        if let (Some(path), Some(scores)) = (&self.args.scores_out, &self.scores_out) {
            rondo_runs::write_atomically(path, |to| to.write_all(scores.as_bytes()))?;
        }
        let Counts { not_finite, empty, again } = self.counts;
        let hypotheses = self.reader.hypotheses();
        let note = |count: u64, what: &str| {
            if count > 0 {
                self.console.say(&format!("note: {count} of {hypotheses} hypotheses {what}"));
            }
        };
        note(not_finite, "have a score that is NaN or infinite: with a weight other than 0, they come last");
        note(empty, "are empty: they are scored as blank lines");
        let unit = self.unit;
        let unknown = format!("have a {unit} that the model does not know: their log-probability is -inf");
        note(self.scorer.impossible(), &unknown);
        if self.reader.missing_scores() > 0 {
            let missing = self.reader.missing_scores();
            self.console.say(&format!("note: {missing} scores are missing in the files of `--scores`"));
        }
        if self.reader.unused_scores() > 0 {
            let unused = self.reader.unused_scores();
            self.console.say(&format!("note: {unused} lines in the files of `--scores` have no hypothesis"));
        }
        if again > 0 {
            self.console.say(&format!(
                "note: {again} lists have an id that occurred before: from stdin, lists are reranked one by one, and the \
                 lines of each have to stand together"
            ));
        }
        // A feature of Moses can appear in any line.
        let names = self.reader.score_names();
        for name in self.given.unknown(&names) {
            self.console.say(&format!("note: no hypothesis has a score named `{name}`"));
        }
        Ok(())
    }
}

/// Lists that have been read but not printed.
#[derive(Default)]
struct Pending {
    lists: Vec<List>,
    bytes: usize,
}

/// The size of a list's texts, with line ends.
fn bytes(list: &List) -> usize {
    list.hypotheses.iter().map(|one: &Scored| one.text.len() + 1).sum()
}

/// Lists with the same id as one, in the order in which the ids first occur.
fn merged(lists: Vec<List>) -> Vec<List> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut all: Vec<List> = Vec::with_capacity(lists.len());
    for mut list in lists {
        match places.get(&list.id) {
            Some(&place) => all[place].hypotheses.append(&mut list.hypotheses),
            None => {
                places.insert(list.id.clone(), all.len());
                all.push(list);
            }
        }
    }
    all
}
