"""A report's bytes, its digest, and when two say the same."""

import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tasks.core.report import Aud, Report, json_schema
from tests.unit.core.reports import NMI, OTHER, report, resting_on, site


def test_the_keys_are_in_their_order_and_what_does_not_apply_is_left_out() -> None:
    written = json.loads(report().to_bytes())
    assert list(written) == ["vpp", "month", "totals", "sites", "settlement"]
    assert list(written["totals"]) == [
        "total_revenue",
        "vpp_ad_valorem_fee",
        "vpp_cost_only",
        "vpp_total_revenue",
        "site_total_revenue_after_fees",
        "vpp_daily_fees",
    ]
    assert list(written["sites"][NMI])[:6] == [
        "nmi",
        "address",
        "site_capacity_kwh",
        "site_revenue_before_fees",
        "site_daily_fee",
        "site_revenue_after_fees",
    ]
    assert "null" not in report().to_bytes().decode()


def test_bytes_are_readable_text_and_give_the_report_again() -> None:
    of = report(site(address="Büro 3 שלום"))
    data = of.to_bytes()
    assert data.startswith(b'{\n  "vpp": "One",\n')
    assert data.endswith(b"}\n")
    assert "Büro 3 שלום" in data.decode()
    assert Report.model_validate_json(data) == of
    assert Report.model_validate_json(data).to_bytes() == data


# Beyond, the floats of JSON are further apart than cents are.
MOST_CENTS = 100 * 2**46 - 1


@given(st.integers(-MOST_CENTS, MOST_CENTS))
@example(MOST_CENTS)
def test_each_cent_is_written_and_read_exactly(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    amounts: TypeAdapter[Decimal] = TypeAdapter(Aud)
    text = amounts.dump_json(amount).decode()
    assert json.loads(text, parse_float=Decimal) == amount
    assert amounts.validate_json(text) == amount


@pytest.mark.parametrize("amount", ["1.755", "0.001", "NaN", "Infinity"])
def test_an_amount_of_less_than_a_cent_is_a_fault(amount: str) -> None:
    written = report().model_dump(mode="json", exclude_none=True)
    written["totals"]["total_revenue"] = amount
    with pytest.raises(ValidationError, match="total_revenue"):
        Report.model_validate(written)


def test_a_report_with_a_field_that_nobody_knows_is_none() -> None:
    for place in ("totals", "settlement"):
        written = report().model_dump(mode="json", exclude_none=True)
        written[place]["note"] = "x"
        with pytest.raises(ValidationError, match="note"):
            Report.model_validate(written)


def test_the_digest_is_that_of_all_but_the_revision_number() -> None:
    of = report()
    assert of.revised(7).settlement.revision == 7
    assert of.revised(7).digest == of.digest
    assert of.settlement.revision == 1  # a copy was made
    for other in (
        report(total="1.76"),
        report(site(address="2 King St")),
        report(site(), site(OTHER)),
        report(inputs=[{"key": "events/a.csv", "etag": "a2", "rows": 2}]),
    ):
        assert other.digest != of.digest


@pytest.mark.parametrize("kind", ["inputs", "meter_inputs", "price_inputs"])
def test_reports_are_alike_but_for_revision_and_etags(kind: str) -> None:
    file = {"key": "events/a.csv", "etag": "a1", "rows": 2}
    of = resting_on(kind, file)
    assert of.is_alike(resting_on(kind, file | {"etag": "a2"}).revised(9))
    assert not of.is_alike(resting_on(kind, file | {"rows": 3}))
    assert not of.is_alike(resting_on(kind, file | {"key": "events/b.csv"}))
    assert not of.is_alike(resting_on(kind, file, file))
    assert not of.is_alike(resting_on(kind, file, total="1.76"))


def test_the_schema_demands_what_every_report_has_and_allows_no_more() -> None:
    schema = json_schema()
    assert schema["required"] == ["vpp", "month", "totals", "sites", "settlement"]
    assert schema["$defs"]["Totals"]["additionalProperties"] is False
    # What is absent where it does not apply is never null.
    assert schema["$defs"]["Totals"]["properties"]["vpp_loss_absorbed"]["type"] == "number"
