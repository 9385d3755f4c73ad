"""Tests the whole comparison with small scripts that replace Rondo and its peers and only pretend to measure."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import report
from peers.workloads import WORKLOADS, training_flops_per_token

COMPARE = pathlib.Path(__file__).resolve().parent / "compare.py"
TIMEOUT_S = 60

# Prints the line that the behavior in `DIR/NAME.json` gives for this call; calls with the same arguments are counted.
FAKE = """
#!{python}
import json, pathlib, subprocess, sys, time
if sys.argv[1] == "-c":
    print("9.9")
    sys.exit()
behavior = json.loads(pathlib.Path({behavior!r}).read_text())
calls = pathlib.Path({behavior!r} + ".calls")
arguments = sys.argv[1 if "bench" in sys.argv else 2:]
seen = calls.read_text().splitlines() if calls.exists() else []
number = seen.count(json.dumps(arguments))
with calls.open("a") as file:
    file.write(json.dumps(arguments) + "\\n")
for word, figures in behavior.items():
    if word in arguments:
        break
figures = figures[min(number, len(figures) - 1)]
if figures == "fail":
    sys.exit("{name} is broken")
if figures == "hang":
    child = subprocess.Popen(["sleep", "600"])
    pathlib.Path({behavior!r} + ".child").write_text(str(child.pid))
    time.sleep(600)
print("a line that is not JSON")
print(json.dumps(figures))
"""


def flops(workload):
    return training_flops_per_token(WORKLOADS[workload])


def rondo_line(workload, train_tok_s, eval_tok_s, **more):
    gflops = round(train_tok_s * flops(workload) / 1e9, 2)
    line = dict(train_tok_s=train_tok_s, eval_tok_s=eval_tok_s, train_gflops=gflops, share_of_fma_peak=0.81)
    return {**line, "fma_peak_gflops": 200.0, **more}


class CompareTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name).resolve()
        self.rondo = self.fake("rondo", self.folder / "rondo", {"W5": [rondo_line("W5", 3000.0, 9000.0)]})
        self.peer("torch", {"W5": [dict(train_tok_s=1000.0, eval_tok_s=6000.0)]})
        self.peer("jax", {"W5": [dict(train_tok_s=500.0, eval_tok_s=9000.0)]})

    def fake(self, name, path, behavior):
        """A program that prints the figures in `behavior`, which maps a word in the arguments to one entry per call."""
        path.parent.mkdir(parents=True, exist_ok=True)
        told = self.folder / (name + ".json")
        told.write_text(json.dumps(behavior))
        path.write_text(FAKE.strip().format(python=sys.executable, name=name, behavior=str(told)))
        path.chmod(0o755)
        return path

    def peer(self, name, behavior):
        return self.fake(name, self.folder / "environments" / name / "bin" / "python", behavior)

    def command(self, *arguments):
        places = ["--environments", self.folder / "environments", "--results", self.folder / "runs"]
        given = [sys.executable, COMPARE, *places, "--rondo", self.rondo, "--workloads", "W5", *arguments]
        return [str(part) for part in given]

    def compare(self, *arguments, code=0):
        """Runs the comparison, checks its exit code, and returns its output."""
        command = self.command(*arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, encoding="utf-8")
        self.assertEqual(done.returncode, code, done.stderr)
        self.complaints = done.stderr
        return done.stdout

    def run_folder(self):
        (folder,) = (self.folder / "runs").iterdir()
        return folder

    def records(self):
        return [json.loads(line) for line in (self.run_folder() / "raw.jsonl").read_text("utf-8").splitlines()]

    def row(self, text, start):
        (line,) = (line for line in text.splitlines() if line.startswith(start))
        return [cell.strip() for cell in line.strip("|").split("|")]

    def test_ratios_are_of_medians_over_rounds(self):
        rounds = [rondo_line("W5", tok_s, 9000.0) for tok_s in (2000.0, 9000.0, 3000.0)]
        self.fake("rondo", self.rondo, {"W5": rounds})
        self.peer("jax", {"W5": [dict(train_tok_s=tok_s, eval_tok_s=10000.0) for tok_s in (1600.0, 10.0, 1500.0)]})
        text = self.compare()
        row = self.row(text, "| W5 | 3,000 |")
        self.assertEqual(row[2:6], ["81 %", "JAX, jit", "1,500", "2.00"])
        self.assertEqual(row[6:], ["9,000", "JAX, jit", "10,000", "0.90"])
        self.assertIn("| W5 | Rondo | 3 | 2,000 · 3,000 · 9,000 |", text)
        self.assertIn("| W5 | JAX, jit | 3 | 10 · 1,500 · 1,600 |", text)

    def test_sides_take_turns(self):
        self.compare("--rounds", "2")
        sides = ["rondo", "pytorch", "pytorch-tuned", "jax"]
        self.assertEqual([record["side"] for record in self.records()], sides + sides)
        self.assertEqual([record["round"] for record in self.records()], [1] * 4 + [2] * 4)
        environments = {record["side"]: record["environment"] for record in self.records()}
        self.assertIn("glibc.malloc.mmap_max=0", environments["pytorch-tuned"]["GLIBC_TUNABLES"])
        self.assertEqual(environments["pytorch"], {})

    def test_a_failed_peer_is_named_and_stops_nothing(self):
        self.peer("torch", {"--tag": ["fail"], "W5": [dict(train_tok_s=1000.0, eval_tok_s=6000.0)]})
        text = self.compare("--rounds", "2", code=1)
        self.assertIn("failed (exit status 1: torch is broken), round 1, 2.", text)
        self.assertIn("- PyTorch, allocator tuned on W5 failed", text)
        self.assertEqual(self.row(text, "| W5 | 3,000 |")[3:6], ["PyTorch", "1,000", "3.00"])

    def test_a_peer_without_environment_is_named_and_stops_nothing(self):
        (self.folder / "environments" / "jax" / "bin" / "python").unlink()
        text = self.compare("--rounds", "1", "--python", "false", code=1)
        self.assertIn("- jax is skipped: exit status 1.", text)
        self.assertEqual(self.row(text, "| W5 | 3,000 |")[7:], ["PyTorch", "6,000", "1.50"])

    def test_what_does_not_end_is_ended_with_all_it_started(self):
        self.peer("jax", {"W5": ["hang"]})
        text = self.compare("--rounds", "1", "--timeout", "2", code=1)
        self.assertIn("- JAX, jit on W5 failed (timed out after 2 s), round 1.", text)
        child = int((self.folder / "jax.json.child").read_text())
        self.assertTrue(ended(child), "process %d is still running" % child)

    def test_an_interrupted_comparison_keeps_what_it_has(self):
        self.peer("jax", {"W5": ["hang"]})
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")
        process = subprocess.Popen(self.command(), **pipes)
        self.addCleanup(process.kill)
        started, child = time.monotonic(), self.folder / "jax.json.child"
        while not (child.exists() and child.read_text()):
            self.assertLess(time.monotonic() - started, TIMEOUT_S)
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        text, complaints = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 130, complaints)
        self.assertEqual([record["side"] for record in self.records()], ["rondo", "pytorch", "pytorch-tuned"])
        self.assertEqual(self.row(text, "| W5 | 3,000 |")[5], "3.00")
        self.assertIn("- the comparison was interrupted.", text)
        self.assertEqual((self.run_folder() / "table.md").read_text("utf-8"), text)
        self.assertTrue(ended(int(child.read_text())))

    def test_sizes_and_counts_that_differ_are_said(self):
        line = rondo_line("W5", 3000.0, 9000.0, hidden_sizes=[256], batch_size=31, threads=2)
        self.fake("rondo", self.rondo, {"W5": [{**line, "train_gflops": 2 * line["train_gflops"]}]})
        text = self.compare("--rounds", "1")
        self.assertIn("- on W5 Rondo reports `batch_size` as 31, not 32.", text)
        self.assertIn("- on W5 Rondo counts 1.02 MFLOP for each token of training, not 0.5115.", text)
        self.assertNotIn("hidden_sizes", text)

    def test_generation_counts_streams_together_and_peers_only_alone(self):
        self.fake("rondo", self.rondo, {"--streams": [dict(gen_tok_s=8000.0)], "W8:W6": [dict(gen_tok_s=800.0)]})
        self.peer("torch", {"cumsum": [dict(gen_tok_s=400.0)], "W8:W6": [dict(gen_tok_s=200.0)]})
        self.peer("jax", {"W8:W6": [dict(gen_tok_s=100.0)]})
        text = self.compare("--workloads", "W8:W6", "--rounds", "1", "--streams", "32")
        expected = ["W8:W6", "800", "PyTorch, no oneDNN, own sampler", "400", "2.00", "32", "8,000", "10.00"]
        self.assertEqual(self.row(text, "| W8:W6 | 800 |"), expected)

    def test_bf16_is_compared_with_bf16(self):
        bf16 = [rondo_line("W5", 6000.0, 18000.0, precision="f32")]
        self.fake("rondo", self.rondo, {"bf16": bf16, "W5": [rondo_line("W5", 3000.0, 9000.0, precision="f32")]})
        self.peer("torch", {"--bf16": [dict(train_tok_s=4000.0, eval_tok_s=6000.0)], "W5": [dict(train_tok_s=1000.0)]})
        text = self.compare("--bf16", "--rounds", "1")
        self.assertIn("| W5 | 6,000 | 2.00 | 4,000 | 1.50 | 18,000 | 2.00 | 6,000 | 3.00 |", text)
        self.assertEqual(self.row(text, "| W5 | 3,000 |")[4], "1,000")
        self.assertIn("- on W5 Rondo reports `precision` as f32, not bf16.", text)

    def test_gpus_are_compared_with_gpus(self):
        gpu = [rondo_line("W5", 9000.0, 27000.0)]
        self.fake("rondo", self.rondo, {"gpu": gpu, "W5": [rondo_line("W5", 3000.0, 9000.0)]})
        self.peer("torch", {"cuda": [dict(train_tok_s=18000.0, eval_tok_s=54000.0)], "W5": [dict(train_tok_s=1000.0)]})
        text = self.compare("--gpu", "--rounds", "1")
        self.assertIn("| W5 | 9,000 | 3.00 | 18,000 | 0.50 | 27,000 | 3.00 | 54,000 | 0.50 |", text)
        self.assertEqual(self.row(text, "| W5 | 3,000 |")[4], "1,000")

    def test_threads_go_to_all(self):
        self.compare("--threads", "1", "--rounds", "1")
        for record in self.records():
            position = record["command"].index("--threads")
            self.assertEqual(record["command"][position + 1], "1")

    def test_a_limit_of_the_instructions_holds_for_all(self):
        text = self.compare("--instructions", "avx2", "--rounds", "1")
        environments = {record["side"]: record["environment"] for record in self.records()}
        self.assertEqual(environments["rondo"], {"RONDO_CPU": "avx2"})
        self.assertEqual(environments["jax"], {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"})
        self.assertEqual(environments["pytorch"]["ATEN_CPU_CAPABILITY"], "avx2")
        # It is added to what a variant sets itself.
        self.assertEqual(environments["pytorch-tuned"]["ONEDNN_MAX_CPU_ISA"], "AVX2")
        self.assertIn("glibc.malloc.mmap_max=0", environments["pytorch-tuned"]["GLIBC_TUNABLES"])
        self.assertIn("- no side uses newer vector instructions than avx2.", text)

    def test_what_is_left_tells_of_the_machine_but_not_its_folders(self):
        text = self.compare("--rounds", "1")
        for name in ("README.md", "raw.jsonl", "table.md"):
            self.assertNotIn(str(self.folder / "environments"), (self.run_folder() / name).read_text("utf-8"), name)
        readme = (self.run_folder() / "README.md").read_text("utf-8")
        for fact in ("| PyTorch | 9.9 |", "| CPU |", "| kernel |", "| load averages before |"):
            self.assertIn(fact, readme)
        again = subprocess.run(
            [sys.executable, str(COMPARE), "--again", str(self.run_folder())], capture_output=True, encoding="utf-8"
        )
        self.assertEqual(again.stdout.split("## Notes")[0], text.split("## Notes")[0])

    def test_a_second_run_of_a_day_has_its_own_folder(self):
        self.compare("--rounds", "1")
        self.compare("--rounds", "1")
        names = sorted(folder.name for folder in (self.folder / "runs").iterdir())
        self.assertEqual(names[1], names[0] + "-2")

    def test_unknown_workloads_are_refused(self):
        self.compare("--workloads", "W1,W9", code=2)
        self.assertIn("`W9` is not one of W1, W1u, W2", self.complaints)


class WorkloadsTest(unittest.TestCase):
    def test_a_step_costs_what_is_published(self):
        steps = {"W1": 30.6, "W2": 119.2, "W3": 89.1, "W4": 0.998, "W5": 1.05, "W6": 81.5, "W7": 1126}
        for name, gflop in steps.items():
            self.assertAlmostEqual(flops(name) * WORKLOADS[name].tokens / 1e9 / gflop, 1, places=2, msg=name)

    def test_sizes_that_rondo_does_not_report_are_no_difference(self):
        self.assertEqual(report.differences("W1", dict(train_tok_s=700.0, train_gflops=30.64)), [])
        self.assertEqual(report.differences("W8:W1", dict(gen_tok_s=700.0, batch_size=1)), [])


def ended(process_id):
    """Whether a killed process has ended, or is a zombie, within a few seconds."""
    for _ in range(200):
        try:
            os.kill(process_id, 0)
            status = pathlib.Path("/proc/%d/stat" % process_id)
            if status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


if __name__ == "__main__":
    unittest.main()
