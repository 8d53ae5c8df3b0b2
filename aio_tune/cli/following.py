"""Searches that belong to another one: shown as they go, and mirrored to MLflow."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aio_tune.files import make_private

if TYPE_CHECKING:
    from aio_tune.config import RunFolder


class Follower:
    """Shows the events of confirming searches, and mirrors them to MLflow, one search after the other."""

    def __init__(self, uri: str, experiment: str, quiet: bool) -> None:
        from aio_tune.tracking import ensure_store

        ensure_store(uri, None, experiment)
        self._uri, self._experiment, self._quiet = uri, experiment, quiet
        self._mirror: Any = None

    def follow(
        self, run: "RunFolder", metric: str, trials: int, n_rungs: int = 1
    ) -> Callable[[Mapping[str, Any]], None]:
        """Mirror a search's ledger from now on; returns who is to be told its events.

        Args:
            run: its folder, made if it is not there.
            metric: by which its trials are judged.
            trials: how many it will have.
            n_rungs: of each.
        """
        from aio_tune.cli.progress import SearchView
        from aio_tune.tracking import Mirror

        self.close()
        make_private(run.path)
        self._mirror = Mirror(run.ledger, self._uri, self._experiment).start()
        if self._quiet:
            return lambda event: None
        return SearchView(trials, metric, n_rungs, live=False)

    def send(self, run: "RunFolder") -> None:
        """Tell MLflow what the search's own ledger holds beyond what it knows."""
        from aio_tune.tracking import Mirror

        with Mirror(run.ledger, self._uri, self._experiment) as mirror:
            mirror.flush()

    def close(self, hurry: bool = False) -> None:
        """Wait until MLflow knows all, a minute at most; only seconds in a hurry. What is left is sent another time."""
        if self._mirror is not None:
            self._mirror.close(4.0 if hurry else 60.0)
            self._mirror = None
