"""Description files: small YAML files beside a cohort's data that say what the data cannot say of themselves."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from aio_tune.errors import CohortError

_Description = TypeVar("_Description", bound=BaseModel)


def read_description(path: Path, model: type[_Description]) -> _Description:
    """Reads a description file into its pydantic model.

    Raises:
        CohortError: the file is not YAML, or says something else than the model knows; the field is named.
    """
    import yaml

    try:
        return model.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CohortError(f"Expected YAML in {path.name}. Received {' '.join(str(error).split())}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "description"
        raise CohortError(
            f"Expected a valid {field} in {path.name}. Received {first['input']!r}: {first['msg']}."
        ) from error
