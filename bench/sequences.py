#!/usr/bin/env python3
"""Measures models of sequences that are not text: the tables of docs/sequences.md.

    python3 bench/sequences.py logs runs/log-keys-1 normal.txt abnormal.txt
    python3 bench/sequences.py sessions runs/sessions-1 test.txt
    python3 bench/sequences.py molecules runs/molecules-1 smiles.txt

`logs` compares sessions that the model should find normal and abnormal: precision, recall and F1 by the number G of likely
keys and by thresholds of scores, and the areas under the ROC curves. `sessions` computes recall and mean reciprocal rank up
to 20 of every item but the first of a session, as GRU4Rec does. `molecules` generates molecules and counts those that are
valid, different, and not in the training text; it needs the package rdkit.
"""

import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
from typing import Callable, Dict, List, Sequence

import environments
from running import RunError

MAX_RANKS = (1, 3, 5, 7, 8, 9, 10, 12, 15)
LOWEST = (-4, -6, -8, -9, -10, -12)
PERPLEXITIES = (1.5, 1.75, 2, 2.25, 2.5, 3)
CUTOFF = 20


def main(arguments: List[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure models of sequences that are not text")
    parser.add_argument("--rondo", metavar="PATH", help="Rondo program [default: built from the checkout]")
    parser.add_argument("--threads", metavar="N", help="threads of Rondo [default: one per core]")
    commands = parser.add_subparsers(dest="command", required=True)
    logs = commands.add_parser("logs", help="abnormal sessions of a log")
    logs.add_argument("model", help="run folder or model file")
    logs.add_argument("normal", help="normal sessions that the model has not seen, one per line")
    logs.add_argument("abnormal", help="abnormal sessions, one per line")
    total = "also print precision and F1 for this number of normal sessions, with as many false alarms in 100"
    logs.add_argument("--normal-sessions", type=int, metavar="N", help=total)
    sessions = commands.add_parser("sessions", help="the next item of sessions")
    sessions.add_argument("model", help="run folder or model file")
    sessions.add_argument("test", help="sessions, one per line")
    molecules = commands.add_parser("molecules", help="generated molecules")
    molecules.add_argument("model", help="run folder or model file")
    molecules.add_argument("train", help="SMILES of the training text, one per line")
    molecules.add_argument("--samples", type=int, default=10_000, metavar="N", help="molecules [default: %(default)s]")
    given = parser.parse_args(arguments)
    rondo = [given.rondo or environments.build_rondo(3600)]
    threads = ["--threads", given.threads] if given.threads else []

    def run(command: str, *flags: str) -> str:
        done = subprocess.run([*rondo, command, "--model", given.model, *flags, *threads], capture_output=True)
        if done.returncode:
            raise RunError(done.stderr.decode("utf-8", "replace"))
        return done.stdout.decode("utf-8")

    try:
        {"logs": of_logs, "sessions": of_sessions, "molecules": of_molecules}[given.command](run, given)
    except RunError as error:
        print("error: %s" % error, file=sys.stderr)
        return 1
    return 0


def of_logs(run: Callable[..., str], given: argparse.Namespace) -> None:
    normal, abnormal = (read_scores(run, file) for file in (given.normal, given.abnormal))
    print("%d normal sessions, %d abnormal ones\n" % (len(normal), len(abnormal)))
    measures = (
        ("a key that is not among the G most likely", "worst_rank", "G = %s", MAX_RANKS),
        ("a key with a log-probability below", "lowest", "%s", [-threshold for threshold in LOWEST]),
        ("perplexity above", "perplexity", "%s", PERPLEXITIES),
    )
    more = given.normal_sessions
    heading = ["abnormal is", "", "recall", "false alarms", "precision", "F1"]
    heading += ["precision with %s normal ones" % format(more, ","), "F1"] if more else []
    print("| %s |\n|---|%s" % (" | ".join(heading), "--:|" * (len(heading) - 1)))
    for title, name, form, thresholds in measures:
        for place, threshold in enumerate(thresholds):
            flags = [[score[name] > threshold for score in scores] for scores in (normal, abnormal)]
            row = detection(*flags, len(normal)) + (detection(*flags, more)[2:] if more else [])
            shown = form % (-threshold if name == "lowest" else threshold)
            cells = [title if place == 0 else "", shown.replace("-", "−"), *("%.1f %%" % (100 * part) for part in row)]
            print("| %s |" % " | ".join(cells))
    print("\n| score | area under the ROC curve |\n|---|--:|")
    for title, name in (("worst rank", "worst_rank"), ("lowest log-probability", "lowest"), ("perplexity", "perplexity")):
        areas = area([score[name] for score in normal], [score[name] for score in abnormal])
        print("| %s | %.4f |" % (title, areas))


def read_scores(run: Callable[..., str], file: str) -> List[Dict[str, float]]:
    lines = run("score", "--max-rank", "1", "--per-token", "--json", file).splitlines()
    return [scores_of(json.loads(line)) for line in lines]


def scores_of(line: Dict) -> Dict[str, float]:
    """How odd a session is, by each measure; unknown keys are never among the most likely."""
    tokens = line["log_probs"]
    ranks = (float("inf") if token.get("unknown") else token["rank"] for token in tokens)
    lowest = max(-token["log_prob"] for token in tokens)
    return {"worst_rank": max(ranks), "lowest": lowest, "perplexity": math.exp(-line["log_prob"] / len(tokens))}


def detection(normal: Sequence[bool], abnormal: Sequence[bool], normal_sessions: int) -> List[float]:
    """Recall, the fraction of normal sessions that are flagged, and precision and F1 with this number of normal sessions."""
    recall, false_alarms = sum(abnormal) / len(abnormal), sum(normal) / len(normal)
    flagged = sum(abnormal) + false_alarms * normal_sessions
    precision = sum(abnormal) / flagged if flagged else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return [recall, false_alarms, precision, f1]


def area(low: Sequence[float], high: Sequence[float]) -> float:
    """The probability that a score of `high` is above one of `low`, ties counted as half."""
    both = sorted([(score, 0) for score in low] + [(score, 1) for score in high])
    below, wins, start = 0, 0.0, 0
    while start < len(both):
        end = start
        while end < len(both) and both[end][0] == both[start][0]:
            end += 1
        highs = sum(label for _, label in both[start:end])
        lows = end - start - highs
        wins += highs * (below + lows / 2)
        below, start = below + lows, end
    return wins / (len(low) * len(high))


def of_sessions(run: Callable[..., str], given: argparse.Namespace) -> None:
    cutoffs = range(1, CUTOFF + 1)
    with tempfile.TemporaryDirectory() as folder:
        excluded = pathlib.Path(folder) / "excluded.txt"
        excluded.write_text("<eos>\n<unk>\n")
        flags = ["--top-k", ",".join(map(str, cutoffs)), "--exclude", str(excluded), "--json"]
        ranks = json.loads(run("eval", given.test, *flags))["ranks"]
    with open(given.test, encoding="utf-8") as file:
        lines = sum(1 for line in file if line.strip())
    items, recall, reciprocal = next_items(ranks, lines)
    print("%d items after the first of %d sessions\n" % (items, lines))
    print("| recall at %d | MRR at %d |\n|--:|--:|" % (CUTOFF, CUTOFF))
    print("| %.2f %% | %.2f %% |" % (100 * recall, 100 * reciprocal))


def next_items(ranks: Dict, lines: int):
    """The number of items but the first of each line, their recall, and their mean reciprocal rank, up to the cutoff.

    The line end of each line counts as a miss in what `rondo eval` prints, so it is taken out of the numbers of tokens.
    """
    first = ranks["by_position"][0]
    items = ranks["tokens"] - first["tokens"] - lines
    found = [0.0]
    for cutoff in map(str, range(1, CUTOFF + 1)):
        found.append(ranks["accuracy"][cutoff] * ranks["tokens"] - first["accuracy"][cutoff] * first["tokens"])
    reciprocal = sum((found[k] - found[k - 1]) / k for k in range(1, CUTOFF + 1))
    return items, found[CUTOFF] / items, reciprocal / items


def of_molecules(run: Callable[..., str], given: argparse.Namespace) -> None:
    try:
        from rdkit import Chem, RDLogger
    except ImportError:
        raise RunError("the package rdkit is missing: `pip install rdkit`") from None
    RDLogger.DisableLog("rdApp.*")

    def canonical(smiles: str):
        molecule = Chem.MolFromSmiles(smiles)
        return Chem.MolToSmiles(molecule) if molecule and molecule.GetNumAtoms() else None

    generated = run("generate", "--lines", str(given.samples)).splitlines()
    with open(given.train, encoding="utf-8") as file:
        known = {canonical(line.strip()) for line in file}
    valid, different, new = molecule_counts([canonical(smiles) for smiles in generated], known)
    print("| molecules | valid | of these different | of these not in the training text |\n|--:|--:|--:|--:|")
    print("| %d | %.1f %% | %.1f %% | %.1f %% |" % (len(generated), 100 * valid, 100 * different, 100 * new))


def molecule_counts(molecules: List, known: set):
    """The fraction of valid molecules, of these the fraction of different ones, of these that of new ones."""
    valid = [molecule for molecule in molecules if molecule]
    different = set(valid)
    return (
        len(valid) / len(molecules),
        len(different) / max(len(valid), 1),
        len(different - known) / max(len(different), 1),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
