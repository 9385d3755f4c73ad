"""Tests sequences.py with a script that replaces Rondo, and its measures by counting."""

import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

from sequences import area, detection, molecule_counts, next_items, scores_of

SCRIPT = pathlib.Path(__file__).resolve().parent / "sequences.py"

# Scores a session by its first key: the worst rank.
FAKE_RONDO = """
#!{python}
import json, sys
assert sys.argv[1] == "score" and "--per-token" in sys.argv and sys.argv[sys.argv.index("--model") + 1] == "run"
for line in open(next(flag for flag in sys.argv if flag.endswith(".txt"))):
    rank = int(line.split()[0])
    token = dict(token="a", rank=rank, log_prob=-float(rank), unknown=rank > 99)
    print(json.dumps(dict(log_prob=-float(rank), log_probs=[token])))
"""


class SequencesTest(unittest.TestCase):
    def test_logs_are_a_table_by_rank_and_thresholds(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            rondo = folder / "rondo"
            rondo.write_text(FAKE_RONDO.strip().format(python=sys.executable))
            rondo.chmod(0o755)
            (folder / "normal.txt").write_text("1 5\n1\n6 2\n1\n")
            (folder / "abnormal.txt").write_text("4 9\n100\n8\n6\n")
            files = [str(folder / "normal.txt"), str(folder / "abnormal.txt")]
            command = [sys.executable, str(SCRIPT), "--rondo", str(rondo), "logs", "run", *files, "--normal-sessions", "12"]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("4 normal sessions, 4 abnormal ones", done.stdout)
        # 3 of 4 abnormal sessions have a rank above 5, and 1 of 4 normal ones.
        self.assertIn("| G = 5 | 75.0 % | 25.0 % | 75.0 % | 75.0 % | 50.0 % | 60.0 % |", done.stdout)
        self.assertIn("| −4 | 75.0 % | 25.0 % | 75.0 % | 75.0 % | 50.0 % | 60.0 % |", done.stdout)
        # Of 16 pairs, one is in the wrong order and one is a tie.
        self.assertIn("| worst rank | %.4f |" % (14.5 / 16), done.stdout)

    def test_the_area_is_the_fraction_of_pairs_in_order(self):
        low, high = [1, 2, 2, 5, math.inf], [2, 3, 5, math.inf]
        pairs = [(a < b) + 0.5 * (a == b) for a in low for b in high]
        self.assertAlmostEqual(area(low, high), sum(pairs) / len(pairs))
        self.assertEqual((area([0], [1]), area([1], [0])), (1.0, 0.0))

    def test_precision_is_that_of_a_given_number_of_normal_sessions(self):
        recall, false_alarms, precision, f1 = detection([True, False], [True, True, True, False], 200)
        self.assertEqual((recall, false_alarms), (0.75, 0.5))
        self.assertAlmostEqual(precision, 3 / (3 + 100))
        self.assertAlmostEqual(f1, 2 * precision * recall / (precision + recall))

    def test_an_unknown_key_is_odder_than_any_other(self):
        tokens = [dict(rank=2, log_prob=-1.0), dict(rank=1, log_prob=-3.0, unknown=True)]
        scores = scores_of(dict(log_prob=-4.0, log_probs=tokens))
        self.assertEqual((scores["worst_rank"], scores["lowest"]), (math.inf, 3.0))
        self.assertAlmostEqual(scores["perplexity"], math.exp(2.0))

    def test_items_are_all_tokens_but_the_first_and_the_line_ends(self):
        # Two lines, `a b ⏎` and `a c d ⏎`, with the ranks 1 and 3 of the first items, and 2, 1 and 30 of the others.
        def accuracies(ranks, tokens):
            return {str(k): sum(rank <= k for rank in ranks) / tokens for k in range(1, 21)}

        first = dict(tokens=2, accuracy=accuracies([1, 3], 2))
        ranks = dict(tokens=7, accuracy=accuracies([1, 3, 2, 1, 30], 7), by_position=[first])
        items, recall, reciprocal = next_items(json.loads(json.dumps(ranks)), 2)
        self.assertEqual(items, 3)
        self.assertAlmostEqual(recall, 2 / 3)
        self.assertAlmostEqual(reciprocal, (1 / 2 + 1) / 3)

    def test_molecules_are_valid_different_and_new(self):
        self.assertEqual(molecule_counts(["C", "C", None, "N"], {"N", "O"}), (0.75, 2 / 3, 0.5))


if __name__ == "__main__":
    unittest.main()
