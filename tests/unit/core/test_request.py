"""The request for a settlement, and what a what-if may assume."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from tasks.core.request import SettlementRequest, WhatIf

REQUEST = SettlementRequest(datetime(2025, 10, 1, tzinfo=UTC), max_rejected_percent=5)


def test_a_request_is_whole_if_it_is_about_all_vpps_on_their_own_terms() -> None:
    assert REQUEST.is_whole
    assert replace(REQUEST, allow_failed_imports=True, allow_missing=True).is_whole
    assert not replace(REQUEST, vpps=("one",)).is_whole
    assumed = replace(REQUEST, vpps=("one",)).assuming([WhatIf(vpp="one")])
    assert not assumed.is_whole
    assert (assumed.vpps, assumed.what_if) == (("one",), (WhatIf(vpp="one"),))
    assert not REQUEST.assuming([WhatIf(vpp="one")]).is_whole
    assert REQUEST.assuming([]) == REQUEST


def test_nothing_is_allowed_by_itself() -> None:
    assert not (REQUEST.allow_failed_imports or REQUEST.allow_shared_rows or REQUEST.allow_missing)


@pytest.mark.parametrize(
    "terms",
    [
        {"revenue_percentage": "100.00001"},
        {"revenue_percentage": "101"},
        {"revenue_percentage": "-1"},
        {"revenue_percentage": "1e1"},
        {"daily_fee_aud": "-0.01"},
        {"daily_fee_aud": "0.00001"},
        {"charge_events": "both"},
        {"negative_balances": "nobody"},
        {"own_percentage": "80.5"},
        {"own_percentage": "101"},
        {"own_percentage": "-1"},
        {"pool_percentage": "20"},
    ],
)
def test_terms_that_no_vpp_could_have_are_refused(terms: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        WhatIf.model_validate({"vpp": "one", **terms})
    [error] = refused.value.errors()
    assert error["loc"] == tuple(terms)


def test_terms_are_given_as_text_without_loss() -> None:
    """DuckDB reads them from it: a third as a float would be another number."""
    terms = WhatIf.model_validate(
        {"vpp": "one", "revenue_percentage": "33.3333", "daily_fee_aud": 0.1, "own_percentage": 0}
    )
    assert terms.model_dump(mode="json", exclude_none=True) == {
        "vpp": "one",
        "revenue_percentage": "33.3333",
        "daily_fee_aud": "0.1",
        "own_percentage": "0",
    }
