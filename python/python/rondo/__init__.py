"""Recurrent language models: train, evaluate, score, generate.

>>> import rondo
>>> history = rondo.train("poems.txt", epochs=3)          # doctest: +SKIP
>>> history.model.generate("The sea", max_tokens=50)      # doctest: +SKIP
>>> model = rondo.open("runs/poems-1")                    # doctest: +SKIP
>>> model.score(["the cat sat", "sat the cat"])           # doctest: +SKIP
array([-21.3, -30.8])
"""

from __future__ import annotations

import os

from . import convert, data, nn, plot
from ._rondo import (
    LanguageModel,
    ModelError,
    RondoError,
    State,
    Stream,
    Suggester,
    TextError,
    TrainingError,
    __version__,
)
from ._train import Event, History, Plan, Trainer, train

__all__ = [
    "Event",
    "History",
    "LanguageModel",
    "ModelError",
    "Plan",
    "RondoError",
    "State",
    "Stream",
    "Suggester",
    "TextError",
    "Trainer",
    "TrainingError",
    "__version__",
    "convert",
    "data",
    "nn",
    "open",
    "plot",
    "train",
]


def open(  # noqa: A001 - `rondo.open`, as `gzip.open`
    path: str | os.PathLike[str],
    *,
    device: str = "cpu",
    threads: int | None = None,
    precision: str = "f32",
    mmap: bool = False,
) -> LanguageModel:
    """Open a model: a model file, or the folder of a run for its best model.

    Parameters
    ----------
    path
        The file or folder.
    device
        ``"cpu"``, or, if the package was built with the feature ``gpu``, ``"gpu"``, ``"gpu:N"`` or ``"auto"``.
    threads
        Number of threads to compute with; by default all of the machine.
    precision
        ``"f32"``; ``"bf16"`` or ``"bf16x3"`` on processors that have it; or ``"auto"``, the fastest one for batches of
        text.
    mmap
        Map the file into memory, so that processes share its pages.

    Raises
    ------
    ModelError
        If there is no model, or it is damaged.
    """
    return LanguageModel.open(path, device=device, threads=threads, precision=precision, mmap=mmap)
