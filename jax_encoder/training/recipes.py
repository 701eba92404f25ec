"""How the authors of every preset trained it, as data. Standard library only.

A run takes these numbers wherever it is told no others. What a paper did beside them (next sentences, two lengths of
rows, distillation) is said in `left_out`.
"""

import dataclasses

from jax_encoder.config import EncoderConfig
from jax_encoder.training.choose import row_length
from jax_encoder.training.config import Init, ModelOptions, OptimizerOptions, Preset, PretrainConfig, TextOptions

# Rows of a part that one device computes at a time, where a paper's batch is taken as it is.
_ROWS_AT_ONCE = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of one paper.

    Attributes:
        source: the paper, with section, table or file.
        left_out: what it did that a run here does not; "" for nothing.
        steps: updates of the parameters.
        batch_size: rows per step.
        seq_len: tokens per row.
        mask_rate: share of the tokens to predict.
        init: how parameters are drawn.
        optimizer: with a warm-up for just these steps.
    """

    source: str
    left_out: str = ""
    steps: int
    batch_size: int
    seq_len: int
    mask_rate: float
    init: Init
    optimizer: OptimizerOptions


_MINI = Recipe(
    source="measured on two cores, DECISIONS.md of 2026-11-23",
    steps=2000,
    batch_size=8,
    seq_len=128,
    mask_rate=0.3,
    init="truncated",
    optimizer=OptimizerOptions(),
)

_BERT = Recipe(
    source="Devlin et al. (2019), appendix A.2; epsilon, clipping and initial values of optimization.py and "
    "modeling.py in the authors' code",
    left_out="next-sentence prediction; rows of 128 tokens in the first 90 % of the steps; and that code's Adam does "
    "not correct its means for their start",
    steps=1_000_000,
    batch_size=256,
    seq_len=512,
    mask_rate=0.15,
    init="truncated",
    optimizer=OptimizerOptions(
        learning_rate=1e-4, warmup_steps=10_000, schedule="linear", weight_decay=0.01, b1=0.9, b2=0.999, eps=1e-6
    ),
)

RECIPES: dict[Preset, Recipe] = {
    "tiny": _MINI,
    "mini": _MINI,
    "bert_base": _BERT,
    "bert_large": _BERT,
    "minilm_l6": Recipe(
        source="Wang et al. (2020), section 4.1; epsilon, clipping, masking and initial values are BERT's",
        left_out="distillation, in the place of which tokens are masked",
        steps=400_000,
        batch_size=256,
        seq_len=512,
        mask_rate=0.15,
        init="truncated",
        optimizer=OptimizerOptions(
            learning_rate=3e-4, warmup_steps=4000, schedule="linear", weight_decay=0.01, b1=0.9, b2=0.999, eps=1e-6
        ),
    ),
    "roberta_base": Recipe(
        source="Liu et al. (2019), table 9; initial values of init_bert_params in the authors' code",
        steps=500_000,
        batch_size=8192,
        seq_len=512,
        mask_rate=0.15,
        init="normal",
        optimizer=OptimizerOptions(
            learning_rate=6e-4,
            warmup_steps=24_000,
            schedule="linear",
            weight_decay=0.01,
            b1=0.9,
            b2=0.98,
            eps=1e-6,
            clip_norm=None,
        ),
    ),
    # 1.719e12 tokens in batches of 4,608 rows of 1,024; a warm-up of 3e9 tokens, a fall over 5e10. Their decay of
    # 1e-5 is what a step at the highest rate takes; ours is multiplied by the rate.
    "modernbert_base": Recipe(
        source="Warner et al. (2024), section 2.2 and appendix A; modernbert-base-pretrain.yaml in the authors' code",
        left_out="batches that grow from 768 rows; 250e9 tokens in rows of 8,192 before the fall; 0.1 of dropout on "
        "what attention adds",
        steps=364_300,
        batch_size=4608,
        seq_len=1024,
        mask_rate=0.3,
        init="megatron",
        optimizer=OptimizerOptions(
            optimizer="stable_adamw",
            learning_rate=8e-4,
            warmup_steps=636,
            schedule="wsd_sqrt",
            decay_fraction=0.03,
            weight_decay=0.0125,
            b1=0.9,
            b2=0.98,
            eps=1e-6,
            clip_norm=None,
        ),
    ),
}


def pretraining(
    preset: Preset = "mini",
    *,
    recipe: Preset | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
) -> PretrainConfig:
    """The options of a run as the preset's authors trained it.

    Args:
        preset: the encoder.
        recipe: another preset, whose numbers to take; None: the encoder's own.
        steps: of the run; None: the recipe's. The warm-up has the same share of them.
        batch_size: rows per step; None: the recipe's, in as many parts as leave each at most 32 rows.
    """
    chosen = RECIPES[recipe or preset]
    rows = chosen.batch_size if batch_size is None else batch_size
    updates = chosen.steps if steps is None else steps
    # What leaves nothing to warm up to is refused elsewhere, by its own name.
    warmup = min(round(updates * chosen.optimizer.warmup_steps / chosen.steps), max(updates - 1, 0))
    encoder = getattr(EncoderConfig, preset)()
    length = min(chosen.seq_len, encoder.max_len)
    usual = row_length(ModelOptions(preset=preset), encoder)
    return PretrainConfig(
        steps=updates,
        batch_size=rows,
        accumulate=_parts(rows) if rows == chosen.batch_size else 1,
        recipe=recipe,
        text=TextOptions(mask_rate=chosen.mask_rate),
        model=ModelOptions(preset=preset, init=chosen.init, seq_len=None if length == usual else length),
        optimizer=dataclasses.replace(chosen.optimizer, warmup_steps=warmup),
    )


def told(config: PretrainConfig) -> list[str]:
    """Which recipe a run takes, what it leaves out, and where the run departs from it, a line each."""
    name = config.recipe or config.model.preset
    chosen, given = RECIPES[name], config.optimizer
    clipped = "no clipping" if given.clip_norm is None else f"clipping at {given.clip_norm:g}"
    lines = [
        f"{name}, {chosen.source}",
        f"{given.optimizer}, learning rate {given.learning_rate:g}, "
        f"warm-up {given.warmup_steps:,} of {config.steps:,} steps, {given.schedule}, "
        f"betas {given.b1:g} and {given.b2:g}, epsilon {given.eps:g}, decay {given.weight_decay:g}, "
        f"{clipped}, batches of {config.batch_size:,} rows, {config.text.mask_rate:.0%} masked, "
        f"initial values {config.model.init}",
    ]
    if chosen.left_out:
        lines.append(f"left out: {chosen.left_out}")
    if config.model.encoder is not None and config.recipe is None:
        lines.append(f"{config.model.encoder} has no recipe of its own: --recipe takes another preset's")
    if changed := _changed(config):
        lines.append(f"otherwise here: {', '.join(changed)}")
    return lines


def _changed(config: PretrainConfig) -> list[str]:
    """The options of a recipe that a run has otherwise, and the recipe's own value of each."""
    chosen = RECIPES[config.recipe or config.model.preset]
    meant = pretraining(config.model.preset, recipe=config.recipe, steps=config.steps)
    pairs = {
        "steps": (config.steps, chosen.steps),
        "batch_size": (config.batch_size, chosen.batch_size),
        "mask_rate": (config.text.mask_rate, chosen.mask_rate),
        "init": (config.model.init, chosen.init),
    }
    for field in dataclasses.fields(OptimizerOptions):
        pairs[field.name] = (getattr(config.optimizer, field.name), getattr(meant.optimizer, field.name))
    return [
        f"--{name.replace('_', '-')} {_shown(value)} for {_shown(theirs)}"
        for name, (value, theirs) in pairs.items()
        if value != theirs
    ]


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}" if isinstance(value, float) else str(value)


def _parts(rows: int) -> int:
    """In how many equal parts a batch is computed, of at most `_ROWS_AT_ONCE` rows."""
    return next(parts for parts in range(1, rows + 1) if rows % parts == 0 and rows // parts <= _ROWS_AT_ONCE)
