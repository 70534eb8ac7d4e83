"""Counters for OpenTelemetry, and where they and Prefect's spans go (the extra `otel`).

Prefect makes a span of each flow run and each stage, wherever something takes spans. Without the
setting OTEL_EXPORTER_OTLP_ENDPOINT, or in a process that has set up OpenTelemetry itself, nothing
is set up here, and counting costs nothing.
"""

import logging
import os

import polars as pl
from opentelemetry import metrics, trace

from tasks.core.run_record import RunRecord, SettledRunRecord

_METER = metrics.get_meter("vpp")
_IMPORT_ROWS = _METER.create_counter("vpp.import.rows", "1", "Rows of files that were imported.")
_IMPORT_REJECTED = _METER.create_counter("vpp.import.rejected_rows", "1", "Of these, rejected.")
_FAILED_FILES = _METER.create_counter("vpp.import.failed_files", "1", "Files not readable at all.")
_RUNS = _METER.create_counter("vpp.settlement.runs", "1", "Settlement runs that ended.")
_ROWS = _METER.create_counter("vpp.settlement.rows", "1", "Rows of the months settled.")
_REJECTED = _METER.create_counter("vpp.settlement.rejected_rows", "1", "Of these, rejected.")
_SECONDS = _METER.create_counter("vpp.settlement.seconds", "s", "How long settlement runs took.")
_STAGE_SECONDS = _METER.create_counter("vpp.stage.seconds", "s", "Of these, by stage.")


def send_to_collector() -> None:
    """Send spans and counters to the collector that is configured, until this process ends."""
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logging.getLogger("vpp").warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and nothing is sent: install the extra `otel`"
        )
        return
    spans = TracerProvider()
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))


def count_import(imported: pl.DataFrame) -> None:
    """Count the rows of imported files, of which these are the rows of the catalog."""
    _IMPORT_ROWS.add(int(imported["rows"].sum()))
    _IMPORT_REJECTED.add(int((imported["rows"] - imported["imported"]).sum()))
    _FAILED_FILES.add(imported["failed"].count())


def count_settlement(record: RunRecord) -> None:
    """Count a settlement run that has ended, by its record."""
    outcome = {"outcome": record.outcome}
    _RUNS.add(1, outcome)
    _SECONDS.add(record.seconds, outcome)
    for stage, seconds in record.stages_seconds.items():
        _STAGE_SECONDS.add(seconds, {"stage": stage})
    if isinstance(record, SettledRunRecord):
        _ROWS.add(record.rows, outcome)
        _REJECTED.add(record.rejected_rows, outcome)
