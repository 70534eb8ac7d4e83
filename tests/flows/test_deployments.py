"""What prefect.yaml deploys: each flow once, by its own name, with tags to find it by."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from tests.flows.deployed import DEPLOYMENTS, load
from tests.flows.sample import ROOT


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
def test_each_entrypoint_is_the_flow_of_its_deployments_name(deployment: dict[str, Any]) -> None:
    assert load(deployment).name == deployment["name"]
    assert deployment["description"].strip()


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
def test_each_deployment_is_found_by_its_tags(deployment: dict[str, Any]) -> None:
    """The alarms go by the first; the UI's list by the second, of which one page shows ten."""
    first, second = deployment["tags"]
    assert first == "vpp-settlement"
    assert second in {"everyday", "registry", "settlement"}
    assert sum("everyday" in other["tags"] for other in DEPLOYMENTS) <= 10


def test_all_flows_are_deployed() -> None:
    deployed = {Path(inspect.getfile(inspect.unwrap(load(d).fn))).name for d in DEPLOYMENTS}
    files = {path.name for path in (ROOT / "flows").glob("*.py") if "@flow" in path.read_text()}
    assert deployed == files
    written = sum(path.read_text().count("\n@flow(") for path in (ROOT / "flows").glob("*.py"))
    assert written == len(DEPLOYMENTS)
