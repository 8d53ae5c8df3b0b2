"""Further kinds of omics on the command line."""

import json
from pathlib import Path

import pytest

from aio_tune.cohorts import simulate
from aio_tune.tasks import TASKS
from tests.cli.conftest import Run


@pytest.fixture(scope="module")
def geo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("omics") / "geo"
    return simulate(folder, samples=(60, 30, 30), genes=120, seed=1, omics=("methylation",))


@pytest.fixture
def prepared(geo: Path, tmp_path: Path, aio: Run) -> Path:
    status, out, err = aio("prepare", geo, "--out", tmp_path / "dataset")
    assert (status, err) == (0, "")
    assert "note: GSE96058: " in out and "samples of 60 without methylation." in out
    return tmp_path / "dataset"


def test_simulate_takes_several_kinds(tmp_path: Path, aio: Run) -> None:
    words = ("simulate", tmp_path / "sim", "--samples", 60, "--genes", 64)
    status, _, _ = aio(*words, "--omics", "methylation", "--omics", "copy_number")
    assert status == 0
    assert (tmp_path / "sim" / "omics.yaml").read_text().count("\n") == 2
    status, _, err = aio(*words, "--omics", "proteins")
    assert (
        status == 1 and "Expected kinds of omics, each once, of methylation, copy_number. Received 'proteins'." in err
    )


def test_describe_counts_who_has_a_kind(prepared: Path, aio: Run) -> None:
    _, out, _ = aio("describe", prepared)
    (line,) = [line for line in out.splitlines() if line.startswith("Profiles with methylation")]
    assert line.startswith("Profiles with methylation (beta): GSE96058 ")
    assert line.endswith(" of 30, GSE163882 0 of 30.")
    _, out, _ = aio("describe", prepared, "--json")
    kinds = json.loads(out)["kinds"]
    assert kinds["methylation"]["unit"] == "beta"
    assert kinds["methylation"]["profiles"]["GSE163882"] == 0 < kinds["methylation"]["profiles"]["GSE96058"] < 60


def test_pictures_are_of_expression(prepared: Path, tmp_path: Path, aio: Run) -> None:
    status, out, _ = aio("describe", prepared, "--images", tmp_path / "pictures")
    assert status == 0 and out.count("picture: ") == len(TASKS)


@pytest.mark.parametrize("change", ["values", "description", "without", "none"])
def test_prepare_is_done_again_if_a_kind_changed(
    geo: Path, prepared: Path, tmp_path: Path, aio: Run, change: str
) -> None:
    import shutil

    folder = Path(shutil.copytree(geo, tmp_path / "geo"))
    if change == "values":
        path = folder / "methylation_simulated.csv.gz"
        path.write_bytes(path.read_bytes() + b"\n")
    elif change == "description":
        (folder / "omics.yaml").write_text((folder / "omics.yaml").read_text() + "\n")
    elif change == "without":
        (folder / "omics.yaml").unlink()
    status, out, err = aio("prepare", folder, "--out", prepared, "--overwrite")
    if change == "values":
        assert status == 1 and "methylation_simulated.csv.gz" in err  # and is damaged
    else:
        assert status == 0
        assert ("Nothing to do" in out) == (change == "none")


def test_a_dataset_gets_its_first_kind(simulated: Path, geo: Path, tmp_path: Path, aio: Run) -> None:
    import shutil

    folder = Path(shutil.copytree(simulated, tmp_path / "geo"))
    aio("prepare", folder, "--out", tmp_path / "dataset")
    for name in ("omics.yaml", "methylation_simulated.csv.gz"):
        shutil.copy(geo / name, folder)
    status, out, _ = aio("prepare", folder, "--out", tmp_path / "dataset", "--overwrite")
    assert status == 0 and "Nothing to do" not in out and "without methylation" in out
