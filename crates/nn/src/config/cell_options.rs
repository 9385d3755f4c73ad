//! What recurrent layers can have in addition to their cell.

use rondo_kernels::recurrence::{Cell, mogrifier::Rounds};
use serde::{Deserialize, Serialize};

use crate::{NnError, Result};

/// What recurrent layers have in addition to their cell. Nothing of it is on by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellOptions {
    /// `P`, the width that the output of each layer is projected to, which is then the width of its hidden state (LSTMP);
    /// less than each hidden size. Only for the cells `lstm` and `cifg`.
    /// *Source*: Sak, Senior & Beaufays 2014.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projection_size: Option<usize>,
    /// The limit that the elements of the cell state are clipped to after each step, ±; above 0. Only for cells with a cell
    /// state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell_clip: Option<f32>,
    /// The rounds of the cell `mogrifier`; the default for all other cells.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mogrifier: MogrifierOptions,
}

/// The rounds in which the input and the state of a Mogrifier gate each other before each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MogrifierOptions {
    /// Their number, from 1 to [`MogrifierOptions::MAX_ROUNDS`]; by default 5.
    pub rounds: usize,
    /// The rank of their matrices, each of which is then the product of two; `None` is full rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}

impl MogrifierOptions {
    /// The maximum number of rounds.
    pub const MAX_ROUNDS: usize = 64;

    /// The rounds of a layer with inputs of this width.
    pub(crate) fn rounds(self, input: usize) -> Rounds {
        Rounds { count: self.rounds, input, rank: self.rank }
    }
}

impl Default for MogrifierOptions {
    fn default() -> Self {
        MogrifierOptions { rounds: 5, rank: None }
    }
}

impl CellOptions {
    /// Checks that the options are possible for the cell and the hidden sizes.
    pub(super) fn check(&self, cell: Cell, hidden_sizes: &[usize]) -> Result<()> {
        let refuse = |field: &'static str, reason: String| Err(NnError::Config { field, reason });
        let CellOptions { projection_size, cell_clip, mogrifier } = *self;
        if let Some(size) = projection_size {
            if !cell.can_project() {
                let reason = format!("requires the cell `lstm` or `cifg`, but the cell is `{cell}`");
                return refuse("projection_size", reason);
            }
            let least = hidden_sizes.iter().copied().min().unwrap_or(0);
            if size == 0 || size >= least {
                let reason =
                    format!("must be at least 1 and less than the hidden size ({least}), but is {size}");
                return refuse("projection_size", reason);
            }
        }
        if let Some(limit) = cell_clip {
            if !cell.has_cell_state() {
                let reason =
                    format!("requires a cell with a cell state, such as `lstm`, but the cell is `{cell}`");
                return refuse("cell_clip", reason);
            }
            if !(limit.is_finite() && limit > 0.0) {
                return refuse("cell_clip", format!("must be a finite number above 0, but is {limit}"));
            }
        }
        if cell != Cell::Mogrifier && mogrifier != MogrifierOptions::default() {
            let reason = format!("requires the cell `mogrifier`, but the cell is `{cell}`");
            return refuse("mogrifier_rounds", reason);
        }
        let (rounds, most) = (mogrifier.rounds, MogrifierOptions::MAX_ROUNDS);
        if !(1..=most).contains(&rounds) {
            return refuse("mogrifier_rounds", format!("must be from 1 to {most}, but is {rounds}"));
        }
        if mogrifier.rank == Some(0) {
            return refuse("mogrifier_rank", "must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// Whether a value can be left out of the JSON.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
