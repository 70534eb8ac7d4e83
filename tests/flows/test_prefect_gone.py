"""Prefect's server that ends in the middle of a run: the month is published, and a sentence."""

import os
import subprocess
import sys

from tests.flows.failing_s3 import FailingS3
from tests.flows.sample import ROOT, json_at, keys, lay_out
from tests.through_s3 import Place


def test_a_run_that_outlives_prefect_publishes_and_says_so(
    place: Place, proxy: FailingS3, prefect_api: str
) -> None:
    lay_out(place)
    with FailingS3(prefect_api) as prefect:
        url = f"{prefect.url}/api"
        proxy.before(r"PUT .*/r1.json", lambda: prefect.answer(".", None, times=10_000))
        done = subprocess.run(
            [sys.executable, "-c", "from flows.settle import settle_month as s; s('2025-09')"],
            cwd=ROOT,
            env={**os.environ, "PREFECT_API_URL": url, "PREFECT_CLIENT_MAX_RETRIES": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"Prefect at {url} cannot be reached" in done.stderr
    assert "run it again: nothing is done twice\n" in done.stderr
    assert keys(place, "reports/")
    [record] = [json_at(place, key) for key in keys(place, "runs/")]
    assert record["outcome"] == "published", record["reason"]
