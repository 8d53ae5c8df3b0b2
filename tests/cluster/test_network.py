"""Searches on three nodes with a network of their own: who is let in, and what a cut cable does."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.story import complete, missing, seen, story_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(missing()), reason=missing() or "nothing is missing"),
]

STORIES = ("meets", "strangers", "cut")


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    with seen("network", STORIES, timeout=850) as told:
        yield told


def test_three_nodes_meet_and_the_doctor_finds_nothing(told: dict[str, Any]) -> None:
    story = story_of(told, "meets")
    assert story["alive"] == ["head", "w1", "w2"]
    assert story["doctor_status"] == 0, story["doctor_said"]
    assert {finding["level"] for finding in story["doctor"]} == {"ok"}
    assert "sent away at all" in story["doctor"][0]["what"]


def test_a_stranger_is_refused(told: dict[str, Any]) -> None:
    story = story_of(told, "strangers")
    for who in ("driver", "worker", "job"):
        status, said = story[who]
        assert status == 1, who
        assert "token" in said
        assert said.count("aio-tune: Expected") == 1
        assert "Traceback" not in said
    assert story["page"] == "401"
    assert not story["left"], "nothing is left of a search that was refused"
    assert story["alive"] == ["head", "w1", "w2"]


def test_a_cut_cable_costs_no_trial_and_a_new_node_gets_work(told: dict[str, Any]) -> None:
    story = story_of(told, "cut")
    assert (story["left"], story["status"]) == (1, 0), story["said"]
    assert complete(story, story["trials"])
    assert set(story["hosts"]) == {"w1", "w2", "w3"}
    assert story["hosts_after_cut"].get("w1", 0) <= 2, "a report of two folds may have been on its way, no more"
    assert story["hosts_after_cut"]["w3"] > 0, "it joined in the middle"
    assert "joining again" in story["worker_log"], "a raylet that was cut off exits; its launcher starts another"
