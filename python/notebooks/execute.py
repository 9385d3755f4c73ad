"""Executes the notebooks of this folder, and writes them back with their outputs.

    python execute.py                       all of them
    python execute.py 1-word-lstm.ipynb     one of them
    python execute.py --plots FOLDER        all of them, and the first plot of each as FOLDER/NAME.png

The notebooks are their own source: edit them in Jupyter, then run this script, so that the outputs are those of the
committed cells, from top to bottom. What differs between machines and runs without a reason is removed: the versions of
Python and Jupyter, and the times of cells. Runs are written to a temporary folder. The corpora are looked for in the folder
`RONDO_DATA`, or downloaded.

Needs `pip install matplotlib nbclient ipykernel` and the package. `tests/test_notebooks.py` uses `executed`.
"""

from __future__ import annotations

import argparse
import base64
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent

TIMEOUT_S = 900
"""The longest time of a cell, with room for slow machines."""

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def executed(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a new kernel, which runs in a temporary folder. A cell that fails raises."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT_S,
            kernel_name="python3",
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
    return notebook


def first_plot(notebook: nbformat.NotebookNode) -> bytes:
    """The PNG of the first plot."""
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return next(base64.b64decode(output.data["image/png"]) for output in outputs if "image/png" in output.get("data", {}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Execute the notebooks in place.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="notebooks; by default all of this folder")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write the first plot of each notebook to FOLDER")
    arguments = parser.parse_args()
    for path in arguments.notebooks or sorted(FOLDER.glob("*.ipynb")):
        start = time.monotonic()
        notebook = executed(path)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.monotonic() - start:.0f} s")
        if arguments.plots:
            arguments.plots.mkdir(parents=True, exist_ok=True)
            (arguments.plots / f"{path.stem}.png").write_bytes(first_plot(notebook))


if __name__ == "__main__":
    main()
