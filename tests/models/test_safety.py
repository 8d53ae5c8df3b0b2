"""What a stored model could do to whoever loads it, and that it is refused before Keras sees it."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aio_tune.errors import RegistryError
from aio_tune.files import sha256_of
from aio_tune.models import build
from aio_tune.models.safety import check_keras, check_sha256, load_keras, plain_file

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ours") / "model.keras"
    build({"filters": 1, "depth": 1, "embedding_width": 2, "fc_widths": [2]}, (5, 5, 1), 2).save(path)
    return path


def rewritten(source: Path, path: Path, change: Change) -> Path:
    """The same file with another configuration."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return path


def refused(path: Path) -> str:
    """The one line that ``load_keras`` refuses the file with."""
    with pytest.raises(RegistryError) as error:
        load_keras(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_ours_is_loaded(ours: Path, tmp_path: Path) -> None:
    assert load_keras(ours).output_shape == (None, 2)
    assert load_keras(rewritten(ours, tmp_path / "same.keras", lambda config: None)).output_shape == (None, 2)


def test_lambda_layer(tmp_path: Path) -> None:
    """Keras itself refuses code in a Lambda layer only in safe mode; we know no such layer."""
    import keras

    picture = keras.Input((2,))
    keras.Model(picture, keras.layers.Lambda(lambda x: x + 1, output_shape=(2,))(picture)).save(tmp_path / "l.keras")
    assert "Received keras.layers.Lambda." in refused(tmp_path / "l.keras")


def test_custom_registered_object(tmp_path: Path) -> None:
    import keras

    class Doubling(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return 2 * x

    keras.saving.register_keras_serializable("hostile")(Doubling)
    picture = keras.Input((2,))
    keras.Model(picture, Doubling()(picture)).save(tmp_path / "custom.keras")
    assert "hostile>Doubling" in refused(tmp_path / "custom.keras")


def first_layer(config: dict[str, Any]) -> dict[str, Any]:
    layer: dict[str, Any] = next(layer for layer in config["config"]["layers"] if layer["class_name"] == "Dense")
    return layer


CHANGES: dict[str, Change] = {
    "a class of another module": lambda config: config.update(module="os", class_name="system"),
    "a known class of another module": lambda config: first_layer(config).update(module="builtins"),
    "a known class under another registered name": lambda config: first_layer(config).update(registered_name="a>Dense"),
    "a function as an activation": lambda config: first_layer(config)["config"].update(
        activation={"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"}
    ),
    "a lambda as an activation": lambda config: first_layer(config)["config"].update(
        activation={"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}
    ),
    "a layer that loads a file": lambda config: first_layer(config).update(class_name="TFSMLayer"),
    "a compiled model": lambda config: config.update(compile_config={"optimizer": "adam"}),
    "no functional network": lambda config: config.update(class_name="Dense", module="keras.layers"),
    "a class name that is no string": lambda config: first_layer(config).update(class_name=["Dense"]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_configuration_that_names_something_else(change: Change, ours: Path, tmp_path: Path) -> None:
    assert "Expected" in refused(rewritten(ours, tmp_path / "changed.keras", change))
    with pytest.raises(RegistryError):  # so that Keras was not asked
        check_keras(tmp_path / "changed.keras")


def test_weights_of_another_network(ours: Path, tmp_path: Path) -> None:
    def widen(config: dict[str, Any]) -> None:
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "Dense":
                layer["config"]["units"] = 3

    assert "Expected a whole network" in refused(rewritten(ours, tmp_path / "wide.keras", widen))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file(share: float, ours: Path, tmp_path: Path) -> None:
    whole = ours.read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: int(share * len(whole))])
    assert "Expected a .keras file" in refused(tmp_path / "cut.keras")


def test_damaged_member(ours: Path, tmp_path: Path) -> None:
    content = bytearray(ours.read_bytes())
    content[content.index(b"\x89HDF") + 64] ^= 0xFF
    (tmp_path / "damaged.keras").write_bytes(content)
    assert "model.weights.h5" in refused(tmp_path / "damaged.keras")


def archive(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as new:
        for name, content in members:
            new.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"pickle, perhaps", "Expected a .keras file"),
        (archive([("config.json", b"{}")]), "Expected config.json, metadata.json, model.weights.h5"),
        (
            archive([(n, b"{}") for n in ("config.json", "metadata.json", "model.weights.h5", "assets/x")]),
            "assets/x",
        ),
        (
            archive([(n, b"{}") for n in ("config.json", "metadata.json", "model.weights.h5")], zipfile.ZIP_DEFLATED),
            "uncompressed",
        ),
        (archive([(n, b"{") for n in ("config.json", "metadata.json", "model.weights.h5")]), "Expected a .keras file"),
        (
            archive([(n, b"[" * 10**6) for n in ("config.json", "metadata.json", "model.weights.h5")]),
            "Expected a .keras file",
        ),
    ],
    ids=["no zip", "too little", "too much", "compressed", "no JSON", "too deep"],
)
def test_other_archives(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "other.keras").write_bytes(content)
    assert said in refused(tmp_path / "other.keras")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_member_twice(tmp_path: Path) -> None:
    """Two readers of one archive could each take another of the two."""
    names = ("config.json", "config.json", "metadata.json", "model.weights.h5")
    (tmp_path / "twice.keras").write_bytes(archive([(name, b"{}") for name in names]))
    assert "Received config.json, config.json" in refused(tmp_path / "twice.keras")


def test_plain_file(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("secret")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "here").write_text("x")
    (folder / "link").symlink_to(tmp_path / "outside")
    assert plain_file(folder, "here") == folder / "here"
    cases = {
        "../outside": "leads elsewhere",
        str(tmp_path / "outside"): "leads elsewhere",
        "sub/../here": "leads elsewhere",
        "..": "leads elsewhere",
        "": "leads elsewhere",
        "link": "a symbolic link",
        "sub": "none of that name",
        "absent": "none of that name",
    }
    for name, said in cases.items():
        with pytest.raises(RegistryError, match=said):
            plain_file(folder, name)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "f") == known
    check_sha256(tmp_path / "f", known)
    with pytest.raises(RegistryError, match="sha256 ba7816bf8f01"):
        check_sha256(tmp_path / "f", "0" * 64)
