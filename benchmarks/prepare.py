"""Time and memory of `aio-tune prepare` beside `gzip -dc` of the same file: `python -m benchmarks.prepare`.

The files are made in a temporary folder: a table in the form of GSE96058's (full-precision text, a fifth of the values
at the floor, packed by zlib at its default level, as GEO's are), the two series matrices and gene positions. By default
a tenth of the genes, a minute; `--full` is the real size, 30,865 genes x 3,409 samples, and takes some ten minutes.
Everything is measured in turn, round by round, so that whatever else the machine does meets all alike; ratios are
within a round. Peak memory is the kernel's count (ru_maxrss) for the process measured.

In a tenth of the file, starting Python and importing the packages is a third of the time of prepare: the goal is for
the whole.
"""

import argparse
import gzip
import json
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

# Only the standard library up here: the kernel counts this process's memory as a child's until the child's own begins.

GENES, SAMPLES, KEPT = 30_865, 3_409, 16_384
EXPRESSION = "GSE96058_gene_expression_generated_transformed.csv.gz"
FLOOR, FLOOR_SHARE = -3.321928094887362, 0.2
POOL, RUN = 1 << 20, 8  # different values, and how many of them stand together: far apart enough for gzip not to see it
CHUNK = 4 << 20
GOAL_RATIO, GOAL_PEAK_MIB = 2.0, 1.5e9 / 2**20


def titles(samples: int) -> list[str]:
    """F1, F2, ... and as large a share of replicates as the real series has."""
    replicates = samples * 136 // 3_409
    return [f"F{i + 1}" for i in range(samples - replicates)] + [f"F{7 * i + 1}repl" for i in range(replicates)]


def lines(genes: int, samples: int, seed: int = 0) -> Iterator[str]:
    """The text of the table: values such as -0.123456789012345, drawn from a pool of a million."""
    import numpy as np

    rng = np.random.default_rng(seed)
    values = np.maximum(rng.normal(3.0, 2.2, POOL), FLOOR)
    values[rng.random(POOL) < FLOOR_SHARE] = FLOOR
    cells = [f"{value:.15g}" for value in values.tolist()]
    runs = [",".join(cells[i : i + RUN]) for i in range(0, POOL, RUN)]
    yield "," + ",".join(titles(samples)) + "\n"
    for gene in range(genes):
        row = [runs[i] for i in rng.integers(0, len(runs), samples // RUN).tolist()]
        row += [cells[i] for i in rng.integers(0, POOL, samples % RUN).tolist()]
        yield f"GENE{gene + 1},{','.join(row)}\n"


def write_gzip(path: Path, text: Iterator[str]) -> int:
    """Write one gzip member, packed in threads; returns the bytes of text."""
    checksum = size = held = 0
    block: list[str] = []
    waiting: deque[Future[bytes]] = deque()
    with path.open("wb") as file, ThreadPoolExecutor() as pool:

        def pack() -> None:
            nonlocal checksum, size, held
            content = "".join(block).encode()
            checksum, size, held = zlib.crc32(content, checksum), size + len(content), 0
            block.clear()
            waiting.append(pool.submit(deflate, content))
            while len(waiting) > 8:
                file.write(waiting.popleft().result())

        file.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")
        for line in text:
            block.append(line)
            held += len(line)
            if held >= CHUNK:
                pack()
        pack()
        for packed in waiting:
            file.write(packed.result())
        file.write(b"\x03\0" + struct.pack("<II", checksum, size & 0xFFFFFFFF))  # an empty last block, then the sums
    return size


def deflate(content: bytes) -> bytes:
    """A piece of a deflate stream that ends on a byte and is not the last."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)


def write_clinical(folder: Path, names: list[str], platform: str) -> None:
    """A series matrix with labels by turns."""
    values = {
        "er status": "01",
        "ki67 status": ("0", "1", "NA"),
        "nhg": ("G1", "G2", "G3"),
        "overall survival days": ("100", "2000"),
        "overall survival event": "01",
    }
    rows = [("!Sample_title", names)]
    for key, cells in values.items():
        rows.append(("!Sample_characteristics_ch1", [f"{key}: {cells[i % len(cells)]}" for i in range(len(names))]))
    rows.append(("!Sample_platform_id", [platform] * len(names)))
    text = "".join("\t".join([field, *(f'"{cell}"' for cell in cells)]) + "\n" for field, cells in rows)
    (folder / f"GSE96058-{platform}_series_matrix.txt.gz").write_bytes(gzip.compress(text.encode()))


def generate(folder: Path, genes: int, samples: int) -> int:
    """Write all files; returns the bytes of the table's text."""
    size = write_gzip(folder / EXPRESSION, lines(genes, samples))
    names = titles(samples)
    write_clinical(folder, names[samples // 10 :], "GPL11154")
    write_clinical(folder, names[: samples // 10], "GPL18573")
    places = [f"GENE{i + 1}\t{i % 22 + 1}\t{1000 + 100 * i}\t{1050 + 100 * i}\t+\n" for i in range(genes)]
    (folder / "gene_positions.tsv").write_text("symbol\tchrom\tstart\tend\tstrand\n" + "".join(places))
    return size


def measure(command: list[str]) -> dict[str, float]:
    """Wall and processor seconds and peak resident MiB of one command."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"exit status {process.returncode} of {' '.join(command[:4])}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}


def available_bytes() -> int:
    """Memory that can be had without pushing anything out."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def rounds(folder: Path, genes: int, samples: int, repeats: int) -> dict[str, list[dict[str, float]]]:
    """Each command's figures, round by round."""
    out, table = folder / "dataset", folder / "geo" / EXPRESSION
    kept = max(1, genes * KEPT // GENES)
    prepare = [sys.executable, "-m", "aio_tune.cli", "prepare", str(folder / "geo"), "--out", str(out)]
    commands = {
        "gzip -dc": ["gzip", "-dc", str(table)],
        "prepare": [*prepare, "--genes", str(kept)],
        "prepare again": [*prepare, "--genes", str(kept)],
    }
    if available_bytes() > 4 * 8 * genes * samples:
        script = "import sys, pandas; pandas.read_csv(sys.argv[1], index_col=0)"
        commands["pandas.read_csv"] = [sys.executable, "-c", script, str(table)]
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for _ in range(repeats):
        shutil.rmtree(out, ignore_errors=True)
        for name, command in commands.items():
            figures[name].append(measure(command))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return figures


def main() -> None:
    """Print the table and write it beside this file."""
    parser = argparse.ArgumentParser(description="Time and memory of aio-tune prepare.")
    parser.add_argument("--full", action="store_true", help=f"the real size, {GENES:,} genes; default: a tenth")
    parser.add_argument("--genes", type=int, help="rows of the table")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="columns of the table")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument("--generate", type=Path, help=argparse.SUPPRESS)  # a process of its own, for its memory
    given = parser.parse_args()
    genes = given.genes or (GENES if given.full else GENES // 10)
    if given.generate:
        print(generate(given.generate, genes, given.samples))
        return
    with tempfile.TemporaryDirectory(prefix="aio_tune_prepare_") as name:
        geo = Path(name) / "geo"
        geo.mkdir()
        words = ["--generate", geo, "--genes", genes, "--samples", given.samples]
        command = [sys.executable, "-m", "benchmarks.prepare", *map(str, words)]
        text = int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        packed = (geo / EXPRESSION).stat().st_size
        load = os.getloadavg()[0]
        figures = rounds(Path(name), genes, given.samples, given.repeats)
    report(figures, {"genes": genes, "samples": given.samples, "text_bytes": text, "gzip_bytes": packed, "load": load})


def report(figures: dict[str, list[dict[str, float]]], size: dict[str, float]) -> None:
    """Medians, ratios to gzip in the same round, and whether the goals are reached."""
    print(
        f"{size['genes']:,} genes x {size['samples']:,} samples, {size['text_bytes'] / 1e9:.2f} GB of text, "
        f"{size['gzip_bytes'] / 1e9:.2f} GB packed; {os.cpu_count()} processors, load before {size['load']:.1f}"
    )
    print(f"{'':<16} {'wall s':>8} {'(least - most)':>18} {'cpu s':>8} {'/ gzip':>7} {'worst':>7} {'peak MiB':>9}")
    floor = [figure["wall"] for figure in figures["gzip -dc"]]
    results: dict[str, dict[str, float]] = {}
    for name, rows in figures.items():
        wall = [row["wall"] for row in rows]
        ratios = [mine / other for mine, other in zip(wall, floor, strict=True)]
        results[name] = {
            "wall": statistics.median(wall),
            "least": min(wall),
            "most": max(wall),
            "cpu": statistics.median(row["cpu"] for row in rows),
            "ratio": statistics.median(ratios),
            "worst_ratio": max(ratios),
            "peak_mib": max(row["peak_mib"] for row in rows),
        }
        one = results[name]
        spread = f"({one['least']:.1f} - {one['most']:.1f})"
        print(
            f"{name:<16} {one['wall']:>8.1f} {spread:>18} {one['cpu']:>8.1f} "
            f"{one['ratio']:>7.2f} {one['worst_ratio']:>7.2f} {one['peak_mib']:>9.0f}"
        )
    if "pandas.read_csv" not in results:
        print("pandas.read_csv: left out, too little memory here")
    reached = results["prepare"]["ratio"] <= GOAL_RATIO and results["prepare"]["peak_mib"] <= GOAL_PEAK_MIB
    if size["genes"] == GENES:
        print(f"goal (at most {GOAL_RATIO} x gzip, {GOAL_PEAK_MIB:.0f} MiB): {'reached' if reached else 'NOT reached'}")
    content = {**size, "cpus": os.cpu_count(), "medians": results, "rounds": figures}
    Path(__file__).with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
