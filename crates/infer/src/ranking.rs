//! How high the tokens of a text rank among all tokens: accuracy at k and mean reciprocal rank, overall and by the position
//! in the line.
//!
//! ```text
//! text      ⏎  the  cat  sat  ⏎  a  dog …
//! position      1    2    3   4  1   2
//! rank          1    7    –   1  2  12       accuracy at 5: 3 of 6      mean reciprocal rank: (1 + 1/7 + 1 + 1/2 + 1/12) / 6
//! ```
//!
//! A token that cannot be suggested is a miss (–): its reciprocal rank is 0. These are unknown tokens, and those that the
//! caller excludes, which do not count among the tokens above another one either.
//!
//! Promises: the tokens are those of the perplexity, and the losses are the same within rounding. Of tokens with equal
//! probability, each has the highest rank of them.

use std::ops::ControlFlow;

use rondo_data::TokenIds;

use crate::evaluate::{EvaluationPart, Reader, column_count, for_each_token_of};
use crate::memory::{check_evaluation, check_ranking};
use crate::{InferError, LanguageModel, Measures, Result, TextCounts};

/// Positions in the line with sums of their own; later ones count with the last of them.
const POSITIONS: usize = 20;

/// How the tokens of a text are ranked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranking {
    /// The ranks `k` up to which a token counts as found, at least 1.
    pub cutoffs: Vec<usize>,
    /// Tokens that cannot be suggested. As targets they are misses.
    pub excluded: Vec<u32>,
}

/// The ranks of the tokens of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// The ranks up to which a token counts as found.
    pub cutoffs: Vec<usize>,
    /// All predicted tokens.
    pub all: RankSums,
    /// Those at each position in their line, from the first one on; the last sums are those of all later positions, too.
    /// Empty if the model has no line end.
    pub by_position: Vec<RankSums>,
}

/// Sums over the ranks of some tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RankSums {
    /// The number of tokens.
    pub tokens: u64,
    /// For each cutoff `k`, the number of tokens with a rank up to `k`.
    pub found: Vec<u64>,
    /// The sum of `1 / rank`.
    pub reciprocal_sum: f64,
}

impl RankSums {
    fn new(cutoffs: &[usize]) -> RankSums {
        RankSums { tokens: 0, found: vec![0; cutoffs.len()], reciprocal_sum: 0.0 }
    }

    /// The fraction of the tokens that rank up to each cutoff; NaN without tokens.
    #[must_use]
    pub fn accuracies(&self) -> Vec<f64> {
        self.found.iter().map(|&found| found as f64 / self.tokens as f64).collect()
    }

    /// The mean of `1 / rank`, 0 for misses; NaN without tokens.
    #[must_use]
    pub fn mean_reciprocal_rank(&self) -> f64 {
        self.reciprocal_sum / self.tokens as f64
    }

    /// Adds a token with this rank; `None` is a miss.
    fn add(&mut self, cutoffs: &[usize], rank: Option<u32>) {
        self.tokens += 1;
        let Some(rank) = rank else { return };
        self.reciprocal_sum += 1.0 / f64::from(rank);
        for (found, &cutoff) in self.found.iter_mut().zip(cutoffs) {
            *found += u64::from(rank as usize <= cutoff);
        }
    }

    fn numbers(&self) -> impl Iterator<Item = f64> {
        let found = self.found.iter().map(|&found| found as f64);
        [self.tokens as f64, self.reciprocal_sum].into_iter().chain(found)
    }
}

impl Ranks {
    fn new(cutoffs: &[usize], positions: usize) -> Ranks {
        let sums = RankSums::new(cutoffs);
        Ranks { cutoffs: cutoffs.to_vec(), by_position: vec![sums.clone(); positions], all: sums }
    }

    /// All sums as numbers, which can be added to those of another part of the text.
    #[must_use]
    pub fn to_numbers(&self) -> Vec<f64> {
        std::iter::once(&self.all).chain(&self.by_position).flat_map(RankSums::numbers).collect()
    }

    /// Replaces the sums by those that [`to_numbers`](Self::to_numbers) gave, or a sum of such.
    ///
    /// # Panics
    /// If there are fewer numbers.
    pub fn set_numbers(&mut self, numbers: &[f64]) {
        let sums = std::iter::once(&mut self.all).chain(&mut self.by_position);
        for (sums, numbers) in sums.zip(numbers.chunks_exact(2 + self.cutoffs.len())) {
            (sums.tokens, sums.reciprocal_sum) = (numbers[0] as u64, numbers[1]);
            sums.found = numbers[2..].iter().map(|&found| found as u64).collect();
        }
    }
}

impl LanguageModel {
    /// [`measure_part`](Self::measure_part), and the ranks of the same tokens.
    ///
    /// # Errors
    /// As [`measure_part`](Self::measure_part); [`InferError::ZeroSize`] for a cutoff of 0; [`InferError::IdOutOfRange`] for
    /// an excluded token outside the vocabulary; [`InferError::NeedsDistribution`] for an approximate model.
    pub fn measure_ranks(
        &self,
        ids: &TokenIds,
        (batch_size, bptt): (usize, usize),
        part: EvaluationPart,
        ranking: &Ranking,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(Measures, Ranks)> {
        let Ranking { cutoffs, excluded } = ranking;
        if cutoffs.contains(&0) {
            return Err(InferError::ZeroSize { name: "cutoffs" });
        }
        self.handle().check_ids(excluded)?;
        if self.handle().approximation().is_some() {
            return Err(InferError::NeedsDistribution { what: "the rank of a token" });
        }
        check_evaluation(self.model(), ids.len(), batch_size, bptt)?;
        let resets = self.handle().resets();
        let columns = match resets {
            Some(_) => batch_size.min(ids.len()),
            None => column_count(ids.len(), batch_size).max(1),
        };
        check_ranking(self.model(), columns)?;

        let (line_end, unknown) = (self.codec().line_end(), self.codec().unknown_id());
        let mut cannot_be_found = vec![false; self.model().vocab_size()];
        excluded.iter().chain(&unknown).for_each(|&id| cannot_be_found[id as usize] = true);
        // The position of the next token of each column. A unit begins after a line end.
        let mut positions = match resets {
            Some(_) => vec![0; columns],
            None => first_positions(ids, line_end, columns)?,
        };
        let mut ranks = Ranks::new(cutoffs, line_end.map_or(0, |_| POSITIONS));
        let mut measures = Measures::of_nothing();
        let reader = Reader { excluded: Some(excluded), ..Reader::of(self.handle()) };
        let (workspace, sizes) = (&mut self.handle().workspace(), (batch_size, bptt));
        let progress = &mut |done, _| progress(done);
        for_each_token_of(reader, workspace, ids, sizes, part, progress, &mut |predicted| {
            let target = predicted.target;
            measures.add(f64::from(predicted.nll), unknown == Some(target));
            let rank = Some(predicted.rank).filter(|_| !cannot_be_found[target as usize]);
            ranks.all.add(cutoffs, rank);
            if line_end.is_some() {
                let position = &mut positions[predicted.column];
                ranks.by_position[(*position).min(POSITIONS - 1)].add(cutoffs, rank);
                *position = if line_end == Some(target) { 0 } else { *position + 1 };
            }
        })?;
        measures.counts = TextCounts::of(self.codec(), ids)?;
        Ok((measures, ranks))
    }
}

/// The position in its line, from 0, of the second token of each column.
fn first_positions(ids: &TokenIds, line_end: Option<u32>, columns: usize) -> Result<Vec<usize>> {
    let column_len = ids.len() / columns;
    let (mut positions, mut position) = (Vec::with_capacity(columns), 0);
    let mut at = 0;
    for block in ids.blocks() {
        for &id in &*block? {
            position = if line_end == Some(id) { 0 } else { position + 1 };
            if at % column_len.max(1) == 0 {
                positions.push(position);
            }
            at += 1;
        }
    }
    Ok(positions)
}
