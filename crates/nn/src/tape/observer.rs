//! Notifies an observer of each operation that tapes run.
//!
//! A tape does not measure time. To profile operations, read a clock at each notification: the time since the
//! previous one belongs to the operation being reported. Without an observer, the cost is one comparison per
//! operation.

use std::fmt;

use super::fused::KeptProjection;
use super::{Node, Workspace};

/// The direction in which an operation was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From inputs to outputs.
    Forward,
    /// From the gradient of the outputs to that of the inputs.
    Backward,
}

/// A callback for operations: receives the name of the one that has just run, which is that of its module in
/// `rondo-kernels`, and its direction.
pub type OperationObserver = Box<dyn FnMut(&'static str, Pass) + Send + Sync>;

/// The loop over time steps, reported separately from the input projection.
pub(super) const RECURRENCE: &str = "recurrence";
const LINEAR: &str = "linear";
pub(super) const DECODER: &str = "decoder";
pub(super) const EMBEDDING: &str = "embedding";

/// The observer of a workspace, if any.
#[derive(Default)]
pub(super) struct Observer(Option<OperationObserver>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

impl Workspace {
    /// Notifies `observer` of every operation of later tapes, right after it has run; `None` removes the
    /// observer.
    ///
    /// A recurrent layer is two operations: its input projection, `linear` or `embedding`, and `recurrence`,
    /// the loop over time steps.
    pub fn observe(&mut self, observer: Option<OperationObserver>) {
        self.observer = Observer(observer);
    }

    pub(super) fn tell(&mut self, operation: &'static str, pass: Pass) {
        if let Some(observer) = &mut self.observer.0 {
            observer(operation, pass);
        }
    }
}

impl Node {
    /// The operation that ends where the node is recorded.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            Node::Embedding { .. } => EMBEDDING,
            Node::Linear { .. } => LINEAR,
            Node::Recurrence(_) => RECURRENCE,
            Node::Dropout { .. } => "dropout",
            Node::Decoder(_) => DECODER,
            Node::AdaptiveLogSoftmax(_) => "adaptive_log_softmax",
            Node::Penalty { .. } => "activation_penalty",
            Node::Product { .. } => "product",
            Node::Add { .. } | Node::Multiply { .. } | Node::Scale { .. } => "elementwise",
            Node::AddRow { .. } => "bias",
            Node::Activation { .. } => "activation",
            Node::Softmax { .. } => "softmax",
            Node::CrossEntropy { .. } => "cross_entropy",
            Node::Rows { .. } => "select_rows",
            Node::Slice { .. } | Node::Concat { .. } => "concat",
        }
    }

    /// The last operation of the node's backward pass: a recurrent layer's projection comes last, and for a sampled softmax
    /// the gradients of the rows that were looked up.
    pub(super) fn last_operation_back(&self) -> &'static str {
        match self {
            // The projection of a Mogrifier's input is part of its loop.
            Node::Recurrence(node) if node.kept.is_none() => node.projection.operation(),
            Node::Decoder(node) if node.gathered.is_some() => EMBEDDING,
            node => node.operation(),
        }
    }
}

impl KeptProjection {
    /// The operation that projects a layer's input.
    pub(super) fn operation(&self) -> &'static str {
        match self {
            KeptProjection::Dense { .. } => LINEAR,
            KeptProjection::LookUp { .. } => EMBEDDING,
        }
    }
}
