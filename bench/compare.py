#!/usr/bin/env python3
"""Compares Rondo with its peers on one machine in one alternating run, and prints the ratios.

    python3 bench/compare.py --workloads W1,W5 --rounds 3

For each workload and round, every side runs once, one after the other (A B C A B C …), each in a new process, so that
a machine that slows down affects all of them. README.md in this folder explains how to read the results. Peers that
need more than the standard library run in separate virtual environments.

Exit codes: 0 all sides gave figures, 1 some did not, 2 wrong usage, 130 interrupted (the results so far are kept).
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
from sides import INSTRUCTIONS, Options, Side, peer_sides, rondo_sides

ALL = [*WORKLOADS, *GENERATION]


def parse_arguments(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Rondo with its peers and print the ratios")
    what = parser.add_argument_group("What to compare").add_argument
    what("--workloads", metavar="W1,W2,…", default=",".join(ALL), help="[default: %(default)s]")
    what("--rounds", type=positive, metavar="N", default=3, help="number of rounds of each workload [default: 3]")
    what("--peers", metavar="P1,P2,…", default="torch,jax", help="torch, jax or both [default: %(default)s]")
    what("--bf16", action="store_true", help="also measure bf16: Rondo's, and PyTorch's autocast")
    what("--gpu", action="store_true", help="also measure a GPU: Rondo's, and PyTorch's with CUDA where there is one")
    what("--threads", type=positive, metavar="N", help="number of threads for all sides [default: each side's own]")
    oldest = "instructions for all sides, of those that the processor has [default: each side's own choice]"
    what("--instructions", choices=sorted(INSTRUCTIONS), help=oldest)
    streams = "texts that Rondo generates at once, in addition to one; 1 turns it off [default: 32]"
    what("--streams", type=positive, metavar="N", default=32, help=streams)
    what("--quick", action="store_true", help="one short round as a test; nothing is kept in the project")
    how = parser.add_argument_group("How to run").add_argument
    folder = "folder of the peers' environments, created if missing [default: %(default)s]"
    how("--environments", type=pathlib.Path, metavar="DIR", default=environments.default_folder(), help=folder)
    how("--python", metavar="PYTHON", default=sys.executable, help="interpreter of the environments [default: this]")
    how("--mxnet-python", metavar="PYTHON", help="also compare with MXNet 1.9.1, using this Python 3.8")
    how("--rondo", metavar="PATH", help="Rondo program [default: built from the checkout]")
    how("--rondo-arguments", metavar="'…'", default="", help="additional arguments for each `rondo bench`")
    how("--timeout", type=float, metavar="S", default=300, help="time limit of a process, in seconds [default: 300]")
    setup = "time limit of a build or an installation, in seconds [default: 3600]"
    how("--setup-timeout", type=float, metavar="S", default=3600, help=setup)
    out = parser.add_argument_group("Output").add_argument
    results = "parent folder of DATE-MACHINE [default: bench/runs; a temporary folder with --quick]"
    out("--results", type=pathlib.Path, metavar="DIR", help=results)
    again = "measure nothing; print the tables of an earlier run's folder again"
    out("--again", type=pathlib.Path, metavar="RUN", help=again)
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
    """A benchmark run: what it measures, and the folder it writes."""

    def __init__(self, arguments: argparse.Namespace, command_line: List[str]):
        self.arguments, self.command_line = arguments, command_line
        self.rounds = 1 if arguments.quick else arguments.rounds
        self.records: List[dict] = []
        self.remarks: List[str] = []
        self.versions: Dict[str, str] = {}
        self.folder = new_folder(arguments)
        self.load_before = machine.load()
        if arguments.instructions:
            self.remarks.append("no side uses newer vector instructions than " + arguments.instructions)
        warning = machine.load_warning()
        if warning:
            self.remark(warning)

    def remark(self, text: str) -> None:
        """Prints a warning now, and again below the tables."""
        print("warning: " + text, file=sys.stderr)
        self.remarks.append(self.short(text))

    def prepare(self) -> Tuple[str, Dict[str, str]]:
        """The programs of all sides: Rondo and the interpreters of the peers that could be set up."""
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
                self.remark("%s is skipped: %s" % (name, error))
        return arguments.rondo or environments.build_rondo(arguments.setup_timeout, arguments.gpu), pythons

    def measure(self, rondo: str, pythons: Dict[str, str]) -> None:
        """Runs all sides of all workloads, and saves each record immediately."""
        given = self.arguments
        extra = tuple(shlex.split(given.rondo_arguments))
        options = Options(given.threads, given.bf16, given.gpu, given.streams, given.quick, extra, given.instructions)
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
            record.update(precision=side.precision, streams=side.streams, device=side.device, started_at=started_at)
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
        """Writes the tables and the README next to the raw records, and returns the tables."""
        text = report.tables(self.records, self.remarks)
        (self.folder / "table.md").write_text(text, encoding="utf-8")
        facts = machine.description()
        names = {"torch": "PyTorch", "jax": "JAX", "mxnet": "MXNet"}
        facts.update({names[name]: version for name, version in self.versions.items()})
        facts["load averages before"], facts["load averages after"] = self.load_before, machine.load()
        lines = ["# Benchmark run of Rondo and its peers, %s" % now().date(), ""]
        lines += ["`table.md` has the tables as printed, and `raw.jsonl` has one line per process.", "", "```console"]
        command = self.short(" ".join(map(shlex.quote, ["bench/compare.py", *self.command_line])))
        lines += ["$ python3 " + command, "```", "", "| | |", "|---|---|"]
        lines += ["| %s | %s |" % fact for fact in facts.items()]
        (self.folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return text

    def short(self, text: str) -> str:
        """A text without the paths of this machine, which results must not contain."""
        places = [(str(self.arguments.environments.resolve()), "ENVIRONMENTS")]
        places += [(str(self.arguments.environments), "ENVIRONMENTS")]
        if self.arguments.rondo:
            places.append((self.arguments.rondo, "rondo"))
        places += [(str(ROOT) + "/", ""), (str(ROOT), "."), (str(pathlib.Path.home()), "~")]
        for place, name in places:
            text = text.replace(place, name)
        return text


def new_folder(arguments: argparse.Namespace) -> pathlib.Path:
    """Creates the folder of a run, with a number if this day and machine already have one."""
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
    """The result of a process, in a few words."""
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
    # Needed even for SIGINT: a process that a script starts in the background inherits it as ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    comparison, status = Comparison(arguments, command_line), 0
    try:
        comparison.measure(*comparison.prepare())
    except RunError as error:
        print("error: could not build Rondo\n  cause: %s" % error, file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("\ninterrupted: the results so far are kept", file=sys.stderr)
        comparison.remarks.append("the comparison was interrupted")
        status = 130
    print(comparison.finish(), end="")
    print("results are in %s" % comparison.folder, file=sys.stderr)
    incomplete = len(comparison.versions) < len(arguments.peers) + bool(arguments.mxnet_python)
    return status or int(incomplete or any(record["failure"] for record in comparison.records))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
