//! Tells someone of each operation that tapes have run, as soon as it has.
//!
//! A tape knows no clock. Whoever wants to know what takes how long reads one between two tellings: what has passed
//! since the last belongs to the operation that is told of. Without an observer a telling is one comparison.

use std::fmt;

use super::fused::KeptProjection;
use super::{Node, Workspace};

/// In which direction an operation has been run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// From inputs to outputs.
    Forward,
    /// From the gradient of the outputs to that of the inputs.
    Backward,
}

/// What is told of operations: the name of the one that has just run, which is that of its module in `rondo-kernels`,
/// and its direction.
pub type OperationObserver = Box<dyn FnMut(&'static str, Pass) + Send + Sync>;

/// The walk over time, which is told of apart from the input projection.
pub(super) const RECURRENCE: &str = "recurrence";
const LINEAR: &str = "linear";
const EMBEDDING: &str = "embedding";

/// Whom a workspace tells, if anyone.
#[derive(Default)]
pub(super) struct Observer(Option<OperationObserver>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}

impl Workspace {
    /// Has `observer` told of every operation of the tapes to come, right after it has run; none ends that.
    ///
    /// A recurrent layer is two operations: its input projection, by `linear` or by `embedding`, and `recurrence`, the
    /// walk over time.
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
            Node::Decoder(_) => "decoder",
            Node::Penalty { .. } => "activation_penalty",
            Node::Product { .. } => "product",
            Node::Add { .. } | Node::Multiply { .. } | Node::Scale { .. } => "elementwise",
            Node::AddRow { .. } => "bias",
            Node::Activation { .. } => "activation",
            Node::Softmax { .. } => "softmax",
            Node::CrossEntropy { .. } => "cross_entropy",
            Node::Slice { .. } | Node::Concat { .. } => "concat",
        }
    }

    /// The operation that the node's way back ends with: a recurrent layer's projection comes last.
    pub(super) fn last_operation_back(&self) -> &'static str {
        match self {
            Node::Recurrence(node) => node.projection.operation(),
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
