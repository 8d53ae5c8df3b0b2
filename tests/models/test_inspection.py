"""What is looked at before a model is promoted."""

import shutil
from pathlib import Path

import pytest

from aio_tune.errors import RegistryError
from aio_tune.models.inspection import FOLDS_TAG, GENES_TAG, LAYOUTS_TAG, fingerprints, inspect_ensemble

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(params=["ensemble_v1", "ensemble_v2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(GOLDEN / request.param, tmp_path / "ensemble"))


def test_a_whole_folder_passes(folder: Path) -> None:
    tags = fingerprints(folder) | {FOLDS_TAG: "2"}
    findings = inspect_ensemble(folder, tags)
    assert [finding.what for finding in findings] == [
        "every file of its recorded sha256", "all 2 folds", "genes as registered", "layouts as registered"
    ]  # fmt: skip
    assert all(finding.passed for finding in findings)
    assert findings[0].value == 4
    assert len(inspect_ensemble(folder, {})) == 2, "a version of an earlier release has fewer tags"


@pytest.mark.parametrize(("tag", "what"), [(GENES_TAG, "genes"), (LAYOUTS_TAG, "layouts"), (FOLDS_TAG, "all 3 folds")])
def test_what_is_other_than_registered(folder: Path, tag: str, what: str) -> None:
    tags = fingerprints(folder) | {FOLDS_TAG: "2"} | {tag: "3" if tag == FOLDS_TAG else "0" * 64}
    failed = [finding.what for finding in inspect_ensemble(folder, tags) if not finding.passed]
    assert len(failed) == 1 and failed[0].startswith(what)


@pytest.mark.parametrize("name", ["fold_0.keras", "fold_1.npz"])
def test_damage_and_links_are_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(RegistryError, match="sha256"):
        inspect_ensemble(folder, {})
    (folder / name).unlink()
    (folder / name).symlink_to(GOLDEN / "ensemble_v1" / name)
    with pytest.raises(RegistryError, match="link"):
        inspect_ensemble(folder, {})
