"""A saved model where users put it: behind MLflow's HTTP server, and in an environment of its own requirements."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.tracking.real_model import ALONE, RealModel
from tests.tracking.team_server import free_port, start, stop, wait_until_it_answers

# TensorFlow's start alone takes most of a minute where the processor is busy, and installing it some minutes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def address(real_model: RealModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the model is served, by the command that MLflow's documentation gives."""
    folder, port = tmp_path_factory.mktemp("serving"), free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(real_model.model)]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    # MLflow calls the programs of its environment by name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("ab") as log:
        process = start(command, environment, log.fileno())
    try:
        wait_until_it_answers(f"http://127.0.0.1:{port}/ping", process, folder / "server.log", seconds=300)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        stop(process)


def post(address: str, frame: pd.DataFrame) -> Any:
    body = json.dumps({"dataframe_split": json.loads(frame.to_json(orient="split", double_precision=15))}).encode()
    request = urllib.request.Request(address, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)["predictions"]


@pytest.mark.parametrize("n", [1, 3])
def test_served_over_http_it_calls_as_the_ensemble_does(address: str, real_model: RealModel, n: int) -> None:
    samples = real_model.samples.head(n)
    calls = pd.DataFrame(post(address, samples))
    assert len(calls) == n
    real_model.check(calls, samples)


def test_too_many_missing_genes_are_named_to_whoever_asked(address: str, real_model: RealModel) -> None:
    samples = real_model.samples.drop(columns=["G0", "G1", *(f"G{i}" for i in range(10, 20))])
    with pytest.raises(urllib.error.HTTPError) as refused:
        post(address, samples)
    text = refused.value.read().decode()
    refused.value.close()
    assert refused.value.code == 400
    assert "genes to be missing" in text
    assert "without 13 of them (G0, G1, G5, ...)" in text  # no sample has G5


@pytest.fixture
def own_environment(real_model: RealModel, tmp_path: Path) -> Iterator[Path]:
    """A virtual environment with what the model's requirements ask for, and nothing else."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, env=environment)
    python = tmp_path / "venv" / "bin" / "python"

    def pip(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
        return subprocess.run(command, check=False, env=environment, capture_output=True, text=True, cwd=tmp_path)

    try:
        # A package of any version, so that a requirement that cannot be met is still a failure.
        probe = pip("download", "--no-deps", "--dest", str(tmp_path / "probe"), "packaging")
        if probe.returncode != 0:
            pytest.skip("no package index can be reached, so the model's requirements cannot be installed")
        # Of TensorFlow's 10,000 files a call reads few: these are compiled when they are.
        installed = pip("install", "--no-compile", "-r", str(real_model.model / "requirements.txt"))
        assert installed.returncode == 0, installed.stderr[-3000:]
        yield python
    finally:
        shutil.rmtree(tmp_path / "venv")  # gigabytes, which pytest would keep for three runs


def test_its_requirements_are_all_it_needs(own_environment: Path, real_model: RealModel, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    clean = {"PATH": "/usr/bin:/bin", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "OMP_NUM_THREADS": "1"}

    def run(code: str, *arguments: Path) -> str:
        command = [str(own_environment), "-c", code, *map(str, arguments)]
        done = subprocess.run(command, check=False, cwd=elsewhere, env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    names = run("from importlib.metadata import distributions as all\nprint(*(d.metadata['Name'] for d in all()))")
    installed = {name.lower().replace("_", "-") for name in names.split()}
    assert {"tensorflow", "keras", "mlflow"} <= installed
    assert not {"ray", "optuna", "aio-tune"} & installed
    real_model.samples.to_json(tmp_path / "in.json", orient="split", double_precision=15)
    run(ALONE, real_model.model, tmp_path / "in.json", tmp_path / "out.json")
    real_model.check(pd.read_json(tmp_path / "out.json", orient="split"))
