"""A recurrent network that learns to write, from first principles.

It reads a text character by character and predicts, at each step, which character comes next. It keeps what it
has read so far in a vector, its hidden state h. With x the character just read:

    h = tanh(x·Wxh + h·Whh + bh)      the new hidden state
    y = h·Why + by                    a score for each possible next character: its logit

These two lines are the model. `rondo.nn` computes them and their gradients.

    python from_scratch.py                     the built-in language, 3 epochs
    python from_scratch.py timemachine.txt 20  your text, 20 epochs
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import rondo
from rondo.nn import Generator, Parameters, Tape, Value


def network(vocab_size: int, hidden: int, *, threads: int | None = None) -> Parameters:
    """Small random parameters. With zeros, all hidden units would stay the same forever."""
    weights, random = Parameters(threads=threads), Generator(seed=1)
    shapes = {
        "wxh": (vocab_size, hidden),
        "whh": (hidden, hidden),
        "bh": (1, hidden),
        "why": (hidden, vocab_size),
        "by": (1, vocab_size),
    }
    for name, shape in shapes.items():
        weights.add(name, random.normal(shape, 0.01))
    return weights


def forward(tape: Tape, ids: npt.NDArray[np.uint32], state: npt.NDArray[np.float32]) -> tuple[Value, Value]:
    """Reads ``ids [T, B]`` from ``state [B, H]``: the logits ``[T·B, V]`` and the last hidden state.

    The state enters as a constant: the error is not propagated back into the batch before.
    """
    wxh, whh, bh, why, by = (tape.parameter(name) for name in ("wxh", "whh", "bh", "why", "by"))
    h, remembered = tape.constant(state), []
    for step in ids:
        # A character is a one-hot row. The product selects its row of Wxh.
        x = tape.product(tape.one_hot(step, wxh.shape[0]), wxh)
        h = tape.tanh(tape.add_row(tape.add(x, tape.product(h, whh)), bh))
        remembered.append(h)
    return tape.add_row(tape.product(tape.concat_rows(remembered), why), by), h


def train(
    weights: Parameters, ids: npt.NDArray[np.uint32], *, epochs: int, batch_size: int = 32, bptt: int = 64
) -> Iterator[float]:
    """Yields the mean loss of each batch, in nats per character."""
    batches = rondo.data.batchify(ids, batch_size, bptt, last_batch="discard")
    for _ in range(epochs):
        state = np.zeros((batch_size, weights["whh"].shape[0]), np.float32)
        for inputs, targets in batches:
            tape = Tape(weights)
            logits, h = forward(tape, inputs, state)
            losses, (state,) = tape.backward(logits, targets.ravel(), outputs=[h])
            weights.sgd(0.5)
            yield float(losses.mean(dtype=np.float64))


def write(weights: Parameters, vocab: rondo.data.Vocab, length: int, *, temperature: float = 0.1) -> str:
    """Draws one character after another, from a zero state."""
    random, state = np.random.default_rng(1), np.zeros((1, weights["whh"].shape[0]), np.float32)
    ids = [int(random.integers(len(vocab)))]
    for _ in range(length):
        tape = Tape(weights)
        logits, h = forward(tape, np.array([ids[-1:]], np.uint32), state)
        probabilities, state = tape.run([tape.softmax(logits, temperature=temperature), h])
        row = probabilities[0].astype(np.float64)
        ids.append(int(random.choice(len(vocab), p=row / row.sum())))
    return "".join(vocab.to_tokens(ids))


def main() -> None:
    text, epochs = sys.argv[1] if len(sys.argv) > 1 else None, int(sys.argv[2]) if len(sys.argv) > 2 else 3
    corpus = rondo.data.read_corpus(
        text or rondo.data.tales(3000),
        tokenizer="chars",
        vocab_order="first-appearance",
        valid_fraction=0,
        test_fraction=0,
    )
    weights = network(len(corpus.vocab), 256)
    for epoch in range(1, epochs + 1):
        losses = list(train(weights, corpus.train, epochs=1))
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f} nats per character")
        print(" ", write(weights, corpus.vocab, 200).replace("\n", " "))


if __name__ == "__main__":
    main()
