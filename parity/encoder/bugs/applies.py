"""Where a mistake can be made: predicates on the form, small and named.

A mistake applies wherever its part is there and making it gives another function; sizes do not matter.
"""

from collections.abc import Callable
from typing import Any

from jax_encoder.config import EncoderConfig
from parity.cases.case import LEAST_LENGTH
from parity.encoder.form import Form

Applies = Callable[[Form], bool]

# Below this epsilon, what it adds to an ordinary variance is rounding.
_SEEN_EVERYWHERE = 1e-8


def always(form: Form) -> bool:
    """Every encoder has the part."""
    return True


def has(**fields: Any) -> Applies:
    """The config's fields have these values."""
    return lambda form: all(getattr(form.config, name) == value for name, value in fields.items())


def on(predicate: Callable[[EncoderConfig], bool]) -> Applies:
    """What is asked of the config alone."""
    return lambda form: predicate(form.config)


def every(*predicates: Applies) -> Applies:
    """All of them hold."""
    return lambda form: all(predicate(form) for predicate in predicates)


def other_eps(value: float) -> Applies:
    """The norms' epsilon is another one."""
    return on(lambda config: config.norm_eps != value)


@on
def small_variance(config: EncoderConfig) -> bool:
    """A norm reads the embeddings, whose variance a case makes small; where words are scaled it does not stay so."""
    return config.embedding_norm and config.dropped_token is None


@on
def eps_matters(config: EncoderConfig) -> bool:
    """Leaving epsilon out shows: it is large, or a norm reads a small variance."""
    return (config.embedding_norm and config.dropped_token is None) or config.norm_eps >= _SEEN_EVERYWHERE


@on
def several_heads(config: EncoderConfig) -> bool:
    return config.num_heads > 1


@on
def own_keys(config: EncoderConfig) -> bool:
    """Every query head has keys and values of its own, so that their projections have one shape."""
    return config.num_key_value_heads == config.num_heads


@on
def shares_keys(config: EncoderConfig) -> bool:
    """Several heads of keys, each for several query heads."""
    return 1 < config.num_key_value_heads < config.num_heads


@on
def has_windows(config: EncoderConfig) -> bool:
    return any(window is not None for window in config.windows)


@on
def some_layer_sees_all(config: EncoderConfig) -> bool:
    return None in config.windows


@on
def windows_can_narrow(config: EncoderConfig) -> bool:
    """Each holds at least two keys to each side: a window of one has no narrower one."""
    return any(config.windows) and all(window is None or window > 1 for window in config.windows)


@on
def several_thetas(config: EncoderConfig) -> bool:
    return len(set(config.rope_thetas)) > 1


@on
def embeds_positions(config: EncoderConfig) -> bool:
    """A position is something that is added to the word."""
    return config.position_kind in ("learned", "sinusoidal")


@on
def rounded_frequencies(config: EncoderConfig) -> bool:
    """Some rotary frequency is not its base's: rounding leaves 1 as it is."""
    width = config.head_dim
    return any(own != config.rope_thetas[0] ** (-2 * pair / width) for pair, own in enumerate(config.rope_frequencies))


@on
def has_relative_bias(config: EncoderConfig) -> bool:
    """A table has one number per head for every range of distances."""
    return config.relative_kind == "bias"


@on
def scores_are_one_product(config: EncoderConfig) -> bool:
    """Of a query and a key; disentangled scores are the sum of three."""
    return config.relative_kind != "disentangled"


@on
def long_ranges(config: EncoderConfig) -> bool:
    """Some range holds several of the distances that the cases have."""
    return 4 < config.relative_buckets < 4 * (LEAST_LENGTH - 1)


@on
def first_layer_alone(config: EncoderConfig) -> bool:
    """No later layer has the first one's parameters."""
    return config.num_layers > 1 and config.layer_groups.count(0) == 1


def groups(least: int) -> Applies:
    """So many sets of layer parameters, or more, all of one structure."""
    return on(lambda config: len(set(config.layer_groups)) >= least and config.first_attention_norm)


@on
def layers_are_alike(config: EncoderConfig) -> bool:
    """A layer's number decides nothing but its parameters."""
    return len(set(config.windows)) == 1 and len(set(config.rope_thetas)) <= 1


@on
def square_head(config: EncoderConfig) -> bool:
    """The head's transform keeps the width, so that its kernel fits either way round."""
    return config.mlm_activation is not None and config.table_width == config.embed_dim


@on
def factorised(config: EncoderConfig) -> bool:
    return config.table_dim is not None


def has_pooler(form: Form) -> bool:
    return form.pooler


def drops(form: Form) -> bool:
    return form.drops


def keeps_all_weights(form: Form) -> bool:
    """No attention weight is dropped."""
    return not (form.drops and form.config.attention_dropout)


def deployed_with(rate: str) -> Applies:
    """It runs without a key although this rate is above 0."""
    return lambda form: form.deployed and getattr(form.config, rate) > 0


def uses(*activations: str | None) -> Applies:
    """Some part has one of these activations."""
    return lambda form: any(one in activations for one in activations_of(form))


def activations_of(form: Form) -> tuple[str | None, ...]:
    """Of the MLP, of the masked-language-model head and of the classifier."""
    classes = form.classifier
    return (form.config.activation, form.config.mlm_activation, classes.activation if classes else None)


def classifier(**fields: Any) -> Applies:
    """There is a classifier whose fields have these values; a callable says whether the value will do."""

    def applies(form: Form) -> bool:
        return form.classifier is not None and all(
            value(getattr(form.classifier, name)) if callable(value) else getattr(form.classifier, name) == value
            for name, value in fields.items()
        )

    return applies
