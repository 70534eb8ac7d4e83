"""A bucket that was restored from a copy: the month is unchanged, and its reports verify."""

import pytest

from flows.explain import verify_report
from flows.settle import settle_month
from tests.flows.sample import bytes_at, lay_out, run
from tests.through_s3 import Place

pytestmark = pytest.mark.usefixtures("prefect_api")


def test_a_copy_of_everything_settles_as_unchanged_and_verifies(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(place)
    published = run(settle_month, "2025-09")
    restored = Place()
    for key in place.objects():
        restored.store.write(key, bytes_at(place, key))
    restored.point_at(monkeypatch)
    settled = run(settle_month, "2025-09")
    assert (settled["outcome"], settled["digest"]) == ("unchanged", published["digest"])
    assert "same bytes" in run(verify_report, "test-vpp-one", "2025-09")
    new = restored.objects().keys() - place.objects().keys()
    assert new == {settled["run_record"]}
