"""Running downloads: bars on a terminal, plain lines into a file."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from aio_tune.fetch import Watcher


class FetchView(Watcher):
    """Shows downloads on standard error, so that standard output holds results alone."""

    def __init__(self) -> None:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            SpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def received(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, completed=done)
            if self._progress.disable:
                size = "size not told" if total is None else f"{total:,} bytes"
                self.note(f"{name}: {size}" + (f", {done:,} of them here already" if done else ""))
        self._progress.update(self._tasks[name], completed=done, total=total, description=name)

    def checking(self, name: str) -> None:
        if name in self._tasks:
            self._progress.update(self._tasks[name], description=f"{name} (checking)")

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False)
