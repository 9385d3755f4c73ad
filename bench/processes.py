"""Training in one process and in several, and what a network would make of it.

    python3 bench/processes.py RONDO DATA [--rounds 2]

RONDO is a command that was built with `--features mpi`; DATA a folder with texts, such as Penn Treebank. Measures, in turn,
one process with one and with two threads and two processes with one thread each: tokens per second of training, and the part
of it that the first process waits for the other. Then prints the law of docs/processes.md for networks of 1, 10 and
100 Gbit/s, from the step of one process. Uses only Python's standard library.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile

# Model flags, the elements of its dense gradients, and those of its rows: of the embedding, and of the sampled decoder.
MODELS = {
    "LSTM 2 x 200, full softmax": ["--softmax", "full"],
    "LSTM 2 x 200, sampled:512": ["--softmax", "sampled:512"],
}
BATCH, BPTT, WIDTH, LAYERS = 20, 35, 200, 2
# The part of a step that is its backward pass.
BACKWARD = 2 / 3
LATENCY_S = 3 * 20e-6


def train(rondo, data, processes, threads, flags, batches, batch_size=BATCH):
    """Tokens per second of training, and the seconds waited and trained."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["mpirun", "--bind-to", "none", "-n", str(processes)] if processes > 1 else []
        command += [rondo, "train", "--data", data, "--out", os.path.join(folder, "run"), "--json", "--quiet"]
        command += ["--batch-size", str(batch_size), "--bptt", str(BPTT), "--hidden-size", str(WIDTH)]
        command += ["--layers", str(LAYERS), "--epochs", "1", "--max-batches", str(batches), "--learning-rate", "1"]
        command += ["--threads", str(threads), "--checkpoint-every", "0", *flags]
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **root}, check=True)
        result = json.loads(done.stdout)
        return result["training_tokens_per_s"], result["waiting_s"], result["training_s"], result["parameters"]


def exchanged_bytes(parameters, flags, vocabulary):
    """Bytes of dense gradients, and of the rows of a process, with a tied decoder."""
    matrix = vocabulary * WIDTH
    rest = parameters - matrix
    if flags[-1] == "full":
        return 4 * parameters, 0
    # The inputs, the targets and the drawn tokens; a row has an index, a weight and a bias.
    rows = 2 * BATCH * BPTT + int(flags[-1].split(":")[1])
    return 4 * (rest - vocabulary), 4 * rows * (1 + WIDTH + 2)


def step_s(compute_s, dense, rows, processes, gbit_per_s):
    """Seconds of a step of several processes: the law of docs/processes.md."""
    bandwidth = gbit_per_s * 1e9 / 8
    exchange = 2 * (processes - 1) / processes * dense / bandwidth
    hidden = BACKWARD * compute_s / processes
    gathered = (processes - 1) * rows / processes / bandwidth
    return compute_s / processes + max(0.0, exchange - hidden) + gathered + (LATENCY_S if processes > 1 else 0)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rondo")
    parser.add_argument("data")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batches", type=int, default=120)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    args = parser.parse_args()
    for name, flags in MODELS.items():
        found = {}
        for _ in range(args.rounds):
            for processes, threads in [(1, 1), (1, 2), (2, 1)]:
                result = train(args.rondo, args.data, processes, threads, flags, args.batches)
                found.setdefault((processes, threads), []).append(result)
        print(f"{name}")
        for (processes, threads), results in found.items():
            speed = statistics.median(result[0] for result in results)
            waited = statistics.median(result[1] / result[2] for result in results)
            print(f"  {processes} x {threads} threads  {speed:10,.0f} tokens/s   waited {100 * waited:4.1f} %")
        parameters = found[1, 1][0][3]
        dense, rows = exchanged_bytes(parameters, flags, args.vocabulary)
        compute_s = BATCH * BPTT / statistics.median(result[0] for result in found[1, 2])
        print(f"  step {1e3 * compute_s:.1f} ms, {dense / 1e6:.2f} MB dense, {rows / 1e6:.2f} MB of rows per process")
        print("  speedup of N machines:" + "".join(f"{n:>8}" for n in (2, 4, 8, 16)))
        for gbit in (1, 10, 100):
            speedups = [compute_s / step_s(compute_s, dense, rows, n, gbit) for n in (2, 4, 8, 16)]
            print(f"  {gbit:>5} Gbit/s, same batch" + "".join(f"{speedup:8.2f}" for speedup in speedups))
            # The batch grows with N: each process computes the whole old batch, with its rows.
            grown = [n * compute_s / step_s(n * compute_s, dense, n * rows, n, gbit) for n in (2, 4, 8, 16)]
            print(f"  {gbit:>5} Gbit/s, N batches " + "".join(f"{speedup:8.2f}" for speedup in grown))


if __name__ == "__main__":
    main()
