"""Loads model.pt, a language model of Rondo, into PyTorch.

Usage: python model.py TOKEN ...    prints the log-probability of each token but the first
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn


class RNNModel(nn.Module):
    def __init__(self, cell, vocab_size, embedding_size, hidden_sizes, projection_size, tied, **_):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}.get(cell, nn.RNN)
        options = {"nonlinearity": cell[4:]} if kind is nn.RNN else {}
        if projection_size:
            options["proj_size"] = projection_size
        outputs = [projection_size or size for size in hidden_sizes]
        self.encoder = nn.Embedding(vocab_size, embedding_size)
        if len(set(hidden_sizes)) == 1:
            self.rnn = kind(embedding_size, hidden_sizes[0], len(hidden_sizes), **options)
        else:
            sizes = zip([embedding_size, *outputs], hidden_sizes)
            self.rnns = nn.ModuleList(kind(width, hidden, **options) for width, hidden in sizes)
        self.decoder = nn.Linear(outputs[-1], vocab_size)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids, states=None):
        """Ids [T, B] to logits [T, B, V] and the state of each layer, or of all."""
        layers = [self.rnn] if hasattr(self, "rnn") else self.rnns
        output, new_states = self.encoder(ids), []
        for layer, state in zip(layers, states or [None] * len(layers)):
            output, state = layer(output, state)
            new_states.append(state)
        return self.decoder(output), new_states


folder = Path(__file__).parent
config = json.loads((folder / "config.json").read_text())
model = RNNModel(**config)
model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
model.eval()

if __name__ == "__main__":
    ids = torch.tensor([config["tokens"].index(token) for token in sys.argv[1:]])
    with torch.no_grad():
        log_probs = model(ids[:-1, None])[0][:, 0].log_softmax(-1)
    for token, id, row in zip(sys.argv[2:], ids[1:], log_probs):
        print(f"{row[id]:.6f}\t{token}")
