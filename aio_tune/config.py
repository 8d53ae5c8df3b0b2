"""Where a user's searches leave things."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The one folder that holds all a user's searches leave (default ``./aio_home``).

    ``mlflow.db`` and ``artifacts/`` are MLflow's, ``runs/<name>/`` is one search (ledger, checkpoints, logs) and
    ``cache/layouts`` keeps fitted layouts, which are costly and depend only on the training rows and the seed.
    """

    path: Path

    @property
    def database(self) -> Path:
        return self.path / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def layouts(self) -> Path:
        return self.path / "cache" / "layouts"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def run(self, name: str) -> "RunFolder":
        return RunFolder(self.runs / name)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one search. Only its ledger is needed to know what happened; the rest is what it speaks of."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.jsonl"

    @property
    def space(self) -> Path:
        return self.path / "space.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.txt"

    @property
    def ensemble(self) -> Path:
        return self.path / "ensemble"

    @property
    def out_of_fold(self) -> Path:
        return self.path / "out_of_fold.csv"

    @property
    def ray(self) -> Path:
        return self.path / "ray"

    @property
    def trials(self) -> Path:
        return self.path / "trials"
