"""Mistakes in how text is read and made a vector: a catalogue, as data."""

import dataclasses

from parity.judge.bug import Bug
from parity.text import wrong
from parity.text.wrong import Wrong, WrongPooling

_IDS = "ids"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextBug(Bug):
    """A mistake on the way from a text to tokens.

    Attributes:
        wrong: makes it in a recipe, in every form that is known.
        case: the group of texts that is made to expose it; empty if no folder needs to.
        folder: of `parity.text.folders`, in which it can be made.
        cause: why transformers reads a folder so although its tokenizer.json says otherwise, if it is known to.
    """

    wrong: Wrong
    case: str = "sentences"
    folder: str = "bert-uncased"
    cause: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolingBug(Bug):
    """A mistake on the way from the vectors of tokens to a text's.

    Attributes:
        wrong: makes it in how vectors become one.
        folder: of `parity.text.folders`, in which it can be made.
    """

    wrong: WrongPooling
    folder: str = "bert-uncased"


TEXT_BUGS: tuple[TextBug, ...] = (
    TextBug(
        name="text-lower-cased",
        mistake="the text is lower-cased",
        where=_IDS,
        folder="bert-cased",
        wrong=wrong.lower_cased,
        source="transformers#3823",
        cause="its class builds the normaliser from tokenizer_config.json: lower case, unless do_lower_case is false",
    ),
    TextBug(
        name="text-accents-stripped",
        mistake="accents are taken off the letters",
        case="letters",
        where=_IDS,
        folder="bert-cased",
        wrong=wrong.accents_stripped,
        cause="its class builds the normaliser from tokenizer_config.json, not from tokenizer.json",
    ),
    TextBug(
        name="text-no-frame",
        mistake="no special tokens are put around the text",
        where=_IDS,
        wrong=wrong.no_frame,
        source="transformers#13000",
        cause="its class puts special tokens around every text, whatever tokenizer.json says",
    ),
    TextBug(
        name="text-frame-twice",
        mistake="special tokens are put around the text twice",
        where=_IDS,
        folder="modernbert",
        wrong=wrong.frame_twice,
    ),
    TextBug(
        name="text-space-before-mask",
        mistake="the space before the mask token is kept, which the mask should swallow",
        case="special-tokens",
        where=_IDS,
        folder="roberta",
        wrong=wrong.space_kept,
        source="transformers#12678",
        cause="its class makes the mask token anew, without lstrip",
    ),
    TextBug(
        name="text-limit-special",
        mistake="the limit is off by the special tokens",
        case="limit",
        where=_IDS,
        folder="distilbert",
        wrong=wrong.limits_off,
    ),
    TextBug(
        name="text-limit-other",
        mistake="texts are cut at another limit, which is in the folder's files too",
        where=_IDS,
        case="limit",
        wrong=wrong.other_limit,
        source="sentence-transformers#3575",
    ),
    TextBug(
        name="text-cut-other-side",
        mistake="texts that are too long are cut on the other side",
        case="limit",
        where=_IDS,
        folder="roberta-left",
        wrong=wrong.field(cut_left=lambda one: not one.cut_left),
    ),
    TextBug(
        name="text-pad-side",
        mistake="rows are padded on the other side, and positions count the padding",
        where="mask|positions",
        wrong=wrong.padded_otherwise,
    ),
    TextBug(
        name="text-types-flat",
        mistake="the second of two texts has the token type of the first",
        case="pairs",
        where="types",
        folder="albert",
        wrong=wrong.types_flat,
        cause="it hands no token types on, for model_input_names does not list them",
    ),
    TextBug(
        name="text-prompt-missing",
        mistake="the prompt is left out",
        where=_IDS,
        wrong=wrong.field(prompt=lambda one: ""),
    ),
    TextBug(
        name="text-prompt-doubled",
        mistake="the prompt stands before the text twice",
        where=_IDS,
        wrong=wrong.field(prompt=lambda one: one.prompt * 2),
    ),
    TextBug(
        name="text-case-kept",
        mistake="the text is not lower-cased",
        where=_IDS,
        wrong=wrong.case_kept,
        cause="its class builds the normaliser from tokenizer_config.json, where do_lower_case is false",
    ),
    TextBug(
        name="text-accents-kept",
        mistake="accents are left on the letters",
        case="letters",
        where=_IDS,
        folder="electra",
        wrong=wrong.accents_kept,
        cause="its class builds the normaliser from tokenizer_config.json, not from tokenizer.json",
    ),
    TextBug(
        name="text-special-spelled",
        mistake="special tokens in a text are spelled out like other text",
        case="special-tokens",
        where=_IDS,
        folder="bert-cased",
        wrong=wrong.spelled_out,
        source="tokenizers#635",
        cause="it marks the special tokens that its class or tokenizer_config.json names, tokenizer.json does not",
    ),
    TextBug(
        name="text-space-swallowed",
        mistake="the mask token swallows the space before it, which it should not",
        case="",
        where=_IDS,
        folder="metaspace",
        wrong=wrong.space_swallowed,
        cause="its class gives the mask token lstrip",
    ),
)

POOLING_BUGS: tuple[PoolingBug, ...] = (
    PoolingBug(
        name="text-pooling-special",
        mistake="the vector is pooled without the special tokens around the text",
        where="vectors",
        folder="mpnet",
        wrong=wrong.own_only,
    ),
    PoolingBug(
        name="text-not-normalised",
        mistake="the vector is not scaled to length 1",
        where="vectors",
        wrong=wrong.not_scaled,
    ),
    PoolingBug(
        name="text-cut-order",
        mistake="the vector is cut before it is scaled to length 1, not after",
        where="vectors",
        folder="truncated",
        wrong=wrong.cut_first,
    ),
)

CATALOGUE: tuple[TextBug | PoolingBug, ...] = (*TEXT_BUGS, *POOLING_BUGS)
