//! The recurrent cells and their names.

use std::fmt;
use std::str::FromStr;

/// A recurrent cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// The simple (Elman) RNN with tanh (Elman 1990).
    RnnTanh,
    /// The simple RNN with ReLU.
    RnnRelu,
    /// Long short-term memory (LSTM) with forget gates; gates in the order i, f, g, o.
    Lstm,
    /// The LSTM whose input and state gate each other before each step (Melis et al. 2020); gates as in the LSTM.
    Mogrifier,
    /// The LSTM with coupled input and forget gates (CIFG): the input gate is 1 − f. Gates in the order of the LSTM
    /// without i: f, g, o (Greff et al. 2017).
    Cifg,
    /// The gated recurrent unit (GRU), with the reset gate after the multiplication as in cuDNN; gates in the
    /// order r, z, n.
    Gru,
}

/// A cell name is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cell `{name}`, expected one of `rnn_tanh`, `rnn_relu`, `lstm`, `mogrifier`, `cifg`, `gru`")]
pub struct UnknownCell {
    /// The given name.
    pub name: String,
}

impl Cell {
    /// All cells.
    pub const ALL: [Cell; 6] =
        [Cell::RnnTanh, Cell::RnnRelu, Cell::Lstm, Cell::Mogrifier, Cell::Cifg, Cell::Gru];

    /// Its name in flags, recipes and files.
    pub fn name(self) -> &'static str {
        match self {
            Cell::RnnTanh => "rnn_tanh",
            Cell::RnnRelu => "rnn_relu",
            Cell::Lstm => "lstm",
            Cell::Mogrifier => "mogrifier",
            Cell::Cifg => "cifg",
            Cell::Gru => "gru",
        }
    }

    /// `G`, the number of gates: the pre-activations are `G·H` wide.
    pub fn gates(self) -> usize {
        match self {
            Cell::RnnTanh | Cell::RnnRelu => 1,
            Cell::Lstm | Cell::Mogrifier => 4,
            Cell::Cifg | Cell::Gru => 3,
        }
    }

    /// Whether there is a cell state in addition to the hidden state.
    pub fn has_cell_state(self) -> bool {
        matches!(self, Cell::Lstm | Cell::Mogrifier | Cell::Cifg)
    }

    /// Whether its output can be projected.
    pub fn can_project(self) -> bool {
        matches!(self, Cell::Lstm | Cell::Cifg)
    }

    /// The number of gates, from the first, that simply add the recurrent projection to the input projection.
    /// A GRU's candidate does not: its recurrent projection goes through the reset gate first.
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
