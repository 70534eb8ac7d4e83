"""Faults of the network, kills and races: what is published afterwards, against what should be."""

import json
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock, Timer

from pytest import MonkeyPatch

from tasks.core.changes import parse_change
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tasks.io.registry_segments import read_log
from tests.through_s3 import Place
from tests.torture import month
from tests.torture.network import Network

_TEMPORARY = tempfile.gettempdir()
_IN_TURN = Lock()  # settlements in this process, whose temporary folder is set for some


@dataclass
class Result:
    """What a row of a table counts; `wrong` has a sentence for each thing that was not right."""

    name: str
    runs: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failed: int = 0  # runs that ended as failed; what they published is right all the same
    partly: int = 0  # of those killed, months that were partly published, and said so
    folders: int = 0  # that a killed process left behind, until the next run
    wrong: list[str] = field(default_factory=list)

    def expect(self, is_right: bool, sentence: str) -> None:
        if not is_right:
            self.wrong.append(f"{self.name}: {sentence}")


@dataclass(frozen=True)
class Expected:
    """What is published of the month when nothing disturbs it: at first, and once replaced."""

    first: dict[str, bytes]
    second: dict[str, bytes]


def undisturbed() -> Expected:
    """Settle the month and its replacement undisturbed."""
    place = Place()
    month.lay_out(place)
    month.settle(place.store)
    first = month.published(place.store)
    month.replace_inputs(place)
    month.settle(place.store)
    return Expected(first, month.published(place.store))


def check_published(
    result: Result, store: ObjectStore, expected: dict[str, bytes], is_settled: bool
) -> None:
    """Note what is not right: torn reports always; what is missing, of a run that settled."""
    there = month.published(store)
    record = month.month_record(store)
    result.expect(set(there) <= set(expected), f"there is {sorted(set(there) - set(expected))}")
    torn = [key for key, data in there.items() if data != expected.get(key, data)]
    result.expect(not [key for key in torn if "/r" in key], f"torn: {torn}")
    is_whole = record is not None and record.state == "whole"
    if is_settled:
        result.expect(there == expected, f"missing or different: {torn or sorted(expected)[:1]}")
        result.expect(is_whole, "the month's record does not say that it is whole")
    elif is_whole:
        result.expect(_is_whole(there), "the month's record says that it is whole")


def _is_whole(there: dict[str, bytes]) -> bool:
    """Say whether each VPP's current report is its last revision."""
    for vpp in month.VPPS:
        own = [key for key in there if f"/{vpp}/r" in key and not key.endswith("diff.json")]
        current = there.get(f"reports/{month.MONTH}/{vpp}.json")
        if not own or current != there[max(own)]:
            return False
    return True


def break_network(endpoint: str, expected: Expected, rate: float, seeds: range) -> Result:
    """Settle through a network with faults, then once more without."""
    result = Result(f"{rate:.0%} of requests")
    for seed in seeds:
        place = Place()
        month.lay_out(place)
        is_settled = True
        with Network(endpoint, seed, rate) as network:
            store = ObjectStore(place.settings, endpoint_url=network.url)
            try:
                month.settle(store)
            except Exception:
                is_settled = False
            store.client.close()
        result.runs += 1
        result.faults += network.faults
        result.failed += not is_settled
        check_published(result, place.store, expected.first, is_settled)
        month.settle(place.store)
        check_published(result, place.store, expected.first, is_settled=True)
    return result


def lose_network(endpoint: str, expected: Expected, seconds: float, as_flow: bool) -> Result:
    """Let the network be gone for a while from the first time that a report is written."""
    result = Result(f"gone for {seconds:g} s" + ", as the flow" * as_flow)
    place = Place()
    month.lay_out(place)
    with Network(endpoint) as network, TemporaryDirectory() as folder:

        def go(number: int, request: str, is_done: bool) -> None:
            if "/reports/" in request and request.startswith("PUT") and not network.faults:
                network.is_gone = True
                network.faults["gone"] += 1
                Timer(seconds, lambda: setattr(network, "is_gone", False)).start()

        network.at = go
        process = month.start(place, network.url, Path(folder), as_flow)
        process.communicate(timeout=seconds + 600)
        result.runs, result.faults = 1, network.faults
        result.expect(network.faults["gone"] > 0, "it ended before the network was gone")
        result.failed = int(process.returncode != 0)
        check_published(result, place.store, expected.first, process.returncode == 0)
        month.settle(place.store)
        check_published(result, place.store, expected.first, is_settled=True)
    return result


def count_requests(endpoint: str, is_second: bool) -> int:
    """Return how many requests an undisturbed settlement makes."""
    place = _place_to_settle(is_second)
    with Network(endpoint) as network:
        store = ObjectStore(place.settings, endpoint_url=network.url)
        month.settle(store)
        store.client.close()
    return network.requests


def _place_to_settle(is_second: bool) -> Place:
    place = Place()
    month.lay_out(place)
    if is_second:
        month.settle(place.store)
        month.replace_inputs(place)
    return place


@dataclass(frozen=True)
class Kill:
    """When a settlement is killed: before or after a request by number, or after some seconds.

    `is_second`: the month was settled before, from other events.
    """

    is_second: bool
    request: int = 0
    is_after: bool = False
    seconds: float = 0


def kill(endpoint: str, expected: Expected, name: str, kills: list[Kill]) -> Result:
    """Kill settlements, look at what a reader sees, and settle again."""
    result = Result(name)
    with ThreadPoolExecutor(2) as pool:
        for one in pool.map(lambda moment: _kill(endpoint, expected, name, moment), kills):
            result.runs += one.runs
            result.failed += one.failed
            result.partly += one.partly
            result.folders += one.folders
            result.wrong += one.wrong
    return result


def _kill(endpoint: str, expected: Expected, name: str, moment: Kill) -> Result:
    result = Result(f"{name}, {moment}")
    wanted = expected.second if moment.is_second else expected.first
    with _IN_TURN:
        place = _place_to_settle(moment.is_second)
    with TemporaryDirectory(dir=_TEMPORARY) as folder, Network(endpoint) as network:
        process = month.start(place, network.url, Path(folder))

        def end(number: int, request: str, is_done: bool) -> None:
            if number == moment.request and is_done == moment.is_after:
                process.send_signal(signal.SIGKILL)
                process.wait()

        if moment.request:
            network.at = end
            process.wait(120)
        else:
            time.sleep(moment.seconds)
            process.kill()
            process.wait()
        _close(process)
        result.runs += 1
        result.failed += process.returncode != 0
        check_published(result, place.store, wanted, is_settled=False)
        there = month.published(place.store)
        before = expected.first if moment.is_second else {}
        result.partly += there not in (before, wanted)
        result.folders += bool(month.left_behind(Path(folder)))
        with _IN_TURN, MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", folder)
            month.settle(place.store)
        check_published(result, place.store, wanted, is_settled=True)
        result.expect(not month.left_behind(Path(folder)), "temporary folders are left")
    return result


def _close(process: "subprocess.Popen[str]") -> None:
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def moments(endpoint: str, requests: range | None, randomly: int, seed: int) -> list[Kill]:
    """Return when to kill: around these requests (None: all), and so many times at random."""
    kills = []
    for is_second in (False, True):
        numbers = requests
        if numbers is None:
            numbers = range(1, count_requests(endpoint, is_second) + 1)
        kills += [Kill(is_second, n, is_after) for n in numbers for is_after in (False, True)]
    draw = random.Random(seed)
    seconds = [draw.uniform(0.5, 2.5) for _ in range(randomly)]
    return kills + [Kill(bool(n % 2), seconds=s) for n, s in enumerate(seconds)]


def race_settlements(endpoint: str, expected: Expected, races: int, processes: int) -> Result:
    """Settle one month in several processes at once."""
    result = Result(f"{processes} settlements of one month")
    for number in range(races):
        place = _place_to_settle(is_second=bool(number % 2))
        wanted = expected.second if number % 2 else expected.first
        with TemporaryDirectory() as folder:
            started = [month.start(place, endpoint, Path(folder)) for _ in range(processes)]
            said = [process.communicate(timeout=300) for process in started]
            result.runs += processes
            result.failed += sum(process.returncode != 0 for process in started)
            for process, (out, err) in zip(started, said, strict=True):
                is_right = process.returncode == 0 and json.loads(out)["outcome"] in (
                    "published",
                    "unchanged",
                )
                result.expect(is_right, f"a process ended with {process.returncode}: {err[-300:]}")
            check_published(result, place.store, wanted, is_settled=True)
            result.expect(not month.left_behind(Path(folder)), "temporary folders are left")
    return result


def race_registry(races: int, writers: int, changes: int) -> Result:
    """Append to one registry from several writers at once; each change must be there once."""
    result = Result(f"{writers} writers of one registry")
    for _ in range(races):
        place = Place()

        def write(writer: int, place: Place = place) -> int:
            store = ObjectStore(place.settings)
            for number in range(changes):
                name = f"v{writer}-{number}"
                change = parse_change(
                    {"change": "create-vpp", "name": name, "revenue_percentage": 1}
                )
                append_changes(store, place.settings, [(1, change)], f"writer {writer}")
            store.client.close()
            return changes

        with ThreadPoolExecutor(writers) as pool:
            written = sum(pool.map(write, range(writers)))
        result.runs += writers
        lines = [json.loads(line) for line in read_log(place.store).splitlines()]
        names = {line["name"] for line in lines}
        result.expect(
            len(names) == len(lines) == written
            and [line["seq"] for line in lines] == list(range(1, written + 1)),
            f"{written} changes were recorded, and {len(names)} are there in {len(lines)} lines",
        )
    return result
