"""The registry's log: appended to whole or not at all, in time's order, whoever else appends."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from tasks.core.change_file import read_changes
from tasks.core.changes import Change
from tasks.core.errors import Refused
from tasks.core.settings import Settings
from tasks.io import registry_log
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import (
    append_changes,
    put_list,
    read_registry,
    read_upload,
    redate_changes,
)
from tasks.io.registry_segments import Log, read_log
from tests.unit.core.registries import (
    ALTERING,
    AT,
    BASE,
    CREATING,
    Json,
    assign,
    battery,
    parsed,
    remove,
    site,
    vpp,
    withdraw,
)


def append(
    store: ObjectStore, settings: Settings, *changes: Json, now: datetime = AT
) -> list[Change]:
    recorded = append_changes(store, settings, parsed(changes), "flow-run/1", lambda: now)
    return [one.change for one in recorded]


def log_lines(store: ObjectStore) -> list[Json]:
    return [json.loads(line) for line in read_log(store).splitlines()]


@pytest.mark.parametrize(
    ("now", "today"),
    [
        ("2025-09-30T13:59:59.999999+00:00", "2025-09-30"),
        ("2025-09-30T14:00:00+00:00", "2025-10-01"),  # midnight in Brisbane
        ("2025-10-05T14:30:00+00:00", "2025-10-06"),  # daylight saving in Sydney, not in the market
        ("2025-12-31T14:00:00+00:00", "2026-01-01"),
        ("2025-10-01T02:00:00+11:00", "2025-10-01"),
    ],
)
def test_what_creates_holds_from_the_beginning_and_what_alters_from_today_in_market_time(
    store: ObjectStore, settings: Settings, now: str, today: str
) -> None:
    append(store, settings, *BASE)
    recorded = append(store, settings, *CREATING, *ALTERING, now=datetime.fromisoformat(now))
    assert [change.effective_from for change in recorded] == [
        *[None] * len(CREATING),
        *[date.fromisoformat(today)] * len(ALTERING),
    ]


def test_a_change_is_taken_back_by_appending(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, *BASE, assign("6001000001", None, effective_from="2025-09-20"))
    before = read_log(store)
    append(store, settings, withdraw(8), now=AT + timedelta(days=1))
    log = read_log(store)
    assert log.startswith(before)
    assert json.loads(log.removeprefix(before)) == {
        "seq": 9,
        "recorded_at": "2025-08-31T01:02:03Z",
        "recorded_by": "flow-run/1",
        "change": "withdraw-change",
        "withdraws": 8,
        "reason": "a mistake",
        "nmi": "6001000001",
        "effective_from": "2025-09-20",
    }
    day = date(2025, 9, 25)
    known = read_registry(store, settings)
    assert known._value("site", "6001000001", "vpp", day) == "test-vpp-one"
    assert Log(store).seq_as_of(AT) == 8  # as it was known before, it still counts


def test_a_change_is_appended_to_what_is_there(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, *BASE[:1])
    before = read_log(store)
    recorded = append(store, settings, *BASE[1:], remove("S1"))
    assert read_log(store) == before + b"".join(f"{c.line()}\n".encode() for c in recorded)
    assert [(c.seq, c.recorded_by) for c in recorded] == [(n, "flow-run/1") for n in range(2, 9)]


def test_a_file_is_recorded_whole_or_not_at_all(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, vpp("One"))
    before = read_log(store)
    data = b"""NMI,VPP,ADDRESS,EFFECTIVE_FROM
6001000001,One,1 King St,
6001000002,One,2 King St,yesterday

6001000003,Two,3 King St,
600100000I,One,4 King St,
6001000005,One,5 King St
6001000001,One,6 King St,
"""
    with pytest.raises(Refused) as refused:
        append_changes(store, settings, read_changes(data), "test")
    problems = str(refused.value).split("\n")
    assert [problem.partition(": ")[0] for problem in problems] == [
        "line 3",
        "line 5",
        "line 6",
        "line 7",
        "line 8",
    ]
    assert problems == [
        "line 3: effective_from: must be a day written as YYYY-MM-DD, like 2025-09-01 "
        "(given: 'yesterday')",
        "line 5: vpp: there is no VPP 'Two'; list-registry lists all, create-vpp makes one",
        "line 6: nmi: '600100000I' is not an NMI: 10 letters (without I and O) and digits, "
        "or 11 with the check digit",
        "line 7: has 3 fields, but the header has 4",
        "line 8: nmi: site 6001000001 exists already, today as a member of VPP one; to move it use "
        "assign-site, to change its address, region, channels or basis update-site",
    ]
    assert read_log(store) == before

    data = b"".join(data.splitlines(keepends=True)[:2])
    (recorded,) = append_changes(store, settings, read_changes(data), "test")
    assert recorded.change.seq == 2
    assert len(log_lines(store)) == 2


def test_later_lines_build_on_earlier_ones(store: ObjectStore, settings: Settings) -> None:
    lines = [vpp("One"), site("6001000001", "One"), assign("6001000001", None)]
    recorded = append_changes(store, settings, parsed(lines), "test")
    assert [one.change.seq for one in recorded] == [1, 2, 3]
    assert [line["change"] for line in log_lines(store)] == [
        "create-vpp",
        "create-site",
        "assign-site",
    ]


def test_broken_json_is_named_by_its_line(store: ObjectStore, settings: Settings) -> None:
    data = b'{"change": "create-vpp", "name": "One", "revenue_percentage": 20}\n{"change": "up\n'
    with pytest.raises(Refused, match=r"^line 2: is not JSON: Unterminated string"):
        append_changes(store, settings, read_changes(data), "test")
    assert read_log(store) == b""


def test_many_errors_are_not_all_shown(store: ObjectStore, settings: Settings) -> None:
    data = b"nmi,vpp,address\n" + b"6001000001,One,x\n" * 60
    with pytest.raises(Refused) as refused:
        append_changes(store, settings, read_changes(data), "test")
    shown = str(refused.value).split("\n")
    assert len(shown) == 51
    assert shown[0].startswith("line 2: ")
    assert shown[-1] == "and 10 more"


class Ahead(ObjectStore):
    """A store whose clock is not this machine's."""

    by = timedelta(0)

    @property
    def clock(self) -> datetime | None:
        there = super().clock
        assert there is not None
        return there + self.by


@pytest.mark.parametrize(
    ("minutes", "is_refused"), [(-6, True), (-4, False), (4, False), (6, True)]
)
def test_a_clock_far_from_the_stores_records_nothing(
    settings: Settings, minutes: int, is_refused: bool
) -> None:
    store = Ahead(settings)
    store.by = timedelta(minutes=minutes)
    if is_refused:
        with pytest.raises(Refused) as refused:
            append_changes(store, settings, parsed([vpp("One")]), "test")
        assert re.fullmatch(
            r"this machine's clock says \S+ \S+ UTC and the object store's \S+ \S+ UTC; a change "
            r"is dated by this clock, so they must be within 5 minutes of each other: set it "
            r"right, then run this again",
            str(refused.value),
        )
    else:
        append_changes(store, settings, parsed([vpp("One")]), "test")
    assert bool(read_log(store)) != is_refused
    store.client.close()


def test_a_change_dated_in_the_future_is_dated_again(
    store: ObjectStore, settings: Settings
) -> None:
    append(store, settings, *BASE)
    append(store, settings, vpp("Two"), now=datetime(2099, 1, 1, tzinfo=UTC))
    before = read_log(store)
    with pytest.raises(Refused) as refused:
        append_changes(store, settings, parsed([vpp("Three")]), "test")
    assert str(refused.value).startswith("change 8 is dated 2099-01-01 00:00:00 UTC, but it is 20")
    assert str(refused.value).endswith(
        "UTC: the clock that dated it was ahead, and no settlement sees it yet; run "
        "redate-changes, then run this again"
    )
    assert read_log(store) == before

    (change,) = redate_changes(store)
    assert change.recorded_at is not None
    assert abs(change.recorded_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert change.clock_said == datetime(2099, 1, 1, tzinfo=UTC)
    lines = read_log(store).splitlines()
    assert lines[:7] == before.splitlines()[:7]
    was, is_ = json.loads(before.splitlines()[7]), json.loads(lines[7])
    assert is_.pop("clock_said") == was.pop("recorded_at") == "2099-01-01T00:00:00Z"
    assert is_.pop("recorded_at") < "2099"
    assert is_ == was

    append_changes(store, settings, parsed([vpp("Three")]), "test")
    assert Log(store).seq_as_of(datetime.now(UTC)) == 9
    assert redate_changes(store) == []


def test_an_empty_log_has_nothing_to_date_again(store: ObjectStore) -> None:
    assert redate_changes(store) == []
    assert read_log(store) == b""


def test_time_never_goes_back_in_the_log(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, *BASE, now=datetime(2025, 9, 30, 14, 0, tzinfo=UTC))
    slow = datetime(2025, 9, 30, 13, 0, tzinfo=UTC)
    (change,) = append(store, settings, remove("S1"), now=slow)
    assert change.recorded_at == datetime(2025, 9, 30, 14, 0, tzinfo=UTC)
    assert change.effective_from == date(2025, 10, 1)


def race(*writers: Callable[[], None]) -> None:
    barrier = threading.Barrier(len(writers))

    def start(writer: Callable[[], None]) -> None:
        barrier.wait()
        writer()

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(start, writers))


def test_racing_writers_both_land(store: ObjectStore, settings: Settings) -> None:
    append_changes(store, settings, parsed([vpp("One")]), "test")

    def writer(first: int) -> Callable[[], None]:
        def write() -> None:
            mine = ObjectStore(settings)
            for number in range(first, first + 10):
                changes = parsed(
                    [site(f"60010000{number}", "One"), battery(f"S{number}", f"60010000{number}")]
                )
                append_changes(mine, settings, changes, f"writer {first}")
            mine.client.close()

        return write

    race(writer(10), writer(20), writer(30))
    lines = log_lines(store)
    assert [line["seq"] for line in lines] == list(range(1, 62))
    times = [datetime.fromisoformat(line["recorded_at"]) for line in lines]
    assert times == sorted(times)
    assert Counter(line["recorded_by"] for line in lines[1:]) == {
        f"writer {first}": 20 for first in (10, 20, 30)
    }
    for one, other in zip(lines[1::2], lines[2::2], strict=True):  # appended in one step
        assert (one["change"], other["change"]) == ("create-site", "add-battery")
        assert one["nmi"] == other["nmi"]


def test_of_racing_writers_of_the_same_site_one_lands(
    store: ObjectStore, settings: Settings
) -> None:
    append_changes(store, settings, parsed([vpp("One")]), "test")
    outcomes: list[str] = []

    def write() -> None:
        try:
            append_changes(store, settings, parsed([site("6001000001", "One")]), "test")
            outcomes.append("recorded")
        except Refused as problem:
            outcomes.append(str(problem))

    race(*[write] * 6)
    lost = "line 1: nmi: site 6001000001 exists already, today as a member of VPP one; "
    assert Counter(outcome.startswith(lost) for outcome in outcomes) == {False: 1, True: 5}
    assert "recorded" in outcomes
    assert len(log_lines(store)) == 2


def test_a_hundred_thousand_changes_go_in_as_one_step(
    store: ObjectStore, settings: Settings
) -> None:
    """No time is asserted; were any step to take longer as the log grows, this would not end."""
    nmis = [f"6{number:09d}" for number in range(50_000)]
    sites = [site(nmi, "One") for nmi in nmis]
    batteries = [battery(f"S{nmi}", nmi) for nmi in nmis]
    recorded = append(store, settings, vpp("One"), *sites, *batteries)
    assert [change.seq for change in recorded] == list(range(1, 100_002))
    lines = read_log(store).splitlines()
    assert len(lines) == 100_001
    assert json.loads(lines[-1])["serial"] == "S6000049999"


# What else is read and written below `registry/`.


def test_the_registry_is_listed_on_a_day_as_it_was_known(
    store: ObjectStore, settings: Settings
) -> None:
    append(store, settings, *BASE)
    append(store, settings, vpp("Two"), now=AT + timedelta(days=1))
    listed, on, key = put_list(store, settings, date(2025, 9, 1), AT)
    assert (on, key) == (
        date(2025, 9, 1),
        "registry/lists/2025-09-01-as-of-20250830T010203Z.csv",
    )
    assert listed["id"].to_list() == ["test-vpp-one", "6001000001", "S1", "S2"]
    found = store.read(key)
    assert found is not None
    assert [line.split(b",")[1] for line in found[0].splitlines()[1:]] == [
        id.encode() for id in listed["id"]
    ]
    # Now, which is after both, and after the day on which the second site begins.
    listed, _, key = put_list(store, settings, date(2025, 9, 10), None)
    assert key == "registry/lists/2025-09-10.csv"
    assert {"two", "6001000002"} <= set(listed["id"])
    assert len(log_lines(store)) == len(BASE) + 1


def test_an_upload_is_read_as_it_is(store: ObjectStore) -> None:
    store.write("registry/uploads/a.csv", b"nmi\r\n")
    assert read_upload(store, "registry/uploads/a.csv") == b"nmi\r\n"
    with pytest.raises(Refused) as refused:
        read_upload(store, "registry/uploads/a")
    assert str(refused.value) == (
        "key: there is no 'registry/uploads/a' in the bucket; request-registry-upload gives a "
        "command to upload it with"
    )


def test_an_upload_that_is_too_large_is_not_even_read(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_log, "MAX_UPLOAD_BYTES", 1 << 20)
    store.write("registry/uploads/a.csv", b"x" * (1 << 20))
    assert len(read_upload(store, "registry/uploads/a.csv")) == 1 << 20
    store.write("registry/uploads/a.csv", b"x" * ((1 << 20) + 1))
    with pytest.raises(Refused, match="has 1 MB; a file of changes may have at most 1 MB"):
        read_upload(store, "registry/uploads/a.csv")


def test_who_loses_each_race_is_told_so(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else appends whenever this one has read."""
    monkeypatch.setattr(registry_log, "_ROUNDS", 3)
    names = iter(range(1000))

    class Busy(ObjectStore):
        def write_if(self, key: str, data: bytes, etag: str | None) -> str:
            append_changes(store, settings, parsed([vpp(f"V{next(names)}")]), "other")
            return super().write_if(key, data, etag)

    busy = Busy(settings)
    with pytest.raises(Refused) as refused:
        append_changes(busy, settings, parsed([vpp("Mine")]), "me")
    busy.client.close()
    assert str(refused.value) == (
        "registry/changes.jsonl was written by others 3 times meanwhile; nothing was recorded, "
        "run it again"
    )
    assert {line["recorded_by"] for line in log_lines(store)} == {"other"}
