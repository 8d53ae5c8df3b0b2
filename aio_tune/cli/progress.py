"""A running search: a live table on a terminal, plain lines into a file."""

import itertools
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from aio_tune.cli.console import say
from aio_tune.numbers import duration, mean_sd, number
from aio_tune.search.state import SearchState, TrialRecord

ROWS = 15
_PER_SECOND = 2


class SearchView:
    """Shows the events of a search as they are written; call it with each one.

    Args:
        trials: how many trials the search will have.
        metric: the number the trials are ranked by.
        n_rungs: how many rungs a complete trial climbs.
        live: whether to draw a table in place (a terminal) or lines (a file, a pipe); found out if not said.
    """

    def __init__(self, trials: int, metric: str, n_rungs: int, live: bool | None = None) -> None:
        self._trials = trials
        self._metric = metric
        self._n_rungs = n_rungs
        self._state = SearchState()
        self._began = time.monotonic()
        self._ended_before = 0
        use_live = sys.stdout.isatty() if live is None else live
        self._live = Live(console=Console(), refresh_per_second=_PER_SECOND, transient=False) if use_live else None
        self._drawn = float("-inf")

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live:
            self._live.update(self._table())
            self._live.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        self._state.apply(event)
        if event["kind"] == "search_resumed":
            # What an earlier driver did says nothing of how fast this one is.
            self._ended_before = self._ended
        if self._live:
            # Before a search of many trials is resumed, all its events come by.
            if time.monotonic() - self._drawn > 1 / _PER_SECOND:
                self._live.update(self._table())
                self._drawn = time.monotonic()
        elif line := self._line(event):
            say(line)

    @property
    def _ended(self) -> int:
        return len(self._state.trials) - len(self._state.running)

    def _time_left(self) -> str:
        done = self._ended - self._ended_before
        if not done:
            return "?"
        seconds = (time.monotonic() - self._began) / done * (self._trials - self._ended)
        return duration(seconds)

    def _best(self) -> str:
        best = self._state.best
        if best is None:
            return "none yet"
        return f"{mean_sd(best.cv.get(self._metric))} (trial {best.number})"

    def _line(self, event: Mapping[str, Any]) -> str:
        if event["kind"] == "rung_reported":
            return (
                f"trial {event['trial']:>3}  rung {event['rung'] + 1}/{self._n_rungs}  "
                f"folds {len(event['folds'])}  epoch {event['epoch']:>3}  "
                f"CV {self._metric} {number(event['value'])}  best {self._best()}  left {self._time_left()}"
            )
        if event["kind"] == "trial_ended":
            return f"trial {event['trial']:>3}  {event['state']}: {event['reason']}  best {self._best()}"
        if event["kind"] == "search_resumed":
            return f"resumed: {self._ended} trials ended before, {len(event['unfinished'])} go on"
        return ""

    def _table(self) -> Group:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("trial", "state", "rung", "folds", "epoch", f"CV {self._metric}", "seconds"):
            table.add_column(column, justify="right" if column != "state" else "left")
        for trial in self._newest():
            style = {"COMPLETE": "green", "FAIL": "red", "PRUNED": "dim"}.get(trial.state, "")
            value = mean_sd(trial.cv.get(self._metric, (trial.value, None)))
            rung = f"{trial.rung + 1}/{self._n_rungs}"
            cells = (trial.number, trial.state, rung, len(trial.folds), trial.epoch, value, round(trial.seconds))
            table.add_row(*[str(cell) for cell in cells], style=style)
        head = Text(f"{self._ended}/{self._trials} trials   best {self._best()}   left {self._time_left()}")
        return Group(head, table)

    def _newest(self) -> list[TrialRecord]:
        """Running trials first, then the newest; without a look at all of them."""
        running = self._state.running[::-1]
        others = (trial for trial in reversed(self._state.trials.values()) if trial.state != "RUNNING")
        return [*running, *itertools.islice(others, max(0, ROWS - len(running)))][:ROWS]
