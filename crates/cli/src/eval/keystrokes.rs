//! `rondo eval --keystrokes`: how many keystrokes suggestions save.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use rondo_infer::{Keystrokes, TypedText, Typing};
use serde_json::{Map, Value, json};

use super::text::Text;
use super::token_bar;
use crate::console::Console;
use crate::model_args::Loaded;
use crate::{describe, exclusion, output};

/// Whether keystrokes are counted.
#[derive(Args, Debug)]
pub(super) struct KeystrokeArgs {
    /// Also print the fraction of keystrokes that suggestions save, next to that of a list of the most frequent words: needs
    /// a model of words
    #[arg(
        long,
        conflicts_with_all = ["approximate", "cache", "tune_cache", "dynamic", "ngram"],
        help_heading = "Suggestions"
    )]
    keystrokes: bool,
    /// With --keystrokes, how many words are suggested at a time
    #[arg(
        long,
        value_name = "WORDS",
        default_value_t = 3,
        requires = "keystrokes",
        help_heading = "Suggestions"
    )]
    suggestions: usize,
}

impl KeystrokeArgs {
    /// Whether keystrokes are counted.
    pub(super) fn is_wanted(&self) -> bool {
        self.keystrokes
    }

    /// Counts the keys for a text, if requested.
    pub(super) fn count(
        &self,
        exclude: Option<&Path>,
        text: &Text,
        loaded: &Loaded,
        console: Console,
    ) -> Result<Option<Typed>> {
        if !self.keystrokes {
            return Ok(None);
        }
        let excluded = exclude.map(|path| exclusion::words(path, console)).transpose()?.unwrap_or_default();
        let typing = Typing { suggestions: self.suggestions, excluded };
        let bar = token_bar(console, text);
        let text = loaded.model.keystrokes(&text.ids, &typing, &mut |done| {
            bar.set_position(done);
            ControlFlow::Continue(())
        })?;
        if text.by_frequency.is_none() {
            console.say(
                "note: no keystrokes with the most frequent words: the model's vocabulary has no counts",
            );
        }
        Ok(Some(Typed { suggestions: self.suggestions, text }))
    }
}

/// The keystrokes that suggestions save.
pub(super) struct Typed {
    suggestions: usize,
    text: TypedText,
}

impl Typed {
    /// As rows of names and values.
    pub(super) fn rows(&self) -> Vec<[String; 2]> {
        let Typed { suggestions, text: TypedText { model, by_frequency, unknown_tokens } } = self;
        let saved = |typed: &Keystrokes| format!("{:.2} % saved", 100.0 * typed.saved());
        let count = |count: u64| describe::count(count as usize);
        let left_out = match unknown_tokens {
            0 => String::new(),
            tokens => format!(", {} unknown tokens left out", count(*tokens)),
        };
        let (keys, characters) = (count(model.keys), count(model.characters));
        let mut rows = vec![[
            "keystrokes".to_owned(),
            format!(
                "{}: {keys} for {characters} characters, {suggestions} suggestions{left_out}",
                saved(model)
            ),
        ]];
        rows.extend(by_frequency.as_ref().map(|typed| ["by frequency".to_owned(), saved(typed)]));
        rows
    }

    /// As JSON.
    pub(super) fn in_json(&self) -> Value {
        let Typed { suggestions, text: TypedText { model, by_frequency, unknown_tokens } } = self;
        let numbers = |typed: &Keystrokes| {
            Map::from_iter([
                ("keys".to_owned(), json!(typed.keys)),
                ("saved".to_owned(), output::number(typed.saved())),
            ])
        };
        let mut object = numbers(model);
        object.extend([
            ("suggestions".to_owned(), json!(suggestions)),
            ("words".to_owned(), json!(model.words)),
            ("characters".to_owned(), json!(model.characters)),
            ("unknown_tokens".to_owned(), json!(unknown_tokens)),
            (
                "by_frequency".to_owned(),
                by_frequency.as_ref().map_or(Value::Null, |typed| numbers(typed).into()),
            ),
        ]);
        object.into()
    }
}
