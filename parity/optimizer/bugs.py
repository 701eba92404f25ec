"""Mistakes in an optimizer and its learning rate, made in the reference."""

import dataclasses

import torch

from parity.optimizer import plants as plants
from parity.optimizer.catalogue import RATE, UPDATE, OptimizerBug
from parity.optimizer.layered_bugs import LAYERED_BUGS
from parity.optimizer.torch_side import adam

_ADAM, _EVERY = ("adamw", "adam"), ("adamw", "adam", "sgd", "stable_adamw", "lamb", "muon")
_COUPLING = r"step\d+\.(first_moment|second_moment|update)\..*"
_CLIPPED = r"step\d+\.clipped_gradient\..*"


OPTIMIZER_BUGS: tuple[OptimizerBug, ...] = (
    *LAYERED_BUGS,
    OptimizerBug(
        name="adam-eps",
        mistake="Adam's epsilon is 1e-6 for 1e-8",
        where=UPDATE,
        plant=plants.number(eps=1e-6),
        optimizers=_ADAM,
        case="gradient-1e-7",
    ),
    OptimizerBug(
        name="adam-eps-root",
        mistake="Adam's epsilon is added inside the root",
        where=UPDATE,
        plant=plants.made(adam(plants.EpsInRoot)),
        case="gradient-1e-4",
    ),
    OptimizerBug(
        name="adam-no-bias-correction",
        mistake="Adam's moments are not corrected for their start at 0",
        where=UPDATE,
        plant=plants.made(adam(plants.NotCorrected)),
    ),
    OptimizerBug(
        name="adam-count-from-zero",
        mistake="the bias correction counts the steps before this one, not this one too",
        where=UPDATE,
        plant=plants.made(adam(plants.CountsFromZero)),
        source="optax#415",
    ),
    OptimizerBug(
        name="adam-count-restarted",
        mistake="the optimizer is made anew with the old moments, and counts from 0 again",
        where=r"step\d+\.step_count",
        plant=lambda recipe: dataclasses.replace(recipe, restored=lambda _: 0),
        optimizers=_ADAM,
    ),
    OptimizerBug(
        name="adam-b1",
        mistake="the first moment decays by 0.95 for 0.9",
        where=r"step\d+\.(first_moment|update)\..*",
        plant=plants.number(b1=0.95),
        optimizers=_ADAM,
    ),
    OptimizerBug(
        name="adam-b2",
        mistake="the second moment decays by 0.999 for 0.98",
        where=r"step\d+\.(second_moment|update)\..*",
        plant=plants.number(b2=0.999),
        optimizers=_ADAM,
    ),
    OptimizerBug(
        name="adam-betas-swapped",
        mistake="the two decays of Adam's moments are in each other's place",
        where=_COUPLING,
        plant=plants.made(plants.betas_swapped),
    ),
    OptimizerBug(
        name="adam-not-squared",
        mistake="the second moment is a mean of magnitudes, not of squares",
        where=r"step\d+\.second_moment\..*",
        plant=plants.made(adam(plants.NotSquared)),
        case="gradient-1e-4",
    ),
    OptimizerBug(
        name="amsgrad-on",
        mistake="Adam divides by the largest second moment so far",
        where=UPDATE,
        plant=plants.made(plants.amsgrad),
    ),
    OptimizerBug(
        name="decay-decoupled",
        mistake="weight decay is added to the update, not to the gradient",
        where=_COUPLING,
        plant=plants.made(adam(torch.optim.AdamW)),
        optimizers=("adam",),
        variant="adam-cosine",
    ),
    OptimizerBug(
        name="decay-missing",
        mistake="there is no weight decay",
        where=UPDATE,
        plant=plants.number(weight_decay=0.0),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="decay-coupled",
        mistake="weight decay is added to the gradient, not to the update",
        where=_COUPLING,
        plant=plants.made(adam(torch.optim.Adam)),
        source="optax#417",
    ),
    OptimizerBug(
        name="decay-default",
        mistake="weight decay is left at torch's default, 1e-2",
        where=UPDATE,
        plant=plants.grouped(plants.default_decay),
    ),
    OptimizerBug(
        name="decay-mask-all",
        mistake="norms and biases are decayed, too",
        where=UPDATE,
        plant=plants.grouped(plants.all_decay),
        optimizers=_EVERY,
        source="transformers#11936",
    ),
    OptimizerBug(
        name="decay-mask-flipped",
        mistake="norms and biases are decayed, and nothing else",
        where=UPDATE,
        plant=plants.grouped(plants.others_decay),
        optimizers=_EVERY,
        source="transformers#18273",
    ),
    OptimizerBug(
        name="decay-not-times-lr",
        mistake="weight decay is not multiplied by the learning rate",
        where=UPDATE,
        plant=plants.made(adam(plants.DecaysAlone)),
    ),
    OptimizerBug(
        name="decay-last",
        mistake="weight decay is taken from the parameters that have moved already",
        where=UPDATE,
        plant=plants.made(adam(plants.DecaysLast)),
    ),
    OptimizerBug(
        name="clip-eps",
        mistake="gradients are clipped to max_norm / (norm + 1e-6), as torch's own function does",
        where=_CLIPPED,
        plant=plants.clipped(plants.torch_clip),
        optimizers=_EVERY,
        source="spd#643",
    ),
    OptimizerBug(
        name="clip-missing",
        mistake="gradients are not clipped",
        where=_CLIPPED,
        plant=plants.clipped(plants.norm_only),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="clip-per-parameter",
        mistake="every parameter's gradient is clipped by its own norm",
        where=_CLIPPED,
        plant=plants.clipped(plants.clip_each),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="clip-by-value",
        mistake="every entry of a gradient is clipped by itself",
        where=_CLIPPED,
        plant=plants.clipped(plants.clip_values),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="clip-norm-of-norms",
        mistake="the global norm adds up the parameters' norms, not their squares",
        where=r"step\d+\.(global_norm|clipped_gradient\..*)",
        plant=plants.clipped(plants.norm_of_norms),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-off-by-one",
        mistake="every step has the learning rate of the step before it",
        where=RATE,
        plant=plants.rated(plants.late),
        optimizers=_EVERY,
        source="optax#415",
    ),
    OptimizerBug(
        name="schedule-constant",
        mistake="the learning rate is the highest throughout",
        where=RATE,
        plant=plants.rated(plants.constant),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-no-warmup",
        mistake="the warm-up is left out",
        where=RATE,
        plant=plants.rated(plants.without_warmup),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-warmup-from-zero",
        mistake="the warm-up starts at 0 and wastes a step",
        where=RATE,
        plant=plants.rated(plants.warmup_from_zero),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-warmup-counted-in",
        mistake="the fall begins with the first step, not after the warm-up",
        where=RATE,
        plant=plants.rated(plants.warmup_counted_in),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="schedule-by-epoch",
        mistake="the learning rate is set once in four steps",
        where=RATE,
        plant=plants.rated(plants.by_epoch),
        optimizers=_EVERY,
    ),
    OptimizerBug(
        name="nesterov-off",
        mistake="Nesterov's momentum is off",
        where=UPDATE,
        plant=plants.number(nesterov=False),
        optimizers=("sgd",),
        variant="sgd-nesterov",
    ),
    OptimizerBug(
        name="momentum-dampening",
        mistake="the gradient enters the momentum with a weight of 1 - momentum",
        where=r"step\d+\.first_moment\..*",
        plant=plants.made(plants.dampened),
        optimizers=("sgd",),
        variant="sgd-linear",
    ),
    OptimizerBug(
        name="momentum-decay",
        mistake="the momentum decays by 0.99 for 0.9",
        where=r"step\d+\.(first_moment|update)\..*",
        plant=plants.number(momentum=0.99),
        optimizers=("sgd",),
        variant="sgd-linear",
    ),
    OptimizerBug(
        name="nesterov-on",
        mistake="Nesterov's momentum is on",
        where=UPDATE,
        plant=plants.number(nesterov=True),
        optimizers=("sgd",),
        variant="sgd-linear",
    ),
)
