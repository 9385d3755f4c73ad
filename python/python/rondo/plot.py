"""Pictures for notebooks."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from ._rondo import LanguageModel, plot_runs

__all__ = ["Picture", "runs", "surprisal"]


@dataclass(frozen=True)
class Picture:
    """A picture that notebooks show: an SVG, or HTML.

    Attributes
    ----------
    source
        The text of the picture, to be written to a file.
    """

    source: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.source


def runs(folders: Sequence[str | os.PathLike[str]], *, x: str = "steps") -> Picture:
    """Losses, perplexities, learning rates and gradient norms of runs, as an SVG.

    Parameters
    ----------
    folders
        Run folders, or their metrics files.
    x
        The unit of the x axis: ``steps``, ``epochs`` or ``seconds``.
    """
    return Picture(plot_runs(list(folders), x))


def surprisal(model: LanguageModel, texts: str | Sequence[str], *, unit: str = "word") -> Picture:
    """Texts with their surprisal as color: the darker, the less expected.

    Parameters
    ----------
    model
        The model.
    texts
        A line, or several.
    unit
        ``word``, ``token`` or ``character``.
    """
    lines = [texts] if isinstance(texts, str) else list(texts)
    rows = []
    for words in model.surprisals(lines, unit=unit):
        shown = [_span(word or "\u23ce", bits) for word, bits in words]
        rows.append(f"<div>{(' ' if unit == 'word' else '').join(shown)}</div>")
    return Picture(f'<div style="font-family: serif; line-height: 1.7">{"".join(rows)}</div>')


def _span(word: str, bits: float | None) -> str:
    if bits is None:
        return f"<span>{html.escape(word)}</span>"
    # 20 bits are the full color.
    shade = min(max(bits / 20, 0.0), 1.0) * 0.85
    style = f"background: rgba(214, 69, 65, {shade:.2f}); padding: 1px 2px; border-radius: 3px"
    return f'<span style="{style}" title="{bits:.2f} bits">{html.escape(word)}</span>'
