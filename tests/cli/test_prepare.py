"""prepare: done again, interrupted, killed, watched."""

import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aio_tune.cohorts import assemble, find_positions, read_folder, read_positions
from aio_tune.cohorts.progress import tell, telling
from aio_tune.dataset import open_dataset, unchanged
from tests.cli.conftest import Run
from tests.cohorts.conftest import write_table_example

# Done again ----------------------------------------------------------------------------------------------------------


def test_a_second_run_says_that_there_is_nothing_to_do(simulated: Path, tmp_path: Path, aio: Run) -> None:
    words = ("prepare", simulated, "--out", tmp_path / "dataset", "--genes", 50)
    status, first, err = aio(*words)
    assert (status, err) == (0, "")
    assert "Nothing to do" not in first
    before = {path: path.stat() for path in (tmp_path / "dataset").rglob("*")}
    for more in ((), ("--overwrite",)):
        status, second, err = aio(*words, *more)
        assert (status, err) == (0, "")
        head, _, rest = second.partition("\n")
        assert head == f"Nothing to do: {tmp_path / 'dataset'} was made of the same files with the same options."
        assert rest == first
    after = {path: path.stat() for path in (tmp_path / "dataset").rglob("*")}
    assert {path: (s.st_ino, s.st_mtime_ns) for path, s in before.items()} == {
        path: (s.st_ino, s.st_mtime_ns) for path, s in after.items()
    }


@pytest.fixture
def two(tmp_path: Path, simulated: Path) -> tuple[list[Path], Path]:
    """Two folders of cohorts that share genes, and the dataset made of them."""
    from aio_tune.cli.data import prepare_dataset

    geo = Path(shutil.copytree(simulated, tmp_path / "geo"))
    own = write_table_example(tmp_path / "own")
    shared = sorted(set.intersection(*(set(cohort.genes) for cohort in read_folder(geo))))
    text = (own / "expression.tsv").read_text()
    (own / "expression.tsv").write_text(text.replace("AAA", shared[0]).replace("BBB", shared[1]))
    prepare_dataset([geo, own], tmp_path / "dataset", genes=100, annotation=None)
    return [geo, own], tmp_path / "dataset"


def append(pattern: str, content: bytes = b"\n") -> Callable[[Path], None]:
    def change(tmp_path: Path) -> None:
        path = next(tmp_path.glob(pattern))
        path.write_bytes(path.read_bytes() + content)

    return change


def make(name: str) -> Callable[[Path], None]:
    return lambda tmp_path: (tmp_path / name).write_text("something")  # type: ignore[return-value]


def flip(pattern: str) -> Callable[[Path], None]:
    def change(tmp_path: Path) -> None:
        path = next(tmp_path.glob(pattern))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))

    return change


@pytest.mark.parametrize(
    "change",
    [
        append("geo/GSE81538*matrix*"),
        append("geo/GSE96058*expression*"),
        append("own/cohort.yaml"),
        append("own/clinical.csv"),
        append("geo/gene_positions*"),
        make("own/GSE163882_series_matrix.txt"),
        make("own/gene_positions.tsv"),
        make("geo/cohort.yaml"),
        make("own/simulation.json"),
        lambda folder: (folder / "geo" / "simulation.json").unlink(),
        lambda folder: next(folder.glob("geo/GSE163882*matrix*")).unlink(),
        lambda folder: shutil.rmtree(folder / "own"),
        flip("dataset/shards/ours-00000.parquet"),
        lambda folder: (folder / "dataset" / "manifest.json").write_text("{}"),
        lambda folder: shutil.rmtree(folder / "dataset"),
    ],
)
def test_any_change_is_noticed(two: tuple[list[Path], Path], tmp_path: Path, change: Callable[[Path], object]) -> None:
    folders, out = two
    assert unchanged(out, folders, 100) is not None
    change(tmp_path)
    assert unchanged(out, folders, 100) is None


def test_other_settings_are_noticed(
    two: tuple[list[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (geo, own), out = two
    assert unchanged(out, [geo, own], 99) is None
    assert unchanged(out, [geo, own]) is None
    assert unchanged(out, [own, geo], 100) is None, "cohorts lie in the order of the folders"
    assert unchanged(out, [geo], 100) is None
    assert unchanged(out, [geo, own, own], 100) is None
    assert unchanged(out, [geo, own, tmp_path], 100) is None
    positions = find_positions([geo])
    assert unchanged(out, [geo, own], 100, positions) is not None
    assert unchanged(out, [geo, own], 100, own / "clinical.csv") is None
    assert unchanged(out, [geo, own], 100, tmp_path / "nowhere.tsv") is None
    monkeypatch.setattr("aio_tune.dataset.again.release", lambda: "99")
    assert unchanged(out, [geo, own], 100) is None


def test_bystanders_and_a_move_change_nothing(two: tuple[list[Path], Path], tmp_path: Path) -> None:
    folders, out = two
    for name in (
        "README.md",
        "GSE96058_paper.pdf",
        ".hidden",
        "fetched.json",
        "GSE96058_new_series_matrix.txt.gz.part",
    ):
        (folders[0] / name).write_text("something")
    (folders[1] / "more").mkdir()
    moved = [Path(shutil.move(folder, tmp_path / f"moved_{folder.name}")) for folder in folders]
    assert unchanged(out, moved, 100) is not None


# In one memory -------------------------------------------------------------------------------------------------------


def test_in_place_gives_the_same_values_in_the_same_memory(simulated: Path) -> None:
    positions = read_positions(find_positions([simulated]))
    for n_genes in (None, 50):
        fresh = assemble(read_folder(simulated), positions, n_genes)
        cohorts = read_folder(simulated)
        memory = [cohort.expression for cohort in cohorts]
        again = assemble(cohorts, positions, n_genes, in_place=True)
        for one, other, given in zip(fresh.cohorts, again.cohorts, memory, strict=True):
            assert np.array_equal(one.expression.view(np.uint32), other.expression.view(np.uint32))
            assert np.shares_memory(other.expression, given)
            assert not np.shares_memory(one.expression, given)


# Watched -------------------------------------------------------------------------------------------------------------


def test_everything_that_takes_long_is_told(simulated: Path, tmp_path: Path) -> None:
    from aio_tune.cli.data import prepare_dataset

    told: dict[str, list[tuple[int, int]]] = {}
    with telling(lambda what, done, total: told.setdefault(what, []).append((done, total))):
        prepare_dataset([simulated], tmp_path / "dataset", genes=50, annotation=None)
    tell("after the block nobody listens", 0, 1)
    assert {what.split()[0] for what in told} == {"reading", "converting", "writing"}
    assert sum("gene_expression" in what or "tpms" in what for what in told) == 3
    for steps in told.values():
        assert all(0 <= done <= total for done, total in steps)
        assert steps[-1][0] == steps[-1][1]


def test_bars_on_a_terminal_and_nothing_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, simulated: Path, tmp_path: Path, aio: Run
) -> None:
    assert aio("prepare", simulated, "--out", tmp_path / "quiet")[2] == ""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "150")
    status, out, err = aio("prepare", simulated, "--out", tmp_path / "dataset")
    assert status == 0
    assert "reading" not in out
    for word in ("reading GSE96058_gene_expression", "converting GSE96058", "writing the dataset", "100%"):
        assert word in err


# Interrupted ---------------------------------------------------------------------------------------------------------

STOPS, ATTEMPTS = 5, 20


def prepare(folder: Path, out: Path, genes: int, stop: tuple[float, signal.Signals] | None = None) -> tuple[int, bytes]:
    """``prepare --overwrite`` in a process of its own, which may get a signal; its exit status and standard error."""
    words = ["prepare", folder, "--out", out, "--overwrite", "--genes", genes]
    with subprocess.Popen(
        [sys.executable, "-m", "aio_tune.cli", *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        if stop is not None:
            time.sleep(stop[0])
            process.send_signal(stop[1])
        _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "there_before"),
    [(signal.SIGKILL, True), (signal.SIGKILL, False), (signal.SIGINT, True), (signal.SIGTERM, True)],
)
def test_stopped_at_any_moment_it_leaves_the_old_dataset_or_nothing(
    simulated: Path, tmp_path: Path, number: signal.Signals, there_before: bool
) -> None:
    out = tmp_path / "here" / "dataset"
    old, new = 50, 60  # genes
    began = time.monotonic()
    assert prepare(simulated, out, old)[0] == 0
    lasts = time.monotonic() - began
    if not there_before:
        shutil.rmtree(out)
    moments = random.Random(number * 2 + there_before)
    stopped = 0
    for _ in range(ATTEMPTS):
        # The first half goes into imports, where there is nothing to interrupt.
        began = time.monotonic()
        status, err = prepare(simulated, out, new, (lasts * moments.uniform(0.5, 1.1), number))
        genes = open_dataset(out, verify=True).manifest.requested_genes if out.exists() else None
        if status == 0:
            assert genes == new
            # On a machine that is less busy than before, the next signals come earlier.
            lasts = min(lasts, time.monotonic() - began)
        else:
            stopped += 1
            assert genes in ((old, new, None) if there_before else (new, None))
            if number is signal.SIGINT and b"Traceback" not in err:  # Python's own, of the imports
                said = f"aio-tune: The preparation was interrupted; nothing unfinished is left at {out}.\n"
                # Nothing is said of an interruption when all is done and Python is on its way out.
                assert err.decode() in ("aio-tune: interrupted.\n", said) or (err == b"" and genes == new)
        if genes == new:  # once more from where it began
            shutil.rmtree(out)
            if there_before:
                assert prepare(simulated, out, old)[0] == 0
        if stopped == STOPS:
            break
    assert stopped == STOPS
    assert prepare(simulated, out, new)[0] == 0
    assert open_dataset(out, verify=True).manifest.requested_genes == new
    assert list(out.parent.iterdir()) == [out], "the next run removes what a killed one left"
