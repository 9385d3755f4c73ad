//! `rondo neighbors`: the words with the most similar embeddings.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use rondo_infer::{LanguageModel, Neighbor, OpenOptions};
use serde_json::{Value, json};

use crate::console::Console;
use crate::{device, output};

/// List the words whose embeddings are most similar to those of given words
#[derive(Args, Debug)]
#[command(after_help = "\
Similarity is the cosine of the angle between two embeddings: 1 for the same direction, 0 for unrelated words. A model \
with a one-hot input has no embedding.")]
pub(crate) struct NeighborsArgs {
    /// Model file, or a run folder for its best model
    #[arg(value_name = "RUN")]
    model: PathBuf,
    /// Words whose neighbors are listed
    #[arg(value_name = "WORD", required = true)]
    words: Vec<String>,
    /// Number of words to list for each, the most similar first
    #[arg(long, short = 'k', value_name = "WORDS", default_value_t = 10)]
    top: usize,
    /// Vocabulary file, for model files without a vocabulary [default: vocab.json next to the model]
    #[arg(long, value_name = "FILE")]
    vocab: Option<PathBuf>,
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: NeighborsArgs) -> Result<ExitCode> {
    let device = device::cpu(Console::new(false))?;
    let options = OpenOptions { vocab: args.vocab, ..OpenOptions::default() };
    let model = LanguageModel::open_with(&args.model, &options, &device)?;
    // All words are looked up before anything is printed.
    let mut found: Vec<(&str, Vec<Neighbor>)> = vec![];
    for word in &args.words {
        let neighbors = model.neighbors(word, args.top);
        found.push((word, neighbors.with_context(|| format!("cannot find the neighbors of `{word}`"))?));
    }
    output::write(|out| {
        for (index, (word, neighbors)) in found.iter().enumerate() {
            if args.json {
                writeln!(out, "{}", as_json(word, neighbors))?;
                continue;
            }
            if found.len() > 1 {
                let before = if index > 0 { "\n" } else { "" };
                writeln!(out, "{before}{}", word.escape_debug())?;
            }
            write!(out, "{}", as_table(neighbors))?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn as_table(neighbors: &[Neighbor]) -> String {
    let mut rows = vec![vec!["similarity".to_owned(), "word".to_owned()]];
    rows.extend(neighbors.iter().map(|neighbor| {
        vec![format!("{:.3}", neighbor.similarity), neighbor.token.escape_debug().to_string()]
    }));
    output::columns(&rows, &[0])
}

fn as_json(word: &str, neighbors: &[Neighbor]) -> Value {
    let neighbor = |neighbor: &Neighbor| {
        json!({
            "word": neighbor.token,
            "id": neighbor.id,
            "similarity": output::number(neighbor.similarity),
        })
    };
    json!({ "word": word, "neighbors": neighbors.iter().map(neighbor).collect::<Value>() })
}
