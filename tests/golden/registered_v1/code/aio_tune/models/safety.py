"""Looking at a stored model before it is loaded.

Keras' safe mode was bypassed often enough not to be relied on alone (e.g. CVE-2025-1550, CVE-2025-8747), so a
``.keras`` file is opened only after three checks of our own: it is the file that was recorded (sha256), it is a plain
file within its folder, and its configuration names nothing but what our networks are made of.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aio_tune.errors import RegistryError
from aio_tune.files import sha256_of

if TYPE_CHECKING:
    import keras

# Everything that our networks are built of: `class_name` in a Keras configuration -> the module it must come from.
# A new network that needs another layer adds it here; a test builds every network and loads it again.
ALLOWED: dict[str, str] = {
    "Functional": "keras.src.models.functional",
    **dict.fromkeys(
        (
            "InputLayer", "Dropout", "Conv1D", "Conv2D", "MaxPooling1D", "MaxPooling2D", "BatchNormalization",
            "Activation", "Flatten", "Dense", "Concatenate",
        ),
        "keras.layers",
    ),
    **dict.fromkeys(("HeNormal", "Zeros", "Ones"), "keras.initializers"),
    **dict.fromkeys(("L1L2", "L2"), "keras.regularizers"),
    "DTypePolicy": "keras",
    "__keras_tensor__": "",
}  # fmt: skip
MEMBERS = ("config.json", "metadata.json", "model.weights.h5")
LARGEST_CONFIG = 16 * 2**20
"""Bytes; the configuration of our largest network has a few hundred thousand."""


def plain_file(folder: Path, name: str) -> Path:
    """The file ``name`` of ``folder``.

    Raises:
        RegistryError: the name leads out of the folder, or it is no plain file (missing, a link, a folder).
    """
    if Path(name).name != name or name in ("", ".", ".."):
        raise RegistryError(f"Expected a file name within {folder}. Received {name!r}, which leads elsewhere.")
    path = folder / name
    if path.is_symlink():
        raise RegistryError(f"Expected a plain file {name} in {folder}. Received a symbolic link.")
    if not path.is_file():
        raise RegistryError(f"Expected a plain file {name} in {folder}. Received none of that name.")
    return path


def check_sha256(path: Path, expected: str) -> None:
    """Compare a file with what was recorded.

    Raises:
        RegistryError: it is another file.
    """
    found = sha256_of(path)
    if found != expected:
        raise RegistryError(
            f"Expected {path} to be the recorded file, sha256 {expected[:12]}. Received sha256 {found[:12]}.",
            "It was damaged or replaced: take the model from the registry again.",
        )


def load_keras(path: Path) -> "keras.Model":
    """Load a ``.keras`` file for prediction, after looking at what is in it.

    Raises:
        RegistryError: it is not a ``.keras`` file of ours, names something that our networks are not made of, or its
            weights do not fit its configuration.
    """
    check_keras(path)
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        # What Keras raises for a configuration or weights that do not fit together; its texts run over many lines.
        raise RegistryError(f"Expected a whole network in {path}. Received: {_first_line(error)}") from error


def check_keras(path: Path) -> None:
    """Look into a ``.keras`` file without loading it; imports no Keras.

    Raises:
        RegistryError: as ``load_keras``, but for the weights.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = sorted(member.filename for member in members)
            if names != sorted(MEMBERS):
                raise RegistryError(f"Expected {', '.join(MEMBERS)} in {path}. Received {', '.join(names)}.")
            # Keras writes without compression; what is compressed may unfold to any size.
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise RegistryError(f"Expected uncompressed members in {path}. Received compressed ones.")
            size = archive.getinfo("config.json").file_size
            if size > LARGEST_CONFIG:
                raise RegistryError(f"Expected a configuration of at most {LARGEST_CONFIG} bytes. Received {size}.")
            damaged = archive.testzip()
            if damaged is not None:
                raise RegistryError(f"Expected whole members in {path}. Received a damaged {damaged}.")
            config = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, RecursionError) as error:
        raise RegistryError(f"Expected a .keras file in {path}. Received: {_first_line(error)}") from error
    _check_objects(config, path)


def _check_objects(config: Any, path: Path) -> None:
    if not isinstance(config, dict) or config.get("class_name") != "Functional":
        raise RegistryError(f"Expected the configuration of a functional network in {path}. Received something else.")
    if config.get("compile_config"):
        raise RegistryError(f"Expected a network without optimizer and loss in {path}. Received a compiled one.")
    for item in _objects(config):
        name, module = str(item["class_name"]), str(item.get("module") or "")
        registered = item.get("registered_name")
        if ALLOWED.get(name) != module or registered not in (None, name):
            what = f"{module}.{name}" if registered in (None, name) else f"{registered} (registered as {name})"
            raise RegistryError(
                f"Expected only the layers of our own networks in {path}. Received {what}.",
                "The file was not written by this project, and is not loaded.",
            )


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object within a configuration: what Keras would look up by name."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
