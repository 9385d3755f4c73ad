//! `rondo tokenizer train`: trains a tokenizer for subwords.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use rondo_data::{BpeOptions, CorpusTexts, Split, TextSource, Tokenizer, read_text, train_bpe};
use rondo_runs::write_atomically;
use serde_json::json;

use crate::console::Console;
use crate::error::CliError;
use crate::input::Input;
use crate::{describe, output};

/// Train a tokenizer for subwords on your own text
#[derive(Args, Debug)]
pub(crate) struct TokenizerArgs {
    #[command(subcommand)]
    command: TokenizerCommand,
}

#[derive(Debug, Subcommand)]
enum TokenizerCommand {
    Train(TrainArgs),
}

/// Train a tokenizer for subwords and write its tokenizer.json
///
/// `rondo train --tokenizer FILE` uses it; so do the libraries of Hugging Face.
#[derive(Args, Debug)]
#[command(after_help = "\
A byte-level BPE has a token for each byte, and merges the most frequent pairs of tokens, within words, until it has as \
many as --vocab-size. It can encode all text, and needs no unknown token. A text that has `<unk>` in place of rare words, \
such as WikiText-2, should keep it as a token of its own: --whole '<unk>'.")]
struct TrainArgs {
    /// Texts: files, or the folder of a corpus for its training text; - is stdin
    #[arg(value_name = "TEXT", required = true)]
    texts: Vec<PathBuf>,
    /// Kind of tokenizer
    #[arg(long, value_enum, default_value = "bpe")]
    kind: Kind,
    /// Number of tokens, including the 256 bytes
    #[arg(long, value_name = "TOKENS", default_value_t = BpeOptions::default().vocab_size)]
    vocab_size: usize,
    /// How often a pair of tokens must occur to be merged
    #[arg(long, value_name = "COUNT", default_value_t = BpeOptions::default().min_frequency)]
    min_frequency: u64,
    /// Token that is never split, such as `<unk>`; can be repeated
    #[arg(long, value_name = "TOKEN")]
    whole: Vec<String>,
    /// Field of JSON Lines, or column of CSV or TSV, that contains the text
    #[arg(long, value_name = "NAME")]
    text_field: Option<String>,
    /// Replace invalid UTF-8 sequences and NUL bytes by U+FFFD instead of refusing the text
    #[arg(long)]
    lossy: bool,
    /// File to write
    #[arg(long, value_name = "FILE", default_value = "tokenizer.json")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The kinds of tokenizers that can be trained.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Byte-level byte-pair encoding, as in GPT-2
    Bpe,
}

/// Runs the command.
pub(crate) fn run(args: TokenizerArgs) -> Result<ExitCode> {
    match args.command {
        TokenizerCommand::Train(args) => train(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn train(args: &TrainArgs) -> Result<()> {
    if args.out.exists() {
        return Err(CliError::Exists { path: args.out.clone() }.into());
    }
    let texts = texts(args)?;
    let options = BpeOptions {
        vocab_size: args.vocab_size,
        min_frequency: args.min_frequency,
        whole: args.whole.clone(),
        lossy: args.lossy,
        text_field: args.text_field.clone(),
    };
    let Kind::Bpe = args.kind;
    let json = train_bpe(&texts, &options)?;
    write_atomically(&args.out, |to| to.write_all(json.as_bytes()))?;
    let path = args.out.display().to_string();
    let vocab = Tokenizer::from_bytes(&path, json.into_bytes())?.vocab()?;
    let tokens = vocab.map_or(0, |vocab| vocab.len());
    if args.json {
        return output::json(&json!({ "path": path, "tokens": tokens }));
    }
    output::text(&format!("{path}: {} tokens\n", describe::count(tokens)))
}

/// The texts to train on: of a corpus with splits, its training text.
fn texts(args: &TrainArgs) -> Result<Vec<TextSource>> {
    if args.texts.iter().any(|path| path == Path::new(crate::input::STDIN)) {
        let console = Console::new(false);
        let text = |input: &Input| -> Result<TextSource> {
            match input {
                Input::File(source) => Ok(source.clone()),
                Input::Stdin => {
                    let reader = input.open_field(args.text_field.as_deref(), console)?;
                    let text = read_text(reader, &input.origin(), args.lossy)?;
                    Ok(TextSource::Memory { name: input.origin(), text })
                }
            }
        };
        return Input::all(&args.texts).iter().map(text).collect();
    }
    let found = CorpusTexts::find_all(&args.texts)?;
    Ok(match &found {
        CorpusTexts::Whole(texts) => texts.clone(),
        _ => found.split(Split::Train).into_iter().cloned().collect(),
    })
}
