"""The demo: the whole way on simulated cohorts, through the same commands that a user would type."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from aio_tune.cli.console import command_line, say
from aio_tune.errors import CohortError

MARKER = "made-by-aio-tune-demo"
UNSEEN = ("GSE81538", "GSE163882")


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for everything the demo makes; an earlier demo is replaced.")
    ] = Path("demo"),
) -> None:
    """The whole way on simulated cohorts: simulate, prepare, search, promote, evaluate.

    Example: aio-tune demo --out demo
    """
    from aio_tune.cli import data, models, searching

    _clear(out)
    files, dataset, home = out / "geo", out / "dataset", out / "aio_home"
    model = "aio-nhg-ensemble"

    _step(1, "three simulated cohorts, in GEO's own formats", "simulate", files)
    data.simulate(files, samples=300, genes=1024, seed=0)
    _step(2, "common genes and scale, one dataset", "prepare", files, "--out", dataset)
    data.prepare([files], dataset, genes=16_384, annotation=None, overwrite=False)
    _step(3, "what is in it", "describe", dataset)
    data.describe(dataset, images=out / "pictures", verify=False, as_json=False)
    space = demo_space(out)
    _step(4, "Optuna decides, Ray executes, MLflow remembers", "search", space, "--data", dataset, "--home", home)
    searching.search(
        space, data=dataset, name="demo", trials=None, overrides=None, address="local", tracking_uri="",
        resume=False, home=home, as_json=False,
    )  # fmt: skip
    _step(5, "the winner passes a gate", "promote", model, "--to", "evaluation", "--gate", "auc>=0.60", "--home", home)
    models.promote(model, version=None, to="evaluation", gate=["auc>=0.60"], tracking_uri="", home=home, as_json=False)
    for cohort in UNSEEN:
        _step(6, "a cohort that the search never saw", "evaluate", f"{model}@evaluation", "--data", dataset,
              "--cohort", cohort, "--home", home)  # fmt: skip
        models.evaluate(f"{model}@evaluation", data=dataset, cohort=cohort, tracking_uri="", home=home, as_json=False)
    say()
    say("The cohorts were simulated: the numbers show that the chain works, not that the method does.")
    say(f"Compare the trials in the MLflow UI: {command_line('aio-tune', 'ui', '--home', home)}")
    say(f"The AIO pictures are in {out / 'pictures'}, the search's folder is {home / 'runs' / 'demo'}.")


def demo_space(out: Path) -> Path:
    """The demo's search space, as a file the user can look at and change.

    It is that of ``search_spaces/``, which an installed package does not have.
    """
    from importlib.resources import files

    path = out / "demo.yaml"
    path.write_text((files("aio_tune.cli") / "demo.yaml").read_text())
    return path


def _clear(out: Path) -> None:
    if out.exists():
        if not (out / MARKER).exists():
            raise CohortError(
                f"Expected a new folder, or one of an earlier demo. Received {out}, which holds other things.",
                "Name another with --out.",
            )
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARKER).touch()


def _step(number: int, what: str, *command: object) -> None:
    say()
    say(f"[{number}/6] {what}")
    say(f"$ {command_line('aio-tune', *command)}")
