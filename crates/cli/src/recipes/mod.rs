//! `rondo recipes`: the embedded recipes, with what was published and what we measured.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use rondo_train::recipes::{self, Measured, Published};
use rondo_train::{Recipe, Settings};
use serde_json::{Map, Value, json};

use crate::output;

mod verify;

/// List the recipes: the settings of published results, with perplexities published and measured
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
    /// Print a recipe's file, to read or to start one's own from
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

/// A recipe in some lines.
fn block(Recipe { about, .. }: &Recipe) -> String {
    let time =
        about.minutes.map_or(String::new(), |minutes| format!(", about {minutes} minutes on two cores"));
    let mut text = format!("{}\n  {}{time}\n  {}\n", about.name, about.title, about.command);
    let mut rows = vec![];
    let mut row = |kind: &str,
                   epoch: usize,
                   valid: Option<String>,
                   test: Option<String>,
                   notes: [Option<String>; 3]| {
        let perplexity = |split: &str, value: Option<String>| {
            value.map_or(String::new(), |value| format!("{split} {value}"))
        };
        let notes =
            notes.into_iter().flatten().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
        let columns = [
            format!("  {kind}"),
            format!("epoch {epoch}"),
            perplexity("valid", valid),
            perplexity("test", test),
            notes,
        ];
        rows.push(columns.to_vec());
    };
    for Published { with, after_epoch, valid, test, note } in &about.published {
        let [valid, test] = [valid, test].map(|band| band.map(|band| band.to_string()));
        row("published", *after_epoch, valid, test, [Some(flags(with)), note.clone(), None]);
    }
    for Measured { with, after_epoch, valid, test, tokens_per_s, note } in &about.measured {
        let [valid, test] = [valid, test].map(|value| value.map(|value| format!("{value:.1}")));
        let speed = tokens_per_s.map(|speed| format!("{speed:.0} tokens/s"));
        row("measured", *after_epoch, valid, test, [Some(flags(with)), speed, note.clone()]);
    }
    text += &output::columns(&rows, &[]);
    text
}

/// The flags that settings come to.
fn flags(with: &Settings) -> String {
    let flag = |(field, texts): (&rondo_train::settings::Field, Vec<String>)| {
        format!("--{} {}", field.flag(), texts.join(" "))
    };
    with.given().map(flag).collect::<Vec<_>>().join(" ")
}

fn described(Recipe { about, .. }: &Recipe) -> Value {
    let published = about.published.iter().map(|published| {
        let [valid, test] =
            [published.valid, published.test].map(|band| band.map(|band| [band.low, band.high]));
        json!({
            "with": given(&published.with),
            "after_epoch": published.after_epoch,
            "valid_perplexity": valid,
            "test_perplexity": test,
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
    json!({
        "name": about.name,
        "title": about.title,
        "summary": about.summary,
        "source": about.source,
        "command": about.command,
        "minutes": about.minutes,
        "published": published.collect::<Vec<_>>(),
        "measured": measured.collect::<Vec<_>>(),
    })
}

fn given(with: &Settings) -> Value {
    Value::Object(
        with.given().map(|(field, texts)| (field.path(), texts.join(" ").into())).collect::<Map<_, _>>(),
    )
}
