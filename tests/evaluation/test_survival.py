"""Survival against published values, values computed by hand, and the definition."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.errors import EvaluationError
from aio_tune.evaluation.survival import Separation, on_same_patients, separate


def follow_up(days: list[float], events: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"days": days, "event": events}, index=[f"P{i}" for i in range(len(days))])


def grouped(names: str) -> pd.Series:
    return pd.Series(list(names), index=[f"P{i}" for i in range(len(names))])


def test_lung_as_published() -> None:
    """Loprinzi et al., J Clin Oncol 12:601, 1994, as R's survival package has them (vignette of survdiff and coxph)."""
    from lifelines.datasets import load_lung

    lung = load_lung()
    table = pd.DataFrame({"days": lung["time"], "event": lung["status"]})
    sex = lung["sex"].map({1: "male", 2: "female"})
    found = separate("sex", sex, table, ["male", "female"])
    assert [(group.name, group.n, group.events, group.median) for group in found.groups] == [
        ("male", 138, 112, 270),
        ("female", 90, 53, 426),
    ]
    assert found.log_rank == pytest.approx(10.3, abs=0.05)
    assert found.p == pytest.approx(0.00131, abs=5e-6)
    (ratio,) = found.hazard_ratios
    assert (ratio.group, ratio.against) == ("female", "male")
    assert [ratio.value, ratio.low, ratio.high] == pytest.approx([0.588, 0.424, 0.816], abs=5e-4)
    assert ratio.p == pytest.approx(0.00149, abs=1e-5)
    assert found.concordance == pytest.approx(0.579, abs=5e-4)
    assert not found.notes


def test_rossi_as_published() -> None:
    """Rossi et al., Money, Work and Crime, 1980: R's survdiff gives chi-squared 3.8 with 1 degree, p = 0.05."""
    from lifelines.datasets import load_rossi

    rossi = load_rossi()
    table = pd.DataFrame({"days": rossi["week"], "event": rossi["arrest"]})
    found = separate("fin", rossi["fin"].map({0: "no aid", 1: "aid"}), table, ["no aid", "aid"])
    assert (found.n, found.events, found.degrees) == (432, 114, 1)
    assert found.log_rank == pytest.approx(3.84, abs=0.005)
    assert found.p == pytest.approx(0.0501, abs=5e-5)


def test_curve_by_hand() -> None:
    """Five patients: deaths on days 2, 4 and 5, losses on days 3 and 5."""
    (group,) = separate("all", grouped("aaaaa"), follow_up([2, 3, 4, 5, 5], [1, 0, 1, 1, 0])).groups
    assert group.curve.days.tolist() == [0, 2, 3, 4, 5]
    # 4/5, then 2/3 of it, then 1/2 of that.
    np.testing.assert_allclose(group.curve.survival, [1, 0.8, 0.8, 0.8 * 2 / 3, 0.8 / 3])
    assert group.curve.at_risk.tolist() == [5, 5, 4, 3, 2]
    assert group.curve.censored.tolist() == [3, 5]
    assert (group.n, group.events, group.median) == (5, 3, 5)


def test_log_rank_by_hand() -> None:
    """Deaths of a on 1 and 2, of b on 3 and 4; at each death the expected share of a is its share at risk."""
    found = separate("two", grouped("aabb"), follow_up([1, 2, 3, 4], [1, 1, 1, 1]))
    shares = [2 / 4, 1 / 3, 0, 0]
    observed_less_expected = 2 - sum(shares)
    variance = sum(share * (1 - share) for share in shares)  # one death at a time
    assert found.log_rank == pytest.approx(observed_less_expected**2 / variance)
    assert found.p == pytest.approx(math.erfc(math.sqrt(found.log_rank / 2)))


def test_what_cannot_be_said_is_said() -> None:
    one = separate("one", grouped("aaa"), follow_up([1, 2, 3], [1, 1, 0]))
    assert one.notes == ("no log-rank test: there is one group only, a", "no Cox model: there is one group only, a")
    nobody = separate("two", grouped("aab"), follow_up([1, 2, 3], [0, 0, 0]))
    assert "no log-rank test: nobody died" in nobody.notes
    assert math.isnan(nobody.p)
    half = separate("two", grouped("aaabbb"), follow_up([1, 2, 3, 4, 5, 6], [1, 1, 0, 0, 0, 0]))
    assert half.notes == ("no hazard ratio of b: nobody of its 3 died", "no Cox model: deaths in one group only")
    assert half.p < 0.2
    three = separate("three", grouped("aaabbbccc"), follow_up([3, 6, 9, 1, 2, 8, 4, 5, 7], [1, 0, 1, 0, 0, 0, 1, 1, 0]))
    assert [ratio.group for ratio in three.hazard_ratios] == ["c"]
    assert three.degrees == 2
    assert math.isnan(three.concordance), "of other patients than the rest is"
    assert three.notes[-1] == "no C: the 3 patients of groups without a death are not in the Cox model"


def test_a_ratio_is_against_the_first_group_in_which_somebody_died() -> None:
    found = separate("x", grouped("aaabbbccc"), follow_up([1, 2, 8, 3, 6, 9, 4, 5, 7], [0, 0, 0, 1, 0, 1, 1, 1, 0]))
    assert [ratio.against for ratio in found.hazard_ratios] == ["b"]
    said = [found.ratio_said(group) for group in "abc"]
    assert said[:2] == ["-", "1"]
    assert "[" in said[2]
    nobody = separate("x", grouped("aabb"), follow_up([1, 2, 3, 4], [0, 0, 0, 0]))
    assert [nobody.ratio_said(group) for group in "ab"] == ["-", "-"], "without a model there is no reference"


def test_groups_that_the_order_does_not_name_come_after() -> None:
    found = separate("x", grouped("abcabc"), follow_up([1, 2, 3, 4, 5, 6], [1] * 6), ["c", "z", "b"])
    assert [(group.name, group.n) for group in found.groups] == [("c", 2), ("b", 2), ("a", 2)]


def test_unknown_patients_are_left_out_and_nobody_is_an_error() -> None:
    table = follow_up([1, 2, math.nan, 4], [1, 0, 1, 1])
    groups = pd.Series(["a", None, "a", "b", "b"], index=["P0", "P1", "P2", "P3", "P9"])
    found = separate("some", groups, table)
    assert [(group.name, group.n) for group in found.groups] == [("a", 1), ("b", 1)]
    with pytest.raises(EvaluationError, match="Received none"):
        separate("none", grouped("aa").rename({"P0": "X", "P1": "Y"}), table)


def test_same_patients() -> None:
    table = follow_up([1, 2, 3, math.nan], [1, 0, 1, 1])
    callers = {"reader": pd.Series(["a", "b", None, "a"], index=table.index), "model": grouped("abab")}
    same = on_same_patients(callers, table)
    assert [list(groups.index) for groups in same.values()] == [["P0", "P1"]] * 2
    with pytest.raises(EvaluationError, match="all of reader, model called"):
        on_same_patients({"reader": callers["reader"], "model": grouped("ab").rename({"P0": "X", "P1": "Y"})}, table)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.sampled_from("ab")), min_size=4, max_size=40))
def test_labels_of_groups_do_not_matter(patients: list[tuple[int, bool, str]]) -> None:
    table = follow_up([float(days) for days, _, _ in patients], [int(event) for _, event, _ in patients])
    names = "".join(name for _, _, name in patients)
    found = separate("", grouped(names), table)
    swapped = separate("", grouped(names.translate(str.maketrans("ab", "ba"))), table)

    def facts(one: Separation) -> list[float]:
        return [one.n, one.events, one.p]

    np.testing.assert_allclose(facts(found), facts(swapped))


@pytest.mark.real
def test_ki67_by_pathologists_as_the_paper_has_it(real_data: Path) -> None:
    """Chen et al., Fig. 4a: log-rank p = 0.014 on 1,363 patients."""
    from aio_tune.cohorts.gse96058 import read_subjects

    table = read_subjects(real_data)["GSE96058"]
    days = table.rename(columns={"survival_days": "days", "survival_event": "event"})
    found = separate("Ki67 by pathologists", table["ki67"], days, ["negative", "positive"])
    assert found.n == 1363
    assert found.p == pytest.approx(0.0142, abs=5e-5)
