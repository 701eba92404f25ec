"""Each way to read wrongly changes what it should, and only where it can be made."""

import json

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from parity.text import wrong
from parity.text.bugs import CATALOGUE, TEXT_BUGS
from parity.text.reading import share_apart
from parity.text.recipe import Pooled, Recipe
from parity.text.toy_tokenizers import byte_pairs, unigram, wordpiece

BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
POOLED = Pooled(modes=("mean",), normalize=True)


def framed(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens(list(BERT))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def bert(**options) -> Recipe:
    tokenizer = framed(Tokenizer(models.WordPiece(wordpiece(), unk_token="[UNK]")))
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return recipe_of(tokenizer)


def recipe_of(tokenizer: Tokenizer, **changes) -> Recipe:
    given = {"limit": 12, "cut_left": False, "pad_left": False, "prompt": ""} | changes
    return Recipe(tokenizer=tokenizer.to_str(), **given)


def tokens(recipe: Recipe, text: str | tuple[str, str]) -> list[str]:
    spelled = Tokenizer.from_str(recipe.tokenizer)
    return [spelled.id_to_token(int(id_)) for id_ in recipe.read([text]).ids[0]]


CASED, UNCASED = bert(lowercase=False, strip_accents=False), bert(lowercase=True)


def made(name: str, recipe: Recipe) -> list[Recipe]:
    return list(next(bug for bug in TEXT_BUGS if bug.name == name).wrong(recipe))


@pytest.mark.parametrize(
    ("name", "recipe", "text", "right", "mistaken"),
    [
        ("text-lower-cased", CASED, "Paris", "[CLS] Paris [SEP]", "[CLS] paris [SEP]"),
        ("text-case-kept", UNCASED, "PARIS", "[CLS] paris [SEP]", "[CLS] PARIS [SEP]"),
        ("text-accents-stripped", CASED, "élève", "[CLS] élève [SEP]", "[CLS] eleve [SEP]"),
        ("text-accents-kept", UNCASED, "élève", "[CLS] eleve [SEP]", "[CLS] élève [SEP]"),
        ("text-no-frame", CASED, "a river", "[CLS] a river [SEP]", "a river"),
        ("text-frame-twice", CASED, "a river", "[CLS] a river [SEP]", "[CLS] [CLS] a river [SEP] [SEP]"),
        ("text-special-spelled", CASED, "a [MASK]", "[CLS] a [MASK] [SEP]", "[CLS] a [ M ##A ##S ##K ] [SEP]"),
    ],
)
def test_what_a_mistake_makes_of_a_text(name, recipe, text, right, mistaken):
    assert " ".join(tokens(recipe, text)) == right
    assert mistaken in [" ".join(tokens(one, text)) for one in made(name, recipe)]


def test_a_frame_around_two_texts_is_doubled():
    (twice,) = made("text-frame-twice", CASED)
    assert " ".join(tokens(twice, ("a", "is"))) == "[CLS] [CLS] a [SEP] [SEP] is [SEP] [SEP]"
    assert twice.read([("a", "is")]).types[0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_the_limit_is_off_by_the_special_tokens():
    assert [one.limit for one in made("text-limit-special", CASED)] == [10, 14]
    assert [one.limit for one in made("text-limit-special", recipe_of(Tokenizer(models.BPE())))] == []
    other = recipe_of(Tokenizer.from_str(CASED.tokenizer), limits=(12, 40))
    assert [one.limit for one in made("text-limit-other", other)] == [40]


def test_the_side_the_prompt_and_the_types():
    assert made("text-cut-other-side", CASED)[0].cut_left
    assert made("text-prompt-missing", CASED) == []
    prompted = recipe_of(Tokenizer.from_str(CASED.tokenizer), prompt="a ")
    assert made("text-prompt-missing", prompted)[0].prompt == ""
    assert made("text-prompt-doubled", prompted)[0].prompt == "a a "
    assert tokens(prompted, "river") == ["[CLS]", "a", "river", "[SEP]"]
    assert tokens(prompted, ("is", "river"))[1] == "is"
    assert not made("text-types-flat", CASED)[0].read([("a", "is")]).types[0].any()
    assert made("text-types-flat", recipe_of(Tokenizer.from_str(CASED.tokenizer), typed=False)) == []


def test_padding_matters_to_who_counts_columns():
    (left,) = made("text-pad-side", CASED)
    reading = left.read(["a", "a river is long"])
    assert reading.mask[0].tolist() == [False] * 3 + [True] * 3
    assert reading.positions[0].tolist() == [3, 4, 5]
    assert made("text-pad-side", recipe_of(Tokenizer.from_str(CASED.tokenizer), counting="distances")) == []
    counted = recipe_of(Tokenizer.from_str(CASED.tokenizer), counting="tokens", pad=0)
    assert counted.read(["a [PAD] river"]).positions[0].tolist() == [0, 1, -1, 2, 3]


def test_the_space_before_a_mask():
    tokenizer = framed(byte_pairs(BERT))
    kept = recipe_of(tokenizer)
    (swallowed,) = made("text-space-swallowed", kept)
    assert tokens(swallowed, "a [MASK]") == ["[CLS]", "a", "[MASK]", "[SEP]"]
    assert tokens(kept, "a [MASK]") == ["[CLS]", "a", "Ġ", "[MASK]", "[SEP]"]
    assert [one.content for one in made("text-space-before-mask", swallowed)] == [kept.content]
    assert made("text-space-swallowed", CASED) == []  # no blank is part of a token there


def test_normalisers_of_their_own_and_in_a_row():
    tokenizer = framed(Tokenizer(models.Unigram(unigram(BERT), unk_id=1)))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    steps = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    recipe = recipe_of(tokenizer)
    assert tokens(made("text-case-kept", recipe)[0], "Paris")[1] == "▁Paris"
    assert tokens(made("text-accents-kept", recipe)[0], "ÉLÈVE")[1] == "▁élève"
    assert made("text-lower-cased", recipe) == made("text-accents-stripped", recipe) == []
    bare = recipe_of(framed(Tokenizer(models.WordPiece({**wordpiece()}, unk_token="[UNK]"))))
    assert json.loads(made("text-lower-cased", bare)[0].tokenizer)["normalizer"]["normalizers"] == [
        {"type": "Lowercase"}
    ]


def test_tokens_that_the_vocabulary_lacks_stay_marked():
    tokenizer = Tokenizer.from_str(CASED.tokenizer)
    tokenizer.add_special_tokens(["<new>"])
    assert made("text-special-spelled", recipe_of(tokenizer)) == []


def test_how_vectors_become_one():
    own = list(wrong.own_only(POOLED))
    assert [one.own_only for one in own] == [True]
    assert list(wrong.own_only(Pooled(modes=("cls",), normalize=True))) == []
    assert [one.normalize for one in wrong.not_scaled(POOLED)] == [False]
    assert list(wrong.not_scaled(Pooled(modes=("mean",), normalize=False))) == list(wrong.cut_first(POOLED)) == []
    assert [one.cut_first for one in wrong.cut_first(Pooled(modes=("mean",), normalize=True, width=4))] == [True]


def test_every_mistake_is_another_and_well_named():
    names = [bug.name for bug in CATALOGUE]
    assert len(set(names)) == len(names) >= 14
    assert all(name.startswith("text-") for name in names)
    forms = [(bug.name, reading.read(["The [MASK] of Größe"])) for bug in TEXT_BUGS for reading in bug.wrong(CASED)]
    right = CASED.read(["The [MASK] of Größe"])
    assert {name for name, reading in forms if share_apart(reading, right)} >= {
        "text-lower-cased",
        "text-accents-stripped",
        "text-no-frame",
        "text-frame-twice",
        "text-special-spelled",
    }
