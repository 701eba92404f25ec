"""The reference's optimizers, stage by stage: `torch.optim` as `torch_ref.training` uses it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.optimizer.settings import Settings
from parity.optimizer.stages import Arrays, State, Step
from torch_ref import training

Groups = list[dict[str, Any]]
Params = list[nn.Parameter]
Make = Callable[[Groups, Settings], torch.optim.Optimizer]


def adam(kind: Callable[..., torch.optim.Optimizer]) -> Make:
    """Adam of some kind, with the settings' numbers."""
    return lambda groups, settings: kind(groups, betas=(settings.b1, settings.b2), eps=settings.eps)


def sgd(groups: Groups, settings: Settings) -> torch.optim.Optimizer:
    """SGD with momentum."""
    return torch.optim.SGD(groups, momentum=settings.momentum, dampening=0.0, nesterov=settings.nesterov)


def two_groups(decayed: Params, rest: Params, weight_decay: float) -> Groups:
    """What decays and what does not."""
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


MAKERS: dict[str, Make] = {"adamw": adam(torch.optim.AdamW), "adam": adam(torch.optim.Adam), "sgd": sgd}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the reference's step is made of. A mistake is another part, or another number in the settings.

    Attributes:
        settings: the numbers.
        learning_rate: of (settings, number of steps, step).
        clip: changes gradients in place and returns their global norm.
        groups: of (parameters that decay, all others, weight decay).
        make: the optimizer.
        restored: the count that a step starts from, given the true one.
    """

    settings: Settings
    learning_rate: Callable[[Any, int, int], float] = training.learning_rate
    clip: Callable[[Sequence[Tensor], float], Tensor] = training.clip
    groups: Callable[[Params, Params, float], Groups] = two_groups
    make: Make | None = None
    restored: Callable[[int], int] = lambda count: count

    def set(self, **changes: Any) -> "Recipe":
        """The same with other numbers."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **changes))


class TorchSide:
    """A `parity.optimizer.stages.Side`. Arrays stay as we lay them out: an optimizer goes entry by entry, or over all.

    Args:
        recipe: how a step is done.
        decays: which parameters decay.
    """

    def __init__(self, recipe: Recipe, decays: Mapping[str, bool]):
        self._recipe, self._decays, self._settings = recipe, decays, recipe.settings

    def schedule(self) -> np.ndarray:
        rate, steps = self._recipe.learning_rate, self._settings.steps
        return np.array([rate(self._settings, steps, step) for step in range(steps)])

    def step(self, state: State, gradient: Arrays, step: int) -> Step:
        norm, clipped = self.clip(gradient)
        rate = self.schedule()[step : step + 1].reshape(())
        return self.advance(state, clipped, float(rate))._replace(learning_rate=rate.copy(), global_norm=norm)

    def clip(self, gradient: Arrays) -> tuple[np.ndarray, Arrays]:
        gradients = _tensors(gradient)
        norm = self._recipe.clip(list(gradients.values()), self._settings.clip_norm)
        return norm.numpy().copy(), _arrays(gradients)

    def advance(self, state: State, clipped: Arrays, learning_rate: float) -> Step:
        params = {name: nn.Parameter(tensor) for name, tensor in _tensors(state.params).items()}
        make = self._recipe.make or MAKERS[self._settings.optimizer]
        decayed = [param for name, param in params.items() if self._decays[name]]
        rest = [param for name, param in params.items() if not self._decays[name]]
        optimizer = make(self._recipe.groups(decayed, rest, self._settings.weight_decay), self._settings)
        self._load(optimizer, params, state)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        before = {name: param.detach().clone() for name, param in params.items()}
        for name, gradient in _tensors(clipped).items():
            params[name].grad = gradient
        optimizer.step()
        moments = [{name: optimizer.state[p].get(key) for name, p in params.items()} for key in self._keys]
        count = None
        if self._settings.optimizer != "sgd":
            count = np.array(int(optimizer.state[next(iter(params.values()))]["step"]), np.int32)
        return Step(
            count,
            np.array(learning_rate),
            np.array(np.nan),
            clipped,
            _arrays(moments[0]),
            _arrays(moments[1]) if len(moments) > 1 else {},
            _arrays({name: param.detach() - before[name] for name, param in params.items()}),
            _arrays({name: param.detach() for name, param in params.items()}),
        )

    def apply(self, params: Arrays, update: Arrays) -> Arrays:
        return {name: array + update[name] for name, array in params.items()}

    @property
    def _keys(self) -> tuple[str, ...]:
        """What torch calls the moments."""
        return ("momentum_buffer",) if self._settings.optimizer == "sgd" else ("exp_avg", "exp_avg_sq")

    def _load(self, optimizer: torch.optim.Optimizer, params: dict[str, nn.Parameter], state: State) -> None:
        """Gives an optimizer the moments and the count of a state."""
        moments = [_tensors(moment) for moment in (state.first, state.second)[: len(self._keys)]]
        for name, param in params.items():
            optimizer.state[param] = {key: moment[name] for key, moment in zip(self._keys, moments, strict=True)}
            if self._settings.optimizer != "sgd":
                optimizer.state[param]["step"] = torch.tensor(float(self._recipe.restored(state.done)))
                optimizer.state[param]["max_exp_avg_sq"] = moments[1][name].clone()  # read by amsgrad only


def _tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Copies."""
    return {name: torch.tensor(array) for name, array in arrays.items()}


def _arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
