//! Dropout: elements set to zero at random, the others scaled up so that the mean is preserved.
//!
//! No mask is stored. Whether an element is dropped is a pure function of the key and the element's index
//! ([`reference::is_kept`]), computed with a counter-based generator: the backward pass regenerates the same
//! mask, and any thread can start anywhere. All instruction sets and thread counts drop the same elements.
//!
//! Sixteen random bits are used per element, so the probability is rounded to the nearest multiple of 2⁻¹⁶.

pub mod cases;
mod cpu;
#[cfg(feature = "gpu")]
mod gpu;
mod philox;
pub mod reference;

use crate::{Device, Slice, SliceMut, Store, check_len};

/// The shape of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// `T`, the steps.
    pub steps: usize,
    /// `B`, the batch rows.
    pub batch: usize,
    /// `D`, the width.
    pub width: usize,
}

/// The shape of rows that are dropped by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDims {
    /// `R`, the rows.
    pub rows: usize,
    /// `E`, the row width.
    pub width: usize,
}

/// Which elements are dropped together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Each element independently.
    Elementwise,
    /// Locked (variational) dropout: one mask `[B, D]` for all steps.
    Locked,
}

/// The key of a mask: the same key gives the same mask, different keys independent masks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The run's random seed.
    pub seed: u64,
    /// What the mask is for: a number unique among the masks of the run, such as step × places + place.
    pub stream: u64,
}

/// The settings of dropout.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// `p`, the probability of dropping an element, at least 0 and below 1; 0 is the identity.
    pub probability: f32,
    /// Which elements are dropped together.
    pub mask: Mask,
    /// The key of the mask.
    pub key: Key,
    /// The columns of a larger batch that the activation has: its mask is theirs in the mask of that batch. `None` if it is
    /// the batch.
    pub columns: Option<Columns>,
}

/// Neighboring columns of a larger batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Columns {
    /// The number of columns before them.
    pub first: usize,
    /// The number of columns of the batch.
    pub all: usize,
}

/// The numbers of elements of a step: before those of the activation, in the activation, and in the batch that its mask
/// is for.
#[derive(Clone, Copy)]
struct Step {
    before: usize,
    own: usize,
    all: usize,
}

impl Step {
    fn new(dims: Dims, columns: Option<Columns>) -> Step {
        let Columns { first, all } = columns.unwrap_or(Columns { first: 0, all: dims.batch });
        Step { before: first * dims.width, own: dims.batch * dims.width, all: all * dims.width }
    }
}

/// `y = m ∘ x / (1 − p)`, where `m` is 0 with probability `p`, else 1.
///
/// # Shapes
/// - `x: [T, B, D]`, read.
/// - `y: [T, B, D]`, overwritten.
/// # Panics
/// If a length does not match `dims`, the probability is not in [0, 1), or the batch does not have the columns.
/// # Source
/// Srivastava et al. 2014; locked masks: Gal & Ghahramani 2016. Random bits: Philox4x32-10, Salmon et al.
/// 2011.
pub fn forward(device: &Device, dims: Dims, dropout: Dropout, x: Slice<'_>, y: SliceMut<'_>) {
    apply(device, dims, dropout, Some(x), y, Store::Overwrite);
}

/// `dx = m ∘ dy / (1 − p)` with the mask of the [`forward`] that had the same key.
///
/// # Shapes
/// - `d_y: [T, B, D]`, read.
/// - `d_x: [T, B, D]`, stored according to `store`.
/// # Panics
/// As [`forward`].
pub fn backward(
    device: &Device,
    dims: Dims,
    dropout: Dropout,
    d_y: Slice<'_>,
    d_x: SliceMut<'_>,
    store: Store,
) {
    apply(device, dims, dropout, Some(d_y), d_x, store);
}

/// The in-place variant of [`forward`] and [`backward`], for when the input is no longer needed.
///
/// # Shapes
/// - `values: [T, B, D]`, read and overwritten.
/// # Panics
/// As [`forward`].
pub fn in_place(device: &Device, dims: Dims, dropout: Dropout, values: SliceMut<'_>) {
    apply(device, dims, dropout, None, values, Store::Overwrite);
}

/// Drops whole rows by their ids: `values[r] = m[ids[r]] · values[r] / (1 − p)`, where `m` is a mask over the
/// ids. Rows with the same id are either all dropped or all kept. It is its own backward.
///
/// # Shapes
/// - `ids: [R]`, read.
/// - `values: [R, E]`, read and overwritten.
/// # Panics
/// If a length does not match `dims`, or the probability is not in [0, 1).
/// # Source
/// Gal & Ghahramani 2016; called embedding dropout in Merity, Keskar & Socher 2017.
pub fn rows_in_place(
    device: &Device,
    dims: RowDims,
    probability: f32,
    key: Key,
    ids: Slice<'_, u32>,
    values: SliceMut<'_>,
) {
    check_len("ids", ids.len(), dims.rows);
    check_len("values", values.len(), dims.rows * dims.width);
    check_probability(probability);
    match device {
        Device::Cpu(cpu) => cpu::rows_in_place(cpu, dims, probability, key, ids.host(), values.host()),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => {
            gpu::rows_in_place(gpu, dims, probability, key, ids.gpu(), values.gpu());
        }
    }
}

fn apply(
    device: &Device,
    dims: Dims,
    dropout: Dropout,
    from: Option<Slice<'_>>,
    to: SliceMut<'_>,
    store: Store,
) {
    let len = dims.steps * dims.batch * dims.width;
    check_len("input", from.map_or(len, |from| from.len()), len);
    check_len("output", to.len(), len);
    check_probability(dropout.probability);
    if let Some(Columns { first, all }) = dropout.columns {
        assert!(first + dims.batch <= all, "{} columns from column {first} of {all}", dims.batch);
    }
    match device {
        Device::Cpu(cpu) => cpu::apply(cpu, dims, dropout, from.map(Slice::host), to.host(), store),
        #[cfg(feature = "gpu")]
        Device::Gpu(gpu) => gpu::apply(gpu, dims, dropout, from.map(Slice::gpu), to, store),
    }
}

fn check_probability(p: f32) {
    assert!((0.0..1.0).contains(&p), "dropout probability must be at least 0 and below 1, but is {p}");
}

/// Of the 2¹⁶ equally likely random values, those below this threshold drop an element.
fn threshold(probability: f32) -> u32 {
    (f64::from(probability) * 65_536.0).round() as u32
}
