"""``ray up`` over SSH, with the shipped file for machines that are there."""

import pytest

from tests.cluster.story import missing, seen, story_of

NEEDED = ("/usr/sbin/sshd", "ssh-keygen", "rsync")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(missing(*NEEDED)), reason="needs root, and Debian's openssh-server and rsync"),
]


def test_all_workers_join() -> None:
    with seen("ray_up", ["up"], timeout=550) as told:
        story = story_of(told, "up")
        assert story["status"] == 0, story["said"]
        assert story["alive"] == ["head", "w1", "w2"]
        problems = [finding for finding in story["doctor"] if finding["level"] == "problem"]
        assert problems == [], "closed, and alike"
        assert "sent away at all" in story["doctor"][0]["what"]
