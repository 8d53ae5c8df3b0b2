"""Small YAML files that users write beside their data: read into a pydantic model, or refused in one line."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from aio_tune.errors import CohortError

_Model = TypeVar("_Model", bound=BaseModel)


def read_declaration(path: Path, model: type[_Model], what: str) -> _Model:
    """Read a file into its model.

    Args:
        path: of the file.
        model: what it may say.
        what: the file is, e.g. ``"task"``.

    Raises:
        CohortError: it cannot be read, is not YAML, or says something else than the model knows; the field is named.
    """
    import yaml

    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise CohortError(f"Expected a {what} at {path}. Received: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CohortError(f"Expected YAML in {path.name}. Received {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or what
        raise CohortError(
            f"Expected a valid {field} in {path.name}. Received {first['input']!r}: {first['msg']}."
        ) from error
