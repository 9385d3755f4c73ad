//! The registry of recurrent cells.

use std::fmt;
use std::str::FromStr;

/// A recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The simple recurrent network with tanh (Elman 1990).
    RnnTanh,
    /// The simple recurrent network with a rectifier.
    RnnRelu,
    /// Long short-term memory with forget gates; gates in the order i, f, g, o.
    Lstm,
    /// The gated recurrent unit, its reset gate after the product as in cuDNN; gates in the order r, z, n.
    Gru,
}

/// A name that no cell has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cell `{name}`, expected one of `rnn_tanh`, `rnn_relu`, `lstm`, `gru`")]
pub struct UnknownCell {
    /// What was asked for.
    pub name: String,
}

impl Cell {
    /// All cells.
    pub const ALL: [Cell; 4] = [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Gru];

    /// Its name in flags, recipes and files.
    pub fn name(self) -> &'static str {
        match self {
            Cell::RnnTanh => "rnn_tanh",
            Cell::RnnRelu => "rnn_relu",
            Cell::Lstm => "lstm",
            Cell::Gru => "gru",
        }
    }

    /// `G`, the number of gates: how many times `H` wide the pre-activations are.
    pub fn gates(self) -> usize {
        match self {
            Cell::RnnTanh | Cell::RnnRelu => 1,
            Cell::Lstm => 4,
            Cell::Gru => 3,
        }
    }

    /// Whether there is a second state beside the output.
    pub fn has_cell_state(self) -> bool {
        self == Cell::Lstm
    }

    /// How many gates, from the first, simply add the recurrent product to the input's. A GRU's candidate does not:
    /// its recurrent product goes through the reset gate first.
    pub(crate) fn gates_before_reset(self) -> usize {
        if self == Cell::Gru { 2 } else { self.gates() }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cell {
    type Err = UnknownCell;

    fn from_str(name: &str) -> Result<Self, UnknownCell> {
        let found = Cell::ALL.into_iter().find(|cell| cell.name() == name);
        found.ok_or_else(|| UnknownCell { name: name.to_owned() })
    }
}
