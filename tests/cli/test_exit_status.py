"""Exit statuses: of what is interrupted, and of a command that another one ran."""

from typing import Any

import pytest

from aio_tune.launch.slurm import Allocation
from tests.cli.conftest import Run


@pytest.fixture(autouse=True)
def in_an_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Allocation, "from_environment", lambda _: None)


@pytest.mark.parametrize("status", [0, 3, 130])
def test_that_of_the_command_in_a_job_is_passed_on(status: int, aio: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """130 too, which a shell gives what was interrupted."""
    monkeypatch.setattr("aio_tune.launch.job.run_job", lambda *_: status)
    assert aio("launch", "slurm", "--", "true") == (status, "", "")


def test_an_interruption_is_told(aio: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("aio_tune.launch.job.run_job", interrupted)
    assert aio("launch", "slurm", "--", "true") == (1, "", "aio-tune: interrupted.\n")
