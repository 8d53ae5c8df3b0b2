"""Pictures that are kept from one configuration to the next, since many configurations draw them alike."""

import contextlib
from collections.abc import Callable, Hashable

from cachetools import LRUCache

from aio_tune.expression import Floats

ROOM = 128 * 2**20
"""Bytes on a shelf: all folds of a few hundred profiles in two scalings."""


class Shelf:
    """Pictures of one dataset's rows; those asked for longest ago make room.

    Args:
        room: bytes, of all pictures together.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._kept: LRUCache[Hashable, Floats] = LRUCache(room, getsizeof=lambda pictures: pictures.nbytes)

    @property
    def nbytes(self) -> int:
        """Bytes of the pictures that are there."""
        return int(self._kept.currsize)

    def get(self, key: Hashable, draw: Callable[[], Floats]) -> Floats:
        """The pictures called ``key``, drawn now if they are not there; not to be written to."""
        if key in self._kept:
            return self._kept[key]
        pictures = draw()
        pictures.flags.writeable = False
        with contextlib.suppress(ValueError):  # larger than the shelf
            self._kept[key] = pictures
        return pictures
