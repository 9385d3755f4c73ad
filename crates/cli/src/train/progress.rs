//! Progress of a run: a live line if stderr is a terminal, else lines.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use rondo_data::TextCodec;
use rondo_runs::{Compact, Loss, Perplexity};
use rondo_train::{BatchReport, EpochReport, Event, Note, Observer, Session, SoftmaxPlan};

use crate::console::{self, Console};
use crate::describe;
use crate::normalizer::in_words;

/// Decay of the moving average of the displayed speed.
const SPEED_DECAY: f64 = 0.95;

/// Prints the events of a run.
pub(super) struct Progress {
    console: Console,
    /// Separator between a prompt and the sample that continues it.
    joint: &'static str,
    bar: ProgressBar,
    started: Instant,
    /// Batches trained on in this session.
    done: u64,
    /// Batches left in the run.
    left: u64,
    epochs: usize,
    learning_rate: f64,
    tokens_per_s: Option<f64>,
    best_epoch: Option<usize>,
    /// Whether training losses are those of a sampled softmax.
    is_sampled: bool,
    /// The loss of a uniform guess over the vocabulary.
    uniform_loss: f64,
    /// Set to stop the run.
    stop: Arc<AtomicBool>,
}

impl Progress {
    pub(super) fn new(console: Console, session: &Session, stop: Arc<AtomicBool>) -> Progress {
        let codec = &session.corpus().codec;
        Progress {
            console,
            joint: if codec.is_of_words() { " " } else { "" },
            bar: console.bar("{prefix}  {bar:24}  {pos}/{len}  {msg}"),
            started: Instant::now(),
            done: 0,
            left: 0,
            epochs: 0,
            learning_rate: 0.0,
            tokens_per_s: None,
            best_epoch: None,
            is_sampled: matches!(session.plan().model.softmax, SoftmaxPlan::Sampled(_)),
            uniform_loss: uniform_loss(codec),
            stop,
        }
    }

    /// Prints a line above the live one.
    fn say(&self, line: &str) {
        self.bar.suspend(|| self.console.say(line));
    }

    fn draw_batch(&mut self, report: &BatchReport) {
        self.done += 1;
        self.left = self.left.saturating_sub(1);
        let old = self.tokens_per_s.unwrap_or(report.tokens_per_s);
        self.tokens_per_s = Some(SPEED_DECAY * old + (1.0 - SPEED_DECAY) * report.tokens_per_s);
        if self.console.is_live() {
            let pace = self.pace(self.tokens_per_s.unwrap_or(old));
            self.bar.set_position(report.batch as u64);
            self.bar
                .set_message(format!("moving average of the loss {:>6}  {pace}", Loss(report.moving_loss)));
        }
    }

    fn log(&self, report: &BatchReport) {
        // The live line already shows this.
        if !self.console.is_live() {
            let &BatchReport { batch, batches, nll_mean, moving_loss, .. } = report;
            let epoch = self.epoch(report.epoch);
            let perplexity = match self.is_sampled {
                true => "sampled softmax".to_owned(),
                false => format!("perplexity {:>8}", Perplexity::from_nll_mean(nll_mean)),
            };
            let (loss, moving) = (Loss(nll_mean), Loss(moving_loss));
            let pace = self.pace(report.tokens_per_s);
            self.say(&format!(
                "{epoch}  batch {batch}/{batches}  loss {loss:>6}, moving average {moving:>6}  \
                 {perplexity}  {pace}"
            ));
        }
    }

    fn pace(&self, tokens_per_s: f64) -> String {
        let speed = describe::count(tokens_per_s as usize);
        let left = console::clock(self.time_left());
        format!("{speed} tokens/s  {left} left")
    }

    /// Estimated time for the remaining batches, evaluations included.
    fn time_left(&self) -> Duration {
        self.started.elapsed().mul_f64(self.left as f64 / self.done.max(1) as f64)
    }

    fn end_epoch(&mut self, report: &EpochReport) {
        let epoch = self.epoch(report.epoch);
        let line = |text: &str, loss: f64, note: &str| {
            let loss = match self.is_sampled && text == "train" {
                true => format!("loss {:>6}  sampled softmax    ", Loss(loss)),
                false => in_columns(loss),
            };
            self.say(format!("{epoch}  {text:<5}  {loss}  {note}").trim_end());
        };
        let elapsed = console::clock(Duration::from_secs_f64(report.elapsed_s));
        let speed = describe::count(report.tokens_per_s as usize);
        line("train", report.train_loss, &format!("{speed} tokens/s, {elapsed} elapsed"));
        if let Some(loss) = report.valid_loss {
            line("valid", loss, &self.verdict(report));
        }
        if let Some(loss) = report.test_loss {
            line("test", loss, "");
        }
        if report.is_best {
            self.best_epoch = Some(report.epoch);
        }
    }

    /// The outcome of the validation.
    fn verdict(&self, report: &EpochReport) -> String {
        let is_finite = |loss: Option<f64>| loss.is_none_or(f64::is_finite);
        let mut verdict = match self.best_epoch {
            _ if !is_finite(report.valid_loss) || !is_finite(report.test_loss) => "not usable".to_owned(),
            _ if report.is_best && report.valid_loss > Some(self.uniform_loss) => {
                "saved, but worse than a uniform guess".to_owned()
            }
            _ if report.is_best => "best so far".to_owned(),
            Some(0) => "no better than before training".to_owned(),
            Some(best) => format!("no better than epoch {best}"),
            None => "no best model yet".to_owned(),
        };
        let (before, rate) = (Compact(self.learning_rate), Compact(report.learning_rate));
        if rate == before {
            verdict += &format!(", learning rate {rate}");
        } else {
            verdict += &format!(", learning rate {before} → {rate}");
        }
        if report.reloaded_best {
            verdict += ", best weights reloaded";
        }
        if let Some(loss) = report.unaveraged_valid_loss {
            verdict += &format!("; averaged weights, current weights {}", Perplexity::from_nll_mean(loss));
        }
        if report.averaging_begins {
            verdict += "; averaging starts";
        }
        verdict
    }

    fn epoch(&self, epoch: usize) -> String {
        format!("epoch {epoch}/{}", self.epochs)
    }
}

/// A loss and its perplexity, as wide for every value.
fn in_columns(loss: f64) -> String {
    format!("loss {:>6}  perplexity {:>8}", Loss(loss), Perplexity::from_nll_mean(loss))
}

/// The loss of a uniform guess over the vocabulary, in nats per token.
pub(super) fn uniform_loss(codec: &TextCodec) -> f64 {
    (codec.vocab().len() as f64).ln()
}

impl Observer for Progress {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Begun { valid_loss, test_loss } => {
                let mut usable = true;
                for (text, loss) in [("valid", valid_loss), ("test", test_loss)] {
                    if let Some(loss) = loss {
                        self.say(&format!("before     {text:<5}  {}", in_columns(loss)));
                        usable &= loss.is_finite();
                    }
                }
                self.best_epoch = usable.then_some(0);
            }
            Event::Note(note) => self.say(&format!("warning  {note}")),
            Event::EndsEarly { epoch, end } => {
                self.say(&format!("ended after {}: {end}", self.epoch(epoch)));
            }
            Event::FittingNormalizer { frequent } => {
                self.say(&format!(
                    "normalizer  fitting one that sums {} tokens exactly",
                    describe::count(frequent)
                ));
            }
            Event::NormalizerFitted { statistics } => {
                self.say(&format!("normalizer  error {} of the validation text", in_words(statistics)));
            }
            Event::Resumed { epoch, batch, step, best_epoch, path } => {
                self.best_epoch = best_epoch;
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                self.say(&format!("resumed  at epoch {epoch}, batch {batch}, step {step}, from {file}"));
            }
            Event::Changed { step, change, .. } => {
                self.say(&format!("changed  after step {step}: {}", Note::Changed(change)));
            }
            Event::Skipped { what, found, epoch, step } => {
                let epoch = self.epoch(epoch);
                self.say(&format!("{epoch}  the {what} is {found}: skipped step {step}"));
            }
            Event::RolledBack { what, found, epoch, step, to_step, learning_rate } => {
                let epoch = self.epoch(epoch);
                let rate = Compact(learning_rate);
                self.say(&format!(
                    "{epoch}  the {what} is {found} at step {step}: rolled back to step {to_step}, learning rate {rate}"
                ));
            }
            Event::EpochStarted { epoch, epochs, batches, left, learning_rate } => {
                self.left = left;
                self.learning_rate = learning_rate;
                self.epochs = epochs;
                self.bar.set_prefix(self.epoch(epoch));
                self.bar.set_length(batches as u64);
                self.bar.set_position(0);
            }
            Event::Batch(report) => self.draw_batch(report),
            Event::Log(report) => self.log(report),
            Event::Evaluating { what, done, total } => {
                self.bar.set_message(format!("evaluating the {what} text: {} %", 100 * done / total.max(1)));
            }
            Event::EpochFinished(report) => self.end_epoch(report),
            Event::Sample { prefix, text } => {
                let joint = if prefix.is_empty() { "" } else { self.joint };
                let sample = format!("{prefix}{joint}{text}");
                self.say(&format!("  sample   {}", sample.trim_end().replace('\n', "\n           ")));
            }
            Event::Interrupted { epoch, step } => self.say(&format!(
                "interrupted in epoch {epoch} after step {step}: saving; press Ctrl-C again to stop at once"
            )),
            _ => {}
        }
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
