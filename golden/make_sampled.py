"""Writes `torch_sampled.safetensors`: five steps of a sampled softmax with sparse gradients in PyTorch.

Usage: python make_sampled.py [FOLDER]    (default: the folder of this script)

Everything is computed in float64 and rounded once. README.md lists the contents.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from make_torch import array, write

VOCAB, WIDTH, ROWS, DRAWS, STEPS = 23, 6, 12, 7, 5
RATES = {"sgd": 0.5, "adam": 0.01}
EPSILON = 1e-16


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    random = np.random.RandomState(11)
    q = random.dirichlet(np.ones(VOCAB))
    tensors = {
        "init.weight": random.uniform(-1, 1, (VOCAB, WIDTH)).astype(np.float32),
        "init.bias": random.uniform(-1, 1, VOCAB).astype(np.float32),
        "log_inclusion": np.log(-np.expm1(DRAWS * np.log1p(-q))).astype(np.float32),
        "inputs": random.randint(0, VOCAB, (STEPS, ROWS)).astype(np.uint32),
        "targets": random.randint(0, VOCAB, (STEPS, ROWS)).astype(np.uint32),
        "drawn": random.choice(VOCAB, (STEPS, DRAWS), p=q).astype(np.uint32),
    }
    for name in RATES:
        losses, weights, biases = train(tensors, name)
        tensors |= {f"{name}.losses": losses, f"{name}.weight": weights, f"{name}.bias": biases}
    write(folder, "sampled", tensors, {"learning_rates": RATES, "epsilon": EPSILON})


def train(tensors, name):
    """The losses of each row in each step, and weight and bias after each step."""
    weight = torch.nn.Embedding.from_pretrained(torch.from_numpy(tensors["init.weight"]).double(), False, sparse=True)
    bias = torch.from_numpy(tensors["init.bias"]).double().unsqueeze(1)
    bias = torch.nn.Embedding.from_pretrained(bias, False, sparse=True)
    parameters = [weight.weight, bias.weight]
    if name == "sgd":
        optimizer = torch.optim.SGD(parameters, lr=RATES[name])
    else:
        optimizer = torch.optim.SparseAdam(parameters, lr=RATES[name], eps=EPSILON)
    log_inclusion = torch.from_numpy(tensors["log_inclusion"]).double()
    losses, weights, biases = [], [], []
    for inputs, targets, drawn in zip(tensors["inputs"], tensors["targets"], tensors["drawn"]):
        inputs, targets, drawn = (torch.from_numpy(ids.astype(np.int64)) for ids in (inputs, targets, drawn))
        optimizer.zero_grad()
        hidden = weight(inputs)
        sampled = drawn.unique()
        of_sampled = hidden @ weight(sampled).T + bias(sampled).T - log_inclusion[sampled]
        # A target that was drawn counts once.
        of_sampled = of_sampled.masked_fill(sampled[None, :] == targets[:, None], -torch.inf)
        of_target = (hidden * weight(targets)).sum(1) + bias(targets).squeeze(1) - log_inclusion[targets]
        logits = torch.cat([of_target[:, None], of_sampled], 1)
        loss = torch.nn.functional.cross_entropy(logits, torch.zeros(ROWS, dtype=torch.long), reduction="none")
        loss.mean().backward()
        optimizer.step()
        losses.append(loss.detach())
        weights.append(weight.weight.detach().clone())
        biases.append(bias.weight.detach().clone().squeeze(1))
    return array(torch.stack(losses)), array(torch.stack(weights)), array(torch.stack(biases))


if __name__ == "__main__":
    main()
