"""YAML text -> plain values, and where in the file each of them stands.

Scalars follow the YAML 1.2 core schema. PyYAML's own rules are those of YAML 1.1, where ``1e-4`` is text (it has no
dot), ``no`` and ``off`` are false and ``1:30`` is ninety; none of that is meant in a search space. Duplicate keys,
aliases and tags are refused: the first loses a value silently, the others have no use here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from aio_tune.errors import SpaceError

Path = tuple[str | int, ...]  # keys and list positions from the top, e.g. ("start", 0, "learning_rate")

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OVERRIDE = "--set "
_INT = re.compile(r"[-+]?[0-9]{1,18}")  # longer ones are read as real numbers
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))  # what nodes without a tag get


@dataclass(frozen=True, order=True)
class Place:
    """Where a value was written: a line of the file, or an override (which has no line and sorts first)."""

    line: int
    source: str

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}" if self.line else self.source


@dataclass
class Located:
    """Plain values with their places.

    Attributes:
        data: the top-level mapping: dictionaries, lists and scalars.
        places: path -> place; a mapping's entry stands where its key does.
    """

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Sequence[str | int]) -> Place:
        """The place of ``path``, or of the innermost thing around it that has one."""
        for end in range(len(path), -1, -1):
            found = self.places.get(tuple(path[:end]))
            if found:
                return found
        return Place(0, "search space")


def parse_yaml(text: str, source: str) -> Located:
    """Parse a document whose top level is a mapping.

    Args:
        text: YAML.
        source: name of the file, for messages.

    Raises:
        SpaceError: not YAML, not a mapping, a duplicate key, an alias or a tag; file and line named.
    """
    places: dict[Path, Place] = {}
    data = _plain(_compose(text, source), (), places, source)
    if not isinstance(data, dict):
        raise SpaceError(f"{places[()]}: Expected settings as `key: value`. Received {show(data)}.")
    return Located(data, places)


def override(located: Located, assignment: str) -> Path:
    """Apply one ``KEY=VALUE`` in place; the value replaces whatever was at the key.

    Args:
        located: what to change.
        assignment: dotted key, ``=``, a YAML value, e.g. ``space.learning_rate=0.001``.

    Returns:
        The key as a path.

    Raises:
        SpaceError: not of that form, the value is not YAML, or the key leads through something not a mapping.
    """
    source = f"{_OVERRIDE}{assignment}"
    key, equals, text = assignment.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise SpaceError(f"Expected --set KEY=VALUE. Received {assignment!r}.", "E.g. --set space.learning_rate=0.001")
    places: dict[Path, Place] = {}
    value = _plain(_compose(text, source), path, places, source)
    inside: Any = located.data
    for depth, part in enumerate(path[:-1]):
        inside = inside.setdefault(part, {})
        if not isinstance(inside, dict):
            raise SpaceError(
                f"{source}: Expected a key whose parts are mappings. Received {show(inside)} at "
                f"{'.'.join(path[: depth + 1])}.",
                "Set that key as a whole.",
            )
        located.places.setdefault(path[: depth + 1], Place(0, source))
    inside[path[-1]] = value
    for old in [old for old in located.places if old[: len(path)] == path]:
        del located.places[old]
    located.places.update(places)
    return path


def show(value: object) -> str:
    """A value, briefly, for a message."""
    if isinstance(value, Mapping):
        return f"a mapping of {', '.join(map(str, value)) or 'nothing'}"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(show, value)) + "]"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Loader(yaml.SafeLoader):
    """Composes nodes; resolves no scalar by itself and knows no alias."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (declared so by the base class)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias, which is not supported", problem_mark=mark)
        return super().compose_node(parent, index)


def _compose(text: str, source: str) -> yaml.Node:
    loader = None
    try:
        loader = _Loader(text)  # reads the first characters, which may already be none of YAML's
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise SpaceError(f"{_place(mark, source)}: Expected YAML. Received: {error.problem}.") from error
    except yaml.YAMLError as error:
        raise SpaceError(f"{source}: Expected YAML. Received: {str(error).splitlines()[0]}.") from error
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        raise SpaceError(f"{source}: Expected YAML. Received nothing.")
    return node


def _plain(node: yaml.Node, path: Path, places: dict[Path, Place], source: str) -> Any:
    place = _place(node.start_mark, source)
    places.setdefault(path, place)
    if node.tag not in _TAGS:
        raise SpaceError(f"{place}: Expected a value without a YAML tag. Received {node.tag!r}.")
    if isinstance(node, yaml.ScalarNode):
        return node.value if node.style else _scalar(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, i), places, source) for i, item in enumerate(node.value)]
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key_place = _place(key_node.start_mark, source)
        if not isinstance(key_node, yaml.ScalarNode):
            raise SpaceError(f"{key_place}: Expected a plain key. Received a {key_node.id}.")
        key = key_node.value
        if key in result:
            first = places[*path, key]
            raise SpaceError(f"{key_place}: Expected each key once. Received {key!r} again, after line {first.line}.")
        places[*path, key] = key_place
        result[key] = _plain(value_node, (*path, key), places, source)
    return result


def _scalar(text: str) -> Any:
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _place(mark: yaml.Mark | None, source: str) -> Place:
    # An override is one line, and is its own place.
    return Place(mark.line + 1 if mark and not source.startswith(_OVERRIDE) else 0, source)
