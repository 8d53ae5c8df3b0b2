"""The command line: one function per command, and the only room that prints or exits.

Exit status: 0 done, 1 the work failed (one line says what and what to do next), 2 bad usage.
"""

import gc
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from aio_tune.cli import (
    confirming,
    data,
    demo,
    doctoring,
    explaining,
    exporting,
    fetching,
    harmonising,
    launching,
    models,
    reporting,
    reproducing,
    searching,
    surviving,
)
from aio_tune.errors import AioTuneError


class _InterruptionError(Exception):
    """A command was interrupted."""


class _Commands(TyperGroup):
    """Tells ``main`` of an interruption, which Typer would make a silent exit of."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise _InterruptionError from error


app = typer.Typer(
    cls=_Commands,
    name="aio-tune",
    help="Hyperparameter search for networks that read clinical labels from RNA-seq profiles drawn as pictures.",
    epilog="--debug, anywhere on the line, shows the traceback of a failure.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("demo")(demo.demo)
app.command("simulate")(data.simulate)
app.command("fetch")(fetching.fetch)
app.command("prepare")(data.prepare)
app.command("describe")(data.describe)
app.command("export")(exporting.export)
app.command("search")(searching.search)
app.command("leaderboard")(searching.leaderboard)
app.command("confirm")(confirming.confirm)
app.command("models")(models.models)
app.command("promote")(models.promote)
app.command("evaluate")(models.evaluate)
app.command("predict")(models.predict)
app.command("report")(reporting.report)
app.command("explain")(explaining.explain)
app.command("harmonise")(harmonising.harmonise)
app.command("reproduce")(reproducing.reproduce)
app.command("survival")(surviving.survival)
app.command("ui")(models.ui)
app.command("doctor")(doctoring.doctor)
app.add_typer(launching.launch)


def main() -> None:
    """Run one command; the entry point of ``aio-tune``."""
    # Libraries make hundreds of thousands of objects that stay: looking through them for garbage after every 700 new
    # ones took a tenth of the seconds in which those of a search are imported.
    gc.set_threshold(50_000, 10, 10)
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    try:
        app(args=arguments)
    except (AioTuneError, OSError) as error:
        if debug:
            raise
        print(f"aio-tune: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, _InterruptionError):
        if debug:
            raise
        print("aio-tune: interrupted.", file=sys.stderr)
        sys.exit(1)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
