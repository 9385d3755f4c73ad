//! The adaptive softmax: composed of decoders and dense layers, and trained without the logits of all words.
//!
//! ```text
//! hidden ─┬─ decoder of the head ─────────────────────────────────────────────▶ loss of all rows
//!         ├─ rows of tail 0 ─ projection ─ decoder of tail 0 ─▶ their losses ──▶   + part
//!         └─ rows of tail 1 ─ projection ─ decoder of tail 1 ─▶ their losses ──▶   + part
//! ```
//!
//! The target of a row in the head is its word or, for a word of a tail, the tail.

use std::sync::Arc;

use rondo_kernels::adaptive_log_softmax::{self, Dims};
use rondo_kernels::{Buffer, Device, Slice};

use super::{Loss, Node, Shape, Tape, Value};
use crate::config::AdaptiveSoftmax;
use crate::{Gradients, ParameterId, Result};

/// The layers of an adaptive softmax, without biases.
#[derive(Debug)]
pub(crate) struct AdaptiveLayers {
    softmax: AdaptiveSoftmax,
    vocab: usize,
    /// `[C₁ + K, H]`.
    head: ParameterId,
    tails: Vec<Tail>,
    /// `[V]`: the rank of each token; empty if it is the token itself.
    ranks: Vec<u32>,
    /// `[V]`: the token with each rank, on the device; `None` if it is the rank itself.
    order: Option<Buffer<u32>>,
}

/// The layers of one tail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    /// `[P, H]`.
    pub(crate) projection: ParameterId,
    /// `[N, P]`, for `N` words.
    pub(crate) weight: ParameterId,
}

/// What the backward pass of the log-probabilities needs.
#[derive(Debug)]
pub(super) struct AdaptiveLogSoftmaxNode {
    layers: Arc<AdaptiveLayers>,
    head: Value,
    tails: Vec<Value>,
    pub(super) log_sums: Buffer,
    out: Value,
}

/// Lists of targets on the host, reused for all tapes of a workspace.
#[derive(Debug, Default)]
pub(super) struct TargetLists {
    /// The target of each row in the head.
    head: Vec<u32>,
    /// The rows whose target is in a tail.
    rows: Vec<u32>,
    /// Their targets in the tail.
    words: Vec<u32>,
}

impl AdaptiveLogSoftmaxNode {
    /// The logits that it is computed from.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &Value> {
        std::iter::once(&self.head).chain(&self.tails)
    }
}

impl AdaptiveLayers {
    /// The layers of a softmax over `vocab` tokens.
    ///
    /// # Errors
    /// [`NnError::Device`](crate::NnError::Device) if the order of the tokens cannot be written to the device.
    pub(crate) fn new(
        softmax: &AdaptiveSoftmax,
        vocab: usize,
        head: ParameterId,
        tails: Vec<Tail>,
        device: &Device,
    ) -> Result<AdaptiveLayers> {
        let (mut ranks, mut order) = (vec![], None);
        if let Some(tokens) = softmax.order() {
            ranks = vec![0; vocab];
            tokens.iter().zip(0..).for_each(|(&token, rank)| ranks[token as usize] = rank);
            order = Some(Buffer::from_slice(device, tokens)?);
        }
        Ok(AdaptiveLayers { softmax: softmax.clone(), vocab, head, tails, ranks, order })
    }

    fn dims(&self, rows: usize) -> Dims<'_> {
        self.softmax.dims(self.vocab, rows)
    }

    /// The rank of a token.
    fn rank(&self, token: u32) -> usize {
        let (token, vocab) = (token as usize, self.vocab);
        assert!(token < vocab, "target {token} is out of range for a vocabulary of {vocab}");
        self.ranks.get(token).map_or(token, |&rank| rank as usize)
    }

    /// The target in the head of a word with this rank.
    fn head_target(&self, rank: usize) -> u32 {
        let cutoffs = self.softmax.cutoffs();
        let begun = cutoffs.partition_point(|&cutoff| cutoff <= rank);
        begun.checked_sub(1).map_or(rank, |tail| cutoffs[0] + tail) as u32
    }
}

impl Tape<'_> {
    /// The negative log-likelihood of each row's target. The logits of a tail are computed only for the rows whose target
    /// is one of its words.
    ///
    /// # Panics
    /// If there is not one target per row, or a target is not below `V`.
    pub(crate) fn adaptive_softmax(
        &mut self,
        hidden: Value,
        layers: &AdaptiveLayers,
        targets: &[u32],
    ) -> Loss {
        let mut lists = std::mem::take(&mut self.workspace.target_lists);
        lists.head.clear();
        lists.head.extend(targets.iter().map(|&target| layers.head_target(layers.rank(target))));
        let loss = self.decoder(hidden, layers.head, None, &lists.head);
        for (index, tail) in layers.tails.iter().enumerate() {
            let ranks = layers.dims(0).tail(index);
            lists.rows.clear();
            lists.words.clear();
            for (row, &target) in (0..).zip(targets) {
                let rank = layers.rank(target);
                if ranks.contains(&rank) {
                    lists.rows.push(row);
                    lists.words.push((rank - ranks.start) as u32);
                }
            }
            if !lists.rows.is_empty() {
                let selected = self.select_rows(hidden, &lists.rows);
                let projected = self.linear(selected, tail.projection, None);
                let part = self.decoder(projected, tail.weight, None, &lists.words);
                self.add_part(loss, part, &lists.rows);
            }
        }
        self.workspace.target_lists = lists;
        loss
    }

    /// The log-probabilities `[T, B, V]` of all tokens, in the order of their ids.
    pub(crate) fn adaptive_log_softmax(&mut self, hidden: Value, layers: &Arc<AdaptiveLayers>) -> Value {
        let shape = self.shape(hidden);
        let dims = layers.dims(shape.rows());
        let head = self.linear(hidden, layers.head, None);
        let tail = |tail: &Tail| {
            let projected = self.linear(hidden, tail.projection, None);
            self.linear(projected, tail.weight, None)
        };
        let tails: Vec<Value> = layers.tails.iter().map(tail).collect();
        let mut log_sums = self.workspace.pool.take(dims.rows * (1 + tails.len()));
        let mut log_probs = self.workspace.pool.take(dims.rows * dims.vocab);
        let slices: Vec<Slice<'_>> = tails.iter().map(|&tail| self.values(tail)).collect();
        let args = adaptive_log_softmax::Forward {
            head: self.values(head),
            tails: &slices,
            order: layers.order.as_ref().map(Buffer::slice),
            log_sums: log_sums.slice_mut(),
            log_probs: log_probs.slice_mut(),
        };
        adaptive_log_softmax::forward(&self.workspace.device, dims, args);
        let out = self.push(Shape { width: dims.vocab, ..shape }, log_probs, true);
        let layers = Arc::clone(layers);
        self.record(Node::AdaptiveLogSoftmax(AdaptiveLogSoftmaxNode { layers, head, tails, log_sums, out }));
        out
    }

    pub(super) fn adaptive_log_softmax_back(
        &mut self,
        node: &AdaptiveLogSoftmaxNode,
        gradients: &mut Gradients,
    ) {
        let Some(d_out) = self.take_gradient(node.out) else { return };
        let dims = node.layers.dims(self.shape(node.out).rows());
        // Nothing else reads the logits of the head and the tails.
        let mut d_head = self.workspace.pool.take(dims.rows * dims.head_width());
        let of_tail = |tail| self.workspace.pool.take(dims.rows * dims.tail(tail).len());
        let mut d_tails: Vec<Buffer> = (0..node.tails.len()).map(of_tail).collect();
        let tails: Vec<Slice<'_>> = node.tails.iter().map(|&tail| self.values(tail)).collect();
        let args = adaptive_log_softmax::Backward {
            head: self.values(node.head),
            tails: &tails,
            order: node.layers.order.as_ref().map(Buffer::slice),
            log_sums: node.log_sums.slice(),
            d_log_probs: d_out.slice(),
            d_head: d_head.slice_mut(),
            d_tails: d_tails.iter_mut().map(Buffer::slice_mut).collect(),
        };
        adaptive_log_softmax::backward(&self.workspace.device, dims, args);
        self.workspace.pool.give(d_out);
        self.keep_gradient(node.head, d_head, gradients);
        for (&tail, d_tail) in node.tails.iter().zip(d_tails) {
            self.keep_gradient(tail, d_tail, gradients);
        }
    }
}
