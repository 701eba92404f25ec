"""The reference's own optimizers, beside torch's where it has them."""

import math

import pytest
import torch
from torch import nn

from torch_ref import optimizers

GROUP = {"lr": 0.01, "weight_decay": 0.1}


def parameters(seed: int) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(5, 3), (3, 5), (4,)]
    return [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]


def train(optimizer: torch.optim.Optimizer, params: list[nn.Parameter], scale: float = 1.0) -> None:
    generator = torch.Generator().manual_seed(7)
    for _ in range(10):
        for param in params:
            param.grad = scale * torch.randn(param.shape, generator=generator, dtype=torch.float64)
        optimizer.step()


def test_muons_matrices_are_torchs_once_that_computes_in_float64(monkeypatch):
    ours, theirs = parameters(0)[:2], parameters(0)[:2]
    group = GROUP | {"params": ours, "orthogonal": True}
    train(optimizers.Muon([group], betas=(0.9, 0.98), eps=1e-8, momentum=0.95), ours)
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda tensor: tensor.clone())
    scale = {"adjust_lr_fn": "match_rms_adamw", "momentum": 0.95, "eps": 1e-7}
    train(torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, **scale), theirs)
    for one, other in zip(ours, theirs, strict=True):
        # Its epsilon is the least that it divides by, ours is added.
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_what_muon_leaves_alone_is_adamws():
    ours, theirs = parameters(1), parameters(1)
    group = GROUP | {"params": ours, "orthogonal": False}
    train(optimizers.Muon([group], betas=(0.9, 0.98), eps=1e-4, momentum=0.95), ours)
    train(torch.optim.AdamW(theirs, lr=0.01, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-4), theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_an_orthogonal_step_has_all_singular_values_near_one():
    (matrix, *_) = parameters(2)
    muon = optimizers.Muon(
        [GROUP | {"params": [matrix], "orthogonal": True}], betas=(0.9, 0.98), eps=1e-8, momentum=0.0
    )
    values = torch.linalg.svdvals(muon.orthogonal(matrix.detach()))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_lambs_step_is_as_long_as_the_parameter():
    for param in parameters(3):
        before = param.detach().clone()
        param.grad = torch.ones_like(param)
        optimizers.Lamb([GROUP | {"params": [param]}], betas=(0.9, 0.98), eps=1e-6).step()
        assert float((param.detach() - before).norm()) == pytest.approx(0.01 * float(before.norm()), rel=1e-12)
    nothing = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    nothing.grad = torch.ones_like(nothing)
    optimizers.Lamb([GROUP | {"params": [nothing]}], betas=(0.9, 0.98), eps=1e-6).step()
    assert nothing.detach().tolist() == pytest.approx([-0.01] * 3, rel=1e-5)


def test_stable_adamw_is_adamw_until_a_gradient_surprises():
    ours, theirs = parameters(4), parameters(4)
    for one, other in zip(ours, theirs, strict=True):
        stable = optimizers.StableAdamW([GROUP | {"params": [one]}], betas=(0.9, 0.98), eps=1e-8)
        plain = torch.optim.AdamW([other], lr=0.01, weight_decay=0.1, betas=(0.9, 0.98), eps=1e-8)
        for step, size in enumerate((1.0, 1.0, 100.0)):
            before, second = one.detach().clone(), other.detach().clone()
            one.grad, other.grad = (torch.full_like(param, size) for param in (one, other))
            stable.step()
            plain.step()
            moved, expected = one.detach() - before, other.detach() - second
            squares = [size**2, 1.0, 1.0][: step + 1]
            mean = sum(0.02 * 0.98**age * square for age, square in enumerate(squares)) / (1 - 0.98 ** (step + 1))
            shorter = max(1.0, math.sqrt(size**2 / mean))
            torch.testing.assert_close(moved, expected / shorter, rtol=1e-9, atol=1e-12)
            one.data.copy_(other.data)
        assert shorter > 1.5
