"""``NAME.part``: a file that is not whole yet, and the version of the remote file that its bytes are of."""

from datetime import UTC, datetime
from pathlib import Path

from aio_tune.fetch.record import Fetched, Record, Unfinished, sync
from aio_tune.files import sha256_of


class Part:
    """The beginning of a file.

    Guarantees:
        - bytes are only ever added to those of the same version of the remote file, across runs too;
        - nothing is at the file's own name until `finish`, and then the whole file is.

    Args:
        folder: where the file is to be.
        name: its name.
        record: of that folder; saved with every change.
    """

    def __init__(self, folder: Path, name: str, record: Record) -> None:
        self.path = folder / f"{name}.part"
        self._folder = folder
        self._name = name
        self._record = record

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return self.path.stat().st_size if self.path.exists() else 0

    def held(self, address: str) -> Unfinished | None:
        """The version that the bytes on the disk are of; None where they cannot be gone on from."""
        known = self._record.unfinished.get(self._name)
        size = self.size
        if known is None or known.address != address or known.size is None or not 0 < size <= known.size:
            return None
        return known if known.validator or size == known.size else None

    def begin(self, version: Unfinished) -> None:
        """Start anew, with no byte."""
        self.path.unlink(missing_ok=True)  # first: the record must never speak of a version the bytes are not of
        self._record.unfinished[self._name] = version
        self._record.save(self._folder)

    def discard(self) -> None:
        """Forget the bytes, if there are any."""
        self.path.unlink(missing_ok=True)
        if self._record.unfinished.pop(self._name, None):
            self._record.save(self._folder)

    def finish(self) -> Fetched:
        """Give the file its name, once it was found to be whole.

        The record comes first: killed in between, the next run finds the part whole, and the file missing.
        """
        sync(self.path)
        version = self._record.unfinished[self._name]
        fetched = Fetched(
            address=version.address,
            size=self.size,
            sha256=sha256_of(self.path),
            etag=version.etag,
            last_modified=version.last_modified,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        self._record.files[self._name] = fetched
        self._record.save(self._folder)
        self.path.replace(self._folder / self._name)
        sync(self._folder)
        del self._record.unfinished[self._name]
        self._record.save(self._folder)
        return fetched
