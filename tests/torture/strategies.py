"""Valid files of each kind, as Hypothesis draws them, and what is changed in them.

A valid file is taken, and all of its rows. Changed in a few places it is like those of `fuzz.py`:
each of its rows is accounted for, or the file has failed with a sentence.
"""

import json
from datetime import date, timedelta
from random import Random

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.laws.meter_files import days, nem12
from tests.torture.fuzz import Outcome, mutated, replay

_DAYS = st.dates(date(2025, 8, 30), date(2025, 10, 2))
_NMIS = st.sampled_from(["6001000001", "9876543210", "QAAAVZZZZZ", "NBBBX11110"])
_NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N")), min_size=1, max_size=20)


def _decimals(most: int, places: int) -> st.SearchStrategy[str]:
    return st.decimals(-most, most, places=places).map(lambda number: format(number, "f"))


@st.composite
def _events(draw: st.DrawFn) -> str:
    columns = draw(st.permutations(["nmi", "DATE", "Event_Type", "ENERGY", "TARIFF", "note"]))
    cells = {
        "nmi": _NMIS,
        "DATE": _DAYS.map(str) | _DAYS.map(lambda day: f"{day}T23:59:59.5+11:00"),
        "Event_Type": st.sampled_from(["Charge", " discharge", "CHARGE"]),
        "ENERGY": st.decimals(0, 999_999_999, places=6).map(str),
        "TARIFF": _decimals(999_999, 6),
        "note": st.sampled_from(["", '"a, b"', '""""', "é"]),
    }
    rows = draw(st.lists(st.tuples(*(cells[name] for name in columns)), max_size=8))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join([",".join(columns), *map(",".join, rows)]) + draw(st.sampled_from(["", end]))


_MMS = "I,{0},PRICE,{1},SETTLEMENTDATE,RUNNO,REGIONID,RRP,INTERVENTION,LASTCHANGED"


@st.composite
def _prices(draw: st.DrawFn) -> str:
    midnights = st.dates(date(2025, 9, 1), date(2025, 9, 30))
    moments = st.tuples(midnights, st.integers(1, 288)).map(
        lambda at: (
            f"{at[0] + timedelta(days=at[1] // 288):%Y/%m/%d} "
            f"{at[1] % 288 // 12:02}:{at[1] % 12 * 5:02}:00"
        )
    )
    prices = _decimals(17_500, draw(st.integers(0, 5)))
    row = st.tuples(moments, st.sampled_from(["NSW1", "QLD1", "VIC1", "SA1", "TAS1"]), prices)
    rows = draw(st.lists(row, min_size=1, max_size=8))
    if draw(st.booleans()):
        head = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE"
        return "\n".join([head, *(f'{r},"{at}",1.5,{price},TRADE' for at, r, price in rows)])
    table = draw(st.sampled_from([("TRADING", "3"), ("DISPATCH", "5")]))
    data = [
        f'D,{table[0]},PRICE,{table[1]},"{at}",1,{region},{price},0,"{at}"'
        for at, region, price in rows
    ]
    return "\n".join(["C,NEMP.WORLD,X,AEMO,PUBLIC", _MMS.format(*table), *data, 'C,"END",9'])


@st.composite
def _registry(draw: st.DrawFn) -> str:
    names = draw(st.lists(_NAMES, min_size=1, max_size=3, unique_by=str.lower))
    changes: list[dict[str, object]] = [
        {
            "change": "create-vpp",
            "name": f"VPP {number} {name}",
            "revenue_percentage": draw(st.integers(0, 100)),
        }
        for number, name in enumerate(names)
    ]
    for number in range(draw(st.integers(0, 4))):
        nmi = f"600100000{number}"
        vpp = draw(st.sampled_from(changes[: len(names)]))["name"]
        changes.append({"change": "create-site", "nmi": nmi, "vpp": vpp, "address": "1 St"})
        battery = {"nmi": nmi, "serial": f"S{number}", "manufacturer": draw(_NAMES)}
        changes.append(
            {"change": "add-battery", **battery, "capacity_kwh": "13.5", "effective_from": None}
        )
    return "\n".join(json.dumps(change, ensure_ascii=draw(st.booleans())) for change in changes)


@st.composite
def _lines(draw: st.DrawFn) -> str:
    name = draw(_NAMES)
    lines = [f"Create VPP: V {name}, {draw(st.integers(0, 100))}, {draw(st.integers(0, 9))}.25"]
    for number in range(draw(st.integers(0, 3))):
        lines.append(f"Create Site: V {name}, 600100000{number}, {number} St, Perth")
        lines.append(f"create  BATTERY: 600100000{number}, {draw(_NAMES)}, S{number}, 13.5")
    numbered = draw(st.sampled_from(["", "{}. ", "{})", "{} - "]))
    return "\n".join(numbered.format(n) + line for n, line in enumerate([*lines, "Exit"], 1))


FILES: dict[str, st.SearchStrategy[bytes]] = {
    "events": _events().map(str.encode),
    "meter-data": st.lists(days("2026-03"), min_size=1, max_size=4).map(nem12).map(str.encode),
    "prices": _prices().map(str.encode),
    "registry": _registry().map(str.encode),
    "lines": _lines().map(str.encode),
}


def explore(kind: str, examples: int, number: int = 14) -> Outcome:
    """Draw so many examples of files of a kind, and see what comes of them, and once changed.

    What is wrong is that of the smallest example that Hypothesis finds.
    """
    all_of_it = Outcome(kind)

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(FILES[kind], min_size=1, max_size=6), st.randoms(use_true_random=False))
    def look(files: list[bytes], draw: Random) -> None:
        valid = replay(kind, files)
        changed = replay(kind, [mutated(data, draw) for data in files])
        for found in (valid, changed):
            all_of_it.files += found.files
            all_of_it.failed += found.failed
            all_of_it.rows += found.rows
            all_of_it.peak_mb = max(all_of_it.peak_mb, found.peak_mb)
        assert valid.wrong + changed.wrong == []
        assert valid.failed == 0, f"a valid file has failed: {files!r}"

    try:
        look()
    except AssertionError as problem:
        all_of_it.wrong.append(str(problem))
    return all_of_it
