"""A matrix whose number of columns is not known before the last one has come."""

import numpy as np
import numpy.typing as npt

_SPARE = 1.02  # so much more room than is expected to be needed


class GrowingMatrix:
    """float32, C-contiguous, filled with blocks of columns; it grows and ends in place, never beside a second one.

    Args:
        n_rows: how many rows every block has.
    """

    def __init__(self, n_rows: int) -> None:
        self._n_rows = n_rows
        self._room = 0  # columns there is room for
        self._used = 0
        self._flat = np.empty(0, np.float32)

    def append(self, block: npt.NDArray[np.float32], share: float) -> None:
        """Adds columns at the right.

        Args:
            block: shape (n_new_columns, n_rows): as lines of a file come.
            share: of all columns, about how much is here when this block is: 0 to 1; decides how much room is made.
        """
        needed = self._used + len(block)
        if needed > self._room:
            self._make_room(max(needed, int(needed / min(max(share, 0.001), 1.0) * _SPARE)))
        self._flat.reshape(self._n_rows, self._room)[:, self._used : needed] = block.T
        self._used = needed

    def finish(self) -> npt.NDArray[np.float32]:
        """The matrix, shape (n_rows, all columns); to be called once, at the end."""
        self._make_room(self._used)
        return self._flat.reshape(self._n_rows, self._used)

    def _make_room(self, room: int) -> None:
        """Moves the rows apart or together within the same memory."""
        old, used = self._room, self._used
        if room > old:
            self._resize(self._n_rows * room)
        # A row must not be written over before it is moved: apart from the last one on, together from the first one on.
        for row in range(self._n_rows - 1, 0, -1) if room > old else range(1, self._n_rows):
            self._flat[row * room : row * room + used] = self._flat[row * old : row * old + used]
        if room < old:
            self._resize(self._n_rows * room)
        self._room = room

    def _resize(self, size: int) -> None:
        # No view of it is left anywhere: those of append are gone, and finish is the last call.
        self._flat.resize(size, refcheck=False)
