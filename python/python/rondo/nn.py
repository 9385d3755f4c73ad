"""Networks of your own: parameters, and a tape of operations on matrices.

A tape records operations without computing; `Tape.backward` computes all of them, and the gradients, in one
call without the GIL. A recurrent network that reads ``ids [T, B]`` and predicts ``targets [T, B]``:

>>> import numpy as np
>>> rng = np.random.default_rng(1)
>>> def random(rows, columns):
...     return rng.normal(0, 0.01, (rows, columns)).astype(np.float32)
>>> weights = Parameters(threads=1)
>>> for name, rows, columns in [("wxh", 5, 8), ("whh", 8, 8), ("bh", 1, 8), ("why", 8, 5), ("by", 1, 5)]:
...     weights.add(name, random(rows, columns))
>>> ids = np.array([[0, 1], [2, 3], [4, 0]], dtype=np.uint32)
>>> targets = np.array([[2, 3], [4, 0], [1, 1]], dtype=np.uint32)
>>> tape = Tape(weights)
>>> wxh, whh, bh, why, by = (tape.parameter(name) for name in weights)
>>> h = tape.constant(np.zeros((2, 8), np.float32))
>>> hidden = []
>>> for step in ids:
...     x = tape.product(tape.one_hot(step, 5), wxh)
...     h = tape.tanh(tape.add_row(tape.add(x, tape.product(h, whh)), bh))
...     hidden.append(h)
>>> logits = tape.add_row(tape.product(tape.concat_rows(hidden), why), by)
>>> losses, (state,) = tape.backward(logits, targets.ravel(), outputs=[h])
>>> losses.shape, state.shape, bool(abs(losses.mean() - np.log(5)) < 0.05)
((6,), (2, 8), True)
>>> norm = weights.sgd(0.1, clip_norm=1.0)
"""

from ._rondo import Generator, Parameters, Tape, Value

__all__ = ["Generator", "Parameters", "Tape", "Value"]
