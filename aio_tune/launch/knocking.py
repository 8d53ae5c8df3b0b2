"""Asks the head of a cluster one harmless question, without becoming part of the cluster."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import grpc

from aio_tune.errors import LaunchError

QUESTION = "/ray.rpc.NodeInfoGcsService/CheckAlive"
TIMEOUT = 5.0  # seconds for one answer
_SENT_AWAY = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def knock(address: str, method: str = QUESTION, token: str = "") -> bool | None:
    """Whether a gRPC port of Ray answers: True; sends us away for want of its token: False; nobody is there: None.

    Args:
        address: host:port.
        method: what is asked, with an empty message.
        token: shown, if there is one.
    """
    shown = (("authorization", f"Bearer {token}"),) if token else ()
    # A proxy of the user's environment has no business between nodes.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(method)(b"", metadata=shown, timeout=TIMEOUT)
        except grpc.RpcError as error:
            return False if error.code() in _SENT_AWAY else None
    return True


def check_head(address: str, wait: float = 10.0, environment: Mapping[str, str] | None = None) -> None:
    """Make sure that there is a head of Ray which knows our token, within seconds and in one line.

    Ray itself asks for 20 to 60 s, with a line for each time.

    Args:
        address: host:port; of another form (``auto``) it is left to Ray.
        wait: seconds that it gets to come.
        environment: where the token is; default: this process's.

    Raises:
        LaunchError: it does not answer, or does not know the token.
    """
    if address.count(":") != 1 or not address.rpartition(":")[2].isdigit():
        return
    token = _token(os.environ if environment is None else environment)
    deadline = time.monotonic() + wait
    while (answer := knock(address, token=token)) is None and time.monotonic() < deadline:
        time.sleep(0.5)
    if answer is None:
        raise LaunchError(
            f"Expected a Ray cluster at {address}. Received no answer within {wait:.0f} s.",
            "Start it, or look at the network on the way.",
        )
    if not answer:
        shown = "another one" if token else "none"
        raise LaunchError(
            f"Expected the token of the Ray cluster at {address}. Received {shown}.",
            "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the cluster's token file.",
        )


def _token(environment: Mapping[str, str]) -> str:
    """The token that Ray would use: it looks in the same places, in this order."""
    if environment.get("RAY_AUTH_MODE", "").lower() == "disabled":
        return ""
    if given := environment.get("RAY_AUTH_TOKEN", ""):
        return given
    default = Path.home() / ".ray" / "auth_token"
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or default)
    return path.read_text().strip() if path.is_file() else ""
