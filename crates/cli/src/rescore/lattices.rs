//! A run of `rondo rescore` on lattices.
//!
//! ```text
//! one by one:    read ─▶ search ─▶ print
//! all at once:   read ─▶ search ─▶ lists of paths ─▶ tune ─▶ search with these weights ─┬─▶ print
//!                          ▲                                                            │
//!                          └── until no new paths come up, at most a few times ─────────┘
//! ```

use std::collections::HashSet;
use std::io::Write;
use std::ops::ControlFlow;

use anyhow::{Context, Result};
use rondo_infer::InferError;
use rondo_infer::lattice::{
    Lattice, LatticeFormat, LatticeReader, LatticeScorer, LatticeWriter, Searched, Settings,
};
use rondo_infer::rescore::{Format, List, Reference, Scored, Weights, references};

use super::job::{hypothesis_in_json, say_unpaired};
use super::lattice_args::FileNames;
use super::weigh::{Given, paired};
use super::{RescoreArgs, file_id};
use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::Loaded;

/// Searches with tuned weights that find new paths to tune on.
const ROUNDS: usize = 3;

/// A run of the command.
pub(super) struct LatticeJob<'a> {
    args: &'a RescoreArgs,
    reader: LatticeReader,
    inputs: Vec<(Input, Option<String>)>,
    scorer: LatticeScorer,
    settings: Settings,
    given: Given,
    console: Console,
    unit: &'static str,
    /// Counts of what is reported at the end.
    lattices: u64,
    with_unreachable: u64,
}

/// Where searched lattices are written.
enum Output<'a> {
    Nothing,
    /// A folder with a file for each.
    Folder(LatticeWriter<'a>, FileNames),
    /// An archive, as it will be written.
    Archive(LatticeWriter<'a>, Vec<u8>),
}

impl<'a> LatticeJob<'a> {
    pub(super) fn new(
        args: &'a RescoreArgs,
        format: LatticeFormat,
        loaded: &Loaded,
        console: Console,
    ) -> Result<LatticeJob<'a>> {
        let of_lists = [("--scores", !args.scores.is_empty()), ("--scores-out", args.scores_out.is_some())];
        if let Some((flag, _)) = of_lists.into_iter().find(|(_, given)| *given) {
            return Err(CliError::FlagOfFormat { flag, formats: "lists of hypotheses" }.into());
        }
        let settings = args.lattice.settings(args.batch_size)?;
        if settings.interpolation > 0.0 && format == LatticeFormat::Kaldi {
            return Err(
                CliError::FlagOfFormat { flag: "--interpolate", formats: "`slf` and `confusion`" }.into()
            );
        }
        let lossy = args.lossy.lossy;
        let model = loaded.model.with_codec(loaded.codec().clone().lossy(lossy))?;
        let mut scorer = model.lattice_scorer();
        if let Some(ngram) = args.ngram.load(loaded, console)? {
            scorer = scorer.with_ngram(ngram.interpolation);
        }
        Ok(LatticeJob {
            args,
            reader: args.lattice.reader(format, lossy)?,
            inputs: args.lattice.inputs(&args.lists, lossy, console)?,
            scorer,
            settings,
            given: Given::new(&args.weight, args.word_bonus),
            console,
            unit: loaded.codec().unit(),
            lattices: 0,
            with_unreachable: 0,
        })
    }

    /// Reads, searches and prints; with references, tunes first.
    pub(super) fn run(&mut self, out: &mut dyn Write) -> Result<()> {
        let reader = self.reader.clone();
        let mut output = self.output(&reader)?;
        match &self.args.reference {
            None => self.read(&reader, &mut |job, lattice| {
                let weights = job.weights(&lattice);
                job.print(&lattice, &weights, &mut output, out)?;
                Ok(out.flush()?)
            })?,
            Some(path) => {
                // Opened first, so that a missing file is reported before the lattices are searched.
                let input = Input::all(std::slice::from_ref(path)).remove(0);
                let opened = input.open(self.console)?;
                let format = match reader.format() {
                    LatticeFormat::Confusion => Format::Jsonl,
                    LatticeFormat::Slf | LatticeFormat::Kaldi => Format::Kaldi,
                };
                let references = references(opened, &input.origin(), self.args.lossy.lossy, format)?;
                let mut lattices = Vec::new();
                self.read(&reader, &mut |_, lattice| {
                    lattices.push(lattice);
                    Ok(())
                })?;
                let weights = self.tuned(&lattices, &references, &input.origin())?;
                for lattice in &lattices {
                    let weights = weights.clone().unwrap_or_else(|| self.weights(lattice));
                    self.print(lattice, &weights, &mut output, out)?;
                }
            }
        }
        if let (Output::Archive(_, text), Some(path)) = (&output, &self.args.lattice.lattices_out) {
            rondo_runs::write_atomically(path, |to| to.write_all(text))?;
        }
        Ok(())
    }

    fn output<'r>(&self, reader: &'r LatticeReader) -> Result<Output<'r>> {
        let Some(path) = &self.args.lattice.lattices_out else { return Ok(Output::Nothing) };
        let writer = LatticeWriter::new(reader.format(), reader.symbols());
        if writer.is_archive() {
            return Ok(Output::Archive(writer, Vec::new()));
        }
        std::fs::create_dir_all(path)
            .with_context(|| format!("could not create the folder `{}`", path.display()))?;
        Ok(Output::Folder(writer, FileNames::default()))
    }

    /// Reads all lattices.
    fn read(
        &mut self,
        reader: &LatticeReader,
        each: &mut dyn FnMut(&mut LatticeJob<'a>, Lattice) -> Result<()>,
    ) -> Result<()> {
        let inputs = std::mem::take(&mut self.inputs);
        for (input, id) in &inputs {
            let id = id.clone().unwrap_or_else(|| file_id(input));
            let mut failed = None;
            reader.read(input.open(self.console)?, &input.origin(), &id, &mut |lattice| {
                self.lattices += 1;
                self.with_unreachable += u64::from(lattice.unreachable() > 0);
                match each(self, lattice) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        failed = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        if self.lattices == 0 {
            let origin = inputs.iter().map(|(input, _)| input.origin()).collect::<Vec<_>>().join(", ");
            return Err(InferError::EmptyList { origin, what: "lattice" }.into());
        }
        Ok(())
    }

    /// The weights without tuning: those given, and else those that the lattice names.
    fn weights(&self, lattice: &Lattice) -> Weights {
        let scale = lattice.defaults().lm_scale;
        let old = if self.settings.interpolation > 0.0 { 0.0 } else { scale };
        // A posterior contains the acoustic score.
        let acoustic = if lattice.has_posteriors() { 0.0 } else { 1.0 };
        let default =
            Weights { lm: scale, word_bonus: lattice.defaults().word_bonus, scores: vec![acoustic, old] };
        self.given.weights_or(&names(lattice), &default)
    }

    /// Searches a lattice for the `n` best paths.
    fn search(&mut self, lattice: &Lattice, weights: &Weights, n: usize) -> Result<(Searched, Vec<Scored>)> {
        let settings = Settings { n, ..self.settings.clone() };
        Ok(self.scorer.search(lattice, weights, &settings)?)
    }

    /// Tunes the weights on the lattices that have references; `None` if there are none.
    fn tuned(
        &mut self,
        lattices: &[Lattice],
        references: &[Reference],
        origin: &str,
    ) -> Result<Option<Weights>> {
        let most = lattices.iter().max_by_key(|lattice| lattice.score_names().len());
        let names = most.map(names).unwrap_or_default();
        self.given.check(None, &names)?;
        let known: HashSet<&str> = references.iter().map(|reference| reference.id.as_str()).collect();
        let used: Vec<&Lattice> = lattices.iter().filter(|lattice| known.contains(lattice.id())).collect();
        let mut lists: Vec<List> =
            used.iter().map(|lattice| List { id: lattice.id().to_owned(), ..List::default() }).collect();
        let mut texts: Vec<HashSet<String>> = vec![HashSet::new(); used.len()];
        let n = self.settings.n;
        let mut tuned = None;
        for round in 0..=ROUNDS {
            let mut new = 0;
            for (place, lattice) in used.iter().enumerate() {
                let base = self.weights(lattice);
                let all = match &tuned {
                    Some(weights) => vec![Weights::clone(weights)],
                    // What the scores of the lattice choose alone is in the list, too.
                    None => vec![Weights { lm: 0.0, word_bonus: 0.0, ..base.clone() }, base],
                };
                for weights in all {
                    for one in self.search(lattice, &weights, n)?.1 {
                        if texts[place].insert(one.text.clone()) {
                            new += 1;
                            lists[place].hypotheses.push(one);
                        }
                    }
                }
            }
            let (pairs, unknown) = paired(&lists, references);
            if pairs.is_empty() {
                self.console
                    .say(&format!("note: no id of the lattices is in `{origin}`: no weight is tuned"));
                return Ok(None);
            }
            let is_last = new == 0 || round == ROUNDS;
            let start = self.start(&used, &names, tuned.as_ref());
            let console = is_last.then_some(self.console);
            let unit = self.args.error_rate.into();
            tuned = Some(self.given.tuned(&pairs, unit, &names, (&start, false), console));
            if is_last {
                say_unpaired(lattices.len(), pairs.len(), &unknown, references.len(), self.console);
                break;
            }
        }
        Ok(tuned)
    }

    /// Where tuning starts.
    fn start(&self, used: &[&Lattice], names: &[String], tuned: Option<&Weights>) -> Weights {
        let of_first = |first: &&Lattice| Weights { lm: 0.0, ..self.weights(first) };
        let start = tuned.cloned().or_else(|| used.first().map(of_first)).unwrap_or_default();
        let scores = (0..names.len()).map(|place| start.scores.get(place).copied().unwrap_or(0.0)).collect();
        Weights { scores, ..start }
    }

    /// Searches a lattice, and prints and writes what is wanted of it.
    fn print(
        &mut self,
        lattice: &Lattice,
        weights: &Weights,
        output: &mut Output<'_>,
        out: &mut dyn Write,
    ) -> Result<()> {
        let names = names(lattice);
        if self.args.reference.is_none() {
            self.given.check(None, &names)?;
        }
        let n = if self.args.best { 1 } else { self.settings.n };
        let (searched, found) = self.search(lattice, weights, n)?;
        for one in &found {
            if self.args.json {
                writeln!(out, "{}", hypothesis_in_json(lattice.id(), one, weights, &names))?;
            } else if self.args.best {
                writeln!(out, "{}", format!("{} {}", lattice.id(), one.text).trim_end())?;
            } else {
                writeln!(out, "{}\t{:.4}\t{}", lattice.id(), one.combined(weights), one.text)?;
            }
        }
        match output {
            Output::Nothing => {}
            Output::Archive(writer, text) => writer.lattice(lattice, &searched, weights, text)?,
            Output::Folder(writer, names) => {
                let folder = self.args.lattice.lattices_out.clone().unwrap_or_default();
                let path = folder.join(names.next(lattice.id()));
                rondo_runs::write_atomically(&path, |to| writer.lattice(lattice, &searched, weights, to))?;
            }
        }
        Ok(())
    }

    /// Reports what was unusual about the lattices.
    pub(super) fn finish(&self) {
        if self.with_unreachable > 0 {
            self.console.say(&format!(
                "note: {} of {} lattices have nodes that are on no path from the first to the last: they are left out",
                self.with_unreachable, self.lattices
            ));
        }
        if self.scorer.impossible() > 0 {
            self.console.say(&format!(
                "note: words of the lattices have a {} that the model does not know: paths with them come last",
                self.unit
            ));
        }
    }
}

/// The names of a lattice's scores.
fn names(lattice: &Lattice) -> Vec<String> {
    lattice.score_names().iter().map(|&name| name.to_owned()).collect()
}
