"""What every cohort must fulfil, whichever file it came from."""

import numpy as np

from aio_tune.cohorts.base import Cohort
from aio_tune.cohorts.clinical import clinical_columns
from aio_tune.cohorts.omics import check_kind_name, check_values, first_gap
from aio_tune.errors import CohortError


def check_cohort(cohort: Cohort) -> None:
    """Checks the promises of ``Cohort``'s docstring.

    Raises:
        CohortError: the first promise that is broken.
    """
    _check_expression(cohort)
    _check_omics(cohort)
    columns = clinical_columns(cohort.tasks)
    for name, table in (("clinical", cohort.clinical), ("subjects", cohort.subjects)):
        _require(cohort, tuple(table.columns) == columns, f"the columns {columns} in {name}", list(table))
        _require(cohort, table.index.is_unique, f"each sample once in {name}", _first_duplicate(table.index))
        patients = table["patient_id"]
        _require(
            cohort, bool((patients.notna() & (patients != "")).all()), f"a patient for every sample of {name}", "none"
        )
        for task in cohort.tasks.values():
            unknown = set(table[task.name].dropna()) - set(task.classes)
            _require(cohort, not unknown, f"{task.title} to be one of {task.classes}", sorted(unknown))
        days, event = table["survival_days"].dropna(), table["survival_event"].dropna()
        _require(cohort, bool((days >= 0).all()), "survival days of 0 or more", days.min())
        _require(cohort, set(event) <= {0.0, 1.0}, "survival events of 0 or 1", sorted(set(event)))
    strangers = cohort.clinical.index.difference(cohort.subjects.index)
    _require(cohort, strangers.empty, "every profiled sample among the subjects", list(strangers[:5]))


def _check_expression(cohort: Cohort) -> None:
    x = cohort.expression
    shape = (len(cohort.clinical), len(cohort.genes))
    _require(cohort, x.shape == shape, f"expression of shape {shape} (samples, genes)", x.shape)
    _require(cohort, min(shape) > 0, "at least one sample and one gene", shape)
    _require(cohort, x.dtype == np.float32, "expression of type float32", x.dtype)
    # Row by row, so that no second matrix is made.
    _require(cohort, all(bool(np.isfinite(row).all()) for row in x), "finite expression values", "NaN or infinity")
    _require(cohort, len(set(cohort.genes)) == len(cohort.genes), "each gene once", "a gene more than once")
    _require(cohort, "" not in cohort.genes, "a symbol for every gene", "an empty one")


def _check_omics(cohort: Cohort) -> None:
    shape = cohort.expression.shape
    for kind, one in cohort.omics.items():
        check_kind_name(kind, f"cohort {cohort.name}")
        x = one.values
        _require(cohort, x.shape == shape, f"{kind} of shape {shape} (samples, genes)", x.shape)
        _require(cohort, x.dtype == np.float32, f"{kind} of type float32", x.dtype)
        check_values(x, one.unit, f"{kind} of cohort {cohort.name}")
        gap = first_gap(x)
        if gap is not None:
            sample, gene = cohort.clinical.index[gap[0]], cohort.genes[gap[1]]
            received = f"NaN for sample {sample!r}, gene {gene!r} alone"
            _require(cohort, False, f"{kind} to be missing for whole samples or whole genes only", received)


def _require(cohort: Cohort, fulfilled: bool, expected: str, received: object) -> None:
    if not fulfilled:
        raise CohortError(f"Expected {expected} in cohort {cohort.name}. Received {received}.")


def _first_duplicate(index: object) -> object:
    import pandas as pd

    values = pd.Index(index)  # type: ignore[call-overload]
    duplicated = values[values.duplicated()]
    return duplicated[0] if len(duplicated) else "none"
