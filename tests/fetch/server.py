"""A web server on this computer that can be told to misbehave: real sockets, real lost connections."""

import hashlib
import re
import socket
import ssl
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Page:
    """One version of one file."""

    content: bytes
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]

    @property
    def range(self) -> str | None:
        return self.headers.get("Range")


@dataclass
class Site:
    """What a server has and how it behaves: each behaviour is for one request, then it is honest again.

    Attributes:
        pages: by path.
        asked: every request so far.
        script: behaviours still to come, by path; under ``*`` those for any path.
        release: set it to let stalled answers end.
        address: of the server.
    """

    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    script: dict[str, list["Behaviour"]] = field(default_factory=lambda: defaultdict(list))
    release: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    def put(self, path: str, content: bytes, *, etag: str | None = "strong", last_modified: str | None = None) -> None:
        """``etag``: "strong" and "weak" are made from the content."""
        digest = hashlib.sha256(content).hexdigest()[:16]
        etag = {"strong": f'"{digest}"', "weak": f'W/"{digest}"'}.get(etag or "", etag)
        self.pages[path] = Page(content, etag, last_modified)

    def will(self, *behaviours: "Behaviour", path: str = "*") -> None:
        self.script[path] += behaviours


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # what was written before a cut is then on its way
    site: Site

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.site.asked.append(Asked(self.path, dict(self.headers)))
        for path in (self.path, "*"):
            if self.site.script[path]:
                self.site.script[path].pop(0)(self)
                return
        honest(self)

    @property
    def page(self) -> Page:
        return self.site.pages[self.path]

    def head(self, status: int, headers: Mapping[str, object]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, str(value))
        self.end_headers()

    def cut(self) -> None:
        """Lose the connection, with a reset."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def send_slowly(self, content: bytes) -> None:
        """8 KiB at a time until the other side goes or the site is released."""
        try:
            for i in range(0, len(content), 8192):
                self.wfile.write(content[i : i + 8192])
                self.site.release.wait(0.01)
        except OSError:
            self.close_connection = True


Behaviour = Callable[[Handler], None]


def validators(page: Page) -> dict[str, object]:
    return {"ETag": page.etag, "Last-Modified": page.last_modified}


def plan(handler: Handler, *, obey_if_range: bool = True) -> tuple[int, dict[str, object], bytes]:
    """The honest answer: status, headers, body."""
    page = handler.site.pages.get(handler.path)
    if page is None:
        return 404, {"Content-Length": 0}, b""
    size = len(page.content)
    match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    condition = handler.headers.get("If-Range")
    if obey_if_range and condition is not None and condition not in (page.etag, page.last_modified):
        match = None
    if match is None:
        return 200, {"Content-Length": size, **validators(page)}, page.content
    start = int(match[1])
    if start >= size:
        return 416, {"Content-Length": 0, "Content-Range": f"bytes */{size}"}, b""
    body = page.content[start:]
    headers = {"Content-Length": len(body), "Content-Range": f"bytes {start}-{size - 1}/{size}", **validators(page)}
    return 206, headers, body


def honest(handler: Handler) -> None:
    status, headers, body = plan(handler)
    handler.head(status, headers)
    handler.wfile.write(body)


def no_if_range(handler: Handler) -> None:
    """Knows Range, but not If-Range, and names no version."""
    status, headers, body = plan(handler, obey_if_range=False)
    handler.head(status, {key: value for key, value in headers.items() if key not in ("ETag", "Last-Modified")})
    handler.wfile.write(body)


def no_if_range_but_etag(handler: Handler) -> None:
    """Knows Range, but not If-Range."""
    status, headers, body = plan(handler, obey_if_range=False)
    handler.head(status, headers)
    handler.wfile.write(body)


def no_ranges(handler: Handler) -> None:
    page = handler.page
    handler.head(200, {"Content-Length": len(page.content), **validators(page)})
    handler.wfile.write(page.content)


def cut_after(n: int) -> Behaviour:
    """The honest answer, lost after ``n`` bytes of its body."""

    def behave(handler: Handler) -> None:
        status, headers, body = plan(handler)
        handler.head(status, headers)
        handler.wfile.write(body[:n])
        handler.cut()

    return behave


def closed_after(n: int, **wrong: object) -> Behaviour:
    """As `cut_after`, but closed in an orderly way."""

    def behave(handler: Handler) -> None:
        status, headers, body = plan(handler)
        handler.head(status, {**headers, **{key.replace("_", "-"): value for key, value in wrong.items()}})
        handler.wfile.write(body[:n])
        handler.close_connection = True

    return behave


def cut_at_once(handler: Handler) -> None:
    handler.cut()


def status(code: int, **headers: object) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.head(code, {"Content-Length": 0, **{key.replace("_", "-"): value for key, value in headers.items()}})

    return behave


def redirect(target: str) -> Behaviour:
    return status(302, Location=target)


def wrong_range(content_range: str | None, shift: int = 0, *, alter: bool = False) -> Behaviour:
    """A 206 that says ``content_range`` whatever it sends; the bytes begin ``shift`` from where they should."""

    def behave(handler: Handler) -> None:
        _, headers, _ = plan(handler)
        start = int(re.sub(r"\D", "", handler.headers.get("Range", "0")))
        body = handler.page.content[max(0, start + shift) :]
        body = body[: len(body) // 2] + bytes(100) + body[len(body) // 2 + 100 :] if alter else body
        handler.head(206, {**headers, "Content-Length": len(body), "Content-Range": content_range})
        handler.wfile.write(body)

    return behave


def says_length(n: int) -> Behaviour:
    """A 200 that claims ``n`` bytes and closes after what there is, or after ``n``."""

    def behave(handler: Handler) -> None:
        handler.head(200, {"Content-Length": n, **validators(handler.page)})
        handler.wfile.write(handler.page.content[:n])
        handler.close_connection = True

    return behave


def no_length(n: int | None = None) -> Behaviour:
    """The body ends where the connection does, after ``n`` bytes."""

    def behave(handler: Handler) -> None:
        handler.head(200, {"Connection": "close", **validators(handler.page)})
        handler.wfile.write(handler.page.content[:n])
        handler.close_connection = True

    return behave


def chunked(n: int | None = None) -> Behaviour:
    """In chunks of 5,000 bytes; lost after ``n`` bytes, without the last chunk."""

    def behave(handler: Handler) -> None:
        content = handler.page.content
        handler.head(200, {"Transfer-Encoding": "chunked", **validators(handler.page)})
        for i in range(0, len(content) if n is None else n, 5000):
            piece = content[i : i + 5000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if n is None:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return behave


def endless(handler: Handler) -> None:
    """Zeros until the other side goes."""
    handler.head(200, {"Connection": "close"})
    handler.close_connection = True
    try:
        while not handler.site.release.is_set():
            handler.wfile.write(bytes(65536))
    except OSError:
        pass


def stall_after(n: int) -> Behaviour:
    """The honest answer, silent after ``n`` bytes."""

    def behave(handler: Handler) -> None:
        code, headers, body = plan(handler)
        handler.head(code, headers)
        handler.wfile.write(body[:n])
        handler.wfile.flush()
        handler.site.release.wait(30)
        handler.close_connection = True

    return behave


def slowly(handler: Handler) -> None:
    """The honest answer, 8 KiB every 10 ms."""
    code, headers, body = plan(handler)
    handler.head(code, headers)
    handler.send_slowly(body)


def sends(content: bytes, **headers: object) -> Behaviour:
    """Something else, with a right length."""

    def behave(handler: Handler) -> None:
        handler.head(200, {"Content-Length": len(content), **headers})
        handler.wfile.write(content)

    return behave


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes is what the tests are about."""


@contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[Site]:
    """A site on a free port, encrypted if there is a context."""
    site = Site()
    handler = type("BoundHandler", (Handler,), {"site": site, "timeout": 30})
    server = _Server(("127.0.0.1", 0), handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    site.address = f"http{'s' if context else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


LAST_MODIFIED = formatdate(1_600_000_000, usegmt=True)
LATER = formatdate(1_700_000_000, usegmt=True)
