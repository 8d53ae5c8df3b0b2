"""Writes ``tests/golden/registered_v1``, as a search registers it: once, never to make a test pass.

python -m tests.tracking.write_golden
"""

import shutil
import tempfile
from pathlib import Path

from aio_tune.config import Home
from aio_tune.models.inspection import fingerprints
from aio_tune.tracking import ensure_store, register_search, tracking_uri
from aio_tune.tracking.client import connect
from aio_tune.tracking.registry import fetch_model
from tests.models.write_golden import FOLDER as ENSEMBLE
from tests.models.write_golden import unseen

FOLDER = ENSEMBLE.with_name("registered_v1")


def main() -> None:
    """The ensemble is that of ``ensemble_v1``, so its expected probabilities are too."""
    with tempfile.TemporaryDirectory() as name:
        uri = tracking_uri(Home(Path(name)))
        experiment = ensure_store(uri, None, "aio-ki67")
        run = connect(uri).create_run(experiment).info.run_id
        ensemble = Path(name) / "ensemble"
        shutil.copytree(ENSEMBLE, ensemble, ignore=shutil.ignore_patterns("expected.json"))
        done = register_search(
            uri, task="ki67", search="golden", trial=0, run_id=run, ensemble_folder=ensemble,
            fold_folders={0: ensemble}, metrics={"cv_auc_mean": 0.8}, params={"learning_rate": 1e-2},
            tags=fingerprints(ensemble), example=unseen(),
        )  # fmt: skip
        shutil.copytree(fetch_model(connect(uri), uri, done.ensemble_model, done.ensemble_version), FOLDER)


if __name__ == "__main__":
    main()
