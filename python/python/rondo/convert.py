"""Models of other tools, in and out."""

from __future__ import annotations

import os
from pathlib import Path

from . import _rondo
from ._rondo import LanguageModel

__all__ = ["export", "load"]

_Path = str | os.PathLike[str]


def load(
    path: _Path,
    *,
    vocab_list: _Path | None = None,
    vocab_from_corpus: _Path | None = None,
    tokenizer: _Path | None = None,
    cell: str | None = None,
) -> LanguageModel:
    """Read a model of PyTorch (``.pt``, ``.pth``, ``.bin``, ``.safetensors``) or MXNet (``.params``).

    Nothing in the file is executed. The result is a model like any other: ``save`` it to keep it.

    Parameters
    ----------
    path
        The file.
    vocab_list
        Its tokens: one per line or ``token id`` per line, or the JSON of GluonNLP.
    vocab_from_corpus
        Instead, the folder of the corpus, whose words are numbered in order of first appearance.
    tokenizer
        How texts are split: ``words``, ``moses``, ``chars``, ``bytes``, or the file of a tokenizer with its vocabulary.
    cell
        ``rnn_tanh`` or ``rnn_relu``, if the file does not say which.

    Raises
    ------
    ModelError
        If the file is damaged, or contains what Rondo's models do not have.
    """
    return _rondo.load(
        path, vocab_list=vocab_list, vocab_from_corpus=vocab_from_corpus,
        tokenizer=None if tokenizer is None else os.fspath(tokenizer), cell=cell,
    )  # fmt: skip


def export(path: _Path, out: _Path, *, to: str, int8: bool = False) -> list[Path]:
    """Write a model for PyTorch or ONNX.

    Parameters
    ----------
    path
        A model file, or the folder of a run.
    out
        The folder to write to.
    to
        ``pytorch`` (a state dict and a script that loads it), ``onnx`` (one step with its state) or
        ``onnx-rescoring`` (the loss of whole texts).
    int8
        Store the weights of an ONNX file as 8-bit integers.

    Returns
    -------
    list of Path
        The files.
    """
    return [Path(file) for file in _rondo.export(path, out, to=to, int8=int8)]
