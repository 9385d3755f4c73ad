"""Writes `convert/*.pt`, `*.safetensors` and `torch.json`: models of PyTorch under the names of several tools.

Usage: python make_convert_torch.py [FOLDER]    (default: `convert` in the folder of this script)

`torch.json` lists the files with the log-probabilities that PyTorch gives to the tokens of a text, in float64, or with
the reason why a file must be refused. README.md in this folder describes the files.
"""

import argparse
import json
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

WORDS = ["<eos>", "the", "cat", "sat", "on", "mat", "a", "dog", "saw", "<unk>", "."]
TEXT = "the cat saw a dog on the mat ."
VOCAB = len(WORDS)
CELLS = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
KINDS = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


class RNNModel(nn.Module):
    """The model of pytorch/examples' word_language_model, by the names of its parts."""

    def __init__(self, cell, tied, width=6, hidden=6, layers=2, projection=0):
        super().__init__()
        options = {"nonlinearity": cell[4:]} if cell.startswith("rnn_") else {}
        if projection:
            options["proj_size"] = projection
        self.drop = nn.Dropout(0.2)
        self.encoder = nn.Embedding(VOCAB, width)
        self.rnn = CELLS[cell](width, hidden, layers, **options)
        self.decoder = nn.Linear(projection or hidden, VOCAB)
        if tied:
            self.decoder.weight = self.encoder.weight

    def forward(self, ids):
        return self.decoder(self.rnn(self.encoder(ids)[:, None])[0][:, 0])


class WeightDrop(nn.Module):
    """A layer whose recurrent matrix is dropped again in each step: its parameter is the raw matrix."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        module.flatten_parameters = self.nothing  # A bound method: the object contains itself.
        raw = module.weight_hh_l0
        del module._parameters["weight_hh_l0"]
        module.register_parameter("weight_hh_l0_raw", nn.Parameter(raw.data))
        module.__dict__["weight_hh_l0"] = raw.data * 0

    def nothing(self, *args):
        pass


class AwdModel(nn.Module):
    """Layers of different widths, with raw weights; the decoder is tied."""

    def __init__(self, layers):
        super().__init__()
        self.encoder = nn.Embedding(VOCAB, 6)
        self.rnns = nn.ModuleList(WeightDrop(layer) for layer in layers)
        self.decoder = nn.Linear(6, VOCAB)
        self.decoder.weight = self.encoder.weight


def fill(model, random):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(random.uniform(-0.8, 0.8, parameter.shape)))
    return model


@torch.no_grad()
def log_probs(model):
    """Of each token of the text and the line end, after a line end and a state of zeros."""
    ids = torch.tensor([0] + [WORDS.index(word) for word in TEXT.split()] + [0])
    model = model.double()
    found = model(ids[:-1]).log_softmax(-1).gather(1, ids[1:, None])[:, 0]
    return [float(f"{value:.7f}") for value in found]


def copy_of(model, cell, tied, dtype=torch.float32):
    copy = RNNModel(cell, tied, model.encoder.embedding_dim, model.rnn.hidden_size, model.rnn.num_layers)
    copy.load_state_dict(model.state_dict())
    return copy.to(dtype)


def renamed(state, embedding, layer, decoder):
    """The state dict under other names; `layer` has places for the kind and the number."""
    names = {"encoder.weight": f"{embedding}.weight"}
    names |= {f"decoder.{kind}": f"{decoder}.{kind}" for kind in ("weight", "bias")}
    names |= {f"rnn.{kind}_l{n}": layer.format(kind=kind, n=n) for kind in KINDS for n in range(2)}
    return OrderedDict((names[name], tensor) for name, tensor in state.items())


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "convert"
    folder.mkdir(exist_ok=True)
    # Whole models name the module of their class.
    module = types.ModuleType("model")
    sys.modules["model"] = module
    for kind in (RNNModel, WeightDrop, AwdModel):
        kind.__module__ = "model"
        setattr(module, kind.__name__, kind)
    random = np.random.RandomState(7)
    cases = []

    def case(name, content, model, scheme, cell="lstm", tied=False, write=torch.save, **more):
        write(content, folder / name)
        cases.append({"file": name, "scheme": scheme, "cell": cell, "tied": tied, "log_probs": log_probs(model)} | more)

    def refused(name, content, error, **options):
        torch.save(content, folder / name, **options)
        cases.append({"file": name, "error": error})

    for cell in CELLS:
        for tied in (True, False):
            model = fill(RNNModel(cell, tied, hidden=6 if tied else 7), random)
            flags = {"ask_cell": True} if cell.startswith("rnn_") else {}
            name = f"wlm_{cell}_{'tied' if tied else 'untied'}.pt"
            case(name, model.state_dict(), model, "word_language_model", cell, tied, **flags)
    relu = fill(RNNModel("rnn_relu", True), random)
    case("whole_rnn_relu.pt", copy_of(relu, "rnn_relu", True), relu, "word_language_model", "rnn_relu", True)

    base = fill(RNNModel("lstm", False), random)
    state = base.state_dict()
    tied = fill(RNNModel("lstm", True), random)
    optimizer = torch.optim.SGD(base.parameters(), lr=0.1, momentum=0.9).state_dict()
    stacked = "rnns.{n}.module.{kind}_l0"
    espnet = renamed(state, "predictor.embed", "predictor.rnn.{n}.{kind}", "predictor.lo")
    case("espnet1.pt", espnet, base, "ESPnet 1")
    case("espnet2.pth", OrderedDict((f"lm.{k}", v) for k, v in state.items()), base, "word_language_model")
    icefall = renamed(state, "model.input_embedding", "model.rnn.{kind}_l{n}", "model.output_linear")
    case("icefall.pt", {"optimizer": optimizer, "model": icefall, "epoch": 3}, base, "icefall")
    shared = renamed(tied.state_dict(), "decoder.embed_tokens", "decoder.layers.{n}.{kind}", "decoder.fc_out")
    shared = OrderedDict((name, tensor) for name, tensor in shared.items() if "fc_out" not in name)
    without_bias = copy_of(tied, "lstm", True)
    nn.init.zeros_(without_bias.decoder.bias)
    args = argparse.Namespace(arch="lstm_lm", residuals=False)
    case("fairseq.pt", {"args": args, "model": shared}, without_bias, "fairseq", tied=True)
    fastai = renamed(state, "0.encoder", "0." + stacked, "1.decoder")
    for n in range(2):
        fastai[f"0.rnns.{n}.weight_hh_l0_raw"] = fastai[f"0.rnns.{n}.module.weight_hh_l0"]
        fastai[f"0.rnns.{n}.module.weight_hh_l0"] = torch.zeros_like(fastai[f"0.rnns.{n}.module.weight_hh_l0"])
    fastai["0.encoder_dp.emb.weight"] = fastai["0.encoder.weight"]
    case("fastai.pth", {"model": fastai, "opt": optimizer}, base, "fastai")
    parallel = {f"module.{name}": tensor.contiguous() for name, tensor in state.items()}
    case("parallel.safetensors", parallel, base, "word_language_model", write=save_file)
    other = fill(RNNModel("gru", False, hidden=5), random)
    names = renamed(other.state_dict(), "words", "net.gru.{kind}_l{n}", "net.out")
    case("other_names.bin", names, other, "other names", "gru")
    for name, dtype in (("half.pt", torch.float16), ("double.pt", torch.float64)):
        case(name, copy_of(base, "lstm", False, dtype).state_dict(), copy_of(base, "lstm", False, dtype), "word_language_model")
    rounded = copy_of(base, "lstm", False, torch.bfloat16)
    case("bfloat16.safetensors", rounded.state_dict(), rounded, "word_language_model", write=save_file)
    views = copy_of(base, "lstm", False).state_dict()
    views["encoder.weight"] = views["encoder.weight"].t().contiguous().t()
    views["decoder.bias"] = torch.tensor([0.25]).expand(VOCAB)
    one_bias = copy_of(base, "lstm", False)
    nn.init.constant_(one_bias.decoder.bias, 0.25)
    case("views.pt", views, one_bias, "word_language_model")

    layers = [fill(nn.LSTM(width, hidden), random) for width, hidden in ((6, 8), (8, 7), (7, 6))]
    first = fill(RNNModel("lstm", True), random)

    class Chain(nn.Module):
        def forward(self, ids):
            x = first.double().encoder(ids)[:, None]
            for layer in layers:
                x = layer.double()(x)[0]
            return first.decoder(x[:, 0])

    expected = Chain()
    values = log_probs(expected)
    awd = AwdModel([layer.float() for layer in layers])
    awd.encoder.load_state_dict(first.encoder.state_dict())
    awd.decoder.load_state_dict(first.decoder.state_dict())
    awd.float()
    torch.save([awd, nn.CrossEntropyLoss(), torch.optim.SGD(awd.parameters(), lr=30)], folder / "awd.pt")
    cases.append({"file": "awd.pt", "scheme": "AWD-LSTM", "cell": "lstm", "tied": True, "log_probs": values})

    refused("legacy.pt", state, "before 1.6", _use_new_zipfile_serialization=False)
    residual = {"args": argparse.Namespace(residuals=True), "model": shared}
    refused("residuals.pt", residual, "residual connections")
    refused("adaptive.pt", shared | {"decoder.adaptive_softmax.head.weight": torch.zeros(3, 6)}, "an adaptive softmax of fairseq")
    attention = nn.TransformerEncoderLayer(6, 2, 8).state_dict()
    refused("transformer.pt", {f"encoder.layers.0.{k}": v for k, v in attention.items()}, "attention")
    refused("wrong_rows.pt", state | {"decoder.weight": torch.zeros(VOCAB + 1, 6)}, "has shape [12, 6]")
    # Drawn last, so that the other files stay as they were.
    for name, tied in (("projection.pt", True), ("projection_untied.pt", False)):
        model = fill(RNNModel("lstm", tied, hidden=9, projection=6 if tied else 5), random)
        case(name, model.state_dict(), model, "word_language_model", tied=tied)
    one_layer = OrderedDict((k, v) for k, v in model.state_dict().items() if k != "rnn.weight_hr_l1")
    refused("projection_of_one_layer.pt", one_layer, "has no tensor `weight_hr of each layer`")
    script = torch.jit.trace(base.float(), torch.tensor([0, 1]))
    torch.jit.save(script, str(folder / "script.pt"))
    cases.append({"file": "script.pt", "error": "TorchScript"})

    (folder / "words.txt").write_text("".join(f"{word}\n" for word in WORDS))
    lines = [f"  {json.dumps(one)}" for one in cases]
    versions = json.dumps({"python": sys.version.split()[0], "torch": torch.__version__})
    text = f'{{"versions": {versions}, "text": {json.dumps(TEXT)}, "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    (folder / "torch.json").write_text(text)


main()
