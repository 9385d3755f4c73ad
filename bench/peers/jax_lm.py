"""JAX on the CPU as a peer: `lax.scan` over time, the whole training step compiled as one function; prints one line.

    python jax_lm.py --workload W1 --steps 15 --json
"""

import os
from functools import partial

from measuring import allowed_cores, batches, parse_arguments, report_generation, report_training, timed
from workloads import GATES, is_generation, model_of

ARGUMENTS = parse_arguments()
if ARGUMENTS.threads:
    # XLA creates its thread pool while it is loaded and cannot change it later.
    os.environ["NPROC"] = str(ARGUMENTS.threads)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

VARIANT = "fp32-jit"
W = model_of(ARGUMENTS.workload)
SIZES = W.layer_sizes()


def initial_parameters():
    random = np.random.RandomState(0)

    def uniform(*shape):
        return jnp.asarray(random.uniform(-0.07, 0.07, shape).astype(np.float32))

    parameters = {"decoder_bias": jnp.zeros(W.vocab_size, jnp.float32)}
    if W.embedding_size:
        parameters["embedding"] = uniform(W.vocab_size, W.embedding_size)
    if not W.tied:
        parameters["decoder"] = uniform(W.vocab_size, SIZES[-1][1])
    for layer, (inputs, outputs) in enumerate(SIZES):
        rows = GATES[W.cell] * outputs
        parameters["input%d" % layer] = uniform(rows, inputs or W.vocab_size)
        parameters["recurrent%d" % layer] = uniform(rows, outputs)
        parameters["bias%d" % layer] = jnp.zeros(rows, jnp.float32)
    return parameters


def zero_state(rows):
    tensors = 2 if W.cell == "lstm" else 1
    return [tuple(jnp.zeros((rows, outputs), jnp.float32) for _ in range(tensors)) for _, outputs in SIZES]


def dropout(x, key, probability):
    """Dropout of `[T, B, H]`: elementwise, or for the AWD-LSTM with one mask for all steps."""
    if key is None or not probability:
        return x
    shape = (1,) + x.shape[1:] if W.awd else x.shape
    return jnp.where(jax.random.bernoulli(key, 1 - probability, shape), x / (1 - probability), 0)


def cell_step(recurrent):
    """One step of a layer, for `lax.scan`: from the state and the projected input to the next state and the output."""
    if W.cell == "lstm":

        def step(state, projected):
            h, c = state
            i, f, g, o = jnp.split(projected + h @ recurrent, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

    else:
        activation = {"rnn_relu": jax.nn.relu, "rnn_tanh": jnp.tanh}[W.cell]

        def step(state, projected):
            h = activation(projected + state[0] @ recurrent)
            return (h,), h

    return step


def forward(parameters, ids, state, key=None):
    """Logits `[T, B, V]` and the last state, from ids `[T, B]`; with dropout if a key is given."""
    layers = len(SIZES)
    keys = [None] * (layers + 1) if key is None else list(jax.random.split(key, layers + 1))
    before, between = (W.dropout_input, W.dropout_between) if W.awd else (W.dropout, W.dropout)
    h = parameters["embedding"][ids] if W.embedding_size else None
    last_states = []
    for layer in range(layers):
        weight = parameters["input%d" % layer].T
        # A product with one-hot rows is a gather.
        projected = weight[ids] if h is None else dropout(h, keys[layer], before if layer == 0 else between) @ weight
        step = cell_step(parameters["recurrent%d" % layer].T)
        last, h = jax.lax.scan(step, state[layer], projected + parameters["bias%d" % layer])
        last_states.append(last)
    decoder = parameters["embedding"] if W.tied else parameters["decoder"]
    return dropout(h, keys[-1], W.dropout) @ decoder.T + parameters["decoder_bias"], last_states


def mean_loss(parameters, inputs, targets, state, key=None):
    logits, state = forward(parameters, inputs, state, key)
    logits = logits.reshape(-1, W.vocab_size)
    picked = jnp.take_along_axis(logits, targets[:, None], 1)[:, 0]
    return (jax.nn.logsumexp(logits, -1) - picked).mean(), state


@partial(jax.jit, donate_argnums=(0, 3))
def train(parameters, inputs, targets, state, key):
    key, dropout_key = jax.random.split(key)
    gradient_of = jax.value_and_grad(mean_loss, has_aux=True)
    (loss, state), gradients = gradient_of(parameters, inputs, targets, state, dropout_key)
    rate = W.learning_rate
    if W.clip_norm:
        norm = jnp.sqrt(sum((gradient * gradient).sum() for gradient in gradients.values()))
        rate = rate * jnp.minimum(1.0, W.clip_norm / (norm + 1e-6))
    return {name: parameters[name] - rate * gradients[name] for name in parameters}, state, key, loss


@jax.jit
def sample(parameters, ids, state, key):
    key, drawn_key = jax.random.split(key)
    logits, state = forward(parameters, ids, state)
    return jax.random.categorical(drawn_key, logits[-1])[None], state, key


def measure_generation(parameters, more):
    ids, state, key = jnp.zeros((1, 1), jnp.int32), zero_state(1), jax.random.PRNGKey(0)

    def generate(count):
        nonlocal ids, state, key
        for _ in range(count):
            ids, state, key = sample(parameters, ids, state, key)
        ids.block_until_ready()

    report_generation(ARGUMENTS, "jax", VARIANT, generate, **more)


def measure_training(parameters, more):
    data = [(jnp.asarray(x.astype(np.int32)), jnp.asarray(y.reshape(-1).astype(np.int32))) for x, y in batches(W)]
    state, key, last_loss = zero_state(W.batch_size), jax.random.PRNGKey(0), 0.0

    def train_step(index):
        nonlocal parameters, state, key, last_loss
        inputs, targets = data[index % len(data)]
        parameters, state, key, loss = train(parameters, inputs, targets, state, key)
        last_loss = float(loss)

    train_s = timed(train_step, ARGUMENTS.steps, ARGUMENTS.warmup, ARGUMENTS.max_seconds)
    evaluate, state = jax.jit(mean_loss), zero_state(W.batch_size)

    def eval_step(index):
        nonlocal state
        inputs, targets = data[index % len(data)]
        loss, state = evaluate(parameters, inputs, targets, state)
        float(loss)

    eval_s = timed(eval_step, ARGUMENTS.steps, 2, ARGUMENTS.max_seconds / 2)
    report_training(ARGUMENTS, "jax", VARIANT, W, train_s, eval_s, last_loss, **more)


def main():
    measure = measure_generation if is_generation(ARGUMENTS.workload) else measure_training
    measure(initial_parameters(), dict(threads=ARGUMENTS.threads or allowed_cores(), version=jax.__version__))


if __name__ == "__main__":
    main()
