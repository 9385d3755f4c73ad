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
//! A text can have many millions of lines, so a unit takes five bytes, and four more in a column of shuffled units.
//!
//! Promises: each token is a target once; the input before the first token of a unit is the line end, also where
//! another text precedes the unit in its column.

use std::ops::Range;
use std::sync::Arc;

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

/// The independent units of a text. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    line_end: u32,
    /// Where each unit begins, and where the last one ends.
    starts: Arc<Places>,
}

/// Places in a text, of five bytes each.
#[derive(Clone, Default, PartialEq, Eq)]
struct Places(Vec<[u8; 5]>);

impl Places {
    /// # Panics
    /// If the place is 2⁴⁰ or more: ids up to there take 4 TiB.
    fn push(&mut self, place: usize) {
        let [start @ .., 0, 0, 0] = (place as u64).to_le_bytes() else {
            panic!("a text can have at most 2^40 tokens, and this one has {place}")
        };
        self.0.push(start);
    }

    fn at(&self, index: usize) -> usize {
        let [a, b, c, d, e] = self.0[index];
        u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]) as usize
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.len()).map(|index| self.at(index))).finish()
    }
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
        let (mut starts, mut before, mut at) = (Places::default(), line_end, 0);
        starts.push(0);
        for block in ids.blocks() {
            for &token in &*block? {
                at += 1;
                if unit.ends(line_end, before, token) {
                    starts.push(at);
                }
                before = token;
            }
        }
        if starts.at(starts.len() - 1) != ids.len() {
            starts.push(ids.len());
        }
        starts.0.shrink_to_fit();
        Ok(Units { line_end, starts: Arc::new(starts) })
    }

    /// A text of `len` tokens as one unit.
    pub(crate) fn one(len: usize) -> Units {
        let mut starts = Places::default();
        [0, len].into_iter().for_each(|place| starts.push(place));
        Units { line_end: NO_TARGET, starts: Arc::new(starts) }
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

    /// Where a unit is in the text.
    pub(crate) fn range(&self, unit: u32) -> Range<usize> {
        self.starts.at(unit as usize)..self.starts.at(unit as usize + 1)
    }

    /// The number of tokens of a unit.
    fn tokens(&self, unit: usize) -> usize {
        self.starts.at(unit + 1) - self.starts.at(unit)
    }
}

/// The number of units after which the number of tokens before them is kept; between, it is summed.
const STRIDE: usize = 32;

/// Units in columns.
#[derive(Debug, Clone)]
pub(super) struct UnitColumns {
    units: Units,
    /// The units in the order of the columns; `None` for the order of the text.
    order: Option<Arc<[u32]>>,
    /// The number of tokens in the units before every [`STRIDE`]th unit, in the order of the columns.
    before: Vec<u64>,
    tokens: usize,
    /// For each column, its first unit and the number of tokens before it; then the number of units and that of all tokens.
    columns: Vec<Place>,
}

/// A unit in the order of the columns, and the number of tokens before it.
#[derive(Debug, Clone, Copy)]
struct Place {
    index: usize,
    before: usize,
}

impl UnitColumns {
    /// Packs units into columns in this order, or in that of the text. A column ends with the unit in which the columns
    /// so far reach their part of the tokens.
    pub(super) fn new(units: &Units, order: Option<&[u32]>, batch_size: usize) -> UnitColumns {
        let (units, order) = (units.clone(), order.map(Arc::from));
        let mut packed = UnitColumns { units, order, before: vec![], tokens: 0, columns: vec![] };
        for index in 0..packed.units.len() {
            if index % STRIDE == 0 {
                packed.before.push(packed.tokens as u64);
            }
            packed.tokens += packed.units.tokens(packed.unit(index));
        }
        let part =
            |column: usize| (packed.tokens as u128 * column as u128).div_ceil(batch_size as u128) as usize;
        packed.columns = (0..=batch_size).map(|column| packed.first_from(part(column))).collect();
        packed
    }

    /// The unit at this index of the order of the columns.
    fn unit(&self, index: usize) -> usize {
        self.order.as_ref().map_or(index, |order| order[index] as usize)
    }

    /// The unit that contains this token, which counts in the order of the columns; after all tokens, the end.
    fn containing(&self, token: usize) -> Place {
        let group = self.before.partition_point(|&before| before <= token as u64).saturating_sub(1);
        let before = self.before.get(group).map_or(0, |&before| before as usize);
        let mut place = Place { index: group * STRIDE, before };
        while place.index < self.units.len() {
            let end = place.before + self.units.tokens(self.unit(place.index));
            if end > token {
                break;
            }
            place = Place { index: place.index + 1, before: end };
        }
        place
    }

    /// The first unit with at least this number of tokens before it.
    fn first_from(&self, tokens: usize) -> Place {
        let place = self.containing(tokens);
        if place.before >= tokens {
            return place;
        }
        let end = place.before + self.units.tokens(self.unit(place.index));
        Place { index: place.index + 1, before: end }
    }

    /// The number of tokens of a column.
    fn len(&self, column: usize) -> usize {
        self.columns[column + 1].before - self.columns[column].before
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
        self.tokens
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
        let line_end = self.units.line_end;
        let mut row = 0;
        let mut place = self.containing(self.columns[column].before + start);
        while row < end {
            let unit = self.unit(place.index);
            let len = self.units.tokens(unit);
            let within = self.columns[column].before + start + row - place.before;
            let count = (len - within).min(end - row);
            let first = self.units.starts.at(unit) + within;
            let begins = within == 0;
            // The first token of a unit follows the line end, every other one the token before it.
            let from = if begins { first } else { first - 1 };
            let tokens = ids.read(from..first + count)?;
            let mut input = line_end;
            for (index, &token) in tokens.iter().enumerate() {
                if begins || index > 0 {
                    take(row, input, token, begins && index == 0);
                    row += 1;
                }
                input = token;
            }
            place = Place { index: place.index + 1, before: place.before + len };
        }
        (end..steps).for_each(|row| take(row, line_end, NO_TARGET, true));
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
        starts(&Units::find(&TokenIds::from(ids.to_vec()), unit, 0).unwrap())
    }

    fn starts(units: &Units) -> Vec<usize> {
        (0..=units.len()).map(|unit| units.starts.at(unit)).collect()
    }

    #[test]
    fn places_are_kept_in_five_bytes() {
        let mut places = Places::default();
        for place in [0, 255, 1 << 32, (1 << 40) - 1] {
            places.push(place);
            assert_eq!(places.at(places.len() - 1), place);
        }
        assert_eq!(size_of_val(&places.0[..]), 20);
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
            ids in prop::collection::vec(0u32..4, 1..300), batch_size in 1usize..6, bptt in 1usize..7,
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
                starts(&found).windows(2).map(|pair| all[pair[0]..pair[1]].to_vec()).collect();
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
