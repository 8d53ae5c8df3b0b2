"""What an MLflow store holds, read by a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

OPEN = """
import json, sys
from aio_tune.tracking.client import connect
client = connect('sqlite:///' + sys.argv[1])
ids = [experiment.experiment_id for experiment in client.search_experiments()]
"""

TRIALS = """
runs = client.search_runs(ids, "tags.`aio.kind` = 'trial'")
facts = [{'name': r.info.run_name, 'status': r.info.status, 'reason': r.data.tags['aio.reason']} for r in runs]
print(json.dumps(facts))
"""

FILES = """
(run,) = client.search_runs(ids, f"attributes.run_name = '{sys.argv[2]}'")
def below(folder):
    for entry in client.list_artifacts(run.info.run_id, folder):
        yield from below(entry.path) if entry.is_dir else [entry.path]
print(json.dumps(sorted(below(None))))
"""


def artifacts(database: Path, run: str) -> list[str]:
    """Paths of all artifacts of the run of that name."""
    return list(_ask(FILES, database, run))


def trial_runs(database: Path) -> list[dict[str, str]]:
    """The trials' runs in a SQLite store: name (search/trial), status and reason."""
    return list(_ask(TRIALS, database))


def _ask(code: str, *arguments: object) -> list:
    command = [sys.executable, "-c", OPEN + code, *map(str, arguments)]
    return list(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
