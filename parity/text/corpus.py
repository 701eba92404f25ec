"""Texts that expose mistakes in how text is read: the same ones every time, in groups by what they are about."""

import itertools
from collections.abc import Sequence

# A text, or two that are read together.
Text = str | tuple[str, str]

# Of all groups of texts of one folder.
VARIANT = "text"
# Texts of a folder that go through the networks; all are read.
COMPUTED = 128

# Characters that text from the world has, and that normalisers, splitters and vocabularies treat each in their own way.
_BLANKS = (
    *("", " ", "   ", "\t", "\n", "\r\n", "\r", "\n\n\n", " \t\r\n ", "\v", "\f", "\x1c\x1d", "\x85"),
    *("\u00a0", "\u1680", "\u2000\u2003\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000", "\ufeff", "\u180e"),
    *("\u200b", "\u200c\u200d", "\u2060", "\u00ad", "\x00", "\x01\x02", "\x7f", "\ufffd", "\ufffe", "\ue000"),
)
_LETTERS = (
    *("Paris", "PARIS", "pARIS", "ÉCOLE", "École", "e\u0301cole", "E\u0301COLE", "nai\u0308ve", "naïve", "Ångström"),
    *("A\u030angstro\u0308m", "\u212b", "Zoë", "façade", "fac\u0327ade", "İstanbul", "I\u0307stanbul", "ısı", "ISI"),
    *("Straße", "STRASSE", "ẞ", "ΟΔΥΣΣΕΥΣ", "Ὀδυσσεύς", "ς σ Σ", "Việt Nam", "Vie\u0323\u0302t", "Ǆ ǅ ǆ", "ﬁne ﬂow ﬀ"),
    *(
        "Ｆｕｌｌ　ｗｉｄｔｈ",
        "ﾊﾝｶｸ",
        "x²",
        "H₂O",
        "№ ™ ℡",
        "½ ⅔",
        "Ⅷ",
        "𝐁𝐨𝐥𝐝 𝒮𝒸𝓇𝒾𝓅𝓉",
        "Z\u0351\u0343\u0363a\u0334\u0310l\u0321go",
        "Łódź",
    ),
    *("œuvre Œ", "æther", "þorn Ð", "Ĳssel", "ŉ", "Dž", "O\u2019Neill", "O'Neill", "rock\u2010n\u2010roll"),
)
_SCRIPTS = (
    *(
        "السلام عليكم",
        "الْعَرَبِيَّةُ",
        "שלום עולם",
        "שָׁלוֹם",
        "\u202bعربي\u202c",
        "\u200fabc\u200e",
        "abc אבג def",
        "فارسی\u200cها",
    ),
    *(
        "你好世界",
        "東京都に住んでいます",
        "日本語テキスト",
        "ガ \u30ab\u3099",
        "한국어 문장",
        "\u1112\u1161\u11ab",
        "繁體中文",
        "𠀀𠮷野家",
        "中文English混合",
    ),
    *(
        "ภาษาไทยไม่มีช่องว่าง",
        "မြန်မာဘာသာ",
        "हिन्दी में",
        "தமிழ்",
        "ქართული",
        "ՀԱՅԵՐԵՆ",
        "Привет МИР",
        "ё е\u0308",
        "Ελληνικά",
        "አማርኛ",
    ),
)
_EMOJI = (
    *(
        "😀",
        "👍🏽",
        "👨\u200d👩\u200d👧\u200d👦",
        "🏳\ufe0f\u200d🌈",
        "🇫🇷🇩🇪",
        "1\ufe0f\u20e3",
        "❤\ufe0f",
        "❤",
        "☺\ufe0e",
        "a😀b",
    ),
    *("😀😀😀", "👩🏿\u200d🚀", "\u200d", "\ufe0f", "🧑\u200d", "🇫", "🫠", "𝄞", "\U0001f9ff", "\U0010fffd"),
)
_DIGITS = (
    *(
        "0",
        "7",
        "42",
        "1234567890",
        "3.14159",
        "1,000,000",
        "1 000 000",
        "-5",
        "+49 30 123456",
        "2026-11-27",
        "12:34:56",
    ),
    *(
        "٣٤٥",
        "१२३",
        "①②③",
        "１２３",
        "0x1F",
        "1e-10",
        "$9.99",
        "50%",
        "v2.0.1",
        "H2O2",
        "7th",
        "007",
        "10\u207b\u00b9\u2070",
    ),
)
_MARKS = (
    *(
        ".",
        "...",
        "…",
        "!?",
        "?!?!",
        "''",
        "``",
        "``quoted''",
        '"quoted"',
        "“quoted”",
        "«oui»",
        "can't",
        "can’t",
        "we're they've I'd",
    ),
    *(
        "--",
        "—",
        "–",
        "a-b",
        "snake_case",
        "CamelCase",
        "a/b\\c",
        "<b>bold</b>",
        "&amp;",
        "%20",
        "#tag @user",
        "{}[]()",
        "[[x]]",
    ),
    *(
        "https://example.org/a?b=c&d=e#f",
        "me@example.org",
        "~`^|",
        "¿Qué?",
        "。、！",
        "·•‣",
        "¶§©®",
        "€£¥₹",
        "×÷±≠≤",
        "→⇒",
        "a.b.c",
        "e.g. i.e.",
    ),
    *("\\ud83d", "\\ud83d\\ude00", "\\u0041", "\\n", "\\x00", "&#233;", "\\", '\\"', "&lt;mask&gt;", "‘ ’ ‚ ‛"),
)
_ATOMS = {
    "blanks": _BLANKS,
    "letters": _LETTERS,
    "scripts": _SCRIPTS,
    "emoji": _EMOJI,
    "digits": _DIGITS,
    "punctuation": _MARKS,
}
_PROSE = (
    "the a of to and in is on with river city house Paris capital France long old red bird mountain water people "
    "model language train word never always between under through where when Because However München Größe élève"
)
_WORDS = tuple(_PROSE.split())
_ENDS = (".", "!", "?", "", " .", "...", ";", ":")
# No Unicode: halves of pairs that stand alone or in the wrong order, beside two texts that are fine.
NO_UNICODE = ("\ud83d", "a \udc00 b", "\ude00\ud83d", "fine", "\ud83d\ude00"[:1] + "x", "😀")


def groups() -> dict[str, tuple[str, ...]]:
    """The texts that every folder is given, by group; what depends on the tokenizer is in `parity.text.built`."""
    found = {name: tuple(_placed(atoms)) for name, atoms in _ATOMS.items()}
    return found | {"words": tuple(_long_words()), "sentences": tuple(sentences(60))}


def _placed(atoms: Sequence[str]) -> list[str]:
    """Each alone and within words: what stands at a text's edge, or without a space, is often read otherwise."""
    around = ("The {} of Paris", "{}and", " {} ", "x{}Y")
    found = list(atoms)
    for index, atom in enumerate(atoms):
        found.append(around[index % len(around)].format(atom))
    return found


def _long_words() -> list[str]:
    """Words around the lengths at which tokenizers give up, and runs of one character."""
    found = [letter * length for length in (50, 99, 100, 101, 128, 200, 201, 1000) for letter in ("a", "Z", "é")]
    found += ["." * 120, "-" * 300, "1" * 150, "中" * 70, "😀" * 40, "[" * 64, " " * 300 + "a", "a" + "\n" * 200 + "b"]
    found += [
        "antidisestablishmentarianism " * 3,
        "Donaudampfschifffahrtsgesellschaftskapitän",
        "a" * 99 + " " + "b" * 101,
    ]
    return [*found, "x" * 60 + "É" * 60, "no" * 80 + "-" + "yes" * 40]


def sentences(count: int) -> list[str]:
    """Plain prose of growing length, in mixed case and with accents; no two alike."""
    found = []
    for index in range(count):
        length = 2 + index % 17
        words = [_WORDS[(index * 7 + step * (1 + index % 5)) % len(_WORDS)] for step in range(length)]
        text = " ".join(words)
        found.append((text[:1].upper() + text[1:] if index % 3 else text.upper()) + _ENDS[index % len(_ENDS)])
    return found


def pairs() -> tuple[Text, ...]:
    """Two texts that are read together: short, long, empty on one side or the other, and hard ones."""
    prose, hard = sentences(60), [*_BLANKS[:4], *_LETTERS[:8], *_SCRIPTS[:4], *_EMOJI[:3]]
    found: list[Text] = [("", ""), ("a", ""), ("", "b"), (" ", "\n"), ("a", "a")]
    found += list(itertools.pairwise(prose[:16]))
    found += [(one, prose[index]) for index, one in enumerate(hard)]
    return (*found, *((prose[index], one) for index, one in enumerate(hard[::2])))
