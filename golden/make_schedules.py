"""Writes `torch_schedules.safetensors`: learning rates and averaged weights of ten steps according to PyTorch.

Usage: python make_schedules.py [FOLDER]    (default: the folder of this script)

Everything is computed in float64 and rounded once; learning rates stay float64. README.md lists the contents.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from make_torch import array, write
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

STEPS, WARMUP, RATE, MINIMUM, TAIL, DECAY, MOMENTUM = 10, 3, 0.5, 0.05, 4, 0.8, 0.9


def constant(optimizer, _steps):
    return ConstantLR(optimizer, factor=1.0)


def linear(optimizer, steps):
    return LinearLR(optimizer, start_factor=1.0, end_factor=MINIMUM / RATE, total_iters=steps)


def cosine(optimizer, steps):
    return CosineAnnealingLR(optimizer, T_max=steps, eta_min=MINIMUM)


def after_warmup(schedule):
    """The schedule over the steps that remain after a linear warm-up from 1/(W + 1) of the learning rate."""

    def build(optimizer, steps):
        warmup = LinearLR(optimizer, start_factor=1 / (WARMUP + 1), end_factor=1.0, total_iters=WARMUP)
        return SequentialLR(optimizer, [warmup, schedule(optimizer, steps - WARMUP)], milestones=[WARMUP])

    return build


SCHEDULES = {
    "linear": linear,
    "cosine": cosine,
    "warmup_constant": after_warmup(constant),
    "warmup_linear": after_warmup(linear),
    "warmup_cosine": after_warmup(cosine),
}


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    torch.set_num_threads(1)
    random = np.random.RandomState(7)
    tensors = {
        "init": random.normal(size=5).astype(np.float32),
        "grads": random.normal(size=(STEPS, 5)).astype(np.float32),
    }
    for name, schedule in SCHEDULES.items():
        rates, weights, tail, ema = train(tensors, schedule)
        tensors[f"{name}.rates"] = np.array(rates)
        tensors |= {f"{name}.weights": weights, f"{name}.tail": tail, f"{name}.ema": ema}
    metadata = {
        "steps": STEPS, "warmup": WARMUP, "learning_rate": RATE, "min_learning_rate": MINIMUM,
        "momentum": MOMENTUM, "tail_steps": TAIL, "ema_decay": DECAY,
    }  # fmt: skip
    write(folder, "schedules", tensors, metadata)


def train(tensors, schedule):
    """The learning rates, the weights after each step, their mean over the tail, and their moving averages."""
    model = torch.nn.Linear(5, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(tensors["init"]))
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    scheduler = schedule(optimizer, STEPS)
    tail = AveragedModel(model)
    moving = AveragedModel(model, avg_fn=get_ema_avg_fn(DECAY))
    rates, weights, moving_averages = [], [], []
    for step in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        model.weight.grad = torch.from_numpy(tensors["grads"][step : step + 1]).double()
        optimizer.step()
        scheduler.step()
        weights.append(array(model.weight.flatten()))
        if step >= STEPS - TAIL:
            tail.update_parameters(model)
        moving.update_parameters(model)
        moving_averages.append(array(moving.module.weight.flatten()))
    return rates, np.stack(weights), array(tail.module.weight.flatten()), np.stack(moving_averages)


if __name__ == "__main__":
    main()
