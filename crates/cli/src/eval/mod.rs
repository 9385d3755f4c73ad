//! `rondo eval`: the perplexity of a model on a text.
//!
//! ```text
//! text ─┬─ the model alone              evaluate ─┐
//!       ├─ cache: with a neural cache   evaluate ─┼─▶ report: text in columns, or JSON
//!       ├─ top_k: and the ranks of tokens ────────┤
//!       ├─ ngram: with an n-gram model  evaluate ─┤
//!       ├─ dynamic: training as it reads evaluate ┤
//!       ├─ keystrokes: typed with suggestions ────┤
//!       └─ baselines: unigram and bigram evaluate ┘
//! ```

mod baselines;
mod cache;
mod dynamic;
mod keystrokes;
mod ngram;
mod report;
mod text;
mod top_k;

use std::fs;
use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{ArgGroup, Args, ValueEnum};
use indicatif::ProgressBar;
use rondo_data::Split;
use rondo_infer::{Evaluation, EvaluationPart, InferError, Measures, Ranking, Ranks};
use rondo_kernels::Work;
use rondo_runs::RunFolder;
use rondo_train::{EvaluationPlan, Settings};

use crate::console::Console;
use crate::error::CliError;
use crate::input::STDIN;
use crate::model_args::{Loaded, ModelArgs};
use crate::ngram_args::NgramArgs;
use crate::normalizer::{self, ApproximateArgs};
use crate::ranks;
use crate::text_args::{FieldArgs, ReadingArgs};
use baselines::Baselines;
use report::Findings;
use text::Text;
pub(crate) use text::corpus_text;

/// Evaluate a model on a text: loss, perplexity, bits per token, out-of-vocabulary words
#[derive(Args, Debug)]
#[command(group = ArgGroup::new("choice").args(["top_k", "keystrokes"]).multiple(true))]
#[command(after_help = "\
Several files are evaluated as one text. Training uses the same function: `rondo eval --model RUN --split valid` \
prints the perplexity that the run reported. With --cache, --dynamic or --ngram, the results of the model alone are \
printed next to those of the adapted model.")]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Text files to evaluate on; - is stdin [default: stdin]
    #[arg(value_name = "FILE", conflicts_with_all = ["data", "split"])]
    texts: Vec<PathBuf>,
    /// Corpus to evaluate on: a name, a folder, or files [default with --split: the corpus the model was trained on]
    #[arg(long, value_name = "NAME|PATH", num_args = 1.., help_heading = "Text")]
    data: Vec<PathBuf>,
    /// Split of the corpus [default: test]
    #[arg(long, help_heading = "Text")]
    split: Option<SplitName>,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    field: FieldArgs,
    /// Batch size: number of parallel sequences that the text is split into, fewer for a short text [default: as in the
    /// model's run, else 20; 1 with --cache or --dynamic]
    #[arg(long, value_name = "SEQUENCES", help_heading = "Evaluation")]
    batch_size: Option<NonZeroUsize>,
    /// Time steps per batch; affects only speed and memory [default: as in the model's run, else 35]
    #[arg(long, value_name = "STEPS", help_heading = "Evaluation")]
    bptt: Option<NonZeroUsize>,
    /// End with an error at a character that the model's vocabulary does not contain, instead of leaving it out
    #[arg(long, help_heading = "Evaluation")]
    strict: bool,
    /// Share the unknown token's probability among this many unseen words, as n-gram toolkits do
    #[arg(
        long,
        value_name = "WORDS",
        conflicts_with_all = ["cache", "tune_cache", "dynamic", "ngram"],
        help_heading = "Evaluation"
    )]
    unknown_words: Option<NonZeroU64>,
    /// Also print the perplexity of a unigram and a bigram model on the same tokens: the unigram from the token counts
    /// stored with the vocabulary, the bigram from the training text, if it can be found through the plan of the run
    #[arg(long, help_heading = "Evaluation")]
    baselines: bool,
    /// Use the model's approximate normalizer, which `rondo normalizer fit` fits: faster for large vocabularies; a note
    /// says how exact it was on this text
    #[arg(long, conflicts_with_all = ["cache", "tune_cache", "dynamic", "ngram"], help_heading = "Evaluation")]
    approximate: bool,
    #[command(flatten)]
    top_k: top_k::TopKArgs,
    #[command(flatten)]
    keystrokes: keystrokes::KeystrokeArgs,
    /// With --top-k or --keystrokes, a file with one word per line that cannot be suggested: it is never found, and other
    /// words move up
    #[arg(long, value_name = "FILE", requires = "choice", help_heading = "Suggestions")]
    exclude: Option<PathBuf>,
    #[command(flatten)]
    cache: cache::CacheArgs,
    #[command(flatten)]
    dynamic: dynamic::DynamicArgs,
    #[command(flatten)]
    ngram: NgramArgs,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Show no progress
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// [`Split`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitName {
    Train,
    Valid,
    Test,
}

impl From<SplitName> for Split {
    fn from(name: SplitName) -> Split {
        match name {
            SplitName::Train => Split::Train,
            SplitName::Valid => Split::Valid,
            SplitName::Test => Split::Test,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: EvalArgs) -> Result<ExitCode> {
    let ranks = ranks::all();
    let console = Console::new(args.quiet || !ranks.leads());
    args.cache.check()?;
    if !ranks.is_alone() {
        args.require_divided()?;
    }
    let mut loaded = args.model.load(Work::Batches, console)?;
    ApproximateArgs { approximate: args.approximate }.apply(&mut loaded)?;
    let own_codec = loaded.codec().clone();
    loaded.model = loaded.model.with_codec(args.reading.codec(&loaded, true)?)?;
    loaded.text_field.clone_from(&args.field.text_field);
    let settings = match run_settings(&loaded)? {
        Some((settings, unknown)) => {
            if !unknown.is_empty() {
                let (plan, names) = (RunFolder::PLAN, unknown.join("`, `"));
                console.say(&format!("note: unknown settings in `{plan}` are ignored: `{names}`"));
            }
            settings
        }
        None => Settings::default(),
    };
    let text = if args.data.is_empty() && args.split.is_none() {
        text::given_text(&args.texts, args.strict, &loaded, console)?
    } else {
        let split = args.split.map_or(Split::Test, Split::from);
        text::corpus_text(&args.data, split, "--data", args.strict, &loaded, console)?
    };
    if text.ids.len() < 2 {
        return Err(CliError::TooShort { origin: text.title, tokens: text.ids.len() }.into());
    }
    let of_run = EvaluationPlan::new(&settings)?;
    let adapts = args.cache.is_wanted() || args.dynamic.is_wanted();
    let batch_size = args.batch_size.map_or(if adapts { 1 } else { of_run.batch_size }, NonZeroUsize::get);
    let bptt = args.bptt.map_or(of_run.bptt, NonZeroUsize::get);
    let findings = if args.dynamic.is_wanted() {
        loaded.model.require_running_text("dynamic evaluation")?;
        args.dynamic.evaluate(batch_size, args.cache.wanted(), &text, &mut loaded, console)?
    } else if args.cache.is_wanted() {
        args.cache.evaluate(&text, &loaded, console)?
    } else if let Some(ngram) = args.ngram.load(&loaded, console)? {
        ngram::evaluate(&ngram, batch_size, bptt, &text, &loaded, console)?
    } else {
        let exclude = args.exclude.as_deref();
        let ranking = args.top_k.ranking(exclude, &loaded, console)?;
        let begun = Instant::now();
        let (measures, ranks) = measure((batch_size, bptt), &text, ranking.as_ref(), &loaded, console)?;
        let measures = args.unknown_words.map_or(measures, |words| measures.with_unknown_words(words.get()));
        let base = measures.all;
        let tokens_per_s = base.tokens as f64 / begun.elapsed().as_secs_f64();
        Findings {
            base,
            measures: Some(measures),
            ranks,
            typed: args.keystrokes.count(exclude, &text, &loaded, console)?,
            adapted: vec![],
            tokens_per_s,
        }
    };
    if !findings.base.nll_sum.is_finite() {
        return Err(InferError::NonFiniteLogits.into());
    }
    let baselines = if args.baselines {
        let model = loaded.model.with_codec(own_codec)?;
        let own = Loaded { path: loaded.path.clone(), model, text_field: None };
        let baselines = Baselines::evaluate(&text, batch_size, &loaded, &own, console)?;
        Some(match (args.unknown_words, &findings.measures) {
            (Some(words), Some(measures)) => baselines.with_unknown_words(measures.unknown.tokens, words),
            _ => baselines,
        })
    } else {
        None
    };
    if ranks.leads() {
        report::print(args.json, &loaded, &text, &findings, baselines.as_ref())?;
    }
    normalizer::say_check(&loaded, console);
    Ok(ExitCode::SUCCESS)
}

impl EvalArgs {
    /// Fails for what only one process can do.
    fn require_divided(&self) -> Result<()> {
        let reads_stdin = self.data.is_empty()
            && self.split.is_none()
            && (self.texts.is_empty() || self.texts.iter().any(|path| path == Path::new(STDIN)));
        let given = [
            ("--cache", self.cache.is_wanted()),
            ("--dynamic", self.dynamic.is_wanted()),
            ("--ngram", self.ngram.is_wanted()),
            ("--keystrokes", self.keystrokes.is_wanted()),
            ("-", reads_stdin),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((flag, _)) => Err(CliError::FlagNotDivided { flag }.into()),
        }
    }
}

/// The settings of the run that wrote the model, if its plan is next to it, and the paths of those that this version does
/// not know: the plan may be from another one.
fn run_settings(loaded: &Loaded) -> Result<Option<(Settings, Vec<String>)>> {
    let path = loaded.path.with_file_name(RunFolder::PLAN);
    if !path.is_file() {
        return Ok(None);
    }
    let origin = path.display().to_string();
    let text = fs::read_to_string(&path).with_context(|| format!("could not read `{origin}`"))?;
    Ok(Some(Settings::parse_known(&origin, &text)?))
}

/// The model's own evaluation, with the ranks of the tokens if there are some to report.
fn measure(
    (batch_size, bptt): (usize, usize),
    text: &Text,
    ranking: Option<&Ranking>,
    loaded: &Loaded,
    console: Console,
) -> Result<(Measures, Option<Ranks>)> {
    let bar = token_bar(console, text);
    let mut progress = |done| {
        bar.set_position(done);
        ControlFlow::Continue(())
    };
    let ranks = ranks::all();
    let part = EvaluationPart { index: ranks.rank(), count: ranks.size() };
    let model = &loaded.model;
    let (mut measures, mut of_tokens) = match ranking {
        Some(ranking) => {
            let sizes = (batch_size, bptt);
            let found = model.measure_ranks(&text.ids, sizes, part, ranking, &mut progress)?;
            (found.0, Some(found.1))
        }
        None => (model.measure_part(&text.ids, batch_size, bptt, part, &mut progress)?, None),
    };
    let of_part = |evaluation: Evaluation| [evaluation.nll_sum, evaluation.tokens as f64];
    let mut sums = [of_part(measures.all), of_part(measures.unknown)].concat();
    sums.extend(of_tokens.iter().flat_map(Ranks::to_numbers));
    ranks.sum(&mut sums)?;
    let of_all = |nll_sum, tokens| Evaluation { nll_sum, tokens: tokens as u64 };
    measures.all = of_all(sums[0], sums[1]);
    measures.unknown = of_all(sums[2], sums[3]);
    if let Some(of_tokens) = &mut of_tokens {
        of_tokens.set_numbers(&sums[4..]);
    }
    Ok((measures, of_tokens))
}

/// A progress bar over the tokens of a text.
fn token_bar(console: Console, text: &Text) -> ProgressBar {
    let bar = console.bar("{bar:24}  {human_pos} of {human_len} tokens  {per_sec}  {eta} left");
    // A part of the text for each process.
    bar.set_length((text.ids.len() / ranks::all().size()) as u64);
    bar
}
