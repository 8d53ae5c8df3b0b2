"""The common scale against hand-computed values, and units that contradict their values."""

import numpy as np
import pytest

from aio_tune.cohorts.units import Unit, check_unit, from_linear, sum_duplicates, to_common
from aio_tune.errors import CohortError

RNG = np.random.default_rng(0)
FPKM = RNG.lognormal(1.0, 2.0, (6, 500))
TPM = FPKM / FPKM.sum(axis=1, keepdims=True) * 1e6
GOOD = {
    Unit.FPKM: FPKM,
    Unit.LOG2_FPKM_01: np.log2(FPKM + 0.1),
    Unit.TPM: TPM,
    Unit.LOG2_TPM_1: np.log2(TPM + 1),
}


def test_by_hand() -> None:
    """FPKM 1 and 3: a quarter and three quarters of a million."""
    x = np.log2(np.array([[1.0, 3.0]]) + 0.1)
    np.testing.assert_allclose(to_common(x, Unit.LOG2_FPKM_01), np.log2([[250_001, 750_001]]), rtol=1e-6)


@pytest.mark.parametrize("unit", list(Unit))
def test_every_unit_leads_to_the_same_common_values(unit: Unit) -> None:
    common = to_common(GOOD[unit].astype(np.float32), unit)
    assert common.dtype == np.float32
    np.testing.assert_allclose(common, GOOD[Unit.LOG2_TPM_1], atol=2e-4)


def test_rounding_below_the_floor_is_no_expression() -> None:
    common = to_common(np.array([[-3.3220, 1.0]]), Unit.LOG2_FPKM_01)
    assert common[0, 0] == 0


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("decimals", [1, 4, 10])
def test_a_sample_without_expression_is_refused(unit: Unit, decimals: int) -> None:
    values = np.round(from_linear(np.array([[1.0, 2.0], [0.0, 0.0], [0.0, 1.0]]), unit), decimals)
    with pytest.raises(CohortError, match="sample number 2"):
        to_common(values, unit)
    if unit.is_fpkm:
        with pytest.raises(CohortError, match="sample number 2"):
            to_common(values, unit, selected=True)
    else:
        assert to_common(values, unit, selected=True)[1].tolist() == [0, 0]
    assert to_common(values[[0, 2]], unit).shape == (2, 2)


@pytest.mark.parametrize("unit", list(Unit))
def test_good_values_pass(unit: Unit) -> None:
    check_unit(GOOD[unit], unit, "file")
    check_unit(np.round(GOOD[unit], 1), unit, "file rounded to one decimal")


@pytest.mark.parametrize(
    ("said", "truly"),
    [
        (Unit.LOG2_FPKM_01, Unit.TPM),
        (Unit.LOG2_FPKM_01, Unit.FPKM),
        (Unit.LOG2_TPM_1, Unit.TPM),
        (Unit.LOG2_TPM_1, Unit.LOG2_FPKM_01),
        (Unit.TPM, Unit.LOG2_TPM_1),
        (Unit.TPM, Unit.LOG2_FPKM_01),
        (Unit.FPKM, Unit.LOG2_FPKM_01),
        (Unit.FPKM, Unit.LOG2_TPM_1),
    ],
)
def test_contradictions_are_refused(said: Unit, truly: Unit) -> None:
    with pytest.raises(CohortError, match=r"Expected .* values in the_file\.csv\. Received"):
        check_unit(GOOD[truly], said, "the_file.csv")


@pytest.mark.parametrize("unit", list(Unit))
def test_counts_are_refused(unit: Unit) -> None:
    counts = RNG.poisson(8.0, (6, 500)).astype(float)
    with pytest.raises(CohortError, match="look like counts"):
        check_unit(counts, unit, "file")


def test_log2_of_x_plus_one_is_not_log2_of_fpkm_plus_a_tenth() -> None:
    values = np.log2(np.where(FPKM < 0.5, 0.0, FPKM) + 1)
    with pytest.raises(CohortError, match="floor of 0"):
        check_unit(values, Unit.LOG2_FPKM_01, "file")


def test_tpm_that_sum_to_more_than_a_million() -> None:
    with pytest.raises(CohortError, match="sum to"):
        check_unit(TPM * 3, Unit.TPM, "file")


def test_sum_duplicates_in_linear_space() -> None:
    x = np.log2(np.array([[1.0, 2.0, 4.0, 8.0]]) + 1).astype(np.float32)
    values, symbols, merged = sum_duplicates(x, ["A", "B", "A", "A"], Unit.LOG2_TPM_1)
    assert (symbols, merged) == (("A", "B"), 2)
    np.testing.assert_allclose(values, np.log2([[14, 3]]), rtol=1e-6)
    same, _, none = sum_duplicates(x, ["A", "B", "C", "D"], Unit.LOG2_TPM_1)
    assert same is x
    assert none == 0
