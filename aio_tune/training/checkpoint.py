"""A fold's checkpoint on the disk.

preprocess.npz    the fitted preprocessing
state_0007.npz    weights and whatever else the next epoch depends on, after epoch 7
state.json        how far the fold is, of what it is, and the name of the file of arrays; replaced last, so that a
crash leaves the checkpoint before
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.errors import RegistryError, TrialError
from aio_tune.preprocess import Preprocessor
from aio_tune.training.program import State

STATE = "state.json"
PREPROCESSING = "preprocess.npz"
MODEL = "model.keras"
"""Of a fold that is trained to the end, beside its preprocessing."""


def write_checkpoint(
    folder: Path, epoch: int, state: State, preprocessor: Preprocessor, facts: Mapping[str, Any]
) -> None:
    """Write a fold's checkpoint, whole or not at all.

    Args:
        folder: the fold's; made if it is not there.
        epoch: epochs trained.
        state: arrays.
        preprocessor: fitted on the fold's training rows.
        facts: JSON values to be read again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    preprocessor.save(folder / f"new-{PREPROCESSING}")
    (folder / f"new-{PREPROCESSING}").replace(folder / PREPROCESSING)
    arrays = f"state_{epoch:04d}.npz"
    with (folder / arrays).open("wb") as file:
        np.savez(file, *state)
    (folder / f"new-{STATE}").write_text(json.dumps({**facts, "arrays": arrays}))
    (folder / f"new-{STATE}").replace(folder / STATE)
    for older in folder.glob("state_*.npz"):
        if older.name != arrays:
            older.unlink()


def read_checkpoint(folder: Path) -> tuple[dict[str, Any], State, Preprocessor]:
    """What ``write_checkpoint`` wrote: facts, arrays and preprocessor.

    Raises:
        TrialError: it is missing or damaged.
    """
    try:
        facts = json.loads((folder / STATE).read_text())
        # Opened here: NumPy leaves a file open that it finds damaged.
        arrays = folder / Path(facts["arrays"]).name
        with arrays.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            state = [stored[f"arr_{i}"] for i in range(len(stored.files))]
        return facts, state, Preprocessor.load(folder / PREPROCESSING)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, RegistryError) as error:
        raise TrialError(f"Expected a checkpoint in {folder}. Received: {error}.") from error
