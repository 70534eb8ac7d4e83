"""The registry as SQL reads it says the same on each day as the registry that takes in changes."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.changes import Change, CreateSite, CreateVpp, WithdrawChange, parse_change
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.registry import Registry
from tasks.io.registry_segments import to_columns
from tasks.io.warehouse import rows, sql, warehouse
from tasks.settlement.registry_tables import build_registry, load_what_if

ATTRIBUTES = {
    "vpp": ("name", "revenue_percentage", "daily_fee_aud", "charge_events", "negative_balances"),
    "site": ("vpp", "address", "region", "channels", "basis"),
    "battery": ("nmi", "capacity_kwh"),
}
TODAY = date(2025, 9, 12)
SEPTEMBER = Month(2025, 9)
ONE, TWO = "6001000001", "QAAAVZZZZZ"

Json = dict[str, Any]


class Database:
    """A log on disk, and the tables that are made of it."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        self._connection = connection
        self._log = folder / "changes.jsonl"
        self._columns = folder / "changes.parquet"

    def build(self, changes: Iterable[Change], as_of: datetime, month: Month) -> None:
        """Make the tables spans, vpp_days and memberships, and the view site_days."""
        self._log.write_text("".join(f"{change.line()}\n" for change in changes))
        to_columns(self._log, self._columns)
        parameters = {
            "changes": str(self._columns),
            "last_seq": 1 << 32,
            "as_of": as_of,
            "first_day": month.first_day,
            "last_day": month.last_day,
        }
        self._connection.execute("drop view if exists site_days")
        for table in ("what_if", "withdrawn", "spans", "vpp_days", "memberships", "meter_basis"):
            self._connection.execute(f"drop table if exists {table}")
        load_what_if(self._connection, ())
        build_registry(self._connection, parameters, ())
        self._connection.execute(f"create view site_days as {sql('registry/site_days')}")

    def rows(self, statement: str) -> list[Json]:
        return rows(self._connection, statement)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("registry")
    with warehouse(folder) as connection:
        yield Database(connection, folder)


def hour(number: int) -> datetime:
    """Return when the change of that number is recorded: it is just known then."""
    return datetime(2025, 8, 1, tzinfo=UTC) + timedelta(hours=number)


def recorded(changes: Iterable[Json]) -> list[Change]:
    """Take in changes, one an hour; those that do not fit are left out, but their hour passes."""
    registry, known = Registry(today=TODAY), []
    for number, fields in enumerate(changes, 1):
        at = hour(number)
        try:
            known.append(registry.add(parse_change(fields), at, "test"))
        except Refused:
            continue
    return known


def days_of(month: Month) -> list[date]:
    return [date(month.year, month.number, day) for day in range(1, month.days + 1)]


def in_force(registry: Registry, kind: str, id: str, attribute: str, day: date) -> Any:
    """Return the fact (since, seq, value) that holds on a day, read the slow way; or None."""
    timeline = registry._timelines[kind, id].get(attribute, [])
    return max((fact for fact in timeline if fact[0] <= day), key=lambda f: f[:2], default=None)


def as_text(value: Any) -> str | None:
    return format(value, "f") if isinstance(value, Decimal) else value


def expected_spans(registry: Registry, month: Month) -> set[tuple[Any, ...]]:
    """Return (kind, id, attribute, day, value, seq) for all that has a value."""
    return {
        (kind, id, attribute, day, as_text(fact[2]), fact[1])
        for kind, id in list(registry._timelines)
        for attribute in ATTRIBUTES[kind]
        for day in days_of(month)
        if (fact := in_force(registry, kind, id, attribute, day))
    }


def expected_vpp_days(registry: Registry, month: Month) -> list[tuple[Any, ...]]:
    return [
        (id, day, *(registry._value(kind, id, name, day) for name in ATTRIBUTES["vpp"]))
        for kind, id in sorted(registry._timelines)
        for day in days_of(month)
        if kind == "vpp" and registry._value(kind, id, "revenue_percentage", day) is not None
    ]


def expected_site_days(registry: Registry, month: Month) -> list[tuple[Any, ...]]:
    batteries = [id for kind, id in registry._timelines if kind == "battery"]
    return [
        (
            vpp,
            nmi,
            day,
            sum(
                registry._value("battery", serial, "capacity_kwh", day)
                for serial in batteries
                if registry._value("battery", serial, "nmi", day) == nmi
            ),
        )
        for kind, nmi in sorted(registry._timelines)
        for day in days_of(month)
        if kind == "site" and (vpp := registry._value("site", nmi, "vpp", day))
    ]


def assert_the_same(
    database: Database, changes: list[Change], as_of: datetime, month: Month
) -> None:
    database.build(changes, as_of, month)
    registry = Registry(
        change for change in changes if change.recorded_at and change.recorded_at <= as_of
    )
    days = "unnest(generate_series(first_day, last_day, interval 1 day))::date"
    spans = database.rows(f"select kind, id, attribute, {days} as day, value, seq from spans")
    assert {tuple(row.values()) for row in spans} == expected_spans(registry, month)
    assert len(spans) == len(expected_spans(registry, month))

    names = ", ".join(ATTRIBUTES["vpp"])
    vpp_days = database.rows(f"select vpp, day, {names} from vpp_days order by vpp, day")
    assert [tuple(row.values()) for row in vpp_days] == expected_vpp_days(registry, month)
    shares = database.rows("select revenue_percentage, revenue_share from vpp_days")
    assert all(row["revenue_percentage"] == row["revenue_share"] * 100 for row in shares)

    site_days = database.rows("select vpp, nmi, day, capacity_kwh from site_days order by nmi, day")
    assert [tuple(row.values()) for row in site_days] == expected_site_days(registry, month)


# One history, read as it was known at different times, and for different months.


def vpp(id: str, since: str | None = None, **terms: Any) -> Json:
    created = {"change": "create-vpp", "name": id.title(), "vpp": id, "revenue_percentage": "20"}
    return {**created, **terms, "effective_from": since}


def site(nmi: str, vpp: str, since: str | None = None) -> Json:
    created = {"change": "create-site", "nmi": nmi, "vpp": vpp, "address": "1 King St"}
    return {**created, "effective_from": since}


def assign(nmi: str, vpp: str | None, since: str) -> Json:
    return {"change": "assign-site", "nmi": nmi, "vpp": vpp, "effective_from": since}


def battery(serial: str, nmi: str, capacity_kwh: str, since: str | None = None) -> Json:
    added = {"change": "add-battery", "serial": serial, "nmi": nmi, "manufacturer": "Tesla"}
    return {**added, "capacity_kwh": capacity_kwh, "effective_from": since}


def update_battery(serial: str, capacity_kwh: str, since: str) -> Json:
    updated = {"change": "update-battery", "serial": serial, "capacity_kwh": capacity_kwh}
    return {**updated, "effective_from": since}


def remove(serial: str, since: str) -> Json:
    return {"change": "remove-battery", "serial": serial, "effective_from": since}


def update_vpp(id: str, since: str, **terms: Any) -> Json:
    return {"change": "update-vpp", "vpp": id, **terms, "effective_from": since}


def withdraw(seq: int) -> Json:
    return {"change": "withdraw-change", "withdraws": seq, "reason": "a mistake"}


Runs = list[tuple[str, str, str, str, str]]

# What is recorded hour by hour; how many hours are known; and the members of September by runs of
# days: VPP, NMI, first and last day, capacity in kWh.
HISTORIES: list[tuple[str, list[Json], int, Runs]] = [
    ("nothing recorded", [], 9, []),
    ("a VPP without sites", [vpp("a")], 9, []),
    (
        "recorded, but later than it is asked for",
        [vpp("a"), site(ONE, "a"), battery("S1", ONE, "13.5"), assign(ONE, None, "2025-09-11")],
        3,
        [("a", ONE, "2025-09-01", "2025-09-30", "13.5")],
    ),
    (
        "the same, an hour later",
        [vpp("a"), site(ONE, "a"), battery("S1", ONE, "13.5"), assign(ONE, None, "2025-09-11")],
        4,
        [("a", ONE, "2025-09-01", "2025-09-10", "13.5")],
    ),
    (
        "a move, on its first day at the new VPP",
        [vpp("a"), vpp("b", "2025-09-16"), site(ONE, "a"), assign(ONE, "b", "2025-09-16")],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-15", "0"),
            ("b", ONE, "2025-09-16", "2025-09-30", "0"),
        ],
    ),
    (
        "a later correction of an earlier day holds until what was said of the days behind it",
        [
            vpp("a"),
            vpp("b"),
            site(ONE, "a"),
            assign(ONE, None, "2025-09-20"),
            assign(ONE, "b", "2025-09-10"),
        ],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-09", "0"),
            ("b", ONE, "2025-09-10", "2025-09-19", "0"),
        ],
    ),
    (
        "of several changes from one day on the last recorded holds",
        [
            vpp("a"),
            vpp("b"),
            site(ONE, "a"),
            assign(ONE, "b", "2025-09-10"),
            assign(ONE, None, "2025-09-10"),
            assign(ONE, "a", "2025-09-20"),
            assign(ONE, "b", "2025-09-20"),
        ],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-09", "0"),
            ("b", ONE, "2025-09-20", "2025-09-30", "0"),
        ],
    ),
    (
        "of two changes from the beginning too",
        [vpp("a"), vpp("b"), site(ONE, "a"), {**assign(ONE, "b", ""), "effective_from": None}],
        9,
        [("b", ONE, "2025-09-01", "2025-09-30", "0")],
    ),
    (
        "first and last days of the month, and the days just outside",
        [
            vpp("a"),
            site(ONE, "a", "2025-08-31"),
            assign(ONE, None, "2025-09-01"),
            assign(ONE, "a", "2025-09-30"),
            assign(ONE, None, "2025-10-01"),
            site(TWO, "a", "2025-10-01"),
        ],
        9,
        [("a", ONE, "2025-09-30", "2025-09-30", "0")],
    ),
    (
        "a change taken back counts as never made",
        [
            vpp("a"),
            vpp("b"),
            site(ONE, "a"),
            assign(ONE, None, "2025-09-20"),
            assign(ONE, "b", "2025-09-10"),
            withdraw(4),
        ],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-09", "0"),
            ("b", ONE, "2025-09-10", "2025-09-30", "0"),
        ],
    ),
    (
        "an hour before it was taken back it still counts",
        [
            vpp("a"),
            vpp("b"),
            site(ONE, "a"),
            assign(ONE, None, "2025-09-20"),
            assign(ONE, "b", "2025-09-10"),
            withdraw(4),
        ],
        5,
        [
            ("a", ONE, "2025-09-01", "2025-09-09", "0"),
            ("b", ONE, "2025-09-10", "2025-09-19", "0"),
        ],
    ),
    (
        "a removal for the 20th corrected to the 10th, with the battery elsewhere from the 12th",
        [
            vpp("a"),
            site(ONE, "a"),
            site(TWO, "a"),
            battery("S1", ONE, "10"),
            remove("S1", "2025-09-20"),
            remove("S1", "2025-09-10"),
            battery("S1", TWO, "10", "2025-09-12"),
            withdraw(5),
        ],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-09", "10"),
            ("a", ONE, "2025-09-10", "2025-09-30", "0"),
            ("a", TWO, "2025-09-01", "2025-09-11", "0"),
            ("a", TWO, "2025-09-12", "2025-09-30", "10"),
        ],
    ),
    (
        "a site that was created by mistake, and then as it should be",
        [
            vpp("a"),
            vpp("b"),
            site(ONE, "a"),
            withdraw(3),
            site(ONE, "b", "2025-09-10"),
        ],
        9,
        [("b", ONE, "2025-09-10", "2025-09-30", "0")],
    ),
    (
        "batteries come, grow, go and move",
        [
            vpp("a"),
            site(ONE, "a"),
            site(TWO, "a"),
            battery("S1", ONE, "10"),
            battery("S2", ONE, "6.5", "2025-09-11"),
            update_battery("S1", "12.000001", "2025-09-21"),
            remove("S2", "2025-09-26"),
            battery("S2", TWO, "6.500", "2025-09-28"),
        ],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-10", "10"),
            ("a", ONE, "2025-09-11", "2025-09-20", "16.5"),
            ("a", ONE, "2025-09-21", "2025-09-25", "18.500001"),
            ("a", ONE, "2025-09-26", "2025-09-30", "12.000001"),
            ("a", TWO, "2025-09-01", "2025-09-27", "0"),
            ("a", TWO, "2025-09-28", "2025-09-30", "6.5"),
        ],
    ),
    (
        "a battery that changes places within a day is at the last one only",
        [
            vpp("a"),
            site(ONE, "a"),
            site(TWO, "a"),
            battery("S1", ONE, "10"),
            remove("S1", "2025-09-11"),
            battery("S1", TWO, "10", "2025-09-11"),
        ],
        9,
        [
            ("a", ONE, "2025-09-01", "2025-09-10", "10"),
            ("a", ONE, "2025-09-11", "2025-09-30", "0"),
            ("a", TWO, "2025-09-01", "2025-09-10", "0"),
            ("a", TWO, "2025-09-11", "2025-09-30", "10"),
        ],
    ),
]


@pytest.mark.parametrize(
    ("changes", "hours_known", "expected"),
    [history[1:] for history in HISTORIES],
    ids=[history[0] for history in HISTORIES],
)
def test_members_and_capacities(
    database: Database, changes: list[Json], hours_known: int, expected: Runs
) -> None:
    log = recorded(changes)
    assert len(log) == len(changes)
    assert_the_same(database, log, hour(hours_known), SEPTEMBER)
    days = database.rows("select * from site_days order by nmi, day")
    runs = []
    for (member_of, nmi, capacity), run in groupby(
        days, key=lambda row: (row["vpp"], row["nmi"], row["capacity_kwh"])
    ):
        of_run = [row["day"] for row in run]
        assert (of_run[-1] - of_run[0]).days == len(of_run) - 1
        runs.append((member_of, nmi, str(of_run[0]), str(of_run[-1]), capacity))
    assert runs == [(*run[:4], Decimal(run[4])) for run in expected]


def test_terms_hold_from_their_day_on(database: Database) -> None:
    log = recorded(
        [
            vpp("a", daily_fee_aud="0.30"),
            vpp("b", "2025-09-20", revenue_percentage="33.3333", charge_events="revenue"),
            update_vpp("a", "2025-09-11", revenue_percentage="25", daily_fee_aud="0.4"),
            update_vpp("a", "2025-09-29", name="New", negative_balances="vpp"),
            update_vpp("a", "2025-09-05", revenue_percentage="0"),
        ]
    )
    assert_the_same(database, log, hour(9), SEPTEMBER)
    days = database.rows("select * exclude (day, own_share), day from vpp_days order by vpp, day")
    runs = [
        (*values, min(of_run).day, max(of_run).day)
        for values, of_run in (
            (values, [row["day"] for row in run])
            for values, run in groupby(days, key=lambda row: tuple(row.values())[:-1])
        )
    ]
    share = Decimal("0.333333")
    assert runs == [
        ("a", "A", 20, Decimal("0.2"), Decimal("0.30"), "cost", "site", 1, 4),
        ("a", "A", 0, 0, Decimal("0.30"), "cost", "site", 5, 10),
        ("a", "A", 25, Decimal("0.25"), Decimal("0.40"), "cost", "site", 11, 28),
        ("a", "New", 25, Decimal("0.25"), Decimal("0.40"), "cost", "vpp", 29, 30),
        ("b", "B", share * 100, share, 0, "revenue", "site", 20, 30),
    ]


# Any history.

DATES = [
    None,
    "2024-02-29",
    "2025-08-31",
    "2025-09-01",
    "2025-09-02",
    "2025-09-15",
    "2025-09-29",
    "2025-09-30",
    "2025-10-01",
    "2025-10-31",
]
MONTHS = [Month(2025, 9), Month(2025, 10), Month(2024, 2), Month(2024, 3), Month(2025, 8)]
since = st.sampled_from(DATES)
vpps = st.sampled_from(["a", "b", "c"])
nmis = st.sampled_from([ONE, TWO, "NBBBX11110"])
serials = st.sampled_from(["S1", "S2", "007"])
capacities = st.sampled_from(["0", "10", "13.5", "9.800000", "999999999.999999"])
terms = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Old", "New", "Other"]),
        "revenue_percentage": st.sampled_from(["0", "12.5", "33.3333", "100"]),
        "daily_fee_aud": st.sampled_from(["0", "0.30", "0.3333", "999999.9999"]),
        "charge_events": st.sampled_from(["cost", "revenue"]),
        "negative_balances": st.sampled_from(["site", "vpp"]),
    },
)
site_fields = st.fixed_dictionaries(
    {},
    optional={
        "address": st.sampled_from(["2 King St", 'Büro "3"\\']),
        "region": st.sampled_from(["NSW1", "QLD1"]),
        "channels": st.sampled_from(["all", "B1", "E1 E2", "B1 E1"]),
        "basis": st.sampled_from(["events", "meter"]),
    },
)
sites = st.builds(site, nmis, vpps, since)
any_change = st.one_of(
    st.builds(vpp, vpps, since),
    st.builds(lambda made, fields: {**fields, **made}, sites, site_fields),
    st.builds(assign, nmis, vpps | st.none(), since),
    st.builds(lambda id, since, terms: {**update_vpp(id, since, **terms)}, vpps, since, terms),
    st.builds(battery, serials, nmis, capacities, since),
    st.builds(update_battery, serials, capacities, since),
    st.builds(remove, serials, since),
    st.builds(
        lambda nmi, fields, since: {
            "change": "update-site",
            "nmi": nmi,
            **fields,
            "effective_from": since,
        },
        nmis,
        site_fields,
        since,
    ),
    st.builds(withdraw, st.integers(1, 20)),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Json]:
    """Draw changes; those at the beginning make sure that the later ones often fit."""
    start = [
        vpp("a"),
        vpp("b", draw(since)),
        site(ONE, "a", draw(since)),
        site(TWO, "a"),
        battery("S1", TWO, "10", draw(since)),
    ]
    return start + draw(st.lists(any_change, max_size=25))


@settings(deadline=None, max_examples=40)
@given(histories(), st.data())
def test_any_history_is_read_the_same(
    database: Database, changes: list[Json], data: st.DataObject
) -> None:
    log = recorded(changes)
    known = data.draw(st.integers(0, len(changes)), label="hours known")
    month = data.draw(st.sampled_from(MONTHS), label="month")
    assert_the_same(database, log, hour(len(changes)), month)
    assert_the_same(database, log, hour(known), month)


@settings(deadline=None, max_examples=40)
@given(histories())
def test_what_is_withdrawn_counts_as_never_made(database: Database, changes: list[Json]) -> None:
    """The log without what was taken back, and without what took it back, says the same."""
    log = recorded(changes)
    withdrawn = {change.withdraws for change in log if isinstance(change, WithdrawChange)}
    left = [
        change
        for change in log
        if change.seq not in withdrawn and not isinstance(change, WithdrawChange)
    ]
    as_of = hour(len(changes))
    database.build(log, as_of, SEPTEMBER)
    tables = ("spans", "vpp_days", "site_days")
    found = [database.rows(f"select * from {table} order by all") for table in tables]
    database.build(left, as_of, SEPTEMBER)
    assert found == [database.rows(f"select * from {table} order by all") for table in tables]
    whole, rest = Registry(log, TODAY), Registry(left, TODAY)
    assert whole._timelines == rest._timelines
    assert whole._vpp_by_name == rest._vpp_by_name


@settings(deadline=None, max_examples=100)
@given(histories())
def test_a_withdrawal_leaves_nothing_that_hangs_in_the_air(changes: list[Json]) -> None:
    """Of what is left, all that is said of an entity is said from its first day on, and so on."""
    registry = Registry(recorded(changes), TODAY)
    left = registry._changes.values()
    started = {
        change.entity(): change.effective_from or date.min
        for change in left
        if isinstance(change, CreateVpp | CreateSite)
    }
    for change in left:
        for entity in (change.entity(), change.refers_to()):
            if entity and entity[0] != "battery":
                assert started[entity] <= (change.effective_from or date.min)
    for serial in registry.entities("battery"):
        timelines = registry._timelines["battery", serial]
        assert set(timelines) == {"nmi", "manufacturer", "capacity_kwh"}
        assert len({timeline[0][0] for timeline in timelines.values()}) == 1
    for vpp in registry.entities("vpp"):
        for name in registry._names(vpp):
            assert registry._vpp_by_name[name.casefold()] == vpp
