//! A decoder over a sample of the vocabulary: rows of weight and bias are gathered, decoded as if they were all, and their
//! gradients added as sparse rows.

use rondo_kernels::{Buffer, Slice, SliceMut, Store, elementwise, embedding};

use super::observer::{DECODER, EMBEDDING};
use super::{Ids, Loss, Pass, Tape, Value, Workspace};
use crate::{Candidates, Decoder, Gradients, ParameterId};

/// The rows of a decoder's parameters that belong to candidates.
#[derive(Debug)]
pub(super) struct GatheredRows {
    /// `[C]`, increasing.
    pub(super) ids: Ids,
    /// `[C, H]`.
    pub(super) weight: Buffer,
    /// `[C]`: the bias, lowered by the logarithm of the probability of inclusion.
    pub(super) bias: Buffer,
    /// `[C]`.
    pub(super) only_as_target: Buffer<u32>,
    /// The largest possible number of candidates.
    pub(super) most: usize,
}

impl Tape<'_> {
    /// Computes the loss of a sampled softmax: each row's negative log-likelihood among its [`Candidates`]. The
    /// gradients of weight and bias are row-sparse.
    ///
    /// # Panics
    /// If there are not as many targets as rows of `hidden`, or a candidate is out of range.
    pub fn sampled_decoder(&mut self, hidden: Value, decoder: Decoder, candidates: &Candidates) -> Loss {
        let (vocab, width) = self.matrix(decoder.weight);
        let ids = self.look_up_ids(candidates.ids());
        let [only_as_target, targets] =
            [candidates.only_as_target(), candidates.targets()].map(|ids| self.ids(ids));
        let (count, most) = (ids.on_host.len(), candidates.most().min(vocab));
        let (parameters, workspace) = (self.parameters, &mut *self.workspace);
        let mut weight = workspace.pool.take_up_to(count * width, most * width);
        let mut bias = workspace.pool.take_up_to(count, most);
        let mut log_inclusion = workspace.pool.take_up_to(count, most);
        let gather = |id: ParameterId, out: SliceMut<'_>| {
            let dims = embedding::Dims { rows: count, vocab, width: parameters.row_width(id) };
            embedding::forward(&workspace.device, dims, parameters.values(id), ids.on_device.slice(), out);
        };
        gather(decoder.weight, weight.slice_mut());
        match decoder.bias {
            Some(id) => gather(id, bias.slice_mut()),
            None => bias.slice_mut().fill(0.0),
        }
        workspace.tell(EMBEDDING, Pass::Forward);
        let written = log_inclusion.write_from(candidates.log_inclusion());
        workspace.note(written);
        elementwise::scale(&workspace.device, -1.0, log_inclusion.slice(), bias.slice_mut(), Store::Add);
        workspace.pool.give(log_inclusion);
        self.decode(hidden, decoder, targets, Some(GatheredRows { ids, weight, bias, only_as_target, most }))
    }

    /// Adds the gradients of gathered rows to those of the parameters they are from.
    pub(super) fn scatter_rows(
        &mut self,
        decoder: Decoder,
        ids: &Ids,
        d_weight: Slice<'_>,
        d_bias: Option<Slice<'_>>,
        gradients: &mut Gradients,
    ) {
        self.workspace.tell(DECODER, Pass::Backward);
        gradients.add_rows(self.parameters, decoder.weight, ids, d_weight);
        if let (Some(id), Some(d_bias)) = (decoder.bias, d_bias) {
            gradients.add_rows(self.parameters, id, ids, d_bias);
        }
    }
}

impl Workspace {
    /// Takes back the memory of gathered rows.
    pub(super) fn recycle_rows(&mut self, rows: GatheredRows) {
        let GatheredRows { ids, weight, bias, only_as_target, most: _ } = rows;
        self.recycle_ids(ids);
        self.id_pool.give(only_as_target);
        self.pool.give(weight);
        self.pool.give(bias);
    }
}
