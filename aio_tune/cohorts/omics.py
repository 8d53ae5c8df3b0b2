"""Further kinds of omics of a cohort's patients, beside their expression: DNA methylation, copy number.

A kind is one more matrix over the cohort's own samples and genes. What was not measured is NaN: the whole row of a
patient without the kind, the whole column of a gene that the kind's file lacks, and nothing else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aio_tune.errors import CohortError
from aio_tune.kinds import EXPRESSION

KIND_PATTERN: Final = r"^[a-z][a-z0-9_]{0,39}$"
"""What a kind may be called. It becomes part of column names, so no sign in it has a meaning elsewhere."""

_LOG_RATIO_LIMIT = 30.0  # a billion copies for one, or the reverse: nothing that is a log2 ratio is beyond


class OmicsUnit(StrEnum):
    """What one value of a further kind means."""

    BETA = "beta"
    """Share of methylated copies, 0 to 1."""
    LOG2_RATIO = "log2 ratio"
    """log2 of tumour over reference, 0 where they are equal; of copy number, for instance."""


@dataclass(frozen=True)
class Omics:
    """One kind of one cohort.

    Attributes:
        values: float32, shape (n_samples, n_genes), rows and columns those of the cohort's expression; NaN in whole
            rows and whole columns that were not measured.
        unit: what one value means.
    """

    values: npt.NDArray[np.float32]
    unit: OmicsUnit

    @property
    def patients(self) -> npt.NDArray[np.bool_]:
        """Which samples have the kind, shape (n_samples,)."""
        return measured_rows(self.values)

    def select_genes(self, columns: npt.NDArray[np.intp]) -> "Omics":
        """The same kind of some of the genes, by their indices."""
        return replace(self, values=np.take(self.values, columns, axis=1))


def check_kind_name(name: str, where: str) -> None:
    """Refuse what a kind must not be called.

    Raises:
        CohortError: it is not of small letters, digits and underscores, or is that of expression itself.
    """
    if not re.match(KIND_PATTERN, name) or name == EXPRESSION:
        raise CohortError(
            f"Expected kinds of omics beside expression in {where}, named in small letters, digits and underscores. "
            f"Received {name!r}."
        )


def check_values(values: npt.NDArray[Any], unit: OmicsUnit, where: str) -> None:
    """Refuse values that contradict their unit.

    Args:
        values: shape (n_samples, n_genes); NaN is not looked at.
        unit: what the values are said to be.
        where: the file's name, for the message.

    Raises:
        CohortError: beta values outside 0..1; log2 ratios that are none.
    """
    low = float(np.nanmin(values, initial=np.inf))
    high = float(np.nanmax(values, initial=-np.inf))

    def refuse(received: str, hint: str) -> CohortError:
        return CohortError(f"Expected {unit.value} values in {where}. Received {received}.", hint)

    if low > high:
        raise refuse("not a single value", "Leave a kind that nobody has out of the description.")
    if unit is OmicsUnit.BETA and (low < 0 or high > 1):
        raise refuse(
            f"values from {low:.4g} to {high:.4g}; beta is within 0 and 1",
            "Divide percentages by 100; turn M values m into 2^m / (1 + 2^m).",
        )
    if unit is OmicsUnit.LOG2_RATIO:
        if max(-low, high) > _LOG_RATIO_LIMIT:
            raise refuse(f"values from {low:.4g} to {high:.4g}: these look linear", "Correct the file or its unit.")
        if low >= 0 and high > 0:
            raise refuse(
                f"values from {low:.4g} to {high:.4g}, none of them below 0: these look like copies",
                "Take log2 of copies over 2.",
            )


def measured_rows(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows have any value, shape (n,); row by row, so that no second matrix is made."""
    return np.fromiter((not np.isnan(row).all() for row in values), np.bool_, len(values))


def first_gap(values: npt.NDArray[Any]) -> tuple[int, int] | None:
    """Row and column of the first NaN that is neither in a row nor in a column of NaN alone; None if there is none."""
    rows = measured_rows(values)
    columns = measured_columns(values)
    for row in np.flatnonzero(rows):
        gaps = np.isnan(values[row]) & columns
        if gaps.any():
            return int(row), int(np.flatnonzero(gaps)[0])
    return None


def measured_columns(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which columns have any value, shape (n_genes,)."""
    columns = np.zeros(values.shape[1], np.bool_)
    for row in values:
        columns |= ~np.isnan(row)
    return columns


def common_units(omics: Iterable[tuple[str, Mapping[str, Omics]]]) -> dict[str, OmicsUnit]:
    """Every kind that any cohort has, in order of first appearance, and its unit.

    Args:
        omics: name and kinds of each cohort.

    Raises:
        CohortError: two cohorts have a kind in different units.
    """
    found: dict[str, tuple[OmicsUnit, str]] = {}
    for cohort, kinds in omics:
        for kind, one in kinds.items():
            unit, first = found.setdefault(kind, (one.unit, cohort))
            if unit is not one.unit:
                raise CohortError(
                    f"Expected {kind} of all cohorts in one unit. "
                    f"Received {unit.value} in {first}, {one.unit.value} in {cohort}.",
                    "Convert one of them.",
                )
    return {kind: unit for kind, (unit, _) in found.items()}
