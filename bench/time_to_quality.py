#!/usr/bin/env python3
"""Measures how long a fast recipe takes to its quality, and computes how long PyTorch would take with the tutorial's recipe.

    python3 bench/time_to_quality.py wikitext2-fast --data wikitext-2 --seeds 1,2

Rondo's runs are complete: the seconds are those of the whole process, from reading the texts to the last evaluation.
PyTorch's time is computed from the speed of its training and evaluation, measured here on the workload with the
tutorial's model, and the number of tokens that the tutorial's recipe trains on and evaluates. It has no start-up and
no reading of texts.
"""

import argparse
import dataclasses
import pathlib
import statistics
import sys
import tempfile
from typing import List

import environments
from running import RunError, run
from sides import Options, peer_sides


@dataclasses.dataclass(frozen=True)
class Tutorial:
    """A published recipe that reaches the same quality."""

    title: str
    workload: str  # Has its model and batches.
    epochs: int
    train_tokens: int
    evaluated_tokens: int  # After each epoch.

    def seconds(self, train_tokens_per_s: float, evaluated_tokens_per_s: float) -> float:
        """The time of the recipe at these speeds."""
        epoch = self.train_tokens / train_tokens_per_s + self.evaluated_tokens / evaluated_tokens_per_s
        return self.epochs * epoch


TUTORIALS = {
    "wikitext2-fast": Tutorial(
        "GluonNLP's standard_lstm_lm_200, 3 epochs", "W1", 3, 2_088_628, 217_646 + 245_569
    ),
    "wikitext2-fast-108": Tutorial(
        "GluonNLP's standard_lstm_lm_200, 35 epochs", "W1", 35, 2_088_628, 217_646 + 245_569
    ),
}


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the time that fast recipes take to their quality")
    parser.add_argument("recipe", choices=sorted(TUTORIALS), help="fast recipe with a tutorial to compare with")
    parser.add_argument("--data", metavar="DIR", help="folder of the corpus")
    parser.add_argument("--seeds", metavar="S1,S2,…", default="1,2", help="seeds of the runs [default: %(default)s]")
    parser.add_argument("--rounds", type=int, metavar="N", default=3, help="rounds of PyTorch's speed [default: 3]")
    parser.add_argument("--rondo", metavar="PATH", help="Rondo program [default: built from the checkout]")
    parser.add_argument("--rondo-arguments", metavar="'…'", default="", help="additional arguments for `rondo train`")
    folder = "folder of PyTorch's environment, created if missing [default: %(default)s]"
    default = environments.default_folder()
    parser.add_argument("--environments", type=pathlib.Path, metavar="DIR", default=default, help=folder)
    parser.add_argument("--python", metavar="PYTHON", default=sys.executable, help="its interpreter [default: this]")
    parser.add_argument("--torch-python", metavar="PYTHON", help="interpreter that has PyTorch, instead of an environment")
    given = parser.parse_args(arguments)
    try:
        measure(given)
    except RunError as error:
        print("error: %s" % error, file=sys.stderr)
        return 1
    return 0


def measure(given: argparse.Namespace) -> None:
    rondo = given.rondo or environments.build_rondo(3600)
    python = given.torch_python
    if not python:
        environments.prepare(given.environments, "torch", given.python, 3600)
        python = environments.python_of(given.environments, "torch")
    tutorial = TUTORIALS[given.recipe]
    speeds = peer_speeds(python, tutorial.workload, given.rounds)
    print("| | seed | seconds | valid | test |\n|---|--:|--:|--:|--:|")
    for seed in given.seeds.split(","):
        figures, wall_s = rondo_run(rondo, given, seed)
        perplexities = [figures["valid_perplexity"], figures["test_perplexity"]]
        print("| Rondo, `%s` | %s | %.0f | %.2f | %.2f |" % (given.recipe, seed, wall_s, *perplexities), flush=True)
    for title, train, evaluate in speeds:
        seconds = tutorial.seconds(train, evaluate)
        print("| %s: %s (computed) | | %.0f | | |" % (title, tutorial.title, seconds))
        print("%s: %.0f tokens/s in training, %.0f in evaluation" % (title, train, evaluate), file=sys.stderr)


def rondo_run(rondo: str, given: argparse.Namespace, seed: str):
    """The results of a run, and the seconds of its process."""
    with tempfile.TemporaryDirectory() as folder:
        command = [rondo, "train", "--recipe", given.recipe, "--seed", seed, "--json", "--quiet"]
        command += ["--out", str(pathlib.Path(folder) / "run"), *given.rondo_arguments.split()]
        if given.data:
            command += ["--data", given.data]
        outcome = run(command, 24 * 3600)
        if outcome.failure:
            raise RunError(outcome.failure)
        return outcome.figures, outcome.wall_s


def peer_speeds(python: str, workload: str, rounds: int):
    """For each variant of PyTorch in f32: its title, and the medians of its speeds in training and in evaluation."""
    sides = [side for side in peer_sides({"torch": python}, workload, Options()) if side.precision == "f32"]
    figures = {side.key: [] for side in sides}
    for _ in range(rounds):
        for side in sides:
            outcome = run(side.command, 600, side.environment)
            if outcome.failure:
                raise RunError("%s: %s" % (side.title, outcome.failure))
            figures[side.key].append(outcome.figures)
    median = lambda key, name: statistics.median(line[name] for line in figures[key])
    return [(side.title, median(side.key, "train_tok_s"), median(side.key, "eval_tok_s")) for side in sides]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
