"""What a worker keeps from one configuration to the next, since many configurations need the same."""

import contextlib
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

import numpy as np
from cachetools import LRUCache

ROOM = 512 * 2**20
"""Bytes on a shelf: pictures of all folds of a few hundred profiles in two scalings, their initial weights, and some
twenty traced networks of ki67.yaml's embedding, of whose structures a search of 90 trials had 24."""


class Sized(Protocol):
    """What tells how many bytes it holds."""

    @property
    def nbytes(self) -> int: ...


Kept = TypeVar("Kept", bound=Sized)


class Shelf:
    """Pictures of one dataset's rows, networks and weights that they begin with; those asked for longest ago make room.

    Args:
        room: bytes, of all together.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._kept: LRUCache[Hashable, Sized] = LRUCache(room, getsizeof=lambda one: one.nbytes)

    @property
    def nbytes(self) -> int:
        """Bytes of what is there."""
        return int(self._kept.currsize)

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """What is called ``key``, made now if it is not there; an array is read-only from then on, as many have it."""
        if key in self._kept:
            return self._kept[key]  # type: ignore[return-value]  # made by the same caller's function
        made = make()
        if isinstance(made, np.ndarray):
            made.flags.writeable = False
        with contextlib.suppress(ValueError):  # larger than the shelf
            self._kept[key] = made
        return made
