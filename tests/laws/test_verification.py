"""Every revision ever published can be made again with the same bytes, whatever came after it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.month import Month
from tasks.evidence.verification import verify
from tests.laws.portfolios import Portfolio, portfolios
from tests.laws.recorded import revisions
from tests.laws.test_settlement import row, whole_path
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("s3_endpoint")

AHEAD = datetime.now(UTC) + timedelta(days=365)


def verify_all(place: Place, month: Month) -> None:
    for vpp, revision in revisions(place):
        verdict = verify(place.store, month, vpp, revision)
        assert verdict.is_same, str(verdict)
    for vpp in {vpp for vpp, _ in revisions(place)}:
        assert verify(place.store, month, vpp).is_same


@settings(whole_path, max_examples=10)
@given(portfolio=portfolios(), data=st.data())
def test_every_revision_stays_verifiable(portfolio: Portfolio, data: st.DataObject) -> None:
    place, month = Place(), Month.parse(portfolio.month)
    changes, rows = portfolio.changes, [row(event) for event in portfolio.events]
    cuts = sorted(data.draw(st.lists(st.integers(1, len(changes)), min_size=2, max_size=2)))
    moments: list[datetime | None] = [None, AHEAD]
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(changes)], strict=True)):
        if changes[start:end]:
            place.record(changes[start:end])
        moments.append(datetime.now(UTC))
        some = data.draw(st.lists(st.sampled_from(rows), max_size=20)) if rows else []
        name = data.draw(st.sampled_from(("a.csv", "b.csv")))
        place.put(name, some)
        if number and data.draw(st.booleans()):
            place.store.delete("events/a.csv")
        place.publish(portfolio.month, data.draw(st.sampled_from(moments)))
    for version in place.store.versions("events/"):
        place.store.delete(version.key)
    verify_all(place, month)
