"""A registered version copied to another registry, e.g. from a laptop's to the team's: byte by byte, and compared."""

import hashlib
import math
import tempfile
from pathlib import Path
from typing import Any

from aio_tune.errors import RegistryError
from aio_tune.files import sha256_of
from aio_tune.tracking.client import connect, redacted, store_errors
from aio_tune.tracking.registry import MODEL_ID, VersionSummary, choose_version, fetch_model, find_model
from aio_tune.tracking.runs import KIND
from aio_tune.tracking.store import ensure_store

COPIED_FROM = "aio.copied_from"
FILES = "aio.files_sha256"
# Tags that stay: they say what a version was promoted to here, and name runs of this store.
_STAYS = ("promoted.", "evaluat", "harmonised.")


def copy_version(uri: str, model: str, version: int | None, to_uri: str) -> int:
    """Copy a version with its tags, metrics and description; doing it again, after a crash too, adds no second one.

    Aliases, evaluations and audit trail stay where they are: what a model is good for is each registry's own decision.

    Args:
        uri: the tracking store that it is in.
        model: registered model, of the same name in both.
        version: number; None is the newest.
        to_uri: the other tracking store.

    Returns:
        The version's number there.

    Raises:
        RegistryError: both stores are one, there is no such model or version, a store refused, or what arrived is not
            what was sent.
    """
    if uri == to_uri:
        raise RegistryError(f"Expected another registry to copy to. Received the same one, {redacted(uri)}.")
    with store_errors(uri), tempfile.TemporaryDirectory() as cache:
        client = connect(uri)
        chosen = choose_version(find_model(client, model), version)
        root = fetch_model(client, uri, model, chosen.version, Path(cache))
        description = client.get_model_version(model, str(chosen.version)).description or ""
        digest = folder_digest(root)
        with store_errors(to_uri):
            origin = f"{redacted(uri)} {model} version {chosen.version}"
            return _put(to_uri, model, chosen, root, digest, origin, description)


def folder_digest(folder: Path) -> str:
    """SHA-256 (hex) of the names and contents of all files below a folder.

    Raises:
        RegistryError: there is a symbolic link in it.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise RegistryError(f"Expected plain files in {folder}. Received the symbolic link {path.name}.")
        if path.is_file():
            digest.update(f"{path.relative_to(folder).as_posix()}\n{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _put(uri: str, model: str, version: VersionSummary, root: Path, digest: str, origin: str, description: str) -> int:
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric

    experiment = ensure_store(uri, None, f"aio-{version.tags.get('aio.task', 'models')}")
    client = connect(uri)
    for there in client.search_model_versions(f"name = '{model}'"):
        if (there.tags.get(COPIED_FROM), there.tags.get(FILES)) == (origin, digest):
            return int(there.version)
    tags = {key: value for key, value in version.tags.items() if not key.startswith(_STAYS)}
    source = {"mlflow.source.name": "aio-tune promote", "mlflow.source.type": "LOCAL"}
    run_tags = {KIND: "copy", COPIED_FROM: origin, **source}
    run = client.create_run(experiment, run_name=f"{model} {version.version}, copied", tags=run_tags)
    run_id, time = str(run.info.run_id), run.info.start_time
    points = [Metric(name, value, time, 0) for name, value in version.metrics.items() if math.isfinite(value)]
    client.log_batch(run_id, metrics=[point for point in points if ":" not in point.key])
    logged = client.create_logged_model(experiment, model, run_id, {COPIED_FROM: origin}, {})
    client.log_model_artifacts(logged.model_id, str(root))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    _compare(client, uri, logged, digest)
    if not client.search_registered_models(f"name = '{model}'"):
        client.create_registered_model(model, tags={"aio.kind": "model"})
    created = client.create_model_version(
        model,
        logged.artifact_location,
        run_id=run_id,
        model_id=logged.model_id,
        tags={**tags, MODEL_ID: logged.model_id, COPIED_FROM: origin, FILES: digest},
        description=f"{description}\n\nCopied from {origin}.",
    )
    client.set_terminated(run_id, "FINISHED")
    return int(created.version)


def _compare(client: Any, uri: str, logged: Any, digest: str) -> None:
    """What arrived against what was sent."""
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as folder:
        arrived = Path(download_artifacts(artifact_uri=logged.artifact_location, dst_path=folder, tracking_uri=uri))
        if folder_digest(arrived) != digest:
            raise RegistryError(
                f"Expected the model's files in {redacted(uri)} as they were sent. Received others.", "Try again."
            )
