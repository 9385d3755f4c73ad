//! `rondo datasets`: the named corpora.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::DecimalBytes;
use rondo_data::{Located, NAMED_CORPORA, NamedCorpus, Place, Places, Tales, ZipfText};
use rondo_train::{BUILT_IN, DATA_VARIABLE, default_places};
use serde_json::{Value, json};

use crate::console::Console;
use crate::{describe, output};

/// List the named corpora and where they are on this machine
#[derive(Args, Debug)]
#[command(after_help = "\
Rondo looks for a named corpus in the folder --data, in the folder RONDO_DATA, and in the user's cache folder. \
`rondo train --corpus NAME` downloads it into the cache if it is in none of them. RONDO_MIRROR sets the base URL of a \
mirror, with files at MIRROR/FOLDER/FILE.")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct DatasetsArgs {
    #[command(subcommand)]
    command: Option<DatasetsCommand>,
    /// Folder of corpora to search first
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Debug)]
enum DatasetsCommand {
    Generate(GenerateArgs),
}

/// Generate a corpus of any size, to test speed and memory
///
/// Words have Zipf frequencies, and stretches of lines have topics. The folder gets train.txt, and valid.txt and test.txt
/// with a thousandth of its tokens each. The same seed gives the same text.
#[derive(Args, Debug)]
struct GenerateArgs {
    /// Number of tokens of the training text, such as 500k, 20M or 1G; a line end is a token
    #[arg(long, value_name = "COUNT", value_parser = count)]
    tokens: u64,
    /// Number of words
    #[arg(long, value_name = "WORDS", default_value_t = 100_000)]
    vocab: usize,
    /// Number of topics
    #[arg(long, value_name = "TOPICS", default_value_t = 50)]
    topics: usize,
    /// Seed
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Folder for the texts
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print no progress
    #[arg(short, long)]
    quiet: bool,
}

/// A number with a unit.
fn count(text: &str) -> std::result::Result<u64, String> {
    let expected = || "expected a number, such as `500k`, `20M` or `1G`".to_owned();
    let (number, unit) = text.split_at(text.trim_end_matches(char::is_alphabetic).len());
    let unit: u64 = match unit {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(expected()),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(unit).filter(|&count| count > 0).ok_or_else(expected)
}

fn generate(args: GenerateArgs) -> Result<ExitCode> {
    let language = ZipfText::new(args.vocab, args.topics, args.seed)?;
    let bar = Console::new(args.quiet).bar("{bar:24}  {percent} %  {per_sec} tokens  {eta} left");
    bar.set_length(args.tokens);
    let files = language.write_corpus(&args.out, args.tokens, &mut |tokens| {
        bar.set_position(tokens);
        ControlFlow::Continue(())
    })?;
    drop(bar);
    let lines = files.iter().map(|(_, path, tokens)| format!("{}\t{tokens} tokens\n", path.display()));
    output::text(&lines.collect::<String>())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs the command.
pub(crate) fn run(args: DatasetsArgs) -> Result<ExitCode> {
    if let Some(DatasetsCommand::Generate(args)) = args.command {
        return generate(args);
    }
    let places = Places { data_dir: args.data, ..default_places() };
    if args.json {
        let named = NAMED_CORPORA.iter().map(|corpus| described(corpus, &places));
        output::json(&std::iter::once(built_in()).chain(named).collect())?;
        return Ok(ExitCode::SUCCESS);
    }
    let about = "A generated language of English-like sentences whose entropy is known";
    let mut text = format!("{}\n  {about}\n  found     built in\n", BUILT_IN);
    for corpus in &NAMED_CORPORA {
        let files = corpus.files.iter().map(|file| format!("{} ({})", file.name, DecimalBytes(file.bytes)));
        let found = match corpus.find(&places) {
            Ok(Some(located)) => format!("in {} ({})", located.folder.display(), place(&located)),
            Ok(None) => "not on this machine".to_owned(),
            // A problem with one corpus must not hide the others.
            Err(error) => format!("not usable: {error}"),
        };
        text += &format!(
            "\n{}\n  {}\n  files     {}\n  license   {}\n  found     {found}\n",
            corpus.name,
            corpus.description,
            files.collect::<Vec<_>>().join(", "),
            corpus.license,
        );
    }
    output::text(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn place(located: &Located) -> &'static str {
    match located.place {
        Place::Data => "--data",
        Place::Environment => DATA_VARIABLE,
        Place::Cache => "cache",
    }
}

fn built_in() -> Value {
    json!({
        "name": BUILT_IN,
        "description": format!("a generated language of {} words", describe::count(Tales::new().words().len())),
        "perplexity": Tales::new().perplexity(),
        "files": [],
    })
}

fn described(corpus: &'static NamedCorpus, places: &Places) -> Value {
    let files = corpus.files.iter().map(|file| {
        json!({
            "name": file.name,
            "split": file.split.map(|split| split.to_string()),
            "bytes": file.bytes,
            "sha256": file.sha256,
            "url": file.url,
        })
    });
    let (folder, problem) = match corpus.find(places) {
        Ok(located) => (located.map(|located| located.folder.display().to_string()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    json!({
        "name": corpus.name,
        "description": corpus.description,
        "license": corpus.license,
        "licence": corpus.license, // Its key in version 0.1.0.
        "files": files.collect::<Vec<_>>(),
        "bytes": corpus.bytes(),
        "folder": folder,
        "problem": problem,
    })
}
