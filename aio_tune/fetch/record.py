"""``fetched.json``: what was downloaded into a folder, from where, and what is under way.

The record is replaced in one step and is on the disk before anything relies on it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aio_tune.errors import FetchError

RECORD = "fetched.json"
_LOCK = ".fetch.lock"


class Unfinished(BaseModel):
    """One version of a file at its address, as far as the server tells versions apart.

    Attributes:
        address: where it was asked for.
        size: bytes; None where the server did not tell.
        etag: the server's name for this version.
        last_modified: the server's date of this version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    size: int | None = Field(ge=0)
    etag: str | None
    last_modified: str | None

    @property
    def validator(self) -> str | None:
        """For If-Range: only a strong ETag promises equal bytes (RFC 9110, 13.1.5); else the date of the version."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.last_modified


class Fetched(BaseModel):
    """A whole file.

    Attributes:
        address: where it came from.
        size: bytes.
        sha256: hex digest of its bytes.
        etag: the server's name for this version, None where it has none.
        last_modified: the server's date of this version, None where it has none.
        time: when it was whole, ISO 8601, UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    etag: str | None
    last_modified: str | None
    time: str


class Record(BaseModel):
    """The content of ``fetched.json``; files by name."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[1] = 1
    accession: str
    files: dict[str, Fetched] = {}
    unfinished: dict[str, Unfinished] = {}

    def save(self, folder: Path) -> None:
        """Put the record on the disk, in place of the old one."""
        path = folder / RECORD
        new = path.with_name(path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            file.write(self.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync(folder)


@contextmanager
def open_record(folder: Path, accession: str) -> Iterator[Record]:
    """The record of a folder, which is made where there is none; no other process fetches into it meanwhile.

    Raises:
        FetchError: another process fetches into the folder, or its record is damaged or of another accession.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A file of its own: a folder cannot be locked on NFS, and the record is replaced by each writing.
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FetchError(
                f"Expected to be alone in {folder}. Received a folder that another aio-tune fetches into.",
                "Wait until it is done.",
            ) from error
        yield _read(folder / RECORD, accession)


def _read(path: Path, accession: str) -> Record:
    if not path.exists():
        return Record(accession=accession)
    try:
        record = Record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "its beginning"
        raise FetchError(
            f"Expected a record of downloads, format 1, in {path}. Received one with a fault at {where}: "
            f"{first['msg']}.",
            "Remove it: the files are then downloaded again.",
        ) from error
    if record.accession != accession:
        raise FetchError(f"Expected the record of {accession} in {path}. Received that of {record.accession!r}.")
    return record


def sync(path: Path) -> None:
    """Wait until a file, or the list of names that a folder is, is on the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
