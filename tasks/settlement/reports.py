"""From the tables of an allocation to reports: here whole cents become AUD."""

from collections.abc import Sequence
from typing import Any

import duckdb

from tasks.core.errors import Refused
from tasks.core.money import aud
from tasks.core.month import Month
from tasks.core.report import Report
from tasks.io.warehouse import rows, sql
from tasks.settlement.meter import ranges_of


def reports_on(
    connection: duckdb.DuckDBPyConnection, month: Month, vpps: Sequence[str]
) -> list[Report]:
    """Return the reports on these VPPs (empty: on all), as revision 1, in order of id.

    Raises:
        Refused: a named VPP is unknown.
    """

    def by_vpp(statement: str) -> dict[str, dict[str, Any]]:
        return {row.pop("vpp"): row for row in rows(connection, statement)}

    statements = by_vpp("select * from vpp_statements")
    sites = by_vpp(sql("report/sites"))
    files = by_vpp(sql("report/inputs"))
    rejected = by_vpp(sql("report/rejected"))
    terms = by_vpp(sql("report/terms"))
    seqs = by_vpp(sql("report/registry_seq"))
    meters = _meters(connection)
    silent = by_vpp(sql("completeness/days_without_events"))
    return [
        _report(
            month,
            vpp,
            statements[vpp],
            **sites.get(vpp, {"sites": [], "unassigned_events": 0}),
            **files.get(vpp, {"inputs": []}),
            rejected_rows=rejected.get(vpp, {"rejected_rows": 0})["rejected_rows"],
            **terms[vpp],
            **seqs[vpp],
            **meters.get(vpp, {}),
            **silent.get(vpp, {}),
        )
        for vpp in _vpp_ids(connection, vpps)
    ]


def _meters(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Any]]:
    """Return what the report of each VPP with meter data says of it, by VPP."""
    meters: dict[str, dict[str, Any]] = {}
    for row in rows(connection, sql("report/site_meters")):
        meters.setdefault(row.pop("vpp"), {"meters": {}})["meters"][row.pop("nmi")] = row
    for name in ("meter_inputs", "price_inputs", "reading_conflicts"):
        for row in rows(connection, sql(f"report/{name}")):
            meters[row.pop("vpp")] |= row
    for row in rows(connection, sql("report/stand_in_prices")):
        stand_in = {
            "region": row["region"],
            "day": row["day"],
            "intervals": ranges_of(row["slots"]),
        }
        meters[row["vpp"]].setdefault("stand_in_prices", []).append(stand_in)
    return meters


def _vpp_ids(connection: duckdb.DuckDBPyConnection, vpps: Sequence[str]) -> list[str]:
    """Return the ids of the VPPs to report on, in order; names and ids are accepted."""
    existing = connection.execute("select vpp, name from vpp_statements order by vpp").fetchall()
    ids = {vpp: vpp for vpp, _ in existing} | {name.casefold(): vpp for vpp, name in existing}
    if unknown := [vpp for vpp in vpps if vpp.strip().casefold() not in ids]:
        raise Refused(
            f"vpps: there is no VPP {', '.join(map(repr, unknown))} in that month; there are: "
            + (", ".join(vpp for vpp, _ in existing) or "none")
        )
    return sorted({ids[vpp.strip().casefold()] for vpp in vpps}) or [vpp for vpp, _ in existing]


def _report(
    month: Month,
    vpp: str,
    statement: dict[str, Any],
    sites: list[dict[str, Any]],
    meters: dict[str, dict[str, Any]] | None = None,
    **rests_on: Any,
) -> Report:
    """Return a report; `meters` has the sites with meter data, `rests_on` is its `settlement`.

    All of it is validated at once, since there may be very many sites and files.
    """
    totals = {
        "total_revenue": aud(statement["total_revenue_cents"]),
        "vpp_ad_valorem_fee": aud(statement["ad_valorem_cents"]),
        "vpp_cost_only": aud(statement["cost_only_cents"]),
        "vpp_total_revenue": aud(statement["vpp_total_revenue_cents"]),
        "site_total_revenue_after_fees": aud(statement["sites_after_fees_cents"]),
        "vpp_daily_fees": aud(statement["fee_cents"]),
    }
    if statement["negative_balances"] == "vpp":
        totals["vpp_loss_absorbed"] = aud(statement["loss_absorbed_cents"])
    return Report.model_validate(
        {
            "vpp": statement["name"],
            "month": str(month),
            "totals": totals,
            "sites": {site["nmi"]: _site(**site, **_meter(meters, site["nmi"])) for site in sites},
            "settlement": {"revision": 1, "vpp_id": vpp, **rests_on},
        }
    )


def _meter(meters: dict[str, dict[str, Any]] | None, nmi: str) -> dict[str, Any]:
    """Return what a site's meter adds to it; nothing in a report without meter data."""
    return {} if meters is None else meters.get(nmi, {"basis": "events"})


def _site(
    before_fees_cents: int, fee_cents: int, after_fees_cents: int, **others: Any
) -> dict[str, Any]:
    return {
        "site_revenue_before_fees": aud(before_fees_cents),
        "site_daily_fee": aud(fee_cents),
        "site_revenue_after_fees": aud(after_fees_cents),
        **others,
    }
