"""Commands that start Ray for searches: launch slurm, launch head, launch worker, launch token.

What the files in ``cluster/`` call. Each takes over its process until Ray ends or a signal ends it.
"""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aio_tune.cli.console import say

if TYPE_CHECKING:
    from aio_tune.launch.nodes import Share

launch = typer.Typer(
    name="launch",
    help="Start Ray for searches, closed to everybody without its token.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

TokenOption = Annotated[
    Path | None, typer.Option(envvar="RAY_AUTH_TOKEN_PATH", help="File with the cluster's token; its owner's alone.")
]
TempOption = Annotated[
    Path | None,
    typer.Option(help="Where Ray's own files go on each node, with a short path on its own disk. Default: TMPDIR."),
]
WaitOption = Annotated[float, typer.Option(help="Seconds that the nodes get to come.", min=1)]
NameOption = Annotated[str, typer.Option(help="What the node is called in messages. Default: the host's name.")]
AddressOption = Annotated[str, typer.Option(help="This node's IP address. Default: the one towards the others.")]
CpusOption = Annotated[int | None, typer.Option(help="Cores. Default: Slurm's share, else all.", min=0)]
GpusOption = Annotated[int | None, typer.Option(help="GPUs. Default: Slurm's share, else all.", min=0)]
MemoryOption = Annotated[float | None, typer.Option(help="GiB. Default: Slurm's share, else all.", min=0.5)]
MoreOption = Annotated[
    list[str] | None, typer.Option("--ray", metavar="WORD", help="A further word for `ray start`; repeatable.")
]


@launch.command("token")
def token(file: Annotated[Path, typer.Argument(help="Where it goes; it must not be there yet.")]) -> None:
    """Make the secret that opens one cluster, in a file that its owner alone can read.

    Example: aio-tune launch token ~/.aio_tune/token
    """
    from aio_tune.launch.tokens import make_token

    make_token(file)
    say(f"token in {file}; on every machine: export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={file.resolve()}")


@launch.command("head")
def head(
    token: TokenOption = None,
    name: NameOption = "",
    address: AddressOption = "",
    port: Annotated[int, typer.Option(help="Where nodes and drivers come.", min=1, max=65535)] = 6379,
    dashboard_host: Annotated[
        str, typer.Option(help="Where dashboard and job API listen. 0.0.0.0 only behind a firewall or TLS.")
    ] = "127.0.0.1",
    dashboard_port: Annotated[int, typer.Option(help="Port of dashboard and job API.", min=1, max=65535)] = 8265,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
    memory: MemoryOption = None,
    temp: TempOption = None,
    more: MoreOption = None,
) -> None:
    """Start a cluster's head here, in the foreground.

    Example: aio-tune launch head --token ~/.aio_tune/token
    """
    from aio_tune.launch.nodes import NodePlan, own_address, run_node
    from aio_tune.launch.tokens import check_token

    checked = check_token(token)
    plan = NodePlan(
        name or socket.gethostname(), _share(cpus, gpus, memory), address or own_address(), port=port,
        dashboard_host=dashboard_host, dashboard_port=dashboard_port, more=tuple(more or ()),
    )  # fmt: skip
    raise typer.Exit(run_node(plan, checked, temp))


@launch.command("worker")
def worker(
    head: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The cluster's head.")],
    token: TokenOption = None,
    name: NameOption = "",
    address: AddressOption = "",
    wait: Annotated[float, typer.Option(help="Seconds that the head gets to come.", min=0)] = 60,
    again: Annotated[
        bool, typer.Option("--again", help="Join again whenever Ray ends here or the head is away, until a signal.")
    ] = False,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
    memory: MemoryOption = None,
    temp: TempOption = None,
    more: MoreOption = None,
) -> None:
    """Start a node here that joins a head, in the foreground.

    Example: aio-tune launch worker head.example:6379 --token ~/.aio_tune/token
    """
    from aio_tune.launch.knocking import check_head
    from aio_tune.launch.nodes import NodePlan, address_towards, run_again, run_node
    from aio_tune.launch.tokens import check_token, ray_environment

    checked = check_token(token)

    def join() -> int:
        own = address or address_towards(head.rpartition(":")[0])
        check_head(head, wait, ray_environment(checked))
        plan = NodePlan(name or socket.gethostname(), _share(cpus, gpus, memory), own, head, more=tuple(more or ()))
        return run_node(plan, checked, temp)

    raise typer.Exit(run_again(join, _tell) if again else join())


@launch.command("slurm", context_settings={"ignore_unknown_options": True})
def slurm(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run with the cluster.")],
    shared: Annotated[
        Path, typer.Option(help="Folder that all nodes see under this path, for the token and the nodes' logs.")
    ] = Path("~/.aio_tune"),
    wait: WaitOption = 300,
    temp: TempOption = None,
) -> None:
    """In a batch script: start Ray on all nodes of the Slurm job, run a command, end what was started.

    The exit status is the command's. At SIGUSR1 (sbatch --signal=B:USR1@120) the command is interrupted as by Ctrl-C
    and the job is requeued, so it should be one that goes on from where it was.

    Example: aio-tune launch slurm -- aio-tune search ki67.yaml --data dataset --name ki67 --resume-or-start
    """
    from aio_tune.launch.job import run_job
    from aio_tune.launch.slurm import Allocation

    allocation = Allocation.from_environment(os.environ)
    raise typer.Exit(run_job(allocation, command, shared.expanduser(), wait, _tell, temp))


def _tell(line: str) -> None:
    say(f"aio-tune launch: {line}")


def _share(cpus: int | None, gpus: int | None, memory: float | None) -> "Share":
    """What Slurm gave, but for what is asked for."""
    from aio_tune.launch.nodes import Share

    given = Share.from_slurm(os.environ)
    return Share(
        given.cpus if cpus is None else cpus,
        given.gpus if gpus is None else gpus,
        given.memory if memory is None else int(memory * 2**30),
    )
