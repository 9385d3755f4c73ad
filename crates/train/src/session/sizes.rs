//! Completes the plan of a run of limited time by what suits its text and the speed of the machine.

use std::time::Duration;

use rondo_collective::Collective;
use rondo_data::Corpus;
use rondo_kernels::{Device, roofline};

use super::note::Note;
use crate::observer::{Event, Watch};
use crate::sizing::{Sizing, TextSize};
use crate::{Plan, Result, Settings};

/// Gives the settings of a run that trains for `time` on `corpus` the values that suit both, as far as the user has not
/// given them. The speed of a GPU is not measured, so its runs have the defaults, as those on short texts have.
///
/// # Errors
/// As [`Plan::new`], if these values contradict the given ones; those of the other ranks.
pub(super) fn size_by_time(
    plan: &mut Plan,
    given: &Settings,
    corpus: &Corpus,
    (device, time): (&Device, Duration),
    ranks: &dyn Collective,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let text = TextSize { tokens: corpus.train.len(), vocab_size: corpus.vocab().len() };
    if !Sizing::suits(text) {
        return Ok(());
    }
    let peak = roofline::fma_peak(device);
    // All ranks must select the same sizes.
    let peaks = ranks.gather(peak.to_le_bytes().to_vec())?;
    let peak: f64 =
        peaks.iter().filter_map(|bytes| bytes.as_slice().try_into().ok()).map(f64::from_le_bytes).sum();
    if !peak.is_finite() {
        return Ok(());
    }
    let sizing = Sizing::new(text, peak, time.as_secs_f64(), given.model.hidden_size);
    let sized = Plan::new(&sizing.settings_below(given.clone()))?;
    plan.model = sized.model;
    plan.training = sized.training;
    plan.optimization = sized.optimization;
    plan.evaluation = sized.evaluation;
    watch.notify(Event::Note(Note::Sized {
        hidden_sizes: &plan.model.hidden_sizes,
        dropout: plan.model.dropout.output.probability,
        reads: sizing.reads,
    }));
    Ok(())
}
