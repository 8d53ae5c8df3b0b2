"""How long `aio-tune --help` takes, beside a Python that does nothing: `python -m benchmarks.help`."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 5
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "aio-tune --help": [sys.executable, "-m", "aio_tune.cli", "--help"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one run, its output thrown away."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print minimum, median and maximum of each command, the file cache warm, and write them beside this file."""
    results = {}
    for name, command in COMMANDS.items():
        seconds(command)
        times = [seconds(command) for _ in range(RUNS)]
        results[name] = {"min": min(times), "median": statistics.median(times), "max": max(times)}
        print(f"{name:<18}", *(f"{key} {value:.3f} s" for key, value in results[name].items()))
    ratio = results["aio-tune --help"]["median"] / results["python -c pass"]["median"]
    print(f"ratio of medians   {ratio:.1f}")
    Path(__file__).with_suffix(".json").write_text(json.dumps({**results, "ratio": ratio}, indent=1) + "\n")


if __name__ == "__main__":
    main()
