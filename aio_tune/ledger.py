"""The ledger: the append-only record of a search, from which everything else can be rebuilt.

One event per line, each a JSON object with ``kind`` (what happened) and ``time`` (seconds since 1970, UTC). What
``Ledger.append`` has returned is on the disk; what a crash cut short has no line end, so it was never acted on and is
passed over when reading and cut off when the file is next opened for writing.
"""

import fcntl
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from aio_tune.errors import SearchError

Event = dict[str, Any]


class Ledger:
    """The one writer of a ledger file.

    Guarantees:
        - when ``append`` returns the event is on the disk, whole;
        - lines never mix and nothing already written is ever changed;
        - a second writer, in this or another process of this machine, is refused;
        - opening cuts off a torn last line (``healed_bytes`` says how much), so that the next event starts a line.

    Raises:
        SearchError: the file cannot be opened, or another writer has it open.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # O_APPEND: each write goes to the end, whatever else happens to the file's position.
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise SearchError(f"Expected to write the ledger {path}. Received: {error.strerror}.") from error
        try:
            # flock, not lockf: a POSIX lock would be lost as soon as any reader in this process closed the file.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._size = self._heal()
        except BlockingIOError as error:
            os.close(self._file)
            raise SearchError(
                f"Expected to be the only writer of {path}. Received: another process is writing it.",
                "Wait for that search to end, or stop it, or choose another name.",
            ) from error
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, kind: str, **facts: Any) -> Event:
        """Add one event and wait until it is on the disk.

        Args:
            kind: what happened, e.g. ``"trial_asked"``.
            **facts: JSON-like values; NumPy scalars and arrays are written as numbers and lists, NaN and infinities,
                which JSON lacks, as null.

        Returns:
            The event as a reader will see it.

        Raises:
            SearchError: the ledger is closed, or the disk refused; then nothing of the event remains and the ledger
                is closed, because what a failed fsync has kept is unknown.
            TypeError: a fact is not JSON-like.
            ValueError: a fact is called ``time``.
        """
        if "time" in facts:
            raise ValueError("Expected facts not called 'time', which the ledger sets. Received one.")
        line = json.dumps(strict_json({"kind": kind, "time": time.time(), **facts}), allow_nan=False)
        data = line.encode() + b"\n"
        if self._file < 0:
            raise SearchError(f"Expected an open ledger. Received {self.path}, which is closed.")
        try:
            written = os.write(self._file, data)  # one call per line, so that readers never see lines mixed
            if written != len(data):
                raise OSError(None, f"only {written} of {len(data)} bytes could be written")
            os.fsync(self._file)
        except OSError as error:
            self._undo()
            raise SearchError(
                f"Expected to add a line to {self.path}. Received: {error.strerror}.",
                "Make room on the disk, then resume the search.",
            ) from error
        self._size += len(data)
        event: Event = json.loads(line)
        return event

    def close(self) -> None:
        """Give up the file and its lock. Closing twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _heal(self) -> int:
        """Cut a torn last line off; returns the size of what is left, bytes."""
        content = self.path.read_bytes()
        _, whole = _parse(content, 0, self.path)
        self.healed_bytes = len(content) - whole
        if self.healed_bytes:
            os.ftruncate(self._file, whole)
        os.fsync(self._file)
        # A new file lasts only once the folder that names it is on the disk too.
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return whole

    def _undo(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            pass  # the half line stays; the next opening cuts it off
        finally:
            self.close()


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The whole events from a byte offset on; may be called while the ledger is being written.

    Args:
        path: the ledger.
        offset: 0, or what an earlier call returned.

    Returns:
        The events, and the offset to go on from: just behind the last whole line.

    Raises:
        SearchError: the file is missing or shorter than ``offset``, or a line before the last is damaged.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if offset > size:
                raise SearchError(f"Expected at least {offset} bytes in {path}. Received {size}: it was replaced.")
            file.seek(offset)
            content = file.read()
    except OSError as error:
        raise SearchError(f"Expected a ledger at {path}. Received: {error.strerror}.") from error
    events, whole = _parse(content, offset, path)
    return events, offset + whole


def strict_json(value: Any) -> Any:
    """``value`` in the types that JSON has: NaN and infinities become None, NumPy values plain ones.

    Raises:
        TypeError: a value, or a key of a mapping, has no counterpart.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray | np.generic):
        return strict_json(value.tolist())
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, Mapping):
        return {_key(key): strict_json(item) for key, item in value.items()}
    raise TypeError(f"Expected a JSON-like value. Received {type(value).__name__}.")


def _key(key: object) -> str:
    if isinstance(key, str | int | np.integer) and not isinstance(key, bool):
        return str(key)
    raise TypeError(f"Expected text or whole numbers as keys. Received {type(key).__name__}.")


def _parse(content: bytes, offset: int, path: Path) -> tuple[list[Event], int]:
    """The events of whole lines, and the number of bytes that those lines take.

    The last line is torn if it has no line end, or if it has one but is no event: after a power cut a file system
    may keep the end of a write without its start. Anywhere else such a line means damage.
    """
    events: list[Event] = []
    whole = 0
    while (end := content.find(b"\n", whole)) >= 0:
        event = _event(content[whole:end])
        if event is None:
            if end + 1 == len(content):
                break
            raise SearchError(
                f"Expected one JSON event per line in {path}. Received something else at byte {offset + whole}.",
                "The file was damaged or edited: restore it from a copy.",
            )
        events.append(event)
        whole = end + 1
    return events, whole


def _event(line: bytes) -> Event | None:
    try:
        event = json.loads(line, parse_constant=_refuse_constant)
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        return None
    return event if isinstance(event, dict) and isinstance(event.get("kind"), str) else None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
