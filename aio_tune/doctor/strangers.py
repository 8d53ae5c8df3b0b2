"""A cluster's doors, tried as somebody on the network would who has no token.

ShadowRay (CVE-2023-48022): whoever reaches an open Ray's ports can run code on it. The head's and the nodes' gRPC ports
listen on all interfaces, whatever ``--dashboard-host`` says.
"""

import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from aio_tune.launch.knocking import TIMEOUT, knock

_DENIED = (401, 403)
# Of a node: a harmless question that needs no argument.
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
    tried = [Door("the head", head, knock(head))]
    if dashboard:
        tried.append(knock_http("the job API", dashboard, JOBS))
    for node in nodes:
        host, name = node["NodeManagerAddress"], node["NodeManagerHostname"]
        port = f"{host}:{node['NodeManagerPort']}"
        tried.append(Door(f"node {name}", port, knock(port, NODE)))
        if agent := node.get("DashboardAgentListenPort"):
            tried.append(knock_http(f"the job agent of node {name}", f"{host}:{agent}", AGENT_JOBS))
    return tuple(tried)
