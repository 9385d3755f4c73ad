//! `rondo eval`: how well a model predicts a text.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_data::{Corpus, CorpusOptions, Encoder, Split, Tokenizer, VocabSource};
use rondo_infer::{Evaluation, evaluate_with};
use rondo_train::Perplexity;
use serde_json::json;

use crate::console::Console;
use crate::corpora::{self, Found};
use crate::failure::CliError;
use crate::input::Input;
use crate::loaded::{Loaded, ModelArgs};
use crate::{describe, output};

/// Evaluate a model on a text: loss, perplexity, bits per token, unknown words
#[derive(Args, Debug)]
#[command(after_help = "\
Several files are evaluated as one text. The evaluation is the trainer's own: `rondo eval --model RUN --split valid` \
prints the number that the run has reported.")]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Text to evaluate on; - or nothing is stdin
    #[arg(value_name = "FILE", conflicts_with_all = ["data", "split"])]
    texts: Vec<PathBuf>,
    /// Corpus to evaluate on: its name, its folder, or its files [default: with --split, the one the model was trained
    /// on]
    #[arg(long, value_name = "NAME|PATH", num_args = 1.., help_heading = "Text")]
    data: Vec<PathBuf>,
    /// Which of the corpus's texts [default: test]
    #[arg(long, help_heading = "Text")]
    split: Option<SplitName>,
    /// Columns that the text is cut into; a short text has fewer [default: as the model's run, else 20]
    #[arg(long, value_name = "ROWS", help_heading = "Evaluation")]
    batch_size: Option<NonZeroUsize>,
    /// Time steps per chunk; changes nothing but speed and memory [default: as the model's run, else 35]
    #[arg(long, value_name = "STEPS", help_heading = "Evaluation")]
    bptt: Option<NonZeroUsize>,
    /// Print JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Draw no progress
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

/// A text in the model's tokens.
#[derive(Default)]
struct Text {
    title: String,
    ids: Vec<u32>,
    /// Tokens that are not in the vocabulary; those spelt like the unknown token are.
    unknown_words: u64,
}

/// Runs the command.
pub(crate) fn run(args: EvalArgs) -> Result<ExitCode> {
    let console = Console::new(args.quiet);
    let mut loaded = args.model.load()?;
    let text = if args.data.is_empty() && args.split.is_none() {
        given_text(&args.texts, &loaded, console)?
    } else {
        corpus_text(&args.data, args.split.map_or(Split::Test, Split::from), &loaded, console)?
    };
    if text.ids.len() < 2 {
        return Err(CliError::TooShort { origin: text.title, tokens: text.ids.len() }.into());
    }
    let begun = Instant::now();
    let evaluation = evaluate(&args, &text, &mut loaded, console)?;
    let tokens_per_s = evaluation.tokens as f64 / begun.elapsed().as_secs_f64();
    print(&args, &loaded, &text, evaluation, tokens_per_s)?;
    Ok(ExitCode::SUCCESS)
}

fn given_text(paths: &[PathBuf], loaded: &Loaded, console: Console) -> Result<Text> {
    let encoder = Encoder::new(&loaded.vocab, &loaded.tokenizer);
    let inputs = Input::all(paths);
    let title = inputs.iter().map(Input::origin).collect::<Vec<_>>().join(", ");
    let mut text = Text { title, ..Text::default() };
    for input in &inputs {
        let mut encoded = encoder.encode_reader(input.open(console)?, &input.origin())?;
        text.ids.append(&mut encoded.ids);
        text.unknown_words += encoded.report.out_of_vocab_tokens;
    }
    Ok(text)
}

/// The text of a corpus, which is read as the model's run reads it if it is the run's own.
fn corpus_text(data: &[PathBuf], split: Split, loaded: &Loaded, console: Console) -> Result<Text> {
    let (choice, options) = match (&loaded.plan, data) {
        (Some(plan), []) => (plan.text.corpus.clone(), plan.text.options.clone()),
        (None, []) => return Err(CliError::NoPlan { model: loaded.path.clone(), split }.into()),
        (_, data) => (corpora::choice(data), CorpusOptions::for_tokenizer(loaded.tokenizer.clone())),
    };
    let Found { title, texts, .. } = corpora::find(&choice, console)?;
    let no_split = || CliError::NoSplit { corpus: title.clone(), split };
    if let Some(source) = texts.split(split) {
        let encoded = Encoder::new(&loaded.vocab, &loaded.tokenizer).encode_source(source)?;
        let title = format!("{title}, {split}");
        return Ok(Text { title, ids: encoded.ids, unknown_words: encoded.report.out_of_vocab_tokens });
    }
    let options = CorpusOptions {
        tokenizer: loaded.tokenizer.clone(),
        vocab: VocabSource::Given(loaded.vocab.clone()),
        ..options
    };
    let corpus = Corpus::read(&texts, &options)?;
    let ids = corpus.split(split).ok_or_else(no_split)?.to_vec();
    // Of a part of a text the words themselves are gone: those spelt like the unknown token count as well.
    let unknown = |id: &&u32| Some(**id) == loaded.vocab.unknown_id();
    let unknown_words = ids.iter().filter(unknown).count() as u64;
    Ok(Text { title: format!("{title}, {split}"), ids, unknown_words })
}

fn evaluate(args: &EvalArgs, text: &Text, loaded: &mut Loaded, console: Console) -> Result<Evaluation> {
    let of_run = loaded.plan.as_ref().map(|plan| &plan.evaluation);
    let batch_size =
        args.batch_size.map(NonZeroUsize::get).or(of_run.map(|plan| plan.batch_size)).unwrap_or(20);
    let bptt = args.bptt.map(NonZeroUsize::get).or(of_run.map(|plan| plan.bptt)).unwrap_or(35);
    let bar = console.bar("{bar:24}  {human_pos} of {human_len} tokens  {per_sec}  {eta} left");
    bar.set_length(text.ids.len() as u64);
    let mut progress = |done| {
        bar.set_position(done);
        true
    };
    Ok(evaluate_with(&loaded.model, &mut loaded.workspace, &text.ids, batch_size, bptt, &mut progress)?)
}

fn print(
    args: &EvalArgs,
    loaded: &Loaded,
    text: &Text,
    evaluation: Evaluation,
    tokens_per_s: f64,
) -> Result<()> {
    let unit = match loaded.tokenizer {
        Tokenizer::Words { .. } => "token",
        Tokenizer::Chars => "character",
        Tokenizer::Bytes => "byte",
    };
    let perplexity = Perplexity::from_nll_mean(evaluation.nll_mean());
    if args.json {
        return output::json(&json!({
            "model": loaded.path.display().to_string(),
            "text": text.title,
            "unit": unit,
            "tokens": text.ids.len(),
            "predicted_tokens": evaluation.tokens,
            "unknown_words": text.unknown_words,
            "loss": output::number(evaluation.nll_mean()),
            "perplexity": output::number(perplexity.value()),
            format!("bits_per_{unit}"): output::number(evaluation.bits_per_token()),
            "tokens_per_s": output::number(tokens_per_s),
        }));
    }
    let predicted = describe::count(evaluation.tokens as usize);
    output::text(&output::columns(
        &[
            ["model", &loaded.path.display().to_string()],
            ["text", &text.title],
            ["tokens", &format!("{}, {predicted} of them predicted", describe::count(text.ids.len()))],
            ["unknown words", &describe::count(text.unknown_words as usize)],
            ["loss", &format!("{:.4} nats per {unit}", evaluation.nll_mean())],
            ["bits", &format!("{:.4} per {unit}", evaluation.bits_per_token())],
            ["perplexity", &perplexity.to_string()],
            ["speed", &format!("{} tokens/s", describe::count(tokens_per_s as usize))],
        ]
        .map(|row| row.map(str::to_owned).to_vec()),
        &[],
    ))
}
