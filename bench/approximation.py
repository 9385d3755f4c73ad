#!/usr/bin/env python3
"""Compares exact and approximate scores of a model: how far they differ on a text, and how fast they are.

    python3 bench/approximation.py runs/wikitext2-fast-1 wikitext-2/test.txt --rounds 3 --filter

Each line of the text is scored as a sentence. Every round runs each side once, in turn, as a process of its own; the
speed is that of the whole process, with the loading of the model, and the median of the rounds is printed. With
`--kenlm-python` and `--arpa`, KenLM scores the same lines through its Python package; its speed is without loading.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import sys
import time
from typing import List, Sequence

import environments
from running import RunError, text_of

KENLM = """
import json, sys, time, kenlm
model = kenlm.Model(sys.argv[1])
lines = open(sys.argv[2], encoding="utf-8").read().splitlines()
start = time.perf_counter()
for line in lines:
    model.score(line)
print(json.dumps({"seconds": time.perf_counter() - start}))
"""


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description="Compare exact and approximate scores of a model")
    parser.add_argument("model", help="model file or run folder, with a fitted normalizer")
    parser.add_argument("text", type=pathlib.Path, help="text to score, one sentence per line")
    parser.add_argument("--rounds", type=int, metavar="N", default=3, help="rounds of all sides [default: 3]")
    parser.add_argument("--threads", metavar="N", help="threads of Rondo [default: one per core]")
    parser.add_argument("--precision", metavar="P", default="f32", help="f32 or bf16 [default: f32]")
    parser.add_argument("--filter", action="store_true", help="also time `rondo filter --approximate`")
    parser.add_argument("--arpa", metavar="FILE", help="n-gram model for KenLM")
    parser.add_argument("--kenlm-python", metavar="PYTHON", help="interpreter that has the package kenlm")
    parser.add_argument("--rondo", metavar="PATH", help="Rondo program [default: built from the checkout]")
    given = parser.parse_args(arguments)
    try:
        measure(given)
    except RunError as error:
        print("error: %s" % error, file=sys.stderr)
        return 1
    return 0


def measure(given: argparse.Namespace) -> None:
    rondo = given.rondo or environments.build_rondo(3600)
    shared = ["--precision", given.precision] + (["--threads", given.threads] if given.threads else [])
    score = [rondo, "score", "--json", *shared, "--model", given.model, str(given.text)]
    sides = {"exact": score, "approximate": [*score, "--approximate"]}
    if given.filter:
        sides["filter"] = [rondo, "filter", *shared, given.model, str(given.text), "--approximate"]
    seconds = {side: [] for side in sides}
    kenlm = []
    scored = {}
    for _ in range(given.rounds):
        for side, command in sides.items():
            start = time.perf_counter()
            output = text_of(command, 24 * 3600)
            seconds[side].append(time.perf_counter() - start)
            scored[side] = output
        if given.arpa and given.kenlm_python:
            command = [given.kenlm_python, "-c", KENLM, given.arpa, str(given.text)]
            kenlm.append(json.loads(text_of(command, 3600))["seconds"])
    exact, approximate = records(scored["exact"]), records(scored["approximate"])
    print("| sentences | perplexity, exact | approximate | difference | sentence's perplexity, mean error | Spearman |")
    print("|--:|--:|--:|--:|--:|--:|\n" + agreement_row(exact, approximate) + "\n")
    tokens, size = sum(line["tokens"] for line in exact), os.path.getsize(given.text)
    print("| | seconds | tokens/s | MB/s | |\n|---|--:|--:|--:|--:|")
    for side, times in [*seconds.items(), *([("KenLM", kenlm)] if kenlm else [])]:
        median = statistics.median(times)
        ratio = statistics.median(seconds["exact"]) / median
        print("| %s | %.2f | %.0f | %.3f | %.2f × |" % (side, median, tokens / median, size / median / 1e6, ratio))


def records(output: str) -> List[dict]:
    """The scored lines that are neither blank nor impossible."""
    lines = [json.loads(line) for line in output.splitlines()]
    return [line for line in lines if line["tokens"] > 1 and line["log_prob"] is not None]


def agreement_row(exact: Sequence[dict], approximate: Sequence[dict]) -> str:
    """How well two scores of the same sentences agree, as a row of the table."""
    tokens = [line["tokens"] for line in exact]
    one, other = ([line["log_prob"] for line in lines] for lines in (exact, approximate))
    whole = [math.exp(-sum(scores) / sum(tokens)) for scores in (one, other)]
    errors = [abs(math.expm1((a - b) / count)) for a, b, count in zip(one, other, tokens)]
    # Scores per token, so that the correlation is not one of lengths.
    rho = spearman(*([score / count for score, count in zip(scores, tokens)] for scores in (one, other)))
    difference, error = 100 * (whole[1] / whole[0] - 1), 100 * statistics.fmean(errors)
    return "| %d | %.2f | %.2f | %+.2f %% | %.2f %% | %.5f |" % (len(exact), *whole, difference, error, rho)


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks."""
    return correlation(ranks(one), ranks(other))


def ranks(values: Sequence[float]) -> List[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    found, start = [0.0] * len(values), 0
    while start < len(order):
        end = start
        while end < len(order) and values[order[end]] == values[order[start]]:
            end += 1
        for index in order[start:end]:
            found[index] = (start + end - 1) / 2
        start = end
    return found


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    means = statistics.fmean(one), statistics.fmean(other)
    one, other = [value - means[0] for value in one], [value - means[1] for value in other]
    product = sum(a * b for a, b in zip(one, other))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
