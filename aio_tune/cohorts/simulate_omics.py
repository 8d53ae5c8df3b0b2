"""Further kinds of omics of simulated tumours, on the genes of their expression.

methylation   beta values. Of every gene, its methylation falls a little as its expression rises. Of the proliferation
              programme's genes it falls more, and with the part of the Ki67 label that expression does not show: what
              the slide's staining has of its own. So whoever sees it knows more of the label than expression tells.
copy_number   log2 ratios. The modules of neighbours on a chromosome, which shape expression, and noise: no label.

The first two cohorts have both, GSE163882 has neither. Some patients lack a kind, each kind others, and every file
lacks some genes. All numbers are ours; none is estimated from patients.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aio_tune.cohorts.simulate_files import write_csv
from aio_tune.cohorts.tumours import KI67_MEDIAN, KI67_SLOPE, Floats, Genome, Rng, Tumours
from aio_tune.errors import CohortError

_GENES_LACKING = 0.03
_FALL = 0.4  # logits of methylation per unit of a gene's log2 expression, around its baseline
_FALL_SIGNAL = 0.8
_HIDDEN = 2.5  # logits per doubling of the Ki67 percentage that expression does not show
_NOISE = 0.7  # logits, per value
_RATIO = 0.25  # log2 ratio per unit of a module's activity
_RATIO_NOISE = 0.1


@dataclass(frozen=True)
class Measured:
    """The samples of one cohort.

    Attributes:
        tumours: the tumours.
        ki67_percent: what the cohort's Ki67 label was made of, shape (n_tumours,).
        rows: tumour of each sample.
        samples: id of each sample.
    """

    tumours: Tumours
    ki67_percent: Floats
    rows: list[int]
    samples: list[str]


@dataclass(frozen=True)
class _SimulatedKind:
    """How a kind is drawn, what its file says, and the share of patients without it."""

    draw: Callable[[Genome, Measured, Rng], Floats]
    unit: str
    missing: float


def _methylation(genome: Genome, measured: Measured, rng: Rng) -> Floats:
    """Beta values of all tumours, shape (n, n_genes)."""
    tumours = measured.tumours
    signal = genome.loadings["proliferation"] != 0
    doublings = np.log2((measured.ki67_percent + 0.5) / KI67_MEDIAN)
    hidden = doublings - KI67_SLOPE * tumours.proliferation
    logits = rng.normal(0.0, 1.0, len(genome.symbols)) - np.where(signal, _FALL_SIGNAL, _FALL) * (
        tumours.expression - genome.baseline
    )
    logits -= np.outer(hidden, _HIDDEN * signal)
    logits += rng.normal(0.0, _NOISE, logits.shape)
    return 1 / (1 + np.exp(-logits))


def _copy_number(genome: Genome, measured: Measured, rng: Rng) -> Floats:
    """log2 ratios of all tumours, shape (n, n_genes)."""
    activity = measured.tumours.copy_number[:, genome.module]
    return _RATIO * activity + rng.normal(0.0, _RATIO_NOISE, activity.shape)


OMICS = {
    "methylation": _SimulatedKind(_methylation, "beta", 0.15),
    "copy_number": _SimulatedKind(_copy_number, "log2 ratio", 0.25),
}


def check_omics(omics: Sequence[str]) -> None:
    """Refuse kinds that cannot be simulated.

    Raises:
        CohortError: one is unknown or named twice.
    """
    unknown = [kind for kind in omics if kind not in OMICS]
    if unknown or len(set(omics)) < len(omics):
        received = f"{unknown[0]!r}" if unknown else f"{', '.join(omics)}"
        raise CohortError(f"Expected kinds of omics, each once, of {', '.join(OMICS)}. Received {received}.")


def write_omics(folder: Path, genome: Genome, cohorts: Sequence[Measured], omics: Sequence[str], seed: int) -> None:
    """Writes the files of these kinds and ``omics.yaml``; removes those of an earlier simulation."""
    for name in ("omics.yaml", *map(_file_name, OMICS)):
        (folder / name).unlink(missing_ok=True)
    for kind in omics:
        _write_kind(folder / _file_name(kind), genome, cohorts, kind, seed)
    lines = [
        f"{kind}: {json.dumps({'file': _file_name(kind), 'genes_in': 'rows', 'unit': OMICS[kind].unit})}\n"
        for kind in omics
    ]
    if lines:
        (folder / "omics.yaml").write_text("".join(lines), encoding="utf-8")


def _write_kind(path: Path, genome: Genome, cohorts: Sequence[Measured], kind: str, seed: int) -> None:
    rng = np.random.default_rng([seed, 40 + list(OMICS).index(kind)])
    samples: list[str] = []
    columns: list[Floats] = []
    for cohort in cohorts:
        values = OMICS[kind].draw(genome, cohort, rng)
        missing = rng.random(len(values)) < OMICS[kind].missing
        for row, sample in zip(cohort.rows, cohort.samples, strict=True):
            if not missing[row]:
                samples.append(sample)
                columns.append(values[row])
    genes = np.flatnonzero(rng.random(len(genome.symbols)) >= _GENES_LACKING)
    symbols = [genome.symbols[i] for i in genes]
    write_csv(path, header=["", *samples], columns=[symbols, *np.round(np.stack(columns)[:, genes], 4)])


def _file_name(kind: str) -> str:
    return f"{kind}_simulated.csv.gz"
