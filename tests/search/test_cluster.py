"""A Ray of one's own, and how it is left."""

import gc
import weakref

import pytest

from aio_tune.errors import SearchError
from aio_tune.search.cluster import check_fits, cluster, concurrency
from aio_tune.search_space import SearchSpec


@pytest.mark.slow
def test_nothing_of_ray_is_left_to_be_freed_once_it_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    class Left:
        """Freed by the garbage collector alone, as it refers to itself."""

    seen: list[tuple[bool, bool]] = []
    shutdown = ray.shutdown

    def look_and_shut_down() -> None:
        seen.append((alive() is None, gc.isenabled()))
        shutdown()

    with cluster("local"):
        monkeypatch.setattr(ray, "shutdown", look_and_shut_down)
        left = Left()
        left.itself, left.object = left, ray.put(b"x" * 1000)  # type: ignore[attr-defined]
        alive = weakref.ref(left)
        gc.collect()
        del left
    assert seen == [(True, False)]
    assert gc.isenabled()
    assert not ray.is_initialized()


def resources(**settings: object) -> SearchSpec:
    return SearchSpec.model_validate({"task": "ki67", "trials": 1, "epochs": 9, "space": {}, "resources": settings})


@pytest.mark.parametrize(
    ("settings", "there", "trials"),
    [
        ({}, [{"CPU": 4}], 4),
        ({"cpus_per_fold": 2, "folds_in_parallel": 2}, [{"CPU": 11}], 2),
        # A process is on one node, a trial may be on several.
        ({"cpus_per_fold": 4}, [{"CPU": 7}, {"CPU": 7}], 2),
        ({"cpus_per_fold": 4, "folds_in_parallel": 2}, [{"CPU": 7}, {"CPU": 7}], 1),
        ({"gpus_per_fold": 1}, [{"CPU": 64}, {"CPU": 2, "GPU": 4}], 2),
        ({"gpus_per_fold": 0.25}, [{"CPU": 64, "GPU": 1}], 4),
        # 1 // 0.2 is 4, and 1 // 0.1 is 9.
        ({"gpus_per_fold": 0.2}, [{"CPU": 64, "GPU": 4}], 20),
        ({"gpus_per_fold": 0.1}, [{"CPU": 64, "GPU": 1}], 10),
        # A share is of one GPU.
        ({"gpus_per_fold": 0.6}, [{"CPU": 64, "GPU": 2}], 2),
        ({"gpus_per_fold": 0.3}, [{"CPU": 64, "GPU": 8}], 24),
        ({"gpus_per_fold": 2}, [{"CPU": 64, "GPU": 3}], 1),
        ({"max_concurrent_trials": 3}, [{"CPU": 64}], 3),
        ({}, [], 1),  # all nodes are gone for the moment: one waits
        ({"autoscaling": True}, [{"CPU": 4}], 5),
        ({"autoscaling": True}, [], 1),
        ({"autoscaling": True, "max_concurrent_trials": 4}, [{"CPU": 4}], 4),
    ],
)
def test_how_many_trials_run_at_one_time(
    settings: dict[str, object], there: list[dict[str, float]], trials: int
) -> None:
    assert concurrency(resources(**settings), there) == trials


def test_a_cluster_that_no_trial_fits_on_is_refused_unless_nodes_are_started_on_demand() -> None:
    with pytest.raises(SearchError, match=r"1 process with 1 CPU and 0 GPU each\. Received no node\."):
        check_fits(resources(), [])
    # Eight in all, which Ray would wait for without a word.
    with pytest.raises(SearchError, match=r"1 process with 8 CPU and 0 GPU each\. Received 2 nodes with 4 CPU"):
        check_fits(resources(cpus_per_fold=8), [{"CPU": 4}, {"CPU": 4}])
    with pytest.raises(SearchError, match=r"3 processes with 1 CPU and 0\.6 GPU each\. Received 1 node with"):
        check_fits(resources(gpus_per_fold=0.6, folds_in_parallel=3), [{"CPU": 64, "GPU": 2}])
    check_fits(resources(autoscaling=True), [])
    check_fits(resources(), [{"CPU": 1}])


@pytest.mark.slow
def test_another_ray_than_the_clusters_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # None is any: of one that another Ray has, Ray 2.60 leaves a socket open.
    arguments = {"num_cpus": 0, "object_store_memory": 80 * 2**20, "dashboard_port": None}
    there = Cluster(initialize_head=True, head_node_args={**arguments, "include_dashboard": False})
    try:
        monkeypatch.setattr(ray, "__version__", "2.59.0")
        with pytest.raises(SearchError, match=r"Ray: 2\.60.* was started with: Ray: 2\.59\.0"), cluster(there.address):
            pass
    finally:
        monkeypatch.undo()
        ray.shutdown()
        there.shutdown()
