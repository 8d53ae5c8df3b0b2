"""What a newcomer sees first, and what it may cost."""

import subprocess
import sys

import pytest

from aio_tune.cli import app, main

COMMANDS = [
    *[str(command.name) for command in app.registered_commands],
    *[f"{group.typer_instance.info.name} {command.name}" for group in app.registered_groups if group.typer_instance
      for command in group.typer_instance.registered_commands],
]  # fmt: skip
HEAVY = ("keras", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "pyarrow", "ray", "sklearn", "tensorflow")


def test_importing_the_commands_imports_nothing_heavy() -> None:
    """`aio-tune --help` answers in under a second only as long as this holds."""
    code = f"import sys, aio_tune.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["aio-tune", *command.split(), "--help"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0
    assert f"Example: aio-tune {command}" in capsys.readouterr().out


def test_bad_usage_is_2(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["aio-tune", "prepare"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "Missing" in capsys.readouterr().err
