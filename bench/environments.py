"""Prepares a measurement: creates the peers' virtual environments and builds Rondo.

An environment is a folder `DIR/NAME` created by `venv`; an existing one that works is reused. Packages come from the
index that pip is configured for.
"""

import dataclasses
import json
import os
import pathlib
import sys
from typing import List

from running import RunError, text_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHECK_TIMEOUT_S = 120


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to create an environment."""

    module: str  # Imported to check that it works; its version is the peer's.
    installs: List[List[str]]  # Arguments of `pip install`, one list per call.


RECIPES = {
    # The wheel for Linux includes the CUDA libraries, some 6 GB that are not used here.
    "torch": Recipe("torch", [["torch", "numpy", "setuptools"]]),
    "jax": Recipe("jax", [["jax", "numpy"]]),
    # Needs Python 3.8; these versions work without patches.
    "mxnet": Recipe(
        "mxnet",
        [
            ["-U", "pip", "setuptools<66", "wheel"],
            ["numpy==1.23.5", "cython<3"],
            ["mxnet==1.9.1", "numpy==1.23.5"],
            ["--no-build-isolation", "gluonnlp==0.10.0", "numpy==1.23.5"],
        ],
    ),
    "plot": Recipe("matplotlib", [["matplotlib"]]),
}


def default_folder() -> pathlib.Path:
    """The default folder of the environments, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "rondo-bench"


def python_of(folder: pathlib.Path, name: str) -> str:
    """The path of an environment's interpreter, which may not exist."""
    return str(folder.resolve() / name / "bin" / "python")


def version_of(folder: pathlib.Path, name: str) -> str:
    """The version of an environment's peer; raises `RunError` if it does not work."""
    module = RECIPES[name].module
    program = "import %s; print(%s.__version__)" % (module, module)
    return text_of([python_of(folder, name), "-c", program], CHECK_TIMEOUT_S).strip()


def prepare(folder: pathlib.Path, name: str, base_python: str, timeout_s: float) -> str:
    """Creates an environment unless a working one exists, and returns its peer's version.

    Raises `RunError` if that fails; each step may take `timeout_s` seconds.
    """
    try:
        return version_of(folder, name)
    except RunError:
        print("%s: creating an environment in %s" % (name, folder / name), file=sys.stderr)
    (folder / name).mkdir(parents=True, exist_ok=True)
    text_of([base_python, "-m", "venv", "--clear", str(folder / name)], timeout_s)
    for arguments in RECIPES[name].installs:
        text_of([python_of(folder, name), "-m", "pip", "install", "-q", *arguments], timeout_s)
    return version_of(folder, name)


def build_rondo(timeout_s: float, gpu: bool = False) -> str:
    """Builds this checkout's `rondo` in release mode and returns its path; raises `RunError` if that fails."""
    print("building Rondo", file=sys.stderr)
    features = ["--package", "rondo-cli", "--features", "gpu"] if gpu else []
    text_of(["cargo", "build", "--release", "--bin", "rondo", *features], timeout_s, cwd=ROOT)
    metadata = text_of(["cargo", "metadata", "--no-deps", "--format-version", "1"], CHECK_TIMEOUT_S, cwd=ROOT)
    return str(pathlib.Path(json.loads(metadata)["target_directory"]) / "release" / "rondo")
