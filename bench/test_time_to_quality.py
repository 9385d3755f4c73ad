"""Tests time_to_quality.py with scripts that replace Rondo and PyTorch."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

from time_to_quality import TUTORIALS

SCRIPT = pathlib.Path(__file__).resolve().parent / "time_to_quality.py"

# Both replacements print one line of JSON.
FAKE_RONDO = """
#!{python}
import json, sys
seed = int(sys.argv[sys.argv.index("--seed") + 1])
assert sys.argv[sys.argv.index("--recipe") + 1] == "wikitext2-fast"
print(json.dumps(dict(valid_perplexity=150.0 + seed, test_perplexity=140.0 + seed), indent=2))
"""
FAKE_TORCH = """
#!{python}
import json
print(json.dumps(dict(train_tok_s=2000.0, eval_tok_s=6000.0)))
"""


class TimeToQualityTest(unittest.TestCase):
    def test_runs_are_listed_and_the_time_of_the_tutorial_is_computed(self):
        with tempfile.TemporaryDirectory() as temporary:
            programs = []
            for name, text in (("rondo", FAKE_RONDO), ("torch", FAKE_TORCH)):
                path = pathlib.Path(temporary) / name
                path.write_text(text.strip().format(python=sys.executable))
                path.chmod(0o755)
                programs.append(str(path))
            options = ["--rondo", programs[0], "--torch-python", programs[1], "--seeds", "1,2", "--rounds", "1"]
            command = [sys.executable, str(SCRIPT), "wikitext2-fast", *options]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[2], r"^\| Rondo, `wikitext2-fast` \| 1 \| \d+ \| 151.00 \| 141.00 \|$")
        self.assertRegex(lines[3], r"\| 2 \| \d+ \| 152.00 \| 142.00 \|$")
        # 3 · (2,088,628 / 2000 + 463,215 / 6000) seconds.
        self.assertIn("(computed) | | 3365 |", lines[4])

    def test_an_epoch_is_training_and_evaluation(self):
        tutorial = TUTORIALS["wikitext2-fast"]
        self.assertAlmostEqual(tutorial.seconds(2_088_628, 463_215), 6.0)


if __name__ == "__main__":
    unittest.main()
