"""Bad input: one clear line, exit status 1, nothing half-written left behind."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run

EXPRESSION = "GSE96058_gene_expression*.csv.gz"
CLINICAL = "GSE96058-GPL11154_series_matrix.txt.gz"


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))


def expression(folder: Path) -> Path:
    return next(folder.glob(EXPRESSION))


def truncate(folder: Path) -> None:
    path = expression(folder)
    path.write_bytes(path.read_bytes()[:-2000])


def not_a_number(folder: Path) -> None:
    def change(text: str) -> str:
        lines = text.split("\n")
        cells = lines[5].split(",")
        cells[3] = "high"
        lines[5] = ",".join(cells)
        return "\n".join(lines)

    edit(expression(folder), change)


def duplicate_sample(folder: Path) -> None:
    def change(text: str) -> str:
        header, rest = text.split("\n", 1)
        names = header.split(",")
        names[2] = names[1]
        return ",".join(names) + "\n" + rest

    edit(expression(folder), change)


def linear_tpm(folder: Path) -> None:
    def change(text: str) -> str:
        header, *rows = text.rstrip("\n").split("\n")
        linear = [header]
        for row in rows:
            gene, *cells = row.split(",")
            linear.append(",".join([gene, *(f"{2 ** float(cell) * 100:.3f}" for cell in cells)]))
        return "\n".join(linear) + "\n"

    edit(expression(folder), change)


def no_gene_in_common(folder: Path) -> None:
    def change(text: str) -> str:
        header, *rows = text.rstrip("\n").split("\n")
        return "\n".join([header, *(f"X{row}" for row in rows)]) + "\n"

    edit(expression(folder), change)


def ki67_seven(folder: Path) -> None:
    edit(folder / CLINICAL, lambda text: text.replace("ki67 status: 1", "ki67 status: 7", 1))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, ["GSE96058_gene_expression", "truncated"]),
        (not_a_number, ["'high'", "row", "column"]),
        (duplicate_sample, ["more than once"]),
        (linear_tpm, ["log2(FPKM+0.1)", "linear"]),
        (no_gene_in_common, ["none in common"]),
        (ki67_seven, ["ki67 status", "7"]),
    ],
)
def test_cohort_files(geo: Path, tmp_path: Path, aio: Run, damage: Callable[[Path], None], told: list[str]) -> None:
    damage(geo)
    before = sorted(tmp_path.iterdir())
    status, _, err = aio("prepare", geo, "--out", tmp_path / "dataset")
    assert status == 1
    assert len(err.strip().splitlines()) == 1, err
    assert err.startswith("aio-tune: ")
    for word in told:
        assert word in err
    assert sorted(tmp_path.iterdir()) == before, "nothing is left behind"


def test_misspelt_key_names_line_and_neighbour(tmp_path: Path, aio: Run, simulated: Path) -> None:
    aio("prepare", simulated, "--out", tmp_path / "dataset")
    space = tmp_path / "space.yaml"
    space.write_text("task: ki67\ntrials: 2\nepochs: 2\nspace:\n  learning_rat: {float: [1e-4, 1e-3]}\n")
    home = tmp_path / "home"
    status, _, err = aio("search", space, "--data", tmp_path / "dataset", "--home", home)
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    assert "line 5" in err
    assert "learning_rate" in err
    assert not home.exists()


def test_damaged_shard_is_refused(tmp_path: Path, aio: Run, simulated: Path) -> None:
    dataset = tmp_path / "dataset"
    assert aio("prepare", simulated, "--out", dataset)[0] == 0
    shard = next((dataset / "shards").glob("GSE96058-0*.parquet"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(bytes(content))
    status, _, err = aio("describe", dataset, "--verify")
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    assert shard.name in err


def test_a_dataset_is_not_overwritten_unasked(tmp_path: Path, aio: Run, simulated: Path) -> None:
    dataset = tmp_path / "dataset"
    assert aio("prepare", simulated, "--out", dataset)[0] == 0
    manifest = (dataset / "manifest.json").read_bytes()
    status, _, err = aio("prepare", simulated, "--out", dataset, "--genes", 50)
    assert status == 1
    assert "--overwrite" in err or "Name another" in err or "another" in err
    assert (dataset / "manifest.json").read_bytes() == manifest


def test_names_that_are_not_there(tmp_path: Path, aio: Run, simulated: Path) -> None:
    home = tmp_path / "home"
    dataset = tmp_path / "dataset"
    assert aio("prepare", simulated, "--out", dataset)[0] == 0
    space = tmp_path / "space.yaml"
    space.write_text("task: ki67\ntrials: 2\nepochs: 2\nspace: {}\n")
    for words, told in (
        (("leaderboard", "nothing", "--home", home), "nothing"),
        (("describe", tmp_path / "nowhere"), "nowhere"),
        (("search", space, "--data", dataset, "--home", home, "--set", "train_on=[GSE1]"), "GSE1"),
        (("search", space, "--data", dataset, "--home", home, "--name", "none", "--resume"), "none"),
    ):
        status, _, err = aio(*words)
        assert status == 1, words
        assert len(err.strip().splitlines()) == 1
        assert told in err
        assert not home.exists(), "nothing is left behind"


def test_a_seed_below_zero_is_bad_usage(tmp_path: Path, aio: Run) -> None:
    assert aio("simulate", tmp_path / "sim", "--seed", -1)[0] == 2
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(tmp_path: Path, aio: Run) -> None:
    from aio_tune.errors import DatasetError

    with pytest.raises(DatasetError):
        aio("describe", tmp_path / "nowhere", "--debug")
