"""Units of expression values, the checks that values agree with their unit, and the way to the common scale.

The common scale is ``log2(TPM+1)``. From the units that the known cohorts are published in:

    log2(FPKM+0.1)  ->  FPKM = 2^x - 0.1 (not below 0)  ->  TPM = FPKM / sum(FPKM) * 1e6  ->  log2(TPM+1)

The sum runs over the genes at hand, so convert with all the genes of a file and select genes afterwards.
Source of the FPKM to TPM step: Li and Dewey, BMC Bioinformatics 12:323 (2011).
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from aio_tune.errors import CohortError

FPKM_OFFSET = 0.1
"""What GSE96058 and GSE81538 add to FPKM before the logarithm; its log2, -3.3219, is the floor of their values."""

_LOG2_FPKM_FLOOR = -3.4  # -3.3219, with room for files rounded to one decimal
_LOG2_FPKM_MAX = 25.0  # FPKM = 1e9 / length at most: a transcript of 50 bases that takes every read gives 2^24.3
_LOG2_TPM_MAX = 20.0  # log2(1e6 + 1) = 19.93
_TPM_TOTAL_MAX = 1.05e6  # the TPM of a sample sum to 1e6 at most; 5 % for rounding
_LINEAR_MAX_MIN = 25.0  # a linear profile of many genes has at least one value over this; a log2 profile has none
_MANY_GENES = 200  # fewer genes say too little about their unit
_LOG2_FPKM_NOTHING = -3.27  # the floor, with room for files rounded to one decimal
_CHUNK = 256  # samples converted at once, so that float64 intermediates stay small


class Unit(StrEnum):
    """What one expression value means."""

    LOG2_FPKM_01 = "log2(FPKM+0.1)"
    LOG2_TPM_1 = "log2(TPM+1)"
    FPKM = "FPKM"
    TPM = "TPM"

    @property
    def is_log(self) -> bool:
        return self in (Unit.LOG2_FPKM_01, Unit.LOG2_TPM_1)

    @property
    def is_fpkm(self) -> bool:
        return self in (Unit.FPKM, Unit.LOG2_FPKM_01)


def to_linear(values: npt.NDArray[Any], unit: Unit) -> npt.NDArray[np.float64]:
    """FPKM or TPM, whichever ``unit`` is the logarithm of; same shape, not below 0."""
    x = np.asarray(values, dtype=np.float64)
    if unit is Unit.LOG2_FPKM_01:
        x = np.exp2(x) - FPKM_OFFSET
    elif unit is Unit.LOG2_TPM_1:
        x = np.exp2(x) - 1.0
    return np.maximum(x, 0.0)  # rounding of the logarithm gives values just below 0


def from_linear(values: npt.NDArray[np.float64], unit: Unit) -> npt.NDArray[np.float32]:
    """The inverse of `to_linear`, as float32."""
    if unit is Unit.LOG2_FPKM_01:
        values = np.log2(values + FPKM_OFFSET)
    elif unit is Unit.LOG2_TPM_1:
        values = np.log2(values + 1.0)
    return values.astype(np.float32)


def without_expression(values: npt.NDArray[Any], unit: Unit) -> npt.NDArray[np.intp]:
    """Which samples have no expression at all: rows of ``values``, shape (n_samples, n_genes), in ``unit``."""
    floor = _LOG2_FPKM_NOTHING if unit is Unit.LOG2_FPKM_01 else 0.0
    return np.flatnonzero(np.asarray(values).max(axis=1) <= floor)


def to_common(values: npt.NDArray[Any], unit: Unit, *, selected: bool = False) -> npt.NDArray[np.float32]:
    """Expression on the common scale.

    Args:
        values: shape (n_samples, n_genes), in ``unit``.
        unit: what ``values`` are. FPKM become TPM over the genes given; TPM are taken as they are.
        selected: whether genes were left out, so that a sample may have nothing of those that are left. Not of FPKM,
            which need them all.

    Returns:
        log2(TPM+1), float32, same shape, not below 0.

    Raises:
        CohortError: a sample has no expression at all: it was not measured, and cannot be scaled to a million.
    """
    x = np.asarray(values)
    nothing = without_expression(x, unit)
    if len(nothing) and (unit.is_fpkm or not selected):
        raise CohortError(f"Expected expression in every sample. Received none in sample number {nothing[0] + 1}.")
    if unit is Unit.LOG2_TPM_1:
        return np.maximum(x, 0.0).astype(np.float32)
    out = np.empty(x.shape, dtype=np.float32)
    for start in range(0, len(x), _CHUNK):
        rows = slice(start, start + _CHUNK)
        linear = to_linear(x[rows], unit)
        if unit.is_fpkm:
            linear *= 1e6 / linear.sum(axis=1, keepdims=True)
        out[rows] = np.log2(linear + 1.0)
    return out


def sum_duplicates(
    values: npt.NDArray[np.float32], symbols: Sequence[str], unit: Unit
) -> tuple[npt.NDArray[np.float32], tuple[str, ...], int]:
    """Genes of the same symbol become one, summed in linear space.

    Args:
        values: shape (n_samples, n_genes), in ``unit``; returned as it is when all symbols differ.
        symbols: length n_genes.
        unit: what ``values`` are.

    Returns:
        The values with one column per symbol, the symbols in order of first appearance, and how many columns were
        merged into another.
    """
    first: dict[str, int] = {}
    group = np.fromiter((first.setdefault(s, len(first)) for s in symbols), dtype=np.intp, count=len(symbols))
    merged = len(symbols) - len(first)
    if not merged:
        return values, tuple(symbols), 0
    out = np.empty((len(values), len(first)), dtype=np.float32)
    count = np.bincount(group)
    single = count[group] == 1
    out[:, group[single]] = values[:, single]
    members: dict[int, list[int]] = {}
    for column in np.flatnonzero(~single):
        members.setdefault(int(group[column]), []).append(int(column))
    for target, columns in members.items():
        out[:, target] = from_linear(to_linear(values[:, columns], unit).sum(axis=1), unit)
    return out, tuple(first), merged


def check_unit(values: npt.NDArray[Any], unit: Unit, where: str) -> None:
    """Refuse values that contradict their unit.

    Args:
        values: shape (n_samples, n_genes), finite.
        unit: what the values are said to be.
        where: the file's name, for the message.

    Raises:
        CohortError: e.g. linear TPM given as log2, counts given as TPM, values below what the unit can give.
    """
    x = np.asarray(values)
    low, high = float(x.min()), float(x.max())

    def refuse(received: str) -> CohortError:
        return CohortError(
            f"Expected {unit.value} values in {where}. Received {received}.",
            "Check which file this is, or correct the unit.",
        )

    if low == high:
        raise refuse(f"the same value, {low:g}, everywhere")
    if x.shape[1] >= _MANY_GENES and _all_whole(x):
        raise refuse(f"whole numbers only, up to {high:g}: these look like counts, which is a unit of its own")
    if unit is Unit.LOG2_FPKM_01:
        _check_log2_fpkm(x, low, high, refuse)
    elif unit is Unit.LOG2_TPM_1:
        if low < -1e-6:
            raise refuse(f"values down to {low:.4g}; log2(TPM+1) is never below 0")
        if high > _LOG2_TPM_MAX:
            raise refuse(f"values up to {high:.6g}; log2(TPM+1) is never over 19.94: these look linear")
    else:
        if low < 0:
            raise refuse(f"values down to {low:.4g}; {unit.value} is never below 0: these look like logarithms")
        if x.shape[1] >= _MANY_GENES and high < _LINEAR_MAX_MIN:
            raise refuse(f"values up to {high:.4g} only: these look like logarithms")
    if unit in (Unit.TPM, Unit.LOG2_TPM_1):
        for start in range(0, len(x), _CHUNK):
            total = float(to_linear(x[start : start + _CHUNK], unit).sum(axis=1).max())
            if total > _TPM_TOTAL_MAX:
                raise refuse(f"a sample whose TPM sum to {total:.4g}; the TPM of a sample sum to 1e6 at most")


def _check_log2_fpkm(x: npt.NDArray[Any], low: float, high: float, refuse: Callable[[str], CohortError]) -> None:
    if low < _LOG2_FPKM_FLOOR:
        raise refuse(f"values down to {low:.4g}; log2(FPKM+0.1) is never below -3.3219")
    if high > _LOG2_FPKM_MAX:
        raise refuse(f"values up to {high:.6g}: these look linear")
    # Unexpressed genes lie at the floor. A floor of exactly 0 is that of log2(x+1).
    if low == 0.0 and x.shape[1] >= _MANY_GENES and float(np.mean(x == 0.0)) > 0.01:
        raise refuse("a floor of 0 where -3.3219 is expected: these look like log2(x+1)")


def _all_whole(x: npt.NDArray[Any]) -> bool:
    """Whether every value is a whole number; most matrices are settled by their first sample."""
    return all(bool(np.all(row == np.rint(row))) for row in x)
