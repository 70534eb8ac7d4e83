"""What prefect.yaml deploys."""

from contextlib import chdir
from typing import Any, cast

import yaml
from prefect import Flow
from prefect.flows import load_flow_from_entrypoint

from tests.flows.sample import ROOT

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())[
    "deployments"
]


def load(deployment: dict[str, Any]) -> Flow[..., Any]:
    """Load a deployment's flow from the project's folder."""
    with chdir(ROOT):
        return cast(Flow[..., Any], load_flow_from_entrypoint(deployment["entrypoint"]))
