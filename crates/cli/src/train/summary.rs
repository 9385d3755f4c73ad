//! The summary of a run, and what to try next.

use std::time::Duration;
use std::{env, path::Path};

use anyhow::Result;
use rondo_infer::Sampling;
use rondo_runs::{Perplexity, RunSummary};
use rondo_train::{Session, Trained};
use serde_json::{Value, json};

use super::baselines::Baselines;
use crate::console::{self, Console};
use crate::{describe, output};

/// Sample sentences shown for the built-in language.
const SAMPLES: usize = 3;
/// Maximum length of a sentence in tokens.
const SAMPLE_TOKENS: usize = 40;
/// Random seed of the sentences.
const SAMPLE_SEED: u64 = 1;

/// The summary of a run.
pub(super) struct Summary<'a> {
    pub(super) session: &'a Session,
    pub(super) trained: &'a Trained,
}

/// The name of the best model.
fn best(epoch: usize) -> String {
    match epoch {
        0 => "the model before training".to_owned(),
        epoch => format!("epoch {epoch}"),
    }
}

impl Summary<'_> {
    /// Prints the result to stdout, and what to try next to stderr.
    pub(super) fn print(&self, console: Console) -> Result<()> {
        let outcome = &self.trained.outcome;
        let row = |name: &str, value: String| vec![name.to_owned(), value];
        let loss = |loss: f64| format!("loss {loss:.4}, perplexity {}", Perplexity::from_nll_mean(loss));
        let mut rows = vec![];
        rows.extend(outcome.best_epoch.map(|epoch| row("best", best(epoch))));
        rows.extend(outcome.best_valid.map(|valid| row("valid", loss(valid))));
        rows.extend(outcome.best_test.map(|test| row("test", loss(test))));
        let elapsed = console::clock(Duration::from_secs_f64(outcome.elapsed_s));
        let [tokens, speed] = [outcome.tokens as usize, outcome.tokens_per_s as usize].map(describe::count);
        rows.push(row(
            "speed",
            format!("{speed} tokens/s; {tokens} tokens in {elapsed}, including evaluation"),
        ));
        rows.push(row("files", format!("{}", self.trained.folder.path().display())));
        let mut text = format!("\n{}", output::columns(&rows, &[]));
        if let Some((baselines, test)) = self.baselines()? {
            text += &comparison(&baselines, test);
        }
        for (index, sentence) in self.sentences()?.into_iter().enumerate() {
            text += &format!("{}{sentence}\n", if index == 0 { "\nSamples:\n  " } else { "  " });
        }
        output::text(&text)?;
        if outcome.best_epoch.is_some() || outcome.interrupted {
            console.say(&self.next_commands());
        }
        Ok(())
    }

    /// Prints the result to stdout as JSON.
    pub(super) fn print_json(&self) -> Result<()> {
        let outcome = &self.trained.outcome;
        // The file has the settings that were changed, the model and its size, the epochs and more times.
        let summary = RunSummary::read(&self.trained.folder)?.unwrap_or_default();
        let mut object = serde_json::to_value(summary)?;
        let loss = |loss: Option<f64>| loss.map(output::number);
        let perplexity =
            |loss: Option<f64>| loss.map(|loss| output::number(Perplexity::from_nll_mean(loss).value()));
        let outcome = json!({
            "run": self.trained.folder.path().display().to_string(),
            "best_epoch": outcome.best_epoch,
            "valid_loss": loss(outcome.best_valid),
            "valid_perplexity": perplexity(outcome.best_valid),
            "test_loss": loss(outcome.best_test),
            "test_perplexity": perplexity(outcome.best_test),
            "steps": outcome.steps,
            "tokens": outcome.tokens,
            "tokens_per_s": output::number(outcome.tokens_per_s),
            "elapsed_s": output::number(outcome.elapsed_s),
            "interrupted": outcome.interrupted,
        });
        if let (Value::Object(object), Value::Object(outcome)) = (&mut object, outcome) {
            object.extend(outcome);
        }
        if let Some((Baselines { best_possible, bigram, unigram }, _)) = self.baselines()? {
            object["best_possible_test_perplexity"] = output::number(best_possible);
            object["bigram_test_perplexity"] = output::number(bigram);
            object["unigram_test_perplexity"] = output::number(unigram);
        }
        output::json(&object)
    }

    /// Baselines for the test perplexity, and the perplexity.
    fn baselines(&self) -> Result<Option<(Baselines, f64)>> {
        let (Some(test), Some(tales)) = (self.trained.outcome.best_test, self.session.tales()) else {
            return Ok(None);
        };
        let baselines = Baselines::new(tales, self.session.corpus())?;
        Ok(baselines.map(|baselines| (baselines, Perplexity::from_nll_mean(test).value())))
    }

    /// Sample sentences from a model of the built-in language.
    fn sentences(&self) -> Result<Vec<String>> {
        let codec = &self.session.corpus().codec;
        let (Some(_), Some(eos), Some(model)) = (self.session.tales(), codec.line_end(), &self.trained.model)
        else {
            return Ok(vec![]);
        };
        let mut streams = model.streams();
        streams.admit_many(&[eos], SAMPLES, &Sampling::default(), SAMPLE_SEED)?;
        let mut samples = vec![vec![]; SAMPLES];
        for _ in 0..SAMPLE_TOKENS {
            for (sample, drawn) in samples.iter_mut().zip(streams.step()?) {
                sample.push(drawn.token);
            }
        }
        let sentence = |ids: &Vec<u32>| {
            let end = ids.iter().position(|&id| id == eos).unwrap_or(ids.len());
            Ok(codec.decode(&ids[..end])?)
        };
        samples.iter().map(sentence).collect()
    }

    fn next_commands(&self) -> String {
        let program = program();
        let run = in_shell(&self.trained.folder.path().display().to_string());
        let mut commands = vec![];
        if self.trained.outcome.interrupted {
            commands.push(format!("{program} train --resume --out {run}"));
        }
        if self.trained.outcome.best_epoch.is_some() {
            commands.push(format!("{program} generate --model {run} --samples 3"));
            if self.session.corpus().test.is_some() {
                commands.push(format!("{program} eval --model {run} --split test"));
            }
            commands.push(format!("{program} score --model {run} --per-token FILE"));
        }
        format!("\nTry next:\n  {}", commands.join("\n  "))
    }
}

fn comparison(baselines: &Baselines, test: f64) -> String {
    let above = |perplexity: f64| format!("{:+.1} %", 100.0 * (perplexity / baselines.best_possible - 1.0));
    let row = |name: &str, perplexity: f64, above: String| {
        vec![format!("  {name}"), format!("{perplexity:.2}"), above]
    };
    let rows = [
        row("best possible", baselines.best_possible, String::new()),
        row("this model", test, above(test)),
        row("bigram", baselines.bigram, above(baselines.bigram)),
        row("unigram", baselines.unigram, above(baselines.unigram)),
    ];
    format!("\nPerplexity on the test text:\n{}", output::columns(&rows, &[1, 2]))
}

/// How this program was called, so that the suggested commands work as printed.
fn program() -> String {
    let called = env::args_os().next().map(|path| path.to_string_lossy().into_owned());
    in_shell(
        &called.filter(|path| Path::new(path).components().count() > 1).unwrap_or_else(|| "rondo".to_owned()),
    )
}

/// A word quoted for a shell if needed.
fn in_shell(word: &str) -> String {
    let plain = |char: char| char.is_alphanumeric() || "/._-+@:,\\".contains(char);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_split_them() {
        assert_eq!(in_shell("runs/ptb-1"), "runs/ptb-1");
        assert_eq!(in_shell("my runs/don't"), "'my runs/don'\\''t'");
    }

    #[test]
    fn a_perplexity_is_compared_with_the_best_possible() {
        let baselines = Baselines { best_possible: 10.0, bigram: 20.0, unigram: 100.0 };
        let text = comparison(&baselines, 10.5);
        assert!(text.contains("  this model      10.50    +5.0 %\n"), "{text}");
    }
}
