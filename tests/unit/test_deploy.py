"""deploy/: job templates, Compose and the image agree with Prefect, the project and each other."""

import json
import re
import tomllib
from importlib.resources import files
from typing import Any

import pytest
import yaml
from prefect.settings import Settings as PrefectSettings
from pydantic import BaseModel

from tests.unit.test_architecture import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


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
    ours = f"vpp-settlement:{project['version'].removesuffix('.dev0')}"
    for name in ("server", "setup", "worker"):
        assert COMPOSE["services"][name]["image"] == ours
    assert ours in (DEPLOY / "Dockerfile").read_text()
    for image in (service["image"] for service in COMPOSE["services"].values()):
        assert re.fullmatch(r"[a-z-]+(/[a-z-]+)?:\S*[0-9]\S*", image), f"{image} is not pinned"


def test_what_the_image_copies_is_let_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert {name for line in lines for name in line.split()} == let_through
    assert all((ROOT / name).exists() for name in let_through)
