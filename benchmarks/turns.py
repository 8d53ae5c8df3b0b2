"""Sides of a comparison: each in a process of its own, taking turns on the same cores, so that a ratio is of one run.

A side is a command that reads lines from its standard input and answers each with one line of JSON on its standard
output. While one side works the others wait for a line, which costs nothing.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

REPETITIONS = 5


class Side:
    """One side's process.

    Args:
        command: of the process; it answers to the first line once it is warm.
        environment: of the process, whole.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(environment)
        )

    def turn(self) -> Any:
        """Let it work once; what it answers."""
        self.ask()
        return self.answer()

    def ask(self) -> None:
        """Let it begin to work."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("turn\n")
            self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for what it answers."""
        assert self._process.stdout
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"A side ended with status {self._process.wait()}: {self._process.args}")
        return json.loads(answer)

    def end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


class Together:
    """Sides that work at the same time, as one side that answers with the seconds until the last is done."""

    def __init__(self, members: Sequence[Side]) -> None:
        self._members = members

    def turn(self) -> float:
        began = time.perf_counter()
        for member in self._members:
            member.ask()
        for member in self._members:
            member.answer()
        return time.perf_counter() - began

    def end(self) -> None:
        for member in self._members:
            member.end()


@contextlib.contextmanager
def sides(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> Iterator[dict[str, Side]]:
    """All sides, started one after the other and warm."""
    started: dict[str, Side] = {}
    try:
        for name, command in commands.items():
            started[name] = Side(command, environment)
            started[name].turn()
        yield started
    finally:
        for side in started.values():
            side.end()


def take_turns(started: Mapping[str, Side | Together], repetitions: int = REPETITIONS) -> dict[str, list[Any]]:
    """Every side's answers; in each repetition each has one turn, the order reversed from one to the next."""
    answers: dict[str, list[Any]] = {name: [] for name in started}
    for repetition in range(repetitions):
        for name in list(started)[:: -1 if repetition % 2 else 1]:
            answers[name].append(started[name].turn())
    return answers


def answer_turns(work: Callable[[], Any]) -> None:
    """A side's own part: for each line do the work, and answer with the seconds it took, or with what it returned."""
    for _ in sys.stdin:
        began = time.perf_counter()
        answer = work()
        seconds = time.perf_counter() - began
        print(json.dumps(seconds if answer is None else answer), flush=True)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median [minimum, maximum]."""
    return f"{statistics.median(values):.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def ratios(of: Sequence[float], over: Sequence[float]) -> list[float]:
    """Turn by turn: what the one took over what the other took in the same repetition."""
    return [one / other for one, other in zip(of, over, strict=True)]


def write(script: str, facts: Mapping[str, Any]) -> None:
    """The figures as JSON beside the benchmark."""
    Path(script).with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
