"""The statistical model behind simulated cohorts: a genome, tumours on it, and the platforms that measure them.

log2 FPKM of a gene in a tumour = the gene's baseline
    + loading x proliferation          a share of the genes, anywhere on the genome
    + loading x ER activity            another share
    + loading x immune, stroma         confounders: strong, shared by many genes, without a label
    + loading x the gene's module      runs of neighbours on a chromosome, as copy number changes them
    + noise of the gene's own.

Proliferation drives the percentage of Ki67-stained nuclei, and with ER activity the grade and the hazard of death.
What pathologists write down differs from it by a reader's noise, which sets how well any classifier can do: about as
well as on the real GSE96058. All numbers are ours, chosen for that; none is estimated from patients.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aio_tune.cohorts.positions import CHROMOSOMES, Position

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator

PROGRAMMES = ("proliferation", "er", "immune", "stroma")
SIGNAL_PROGRAMMES = ("proliferation", "er")

_KNOWN = {
    "proliferation": ("MKI67", "TOP2A", "AURKA", "CCNB1", "BIRC5", "CDC20", "FOXM1", "PLK1"),
    "er": ("ESR1", "PGR", "GATA3", "FOXA1", "TFF1", "GREB1"),
    "immune": ("CD3D", "CD8A", "GZMB"),
    "stroma": ("COL1A1", "FN1", "POSTN"),
}
_SHARE = {"proliferation": 0.06, "er": 0.05, "immune": 0.08, "stroma": 0.08}
_LOADING = {"proliferation": 0.6, "er": 0.7, "immune": 0.7, "stroma": 0.7}
# Protein-coding genes per chromosome, in hundreds (Ensembl).
_GENES_ON = (20, 12, 11, 7.5, 9, 10, 9, 7, 8, 7.3, 13, 10, 3.2, 8, 6, 8.5, 12, 2.7, 14.5, 5.5, 2.3, 4.5, 8.5, 0.5)

KI67_LIMIT = 20.0
KI67_MEDIAN = 21.0
KI67_SLOPE = 1.0  # doublings of the percentage per unit of proliferation
_READER_NOISE = 0.4  # doublings, one reader
_CASE_NOISE = 0.25  # doublings, what all readers of a slide share: field of view, staining
MOST_LOG2_FPKM = 20.0  # a gene that takes nearly every read
_GRADE_SHARES = (0.15, 0.47, 0.38)


@dataclass(frozen=True)
class Genome:
    """Genes in genomic order and how they behave.

    Attributes:
        symbols: unique.
        positions: one per gene.
        baseline: mean log2 FPKM, shape (n_genes,).
        noise: standard deviation of the gene's own noise, shape (n_genes,).
        loadings: programme -> loading of every gene, 0 outside it, shape (n_genes,).
        module: number of the gene's module, -1 outside all, shape (n_genes,).
        module_loading: shape (n_genes,).
    """

    symbols: tuple[str, ...]
    positions: tuple[Position, ...]
    baseline: Floats
    noise: Floats
    loadings: dict[str, Floats]
    module: npt.NDArray[np.intp]
    module_loading: Floats

    def members(self, programme: str) -> list[str]:
        """Symbols of the programme's genes."""
        return [self.symbols[i] for i in np.flatnonzero(self.loadings[programme])]


@dataclass(frozen=True)
class Tumours:
    """Tumours and what is known of the patients, n of each.

    Attributes:
        expression: true log2 FPKM, shape (n, n_genes).
        copy_number: activity of every module of neighbours, shape (n, n_modules + 1); the last one, of genes outside
            all modules, is 0.
        er_positive, proliferation: the causes.
        ki67_percent: three readers' percentages, 0 to 100, shape (n, 3).
        grade: 1, 2 or 3.
        survival_days, survival_event: follow-up.
    """

    expression: Floats
    copy_number: Floats
    er_positive: npt.NDArray[np.bool_]
    proliferation: Floats
    ki67_percent: Floats
    grade: npt.NDArray[np.int64]
    survival_days: npt.NDArray[np.int64]
    survival_event: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Platform:
    """How a sequencer and a library distort what they measure.

    Attributes:
        offset: standard deviation, over genes, of a constant shift of a gene's log2 FPKM.
        gain: range from which each gene's gain around its baseline is drawn; under 1 flattens differences.
        noise: standard deviation of technical noise, per value.
        dropout: share of the values that are lost.
    """

    offset: float
    gain: tuple[float, float]
    noise: float
    dropout: float = 0.0

    def measure(self, genome: Genome, truth: Floats, platform_rng: Rng, rng: Rng) -> Floats:
        """FPKM, shape of ``truth``; ``platform_rng`` draws what the platform does to genes, ``rng`` the noise."""
        n_genes = len(genome.symbols)
        offset = platform_rng.normal(0.0, self.offset, n_genes)
        gain = platform_rng.uniform(*self.gain, n_genes)
        log2 = genome.baseline + gain * (truth - genome.baseline) + offset + rng.normal(0.0, self.noise, truth.shape)
        # Copy numbers have heavy tails, as in tumours; a gene over the limit would be refused as no log2 FPKM at all.
        fpkm = np.exp2(np.minimum(log2, MOST_LOG2_FPKM))
        fpkm[(log2 < -3.0) | (rng.random(truth.shape) < self.dropout)] = 0.0
        return fpkm


HISEQ = Platform(offset=0.0, gain=(1.0, 1.0), noise=0.15)
NEXTSEQ = Platform(offset=0.15, gain=(0.95, 1.05), noise=0.15)
OTHER_HISEQ = Platform(offset=0.25, gain=(0.9, 1.05), noise=0.2)
FFPE = Platform(offset=1.5, gain=(0.2, 0.8), noise=0.9, dropout=0.03)


def make_genome(n_genes: int, rng: Rng) -> Genome:
    """A genome of ``n_genes`` genes on both strands of chromosomes 1 to 22, X and Y."""
    positions = _place(n_genes, rng)
    shuffled = rng.permutation(n_genes)
    symbols = [f"SIM{i:05d}" for i in range(1, n_genes + 1)]
    loadings: dict[str, Floats] = {}
    taken = 0
    for programme in PROGRAMMES:
        count = max(3, round(_SHARE[programme] * n_genes))
        genes = shuffled[taken : taken + count]
        taken += count
        loading = np.zeros(n_genes)
        # Half of the confounders' genes fall when the programme rises; a signal programme mostly rises.
        down = 0.15 if programme in SIGNAL_PROGRAMMES else 0.5
        loading[genes] = rng.gamma(4.0, _LOADING[programme] / 4.0, count) * np.where(
            rng.random(count) < down, -1.0, 1.0
        )
        loadings[programme] = loading
        for gene, symbol in zip(genes, _KNOWN[programme], strict=False):
            symbols[gene] = symbol
            loading[gene] = abs(loading[gene])
    module = _modules(positions, rng)
    return Genome(
        symbols=tuple(symbols),
        positions=tuple(positions),
        baseline=np.clip(rng.normal(3.2, 1.9, n_genes), -2.5, 11.0),
        noise=rng.gamma(6.0, 0.65 / 6.0, n_genes),
        loadings=loadings,
        module=module,
        module_loading=np.where(module >= 0, rng.gamma(4.0, 0.45 / 4.0, n_genes), 0.0),
    )


def _place(n_genes: int, rng: Rng) -> list[Position]:
    """Positions in genomic order, no two with one transcription start."""
    on = rng.choice(len(CHROMOSOMES), size=n_genes, p=np.asarray(_GENES_ON) / sum(_GENES_ON))
    out: list[Position] = []
    for rank, chrom in enumerate(CHROMOSOMES):
        start = 0
        for _ in range(int((on == rank).sum())):
            # Past the longest gene before it, so that the order of starts is the order of transcription starts.
            start += 1_000 + int(rng.exponential(40_000))
            length = 500 + int(min(rng.lognormal(9.5, 1.0), 500_000))
            out.append(Position(chrom, start, start + length, "+" if rng.random() < 0.5 else "-"))
            start += length
    return out


def _modules(positions: list[Position], rng: Rng) -> npt.NDArray[np.intp]:
    """Runs of 6 to 30 neighbours of one chromosome, with gaps between; -1 in the gaps."""
    module = np.full(len(positions), -1, dtype=np.intp)
    number, i = 0, 0
    while i < len(positions):
        i += int(rng.integers(0, 15))
        run = int(rng.integers(6, 31))
        members = [j for j in range(i, min(i + run, len(positions))) if positions[j].chrom == positions[i].chrom]
        if members:
            module[members] = number
            number += 1
        i += max(1, len(members))
    return module


def draw_tumours(genome: Genome, n: int, rng: Rng) -> Tumours:
    """Draws ``n`` tumours, one per patient."""
    er_positive = rng.random(n) < 0.85
    er_activity = np.where(er_positive, rng.normal(0.5, 0.5, n), rng.normal(-2.5, 0.6, n))
    proliferation = rng.normal(0.0, 0.9, n) - 0.3 * er_activity
    causes = {
        "proliferation": proliferation,
        "er": er_activity,
        "immune": rng.gamma(2.0, 0.7, n) - 1.4,
        "stroma": rng.normal(0.0, 1.0, n),
    }
    copy_number = rng.standard_t(5, (n, int(genome.module.max()) + 2))
    copy_number[:, -1] = 0.0  # genes outside all modules have the index -1
    expression = genome.baseline + copy_number[:, genome.module] * genome.module_loading
    for programme, activity in causes.items():
        expression += np.outer(activity, genome.loadings[programme])
    expression += rng.normal(0.0, 1.0, expression.shape) * genome.noise

    case = rng.normal(0.0, _CASE_NOISE, n)
    doublings = KI67_SLOPE * proliferation + case
    readers = doublings[:, None] + rng.normal(0.0, _READER_NOISE, (n, 3))
    percent = np.clip(np.rint(KI67_MEDIAN * np.exp2(readers)), 0, 100)
    grade_score = proliferation - 0.15 * er_activity + rng.normal(0.0, 0.45, n)
    # The limits belong to the model, not to the cohort: mean and spread of the score over all tumours.
    limits = _normal_quantiles(np.cumsum(_GRADE_SHARES)[:2]) * 1.2
    grade = 1 + (grade_score[:, None] > limits).sum(axis=1)
    hazard = 3.5e-5 * np.exp(0.7 * proliferation - 0.2 * er_activity)
    death = rng.exponential(1.0 / hazard)
    follow_up = rng.uniform(900, 2500, n)
    return Tumours(
        expression=expression,
        copy_number=copy_number,
        er_positive=er_positive,
        proliferation=proliferation,
        ki67_percent=percent,
        grade=grade,
        survival_days=np.maximum(np.minimum(death, follow_up), 1).astype(np.int64),
        survival_event=death < follow_up,
    )


def _normal_quantiles(p: Floats) -> Floats:
    """Quantiles of the standard normal distribution."""
    from statistics import NormalDist

    return np.asarray([NormalDist().inv_cdf(float(q)) for q in p])
