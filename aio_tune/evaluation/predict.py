"""The table of calls: one row per sample; also of a file that is no dataset."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.omics_files import read_omics
from aio_tune.cohorts.table import read_expression
from aio_tune.cohorts.text_table import TextTable
from aio_tune.cohorts.units import Unit, check_unit, sum_duplicates, to_common
from aio_tune.errors import CohortError, EvaluationError
from aio_tune.metrics import call_classes

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.models.ensemble import Prediction


class Predictor(Protocol):
    """What calls samples, and says who it learnt from: ``aio_tune.models.ensemble.Ensemble``, or a test's own."""

    @property
    def task(self) -> str:
        """Name of the clinical question."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the probabilities."""

    @property
    def genes(self) -> tuple[str, ...]:
        """Symbols of the genes that it looks at."""

    @property
    def omics(self) -> Mapping[str, str]:
        """Kinds of omics beside expression that it looks at -> their units."""

    @property
    def training_patients(self) -> frozenset[str]:
        """SHA-256 (hex) of the id of every patient in training."""

    @property
    def training_profiles(self) -> frozenset[str]:
        """SHA-256 (hex) of every profile in training, as in a dataset's ``profile_sha256``."""

    def predict(self, frame: "pd.DataFrame") -> "Prediction":
        """Class probabilities of samples in rows, gene symbols in columns, log2(TPM+1).

        Columns such as ``methylation:TP53`` are of further kinds.
        """


def calls_table(
    sample_ids: Sequence[str], probabilities: npt.NDArray[np.floating], classes: Sequence[str]
) -> "pd.DataFrame":
    """Calls as ``calls.csv`` has them.

    Args:
        sample_ids: length n.
        probabilities: shape (n, n_classes).
        classes: class names in the order of the columns.

    Returns:
        Columns ``sample_id``, ``call`` (class name) and one ``p_<class>`` per class, float64.
    """
    import pandas as pd

    if probabilities.shape != (len(sample_ids), len(classes)):
        raise ValueError(f"Expected probabilities {(len(sample_ids), len(classes))}. Received {probabilities.shape}.")
    table = pd.DataFrame({"sample_id": pd.Series(list(sample_ids), dtype="str")})
    table["call"] = pd.Series([classes[i] for i in call_classes(probabilities)], dtype="str")
    for i, name in enumerate(classes):
        table[f"p_{name}"] = probabilities[:, i].astype(np.float64)
    return table


def call_samples(predictor: Predictor, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Call every sample of ``frame`` (rows: samples, by id; columns: gene symbols; log2(TPM+1)).

    Raises:
        EvaluationError: there is no sample, or a sample id stands there twice.
        RegistryError: the model refuses the samples, e.g. because too many genes are missing.
    """
    ids = [str(sample) for sample in frame.index]
    if not ids:
        raise EvaluationError("Expected at least one sample to call. Received none.")
    if "" in ids:
        raise EvaluationError(f"Expected a name for every sample. Received none for number {ids.index('') + 1}.")
    twice = sorted({sample for sample in ids if ids.count(sample) > 1}) if len(set(ids)) < len(ids) else []
    if twice:
        raise EvaluationError(f"Expected each sample once. Received {', '.join(twice[:3])} more than once.")
    return calls_table(ids, predictor.predict(frame).probabilities, predictor.classes)


def predict_file(ensemble: Predictor, path: Path, unit: Unit | None = None) -> "pd.DataFrame":
    """Call every sample of an expression table: ``read_samples``, then ``call_samples``.

    Returns:
        See ``calls_table``.

    Raises:
        CohortError: as ``read_samples``.
        EvaluationError: as both.
        RegistryError: the model refuses the samples, e.g. because too many genes are missing.
    """
    return call_samples(ensemble, read_samples(ensemble, path, unit))


def read_samples(ensemble: Predictor, path: Path, unit: Unit | None = None) -> "pd.DataFrame":
    """What a model is to call: the samples of an expression table, on the common scale.

    Further kinds of omics that the model looks at are read as ``prepare`` reads them, if an ``omics.yaml`` beside the
    file names them; what it does not name, and samples that are not in its files, are masked.

    Args:
        ensemble: the model.
        path: CSV or TSV (plain or gzip) or Parquet. One axis is gene symbols, the other sample ids; which is which
            is told by the model's genes. Symbols that stand there twice are summed in linear space.
        unit: of the values; None to tell it by the values, where they leave no doubt. FPKM become TPM over the genes
            of the file, so it should have all genes that were measured.

    Returns:
        Rows: samples, by id. Columns: gene symbols, log2(TPM+1), and such as ``methylation:TP53``, NaN where missing.

    Raises:
        CohortError: a file cannot be read as such a table, or its values contradict their unit.
        EvaluationError: neither axis, or both alike, hold genes of the model; or a unit is in doubt, or another one
            than the model learnt from.
    """
    import pandas as pd

    values, samples, symbols = _orient(read_expression(path, "rows"), ensemble.genes, path.name)
    if unit is None:
        unit = _only_unit(values, path.name)
    else:
        check_unit(values, unit, path.name)
    # Gene selection comes last, in the model: the conversion needs every gene of the file.
    summed, genes, _ = sum_duplicates(values, symbols, unit)
    frame = pd.DataFrame(to_common(summed, unit), index=list(samples), columns=list(genes), copy=False)
    parts = [frame, *_omics(ensemble, path.parent, frame)]
    return pd.concat(parts, axis=1) if len(parts) > 1 else frame


def _omics(ensemble: Predictor, folder: Path, frame: "pd.DataFrame") -> "list[pd.DataFrame]":
    """The further kinds that the model looks at, as far as an ``omics.yaml`` in the folder names them."""
    import pandas as pd

    if not ensemble.omics:
        return []
    genes = [gene for gene in ensemble.genes if gene in frame.columns]
    found = read_omics(folder, list(frame.index), genes)
    parts = []
    for kind, unit in ensemble.omics.items():
        one = found.get(kind)
        if one is None:
            continue
        if one.unit != unit:
            raise EvaluationError(
                f"Expected {kind} as {unit}, which the model learnt from. Received {one.unit.value}.", "Convert it."
            )
        names = [f"{kind}:{gene}" for gene in genes]
        parts.append(pd.DataFrame(one.values, index=frame.index, columns=names, copy=False))
    return parts


def write_calls(calls: "pd.DataFrame", path: Path) -> None:
    """Write a table of calls as CSV, whole or not at all; probabilities with six decimals.

    Raises:
        EvaluationError: the file cannot be written.
    """
    unfinished: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", encoding="utf-8", newline="", delete=False
        ) as file:
            unfinished = Path(file.name)
            calls.to_csv(file, index=False, float_format="%.6f", lineterminator="\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.chmod(path.stat().st_mode & 0o777 if path.is_file() else 0o644)  # temporary files are private
        unfinished.replace(path)
        unfinished = None
    except OSError as error:
        raise EvaluationError(f"Expected to write the calls to {path}. Received: {error}.") from error
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def _orient(
    table: TextTable, genes: Sequence[str], where: str
) -> tuple[npt.NDArray[np.float32], Sequence[str], Sequence[str]]:
    """Values with samples in rows, the sample ids, and the symbols: genes are where more of the model's are."""
    known = set(genes)
    in_rows, in_columns = len(known.intersection(table.row_names)), len(known.intersection(table.columns))
    if in_rows == in_columns:
        found = "none in either" if in_rows == 0 else f"{in_rows:,} in both"
        raise EvaluationError(
            f"Expected the model's gene symbols ({', '.join(genes[:3])}, ...) in the rows or the columns of {where}. "
            f"Received {found}: rows {', '.join(table.row_names[:3])}, ...; columns "
            f"{', '.join(table.columns[:3])}, ....",
            "The file must name genes by symbol on one axis and samples on the other.",
        )
    if in_rows > in_columns:
        return table.values, table.columns, table.row_names
    return np.ascontiguousarray(table.values.T), table.row_names, table.columns


def _only_unit(values: npt.NDArray[np.float32], where: str) -> Unit:
    """The one unit that the values do not contradict."""
    possible, refused = [], []
    for unit in Unit:
        try:
            check_unit(values, unit, where)
        except CohortError as error:
            refused.append(error)
        else:
            possible.append(unit)
    if len(possible) == 1:
        return possible[0]
    if not possible:
        raise EvaluationError(
            f"Expected values of one of the units {', '.join(Unit)} in {where}. "
            f"Received values from {values.min():g} to {values.max():g}, which fit none.",
            "Name the unit with --unit to be told why it does not fit.",
        ) from refused[0]
    raise EvaluationError(
        f"Expected values that tell their unit in {where}. Received values that may be {' or '.join(possible)}.",
        f'Name the unit, e.g. --unit "{possible[0]}".',
    )
