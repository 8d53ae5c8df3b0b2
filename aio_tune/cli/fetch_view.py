"""Running downloads: bars on a terminal, plain lines into a file."""

from rich.progress import DownloadColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from aio_tune.cli.bars import Bars
from aio_tune.fetch import Watcher


class FetchView(Bars, Watcher):
    """Shows downloads on standard error, so that standard output holds results alone."""

    def __init__(self) -> None:
        super().__init__(DownloadColumn(), SpeedColumn())

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
