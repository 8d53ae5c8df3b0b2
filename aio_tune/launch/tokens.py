"""The secret that opens a cluster, in a file of its owner alone."""

import os
import secrets
import stat
import sys
from collections.abc import Mapping
from pathlib import Path

from aio_tune.errors import LaunchError
from aio_tune.files import make_private

SHORTEST = 32  # characters; Ray takes any


def make_token(path: Path, replace: bool = False) -> None:
    """Write a new token of 64 hexadecimal characters, readable by its owner alone from the first moment.

    Raises:
        LaunchError: the file is there already, and not to be replaced.
    """
    make_private(path.parent)
    if replace:
        path.unlink(missing_ok=True)
    try:
        # Never a moment at which others could open it: Ray's own `get-auth-token --generate` leaves it 0644.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise LaunchError(
            f"Expected a token file that is not there yet. Received {path}.",
            "Use it as it is, or remove it to shut out whoever has it.",
        ) from None
    with os.fdopen(file, "w") as opened:
        opened.write(secrets.token_hex(32))


def check_token(path: Path | None) -> Path:
    """The token file's absolute path, once it is known to be one.

    Raises:
        LaunchError: there is none, it is short, or others may read it.
    """
    if path is None:
        raise LaunchError(
            "Expected a token, without which anybody on the network could run code here. Received none.",
            "Make one by `aio-tune launch token FILE` and name it by --token or RAY_AUTH_TOKEN_PATH.",
        )
    try:
        token, mode = path.read_text().strip(), stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        raise LaunchError(
            f"Expected a token file. Received {path}, which is not there.",
            f"Make it by `aio-tune launch token {path}`.",
        ) from None
    if len(token) < SHORTEST:
        raise LaunchError(
            f"Expected a token of at least {SHORTEST} characters in {path}. Received {len(token)}.",
            f"Remove the file and make it by `aio-tune launch token {path}`.",
        )
    if mode & 0o077:
        raise LaunchError(
            f"Expected a token file that its owner alone may read. Received {path} with mode {mode:04o}.",
            f"Others may have read it: remove it and make another by `aio-tune launch token {path}`.",
        )
    return path.resolve()


def ray_environment(token: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of Ray, or of one that talks to it: closed, silent, with this token."""
    there = dict(os.environ if environment is None else environment)
    there.pop("RAY_AUTH_TOKEN", None)  # it would go before the file
    # So that a job's entrypoint finds `aio-tune` whatever started the node.
    paths = [str(Path(sys.executable).parent), there.get("PATH", os.defpath)]
    closed = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token), "RAY_USAGE_STATS_ENABLED": "0"}
    return there | closed | {"PATH": os.pathsep.join(paths)}


def use_token(token: Path) -> None:
    """Have this process, and those that it starts, be of the cluster with this token: ``ray_environment`` for good."""
    # sbatch hands on the environment that it was called in.
    os.environ.pop("RAY_AUTH_TOKEN", None)
    os.environ.update(ray_environment(token))


def keep_default_token_private() -> None:
    """Have the token that Ray makes for clusters on this machine alone lie where no one else reads it.

    Ray 2.60 writes ``~/.ray/auth_token`` with the user's umask, mostly 0644.
    """
    path = Path.home() / ".ray" / "auth_token"
    if path.exists():
        if path.stat().st_mode & 0o077 and path.stat().st_uid == os.getuid():
            path.chmod(0o600)
    else:
        make_token(path)
