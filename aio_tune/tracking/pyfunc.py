"""Ensemble folder -> MLflow model folder, without pickle.

What is inside is the ensemble folder as it is, the script ``loader.py`` that opens it, the few modules of aio_tune
that the script needs, and a list of pinned requirements that leaves Ray, Optuna and the search behind.
"""

import ast
import json
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from aio_tune.errors import RegistryError
from aio_tune.tracking.client import prepare

if TYPE_CHECKING:
    import pandas as pd

ENTRY = "aio_tune.models.ensemble"
PACKAGES = ("keras", "tensorflow", "numpy", "pandas", "mlflow")
_ENSEMBLE = Path("artifacts", "ensemble")  # within a model folder
_ROOT = Path(__file__).parents[1]  # the folder of the package aio_tune


def save_pyfunc(
    ensemble: Path,
    path: Path,
    *,
    ids: dict[str, str],
    metadata_facts: dict[str, Any],
    example: "pd.DataFrame | None" = None,
) -> None:
    """Write the MLflow model folder ``path`` for the ensemble folder ``ensemble``.

    Args:
        ensemble: as written by ``Ensemble.save``.
        path: folder to create.
        ids: ``run_id``, ``model_id`` and ``artifact_path`` (its name) of the logged model.
        metadata_facts: JSON-like facts kept in the model's ``MLmodel`` file.
        example: some samples, log2(TPM+1), columns gene symbols; None means one sample of zeros.

    Raises:
        RegistryError: the ensemble folder is not one, or holds a symbolic link.
    """
    mlflow_pyfunc = _import_pyfunc()
    from mlflow.models import Model

    spec = ensemble_spec(ensemble)
    with tempfile.TemporaryDirectory() as staging_name:
        staging = Path(staging_name)
        # Under a neutral path, because MLflow writes down where an artifact was copied from.
        shutil.copytree(ensemble, staging / "ensemble")
        modules = code_closure(ENTRY)
        copy_code(modules, staging)
        mlflow_pyfunc.save_model(
            path=str(path),
            mlflow_model=Model(model_uuid=ids["model_id"], **ids),
            python_model=str(Path(__file__).with_name("loader.py")),
            artifacts={"ensemble": str(staging / "ensemble")},
            code_paths=[str(staging / "aio_tune")],
            pip_requirements=requirements(modules),
            signature=_signature(spec),
            input_example=_example(spec) if example is None else example.head(2),
            metadata=metadata_facts,
        )
    _forget_machine(path)


def save_alike(other: Path, ensemble: Path, path: Path, *, ids: dict[str, str], metadata_facts: dict[str, Any]) -> None:
    """Write a model folder as ``save_pyfunc`` does, out of another one, in a twentieth of the time.

    With a column for each of ten thousand genes MLflow takes some ten seconds for a model: its YAML, its example and
    the check of this are the same for all models that take the same columns and make the same calls.

    Args:
        other: a model folder by ``save_pyfunc``.
        ensemble: as for ``save_pyfunc``.
        path: folder to create.
        ids: as for ``save_pyfunc``.
        metadata_facts: as for ``save_pyfunc``.

    Raises:
        RegistryError: the ensemble folder is not one, holds a symbolic link, or takes or calls something else.
    """
    if _interface(ensemble) != _interface(other / _ENSEMBLE):
        raise RegistryError(f"Expected in {ensemble} a model of the genes and classes of {other}. Received others.")
    shutil.copytree(other, path, ignore=lambda folder, _: ["ensemble"] if Path(folder) == other / "artifacts" else [])
    shutil.copytree(ensemble, path / _ENSEMBLE)
    with _written_again(path) as facts:
        # As of a new model; MLflow has counted the bytes before it wrote code and MLmodel.
        facts |= {"model_uuid": ids["model_id"], **ids, "metadata": metadata_facts}
        facts["utc_time_created"] = str(datetime.now(UTC).replace(tzinfo=None))
        facts["model_size_bytes"] += _size(ensemble) - _size(other / _ENSEMBLE)


def _interface(ensemble: Path) -> tuple[list[str], list[str]]:
    """Columns and classes of an ensemble folder."""
    spec = ensemble_spec(ensemble)
    return input_columns(spec), spec["classes"]


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _forget_machine(path: Path) -> None:
    """Leave no path of this machine in ``MLmodel``: MLflow notes where loader and ensemble were copied from.

    Loading takes the loader's file name and the ensemble's place within the folder, and nothing else of these.
    """
    with _written_again(path) as facts:
        flavor = facts["flavors"]["python_function"]
        flavor["model_code_path"] = Path(flavor["model_code_path"]).name
        for artifact in flavor["artifacts"].values():
            artifact["uri"] = artifact["path"]


@contextmanager
def _written_again(path: Path) -> Iterator[dict[str, Any]]:
    """What ``MLmodel`` says, to be changed; by libyaml, since PyYAML's own code takes seconds for that many genes."""
    file = path / "MLmodel"
    facts = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    yield facts
    file.write_text(yaml.dump(facts, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), default_flow_style=False))


def ensemble_spec(folder: Path) -> dict[str, Any]:
    """The content of ``ensemble.json``.

    Raises:
        RegistryError: it is missing or not JSON, or the folder holds a symbolic link.
    """
    for entry in folder.rglob("*"):
        if entry.is_symlink():
            raise RegistryError(f"Expected a model folder without symbolic links. Received one: {entry}.")
    try:
        spec = json.loads((folder / "ensemble.json").read_text())
    except (OSError, ValueError) as error:
        raise RegistryError(f"Expected an ensemble folder at {folder}. Received: {error}.") from error
    if not isinstance(spec, dict):
        raise RegistryError(f"Expected a JSON object in {folder / 'ensemble.json'}. Received {type(spec).__name__}.")
    return spec


def input_columns(spec: dict[str, Any]) -> list[str]:
    """Every column that an ensemble takes: its genes, then ``<kind>:<gene>`` of each other kind of omics."""
    return [*spec["genes"], *(f"{kind}:{gene}" for kind in spec.get("omics", ()) for gene in spec["genes"])]


def code_closure(entry: str) -> dict[str, Path]:
    """The modules of aio_tune that ``entry`` needs, itself included: dotted name -> file.

    Found in the source, imports inside functions included, so that nothing has to be imported to know them.
    """
    found: dict[str, Path] = {}
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if file is None or name in found:
            continue
        found[name] = file
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # importing a module imports the packages above it
        waiting.extend(imported for imported, _ in _imports(file) if imported.split(".")[0] == "aio_tune")
    return found


def requirements(modules: dict[str, Path]) -> list[str]:
    """Pinned requirements: what every model needs, and what its modules import as soon as they are imported."""
    owners = metadata.packages_distributions()
    packages = set(PACKAGES)
    for file in modules.values():
        tops = {name.split(".")[0] for name, at_import in _imports(file) if at_import}
        packages.update(owners[top][0] for top in tops if top in owners and top != "aio_tune")
    return [f"{name}=={metadata.version(name)}" for name in sorted(packages)]


def copy_code(modules: dict[str, Path], target: Path) -> None:
    """Copy the modules to ``target/aio_tune/...``, at their places within the package."""
    for file in modules.values():
        copy = target / "aio_tune" / file.relative_to(_ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _import_pyfunc() -> Any:
    prepare()
    with warnings.catch_warnings():
        # MLflow's own classes for chat models trip over MLflow's own advice on type hints while they are imported.
        warnings.filterwarnings("ignore", message=".*Any type hint is inferred as AnyType", category=UserWarning)
        import mlflow.pyfunc
    return mlflow.pyfunc


def _file_of(name: str) -> Path | None:
    place = _ROOT.joinpath(*name.split(".")[1:])
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return file
    return None


def _imports(file: Path) -> Iterator[tuple[str, bool]]:
    """Dotted names that a file imports, and whether that happens when it is imported itself.

    ``from a.b import c`` gives both ``a.b`` and ``a.b.c``, because c may be a module.
    """
    tree = ast.parse(file.read_text())
    at_import = {id(node) for node in _run_at_import(tree.body)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in at_import
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, id(node) in at_import
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) in at_import


def _run_at_import(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a module that run when it is imported: not in functions, not under ``if TYPE_CHECKING``."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and not (isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield from _run_at_import([*node.body, *node.orelse])
        elif isinstance(node, ast.Try):
            yield from _run_at_import([*node.body, *node.orelse, *node.finalbody])


def _signature(spec: dict[str, Any]) -> Any:
    """Genes, and other kinds' genes, in; call and probabilities out.

    None is required by name: the ensemble's own policy decides.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    genes = [ColSpec(DataType.double, column, required=False) for column in input_columns(spec)]
    calls = [ColSpec(DataType.string, "call")]
    calls += [ColSpec(DataType.double, f"p_{name}") for name in spec["classes"]]
    return ModelSignature(inputs=Schema(genes), outputs=Schema(calls))


def _example(spec: dict[str, Any]) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(0.0, index=[0], columns=spec["genes"])
