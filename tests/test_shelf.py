"""What is kept for the next configuration."""

import numpy as np

from aio_tune.expression import Floats
from aio_tune.training import Shelf


def pictures(n: int) -> Floats:
    return np.zeros(n, np.float32)


def test_those_asked_for_longest_ago_make_room() -> None:
    shelf, drawn = Shelf(room=100), []

    def ask(key: str, n: int = 10) -> None:
        shelf.get(key, lambda: (drawn.append(key), pictures(n))[1])

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert drawn == ["a", "b", "c", "b"]
    assert shelf.nbytes == 80


def test_what_is_larger_than_the_shelf_is_not_kept_and_drives_nothing_out() -> None:
    shelf = Shelf(room=100)
    kept = shelf.get("small", lambda: pictures(10))
    assert len(shelf.get("large", lambda: pictures(26))) == 26
    assert shelf.nbytes == 40
    assert shelf.get("small", lambda: pictures(10)) is kept
