"""The sizes of the workloads: the only place in the comparison that defines them.

`rondo bench` has the same table in Rust; `compare.py` compares its report with this one. Standard library only, Python
3.8 and later: the peers' scripts import it inside their environments, `compare.py` and `scaling.py` outside.

A training step consists of the forward pass, the backward pass, gradient clipping by the global norm, and SGD. W8 is
generation, one token at a time, with the model of another workload: `W8:W1`, `W8:W6`.
"""

import dataclasses
from typing import List, Tuple

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}
"""The number of gates of a cell, each of hidden size, computed at each step."""

PASSES_OF_TRAINING = 3
"""Training costs as much as three forward passes: one forward, and two for the backward pass (inputs and weights)."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """The sizes of a model and of its training step."""

    cell: str
    vocab_size: int
    embedding_size: int  # 0: the input is one-hot, and the first layer's product is a gather.
    hidden_size: int
    layers: int
    dropout: float
    tied: bool
    batch_size: int
    bptt: int
    clip_norm: float  # 0: no clipping.
    learning_rate: float
    awd: bool = False  # The last layer has the embedding size, and dropout is locked over time.
    dropout_input: float = 0.0  # AWD-LSTM only: on the embedding's output.
    dropout_between: float = 0.0  # AWD-LSTM only: between layers.

    @property
    def tokens(self) -> int:
        """The number of tokens per step."""
        return self.batch_size * self.bptt

    def layer_sizes(self) -> List[Tuple[int, int]]:
        """The input and output size of each recurrent layer, first layer first; an input size of 0 is one-hot."""
        outputs = [self.hidden_size] * self.layers
        if self.awd:
            outputs[-1] = self.embedding_size
        return list(zip([self.embedding_size] + outputs[:-1], outputs))


WORKLOADS = {
    # The published standard_lstm_lm_200 ties its weights; W1u is the untied variant.
    "W1": Workload("lstm", 33278, 200, 200, 2, 0.2, True, 20, 35, 0.25, 20.0),
    "W1u": Workload("lstm", 33278, 200, 200, 2, 0.2, False, 20, 35, 0.25, 20.0),
    "W2": Workload("lstm", 33278, 650, 650, 2, 0.5, True, 20, 35, 0.25, 20.0),
    "W3": Workload("lstm", 10000, 650, 650, 2, 0.5, False, 32, 35, 0.25, 1.0),
    "W4": Workload("rnn_relu", 10000, 100, 100, 2, 0.2, True, 32, 5, 0.25, 1.0),
    "W5": Workload("rnn_tanh", 77, 0, 256, 1, 0.0, False, 32, 64, 0.0, 0.1),
    "W6": Workload("lstm", 77, 64, 512, 2, 0.0, False, 64, 64, 0.25, 1.0),
    # 400 → 1150 → 1150 → 400; all sides leave out weight dropout and word dropout.
    "W7": Workload(
        "lstm", 33278, 400, 1150, 3, 0.4, True, 80, 70, 0.25, 30.0, awd=True, dropout_input=0.65, dropout_between=0.2
    ),
}
GENERATION = ["W8:W1", "W8:W6"]


def model_of(name: str) -> Workload:
    """The workload with this name; for generation (`W8:W1`) the workload of the model."""
    return WORKLOADS[name.split(":")[-1]]


def is_generation(name: str) -> bool:
    """Whether the workload with this name generates tokens instead of training."""
    return name.startswith("W8:")


def forward_flops_per_token(workload: Workload) -> float:
    """FLOP per token of the forward pass: two per multiply-add of the matrix products, and nothing else."""
    gates = GATES[workload.cell]
    layers = workload.layer_sizes()
    multiply_adds = sum(gates * outputs * (inputs + outputs) for inputs, outputs in layers)
    return 2.0 * (multiply_adds + layers[-1][1] * workload.vocab_size)


def training_flops_per_token(workload: Workload) -> float:
    """Useful FLOP per token of training; values that a side recomputes are not counted twice."""
    return PASSES_OF_TRAINING * forward_flops_per_token(workload)
