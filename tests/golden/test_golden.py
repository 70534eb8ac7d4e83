"""What is published for the demo data, byte for byte. `make golden` writes it anew, on purpose."""

import json

import pytest
from jsonschema import Draft202012Validator

from tests.golden.__main__ import FOLDER, ROOT, demo_reports, schema_bytes


@pytest.mark.usefixtures("s3_endpoint")
def test_demo_reports_have_the_expected_bytes() -> None:
    reports = demo_reports()
    assert sorted(reports) == sorted(path.name for path in FOLDER.glob("*.json"))
    for name, data in reports.items():
        assert data.decode() == (FOLDER / name).read_text(), name


def test_the_json_schema_is_in_step_and_fits_the_reports() -> None:
    assert (ROOT / "data" / "report.schema.json").read_bytes() == schema_bytes()
    schema = json.loads(schema_bytes())
    Draft202012Validator.check_schema(schema)
    for path in FOLDER.glob("*.json"):
        Draft202012Validator(schema).validate(json.loads(path.read_text()))
    broken = json.loads((FOLDER / "2025-09-hunter-banksia-vpp.json").read_text())
    del broken["totals"]["total_revenue"]
    assert not Draft202012Validator(schema).is_valid(broken)
