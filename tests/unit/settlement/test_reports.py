"""Reports from tables: which VPPs, in which bytes, and under which revision number."""

import json
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.settlement.reports import reports_on
from tasks.settlement.settlement import Basis, open_allocation
from tests.through_s3 import Place

MONTH = Month(2025, 9)
ONE, TWO = "6001000001", "6001000002"
REGISTRY: list[dict[str, Any]] = [
    {"change": "create-vpp", "name": "Zebra", "vpp": "a", "revenue_percentage": "20"},
    {
        "change": "create-vpp",
        "name": 'Büro "2"\\',
        "vpp": "b",
        "revenue_percentage": "10",
        "negative_balances": "vpp",
    },
    {"change": "create-vpp", "name": "Empty", "revenue_percentage": "0"},
    {"change": "create-site", "nmi": ONE, "vpp": "a", "address": '1 "King" St\\'},
    {"change": "create-site", "nmi": TWO, "vpp": "b", "address": "2 King St"},
]


@pytest.fixture(scope="module")
def basis(s3_endpoint: str) -> tuple[Place, Basis]:
    """Give a month with a gain in one VPP and a loss in another."""
    place = Place()
    place.record(REGISTRY)
    place.put("a.csv", [f"{ONE},2025-09-01,Discharge,4,25", f"{TWO},2025-09-01,Charge,10,25"])
    inputs = place.inputs("2025-09")
    basis = Basis(
        month=MONTH,
        as_of=inputs.as_of,
        log=inputs.log,
        registry_seq=inputs.registry_seq,
        files=inputs.files,
        meter_files=inputs.meter_files,
        price_files=inputs.price_files,
        corrections=inputs.corrections,
        repeats=inputs.corrections.drop("second", "event_id", "rejected_id"),
        rejected=inputs.rejected_by_site,
    )
    return place, basis


@pytest.fixture(scope="module")
def tables(basis: tuple[Place, Basis]) -> Any:
    """Give the tables of that month."""
    place, of_month = basis
    with open_allocation(place.store, of_month) as connection:
        yield connection


@pytest.mark.parametrize("vpps", [["b"], ["Zebra", "empty"], ["empty"]])
def test_some_vpps_alone_have_the_reports_that_they_have_among_all(
    basis: tuple[Place, Basis], tables: duckdb.DuckDBPyConnection, vpps: list[str]
) -> None:
    among_all = [draft.to_bytes() for draft in reports_on(tables, MONTH, vpps)]
    place, of_month = basis
    with open_allocation(place.store, of_month, vpps) as connection:
        assert [draft.to_bytes() for draft in reports_on(connection, MONTH, [])] == among_all


def ids(connection: duckdb.DuckDBPyConnection, *vpps: str) -> list[str]:
    return [report.vpp_id for report in reports_on(connection, MONTH, vpps)]


def test_reports_are_in_the_order_of_ids_and_named_by_either(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    assert ids(tables) == ["a", "b", "empty"]
    assert ids(tables, "empty", "b", " ZEBRA ", "a", "B") == ["a", "b", "empty"]
    assert ids(tables, "b", "zebra") == ["a", "b"]
    with pytest.raises(Refused) as refused:
        ids(tables, "a", "c", "Zebras")
    assert str(refused.value) == (
        "vpps: there is no VPP 'c', 'Zebras' in that month; there are: a, b, empty"
    )


def test_cents_become_aud_and_names_stay_as_they_are(tables: duckdb.DuckDBPyConnection) -> None:
    a, b, empty = (draft.read() for draft in reports_on(tables, MONTH, []))
    assert a.totals.total_revenue == Decimal("1.0")
    assert a.totals.vpp_ad_valorem_fee == Decimal("0.2")
    assert a.sites[ONE].site_revenue_after_fees == Decimal("0.8")
    assert (a.sites[ONE].address, b.vpp) == ('1 "King" St\\', 'Büro "2"\\')
    # A loss that the VPP bears is a line of its own, and absent where terms leave it to sites.
    assert b.totals.vpp_loss_absorbed == Decimal("-2.25")
    assert a.totals.vpp_loss_absorbed is None
    assert b.sites[TWO].site_revenue_after_fees == 0
    assert empty.sites == {}
    assert empty.totals.total_revenue == 0


def test_bytes_are_those_of_the_model_under_each_number(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    for draft in reports_on(tables, MONTH, []):
        report = draft.read()
        assert draft.to_bytes() == report.to_bytes()
        assert draft.to_bytes(123) == report.revised(123).to_bytes()
        assert draft.read(7).settlement.revision == 7
        assert draft.digest == report.digest
        assert (draft.name, draft.sites) == (report.vpp, len(report.sites))
        assert draft.totals == json.loads(report.to_bytes())["totals"]


def test_a_draft_may_say_something_else(tables: duckdb.DuckDBPyConnection) -> None:
    draft, other, _ = reports_on(tables, MONTH, [])
    report: Report = draft.read().model_copy(update={"vpp": "Another"})
    saying = draft.saying(report.revised(9))
    assert (saying.name, saying.digest) == ("Another", report.digest)
    assert saying.to_bytes(3) == report.revised(3).to_bytes()
    assert draft.name == "Zebra"
    assert other.to_bytes() == other.read().to_bytes()
