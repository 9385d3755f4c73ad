"""Progress of a run: a bar and a line per epoch in terminals, a bar and a table in notebooks."""

from __future__ import annotations

import html
import importlib
import sys
import time
from typing import Any, Protocol

INTERVAL_S = 0.2
"""How often the bar moves."""

BAR = 24
"""Its width in a terminal, in characters."""

LOSSES = [("train", "train_loss"), ("valid", "valid_loss"), ("test", "test_loss")]


def progress() -> Terminal | Notebook:
    """The progress that fits where Python runs."""
    return Notebook() if _is_notebook() else Terminal()


def is_interactive() -> bool:
    """Whether somebody watches."""
    return sys.stderr.isatty() or _is_notebook()


def _is_notebook() -> bool:
    return "ipykernel" in sys.modules


class _Pace:
    """Lets through what is due."""

    def __init__(self) -> None:
        self.last = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self.last < INTERVAL_S:
            return False
        self.last = now
        return True


def _state(event: dict[str, Any]) -> str:
    return f"loss {event['moving_loss']:.4f}  {event['tokens_per_s']:,.0f} tokens/s"


class Terminal:
    """Prints a line for each epoch, and below it a bar that changes while it runs."""

    def __init__(self) -> None:
        self.pace = _Pace()
        self.epochs = 0

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "epoch_started":
            self.epochs = event["epochs"]
        elif kind == "batch" and self.pace.is_due():
            done = round(BAR * event["batch"] / event["batches"])
            bar = "\u2501" * done + "\u2500" * (BAR - done)
            self._show(f"epoch {event['epoch']}/{self.epochs}  {bar}  {_state(event)}")
        elif kind == "evaluating" and self.pace.is_due():
            self._show(f"evaluating {event['text']}  {100 * event['done'] / max(event['total'], 1):.0f} %")
        elif kind == "epoch":
            shown = [f"{name} {event[key]:.4f}" for name, key in LOSSES if event[key] is not None]
            best = "  best" if event["is_best"] else ""
            self._show(f"epoch {event['epoch']}  {'  '.join(shown)}{best}", end="\n")
        elif kind == "note":
            self._show(f"note: {event['text']}", end="\n")

    def _show(self, text: str, end: str = "") -> None:
        print(f"\r{text:<78}", end=end, file=sys.stderr, flush=True)


class _Handle(Protocol):
    def update(self, shown: Any) -> None: ...


class Notebook:
    """Shows a bar and a table of epochs in the output of a cell."""

    def __init__(self) -> None:
        self.pace = _Pace()
        self.epochs = 0
        self.rows: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.bar = ""
        self.handle: _Handle | None = None

    def __call__(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        if kind == "epoch_started":
            self.epochs = event["epochs"]
            return
        if kind == "batch" and self.pace.is_due():
            self.bar = _bar(event["batch"], event["batches"], f"epoch {event['epoch']}/{self.epochs}  {_state(event)}")
        elif kind == "evaluating" and self.pace.is_due():
            self.bar = _bar(event["done"], event["total"], f"evaluating {event['text']}")
        elif kind == "epoch":
            self.rows.append(event)
            self.bar = ""
        elif kind == "note":
            self.notes.append(event["text"])
        else:
            return
        self._show()

    def html(self) -> str:
        """What is shown."""
        named = [(name, key) for name, key in LOSSES if any(row[key] is not None for row in self.rows)]
        table = ""
        if self.rows:
            head = "".join(f"<th>{name}</th>" for name, _ in named)
            body = "".join(
                f"<tr><td>{row['epoch']}</td>"
                + "".join("<td></td>" if row[key] is None else f"<td>{row[key]:.4f}</td>" for _, key in named)
                + f"<td>{'best' if row['is_best'] else ''}</td></tr>"
                for row in self.rows
            )
            table = f"<table><tr><th>epoch</th>{head}<th></th></tr>{body}</table>"
        notes = "".join(f"<div>note: {html.escape(note)}</div>" for note in self.notes)
        return f"<div>{notes}{table}{self.bar}</div>"

    def _show(self) -> None:
        # Only there in notebooks.
        ipython: Any = importlib.import_module("IPython.display")
        shown = ipython.HTML(self.html())
        if self.handle is None:
            self.handle = ipython.display(shown, display_id=True)
        else:
            self.handle.update(shown)


def _bar(done: int, total: int, text: str) -> str:
    return f'<progress value="{done}" max="{total}"></progress> <code>{html.escape(text)}</code>'
