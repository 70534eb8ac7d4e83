"""What a run tells machines: spans and counters over OTLP to a real receiver, and JSON logs."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.flows.sample import EVENTS, ROOT, lay_out
from tests.through_s3 import Place

PROGRAM = "from flows.settle import settle_month as s; s('2025-09', max_rejected_percent=100)"


class Collector(HTTPServer):
    """Takes what is exported to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: set[str] = set()
        self.sums: dict[tuple[str, str], float] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, path: str, body: bytes) -> None:
        if path.endswith("/traces"):
            for of in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans |= {span.name for scope in of.scope_spans for span in scope.spans}
            return
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
                for point in metric.sum.data_points:
                    of = ",".join(item.value.string_value for item in point.attributes)
                    self.sums[metric.name, of] = point.as_int or point.as_double


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def test_a_run_sends_spans_of_its_stages_and_counters_and_logs_json(
    place: Place, prefect_api: str, collector: Collector
) -> None:
    lay_out(place)
    place.put("bad.csv", ["9876543210,2025-09-02,Discharge,x,1"])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={
            **os.environ,
            "PREFECT_API_URL": prefect_api,
            "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {"settle 2025-09", "select the inputs of 2025-09", "publish 2025-09"} <= collector.spans
    sums = collector.sums
    rows = len(EVENTS) + 1
    assert (sums["vpp.import.rows", ""], sums["vpp.import.rejected_rows", ""]) == (rows, 1)
    assert sums["vpp.import.failed_files", ""] == 0
    assert sums["vpp.settlement.runs", "published"] == 1
    assert sums["vpp.settlement.rows", "published"] == rows
    assert sums["vpp.settlement.rejected_rows", "published"] == 1
    assert sums["vpp.settlement.seconds", "published"] >= sums["vpp.stage.seconds", "settle"] > 0

    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert ("prefect.flow_runs", "INFO", "run record: %s") in {
        (line["name"], line["severity"], line["msg"]) for line in logged
    }
