"""Explaining a site's month: exact numbers, in words, or a refusal."""

import io
from decimal import Decimal
from fractions import Fraction

import polars as pl
import pytest

from tasks.core.errors import CheckFailed, Refused
from tasks.core.month import Month
from tasks.evidence.explanation import exact, explain, explanation_in_words, shown, shown_aud
from tests.through_s3 import Place
from tests.unit.evidence.conftest import KING, ONE, TWO

MONTH = Month(2025, 9)


def test_a_sites_month_is_taken_apart_to_its_events(settled: Place) -> None:
    """65 cents, of which 52 are left: 41.6 are its own; of a pool of 20% of 80% of 275 a third."""
    [one, two] = (of.explanation for of in explain(settled.store, MONTH, "one", [ONE, TWO]))
    assert (one.nmi, one.address, one.revision, len(one.days)) == (ONE, KING, 1, 28)
    first = one.days[0]
    assert [(e.event_type, exact(e.value_cents), e.line) for e in first.events] == [
        ("Discharge", "75", 2),
        ("Charge", "-10", 2),
    ]
    parts = (first.shared_cents, first.vpp_share_cents, first.own_cents, first.to_pool_cents)
    assert [exact(cents) for cents in parts] == ["65", "13", "41.6", "10.4"]
    assert [exact(of) for of in (first.pool_cents, first.pool_share_cents)] == ["44", "44/3"]
    assert one.days[1].cost_only_cents == -10
    assert one.events_elsewhere == 1
    assert one.exact_cents == Fraction("41.6") + Fraction(44, 3)
    assert (one.floor_cents, one.before_fees_cents, one.fee_due_cents) == (56, 56, 784)
    assert (one.fee_cents, one.after_fees_cents) == (56, 0)
    # 220 cents are to be handed out, and 56 + 163 are whole.
    assert (one.cents_handed_out, one.rank, two.rank, one.sites) == (1, 2, 1, 2)
    assert (one.rounding_cents, two.rounding_cents) == (0, 1)
    # From the 21st on the battery is the neighbour's.
    capacities = [day.site_capacity_kwh for day in two.days]
    assert [capacities[day - 1] for day in (1, 20, 21)] == [10, 10, 15]


def test_what_cannot_be_explained_is_refused(place: Place) -> None:
    with pytest.raises(Refused, match="two in 2025-08 is not published"):
        explain(place.store, MONTH.previous, "two", [ONE])
    with pytest.raises(Refused, match=f"site {ONE} was no member of Two in 2025-09"):
        explain(place.store, MONTH, "two", [ONE])
    key = "reports/2025-09/one.json"
    found = place.store.read(key)
    assert found is not None
    place.store.write(key, found[0].replace(b"King", b"Ring"))
    with pytest.raises(Refused, match=r"one\.json is not what its inputs give"):
        explain(place.store, MONTH, "one", [ONE])


def test_events_that_are_not_those_of_the_days_are_no_explanation(place: Place) -> None:
    for version in place.store.versions("imports/"):
        if version.key.endswith("events.parquet"):
            found = place.store.read(version.key)
            assert found is not None
            events = pl.read_parquet(io.BytesIO(found[0]))
            damaged = io.BytesIO()
            events.with_columns(pl.col("energy_kwh") + Decimal("0.000001")).cast(
                events.schema
            ).write_parquet(damaged)
            place.store.write(version.key, damaged.getvalue())
    with pytest.raises(CheckFailed, match="on 2025-09-01 the events' shared_cents are"):
        explain(place.store, MONTH, "one", [ONE])


@pytest.mark.parametrize(
    ("amount", "written", "seen"),
    [
        (Fraction(0), "0", "0.0000"),
        (Fraction(-1, 3), "-1/3", "-0.3333"),
        (Fraction(5, 4), "1.25", "1.2500"),
        (Fraction(-1, 10**12), "-0.000000000001", "0.0000"),
        (Fraction(123456789012345678901234567890123, 10), "12345678901234567890123456789012.3", ""),
    ],
)
def test_numbers_are_written_without_loss(amount: Fraction, written: str, seen: str) -> None:
    assert exact(amount) == written
    assert Fraction(written) == amount
    assert not seen or shown(amount) == seen


def test_amounts_in_aud() -> None:
    assert [shown_aud(cents) for cents in (0, 5, -123_456)] == ["0.00", "0.05", "-1,234.56"]


def test_words_have_the_first_events_and_say_how_many_there_are(settled: Place) -> None:
    [of] = explain(settled.store, MONTH, "one", [ONE])
    case = of.explanation
    text = explanation_in_words(case).decode()
    assert text.startswith(f"# {ONE} in 2025-09: 0.00 AUD\n")
    assert "together, exactly 844/15 | 56.2667 |" in text
    assert "All events" in text
    assert "1 of its events are on days on which it was no member of One" in text
    many = case.days[0].model_copy(update={"events": case.days[0].events * 101})
    text = explanation_in_words(case.model_copy(update={"days": [many]})).decode()
    assert "The first 200 of 202 events" in text
    assert text.count("events/2025-09/all.csv, line 2") == 100
