//! Compares the training loss with that of a uniform guess over the vocabulary: `ln V`.
//!
//! ```text
//! first epoch   │ not compared │ mean > ln V? │ mean > ln V? │ mean > ln V? │      a quarter of the batches each
//! later epochs  │ mean > ln V? │ mean > ln V? │ …
//! ```
//!
//! A loss above it after that many batches shows that training diverges. The run warns once and continues, because
//! the schedule may lower the learning rate in time. Not here: NaN and infinity (`non_finite`).

use super::run::Run;
use crate::observer::Event;
use crate::{Note, Plan};

/// A run with fewer steps has hardly begun.
const FEWEST_STEPS: u64 = 20;

impl Run<'_> {
    /// Warns, once in a run, if the mean loss of the quarter of the epoch that ends with this batch, counted from 1,
    /// is above that of a uniform guess.
    pub(super) fn compare_with_uniform_guess(&mut self, batch: usize, batches: usize) {
        let quarter = |batch: usize| 4 * batch / batches;
        if quarter(batch) == quarter(batch - 1) {
            return;
        }
        let progress = &mut *self.progress;
        let sum = std::mem::take(&mut progress.quarter_sum);
        let is_first = progress.epoch == 1 && quarter(batch - 1) == 0;
        if progress.warned_of_loss || is_first || progress.steps < FEWEST_STEPS {
            return;
        }
        let learning_rate = progress.schedule.step_learning_rate();
        let vocab_size = self.texts.corpus.vocab().len();
        // NaN if all steps were skipped.
        let loss = sum.nll_mean();
        if loss > (vocab_size as f64).ln() {
            progress.warned_of_loss = true;
            let Plan { training, optimization, .. } = self.plan;
            let clip_norm = optimization.clip_norm_limit(training.bptt, training.batch_size);
            let note = Note::WorseThanUniform { loss, vocab_size, learning_rate, clip_norm };
            self.watch.notify(Event::Note(note));
        }
    }
}
