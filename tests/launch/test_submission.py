"""The job API of a head that has forgotten a job; following real jobs is in tests/cluster."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import ray

from aio_tune.launch.submission import JobApi


class Head(BaseHTTPRequestHandler):
    """Answers like a head that was started again: it has no jobs."""

    def do_GET(self) -> None:
        version = {"version": "4", "ray_version": ray.__version__, "ray_commit": ray.__commit__, "session_name": "new"}
        known: dict[str, Any] = {"/api/version": version, "/api/jobs/": []}
        body = json.dumps(known.get(self.path, "Job does not exist")).encode()
        self.send_response(200 if self.path in known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Silent."""


@pytest.fixture
def head() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Head)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_job_that_the_head_does_not_know_any_more_is_lost(head: str) -> None:
    said: list[str] = []
    outcome = JobApi(head).follow("aio-one.1", said.append, said.append)
    assert outcome.status == "LOST"
    assert "was started again" in outcome.message
    assert said == [], "it is not taken for one that does not answer"
