"""A search as a job: what cannot be one is refused before anything is sent; the rest is in tests/cluster."""

from pathlib import Path

import pytest

from tests.place import Place
from tests.tracking.team_server import free_port


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, "task: nhg\ntrials: 1\nepochs: 9\nspace: {branches: embedding}\n")


def refused(place: Place, *words: object, name: str = "one", data: object = "/d", home: object = "/h") -> str:
    address = ("--address", f"http://127.0.0.1:{free_port()}")
    return place.refuse("search", place.space, "--data", data, "--name", name, "--home", home, *address, *words)


def test_what_cannot_be_a_job_is_refused(place: Place) -> None:
    assert "Expected --name" in refused(place, name="a name")
    assert "Expected --data with an absolute path on the cluster. Received data" in refused(place, data="data")
    assert "Expected --home with an absolute path on the cluster. Received home" in refused(place, home="home")
    assert "Expected the job API of a Ray cluster at http://127.0.0.1" in refused(place)


def test_addresses_that_are_none(place: Place) -> None:
    place.run("simulate", place.geo, "--samples", 60, "--genes", 64, "--seed", 3)
    place.run("prepare", place.geo, "--out", place.dataset)
    words = ("search", place.space, "--data", place.dataset, "--name", "one", "--home", place.home)
    assert "Expected a cluster's own address" in place.refuse(*words, "--address", "ray://127.0.0.1:10001")
    nobody = f"127.0.0.1:{free_port()}"
    assert f"Expected a Ray cluster at {nobody}. Received no answer" in place.refuse(*words, "--address", nobody)
    assert not place.home.exists(), "nothing is left of a search that could not begin"


def test_a_job_needs_to_know_which_search_to_go_on_with(place: Place) -> None:
    assert "Expected --name with --resume-or-start" in place.refuse(
        "search", place.space, "--data", "/d", "--resume-or-start"
    )
