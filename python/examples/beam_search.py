"""A speech decoder's beam search with shallow fusion: acoustic scores plus those of a language model.

Usage: python beam_search.py MODEL
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import rondo


def decode(
    model: rondo.LanguageModel, heard: Sequence[Mapping[str, float]], *, weight: float = 1.0, beam: int = 8
) -> list[str]:
    """The best words for acoustic log-probabilities of words, position by position."""
    if model.line_end is None:
        raise ValueError("the model has no line end to start from")
    ids = {token: id for id, token in enumerate(model.vocab)}
    states, rows = model.advance([model.begin()], [model.line_end])
    hypotheses = [(0.0, list[str](), states[0], rows[0])]
    for words in heard:
        extended = [
            (score + acoustic + weight * float(row[ids[word]]), [*before, word], state)
            for score, before, state, row in hypotheses
            for word, acoustic in words.items()
        ]
        best = sorted(extended, key=lambda hypothesis: -hypothesis[0])[:beam]
        # All hypotheses advance in one call.
        states, rows = model.advance([state for _, _, state in best], [ids[words[-1]] for _, words, _ in best])
        hypotheses = [(score, text, state, row) for (score, text, _), state, row in zip(best, states, rows)]
    return hypotheses[0][1]


if __name__ == "__main__":
    toy = [{"the": -0.1}, {"mat": -0.6, "cat": -0.8}, {"sat": -0.1}]
    for weight in (0.0, 1.0):
        print(weight, *decode(rondo.open(sys.argv[1]), toy, weight=weight))
