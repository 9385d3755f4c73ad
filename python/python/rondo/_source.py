"""Texts in Python as the library reads them: by path."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from . import _rondo

Data = str | os.PathLike[str] | Iterable[str]


def is_lines(data: Data | None) -> bool:
    """Whether data is the text itself, and not where it is."""
    if isinstance(data, str):
        return "\n" in data
    return data is not None and not isinstance(data, os.PathLike)


@contextlib.contextmanager
def source(data: Data | None) -> Iterator[dict[str, Any]]:
    """The settings that stand for the data."""
    if data is None:
        yield {}
    elif isinstance(data, os.PathLike):
        yield {"data": os.fspath(data)}
    elif isinstance(data, str) and not is_lines(data):
        is_name = data in _rondo.corpora() and not os.path.exists(data)
        yield {"corpus" if is_name else "data": data}
    else:
        with lines_at(data.splitlines() if isinstance(data, str) else data) as path:
            yield {"data": path}


@contextlib.contextmanager
def lines_at(lines: Iterable[str]) -> Iterator[str]:
    """A path from which lines can be read once; a run keeps a copy of what it reads from a pipe."""
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
