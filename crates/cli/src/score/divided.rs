//! Scoring by several processes: each scores every n-th batch of lines, and the first one prints the records of all, in the
//! order of the lines.
//!
//! ```text
//! batches   0 1 2 3 4 5 6     rank 0 scores 0, 2, 4, 6, and rank 1 scores 1, 3, 5
//! rounds    └─┘ └─┘ └─┘ └     after each round, the records of all ranks are gathered
//! ```

use std::io::Write;

use anyhow::Result;
use rondo_collective::Collective;
use rondo_infer::{Evaluation, Measures, TextCounts};

use crate::output;

/// Where the records of batches are written, in their order.
pub(super) struct Turns<'a> {
    ranks: &'a dyn Collective,
    out: &'a mut dyn Write,
    /// The records of this rank that have not been gathered yet.
    own: Vec<u8>,
    /// The number of batches so far.
    batches: usize,
}

/// Calls `work` with stdout as it is shared by the ranks.
pub(super) fn write_in_turn(
    ranks: &dyn Collective,
    work: impl FnOnce(&mut Turns<'_>) -> Result<()>,
) -> Result<()> {
    output::write(|out| {
        let mut turns = Turns { ranks, out, own: vec![], batches: 0 };
        work(&mut turns)?;
        turns.gather()
    })
}

impl Turns<'_> {
    /// Begins a batch; whether this rank scores it.
    pub(super) fn begin_batch(&mut self) -> Result<bool> {
        let turn = self.batches % self.ranks.size();
        if turn == 0 && self.batches > 0 {
            self.gather()?;
        }
        self.batches += 1;
        Ok(turn == self.ranks.rank())
    }

    /// Where the records of the batch are written.
    pub(super) fn writer(&mut self) -> &mut dyn Write {
        if self.ranks.is_alone() { &mut *self.out } else { &mut self.own }
    }

    /// Prints the records of a round.
    fn gather(&mut self) -> Result<()> {
        if self.ranks.is_alone() {
            return Ok(());
        }
        let all = self.ranks.gather(std::mem::take(&mut self.own))?;
        if self.ranks.leads() {
            all.iter().try_for_each(|records| self.out.write_all(records))?;
        }
        Ok(())
    }
}

/// Adds up what the ranks have counted.
pub(super) fn add_up(ranks: &dyn Collective, summary: &mut Measures, impossible: &mut u64) -> Result<()> {
    let Measures { counts, all, unknown } = *summary;
    let TextCounts { tokens, unknown_tokens, lines, words, characters, bytes } = counts;
    let whole =
        [tokens, unknown_tokens, lines, words, characters, bytes, all.tokens, unknown.tokens, *impossible];
    // Counts below 2⁵³ are exact.
    let mut sums: Vec<f64> = whole.iter().map(|&count| count as f64).collect();
    sums.extend([all.nll_sum, unknown.nll_sum]);
    ranks.sum(&mut sums)?;
    let count = |at: usize| sums[at] as u64;
    *impossible = count(8);
    *summary = Measures {
        counts: TextCounts {
            tokens: count(0),
            unknown_tokens: count(1),
            lines: count(2),
            words: count(3),
            characters: count(4),
            bytes: count(5),
        },
        all: Evaluation { nll_sum: sums[9], tokens: count(6) },
        unknown: Evaluation { nll_sum: sums[10], tokens: count(7) },
    };
    Ok(())
}
