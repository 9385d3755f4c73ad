//! The tokens that a sampled softmax is computed over.

/// The candidates of a batch: sampled tokens, shared by all rows, and each row's target.
///
/// ```text
/// candidates of row r = {target[r]} ∪ sampled        logit'[r, v] = logit[r, v] − ln p(v)
/// ```
///
/// `p(v)` is the probability that `v` is among the sampled tokens. With the lowered logits, the softmax over the
/// candidates is the probability of a target given that it is one of them, so the loss has its minimum at the same
/// logits as that of the full softmax, up to a constant. A token that is the target of another row but was not sampled is
/// no candidate, and a sampled token that is the row's target counts once.
///
/// # Source
/// Jean, Cho, Memisevic & Bengio 2015; same as TensorFlow's `sampled_softmax_loss`, with the probability of inclusion in
/// place of the expected count.
/// # Example
/// ```
/// use rondo_nn::Candidates;
///
/// let mut candidates = Candidates::default();
/// candidates.fill(&[7, 2, 7], &[5, 2, 5], |id| if id == 2 { 0.0 } else { -1.5 });
/// assert_eq!(candidates.ids(), [2, 5, 7]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    ids: Vec<u32>,
    log_inclusion: Vec<f32>,
    only_as_target: Vec<u32>,
    targets: Vec<u32>,
    /// The sampled tokens and the targets before they are made unique, reused: twice the id, plus 1 for a target.
    all: Vec<u64>,
    most: usize,
}

impl Candidates {
    /// Replaces them with `sampled` tokens, in any order and possibly repeated, and the `targets: [R]` of the rows.
    /// `log_inclusion` is the logarithm of the probability that a token is among the sampled ones.
    pub fn fill(&mut self, sampled: &[u32], targets: &[u32], log_inclusion: impl Fn(u32) -> f32) {
        self.all.clear();
        self.all.extend(sampled.iter().map(|&id| 2 * u64::from(id)));
        self.all.extend(targets.iter().map(|&id| 2 * u64::from(id) + 1));
        self.most = self.all.len();
        self.all.sort_unstable();
        // A sampled token comes before the same token as a target.
        self.all.dedup_by_key(|entry| *entry / 2);
        self.ids.clear();
        self.ids.extend(self.all.iter().map(|entry| (entry / 2) as u32));
        self.only_as_target.clear();
        self.only_as_target.extend(self.all.iter().map(|entry| (entry % 2) as u32));
        self.log_inclusion.clear();
        self.log_inclusion.extend(self.ids.iter().map(|&id| log_inclusion(id)));
        self.targets.clear();
        let position = |target: &u32| self.ids.partition_point(|id| id < target) as u32;
        self.targets.extend(targets.iter().map(position));
    }

    /// `[C]`: the tokens, increasing.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// `[C]`: the logarithm of the probability that the token is among the sampled ones.
    pub fn log_inclusion(&self) -> &[f32] {
        &self.log_inclusion
    }

    /// `[C]`: 1 for tokens that were not sampled and are candidates only in the rows whose target they are.
    pub fn only_as_target(&self) -> &[u32] {
        &self.only_as_target
    }

    /// How many there would be if none were equal.
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// `[R]`: the positions of the targets in [`Candidates::ids`].
    pub fn targets(&self) -> &[u32] {
        &self.targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_unique_and_know_whether_they_were_sampled() {
        let mut candidates = Candidates::default();
        for _ in 0..2 {
            candidates.fill(&[4, 9, 4, 0], &[3, 9, 3, 12], |id| -(id as f32));
            assert_eq!(candidates.ids(), [0, 3, 4, 9, 12]);
            assert_eq!(candidates.only_as_target(), [0, 1, 0, 0, 1]);
            assert_eq!(candidates.targets(), [1, 3, 1, 4]);
            assert_eq!(candidates.log_inclusion(), [0.0, -3.0, -4.0, -9.0, -12.0]);
        }
    }
}
