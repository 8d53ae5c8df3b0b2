"""The mirror: follows a ledger and tells MLflow, in the background.

The ledger is the spool. The search appends to it and never waits for MLflow; the mirror reads on from where it was
and notes beside the ledger (``notes``) how far it came and which run belongs to which trial. If the store does not
answer it tries again, less and less often, and misses nothing: what is not sent yet is still in the ledger.
"""

import json
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aio_tune.errors import AioTuneError
from aio_tune.ledger import read_events
from aio_tune.tracking.client import connect, first_line, prepare, redacted
from aio_tune.tracking.notes import read_notes
from aio_tune.tracking.runs import KIND, SEARCH_ID, TRIAL, Progress, Write, translate
from aio_tune.tracking.store import ensure_store

_log = logging.getLogger(__name__)

# MLflow's limits for one call: 100 parameters, 100 tags, and 1000 of everything together.
_TEXTS_PER_CALL = 100
_POINTS_PER_CALL = 800
_DIGEST_LENGTH = 36  # MLflow's limit; the whole fingerprint is in the tag aio.dataset
_LONGEST_WAIT = 30.0  # seconds between two tries while the store does not answer
_PATIENCE = 60.0  # seconds that closing may take
_HURRY = 4.0  # the same when closing because something went wrong
_CLOSING_WAIT = 0.5  # the same while somebody waits in close()
# Beside the ledger, if they are there; see RunFolder.
_STARTING_FILES = ("space.yaml", "environment.txt")
# Answers that will not change however often the same thing is sent.
_REFUSALS = frozenset({"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INVALID_STATE"})


class Mirror:
    """Keeps the MLflow runs of one search in step with its ledger, from a thread of its own.

    Guarantees:
        - appending to the ledger never waits for the mirror or for MLflow;
        - everything in the ledger arrives, in order, and each metric point is stored once, whatever is killed,
          restarted or unreachable in between: run ids are on disk before they are used, a run that was created but
          not noted is found by its tags, and a point sent twice carries the same time and is stored once;
        - what MLflow refuses for good (a parameter that was changed, a run that somebody deleted) is reported once
          in the log and passed over, so that it does not hold up the rest.

    Args:
        ledger: the search's ledger; it may not exist yet.
        uri: the tracking store.
        experiment: name of the experiment the runs belong to.
        artifacts: see ``ensure_store``.
        interval: seconds between two looks at the ledger.

    Raises:
        SearchError: the notes of an earlier mirror are damaged.
    """

    def __init__(
        self, ledger: Path, uri: str, experiment: str, artifacts: Path | None = None, interval: float = 1.0
    ) -> None:
        self._ledger = ledger
        self._uri = uri
        self._experiment = experiment
        self._artifacts = artifacts
        self._interval = interval
        self._notes = read_notes(ledger, uri)
        self._client: Any = None
        self._experiment_id = ""
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._sent = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="mlflow-mirror", daemon=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Somebody who pressed Ctrl-C does not wait for a store that may be down: what is not sent is in the ledger.
        self.close(_PATIENCE if kind is None else _HURRY)

    def start(self) -> Self:
        """Start following the ledger."""
        self._thread.start()
        return self

    @property
    def behind(self) -> int:
        """Bytes of the ledger that MLflow was not told of yet."""
        size = self._ledger.stat().st_size if self._ledger.exists() else 0
        return max(0, size - self._notes.offset)

    @property
    def search_run(self) -> str | None:
        """Id of the search's own run, once it exists."""
        return self._notes.search_run

    def trial_run(self, trial: int) -> str | None:
        """Id of a trial's run, once it exists."""
        return self._notes.trial_runs.get(str(trial))

    def flush(self, timeout: float = 60.0) -> bool:
        """Wait until MLflow was told all that is in the ledger now; returns whether it was, within ``timeout`` s."""
        target = self._ledger.stat().st_size if self._ledger.exists() else 0
        self._wake.set()
        with self._sent:
            return self._sent.wait_for(lambda: self._notes.offset >= target, timeout)

    def close(self, timeout: float = _PATIENCE) -> bool:
        """Send what is left and stop; returns whether all of it was sent within ``timeout`` s.

        If not, nothing is lost: another mirror on the same ledger goes on where this one stopped.
        """
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return self.behind == 0

    def _work(self) -> None:
        prepare()
        from mlflow.exceptions import MlflowException

        failures = 0
        while True:
            last = self._closing.is_set()  # looked at before the ledger, so that what came before it is still sent
            self._wake.clear()
            try:
                moved = self._forward()
            except (MlflowException, OSError, AioTuneError) as error:
                failures += 1
                if failures == 1:
                    _log.warning(
                        "MLflow at %s did not take what was sent, will try again: %s",
                        redacted(self._uri), first_line(error, self._uri),
                    )  # fmt: skip
                if last and time.monotonic() > self._deadline:
                    return
                if last:
                    time.sleep(_CLOSING_WAIT)
                else:  # not _wake: a flush must not turn the back-off into hammering
                    self._closing.wait(min(0.5 * 2**failures, _LONGEST_WAIT))
                continue
            if failures:
                _log.warning("MLflow at %s has taken it now.", redacted(self._uri))
                failures = 0
            if moved:
                with self._sent:
                    self._sent.notify_all()
            elif last:
                return
            else:
                self._wake.wait(self._interval)

    def _forward(self) -> bool:
        """Send what the ledger holds beyond the offset; returns whether there was anything."""
        if not self._ledger.exists():
            return False
        events, offset = read_events(self._ledger, self._notes.offset)
        if not events:
            return False
        if self._client is None:
            self._experiment_id = ensure_store(self._uri, self._artifacts, self._experiment)
            self._client = connect(self._uri)
        # On a copy: if sending fails half-way, the same events are translated again from the same state.
        progress = Progress.from_json(json.loads(json.dumps(self._notes.progress.to_json())))
        writes = translate(events, progress)
        writes.sort(key=lambda write: write.trial is not None)  # the search's own run first: trials refer to it
        for write in writes:
            self._send(write, progress)
        self._notes.progress = progress
        self._notes.offset = offset
        self._notes.save()
        return True

    def _send(self, write: Write, progress: Progress) -> None:
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.exceptions import MlflowException

        try:
            run = self._run(write, progress)
            params = _parts([Param(key, value) for key, value in write.params.items()], _TEXTS_PER_CALL)
            tags = _parts([RunTag(key, value) for key, value in write.tags.items()], _TEXTS_PER_CALL)
            points = _parts(
                [Metric(point.key, point.value, point.time, point.step) for point in write.points], _POINTS_PER_CALL
            )
            # Together, because a call costs a server more than what is in it.
            for batch in zip_longest(points, params, tags, fillvalue=()):
                self._client.log_batch(run, *batch)
            if write.first:
                self._log_inputs(run, write, progress)
            if write.status is not None:
                self._set_status(run, write)
        except MlflowException as error:
            if error.error_code not in _REFUSALS:
                raise
            reason = first_line(error, self._uri)
            _log.warning("MLflow refused what was sent for trial %s: %s", write.trial, reason)

    def _set_status(self, run: str, write: Write) -> None:
        if write.ended is None:
            self._client.update_run(run, status=write.status)
        else:
            self._client.set_terminated(run, status=write.status, end_time=write.ended)

    def _run(self, write: Write, progress: Progress) -> str:
        """The id of the run that ``write`` is for, creating it if there is none; noted on disk before it is used."""
        notes = self._notes
        known = notes.search_run if write.trial is None else notes.trial_runs.get(str(write.trial))
        if known is not None:
            return known
        run = self._find(write, progress) or self._create(write, progress)
        if write.trial is None:
            notes.search_run = run
        else:
            notes.trial_runs[str(write.trial)] = run
        notes.save()
        return run

    def _find(self, write: Write, progress: Progress) -> str | None:
        """The run that an earlier mirror created and had no time to note."""
        trial = "" if write.trial is None else str(write.trial)
        condition = f"tags.`{SEARCH_ID}` = '{progress.search_id}' and tags.`{TRIAL}` = '{trial or 'none'}'"
        found = self._client.search_runs([self._experiment_id], condition, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _create(self, write: Write, progress: Progress) -> str:
        child = write.trial is not None
        tags = {
            SEARCH_ID: progress.search_id,
            TRIAL: str(write.trial) if child else "none",
            KIND: "trial" if child else "search",
            "mlflow.source.name": "aio-tune search",
            "mlflow.source.type": "LOCAL",
        }
        if child:
            tags["mlflow.parentRunId"] = str(self._notes.search_run)
        name = f"{progress.name}/{write.trial:04d}" if child else progress.name
        run = self._client.create_run(self._experiment_id, start_time=write.time, tags=tags, run_name=name)
        return str(run.info.run_id)

    def _log_inputs(self, run: str, write: Write, progress: Progress) -> None:
        """What a run starts from: the dataset, and for the search its space and environment.

        Doing it again changes nothing.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if "fingerprint" in progress.dataset:
            dataset = Dataset(
                name=Path(progress.dataset.get("path", "dataset")).name,
                digest=progress.dataset["fingerprint"][:_DIGEST_LENGTH],
                source_type="local",
                source=json.dumps({"uri": progress.dataset.get("path", "")}),
            )
            use = DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
            self._client.log_inputs(run, datasets=[use])
        for name in _STARTING_FILES if write.trial is None else ():
            if (file := self._ledger.with_name(name)).exists():
                self._client.log_artifact(run, str(file))


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
