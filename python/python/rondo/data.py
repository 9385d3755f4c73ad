"""Texts, tokenizers and settings."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ._rondo import Tokenizer, corpora, settings, train_tokenizer

__all__ = ["Tokenizer", "corpora", "settings", "train_bpe"]


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
