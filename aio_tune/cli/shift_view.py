"""How far the cohorts of a dataset lie from one another, before and after a harmoniser: for `describe`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_tune.cli.console import say, say_table

if TYPE_CHECKING:
    from aio_tune.dataset import AioDataset
    from aio_tune.harmonise.shift import Shift


def measure_shifts(dataset: "AioDataset", harmoniser: str, reference: str) -> "dict[str, Shift]":
    """The shift between all cohorts of a dataset as they are, and as a model trained on one of them would see them.

    Args:
        dataset: of two or more cohorts; of their kinds of omics expression is looked at.
        harmoniser: name in ``HARMONISERS``; with ``none`` there is one shift.
        reference: the cohort that the harmoniser is fitted on; empty is the first one.

    Raises:
        EvaluationError: there is one cohort only, harmoniser or cohort are unknown, or a cohort is too small.
    """
    from aio_tune.errors import EvaluationError
    from aio_tune.harmonise import Unchanged
    from aio_tune.harmonise.shift import harmonised, measure_shift
    from aio_tune.kinds import EXPRESSION

    names = dataset.cohort_names
    if len(names) < 2:
        raise EvaluationError(
            f"Expected two or more cohorts to compare. Received {names[0]} alone.", "Prepare them together."
        )
    cohorts = {name: dataset.matrix((name,), kinds=(EXPRESSION,)) for name in names}
    after = harmonised(cohorts, harmoniser, reference or names[0])
    shifts = {Unchanged.name: measure_shift(cohorts)}
    return shifts if harmoniser == Unchanged.name else shifts | {harmoniser: measure_shift(after)}


def shift_facts(shifts: "dict[str, Shift]", dataset: "AioDataset") -> dict[str, Any]:
    """The shifts, and the labels that explain a part of them, in JSON values."""
    shares = {
        task: {name: {label: _or_none(share) for label, share in classes.items()} for name, classes in cohorts.items()}
        for task, cohorts in _prevalences(dataset).items()
    }
    return {"shift": {name: shift.as_dict() for name, shift in shifts.items()}, "prevalence": shares}


def print_shifts(shifts: "dict[str, Shift]", dataset: "AioDataset", reference: str) -> None:
    """Pearson R of gene means and the cohorts' share of variance, before and after; then the labels' prevalence."""
    from aio_tune.harmonise import HARMONISERS

    rows = [
        [f"Pearson R of gene means, {pair}", *[_number(shift.correlation[pair]) for shift in shifts.values()]]
        for pair in next(iter(shifts.values())).correlation
    ]
    rows.append(["share of variance between cohorts", *[_number(shift.cohort_share) for shift in shifts.values()]])
    say_table(f"Shift between cohorts, reference {reference or dataset.cohort_names[0]}", ["", *shifts], rows)
    for name in list(shifts)[1:]:
        kind = (
            "transductive: each cohort is harmonised as a whole, never a single patient"
            if HARMONISERS[name].transductive
            else "single-sample: it can be applied to one new patient"
        )
        say(f"{name} is {kind}.")
    say("Share of variance: on the first two principal components, 0 where the cohorts' centres coincide. Patients who "
        "differ show there as a platform does; compare what they are:")  # fmt: skip
    for task, cohorts in _prevalences(dataset).items():
        shares = [
            f"{name} " + " ".join(f"{label} {share:.0%}" for label, share in classes.items())
            for name, classes in cohorts.items()
            if not any(map(math.isnan, classes.values()))
        ]
        if shares:
            say(f"  {task}: {'; '.join(shares)}")


def draw_shifts(shifts: "dict[str, Shift]", path: Path) -> Path:
    """Samples on two principal components, before and after, coloured by cohort."""
    from aio_tune.figures import save_png, shift_figure

    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(shift_figure({name: (shift.coordinates, shift.cohort_of) for name, shift in shifts.items()}), path)
    return path


def _prevalences(dataset: "AioDataset") -> dict[str, dict[str, dict[str, float]]]:
    """Task -> cohort -> class -> share among the labelled."""
    from aio_tune.harmonise.shift import prevalence

    samples = dataset.samples()
    of_cohort = {name: samples[samples["cohort"] == name] for name in dataset.cohort_names}
    return {
        task.name: prevalence({name: task.encode(rows[task.name]) for name, rows in of_cohort.items()}, task.classes)
        for task in dataset.tasks.values()
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
