"""The launch files of cluster/, against the definitions of those who read them."""

import copy
import gzip
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

CLUSTER = Path(__file__).parents[2] / "cluster"
KUBERNETES = CLUSTER / "kubernetes"
KINDS = {
    "RayJob": ("rayjob.yaml", "ray.io_rayjobs.yaml.gz"),
    "RayCluster": ("raycluster.yaml", "ray.io_rayclusters.yaml.gz"),
}


def strict(schema: Any) -> Any:
    """A definition that refuses unknown fields, as ``kubectl --validate=strict`` does."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string") is True:
        found = {key: value for key, value in found.items() if key not in ("type", "anyOf")}
        found["type"] = ["integer", "string"]
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


@pytest.fixture(scope="module")
def definitions() -> dict[str, Any]:
    """By kind, the operator's own definition of version v1, made strict."""
    folder = os.environ.get("AIO_TUNE_KUBERAY_CRDS")
    if not folder:
        pytest.skip("AIO_TUNE_KUBERAY_CRDS is not set")
    found = {}
    for kind, (_, name) in KINDS.items():
        definition = yaml.safe_load(gzip.decompress((Path(folder) / name).read_bytes()))
        (version,) = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
        found[kind] = strict(version["schema"]["openAPIV3Schema"])
    return found


def manifest(kind: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all((KUBERNETES / KINDS[kind][0]).read_text())
    assert document["apiVersion"] == "ray.io/v1"
    assert document["kind"] == kind
    return document


@pytest.mark.parametrize("kind", KINDS)
def test_the_operator_knows_every_field(kind: str, definitions: dict[str, Any]) -> None:
    jsonschema.validate(manifest(kind), definitions[kind])


def cluster_of(document: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = document["spec"]
    return spec.get("rayClusterSpec", spec)


def misspell(cluster: dict[str, Any]) -> None:
    cluster["authOption"] = cluster.pop("authOptions")


def mistype(cluster: dict[str, Any]) -> None:
    cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0


def misplace(cluster: dict[str, Any]) -> None:
    cluster["workerGroupSpecs"][0]["template"]["spec"]["containers"][0]["volumesMounts"] = []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plant", [misspell, mistype, misplace])
def test_a_planted_error_is_caught(kind: str, plant: Any, definitions: dict[str, Any]) -> None:
    document = copy.deepcopy(manifest(kind))
    plant(cluster_of(document))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, definitions[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_cluster_is_closed_and_its_head_trains_nothing(kind: str) -> None:
    cluster = cluster_of(manifest(kind))
    assert cluster["authOptions"] == {"mode": "token", "secretName": "aio-ray-token"}
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert (cluster["enableInTreeAutoscaling"], cluster["autoscalerOptions"]["version"]) == (True, "v2")
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert groups["gpu"]["minReplicas"] == 0
    for template in [cluster["headGroupSpec"]["template"], *[group["template"] for group in groups.values()]]:
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert all(not each["securityContext"]["allowPrivilegeEscalation"] for each in pod["containers"])
        assert {"app.kubernetes.io/component": "ray"}.items() <= template["metadata"]["labels"].items()


def test_both_ray_files_describe_the_same_cluster() -> None:
    assert cluster_of(manifest("RayJob")) == cluster_of(manifest("RayCluster"))


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(path.read_text())


def test_the_policies_choose_pods_that_the_other_files_make() -> None:
    made = []
    for path in KUBERNETES.glob("*.yaml"):
        for document in documents(path):
            made += list(labels_of(document))
    for policy in documents(KUBERNETES / "network-policy.yaml"):
        wanted = policy["spec"]["podSelector"]["matchLabels"]
        assert any(wanted.items() <= labels.items() for labels in made), policy["metadata"]["name"]


def labels_of(value: Any) -> Iterator[dict[str, str]]:
    """Labels of all pod templates in a document."""
    if isinstance(value, dict):
        if "spec" in value and isinstance(value.get("metadata"), dict) and "labels" in value["metadata"]:
            yield value["metadata"]["labels"]
        for part in value.values():
            yield from labels_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from labels_of(part)


def test_secrets_are_named_and_never_written() -> None:
    """No file holds a token or a password: it names where they come from."""
    secret = re.compile(r"^\s*-?\s*\{?(name: )?\w*(PASSWORD|TOKEN|SECRET_KEY)\w*\b.*(value: \S|=\S)", re.IGNORECASE)
    for path in CLUSTER.rglob("*"):
        if path.is_file() and path.suffix in (".yaml", ".example", ".service"):
            lines = [line for line in path.read_text().splitlines() if secret.search(line) and "PATH" not in line]
            assert not lines, path


@pytest.mark.parametrize("name", ["local", "aws", "gcp"])
def test_ray_knows_every_field_of_a_cloud_file(name: str) -> None:
    config = ray_up(name)
    validate(config)
    for planted in ({"max_worker": 3}, {"available_node_type": {}}, {"idle_timeout_minutes": "soon"}):
        with pytest.raises((jsonschema.ValidationError, ValueError)):
            validate({**ray_up(name), **planted})


def ray_up(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CLUSTER / "ray-up" / f"{name}.yaml").read_text())
    return config


def validate(config: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(config))


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_cloud_workers_are_spot_machines_and_some_have_gpus(name: str) -> None:
    types = ray_up(name)["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert any(each["resources"].get("GPU") for each in types.values())
    for worker in ("cpu-spot", "gpu-spot"):
        assert "spot" in yaml.safe_dump(types[worker]["node_config"]).lower()
        assert types[worker]["min_workers"] == 0


@pytest.mark.parametrize("unit", sorted((CLUSTER / "systemd").glob("*.service"), key=str), ids=lambda path: path.name)
def test_units_are_what_systemd_reads(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    # The programs are where the units say on a real host only.
    text = unit.read_text().replace("/opt/aio_tune/.venv/bin/aio-tune", "/bin/true")
    assert "\nRestart=always\n" in text
    assert "\nUMask=0077\n" in text
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert not said, said
    (tmp_path / unit.name).write_text(text.replace("Restart=always", "Restart=allways"))
    again = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "allways" in again.stderr, "a planted error is caught"


@pytest.mark.parametrize("script", ["slurm/aio-search.sbatch", "mlflow/serve.sh"])
def test_scripts_are_bash(script: str) -> None:
    subprocess.run(["bash", "-n", str(CLUSTER / script)], check=True)
