//! `rondo rescore`: reranks the hypotheses of another system, in lists or in lattices.
//!
//! ```text
//! list by list:   read ─▶ score ─▶ print          files whose lists stand together, and stdin
//! all at once:    read ─▶ score ─▶ tune ─▶ print  with references, and files whose lists are mixed
//! ```

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::TextSource;
use rondo_infer::lattice::LatticeFormat;
use rondo_infer::rescore::{ErrorUnit, Format, List, ListReader};
use rondo_kernels::Work;

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::model_args::ModelArgs;
use crate::ngram_args::NgramArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::output;
use crate::text_args::LossyArgs;
use job::Job;
use lattice_args::LatticeArgs;
use lattices::LatticeJob;
use weigh::NamedWeight;

mod job;
mod lattice_args;
mod lattices;
mod stdin;
mod weigh;

/// Rerank the hypotheses of another system with a language model: lists, or lattices
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
Lattices are read with --format slf (HTK, SRILM, PocketSphinx; one per file), kaldi-lattice (text archives of lattices \
and compact lattices) and confusion (an object with id and positions per line, each position a list of objects with word \
and score). Their scores are acoustic and, where the lattice has it, lm, the score of the language model that made it. The \
output has the best paths of each lattice: id, combined score and text, or with --best id and text. Weights that are not \
given are those that the lattice names (lmscale, wdpenalty; of lm and the model alike), else 1.\n\n\
Lists are read, scored and printed one by one if the lines of each stand together. With references, and for files whose \
lists are mixed, all are held in memory.")]
pub(crate) struct RescoreArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Lists of hypotheses, or lattices; - is stdin [default: stdin]
    #[arg(value_name = "FILE")]
    lists: Vec<PathBuf>,
    /// Format of the lists, or of the lattices [default: recognized by the first line; slf by the file's ending]
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
    lattice: LatticeArgs,
    #[command(flatten)]
    approximate: ApproximateArgs,
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

/// [`Format`] or [`LatticeFormat`], as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    Tsv,
    Mikolov,
    Kaldi,
    Srilm,
    Moses,
    Espnet,
    Jsonl,
    Slf,
    KaldiLattice,
    Confusion,
}

impl FormatName {
    /// The format, if it is one of lists.
    fn of_lists(self) -> Option<Format> {
        match self {
            FormatName::Tsv => Some(Format::Tsv),
            FormatName::Mikolov => Some(Format::Mikolov),
            FormatName::Kaldi => Some(Format::Kaldi),
            FormatName::Srilm => Some(Format::Srilm),
            FormatName::Moses => Some(Format::Moses),
            FormatName::Espnet => Some(Format::Espnet),
            FormatName::Jsonl => Some(Format::Jsonl),
            FormatName::Slf | FormatName::KaldiLattice | FormatName::Confusion => None,
        }
    }

    /// The format, if it is one of lattices.
    fn of_lattices(self) -> Option<LatticeFormat> {
        match self {
            FormatName::Slf => Some(LatticeFormat::Slf),
            FormatName::KaldiLattice => Some(LatticeFormat::Kaldi),
            FormatName::Confusion => Some(LatticeFormat::Confusion),
            _ => None,
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
    let mut loaded = args.model.load(Work::Batches, console)?;
    args.approximate.apply(&mut loaded)?;
    if let Some(format) = lattice_format(&args) {
        let mut job = LatticeJob::new(&args, format, &loaded, console)?;
        output::write(|out| job.run(out))?;
        job.finish();
        normalizer::say_check(&loaded, console);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(flag) = args.lattice.given() {
        return Err(CliError::FlagOfFormat {
            flag,
            formats: "lattices: `slf`, `kaldi-lattice` and `confusion`",
        }
        .into());
    }
    let inputs = Input::all(&args.lists);
    let is_together = args.reference.is_none() && are_together(&args, &inputs, console)?;
    let mut job = Job::new(&args, &inputs, &loaded, console)?;
    output::write(|out| if is_together { job.stream(out) } else { job.hold(out) })?;
    job.finish()?;
    normalizer::say_check(&loaded, console);
    Ok(ExitCode::SUCCESS)
}

/// The format of lattices, if they are given: by its name, or by the ending of the first file.
fn lattice_format(args: &RescoreArgs) -> Option<LatticeFormat> {
    let is_slf = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        [".slf", ".slf.gz", ".slf.zst"].iter().any(|ending| name.ends_with(ending))
    };
    match args.format {
        Some(format) => format.of_lattices(),
        None => args.lists.first().is_some_and(is_slf).then_some(LatticeFormat::Slf),
    }
}

/// Whether the lines of each list stand together. Files are read for this once; what can be read only once, such as stdin,
/// has to be so.
fn are_together(args: &RescoreArgs, inputs: &[Input], console: Console) -> Result<bool> {
    let (mut reader, hasher) =
        (ListReader::new(args.format.and_then(FormatName::of_lists), args.lossy.lossy), RandomState::new());
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
    for ending in [".gz", ".zst", ".score", ".nbest", ".txt", ".slf", ".lat"] {
        name = name.strip_suffix(ending).unwrap_or(name);
    }
    name.to_owned()
}
