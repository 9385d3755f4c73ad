"""Trains a tiny model with the given program, and serves it while a test runs."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
from typing import List

LINES = ["the cat sat on the mat .", "a dog saw the cat .", "a cat saw a dog on the mat .", "the dog sat ."]


@contextlib.contextmanager
def serving(rondo: str, *arguments: str):
    """Yields the URL of the server and the folder of runs."""
    with tempfile.TemporaryDirectory() as folder:
        runs = pathlib.Path(folder) / "runs"
        text = pathlib.Path(folder) / "text.txt"
        text.write_text("".join(line + "\n" for line in LINES * 60))
        train(rondo, text, runs / "tiny")
        command = [rondo, "serve", str(runs / "tiny"), "--port", "0", "--runs", str(runs), "--quiet", *arguments]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            line = server.stderr.readline()
            address = re.fullmatch(r"listening on (http://\S+)\n", line)
            if not address:
                sys.exit("the server said: %s" % line)
            yield address.group(1), runs
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait(timeout=60) != 0:
                sys.exit("the server ended with %d" % server.returncode)


def train(rondo: str, text: pathlib.Path, run: pathlib.Path, *arguments: str) -> None:
    command = [rondo, "train", "--data", str(text), "--out", str(run), "--hidden-size", "32", "--layers", "1"]
    command += ["--epochs", "3", "--batch-size", "4", "--bptt", "10", "--quiet", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "RONDO_THREADS": "1"})


def documented(kind: str, url: str) -> List[str]:
    """The examples of this kind in the page of the documentation, for the server that runs here."""
    page = pathlib.Path(__file__).resolve().parents[4] / "docs" / "serving.md"
    blocks = re.findall(r"^```%s\n(.*?)^```$" % kind, page.read_text(), re.MULTILINE | re.DOTALL)
    return [block.replace("http://127.0.0.1:8080", url).replace("ptb-1", "tiny") for block in blocks]
