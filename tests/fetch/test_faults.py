"""Any sequence of faults and kills: never a half-written file at its own name, and in the end the whole one."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.errors import FetchError
from aio_tune.fetch import Sources, fetch
from tests.fetch.conftest import ACCESSION, EXPRESSION, EXPRESSION_PATH, MATRIX_PATH, QUICK, table
from tests.fetch.server import (
    Site,
    chunked,
    closed_after,
    cut_after,
    cut_at_once,
    no_if_range,
    no_length,
    no_ranges,
    redirect,
    says_length,
    sends,
    serving,
    slowly,
    status,
    wrong_range,
)

SIZE = len(table(1))
N = st.integers(0, SIZE)
FAULTS = st.one_of(
    N.map(cut_after),
    N.map(closed_after),
    N.map(says_length),
    N.map(chunked),
    N.map(no_length),
    N.map(lambda n: wrong_range(f"bytes {n}-{SIZE - 1}/{SIZE}")),
    st.integers(-3, 3).map(lambda shift: wrong_range(f"bytes 20000-{SIZE - 1}/{SIZE}", shift)),
    st.sampled_from([404, 416, 429, 500, 503]).map(status),
    st.sampled_from([cut_at_once, no_ranges, no_if_range, redirect(EXPRESSION_PATH), sends(b"no"), sends(b"")]),
)


@settings(max_examples=60, deadline=None)
@given(runs=st.lists(st.lists(FAULTS, max_size=4), max_size=4), changes=st.sets(st.integers(0, 3)))
def test_any_faults(runs: list, changes: set[int]) -> None:
    with serving() as site, TemporaryDirectory() as home:
        site.put(MATRIX_PATH, table(2, 300))
        target = Path(home) / ACCESSION / EXPRESSION
        versions = []
        for i, faults in enumerate([*runs, []]):
            if i == 0 or (i in changes and not target.exists()):
                versions.append(table(i + 1))
                site.put(EXPRESSION_PATH, versions[-1])
            site.script.clear()
            site.will(*faults, path=EXPRESSION_PATH)
            with suppress(FetchError):
                fetch([ACCESSION], Path(home), Sources(site.address), limit=10**6, patience=replace(QUICK, attempts=2))
            assert not target.exists() or target.read_bytes() in versions
        assert target.read_bytes() in versions


def start(site: Site, home: Path) -> subprocess.Popen[bytes]:
    words = ["fetch", ACCESSION, "--to", str(home), "--base", site.address]
    return subprocess.Popen(
        [sys.executable, "-m", "aio_tune.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_for(path: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    """Until the file has so many bytes."""
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(FileNotFoundError):
            if path.stat().st_size >= size:
                return
        time.sleep(0.005)
    raise AssertionError(f"{path.name} did not grow to {size} bytes; exit status {process.poll()}")


def test_killed_and_interrupted(site: Site, tmp_path: Path) -> None:
    site.put(EXPRESSION_PATH, table(1, 2_000_000))
    site.will(slowly, slowly, slowly, path=EXPRESSION_PATH)
    folder = tmp_path / ACCESSION
    part = folder / f"{EXPRESSION}.part"
    held = 0
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        process = start(site, tmp_path)
        wait_for(part, held + 100_000, process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert not (folder / EXPRESSION).exists()
        assert part.stat().st_size > held, "nothing of the former run was lost"
        held = part.stat().st_size
    assert process.returncode == 1
    assert out == b""
    last = err.decode().splitlines()[-1]
    assert last.startswith("aio-tune: The download was interrupted")
    assert f"aio-tune fetch {ACCESSION} --to {tmp_path} --base {site.address}" in last
    assert b"Traceback" not in err
    fetch([ACCESSION], tmp_path, Sources(site.address), patience=QUICK)
    assert (folder / EXPRESSION).read_bytes() == site.pages[EXPRESSION_PATH].content
    asked = [request.range for request in site.asked if request.path == EXPRESSION_PATH]
    assert asked[0] is None
    assert asked[-1] == f"bytes={held}-"
    assert len(asked) == 4
