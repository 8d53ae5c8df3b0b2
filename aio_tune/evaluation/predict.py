"""Calls of samples at hand, or of those in an expression file that is no dataset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from aio_tune.calibration import NO_CALL
from aio_tune.calls import calls_table
from aio_tune.cohorts.omics_files import read_omics
from aio_tune.cohorts.table import read_as_it_lies
from aio_tune.cohorts.text_table import TextTable, refuse_repeated
from aio_tune.cohorts.units import Unit, check_unit, sum_duplicates, to_common
from aio_tune.errors import CohortError, EvaluationError

if TYPE_CHECKING:
    import pandas as pd

    from aio_tune.calibration import Calibration
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

    @property
    def calibration(self) -> "Calibration | None":
        """How to make its probabilities honest, and when not to call; None where it does not say."""

    def predict(self, frame: "pd.DataFrame") -> "Prediction":
        """Class probabilities of samples in rows, gene symbols in columns, log2(TPM+1).

        Columns such as ``methylation:TP53`` are of further kinds.
        """


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


def missing_genes(predictor: Predictor, frame: "pd.DataFrame") -> tuple[str, ...]:
    """Genes of the predictor that are no column of ``frame``, such as those that it calls by a former symbol."""
    there = set(frame.columns)
    return tuple(gene for gene in predictor.genes if gene not in there)


def only_sure(predictor: Predictor, calls: "pd.DataFrame", error: float) -> "pd.DataFrame":
    """The same calls, missing where the predictor's conformal set of a sample does not hold one class alone.

    Args:
        predictor: whose calls they are.
        calls: as ``call_samples`` gives them.
        error: tolerated share of sets without the true class, one that the predictor has a threshold for.

    Raises:
        EvaluationError: it has none.
    """
    calibration = predictor.calibration
    known = sorted(calibration.thresholds) if calibration else []
    if calibration is None or error not in known:
        raise EvaluationError(
            f"Expected a tolerated error that the model has a threshold for, one of "
            f"{', '.join(map(str, known)) or 'none'}. Received {error}."
        )
    probabilities = calls[[f"p_{name}" for name in predictor.classes]].to_numpy()
    return calls.assign(call=calls["call"].where(calibration.decide(probabilities, error) != NO_CALL))


def predict_file(ensemble: Predictor, path: Path, unit: Unit | None = None) -> "pd.DataFrame":
    """Call every sample of an expression table: ``read_samples``, then ``call_samples``.

    Returns:
        See ``aio_tune.calls.calls_table``.

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

    values, samples, symbols = _orient(read_as_it_lies(path), ensemble.genes, path.name)
    refuse_repeated(samples, path)
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
