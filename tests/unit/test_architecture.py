"""Who imports what, in fresh interpreters: the core is pure, and what must be quick is."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import tasks.core

CORE = [f"tasks.core.{module.name}" for module in pkgutil.iter_modules(tasks.core.__path__)]
ROOT = Path(__file__).parents[2]


def loaded(*modules: str) -> set[str]:
    """Return the names of all modules that are loaded once these are imported."""
    program = (
        "import importlib, json, sys\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        "print(json.dumps(list(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(json.loads(run.stdout))


def test_the_core_is_pure() -> None:
    assert len(CORE) >= 8
    modules = loaded(*CORE)
    assert not modules & {"prefect", "boto3", "botocore", "duckdb", "polars", "moto"}
    ours = {name for name in modules if name.startswith(("tasks", "flows"))}
    assert ours == {"tasks", "tasks.core", *CORE}


def test_what_the_line_program_needs_imports_neither_prefect_nor_the_embedded_s3() -> None:
    modules = loaded(
        "flows.commands.instructions",
        "tasks.settlement.settlement",
        "tasks.publication.revisions",
        "tasks.imports.event_files",
        "tasks.imports.catalog",
        "tasks.io.registry_log",
        "tasks.io.embedded_s3",
    )
    assert not modules & {"prefect", "moto", "flask"}
