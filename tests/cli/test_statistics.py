"""describe: statistics by gene into a file."""

from pathlib import Path

import pandas as pd

from aio_tune.dataset import write_dataset
from tests.cli.conftest import Run
from tests.test_dataset import GENES, assembly, cohort


def test_the_command_writes_a_table(tmp_path: Path, aio: Run) -> None:
    dataset = write_dataset(assembly(cohort("Long", 20), cohort("B", 9)), tmp_path / "data")
    for name, read in (("s.csv", pd.read_csv), ("s.parquet", pd.read_parquet)):
        status, out, err = aio("describe", dataset.path, "--statistics", tmp_path / "new" / name)
        assert (status, err) == (0, "")
        assert f"statistics: {tmp_path / 'new' / name}" in out
        table = read(tmp_path / "new" / name)
        assert list(table) == ["cohort", "kind", "symbol", "chromosome", "tss", "n", "mean", "sd", "min", "max"]
        assert len(table) == 2 * len(GENES)
    status, _, err = aio("describe", dataset.path, "--statistics", tmp_path / "s.xls")
    assert status == 1
    assert ".csv or .parquet" in err
