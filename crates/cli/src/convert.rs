//! `rondo convert`: models of PyTorch and MXNet as models of Rondo, and models of Rondo for PyTorch and ONNX.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use rondo_convert::{ImportOptions, Imported, Storage, Target, VocabularySource, export};
use rondo_data::TokenizerChoice;
use rondo_infer::{ModelParts, OpenOptions};
use rondo_nn::Cell;
use serde_json::json;

use crate::console::Console;
use crate::{describe, device, output};

/// Convert models of PyTorch and MXNet (GluonNLP), and write models for PyTorch and ONNX
#[derive(Args, Debug)]
#[command(after_help = "\
Without --to, FILE is a model of another tool: a state dict or a whole model of PyTorch (.pt, .pth, .bin), a safetensors \
file, or a .params file of MXNet. The names of its tensors say which layers it has. The result is best.safetensors in \
the folder of --out, which every command opens. Nothing in the file is executed.\n\n\
With --to, FILE is a model file or a run folder. pytorch writes model.pt, a state dict, and model.py, which loads it; \
onnx writes model.onnx, one step with its state; onnx-rescoring writes rescoring.onnx, which scores whole texts; with \
--int8, in a quarter of the size.")]
pub(crate) struct ConvertArgs {
    /// File of another tool; with --to, a model file, or a run folder for its best model
    #[arg(value_name = "FILE")]
    model: PathBuf,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Vocabulary: a list with one token per line or `token id` per line, or the JSON of GluonNLP
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "vocab_from_corpus",
        help_heading = "From another tool"
    )]
    vocab_list: Option<PathBuf>,
    /// Vocabulary: the words of train.txt, valid.txt and test.txt in order of first appearance, as in PyTorch's example
    /// word_language_model
    #[arg(long, value_name = "DIR", help_heading = "From another tool")]
    vocab_from_corpus: Option<PathBuf>,
    /// How texts are split into tokens: words, moses, chars or bytes; or the file of a tokenizer with its vocabulary:
    /// tokenizer.json of Hugging Face, or a .model of SentencePiece [default: words with --vocab-from-corpus]
    #[arg(long, value_name = "TOKENS", help_heading = "From another tool")]
    tokenizer: Option<TokenizerChoice>,
    /// Cell, if the file does not say which: rnn_tanh or rnn_relu
    #[arg(long, value_name = "CELL", help_heading = "From another tool")]
    cell: Option<Cell>,
    /// Write a model of Rondo in this format
    #[arg(
        long,
        value_name = "FORMAT",
        conflicts_with_all = ["vocab_list", "vocab_from_corpus", "tokenizer", "cell"],
        help_heading = "To another tool"
    )]
    to: Option<Format>,
    /// Store the weights of an ONNX file as 8-bit integers: a quarter of the size, and slightly different numbers
    #[arg(long, requires = "to", help_heading = "To another tool")]
    int8: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// [`Target`], as a flag.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Pytorch,
    Onnx,
    OnnxRescoring,
}

/// Runs the command.
pub(crate) fn run(args: &ConvertArgs) -> Result<ExitCode> {
    match args.to {
        Some(format) => write(args, format)?,
        None => read(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a model for another tool.
fn write(args: &ConvertArgs, format: Format) -> Result<()> {
    let device = device::cpu(Console::new(false))?;
    let parts = ModelParts::open(&args.model, &OpenOptions::default(), &device)?;
    let target = match format {
        Format::Pytorch => Target::Torch,
        Format::Onnx => Target::Onnx,
        Format::OnnxRescoring => Target::OnnxRescoring,
    };
    let storage = if args.int8 { Storage::Int8 } else { Storage::F32 };
    let paths = export(&parts.model, &parts.codec, target, storage, &args.out)?;
    if target != Target::Torch && !args.out.join("tokens.txt").exists() {
        Console::new(false).say("note: no tokens.txt: its format cannot hold tokens with whitespace");
    }
    let files: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    if args.json {
        return output::json(&json!({ "files": files }));
    }
    output::text(&files.iter().map(|file| format!("{file}\n")).collect::<String>())
}

/// Reads a model of another tool.
fn read(args: &ConvertArgs) -> Result<()> {
    let console = Console::new(false);
    let device = device::cpu(console)?;
    let list = args.vocab_list.clone().map(VocabularySource::List);
    let vocabulary = list.or_else(|| args.vocab_from_corpus.clone().map(VocabularySource::Corpus));
    let options = ImportOptions { cell: args.cell, vocabulary, tokenizer: args.tokenizer.clone() };
    let imported = Imported::read(&args.model, &options, &device)?;
    let path = imported.save(&args.out)?;
    for note in &imported.notes {
        console.say(&format!("note: {note}"));
    }
    if args.json {
        return report_in_json(&imported, &path);
    }
    report(&imported, &path)
}

fn report(imported: &Imported, path: &Path) -> Result<()> {
    let Imported { weights, codec, .. } = imported;
    let token = |id: Option<u32>| match id.and_then(|id| codec.vocab().token(id)) {
        Some(token) => token.escape_debug().to_string(),
        None => "none".to_owned(),
    };
    let rows = [
        ("model", describe::model(weights.model.config())),
        ("names", format!("{} ({})", weights.scheme, weights.format.name())),
        ("vocabulary", format!("{} tokens", describe::count(codec.vocab().len()))),
        ("tokenizer", codec.tokenizer().name().to_owned()),
        ("line end", token(codec.line_end())),
        ("unknown token", token(codec.unknown_id())),
        ("file", path.display().to_string()),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
    output::text(&output::columns(&rows, &[]))
}

fn report_in_json(imported: &Imported, path: &Path) -> Result<()> {
    let Imported { weights, codec, notes } = imported;
    let token = |id: Option<u32>| id.and_then(|id| codec.vocab().token(id));
    output::json(&json!({
        "path": path.display().to_string(),
        "format": weights.format.name(),
        "names": weights.scheme,
        "config": weights.model.config(),
        "vocabulary": codec.vocab().len(),
        "tokenizer": codec.tokenizer().name(),
        "line_end": token(codec.line_end()),
        "unknown": token(codec.unknown_id()),
        "notes": notes,
    }))
}
