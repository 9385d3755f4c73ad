//! Which gradients are finished while the backward pass is still running, so that they can be used already: processes that
//! train together add them up meanwhile.
//!
//! A gradient is finished when the first recorded operation that uses its parameter has been run backward.

use super::fused::KeptProjection;
use super::{Node, Storage, Value, Workspace};
use crate::{Gradients, ParameterId};

/// How the operations on a tape contribute to the gradient of a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contribution {
    /// Not at all.
    #[default]
    None,
    /// To some of its rows.
    Rows,
    /// To all elements.
    Dense,
}

/// Learns of gradients while the backward pass is running.
pub trait GradientObserver {
    /// The backward pass begins. `contributions` has an entry for each parameter.
    fn begin(&mut self, contributions: &[Contribution], gradients: &mut Gradients);

    /// No more is added to the gradient of a parameter. The observer may take it away until the pass has ended.
    fn finished(&mut self, id: ParameterId, gradients: &mut Gradients);
}

/// The uses of all parameters on a tape.
#[derive(Debug, Default)]
pub(super) struct Uses {
    pub(super) contributions: Vec<Contribution>,
    /// The first operation that uses each.
    pub(super) first: Vec<usize>,
}

/// Calls a function with each parameter that an operation uses.
pub(super) fn each_use(workspace: &Workspace, node: &Node, mut f: impl FnMut(ParameterId, Contribution)) {
    use Contribution::{Dense, Rows};
    let of_value = |value: &Value, f: &mut dyn FnMut(ParameterId, Contribution)| {
        if let Storage::Parameter(id) = workspace.slots[value.0].storage {
            f(id, Dense);
        }
    };
    match node {
        Node::Embedding { table, .. } => f(*table, Rows),
        Node::Linear { x, weight, bias, .. } => {
            of_value(x, &mut f);
            f(*weight, Dense);
            bias.iter().for_each(|id| f(*id, Dense));
        }
        Node::Recurrence(node) => {
            let layer = node.layer;
            let own =
                [layer.weight_hh, layer.bias_ih].into_iter().chain(layer.bias_hh).chain(layer.projection);
            own.for_each(|id| f(id, Dense));
            let rounds = layer.mogrifier.into_iter().flat_map(|mogrifier| mogrifier.weights);
            rounds.flatten().for_each(|id| f(id, Dense));
            match &node.projection {
                KeptProjection::Dense { x, weight_ih } => {
                    of_value(x, &mut f);
                    f(*weight_ih, Dense);
                }
                KeptProjection::LookUp { table, .. } => f(*table, Rows),
            }
        }
        Node::Decoder(node) => {
            of_value(&node.hidden, &mut f);
            let how = if node.gathered.is_some() { Rows } else { Dense };
            f(node.decoder.weight, how);
            // A bias is gathered with the weight.
            node.decoder.bias.iter().for_each(|id| f(*id, how));
        }
        Node::AdaptiveLogSoftmax(node) => node.inputs().for_each(|value| of_value(value, &mut f)),
        Node::Product { a, b, .. } | Node::Add { a, b, .. } | Node::Multiply { a, b, .. } => {
            [a, b].into_iter().for_each(|value| of_value(value, &mut f));
        }
        Node::AddRow { x, bias, .. } => [x, bias].into_iter().for_each(|value| of_value(value, &mut f)),
        Node::CrossEntropy { logits, .. } => of_value(logits, &mut f),
        Node::Dropout { x, .. }
        | Node::Penalty { x, .. }
        | Node::Scale { x, .. }
        | Node::Activation { x, .. }
        | Node::Softmax { x, .. }
        | Node::Rows { x, .. }
        | Node::Slice { x, .. }
        | Node::Concat { x, .. } => of_value(x, &mut f),
    }
}

impl Workspace {
    /// Finds out how the recorded operations use each of `count` parameters.
    pub(super) fn find_uses(&mut self, count: usize) {
        let mut uses = std::mem::take(&mut self.uses);
        let Uses { contributions, first } = &mut uses;
        contributions.clear();
        contributions.resize(count, Contribution::None);
        first.resize(count, 0);
        for (index, node) in self.nodes.iter().enumerate() {
            each_use(self, node, |id, contribution| {
                let found = &mut contributions[id.0];
                if *found == Contribution::None {
                    first[id.0] = index;
                }
                *found = contribution.max(*found);
            });
        }
        self.uses = uses;
    }
}
