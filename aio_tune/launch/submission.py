"""A command on a cluster as a job of Ray: begun from a laptop, followed, left and found again."""

import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from aio_tune.errors import LaunchError

PAUSE = 2.0  # seconds between two looks at the log
# Whoever follows a job waits as long as this for a head that does not answer: a laptop asleep, a tunnel begun again.
PATIENCE = 600.0
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        status: SUCCEEDED, FAILED, STOPPED, or LOST where the head does not know the job any more.
        message: what Ray says of it.
    """

    status: str
    message: str


class JobApi:
    """The job API of a cluster's head.

    Args:
        address: its URL, such as ``http://127.0.0.1:8265`` at this end of a tunnel.

    Raises:
        LaunchError: nobody answers there, or not to this token.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        if os.environ.get("RAY_AUTH_TOKEN_PATH") or os.environ.get("RAY_AUTH_TOKEN"):
            # Before Ray reads it, which it does once.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        from ray.job_submission import JobSubmissionClient

        def connect() -> Any:
            return JobSubmissionClient(address)

        self._client = self._ask(connect)

    def running(self, prefix: str) -> str | None:
        """Id of a job with that prefix that has not ended."""
        jobs = self._ask(self._client.list_jobs)
        ids = [job.submission_id for job in jobs if (job.submission_id or "").startswith(prefix)]
        return next((found for found in ids if not self._status(found).is_terminal()), None)

    def submit(self, job: str, command: Sequence[str], files: Sequence[Path]) -> None:
        """Begin a job.

        Args:
            job: its id, new.
            command: words; the job's working folder holds ``files``.
            files: sent along, by their names.
        """
        with tempfile.TemporaryDirectory() as folder:
            for file in files:
                shutil.copyfile(file, Path(folder) / file.name)
            environment = {"working_dir": folder}
            self._ask(
                lambda: self._client.submit_job(
                    entrypoint=shlex.join(command), submission_id=job, runtime_env=environment
                )
            )

    def follow(self, job: str, show: Callable[[str], None], say: Callable[[str], None]) -> Outcome:
        """Show what a job writes, from its beginning, until it ends.

        Args:
            job: its id.
            show: told each new piece of its log.
            say: told when the head stops answering.

        Raises:
            LaunchError: the head does not answer for ten minutes.
        """
        shown, silent_since = 0, None
        while True:
            try:
                # The status first: what was written before the end is then in the log.
                status = self._status(job)
                log = self._ask(lambda: self._client.get_job_logs(job))
            except LaunchError:
                if self._is_lost(job):
                    return Outcome("LOST", "the cluster's head was started again since, and does not know it")
                if silent_since is None:
                    silent_since = time.monotonic()
                    say(f"{self.address} does not answer; the job goes on without us, and it is asked again")
                elif time.monotonic() - silent_since > PATIENCE:
                    raise
                time.sleep(PAUSE)
                continue
            silent_since = None
            if len(log) > shown:
                show(log[shown:])
                shown = len(log)
            if status.is_terminal():
                info = self._ask(lambda: self._client.get_job_info(job))
                return Outcome(str(status.value), str(info.message or ""))
            time.sleep(PAUSE)

    def _is_lost(self, job: str) -> bool:
        """Whether the head answers, and does not know the job."""
        try:
            return job not in [known.submission_id for known in self._ask(self._client.list_jobs)]
        except LaunchError:
            return False

    def _status(self, job: str) -> Any:
        return self._ask(lambda: self._client.get_job_status(job))

    def _ask(self, what: Callable[[], _Value]) -> _Value:
        """An answer of the job API.

        Raises:
            LaunchError: with its words, or those of the connection that failed.
        """
        from ray.exceptions import RayError

        try:
            return what()
        except (RayError, RuntimeError, ConnectionError, OSError) as error:
            text = " ".join(str(error).split())
            raise LaunchError(
                f"Expected the job API of a Ray cluster at {self.address}. Received: {text[:300]}.",
                "Is the tunnel open, and RAY_AUTH_TOKEN_PATH the cluster's token?",
            ) from error
