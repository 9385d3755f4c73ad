//! The neural cache: raises the probability of tokens that occurred recently in a similar context.
//!
//! ```text
//! window   h₁ → the   h₂ → cat   h₃ → sat   h₄ → the        h: the last layer's output at each position,
//!              ╲          │          │         ╱               with the token that followed
//! now           ╲         │          │        ╱  e^(θ·h·hᵢ)
//!          h ────┴────────┴──────────┴───────┴──► p_cache    p = (1 − λ) · p_model + λ · p_cache
//! ```
//!
//! No weights change: any trained model can use a cache. The text is read as a single column, because the
//! cache holds the tokens that come before the current one.
//!
//! Promises: the first token, which has nothing before it, gets the model's own probability; with `λ = 0` the
//! result is that of [`evaluate`](fn@crate::evaluate) with one column, bit for bit; the result does not
//! depend on how many tokens are read at a time.
//! Not here: dynamic evaluation, which does change weights (`rondo-train`).

mod memory;
mod reader;

use std::ops::ControlFlow;

use rondo_data::TokenIds;
use rondo_nn::{Mode, Model, Workspace};

use crate::evaluate::{BATCH_ROWS, check_text};
use crate::mixture::{self, Mixture};
use crate::{Evaluation, InferError, Result};
use memory::Memory;
pub use reader::CacheReader;

/// The settings of a neural cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cache {
    /// The window: how many of the most recent positions the cache contains.
    pub window: usize,
    /// `θ`, how strongly similarity counts: at 0, all positions in the window have equal weight.
    pub theta: f64,
    /// `λ`, the weight of the cache in the mixture; 0 is off.
    pub lambda: f64,
}

/// The evaluation of a text without and with the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheEvaluation {
    /// The model alone.
    pub base: Evaluation,
    /// The model with the cache.
    pub cached: Evaluation,
}

/// The settings of a cache and the evaluation with them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachePoint {
    /// The settings.
    pub cache: Cache,
    /// The model's evaluation with this cache.
    pub evaluation: Evaluation,
}

/// The evaluations of a text with caches of the same window.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheTuning {
    /// The evaluation without a cache.
    pub base: Evaluation,
    /// One per pair of θ and λ: for each θ in the given order, all λ.
    pub points: Vec<CachePoint>,
    best: usize,
}

impl CacheTuning {
    /// The cache with the smallest loss.
    #[must_use]
    pub fn best(&self) -> CachePoint {
        self.points[self.best]
    }
}

impl Default for Cache {
    /// GluonNLP's settings for its WikiText-2 models.
    fn default() -> Self {
        Cache { window: 2000, theta: 0.662, lambda: 0.1279 }
    }
}

impl Cache {
    /// Values of θ worth trying for hidden states within (−1, 1).
    pub const THETAS: [f64; 9] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.662, 0.8, 1.0];
    /// Values of λ worth trying.
    pub const LAMBDAS: [f64; 9] = [0.02, 0.05, 0.08, 0.1279, 0.16, 0.2, 0.25, 0.3, 0.4];

    /// Checks that the settings are in range.
    ///
    /// # Errors
    /// [`InferError::ZeroSize`] if the window is 0; [`InferError::Theta`] if θ is negative or not finite;
    /// [`InferError::Lambda`] if λ is not within `[0, 1)`.
    pub fn check(&self) -> Result<()> {
        if self.window == 0 {
            return Err(InferError::ZeroSize { name: "window" });
        }
        if !(self.theta >= 0.0 && (self.theta as f32).is_finite()) {
            return Err(InferError::Theta { found: self.theta });
        }
        if !(0.0..1.0).contains(&self.lambda) {
            return Err(InferError::Lambda { found: self.lambda });
        }
        Ok(())
    }
}

/// Predicts each token of a text from those before it, with the model alone and with a cache.
///
/// ```text
/// p_cache(w) ∝ Σ_{i in window} 1[w = wᵢ₊₁] · e^(θ·h·hᵢ)        p = (1 − λ) · p_model + λ · p_cache
/// ```
///
/// `progress` is called after each batch with the number of tokens predicted so far.
///
/// # Errors
/// As [`Cache::check`] and [`check_text`]; [`InferError::Stopped`] when `progress` breaks before the end.
/// # Source
/// Grave, Joulin & Usunier 2017; as GluonNLP's `CacheCell`.
pub fn evaluate_with_cache(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    cache: &Cache,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<CacheEvaluation> {
    let Cache { window, theta, lambda } = *cache;
    let tuning = tune_cache(model, workspace, ids, window, &[theta], &[lambda], progress)?;
    Ok(CacheEvaluation { base: tuning.base, cached: tuning.best().evaluation })
}

/// Evaluates a text with a cache for every pair of `thetas` and `lambdas`, reading the text once.
///
/// The model runs once and the states are compared once for all pairs; each θ then costs the exponentials
/// over the windows, and each λ next to nothing. Among equals, the first is the best.
///
/// # Errors
/// As [`evaluate_with_cache`], and [`InferError::EmptyGrid`] if there is no θ or no λ.
pub fn tune_cache(
    model: &dyn Model,
    workspace: &mut Workspace,
    ids: &TokenIds,
    window: usize,
    thetas: &[f64],
    lambdas: &[f64],
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<CacheTuning> {
    let caches: Vec<Cache> = thetas
        .iter()
        .flat_map(|&theta| lambdas.iter().map(move |&lambda| Cache { window, theta, lambda }))
        .collect();
    for (name, tried) in [("theta", thetas), ("lambda", lambdas)] {
        if tried.is_empty() {
            return Err(InferError::EmptyGrid { name });
        }
    }
    caches.iter().try_for_each(Cache::check)?;
    check_text(model, ids)?;

    let targets = ids.len() - 1;
    let total_tokens = targets as u64;
    let device = workspace.device().clone();
    let longest = BATCH_ROWS.min(targets);
    let mut memory = None;
    let mixtures: Vec<Mixture> = lambdas.iter().map(|&lambda| Mixture::new(lambda)).collect();
    let mut state = model.zero_state(1);
    let mut base = Evaluation { nll_sum: 0.0, tokens: 0 };
    let mut sums = vec![0.0; caches.len()];
    let mut batch_sums = vec![0.0; caches.len()];
    for start in (0..targets).step_by(BATCH_ROWS) {
        let end = targets.min(start + BATCH_ROWS);
        let read = ids.read(start..end + 1)?;
        let (inputs, next) = (&read[..end - start], &read[1..]);
        let mut tape = workspace.tape(model.parameters(), Mode::Evaluate);
        let hidden = model.forward(&mut tape, inputs, &mut state);
        let loss = model.loss(&mut tape, hidden, next);
        base.nll_sum += tape.nll_sum(loss)?;
        base.tokens += next.len() as u64;

        let nll = tape.read_nll(loss)?;
        let width = tape.shape(hidden.dropped).width;
        let memory = memory.get_or_insert_with(|| Memory::new(&device, window.min(targets), width, longest));
        batch_sums.fill(0.0);
        memory.read(&device, tape.values(hidden.dropped), next, thetas, |theta, row, shares| {
            let sums = &mut batch_sums[theta * lambdas.len()..][..lambdas.len()];
            for (&nll, share) in nll[row..].iter().zip(shares) {
                mixture::add(&mixtures, nll, share, sums);
            }
        })?;
        for (sum, batch_sum) in sums.iter_mut().zip(&batch_sums) {
            *sum += batch_sum;
        }
        if progress(base.tokens).is_break() && base.tokens < total_tokens {
            return Err(InferError::Stopped { done_tokens: base.tokens, total_tokens });
        }
    }
    let evaluation = |nll_sum| Evaluation { nll_sum, tokens: base.tokens };
    let points: Vec<CachePoint> = caches
        .into_iter()
        .zip(&sums)
        .map(|(cache, &nll_sum)| CachePoint { cache, evaluation: evaluation(nll_sum) })
        .collect();
    let best = (0..points.len()).min_by(|&a, &b| sums[a].total_cmp(&sums[b])).unwrap_or(0);
    Ok(CacheTuning { base, points, best })
}
