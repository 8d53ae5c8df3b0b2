"""A dataset being prepared: bars on a terminal, nothing into a file."""

from rich.progress import TaskProgressColumn

from aio_tune.cli.bars import Bars


class PrepareView(Bars):
    """One bar for every file read, every cohort converted and the writing, on standard error.

    Made to be handed to ``aio_tune.cohorts.progress.telling``.
    """

    def __init__(self) -> None:
        super().__init__(TaskProgressColumn())

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what)
        self._progress.update(self._tasks[what], completed=done, total=total)
