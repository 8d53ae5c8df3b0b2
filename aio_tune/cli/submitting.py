"""A search as a job on a cluster, seen from elsewhere."""

import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from aio_tune.cli.console import command_line, say
from aio_tune.errors import LaunchError

# Options whose paths are read on the cluster.
PATHS = ("--data", "--home")


def search_as_job(
    address: str, name: str, words: Sequence[object], space: Path, rejoin: bool, rejoin_command: str
) -> None:
    """Begin a search as a job, or find the one that runs, and show its log until it ends or Ctrl-C.

    Args:
        address: URL of the cluster's job API.
        name: the search's.
        words: of the command that the job runs, without an address.
        space: the space file, sent along.
        rejoin: a search of that name may run or have been begun.
        rejoin_command: what finds it again.

    Raises:
        LaunchError: the job cannot be begun, or has failed.
    """
    from aio_tune.launch.submission import JobApi

    _check_words(name, words, space)
    api = JobApi(address)
    prefix = f"aio-{name}."
    job = api.running(prefix)
    if job is not None and not rejoin:
        raise LaunchError(
            f"Expected a new search name. Received {name!r}, which is running on the cluster as job {job}.",
            f"Follow it by: {rejoin_command}",
        )
    if job is None:
        job = f"{prefix}{time.time_ns() // 10**6}"
        api.submit(job, [*map(str, words), *(["--resume-or-start"] if rejoin else [])], [space])
        say(f"job {job} is begun at {address}; Ctrl-C leaves it running")
    else:
        say(f"job {job} runs at {address}; Ctrl-C leaves it running")
    try:
        outcome = api.follow(job, _show, say)
    except KeyboardInterrupt:
        stop = command_line("ray", "job", "stop", "--address", address, job)
        say(f"left; the job goes on. Find it again by: {rejoin_command}\nstop it by: {stop}")
        return
    if outcome.status != "SUCCEEDED":
        why = outcome.message.strip() or "no reason given"
        raise LaunchError(
            f"Expected the job {job} to succeed. It is {outcome.status}: {why}.",
            f"Nothing finished is lost; go on with: {rejoin_command}",
        )


def _check_words(name: str, words: Sequence[object], space: Path) -> None:
    """Refuse what cannot mean the same on the cluster.

    Raises:
        LaunchError: a path that is not absolute, or a name that cannot be a job's.
        FileNotFoundError: the space file is not here.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise LaunchError(
            f"Expected --name, of letters, digits, - and _, for a search that runs as a job. Received {name!r}."
        )
    texts = [str(word) for word in words]
    for option in PATHS:
        path = texts[texts.index(option) + 1] if option in texts else "aio_home, the default"
        if not path.startswith("/"):
            raise LaunchError(
                f"Expected {option} with an absolute path on the cluster. Received {path}.",
                "Name a folder that all of its nodes see.",
            )
    if not space.is_file():
        raise FileNotFoundError(2, "No such space file", str(space))


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
