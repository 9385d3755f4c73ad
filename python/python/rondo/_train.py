"""Training."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from . import _rondo, data as texts
from ._progress import is_interactive, progress as shown_progress
from ._source import Data as Texts, is_lines, source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas

    Data = Texts | _rondo.Corpus | npt.NDArray[np.integer[Any]]

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


class Plan:
    """What to train: data and settings. Their names, values and combination are checked at once.

    Parameters
    ----------
    data
        As in `train`.
    recipe
        The name of a recipe, or its file, whose settings the given ones override.
    **settings
        As in `train`.

    Raises
    ------
    TypeError
        For a setting that there is not.
    TrainingError
        If a setting has a wrong value, or no effect beside the others.
    """

    def __init__(self, data: Data | None = None, *, recipe: str | None = None, **settings: Any) -> None:
        self.data = texts.Corpus(data) if _is_array(data) else data
        self.recipe = recipe
        self.settings = settings
        if isinstance(self.data, _rondo.Corpus):
            for name in settings:
                if name in _rondo.text_settings():
                    raise TypeError(f"the corpus has been read: `{name}` has no effect")
        self.to_toml()

    def to_toml(self) -> str:
        """All settings, including the defaults, as the file ``plan.toml`` of a run has them."""
        if isinstance(self.data, _rondo.Corpus):
            return _rondo.plan({"corpus": "in-memory", **self.settings}, recipe=self.recipe)
        if is_lines(self.data):
            return _rondo.plan({"data": "-", **self.settings}, recipe=self.recipe)
        with source(self.data) as given:
            return _rondo.plan({**given, **self.settings}, recipe=self.recipe)

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"Plan({self.recipe or ''}{', ' if self.recipe and given else ''}{given})"


class Trainer:
    """Trains as planned, or resumes a run.

    Parameters
    ----------
    plan
        What to train.
    out
        The folder of the run; by default the first free one of ``runs/NAME-1``, ``runs/NAME-2``, …

    Examples
    --------
    >>> plan = Plan(["the cat sat", "the dog sat"] * 100, hidden_size=16, epochs=2)
    >>> history = Trainer(plan, out="runs/cats").fit()  # doctest: +SKIP
    """

    def __init__(self, plan: Plan, *, out: str | os.PathLike[str] | None = None) -> None:
        self.plan: Plan | None = plan
        self.out = out
        self._data, self._recipe, self._settings = plan.data, plan.recipe, plan.settings
        self._resume = False

    @classmethod
    def resume(cls, folder: str | os.PathLike[str], data: Data | None = None, **settings: Any) -> Trainer:
        """Continue the run in a folder from its last checkpoint.

        Parameters
        ----------
        folder
            The folder of the run.
        data
            For a run on ids, the same ids; for others, only if the texts have been moved.
        **settings
            Settings to change.
        """
        trainer = cls.__new__(cls)
        trainer.plan, trainer.out, trainer._resume = None, folder, True
        trainer._data = texts.Corpus(data) if _is_array(data) else data
        trainer._recipe, trainer._settings = None, settings
        return trainer

    def fit(self, callbacks: Sequence[Callback] = (), *, progress: bool | None = None) -> History:
        """Train to the end.

        Parameters
        ----------
        callbacks
            Functions that receive each `Event`. One that returns False stops the run, which can be resumed.
        progress
            Show a bar and the losses of each epoch; by default in a terminal and in notebooks.

        Raises
        ------
        TrainingError
            If the run cannot begin or continue.
        TextError
            If a text cannot be read.
        KeyboardInterrupt
            With Ctrl-C: the run stops after the current batch, and can be resumed.
        """
        history = History(None, Path())
        shown = is_interactive() if progress is None else progress
        told: list[Callback] = [*([shown_progress()] if shown else []), *callbacks]

        def observe(event: Event) -> bool:
            if event["kind"] == "epoch":
                history.epochs.append(event)
            # All are told, and any can stop the run.
            answers = [callback(event) for callback in told]
            return not any(answer is False for answer in answers)

        with _given(self._data) as (given, corpus):
            model, folder, results = _rondo.train(
                {**given, **self._settings},
                corpus=corpus,
                recipe=self._recipe,
                out=None if self.out is None else os.fspath(self.out),
                resume=self._resume,
                callback=observe,
            )
        history.model, history.folder, history.results = model, Path(folder), results
        return history


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
        ends), an iterable of lines, or ids (an array of integers, or a `rondo.data.Corpus`). By default, a
        small built-in language.
    recipe
        The name of a recipe, or its file, whose settings the given ones override.
    out
        The folder of the run; by default the first free one of ``runs/NAME-1``, ``runs/NAME-2``, …
    resume
        Continue the run in ``out`` from its last checkpoint, as `Trainer.resume`.
    callbacks
        Functions that receive each `Event`. One that returns False stops the run, which can be resumed.
    progress
        Show a bar and the losses of each epoch; by default in a terminal and in notebooks.
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
    if resume:
        if out is None:
            raise TypeError("resume needs the folder of the run as `out`")
        trainer = Trainer.resume(out, data, **settings)
    else:
        trainer = Trainer(Plan(data, recipe=recipe, **settings), out=out)
    return trainer.fit(callbacks, progress=progress)


def _is_array(data: object) -> TypeGuard[npt.NDArray[np.integer[Any]]]:
    return hasattr(data, "dtype")


@contextlib.contextmanager
def _given(data: Any) -> Iterator[tuple[dict[str, Any], _rondo.Corpus | None]]:
    """The settings that stand for the data, or the corpus that it is."""
    if isinstance(data, _rondo.Corpus):
        yield {}, data
    else:
        with source(data) as given:
            yield given, None
