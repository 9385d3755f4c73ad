//! Texts of independent units, such as lines, packed end to end into columns.
//!
//! ```text
//! units    a b ⏎ │ c ⏎ │ d e f ⏎ │ g ⏎         ⏎: the line end
//!
//! columns  input  ⏎ a b ⏎ c      target  a b ⏎ c ⏎       at ⏎ in the input, the state is reset
//!          input  ⏎ d e f ⏎ g    target  d e f ⏎ g ⏎
//! ```
//!
//! A unit is in one column, so columns differ in length by up to a unit. Where a column has ended, its targets are
//! [`NO_TARGET`](super::NO_TARGET).
//!
//! Promises: each token is a target once; the input before the first token of a unit is the line end, also where
//! another text precedes the unit in its column.

use rand::Rng;
use rand::seq::SliceRandom;

use super::NO_TARGET;
use crate::{Result, TokenIds};

/// What ends a unit of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A line end.
    Line,
    /// A blank line: a line end after a line end.
    Paragraph,
}

/// The independent units of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    line_end: u32,
    /// Where each unit begins, and where the last one ends.
    starts: Vec<usize>,
}

impl Unit {
    /// Whether `token`, after the token `before`, ends a unit. At the beginning of a text, `before` is the line end.
    #[must_use]
    pub fn ends(self, line_end: u32, before: u32, token: u32) -> bool {
        token == line_end && (self == Unit::Line || before == line_end)
    }
}

impl Units {
    /// Finds the units of a text. What follows the last end of a unit is a unit, too.
    ///
    /// # Errors
    /// See [`TokenIds::read`].
    pub fn find(ids: &TokenIds, unit: Unit, line_end: u32) -> Result<Units> {
        let (mut starts, mut before, mut at) = (vec![0], line_end, 0);
        for block in ids.blocks() {
            for &token in &*block? {
                at += 1;
                if unit.ends(line_end, before, token) {
                    starts.push(at);
                }
                before = token;
            }
        }
        if starts.last() != Some(&ids.len()) {
            starts.push(ids.len());
        }
        Ok(Units { line_end, starts })
    }

    /// The number of units.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether the text is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The units in random order.
    pub fn shuffled(&self, rng: &mut impl Rng) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.shuffle(rng);
        order
    }

    /// The number of tokens of a unit.
    fn tokens(&self, unit: usize) -> usize {
        self.starts[unit + 1] - self.starts[unit]
    }
}

/// Units in columns.
#[derive(Debug, Clone)]
pub(super) struct UnitColumns {
    line_end: u32,
    /// Where each unit begins in the text, in the order of the columns.
    starts: Vec<usize>,
    /// The number of tokens in the units before each unit, in the order of the columns, and the total.
    before: Vec<usize>,
    /// The first unit of each column, and the number of units.
    columns: Vec<usize>,
}

impl UnitColumns {
    /// Packs units into columns in this order, or in that of the text. A column ends with the unit in which the columns
    /// so far reach their part of the tokens.
    pub(super) fn new(units: &Units, order: Option<&[u32]>, batch_size: usize) -> UnitColumns {
        let in_order = |place: usize| order.map_or(place, |order| order[place] as usize);
        let order = || (0..units.len()).map(in_order);
        let mut before = vec![0];
        before.extend(order().scan(0, |sum, unit| {
            *sum += units.tokens(unit);
            Some(*sum)
        }));
        let total = before[units.len()];
        let first = |column: usize| {
            let share = (total as u128 * column as u128).div_ceil(batch_size as u128) as usize;
            before.partition_point(|&tokens| tokens < share)
        };
        let columns = (0..=batch_size).map(first).collect();
        let starts = order().map(|unit| units.starts[unit]).collect();
        UnitColumns { line_end: units.line_end, starts, before, columns }
    }

    /// The number of tokens of a column.
    fn len(&self, column: usize) -> usize {
        self.before[self.columns[column + 1]] - self.before[self.columns[column]]
    }

    /// The number of tokens of a column in `steps` rows from row `start`.
    pub(super) fn tokens_in(&self, column: usize, start: usize, steps: usize) -> usize {
        self.len(column).saturating_sub(start).min(steps)
    }

    /// The number of tokens of the longest column.
    pub(super) fn longest(&self) -> usize {
        (0..self.columns.len() - 1).map(|column| self.len(column)).max().unwrap_or(0)
    }

    /// The number of tokens of all columns.
    pub(super) fn tokens(&self) -> usize {
        self.before.last().copied().unwrap_or(0)
    }

    /// Passes the input, the target and whether a unit begins, for `steps` rows of a column from row `start`.
    pub(super) fn read(
        &self,
        ids: &TokenIds,
        column: usize,
        (start, steps): (usize, usize),
        mut take: impl FnMut(usize, u32, u32, bool),
    ) -> Result<()> {
        let end = steps.min(self.len(column).saturating_sub(start));
        let mut row = 0;
        // The place in the order of the columns, and its unit.
        let place = self.before[self.columns[column]] + start;
        let mut unit = self.before.partition_point(|&tokens| tokens <= place).saturating_sub(1);
        while row < end {
            let within = self.before[self.columns[column]] + start + row - self.before[unit];
            let left = self.before[unit + 1] - self.before[unit] - within;
            let count = left.min(end - row);
            let first = self.starts[unit] + within;
            let begins = within == 0;
            // The first token of a unit follows the line end, every other one the token before it.
            let from = if begins { first } else { first - 1 };
            let tokens = ids.read(from..first + count)?;
            let mut input = self.line_end;
            for (index, &token) in tokens.iter().enumerate() {
                if begins || index > 0 {
                    take(row, input, token, begins && index == 0);
                    row += 1;
                }
                input = token;
            }
            unit += 1;
        }
        (end..steps).for_each(|row| take(row, self.line_end, NO_TARGET, true));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::Batches;
    use super::*;

    fn units(ids: &[u32], unit: Unit) -> Vec<usize> {
        Units::find(&TokenIds::from(ids.to_vec()), unit, 0).unwrap().starts
    }

    #[test]
    fn lines_and_paragraphs_end_where_they_should() {
        let ids = [5, 0, 6, 7, 0, 0, 8, 0, 9];
        assert_eq!(units(&ids, Unit::Line), [0, 2, 5, 6, 8, 9]);
        assert_eq!(units(&ids, Unit::Paragraph), [0, 6, 9]);
        // A text that begins with a blank line, and two blank lines in a row.
        assert_eq!(units(&[0, 5, 0, 0, 0, 6, 0], Unit::Paragraph), [0, 1, 4, 5, 7]);
        assert_eq!(units(&[], Unit::Line), [0]);
    }

    #[test]
    fn columns_hold_whole_units_and_end_with_no_target() {
        let ids = TokenIds::from(vec![1, 2, 0, 3, 0, 4, 5, 6, 0, 7, 0]);
        let found = Units::find(&ids, Unit::Line, 0).unwrap();
        let batches = Batches::of_units(&ids, &found, None, 2, 4).unwrap();
        assert_eq!((batches.batch_count(), batches.target_count(), batches.column_len()), (3, 11, 10));
        let rows = |index| {
            let batch = batches.batch(index);
            let count = batch.steps * 2;
            let (mut inputs, mut targets, mut resets) = (vec![9; count], vec![9; count], vec![9; count]);
            batches.fill(batch, &mut inputs, &mut targets).unwrap();
            batches.fill_resets(batch, &mut resets).unwrap();
            (inputs, targets, resets)
        };
        // The first column takes the unit that reaches half of the tokens.
        let n = NO_TARGET;
        assert_eq!(
            rows(0),
            (vec![0, 0, 1, 7, 2, 0, 0, 0], vec![1, 7, 2, 0, 0, n, 3, n], vec![1, 1, 0, 0, 0, 1, 1, 1],)
        );
        assert_eq!(rows(2).1, [0, n]);
    }

    proptest! {
        #[test]
        fn each_token_is_a_target_once_after_its_own_unit_alone(
            ids in prop::collection::vec(0u32..4, 1..80), batch_size in 1usize..6, bptt in 1usize..7,
            seed in 0u64..5, paragraphs: bool,
        ) {
            let ids = TokenIds::from(ids);
            let unit = if paragraphs { Unit::Paragraph } else { Unit::Line };
            let found = Units::find(&ids, unit, 0).unwrap();
            let order = (seed > 0).then(|| found.shuffled(&mut ChaCha8Rng::seed_from_u64(seed)));
            let batches = Batches::of_units(&ids, &found, order.as_deref(), batch_size, bptt).unwrap();
            // What each column reads: units, each a list of inputs and of targets.
            let mut columns: Vec<Vec<(Vec<u32>, Vec<u32>)>> = vec![vec![]; batch_size];
            for index in 0..batches.batch_count() {
                let batch = batches.batch(index);
                let count = batch.steps * batch_size;
                let (mut inputs, mut targets, mut resets) = (vec![9; count], vec![9; count], vec![9; count]);
                batches.fill(batch, &mut inputs, &mut targets).unwrap();
                batches.fill_resets(batch, &mut resets).unwrap();
                for at in (0..count).filter(|&at| targets[at] != NO_TARGET) {
                    let column = &mut columns[at % batch_size];
                    if resets[at] != 0 {
                        column.push((vec![], vec![]));
                    }
                    let (read, predicted) = column.last_mut().unwrap();
                    read.push(inputs[at]);
                    predicted.push(targets[at]);
                }
            }
            let all = ids.read(0..ids.len()).unwrap();
            let mut expected: Vec<Vec<u32>> =
                found.starts.windows(2).map(|pair| all[pair[0]..pair[1]].to_vec()).collect();
            let mut found_units = vec![];
            for (read, predicted) in columns.into_iter().flatten() {
                let with_start: Vec<u32> = std::iter::once(0).chain(predicted.iter().copied()).collect();
                prop_assert_eq!(&read, &with_start[..read.len()]);
                found_units.push(predicted);
            }
            if order.is_none() {
                prop_assert_eq!(&found_units, &expected);
            }
            expected.sort();
            found_units.sort();
            prop_assert_eq!(found_units, expected);
            prop_assert_eq!(batches.target_count(), ids.len());
        }
    }
}
