//! A run of `rondo rescore`: reads lists, scores them, and prints them one by one or all at once.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, Write};
use std::ops::ControlFlow;

use anyhow::Result;
use rondo_data::TextSource;
use rondo_infer::InferError;
use rondo_infer::rescore::{
    Format, List, ListReader, ListScorer, ListWriter, Reference, ScoreFile, Scored, Weights, ranking,
    references,
};
use serde_json::{Value, json};

use super::stdin::{StdinAhead, Waiting};
use super::weigh::{Given, paired};
use super::{FormatName, NamedFile, RescoreArgs, file_id};
use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::Loaded;
use crate::output;

/// Hypotheses are scored together until they have this number of bytes: texts of similar length are scored in one batch.
const BYTES_AT_ONCE: usize = 1 << 16;

/// Counts of what is reported at the end.
#[derive(Default)]
struct Counts {
    not_finite: u64,
    empty: u64,
    /// Ids whose lists had been printed when further lines came.
    again: u64,
}

/// A run of the command.
pub(super) struct Job<'a> {
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
    pub(super) fn new(
        args: &'a RescoreArgs,
        inputs: &'a [Input],
        loaded: &Loaded,
        console: Console,
    ) -> Result<Job<'a>> {
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
            reader: ListReader::new(args.format.and_then(FormatName::of_lists), lossy).with_scores(files),
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
    pub(super) fn stream(&mut self, out: &mut dyn Write) -> Result<()> {
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
    pub(super) fn hold(&mut self, out: &mut dyn Write) -> Result<()> {
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
            let start = Weights { lm: self.given.lm().unwrap_or(0.0), ..self.given.weights(names) };
            let tuned = (&start, format.has_features());
            self.given.tuned(&pairs, unit, names, tuned, Some(self.console))
        };
        say_unpaired(lists.len(), pairs.len(), &unknown, references.len(), self.console);
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
            let object = hypothesis_in_json(&list.id, &list.hypotheses[place], weights, names);
            writeln!(out, "{object}")?;
        }
        Ok(())
    }

    /// Writes the model's scores, and reports what was unusual about the lists.
    pub(super) fn finish(&self) -> Result<()> {
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

/// A hypothesis as an object.
pub(super) fn hypothesis_in_json(id: &str, one: &Scored, weights: &Weights, names: &[String]) -> Value {
    let mut object = json!({
        "id": id,
        "score": output::number(one.combined(weights)),
        "text": one.text,
        "lm_log_prob": output::number(one.lm_log_prob),
        "words": one.words(),
    });
    if let [score] = one.scores[..] {
        object["other_score"] = output::number(score);
    } else {
        let scores = names.iter().zip(&one.scores);
        object["scores"] = scores.map(|(name, &score)| (name.clone(), output::number(score))).collect();
    }
    object
}

/// Says which ids have no reference, and which references no list.
pub(super) fn say_unpaired(
    lists: usize,
    paired: usize,
    unknown: &[&Reference],
    references: usize,
    console: Console,
) {
    if paired > 0 && paired < lists {
        console.say(&format!("note: {} of the {lists} ids have no reference", lists - paired));
    }
    if let Some(first) = unknown.first() {
        console.say(&format!(
            "note: {} of the {references} references have ids that are not in the list: the first is `{}` in line {}",
            unknown.len(),
            first.id,
            first.line
        ));
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
