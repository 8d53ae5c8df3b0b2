"""The command harmonise."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    TrackingOption,
    check_out,
    home_of,
    say,
    say_json,
    say_table,
    store_uri,
)
from aio_tune.cli.prepare_view import PrepareView
from aio_tune.files import written_whole
from aio_tune.numbers import interval, mean_sd, number

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.evaluation.harmonisation import Study


def harmonise(
    model: Annotated[str, typer.Argument(metavar="MODEL@ALIAS", help="E.g. aio-nhg-ensemble@evaluation.")],
    data: Annotated[Path, typer.Option(help="An AIO dataset with the model's training patients and the cohort.")],
    cohort: Annotated[str, typer.Option(help="The cohort of another platform.")],
    folds: Annotated[int, typer.Option(help="Networks for each harmoniser. Default: as many as the model has.")] = 0,
    epochs: Annotated[int, typer.Option(help="Of each network. Default: the model's own.")] = 0,
    seed: Annotated[int, typer.Option(help="Of folds and networks.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="The table as a file, e.g. harmonisers.csv.")] = None,
    tracking_uri: TrackingOption = "",
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Which harmoniser a model should have for a cohort of another platform.

    Trains the model's configuration anew with each, on its own training patients, and chooses one that can be applied
    to single patients without the cohort's labels. These are used afterwards, to show what each has come to.

    Example: aio-tune harmonise aio-nhg-ensemble@evaluation --data dataset --cohort GSE163882
    """
    from dataclasses import asdict

    from aio_tune.dataset import open_dataset
    from aio_tune.evaluation.harmonisation import study
    from aio_tune.models.ensemble import Ensemble
    from aio_tune.tracking import log_harmonisation, resolve
    from aio_tune.training import configure_backend

    if out is not None:
        check_out(out, "harmonisers.csv")
    dataset = open_dataset(data)
    uri = store_uri(tracking_uri, home_of(home))
    resolved = resolve(uri, model)
    configure_backend(threads=os.cpu_count() or 1)
    with PrepareView() as view:
        found = study(
            Ensemble.load(resolved.folder), dataset, cohort, epochs=epochs, folds=folds, seed=seed,
            watch=lambda done, of: view("harmonisers", done, of),
        )  # fmt: skip
    table = _table(found)
    metrics = {"lost": found.lost, "won_back": found.won_back, "trained_on": found.trained_on}
    metrics |= {"tested_on": found.tested_on, "folds": found.folds, "epochs": found.epochs}
    # Told and written before it is kept: a store that refuses does not take hours of training with it.
    if out is not None:
        with written_whole(out) as file:
            table.to_csv(file, index=False, float_format="%.6g", lineterminator="\n")
    if as_json:
        say_json(asdict(found) | {"won_back": found.won_back})
    else:
        _print(found, model)
        if out is not None:
            say(f"written: {out}")
    log_harmonisation(uri, resolved, cohort, metrics, table, found.chosen)


def _table(found: "Study") -> "pd.DataFrame":
    """A row for each harmoniser."""
    import pandas as pd

    rows = [
        {
            "harmoniser": one.harmoniser,
            "kind": _kind(one.transductive),
            "chosen": one.harmoniser == found.chosen,
            **{f"{name}_auc_{part}": value
               for name in ("inside", "rehearsed", "outside")
               for part, value in zip(("mean", "sd"), getattr(one, name), strict=True)},
            **dict(zip(("ensemble_auc", "ensemble_auc_low", "ensemble_auc_high"), one.ensemble, strict=True)),
            "won_back": one.won_back,
        }
        for one in found.outcomes
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _print(found: "Study", model: str) -> None:
    for transductive, title in ((False, "single-sample: one new patient can be called alone"),
                                (True, "transductive: the whole cohort is needed at once")):  # fmt: skip
        rows = [
            [("> " if one.harmoniser == found.chosen else "") + one.harmoniser, mean_sd(one.inside),
             mean_sd(one.rehearsed), mean_sd(one.outside), interval(one.ensemble),
             "" if one.harmoniser == "none" else number(one.won_back)]
            for one in found.outcomes if one.transductive == transductive
        ]  # fmt: skip
        say_table(f"{title}; AUC", ["", "own folds", "rehearsal", found.cohort, "ensemble [95 %]", "won back"], rows)
    say(f"{model}'s configuration, trained anew on {found.trained_on:,} samples, {found.folds} folds x "
        f"{found.epochs} epochs; its own harmoniser is {found.own}.")  # fmt: skip
    if found.missing_genes:
        say(f"{len(found.missing_genes):,} genes of the model are missing in the dataset; these networks did without.")
    say(f"Chosen, without a label of {found.cohort}: {found.chosen}, by the rehearsal (validation patients given the "
        "cohort's noise, and its distribution of each gene): the best single-sample one, or none if it gains no more "
        "than one standard error.")  # fmt: skip
    if found.lost > 0:
        back = "" if found.chosen == "none" else f"; {found.chosen} wins {found.won_back:.0%} of that back"
        say(f"The shift costs {found.lost:.3f} of AUC without a harmoniser{back}, on {found.tested_on:,} samples.")
    else:
        say(f"Without a harmoniser the cohort is read as well as the training patients ({-found.lost:+.3f}): there is "
            "nothing to win back.")  # fmt: skip
    if found.chosen != found.own:
        say(f"Search anew with --set space.harmoniser={found.chosen}, promote, and evaluate that model.")


def _kind(transductive: bool) -> str:
    return "transductive" if transductive else "single-sample"
