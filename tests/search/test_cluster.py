"""A Ray of one's own, and how it is left."""

import gc
import weakref

import pytest

from aio_tune.search.cluster import cluster


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
