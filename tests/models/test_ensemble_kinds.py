"""Ensembles that look at further kinds of omics: format v2."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aio_tune.errors import RegistryError
from aio_tune.models import build
from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import DESCRIPTION, Member
from aio_tune.preprocess import Preprocessor
from aio_tune.tracking.pyfunc import _signature, ensemble_spec
from tests.models.small import GENES
from tests.models.small_omics import KINDS, omics_samples
from tests.models.test_ensemble import NETWORK, edit, spec
from tests.models.write_golden import FOLDER, GENE_NAMES, unseen_omics
from tests.models.write_golden import FOLDER_2 as GOLDEN

X, _ = omics_samples()
COLUMNS = [*GENE_NAMES, *(f"methylation:{name}" for name in GENE_NAMES)]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    folder = tmp_path_factory.mktemp("members")
    made = []
    for fold, layout in enumerate(("square", "1d")):
        preprocessor = Preprocessor.fit("zscore", layout, X[fold::2], seed=0, kinds=KINDS)
        preprocessor.save(folder / f"{fold}.npz")
        build(NETWORK, preprocessor.shape, 2, seed=fold).save(folder / f"{fold}.keras")
        made.append(Member(fold, folder / f"{fold}.keras", folder / f"{fold}.npz"))
    return made


@pytest.fixture
def saved(members: list[Member], tmp_path: Path) -> Path:
    Ensemble.save(tmp_path / "ensemble", members, spec(omics={"methylation": "beta"}))
    return tmp_path / "ensemble"


def frame(n: int = 5) -> pd.DataFrame:
    return pd.DataFrame(X[:n], columns=COLUMNS)


def test_golden_v2() -> None:
    """Written once by ``write_golden``; every later version of the package gives the same."""
    expected = np.array(json.loads((GOLDEN / "expected.json").read_text())["fold_probabilities"])
    ensemble = Ensemble.load(GOLDEN)
    assert (ensemble.kinds, ensemble.spec.omics) == (KINDS, {"methylation": "beta"})
    assert np.allclose(ensemble.predict(unseen_omics()).fold_probabilities, expected, atol=1e-5)


def test_a_description_of_expression_alone_has_the_words_it_always_had() -> None:
    from aio_tune.models.ensemble_files import read_description

    text = (FOLDER / DESCRIPTION).read_text()
    assert read_description(FOLDER).model_dump_json(indent=1) + "\n" == text
    assert "omics" not in text


def test_kinds_are_found_by_name_and_masked_where_absent(saved: Path) -> None:
    ensemble = Ensemble.load(saved)
    assert ensemble.kinds == KINDS
    whole = ensemble.predict(frame()).fold_probabilities
    assert np.array_equal(whole, ensemble.predict_matrix(X[:5]))
    shuffled = frame()[[*reversed(COLUMNS)]].assign(**{"copy_number:GENE0": 9.0})
    assert np.array_equal(ensemble.predict(shuffled).fold_probabilities, whole)
    # A column of NaN is the same as none, for one gene and for all.
    assert np.array_equal(ensemble.predict(frame().drop(columns=COLUMNS[-1])).fold_probabilities, whole)
    masked = frame()
    masked.loc[:, COLUMNS[GENES:]] = np.nan
    without = ensemble.predict(frame()[list(GENE_NAMES)])
    assert np.array_equal(ensemble.predict(masked).fold_probabilities, without.fold_probabilities)
    assert without.missing_genes == ()
    # The fifth patient has no methylation anyway; to the others it makes a difference.
    assert np.allclose(without.fold_probabilities[:, 4], whole[:, 4], atol=1e-6)
    assert not np.allclose(without.fold_probabilities[:, 0], whole[:, 0], atol=1e-3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.assign(**{COLUMNS[GENES]: 25.0}), "Expected beta values of methylation. Received 25.0 for GENE0"),
        (lambda f: f.assign(**{COLUMNS[GENES]: -0.5}), "Received -0.5 for GENE0 of 0"),
        (lambda f: f.assign(**{COLUMNS[GENES]: np.inf}), "Received inf"),
        (lambda f: f.assign(**{COLUMNS[GENES]: "high"}), "a number or nothing for methylation"),
        (lambda f: pd.concat([f, f[[COLUMNS[GENES]]]], axis=1), "methylation:GENE0 more than once"),
        (lambda f: f[COLUMNS[GENES:]], "genes to be missing"),
    ],
)
def test_samples_that_are_refused(saved: Path, change, said: str) -> None:
    with pytest.raises(RegistryError, match=re.escape(said)):
        Ensemble.load(saved).predict(change(frame()))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"omics": {}}, "format version 2 with 0 kinds"),
        ({"format_version": 1}, "format version 1 with 1 kinds"),
        ({"omics": {"copy_number": "log2 ratio"}}, "to look at expression, copy_number. Received one that looks at"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(saved: Path, changes, said: str) -> None:
    edit(saved, **changes)
    with pytest.raises(RegistryError, match=re.escape(said)):
        Ensemble.load(saved)


def test_the_signature_names_the_columns_of_every_kind(saved: Path) -> None:
    inputs = _signature(ensemble_spec(saved)).inputs
    assert inputs.input_names() == COLUMNS
    assert not any(column.required for column in inputs.inputs)
