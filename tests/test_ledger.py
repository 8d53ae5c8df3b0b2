import errno
import json
import math
import multiprocessing
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aio_tune.errors import SearchError
from aio_tune.ledger import Ledger, read_events, strict_json

FACTS = [
    ("search_started", {"name": "ki67 ±", "space": {"layers": [1, 2]}}),
    ("trial_asked", {"trial": 0, "params": {"learning_rate": 3e-4, "scaling": "zscore"}}),
    ("rung_reported", {"trial": 0, "value": math.nan, "text": 'a "quoted"\nline'}),
    ("trial_ended", {"trial": 0, "state": "FAIL"}),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


def write(path, facts=FACTS):
    with Ledger(path) as ledger:
        return [ledger.append(kind, **rest) for kind, rest in facts]


def test_what_was_appended_is_read_back(path):
    appended = write(path)
    events, offset = read_events(path)
    assert events == appended
    assert [event["kind"] for event in events] == [kind for kind, _ in FACTS]
    assert events[0]["name"] == "ki67 ±"
    assert events[2]["value"] is None
    assert events[2]["text"] == 'a "quoted"\nline'
    assert offset == path.stat().st_size
    assert read_events(path, offset) == ([], offset)
    times = [event["time"] for event in events]
    assert times == sorted(times) and times[0] > 1.7e9


def test_reading_goes_on_where_it_stopped(path):
    with Ledger(path) as ledger:
        seen, offset = [], 0
        for kind, facts in FACTS:
            ledger.append(kind, **facts)
            new, offset = read_events(path, offset)
            assert len(new) == 1
            seen += new
    assert seen == read_events(path)[0]


def test_cut_at_every_byte_is_read_and_healed(path):
    appended = write(path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        kept = sum(end <= size for end in ends)
        start = ends[kept - 1] if kept else 0
        assert read_events(path) == (appended[:kept], start)
        with Ledger(path) as ledger:
            assert ledger.healed_bytes == size - start
            assert path.stat().st_size == start
            after = ledger.append("search_ended", reason="resumed")
        assert read_events(path)[0] == [*appended[:kept], after]


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), json_like), max_size=3), st.floats(0, 1))
def test_any_facts_survive_a_cut(tmp_path_factory, facts, share):
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    appended = write(path, [("fact", each) for each in facts])
    assert read_events(path)[0] == appended
    # Every line is JSON for a reader that knows no more than the standard.
    for line in path.read_text("ascii").splitlines():
        json.loads(line, parse_constant=pytest.fail)
    size = round(share * path.stat().st_size)
    os.truncate(path, size)
    events, offset = read_events(path)
    assert events == appended[: len(events)] and offset <= size
    assert write(path, [("fact", {})]) == read_events(path)[0][len(events) :]


def test_numpy_values_become_plain_ones():
    value = {
        "f": np.float32(0.5),
        "i": np.int64(3),
        "b": np.bool_(True),
        "a": np.array([[1.0, np.nan], [np.inf, 2.0]]),
        "t": (1, "x"),
        3: -math.inf,
        "s": np.str_("text"),
    }
    expected = {"f": 0.5, "i": 3, "b": True, "a": [[1.0, None], [None, 2.0]], "t": [1, "x"], "3": None, "s": "text"}
    assert strict_json(value) == expected
    assert json.dumps(strict_json(value), allow_nan=False) == json.dumps(expected)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes", 1j, {1.5: "x"}, {True: "x"}])
def test_what_is_not_json_like_is_refused_and_leaves_the_ledger_as_it_was(path, value):
    write(path)
    before = path.read_bytes()
    with Ledger(path) as ledger:
        with pytest.raises(TypeError, match="Expected"):
            ledger.append("fact", value=value)
        with pytest.raises(ValueError, match="time"):
            ledger.append("fact", time=1.0)
        assert path.read_bytes() == before
        ledger.append("fact", value=1)


def test_a_second_writer_is_refused_even_after_someone_read(path):
    with Ledger(path) as first:
        first.append("fact")
        read_events(path)  # opens and closes the file: a POSIX lock would be gone now
        with pytest.raises(SearchError, match="another process is writing it"):
            Ledger(path)
        first.append("fact")
    with Ledger(path) as second:
        second.append("fact")
    assert len(read_events(path)[0]) == 3


def _try_to_open(path, queue):
    try:
        Ledger(path).close()
        queue.put("opened")
    except SearchError as error:
        queue.put(str(error))


def _append_then_die(path, queue):
    ledger = Ledger(path)
    for i in range(3):
        ledger.append("fact", i=i)
    queue.put("written")
    queue.close()
    queue.join_thread()
    os._exit(1)  # no clean-up: the lock must go all the same


@pytest.mark.parametrize(("held", "answer"), [(True, "only writer"), (False, "opened")])
def test_another_process_is_refused_while_the_ledger_is_held(path, held, answer):
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    ledger = Ledger(path)
    if not held:
        ledger.close()
    process = context.Process(target=_try_to_open, args=(path, queue))
    process.start()
    process.join(60)
    assert answer in queue.get()
    ledger.close()


def test_a_killed_writer_leaves_its_events_and_no_lock(path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_append_then_die, args=(path, queue))
    process.start()
    assert queue.get(timeout=60) == "written"
    process.join(60)
    assert [event["i"] for event in read_events(path)[0]] == [0, 1, 2]
    write(path)


def test_fsync_comes_before_append_returns(path, monkeypatch):
    calls = []
    real_write, real_fsync = os.write, os.fsync
    with Ledger(path) as ledger:
        monkeypatch.setattr(os, "write", lambda file, data: calls.append("write") or real_write(file, data))
        monkeypatch.setattr(os, "fsync", lambda file: calls.append("fsync") or real_fsync(file))
        ledger.append("fact")
        calls.append("returned")
        ledger.append("fact")
    assert calls == ["write", "fsync", "returned", "write", "fsync"]


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("name", "fake", "message"),
    [
        ("write", full_disk, "No space left"),
        ("write", lambda file, data, real=os.write: real(file, data[:5]), "only 5 of"),
        ("fsync", full_disk, "No space left"),
    ],
)
def test_a_refusing_disk_leaves_no_half_line_and_closes_the_ledger(path, monkeypatch, name, fake, message):
    write(path)
    before = path.read_bytes()
    ledger = Ledger(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fake)
        with pytest.raises(SearchError, match=message):
            ledger.append("fact", i=1)
    assert path.read_bytes() == before
    with pytest.raises(SearchError, match="closed"):
        ledger.append("fact", i=2)
    ledger.close()
    write(path)


def test_a_damaged_line_in_the_middle_is_named(path):
    write(path)
    lines = path.read_bytes().splitlines(keepends=True)
    for damage in (b"\0" * 10 + b"\n", b'{"kind": NaN}\n', b"[1]\n", b"{}\n", b"\xff\n"):
        path.write_bytes(lines[0] + damage + lines[1])
        for call in (read_events, Ledger):
            with pytest.raises(SearchError, match=f"at byte {len(lines[0])}"):
                call(path)
        with pytest.raises(SearchError, match=f"at byte {len(lines[0])}"):
            read_events(path, len(lines[0]))
        # As the last line the same bytes are what a power cut may leave.
        path.write_bytes(lines[0] + damage)
        assert len(read_events(path)[0]) == 1
        with Ledger(path) as ledger:
            assert ledger.healed_bytes == len(damage)


def test_missing_and_replaced_files_are_named(path, tmp_path):
    with pytest.raises(SearchError, match="ledger at"):
        read_events(path)
    with pytest.raises(SearchError, match="write the ledger"):
        Ledger(tmp_path / "no" / "ledger.jsonl")
    write(path)
    with pytest.raises(SearchError, match="replaced"):
        read_events(path, 10**6)


def test_a_reader_beside_the_writer_sees_whole_events_only(path):
    count = 60
    seen: list[int] = []
    ledger = Ledger(path)

    def read():
        offset = 0
        while len(seen) < count:
            events, offset = read_events(path, offset)
            seen.extend(event["i"] for event in events)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(count):
        ledger.append("fact", i=i, text="x" * 20_000)
    reader.join(60)
    ledger.close()
    assert seen == list(range(count))
