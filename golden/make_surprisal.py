"""Writes `torch_surprisal.safetensors`: what an LSTM of PyTorch says about each token of two sentences.

Usage: python make_surprisal.py [FOLDER]    (default: the folder of this script)

The model is that of the case `lstm_untied` of make_torch.py, with larger parameters, so that predictions differ.
Everything is computed in float64 on one CPU thread and rounded once. README.md lists the contents of the file.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from make_torch import CASES, VOCAB, LanguageModel, array, rondo_tensors, write

START, LENGTHS = 1, (9, 4)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    random = np.random.RandomState(5)
    case = next(case for case in CASES if case.name == "lstm_untied")
    model = LanguageModel(case).double()
    initial = {name: random.uniform(-1.5, 1.5, p.shape).astype(np.float32) for name, p in model.trained().items()}
    with torch.no_grad():
        for name, parameter in model.trained().items():
            parameter.copy_(torch.from_numpy(initial[name]))
    tensors = rondo_tensors(case, "model", {name: torch.from_numpy(value) for name, value in initial.items()})
    for number, length in enumerate(LENGTHS):
        ids = np.append(random.randint(2, VOCAB, length), START)
        values = surprisals(model, torch.from_numpy(ids))
        tensors |= {f"{number}.ids": ids.astype(np.uint32)} | {f"{number}.{name}": v for name, v in values.items()}
    write(folder, "surprisal", tensors, {"start": START, "hidden_size": case.hidden_size})


@torch.no_grad()
def surprisals(model, ids):
    """Of each token after those before it: surprisal and entropy in bits, rank, and the states after it."""
    states = [None] * len(model.rnn)
    values = {name: [] for name in ("surprisal", "entropy", "rank", "hidden", "cell")}
    read = torch.cat([torch.tensor([START]), ids])
    for before, token in zip(read, ids):
        logits, _, states = model(before.view(1, 1), states)
        log_probs = torch.log_softmax(logits.flatten(), 0) / np.log(2)
        values["surprisal"].append(-log_probs[token])
        values["entropy"].append(-torch.softmax(logits.flatten(), 0) @ log_probs)
        values["rank"].append(1 + (log_probs > log_probs[token]).sum())
        _, _, after = model(token.view(1, 1), states)
        values["hidden"].append(torch.cat([hidden.flatten() for hidden, _ in after]))
        values["cell"].append(torch.cat([cell.flatten() for _, cell in after]))
    named = {name: array(torch.stack(rows).double()) for name, rows in values.items() if name != "rank"}
    return named | {"rank": torch.stack(values["rank"]).numpy().astype(np.uint32)}


if __name__ == "__main__":
    main()
