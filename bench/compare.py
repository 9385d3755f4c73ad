#!/usr/bin/env python3
"""Compares Rondo with its peers on one machine, in one run, in alternation, and prints the ratios.

    python3 bench/compare.py --workloads W1,W5 --rounds 3

For each workload and round every side runs once, one after the other (A B C A B C …), each in a fresh process, so that
a machine that slows down slows all of them. README.md beside this file says how to read the result. What needs more
than the standard library runs in environments of its own.

Exit codes: 0 all sides gave figures, 1 some did not, 2 wrong usage, 130 interrupted (what was measured is kept).
"""

import argparse
import datetime
import json
import pathlib
import shlex
import signal
import sys
import tempfile
from typing import Dict, List, Tuple

import environments
import machine
import report
from environments import ROOT
from peers.workloads import GENERATION, WORKLOADS
from running import RunError, run
from sides import Options, Side, peer_sides, rondo_sides

ALL = [*WORKLOADS, *GENERATION]


def parse_arguments(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Rondo with its peers and print the ratios")
    what = parser.add_argument_group("What is compared").add_argument
    what("--workloads", metavar="W1,W2,…", default=",".join(ALL), help="[default: %(default)s]")
    what("--rounds", type=positive, metavar="N", default=3, help="rounds of each workload [default: 3]")
    what("--peers", metavar="P1,P2,…", default="torch,jax", help="of torch and jax [default: %(default)s]")
    what("--bf16", action="store_true", help="bf16 too: Rondo's, and PyTorch's autocast")
    what("--threads", type=positive, metavar="N", help="for all sides [default: each side's own]")
    streams = "texts that Rondo generates at once beside one; 1 is off [default: 32]"
    what("--streams", type=positive, metavar="N", default=32, help=streams)
    what("--quick", action="store_true", help="one short round, to see that it works; nothing is kept in the project")
    how = parser.add_argument_group("What it runs with").add_argument
    folder = "folder of the peers' environments, which are made if not there [default: %(default)s]"
    how("--environments", type=pathlib.Path, metavar="DIR", default=environments.default_folder(), help=folder)
    how("--python", metavar="PYTHON", default=sys.executable, help="interpreter for those [default: this one]")
    how("--mxnet-python", metavar="PYTHON", help="compare with MXNet 1.9.1 too, by this Python 3.8")
    how("--rondo", metavar="PATH", help="this program [default: built from the checkout]")
    how("--rondo-arguments", metavar="'…'", default="", help="more arguments for each `rondo bench`")
    how("--timeout", type=float, metavar="S", default=300, help="seconds that a process may take [default: 300]")
    setup = "seconds that a build or an installation may take [default: 3600]"
    how("--setup-timeout", type=float, metavar="S", default=3600, help=setup)
    out = parser.add_argument_group("What it leaves").add_argument
    results = "folder in which DATE-MACHINE is made [default: bench/runs; with --quick a temporary one]"
    out("--results", type=pathlib.Path, metavar="DIR", help=results)
    out("--again", type=pathlib.Path, metavar="RUN", help="measure nothing, print the tables of such a folder again")
    parsed = parser.parse_args(arguments)
    parsed.workloads = [name for name in parsed.workloads.split(",") if name]
    parsed.peers = [name for name in parsed.peers.split(",") if name]
    for known, given in ((ALL, parsed.workloads), (["torch", "jax"], parsed.peers)):
        for name in given:
            if name not in known:
                parser.error("`%s` is not one of %s" % (name, ", ".join(known)))
    return parsed


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


class Comparison:
    """A run: what it measures, and the folder it leaves."""

    def __init__(self, arguments: argparse.Namespace, command_line: List[str]):
        self.arguments, self.command_line = arguments, command_line
        self.rounds = 1 if arguments.quick else arguments.rounds
        self.records: List[dict] = []
        self.remarks: List[str] = []
        self.versions: Dict[str, str] = {}
        self.folder = new_folder(arguments)
        self.load_before = machine.load()
        warning = machine.load_warning()
        if warning:
            self.remark(warning)

    def remark(self, text: str) -> None:
        """Says something at once, and again below the tables."""
        print("warning: " + text, file=sys.stderr)
        self.remarks.append(self.short(text))

    def prepare(self) -> Tuple[str, Dict[str, str]]:
        """The programs of all sides: Rondo's and the interpreters of those peers that could be set up."""
        arguments, pythons = self.arguments, {}
        bases = {name: arguments.python for name in arguments.peers}
        if arguments.mxnet_python:
            bases["mxnet"] = arguments.mxnet_python
        for name, base in bases.items():
            try:
                timeout_s = arguments.setup_timeout
                self.versions[name] = environments.prepare(arguments.environments, name, base, timeout_s)
                pythons[name] = environments.python_of(arguments.environments, name)
            except RunError as error:
                self.remark("%s is left out: %s" % (name, error))
        return arguments.rondo or environments.build_rondo(arguments.setup_timeout), pythons

    def measure(self, rondo: str, pythons: Dict[str, str]) -> None:
        """Runs all sides of all workloads, and keeps each record as soon as there is one."""
        given = self.arguments
        extra = tuple(shlex.split(given.rondo_arguments))
        options = Options(given.threads, given.bf16, given.streams, given.quick, extra)
        plan: List[Tuple[str, int, Side]] = []
        for workload in given.workloads:
            sides = rondo_sides(rondo, workload, options) + peer_sides(pythons, workload, options)
            plan += [(workload, number, side) for number in range(1, self.rounds + 1) for side in sides]
        for position, (workload, number, side) in enumerate(plan, 1):
            label = "[%d/%d] %s, round %d, %s: " % (position, len(plan), workload, number, side.title)
            print(label, end="", file=sys.stderr, flush=True)
            started_at = now().isoformat(timespec="seconds")
            outcome = run(side.command, given.timeout, side.environment)
            record = dict(workload=workload, round=number, side=side.key, title=side.title, peer=side.peer)
            record.update(precision=side.precision, streams=side.streams, started_at=started_at)
            record.update(command=[self.short(word) for word in side.command], environment=side.environment)
            record.update(vars(outcome))
            record["failure"] = outcome.failure and self.short(outcome.failure)
            self.keep(record)
            print("%s (%.0f s)" % (in_words(record), outcome.wall_s), file=sys.stderr)

    def keep(self, record: dict) -> None:
        self.records.append(record)
        with open(self.folder / "raw.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def finish(self) -> str:
        """Writes what there is beside the raw records, and returns the tables."""
        text = report.tables(self.records, self.remarks)
        (self.folder / "table.md").write_text(text, encoding="utf-8")
        facts = machine.description()
        names = {"torch": "PyTorch", "jax": "JAX", "mxnet": "MXNet"}
        facts.update({names[name]: version for name, version in self.versions.items()})
        facts["load averages before"], facts["load averages after"] = self.load_before, machine.load()
        lines = ["# Rondo and its peers, %s" % now().date(), ""]
        lines += ["`table.md` is what was printed, `raw.jsonl` has a line for each process.", "", "```console"]
        command = self.short(" ".join(map(shlex.quote, ["bench/compare.py", *self.command_line])))
        lines += ["$ python3 " + command, "```", "", "| | |", "|---|---|"]
        lines += ["| %s | %s |" % fact for fact in facts.items()]
        (self.folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return text

    def short(self, text: str) -> str:
        """A text without what is particular to this machine's folders, which results must not show."""
        places = [(str(self.arguments.environments.resolve()), "ENVIRONMENTS")]
        places += [(str(self.arguments.environments), "ENVIRONMENTS")]
        if self.arguments.rondo:
            places.append((self.arguments.rondo, "rondo"))
        places += [(str(ROOT) + "/", ""), (str(ROOT), "."), (str(pathlib.Path.home()), "~")]
        for place, name in places:
            text = text.replace(place, name)
        return text


def new_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """Makes the folder of a run, with a number where one of this day and machine is there already."""
    parent = arguments.results
    if parent is None:
        parent = pathlib.Path(tempfile.mkdtemp(prefix="rondo-bench-")) if arguments.quick else ROOT / "bench" / "runs"
    name, number = "%s-%s" % (now().date(), machine.slug()), 1
    while True:
        folder = parent / (name if number == 1 else "%s-%d" % (name, number))
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1


def now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()


def in_words(record: dict) -> str:
    """What became of a process, in a few words."""
    if record["failure"]:
        return "failed: " + record["failure"]
    kinds = {"train_tok_s": "training", "eval_tok_s": "evaluation", "gen_tok_s": "generation"}
    figures = record["figures"]
    parts = ["%s %s" % (word, report.count(figures[key])) for key, word in kinds.items() if figures.get(key)]
    return ", ".join(parts) + " tokens/s"


def interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(command_line: List[str]) -> int:
    arguments = parse_arguments(command_line)
    if arguments.again:
        lines = (arguments.again / "raw.jsonl").read_text(encoding="utf-8").splitlines()
        print(report.tables(map(json.loads, lines)), end="")
        return 0
    # Also where SIGINT came ignored, as it does to what a script starts in the background.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    comparison, status = Comparison(arguments, command_line), 0
    try:
        comparison.measure(*comparison.prepare())
    except RunError as error:
        print("error: could not build Rondo\n  cause: %s" % error, file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("\ninterrupted: what was measured is kept", file=sys.stderr)
        comparison.remarks.append("the comparison was interrupted")
        status = 130
    print(comparison.finish(), end="")
    print("results are in %s" % comparison.folder, file=sys.stderr)
    incomplete = len(comparison.versions) < len(arguments.peers) + bool(arguments.mxnet_python)
    return status or int(incomplete or any(record["failure"] for record in comparison.records))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
