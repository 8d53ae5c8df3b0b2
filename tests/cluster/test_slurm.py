"""The shipped sbatch file on a real Slurm of three nodes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.story import complete, missing, seen, story_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(bool(missing("slurmctld", "slurmd", "munged")), reason="needs root and slurm-wlm, munge"),
]

STORIES = ("runs", "fails", "misses", "gpus", "node_dies", "time_is_up")


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, Any]]:
    with seen("slurm", STORIES, timeout=1400) as told:
        yield told


def test_a_search_over_three_nodes(told: dict[str, Any]) -> None:
    story = story_of(told, "runs")
    assert (story["state"], story["exit"], story["restarts"]) == ("COMPLETED", "0:0", 0), story["said"]
    assert complete(story, 9)
    assert set(story["hosts"]) == {"n1", "n2", "n3"}
    assert story["left"] == [], "no process, folder or token outlives the job"


def test_the_commands_exit_status_is_the_jobs(told: dict[str, Any]) -> None:
    story = story_of(told, "fails")
    assert (story["state"], story["exit"]) == ("FAILED", "1:0"), story["said"]
    assert "Expected a search space at /nowhere.yaml" in story["said"]
    assert story["left"] == []


def test_a_missing_node_is_named(told: dict[str, Any]) -> None:
    story = story_of(told, "misses")
    assert (story["state"], story["exit"]) == ("FAILED", "1:0")
    assert "Expected 3 nodes within 30 s. Missing: n2" in story["said"]
    assert not story["began"]
    assert story["left"] == []


def test_gpus_are_those_that_slurm_gave(told: dict[str, Any]) -> None:
    story = story_of(told, "gpus")
    assert story["exit"] == "0:0", story["said"]
    assert "GPUS 2.0" in story["said"]


def test_a_lost_node_has_the_job_requeued(told: dict[str, Any]) -> None:
    story = story_of(told, "node_dies")
    assert (story["state"], story["exit"], story["restarts"]) == ("COMPLETED", "0:0", 1), story["said"]
    assert 3 <= len(story["before"]) < 60, "it was lost in the middle"
    assert story["rungs"][: len(story["before"])] == story["before"], "nothing finished is lost"
    assert complete(story, 30)


def test_time_that_is_up_has_the_job_requeued(told: dict[str, Any]) -> None:
    story = story_of(told, "time_is_up")
    assert (story["state"], story["exit"]) == ("COMPLETED", "0:0"), story["said"]
    assert story["restarts"] >= 1
    assert "time is nearly up" in story["said"]
    assert "is requeued" in story["said"]
    assert 0 < len(story["before"]) < 120, "it was stopped in the middle"
    assert story["rungs"][: len(story["before"])] == story["before"]
    assert complete(story, 60)
