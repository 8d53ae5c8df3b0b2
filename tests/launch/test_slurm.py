"""What Slurm says of a job, read; the real thing is in tests/cluster/test_slurm.py."""

from pathlib import Path

import pytest

from aio_tune.errors import LaunchError
from aio_tune.launch.nodes import NodePlan, Share, private_folder
from aio_tune.launch.slurm import Allocation, expand_counts


@pytest.mark.parametrize(
    ("text", "counts"), [("4", (4,)), ("4(x2)", (4, 4)), ("4(x2),2", (4, 4, 2)), ("1,16(x3),2", (1, 16, 16, 16, 2))]
)
def test_counts_by_node(text: str, counts: tuple[int, ...]) -> None:
    assert expand_counts(text) == counts


@pytest.mark.parametrize("text", ["", "x", "4(x)2", "4;2"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(LaunchError, match="Expected counts by node"):
        expand_counts(text)


def scontrol(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A stand-in for Slurm's program, where there is no Slurm."""
    program = folder / "scontrol"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


BATCH = {
    "SLURM_JOB_ID": "17",
    "SLURM_JOB_NODELIST": "n[1-3]",
    "SLURM_JOB_CPUS_PER_NODE": "4(x2),2",
    "SLURMD_NODENAME": "n1",
    "SLURM_RESTART_COUNT": "2",
}


def test_an_allocation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(tmp_path, monkeypatch, 'printf "n1\\nn2\\nn3\\n"')
    found = Allocation.from_environment(BATCH)
    assert found == Allocation("17", ("n1", "n2", "n3"), (4, 4, 2), 2)
    assert (found.head, found.workers) == ("n1", ("n2", "n3"))
    step = found.step("n3", ["true"])
    assert {"--nodelist=n3", "--cpus-per-task=2", "--nodes=1", "--overlap"} < set(step)
    with pytest.raises(LaunchError, match="first node"):
        Allocation.from_environment({**BATCH, "SLURMD_NODENAME": "n2"})


def test_slurm_that_refuses_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scontrol(tmp_path, monkeypatch, 'echo "Job is not requeueable" >&2; exit 1')
    with pytest.raises(LaunchError, match="Job is not requeueable"):
        Allocation("17", ("n1",), (1,)).requeue()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(LaunchError, match="on the PATH"):
        Allocation("17", ("n1",), (1,)).requeue()


def test_outside_of_slurm() -> None:
    with pytest.raises(LaunchError, match="without SLURM_JOB_ID"):
        Allocation.from_environment({})
    assert Share.from_slurm({}) == Share()


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({"SLURM_CPUS_ON_NODE": "4"}, Share(4, 0, None)),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_NODE": "1024"}, Share(4, 0, 2**30)),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_CPU": "512"}, Share(4, 0, 2**31)),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_GPUS_ON_NODE": "2"}, Share(4, 2, None)),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_JOB_GPUS": "0,3"}, Share(4, 2, None)),
    ],
)
def test_the_share_of_a_node(given: dict[str, str], share: Share) -> None:
    assert Share.from_slurm({"SLURM_JOB_ID": "1", **given}) == share


def test_a_node_takes_its_share_and_no_more() -> None:
    words = NodePlan("n1", Share(4, 2, 10 * 2**30), "10.0.0.1", "a:1").command(Path("/t/r"))
    assert {"--num-cpus=4", "--num-gpus=2", "--address=a:1", "--node-ip-address=10.0.0.1", "--temp-dir=/t/r"} < set(
        words
    )
    memory = {word.partition("=")[0]: int(word.partition("=")[2]) for word in words if "memory=" in word}
    assert sum(memory.values()) < 10 * 2**30, "something is left for Ray's own processes"


def test_a_private_folder_goes_and_has_room_for_sockets(tmp_path: Path) -> None:
    with private_folder() as folder:
        assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert not folder.parent.exists()
    deep = tmp_path / ("x" * 60)
    deep.mkdir()
    with pytest.raises(LaunchError, match="path of at most"), private_folder(deep):
        pass
    assert not list(deep.iterdir())
