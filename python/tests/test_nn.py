"""Networks written with the tape agree with NumPy."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import rondo.data
import rondo.nn

sys.path.append(str(Path(__file__).parent.parent / "examples"))
import from_scratch  # noqa: E402

V, H, T, B = 7, 6, 5, 3
Array = npt.NDArray[np.float32]


def parameters() -> rondo.nn.Parameters:
    rng = np.random.default_rng(3)
    weights = rondo.nn.Parameters(threads=1)
    for name, shape in {"wxh": (V, H), "whh": (H, H), "bh": (1, H), "why": (H, V), "by": (1, V)}.items():
        weights.add(name, rng.normal(0, 0.5, shape).astype(np.float32))
    return weights


def tape_step(
    weights: rondo.nn.Parameters, state: Array, ids: npt.NDArray[np.uint32], targets: npt.NDArray[np.uint32]
) -> tuple[float, Array]:
    tape = rondo.nn.Tape(weights)
    wxh, whh, bh, why, by = (tape.parameter(name) for name in weights)
    h, hidden = tape.constant(state), []
    for step in ids:
        x = tape.product(tape.one_hot(step, V), wxh)
        h = tape.tanh(tape.add_row(tape.add(x, tape.product(h, whh)), bh))
        hidden.append(h)
    logits = tape.add_row(tape.product(tape.concat_rows(hidden), why), by)
    losses, (state,) = tape.backward(logits, targets.ravel(), outputs=[h])
    return float(losses.mean()), state


def numpy_step(
    w: dict[str, npt.NDArray[np.float64]], state: npt.NDArray[np.float64], ids: npt.NDArray[np.uint32],
    targets: npt.NDArray[np.uint32],
) -> tuple[float, npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]:
    """The same by hand, in float64."""
    states = [state]
    for step in ids:
        states.append(np.tanh(w["wxh"][step] + states[-1] @ w["whh"] + w["bh"]))
    hidden = np.concatenate(states[1:])
    logits = hidden @ w["why"] + w["by"]
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    rows = np.arange(T * B)
    loss = -log_probs[rows, targets.ravel()].mean()
    d_logits = np.exp(log_probs)
    d_logits[rows, targets.ravel()] -= 1
    d_logits /= T * B
    gradients = {name: np.zeros_like(value) for name, value in w.items()}
    gradients["why"], gradients["by"] = hidden.T @ d_logits, d_logits.sum(0, keepdims=True)
    d_hidden = (d_logits @ w["why"].T).reshape(T, B, H)
    later = np.zeros((B, H))
    for t in reversed(range(T)):
        d_sum = (d_hidden[t] + later) * (1 - states[t + 1] ** 2)
        np.add.at(gradients["wxh"], ids[t], d_sum)
        gradients["whh"] += states[t].T @ d_sum
        gradients["bh"] += d_sum.sum(0, keepdims=True)
        later = d_sum @ w["whh"].T
    return float(loss), states[-1], gradients


def test_ten_steps_of_the_tutorials_network_agree_with_numpy() -> None:
    weights = parameters()
    w = {name: weights[name].astype(np.float64) for name in weights}
    rng = np.random.default_rng(4)
    state, by_hand = np.zeros((B, H), np.float32), np.zeros((B, H))
    for _ in range(10):
        ids = rng.integers(0, V, (T, B)).astype(np.uint32)
        targets = rng.integers(0, V, (T, B)).astype(np.uint32)
        loss, state = tape_step(weights, state, ids, targets)
        expected, by_hand, gradients = numpy_step(w, by_hand, ids, targets)
        assert loss == pytest.approx(expected, rel=1e-5)
        assert np.allclose(state, by_hand, atol=1e-5)
        for name, gradient in weights.gradients().items():
            assert np.allclose(gradient, gradients[name], atol=1e-5), name
        norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
        assert weights.sgd(2.0, clip_norm=0.3) == pytest.approx(norm, rel=1e-4)
        for name in w:
            w[name] -= 2.0 * min(1, 0.3 / norm) * gradients[name]


def test_the_tutorial_has_the_losses_of_the_same_network_in_rust() -> None:
    corpus = rondo.data.read_corpus(
        rondo.data.tales(40, seed=1),
        tokenizer="chars",
        vocab_order="first-appearance",
        valid_fraction=0,
        test_fraction=0,
    )
    weights = from_scratch.network(len(corpus.vocab), 24, threads=2)
    losses = list(from_scratch.train(weights, corpus.train, epochs=2, batch_size=4, bptt=16))
    assert len(losses) == 100
    # Those of `crates/rondo/tests/from_scratch.rs`.
    assert [losses[0], losses[10], losses[99]] == pytest.approx([3.370055, 3.203741, 2.947618], abs=1e-5)
    text = from_scratch.write(weights, corpus.vocab, 50)
    assert len(text) == 51 and set(text) <= set(corpus.vocab)


def test_every_operation_computes_what_numpy_does() -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.normal(size=(4, 3)).astype(np.float32) for _ in range(2))
    tape = rondo.nn.Tape(parameters())
    x, y = tape.constant(a), tape.constant(b)
    sigmoid, softmax = 1 / (1 + np.exp(-a)), np.exp(a / 2) / np.exp(a / 2).sum(1, keepdims=True)
    expected = [
        (tape.add(x, y), a + b),
        (tape.multiply(x, y), a * b),
        (tape.scale(x, -1.5), -1.5 * a),
        (tape.tanh(x), np.tanh(a)),
        (tape.sigmoid(x), sigmoid),
        (tape.relu(x), np.maximum(a, 0)),
        (tape.softmax(x, temperature=2.0), softmax),
        (tape.slice_rows(x, 1, 3), a[1:3]),
        (tape.slice_columns(x, 0, 2), a[:, :2]),
        (tape.concat_columns([x, y]), np.concatenate([a, b], 1)),
        (tape.select_rows(x, np.array([2, 2, 0], np.uint32)), a[[2, 2, 0]]),
    ]
    found = tape.run([value for value, _ in expected])
    for (value, want), got in zip(expected, found):
        assert value.shape == got.shape and np.allclose(got, want, atol=1e-6)


def test_mistakes_are_exceptions() -> None:
    weights = parameters()
    tape = rondo.nn.Tape(weights)
    with pytest.raises(KeyError):
        tape.parameter("wxy")
    with pytest.raises(ValueError, match="cannot be multiplied"):
        tape.product(tape.parameter("wxh"), tape.parameter("by"))
    with pytest.raises(ValueError, match="is not below 7"):
        tape.one_hot(np.array([7], np.uint32), 7)
    with pytest.raises(ValueError, match="another tape"):
        rondo.nn.Tape(weights).tanh(tape.parameter("bh"))
    with pytest.raises(ValueError, match="targets"):
        tape.backward(tape.parameter("by"), np.array([1, 2], np.uint32))
    with pytest.raises(ValueError, match="already"):
        weights.add("by", np.zeros((1, 1), np.float32))
    with pytest.raises(ValueError, match="shape"):
        weights["by"] = np.zeros((2, 2), np.float32)
    weights["by"] += 1
    assert len(weights) == 5 and "by" in weights and list(weights)[0] == "wxh"


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(rondo.nn).failed == 0
