"""Training."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _rondo

if TYPE_CHECKING:
    import pandas

Event = dict[str, Any]
"""What a callback receives: ``kind`` and the values that belong to it.

================= ==================================================================================
``kind``          other keys
================= ==================================================================================
``note``          ``text``
``epoch_started`` ``epoch``, ``epochs``, ``batches``, ``learning_rate``
``batch``         ``epoch``, ``batch``, ``batches``, ``step``, ``loss`` (nats per token),
                  ``moving_loss``, ``tokens_per_s``, ``gradient_norm``, ``learning_rate``
``log``           the same, as means over the batches since the last one
``evaluating``    ``text``, ``done``, ``total``
``epoch``         ``epoch``, ``step``, ``train_loss``, ``valid_loss``, ``test_loss``, ``is_best``,
                  ``learning_rate``, ``tokens_per_s``, ``elapsed_s``
``sample``        ``prefix``, ``text``
================= ==================================================================================
"""

Data = str | os.PathLike[str] | Iterable[str]
Callback = Callable[[Event], object]


@dataclass
class History:
    """A run that has ended.

    Attributes
    ----------
    model
        The best model; None if the run was stopped before there was one.
    folder
        The folder of the run, with its model files, metrics and checkpoints.
    epochs
        One event of the kind ``epoch`` for each epoch.
    results
        ``best_epoch``, ``valid_loss``, ``test_loss`` (nats per token), ``steps``, ``tokens``,
        ``training_s``, ``elapsed_s``, ``interrupted``.
    """

    model: _rondo.LanguageModel | None
    folder: Path
    epochs: list[Event] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)

    def to_frame(self) -> pandas.DataFrame:
        """The epochs as a DataFrame of pandas, which must be installed."""
        import pandas

        return pandas.DataFrame(self.epochs).drop(columns="kind", errors="ignore")

    def _repr_svg_(self) -> str | None:
        curve = self.folder / "curve.svg"
        return curve.read_text() if curve.exists() else None


def train(
    data: Data | None = None,
    *,
    recipe: str | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    **settings: Any,
) -> History:
    """Train a language model.

    Parameters
    ----------
    data
        A file or folder, the name of a published corpus such as ``"ptb"``, a text (a string with line
        ends), or an iterable of lines. By default, a small built-in language.
    recipe
        The name of a recipe, or its file, whose settings the given ones override.
    out
        The folder of the run; by default the first free one of ``runs/NAME-1``, ``runs/NAME-2``, …
    resume
        Continue the run in ``out`` from its last checkpoint.
    callbacks
        Functions that receive each `Event`. One that returns False stops the run, which can be resumed.
    progress
        Print an epoch per line, and a bar while it runs; by default in a terminal and in notebooks.
    **settings
        All settings of ``rondo train`` under their names, such as ``hidden_size=200``; ``from`` is
        ``from_model``. `rondo.data.settings` lists them.

    Raises
    ------
    TypeError
        For a setting that there is not.
    TrainingError
        If a setting has a wrong value, or the run cannot begin.
    TextError
        If a text cannot be read.
    KeyboardInterrupt
        With Ctrl-C: the run stops after the current batch, and can be resumed.
    """
    history = History(None, Path())
    shown = _is_interactive() if progress is None else progress
    told: list[Callback] = [*([_Progress()] if shown else []), *callbacks]

    def observe(event: Event) -> bool:
        if event["kind"] == "epoch":
            history.epochs.append(event)
        # All are told, and any can stop the run.
        answers = [callback(event) for callback in told]
        return not any(answer is False for answer in answers)

    with _source(data) as source:
        given = {**source, **settings}
        path = None if out is None else os.fspath(out)
        model, folder, results = _rondo.train(
            given, recipe=recipe, out=path, resume=resume, callback=observe
        )
    history.model, history.folder, history.results = model, Path(folder), results
    return history


@contextlib.contextmanager
def _source(data: Data | None) -> Iterator[dict[str, Any]]:
    """The settings that stand for the data."""
    if data is None:
        yield {}
    elif isinstance(data, os.PathLike):
        yield {"data": os.fspath(data)}
    elif isinstance(data, str) and "\n" not in data:
        is_name = data in _rondo.corpora() and not os.path.exists(data)
        yield {"corpus" if is_name else "data": data}
    else:
        lines = data.splitlines() if isinstance(data, str) else data
        with _piped(lines) as path:
            yield {"data": path}


@contextlib.contextmanager
def _piped(lines: Iterable[str]) -> Iterator[str]:
    """A path from which lines can be read once; the run keeps a copy of what it reads from a pipe."""
    if sys.platform == "win32":
        # No pipe has a path there: the file stays until the run ends.
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "text.txt")
            with open(path, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in lines)
            yield path
        return
    reader, writer = os.pipe()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            with open(writer, "w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{line}\n" for line in lines)
        except BrokenPipeError:
            pass  # The run has ended without reading all.
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
        thread.join()
        if errors:
            raise errors[0]


def _is_interactive() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class _Progress:
    """Prints a line for each epoch, and one that changes while it runs."""

    def __call__(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "log":
            self._show(
                f"epoch {event['epoch']}  batch {event['batch']}/{event['batches']}  "
                f"loss {event['loss']:.4f}  {event['tokens_per_s']:,.0f} tokens/s"
            )
        elif kind == "epoch":
            losses = [("train", "train_loss"), ("valid", "valid_loss"), ("test", "test_loss")]
            shown = [f"{name} {event[key]:.4f}" for name, key in losses if event[key] is not None]
            self._show(f"epoch {event['epoch']}  {'  '.join(shown)}", end="\n")
        elif kind == "note":
            self._show(f"note: {event['text']}", end="\n")

    def _show(self, text: str, end: str = "") -> None:
        print(f"\r{text:<78}", end=end, file=sys.stderr, flush=True)
