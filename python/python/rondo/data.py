"""Texts as ids: tokenizers, counters, vocabularies, corpora and batches; the settings of training.

>>> counter = Counter("the cat saw the dog".split())
>>> vocab = Vocab.from_counts(counter, min_frequency=2)
>>> vocab.tokens, vocab["the"], vocab["bird"]
(['<unk>', 'the'], 1, 0)
>>> inputs, targets = batchify([0, 1, 2, 3, 4, 5, 6, 7, 8], batch_size=2, bptt=3)[0]
>>> inputs.tolist(), targets.tolist()
([[0, 4], [1, 5], [2, 6]], [[1, 5], [2, 6], [3, 7]])
"""

from __future__ import annotations

import collections
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from . import _rondo
from ._rondo import Batches, Corpus, Tokenizer, Vocab, corpora, settings, tales, train_tokenizer
from ._source import Data, lines_at, source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ids = Sequence[int] | npt.NDArray[np.integer[Any]]

__all__ = [
    "Batches",
    "Corpus",
    "Counter",
    "Tokenizer",
    "Vocab",
    "batchify",
    "corpora",
    "read_corpus",
    "settings",
    "tales",
    "train_bpe",
]


class Counter(collections.Counter[str]):
    """Token counts: a `collections.Counter` that can read texts."""

    @classmethod
    def read(cls, data: Data, tokenizer: str | Tokenizer = "words") -> Counter:
        """Count the tokens of a file, a text (a string with line ends), or an iterable of lines.

        The counter keeps the tokens in order of first appearance.
        """
        if isinstance(tokenizer, str):
            tokenizer = Tokenizer(tokenizer)
        if isinstance(data, os.PathLike) or (isinstance(data, str) and "\n" not in data):
            return cls(dict(_rondo.count_tokens([os.fspath(data)], tokenizer)))
        with lines_at(data.splitlines() if isinstance(data, str) else data) as path:
            return cls(dict(_rondo.count_tokens([path], tokenizer)))

    def discard(self, min_frequency: int, unknown: str = "<unk>") -> Counter:
        """The counts with rare tokens, those below ``min_frequency``, added up as the unknown token."""
        kept = Counter({token: count for token, count in self.items() if count >= min_frequency})
        rare = self.total() - kept.total()
        if rare:
            kept[unknown] += rare
        return kept

    def total(self) -> int:
        """The number of tokens counted."""
        return sum(self.values())


def read_corpus(data: Data | None = None, **settings: Any) -> Corpus:
    """Read texts as training does.

    Parameters
    ----------
    data
        As in `rondo.train`: a path, the name of a published corpus, a text, or an iterable of lines.
    **settings
        Settings of the text, such as ``tokenizer="chars"`` or ``min_frequency=2``.
    """
    with source(data) as given:
        return _rondo.read_corpus({**given, **settings})


def batchify(
    ids: Ids, batch_size: int, bptt: int, *, last_batch: Literal["keep", "discard"] = "keep"
) -> Batches:
    """Batches for truncated backpropagation through time.

    The ids are laid out in ``batch_size`` columns of equal length. Each batch is the next ``bptt`` rows of
    them, so that the state after one batch is the state before the next one.

    Parameters
    ----------
    ids
        The ids of a text.
    batch_size
        The number of columns, B.
    bptt
        The number of rows of a batch, T.
    last_batch
        ``keep`` the last batch if it has fewer rows, or ``discard`` it.

    Returns
    -------
    Batches
        A sequence of ``(inputs, targets)``, both ``[T, B]``.
    """
    return Batches(ids, batch_size, bptt, last_batch=last_batch)


def train_bpe(
    files: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    vocab_size: int = 8000,
    min_frequency: int = 2,
    whole: Iterable[str] = (),
) -> Path:
    """Train a byte-level BPE and write its ``tokenizer.json``.

    Parameters
    ----------
    files
        Text files, which can be compressed.
    out
        The file to write, which ``rondo.train(tokenizer=out)`` uses.
    vocab_size
        Number of tokens, including the 256 bytes.
    min_frequency
        How often a pair of tokens must occur to be merged.
    whole
        Tokens that are never split, such as ``<unk>``.

    Returns
    -------
    Path
        The file.
    """
    json = train_tokenizer(
        [os.fspath(file) for file in files],
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        whole=list(whole),
    )
    path = Path(out)
    path.write_text(json, encoding="utf-8")
    return path
