"""deploy/: job templates, Compose and the image agree with Prefect, the project and each other."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from importlib.resources import files
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from prefect.settings import Settings as PrefectSettings
from prefect.settings.models.server.api import ServerAPISettings
from prefect.settings.models.worker import WorkerWebserverSettings
from pydantic import BaseModel

from tests.unit.test_architecture import ROOT
from tests.unit.test_supply import pinned

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {name: COMPOSE["services"][name] for name in ("server", "setup", "worker")}


def known_templates() -> dict[str, Any]:
    """Return Prefect's own base job templates, by type."""
    views = files("prefect.server.api.collections_data.views")
    found = json.loads(views.joinpath("aggregate-worker-metadata.json").read_text())
    return {
        kind: worker["default_base_job_configuration"]
        for workers in found.values()
        for kind, worker in workers.items()
    }


@pytest.mark.parametrize("kind", ["process", "docker", "ecs"])
def test_a_job_template_has_fields_that_its_worker_knows(kind: str) -> None:
    ours, theirs = json.loads((DEPLOY / "pools" / f"{kind}.json").read_text()), known_templates()
    assert ours["job_configuration"].keys() <= theirs[kind]["job_configuration"].keys()
    properties = ours["variables"]["properties"]
    assert properties.keys() <= theirs[kind]["variables"]["properties"].keys()
    used = re.findall(r"{{ (\w+) }}", json.dumps(ours["job_configuration"]))
    assert set(used) == set(properties)


def variables(settings: type[BaseModel], prefix: str = "PREFECT_") -> set[str]:
    """Return the environment variables of Prefect's settings."""
    found = set()
    for name, field in settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= variables(kind, f"{prefix}{name.upper()}_")
        else:
            found.add(f"{prefix}{name.upper()}")
    return found


def test_every_setting_of_prefect_that_is_named_exists() -> None:
    known = variables(PrefectSettings)
    # Set in logging.yml, by its own rule; an older name; a name of the .env file of Compose.
    known |= {"PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER", "PREFECT_API_DATABASE_CONNECTION_URL"}
    known |= {"PREFECT_AUTH"}
    documents = [DEPLOY / "RUNBOOK.md", DEPLOY / "compose.yaml", DEPLOY / "Dockerfile"]
    for path in [*documents, ROOT / "prefect.yaml", ROOT / "flows" / "README.md"]:
        named = set(re.findall(r"\bPREFECT_[A-Z_]*[A-Z]\b", path.read_text()))
        assert named <= known, path


def test_compose_runs_the_image_that_the_project_is() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    image = f"vpp-settlement:{project['version'].removesuffix('.dev0')}"
    assert {service["image"] for service in OURS.values()} == {image}
    assert image in DOCKERFILE
    for image in (service["image"] for service in COMPOSE["services"].values()):
        assert re.fullmatch(r"[a-z-]+(/[a-z-]+)?:\S*[0-9]\S*", image), f"{image} is not pinned"


def test_what_the_image_copies_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.M)
    assert {name for line in lines for name in line.split()} == let_through
    assert all((ROOT / name).exists() for name in let_through)


def test_what_builds_the_project_is_in_the_lock() -> None:
    named = re.search(r"\^\(([a-z|-]+)\)==", DOCKERFILE)
    assert named
    builders = set(named[1].split("|"))
    needed = [Requirement(text) for text in requires("hatchling") or []]
    needed = [each for each in needed if not each.marker or each.marker.evaluate()]
    assert builders == {"hatchling", "editables", *(each.name for each in needed)}
    assert builders <= pinned(ROOT / "requirements-dev.lock").keys()


def test_containers_of_the_image_write_to_tmp_alone() -> None:
    for service in OURS.values():
        assert service["read_only"] is True
        assert "/tmp" in [
            service.get("tmpfs"),
            *(v.split(":")[-1] for v in service.get("volumes", [])),
        ]
    # By default the first is in the user's home, and the second, which the UI is copied to when the
    # server starts, among Python's packages: without it there is no UI.
    environment = dict(re.findall(r"([A-Z_]+)=(\S+)", DOCKERFILE.split("ENV ")[1]))
    for folder in ("TMPDIR", "PREFECT_HOME", "PREFECT_SERVER_UI_STATIC_DIRECTORY"):
        assert environment[folder].split("/")[:2] == ["", "tmp"], folder


def test_health_is_asked_where_prefect_answers() -> None:
    worker, server = WorkerWebserverSettings.model_fields, ServerAPISettings.model_fields
    assert f"127.0.0.1:{worker['port'].default}/health" in DOCKERFILE
    assert f":{server['port'].default}/api/health" in str(OURS["server"]["healthcheck"])


ALONE = """
import importlib, pkgutil, re, sys
from importlib.metadata import packages_distributions

allowed = set(sys.argv[1].split())
owners = packages_distributions()

class Lock:
    def find_spec(self, name, path=None, target=None):
        found = {re.sub("[._]", "-", owner.lower()) for owner in owners.get(name, [])}
        if found and not found & allowed:
            raise ModuleNotFoundError(f"{name} is not in requirements.lock", name=name)

sys.meta_path.insert(0, Lock())
import flows, tasks
for package in (flows, tasks):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(len(sys.modules))
"""


def test_all_that_starts_imports_from_the_lock_of_production_alone() -> None:
    allowed = {name.replace(".", "-") for name in pinned(ROOT / "requirements.lock")}
    command = [sys.executable, "-c", ALONE, " ".join({*allowed, "vpp-settlement"})]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
