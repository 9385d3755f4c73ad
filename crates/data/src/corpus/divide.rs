//! Splits one text into training, validation and test text.

use std::ops::Range;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::batches::{Unit, Units};
use crate::{DataError, Result, TokenIds};

/// The seed of the lines that are drawn. It is not the run's, so that runs with different seeds have the same texts.
const SEED: u64 = 0;

/// Where the three texts are in a sequence of tokens.
pub(super) enum Parts {
    /// One after another: the ends of the training text and of the validation text.
    InOrder([usize; 2]),
    /// The lines of each; successive lines are one range.
    Lines([Vec<Range<usize>>; 3]),
}

impl Parts {
    /// How often each index, of which there are `len`, occurs in the training text.
    pub(super) fn count_train(&self, ids: &TokenIds, len: usize) -> Result<Vec<u64>> {
        let mut counts = vec![0; len];
        let mut count = |range: &Range<usize>| -> Result<()> {
            for block in ids.slice(range.clone()).blocks() {
                block?.iter().for_each(|&index| counts[index as usize] += 1);
            }
            Ok(())
        };
        match self {
            Parts::InOrder([train_end, _]) => count(&(0..*train_end))?,
            Parts::Lines([train, ..]) => train.iter().try_for_each(count)?,
        }
        Ok(counts)
    }

    /// The ends of the first two texts, if the three are one after another.
    pub(super) fn ends(&self) -> [usize; 2] {
        match self {
            Parts::InOrder(ends) => *ends,
            Parts::Lines([train, valid, _]) => {
                let len = |lines: &[Range<usize>]| lines.iter().map(Range::len).sum::<usize>();
                [len(train), len(train) + len(valid)]
            }
        }
    }
}

/// Draws lines for the validation and test text until they have the requested fractions of the tokens. Without a
/// `line_end`, the text is one line.
///
/// # Errors
/// [`DataError::CannotDivide`] if no line is left for training. See [`TokenIds::read`].
pub(super) fn random_lines(
    ids: &TokenIds,
    line_end: Option<u32>,
    valid_fraction: f64,
    test_fraction: f64,
) -> Result<Parts> {
    let lines = match line_end {
        Some(line_end) => Units::find(ids, Unit::Line, line_end)?,
        None => Units::one(ids.len()),
    };
    let mut order: Vec<u32> = (0..lines.len() as u32).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
    let mut draw = |fraction: f64| {
        let (mut drawn, mut tokens) = (vec![], 0);
        while (tokens as f64) < fraction * ids.len() as f64 {
            let Some(line) = order.pop() else { break };
            tokens += lines.range(line).len();
            drawn.push(line);
        }
        drawn
    };
    let (test, valid) = (draw(test_fraction), draw(valid_fraction));
    if order.is_empty() {
        return Err(DataError::CannotDivide { tokens: ids.len(), valid_fraction, test_fraction });
    }
    let in_order = |mut drawn: Vec<u32>| {
        drawn.sort_unstable();
        let mut ranges: Vec<Range<usize>> = vec![];
        for line in drawn {
            let range = lines.range(line);
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        ranges
    };
    Ok(Parts::Lines([order, valid, test].map(in_order)))
}

/// # Errors
/// [`DataError::SplitFractions`] unless both are at least 0 and some text is left for training.
pub(super) fn check_fractions(valid_fraction: f64, test_fraction: f64) -> Result<()> {
    let is_part = |fraction: f64| (0.0..1.0).contains(&fraction);
    if is_part(valid_fraction) && is_part(test_fraction) && valid_fraction + test_fraction < 1.0 {
        Ok(())
    } else {
        Err(DataError::SplitFractions { valid_fraction, test_fraction })
    }
}

/// The ends of the training text and of the validation text, as token positions.
///
/// The validation and test texts have at least the requested fractions, rounded up to whole tokens. If there is an
/// `eos` token, each of them starts after one, so that lines stay complete. If there are too few lines for that (some
/// corpora consist of one line), the cuts can fall within a line.
///
/// # Errors
/// [`DataError::CannotDivide`] if one of the three texts would be empty.
pub(super) fn cuts(
    ids: &TokenIds,
    eos: Option<u32>,
    valid_fraction: f64,
    test_fraction: f64,
) -> Result<[usize; 2]> {
    let by_lines = match eos {
        Some(_) => cuts_at(ids, eos, valid_fraction, test_fraction)?,
        None => None,
    };
    let cuts = match by_lines {
        Some(cuts) => Some(cuts),
        None => cuts_at(ids, None, valid_fraction, test_fraction)?,
    };
    cuts.ok_or(DataError::CannotDivide { tokens: ids.len(), valid_fraction, test_fraction })
}

/// The cuts, right after `eos` tokens if `eos` is given; `None` if nothing is left for training.
fn cuts_at(
    ids: &TokenIds,
    eos: Option<u32>,
    valid_fraction: f64,
    test_fraction: f64,
) -> Result<Option<[usize; 2]>> {
    let cut_before = |end: usize, fraction: f64| {
        if fraction == 0.0 {
            return Ok(end);
        }
        let wanted = (fraction * ids.len() as f64).ceil().max(1.0) as usize;
        let at = end.saturating_sub(wanted);
        eos.map_or(Ok(at), |eos| line_start(ids, at, eos))
    };
    let valid_end = cut_before(ids.len(), test_fraction)?;
    let train_end = cut_before(valid_end, valid_fraction)?;
    Ok((train_end > 0).then_some([train_end, valid_end]))
}

/// The beginning of the line that contains the token at `at`, or that begins there.
fn line_start(ids: &TokenIds, at: usize, eos: u32) -> Result<usize> {
    /// Ids read at once, backwards.
    const PIECE: usize = 1 << 12;
    let mut end = at;
    while end > 0 {
        let start = end.saturating_sub(PIECE);
        if let Some(before) = ids.read(start..end)?.iter().rposition(|&id| id == eos) {
            return Ok(start + before + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cuts(ids: &[u32], eos: Option<u32>, valid: f64, test: f64) -> Result<[usize; 2]> {
        super::cuts(&ids.to_vec().into(), eos, valid, test)
    }

    #[test]
    fn lines_stay_whole() {
        let ids = [5, 0, 6, 7, 0, 8, 0, 9, 9, 0];
        assert_eq!(cuts(&ids, Some(0), 0.1, 0.1).unwrap(), [5, 7]);
        assert_eq!(cuts(&ids, Some(0), 0.1, 0.4).unwrap(), [2, 5]);
        assert_eq!(cuts(&ids, None, 0.1, 0.25).unwrap(), [6, 7]);
    }

    #[test]
    fn a_fraction_of_zero_is_none() {
        let ids = [5, 0, 6, 0];
        assert_eq!(cuts(&ids, Some(0), 0.0, 0.0).unwrap(), [4, 4]);
        assert_eq!(cuts(&ids, Some(0), 0.5, 0.0).unwrap(), [2, 4]);
        assert_eq!(cuts(&ids, Some(0), 0.0, 0.5).unwrap(), [2, 2]);
    }

    #[test]
    fn a_text_of_too_few_tokens_is_refused() {
        let error = cuts(&[5, 0], Some(0), 0.05, 0.05).unwrap_err().to_string();
        let expected = "a text of 2 tokens is too short to be split with validation fraction 0.05 and \
             test fraction 0.05";
        assert_eq!(error, expected);
    }

    /// Such as text8, whose hundred million characters are one line.
    #[test]
    fn a_text_of_one_line_is_divided_within_it() {
        let ids = [5, 6, 7, 5, 6, 7, 5, 6, 7, 0];
        assert_eq!(cuts(&ids, Some(0), 0.2, 0.1).unwrap(), [7, 9]);
    }

    #[test]
    fn fractions_must_leave_something() {
        for (valid, test) in [(-0.1, 0.0), (0.5, 0.5), (0.0, 1.0), (f64::NAN, 0.0), (f64::INFINITY, 0.0)] {
            assert!(check_fractions(valid, test).is_err(), "{valid} {test}");
        }
        assert!(check_fractions(0.0, 0.0).is_ok());
    }

    proptest! {
        #[test]
        fn drawn_lines_are_whole_and_each_is_in_one_text(
            ids in prop::collection::vec(0u32..4, 1..80), valid in 0.0..0.5, test in 0.0..0.5,
        ) {
            let all = TokenIds::from(ids.clone());
            let Ok(parts) = random_lines(&all, Some(0), valid, test) else { return Ok(()) };
            let [train_end, valid_end] = parts.ends();
            let counts = parts.count_train(&all, 4).unwrap();
            let Parts::Lines(ranges) = parts else { panic!("lines") };
            let divided: Vec<u32> = ranges.iter().flatten().flat_map(|range| ids[range.clone()].to_vec()).collect();
            for (id, count) in (0..).zip(counts) {
                let expected = divided[..train_end].iter().filter(|&&train| train == id).count();
                prop_assert_eq!(count, expected as u64);
            }
            let lines = |ids: &[u32]| -> Vec<Vec<u32>> {
                ids.split_inclusive(|&id| id == 0).map(<[u32]>::to_vec).collect()
            };
            let texts = [&divided[..train_end], &divided[train_end..valid_end], &divided[valid_end..]];
            for (text, fraction) in texts.iter().zip([0.0, valid, test]) {
                prop_assert!(text.len() as f64 >= fraction * ids.len() as f64);
            }
            // Only the last line of the text may lack its end, and then it is the last line of its own text.
            let mut found: Vec<Vec<u32>> = texts.iter().flat_map(|text| lines(text)).collect();
            let mut expected = lines(&ids);
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn splits_have_their_size_and_begin_after_line_ends(
            ids in prop::collection::vec(0u32..4, 1..60), by_line: bool, valid in 0.0..0.5, test in 0.0..0.5,
        ) {
            let eos = by_line.then_some(0);
            if let Ok([train_end, valid_end]) = cuts(&ids, eos, valid, test) {
                prop_assert!(0 < train_end && train_end <= valid_end && valid_end <= ids.len());
                prop_assert!((valid_end - train_end) as f64 >= valid * ids.len() as f64);
                prop_assert!((ids.len() - valid_end) as f64 >= test * ids.len() as f64);
                // A cut falls within a line only if there is no other way to split the text.
                let by_lines = by_line && cuts_at(&ids.clone().into(), eos, valid, test).unwrap().is_some();
                for cut in [train_end, valid_end] {
                    prop_assert!(!by_lines || cut == ids.len() || ids[cut - 1] == 0);
                }
            }
        }
    }
}
