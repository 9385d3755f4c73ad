"""Turns the records of single processes into tables: medians over rounds, and ratios of medians.

A record is a line of `raw.jsonl`: the side, workload and round, and its figures or the reason why there are none. A
ratio above 1 means that Rondo is faster. Not here: how records are produced (`compare`).
"""

import statistics
from typing import Dict, Iterable, List, Optional, Tuple

from peers.workloads import is_generation, model_of, training_flops_per_token

NOTHING = "–"
BUSY_CORES = 0.1
"""If other processes keep more cores busy than this, the process counts as disturbed."""


class Results:
    """The figures of all records, by workload and side."""

    def __init__(self, records: Iterable[dict]):
        self.records = list(records)
        self.workloads = list(dict.fromkeys(record["workload"] for record in self.records))

    def sides(self, workload: str) -> Dict[str, dict]:
        """One record of each side that ran on a workload, by the side's key."""
        return {record["side"]: record for record in self.records if record["workload"] == workload}

    def values(self, workload: str, side: str, figure: str) -> List[float]:
        """The values of a figure in the rounds that have it."""
        wanted = (r for r in self.records if (r["workload"], r["side"]) == (workload, side))
        found = ((record["figures"] or {}).get(figure) for record in wanted)
        return [value for value in found if isinstance(value, (int, float))]

    def median(self, workload: str, side: str, figure: str) -> Optional[float]:
        """The median over rounds, or None without values."""
        values = self.values(workload, side, figure)
        return statistics.median(values) if values else None

    def best_peer(
        self, workload: str, figure: str, precision: str = "f32", device: str = "cpu"
    ) -> Tuple[str, Optional[float]]:
        """The peer variant with the highest median of a figure, and that median."""
        best: Tuple[str, Optional[float]] = (NOTHING, None)
        for key, side in self.sides(workload).items():
            if side["peer"] == "rondo" or side["precision"] != precision:
                continue
            if side.get("device", "cpu") != device:
                continue
            median = self.median(workload, key, figure)
            if median is not None and (best[1] is None or median > best[1]):
                best = (side["title"], median)
        return best


def tables(records: Iterable[dict], remarks: Iterable[str] = ()) -> str:
    """All tables in Markdown, followed by notes, `remarks` first."""
    results = Results(records)
    parts = [training(results), generation(results), bf16(results), gpu(results), every_side(results)]
    notes = [*remarks, *limits(results), *disagreements(results), *disturbances(results), *failures(results)]
    parts.append("## Notes\n\n" + "\n".join("- %s." % note for note in notes) if notes else "")
    return "\n\n".join(part for part in parts if part) + "\n"


def training(results: Results) -> str:
    """Training and evaluation in f32, compared with the best peer."""
    rows = []
    for workload in results.workloads:
        if is_generation(workload):
            continue
        row = [workload]
        for figure in ("train_tok_s", "eval_tok_s"):
            ours, (title, theirs) = results.median(workload, "rondo", figure), results.best_peer(workload, figure)
            row += [count(ours), share(results.median(workload, "rondo", "share_of_fma_peak"))]
            row = row if figure == "train_tok_s" else row[:-1]
            row += [title, count(theirs), ratio(ours, theirs)]
        rows.append(row)
    side = ["best peer", "its tokens/s", "ratio"]
    header = ["", "training, tokens/s", "of FMA peak", *side, "evaluation, tokens/s", *side]
    return table("Training and evaluation, f32", header, rows)


def generation(results: Results) -> str:
    """Generation: one stream compared with the best peer, and many streams compared with one."""
    rows = []
    for workload in filter(is_generation, results.workloads):
        ours, (title, theirs) = results.median(workload, "rondo", "gen_tok_s"), results.best_peer(workload, "gen_tok_s")
        many = results.median(workload, "rondo-streams", "gen_tok_s")
        streams = results.sides(workload).get("rondo-streams", {}).get("streams", NOTHING)
        row = [workload, count(ours), title, count(theirs), ratio(ours, theirs)]
        rows.append(row + [str(streams), count(many), ratio(many, ours)])
    many = ["streams", "together, tokens/s", "times one stream"]
    return table("Generation", ["", "one stream, tokens/s", "best peer", "its tokens/s", "ratio", *many], rows)


def bf16(results: Results) -> str:
    """Training and evaluation in bf16, compared with Rondo's f32 and PyTorch's bf16."""
    rows = []
    for workload in results.workloads:
        if "rondo-bf16" not in results.sides(workload):
            continue
        row = [workload]
        for figure in ("train_tok_s", "eval_tok_s"):
            ours, f32 = (results.median(workload, side, figure) for side in ("rondo-bf16", "rondo"))
            _, theirs = results.best_peer(workload, figure, "bf16")
            row += [count(ours), ratio(ours, f32), count(theirs), ratio(ours, theirs)]
        rows.append(row)
    side = ["times own f32", "PyTorch bf16, tokens/s", "ratio"]
    header = ["", "training, tokens/s", *side, "evaluation, tokens/s", *side]
    return table("bf16", header, rows)


def gpu(results: Results) -> str:
    """Training and evaluation on a GPU, compared with Rondo on the processor and PyTorch with CUDA."""
    rows = []
    for workload in results.workloads:
        if "rondo-gpu" not in results.sides(workload) or is_generation(workload):
            continue
        row = [workload]
        for figure in ("train_tok_s", "eval_tok_s"):
            ours, cpu = (results.median(workload, side, figure) for side in ("rondo-gpu", "rondo"))
            _, theirs = results.best_peer(workload, figure, device="gpu")
            row += [count(ours), ratio(ours, cpu), count(theirs), ratio(ours, theirs)]
        rows.append(row)
    side = ["times own CPU", "PyTorch CUDA, tokens/s", "ratio"]
    header = ["", "training, tokens/s", *side, "evaluation, tokens/s", *side]
    return table("GPU, f32", header, rows)


def every_side(results: Results) -> str:
    """The smallest, median and largest figure of every side."""
    rows = []
    for workload in results.workloads:
        for key, side in results.sides(workload).items():
            rounds = sum(bool(r["figures"]) for r in results.records if (r["workload"], r["side"]) == (workload, key))
            row = [workload, side["title"], str(rounds)]
            row += [spread(results.values(workload, key, f)) for f in ("train_tok_s", "eval_tok_s", "gen_tok_s")]
            row += [count(results.median(workload, key, f)) for f in ("train_gflops", "threads", "peak_rss_mib")]
            rows.append(row)
    spreads = ["training, tokens/s", "evaluation, tokens/s", "generation, tokens/s"]
    header = ["", "side", "rounds", *spreads, "training, GFLOP/s", "threads", "memory, MiB"]
    return table("Every side: smallest, median, largest of the rounds", header, rows)


def limits(results: Results) -> List[str]:
    """A sentence on the machine's limits as measured by all of Rondo's processes."""
    ours = [record["figures"] for record in results.records if record["peer"] == "rondo" and record["figures"]]
    parts = []
    for figure, words in (("fma_peak_gflops", "FMA peak, GFLOP/s"), ("copy_gb_s", "copy, GB/s")):
        values = [figures[figure] for figures in ours if figures.get(figure)]
        parts += ["%s: %s" % (words, spread(values))] if values else []
    return ["the machine's limits, smallest, median and largest: " + "; ".join(parts)] if parts else []


def failures(results: Results) -> List[str]:
    """A sentence for each process without figures; rounds with the same failure are combined."""
    rounds: Dict[str, List[str]] = {}
    for record in results.records:
        if record["failure"]:
            what = "%s on %s failed" % (record["title"], record["workload"])
            rounds.setdefault("%s (%s)" % (what, record["failure"]), []).append(str(record["round"]))
    return ["%s, round %s" % (what, ", ".join(which)) for what, which in rounds.items()]


def disturbances(results: Results) -> List[str]:
    """A sentence if other processes used the processor during a measurement."""
    disturbed = [r for r in results.records if (r.get("other_cores") or 0) > BUSY_CORES]
    if not disturbed:
        return []
    worst = max(disturbed, key=lambda record: record["other_cores"])
    numbers = (len(disturbed), len(results.records), BUSY_CORES, worst["other_cores"], worst["title"])
    sentence = "during %d of %d processes, other processes kept more than %g cores busy, at most %g (%s on %s)"
    return [sentence % (*numbers, worst["workload"])]


def disagreements(results: Results) -> List[str]:
    """A sentence for each size or FLOP count that differs between Rondo's report and `peers/workloads.py`."""
    found = []
    for record in results.records:
        if record["peer"] == "rondo" and record["figures"]:
            found += differences(record["workload"], record["figures"], record["precision"])
    return list(dict.fromkeys(found))


def differences(name: str, figures: dict, precision: str = "f32") -> List[str]:
    """The differences between a report of Rondo and the workload that it should have run."""
    workload, sentences = model_of(name), []
    expected = {"workload": name, "precision": precision, "cell": workload.cell, "vocab_size": workload.vocab_size}
    # One-hot input has no embedding size, and without clipping there is no maximum norm.
    expected.update(embedding_size=workload.embedding_size or None, tied=workload.tied)
    expected.update(hidden_sizes=[outputs for _, outputs in workload.layer_sizes()])
    if not is_generation(name):
        expected.update(batch_size=workload.batch_size, bptt=workload.bptt, learning_rate=workload.learning_rate)
        expected.update(clip_norm=workload.clip_norm or None)
    for key, value in expected.items():
        if key in figures and figures[key] != value:
            sentences.append("on %s Rondo reports `%s` as %s, not %s" % (name, key, figures[key], value))
    if figures.get("train_tok_s") and figures.get("train_gflops"):
        flops = figures["train_gflops"] * 1e9 / figures["train_tok_s"]
        counted = training_flops_per_token(workload)
        if abs(flops / counted - 1) > 0.01:  # Both figures are rounded.
            numbers = (name, flops / 1e6, counted / 1e6)
            sentences.append("on %s Rondo counts %.4g MFLOP for each token of training, not %.4g" % numbers)
    return sentences


def table(title: str, header: List[str], rows: List[List[str]]) -> str:
    """A Markdown table below its heading; empty without rows. Numbers are aligned to the right."""
    if not rows:
        return ""
    text = {"", "side", "best peer"}
    rule = ["---" if heading in text else "--:" for heading in header]
    return "\n".join(["## " + title, ""] + ["| %s |" % " | ".join(row) for row in [header, rule, *rows]])


def count(value: Optional[float]) -> str:
    """A number with its significant digits."""
    if value is None:
        return NOTHING
    return "{:,.0f}".format(value) if value >= 99.95 or value == int(value) else "{:.1f}".format(value)


def share(value: Optional[float]) -> str:
    """A fraction as a percentage."""
    return NOTHING if value is None else "%.0f %%" % (100 * value)


def ratio(ours: Optional[float], theirs: Optional[float]) -> str:
    """Our value divided by theirs."""
    return NOTHING if ours is None or not theirs else "%.2f" % (ours / theirs)


def spread(values: List[float]) -> str:
    """The smallest, median and largest value."""
    if not values:
        return NOTHING
    return " · ".join(count(value) for value in (min(values), statistics.median(values), max(values)))
