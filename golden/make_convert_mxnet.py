"""Writes `convert/*.params`, the vocabularies `gluon*.json` and `mxnet.json`: models of MXNet 1.9.1 and GluonNLP 0.10.0.

Usage: python3.8 make_convert_mxnet.py [FOLDER]    (default: `convert` in the folder of this script)

`mxnet.json` lists the files with the log-probabilities that MXNet gives to the tokens of a text, in float32.
"""

import json
import sys
from pathlib import Path

import gluonnlp as nlp
import mxnet as mx
import numpy as np
from gluonnlp.model import AWDRNN, StandardRNN
from mxnet.gluon import Block, nn, rnn

WORDS = ["<unk>", "<eos>", "the", "a", "cat", "sat", "on", "mat", "dog", "saw", "."]
TEXT = "the cat saw a dog on the mat ."
VOCAB = len(WORDS)


class RNNModel(Block):
    """The model of Gluon's word_language_model: dense layers and embedding without containers."""

    def __init__(self, cell, tied, **more):
        super().__init__(**more)
        with self.name_scope():
            self.encoder = nn.Embedding(VOCAB, 6)
            kinds = {"rnn_relu": rnn.RNN, "rnn_tanh": rnn.RNN, "lstm": rnn.LSTM, "gru": rnn.GRU}
            options = {"activation": cell[4:]} if cell.startswith("rnn_") else {}
            self.rnn = kinds[cell](6, 2, input_size=6, **options)
            shared = {"params": self.encoder.params} if tied else {}
            self.decoder = nn.Dense(VOCAB, in_units=6, flatten=False, **shared)

    def forward(self, ids):
        return self.decoder(self.rnn(self.encoder(ids)))


def log_probs(model):
    """Of each token of the text and the line end, after a line end and a state of zeros."""
    ids = [1] + [WORDS.index(word) for word in TEXT.split()] + [1]
    output = model(mx.nd.array(ids[:-1]).reshape((-1, 1)))
    logits = output[0] if isinstance(output, (tuple, list)) else output
    found = logits.reshape((-1, VOCAB)).log_softmax().asnumpy()
    return [float(f"{row[id]:.6f}") for row, id in zip(found, ids[1:])]


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "convert"
    random = np.random.RandomState(11)
    cases = []

    def case(name, model, cell, tied):
        model.initialize()
        for parameter in model.collect_params().values():
            if parameter.shape and 0 not in parameter.shape:
                parameter.set_data(mx.nd.array(random.uniform(-0.8, 0.8, parameter.shape)))
        expected = log_probs(model)
        common = {"cell": cell, "tied": tied, "log_probs": expected}
        if cell.startswith("rnn_"):
            common["ask_cell"] = True
        model.save_parameters(str(folder / f"{name}.params"))
        cases.append({"file": f"{name}.params", "scheme": "structural", **common})
        model.collect_params().save(str(folder / f"{name}_collected.params"))
        cases.append({"file": f"{name}_collected.params", "scheme": "collected", **common})

    for cell in ("rnn_relu", "rnn_tanh", "lstm", "gru"):
        for tied in (True, False):
            sizes = (VOCAB, 6, 6 if tied else 7, 2, 0.1)
            name = f"standard_{cell}_{'tied' if tied else 'untied'}"
            case(name, StandardRNN(cell, *sizes, tie_weights=tied), cell, tied)
    drops = {"drop_h": 0.1, "drop_i": 0.1, "drop_e": 0.1, "weight_drop": 0.2, "dropout": 0.1}
    case("awd_tied", AWDRNN("lstm", VOCAB, 6, 8, 3, tie_weights=True, **drops), "lstm", True)
    case("awd_untied", AWDRNN("lstm", VOCAB, 6, 8, 3, tie_weights=False, **drops), "lstm", False)
    case("example_gru_tied", RNNModel("gru", True), "gru", True)
    case("example_lstm_untied", RNNModel("lstm", False), "lstm", False)

    counter = nlp.data.count_tokens(WORDS[2:])
    vocab = nlp.Vocab(counter, unknown_token="<unk>", padding_token=None, bos_token=None, eos_token="<eos>")
    content = json.loads(vocab.to_json())
    content["idx_to_token"] = WORDS
    content["token_to_idx"] = {word: id for id, word in enumerate(WORDS)}
    (folder / "gluon.json").write_text(json.dumps(content) + "\n")
    old = {"idx_to_token": WORDS[:10] + ["<unk>"], "token_to_idx": {word: id for id, word in enumerate(WORDS[:10])}}
    old.update(unknown_token="<unk>", padding_token="<unk>", bos_token=None, eos_token="<eos>", reserved_tokens=None)
    (folder / "gluon_old.json").write_text(json.dumps(old) + "\n")

    lines = [f"  {json.dumps(one)}" for one in cases]
    versions = json.dumps({"python": sys.version.split()[0], "mxnet": mx.__version__, "gluonnlp": nlp.__version__})
    text = f'{{"versions": {versions}, "text": {json.dumps(TEXT)}, "cases": [\n' + ",\n".join(lines) + "\n]}\n"
    (folder / "mxnet.json").write_text(text)


main()
