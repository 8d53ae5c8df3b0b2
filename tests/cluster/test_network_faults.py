"""Further things that happen to clusters: lost power, a lost head, a slow node, a laptop that leaves, open doors."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.story import complete, missing, seen, story_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(missing()), reason=missing() or "nothing is missing"),
]

STORIES = ("meets", "job", "power", "head_dies", "slow", "entrypoint", "opened")


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    with seen("network", STORIES, timeout=1150) as told:
        yield told


def test_a_job_is_followed_left_and_found_again(told: dict[str, Any]) -> None:
    story = story_of(told, "job")
    assert story["left"] == 0
    assert "left; the job goes on" in story["said_first"]
    assert "runs at http://127.0.0.1:8265" in story["said_again"]
    assert "registered: aio-nhg-ensemble" in story["said_again"]
    assert story["status"] == 0
    assert complete(story, 4)


def test_a_node_without_power_costs_no_trial(told: dict[str, Any]) -> None:
    story = story_of(told, "power")
    assert story["status"] == 0, story["said"]
    assert complete(story, 40)


def test_a_lost_head_loses_no_finished_rung(told: dict[str, Any]) -> None:
    story = story_of(told, "head_dies")
    assert story["status"] == 0, story["said"]
    assert len(story["before"]) >= 3
    assert story["rungs"][: len(story["before"])] == story["before"]
    assert complete(story, 6)


def test_a_slow_node_gets_less_and_holds_nobody_up(told: dict[str, Any]) -> None:
    story = story_of(told, "slow")
    assert story["status"] == 0, story["said"]
    assert complete(story, 24)
    assert story["hosts"]["w2"] < story["hosts"]["w1"]


def test_the_entrypoint_of_the_shipped_job_runs_as_it_stands(told: dict[str, Any]) -> None:
    story = story_of(told, "entrypoint")
    assert story["statuses"] == [0, 0], story["said"]
    assert "registered: aio-nhg-ensemble" in story["said"][0]
    assert len(story["rungs"]) == len({tuple(rung) for rung in story["rungs"]}) == 4, "the retry trains nothing again"


def test_the_doctor_on_an_open_cluster_of_unlike_nodes(told: dict[str, Any]) -> None:
    story = story_of(told, "opened")
    assert story["status"] == 1
    assert story["said"].count("\n") == 1
    bad = {finding["check"]: finding["what"] for finding in story["doctor"] if finding["level"] == "problem"}
    assert set(bad) == {"closed", "versions", "private"}
    for door in ("the head", "the job API", "node open", "node odd"):
        assert door in bad["closed"]
    assert "keras differs" in bad["versions"]
    assert "9.9.9 on odd" in bad["versions"]
    assert "other users may write" in bad["private"]
