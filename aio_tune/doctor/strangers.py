"""A cluster's doors, tried as somebody on the network would who has no token.

ShadowRay (CVE-2023-48022): whoever reaches an open Ray's ports can run code on it. The head's and the nodes' gRPC ports
listen on all interfaces, whatever ``--dashboard-host`` says.
"""

import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import grpc

TIMEOUT = 5.0  # seconds
_DENIED = (401, 403)
# Of the head and of a node: harmless questions that need no argument.
HEAD = "/ray.rpc.NodeInfoGcsService/CheckAlive"
NODE = "/ray.rpc.NodeManagerService/GetSystemConfig"
JOBS = "/api/jobs/"
AGENT_JOBS = "/api/job_agent/jobs/"


@dataclass(frozen=True)
class Door:
    """What a stranger got from one address.

    Attributes:
        what: whose door, for messages.
        address: host:port.
        open: True: an answer. False: sent away. None: nobody answered, which from elsewhere may be otherwise.
    """

    what: str
    address: str
    open: bool | None


def knock(what: str, address: str, method: str) -> Door:
    """Ask a gRPC port something without a token."""
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(method)(b"", timeout=TIMEOUT)
        except grpc.RpcError as error:
            denied = error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
            return Door(what, address, False if denied else None)
    return Door(what, address, True)


def knock_http(what: str, address: str, path: str) -> Door:
    """Ask for a page of a dashboard, or of a node's agent, without a token."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://{address}{path}", timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        return Door(what, address, False if error.code in _DENIED else None)
    except OSError:
        return Door(what, address, None)
    return Door(what, address, True)


def doors(head: str, dashboard: str, nodes: list[dict[str, Any]]) -> tuple[Door, ...]:
    """What a stranger gets from a cluster.

    Args:
        head: host:port of the head.
        dashboard: host:port of dashboard and job API, empty where there is none.
        nodes: those of ``ray.nodes()`` that are alive.
    """
    tried = [knock("the head", head, HEAD)]
    if dashboard:
        tried.append(knock_http("the job API", dashboard, JOBS))
    for node in nodes:
        host, name = node["NodeManagerAddress"], node["NodeManagerHostname"]
        tried.append(knock(f"node {name}", f"{host}:{node['NodeManagerPort']}", NODE))
        if agent := node.get("DashboardAgentListenPort"):
            tried.append(knock_http(f"the job agent of node {name}", f"{host}:{agent}", AGENT_JOBS))
    return tuple(tried)
