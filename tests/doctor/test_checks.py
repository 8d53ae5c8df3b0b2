"""What the doctor says of facts; that the facts are true is in tests/cluster/test_network.py."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aio_tune.config import Home
from aio_tune.doctor import CHECKS, Wanted, examine
from aio_tune.doctor.checks import GIB, Check, Examination, Level, judge
from aio_tune.doctor.facts import NodeFacts, others_may
from aio_tune.doctor.strangers import Door

NODE = NodeFacts(
    name="n1", versions={"python": "3.11.9", "ray": "2.60.0"}, gpus=0, cuda=False, memory=16 * GIB,
    shm=4 * GIB, disk=100 * GIB, sees_probe=True, dataset="f",
)  # fmt: skip
RESOURCES = {"CPU": 4.0, "object_store_memory": 1.0 * GIB}


def healthy(*changed: tuple[NodeFacts, dict[str, float]], **more: Any) -> Examination:
    nodes = changed or ((NODE, RESOURCES), (replace(NODE, name="n2"), RESOURCES))
    doors = (Door("the head", "a:1", False), Door("node n1", "a:2", False))
    return Examination("a:1", nodes, doors=doors, wrote=(True,) * len(nodes), fingerprint="f", **more)


def spec(folds: int = 1, cpus: int = 1, gpus: float = 0.0, autoscaling: bool = False) -> Any:
    shares = {"folds_in_parallel": folds, "cpus_per_fold": cpus, "gpus_per_fold": gpus}
    return SimpleNamespace(resources=SimpleNamespace(**shares, autoscaling=autoscaling))


@pytest.mark.parametrize("check", CHECKS)
def test_a_healthy_cluster_gets_one_good_word_from_each_check(check: Check) -> None:
    (finding,) = check(healthy())
    assert finding.level is Level.OK
    assert finding.what
    assert not finding.hint


@pytest.mark.parametrize(
    ("seen", "level", "said"),
    [
        (replace(healthy(), doors=(Door("the head", "a:1", True),)), Level.PROBLEM, "an answer from the head (a:1)"),
        (replace(healthy(), doors=(Door("the head", "a:1", None),)), Level.WARNING, "no answer at all"),
        (replace(healthy(), token=Path("/t"), token_mode=0o644), Level.PROBLEM, "mode 0644"),
        (replace(healthy(), token=Path("/t"), token_mode=None), Level.PROBLEM, "names /t, which is not there"),
        (replace(healthy(), silent=(("n9", "timed out"),)), Level.PROBLEM, "n9 did not answer: timed out"),
        (
            healthy((NODE, RESOURCES), (replace(NODE, versions={**NODE.versions, "ray": "2.59"}), RESOURCES)),
            Level.PROBLEM, "ray differs: 2.60.0 on n1; 2.59 on n1",
        ),
        (healthy((replace(NODE, versions={"keras": "not installed"}), RESOURCES)), Level.PROBLEM, "keras is not"),
        (healthy((replace(NODE, sees_probe=False), RESOURCES)), Level.PROBLEM, "does not see the home folder"),
        (healthy((replace(NODE, writes_probe="denied"), RESOURCES)), Level.PROBLEM, "may not write"),
        (replace(healthy((NODE, RESOURCES)), wrote=(False,)), Level.PROBLEM, "is not seen here"),
        (healthy((replace(NODE, dataset="g"), RESOURCES)), Level.PROBLEM, "another dataset"),
        (healthy((replace(NODE, dataset=""), RESOURCES)), Level.PROBLEM, "no dataset"),
        (healthy((replace(NODE, open_to={"/d": "read"}), RESOURCES)), Level.PROBLEM, "other users may read /d on n1"),
        (healthy((replace(NODE, disk=GIB), RESOURCES)), Level.WARNING, "1.0 GiB free"),
        (
            healthy(spec=spec(folds=5, cpus=2)), Level.PROBLEM,
            "one trial wants 5 processes with 2 CPU and 0 GPU each; there is 2 nodes with 4 CPU and 0 GPU",
        ),
        (healthy(spec=spec(cpus=8)), Level.PROBLEM, "wants 1 process with 8 CPU and 0 GPU each; there is 2 nodes"),
        (healthy(spec=spec(gpus=0.5)), Level.PROBLEM, "wants 1 process with 1 CPU and 0.5 GPU each"),
        (healthy((replace(NODE, gpus=2), RESOURCES)), Level.WARNING, "has 2 GPUs, of which Ray has 0"),
        (healthy((NODE, {**RESOURCES, "GPU": 1.0})), Level.WARNING, "no CUDA libraries"),
        (healthy((NODE, {**RESOURCES, "CPU": 64.0})), Level.WARNING, "lets in 64 fold processes"),
        (healthy((replace(NODE, shm=GIB // 2), RESOURCES)), Level.WARNING, "/dev/shm has 0.5 GiB"),
        (healthy(rows_bytes=2 * GIB), Level.WARNING, "training rows take 2.0 GiB"),
        (healthy(tracking="Expected the store. Received: refused."), Level.PROBLEM, "refused"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_once(seen: Examination, level: Level, said: str) -> None:
    bad = [finding for finding in judge(seen) if finding.level is not Level.OK]
    assert {finding.level for finding in bad} == {level}
    assert {finding.check for finding in bad} == {bad[0].check}
    assert said in bad[0].what


def test_a_token_file_is_looked_at_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(file))

    def level() -> Level:
        (found,) = [one for one in examine(Wanted("local", Home(tmp_path))) if one.check == "token"]
        return found.level

    assert level() is Level.PROBLEM
    file.write_text("secret")
    file.chmod(0o600)
    assert level() is Level.OK
    file.chmod(0o644)
    assert level() is Level.PROBLEM


def test_a_cluster_at_rest_is_no_problem_where_nodes_come_on_demand() -> None:
    at_rest = healthy((NODE, {**RESOURCES, "CPU": 0.0}), spec=spec(autoscaling=True))
    assert [finding for finding in judge(at_rest) if finding.level is not Level.OK] == []


def test_what_others_may_do(tmp_path: Path) -> None:
    """Below pytest's own folders, which are private, nobody may do anything; so from a root of our own upwards."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inner = folder / "data"
        inner.mkdir()
        inner.chmod(0o777)
        assert others_may(inner) == "", "the folder above is closed"
        folder.chmod(0o755)
        assert others_may(inner) == "write"
        inner.chmod(0o755)
        assert others_may(inner) == "read"
        inner.chmod(0o711)
        assert others_may(inner) == ""
        inner.chmod(0o1777)
        assert others_may(inner) == "read", "as in /tmp: files of others there cannot be replaced"
        assert others_may(folder / "none") == ""
