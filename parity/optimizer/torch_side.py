"""The reference's optimizers, stage by stage: `torch.optim` as `torch_ref.training` uses it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.encoder.table import Table
from parity.optimizer.settings import Settings
from parity.optimizer.stages import Arrays, State, Step
from torch_ref import optimizers, training

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


def muon(kind: type[optimizers.Muon]) -> Make:
    """Muon of some kind, with the settings' numbers."""
    return lambda groups, settings: kind(
        groups, betas=(settings.b1, settings.b2), eps=settings.eps, momentum=settings.momentum
    )


MAKERS: dict[str, Make] = {
    "adamw": adam(torch.optim.AdamW),
    "adam": adam(torch.optim.Adam),
    "sgd": sgd,
    "stable_adamw": adam(optimizers.StableAdamW),
    "lamb": adam(optimizers.Lamb),
    "muon": muon(optimizers.Muon),
}
# What torch calls the moments.
_FIRST, _SECOND = ("exp_avg", "momentum_buffer"), "exp_avg_sq"


class Layout:
    """Which tensors the reference keeps for our parameters, one for each layer, and what is done to each.

    Args:
        table: the correspondence.
        model: the reference's.
    """

    def __init__(self, table: Table, model: nn.Module):
        params, chosen = dict(model.named_parameters()), set(map(id, training.matrices(model)))
        self.table = table
        self.decays = {name: training.is_decayed(one) for name, one in params.items()}
        self.matrices = {name for name, one in params.items() if id(one) in chosen}

    def tensors(self, arrays: Arrays) -> dict[str, Tensor]:
        """Copies, under torch's names, of some or all parameters' arrays."""
        shapes = self.table.jax_shapes
        whole = {name: arrays[name] if name in arrays else np.zeros(shape) for name, shape in shapes.items()}
        lacking = {one for name, names in self.table.torch_names.items() if name not in arrays for one in names}
        return {name: torch.tensor(array) for name, array in self.table.to_torch(whole).items() if name not in lacking}

    def arrays(self, tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
        """The inverse of `tensors`."""
        shapes = self.table.torch_shapes
        whole = {name: tensors[name].numpy() if name in tensors else np.zeros(shape) for name, shape in shapes.items()}
        ours = self.table.to_jax(whole)
        return {name: array for name, array in ours.items() if set(self.table.torch_names[name]) <= tensors.keys()}


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
        average: adds parameters, those before the step and those after it, to their moving average.
    """

    settings: Settings
    learning_rate: Callable[[Any, int, int], float] = training.learning_rate
    clip: Callable[[Sequence[Tensor], float], Tensor] = training.clip
    groups: Callable[[Params, Params, float], Groups] = two_groups
    make: Make | None = None
    restored: Callable[[int], int] = lambda count: count
    average: Callable[[list[Tensor], tuple[list[Tensor], list[Tensor]], Any], None] = lambda *given: moving(*given)

    def set(self, **changes: Any) -> "Recipe":
        """The same with other numbers."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **changes))


class TorchSide:
    """A `parity.optimizer.stages.Side`.

    Args:
        recipe: how a step is done.
        layout: of the reference's parameters.
    """

    def __init__(self, recipe: Recipe, layout: Layout):
        self._recipe, self._layout, self._settings = recipe, layout, recipe.settings

    def schedule(self) -> np.ndarray:
        rate, steps = self._recipe.learning_rate, self._settings.steps
        return np.array([rate(self._settings, steps, step) for step in range(steps)])

    def step(self, state: State, gradient: Arrays, step: int) -> Step:
        norm, clipped = self.clip(gradient)
        rate = self.schedule()[step : step + 1].reshape(())
        moved = self.advance(state, clipped, float(rate))
        average = self.averaged(state, moved.parameter)
        return moved._replace(learning_rate=rate.copy(), global_norm=norm, average=average)

    def clip(self, gradient: Arrays) -> tuple[np.ndarray, Arrays]:
        # As we lay them out: a norm goes over all entries.
        gradients = {name: torch.tensor(array) for name, array in gradient.items()}
        norm = self._recipe.clip(list(gradients.values()), self._settings.clip_norm)
        return norm.numpy().copy(), {name: one.numpy() for name, one in gradients.items()}

    def advance(self, state: State, clipped: Arrays, learning_rate: float) -> Step:
        params = {name: nn.Parameter(tensor) for name, tensor in self._layout.tensors(state.params).items()}
        optimizer = self._optimizer(params)
        self._load(optimizer, params, state)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        before = {name: param.detach().clone() for name, param in params.items()}
        for name, gradient in self._layout.tensors(clipped).items():
            params[name].grad = gradient
        optimizer.step()
        after = {name: param.detach() for name, param in params.items()}
        states = {name: optimizer.state[param] for name, param in params.items()}
        first = {name: kept[key] for name, kept in states.items() for key in _FIRST if key in kept}
        second = {name: kept[_SECOND] for name, kept in states.items() if _SECOND in kept}
        counts = [int(kept["step"]) for kept in states.values() if "step" in kept]
        return Step(
            np.array(counts[0], np.int32) if counts else None,
            np.array(learning_rate),
            np.array(np.nan),
            clipped,
            self._layout.arrays(first),
            self._layout.arrays(second) if second else {},
            self._layout.arrays({name: tensor - before[name] for name, tensor in after.items()}),
            self._layout.arrays(after),
            {},
        )

    def apply(self, params: Arrays, update: Arrays) -> Arrays:
        return {name: array + update[name] for name, array in params.items()}

    def averaged(self, state: State, params: Arrays) -> Arrays:
        if not state.average:
            return {}
        average = {name: torch.tensor(array) for name, array in state.average.items()}
        before, after = ([torch.tensor(one[name]) for name in average] for one in (state.params, params))
        self._recipe.average(list(average.values()), (before, after), self._settings.average)
        return {name: one.numpy() for name, one in average.items()}

    def _optimizer(self, params: dict[str, nn.Parameter]) -> torch.optim.Optimizer:
        decays, settings = self._layout.decays, self._settings
        decayed = [param for name, param in params.items() if decays[name]]
        rest = [param for name, param in params.items() if not decays[name]]
        groups = self._recipe.groups(decayed, rest, settings.weight_decay)
        if settings.optimizer == "muon":
            groups = training.apart(groups, [params[name] for name in self._layout.matrices])
        return (self._recipe.make or MAKERS[settings.optimizer])(groups, settings)

    def _load(self, optimizer: torch.optim.Optimizer, params: dict[str, nn.Parameter], state: State) -> None:
        """Gives an optimizer the moments and the count of a state."""
        first, second = self._layout.tensors(state.first), self._layout.tensors(state.second)
        count = torch.tensor(float(self._recipe.restored(state.done)))
        for name, param in params.items():
            if name in second:
                optimizer.state[param] = {"exp_avg": first[name], _SECOND: second[name], "step": count.clone()}
                optimizer.state[param]["max_exp_avg_sq"] = second[name].clone()  # read by amsgrad only
            else:
                optimizer.state[param] = {"momentum_buffer": first[name]}


def moving(average: list[Tensor], params: tuple[list[Tensor], list[Tensor]], decay: float) -> None:
    """Adds the parameters after a step to their average, in place; those before it are for a mistake to make use of."""
    update = torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    update(average, params[1], torch.tensor(1))
