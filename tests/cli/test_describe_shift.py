"""describe: the shift between cohorts before and after a harmoniser."""

import json
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import simulate
from aio_tune.dataset import open_dataset
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cohorts, the smallest of 14 samples."""
    from aio_tune.cli.data import prepare_dataset

    folder = simulate(tmp_path_factory.mktemp("shift") / "geo", samples=(140, 30, 30), genes=120, seed=1)
    prepare_dataset([folder], folder.parent / "dataset", genes=100, annotation=None)
    return folder.parent / "dataset"


def test_a_cohort_too_small_for_a_transductive_harmoniser_is_named(aio: Run, tmp_path: Path) -> None:
    from tests.test_dataset import assembly, cohort, write_dataset

    write_dataset(assembly(cohort("Large", 20), cohort("Small", 9)), tmp_path / "data")
    status, _, err = aio("describe", tmp_path / "data", "--harmoniser", "combat")
    assert status == 1
    assert "Received 9 of Small" in err


def test_before_and_after(dataset: Path, aio: Run, tmp_path: Path) -> None:
    picture = tmp_path / "new" / "shift.png"
    status, out, err = aio("describe", dataset, "--harmoniser", "quantile", "--shift", picture)
    assert (status, err) == (0, "")
    assert "Shift between cohorts, reference GSE96058" in out
    assert "quantile is single-sample: it can be applied to one new patient." in out
    assert "Ki67" not in out.partition("compare what they are:")[2].partition("\n")[0]
    assert "ki67: GSE96058 negative" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    _, out, _ = aio("describe", dataset, "--harmoniser", "cohort_zscore", "--reference", "GSE81538")
    assert "cohort_zscore is transductive: each cohort is harmonised as a whole, never a single patient." in out
    assert "undefined" in out, "gene means of z-scores do not correlate"


def test_figures_against_numpy(dataset: Path, aio: Run) -> None:
    _, out, _ = aio("describe", dataset, "--harmoniser", "rank", "--json")
    facts = json.loads(out)
    opened = open_dataset(dataset)
    means = [opened.matrix((name,)).mean(axis=0, dtype=np.float64) for name in ("GSE96058", "GSE163882")]
    assert facts["shift"]["none"]["correlation"]["GSE96058 to GSE163882"] == pytest.approx(np.corrcoef(*means)[0, 1])
    assert set(facts["shift"]) == {"none", "rank"}
    shares = {name: shift["cohort_share"] for name, shift in facts["shift"].items()}
    assert 0 < shares["rank"] < 1 and 0 < shares["none"] < 1
    samples = opened.samples(("GSE81538",))
    assert facts["prevalence"]["ki67"]["GSE81538"]["positive"] == pytest.approx((samples["ki67"] == "positive").mean())
    assert facts["prevalence"]["ki67"]["GSE163882"] == {"negative": None, "positive": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--harmoniser", "combatt"), "Received 'combatt'"),
        (("--harmoniser", "rank", "--reference", "TCGA"), "Received 'TCGA'"),
    ],
)
def test_what_is_unknown(dataset: Path, aio: Run, words: tuple[str, ...], said: str) -> None:
    status, out, err = aio("describe", dataset, *words)
    assert (status, out) == (1, "")
    assert said in err


def test_one_cohort_has_no_shift(aio: Run, tmp_path: Path) -> None:
    from tests.test_dataset import assembly, cohort, write_dataset

    write_dataset(assembly(cohort("Alone", 20)), tmp_path / "data")
    status, _, err = aio("describe", tmp_path / "data", "--harmoniser", "rank")
    assert status == 1
    assert "Expected two or more cohorts to compare. Received Alone alone" in err
