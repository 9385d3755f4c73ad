//! The summary of a run, and what to try next.

use std::time::Duration;
use std::{env, path::Path};

use anyhow::Result;
use rondo_data::Corpus;
use rondo_infer::Sampling;
use rondo_runs::{Loss, Perplexity, RunSummary};
use rondo_train::{Outcome, PartialEpoch, RunEnd, Session, Trained};
use serde_json::{Value, json};

use super::baselines::Baselines;
use super::progress::uniform_loss;
use crate::console::{self, Console};
use crate::describe::in_shell;
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

/// Tokens, seconds and tokens per second: of training alone, and in total. The speeds are those of the printed times.
fn speed(outcome: &Outcome) -> Option<[String; 2]> {
    let (training, total) = (outcome.training_tokens_per_s()?, outcome.tokens_per_s()?);
    let [training, total] = [training, total].map(|speed| describe::count(speed.round() as usize));
    let tokens = describe::count(outcome.tokens as usize);
    let [training_time, total_time] = [outcome.training_s, outcome.elapsed_s].map(seconds);
    Some([
        format!("{training} tokens/s in training: {tokens} tokens in {training_time}"),
        format!("{total} tokens/s in total, with evaluation: {total_time}"),
    ])
}

/// A time with three significant digits, or to the second.
fn seconds(seconds: f64) -> String {
    match seconds {
        ..0.1 => format!("{seconds:.4} s"),
        ..1.0 => format!("{seconds:.3} s"),
        ..10.0 => format!("{seconds:.2} s"),
        ..100.0 => format!("{seconds:.1} s"),
        _ => console::clock(Duration::from_secs_f64(seconds.round())),
    }
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
        let loss = |nll: f64| format!("loss {}, perplexity {}", Loss(nll), Perplexity::from_nll_mean(nll));
        let mut rows = vec![];
        if let Some(end) = outcome.end.filter(RunEnd::is_early) {
            rows.push(row("ended", format!("early: {end}")));
        }
        let uniform_loss = uniform_loss(&self.session.corpus().codec);
        let note = if outcome.best_valid > Some(uniform_loss) { ", worse than a uniform guess" } else { "" };
        rows.extend(outcome.best_epoch.map(|epoch| row("best", best(epoch) + note)));
        rows.extend(outcome.partial_epoch.map(|PartialEpoch { epoch, batch, batches }| {
            row(
                "saved",
                format!("after {batch} of {batches} batches of epoch {epoch}, which is not complete"),
            )
        }));
        rows.extend(outcome.best_valid.map(|valid| row("valid", loss(valid))));
        rows.extend(outcome.best_test.map(|test| row("test", loss(test))));
        if let Some([training, total]) = speed(outcome) {
            rows.push(row("speed", training));
            rows.push(row("", total));
        }
        let processes = self.session.ranks().size();
        if processes > 1 {
            let waiting = seconds(outcome.waiting_s);
            rows.push(row(
                "processes",
                format!("{processes}, of which the first waited {waiting} for the others"),
            ));
        }
        rows.push(row("files", format!("{}", self.trained.folder.path().display())));
        let mut text = format!("\n{}", output::columns(&rows, &[]));
        if let Some((baselines, test)) = self.baselines()? {
            text += &comparison(&baselines, test);
        }
        for (index, sentence) in self.sentences()?.into_iter().enumerate() {
            text += &format!("{}{sentence}\n", if index == 0 { "\nSamples:\n  " } else { "  " });
        }
        output::text(&text)?;
        if self.has_model() || outcome.interrupted {
            console.say(&self.next_commands());
        }
        Ok(())
    }

    /// Prints the result to stdout as JSON.
    pub(super) fn print_json(&self) -> Result<()> {
        let outcome = &self.trained.outcome;
        let loss = |loss: Option<f64>| loss.map(output::number);
        let perplexity =
            |loss: Option<f64>| loss.map(|loss| output::number(Perplexity::from_nll_mean(loss).value()));
        let mut object = json!({
            "run": self.trained.folder.path().display().to_string(),
            "best_epoch": outcome.best_epoch,
            "partial_epoch": outcome.partial_epoch.map(|PartialEpoch { epoch, batch, batches }| {
                json!({ "epoch": epoch, "batch": batch, "batches": batches })
            }),
            "valid_loss": loss(outcome.best_valid),
            "valid_perplexity": perplexity(outcome.best_valid),
            "test_loss": loss(outcome.best_test),
            "test_perplexity": perplexity(outcome.best_test),
            "steps": outcome.steps,
            "tokens": outcome.tokens,
            "training_s": output::number(outcome.training_s),
            "training_tokens_per_s": outcome.training_tokens_per_s().map(output::number),
            "processes": self.session.ranks().size(),
            "waiting_s": output::number(outcome.waiting_s),
            "elapsed_s": output::number(outcome.elapsed_s),
            "tokens_per_s": outcome.tokens_per_s().map(output::number),
            "interrupted": outcome.interrupted,
            "end": outcome.end.as_ref().map(RunEnd::name),
        });
        // The file has the settings that were changed, the model and its size, the epochs and more times.
        let summary = RunSummary::read(&self.trained.folder)?.map(serde_json::to_value).transpose()?;
        if let (Value::Object(object), Some(Value::Object(summary))) = (&mut object, summary) {
            object.extend(summary);
        }
        if let Some((Baselines { best_possible, bigram, unigram }, _)) = self.baselines()? {
            object["best_possible_test_perplexity"] = output::number(best_possible);
            object["bigram_test_perplexity"] = output::number(bigram);
            object["unigram_test_perplexity"] = output::number(unigram);
        }
        output::json(&object)
    }

    /// Baselines for the test perplexity, and the test loss.
    fn baselines(&self) -> Result<Option<(Baselines, f64)>> {
        let (Some(test), Some(tales)) = (self.trained.outcome.best_test, self.session.tales()) else {
            return Ok(None);
        };
        let baselines = Baselines::new(tales, self.session.corpus())?;
        Ok(baselines.map(|baselines| (baselines, test)))
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

    /// Whether the run has saved a model to use.
    fn has_model(&self) -> bool {
        self.trained.outcome.best_epoch.is_some() || self.trained.outcome.partial_epoch.is_some()
    }

    /// The first token of the training text, for a model that cannot begin with a line end.
    fn prefix(&self) -> Option<String> {
        let Corpus { codec, train, .. } = self.session.corpus();
        let first = codec.line_end().is_none().then(|| train.read(0..1))?.ok()?;
        codec.decode(&first).ok()
    }

    fn next_commands(&self) -> String {
        let program = program();
        let run = in_shell(&self.trained.folder.path().display().to_string());
        let mut commands = vec![];
        if self.trained.outcome.interrupted {
            commands.push(format!("{program} train --resume --out {run}"));
        }
        if self.has_model() {
            let prefix = self.prefix().map(|text| format!(" --prefix {}", in_shell(&text)));
            let prefix = prefix.unwrap_or_default();
            commands.push(format!("{program} generate --model {run}{prefix} --samples 3"));
            if self.session.corpus().test.is_some() {
                commands.push(format!("{program} eval --model {run} --split test"));
            }
            commands.push(format!("{program} score --model {run} --per-token FILE"));
        }
        format!("\nTry next:\n  {}", commands.join("\n  "))
    }
}

/// The perplexity of a model with this test loss, compared with the baselines.
fn comparison(baselines: &Baselines, test_loss: f64) -> String {
    let row = |name: &str, loss: f64| {
        let percent = 100.0 * ((loss - baselines.best_possible.ln()).exp() - 1.0);
        let above = if percent < 1e5 { format!("{percent:+.1} %") } else { format!("{percent:+.1e} %") };
        vec![format!("  {name}"), Perplexity::from_nll_mean(loss).to_string(), above]
    };
    let mut rows = [
        row("best possible", baselines.best_possible.ln()),
        row("this model", test_loss),
        row("bigram", baselines.bigram.ln()),
        row("unigram", baselines.unigram.ln()),
    ];
    rows[0][2].clear();
    format!("\nPerplexity on the test text:\n{}", output::columns(&rows, &[1, 2]))
}

/// How this program was called, so that the suggested commands work as printed.
pub(super) fn program() -> String {
    let called = env::args_os().next().map(|path| path.to_string_lossy().into_owned());
    in_shell(
        &called.filter(|path| Path::new(path).components().count() > 1).unwrap_or_else(|| "rondo".to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_times_and_speeds_agree() {
        let outcome =
            Outcome { tokens: 1_499_950, training_s: 43.04, elapsed_s: 3723.4, ..Outcome::default() };
        let [training, total] = speed(&outcome).unwrap();
        assert_eq!(training, "34,850 tokens/s in training: 1,499,950 tokens in 43.0 s");
        assert_eq!(total, "403 tokens/s in total, with evaluation: 1:02:03");
        assert_eq!(speed(&Outcome::default()), None);
        let told = [0.01234, 0.5, 9.876, 99.94, 100.4].map(seconds);
        assert_eq!(told, ["0.0123 s", "0.500 s", "9.88 s", "99.9 s", "1:40"]);
    }

    #[test]
    fn a_perplexity_is_compared_with_the_best_possible() {
        let baselines = Baselines { best_possible: 10.0, bigram: 20.0, unigram: 100.0 };
        let text = comparison(&baselines, 10.5_f64.ln());
        assert!(text.contains("  this model      10.50    +5.0 %\n"), "{text}");
        assert!(comparison(&baselines, 40.0).contains("  this model     2.35e17  +2.4e18 %\n"), "{text}");
    }
}
