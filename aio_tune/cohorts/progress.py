"""What long work tells of how far it is, for whoever asked around the call; the work itself never prints.

    with telling(view):          # view("reading GSE96058.csv.gz", 1_048_576, 721_000_000), again and again
        cohorts = read_folder(folder)

A context variable and not an argument: between the command that shows a bar and the loop that reads a file lie the
readers of every cohort format, none of which has any other use for it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is, in any unit."""

_TELL: ContextVar[Tell | None] = ContextVar("aio_tune_tell", default=None)


@contextmanager
def telling(tell: Tell) -> Iterator[None]:
    """Within the block, and in this thread, long work tells ``tell`` how far it is."""
    before = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(before)


def tell(what: str, done: int, total: int) -> None:
    """Say how far ``what`` is to whoever asked; cheap when nobody did."""
    listener = _TELL.get()
    if listener is not None:
        listener(what, done, total)
