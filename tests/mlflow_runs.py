"""What an MLflow store holds, read by a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

CODE = (
    "import json, sys\n"
    "from aio_tune.tracking.client import connect\n"
    "client = connect('sqlite:///' + sys.argv[1])\n"
    "ids = [e.experiment_id for e in client.search_experiments()]\n"
    "runs = client.search_runs(ids, \"tags.`aio.kind` = 'trial'\")\n"
    "facts = [{'name': r.info.run_name, 'status': r.info.status, 'reason': r.data.tags['aio.reason']} for r in runs]\n"
    "print(json.dumps(facts))\n"
)


FILES = (
    "import json, sys\n"
    "from aio_tune.tracking.client import connect\n"
    "client = connect('sqlite:///' + sys.argv[1])\n"
    "ids = [e.experiment_id for e in client.search_experiments()]\n"
    "(run,) = client.search_runs(ids, f\"attributes.run_name = '{sys.argv[2]}'\")\n"
    "def below(folder):\n"
    "    for entry in client.list_artifacts(run.info.run_id, folder):\n"
    "        yield from below(entry.path) if entry.is_dir else [entry.path]\n"
    "print(json.dumps(sorted(below(None))))\n"
)


def artifacts(database: Path, run: str) -> list[str]:
    """Paths of all artifacts of the run of that name."""
    command = [sys.executable, "-c", FILES, str(database), run]
    return list(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def trial_runs(database: Path) -> list[dict[str, str]]:
    """The trials' runs in a SQLite store: name (search/trial), status and reason."""
    done = subprocess.run([sys.executable, "-c", CODE, str(database)], capture_output=True, text=True, check=True)
    return list(json.loads(done.stdout))
