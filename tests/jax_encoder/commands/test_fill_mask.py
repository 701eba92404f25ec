"""`fill-mask`: the likeliest words for every mask, or why there are none."""

import re

import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

from jax_encoder import cli, huggingface
from tests.jax_encoder.commands.helpers import refused
from tests.jax_encoder.helpers import checkpoint, write_checkpoint, write_json


def rows(out: str) -> list[tuple[float, str]]:
    """Probabilities and tokens of all tables, in their order."""
    return [(float(p), token) for p, token in re.findall(r"│ (\d\.\d{4}) +│ (\S+) +│", out)]


def test_masks_are_filled_with_the_likeliest_words(capsys, headed):
    assert cli.main(["fill-mask", "--model", headed, "the cat [MASK] on the mat", "--top", "3"]) == 0
    found = rows(capsys.readouterr().out)
    made = checkpoint(head=True)
    made.tokenizer.no_padding()
    made.tokenizer.no_truncation()
    read = made.tokenizer.encode("the cat [MASK] on the mat")
    ids_BT, mask_BTS = jnp.asarray([read.ids], jnp.int32), jnp.ones((1, len(read), len(read)), bool)
    logits_BTV = made.model()(ids_BT, mask_BTS)[0].logits
    logits_V = np.asarray(logits_BTV)[0, read.tokens.index("[MASK]")]
    probabilities_V = np.exp(logits_V) / np.exp(logits_V).sum()
    best = np.argsort(-probabilities_V)[:3]
    assert [token for _, token in found] == [made.tokenizer.decode([int(id_)], False) for id_ in best]
    np.testing.assert_allclose([p for p, _ in found], probabilities_V[best], atol=6e-5)


def test_each_mask_has_a_table(capsys, headed):
    assert cli.main(["fill-mask", "--model", headed, "the [MASK] [MASK] on the mat", "--top", "1000"]) == 0
    out = capsys.readouterr().out
    assert out.index("mask 1 of 2") < out.index("mask 2 of 2")
    size = checkpoint().tokenizer.get_vocab_size()
    assert len(rows(out)) == 2 * size
    np.testing.assert_allclose(sum(p for p, _ in rows(out)), 2, atol=1e-4 * size)


def test_what_cannot_be_filled_is_refused(capsys, tmp_path, bare, headed):
    message = refused(capsys, ["fill-mask", "--model", bare, "the [MASK]"])
    assert message == (
        f"{bare} is of class BertModel, which has no masked-language-model head: name a checkpoint of a class that "
        "ends with ForMaskedLM"
    )
    message = refused(capsys, ["fill-mask", "--model", headed, "the <mask>"])
    assert message == "the text has no mask token: write [MASK] where a word is to be filled in"
    message = refused(capsys, ["fill-mask", "--model", headed, "[MASK]" + " dog" * 200])
    assert re.fullmatch("the text has [0-9]+ tokens, more than this encoder's 150", message)
    assert refused(capsys, ["fill-mask", "--model", headed, "[MASK]", "--top=0"]) == "--top must be at least 1, got 0"
    folder = write_checkpoint(tmp_path, head=True)
    write_json(folder / "tokenizer_config.json", {"mask_token": {"content": "<fill>"}})
    message = refused(capsys, ["fill-mask", "--model", str(folder), "[MASK]"])
    assert message == "the text has no mask token: write <fill> where a word is to be filled in"
    (folder / "tokenizer.json").unlink()
    message = refused(capsys, ["fill-mask", "--model", str(folder), "[MASK]"])
    assert message.startswith(
        f"{folder} has no tokenizer.json, without which texts cannot be read: fetch it, or write "
    )


def test_a_tokenizer_of_another_checkpoint_is_refused(capsys, tmp_path):
    folder = write_checkpoint(tmp_path, head=True)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_tokens([f"new{number}" for number in range(1000)])
    tokenizer.save(str(folder / "tokenizer.json"))
    message = refused(capsys, ["fill-mask", "--model", str(folder), "[MASK] new999"])
    known = huggingface.load(folder).config.vocab_size
    assert message == (
        f"the tokenizer gives the text the token id {tokenizer.token_to_id('new999')}, and the encoder knows {known}: "
        "they are not of one checkpoint"
    )


def test_the_checkpoint_spells_its_mask(capsys, tmp_path):
    folder = write_checkpoint(tmp_path, head=True)
    write_json(folder / "tokenizer_config.json", {"mask_token": "[SEP]"})
    assert refused(capsys, ["fill-mask", "--model", str(folder), "the", "--top=-1"])
    assert cli.main(["fill-mask", "--model", str(folder), "the", "--top=2"]) == 0
    assert len(rows(capsys.readouterr().out)) == 2
