"""The command line as a user meets it, in this process."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aio_tune.cli import main
from aio_tune.cohorts import simulate

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def aio(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command; returns exit status, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aio-tune", *map(str, words)])
        capsys.readouterr()
        try:
            main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GEO-format files of three small simulated cohorts; not to be changed."""
    return simulate(tmp_path_factory.mktemp("simulated") / "geo", samples=(60, 30, 30), genes=120, seed=1)


@pytest.fixture
def geo(simulated: Path, tmp_path: Path) -> Path:
    """A copy of them that a test may damage."""
    import shutil

    return Path(shutil.copytree(simulated, tmp_path / "geo"))
