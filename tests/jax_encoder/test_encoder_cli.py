import re
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer

import benchmarks.__main__
from benchmarks.encode import sentences
from jax_encoder import cli, huggingface
from jax_encoder.encode import TextEncoder
from jax_encoder.errors import InputError
from tests.jax_encoder.helpers import checkpoint, write_checkpoint, write_json, write_modules

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("bare")))


@pytest.fixture(scope="module")
def headed(tmp_path_factory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("headed"), head=True))


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xef\xbb\xbfa dog ran\r\n\nwe saw two\x0cbirds\nthe cat")
    return path


def refused(capsys, arguments: list[str]) -> str:
    """The message of a command that ends with status 2 and says nothing else."""
    assert cli.main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("python -m jax_encoder: ")
    return err.removeprefix("python -m jax_encoder: ").removesuffix("\n")


def test_every_line_becomes_a_row(capsys, bare, texts):
    assert cli.main(["encode", "--model", bare, str(texts), "--batch-size", "2"]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"{re.escape(str(texts))}\.npy: 4 texts, 24 numbers each, [\d,]+ texts/s\n", out)
    assert err == ""
    vectors = np.load(f"{texts}.npy", allow_pickle=False)
    assert vectors.dtype == np.float32
    lines = ["a dog ran", "", "we saw two\x0cbirds", "the cat"]
    np.testing.assert_allclose(vectors, TextEncoder.from_pretrained(bare).encode(lines), atol=1e-6)


def test_what_exists_is_replaced_only_by_force(capsys, tmp_path, bare, texts):
    out = tmp_path / "vectors"
    out.write_text("the only copy")
    arguments = ["encode", "--model", bare, str(texts), "--out", str(out)]
    message = refused(capsys, arguments)
    assert message == f"{out} exists already: name another file with --out, or replace it with --force"
    assert out.read_text() == "the only copy"
    texts.write_text("\n")
    assert cli.main([*arguments, "--force"]) == 0
    assert np.load(out).shape == (1, 24)
    texts.write_text("")
    assert cli.main([*arguments, "--force"]) == 0
    assert np.load(out).shape == (0, 24)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["texts.txt", "vectors"]


def test_files_that_cannot_be_read_or_written_are_refused(capsys, tmp_path, bare, texts):
    message = refused(capsys, ["encode", "--model", bare, str(tmp_path / "none.txt")])
    assert message == f"{tmp_path}/none.txt: cannot be read: No such file or directory"
    message = refused(capsys, ["encode", "--model", bare, str(texts), "--out", str(tmp_path / "no" / "x.npy")])
    assert message == f"--out {tmp_path}/no/x.npy: must name a file in a folder that exists"
    assert refused(capsys, ["encode", "--model", bare, str(texts), "--batch-size=0"]).startswith("--batch-size must be")
    texts.write_bytes(b"a dog\na c\xe4t\n")
    message = refused(capsys, ["encode", "--model", bare, str(texts)])
    assert message == f"{texts}, line 2: not UTF-8: byte 0xe4; convert the file to UTF-8"
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]


def test_checkpoints_that_cannot_be_used_are_refused(capsys, tmp_path, texts):
    message = refused(capsys, ["encode", "--model", str(tmp_path / "none"), str(texts)])
    assert message.startswith(f"{tmp_path}/none is not a folder")
    folder = write_checkpoint(tmp_path / "dense")
    write_modules(folder, "Transformer", "Pooling", "Dense")
    assert "the module Dense (2_Dense) is not computed here" in refused(
        capsys, ["encode", "--model", str(folder), str(texts)]
    )


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
    assert message == f"{folder} has no mask token: expected <fill> in its vocabulary"
    (folder / "tokenizer.json").unlink()
    message = refused(capsys, ["fill-mask", "--model", str(folder), "[MASK]"])
    assert message == f"{folder} has no tokenizer.json, without which a text cannot be read"


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Expected one of {train, resume, export, encode, fill-mask}"),
        (["encode", "x.txt"], "--model"),
        (["encode", "--model", "x"], "FILE"),
        (["encode", "--model", "x", "x.txt", "--dtype", "float16"], "float16"),
    ],
)
def test_what_cannot_be_parsed_ends_with_status_2(capsys, arguments, message):
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    assert raised.value.code == 2
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_help_names_every_option_and_needs_no_jax():
    code = "import sys\nfrom jax_encoder import cli\ntry: cli.main(['encode', '--help'])\n"
    code += "finally: assert not {'jax', 'numpy'} & set(sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for option in ("FILE", "--model DIR", "--out FILE.npy", "--batch-size", "--force", "--allow-pickle", "--dtype"):
        assert option in shown


def test_the_package_runs():
    command = [sys.executable, "-m", "jax_encoder", "encode", "--model", "x", "/no/such.txt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "python -m jax_encoder: /no/such.txt: cannot be read: No such file or directory\n"


def test_the_benchmarks_sentences_are_real_and_always_the_same():
    few = sentences(50)
    assert few == sentences(50)
    assert len(set(few)) > 45
    assert np.median([len(text.split()) for text in few]) > 15
    with pytest.raises(InputError, match=r"^--texts 1000000000: there are only \d+ sentences$"):
        sentences(10**9)


def test_a_benchmark_of_nothing_is_refused(capsys):
    assert benchmarks.__main__.main(["encode", "--texts=0"]) == 2
    assert capsys.readouterr().err == (
        "python -m benchmarks: --texts, --repetitions and --batch-size must be at least 1\n"
    )


@pytest.mark.slow
def test_the_benchmark_names_both_sides_and_their_ratio(capsys):
    assert benchmarks.__main__.main(["encode", "--texts=6", "--repetitions=1"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^jax-encoder \(jax .*\): first run .* s, not counted$", out, re.MULTILINE)
    assert re.search(r"^sentence-transformers .*: median [\d,]+ sentences/s \(.*, n = 1\)$", out, re.MULTILINE)
    assert re.search(r"^ratio of the medians \d+\.\d\d, of the fastest runs \d+\.\d\d$", out, re.MULTILINE)
    assert float(re.search(r"1 - cosine between the two: (.*)", out)[1]) <= 1e-6
