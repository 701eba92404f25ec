"""Small random programs in both frameworks, and the same with one operation changed.

`python -m tests.parity.models.programs` runs 200 of each: no false alarm, and the change is where the two part.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import nn
from torch.nn import functional

import parity
from parity.judge.verdict import Verdict

SHAPE = (3, 5, 8)
STEPS = 9

Operation = tuple[Callable[..., Any], Callable[..., Any]]


def _norm(x: Any, epsilon: float) -> Any:
    return (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + epsilon)


# One operand, and a kernel and a bias to use or not; in JAX, and in torch.
UNARY: dict[str, Operation] = {
    "relu": (lambda x, w, b: nn.relu(x), lambda x, w, b: x.relu()),
    "tanh": (lambda x, w, b: jnp.tanh(x), lambda x, w, b: x.tanh()),
    "exact gelu": (lambda x, w, b: nn.gelu(x, approximate=False), lambda x, w, b: functional.gelu(x)),
    "tanh gelu": (lambda x, w, b: nn.gelu(x), lambda x, w, b: functional.gelu(x, approximate="tanh")),
    "silu": (lambda x, w, b: nn.silu(x), lambda x, w, b: functional.silu(x)),
    "norm": (lambda x, w, b: _norm(x, 1e-5), lambda x, w, b: functional.layer_norm(x, SHAPE[-1:])),
    "other norm": (lambda x, w, b: _norm(x, 1e-3), lambda x, w, b: functional.layer_norm(x, SHAPE[-1:], eps=1e-3)),
    "softmax": (lambda x, w, b: nn.softmax(x), lambda x, w, b: x.softmax(-1)),
    "softmax along rows": (lambda x, w, b: nn.softmax(x, 1), lambda x, w, b: x.softmax(1)),
    "half": (lambda x, w, b: x * 0.5, lambda x, w, b: x / 2),
    "third": (lambda x, w, b: x / 3, lambda x, w, b: x / 3),
    "bias": (lambda x, w, b: x + b, lambda x, w, b: x + b),
    "product": (lambda x, w, b: x @ w, lambda x, w, b: functional.linear(x, w.T)),
    "product of the transposed": (lambda x, w, b: x @ w.T, lambda x, w, b: functional.linear(x, w)),
    "product and bias": (lambda x, w, b: x @ w + b, lambda x, w, b: functional.linear(x, w.T, b)),
    "rolled": (lambda x, w, b: jnp.roll(x, 1, 1) + x, lambda x, w, b: x.roll(1, 1) + x),
    "attention": (
        lambda x, w, b: nn.softmax(x @ x.mT / jnp.sqrt(8.0)) @ x,
        lambda x, w, b: functional.scaled_dot_product_attention(x, x, x),
    ),
}
BINARY: dict[str, Operation] = {
    "sum": (lambda x, y: x + y, lambda x, y: x + y),
    "difference": (lambda x, y: x - y, lambda x, y: x - y),
    "product": (lambda x, y: x * y, lambda x, y: x * y),
    "scores": (lambda x, y: nn.softmax(x @ y.mT) @ y, lambda x, y: torch.bmm(torch.bmm(x, y.mT).softmax(-1), y)),
}


@dataclasses.dataclass(frozen=True)
class Step:
    """An operation, and the values that it reads."""

    name: str
    reads: tuple[int, ...]


def draw(random: np.random.Generator) -> tuple[Step, ...]:
    """A program; value 0 is the input."""
    steps = []
    for number in range(STEPS):
        if number > 1 and random.random() < 0.3:
            # Of other values: a difference of equals has nothing to compare.
            reads = tuple(int(one) for one in random.choice(number, 2, replace=False) + 1)
            steps.append(Step(str(random.choice(list(BINARY))), reads))
        else:
            read = number if random.random() < 0.7 else int(random.integers(0, number + 1))
            steps.append(Step(str(random.choice(list(UNARY))), (read,)))
    return tuple(steps)


def changed(steps: tuple[Step, ...], random: np.random.Generator) -> tuple[tuple[Step, ...], int]:
    """The same with another operation at one place."""
    place = int(random.integers(0, len(steps)))
    step = steps[place]
    others = [name for name in (BINARY if len(step.reads) == 2 else UNARY) if name != step.name]
    other = dataclasses.replace(step, name=str(random.choice(others)))
    return (*steps[:place], other, *steps[place + 1 :]), place


def _unread(steps: tuple[Step, ...]) -> list[int]:
    read = {one for step in steps for one in step.reads}
    return [number for number in range(1, len(steps) + 1) if number not in read]


def _table(step: Step) -> Operation:
    return (BINARY if len(step.reads) == 2 else UNARY)[step.name]


def in_jax(params: Any, x: Any, *, steps: tuple[Step, ...]) -> Any:
    """All values that nothing reads, side by side."""
    values = [x]
    for number, step in enumerate(steps):
        rest = (params[f"steps.{number}.kernel"], params[f"steps.{number}.bias"]) if len(step.reads) == 1 else ()
        with jax.named_scope(f"@steps.{number}"):
            values.append(_table(step)[0](*(values[one] for one in step.reads), *rest))
    return jnp.concatenate([values[one] for one in _unread(steps)])


class _Module(torch.nn.Module):
    def __init__(self, step: Step, random: np.random.Generator) -> None:
        super().__init__()
        self.step = step
        self.kernel = torch.nn.Parameter(torch.from_numpy(random.normal(size=(8, 8))))
        self.bias = torch.nn.Parameter(torch.from_numpy(random.normal(size=8)))

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        rest = (self.kernel, self.bias) if len(values) == 1 else ()
        return _table(self.step)[1](*values, *rest)


class InTorch(torch.nn.Module):
    """The same in torch."""

    def __init__(self, steps: tuple[Step, ...], random: np.random.Generator) -> None:
        super().__init__()
        self.steps = torch.nn.ModuleList(_Module(step, random) for step in steps)
        self.unread = _unread(steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = [x]
        for module in self.steps:
            values.append(module(*(values[one] for one in module.step.reads)))
        return torch.cat([values[one] for one in self.unread])


def compared(ours: tuple[Step, ...], theirs: tuple[Step, ...], random: np.random.Generator) -> parity.Report:
    """One in JAX beside one in torch, with the same parameters."""
    module = InTorch(theirs, random)
    params = {name: value.detach().numpy() for name, value in module.named_parameters()}
    x = random.normal(size=SHAPE)

    def function(params: Any, x: Any) -> Any:
        return in_jax(params, x, steps=ours)

    return parity.compare(parity.jax(function, params), parity.torch(module), {"x": x})


def found_at(report: parity.Report, steps: tuple[Step, ...], place: int) -> bool:
    """Whether the first parting is at a step, or at one that reads what it computes."""
    parting = report.cases[0].partings[0]
    near = {place, *(number for number, step in enumerate(steps) if place + 1 in step.reads)}
    modules = {cut.place.module for cut in (parting.ours, parting.theirs) if cut.op}
    return bool(modules & {f"steps.{number}" for number in near})


def main(count: int = 200) -> None:
    """Prints how often all was well, and each seed at which it was not."""
    alarms, missed, misplaced, named, harmless = 0, 0, 0, 0, 0
    for seed in range(count):
        random = np.random.default_rng(seed)
        steps = draw(random)
        if compared(steps, steps, random).verdict is not Verdict.PASS:
            alarms += 1
            print("false alarm", seed)
        wrong, place = changed(steps, random)
        report = compared(wrong, steps, random)
        if report.verdict is Verdict.PASS:
            harmless += 1
            print("no difference at the end", seed, steps[place], wrong[place])
            continue
        if not report.cases[0].partings:
            missed += 1
            print("no place", seed, steps[place], wrong[place])
            continue
        named += bool(report.cases[0].partings[0].causes)
        if not found_at(report, steps, place):
            misplaced += 1
            print("misplaced", seed, place, steps[place], wrong[place], report.cases[0].partings[0])
        elif not report.cases[0].partings[0].causes:
            print("no name", seed, wrong[place].name, "for", steps[place].name)
    changes = count - harmless
    found = changes - missed - misplaced
    print(f"{count} unchanged: {alarms} false alarms; {changes} changed: {found} found, {named} named")


if __name__ == "__main__":
    main()
