"""The Python package next to the command: training, scores, states, and a network from operations.

Usage: python python_speed.py RONDO DATA MODEL [--torch]

RONDO is the command, DATA the folder of Penn Treebank, MODEL a run or model file of words. The package `rondo-lm` must be
installed as a release build. Runs alternate; the medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

import rondo

ROUNDS = 3
LINES = 10_000
STEPS = 400


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def training(command: str, data: str) -> tuple[float, float]:
    """Tokens per second of the command, and of the package."""
    sizes = {"hidden_size": 128, "max_steps": STEPS, "epochs": 1}
    speeds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            flags = [f"--{key.replace('_', '-')}={value}" for key, value in sizes.items()]
            run = [command, "train", "--data", data, *flags, "--out", f"{folder}/run"]
            said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
            line = next(line for line in said.splitlines() if "in training" in line)
            speeds[0].append(float(line.split()[1].replace(",", "")))
        with tempfile.TemporaryDirectory() as folder:
            results = rondo.train(data, out=f"{folder}/run", progress=False, **sizes).results
            speeds[1].append(results["tokens"] / results["training_s"])
    return statistics.median(speeds[0]), statistics.median(speeds[1])


def scores(command: str, data: str, path: str) -> tuple[float, float]:
    """Seconds for 10,000 lines: of the command, and of the package, both with opening the model."""
    lines = (Path(data) / "ptb.train.txt").read_text().splitlines()[:LINES]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "lines.txt"
        text.write_text("".join(f"{line}\n" for line in lines))
        run = [command, "score", "--model", path, str(text)]
        times = [
            (
                seconds(lambda: subprocess.run(run, stdout=subprocess.DEVNULL, check=True)),
                seconds(lambda: rondo.open(path).score(lines)),
            )
            for _ in range(ROUNDS)
        ]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times)


def advances(path: str, count: int = 32, calls: int = 100) -> float:
    """Microseconds of a call for some states, on one thread."""
    model = rondo.open(path, threads=1)
    states, size = [model.begin()] * count, model.vocab_size
    times = []
    for call in range(calls):
        tokens = [(call * 7919 + i * 104729) % size for i in range(count)]
        start = time.perf_counter()
        states, _ = model.advance(states, tokens)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def torch_advances(path: str, count: int = 32, calls: int = 100) -> float:
    """The same in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    weights = {name: torch.from_numpy(value) for name, value in rondo.open(path).state_dict().items()}
    embedding = weights["embedding.weight"]
    layers = sum(name.endswith("weight_hh") for name in weights)
    hidden = weights["rnn.0.weight_hh"].shape[1]
    rnn = nn.LSTM(embedding.shape[1], hidden, layers)
    decoder = weights.get("decoder.weight", embedding).T.contiguous()
    state = tuple(torch.zeros(layers, count, hidden) for _ in range(2))
    times = []
    with torch.no_grad():
        for layer in range(layers):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                getattr(rnn, f"{kind}_l{layer}").copy_(weights[f"rnn.{layer}.{kind}"])
        for call in range(calls):
            tokens = torch.tensor([(call * 7919 + i * 104729) % len(embedding) for i in range(count)])
            start = time.perf_counter()
            output, state = rnn(embedding[tokens][None], state)
            torch.addmm(weights["decoder.bias"], output[0], decoder).log_softmax(-1).numpy()
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def network(steps: int = 64, batch: int = 32, vocab: int = 77, width: int = 256, calls: int = 60) -> float:
    """Tokens per second of the tutorial's network from operations."""
    rng = np.random.default_rng(1)
    weights = rondo.nn.Parameters()
    shapes = {"wxh": (vocab, width), "whh": (width, width), "bh": (1, width), "why": (width, vocab), "by": (1, vocab)}
    for name, shape in shapes.items():
        weights.add(name, rng.normal(0, 0.01, shape).astype(np.float32))
    state = np.zeros((batch, width), np.float32)
    ids = rng.integers(0, vocab, (steps + 1, batch)).astype(np.uint32)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        tape = rondo.nn.Tape(weights)
        wxh, whh, bh, why, by = (tape.parameter(name) for name in weights)
        h, hidden = tape.constant(state), []
        for row in ids[:-1]:
            x = tape.product(tape.one_hot(row, vocab), wxh)
            h = tape.tanh(tape.add_row(tape.add(x, tape.product(h, whh)), bh))
            hidden.append(h)
        logits = tape.add_row(tape.product(tape.concat_rows(hidden), why), by)
        _, (state,) = tape.backward(logits, ids[1:].ravel(), outputs=[h])
        weights.sgd(0.1, clip_norm=1.0)
        times.append(time.perf_counter() - start)
    return steps * batch / statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rondo")
    parser.add_argument("data")
    parser.add_argument("model")
    parser.add_argument("--torch", action="store_true", help="measure PyTorch's steps, too")
    args = parser.parse_args()
    command, package = training(args.rondo, args.data)
    print(f"training: command {command:,.0f} tokens/s, package {package:,.0f} ({package / command:.3f})")
    command, package = scores(args.rondo, args.data, args.model)
    print(f"{LINES:,} lines: command {command:.2f} s, package {package:.2f} s ({package / command:.3f})")
    print(f"32 states, one thread: {advances(args.model):,.0f} us")
    if args.torch:
        print(f"the same in PyTorch: {torch_advances(args.model):,.0f} us")
    bench = [args.rondo, "bench", "--workload", "W5", "--json"]
    print(f"network from operations: {network():,.0f} tokens/s; the command's fused one: {' '.join(bench)}")


if __name__ == "__main__":
    main()
