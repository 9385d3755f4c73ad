"""Writes `torch_ranks.safetensors`: the ranks of the tokens of a text by an LSTM of PyTorch, some of which are ties.

Usage: python make_ranks.py [FOLDER]    (default: the folder of this script)

The model is that of the case `lstm_untied` of make_torch.py, with larger parameters, so that predictions differ. Some tokens
have the decoder row of another one, so they are exactly as likely. Everything is computed in float64 on one CPU thread.
README.md lists the contents of the file.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from make_torch import CASES, VOCAB, LanguageModel, rondo_tensors, write

UNKNOWN, LINE_END, LENGTH, CUTOFFS = 0, 1, 301, (1, 3, 5, 10)
EXCLUDED = (LINE_END, 5, 11)
TIES = {7: 6, 20: 6, 3: 22}  # Each token has the decoder row of the other one.


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    random = np.random.RandomState(17)
    case = next(case for case in CASES if case.name == "lstm_untied")
    model = LanguageModel(case).double()
    initial = {name: random.uniform(-1.5, 1.5, p.shape).astype(np.float32) for name, p in model.trained().items()}
    for name in ("decoder.weight", "decoder.bias"):
        for token, other in TIES.items():
            initial[name][token] = initial[name][other]
    with torch.no_grad():
        for name, parameter in model.trained().items():
            parameter.copy_(torch.from_numpy(initial[name]))
    tensors = rondo_tensors(case, "model", {name: torch.from_numpy(value) for name, value in initial.items()})
    ids = random.randint(0, VOCAB, LENGTH)
    logits = predictions(model, torch.from_numpy(ids))
    tensors["ids"] = ids.astype(np.uint32)
    targets = torch.from_numpy(ids[1:])
    for name, excluded in (("all", ()), ("suggested", EXCLUDED)):
        ranks = ranks_of(logits, targets, excluded)
        found = [(ranks.isfinite() & (ranks <= cutoff)).sum() for cutoff in CUTOFFS]
        tensors[f"{name}.ranks"] = torch.nan_to_num(ranks, posinf=0).numpy().astype(np.uint32)
        tensors[f"{name}.found"] = np.array(found, np.uint32)
        tensors[f"{name}.mean_reciprocal_rank"] = np.array([(1 / ranks).mean()], np.float64)
    write(folder, "ranks", tensors, {"cutoffs": CUTOFFS, "excluded": EXCLUDED, "hidden_size": case.hidden_size})


@torch.no_grad()
def predictions(model, ids):
    """The logits of each token of a text but the first, which must be tied, or differ by more than float32 rounds."""
    logits, _, _ = model(ids[:-1].view(-1, 1), [None] * len(model.rnn))
    logits = logits.reshape(-1, VOCAB)
    gaps = logits.sort(1).values.diff(dim=1)
    assert gaps[gaps != 0].min() > 1e-5, "two tokens are almost as likely"
    return logits


def ranks_of(logits, targets, excluded):
    """The rank of each target, ∞ if it is unknown or excluded: ties have the best rank."""
    logits = logits.clone()
    logits[:, list(excluded)] = -torch.inf
    ranks = 1 + (logits > logits.gather(1, targets[:, None])).sum(1)
    is_miss = torch.isin(targets, torch.tensor([UNKNOWN, *excluded]))
    return ranks.double().masked_fill(is_miss, torch.inf)


if __name__ == "__main__":
    main()
