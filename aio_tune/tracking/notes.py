"""What a mirror keeps beside the ledger: how far one store was told of it, and which run there belongs to which trial.

A file for each store: ``tracking.json`` for the first, ``tracking-<hash>.json`` for others, so that a search whose
store changes, and changes back, gives neither the runs of the other.
"""

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aio_tune.errors import SearchError
from aio_tune.files import write_json
from aio_tune.tracking.client import redacted, store_name
from aio_tune.tracking.runs import Progress

_log = logging.getLogger(__name__)

FORMAT = 1


@dataclass
class Notes:
    """All that a restart needs, for one store.

    Attributes:
        path: the file.
        store: see ``store_name``.
        offset: bytes of the ledger that the store was told of.
        search_run: id of the search's own run, once it exists.
        trial_runs: trial -> id of its run. Keys are text because JSON has no others.
        progress: of the translation.
    """

    path: Path
    store: str
    offset: int = 0
    search_run: str | None = None
    trial_runs: dict[str, str] = field(default_factory=dict)
    progress: Progress = field(default_factory=Progress)

    def save(self) -> None:
        """Keep them; what was kept before stays if this cannot be."""
        facts = {
            "format": FORMAT,
            "store": self.store,
            "offset": self.offset,
            "search_run": self.search_run,
            "trial_runs": self.trial_runs,
            "progress": self.progress.to_json(),
        }
        write_json(self.path, facts)


def read_notes(ledger: Path, uri: str) -> Notes:
    """The notes on a ledger for the store at ``uri``; empty ones if it was not told of it yet.

    Notes that name no store, as older ones do not, are taken to be on this one.

    Raises:
        SearchError: they are damaged.
    """
    store, path = store_name(uri), ledger.with_name("tracking.json")
    facts = _facts(path)
    if facts is not None and (other := facts.get("store", store)) != store:
        path = ledger.with_name(f"tracking-{hashlib.sha256(store.encode()).hexdigest()[:12]}.json")
        facts = _facts(path)
        if facts is None:
            _log.warning(
                "MLflow at %s was not told of this search before, but %s was: all of it is sent now.",
                redacted(uri), other,
            )  # fmt: skip
    if facts is None:
        return Notes(path, store)
    progress = Progress.from_json(facts["progress"])
    return Notes(path, store, facts["offset"], facts["search_run"], facts["trial_runs"], progress)


def _facts(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        facts = json.loads(path.read_text())
    except ValueError as error:
        raise SearchError(
            f"Expected JSON in {path}. Received something else: {error}.",
            "Delete the file; the runs are found again by their tags.",
        ) from error
    if facts.get("format") != FORMAT:
        raise SearchError(f"Expected format {FORMAT} in {path}. Received {facts.get('format')!r}.")
    return dict(facts)
