"""What is counted of an import and of a settlement run, and what is set up when."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

from tasks.core.run_record import RunRecord
from tests.unit.test_architecture import ROOT

# In a process of its own: what takes counters is set once in a process.
PROGRAM = """
import json, sys
import polars as pl
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tasks.core.run_record import RunRecord
from tasks.runs.telemetry import count_import, count_settlement

metrics.set_meter_provider(MeterProvider([reader := InMemoryMetricReader()]))
count_import(pl.DataFrame({"rows": [5, 0], "imported": [3, 0], "failed": [None, "broken"]}))
count_settlement(RunRecord.model_validate_json(sys.argv[1]))
[resource] = reader.get_metrics_data().resource_metrics
print(json.dumps({
    " ".join([metric.name, *point.attributes.values()]): point.value
    for metric in resource.scope_metrics[0].metrics
    for point in metric.data.data_points
}))
"""


def test_rows_rejects_and_seconds_are_counted() -> None:
    record = RunRecord(
        month="2025-09",
        run_id="1",
        started_by="test",
        started=datetime(2025, 10, 2, tzinfo=UTC),
        seconds=2.5,
        outcome="refused",
        software={},
        parameters={},
        stages_seconds={"import": 1.5},
    )
    command = [sys.executable, "-c", PROGRAM, record.model_dump_json()]
    assert json.loads(subprocess.check_output(command, cwd=ROOT)) == {
        "vpp.import.rows": 5,
        "vpp.import.rejected_rows": 2,
        "vpp.import.failed_files": 1,
        "vpp.settlement.runs refused": 1,
        "vpp.settlement.seconds refused": 2.5,
        "vpp.stage.seconds import": 1.5,
    }


def test_an_endpoint_without_the_extra_is_a_sentence() -> None:
    program = (
        "import sys; sys.modules['opentelemetry.sdk.metrics'] = None\n"
        "from tasks.runs.telemetry import send_to_collector as s; s()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == (
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is sent: install the extra `otel`\n"
    )
