"""Space file and overrides -> SearchSpec, every mistake with its line."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aio_tune.errors import SpaceError
from aio_tune.search_space.known import KNOWN_PARAMETERS
from aio_tune.search_space.located_yaml import Located, Place, override, parse_yaml, show
from aio_tune.search_space.located_yaml import Path as KeyPath
from aio_tune.search_space.parameters import KINDS
from aio_tune.search_space.spec import Budget, Resources, SearchSpec, default_rungs
from aio_tune.tasks import TASKS, Task

_SETTINGS = tuple(SearchSpec.model_fields)
_KEYS_OF_KIND = {
    "choice": ("choice", "when"),
    "int": ("int", "step", "log", "when"),
    "float": ("float", "step", "log", "when"),
}
_EXPECTED = {  # for those of pydantic's errors that speak Python
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}


def load_space(
    path: Path,
    overrides: Sequence[str] = (),
    parameters: Collection[str] = KNOWN_PARAMETERS,
    tasks: Mapping[str, Task] = TASKS,
) -> SearchSpec:
    """Read a space file.

    Args:
        path: YAML, see the package's text.
        overrides: ``KEY=VALUE`` with dotted keys and YAML values, applied in order. One that pins ``space.X`` also
            takes X out of the starting points that it rules out. ``rungs`` replaces the file's ``epochs``;
            ``epochs`` alone is refused where the file spells out its rungs, since it does not say where they go.
        parameters: names allowed in ``space``.
        tasks: those allowed as ``task``, by name, e.g. of a dataset.

    Raises:
        SpaceError: the file cannot be read or anything in it is wrong: the first mistake, in one line, with the
            file and line (or the override) and, for a misspelt name, the nearest valid one.
    """
    located = parse_yaml(_read(path), str(path))
    _apply(located, overrides)
    complaints = list(_unknown_parameters(located, parameters))
    try:
        spec = SearchSpec.model_validate(located.data, context={"tasks": tasks})
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # A misspelt key is also a missing one; the first of the two is the one to tell.
        told = [details for details in errors if details["type"] != "missing"] or errors
        complaints += [_complaint(located, details) for details in told]
    if complaints:
        place, problem, hint = min(complaints, key=lambda complaint: complaint[0])
        raise SpaceError(f"{place}: {problem}", hint)
    return spec


def change_resources(spec: SearchSpec, overrides: Sequence[str]) -> SearchSpec:
    """The same search with other resources.

    Args:
        spec: the search.
        overrides: as of ``load_space``, of keys below ``resources`` alone.

    Raises:
        SpaceError: another key, or a wrong value.
    """
    located = Located({"resources": spec.resources.model_dump(mode="json")})
    for assignment in overrides:
        if override(located, assignment)[0] != "resources":
            raise SpaceError(
                f"Expected a key below resources, such as resources.cpus_per_fold. Received {assignment!r}.",
                "Everything else stays as it was in the search.",
            )
    try:
        return SearchSpec.model_validate({**spec.settings_facts(), "space": spec.space_facts(), **located.data})
    except ValidationError as error:
        place, problem, hint = _complaint(located, error.errors(include_url=False)[0])
        raise SpaceError(f"{place}: {problem}", hint) from error


def json_schema(parameters: Collection[str] = KNOWN_PARAMETERS) -> dict[str, Any]:
    """JSON Schema of a space file, for editors that complete and check YAML by one."""
    schema = SearchSpec.model_json_schema(by_alias=True)
    schema["title"] = "aio_tune search space"
    schema["required"] = ["task", "trials", "space"]
    schema["anyOf"] = [{"required": ["epochs"]}, {"required": ["rungs"]}]
    schema["properties"]["space"]["propertyNames"] = {"enum": list(parameters)}
    return schema


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpaceError(f"Expected a search space at {path}. Received nothing: there is no such file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"Expected a readable search space at {path}. Received: {error}.") from error


def _apply(located: Located, overrides: Sequence[str]) -> None:
    paths = [override(located, assignment) for assignment in overrides]
    keys = {path[0] for path in paths}
    if "epochs" in keys and "rungs" not in keys and "rungs" in located.data:
        raise _rungs_needed(located)
    if "rungs" in keys and "epochs" not in keys:
        located.data.pop("epochs", None)
    pinned = {str(path[1]) for path in paths if path[0] == "space" and len(path) > 1}
    if pinned and "start" not in keys:
        _free_start(located.data, pinned)


def _rungs_needed(located: Located) -> SpaceError:
    epochs, folds = located.data["epochs"], located.data.get("folds", 5)
    hint = "Override rungs too."
    if type(epochs) is int and type(folds) is int and min(epochs, folds) > 0:
        ladder = [list(rung) for rung in default_rungs(folds, epochs)]
        hint = f"Override rungs instead, e.g. --set 'rungs={ladder}'."
    return SpaceError(
        f"{located.place(('epochs',))}: Expected rungs too, since {located.place(('rungs',))} spells them out. "
        "Received epochs alone.",
        hint,
    )


def _free_start(data: dict[str, Any], pinned: Collection[str]) -> None:
    """Take pinned parameters out of the starting points: what the user sets for one search beats the file."""
    start = data.get("start")
    for point in start if isinstance(start, list) else ():
        if isinstance(point, dict):
            for name in point.keys() & set(pinned):
                if not _allowed(data, name, point[name]):
                    del point[name]


def _allowed(data: dict[str, Any], name: str, value: object) -> bool:
    probe = {"task": "ki67", "train_on": ["-"], "trials": 1, "epochs": 1, "space": {name: data["space"][name]}}
    try:
        return SearchSpec.model_validate(probe).space[name].allows(value)
    except ValidationError:
        return True  # whatever is wrong there is said when the whole is read


def _unknown_parameters(located: Located, parameters: Collection[str]) -> Iterable[tuple[Place, str, str]]:
    space = located.data.get("space")
    for name in space if isinstance(space, dict) else ():
        if name not in parameters:
            yield (
                located.place(("space", name)),
                f"Expected a parameter. Received {name!r}.",
                _nearest(name, parameters),
            )


def _complaint(located: Located, details: ErrorDetails) -> tuple[Place, str, str]:
    """One of pydantic's errors as (place, problem, hint)."""
    context: dict[str, Any] = details.get("ctx", {})
    path = _file_path(details["loc"])
    key = ".".join(map(str, path)) or "the file"
    message, received, hint = details["msg"], show(details["input"]), ""
    match details["type"]:
        case "spec":
            path, problem, hint = context["at"], message, _nearest(context["key"], context["near"])
        case "extra_forbidden":
            valid = _valid_keys(details["loc"])
            problem = f"Expected a key, one of {', '.join(valid)}. Received {path[-1]!r}."
            hint = _nearest(path[-1], valid)
        case "union_tag_not_found":
            problem = f"Expected {key} to be a value or one of choice, int, float. Received {received}."
            hint = next(filter(None, (_nearest(name, KINDS) for name in details["input"])), "")
        case "missing":
            problem = f"Expected {key}. Received nothing."
        case "literal_error":
            problem = f"Expected {key} to be {context['expected']}. Received {received}."
            hint = _nearest(details["input"], re.findall(r"'(\w+)'", context["expected"]))
        case "range" | "twice":
            problem = f"{key}: {message}"
        case _:
            expected = _EXPECTED.get(details["type"]) or message.removeprefix("Expected ").removesuffix(".")
            expected = expected.removeprefix("Input should be ").format(**context)
            problem = f"Expected {expected} for {key}. Received {received}."
    return located.place(path), problem, hint


def _file_path(loc: tuple[str | int, ...]) -> KeyPath:
    """Pydantic's path without what is not in the file: the kind of a parameter, the member of a union."""
    if loc[:1] == ("space",) and len(loc) > 2:
        return (*loc[:2], *loc[3:])
    return loc


def _valid_keys(loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that could stand where the last one of pydantic's path does."""
    if len(loc) == 1:
        return _SETTINGS
    if loc[0] == "space":
        return _KEYS_OF_KIND[str(loc[2])]
    return tuple((Budget if loc[0] == "budget" else Resources).model_fields)


def _nearest(name: object, valid: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(valid), n=1)
    return f"Did you mean {near[0]!r}?" if near else ""
