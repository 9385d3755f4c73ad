#!/usr/bin/env python3
"""How tokens/s of training and evaluation change with batch rows, steps, widths and threads: a table and a picture.

    python3 bench/scaling.py --out DIR

One size at a time is varied around W1; each point is a process of `rondo bench`, which measures training, evaluation
and the machine's limits in turn. With each point stands the law that one expects,

    tokens/s = share · FMA peak / FLOP per token

where the share of the peak is the one that W1 itself reaches: as if every size used the machine as well as W1 does.
The peak is taken to grow with the threads. Where a curve leaves its law, the machine is used differently.

Leaves in DIR: `points.jsonl` (a line for each process), `scaling.md`, and `scaling.svg`, which needs matplotlib from an
environment that is made for it. Exit codes are those of `compare.py`.
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
    usual: int  # W1's.


def axes(threads: int, quick: bool) -> List[Axis]:
    """What is varied, and over which values; `threads` is how many W1 is measured with and the most there are."""
    counts = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, threads}
    found = [
        Axis("batch-size", "batch rows B", (1, 2, 4, 8, 16, 20, 32, 64, 128), W1.batch_size),
        Axis("bptt", "time steps T", (5, 10, 20, 35, 70, 140), W1.bptt),
        Axis("hidden-size", "hidden units H", (50, 100, 200, 400, 650, 800, 1150, 1600), W1.hidden_size),
        Axis("vocab-size", "vocabulary V", (1000, 4000, 10000, 33278, 64000, 128000), W1.vocab_size),
        Axis("threads", "threads", tuple(sorted(n for n in counts if n <= threads)), threads),
    ]
    if quick:
        return [dataclasses.replace(axis, values=tuple(sorted({axis.values[0], axis.usual}))) for axis in found]
    return found


def forward_flops(flag: str, value: float) -> float:
    """FLOP of a token's forward pass in W1 with one size changed; rows, steps and threads do not change it."""
    changed: Workload = W1
    if flag == "hidden-size":  # The weights are tied: the embedding grows along.
        changed = dataclasses.replace(W1, hidden_size=value, embedding_size=value)
    elif flag == "vocab-size":
        changed = dataclasses.replace(W1, vocab_size=value)
    return forward_flops_per_token(changed)


def expected(axis: Axis, value: float, usual_tok_s: float) -> float:
    """The law: W1's tokens/s by what a token costs less, and by threads."""
    scale = forward_flops(axis.flag, axis.usual) / forward_flops(axis.flag, value)
    return usual_tok_s * scale * (value / axis.usual if axis.flag == "threads" else 1)


class Measurement:
    """The points of all axes, each measured once a round."""

    def __init__(self, rondo: str, arguments: argparse.Namespace):
        self.rondo, self.given = rondo, arguments
        self.threads = arguments.threads or os.cpu_count() or 1
        self.axes = axes(self.threads, arguments.quick)
        self.records: List[dict] = []

    def points(self) -> List[Tuple[Optional[str], int]]:
        """Flag and value of each point; the first is W1 itself, which stands on every axis."""
        varied = [(axis.flag, value) for axis in self.axes for value in axis.values if value != axis.usual]
        return [(None, 0), *varied]

    def measure(self) -> None:
        """Runs all points, round after round, so that a slower hour is no one curve's."""
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
        """A point's median over rounds, if it has been measured."""
        point = (None, 0) if value == axis.usual else (axis.flag, value)
        matching = (record for record in self.records if (record["flag"], record["value"]) == point)
        values = [(record["figures"] or {}).get(figure) for record in matching]
        values = [number for number in values if isinstance(number, (int, float))]
        return statistics.median(values) if values else None

    def curves(self) -> List[dict]:
        """Each axis with its measured points and its law, as the drawing wants them."""
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
        """The points in Markdown, a table for each axis."""
        origin = self.axes[0]
        limits = [self.median(origin, origin.usual, key) for key in ("share_of_fma_peak", "fma_peak_gflops")]
        numbers = (self.threads, share(limits[0]), count(limits[1]))
        lines = ["# How tokens/s grow with sizes", ""]
        lines += ["Around W1 with `--threads %d`, which trains at %s of an FMA peak of %s GFLOP/s." % numbers]
        lines += ["*Law* is the share of the peak that W1 reaches, at what a token costs; *of it* the measured part."]
        for axis in self.axes:
            header = [axis.title]
            for name in FIGURES.values():
                header += ["%s, tokens/s" % name, "law", "of it", "GFLOP/s"]
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
    """Some forty numbers from the smallest to the largest of `values`, each the same multiple of the one before."""
    low, high = min(values), max(values)
    return [low * (high / low) ** (step / 40) for step in range(41)] if high > low else [low]


def draw(panels: List[dict], given: argparse.Namespace) -> None:
    """Draws `scaling.svg`; raises `RunError` if that cannot be done."""
    environments.prepare(given.environments, "plot", sys.executable, given.setup_timeout)
    drawn = given.out / "curves.json"
    drawn.write_text(json.dumps(panels), encoding="utf-8")
    python = environments.python_of(given.environments, "plot")
    try:
        text_of([python, str(DRAWING), str(drawn), str(given.out / "scaling.svg")], given.timeout)
    finally:
        drawn.unlink()


def parse_arguments(command_line: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure how speed grows with sizes and threads, around W1")
    add = parser.add_argument
    add("--out", type=pathlib.Path, metavar="DIR", required=True, help="folder for the table and the picture")
    add("--rounds", type=positive, metavar="N", default=3, help="rounds over all points [default: 3]")
    add("--threads", type=positive, metavar="N", help="for all, and the most that are tried [default: all cores]")
    add("--quick", action="store_true", help="two short points of each curve, to see that it works")
    add("--no-plot", action="store_true", help="no picture, so that nothing has to be installed")
    add("--rondo", metavar="PATH", help="this program [default: built from the checkout]")
    add("--rondo-arguments", metavar="'…'", default="", help="more arguments for each `rondo bench`")
    add("--timeout", type=float, metavar="S", default=300, help="seconds that a process may take [default: 300]")
    add("--setup-timeout", type=float, metavar="S", default=3600, help="and a build or installation [default: 3600]")
    folder = environments.default_folder()
    add("--environments", type=pathlib.Path, metavar="DIR", default=folder, help="where matplotlib is or is put")
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
        print("\ninterrupted: what was measured is kept", file=sys.stderr)
        status = 130
    text = measurement.tables()
    (given.out / "scaling.md").write_text(text, encoding="utf-8")
    print(text, end="")
    try:
        if not given.no_plot:
            draw(measurement.curves(), given)
    except RunError as error:
        print("error: could not draw the picture\n  cause: %s" % error, file=sys.stderr)
        status = status or 1
    return status or int(any(record["failure"] for record in measurement.records))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
