"""The month's payees: each once, with amounts that add up to the report."""

import csv
import io
from decimal import Decimal

import pytest

from tasks.core.report import Report
from tasks.core.words import escape_formula
from tasks.pages.payments import payments, statement_number
from tests.unit.core.reports import NMI, report, site
from tests.unit.pages.conftest import EVIL, renamed


def test_payments_add_up_and_name_each_payee_once(reports: list[Report]) -> None:
    lines = list(csv.DictReader(io.StringIO(payments(reports).decode())))
    assert len({line["reference"] for line in lines}) == len(lines)
    assert {line["tax_code"] for line in lines} == {"GST-free"}
    for of in reports:
        amounts = [
            Decimal(line["amount_aud"]) for line in lines if line["vpp"] == of.settlement.vpp_id
        ]
        totals = of.totals
        assert sum(amounts) == totals.total_revenue + totals.vpp_cost_only
        assert len(amounts) == len(of.sites) + 1


def test_a_line_has_a_reference_an_amount_with_two_decimals_and_no_formula() -> None:
    of = report(site(after_fees="-2.5", address="=1+1"), revision=3)
    text = payments([of]).decode()
    assert text.splitlines() == [
        "reference,month,vpp,payee_type,payee,name,amount_aud,tax_code",
        "2025-09-one-r3,2025-09,one,vpp,one,One,0.35,GST-free",
        f"2025-09-one-{NMI}-r3,2025-09,one,site,{NMI},'=1+1,-2.50,GST-free",
    ]
    assert statement_number(of, NMI) == f"2025-09-one-{NMI}-r3"
    assert len(payments([]).splitlines()) == 1


@pytest.mark.parametrize("name", EVIL, ids=range(len(EVIL)))
def test_a_payees_name_is_one_field_and_no_formula(reports: list[Report], name: str) -> None:
    evil = [renamed(report, name, name) for report in reports]
    lines = list(csv.DictReader(io.StringIO(payments(evil).decode(), newline="")))
    assert len(lines) == sum(len(report.sites) + 1 for report in reports)
    assert {line["name"] for line in lines} == {escape_formula(name)}
    assert {line["tax_code"] for line in lines} == {"GST-free"}
