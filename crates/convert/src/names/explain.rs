//! What tensors belong to that Rondo's models do not have.

/// Parts of names, and what they mean. The first match counts.
const PARTS: [(&str, &str); 15] = [
    ("h2r_weight", "a projection of the hidden state, LSTMP"),
    ("_reverse", "the backward direction of a bidirectional layer"),
    ("additional_fc", "a layer between the last recurrent layer and the decoder"),
    ("adaptive_softmax", "an adaptive softmax of fairseq"),
    ("attn", "attention"),
    ("attention", "attention"),
    ("transformer", "a Transformer"),
    ("pos_encoder", "a Transformer"),
    ("norm", "a normalization layer"),
    ("peephole", "peephole connections"),
    ("conv", "a convolution"),
    ("highway", "a highway layer"),
    (".tail.", "an adaptive softmax of PyTorch"),
    (".head.", "an adaptive softmax of PyTorch"),
    (".linear.", "a QRNN layer"),
];

/// What a tensor with this name belongs to, if it is known not to be in Rondo's models.
pub(crate) fn unsupported(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    PARTS.iter().find(|(part, _)| name.contains(part)).map(|&(_, what)| what)
}
