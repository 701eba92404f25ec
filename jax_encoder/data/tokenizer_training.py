"""Vocabularies learned from text: WordPiece, byte pairs, Unigram.

References: Wu et al. (2016), section 4.1, https://arxiv.org/abs/1609.08144 (WordPiece); Sennrich et al. (2016),
https://arxiv.org/abs/1508.07909 (pairs); Kudo (2018), section 3.2, https://arxiv.org/abs/1804.10959 (Unigram)
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from jax_encoder.data.tokenizer import SPECIAL
from jax_encoder.data.tokenizer_form import TokenizerForm, Whitespace
from jax_encoder.errors import InputError

_CONTINUES = "##"
_MIN_COUNT = 2  # a piece seen once would stand in for one word of the training text, and be learned from nothing
_LONGEST_WORD = 100  # characters; WordPiece gives up on longer ones, so that they are cut
_BYTES = [f"<0x{value:02X}>" for value in range(256)]
_SPACE = "▁"
# Threads share out Unigram's sums, and so decide how they round.
_UNIGRAM_THREADS = 4


def train_tokenizer(documents: Sequence[str], form: TokenizerForm, *, vocab_size: int) -> Tokenizer:
    """Learns a vocabulary from text, the same one every time.

    All characters of the text become tokens as long as `vocab_size` has room, the most frequent first; pieces of words
    share what is left.

    Args:
        documents: training text.
        form: what to learn.
        vocab_size: at most so many tokens; a small corpus gives fewer.

    Raises:
        InputError: the form cannot be, `vocab_size` does not even hold the special tokens and bytes, or sentencepiece,
            which learns Unigram, is not installed.
    """
    form.check()
    least = len(SPECIAL) + _bytes_of(form) + 1
    if vocab_size < least:
        raise InputError(
            f"a vocabulary of {vocab_size} is too small: special tokens{' and bytes' if _bytes_of(form) else ''} "
            f"alone take {least - 1}"
        )
    tokenizer = _TRAIN[form.kind](documents, form, vocab_size)
    # Where spaces belong to the word behind them, the hidden word took its own along.
    takes_space = form.kind != "wordpiece"
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True, normalized=False, lstrip=takes_space and name == "[MASK]") for name in SPECIAL]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return tokenizer


def _bytes_of(form: TokenizerForm) -> int:
    """How many tokens the bytes take."""
    ways = 2 if form.kind == "wordpiece" else 1  # at the start of a word and within
    return ways * len(_BYTES) if form.spells_bytes else 0


def _train_wordpiece(documents: Sequence[str], form: TokenizerForm, vocab_size: int) -> Tokenizer:
    """Trains twice: first for the characters, then, with their ids fixed, for the whole.

    The library numbers characters that continue a word in the order of a hash map and breaks ties between merges by
    number, so that one pass gives another vocabulary in every process
    (github.com/huggingface/tokenizers/issues/1794).
    """
    if form.spells_bytes:
        characters = set(pre_tokenizers.ByteLevel.alphabet())
        continuing = sorted(_CONTINUES + character for character in characters)
    else:
        found = _wordpiece({"[UNK]": 0}, form)
        found.train_from_iterator(documents, _wordpiece_trainer(0, [*SPECIAL], None))
        costs = {piece: 1 for piece in found.get_vocab() if len(piece) == 1}
        costs |= {c: 2 for c in costs if found.token_to_id(_CONTINUES + c) is not None}
        characters = _fitting(costs, vocab_size - len(SPECIAL), lambda: _counts(documents, found.normalizer))
        continuing = sorted(_CONTINUES + character for character in characters if costs[character] == 2)
    tokenizer = _wordpiece({"[UNK]": 0}, form)
    tokenizer.train_from_iterator(
        documents, _wordpiece_trainer(vocab_size, [*SPECIAL, *continuing], sorted(characters))
    )
    # Made anew, because to the trained one those characters are special tokens.
    return _wordpiece(tokenizer.get_vocab(), form)


def _wordpiece_trainer(vocab_size: int, special: list[str], alphabet: list[str] | None) -> trainers.WordPieceTrainer:
    """Learns from just the characters of an alphabet; None: from all."""
    limits: dict[str, Any] = {} if alphabet is None else {"initial_alphabet": alphabet, "limit_alphabet": len(alphabet)}
    return trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=_MIN_COUNT,
        special_tokens=special,
        continuing_subword_prefix=_CONTINUES,
        show_progress=False,
        **limits,
    )


def _wordpiece(vocab: dict[str, int], form: TokenizerForm) -> Tokenizer:
    """BERT's pipeline around a vocabulary; words that are too long for it are cut."""
    spelled = form.spells_bytes
    tokenizer = Tokenizer(
        models.WordPiece(
            vocab=vocab,
            unk_token="[UNK]",
            max_input_chars_per_word=_LONGEST_WORD * (4 if spelled else 1),
            continuing_subword_prefix=_CONTINUES,
        )
    )
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=True, lowercase=True
    )
    steps: list[Any] = [pre_tokenizers.BertPreTokenizer()]
    if form.digits == "single":
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    steps.append(pre_tokenizers.Split(Regex(rf"[\s\S]{{{_LONGEST_WORD}}}"), "isolated"))
    decoding: list[Any] = [decoders.WordPiece(prefix=_CONTINUES, cleanup=True)]
    if spelled:
        space = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(" ")[0][0]
        steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
        decoding += [decoders.Replace(" ", space), decoders.Fuse(), decoders.ByteLevel()]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(decoding) if spelled else decoding[0]
    return tokenizer


def _train_bpe(documents: Sequence[str], form: TokenizerForm, vocab_size: int) -> Tokenizer:
    """GPT-2's byte-level pairs, with BERT's special tokens."""
    tokenizer = Tokenizer(models.BPE(dropout=None, unk_token=None, fuse_unk=False, byte_fallback=False))
    tokenizer.normalizer = _spaced([normalizers.NFC()], form.whitespace or "keep")
    steps: list[Any] = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    if form.digits == "single":
        steps.insert(0, pre_tokenizers.Split(Regex(r" ?\p{Nd}"), "isolated"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=_MIN_COUNT,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents, trainer)
    return tokenizer


def _train_unigram(documents: Sequence[str], form: TokenizerForm, vocab_size: int) -> Tokenizer:
    """SentencePiece's Unigram, learned by its own library: the one in tokenizers gives another one in every process."""
    normalizer = _spaced([normalizers.NFKC()], form.whitespace or "collapse")
    spelled = _BYTES if form.spells_bytes else []
    room = vocab_size - len(SPECIAL) - len(spelled)
    named = set("".join(SPECIAL))
    counts = _counts(documents, normalizer)
    # The space has a token in any case.
    characters = _fitting(dict.fromkeys((counts.keys() | named) - {" ", _SPACE}, 1), room - 1, lambda: counts)
    strange = dict.fromkeys(map(ord, counts.keys() - characters - {" ", _SPACE}))

    def sentences() -> Iterator[str]:
        for document in documents:
            yield from filter(None, normalizer.normalize_str(document).translate(strange).split("\n"))

    pieces = _learn_unigram(sentences(), form, room, "".join(sorted(named & characters)))
    # So unlikely that other pieces spell these names where a text has them.
    never = min((score for _, score in pieces), default=0.0) - 1000.0
    outside = [(name, never) for name in (*SPECIAL, *spelled)]
    tokenizer = Tokenizer(
        models.Unigram([*outside, *pieces], unk_id=SPECIAL.index("[UNK]"), byte_fallback=bool(spelled))
    )
    tokenizer.normalizer = normalizer
    metaspace = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="first")
    steps = [pre_tokenizers.Digits(individual_digits=True), metaspace] if form.digits == "single" else [metaspace]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else metaspace
    joined = decoders.Metaspace(replacement=_SPACE, prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), joined]) if spelled else joined
    return tokenizer


def _learn_unigram(sentences: Iterator[str], form: TokenizerForm, count: int, required: str) -> list[tuple[str, float]]:
    """At most `count` pieces with the logarithms of their probabilities, all characters among them."""
    try:
        import sentencepiece
    except ImportError:
        raise InputError(
            "--tokenizer-kind unigram is learned by sentencepiece: pip install 'jax-encoder[unigram]'"
        ) from None
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sentences,
        model_writer=model,
        model_type="unigram",
        vocab_size=count + 1,  # with an unknown token of its own
        hard_vocab_limit=False,
        character_coverage=1.0,
        required_chars=required,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=form.digits == "single",
        max_sentence_length=2**30,
        num_threads=_UNIGRAM_THREADS,
        unk_id=0,
        pad_id=-1,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    learned = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [(learned.id_to_piece(id_), learned.get_score(id_)) for id_ in range(1, learned.vocab_size())]


def _spaced(steps: list[Any], whitespace: Whitespace) -> Any:
    """Normalisation, and then whatever stands between words as one space.

    Not stripped: what stands before a special token is normalised by itself.
    """
    if whitespace == "collapse":
        steps = [*steps, normalizers.Replace(Regex(r"\s+"), " ")]
    return normalizers.Sequence(steps)


def _counts(documents: Sequence[str], normalizer: Any) -> Counter[str]:
    """How often each character is in the text."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(normalizer.normalize_str(document))
    return counts


def _fitting(costs: dict[str, int], room: int, counts: Any) -> set[str]:
    """All characters, or the most frequent ones that there is room for.

    Args:
        costs: tokens that each takes.
        room: tokens in all.
        counts: called if not all fit; how often each is in the text.
    """
    if sum(costs.values()) <= room:
        return set(costs)
    frequent, chosen = counts(), set()
    for character in sorted(costs, key=lambda c: (-frequent[c], c)):
        if costs[character] <= room:
            chosen.add(character)
            room -= costs[character]
    return chosen


_TRAIN = {"wordpiece": _train_wordpiece, "bpe": _train_bpe, "unigram": _train_unigram}
