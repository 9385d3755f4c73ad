"""Apache MXNet 1.9 Gluon, with GluonNLP's own StandardRNN and AWDRNN, as a peer; prints one line.

    python mxnet_lm.py --workload W1 --steps 15 --json [--hybrid]
"""

import os
import warnings

from measuring import allowed_cores, batches, parse_arguments, report_generation, report_training, timed
from workloads import is_generation, model_of


def add_flags(parser):
    parser.add_argument("--hybrid", action="store_true", help="hybridize the model (compile its graph)")


ARGUMENTS = parse_arguments(add_flags)
if ARGUMENTS.threads:
    # MXNet's operators use OpenMP threads, and OpenMP reads this variable while it is loaded.
    os.environ["OMP_NUM_THREADS"] = str(ARGUMENTS.threads)
warnings.filterwarnings("ignore")

import gluonnlp as nlp  # noqa: E402
import mxnet as mx  # noqa: E402
from mxnet import autograd, gluon, nd  # noqa: E402

W = model_of(ARGUMENTS.workload)


class OneHotModel(gluon.HybridBlock):
    """One-hot input, recurrent layers, dense decoder: the model of W5, which GluonNLP does not have."""

    def __init__(self, **options):
        super().__init__(**options)
        with self.name_scope():
            activation = {"rnn_tanh": "tanh", "rnn_relu": "relu"}[W.cell]
            self.encoder = gluon.rnn.RNN(W.hidden_size, W.layers, activation=activation, input_size=W.vocab_size)
            self.decoder = gluon.nn.Dense(W.vocab_size, flatten=False, in_units=W.hidden_size)

    def begin_state(self, *arguments, **options):
        return self.encoder.begin_state(*arguments, **options)

    def hybrid_forward(self, F, ids, state):
        h, state = self.encoder(F.one_hot(ids, W.vocab_size), state)
        return self.decoder(h), state


def build():
    sizes = (W.cell, W.vocab_size, W.embedding_size, W.hidden_size, W.layers)
    if not W.embedding_size:
        model = OneHotModel()
    elif W.awd:
        dropouts = dict(dropout=W.dropout, drop_h=W.dropout_between, drop_i=W.dropout_input, weight_drop=0, drop_e=0)
        model = nlp.model.AWDRNN(*sizes, tie_weights=W.tied, **dropouts)
    else:
        # Only the variant in `model.train` can be hybridized: the other one calls nd.Dropout.
        kind = nlp.model.train.StandardRNN if ARGUMENTS.hybrid else nlp.model.StandardRNN
        model = kind(*sizes, dropout=W.dropout, tie_weights=W.tied)
    model.initialize(mx.init.Xavier())
    if ARGUMENTS.hybrid:
        model.hybridize(static_alloc=True, static_shape=True)
    return model


def detached(state):
    """The state detached from its history: gradients stop at the edge of the batch."""
    return [detached(part) for part in state] if isinstance(state, (list, tuple)) else state.detach()


def measure_generation(model, variant, more):
    ids, state = nd.zeros((1, 1)), model.begin_state(batch_size=1)

    def generate(count):
        nonlocal ids, state
        for _ in range(count):
            result = model(ids, state)
            state = result[1]
            ids = nd.sample_multinomial(nd.softmax(result[0].reshape((1, -1)))).reshape((1, 1))
        nd.waitall()

    report_generation(ARGUMENTS, "mxnet", variant, generate, **more)


def measure_training(model, variant, more):
    data = [(nd.array(x), nd.array(y.reshape(-1))) for x, y in batches(W)]
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    options = {"learning_rate": W.learning_rate, "momentum": 0, "wd": 0}
    trainer = gluon.Trainer(model.collect_params(), "sgd", options)
    parameters = [parameter for parameter in model.collect_params().values() if parameter.grad_req != "null"]
    state, last_loss = model.begin_state(batch_size=W.batch_size), 0.0

    def mean_loss(inputs, targets):
        nonlocal state
        result = model(inputs, state)
        state = result[1]
        return cross_entropy(result[0].reshape((-1, W.vocab_size)), targets).sum() / W.tokens

    def train_step(index):
        nonlocal state, last_loss
        inputs, targets = data[index % len(data)]
        state = detached(state)
        with autograd.record():
            loss = mean_loss(inputs, targets)
            loss.backward()
        if W.clip_norm:
            gluon.utils.clip_global_norm([parameter.grad() for parameter in parameters], W.clip_norm)
        trainer.step(1)
        last_loss = float(loss.asscalar())
        nd.waitall()

    train_s = timed(train_step, ARGUMENTS.steps, ARGUMENTS.warmup, ARGUMENTS.max_seconds)
    state = model.begin_state(batch_size=W.batch_size)

    def eval_step(index):
        inputs, targets = data[index % len(data)]
        mean_loss(inputs, targets).asscalar()

    eval_s = timed(eval_step, ARGUMENTS.steps, 2, ARGUMENTS.max_seconds / 2)
    report_training(ARGUMENTS, "mxnet", variant, W, train_s, eval_s, last_loss, **more)


def main():
    mx.random.seed(0)
    variant = "fp32-" + ("hybrid" if ARGUMENTS.hybrid else "imperative")
    more = dict(threads=ARGUMENTS.threads or allowed_cores(), version=mx.__version__, gluonnlp=nlp.__version__)
    measure = measure_generation if is_generation(ARGUMENTS.workload) else measure_training
    measure(build(), variant, more)


if __name__ == "__main__":
    main()
