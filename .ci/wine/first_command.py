"""The first command under Wine: trains, generates and evaluates; then Ctrl-C stops a run, which is resumed.

    first_command.py WINE RONDO.EXE

Ctrl-C is a key, so it needs a terminal: this script is one.
"""

import json
import os
import pty
import subprocess
import sys
import tempfile
import time

WINE, RONDO = sys.argv[1], os.path.abspath(sys.argv[2])
SMALL = ["--hidden-size", "16", "--layers", "1", "--threads", "1", "--quiet"]
LONGEST_S = 120


def run(*arguments: str) -> str:
    """Runs the command and returns what it prints."""
    command = [WINE, RONDO, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8", timeout=LONGEST_S).stdout


def interrupted(*arguments: str, when: str) -> int:
    """Runs the command in a terminal, presses Ctrl-C as soon as the file `when` exists, and returns the exit code."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(WINE, [WINE, RONDO, *arguments])
    os.set_blocking(terminal, False)
    begun, pressed = time.monotonic(), False
    while time.monotonic() < begun + LONGEST_S:
        try:
            if not os.read(terminal, 1 << 16):
                break
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:  # The command has ended.
            break
        if not pressed and os.path.exists(when):
            os.write(terminal, b"\x03")
            pressed = True
    else:
        os.kill(process, 9)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(run("train", "--out", "run", "--epochs", "1", "--max-batches", "100", *SMALL))
        print(run("generate", "--model", "run", "--tokens", "20"))
        print(run("eval", "--model", "run", "--split", "test"))
        longer = ["train", "--out", "longer", "--epochs", "30", "--max-batches", "20", *SMALL]
        code = interrupted(*longer, when="longer/best.safetensors")
        assert code == 130, f"interrupted, the command ended with {code}"
        print(run("train", "--resume", "--out", "longer", "--quiet"))
        with open("longer/metrics.jsonl", encoding="utf-8") as metrics:
            epochs = [json.loads(line)["epoch"] for line in metrics]
        assert epochs == sorted(epochs) and epochs[-1] == 30, epochs


main()
