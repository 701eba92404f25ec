"""Text from all over a corpus, for a tokenizer to learn from."""

import math
from collections.abc import Iterator

from jax_encoder.data.corpus import digest_of, is_held_out
from jax_encoder.data.documents import Form, read_documents
from jax_encoder.data.prepared.plan import Plan, Unit, size_of


def sample(corpus: Plan, form: Form, share: int, *, limit: int) -> list[str]:
    """Documents for training from all over a corpus: the beginning of every unit, all of it if that is not too much.

    Args:
        corpus: to read.
        form: how documents lie in it.
        share: one document in so many is held out.
        limit: bytes of text, about.
    """
    sizes = {unit.number: sum(map(size_of, unit.extents)) for unit in corpus.units}
    total, texts = max(1, sum(sizes.values())), []
    for unit in corpus.units:
        # Where nobody knows the size, all units are alike.
        fraction = sizes[unit.number] / total if sizes[unit.number] else 1 / len(corpus.units)
        room = math.inf if total <= limit and sizes[unit.number] else limit * fraction
        for text in _of_unit(unit, form):
            held_out = is_held_out(digest_of(text), share) if unit.held_out is None else unit.held_out
            if not held_out:
                texts.append(text)
            room -= len(text.encode("utf-8"))
            if room <= 0:
                break
    return texts


def _of_unit(unit: Unit, form: Form) -> Iterator[str]:
    for extent in unit.extents:
        yield from read_documents(extent, form)
