"""What is published for the demo data, byte for byte. `make golden` writes it again, on purpose."""

import json

import pytest
from jsonschema import Draft202012Validator

from tasks.core.run_record import SettledRunRecord
from tasks.publication.run_records import read_run_records
from tests.flows.sample import EVENTS, REGISTRY
from tests.golden.__main__ import FOLDER, ROOT, demo_reports, schemas
from tests.through_s3 import Place


@pytest.mark.usefixtures("s3_endpoint")
def test_demo_reports_have_the_expected_bytes() -> None:
    reports = demo_reports()
    assert sorted(reports) == sorted(path.name for path in FOLDER.glob("*.json"))
    for name, data in reports.items():
        assert data.decode() == (FOLDER / name).read_text(), name


def test_the_json_schemas_are_in_step() -> None:
    for name, data in schemas().items():
        assert (ROOT / "data" / name).read_bytes() == data, name
        Draft202012Validator.check_schema(json.loads(data))


def test_the_reports_fit_their_schema() -> None:
    schema = json.loads(schemas()["report.schema.json"])
    for path in FOLDER.glob("*.json"):
        Draft202012Validator(schema).validate(json.loads(path.read_text()))
    broken = json.loads((FOLDER / "2025-09-hunter-banksia-vpp.json").read_text())
    del broken["totals"]["total_revenue"]
    assert not Draft202012Validator(schema).is_valid(broken)


@pytest.mark.usefixtures("s3_endpoint")
def test_a_run_record_fits_its_schema_and_is_read_as_it_was_written() -> None:
    place = Place()
    place.record(REGISTRY)
    place.put("a.csv", [*EVENTS, "nobody"])
    place.publish("2025-09")
    [(key, record)] = read_run_records(place.store)
    found = place.store.read(key)
    assert found is not None
    Draft202012Validator(json.loads(schemas()["run_record.schema.json"])).validate(
        json.loads(found[0])
    )
    assert isinstance(record, SettledRunRecord)
    assert (record.rejected_rows, record.files[0]["rows"], record.settled_events) == (1, 3, 2)
    assert record.to_bytes() == found[0]
