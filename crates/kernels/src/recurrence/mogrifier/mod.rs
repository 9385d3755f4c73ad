//! The Mogrifier: before each step, the input and the state gate each other.
//!
//! ```text
//! round 1, 3, …   x ← 2σ(Q·h) ∘ x          Q: [D, H], or Q = L·N with L: [D, K], N: [K, H]
//! round 2, 4, …   h ← 2σ(R·x) ∘ h          R: [H, D], or R = L·N with L: [H, K], N: [K, D]
//! ```
//!
//! Then follows a step of the LSTM from these `x` and `h`. The matrices of the rounds that gate `x` are stacked, and so are
//! those of the rounds that gate `h`.
//!
//! *Source*: Melis, Kočiský & Blunsom 2020; the matrices have no biases.

mod cpu;

pub(super) use cpu::{BackwardRounds, ForwardRounds, Walked, gradients, packed_rows_len};

use crate::linear;
use crate::{Device, Slice, SliceMut, check_len};

/// The sizes of the rounds of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rounds {
    /// The number of rounds.
    pub count: usize,
    /// `D`, the width of the input.
    pub input: usize,
    /// `K`, the rank of the matrices; `None` if they are not factored.
    pub rank: Option<usize>,
}

/// The four stacked weights of a layer: of the rounds that gate the input, the matrices, or their factors `N` and `L`; and
/// the same of the rounds that gate the state. `None` where there is no such weight.
pub type Weights<T> = [Option<T>; 4];

/// One round: side 0, the input, or side 1, the state, is gated by the other.
#[derive(Clone, Copy)]
struct Round {
    /// The side that is gated.
    side: usize,
    /// Its width.
    outputs: usize,
    /// Where the gates start in `kept`: `[T, B, outputs]`, or, in a backward pass, their gradient.
    gates: usize,
    /// Where the gated values start: `[T, B, outputs]`.
    values: usize,
    links: [Option<Link>; 2],
}

/// A multiplication of a round.
#[derive(Clone, Copy)]
struct Link {
    inputs: usize,
    outputs: usize,
    /// Which of the stacked weights, and which of its parts.
    weight: usize,
    index: usize,
    /// Where its packed weight starts.
    packed: usize,
    /// Where the results start in `kept`: `[T, B, outputs]`.
    results: usize,
    /// Where the gradient of the results starts.
    d_results: usize,
}

impl Rounds {
    /// `[rows, columns]` of the stacked weights, for a layer of this hidden size.
    pub fn weight_shapes(&self, hidden: usize) -> Weights<[usize; 2]> {
        let of_side = |side: usize| {
            let (count, [outputs, inputs]) = (self.count_of(side), self.widths(side, hidden));
            let stacked = |rows: usize, columns| (count > 0).then_some([count.saturating_mul(rows), columns]);
            match self.rank {
                None => [stacked(outputs, inputs), None],
                Some(rank) => [stacked(rank, inputs), stacked(outputs, rank)],
            }
        };
        let ([x, x_left], [h, h_left]) = (of_side(0), of_side(1));
        [x, x_left, h, h_left]
    }

    /// The elements of what the rounds keep for the backward pass, for each row: twice the width of what each round gates,
    /// and twice the rank.
    pub(super) fn kept_width(&self, hidden: usize) -> usize {
        let of_side =
            |side| self.count_of(side) * 2 * (self.widths(side, hidden)[0] + self.rank.unwrap_or(0));
        of_side(0) + of_side(1)
    }

    /// How many rounds gate this side.
    fn count_of(&self, side: usize) -> usize {
        if side == 0 { self.count.div_ceil(2) } else { self.count / 2 }
    }

    /// The widths of this side and of the other.
    fn widths(&self, side: usize, hidden: usize) -> [usize; 2] {
        if side == 0 { [self.input, hidden] } else { [hidden, self.input] }
    }

    /// The rounds, in order, in a layer with this many rows of all steps.
    fn all(self, pack_len: fn(usize, usize) -> usize, rows: usize, hidden: usize) -> RoundList {
        RoundList { rounds: self, pack_len, rows, hidden }
    }
}

/// Finds where the parts of each round are.
#[derive(Clone, Copy)]
struct RoundList {
    rounds: Rounds,
    /// The packed length of a weight with these inputs and outputs.
    pack_len: fn(usize, usize) -> usize,
    rows: usize,
    hidden: usize,
}

impl RoundList {
    #[inline(always)]
    fn get(&self, index: usize) -> Round {
        let RoundList { rounds, pack_len, rows, hidden } = *self;
        let side = index % 2;
        let [outputs, inputs] = rounds.widths(side, hidden);
        let rank = rounds.rank.unwrap_or(0);
        let before = [index.div_ceil(2), index / 2];
        let kept_before = |side: usize| before[side] * 2 * (rounds.widths(side, hidden)[0] + rank);
        let start = rows * (kept_before(0) + kept_before(1));
        let (gates, values) = (start, start + rows * outputs);
        let packed_of = |side: usize| {
            let [outputs, inputs] = rounds.widths(side, hidden);
            match rounds.rank {
                None => pack_len(inputs, outputs),
                Some(rank) => pack_len(inputs, rank) + pack_len(rank, outputs),
            }
        };
        let packed = before[0] * packed_of(0) + before[1] * packed_of(1);
        let (weight, index) = (2 * side, index / 2);
        let links = match rounds.rank {
            None => {
                let (results, d_results) = (gates, gates);
                [Some(Link { inputs, outputs, weight, index, packed, results, d_results }), None]
            }
            Some(rank) => {
                let results = values + rows * outputs;
                let d_results = results + rows * rank;
                let first = Link { inputs, outputs: rank, weight, index, packed, results, d_results };
                let packed = packed + pack_len(inputs, rank);
                let (results, d_results, weight) = (gates, gates, weight + 1);
                [Some(first), Some(Link { inputs: rank, outputs, weight, index, packed, results, d_results })]
            }
        };
        Round { side, outputs, gates, values, links }
    }
}

/// The length of the packed weights of all rounds.
pub fn pack_len(device: &Device, rounds: Rounds, hidden: usize, kind: linear::Pack) -> usize {
    let of_side = |side| {
        let [outputs, inputs] = rounds.widths(side, hidden);
        let each = match rounds.rank {
            None => linear::pack_len(device, inputs, outputs, kind),
            Some(rank) => {
                linear::pack_len(device, inputs, rank, kind) + linear::pack_len(device, rank, outputs, kind)
            }
        };
        rounds.count_of(side) * each
    };
    of_side(0) + of_side(1)
}

/// Packs the weights of all rounds, round by round. Only on the CPU.
///
/// # Panics
/// If a length does not match, a weight is missing, or the device is a GPU.
pub fn pack(
    device: &Device,
    rounds: Rounds,
    hidden: usize,
    kind: linear::Pack,
    weights: Weights<Slice<'_>>,
    mut packed: SliceMut<'_>,
) {
    // Models refuse it before.
    assert!(!device.works_ahead(), "a Mogrifier is not available on a GPU");
    check_weights(rounds, hidden, weights.map(|weight| weight.map(|weight| weight.len())));
    check_len("packed", packed.len(), pack_len(device, rounds, hidden, kind));
    let list = rounds.all(cpu::pack_len(kind), 0, hidden);
    for link in (0..rounds.count).flat_map(|index| list.get(index).links).flatten() {
        let Link { inputs, outputs, weight, index, packed: start, .. } = link;
        let count = inputs * outputs;
        let Some(weight) = weights[weight] else { continue };
        let len = linear::pack_len(device, inputs, outputs, kind);
        let to = packed.reborrow().range(start..start + len);
        linear::pack(device, inputs, outputs, kind, weight.range(index * count..(index + 1) * count), to);
    }
}

/// Checks the lengths of the stacked weights or of their gradients.
#[track_caller]
pub(super) fn check_weights(rounds: Rounds, hidden: usize, found: Weights<usize>) {
    let shapes = rounds.weight_shapes(hidden);
    for (found, shape) in found.into_iter().zip(shapes) {
        assert_eq!(found, shape.map(|[rows, columns]| rows * columns), "length of a mogrifier weight");
    }
}

/// What the forward pass of a Mogrifier needs in addition.
pub struct Forward<'a> {
    /// `[T, B, D]`, read: the input.
    pub x: Slice<'a>,
    /// The input weight `[G·H, D]`, packed by [`linear::pack`] for [`linear::Pack::Forward`]. Read.
    pub packed_ih: Slice<'a>,
    /// The weights of the rounds, packed for the same by [`pack`]. Read.
    pub packed: Slice<'a>,
    /// Of [`Dims::kept_len`](super::Dims::kept_len), overwritten: what the rounds compute.
    pub kept: SliceMut<'a>,
}

/// What the backward pass of a Mogrifier needs in addition.
pub struct Backward<'a> {
    /// `[T, B, D]`, read: the input.
    pub x: Slice<'a>,
    /// The input weight `[G·H, D]`, packed by [`linear::pack`] for [`linear::Pack::Backward`]. Read.
    pub packed_ih: Slice<'a>,
    /// The weights of the rounds, packed for the same by [`pack`]. Read.
    pub packed: Slice<'a>,
    /// As stored by `forward` on entry, contents undefined on return.
    pub kept: SliceMut<'a>,
    /// `[T, B, D]`, overwritten: the gradient of the input.
    pub d_x: SliceMut<'a>,
    /// `[G·H, D]`, stored: the gradient of the input weight.
    pub d_weight_ih: SliceMut<'a>,
    /// The gradients of the stacked weights, stored.
    pub d_weights: Weights<SliceMut<'a>>,
}
