#!/usr/bin/env python3
"""Measures how training and evaluation speed depends on the sizes and the number of threads: a table and a plot.

    python3 bench/scaling.py --out DIR

Each point varies one size of W1 and is a process of `rondo bench`, which measures training, evaluation and the
machine's limits in turn. Each point is compared with the expected speed

    tokens/s = fraction · FMA peak / FLOP per token

where `fraction` is the fraction of the peak that W1 itself reaches: as if every size used the machine as well as W1
does. The peak is assumed to grow with the number of threads. Where a curve differs from the expected one, that size
uses the machine better or worse than W1.

Writes to DIR: `points.jsonl` (one line per process), `scaling.md`, and `scaling.svg`, which needs matplotlib from an
environment that is created for it. The exit codes are the same as for `compare.py`.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shlex
import signal
import statistics
import sys
from typing import Dict, List, Optional, Tuple

import environments
import machine
from compare import interrupted, positive
from peers.workloads import PASSES_OF_TRAINING, WORKLOADS, Workload, forward_flops_per_token
from report import count, share
from running import RunError, run, text_of

DRAWING = pathlib.Path(__file__).resolve().parent / "scaling_plot.py"
FIGURES = {"train_tok_s": "training", "eval_tok_s": "evaluation"}
W1 = WORKLOADS["W1"]


@dataclasses.dataclass(frozen=True)
class Axis:
    """A size that is varied."""

    flag: str
    title: str
    values: Tuple[int, ...]
    usual: int  # The value in W1.


def axes(threads: int, quick: bool) -> List[Axis]:
    """The sizes to vary and their values; `threads` is the number used for W1, and the maximum."""
    counts = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, threads}
    found = [
        Axis("batch-size", "batch size B", (1, 2, 4, 8, 16, 20, 32, 64, 128), W1.batch_size),
        Axis("bptt", "sequence length T", (5, 10, 20, 35, 70, 140), W1.bptt),
        Axis("hidden-size", "hidden size H", (50, 100, 200, 400, 650, 800, 1150, 1600), W1.hidden_size),
        Axis("vocab-size", "vocabulary size V", (1000, 4000, 10000, 33278, 64000, 128000), W1.vocab_size),
        Axis("threads", "threads", tuple(sorted(n for n in counts if n <= threads)), threads),
    ]
    if quick:
        return [dataclasses.replace(axis, values=tuple(sorted({axis.values[0], axis.usual}))) for axis in found]
    return found


def forward_flops(flag: str, value: float) -> float:
    """FLOP per token of the forward pass in W1 with one size changed; B, T and threads do not affect it."""
    changed: Workload = W1
    if flag == "hidden-size":  # With tied weights the embedding has the same size.
        changed = dataclasses.replace(W1, hidden_size=value, embedding_size=value)
    elif flag == "vocab-size":
        changed = dataclasses.replace(W1, vocab_size=value)
    return forward_flops_per_token(changed)


def expected(axis: Axis, value: float, usual_tok_s: float) -> float:
    """The expected speed: W1's, scaled by the FLOP per token and the number of threads."""
    scale = forward_flops(axis.flag, axis.usual) / forward_flops(axis.flag, value)
    return usual_tok_s * scale * (value / axis.usual if axis.flag == "threads" else 1)


class Measurement:
    """The points of all axes, each measured once per round."""

    def __init__(self, rondo: str, arguments: argparse.Namespace):
        self.rondo, self.given = rondo, arguments
        self.threads = arguments.threads or os.cpu_count() or 1
        self.axes = axes(self.threads, arguments.quick)
        self.records: List[dict] = []

    def points(self) -> List[Tuple[Optional[str], int]]:
        """The flag and value of each point; the first is W1 itself, which is on every axis."""
        varied = [(axis.flag, value) for axis in self.axes for value in axis.values if value != axis.usual]
        return [(None, 0), *varied]

    def measure(self) -> None:
        """Runs all points, one round after another, so that a slow hour does not affect a single curve."""
        rounds = 1 if self.given.quick else self.given.rounds
        plan = [(number, *point) for number in range(1, rounds + 1) for point in self.points()]
        for position, (number, flag, value) in enumerate(plan, 1):
            name = "W1" if flag is None else "%s %d" % (flag, value)
            print("[%d/%d] round %d, %s: " % (position, len(plan), number, name), end="", file=sys.stderr, flush=True)
            command = [self.rondo, "bench", "--workload", "W1", "--phase", "train,eval", "--json", "--quiet"]
            command += [] if flag == "threads" else ["--threads", str(self.threads)]
            command += [] if flag is None else ["--" + flag, str(value)]
            command += ["--rounds", "1", "--seconds", "0.1"] if self.given.quick else []
            outcome = run(command + shlex.split(self.given.rondo_arguments), self.given.timeout)
            self.keep(dict(flag=flag, value=value, round=number, **vars(outcome)))
            figures = outcome.figures or {}
            words = [count(figures.get(figure)) for figure in FIGURES]
            print(outcome.failure or "training %s, evaluation %s tokens/s" % tuple(words), file=sys.stderr)

    def keep(self, record: dict) -> None:
        self.records.append(record)
        with open(self.given.out / "points.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def median(self, axis: Axis, value: int, figure: str) -> Optional[float]:
        """A point's median over rounds, or None if not measured."""
        point = (None, 0) if value == axis.usual else (axis.flag, value)
        matching = (record for record in self.records if (record["flag"], record["value"]) == point)
        values = [(record["figures"] or {}).get(figure) for record in matching]
        values = [number for number in values if isinstance(number, (int, float))]
        return statistics.median(values) if values else None

    def curves(self) -> List[dict]:
        """Each axis with its measured points and its expected curve, in the format of `scaling_plot.py`."""
        found = []
        for axis in self.axes:
            panel: Dict[str, object] = dict(title=axis.title, usual=axis.usual, curves=[])
            for figure, name in FIGURES.items():
                usual = self.median(axis, axis.usual, figure)
                points = [(value, self.median(axis, value, figure)) for value in axis.values]
                law = [(x, expected(axis, x, usual)) for x in between(axis.values)] if usual else []
                measured = [point for point in points if point[1] is not None]
                panel["curves"].append(dict(name=name, points=measured, law=law))
            found.append(panel)
        return found

    def tables(self) -> str:
        """The points in Markdown, one table per axis."""
        origin = self.axes[0]
        limits = [self.median(origin, origin.usual, key) for key in ("share_of_fma_peak", "fma_peak_gflops")]
        numbers = (self.threads, share(limits[0]), count(limits[1]))
        lines = ["# How speed depends on the sizes", ""]
        lines += ["Each table varies one size of W1."]
        lines += ["The base is W1 with `--threads %d`, which trains at %s of an FMA peak of %s GFLOP/s." % numbers]
        lines += ["*Expected* is the speed at W1's fraction of the peak; *of expected* is the measured fraction of it."]
        for axis in self.axes:
            header = [axis.title]
            for name in FIGURES.values():
                header += ["%s, tokens/s" % name, "expected", "of expected", "GFLOP/s"]
            lines += ["", "| %s |" % " | ".join(header), "|" + "--:|" * len(header)]
            lines += ["| %s |" % " | ".join(self.row(axis, value)) for value in axis.values]
        failed = [record for record in self.records if record["failure"]]
        names = ["%s %s: %s" % (r["flag"] or "W1", r["value"] or "", r["failure"]) for r in failed]
        lines += ["", *("- %s, round %d." % (name, r["round"]) for name, r in zip(names, failed))] if failed else []
        return "\n".join(lines) + "\n"

    def row(self, axis: Axis, value: int) -> List[str]:
        cells = ["**%d**" % value if value == axis.usual else str(value)]
        for figure in FIGURES:
            measured, usual = self.median(axis, value, figure), self.median(axis, axis.usual, figure)
            law = usual and expected(axis, value, usual)
            passes = PASSES_OF_TRAINING if figure == "train_tok_s" else 1
            gflops = measured and measured * passes * forward_flops(axis.flag, value) / 1e9
            cells += [count(measured), count(law), share(measured / law if measured and law else None), count(gflops)]
        return cells


def between(values: Tuple[int, ...]) -> List[float]:
    """41 values from the smallest to the largest of `values`, evenly spaced on a logarithmic scale."""
    low, high = min(values), max(values)
    return [low * (high / low) ** (step / 40) for step in range(41)] if high > low else [low]


def draw(panels: List[dict], given: argparse.Namespace) -> None:
    """Draws `scaling.svg`; raises `RunError` if that fails."""
    environments.prepare(given.environments, "plot", sys.executable, given.setup_timeout)
    drawn = given.out / "curves.json"
    drawn.write_text(json.dumps(panels), encoding="utf-8")
    python = environments.python_of(given.environments, "plot")
    try:
        text_of([python, str(DRAWING), str(drawn), str(given.out / "scaling.svg")], given.timeout)
    finally:
        drawn.unlink()


def parse_arguments(command_line: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how speed depends on sizes and threads, around W1")
    add = parser.add_argument
    add("--out", type=pathlib.Path, metavar="DIR", required=True, help="folder for the table and the plot")
    add("--rounds", type=positive, metavar="N", default=3, help="number of rounds over all points [default: 3]")
    add("--threads", type=positive, metavar="N", help="number of threads, also the maximum tried [default: all cores]")
    add("--quick", action="store_true", help="two short points per curve, as a test")
    add("--no-plot", action="store_true", help="skip the plot, so that nothing is installed")
    add("--rondo", metavar="PATH", help="Rondo program [default: built from the checkout]")
    add("--rondo-arguments", metavar="'…'", default="", help="additional arguments for each `rondo bench`")
    add("--timeout", type=float, metavar="S", default=300, help="time limit of a process, in seconds [default: 300]")
    setup = "time limit of a build or an installation, in seconds [default: 3600]"
    add("--setup-timeout", type=float, metavar="S", default=3600, help=setup)
    folder = environments.default_folder()
    add("--environments", type=pathlib.Path, metavar="DIR", default=folder, help="folder of matplotlib's environment")
    return parser.parse_args(command_line)


def main(command_line: List[str]) -> int:
    given, status = parse_arguments(command_line), 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    warning = machine.load_warning()
    if warning:
        print("warning: " + warning, file=sys.stderr)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "points.jsonl").unlink(missing_ok=True)
    try:
        measurement = Measurement(given.rondo or environments.build_rondo(given.setup_timeout), given)
    except RunError as error:
        print("error: could not build Rondo\n  cause: %s" % error, file=sys.stderr)
        return 1
    try:
        measurement.measure()
    except KeyboardInterrupt:
        print("\ninterrupted: the results so far are kept", file=sys.stderr)
        status = 130
    text = measurement.tables()
    (given.out / "scaling.md").write_text(text, encoding="utf-8")
    print(text, end="")
    try:
        if not given.no_plot:
            draw(measurement.curves(), given)
    except RunError as error:
        print("error: could not draw the plot\n  cause: %s" % error, file=sys.stderr)
        status = status or 1
    return status or int(any(record["failure"] for record in measurement.records))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
