"""Rows of a dataset, read into memory or unpacked once per machine, and what is left of that afterwards."""

import gc
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from aio_tune.dataset import ROWS_PER_SHARD, AioDataset, StoredRows, forget_unused, open_dataset, write_dataset
from aio_tune.errors import DatasetError
from tests.test_dataset import assembly, cohort


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> AioDataset:
    cohorts = (cohort("Long", ROWS_PER_SHARD + 40), cohort("B", 9, seed=1), cohort("C", 30, seed=2))
    return write_dataset(assembly(*cohorts), tmp_path_factory.mktemp("stored") / "data")


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of this test alone."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def files(scratch: Path) -> list[str]:
    return sorted(path.suffix for path in scratch.rglob("*") if path.is_file() and path.name != "rows.lock")


@pytest.mark.parametrize("rows", [np.arange(591), np.array([3, 511, 512, 552, 560, 590]), np.array([570])])
def test_read_and_open_give_the_same_rows(dataset: AioDataset, rows: np.ndarray) -> None:
    expected = dataset.matrix()[rows]
    stored = StoredRows.of(dataset, rows)
    assert stored.shape == expected.shape
    assert stored.nbytes == expected.nbytes
    assert stored.read().tobytes() == expected.tobytes()
    assert stored.open()[np.arange(len(rows))].tobytes() == expected.tobytes()
    some = stored.only(np.arange(len(rows))[::-2])
    assert some.read().tobytes() == expected[::-2].tobytes()
    assert some.open()[np.arange(len(some.at))].tobytes() == expected[::-2].tobytes()


def test_some_rows_are_read_from_the_file_of_all(dataset: AioDataset, scratch: Path) -> None:
    stored = StoredRows.of(dataset, np.arange(100))
    every, some = stored.open(), stored.only(np.array([7])).open()
    assert files(scratch) == [".f32"]
    assert np.array_equal(every[np.array([7])], some[np.array([0])])


def test_it_goes_when_nobody_uses_it_any_more(dataset: AioDataset, scratch: Path) -> None:
    stored = StoredRows.of(dataset, np.arange(100))
    matrix = stored.open()
    forget_unused()
    assert files(scratch) == [".f32"]
    assert np.array_equal(matrix[np.array([3])], dataset.matrix()[[3]])
    del matrix
    gc.collect()
    forget_unused()
    assert files(scratch) == []


def test_what_a_killed_process_left_goes_with_the_next_one(dataset: AioDataset, scratch: Path) -> None:
    """And what a process leaves that ends by itself goes with it."""
    code = (
        "import os, pickle, sys, tempfile\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "stored = pickle.load(open(sys.argv[1], 'rb'))\n"
        "matrix = stored.open()\n"
        "if sys.argv[3] == 'killed': os.kill(os.getpid(), 9)\n"
        "del matrix\n"
    )
    stored = StoredRows.of(dataset, np.arange(200))
    pickled = scratch / "stored.pickle"
    pickled.write_bytes(pickle.dumps(stored))
    for end, left in (("killed", [".f32", ".pickle"]), ("itself", [".pickle"])):
        done = subprocess.run([sys.executable, "-c", code, pickled, scratch, end], check=False)
        assert done.returncode == (-9 if end == "killed" else 0)
        assert files(scratch) == left
    subprocess.run([sys.executable, "-c", code, pickled, scratch, "killed"], check=False)
    other = StoredRows.of(dataset, np.arange(10)).open()
    assert files(scratch) == [".f32", ".pickle"]
    assert other.shape == (10, 7)


def test_what_a_killed_unpacking_left_goes_before_room_is_looked_for(
    dataset: AioDataset, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its own bytes could be those that its resumption lacks."""
    code = (
        "import os, pickle, sys, tempfile\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "import aio_tune.dataset.stored as module\n"
        "def killed(*given, before=module._pieces_with):\n"
        "    yield next(before(*given))\n"
        "    os.kill(os.getpid(), 9)\n"
        "module._pieces_with = killed\n"
        "pickle.load(open(sys.argv[1], 'rb')).open()\n"
    )
    stored = StoredRows.of(dataset, np.arange(200))
    pickled = scratch / "stored.pickle"
    pickled.write_bytes(pickle.dumps(stored))
    left = []
    before = shutil.disk_usage

    def looked(path: Path) -> tuple[int, int, int]:
        left.append(files(scratch))
        return before(path)

    monkeypatch.setattr("shutil.disk_usage", looked)
    for resume in (stored.open, forget_unused):
        done = subprocess.run([sys.executable, "-c", code, pickled, scratch], check=False)
        assert done.returncode == -9
        assert files(scratch) == [".partial", ".pickle"]
        resume()
        gc.collect()
        forget_unused()
        assert files(scratch) == [".pickle"]
    assert left == [[".pickle"]]


def test_processes_that_want_the_same_rows_unpack_them_once(dataset: AioDataset, scratch: Path) -> None:
    code = (
        "import os, pickle, sys, tempfile\n"
        "tempfile.tempdir = sys.argv[2]\n"
        "import aio_tune.dataset.stored as module\n"
        "def told(*given, before=module._unpack): print('unpacked'); before(*given)\n"
        "module._unpack = told\n"
        "matrix = pickle.load(open(sys.argv[1], 'rb')).open()\n"
        "print(matrix.shape); sys.stdout.flush(); sys.stdin.read()\n"
    )
    pickled = scratch / "stored.pickle"
    pickled.write_bytes(pickle.dumps(StoredRows.of(dataset, np.arange(591))))
    line = [sys.executable, "-c", code, str(pickled), str(scratch)]
    started = [subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = []
    for process in started:
        assert process.stdout is not None
        said.append(process.stdout.readline())
        if said[-1] == "unpacked\n":
            said.append(process.stdout.readline())
    for process in started:
        process.communicate()
    assert sorted(said) == ["(591, 7)\n"] * 3 + ["unpacked\n"]


def test_a_disk_without_room_is_told_before_anything_is_written(
    dataset: AioDataset, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 1000)
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    with pytest.raises(DatasetError, match=r"free disk .* Point TMPDIR to a larger disk, or raise the budget"):
        StoredRows.of(dataset, np.arange(100)).open()
    assert files(scratch) == []


def test_a_damaged_shard_leaves_nothing(dataset: AioDataset, tmp_path: Path, scratch: Path) -> None:
    copy = write_dataset(assembly(cohort("Long", 30)), tmp_path / "copy")
    stored = StoredRows.of(open_dataset(copy.path), np.arange(30))
    shard = next((copy.path / "shards").iterdir())
    content = bytearray(shard.read_bytes())
    footer = int.from_bytes(content[-8:-4], "little") + 8
    content[4:-footer] = bytes(len(content) - footer - 4)  # whole pages of nothing
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match=shard.name):
        stored.open()
    assert files(scratch) == []


def test_a_folder_of_somebody_else_is_refused(dataset: AioDataset, scratch: Path) -> None:
    StoredRows.of(dataset, np.arange(10)).open()
    folder = next(scratch.iterdir())
    folder.chmod(0o755)
    with pytest.raises(DatasetError, match="only this user"):
        StoredRows.of(dataset, np.arange(10)).open()
