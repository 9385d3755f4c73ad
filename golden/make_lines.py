"""Writes torch_lines_{cell}.safetensors: training on independent lines, with PyTorch. See README.md."""

import importlib.metadata
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file

V, E, H, L = 11, 5, 6, 2
EPOCHS = 6
LEARNING_RATE = 0.5
LINE_END = 0
FOLDER = pathlib.Path(__file__).parent
MODULES = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN, "rnn_relu": torch.nn.RNN}


def lines():
    """Lines of one to nine tokens, each with its line end."""
    random = np.random.default_rng(5)
    return [list(random.integers(1, V, random.integers(1, 10))) + [LINE_END] for _ in range(17)]


def padded(lines):
    """Inputs and targets [B, T]: each line follows a line end; -100 is padding and has no loss."""
    longest = max(map(len, lines))
    inputs = torch.zeros(len(lines), longest, dtype=torch.long)
    targets = torch.full((len(lines), longest), -100)
    for row, line in enumerate(lines):
        inputs[row, 1 : len(line)] = torch.tensor(line[:-1])
        targets[row, : len(line)] = torch.tensor(line)
    return inputs, targets


def case(cell):
    torch.manual_seed(3)
    options = {"nonlinearity": cell.removeprefix("rnn_")} if cell.startswith("rnn") else {}
    embedding = torch.nn.Embedding(V, E)
    layers = MODULES[cell](E, H, L, batch_first=True, **options)
    decoder = torch.nn.Linear(H, V)
    names = {"embedding.weight": embedding.weight, "decoder.weight": decoder.weight, "decoder.bias": decoder.bias}
    for layer in range(L):
        for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]:
            names[f"rnn.{layer}.{name}"] = getattr(layers, f"{name}_l{layer}")
    for module in [embedding, layers, decoder]:
        module.double()
    with torch.no_grad():
        for parameter in names.values():
            # Values that float32 represents exactly.
            parameter.copy_(parameter.float().double())
    initial = {f"init.{name}": value.detach().float().numpy().copy() for name, value in names.items()}
    inputs, targets = padded(lines())
    optimizer = torch.optim.SGD(names.values(), lr=LEARNING_RATE)
    losses = []
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        logits = decoder(layers(embedding(inputs))[0])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    tokens = np.array([token for line in lines() for token in line], dtype=np.uint8)
    tensors = initial | {"tokens": tokens, "losses": np.array(losses, dtype=np.float32)}
    versions = {name: importlib.metadata.version(name) for name in ["torch", "numpy"]}
    save_file(tensors, FOLDER / f"torch_lines_{cell}.safetensors", metadata=versions)
    print(cell, losses)


for cell in MODULES:
    case(cell)
