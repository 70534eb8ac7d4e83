"""What changed from one revision of a report to another, and why: `r<n>.diff.json`.

The causes come from what the two revisions rest on: the files that the reports name, the lines of
the registry that each run saw, and the version of the rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.core.report import Input, Report

_SHOWN = 10

Value = float | int | str | None
# A change as the registry's log has it, and the site that it is about, if it is about one.
RegistryChange = tuple[dict[str, Any], str]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Values(_Model):
    """A value before and after; null: there was none."""

    before: Value
    after: Value

    def __str__(self) -> str:
        before, after = (
            f"{value:,.2f}" if isinstance(value, float) else _shown(value)
            for value in (self.before, self.after)
        )
        if isinstance(self.before, float) and isinstance(self.after, float):
            change = Decimal(str(self.after)) - Decimal(str(self.before))
            return f"{before} -> {after} ({change:+,.2f})"
        return f"{before} -> {after}"


class MeterChange(_Model):
    """Readings that another version of the same days took the place of."""

    nmis: list[str] = Field(description="Of which sites.")
    days: str = Field(description="Which days, like '2026-03-01 to 2026-03-05, 2026-03-09'.")
    version: Values = Field(description="When the provider wrote them, market time.")
    quality: Values = Field(description="Their quality, like S14; of a day with several, all.")

    def __str__(self) -> str:
        more = f" and {len(self.nmis) - _SHOWN} more" if self.nmis[_SHOWN:] else ""
        return (
            f"{', '.join(self.nmis[:_SHOWN])}{more}, {self.days} (version {self.version}, "
            f"{self.quality})"
        )


class PriceChange(_Model):
    """Prices of a region's day that others took the place of."""

    region: str
    day: date
    intervals: str = Field(description="Numbers of 5 minutes, like '1-3, 288'.")
    first_aud_per_mwh: Values = Field(description="Of the first of these intervals.")

    def __str__(self) -> str:
        return (
            f"{self.region} on {self.day}, intervals {self.intervals} (the first: "
            f"{self.first_aud_per_mwh} AUD/MWh)"
        )


class Cause(_Model):
    """One cause, with its evidence."""

    cause: Literal[
        "file added",
        "file replaced",
        "file removed",
        "rows corrected",
        "registry change",
        "registry change not seen",
        "rule version",
        "meter data replaced",
        "price changed",
    ]
    key: str | None = Field(default=None, description="The file.")
    etag: Values | None = None
    rows: Values | None = Field(default=None, description="Rows of it that count here.")
    seq: int | None = Field(default=None, description="The change's number in the registry.")
    change: dict[str, Any] | None = None
    version: Values | None = None
    meter: MeterChange | None = None
    price: PriceChange | None = None

    def __str__(self) -> str:
        if detail := self.meter or self.price:
            return f"{self.cause}: {detail}"
        if self.change is not None:
            what = {
                name: value
                for name, value in self.change.items()
                if name not in {"seq", "recorded_at", "recorded_by", "change"}
            }
            fields = ", ".join(f"{name} {_shown(value)}" for name, value in what.items())
            return f"{self.cause} {self.seq}: {self.change['change']} ({fields})"
        if self.version is not None:
            return f"{self.cause} {self.version}"
        if self.key is None:
            return f"{self.cause}: rejected rows {self.rows}"
        return f"{self.cause}: {self.key} (rows {self.rows})"


class Difference(_Model):
    """What differs from the revision before, in AUD and kWh; all else is the same."""

    vpp: str
    vpp_id: str
    month: str
    revision: int
    previous_revision: int
    totals: dict[str, Values]
    sites: dict[str, dict[str, Values]] = Field(
        description="By NMI. A site that came or left has null on the other side."
    )
    causes: list[Cause]

    @property
    def sites_after_fees(self) -> dict[str, Values]:
        """Return the sites that receive another amount, by NMI."""
        name = "site_revenue_after_fees"
        return {nmi: values[name] for nmi, values in self.sites.items() if name in values}

    def to_bytes(self) -> bytes:
        """Return the difference as it is published."""
        return (self.model_dump_json(indent=2, exclude_none=False) + "\n").encode()


@dataclass(frozen=True)
class Basis:
    """What a revision rests on besides its files.

    `registry_seq` is how many changes of the registry were seen.
    """

    registry_seq: int
    rule_version: int | None


def compare(
    before: Report,
    after: Report,
    old_basis: Basis,
    new_basis: Basis,
    registry: Iterable[RegistryChange],
    data_causes: Iterable[Cause] = (),
) -> Difference:
    """Compare two revisions of a VPP's month.

    Args:
        before: the earlier one.
        after: the later one, with its revision number.
        old_basis: what the earlier one rests on.
        new_basis: what the later one rests on.
        registry: the changes of the registry that one of them saw and the other did not.
        data_causes: what changed in the meter data and prices of their files.
    """
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    sites = {
        nmi: _changed(old["sites"].get(nmi, {}), new["sites"].get(nmi, {}))
        for nmi in sorted({*old["sites"], *new["sites"]})
    }
    files = (_files(before), _files(after))
    return Difference(
        vpp=after.vpp,
        vpp_id=after.settlement.vpp_id,
        month=after.month,
        revision=after.settlement.revision,
        previous_revision=before.settlement.revision,
        totals=_changed(old["totals"], new["totals"]),
        sites={nmi: values for nmi, values in sites.items() if values},
        causes=[
            *_file_causes(*files),
            *data_causes,
            *_corrections(before.settlement.rejected_rows, after.settlement.rejected_rows),
            *_registry_causes(
                old_basis.registry_seq, new_basis.registry_seq, registry, before, after
            ),
            *_rule_causes(old_basis.rule_version, new_basis.rule_version),
        ],
    )


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Values]:
    before, after = _flat(before), _flat(after)
    return {
        name: Values(before=before.get(name), after=after.get(name))
        for name in before | after
        if before.get(name) != after.get(name)
    }


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Return values by name: {'kwh': {'actual': 1.0}} -> {'kwh.actual': 1.0}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        parts = value if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{part}".rstrip("."): inner for part, inner in parts.items()}
    return flat


def _file_causes(before: list[Input], after: list[Input]) -> Iterable[Cause]:
    old_files, new_files = ({file["key"]: file for file in files} for files in (before, after))
    for key in sorted(old_files.keys() | new_files.keys()):
        old, new = old_files.get(key), new_files.get(key)
        if old and new and old["etag"] == new["etag"]:
            continue
        yield Cause(
            cause="file replaced" if old and new else "file added" if new else "file removed",
            key=key,
            etag=Values(before=old and old["etag"], after=new and new["etag"]),
            rows=Values(before=old["rows"] if old else 0, after=new["rows"] if new else 0),
        )


def _files(report: Report) -> list[Input]:
    rests_on = report.settlement
    return [*rests_on.inputs, *(rests_on.meter_inputs or []), *(rests_on.price_inputs or [])]


def _corrections(before: int, after: int) -> Iterable[Cause]:
    if after < before:
        yield Cause(cause="rows corrected", rows=Values(before=before, after=after))


def _rule_causes(before: int | None, after: int | None) -> Iterable[Cause]:
    if before != after:
        yield Cause(cause="rule version", version=Values(before=before, after=after))


def _registry_causes(
    old_seq: int, new_seq: int, changes: Iterable[RegistryChange], before: Report, after: Report
) -> Iterable[Cause]:
    """Yield the changes that one run saw and the other did not, of this VPP and its sites."""
    nmis = {*before.sites, *after.sites}
    for change, nmi in changes:
        if (change["effective_from"] or "")[:7] > after.month:
            continue
        if change.get("vpp") == after.settlement.vpp_id or nmi in nmis:
            yield Cause(
                cause="registry change" if new_seq > old_seq else "registry change not seen",
                seq=change["seq"],
                change=change,
            )


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
