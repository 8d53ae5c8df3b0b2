"""Three simulated cohorts in GEO's own formats and file names: a demo goes through the same readers as real files.

What is in the folder afterwards, a table and one or two series matrices of each cohort:

    GSE96058_*, GSE96058-GPL*         half of the Ki67 labels missing, replicates, two sequencers
    GSE81538_*                        a mild platform shift, three readers' calls
    GSE163882_*                       a strong, FFPE-like shift, Ensembl ids, repeated patients
    gene_positions_simulated.tsv.gz   where the genes lie
    simulation.json                   that all this is simulated, and which genes carry signal
    omics.yaml, methylation.csv.gz    if asked for: further kinds of omics, see ``simulate_omics.py``

The statistical model is in ``tumours.py``.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aio_tune.cohorts.simulate_files import write_csv, write_gzip
from aio_tune.cohorts.simulate_omics import Measured, check_omics, write_omics
from aio_tune.cohorts.tumours import (
    FFPE,
    HISEQ,
    NEXTSEQ,
    OTHER_HISEQ,
    SIGNAL_PROGRAMMES,
    Floats,
    Genome,
    Rng,
    Tumours,
    draw_tumours,
    make_genome,
)
from aio_tune.errors import CohortError

DEFAULT_SAMPLES = (300, 120, 90)
DEFAULT_GENES = 1024
FEWEST_SAMPLES, FEWEST_GENES = 10, 48

_KI67_MISSING = 0.5
_NHG_MISSING = 0.02
_NEXTSEQ_SHARE = 0.1  # further patients, on the NextSeq only
_REPLICATE_SHARE = 0.04
_PAIR_SHARE = 9 / 222  # patients with two samples in GSE163882
_LUMINAL_B, _NORMAL_LIKE = 0.4, -1.5  # proliferation over which, and under which
_RECEPTOR_NOISE = 0.01  # status read wrongly

_Characteristics = Sequence[tuple[str, Sequence[object]]]


def simulate(
    directory: Path,
    samples: int | Sequence[int] = DEFAULT_SAMPLES,
    genes: int = DEFAULT_GENES,
    seed: int = 0,
    omics: Sequence[str] = (),
) -> Path:
    """Writes three simulated cohorts.

    Args:
        directory: made if need be. Files of an earlier simulation are written over.
        samples: samples of GSE96058 (HiSeq, one per patient), GSE81538 and GSE163882; one number N stands for N, 0.4 N
            and 0.3 N. A tenth more patients of the first are on the NextSeq only.
        genes: genes that all three share and that have a position. Each cohort has a few more of its own.
        seed: the same seed gives the same files, byte for byte; other omics do not change those of expression.
        omics: further kinds of omics to write, ``methylation`` or ``copy_number``.

    Returns:
        ``directory``.

    Raises:
        CohortError: too few samples or genes, an unknown kind of omics, or files in the folder that are not simulated.
    """
    counts = _counts(samples)
    check_omics(omics)
    if genes < FEWEST_GENES or min(counts) < FEWEST_SAMPLES:
        raise CohortError(
            f"Expected at least {FEWEST_GENES} genes and {FEWEST_SAMPLES} samples per cohort. "
            f"Received {genes} genes and {', '.join(map(str, counts))} samples."
        )
    marker = directory / "simulation.json"
    if directory.is_dir() and any(directory.iterdir()) and not marker.is_file():
        raise CohortError(
            f"Expected an empty folder or an earlier simulation. Received {directory}, which holds other files.",
            "Name a new folder.",
        )
    directory.mkdir(parents=True, exist_ok=True)
    extra = max(2, genes // 30)
    genome = make_genome(genes, np.random.default_rng([seed, 0]))
    signal = {programme: genome.members(programme) for programme in SIGNAL_PROGRAMMES}
    facts = {"simulated": True, "seed": seed, "samples": list(counts), "genes": genes, "signal_genes": signal}
    if omics:
        facts["omics"] = list(omics)
    # First, so that even a folder half written says that it is simulated.
    marker.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    _write_positions(directory / "gene_positions_simulated.tsv.gz", genome)
    measured = [
        _write_gse96058(directory, genome, counts[0], extra, seed),
        _write_gse81538(directory, genome, counts[1], extra, seed),
    ]
    _write_gse163882(directory, genome, counts[2], extra, seed)
    write_omics(directory, genome, measured, omics, seed)
    return directory


def _counts(samples: int | Sequence[int]) -> tuple[int, int, int]:
    if isinstance(samples, int):
        return samples, max(FEWEST_SAMPLES, round(0.4 * samples)), max(FEWEST_SAMPLES, round(0.3 * samples))
    if len(samples) != 3:
        raise CohortError(f"Expected one number of samples, or three. Received {len(samples)}.")
    first, second, third = samples
    return first, second, third


def _write_gse96058(folder: Path, genome: Genome, n: int, extra: int, seed: int) -> Measured:
    """HiSeq patients, NextSeq patients, replicates on the HiSeq, and two whose primary is on the other sequencer."""
    rng = np.random.default_rng([seed, 1])
    n_next = max(8, round(_NEXTSEQ_SHARE * n))
    tumours = draw_tumours(genome, n + n_next, rng)
    names = [f"F{i}" for i in range(1, n + n_next + 1)]
    crossed = 2  # HiSeq patients whose primary was sequenced on the NextSeq: their HiSeq column is the replicate
    replicated = range(crossed, crossed + max(2, round(_REPLICATE_SHARE * n)))
    hiseq = [(i, "repl" if i < crossed else "") for i in range(n)] + [(i, "repl") for i in replicated]
    nextseq = [(i, "") for i in (*range(crossed), *range(n, n + n_next))]

    values, titles = [], []
    for number, (platform, columns) in enumerate(((HISEQ, hiseq), (NEXTSEQ, nextseq))):
        truth = tumours.expression[[i for i, _ in columns]]
        values.append(platform.measure(genome, truth, np.random.default_rng([seed, 10 + number]), rng))
        titles.append([names[i] + suffix for i, suffix in columns])
    order = rng.permutation(len(hiseq) + len(nextseq))  # the real file mixes the sequencers, too
    _write_log2_fpkm(
        folder / "GSE96058_gene_expression_simulated_transformed.csv.gz",
        genome,
        [(titles[0] + titles[1])[i] for i in order],
        np.concatenate(values)[order],
        extra=extra,
        prefix="SIM96",
        rng=rng,
    )
    clinical = _scan_b_characteristics(tumours, rng)
    for gpl, instrument, columns, own in (
        ("GPL11154", "HiSeq 2000", hiseq, titles[0]),
        ("GPL18573", "NextSeq 500", nextseq, titles[1]),
    ):
        rows: list[tuple[str, Sequence[object]]] = [("instrument model", [instrument] * len(own))]
        rows += [(key, [cells[i] for i, _ in columns]) for key, cells in clinical]
        _write_series_matrix(
            folder / f"GSE96058-{gpl}_series_matrix.txt.gz",
            series="GSE96058",
            platform=gpl,
            titles=own,
            rows=rows,
            first_accession=2528079,
        )
    # What a reader keeps, one sample per patient.
    kept = [(i, names[i] + suffix) for i, suffix in (*hiseq[:n], *nextseq[crossed:])]
    return Measured(tumours, tumours.ki67_percent[:, 0], [i for i, _ in kept], [name for _, name in kept])


def _scan_b_characteristics(tumours: Tumours, rng: Rng) -> _Characteristics:
    n = len(tumours.grade)
    ki67 = (tumours.ki67_percent[:, 0] > 20).astype(int).astype(object)  # one pathologist's call
    ki67[rng.random(n) < _KI67_MISSING] = "NA"
    nhg = np.asarray([f"G{grade}" for grade in tumours.grade], dtype=object)
    nhg[rng.random(n) < _NHG_MISSING] = "NA"
    er = (tumours.er_positive ^ (rng.random(n) < _RECEPTOR_NOISE)).astype(int)
    pgr = (tumours.er_positive & (rng.random(n) < 0.9)).astype(int)
    her2 = (rng.random(n) < 0.13).astype(int)
    # Drawn from nothing new, so that all other values stay what they were.
    fast, slow = tumours.proliferation > _LUMINAL_B, tumours.proliferation < _NORMAL_LIKE
    luminal = np.where(fast, "LumB", np.where(slow, "Normal", "LumA"))
    pam50 = np.where(her2 == 1, "Her2", np.where(tumours.er_positive, luminal, "Basal"))
    return [
        ("age at diagnosis", list(np.clip(rng.normal(62, 13, n), 24, 96).astype(int))),
        ("er status", list(er)),
        ("pgr status", list(pgr)),
        ("her2 status", list(her2)),
        ("ki67 status", list(ki67)),
        ("nhg", list(nhg)),
        ("pam50 subtype", list(pam50)),
        ("overall survival days", list(tumours.survival_days)),
        ("overall survival event", list(tumours.survival_event.astype(int))),
    ]


def _write_gse81538(folder: Path, genome: Genome, n: int, extra: int, seed: int) -> Measured:
    rng = np.random.default_rng([seed, 2])
    tumours = draw_tumours(genome, n, rng)
    fpkm = OTHER_HISEQ.measure(genome, tumours.expression, np.random.default_rng([seed, 20]), rng)
    titles = [f"T{i}" for i in range(1, n + 1)]
    path = folder / "GSE81538_gene_expression_simulated_transformed.csv.gz"
    _write_log2_fpkm(path, genome, titles, fpkm, extra=extra, prefix="SIM81", rng=rng)
    readings = tumours.ki67_percent.astype(int)
    rows: list[tuple[str, Sequence[object]]] = [
        (f"Ki67 reading {reader + 1}", list(readings[:, reader])) for reader in range(3)
    ]
    rows.append(("Ki67 consensus", list(np.median(readings, axis=1).astype(int))))
    rows.append(("NHG consensus", list(tumours.grade)))
    _write_series_matrix(
        folder / "GSE81538_series_matrix.txt.gz",
        series="GSE81538",
        platform="GPL11154",
        titles=titles,
        rows=rows,
        first_accession=2155371,
    )
    return Measured(tumours, np.median(tumours.ki67_percent, axis=1), list(range(n)), titles)


def _write_gse163882(folder: Path, genome: Genome, n: int, extra: int, seed: int) -> None:
    """Linear TPM by Ensembl id; some symbols on two rows, some rows without a symbol, some patients twice."""
    rng = np.random.default_rng([seed, 3])
    pairs = max(1, round(_PAIR_SHARE * n))
    patient = np.concatenate([np.arange(n - pairs), np.arange(pairs)])
    drawn = draw_tumours(genome, n - pairs, rng)
    truth = drawn.expression[patient]
    fpkm = FFPE.measure(genome, truth, np.random.default_rng([seed, 30]), rng)
    twice = rng.choice(len(genome.symbols), size=extra, replace=False)
    part = rng.uniform(0.2, 0.5, extra)
    nameless = np.exp2(rng.normal(0.0, 1.0, (n, extra)))
    linear = np.concatenate([fpkm, fpkm[:, twice] * part, nameless], axis=1)
    linear[:, twice] *= 1.0 - part
    tpm = linear / linear.sum(axis=1, keepdims=True) * 1e6
    symbols = [*genome.symbols, *(genome.symbols[i] for i in twice), *[""] * extra]
    ids = [f"ENSG{900_000_000 + i:011d}.{1 + i % 9}" for i in rng.permutation(len(symbols))]
    samples = [f"BA{10_000 + i}" for i in range(n)]
    write_csv(
        folder / "GSE163882_all.data.tpms_simulated.csv.gz",
        header=["", *samples, "annotation"],
        columns=[ids, *np.round(tpm, 4), symbols],
    )

    grade = drawn.grade[patient].astype(object)
    grade[rng.integers(pairs, n - pairs)] = 0  # the real file has grade 0, too
    receptor = np.where(drawn.er_positive[patient], "P", "N")
    titles = [f"{sample}: S18-{1000 + i}" for sample, i in zip(samples, patient, strict=True)]
    rows = [("estrogen receptor status", list(receptor)), ("tumor grage", list(grade))]
    _write_series_matrix(
        folder / "GSE163882_series_matrix.txt.gz",
        series="GSE163882",
        platform="GPL20301",
        titles=titles,
        rows=rows,
        first_accession=4991000,
    )


def _write_log2_fpkm(
    path: Path, genome: Genome, samples: list[str], fpkm: Floats, *, extra: int, prefix: str, rng: Rng
) -> None:
    """Symbols in rows, with genes of the cohort's own, and genes that have no position, between the others."""
    own = [f"{prefix}{i:03d}" for i in range(extra)] + [f"SIMNOPOS{i:03d}" for i in range(extra)]
    values = np.concatenate([fpkm, np.exp2(rng.normal(2.0, 1.0, (len(samples), len(own))))], axis=1)
    order = rng.permutation(values.shape[1])
    symbols = [*genome.symbols, *own]
    table = np.round(np.log2(values[:, order] + 0.1), 4)
    write_csv(path, header=["", *samples], columns=[[symbols[i] for i in order], *table])


def _write_series_matrix(
    path: Path, *, series: str, platform: str, titles: Sequence[str], rows: _Characteristics, first_accession: int
) -> None:
    accessions = [f"GSM{first_accession + i}" for i in range(len(titles))]
    lines = [
        _line("!Series_title", ["Simulated cohort, not patients"]),
        _line("!Series_geo_accession", [series]),
        _line("!Series_platform_id", [platform]),
        "",
        _line("!Sample_title", titles),
        _line("!Sample_geo_accession", accessions),
        *(_line("!Sample_characteristics_ch1", [f"{key}: {cell}" for cell in cells]) for key, cells in rows),
        _line("!Sample_platform_id", [platform] * len(titles)),
        "!series_matrix_table_begin",
        "\t".join(f'"{cell}"' for cell in ("ID_REF", *accessions)),
        "!series_matrix_table_end",
    ]
    write_gzip(path, ("\n".join(lines) + "\n").encode())


def _line(field: str, cells: Sequence[str]) -> str:
    return "\t".join([field, *(f'"{cell}"' for cell in cells)])


def _write_positions(path: Path, genome: Genome) -> None:
    rows = ["symbol\tchrom\tstart\tend\tstrand"]
    for symbol, p in sorted(zip(genome.symbols, genome.positions, strict=True), key=lambda pair: pair[0]):
        rows.append(f"{symbol}\tchr{p.chrom}\t{p.start}\t{p.end}\t{p.strand}")
    write_gzip(path, ("\n".join(rows) + "\n").encode())
