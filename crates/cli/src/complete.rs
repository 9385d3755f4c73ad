//! `rondo complete`: the most likely next words.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use rondo_infer::{Completer, Completing, Completion, Preferences, UserWords};
use rondo_kernels::Work;
use serde_json::{Value, json};

use crate::console::Console;
use crate::error::CliError;
use crate::exclusion;
use crate::input::Input;
use crate::lines::LineBatches;
use crate::model_args::ModelArgs;
use crate::output;
use crate::terminal::shown;
use crate::text_args::LossyArgs;

/// List the most likely next words with their probabilities
#[derive(Args, Debug)]
#[command(after_help = "\
With a word model, the text ends with a complete word, with or without a space after it; with --partial, the last word \
is incomplete unless a space follows it. A character or byte model continues the text as it is: it completes the last \
word, or spells out a new one if the text ends with a space; a beam search finds the most likely words. Probabilities \
are relative to all possible words, not only those listed.")]
pub(crate) struct CompleteArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Texts to complete [default: stdin, one text per line]
    #[arg(value_name = "TEXT")]
    texts: Vec<String>,
    /// File with one text per line; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "texts", help_heading = "Completion")]
    file: Option<PathBuf>,
    #[command(flatten)]
    lossy: LossyArgs,
    /// Number of words to list, the most likely first
    #[arg(long, short = 'k', value_name = "WORDS", default_value_t = 10, help_heading = "Completion")]
    top: usize,
    /// Complete the last word of the text instead of predicting the next one; a character or byte model always does
    #[arg(long, help_heading = "Completion")]
    partial: bool,
    /// Do not list the unknown token
    #[arg(long, help_heading = "Completion")]
    forbid_unk: bool,
    #[command(flatten)]
    preferences: PreferenceArgs,
    /// Print JSON, one object per line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What the user wants to have listed.
#[derive(Args, Debug)]
struct PreferenceArgs {
    /// File with one word per line that is never listed
    #[arg(long, value_name = "FILE", help_heading = "Preferences")]
    exclude: Option<PathBuf>,
    /// List only words: no punctuation, no unknown token, no line end
    #[arg(long, help_heading = "Preferences")]
    words_only: bool,
    /// Begin words with a capital letter at the start of a sentence, and where the incomplete word does, if the model's words
    /// are lowercase; the text is then read as lowercase, too
    #[arg(long, help_heading = "Preferences")]
    capitalize: bool,
    /// File with words of your own, one per line, each followed by a tab and its weight, or by nothing for weight 1; they
    /// need not be in the vocabulary of the model, which must be a model of words
    #[arg(long, value_name = "FILE", help_heading = "Preferences")]
    user_words: Option<PathBuf>,
    /// Text whose words are added to those of your own, each as often as it occurs
    #[arg(long, value_name = "FILE", help_heading = "Preferences")]
    learn: Option<PathBuf>,
    /// Weight W of your own words, from 0 to below 1: the probability of a word is (1 - W) times the model's plus W times
    /// its fraction of all weights
    #[arg(
        long,
        value_name = "W",
        default_value_t = 0.2,
        allow_negative_numbers = true,
        help_heading = "Preferences"
    )]
    user_weight: f64,
}

impl PreferenceArgs {
    /// The completer with these preferences.
    fn apply(&self, completer: Completer, console: Console) -> Result<Completer> {
        let excluded = self.exclude.as_ref().map(|path| exclusion::words(path, console)).transpose()?;
        let mut user_words = UserWords::new(self.user_weight);
        let each_line = |path: &Option<PathBuf>, add: &mut dyn FnMut(&str) -> Result<()>| -> Result<()> {
            let Some(path) = path else { return Ok(()) };
            let input = &Input::all(std::slice::from_ref(path))[0];
            let origin = input.origin();
            for (line, number) in input.open(console)?.lines().zip(1..) {
                let line = line.with_context(|| format!("could not read `{origin}`"))?;
                add(line.trim()).with_context(|| format!("{origin}, line {number}"))?;
            }
            Ok(())
        };
        each_line(&self.user_words, &mut |line| {
            let (word, weight) = line.split_once('\t').unwrap_or((line, "1"));
            let no_weight = || CliError::NoWeight { found: weight.to_owned() };
            if word.is_empty() {
                Ok(())
            } else {
                Ok(user_words.add(word, weight.trim().parse().map_err(|_| no_weight())?)?)
            }
        })?;
        each_line(&self.learn, &mut |line| {
            user_words.learn(line);
            Ok(())
        })?;
        Ok(completer.with_preferences(Preferences {
            excluded: excluded.unwrap_or_default(),
            words_only: self.words_only,
            capitalize: self.capitalize,
            user_words,
        })?)
    }
}

/// Runs the command.
pub(crate) fn run(args: CompleteArgs) -> Result<ExitCode> {
    let console = Console::new(false);
    let loaded = args.model.load(Work::Streams, console)?;
    let completing =
        Completing { top: args.top, partial: args.partial, forbidden: loaded.forbidden(args.forbid_unk) };
    let completer = args.preferences.apply(loaded.model.completer(), console)?;
    let complete = |text: &[u8], before: &str, out: &mut dyn Write| {
        let completions = completer.complete_bytes(text, &completing);
        let text = &*String::from_utf8_lossy(text);
        let completions = completions.with_context(|| format!("cannot complete `{text}`"))?;
        print(&args, text, &completions, before, out)
    };
    let mut unreadable = 0;
    output::write(|out| {
        if let [text] = args.texts.as_slice() {
            return complete(text.as_bytes(), "", out);
        }
        if !args.texts.is_empty() {
            let mut before = String::new();
            for text in &args.texts {
                complete(text.as_bytes(), &format!("{before}{}\n", shown(text)), out)?;
                before = "\n".to_owned();
            }
            return Ok(());
        }
        let input = &Input::all(args.file.as_slice())[0];
        let origin = input.origin();
        let codec = loaded.codec().clone().lossy(args.lossy.lossy);
        let mut encoder = codec.line_encoder(&origin);
        let mut batches = LineBatches::open(input, None, Some(&codec), console)?;
        let mut before = String::new();
        loop {
            let lines = batches.next()?;
            if lines.is_empty() {
                return Ok(());
            }
            for line in lines {
                let line = encoder.encode(&line)?;
                let text = codec.as_read(&line.text);
                let heading = format!("{before}{}\n", shown(&String::from_utf8_lossy(&text)));
                if line.missing.is_empty() {
                    complete(&text, &heading, out)?;
                } else {
                    unreadable += 1;
                    print(&args, &String::from_utf8_lossy(&text), &[], &heading, out)?;
                }
                before = "\n".to_owned();
                // Somebody may be waiting for this answer before they send the next text.
                if batches.is_interactive() {
                    out.flush()?;
                }
            }
        }
    })?;
    if unreadable > 0 {
        let texts = if unreadable == 1 { "text" } else { "texts" };
        console.say(&format!(
            "note: no completions for {unreadable} {texts} with characters that the model's vocabulary does not contain"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the completions of a text; `before` separates it from the previous one.
fn print(
    args: &CompleteArgs,
    text: &str,
    completions: &[Completion],
    before: &str,
    out: &mut dyn Write,
) -> Result<()> {
    if args.json {
        let completion = |completion: &Completion| {
            json!({
                "word": completion.word,
                "probability": output::number(completion.log_prob.exp()),
                "log_prob": output::number(completion.log_prob),
            })
        };
        let completions = completions.iter().map(completion).collect::<Value>();
        return Ok(writeln!(out, "{}", json!({ "text": text, "completions": completions }))?);
    }
    let mut rows = vec![vec!["probability".to_owned(), "word".to_owned()]];
    rows.extend(
        completions
            .iter()
            .map(|completion| vec![format!("{:.4}", completion.log_prob.exp()), shown(&completion.word)]),
    );
    Ok(write!(out, "{before}{}", output::columns(&rows, &[0]))?)
}
