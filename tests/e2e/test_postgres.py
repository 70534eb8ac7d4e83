"""A production's Prefect: PostgreSQL behind it, and nobody gets in without the password."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.background import Background
from tests.e2e.conftest import MONTH
from tests.e2e.stack import (
    Stack,
    eventually,
    free_port,
    process,
    reports,
    required,
    running_stack,
)

AUTH = "operator:correct horse"


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; Debian keeps them out of the PATH."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if in_path := shutil.which("initdb"):
        found.append(Path(in_path).resolve())
    return found[0].parent if found else None


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL of its own on a free port; yield the URL of its database."""
    folder = programs()
    required("PostgreSQL", folder is not None)
    assert folder
    owner = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="vpp-postgres-", ignore_cleanup_errors=True) as home:
        if owner:
            shutil.chown(home, owner)
        data = Path(home) / "data"
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "-E", "UTF8", "-N"],
            user=owner,
            cwd=home,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with process(
            [folder / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", home, "-F"],
            Path(home) / "postgres.log",
            dict(os.environ),
            Path(home),
            user=owner,
        ):

            def is_ready() -> bool:
                asked: list[str | Path] = [
                    folder / "pg_isready",
                    "-q",
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(port),
                ]
                return subprocess.run(asked, check=False).returncode == 0

            eventually(is_ready, 60, "PostgreSQL")
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"


@pytest.fixture(scope="module")
def production(
    parts: ExitStack, background: Background, tmp_path_factory: pytest.TempPathFactory
) -> Stack:
    return background.result(
        "production", lambda: start(parts, tmp_path_factory.mktemp("production"))
    )


@pytest.fixture(scope="module")
def settled_in_production(production: Stack) -> None:
    production.completed(production.run("settle-month", {"month": MONTH}))


def start(parts: ExitStack, folder: Path) -> Stack:
    """Start a production, which ends with `parts`."""
    database = parts.enter_context(postgresql())
    return parts.enter_context(running_stack(folder, database, AUTH))


@pytest.mark.parametrize("auth", [None, ("operator", "wrong")], ids=["none", "wrong"])
def test_nobody_gets_in_without_the_password(
    production: Stack, auth: tuple[str, str] | None
) -> None:
    settle = production.deployments["settle-month"]["id"]
    with httpx.Client(base_url=production.api.base_url, auth=auth) as anybody:
        answers = [
            anybody.post("/deployments/filter", json={}),
            anybody.post(f"/deployments/{settle}/create_flow_run", json={"parameters": {}}),
            anybody.get("/admin/version"),
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 401]


@pytest.mark.usefixtures("settled_in_production")
def test_a_month_is_settled_as_on_sqlite(production: Stack, stack: Stack, settled: str) -> None:
    expected = reports(stack.store(), MONTH)
    assert len(expected) == 4
    assert reports(production.store(), MONTH) == expected
    assert settled  # on SQLite


@pytest.mark.parametrize("name", ["settle-month", "check-settled"])
def test_what_the_calendar_asks_for_is_scheduled(production: Stack, name: str) -> None:
    runs = eventually(lambda: production.scheduled(name), 60, "scheduled runs")
    assert len(runs) >= 3


def test_it_is_postgresql_that_keeps_the_runs(production: Stack) -> None:
    assert not list((production.folder / "prefect").rglob("*.db"))


@pytest.mark.usefixtures("settled_in_production")
def test_the_commands_take_the_password(production: Stack) -> None:
    alarms = production.call("flows.commands.alarms")
    assert "VPP: a run failed or crashed" in alarms
    assert f"\n{MONTH}  " in production.call("flows.commands.history")
    production.environment["PREFECT_API_AUTH_STRING"] = "operator:wrong"
    try:
        with pytest.raises(AssertionError, match="wants a password: set PREFECT_API_AUTH_STRING"):
            production.call("flows.commands.alarms")
    finally:
        production.environment["PREFECT_API_AUTH_STRING"] = AUTH


@pytest.mark.usefixtures("settled_in_production")
def test_links_are_in_artifacts_alone(production: Stack) -> None:
    """Of all that Prefect keeps: its events of artifacts have them, too, and nothing else has."""
    vpp = {"vpp": "hunter-banksia-vpp", "month": MONTH}
    asked = (("request-upload", {"name": "a.csv"}), ("download-report", vpp))
    production.completed(*(production.run(name, parameters) for name, parameters in asked))
    folder = programs()
    assert folder
    url = production.environment["PREFECT_API_DATABASE_CONNECTION_URL"].replace("+asyncpg", "")
    kept = subprocess.check_output([folder / "pg_dump", "--data-only", url], text=True)
    table, holding = "", set()
    for line in kept.splitlines():
        if line.startswith("COPY "):
            table = line.split()[1]
        elif "x-amz-signature" in line.lower():
            holding.add(table)
            assert table != "public.events" or "prefect.artifact-collection." in line
    assert {"public.log", "public.events", "public.flow_run_state"} <= {
        line.split()[1] for line in kept.splitlines() if line.startswith("COPY ")
    }
    assert holding == {"public.artifact", "public.artifact_collection", "public.events"}
