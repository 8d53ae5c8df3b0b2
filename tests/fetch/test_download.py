"""Whatever the server does: a file at its own name is whole, and what can be gone on with is."""

import fcntl
import gzip
import hashlib
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest

from aio_tune.errors import FetchError
from aio_tune.fetch import Patience, Sources, Watcher, fetch
from tests.fetch.conftest import ACCESSION, EXPRESSION, EXPRESSION_PATH, MATRIX, MATRIX_PATH, QUICK, Get, table
from tests.fetch.server import (
    LAST_MODIFIED,
    LATER,
    Behaviour,
    Site,
    chunked,
    closed_after,
    cut_after,
    cut_at_once,
    endless,
    no_if_range,
    no_if_range_but_etag,
    no_length,
    no_ranges,
    redirect,
    says_length,
    sends,
    stall_after,
    status,
    wrong_range,
)

ONCE = replace(QUICK, attempts=1)


def expect_whole(site: Site, folder: Path) -> None:
    for path, name in ((EXPRESSION_PATH, EXPRESSION), (MATRIX_PATH, MATRIX)):
        assert (folder / name).read_bytes() == site.pages[path].content
    assert not list(folder.glob("*.part"))
    record = json.loads((folder / "fetched.json").read_text())
    assert record["unfinished"] == {}
    for name, entry in record["files"].items():
        content = (folder / name).read_bytes()
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
        assert entry["size"] == len(content)


def ranges(site: Site, path: str = EXPRESSION_PATH) -> list[str | None]:
    return [asked.range for asked in site.asked if asked.path == path]


def interrupt(get: Get, site: Site, folder: Path, after: int = 20_000) -> None:
    """A first run that ends after so many bytes of the expression table."""
    site.will(cut_after(after), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="goes on from there"):
        get(ONCE)
    assert (folder / f"{EXPRESSION}.part").read_bytes() == site.pages[EXPRESSION_PATH].content[:after]
    assert not (folder / EXPRESSION).exists()
    site.asked.clear()


# --- all is well


def test_files_and_record(site: Site, get: Get, folder: Path) -> None:
    site.put(MATRIX_PATH, table(2), etag=None, last_modified=LAST_MODIFIED)
    outcomes, heard = get()
    expect_whole(site, folder)
    assert [(o.path, o.is_new) for o in outcomes] == [(folder / EXPRESSION, True), (folder / MATRIX, True)]
    record = json.loads((folder / "fetched.json").read_text())
    assert (record["format"], record["accession"]) == (1, ACCESSION)
    entry = record["files"][EXPRESSION]
    assert entry["address"] == site.address + EXPRESSION_PATH
    assert entry["etag"] == site.pages[EXPRESSION_PATH].etag
    assert abs(datetime.fromisoformat(entry["time"]) - datetime.now(UTC)).total_seconds() < 60
    assert record["files"][MATRIX]["last_modified"] == LAST_MODIFIED
    size = len(site.pages[EXPRESSION_PATH].content)
    assert heard.steps[0] == (EXPRESSION, 0, size)
    assert (EXPRESSION, size, size) in heard.steps
    assert heard.checked == [EXPRESSION, MATRIX]
    assert heard.notes == []
    assert {asked.headers["Accept-Encoding"] for asked in site.asked} == {"identity"}


def test_a_second_run_asks_for_nothing(site: Site, get: Get, folder: Path) -> None:
    get()
    site.asked.clear()
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".fetch.lock"}
    outcomes, _ = get()
    assert [o.is_new for o in outcomes] == [False, False]
    assert site.asked == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_only_what_is_missing_is_fetched(site: Site, get: Get, folder: Path) -> None:
    get()
    (folder / MATRIX).unlink()
    site.asked.clear()
    outcomes, _ = get()
    assert [o.is_new for o in outcomes] == [False, True]
    assert [asked.path for asked in site.asked] == [MATRIX_PATH]
    expect_whole(site, folder)


def test_gene_positions_and_case(site: Site, tmp_path: Path) -> None:
    site.put("/pub/Gencode_human/release_9/gencode.v9.basic.annotation.gtf.gz", table(3))
    sources = Sources(site.address, f"{site.address}/pub/", 9)
    outcomes = fetch(["gencode", "GENCODE", "gse81538"], tmp_path, sources, patience=QUICK)
    assert [o.accession for o in outcomes] == ["GENCODE", ACCESSION, ACCESSION]
    assert outcomes[0].path == tmp_path / "GENCODE" / "gencode.v9.basic.annotation.gtf.gz"


def test_a_gzip_file_of_several_members(site: Site, get: Get, folder: Path) -> None:
    site.put(EXPRESSION_PATH, table(1) + table(2))
    get()
    expect_whole(site, folder)


# --- interruptions


def test_lost_connections_are_gone_on_from(site: Site, get: Get, folder: Path) -> None:
    site.will(cut_after(20_000), cut_at_once, cut_after(15_000), path=EXPRESSION_PATH)
    _, heard = get()
    expect_whole(site, folder)
    assert ranges(site) == [None, "bytes=20000-", "bytes=20000-", "bytes=35000-"]
    assert site.asked[1].headers["If-Range"] == site.pages[EXPRESSION_PATH].etag
    assert len(heard.notes) == 3
    assert all(EXPRESSION in note and "trying again" in note for note in heard.notes)


def test_the_next_run_goes_on(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    _, heard = get()
    expect_whole(site, folder)
    assert ranges(site) == ["bytes=20000-"]
    assert heard.steps[0][1] == 20_000


@pytest.mark.parametrize("closed", [closed_after(20_000), stall_after(20_000)])
def test_other_ways_to_end_early(site: Site, get: Get, folder: Path, closed: Behaviour) -> None:
    site.will(closed, path=EXPRESSION_PATH)
    get(replace(QUICK, read=1.0))
    expect_whole(site, folder)
    assert ranges(site) == [None, "bytes=20000-"]


def test_ctrl_c_leaves_the_part(site: Site, get: Get, folder: Path, tmp_path: Path) -> None:
    class Impatient(Watcher):
        def received(self, name: str, done: int, total: int | None) -> None:
            if done:
                raise KeyboardInterrupt

    site.put(EXPRESSION_PATH, table(1, 400_000))
    with pytest.raises(KeyboardInterrupt):
        fetch([ACCESSION], tmp_path / "geo", Sources(site.address), patience=QUICK, watcher=Impatient())
    held = (folder / f"{EXPRESSION}.part").stat().st_size
    assert 0 < held < 400_000
    get()
    assert ranges(site) == [None, f"bytes={held}-"]
    expect_whole(site, folder)


def test_killed_between_record_and_rename(site: Site, get: Get, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.replace

    def die(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            get()
    assert not (folder / EXPRESSION).exists()
    site.asked.clear()
    get()
    assert ranges(site) == [], "the part was whole"
    expect_whole(site, folder)


def test_a_large_file_may_take_many_connections(site: Site, get: Get, folder: Path) -> None:
    site.put(EXPRESSION_PATH, table(1, 400_000))
    site.will(*[cut_after(55_000)] * 6, path=EXPRESSION_PATH)
    get(replace(QUICK, attempts=2))
    expect_whole(site, folder)


def test_starting_anew_for_ever_comes_to_an_end(site: Site, get: Get, folder: Path) -> None:
    """Each connection brings more than `progress`, but never farther than the one before."""
    site.put(EXPRESSION_PATH, table(1, 100_000), etag=None)
    site.will(*[cut_after(60_000)] * 50, path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="4 times in a row"):
        get()
    assert len(site.asked) <= 8


# --- another version


def test_a_changed_file_starts_anew(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    site.put(EXPRESSION_PATH, table(7))
    _, heard = get()
    expect_whole(site, folder)
    assert ranges(site) == ["bytes=20000-"], "the answer to the conditional request is the whole new file"
    assert "starting anew" in heard.notes[0]


def test_a_changed_file_of_a_server_without_if_range(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    site.put(EXPRESSION_PATH, table(7))
    site.will(no_if_range_but_etag, path=EXPRESSION_PATH)
    _, heard = get()
    expect_whole(site, folder)
    assert ranges(site) == ["bytes=20000-", None]
    assert "another version" in heard.notes[0]


def test_a_changed_file_that_nobody_can_see(site: Site, get: Get, folder: Path) -> None:
    """Same size, no version named with the part, If-Range unknown: the checksum at the end tells."""
    interrupt(get, site, folder)
    site.put(EXPRESSION_PATH, table(7))
    site.will(no_if_range, path=EXPRESSION_PATH)
    _, heard = get()
    expect_whole(site, folder)
    assert ranges(site) == ["bytes=20000-", None]
    assert "do not make a whole" in heard.notes[0]


def test_a_part_altered_on_the_disk(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    (folder / f"{EXPRESSION}.part").write_bytes(bytes(20_000))
    get()
    expect_whole(site, folder)


@pytest.mark.parametrize("size", [0, 60_500, 200_000])
def test_a_part_of_any_size(site: Site, get: Get, folder: Path, size: int) -> None:
    interrupt(get, site, folder)
    (folder / f"{EXPRESSION}.part").write_bytes(bytes(size))
    get()
    assert ranges(site) == [None]
    expect_whole(site, folder)


def test_a_part_that_nobody_recorded(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    (folder / "fetched.json").unlink()
    get()
    assert ranges(site) == [None]
    expect_whole(site, folder)


def test_a_part_from_another_address(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    site.put(f"/mirror{EXPRESSION_PATH}", table(1))
    site.put(f"/mirror{MATRIX_PATH}", table(2, 3000))
    get(base=f"{site.address}/mirror")
    assert [asked.range for asked in site.asked] == [None, None]
    expect_whole(site, folder)


@pytest.mark.parametrize(
    ("etag", "last_modified", "condition"),
    [("weak", LAST_MODIFIED, LAST_MODIFIED), (None, LAST_MODIFIED, LAST_MODIFIED), ('"a"', LAST_MODIFIED, '"a"')],
)
def test_what_the_condition_is(
    site: Site, get: Get, folder: Path, etag: str | None, last_modified: str, condition: str
) -> None:
    site.put(EXPRESSION_PATH, table(1), etag=etag, last_modified=last_modified)
    interrupt(get, site, folder)
    get()
    assert site.asked[0].headers["If-Range"] == condition
    assert ranges(site) == ["bytes=20000-"]
    expect_whole(site, folder)


def test_a_date_that_changed(site: Site, get: Get, folder: Path) -> None:
    site.put(EXPRESSION_PATH, table(1), etag=None, last_modified=LAST_MODIFIED)
    interrupt(get, site, folder)
    site.put(EXPRESSION_PATH, table(7), etag=None, last_modified=LATER)
    get()
    expect_whole(site, folder)


@pytest.mark.parametrize("etag", ["weak", None])
def test_no_version_no_going_on(site: Site, get: Get, folder: Path, etag: str | None) -> None:
    site.put(EXPRESSION_PATH, table(1), etag=etag)
    interrupt(get, site, folder)
    get()
    assert ranges(site) == [None]
    expect_whole(site, folder)


# --- servers that get ranges and lengths wrong


def test_a_server_without_ranges(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    site.will(no_ranges, path=EXPRESSION_PATH)
    get()
    assert ranges(site) == ["bytes=20000-"]
    expect_whole(site, folder)


SIZE = len(table(1))


@pytest.mark.parametrize(
    "behaviour",
    [
        wrong_range(None),
        wrong_range("bytes"),
        wrong_range(f"bytes 20000-{SIZE - 1}/*"),
        wrong_range(f"bytes 0-{SIZE - 1}/{SIZE}", shift=-20_000),
        wrong_range(f"bytes 19999-{SIZE - 1}/{SIZE}", shift=-1),
        wrong_range(f"bytes 20000-{SIZE}/{SIZE + 1}"),
        wrong_range(f"bytes 20000-{SIZE - 1}/{SIZE + 5}"),
        wrong_range(f"bytes 20000-{SIZE}/{SIZE}"),
        wrong_range(f"bytes 20000-10/{SIZE}"),
        wrong_range(f"bytes 20000-{SIZE - 1}/{SIZE}", shift=5),
        wrong_range(f"bytes 20000-{SIZE - 1}/{SIZE}", shift=-5),
        wrong_range("items 1-2/3"),
        status(416, Content_Range=f"bytes */{SIZE}"),
        status(416),
    ],
)
def test_wrong_ranges(site: Site, get: Get, folder: Path, behaviour: Behaviour) -> None:
    interrupt(get, site, folder)
    site.will(behaviour, path=EXPRESSION_PATH)
    get()
    assert ranges(site) == ["bytes=20000-", None]
    expect_whole(site, folder)


def test_a_right_range_with_wrong_bytes(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    site.will(wrong_range(f"bytes 20000-{SIZE - 1}/{SIZE}", alter=True), path=EXPRESSION_PATH)
    _, heard = get()
    assert "do not make a whole" in heard.notes[0]
    expect_whole(site, folder)


def test_a_range_in_pieces(site: Site, get: Get, folder: Path) -> None:
    """A server may send less than was asked for, if it says so."""
    interrupt(get, site, folder)
    content = site.pages[EXPRESSION_PATH].content
    site.will(
        closed_after(10_000, Content_Length=10_000, Content_Range=f"bytes 20000-29999/{len(content)}"),
        path=EXPRESSION_PATH,
    )
    get()
    assert ranges(site) == ["bytes=20000-", "bytes=30000-"]
    expect_whole(site, folder)


@pytest.mark.parametrize("n", [SIZE + 1, SIZE * 2])
def test_a_length_that_is_too_large(site: Site, get: Get, folder: Path, n: int) -> None:
    site.will(says_length(n), path=EXPRESSION_PATH)
    get()
    expect_whole(site, folder)


@pytest.mark.parametrize("n", [0, 10, SIZE - 1])
def test_a_length_that_is_too_small(site: Site, get: Get, folder: Path, n: int) -> None:
    site.will(says_length(n), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="whole gzip"):
        get()
    assert sorted(path.name for path in folder.iterdir()) == [".fetch.lock", "fetched.json"]
    get()
    expect_whole(site, folder)


@pytest.mark.parametrize("behaviour", [no_length(), chunked()])
def test_no_length(site: Site, get: Get, folder: Path, behaviour: Behaviour) -> None:
    site.will(behaviour, path=EXPRESSION_PATH)
    _, heard = get()
    assert (EXPRESSION, 0, None) in heard.steps
    expect_whole(site, folder)


def test_no_length_and_cut(site: Site, get: Get, folder: Path) -> None:
    site.will(no_length(20_000), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="whole gzip"):
        get()
    assert not (folder / EXPRESSION).exists()


def test_chunked_and_cut(site: Site, get: Get, folder: Path) -> None:
    site.will(chunked(20_000), path=EXPRESSION_PATH)
    get()
    assert ranges(site) == [None, None]
    expect_whole(site, folder)


def test_what_is_said_to_be_encoded_is_kept_as_it_is(site: Site, get: Get, folder: Path) -> None:
    """Some servers call a .gz file an encoded text."""
    content = site.pages[EXPRESSION_PATH].content
    site.will(sends(content, **{"Content-Encoding": "gzip"}), path=EXPRESSION_PATH)
    get()
    assert ranges(site) == [None]
    expect_whole(site, folder)


# --- answers that bring nothing


@pytest.mark.parametrize(
    ("code", "said"), [(404, "404 Not Found"), (403, "403 Forbidden"), (401, "401"), (410, "410"), (206, "206"),
                       (204, "204"), (304, "304"), (299, "299"), (501, "501")]
)  # fmt: skip
def test_final_answers(site: Site, get: Get, folder: Path, code: int, said: str) -> None:
    site.will(status(code), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match=said) as refusal:
        get()
    assert EXPRESSION_PATH in refusal.value.problem
    assert len(site.asked) == 1, "asking again would not help"
    assert not list(folder.glob("*.gz*"))


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504])
def test_passing_answers(site: Site, get: Get, folder: Path, code: int) -> None:
    site.will(status(code), status(code), path=EXPRESSION_PATH)
    get()
    assert len(ranges(site)) == 3
    expect_whole(site, folder)


def test_a_passing_answer_keeps_the_part(site: Site, get: Get, folder: Path) -> None:
    interrupt(get, site, folder)
    site.will(status(503), path=EXPRESSION_PATH)
    get()
    assert ranges(site) == ["bytes=20000-", "bytes=20000-"]
    expect_whole(site, folder)


def test_giving_up(site: Site, get: Get) -> None:
    site.will(*[status(503)] * 10, path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="503 Service Unavailable, 4 times in a row"):
        get()
    assert len(site.asked) == 4


def timed(site: Site, get: Get, retry_after: str, patience: Patience = QUICK) -> float:
    site.will(status(503, Retry_After=retry_after), path=EXPRESSION_PATH)
    began = time.monotonic()
    get(patience)
    return time.monotonic() - began


def test_retry_after(site: Site, get: Get) -> None:
    assert timed(site, get, "1") >= 1


def test_retry_after_a_date(site: Site, get: Get) -> None:
    due = int(time.time()) + 2
    timed(site, get, format_datetime(datetime.fromtimestamp(due, UTC), usegmt=True))
    assert time.time() > due - 0.1


@pytest.mark.parametrize("retry_after", ["0", "soon", "", "-1", LAST_MODIFIED, "9" * 5000])
def test_retry_after_that_says_nothing(site: Site, get: Get, retry_after: str) -> None:
    if len(retry_after) > 100:
        site.will(status(503, Retry_After=retry_after), path=EXPRESSION_PATH)
        get()
    else:
        assert timed(site, get, retry_after) < 5


@pytest.mark.parametrize("retry_after", ["301", "9" * 300])
def test_retry_after_too_long(site: Site, get: Get, retry_after: str) -> None:
    began = time.monotonic()
    with pytest.raises(FetchError, match="come back in"):
        timed(site, get, retry_after)
    assert time.monotonic() - began < 5
    assert len(site.asked) == 1


def test_nobody_there(get: Get, site: Site) -> None:
    with pytest.raises(FetchError, match=r"no answer .*refused.* 4 times") as refusal:
        get(base="http://127.0.0.1:1")
    assert "\n" not in str(refusal.value)
    assert "HTTPConnection" not in str(refusal.value)


# --- redirects


def test_redirects(site: Site, get: Get, folder: Path) -> None:
    site.put("/elsewhere.gz", table(1))
    site.will(redirect("/elsewhere.gz"), redirect(f"{site.address}/elsewhere.gz"), path=EXPRESSION_PATH)
    site.will(cut_after(20_000), path="/elsewhere.gz")
    get()
    assert ranges(site, "/elsewhere.gz") == [None, "bytes=20000-"]
    expect_whole(site, folder)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://mirror.example/x.gz", "encrypted address"),
        ("http://10.0.0.1/x.gz", "encrypted address"),
        ("ftp://mirror.example/x.gz", "Expected an answer"),
        ("file:///etc/passwd", "Expected an answer"),
        ("http://", "Expected an answer"),
        (EXPRESSION_PATH, "5 redirects"),
    ],
)
def test_redirects_that_are_not_followed(site: Site, get: Get, folder: Path, target: str, said: str) -> None:
    site.will(*[redirect(target)] * 10, path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match=said):
        get()
    assert len(site.asked) <= 6
    assert not list(folder.glob("*.gz*"))


# --- what comes is not what it should be


def test_a_page_instead_of_a_file(site: Site, get: Get, folder: Path) -> None:
    site.will(sends(b"<html>Please log in</html>"), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match=r"whole gzip.*Not a gzipped file"):
        get()
    assert not list(folder.glob("*.gz*"))


@pytest.mark.parametrize("where", [30_000, -6, -2])
def test_an_altered_file(site: Site, get: Get, folder: Path, where: int) -> None:
    content = bytearray(site.pages[EXPRESSION_PATH].content)
    content[where] ^= 0xFF
    site.will(sends(bytes(content)), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="whole gzip"):
        get()
    assert not list(folder.glob("*.gz*"))
    get()
    expect_whole(site, folder)


def test_something_behind_the_end(site: Site, get: Get, folder: Path) -> None:
    site.will(sends(table(1) + b"more"), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="whole gzip"):
        get()


def test_a_file_that_swells(site: Site, get: Get, folder: Path) -> None:
    site.put(EXPRESSION_PATH, gzip.compress(bytes(5_000_000)))
    with pytest.raises(FetchError, match=r"at most 1,000,000 bytes inside .*compressed") as refusal:
        get()
    assert "--limit" in refusal.value.hint
    assert ".part" not in str(refusal.value)
    assert not list(folder.glob("*.gz*"))
    assert len(site.asked) == 1
    get(limit=5_000_000)
    expect_whole(site, folder)


def test_a_file_that_is_said_to_be_large(site: Site, get: Get, folder: Path) -> None:
    site.will(says_length(10**12), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="at most 1,000,000"):
        get()
    assert not list(folder.glob("*.gz*"))


def test_a_body_without_end(site: Site, get: Get, folder: Path) -> None:
    site.will(endless, path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="at most 1,000,000"):
        get()
    assert not list(folder.glob("*.gz*"))


# --- what is there


def test_an_altered_file_on_the_disk(site: Site, get: Get, folder: Path) -> None:
    get()
    path = folder / EXPRESSION
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    site.asked.clear()
    outcomes, heard = get()
    assert [o.is_new for o in outcomes] == [True, False]
    assert "is not what was fetched" in heard.notes[0]
    assert [asked.path for asked in site.asked] == [EXPRESSION_PATH]
    expect_whole(site, folder)


def test_a_file_of_the_users(site: Site, get: Get, folder: Path) -> None:
    """It stays until the new one is whole."""
    folder.mkdir(parents=True)
    (folder / EXPRESSION).write_bytes(b"mine")
    site.will(status(404), path=EXPRESSION_PATH)
    with pytest.raises(FetchError, match="404"):
        get()
    assert (folder / EXPRESSION).read_bytes() == b"mine"
    _, heard = get()
    assert "was not fetched" in heard.notes[0]
    expect_whole(site, folder)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"format": 2, "accession": "GSE81538"}', '{"format": 1, "accession": "GSE1"}',
     '{"format": 1, "accession": "GSE81538", "files": {"a": {}}}'],
)  # fmt: skip
def test_a_damaged_record(site: Site, get: Get, folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "fetched.json").write_text(content)
    with pytest.raises(FetchError, match=r"fetched\.json") as refusal:
        get()
    assert "\n" not in str(refusal.value)
    assert site.asked == []


def test_one_process_at_a_time(site: Site, get: Get, folder: Path) -> None:
    get()
    with (folder / ".fetch.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="alone"):
            get()
    get()


def test_nothing_is_made_for_an_unknown_accession(site: Site, tmp_path: Path) -> None:
    for words in ([ACCESSION, "GSE1"], [], ["../x"]):
        with pytest.raises(FetchError, match="Expected"):
            fetch(words, tmp_path / "geo", Sources(site.address), patience=QUICK)
    assert site.asked == []
    assert list(tmp_path.iterdir()) == []
