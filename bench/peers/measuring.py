"""Shared code of the peers' scripts: the token stream, the flags, the timing and the line of results.

Figures in the line: `train_tok_s`, `eval_tok_s` and `gen_tok_s` are tokens per second at the median step; `train_ms`
and `eval_ms` are the time of that step, and `train_ms_min` of the fastest; `train_gflops` is the useful GFLOP per
second of training; `peak_rss_mib` is the peak memory of the process; `loss` is the last training loss in nats, which
reveals a run that computes nonsense.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time

import numpy as np

from workloads import GENERATION, WORKLOADS, training_flops_per_token

SEED = 0
PREPARED_BATCHES = 8  # Number of different batches that the steps cycle through.
TOKENS_A_TIMING = 100  # Number of generated tokens per timing.


def token_stream(vocab_size, length):
    """Zipf-distributed ids with exponent 1, the same for every peer."""
    probabilities = 1.0 / np.arange(1, vocab_size + 1)
    cumulative = np.cumsum(probabilities / probabilities.sum())
    drawn = np.searchsorted(cumulative, np.random.RandomState(SEED).rand(length))
    return np.minimum(drawn, vocab_size - 1).astype(np.int64)


def batches(workload):
    """Consecutive pairs (inputs, targets), each `[T, B]`: the target of an input is the next token."""
    steps, rows = workload.bptt, workload.batch_size
    length = PREPARED_BATCHES * steps + 1
    columns = token_stream(workload.vocab_size, rows * length).reshape(rows, length).T
    starts = range(0, PREPARED_BATCHES * steps, steps)
    copy = np.ascontiguousarray
    return [(copy(columns[at : at + steps]), copy(columns[at + 1 : at + steps + 1])) for at in starts]


def parse_arguments(add_more=None):
    """Parses the flags common to all peers; `add_more` adds those of one peer."""
    parser = argparse.ArgumentParser()
    names = [*WORKLOADS, *GENERATION]
    parser.add_argument("--workload", required=True, choices=names, help="workload to run; W8 generates text")
    parser.add_argument("--steps", type=int, default=20, help="number of steps to time [default: 20]")
    parser.add_argument("--warmup", type=int, default=3, help="number of warm-up steps [default: 3]")
    parser.add_argument("--max-seconds", type=float, default=60.0, help="stop early after this, with at least 3 steps")
    parser.add_argument("--threads", type=int, default=0, help="threads; 0 is the framework's default [default: 0]")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument("--tag", default="", help="suffix of the variant's name, such as for another environment")
    if add_more:
        add_more(parser)
    return parser.parse_args()


def allowed_cores():
    """The number of cores this process may use, for frameworks that do not report their number of threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def timed(step, steps, warmup, max_seconds):
    """Seconds of each step after the warm-up. `step` must return only when its result is ready."""
    for index in range(warmup):
        step(index)
    seconds, end = [], time.perf_counter() + max_seconds
    for index in range(steps):
        start = time.perf_counter()
        step(index)
        seconds.append(time.perf_counter() - start)
        if time.perf_counter() > end and len(seconds) >= 3:
            break
    return seconds


def report_training(arguments, peer, variant, workload, train_s, eval_s, loss, **more):
    """Prints the figures of training and evaluation, given the seconds of their steps."""
    train_median_s, eval_median_s = statistics.median(train_s), statistics.median(eval_s)
    tokens = workload.tokens
    figures = dict(
        train_tok_s=round(tokens / train_median_s, 1),
        train_ms=round(train_median_s * 1e3, 2),
        train_ms_min=round(min(train_s) * 1e3, 2),
        steps=len(train_s),
        eval_tok_s=round(tokens / eval_median_s, 1),
        eval_ms=round(eval_median_s * 1e3, 2),
        train_gflops=round(training_flops_per_token(workload) * tokens / train_median_s / 1e9, 1),
        loss=round(loss, 3),
    )
    _print(arguments, peer, variant, {**figures, **more})


def report_generation(arguments, peer, variant, generate, **more):
    """Times `generate(n)`, which generates n tokens one after the other, and prints the figures."""
    generate(20)
    seconds = []
    for _ in range(max(5, arguments.steps // 4)):
        start = time.perf_counter()
        generate(TOKENS_A_TIMING)
        seconds.append((time.perf_counter() - start) / TOKENS_A_TIMING)
    median_s = statistics.median(seconds)
    figures = dict(gen_tok_s=round(1 / median_s, 1), us_per_tok=round(median_s * 1e6, 1))
    _print(arguments, peer, variant, {**figures, **more})


def _print(arguments, peer, variant, figures):
    line = dict(peer=peer, workload=arguments.workload, variant=variant + arguments.tag, **figures)
    # Linux reports the peak in KiB, macOS in bytes.
    divisor = 1 << 20 if sys.platform == "darwin" else 1 << 10
    line["peak_rss_mib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / divisor)
    print(json.dumps(line) if arguments.json else " ".join("%s=%s" % pair for pair in line.items()), flush=True)
