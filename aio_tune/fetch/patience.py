"""How long to wait, how often to try again."""

import random
from dataclasses import dataclass

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from aio_tune.errors import FetchError


@dataclass(frozen=True)
class Patience:
    """When to try again and when to give up.

    Attributes:
        attempts: tries in a row that bring nothing new, 1 or more.
        first_wait: seconds before the second try; doubled for each further one.
        longest_wait: seconds, the bound of that doubling.
        longest_retry_after: seconds; a server that asks for a longer pause is left alone instead.
        connect: seconds to wait for a connection.
        read: seconds without a single byte after which a connection counts as lost.
        progress: bytes beyond the farthest point so far that count as something new: a large file over a bad line may
            take any number of connections, as long as each one brings it on.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 300.0
    connect: float = 15.0
    read: float = 60.0
    progress: int = 1 << 20


class PassingError(Exception):
    """A try that failed for a reason that may pass; never leaves this package.

    Args:
        reason: what came instead, to stand after "Received".
        retry_after: the server's header of that name, if it sent one.
    """

    def __init__(self, reason: str, retry_after: str | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class Attempts:
    """Counts the tries of one file."""

    def __init__(self, patience: Patience, name: str) -> None:
        self._patience = patience
        self._name = name
        self._failed = 0
        self._farthest = 0

    def wait_after(self, failure: PassingError, held: int) -> float:
        """Seconds to wait before the next try.

        Args:
            failure: of the try that just ended.
            held: bytes of the file that are on the disk now.

        Raises:
            FetchError: that was the last try, or the server asks for a longer pause than is worth waiting for.
        """
        patience = self._patience
        # Measured from the farthest point, not from the last: a file that starts anew each time must come to an end.
        if held >= self._farthest + patience.progress:
            self._failed = 0
        self._farthest = max(self._farthest, held)
        self._failed += 1
        keeps = "What came is kept: the same command goes on from there."
        asked = _seconds(failure.retry_after)
        if asked is not None and asked > patience.longest_retry_after:
            raise FetchError(
                f"Expected {self._name}. Received {failure}, with the request to come back in {asked:,.0f} s.", keeps
            )
        if self._failed >= patience.attempts:
            tries = "once" if self._failed == 1 else f"{self._failed} times in a row"
            raise FetchError(f"Expected {self._name}. Received {failure}, {tries}.", keeps)
        if asked is not None:
            return asked
        # Never the whole wait for everyone: many clients cut off at one moment would come back at one moment.
        wait = min(patience.longest_wait, patience.first_wait * 2.0 ** (self._failed - 1))
        return wait * random.uniform(0.5, 1.0)


def _seconds(retry_after: str | None) -> float | None:
    """From a number of seconds or a date; None for what is neither."""
    if retry_after is None:
        return None
    try:
        return float(Retry().parse_retry_after(retry_after))
    except (InvalidHeader, OverflowError, ValueError):
        return None
