"""Accessions -> folders of whole files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from aio_tune.errors import FetchError
from aio_tune.fetch.catalogue import RemoteFile, Sources
from aio_tune.fetch.download import Download
from aio_tune.fetch.part import Part
from aio_tune.fetch.patience import Patience
from aio_tune.fetch.record import Fetched, Record, open_record
from aio_tune.fetch.verify import is_unchanged
from aio_tune.fetch.watching import Watcher
from aio_tune.fetch.web import open_session

LIMIT = 16_000_000_000
"""Bytes: GSE96058's 30,865 x 3,409 numbers are 2 GB at 20 characters each, and this is eight times that."""


@dataclass(frozen=True)
class Outcome:
    """A whole file in its folder.

    Attributes:
        accession: what it belongs to.
        path: where it is.
        fetched: what the record says of it.
        is_new: whether it was downloaded just now; else it was there, unchanged.
    """

    accession: str
    path: Path
    fetched: Fetched
    is_new: bool


def fetch(
    accessions: Iterable[str],
    to: Path,
    sources: Sources | None = None,
    *,
    limit: int = LIMIT,
    patience: Patience | None = None,
    watcher: Watcher | None = None,
) -> list[Outcome]:
    """Download the files of accessions into one folder for each, ``to/ACCESSION``; what is there is left alone.

    Stopped anywhere, even killed, it goes on from there when called again. A file that is there but is not, byte for
    byte, what the folder's record says is downloaded again, and replaced once the new one is whole.

    Args:
        accessions: words of `catalogue.ACCESSIONS`, in any case.
        to: the folder; made where there is none.
        sources: where the files lie; by default at their public homes.
        limit: largest size of a file, compressed or not, bytes.
        patience: when to try again and when to give up.
        watcher: told of every step.

    Raises:
        FetchError: an unknown accession (before anything is asked for), or a file that cannot be had whole.
        OSError: the disk refused.
    """
    sources = sources or Sources()
    patience = patience or Patience()
    watcher = watcher or Watcher()
    plan = {accession: sources.files_of(accession) for accession in (word.upper() for word in accessions)}
    if not plan:
        raise FetchError("Expected at least one accession. Received none.")
    outcomes: list[Outcome] = []
    with open_session((sources.geo, sources.gencode)) as session:
        for accession, files in plan.items():
            folder = to / accession
            with open_record(folder, accession) as record:
                for file in files:
                    path = folder / file.name
                    there = _present(path, file, record, watcher)
                    part = Part(folder, file.name, record)
                    fetched = there or Download(file, part, session, limit, patience, watcher).run()
                    outcomes.append(Outcome(accession, path, fetched, is_new=there is None))
    return outcomes


def _present(path: Path, file: RemoteFile, record: Record, watcher: Watcher) -> Fetched | None:
    """What the record says of the file, if the file is as it says."""
    fetched = record.files.get(file.name)
    if fetched and is_unchanged(path, fetched):
        return fetched
    if path.exists():
        why = "is not what was fetched" if fetched else "was not fetched by this command"
        watcher.note(f"{path} {why}: it is replaced once the new one is whole.")
    return None
