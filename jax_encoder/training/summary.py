"""The end of a run: its plot, its verdict, and one screen that says what came out and where it lies."""

import json
from datetime import timedelta

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jax_encoder.training import metrics, plot
from jax_encoder.training.run_folder import RunFolder
from jax_encoder.training.verify import Result, Verdict, verify

_STYLES = {
    Result.NOT_CHECKED: "yellow",
    Result.PASSED: "bold green",
    Result.FAILED: "bold red",
    Result.RAISED: "bold red",
    Result.CRASHED: "bold red",
}


def finish(folder: RunFolder, console: Console, *, check_parity: bool) -> Verdict:
    """Draws loss.png, has the trained parameters checked, and prints the summary of a run that is complete."""
    train, held_out = (metrics.of_split(folder.metrics, split) for split in ("train", "held_out"))
    baselines = json.loads(folder.baselines.read_text(encoding="utf-8"))
    plot.save(plot.loss_plot(train, held_out, baselines), folder.loss_plot)
    verdict = Verdict("parity not checked: --no-verify", Result.NOT_CHECKED)
    if check_parity:
        with console.status("comparing the trained parameters with PyTorch"):
            verdict = verify(folder)
    tokens, seconds = sum(record["tokens"] for record in train), train[-1]["seconds"]
    facts: dict[str, str | Text] = {
        "steps": f"{train[-1]['step']:,}, {tokens:,} tokens in {timedelta(seconds=round(seconds))}",
        "throughput": f"{tokens / seconds:,.0f} real tokens per second",
        "parity": Text(verdict.line, style=_STYLES[verdict.result]),
        **_places(folder),
        **_report(folder, verdict.result),
    }
    body = Group(_losses(held_out[-1], baselines), Text(), _grid(facts))
    console.print(Panel(body, title="training complete", title_align="left", padding=(1, 2)))
    return verdict


def _losses(result: metrics.Record, baselines: dict[str, float]) -> Table:
    """The model beside the baselines, on the same masked positions."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(f"on {result['targets']:,} held-out masked tokens")
    table.add_column("loss (nats)", justify="right")
    table.add_column("accuracy", justify="right")
    for name, loss in baselines.items():
        table.add_row(f"{name} counts of the training text", f"{loss:.3f}", "")
    table.add_row("this encoder", f"{result['loss']:.3f}", f"{result['accuracy']:.1%}", style="bold")
    return table


def _places(folder: RunFolder) -> dict[str, str]:
    path = folder.path
    return {
        "folder": f"{path}",
        "loss curve": f"{folder.loss_plot}",
        "numbers": f"{folder.metrics}",
        "TensorBoard": f"tensorboard --logdir {folder.tensorboard}",
        "checkpoints": f"{folder.checkpoints}",
    }


def _report(folder: RunFolder, result: Result) -> dict[str, str]:
    """What the check has left, and how to have another."""
    command = f"python -m parity trained {folder.path}"
    match result:
        case Result.NOT_CHECKED:
            return {"check": command}
        case Result.CRASHED:
            return {"parity's output": f"{folder.parity_output}", "check again": command}
    return {"parity report": f"{folder.parity_text}", "check again": command}


def _grid(facts: dict[str, str | Text]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        grid.add_row(Text(name, style="dim"), value if isinstance(value, Text) else Text(value))
    return grid
