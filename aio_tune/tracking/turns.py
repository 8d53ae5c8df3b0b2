"""One promotion at a time: a registry has no other way to say "only if nobody else has".

The one thing that every MLflow store does for a single caller only is to create a registered model of a new name. So
whoever promotes creates an empty one, whose name says what is going on, and deletes it afterwards.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aio_tune.errors import RegistryError

STALE = 120.0
"""Seconds after which a turn is taken for left by a process that died: moving an alias takes two."""

_TOKEN, _WHO = "aio.turn", "aio.who"


@contextmanager
def turn(client: Any, model: str, who: str) -> Iterator[Callable[[], None]]:
    """Hold the only turn to promote versions of a model.

    Gives a function that raises RegistryError if the turn was lost, to be called before what cannot be taken back.

    Raises:
        RegistryError: somebody else has it.
    """
    name, token = f"promotion of {model} under way", secrets.token_hex(8)
    _take(client, name, token, who)

    def still_mine() -> None:
        if client.get_registered_model(name).tags.get(_TOKEN) != token:
            raise RegistryError(
                f"Expected {model} to stay as it was during this promotion. Received another one.",
                "Look, and try again.",
            )

    try:
        yield still_mine
    finally:
        _give_back(client, name, token)


def _take(client: Any, name: str, token: str, who: str) -> None:
    from mlflow.exceptions import MlflowException

    tags = {_TOKEN: token, _WHO: who, "aio.kind": "turn"}
    for attempt in range(2):
        try:
            client.create_registered_model(name, tags=tags, description="Removed when the promotion is done.")
            return
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        holder, age = _holder(client, name)
        if attempt == 0 and age > STALE:
            _give_back(client, name, holder[_TOKEN])
            continue
        raise RegistryError(
            f"Expected nobody else to be promoting. Received: {name}, by {holder.get(_WHO, 'somebody')}, "
            f"for {age:.0f} s.",
            f"See what `aio-tune models` shows now, and try again; after {STALE:.0f} s it is taken for given up.",
        )


def _holder(client: Any, name: str) -> tuple[dict[str, str], float]:
    """Tags of whoever has the turn, and for how many seconds; of nobody if it was given back meanwhile."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {_TOKEN: ""}, 0.0
    return dict(model.tags), time.time() - model.creation_timestamp / 1000


def _give_back(client: Any, name: str, token: str) -> None:
    holder, _ = _holder(client, name)
    if holder.get(_TOKEN) == token and token:
        client.delete_registered_model(name)
