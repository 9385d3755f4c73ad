"""PyTorch as a peer: trains and evaluates a recurrent language model or generates with it; prints one line.

    python torch_lm.py --workload W1 --steps 15 --json

On large vocabularies, its best f32 figure requires glibc to keep freed memory; `sides.py` has the setting.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

from measuring import batches, parse_arguments, report_generation, report_training, timed
from workloads import is_generation, model_of


def locked_dropout(x, probability, training):
    """Dropout of `[T, B, H]` whose mask is the same at every step."""
    if not training or not probability:
        return x
    kept = torch.empty(1, x.shape[1], x.shape[2], device=x.device).bernoulli_(1 - probability)
    return x * kept.div_(1 - probability).to(x.dtype)


class LanguageModel(nn.Module):
    """Embedding or one-hot input, recurrent layers, dense decoder."""

    def __init__(self, workload):
        super().__init__()
        self.workload = w = workload
        self.embedding = nn.Embedding(w.vocab_size, w.embedding_size) if w.embedding_size else None
        sizes = w.layer_sizes()
        if w.awd:
            self.layers = nn.ModuleList([nn.LSTM(inputs, outputs) for inputs, outputs in sizes])
        else:
            options = dict(num_layers=w.layers, dropout=w.dropout if w.layers > 1 else 0.0)
            inputs = w.embedding_size or w.vocab_size
            if w.cell in ("lstm", "gru"):
                self.recurrent = getattr(nn, w.cell.upper())(inputs, w.hidden_size, **options)
            else:
                nonlinearity = w.cell[len("rnn_") :]
                self.recurrent = nn.RNN(inputs, w.hidden_size, nonlinearity=nonlinearity, **options)
        self.dropout = nn.Dropout(w.dropout)
        self.decoder = nn.Linear(sizes[-1][1], w.vocab_size)
        if w.tied:
            self.decoder.weight = self.embedding.weight
        if self.embedding is not None:
            nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, ids, state=None):
        """Logits `[T, B, V]` and the last state, from ids `[T, B]`."""
        w = self.workload
        x = self.embedding(ids) if self.embedding is not None else F.one_hot(ids, w.vocab_size).float()
        if not w.awd:
            h, state = self.recurrent(self.dropout(x), state)
            return self.decoder(self.dropout(h)), state
        h, last_states = locked_dropout(x, w.dropout_input, self.training), []
        for index, layer in enumerate(self.layers):
            h, last = layer(h, state[index] if state is not None else None)
            last_states.append(last)
            if index + 1 < len(self.layers):
                h = locked_dropout(h, w.dropout_between, self.training)
        return self.decoder(locked_dropout(h, w.dropout, self.training)), last_states


def detached(state):
    """The state detached from its history: gradients stop at the edge of the batch."""
    if isinstance(state, torch.Tensor):
        return state.detach()
    return type(state)(detached(part) for part in state)


def add_flags(parser):
    parser.add_argument("--compile", action="store_true", help="torch.compile the model")
    parser.add_argument("--allow-rnn", action="store_true", help="let torch.compile trace through nn.LSTM")
    parser.add_argument("--bf16", action="store_true", help="autocast to bf16")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sampler", default="multinomial", choices=["multinomial", "cumsum", "greedy"])
    parser.add_argument("--no-mkldnn", action="store_true", help="use PyTorch's own LSTM kernels instead of oneDNN's")
    parser.add_argument("--optim", default="fused", choices=["fused", "foreach", "plain"], help="SGD implementation")


def variant_of(arguments):
    """The variant's name, derived from the flags."""
    parts = ["bf16" if arguments.bf16 else "fp32", "compile" if arguments.compile else "eager"]
    parts += ["allowrnn"] if arguments.allow_rnn else []
    parts += ["nomkldnn"] if arguments.no_mkldnn else []
    parts += ["cuda"] if arguments.device == "cuda" else []
    if is_generation(arguments.workload) and arguments.sampler != "multinomial":
        parts.append(arguments.sampler)
    return "-".join(parts)


def next_token(logits, sampler):
    """An id `[1, 1]` sampled from the softmax of logits `[1, V]`."""
    probabilities = torch.softmax(logits.float(), -1)
    if sampler == "multinomial":
        return torch.multinomial(probabilities, 1)
    if sampler == "greedy":
        return probabilities.argmax(-1, keepdim=True)
    cumulative = probabilities.cumsum(-1)
    drawn = torch.searchsorted(cumulative, torch.rand(1, 1, device=logits.device) * cumulative[:, -1:])
    return drawn.clamp_(max=logits.shape[-1] - 1)


def measure_generation(arguments, model, autocast, more):
    model.eval()
    forward = torch.compile(model) if arguments.compile else model
    with torch.inference_mode(), autocast:
        ids, state = torch.zeros(1, 1, dtype=torch.long, device=arguments.device), None

        def generate(count):
            nonlocal ids, state
            for _ in range(count):
                logits, state = forward(ids, state)
                ids = next_token(logits[-1], arguments.sampler)
            if arguments.device == "cuda":
                torch.cuda.synchronize()

        report_generation(arguments, "pytorch", variant_of(arguments), generate, **more)


def measure_training(arguments, model, autocast, more):
    workload = model.workload
    pairs = [(torch.from_numpy(x), torch.from_numpy(y).reshape(-1)) for x, y in batches(workload)]
    data = [(x.to(arguments.device), y.to(arguments.device)) for x, y in pairs]

    def mean_loss(inputs, targets, state):
        logits, state = model(inputs, state)
        logits = logits.reshape(-1, workload.vocab_size)
        return F.cross_entropy(logits.float() if arguments.bf16 else logits, targets), state

    forward = torch.compile(mean_loss) if arguments.compile else mean_loss
    kind = {"fused": True} if arguments.optim == "fused" else {"foreach": arguments.optim == "foreach"}
    optimizer = torch.optim.SGD(model.parameters(), lr=workload.learning_rate, **kind)
    state, last_loss = None, 0.0

    def train_step(index):
        nonlocal state, last_loss
        inputs, targets = data[index % len(data)]
        if state is not None:
            state = detached(state)
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss, state = forward(inputs, targets, state)
        loss.backward()
        if workload.clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), workload.clip_norm)
        optimizer.step()
        last_loss = loss.item()

    train_s = timed(train_step, arguments.steps, arguments.warmup, arguments.max_seconds)
    model.eval()
    state = None

    def eval_step(index):
        nonlocal state
        inputs, targets = data[index % len(data)]
        with torch.no_grad(), autocast:
            loss, state = forward(inputs, targets, state)
            loss.item()

    eval_s = timed(eval_step, arguments.steps, 2, arguments.max_seconds / 2)
    variant = variant_of(arguments)
    report_training(arguments, "pytorch", variant, workload, train_s, eval_s, last_loss, optim=arguments.optim, **more)


def main():
    arguments = parse_arguments(add_flags)
    torch.manual_seed(0)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.no_mkldnn:
        torch.backends.mkldnn.enabled = False
    if arguments.allow_rnn:
        torch._dynamo.config.allow_rnn = True
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no GPU: " + torch.__version__)
    model = LanguageModel(model_of(arguments.workload)).to(arguments.device)
    autocast = torch.autocast(arguments.device, dtype=torch.bfloat16, enabled=arguments.bf16)
    measure = measure_generation if is_generation(arguments.workload) else measure_training
    measure(arguments, model, autocast, dict(threads=torch.get_num_threads(), version=torch.__version__))


if __name__ == "__main__":
    main()
