"""The secret that opens a cluster."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from aio_tune.errors import LaunchError
from aio_tune.launch.tokens import check_token, keep_default_token_private, make_token, ray_environment, use_token


@pytest.fixture
def open_umask() -> None:
    """What files get by default is readable by all."""
    before = os.umask(0o000)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
def test_a_token_is_its_owners_alone(tmp_path: Path) -> None:
    token = tmp_path / "deep" / "token"
    make_token(token)
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    assert len(token.read_text()) == 64
    assert check_token(token) == token


def test_two_tokens_differ_and_none_is_overwritten(tmp_path: Path) -> None:
    make_token(tmp_path / "a")
    make_token(tmp_path / "b")
    before = (tmp_path / "a").read_text()
    assert before != (tmp_path / "b").read_text()
    with pytest.raises(LaunchError, match="not there yet"):
        make_token(tmp_path / "a")
    assert (tmp_path / "a").read_text() == before
    make_token(tmp_path / "a", replace=True)
    assert (tmp_path / "a").read_text() != before


def test_what_is_no_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="Received none"):
        check_token(None)
    with pytest.raises(LaunchError, match="not there"):
        check_token(tmp_path / "none")
    (tmp_path / "short").write_text("secret")
    with pytest.raises(LaunchError, match="at least 32 characters"):
        check_token(tmp_path / "short")
    make_token(tmp_path / "open")
    (tmp_path / "open").chmod(0o640)
    with pytest.raises(LaunchError, match="mode 0640"):
        check_token(tmp_path / "open")


def test_a_token_in_the_environment_does_not_go_before_the_file(tmp_path: Path) -> None:
    found = ray_environment(tmp_path / "t", {"RAY_AUTH_TOKEN": "x", "RAY_AUTH_MODE": "disabled", "PATH": "/bin"})
    assert "RAY_AUTH_TOKEN" not in found
    assert found["RAY_AUTH_MODE"] == "token"
    assert found["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "t")
    assert found["PATH"] == f"{Path(sys.executable).parent}:/bin"


def test_a_job_has_its_own_token_whatever_the_shell_that_submitted_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of another cluster")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED", "PATH"):
        monkeypatch.setenv(name, "/bin")
    use_token(tmp_path / "t")
    assert "RAY_AUTH_TOKEN" not in os.environ
    assert os.environ["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "t")


@pytest.mark.usefixtures("open_umask")
def test_the_token_of_a_cluster_of_ones_own_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    keep_default_token_private()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    before = token.read_text()
    token.chmod(0o644)  # as Ray leaves it
    keep_default_token_private()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert token.read_text() == before


@pytest.mark.parametrize("words", [("head",), ("worker", "127.0.0.1:1")])
def test_no_node_is_started_without_a_token(words: tuple[str, ...], tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("RAY_AUTH")}
    command = [sys.executable, "-m", "aio_tune.cli", "launch", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Expected a token" in done.stderr
