"""The log in segments: nothing is lost, doubled or split, whoever writes, dies or meddles."""

import json
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tasks.core import keys
from tasks.core.changes import Change, parse_change
from tasks.core.errors import LostRace, Refused
from tasks.core.registry import Registry
from tasks.core.settings import Settings
from tasks.io import registry_segments
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import (
    _registry_about,
    append_changes,
    changes_between,
    read_registry,
    read_vpps,
    redate_changes,
)
from tasks.io.registry_segments import Log, read_log
from tests.unit.core.registries import battery, parsed, site, update_vpp, vpp
from tests.unit.io.test_registry_log import append
from tests.unit.settlement.test_registry_tables import TODAY, any_change, histories, recorded

FULL_BYTES = 1000  # four changes or five
AT = datetime(2025, 8, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_segments, "FULL_BYTES", FULL_BYTES)


def fill(store: ObjectStore, settings: Settings, sites: int, at: datetime = AT) -> None:
    """Record a VPP and sites with a battery each, every site a step of its own."""
    append(store, settings, vpp("One"), now=at)
    for number in range(sites):
        nmi = f"6001{number:06d}"
        append(store, settings, site(nmi, "One"), battery(f"S{number}", nmi), now=at)


def objects(store: ObjectStore, suffix: str) -> dict[str, str]:
    """Return the log's objects of a suffix, each with its ETag."""
    listed = store.versions("registry/changes")
    return {version.key: version.etag for version in listed if version.key.endswith(suffix)}


def seqs(store: ObjectStore) -> list[int]:
    return [json.loads(line)["seq"] for line in read_log(store).splitlines()]


def test_a_change_rewrites_the_last_segment_alone(store: ObjectStore, settings: Settings) -> None:
    fill(store, settings, 20)
    before = objects(store, ".jsonl")
    assert list(before)[:2] == ["registry/changes.jsonl", "registry/changes/000000000006.jsonl"]
    assert len(before) > 5
    append(store, settings, site("6002000000", "One"))
    after = objects(store, ".jsonl")
    assert [key for key in before if before[key] != after[key]] in ([], [list(before)[-1]])
    assert seqs(store) == list(range(1, 43))


def test_a_step_is_one_object_however_large_it_is(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, vpp("One"))
    append(store, settings, *(site(f"6001{number:06d}", "One") for number in range(50)))
    assert list(objects(store, ".jsonl")) == ["registry/changes.jsonl"]
    append(store, settings, site("6002000000", "One"))
    assert list(objects(store, ".jsonl"))[1:] == ["registry/changes/000000000052.jsonl"]


def test_a_log_of_earlier_versions_goes_on_in_a_second_object(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_segments, "FULL_BYTES", 1 << 30)
    fill(store, settings, 20)
    assert list(objects(store, ".jsonl")) == ["registry/changes.jsonl"]
    whole = objects(store, ".jsonl")
    monkeypatch.setattr(registry_segments, "FULL_BYTES", FULL_BYTES)
    append(store, settings, battery("S99", "6001000019"))
    assert objects(store, ".jsonl").items() > whole.items()
    assert seqs(store) == list(range(1, 43))
    known = read_registry(store, settings)
    assert known.knows("battery", "S0")
    assert known.knows("battery", "S99")


def test_writers_that_race_across_segments_all_land(store: ObjectStore, settings: Settings) -> None:
    append_changes(store, settings, parsed([vpp("One")]), "test")

    def write(writer: int) -> None:
        mine = ObjectStore(settings)
        for number in range(10):
            nmi = f"60010{writer}{number:04d}"
            changes = parsed([site(nmi, "One"), battery(f"S{nmi}", nmi)])
            append_changes(mine, settings, changes, f"writer {writer}")
        mine.client.close()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, (1, 2, 3)))
    lines = [json.loads(line) for line in read_log(store).splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 62))
    assert [line["recorded_at"] for line in lines] == sorted(line["recorded_at"] for line in lines)
    for one, other in zip(lines[1::2], lines[2::2], strict=True):  # appended in one step
        assert (one["nmi"], one["recorded_by"]) == (other["nmi"], other["recorded_by"])


@pytest.mark.parametrize("sites", [0, 2, 3, 9])
def test_of_two_that_saw_the_same_one_wins(
    store: ObjectStore, settings: Settings, sites: int
) -> None:
    """Whether the last segment is full or not, and however much one of them appends."""
    fill(store, settings, sites)
    one, other = Log(store), Log(store)
    one.append(b'{"seq": %d}\n' % (one.seq + 1))
    with pytest.raises(LostRace):
        other.append(b'{"seq": %d, "much": "%s"}\n' % (other.seq + 1, b"x" * 5000))
    assert seqs(store) == list(range(1, 2 * sites + 3))


def test_who_has_seen_less_loses_also_when_the_next_segment_has_begun(
    store: ObjectStore, settings: Settings
) -> None:
    fill(store, settings, 1)
    late = Log(store)
    for number in range(20):
        append(store, settings, site(f"6003{number:06d}", "One"))
    before = read_log(store)
    with pytest.raises(LostRace):
        late.append(b'{"seq": 4}\n')
    assert read_log(store) == before


@pytest.mark.parametrize("sites", [1, 2])
def test_an_answer_that_got_lost_is_found_behind_what_others_appended(
    store: ObjectStore, settings: Settings, sites: int
) -> None:
    fill(store, settings, sites)
    log, line = Log(store), b'{"seq": %d}\n' % (2 * sites + 2)
    log.append(line)
    [(key, _)] = list(objects(store, ".jsonl").items())[-1:]
    found = store.read(key)
    assert found
    store.write(key, found[0] + b'{"seq": 99}\n')
    log.append(line)  # as boto3 repeats it
    assert read_log(store).count(line) == 1


def twins(store: ObjectStore) -> dict[str, str]:
    return objects(store, ".parquet")


def lines_of(store: ObjectStore) -> bytes:
    """Return the log as its columns have it."""
    log = Log(store)
    return "".join(f"{line}\n" for line in log.scan().collect()["line"]).encode()


def test_full_segments_have_a_twin_which_may_be_deleted(
    store: ObjectStore, settings: Settings
) -> None:
    fill(store, settings, 10)
    assert lines_of(store) == read_log(store)
    made = twins(store)
    full = [v for v in store.versions("registry/changes") if v.size >= FULL_BYTES]
    assert len(made) == sum(version.key.endswith(".jsonl") for version in full) > 2
    for key in made:
        store.delete(key)
    assert lines_of(store) == read_log(store)
    assert twins(store).keys() == made.keys()


@pytest.mark.parametrize("damage", ["torn", "another's", "empty"])
def test_a_wrong_twin_is_passed_over_and_made_again(
    store: ObjectStore, settings: Settings, damage: str
) -> None:
    fill(store, settings, 10)
    lines_of(store)
    first, second, *_ = twins(store)
    good, other = store.read(first), store.read(second)
    assert good
    assert other
    wrong = {"torn": good[0][:-100], "another's": other[0], "empty": b""}
    store.write(first, wrong[damage])
    assert lines_of(store) == read_log(store)
    assert store.read(first) == good


def test_a_name_for_as_long_as_the_lines_are_the_same(
    store: ObjectStore, settings: Settings
) -> None:
    """The digest of the first changes is theirs, whatever is behind them, with or without twins."""

    def digests() -> list[str]:
        log = Log(store)
        return [log.digest(seq) for seq in range(log.seq + 1)]

    append(store, settings, vpp("One"))
    before = digests()
    for number in range(12):
        append(store, settings, site(f"6001{number:06d}", "One"))
        after = digests()
        assert after[:-1] == before
        assert len(set(after)) == len(after)
        before = after
    for key in twins(store):
        store.delete(key)
    assert digests() == before


def test_what_was_recorded_by_a_moment(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, vpp("One"), now=AT)
    for number in range(12):
        at = AT + timedelta(hours=number)
        append(store, settings, site(f"6001{number:06d}", "One"), now=at)
    log = Log(store)
    moments = [AT + timedelta(hours=hours) for hours in range(-1, 13)]
    assert [log.seq_as_of(moment) for moment in moments] == [0, *range(2, 14), 13]


def test_what_was_brought_is_there_for_as_long_as_the_log_is(
    store: ObjectStore, settings: Settings
) -> None:
    fill(store, settings, 10)
    log = Log(store)
    paths = log.paths
    assert len(paths) > 2
    assert all(path.exists() for path in paths)
    del log
    assert not any(path.parent.exists() for path in paths)


def test_a_gap_is_refused(store: ObjectStore, settings: Settings) -> None:
    fill(store, settings, 10)
    store.delete(list(objects(store, ".jsonl"))[1])
    with pytest.raises(Refused, match="from 6 on in order: the registry's log was changed by hand"):
        append(store, settings, vpp("Two"))


def test_a_line_that_is_no_change_is_refused(store: ObjectStore, settings: Settings) -> None:
    append(store, settings, vpp("One"))
    for line in (b'{"seq": 2, "recorded_at": "2025-13-01T00:00:00Z"}\n', b'{"seq": 2\n', b"x\n"):
        store.write(keys.REGISTRY_LOG, read_log(store).splitlines(keepends=True)[0] + line)
        with pytest.raises(Refused, match="the registry's log has a line that is no change"):
            append(store, settings, vpp("Two"))


class Dying(ObjectStore):
    """A store that is written to so many times, and then its process dies."""

    writes = 0

    def write_if(self, key: str, data: bytes, etag: str | None) -> str:
        """Write, or die."""
        self.writes -= 1
        if self.writes < 0:
            raise KeyboardInterrupt
        return super().write_if(key, data, etag)


def test_segments_are_dated_again_also_by_the_one_after_who_died(
    store: ObjectStore, settings: Settings
) -> None:
    append(store, settings, vpp("One"))
    for number in range(15):
        ahead = datetime(2099, 1, 1, number, tzinfo=UTC)
        append(store, settings, site(f"6001{number:06d}", "One"), now=ahead)
    before = [json.loads(line) for line in read_log(store).splitlines()]
    assert lines_of(store) == read_log(store)  # twins of what is then dated again
    dying = Dying(settings)
    dying.writes = 2
    with pytest.raises(KeyboardInterrupt):
        redate_changes(dying)
    dying.client.close()
    times = [json.loads(line)["recorded_at"] for line in read_log(store).splitlines()]
    assert times == sorted(times)
    assert 1 < sum(time < "2099" for time in times) < 16
    with pytest.raises(Refused, match="run redate-changes, then run this again"):
        append_changes(store, settings, parsed([vpp("Two")]), "test")

    assert 1 < len(redate_changes(store)) < 15
    assert redate_changes(store) == []
    assert lines_of(store) == read_log(store)
    after = [json.loads(line) for line in read_log(store).splitlines()]
    times = [line["recorded_at"] for line in after]
    assert times == sorted(times)
    assert max(times) < "2099"
    for line, was in zip(after[1:], before[1:], strict=True):
        assert line.pop("clock_said") == was.pop("recorded_at")
        assert line.pop("recorded_at")
        assert line == was
    append_changes(store, settings, parsed([vpp("Two")]), "test")


# What a change is decided on.


@hypothesis_settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories(), st.lists(any_change, min_size=1, max_size=20))
def test_a_change_is_decided_as_if_all_others_were_looked_at(
    store: ObjectStore, history: list[dict[str, Any]], candidates: list[dict[str, Any]]
) -> None:
    """The same line in the log, the same later changes, or the same words of refusal."""
    known = recorded(history)
    store.write(keys.REGISTRY_LOG, "".join(f"{change.line()}\n" for change in known).encode())
    whole = Registry(known, TODAY)

    def said(registry: Registry, change: Change) -> object:
        try:
            added = registry.add(change, AT, "test")
        except Refused as problem:
            return str(problem)
        return added.line(), registry.later_than(added)

    log = Log(store)
    for fields in candidates:
        try:
            change = parse_change(fields)
        except Refused:
            continue
        about = _registry_about(log, [change], TODAY)
        assert said(about, change) == said(deepcopy(whole), change)


def test_vpps_are_found_without_looking_at_sites(store: ObjectStore, settings: Settings) -> None:
    fill(store, settings, 10)
    append(store, settings, update_vpp("one", name="Uno"))
    known = read_vpps(store, settings)
    assert known.vpp_id("Uno") == "one"
    assert known.entities("site") == []


def test_changes_between_two_runs_have_their_site(store: ObjectStore, settings: Settings) -> None:
    fill(store, settings, 10)
    found = changes_between(Log(store), 4, 7)
    assert [(change["seq"], nmi) for change, nmi in found] == [
        (4, "6001000001"),
        (5, "6001000001"),
        (6, "6001000002"),
        (7, "6001000002"),
    ]
    append(store, settings, {"change": "update-battery", "serial": "S3", "capacity_kwh": 5})
    [(change, nmi)] = changes_between(Log(store), 22, 22)
    assert (change["serial"], nmi) == ("S3", "6001000003")
