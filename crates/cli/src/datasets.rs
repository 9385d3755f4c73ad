//! `rondo datasets`: the named corpora.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::DecimalBytes;
use rondo_data::{Located, NAMED_CORPORA, NamedCorpus, Place, Places, Tales};
use rondo_train::{BUILT_IN, DATA_VARIABLE, default_places};
use serde_json::{Value, json};

use crate::{describe, output};

/// List the named corpora and where they are on this machine
#[derive(Args, Debug)]
#[command(after_help = "\
Rondo looks for a named corpus in the folder --data, in the folder RONDO_DATA, and in the user's cache folder. \
`rondo train --corpus NAME` downloads it into the cache if it is in none of them. RONDO_MIRROR sets the base URL of a \
mirror, with files at MIRROR/FOLDER/FILE.")]
pub(crate) struct DatasetsArgs {
    /// Folder of corpora to search first
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: DatasetsArgs) -> Result<ExitCode> {
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
