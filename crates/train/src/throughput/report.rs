//! The results of a benchmark.

use super::{Phase, Profile, Workload};

/// The results of a benchmark, for each round.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The measured workload.
    pub workload: Workload,
    /// The results of each round.
    pub rounds: Vec<Round>,
    /// The profile of each phase; empty unless requested.
    pub profiles: Vec<Profile>,
}

/// The results of a round. A phase that was not measured is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// [`fma_peak`](rondo_kernels::roofline::fma_peak), in floating-point operations per second.
    pub fma_peak: f64,
    /// [`multiplication_peak`](rondo_kernels::roofline::multiplication_peak), in floating-point operations per second.
    pub multiplication_peak: f64,
    /// [`copy_bandwidth`](rondo_kernels::roofline::copy_bandwidth), in bytes per second.
    pub copy_bandwidth: f64,
    /// Median tokens per second over the training steps.
    pub train_tokens_per_s: Option<f64>,
    /// Median tokens per second over the evaluation batches.
    pub eval_tokens_per_s: Option<f64>,
    /// Median tokens per second over the generated tokens, all streams together.
    pub gen_tokens_per_s: Option<f64>,
}

impl Round {
    /// Tokens per second of a phase.
    pub fn tokens_per_s(&self, phase: Phase) -> Option<f64> {
        match phase {
            Phase::Train => self.train_tokens_per_s,
            Phase::Evaluate => self.eval_tokens_per_s,
            Phase::Generate => self.gen_tokens_per_s,
        }
    }

    pub(super) fn set_tokens_per_s(&mut self, phase: Phase, tokens_per_s: f64) {
        *match phase {
            Phase::Train => &mut self.train_tokens_per_s,
            Phase::Evaluate => &mut self.eval_tokens_per_s,
            Phase::Generate => &mut self.gen_tokens_per_s,
        } = Some(tokens_per_s);
    }
}

impl Report {
    /// The median over the rounds of [`fma_peak`](rondo_kernels::roofline::fma_peak).
    pub fn fma_peak(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.fma_peak)).unwrap_or(f64::NAN)
    }

    /// The median over the rounds of [`multiplication_peak`](rondo_kernels::roofline::multiplication_peak).
    pub fn multiplication_peak(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.multiplication_peak)).unwrap_or(f64::NAN)
    }

    /// The median over the rounds of [`copy_bandwidth`](rondo_kernels::roofline::copy_bandwidth).
    pub fn copy_bandwidth(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.copy_bandwidth)).unwrap_or(f64::NAN)
    }

    /// The median over the rounds of a phase's tokens per second; `None` if it was not measured.
    pub fn tokens_per_s(&self, phase: Phase) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| round.tokens_per_s(phase)))
    }

    /// Useful floating-point operations per second of a phase, based on [`step_flop`](Workload::step_flop) for training and
    /// on [`forward_flop_per_token`](Workload::forward_flop_per_token) otherwise.
    pub fn flop_per_s(&self, phase: Phase) -> Option<f64> {
        let per_token = match phase {
            Phase::Train => self.workload.step_flop() / self.workload.step_tokens() as f64,
            Phase::Evaluate | Phase::Generate => self.workload.forward_flop_per_token(),
        };
        Some(self.tokens_per_s(phase)? * per_token)
    }

    /// The fraction of the machine's peak that a phase reaches: [`Report::flop_per_s`] divided by
    /// [`Report::fma_peak`].
    pub fn share_of_fma_peak(&self, phase: Phase) -> Option<f64> {
        Some(self.flop_per_s(phase)? / self.fma_peak())
    }

    /// Milliseconds per training step.
    pub fn step_ms(&self) -> Option<f64> {
        Some(1e3 * self.workload.step_tokens() as f64 / self.tokens_per_s(Phase::Train)?)
    }
}

/// The median of numbers: the middle one, or the mean of the two middle ones; `None` if there are none.
pub(super) fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        count if count % 2 == 1 => Some(numbers[middle]),
        _ => Some((numbers[middle - 1] + numbers[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let of = |numbers: &[f64]| median(numbers.iter().copied());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[3.0]), Some(3.0));
        assert_eq!(of(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(of(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    #[test]
    fn figures_follow_from_the_medians() {
        let workload = Workload::find("W1").unwrap();
        let step_flop = workload.step_flop();
        let round =
            |train| Round { fma_peak: 2.0 * step_flop, train_tokens_per_s: train, ..Round::default() };
        // One step per second in the median round; one round did not measure training.
        let rounds = vec![round(Some(100.0)), round(None), round(Some(9_000.0)), round(Some(700.0))];
        let report = Report { workload, rounds, profiles: Vec::new() };
        assert_eq!(report.step_ms(), Some(1_000.0));
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
        assert!(near(report.flop_per_s(Phase::Train).unwrap(), step_flop));
        assert!(near(report.share_of_fma_peak(Phase::Train).unwrap(), 0.5));
        assert_eq!(report.tokens_per_s(Phase::Evaluate), None);
    }
}
