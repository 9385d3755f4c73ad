//! `rondo recipes`: the embedded recipes, with published and measured perplexities.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use rondo_train::recipes::{self, Band, Measured, Published, Verify};
use rondo_train::{Recipe, Settings};
use serde_json::{Map, Value, json};

use crate::output;

mod verify;

/// List the recipes: settings of published results, with published and measured perplexities
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RecipesArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<RecipesCommand>,
}

#[derive(Debug, Subcommand)]
enum RecipesCommand {
    /// Print the file of a recipe, to read it or to write your own from it
    Show {
        /// Name of the recipe
        name: String,
    },
    Verify(verify::VerifyArgs),
}

/// Runs the command.
pub(crate) fn run(args: RecipesArgs) -> Result<ExitCode> {
    match args.command {
        Some(RecipesCommand::Show { name }) => {
            output::text(recipes::text(&name)?)?;
        }
        Some(RecipesCommand::Verify(args)) => return verify::run(args),
        None if args.json => output::json(&recipes::all()?.iter().map(described).collect())?,
        None => {
            let blocks: Vec<String> = recipes::all()?.iter().map(block).collect();
            output::text(&blocks.join("\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A recipe as text: its title, its command, and a line for each result and each band.
fn block(Recipe { about, .. }: &Recipe) -> String {
    let time =
        about.minutes.map_or(String::new(), |minutes| format!(", about {minutes} minutes on two cores"));
    let mut rows = vec![];
    for Published { with, after_epoch, valid, test, note } in &about.published {
        let perplexities = [valid, test].map(|band| band.map(|band| band.to_string()));
        let notes = [Some(flags(with)), note.clone()];
        rows.push(row("published", Some(*after_epoch), perplexities, notes));
    }
    for Measured { with, after_epoch, valid, test, tokens_per_s, note } in &about.measured {
        let perplexities = [valid, test].map(|value| value.map(|value| format!("{value:.2}")));
        let speed = tokens_per_s.map(|speed| format!("{speed:.0} tokens/s"));
        let notes = [Some(flags(with)), speed, note.clone()];
        rows.push(row("measured", Some(*after_epoch), perplexities, notes));
    }
    for Verify { name, with, after_epoch, valid, test } in &about.verify {
        let perplexities = [valid, test].map(|band| band.map(|band| band.to_string()));
        let name = name.as_ref().map(|name| format!("`{name}`"));
        rows.push(row("band", *after_epoch, perplexities, [name, Some(flags(with))]));
    }
    let heading = format!("{}\n  {}{time}\n  {}\n", about.name, about.title, about.command);
    heading + &output::columns(&rows, &[])
}

/// The cells of a line about perplexities on the validation and the test text, after an epoch or at the end.
fn row(
    kind: &str,
    epoch: Option<usize>,
    perplexities: [Option<String>; 2],
    notes: impl IntoIterator<Item = Option<String>>,
) -> Vec<String> {
    let [valid, test] = perplexities;
    let perplexity =
        |split: &str, value: Option<String>| value.map_or(String::new(), |value| format!("{split} {value}"));
    let notes: Vec<String> = notes.into_iter().flatten().filter(|note| !note.is_empty()).collect();
    vec![
        format!("  {kind}"),
        epoch.map_or("last epoch".to_owned(), |epoch| format!("epoch {epoch}")),
        perplexity("valid", valid),
        perplexity("test", test),
        notes.join("; "),
    ]
}

/// The settings, written as flags.
pub(crate) fn flags(with: &Settings) -> String {
    let flag = |(field, texts): (&rondo_train::settings::Field, Vec<String>)| {
        format!("--{} {}", field.flag(), texts.join(" "))
    };
    with.given().map(flag).collect::<Vec<_>>().join(" ")
}

/// A recipe as JSON.
fn described(Recipe { about, .. }: &Recipe) -> Value {
    let ends = |band: Option<Band>| band.map(|band| [band.low, band.high]);
    let published = about.published.iter().map(|published| {
        json!({
            "with": given(&published.with),
            "after_epoch": published.after_epoch,
            "valid_perplexity": ends(published.valid),
            "test_perplexity": ends(published.test),
            "note": published.note,
        })
    });
    let measured = about.measured.iter().map(|measured| {
        json!({
            "with": given(&measured.with),
            "after_epoch": measured.after_epoch,
            "valid_perplexity": measured.valid,
            "test_perplexity": measured.test,
            "tokens_per_s": measured.tokens_per_s,
            "note": measured.note,
        })
    });
    let verify = about.verify.iter().map(|verify| {
        json!({
            "name": verify.name,
            "with": given(&verify.with),
            "after_epoch": verify.after_epoch,
            "valid_perplexity": ends(verify.valid),
            "test_perplexity": ends(verify.test),
        })
    });
    json!({
        "name": about.name,
        "title": about.title,
        "summary": about.summary,
        "source": about.source,
        "command": about.command,
        "minutes": about.minutes,
        "published": published.collect::<Vec<_>>(),
        "measured": measured.collect::<Vec<_>>(),
        "verify": verify.collect::<Vec<_>>(),
    })
}

/// The settings as a JSON object, from their paths to their texts.
fn given(with: &Settings) -> Value {
    Value::Object(
        with.given().map(|(field, texts)| (field.path(), texts.join(" ").into())).collect::<Map<_, _>>(),
    )
}
