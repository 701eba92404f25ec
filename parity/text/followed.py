"""Where transformers reads a folder otherwise than its tokenizer.json says: which of the two we follow, and why."""

from parity.judge.verdict import Setting
from parity.text.bench import Bench
from parity.text.bugs import TEXT_BUGS
from parity.text.corpus import Text
from parity.text.diagnose import mistaken
from parity.text.reading import Reading, apart, share_apart, shown
from parity.text.recipe import Recipe, opened

_TOKENS = ("ids", "special", "types")
# transformers writes 10^30 where nothing is known.
_NO_LIMIT = 10**9


def pairs_are_framed(recipe: Recipe) -> bool:
    """Whether two texts that are read together are framed if one is: else a file says nothing of two."""
    one, two = (opened(recipe.tokenizer).num_special_tokens_to_add(is_pair=pair) for pair in (False, True))
    return two > 0 or one == 0


def followed(bench: Bench) -> tuple[Setting, ...]:
    """What each side follows, and what is to be said if it is not tokenizer.json, or if that says too little."""
    name, theirs = bench.ours.source.name, type(bench.theirs.tokenizer).__name__
    if bench.theirs.content is None:
        why = f"{theirs} cuts two texts by code of its own: none that are too long together were compared"
        return _read_by(bench), Setting("two texts", "cut evenly", theirs, why)
    if pairs_are_framed(bench.sound.by_file):
        return (_read_by(bench),)
    why = f"{name} puts special tokens around a text and says nothing of two: no two texts were compared"
    return _read_by(bench), Setting("two texts", "not read", theirs, why)


def _read_by(bench: Bench) -> Setting:
    """Measured on all texts."""
    name, (by_file, by_class, _) = type(bench.theirs.tokenizer).__name__, bench.sound
    source = bench.ours.source.name
    first: tuple[Text, str] | None = None
    ours_by_file = ours_by_class = True
    for case, texts in bench.cases.items():
        file, cls, mine = by_file.read(texts), by_class.read(texts), bench.read(case)[0]
        ours_by_file &= not apart(mine, file, _TOKENS)
        ours_by_class &= not apart(mine, cls, _TOKENS)
        if first is None and (different := apart(file, cls)):
            first = texts[different[0]], _why(by_file, by_class, texts, (file, cls))
    if first is None:
        return Setting("text is read by", source if ours_by_file else "neither", source)
    we = source if ours_by_file else name if ours_by_class else "neither"
    text, why = first
    follow = {
        source: f"We follow {source}: the model was trained with it",
        name: f"We follow {name}: vectors made with the libraries are what ours are compared with",
        "neither": "We follow neither in everything",
    }[we]
    warning = (
        f"{name} reads this folder otherwise than its {source} says, first the text {shown(text)}: {why}. {follow}"
    )
    return Setting("text is read by", we, name, warning)


def limits(bench: Bench) -> Setting:
    """Tokens of the longest text that each side reads, and what the library would do beyond its encoder's positions."""
    theirs, longest = bench.theirs, [max(map(len, side.ids)) for side in bench.read("limit")]
    warning = ""
    if theirs.asked > theirs.possible:
        cuts = f"would cut texts at {theirs.asked:,} tokens" if theirs.asked < _NO_LIMIT else "would cut no text"
        warning = (
            f"{theirs.name} {cuts}, where its encoder has {theirs.possible:,} positions and fails with more: it was "
            "told to cut there"
        )
    return Setting("tokens of a text, at most", str(longest[0]), str(longest[1]), warning)


def _why(by_file: Recipe, by_class: Recipe, texts: tuple[Text, ...], readings: tuple[Reading, Reading]) -> str:
    """What the class does to the file, if a known mistake is like it: made in one it gives the other."""
    file, cls = readings
    for recipe, other in ((by_file, cls), (by_class, file)):
        for bug, reading in mistaken(recipe, texts, TEXT_BUGS):
            if not share_apart(reading, other) and bug.cause:
                return bug.cause
    return "parts of the tokenizer are made anew by its class"
