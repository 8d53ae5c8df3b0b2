"""One file: asked for, gone on with, checked, put in place."""

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses

import requests

from aio_tune.errors import FetchError
from aio_tune.fetch.catalogue import RemoteFile
from aio_tune.fetch.part import Part
from aio_tune.fetch.patience import Attempts, PassingError, Patience
from aio_tune.fetch.record import Fetched, Unfinished
from aio_tune.fetch.verify import DamagedError, check_gzip
from aio_tune.fetch.watching import Watcher
from aio_tune.fetch.web import answer, body

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")
_MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass
class Download:
    """The download of one gzip file.

    Attributes:
        file: what to download.
        part: where its bytes go.
        session: connections.
        limit: largest size, bytes: of the file, and of what is in it.
        patience: when to try again.
        watcher: told of every step.
    """

    file: RemoteFile
    part: Part
    session: requests.Session
    limit: int
    patience: Patience
    watcher: Watcher

    def run(self) -> Fetched:
        """Download until the file is whole, and put it in place.

        Raises:
            FetchError: it cannot be had, or what comes is not a whole gzip file within the limit. What may be gone on
                with is kept.
        """
        attempts = Attempts(self.patience, self.file.name)
        begun_again = False
        while True:
            try:
                in_pieces = self._transfer()
            except PassingError as failure:
                wait = attempts.wait_after(failure, self.part.size)
                self.watcher.note(f"{self.file.name}: received {failure}; trying again in {wait:.1f} s.")
                time.sleep(wait)
                continue
            self.watcher.checking(self.file.name)
            try:
                check_gzip(self.part.path, self.limit)
            except DamagedError as damage:
                self.part.discard()
                if begun_again or not in_pieces:
                    raise FetchError(
                        f"Expected a whole gzip file from {self.file.address}. Received something else ({damage})."
                    ) from damage
                begun_again = True
                self.watcher.note(f"{self.file.name}: the pieces do not make a whole ({damage}); starting anew.")
                continue
            except FetchError:
                self.part.discard()
                raise
            return self.part.finish()

    def _transfer(self) -> bool:
        """Get all bytes that are not on the disk yet; returns whether some were there before this connection.

        Raises:
            PassingError: not all of them came.
            FetchError: they will not come.
        """
        held = self.part.held(self.file.address)
        offset = self.part.size if held else 0
        if held and offset == held.size:
            return True
        # Without If-Range, the end of a new version would be put behind the beginning of the old one.
        wanted = {"Range": f"bytes={offset}-", "If-Range": held.validator or ""} if held else {}
        with answer(self.session, self.file.address, wanted, self.patience) as response:
            if response.status_code == HTTPStatus.OK:
                if held:
                    self.watcher.note(
                        f"{self.file.name}: another version is there now, or the server cannot go on from "
                        f"{offset:,} bytes; starting anew."
                    )
                version = _version_of(response, self.file.address)
                self._refuse_large(version.size or 0)
                self.part.begin(version)
                self._receive(response, 0, version.size)
                return False
            if held and response.status_code == HTTPStatus.PARTIAL_CONTENT:
                fault = _fault_of_range(response, held, offset)
                if fault:
                    self.part.discard()
                    raise PassingError(fault)
                self._receive(response, offset, held.size)
                return True
            if held and response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self.part.discard()
                raise PassingError(f"word that there is nothing after {offset:,} bytes")
            raise _refusal(response, self.file)

    def _receive(self, response: requests.Response, offset: int, total: int | None) -> None:
        """Write the body behind the first ``offset`` bytes.

        Raises:
            PassingError: the connection was lost, or the size is not ``total``.
            FetchError: it is larger than the limit.
        """
        self.watcher.received(self.file.name, offset, total)
        with self.part.path.open("ab", buffering=0) as target:
            for piece in body(response):
                offset += len(piece)
                self._refuse_large(offset)
                target.write(piece)
                self.watcher.received(self.file.name, offset, total)
        if total is not None and offset != total:
            raise PassingError(f"{offset:,} bytes of {total:,}")

    def _refuse_large(self, size: int) -> None:
        if size > self.limit:
            self.part.discard()
            raise FetchError(
                f"Expected at most {self.limit:,} bytes from {self.file.address}. Received {size:,} or more.",
                "Raise --limit if this is what you want.",
            )


def _version_of(response: requests.Response, address: str) -> Unfinished:
    return Unfinished(
        address=address,
        size=_length_of(response),
        etag=response.headers.get("ETag"),
        last_modified=response.headers.get("Last-Modified"),
    )


def _length_of(response: requests.Response) -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if re.fullmatch(r"\d{1,18}", length) else None


def _fault_of_range(response: requests.Response, held: Unfinished, offset: int) -> str:
    """Why the body cannot go behind the bytes that are held; empty where it can."""
    field = response.headers.get("Content-Range", "")
    match = _CONTENT_RANGE.fullmatch(field.strip())
    if match is None:
        return f"a part without a clear Content-Range ({field!r})"
    first, last, total = map(int, match.groups())
    if (first, total) != (offset, held.size) or not first <= last < total:
        return f"the bytes {first:,} to {last:,} of {total:,} instead of those from {offset:,} of {held.size:,}"
    length = _length_of(response)
    if length is not None and length != last - first + 1:
        return f"a part of {length:,} bytes that claims to be {last - first + 1:,}"
    # A server may know ranges and yet not If-Range.
    now = _version_of(response, held.address)
    for before, after in ((held.etag, now.etag), (held.last_modified, now.last_modified)):
        if before and after and before != after:
            return f"a part of another version ({after} instead of {before})"
    return ""


def _refusal(response: requests.Response, file: RemoteFile) -> Exception:
    """The error for an answer that brings no bytes."""
    status = response.status_code
    name = f"{status} {responses.get(status, '')}".strip()
    if status in _MAY_PASS:
        return PassingError(f"the answer {name}", response.headers.get("Retry-After"))
    return FetchError(
        f"Expected the file at {file.address}. Received the answer {name}.",
        "Look whether the address still holds it; a mirror can be named with --base or --gencode-base.",
    )
