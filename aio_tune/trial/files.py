"""What a trial leaves in its folder.

Everything a rung leaves is there before the rung is reported::

    trials/00007/params.json
    trials/00007/rung_1.json        the report, as it goes to the ledger
    trials/00007/fold_0/...         that fold's weights, optimizer, epoch and fitted preprocessing
    trials/00007/oof.npz            out-of-fold probabilities, after the last rung
"""

import errno
import shutil
from pathlib import Path

from aio_tune.errors import SearchError

# The file that a fold's checkpoint consists of, or that names its others; see aio_tune.training.checkpoint.
CHECKPOINT = "state.json"
# Less room than this is none: a checkpoint is larger.
_NO_ROOM = 2**20


def trial_folder(trials_folder: Path, number: int) -> Path:
    """Where trial ``number`` keeps what it leaves."""
    return trials_folder / f"{number:05d}"


def fold_folder(trials_folder: Path, number: int, fold: int) -> Path:
    """Where one fold of a trial keeps its checkpoint and, in the end, its model."""
    return trial_folder(trials_folder, number) / f"fold_{fold}"


def drop_checkpoints(trials_folder: Path, number: int, keep_models: bool) -> None:
    """Remove the fold checkpoints of a trial that ended; with the optimizer's slots they are thrice a network's size.

    Args:
        trials_folder: where all trials are.
        number: the trial's.
        keep_models: keep what the finished folds exported; else nothing of the folds stays.
    """
    for folder in trial_folder(trials_folder, number).glob("fold_*"):
        if not keep_models:
            shutil.rmtree(folder)
            continue
        # The arrays last: a checkpoint is what its first file says.
        for path in (folder / CHECKPOINT, *folder.glob("state_*.npz")):
            path.unlink(missing_ok=True)


def disk_is_full(folder: Path, error: BaseException | None) -> bool:
    """Whether ``error`` came of a disk without room, or one that may not be written.

    Libraries between us and the disk often pass on that a write failed, but not why; then the room that is left tells.
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return True
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free < _NO_ROOM


def full_disk(folder: Path) -> SearchError:
    """The error that stops a search, and not only a trial."""
    return SearchError(
        f"Expected room on the disk of {folder} for what trials leave. Received a full or read-only disk.",
        "Make room, then go on with --resume: nothing finished is lost.",
    )
