"""The demo's files in an installed package; that it runs is seen by `make demo`."""

import tomllib
from importlib.resources import files
from pathlib import Path

from aio_tune.cli.demo import demo_space

ROOT = Path(__file__).parents[2]


def test_the_demo_has_its_space_without_a_checkout(tmp_path: Path) -> None:
    inside = files("aio_tune.cli") / "demo.yaml"
    assert inside.is_file()
    shipped = (ROOT / "search_spaces" / "demo.yaml").read_text()
    assert inside.read_text() == shipped, "two copies of one file: change both"
    assert demo_space(tmp_path).read_text() == shipped


def test_every_file_that_is_no_module_is_packaged() -> None:
    packaged = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    named = {
        file for package, patterns in packaged.items() for pattern in patterns
        for file in (ROOT / package.replace(".", "/")).glob(pattern)
    }  # fmt: skip
    there = {file for file in (ROOT / "aio_tune").rglob("*.*") if file.is_file() and "__pycache__" not in file.parts}
    assert {file for file in there if file.suffix != ".py"} == named
