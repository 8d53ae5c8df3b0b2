"""One trial on its way up the rungs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from aio_tune.trial.facts import Assignment, RungReport, TrialContext
from aio_tune.trial.files import disk_is_full, full_disk, trial_folder
from aio_tune.trial.pool import WorkerPool


class TrialRun:
    """One trial on its way up the rungs."""

    def __init__(self, context: TrialContext, pool: WorkerPool, task: Assignment) -> None:
        self._context = context
        self._pool = pool
        self._task = task
        self._folder = trial_folder(context.trials_folder, task.trial)
        self._rung = 0

    def next_rung(self) -> RungReport:
        """Train to the next rung and report it; a rung that was trained before is reported from its file.

        Raises:
            TrialError: the trial cannot go on.
            SearchError: the disk is full.
        """
        rung = self._rung
        self._rung += 1
        known = _read_report(self._folder / f"rung_{rung}.json")
        if known is not None:
            return known
        n_folds, epoch = self._context.rungs[rung]
        results = self._pool.train(self._task, range(n_folds), epoch)
        report = self._report(rung, epoch, results)
        try:
            self._keep(report, results)
        except OSError as error:
            if disk_is_full(self._context.trials_folder, error):
                raise full_disk(self._context.trials_folder) from error
            raise
        return report

    def _keep(self, report: RungReport, results: list[dict[str, Any]]) -> None:
        """Write what must be on the disk before the rung is reported; the report itself last."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if report.rung == 0:
            _write_json(self._folder / "params.json", self._task.params)
        if report.rung == len(self._context.rungs) - 1:
            self._write_out_of_fold(results)
        _write_json(self._folder / f"rung_{report.rung}.json", report.facts())

    def _report(self, rung: int, epoch: int, results: list[dict[str, Any]]) -> RungReport:
        before = self._context.rungs[rung - 1] if rung else (0, 0)
        from_epoch = {str(r["fold"]): before[1] if r["fold"] < before[0] else 0 for r in results}
        values = [float(r["metrics"][self._context.metric]) for r in results]
        mean = float(np.mean(values))
        return RungReport(
            rung=rung,
            folds=tuple(r["fold"] for r in results),
            epoch=epoch,
            value=None if math.isnan(mean) else mean,
            seconds=float(sum(r["seconds"] for r in results)),
            parameters=int(results[0]["parameters"]),
            fold_metrics={str(r["fold"]): dict(r["metrics"]) for r in results},
            curves={
                str(r["fold"]): {name: curve[from_epoch[str(r["fold"])] :] for name, curve in r["curves"].items()}
                for r in results
            },
            from_epoch=from_epoch,
            where={str(r["fold"]): r["where"] for r in results},
        )

    def _write_out_of_fold(self, results: list[dict[str, Any]]) -> None:
        labels = self._context.labels
        probabilities = np.full((len(labels), len(self._context.classes)), np.nan, dtype=np.float32)
        fold_of = np.full(len(labels), -1, dtype=np.int8)
        for result in results:
            valid = self._context.splits[self._task.split][result["fold"]][1]
            probabilities[valid] = result["probabilities"]
            fold_of[valid] = result["fold"]
        temporary = self._folder / "oof.tmp.npz"
        np.savez_compressed(temporary, probabilities=probabilities, labels=labels, fold=fold_of)
        temporary.replace(self._folder / "oof.npz")


def _read_report(path: Path) -> RungReport | None:
    """A rung's report; None if it was not trained, or if a crash of the machine left half a file."""
    try:
        return RungReport.from_facts(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError):
        return None


def _write_json(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, allow_nan=True))
    temporary.replace(path)
