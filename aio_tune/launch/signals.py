"""Signals heard for the length of a block."""

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType


@contextlib.contextmanager
def hearing(numbers: Sequence[signal.Signals], hear: Callable[[int], None]) -> Iterator[None]:
    """Call ``hear`` with the number of each of these signals, and nothing else that they would do.

    It runs between two steps of the main thread: let it note what it heard, for a loop to act on, or raise.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        hear(number)

    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None was not set from Python, and cannot be set again from there.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
