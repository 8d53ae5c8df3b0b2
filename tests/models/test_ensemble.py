"""The ensemble folder: written whole, opened only when it is what it says, and v1 for good."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from aio_tune.errors import RegistryError
from aio_tune.files import sha256_of
from aio_tune.models import build
from aio_tune.models.ensemble import Ensemble
from aio_tune.models.ensemble_files import DESCRIPTION, EnsembleSpec, Member, hash_patients
from aio_tune.preprocess import Preprocessor
from tests.models.small import CLASSES, GENES, TINY, samples
from tests.models.write_golden import FOLDER as GOLDEN
from tests.models.write_golden import GENE_NAMES, unseen

NETWORK = {name: TINY[name] for name in ("filters", "depth", "embedding_width", "fc_widths")}
X, _ = samples()


def spec(**changes: Any) -> EnsembleSpec:
    whole = EnsembleSpec(
        task="ki67",
        classes=CLASSES,
        genes=GENE_NAMES,
        gene_means=X.mean(axis=0),
        training_patients=hash_patients(["p1", "p2"]),
        training_profiles=frozenset({"a" * 64}),
        origin={"search": "s", "trial": 3},
    )
    return replace(whole, **changes)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[Member]:
    folder = tmp_path_factory.mktemp("members")
    made = []
    for fold, layout in enumerate(("square", "1d")):
        preprocessor = Preprocessor.fit("zscore", layout, X[fold::2], seed=0)
        preprocessor.save(folder / f"{fold}.npz")
        build(NETWORK, preprocessor.shape, 2, seed=fold).save(folder / f"{fold}.keras")
        made.append(Member(fold, folder / f"{fold}.keras", folder / f"{fold}.npz"))
    return made


@pytest.fixture
def saved(members: list[Member], tmp_path: Path) -> Path:
    Ensemble.save(tmp_path / "ensemble", members, spec())
    return tmp_path / "ensemble"


def frame(n: int = 4) -> pd.DataFrame:
    return pd.DataFrame(X[:n], columns=list(GENE_NAMES))


def test_golden_v1() -> None:
    """Written once by ``write_golden``; every later version of the package gives the same."""
    expected = np.array(json.loads((GOLDEN / "expected.json").read_text())["fold_probabilities"])
    ensemble = Ensemble.load(GOLDEN)
    prediction = ensemble.predict(unseen())
    assert expected.shape == (2, 3, 2)
    assert np.ptp(expected[:, :, 0], axis=1).min() > 0.05  # samples are told apart, so a change would be seen
    assert np.allclose(prediction.fold_probabilities, expected, atol=1e-5)
    assert np.allclose(prediction.probabilities, expected.mean(axis=0), atol=1e-5)
    assert prediction.missing_genes == ("GENE1",)
    assert (ensemble.task, ensemble.classes, ensemble.genes) == ("ki67", CLASSES, GENE_NAMES)
    assert ensemble.training_patients == hash_patients(["golden:1"])
    assert ensemble.training_profiles == {"0" * 64}


def test_round_trip(saved: Path, members: list[Member]) -> None:
    ensemble = Ensemble.load(saved)
    whole = spec()
    assert np.array_equal(ensemble.spec.gene_means, whole.gene_means)
    assert replace(ensemble.spec, gene_means=whole.gene_means) == whole
    assert sorted(path.name for path in saved.iterdir()) == [
        "ensemble.json", "fold_0.keras", "fold_0.npz", "fold_1.keras", "fold_1.npz"
    ]  # fmt: skip
    assert not list(saved.parent.glob("*.new"))


def test_members_are_averaged(saved: Path, members: list[Member]) -> None:
    import keras

    prediction = Ensemble.load(saved).predict(frame())
    for fold, member in enumerate(members):
        alone = keras.saving.load_model(member.model)(Preprocessor.load(member.preprocessing).transform(X[:4]))
        assert np.allclose(prediction.fold_probabilities[fold], np.asarray(alone), atol=1e-6)
    assert np.allclose(prediction.probabilities, prediction.fold_probabilities.mean(axis=0), atol=1e-7)
    assert np.ptp(prediction.fold_probabilities[:, :, 0], axis=1).min() > 1e-3  # what is compared here differs
    assert prediction.missing_genes == ()


def test_columns_by_name(saved: Path) -> None:
    """Order does not matter, and columns that are no genes of ours are let be, whatever they hold."""
    ensemble = Ensemble.load(saved)
    other = frame()[list(reversed(GENE_NAMES))].assign(label="G3", extra=np.nan)
    assert np.array_equal(ensemble.predict(other).probabilities, ensemble.predict(frame()).probabilities)


def test_missing_genes_have_the_training_mean(saved: Path) -> None:
    ensemble = Ensemble.load(saved)
    filled = frame().assign(GENE3=spec().gene_means[3], GENE5=spec().gene_means[5])
    prediction = ensemble.predict(frame().drop(columns=["GENE3", "GENE5"]))
    assert prediction.missing_genes == ("GENE3", "GENE5")
    assert not np.array_equal(prediction.probabilities, ensemble.predict(frame()).probabilities)
    assert np.array_equal(prediction.probabilities, ensemble.predict(filled).probabilities)


def test_more_samples_than_at_once(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = Ensemble.load(saved)
    at_once = ensemble.predict(frame(7)).probabilities
    monkeypatch.setattr("aio_tune.models.ensemble.ROWS_AT_ONCE", 3)
    assert np.allclose(ensemble.predict(frame(7)).probabilities, at_once, atol=1e-6)
    assert ensemble.predict(frame(0)).probabilities.shape == (0, 2)


def test_samples_that_are_refused(saved: Path) -> None:
    ensemble = Ensemble.load(saved)
    infinite = frame()
    infinite.loc[2, "GENE4"] = np.inf
    cases = {
        "3 of them (GENE0, GENE1, GENE2, ...)": frame().drop(columns=["GENE0", "GENE1", "GENE2"]),  # 12.5 %
        "Received GENE7 more than once": pd.concat([frame(), frame()[["GENE7"]]], axis=1),
        "Received inf for GENE4 of 2": infinite,
        "Expected a number for every gene": frame().astype(object).assign(GENE2="high"),
    }
    for said, samples_ in cases.items():
        with pytest.raises(RegistryError) as refused:
            ensemble.predict(samples_)
        assert said in str(refused.value)


def edit(folder: Path, **changes: Any) -> None:
    facts = json.loads((folder / DESCRIPTION).read_text())
    (folder / DESCRIPTION).write_text(json.dumps({**facts, **changes}))


def members_with(folder: Path, **changes: Any) -> list[dict[str, Any]]:
    """The recorded members, the first one's model changed."""
    listed = json.loads((folder / DESCRIPTION).read_text())["members"]
    listed[0]["model"] |= changes
    return listed


def test_folders_that_are_refused(saved: Path, tmp_path: Path) -> None:
    def attack(name: str) -> Path:
        shutil.copytree(saved, tmp_path / name)
        return tmp_path / name

    folder = attack("link")
    (folder / "fold_0.keras").rename(tmp_path / "elsewhere.keras")
    (folder / "fold_0.keras").symlink_to(tmp_path / "elsewhere.keras")
    cases = {"link": "a symbolic link"}
    edit(attack("outside"), members=members_with(saved, file="../elsewhere.keras"))
    cases["outside"] = "leads elsewhere"
    edit(attack("absolute"), members=members_with(saved, file=str(tmp_path / "elsewhere.keras")))
    cases["absolute"] = "leads elsewhere"
    edit(attack("sha256"), members=members_with(saved, sha256="0" * 64))
    cases["sha256"] = "to be the recorded file, sha256 000000000000"
    edit(attack("no sha256"), members=members_with(saved, sha256=""))
    cases["no sha256"] = "sha256: String should match"
    attack("swapped")
    shutil.copy(saved / "fold_1.keras", tmp_path / "swapped" / "fold_0.keras")
    cases["swapped"] = "to be the recorded file"
    attack("preprocessing")
    (tmp_path / "preprocessing" / "fold_1.npz").write_bytes(b"")
    cases["preprocessing"] = "to be the recorded file"
    (attack("gone") / "fold_1.npz").unlink()
    cases["gone"] = "none of that name"
    edit(attack("later"), format_version=3)
    cases["later"] = "format version 2 or before"
    edit(attack("kinds"), omics={"methylation": "beta"})
    cases["kinds"] = "format version 1 with 1 kinds beside expression"
    edit(attack("another"), format="zip")
    cases["another"] = "description of an ensemble"
    edit(attack("fewer genes"), genes=GENE_NAMES[:-1])
    cases["fewer genes"] = "one mean for each"
    edit(attack("no members"), members=[])
    cases["no members"] = "members"
    edit(attack("three classes"), classes=["a", "b", "c"])
    cases["three classes"] = "(None, 3)"
    (attack("no JSON") / DESCRIPTION).write_text("{")
    cases["no JSON"] = "description of an ensemble"
    (attack("not described") / DESCRIPTION).unlink()
    cases["not described"] = "none of that name"
    (attack("described elsewhere") / DESCRIPTION).unlink()
    (tmp_path / "described elsewhere" / DESCRIPTION).symlink_to(saved / DESCRIPTION)
    cases["described elsewhere"] = "a symbolic link"
    for name, said in cases.items():
        with pytest.raises(RegistryError) as refused:
            Ensemble.load(tmp_path / name)
        assert said in str(refused.value), name
        assert "\n" not in str(refused.value)


def test_the_content_is_looked_at_without_checksums_too(saved: Path) -> None:
    import keras

    picture = keras.Input((5, 5, 1))
    flat = keras.layers.Flatten()(picture)
    keras.Model(picture, keras.layers.Lambda(lambda x: x[:, :2], output_shape=(2,))(flat)).save(saved / "fold_0.keras")
    with pytest.raises(RegistryError, match="recorded file"):
        Ensemble.load(saved)
    with pytest.raises(RegistryError, match=r"keras\.layers\.Lambda"):
        Ensemble.load(saved, verify=False)
    edit(saved, members=members_with(saved, sha256=sha256_of(saved / "fold_0.keras")))
    with pytest.raises(RegistryError, match=r"keras\.layers\.Lambda"):
        Ensemble.load(saved)


def test_save_is_whole_or_not_at_all(saved: Path, members: list[Member], tmp_path: Path) -> None:
    before = {path.name: sha256_of(path) for path in saved.iterdir()}
    gone = [members[0], Member(1, tmp_path / "gone.keras", members[1].preprocessing)]
    with pytest.raises(FileNotFoundError):
        Ensemble.save(saved, gone, spec())
    for wrong in (spec(gene_means=np.zeros(3, np.float32)), spec(genes=("G",) * GENES), spec(classes=("one",))):
        with pytest.raises(RegistryError):
            Ensemble.save(saved, members, wrong)
    with pytest.raises(RegistryError):
        Ensemble.save(saved, [], spec())
    assert {path.name: sha256_of(path) for path in saved.iterdir()} == before
    assert not list(tmp_path.glob("*.new"))

    Ensemble.save(saved, members[1:], spec())  # a whole one replaces it
    assert sorted(path.name for path in saved.iterdir()) == [DESCRIPTION, "fold_1.keras", "fold_1.npz"]


def test_save_replaces_nothing_but_an_ensemble(members: list[Member], tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RegistryError, match="Expected a new folder, or an ensemble to replace"):
        Ensemble.save(tmp_path, members, spec())
    assert (tmp_path / "thesis.txt").exists()


def test_patients_are_hashed() -> None:
    import hashlib

    assert hash_patients(["GSE96058:F8"]) == {hashlib.sha256(b"GSE96058:F8").hexdigest()}
