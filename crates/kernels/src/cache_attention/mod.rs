//! The neural cache: attention over past positions, summed over those followed by the same word.
//!
//! ```text
//! position      0    1    2    3    4    5         window 3: position 5 looks back at 2, 3 and 4
//! next word     a    b    a    c    a    a         and gives `a`, which followed 2 and 4,
//! score                 s₂   s₃   s₄               (e^s₂ + e^s₄) / (e^s₂ + e^s₃ + e^s₄)
//! ```
//!
//! It is used for evaluation, not training, so there is no `backward`.
//! Not here: the scores, which are a matrix multiplication (`linear`), and which positions are stored
//! (`infer`).

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
pub mod reference;

use crate::{Device, Slice, SliceMut, check_len};

/// The shape of a block of rows and of the positions they attend to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `R`, the rows: the last `R` positions.
    pub rows: usize,
    /// `P`, the positions, including those of the rows.
    pub positions: usize,
    /// `W`, how many positions a row looks back.
    pub window: usize,
}

impl Dims {
    /// The positions that a row attends to: the `window` before its own, or as many as there are.
    ///
    /// # Panics
    /// If there are fewer positions than rows.
    pub fn window_of(self, row: usize) -> std::ops::Range<usize> {
        let own = self.positions - self.rows + row;
        own.saturating_sub(self.window)..own
    }
}

/// For each row, the softmax probability over its window that falls on positions with the row's own next
/// word.
///
/// ```text
/// own = P − R + r        window: own − W ≤ p < own, 0 ≤ p
/// shares[r] = Σ_{p in window, next[p] = next[own]} e^(θ·scores[r, p]) / Σ_{p in window} e^(θ·scores[r, p])
/// ```
///
/// Numerically stable: the window's largest score is subtracted first. An empty window gives 0, one with a
/// NaN gives NaN. With `θ = 0` it is exactly the relative frequency of the word within the window.
///
/// # Shapes
/// - `scores: [R, P]`, read within the windows.
/// - `next: [P]`, read: the word that follows each position.
/// - `shares: [R]`, overwritten.
/// # Panics
/// If a length does not match `dims`, there are fewer positions than rows, or `theta` is not at least 0.
/// # Source
/// Grave, Joulin & Usunier 2017 (continuous cache).
pub fn forward(
    device: &Device,
    dims: Dims,
    theta: f32,
    scores: Slice<'_>,
    next: Slice<'_, u32>,
    shares: SliceMut<'_>,
) {
    assert!(dims.positions >= dims.rows, "{} positions of {} rows", dims.positions, dims.rows);
    check_len("scores", scores.len(), dims.rows * dims.positions);
    check_len("next", next.len(), dims.positions);
    check_len("shares", shares.len(), dims.rows);
    assert!(theta >= 0.0, "theta must be at least 0, but is {theta}");
    match device {
        Device::Cpu(cpu) => cpu::forward(cpu, dims, theta, scores.host(), next.host(), shares.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::forward(gpu, dims, theta, scores.gpu(), next.gpu(), shares.gpu()),
    }
}
