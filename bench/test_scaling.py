"""Tests scaling.py with a script that replaces Rondo and has the expected speed, except with a single row."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from peers.workloads import WORKLOADS, forward_flops_per_token
from scaling import axes, expected, forward_flops

SCALING = pathlib.Path(__file__).resolve().parent / "scaling.py"

# Reaches half of 100 GFLOP/s per thread; a quarter with a single row. Fails on one hidden size.
FAKE = """
#!{python}
import json, sys
def size(flag, usual):
    return int(sys.argv[sys.argv.index(flag) + 1]) if flag in sys.argv else usual
rows, hidden, vocabulary = size("--batch-size", 20), size("--hidden-size", 200), size("--vocab-size", 33278)
if hidden == 50:
    sys.exit("error: too narrow")
speed = 0.5 * 100e9 * size("--threads", 1) * (0.5 if rows == 1 else 1)
flops = 2 * (2 * 4 * hidden * 2 * hidden + hidden * vocabulary)
line = dict(train_tok_s=speed / 3 / flops, eval_tok_s=2 * speed / flops, share_of_fma_peak=0.5, fma_peak_gflops=200.0)
print(json.dumps(line))
"""


class ScalingTest(unittest.TestCase):
    def test_points_stand_beside_the_law(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            rondo = folder / "rondo"
            rondo.write_text(FAKE.strip().format(python=sys.executable))
            rondo.chmod(0o755)
            options = ["--out", folder / "out", "--rondo", rondo, "--threads", "2", "--quick", "--no-plot"]
            command = [str(part) for part in [sys.executable, SCALING, *options]]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual((folder / "out" / "scaling.md").read_text("utf-8"), done.stdout)
            points = (folder / "out" / "points.jsonl").read_text("utf-8").splitlines()
        rows = {row.split(" | ")[0]: row for row in done.stdout.splitlines()}
        flops = forward_flops_per_token(WORKLOADS["W1"])
        self.assertIn("with `--threads 2`, which trains at 50 % of an FMA peak of 200 GFLOP/s", done.stdout)
        tok_s = "{:,.0f}".format(100e9 / 3 / flops)
        self.assertIn("| %s | %s | 100 %% | 100 |" % (tok_s, tok_s), rows["| **20**"])
        self.assertIn("| 100 % | 100 |", rows["| 1000"])
        self.assertTrue(rows["| 1000"].endswith("| 100 % | 200 |"), rows["| 1000"])
        # A single row has half of the expected speed, one thread all of it. The first row `1` is B, the last threads.
        ones = [row for row in done.stdout.splitlines() if row.startswith("| 1 |")]
        self.assertIn("| 50 % | 50", ones[0])
        self.assertIn("| 100 % | 50", ones[1])
        self.assertIn("| – |", rows["| 50"])
        self.assertIn("- hidden-size 50: exit status 1: error: too narrow, round 1.", done.stdout)
        # W1, and one more point on each of five axes.
        self.assertEqual(len(points), 6)
        self.assertEqual(sum(json.loads(point)["failure"] is None for point in points), 5)

    def test_the_law_is_what_a_token_costs(self):
        batch_size, _, hidden_size, vocab_size, threads = axes(4, quick=False)
        self.assertEqual(threads.values, (1, 2, 3, 4))
        self.assertEqual(expected(batch_size, 1, 3000.0), 3000.0)
        self.assertEqual(expected(threads, 1, 3000.0), 750.0)
        # Twice the vocabulary is twice the decoder: 2 · 200 · 33,278 more FLOP.
        more = forward_flops("vocab-size", 2 * 33278) - forward_flops("vocab-size", 33278)
        self.assertEqual(more, 2 * 200 * 33278)
        # Tied weights: the embedding is as wide as the layers.
        self.assertEqual(forward_flops("hidden-size", 400), 2 * (2 * 4 * 400 * 800 + 400 * 33278))
        self.assertGreater(expected(vocab_size, 1000, 1.0), expected(hidden_size, 200, 1.0))


if __name__ == "__main__":
    unittest.main()
