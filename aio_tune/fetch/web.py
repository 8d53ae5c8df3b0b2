"""The way to the web: encrypted, with time-outs, and every failure told apart into "may pass" and "will not".

Proxies and certificates of the user's own come from the usual variables (HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE).
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from aio_tune.errors import FetchError
from aio_tune.fetch.patience import PassingError, Patience

_REDIRECTS = 5


class _PlainHttp(HTTPAdapter):
    """Unencrypted requests, to this computer and to the given origins only; redirects come through here too."""

    def __init__(self, origins: Iterable[str]) -> None:
        super().__init__()
        self._origins = frozenset(origins)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        address = request.url or ""
        if _origin(address) not in self._origins and not _is_loopback(urlsplit(address).hostname or ""):
            raise FetchError(
                f"Expected an encrypted address (https). Received {address}.",
                "Name the server with --base or --gencode-base if you trust the line to it.",
            )
        return super().send(request, *args, **kwargs)


@contextmanager
def open_session(bases: Iterable[str]) -> Iterator[requests.Session]:
    """Connections that are kept between files.

    Args:
        bases: addresses that the user named; plain http is spoken to those of them that begin with it.
    """
    with requests.Session() as session:
        session.max_redirects = _REDIRECTS
        # identity: the bytes on the disk must be those the lengths, ranges and checksums are about.
        session.headers.update({"User-Agent": "aio-tune", "Accept-Encoding": "identity"})
        session.mount("http://", _PlainHttp(_origin(base) for base in bases))
        yield session


@contextmanager
def answer(
    session: requests.Session, address: str, headers: Mapping[str, str], patience: Patience
) -> Iterator[requests.Response]:
    """The answer to one GET, its body still to be read with `body`.

    Raises:
        PassingError: no answer came, or the connection was lost.
        FetchError: the address is refused, its certificate is not good, or it redirects for ever.
    """
    try:
        response = session.get(address, headers=headers, stream=True, timeout=(patience.connect, patience.read))
    except requests.RequestException as error:
        reason = _reason(error)
        may_pass = isinstance(
            error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError
        )
        if may_pass and "CERTIFICATE_VERIFY_FAILED" not in reason:
            raise PassingError(f"no answer ({reason})") from error
        raise FetchError(f"Expected an answer from {address}. Received {reason}.") from error
    with response:
        yield response


def body(response: requests.Response, chunk: int = 1 << 16) -> Iterator[bytes]:
    """The body as it is on the wire, in pieces of up to ``chunk`` bytes, each as soon as it is there.

    Raises:
        PassingError: the connection was lost, or silent for too long.
    """
    try:
        while piece := response.raw.read1(chunk, decode_content=False):
            yield piece
    except HTTPError as error:
        raise PassingError(f"a connection that broke off ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """What went wrong, without the names of Python's classes around it."""
    inner = error.args[0] if error.args else error
    if isinstance(inner, MaxRetryError) and inner.reason is not None:
        inner = inner.reason
    if isinstance(inner, ProtocolError) and len(inner.args) > 1:
        inner = inner.args[1]
    return str(inner).rpartition("): ")[2].rstrip(".") or type(error).__name__


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
