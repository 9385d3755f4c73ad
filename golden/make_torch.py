"""Writes `torch_*.safetensors`: outputs of PyTorch that Rondo's tests compare with their own.

Usage: python make_torch.py [FOLDER]    (default: the folder of this script)

Every value is computed in float64 on one CPU thread and then rounded once to the stored float32 (losses
and norms stay float64), from inputs that float32 represents exactly. A difference that a test finds is
therefore Rondo's own error, not the sum of two errors. Each training case is run a second time in float32,
and the largest differences are printed: PyTorch's own error, a scale for the tests' tolerances.

Random numbers come from NumPy's `RandomState`, whose streams never change between versions, not from
PyTorch. README.md in this folder lists the contents of each file.
"""

import json
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save
from torch import nn

STEPS, BATCH, VOCAB, BATCHES = 7, 3, 23, 10
CLIP_NORM = 0.25
VERSIONS = {"python": platform.python_version(), "torch": torch.__version__}


@dataclass(frozen=True)
class Case:
    """One language model and how it is trained."""

    name: str
    cell: str
    hidden_size: int | tuple[int, ...]  # One for all layers, or one per layer.
    learning_rate: float
    embedding_size: int | None  # None: one-hot input
    tied: bool = False
    num_layers: int = 2
    num_biases: int = 2
    activation: float = 0.0  # Weight of the mean square of the last layer's output.
    temporal: float = 0.0  # Weight of the mean square of its changes from step to step.
    cutoffs: tuple[int, ...] = ()  # Where the tails of an adaptive softmax begin; none: softmax of all words.
    projection: int = 0  # The width of the projection of each layer's output; 0: none.
    cell_clip: float = 0.0  # The limit of the cell state; 0: none.
    rounds: int = 0  # The rounds of a Mogrifier.
    rank: int = 0  # The rank of their matrices; 0: not factored.

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """The hidden size of each layer."""
        sizes = self.hidden_size
        return sizes if isinstance(sizes, tuple) else (sizes,) * self.num_layers

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """The width of the output of each layer."""
        return tuple(self.projection or size for size in self.hidden_sizes)

    @property
    def is_loop(self) -> bool:
        """Whether PyTorch has no such layer, which is then a loop of its functions."""
        return self.cell in ("cifg", "mogrifier") or self.cell_clip > 0.0


CASES = [
    Case("lstm", "lstm", hidden_size=8, embedding_size=8, tied=True, learning_rate=2.0),
    Case("lstm_untied", "lstm", hidden_size=9, embedding_size=6, learning_rate=4.0),
    Case("gru", "gru", hidden_size=8, embedding_size=8, tied=True, learning_rate=2.0),
    Case("rnn_tanh", "rnn_tanh", hidden_size=8, embedding_size=8, tied=True, learning_rate=4.0),
    Case("rnn_relu", "rnn_relu", hidden_size=8, embedding_size=8, tied=True, learning_rate=2.0),
    Case("awd_lstm", "lstm", hidden_size=(9, 7, 6), num_layers=3, embedding_size=6, tied=True, activation=2.0,
         temporal=1.0, learning_rate=2.0),
    Case("lstm_adaptive", "lstm", hidden_size=17, embedding_size=6, cutoffs=(6, 12), learning_rate=4.0),
    Case("rnn_tanh_one_hot", "rnn_tanh", hidden_size=8, embedding_size=None, num_layers=1, num_biases=1,
         learning_rate=4.0),
    Case("lstm_projected", "lstm", hidden_size=9, projection=6, embedding_size=6, tied=True, learning_rate=4.0),
    Case("lstm_clipped", "lstm", hidden_size=8, cell_clip=0.25, embedding_size=8, tied=True, learning_rate=4.0),
    Case("cifg", "cifg", hidden_size=8, embedding_size=8, tied=True, learning_rate=2.0),
    Case("cifg_projected", "cifg", hidden_size=9, projection=5, cell_clip=0.5, embedding_size=6, learning_rate=4.0),
    Case("mogrifier", "mogrifier", hidden_size=8, rounds=5, embedding_size=6, learning_rate=4.0),
    Case("mogrifier_factored", "mogrifier", hidden_size=(9, 7), rounds=4, rank=2, embedding_size=7, tied=True,
         learning_rate=4.0),
]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for case in CASES:
        write(folder, case.name, *language_model(case))
    write(folder, "adam", *optimizers())
    write(folder, "ops", *operations())


# Language models.


class Loop(nn.Module):
    """A recurrent layer as a loop over time, with the names and shapes of PyTorch's layers.

    An LSTM, a CIFG (gates f, g, o, and 1 - f instead of the input gate) or a Mogrifier, with a projection and a limit of
    the cell state if the case has them. The matrices of a Mogrifier are stacked: those that gate the input, and those
    that gate the state.
    """

    def __init__(self, case: Case, width: int, hidden: int):
        super().__init__()
        self.case, self.hidden = case, hidden
        output, gates = case.projection or hidden, 3 if case.cell == "cifg" else 4
        shapes = {
            "weight_ih": (gates * hidden, width),
            "weight_hh": (gates * hidden, output),
            "bias_ih": (gates * hidden,),
            "bias_hh": (gates * hidden,),
        }
        if case.projection:
            shapes["weight_hr"] = (output, hidden)
        counts = {"x": (case.rounds + 1) // 2, "h": case.rounds // 2}
        for side, rows, columns in (("x", width, hidden), ("h", hidden, width)):
            if not counts[side]:
                continue
            if case.rank:
                shapes[f"mogrifier_{side}_right"] = (counts[side] * case.rank, columns)
                shapes[f"mogrifier_{side}_left"] = (counts[side] * rows, case.rank)
            else:
                shapes[f"mogrifier_{side}"] = (counts[side] * rows, columns)
        for name, shape in shapes.items():
            self.register_parameter(f"{name}_l0", nn.Parameter(torch.zeros(shape)))

    def weight(self, name: str) -> torch.Tensor:
        return getattr(self, f"{name}_l0")

    def gate(self, side: str, index: int, width: int, other: torch.Tensor) -> torch.Tensor:
        """The gate of a round: twice a sigmoid."""

        def part(name, rows):
            return self.weight(name)[index * rows : (index + 1) * rows]

        if self.case.rank:
            other = other @ part(f"mogrifier_{side}_right", self.case.rank).T
            return 2.0 * torch.sigmoid(other @ part(f"mogrifier_{side}_left", width).T)
        return 2.0 * torch.sigmoid(other @ part(f"mogrifier_{side}", width).T)

    def forward(self, inputs, state=None):
        case = self.case
        if state is None:
            shape = (1, inputs.shape[1])
            state = inputs.new_zeros((*shape, case.projection or self.hidden)), inputs.new_zeros((*shape, self.hidden))
        h, c = state[0][0], state[1][0]
        outputs = []
        for x in inputs:
            for round in range(case.rounds):
                if round % 2 == 0:
                    x = self.gate("x", round // 2, x.shape[1], h) * x
                else:
                    h = self.gate("h", round // 2, h.shape[1], x) * h
            sums = F.linear(x, self.weight("weight_ih"), self.weight("bias_ih"))
            sums = sums + F.linear(h, self.weight("weight_hh"), self.weight("bias_hh"))
            *i, f, g, o = sums.chunk(3 if case.cell == "cifg" else 4, dim=1)
            f, g, o = torch.sigmoid(f), torch.tanh(g), torch.sigmoid(o)
            c = f * c + (torch.sigmoid(i[0]) if i else 1.0 - f) * g
            if case.cell_clip:
                c = c.clamp(-case.cell_clip, case.cell_clip)
            h = o * torch.tanh(c)
            if case.projection:
                h = h @ self.weight("weight_hr").T
            outputs.append(h)
        return torch.stack(outputs), (h[None], c[None])


class LanguageModel(nn.Module):
    """Embedding or one-hot → stacked recurrent layers → dense decoder with bias, or adaptive softmax; no dropout."""

    def __init__(self, case: Case):
        super().__init__()
        layer = {"lstm": nn.LSTM, "gru": nn.GRU}.get(case.cell, nn.RNN)
        kind = {"nonlinearity": case.cell.removeprefix("rnn_")} if layer is nn.RNN else {}
        self.embedding = nn.Embedding(VOCAB, case.embedding_size) if case.embedding_size else None
        if case.projection:
            kind["proj_size"] = case.projection
        widths = (case.embedding_size or VOCAB, *case.output_sizes)
        sizes = zip(widths, case.hidden_sizes)
        if case.is_loop:
            self.rnn = nn.ModuleList(Loop(case, width, hidden) for width, hidden in sizes)
        else:
            self.rnn = nn.ModuleList(layer(width, hidden, **kind) for width, hidden in sizes)
        if case.cutoffs:
            self.decoder = nn.AdaptiveLogSoftmaxWithLoss(widths[-1], VOCAB, case.cutoffs)
        else:
            self.decoder = nn.Linear(widths[-1], VOCAB)
        if case.tied:
            self.decoder.weight = self.embedding.weight
        if case.num_biases == 1:
            # PyTorch has two biases or none: the second one stays zero and is not trained.
            for name, parameter in self.rnn.named_parameters():
                if "bias_hh" in name:
                    nn.init.zeros_(parameter).requires_grad_(False)

    def forward(self, ids, states):
        """The logits, the last layer's output, and the state of each layer."""
        outputs = self.embedding(ids) if self.embedding else F.one_hot(ids, VOCAB).to(self.decoder.bias)
        last_states = []
        for layer, state in zip(self.rnn, states):
            outputs, state = layer(outputs, state)
            last_states.append(state)
        if isinstance(self.decoder, nn.Linear):
            return self.decoder(outputs), outputs, last_states
        return self.decoder.log_prob(outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2]), outputs, last_states

    def nll(self, logits, outputs, targets):
        """The negative log-likelihood of each target."""
        if isinstance(self.decoder, nn.Linear):
            return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return -self.decoder(outputs.flatten(0, 1), targets.flatten()).output

    def trained(self) -> dict[str, torch.Tensor]:
        """The trained parameters by their PyTorch names; a tied matrix appears once, as the embedding."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}


def language_model(case: Case):
    """The stored data of one language model: tensors by name, and the metadata."""
    random = np.random.RandomState(1)
    model = LanguageModel(case)
    initial = {name: random.uniform(-0.5, 0.5, p.shape).astype(np.float32) for name, p in model.trained().items()}
    inputs, targets = batches(random)
    exact = train(case, initial, inputs, targets, torch.float64)
    report_float32(case, exact, train(case, initial, inputs, targets, torch.float32))

    tensors = {"inputs": inputs.astype(np.uint32), "targets": targets.astype(np.uint32), **exact}
    sizes = case.hidden_sizes if isinstance(case.hidden_size, tuple) else (case.hidden_size,)
    metadata = {
        "cell": case.cell,
        "input": "embedding" if case.embedding_size else "one_hot",
        "hidden_size": ",".join(map(str, sizes)),
        "num_layers": case.num_layers,
        "num_biases": case.num_biases,
        "tied": str(case.tied).lower(),
        "vocab_size": VOCAB,
        "steps": STEPS,
        "batch_size": BATCH,
        "batches": BATCHES,
        "learning_rate": case.learning_rate,
        "clip_norm": CLIP_NORM,
    }
    if case.embedding_size:
        metadata["embedding_size"] = case.embedding_size
    if case.cutoffs:
        metadata["cutoffs"] = ",".join(map(str, case.cutoffs))
    if case.activation or case.temporal:
        metadata |= {"activation": case.activation, "temporal": case.temporal}
    options = {
        "projection_size": case.projection,
        "cell_clip": case.cell_clip,
        "mogrifier_rounds": case.rounds,
        "mogrifier_rank": case.rank,
    }
    metadata |= {name: value for name, value in options.items() if value}
    return tensors, metadata


def batches(random):
    """Ten consecutive batches of `BATCH` columns: a phrase of nine ids, repeated.

    Each column starts at its own position, and one id in ten is replaced by a random one. There is something
    to learn in ten steps, the hidden state helps, and ids outside the phrase are rare but present.
    """
    phrase = random.permutation(VOCAB)[:9]
    places = np.arange(BATCHES * STEPS + 1)[:, None] + random.randint(9, size=BATCH)
    drawn = random.randint(VOCAB, size=places.shape)
    rows = np.where(random.uniform(size=places.shape) < 0.1, drawn, phrase[places % 9])
    shape = (BATCHES, STEPS, BATCH)
    return rows[:-1].reshape(shape), rows[1:].reshape(shape)


def train(case: Case, initial, inputs, targets, dtype):
    """Trains on the batches with SGD and clipping by the global norm; returns the stored values, rounded to float32.

    The loss is the mean over T·B plus the penalty. The hidden state starts at zero and is carried from batch
    to batch; the gradient stops at the edge of the batch.
    """
    model = LanguageModel(case).to(dtype)
    with torch.no_grad():
        for name, parameter in model.trained().items():
            parameter.copy_(torch.from_numpy(initial[name]))
    stored = rondo_tensors(case, "init", model.trained())
    losses, penalties, norms, states = [], [], [], [None] * len(case.hidden_sizes)
    for batch in range(BATCHES):
        model.zero_grad()
        logits, outputs, states = model(torch.from_numpy(inputs[batch]), [detached(state) for state in states])
        nll = model.nll(logits, outputs, torch.from_numpy(targets[batch]))
        loss = nll.mean()
        changes = outputs[1:] - outputs[:-1]
        penalty = case.activation * (outputs**2).mean() + case.temporal * (changes**2).mean()
        (loss + penalty).backward()
        gradients = {name: p.grad for name, p in model.trained().items()}
        norm = torch.sqrt(sum((g * g).sum() for g in gradients.values()))
        losses.append(loss.item())
        penalties.append(penalty.item())
        norms.append(norm.item())
        if batch == 0:
            stored["first.logits"] = array(logits)
            stored["first.nll"] = array(nll.view(STEPS, BATCH))
            stored["first.loss"] = np.array([loss.item()])
            if isinstance(states[0], tuple):
                stored["first.h"], stored["first.c"] = (joined(parts) for parts in zip(*states))
            else:
                stored["first.h"] = joined(states)
            stored |= rondo_tensors(case, "grad", gradients)
        # Like Gluon's `clip_global_norm`; PyTorch's own adds 1e-6 to the norm instead of 1e-8.
        scale = min(1.0, CLIP_NORM / (norm.item() + 1e-8))
        with torch.no_grad():
            for name, parameter in model.trained().items():
                parameter -= case.learning_rate * scale * gradients[name]
    stored |= {"losses": np.array(losses), "norms": np.array(norms)}
    if case.activation or case.temporal:
        stored["penalties"] = np.array(penalties)
    return stored | rondo_tensors(case, "final", model.trained())


def joined(states) -> np.ndarray:
    """The layers' states `[1, B, H]` concatenated: `[L, B, H]`, or flattened if `H` differs."""
    if len({state.shape for state in states}) == 1:
        return array(torch.cat(list(states)))
    return array(torch.cat([state.flatten() for state in states]))


def detached(state):
    """A layer's state detached from its history."""
    if isinstance(state, tuple):
        return tuple(part.detach() for part in state)
    return None if state is None else state.detach()


def rondo_tensors(case: Case, prefix: str, tensors):
    """Renames `tensors` from PyTorch's names to Rondo's: `rnn.1.weight_ih_l0` is `rnn.1.weight_ih`."""
    named = {}
    for name, tensor in tensors.items():
        name = re.sub(r"^(rnn\.\d+\.\w+)_l0$", r"\1", name)
        name = re.sub(r"^decoder\.tail\.(\d+)\.0\.weight$", r"decoder.tails.\1.projection", name)
        name = re.sub(r"^decoder\.tail\.(\d+)\.1\.weight$", r"decoder.tails.\1.weight", name)
        if case.embedding_size is None and name == "rnn.0.weight_ih":
            # One row per id, [V, G·H]: what a one-hot input adds to the pre-activations.
            name, tensor = "input.weight", tensor.T
        named[f"{prefix}.{name}"] = array(tensor)
    return named


def report_float32(case: Case, exact, rounded):
    """Prints the difference between PyTorch's float32 run and its float64 run."""
    groups = {}
    for name, values in exact.items():
        group = name.split(".")[0] if name.startswith(("grad.", "final.")) else name
        if not name.startswith("init."):
            groups[group] = max(groups.get(group, 0.0), float(np.abs(values - rounded[name]).max()))
    print(f"{case.name}: losses {' '.join(f'{x:.4f}' for x in exact['losses'])}")
    print(f"  norms {' '.join(f'{x:.3f}' for x in exact['norms'])}")
    print("  float32 is off by " + ", ".join(f"{group} {x:.1e}" for group, x in groups.items()))


# Optimizers.


def optimizers():
    """Five steps of each optimizer on two small tensors with given gradients: the values after each step."""
    settings = {
        "sgd": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        "adam": (torch.optim.Adam, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}),
        # Weight decay added to the gradient, as in SGD, and decoupled from it.
        "adam_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.1}),
        "adamw": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}),
    }
    random = np.random.RandomState(2)
    shapes = {"weight": (3, 4), "bias": (5,)}
    tensors = {f"init.{name}": random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        gradients = random.normal(size=(5, *shape)).astype(np.float32)
        gradients[(slice(None),) + (0,) * len(shape)] = 0.0  # Always zero: Adam must not divide 0 by 0.
        tensors[f"grads.{name}"] = gradients

    metadata = {"steps": 5}
    for optimizer, (build, options) in settings.items():
        parameters = {name: torch.from_numpy(tensors[f"init.{name}"]).double().requires_grad_() for name in shapes}
        stepper = build(parameters.values(), **options)
        after = {name: [] for name in shapes}
        for step in range(5):
            for name, parameter in parameters.items():
                parameter.grad = torch.from_numpy(tensors[f"grads.{name}"][step]).double()
            stepper.step()
            for name, parameter in parameters.items():
                after[name].append(array(parameter))
        tensors |= {f"{optimizer}.{name}": np.stack(values) for name, values in after.items()}
        rondo_names = {"lr": "learning_rate", "eps": "epsilon"}
        for option, value in options.items():
            if option == "betas":
                metadata[f"{optimizer}.beta1"], metadata[f"{optimizer}.beta2"] = value
            else:
                metadata[f"{optimizer}.{rondo_names.get(option, option)}"] = value
    return tensors, metadata


# Single operations.


def operations():
    """Values and gradients of the elementwise functions, softmax with temperature, and cross-entropy."""
    random = np.random.RandomState(3)
    x = (2.0 * random.normal(size=(4, 7))).astype(np.float32)
    x[1, 2] = 0.0  # The kink of ReLU: PyTorch's gradient there is 0.
    x[3] *= 50.0  # `exp` of these overflows unless the largest is subtracted first.
    upstream = random.normal(size=x.shape).astype(np.float32)
    targets = random.randint(x.shape[1], size=len(x))
    temperatures = np.array([1.0, 0.1, 1000.0], np.float32)
    tensors = {"x": x, "upstream": upstream, "targets": targets.astype(np.uint32), "temperatures": temperatures}

    def value_and_gradient(function, weights):
        """`function(x)`, and the gradient of its sum weighted by `weights` with respect to x."""
        at = torch.from_numpy(x).double().requires_grad_()
        value = function(at)
        (value * weights).sum().backward()
        return array(value), array(at.grad)

    weights = torch.from_numpy(upstream).double()
    for name in ("relu", "tanh", "sigmoid"):
        tensors[f"{name}.value"], tensors[f"{name}.grad"] = value_and_gradient(getattr(torch, name), weights)
    softmax = [value_and_gradient(lambda at: torch.softmax(at / float(t), 1), weights) for t in temperatures]
    tensors["softmax.value"], tensors["softmax.grad"] = (np.stack(part) for part in zip(*softmax))
    tensors["cross_entropy.nll"], tensors["cross_entropy.grad"] = value_and_gradient(
        lambda at: F.cross_entropy(at, torch.from_numpy(targets), reduction="none"), 1.0
    )
    return tensors, {"rows": x.shape[0], "columns": x.shape[1]}


# Files.


def array(tensor) -> np.ndarray:
    """A copy as contiguous float32."""
    return np.array(tensor.detach().numpy(), dtype=np.float32, order="C")


def write(folder: Path, name: str, tensors, metadata) -> None:
    """Writes one file with sorted metadata, because the library writes the metadata in random order."""
    metadata = {key: str(value) for key, value in {**metadata, **VERSIONS}.items()}
    data = save(tensors, metadata)
    start, end = 8, 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[start:end])
    header["__metadata__"] = dict(sorted(metadata.items()))
    text = json.dumps(header, separators=(",", ":")).encode().ljust(end - start)
    assert len(text) == end - start, "the length of the header changed"
    (folder / f"torch_{name}.safetensors").write_bytes(data[:start] + text + data[end:])


if __name__ == "__main__":
    main()
