"""The line program: lines in, reports out, and nothing at all for lines that make no sense."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flows.commands import instructions
from tests.flows.sample import EVENTS, ROOT, keys
from tests.through_s3 import HEADER, Place

SAMPLE = (ROOT / "data" / "STDIN.txt").read_text()
SEED = json.loads("""
{
    "vpp": "Test VPP One",
    "month": "2025-09",
    "totals": {
        "total_revenue": 1.75,
        "vpp_ad_valorem_fee": 0.35,
        "vpp_cost_only": 0.0,
        "vpp_total_revenue": 1.75,
        "site_total_revenue_after_fees": 0.0
    },
    "sites": {
        "9876543210": {
            "nmi": "9876543210",
            "address": "426 King St Newcastle West NSW 2302",
            "site_capacity_kwh": 13.5,
            "site_revenue_before_fees": 1.4,
            "site_daily_fee": 1.4,
            "site_revenue_after_fees": 0.0
        }
    }
}
""")
VPP = "Create VPP: Test VPP One, 20, 0.30\n"
SITE = "Create Site: Test VPP One, 9876543210, 426 King St Newcastle West NSW 2302\n"
BATTERY = "Create Battery: 9876543210, Tesla, 38764527113388, 13.5\n"
IMPORT = "Import Events: events_file.csv\n"
REPORT = "Create Report: Test VPP One, 2025-09\n"
ALL = VPP + SITE + BATTERY + IMPORT


def in_order(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Assert that the wanted keys come first, in their order, with these values."""
    assert list(found)[: len(wanted)] == list(wanted)
    for key, value in wanted.items():
        if isinstance(value, dict):
            in_order(found[key], value)
        else:
            assert (key, found[key]) == (key, value)
            assert type(found[key]) is type(value)


def process(
    lines: str, *arguments: str, python: Sequence[str] = (), folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Run the program by its README name in a process of its own, with no S3 in its environment."""
    clean = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "VPP_"))}
    return subprocess.run(
        [sys.executable, *python, "-m", "flows.instructions", *arguments],
        input=lines,
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


class Outcome:
    """What the program said to some lines, run in this process on the tests' S3."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status, self.output, self.errors = status, output, errors

    @property
    def reports(self) -> list[dict[str, Any]]:
        """The reports on standard output, one JSON text after the other."""
        assert self.status == 0, self.errors
        found, rest = [], self.output.lstrip()
        while rest:
            report, end = json.JSONDecoder().raw_decode(rest)
            found.append(report)
            rest = rest[end:].lstrip()
        return found

    @property
    def report(self) -> dict[str, Any]:
        [report] = self.reports
        return report


class Program:
    """Calls of the program in one place on S3."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, lines: str, *arguments: str) -> Outcome:
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        status = instructions.main(list(arguments))
        return Outcome(status, *self._capsys.readouterr())


@pytest.fixture
def program(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Program:
    return Program(monkeypatch, capsys)


# As a process


def test_the_sample_gives_its_report_to_the_letter(tmp_path: Path) -> None:
    done = process(SAMPLE, "--output", str(tmp_path / "report.json"))
    assert (done.returncode, done.stderr) == (0, "imported=2 skipped=0\n")
    in_order(json.loads(done.stdout), SEED)
    assert list(json.loads(done.stdout)["sites"]) == ["9876543210"]
    assert (tmp_path / "report.json").read_text() == done.stdout


def test_the_sample_of_meter_data_gives_what_the_readme_says() -> None:
    done = process((ROOT / "data" / "METER_STDIN.txt").read_text())
    assert done.returncode == 0
    assert done.stderr.splitlines()[:2] == ["imported=2 skipped=0", "imported=288 skipped=0"]
    assert "2,784 of 2,880 intervals of meters are missing" in done.stderr
    report = json.loads(done.stdout)
    assert report["totals"]["total_revenue"] == 2.9  # 10 kWh x 2 c and 9 kWh x 30 c
    site = report["sites"]["6001000001"]
    assert (site["energy_charged_kwh"], site["energy_discharged_kwh"]) == (10.0, 9.0)
    assert "`total_revenue` **2.90**" in (ROOT / "README.md").read_text()


def test_it_runs_in_any_folder_finds_the_files_there_and_does_without_prefect(
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.csv").write_text(f"{HEADER}9876543210,2025-09-03,Discharge,1,100\n")
    lines = f"{VPP}{SITE}Import Events: mine.csv\n{IMPORT}{REPORT}"
    done = process(lines, python=["-X", "importtime"], folder=tmp_path)
    imports = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    said = [line for line in done.stderr.splitlines() if line not in imports]
    assert said == ["imported=1 skipped=0", "imported=2 skipped=0"]
    assert json.loads(done.stdout)["totals"]["total_revenue"] == 2.75
    packages = {line.split("|")[-1].strip().split(".")[0] for line in imports}
    assert "duckdb" in packages
    assert "prefect" not in packages


def test_nonsense_ends_the_process_with_2_and_says_where(tmp_path: Path) -> None:
    done = process(ALL + REPORT + "Create Something: x\n", "--output", str(tmp_path / "report"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("line 6: 'Create Something: x' is no instruction; expected")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_bytes_that_are_no_text_are_refused_like_any_nonsense(errors: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.commands.instructions"],
        input=b"Create VPP: \xff\xfe, 20\n",
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": f"utf-8:{errors}"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"line 1: " in done.stderr
    assert b"Traceback" not in done.stderr


# What lines may look like


@pytest.mark.parametrize(
    "lines",
    [
        SAMPLE,
        SAMPLE.replace("\n", "\r\n"),
        "\ufeff" + SAMPLE,
        SAMPLE.lower(),
        SAMPLE.upper().replace("EVENTS_FILE.CSV", "events_file.csv"),
        "".join(f"{n}. {line}\n" for n, line in enumerate(SAMPLE.splitlines(), 1)),
        "".join(f"{n}) {line}\n" for n, line in enumerate(SAMPLE.splitlines(), 1)),
        "".join(f"{n} {line}\n" for n, line in enumerate(SAMPLE.splitlines(), 1)),
        "".join(f"  {n} -  {line}\t\n\n" for n, line in enumerate(SAMPLE.splitlines(), 1)),
        SAMPLE.replace(", ", ","),
        SAMPLE.replace(",", " ,  ").replace("Create", "Create  ").replace(":", " : "),
        SAMPLE.replace("Exit\n", ""),
        SAMPLE.removesuffix("\n"),
        SAMPLE + "what comes after Exit is not read\n",
        SAMPLE.replace("9876543210,", "98765432107,"),
    ],
)
def test_lines_may_be_written_in_many_ways(program: Program, lines: str) -> None:
    found = program(lines)
    assert found.errors == "imported=2 skipped=0\n"
    report = found.report
    assert report["totals"].items() >= SEED["totals"].items()
    assert report["vpp"].lower() == "test vpp one"
    assert list(report["sites"]) == ["9876543210"]


def test_no_lines_are_no_error(program: Program, place: Place) -> None:
    for lines in ("", "\n", "exit\n", "1. EXIT"):
        found = program(lines)
        assert (found.status, found.output, found.errors) == (0, "", "")
    assert place.objects() == {}


def test_without_a_fee_there_is_none(program: Program) -> None:
    report = program(ALL.replace(", 0.30", "") + REPORT).report
    assert report["totals"]["vpp_total_revenue"] == 0.35
    assert report["sites"]["9876543210"]["site_revenue_after_fees"] == 1.4


def test_an_address_may_hold_commas(program: Program) -> None:
    report = program(ALL.replace("King St ", "King St, ") + REPORT).report
    address = "426 King St, Newcastle West NSW 2302"
    assert report["sites"]["9876543210"]["address"] == address


def test_charge_events_may_count_as_revenue(program: Program) -> None:
    report = program(ALL + REPORT, "--charge-events", "revenue").report
    assert report["settlement"]["terms"][0]["charge_events"] == "revenue"
    # 5 kWh charged at -20 now take away the dollar that they brought before.
    assert report["totals"]["total_revenue"] == -0.25


def test_several_reports_come_in_the_order_of_their_lines(program: Program, tmp_path: Path) -> None:
    lines = (
        f"{ALL}Create VPP: Two, 10\n{REPORT}Create Report: two, 2025-09\n"
        "Create Report: test-vpp-one, 2025-08\n"
    )
    found = program(lines, "--output", str(tmp_path / "last.json"))
    named = [(report["vpp"], report["month"]) for report in found.reports]
    assert named == [
        ("Test VPP One", "2025-09"),
        ("Two", "2025-09"),
        ("Test VPP One", "2025-08"),
    ]
    assert json.loads((tmp_path / "last.json").read_text()) == found.reports[-1]


def test_lines_take_effect_in_their_order(program: Program) -> None:
    lines = f"{VPP}{SITE}{BATTERY}{REPORT}{IMPORT}{REPORT}{VPP.replace('20', '50')}{REPORT}"
    totals = [report["totals"] for report in program(lines).reports]
    assert [total["total_revenue"] for total in totals] == [0.0, 1.75, 1.75]
    assert [total["vpp_ad_valorem_fee"] for total in totals] == [0.0, 0.35, 0.88]


# A second Create updates


def test_a_second_create_vpp_changes_its_terms(program: Program) -> None:
    report = program(f"{ALL}Create VPP: TEST VPP ONE, 10\n{REPORT}").report
    assert report["vpp"] == "TEST VPP ONE"
    [terms] = report["settlement"]["terms"]
    assert (terms["revenue_percentage"], terms["daily_fee_aud"]) == (10.0, 0.0)


def test_a_second_create_site_moves_it(program: Program) -> None:
    lines = (
        f"{ALL}Create VPP: Two, 10\nCreate Site: Two, 9876543210, 1 Other St\n"
        f"{REPORT}Create Report: Two, 2025-09\n"
    )
    one, two = program(lines).reports
    assert (one["sites"], one["totals"]["total_revenue"]) == ({}, 0.0)
    assert two["sites"]["9876543210"]["address"] == "1 Other St"
    assert two["totals"]["total_revenue"] == 1.75


def test_a_second_create_battery_changes_or_moves_it(program: Program) -> None:
    changed = program(f"{ALL}{BATTERY.replace('13.5', '10')}{REPORT}").report
    assert changed["sites"]["9876543210"]["site_capacity_kwh"] == 10.0

    moved = program(
        "Create Site: Test VPP One, 2001985732, 1 Other St\n"
        f"Create Battery: 2001985732, Tesla, 38764527113388, 9\n{REPORT}"
    ).report
    capacities = {nmi: site["site_capacity_kwh"] for nmi, site in moved["sites"].items()}
    assert capacities == {"2001985732": 9.0, "9876543210": 0.0}


# Files


def test_a_file_counts_once_however_often_it_is_imported(program: Program, place: Place) -> None:
    found = program(ALL + IMPORT + REPORT)
    assert found.errors == "imported=2 skipped=0\nimported=0 skipped=2 (2 already imported)\n"
    assert found.report["totals"]["total_revenue"] == 1.75
    again = program(IMPORT + REPORT)
    assert again.errors == "imported=0 skipped=2 (2 already imported)\n"
    assert again.report == found.report
    assert keys(place, "events/") == ["events/events_file.csv"]


def test_rejected_rows_are_counted_as_skipped_and_stop_nothing(
    program: Program, tmp_path: Path
) -> None:
    path = tmp_path / "dirty.csv"
    path.write_text(f"{HEADER}{EVENTS[1]}\n,2025-09-01,Charge,1,1\n9876543210,x,Charge,1,1\n")
    found = program(f"{VPP}{SITE}Import Events: {path}\n{REPORT}")
    assert found.errors == "imported=1 skipped=2 (1 date, 1 missing)\n"
    assert found.report["totals"]["total_revenue"] == 0.75


def test_meter_data_and_prices_are_imported_too(
    program: Program, place: Place, tmp_path: Path
) -> None:
    values = ",".join(["1.5"] * 48)
    nem12, prices = tmp_path / "a.csv", tmp_path / "a.zip"
    nem12.write_text(
        "200,6001000001,E1,1,E1,N1,M1,kWh,30,\n"
        f"300,20260301,{values},A,,,20260302120000,\n300,20260302,{values},?,,,,\n"
        f"200,6001000001,E1,1,Q1,N1,M1,kvarh,30,\n300,20260301,{values},A,,,,\n"
    )
    with zipfile.ZipFile(prices, "w") as archive:
        archive.writestr(
            "a.csv",
            "C,AEMO\nI,TRADING,PRICE,3,SETTLEMENTDATE,REGIONID,RRP\n"
            "D,TRADING,PRICE,3,2026/03/01 00:05:00,SA1,57.31\nC,END OF REPORT,99\n",
        )
    lines = f"Import Meter Data: {nem12}\n" * 2 + f"import prices: {prices}\n"
    assert program(lines).errors == (
        "imported=1 skipped=2 (1 quality, 1 ignored)\n"
        "imported=0 skipped=3 (3 already imported)\n"
        "prices/a.zip/a.csv: line 4 says that it has 99 lines, and it has 4; it may have been cut\n"
        "imported=1 skipped=0\n"
    )
    assert keys(place, "meter-data/") == ["meter-data/a.csv"]
    assert keys(place, "prices/") == ["prices/a.zip"]


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("Events", "a.txt", "line 1: events/a.txt would not be read: names in events/ end in "),
        ("Prices", "a.gz", "line 1: prices/a.gz would not be read: names in prices/ end in "),
        ("Meter Data", "a.csv", "line 1: {path}: not NEM12: it has neither a 100 row"),
        ("Prices", "a.csv", "line 1: {path}: no price file: its first row "),
    ],
)
def test_a_file_of_another_kind_is_refused(
    program: Program, place: Place, tmp_path: Path, kind: str, name: str, message: str
) -> None:
    path = tmp_path / name
    path.write_text(f"{HEADER}{EVENTS[0]}\n")
    found = program(f"Import {kind}: {path}\n")
    assert found.status == 2
    assert found.errors.startswith(message.format(path=path))
    for folder in ("events/", "meter-data/", "prices/"):
        assert keys(place, folder) == []


def test_two_files_of_the_same_name_both_count(program: Program, tmp_path: Path) -> None:
    lines = VPP + SITE
    for day in ("01", "02"):
        path = tmp_path / day / "events.csv"
        path.parent.mkdir()
        path.write_text(f"{HEADER}9876543210,2025-09-{day},Discharge,1,{day}00\n")
        lines += f"Import Events: {path}\n"
    assert program(lines + REPORT).report["totals"]["total_revenue"] == 3.0


def test_a_later_call_may_correct_a_file(program: Program, place: Place, tmp_path: Path) -> None:
    """On a lasting S3, a file of the same name takes the place of the one before."""
    program(ALL)
    corrected = tmp_path / "events_file.csv"
    corrected.write_text(f"{HEADER}9876543210,2025-09-03,Discharge,1,100\n")
    found = program(f"Import Events: {corrected}\n{REPORT}")
    assert found.report["totals"]["total_revenue"] == 1.0
    assert keys(place, "events/") == ["events/events_file.csv"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty: it has no header and no rows"),
        (b"NMI;DATE;EVENT_TYPE;ENERGY;TARIFF\n", "missing column NMI, DATE, EVENT_TYPE"),
        (HEADER.encode("utf-16"), "not text: it is UTF-16"),
        (f'{HEADER}"9876543210\n'.encode(), "broken quoting: line 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_leaves_no_trace(
    program: Program, place: Place, tmp_path: Path, data: bytes, reason: str
) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(data)
    found = program(f"{VPP}Import Events: {path}\n{REPORT}")
    assert (found.status, found.output) == (2, "")
    assert found.errors.startswith(f"line 2: {path}: {reason}")
    assert keys(place, "events/") == keys(place, "reports/") == []
    assert program(REPORT).status == 0


def test_a_broken_file_does_not_take_away_a_good_one_of_the_same_name(
    program: Program, place: Place, tmp_path: Path
) -> None:
    program(ALL)
    before = place.objects()
    path = tmp_path / "events_file.csv"
    path.write_text("broken")
    assert program(f"Import Events: {path}\n").status == 2
    after = place.objects()
    assert {key: after.get(key) for key in before} == before


# VPPs whose ids are the same


@pytest.mark.parametrize(
    ("one", "other", "id"),
    [
        ("North+West VPP", "North-West VPP", "north-west-vpp"),
        ("North/West VPP", "North West VPP", "north-west-vpp"),
        ("C", "C++", "c"),
        ("Caf\u00e9 VPP", "Caf\u00e8 VPP", "caf-vpp"),
        ("Sun \U0001f31e VPP", "Sun \U0001f31a VPP", "sun-vpp"),
    ],
)
def test_another_vpp_of_the_same_id_is_refused_and_both_are_named(
    program: Program, place: Place, one: str, other: str, id: str
) -> None:
    found = program(f"Create VPP: {one}, 20\nCreate VPP: {other}, 30\n")
    assert (found.status, found.output) == (2, "")
    assert found.errors.startswith(
        f"line 2: name: {other!r} would get the id {id}, which VPP {one!r} has; choose another name"
    )
    assert place.objects() == {}


# What is in no report


def test_sites_in_no_vpp_are_named_with_their_kwh(program: Program) -> None:
    found = program(VPP + IMPORT + REPORT)
    assert found.errors.splitlines() == [
        "imported=2 skipped=0",
        "2025-09: unassigned: site 9876543210 is not in the registry on days with 2 events of "
        "8.0 kWh, from 2025-09-01 to 2025-09-02; nobody is paid for them",
    ]
    assert found.report["totals"]["total_revenue"] == 0.0


def test_what_is_not_read_is_named(program: Program, place: Place) -> None:
    place.store.write("events/notes.txt", b"x")
    assert program(ALL + REPORT).errors.splitlines() == [
        "imported=2 skipped=0",
        "events/notes.txt is not read: names in events/ end in .csv, .csv.gz or .csv.zst, and "
        "have no characters that are not shown",
    ]


@pytest.mark.parametrize("name", ["events", "events.txt", "events.tsv", "events.csv.zip", "e.xlsx"])
def test_a_file_of_another_suffix_is_refused_before_any_line_takes_effect(
    program: Program, place: Place, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text(HEADER + EVENTS[0] + "\n")
    found = program(f"{ALL}Import Events: {path}\n{REPORT}")
    assert (found.status, found.output) == (2, "")
    assert found.errors.startswith(
        f"line 5: events/{name} would not be read: names in events/ end in .csv, .csv.gz or"
    )
    assert place.objects() == {}


# Bytes


def test_reports_are_utf_8_whatever_the_terminal_has() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.instructions"],
        input=(
            VPP.replace("One", "\u00c9\u00e9n 1") + "Create Report: test-vpp-n-1, 2025-09\n"
        ).encode(),
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode())["vpp"] == "Test VPP \u00c9\u00e9n 1"


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_lines_end_at_line_feeds_alone(program: Program, character: str) -> None:
    found = program(VPP + SITE.replace("King St", f"King{character}St"))
    assert found.status == 2
    assert found.errors.startswith(
        f"line 2: address: must not hold the character U+{ord(character):04X}, which is a line"
    )


def test_a_wrong_setting_is_a_sentence(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VPP_TIMEZONE", "Brisbane")
    found = program(ALL + REPORT)
    assert (found.status, found.output) == (2, "")
    assert found.errors == (
        "VPP_TIMEZONE is 'Brisbane': there is no such time zone; name one like Australia/Brisbane\n"
    )


# Nonsense

FORM = {
    "vpp": "Create VPP: NAME, REVENUE_PERCENTAGE, DAILY_FEE (the fee may be left out)",
    "site": "Create Site: VPP_NAME, NMI, ADDRESS",
    "battery": "Create Battery: SITE_NMI, MANUFACTURER, SERIAL, CAPACITY",
    "import": "Import Events: FILE_NAME",
    "report": "Create Report: VPP, MONTH",
}
NONSENSE = [
    # The line, what is said of it, and what was expected.
    ("hello", "'hello' is no instruction", "vpp"),
    ("Create VPP", "'Create VPP' is no instruction", "vpp"),
    ("Create VPP Test, 20", "is no instruction", "vpp"),
    ("Delete VPP: Test VPP One", "is no instruction", "vpp"),
    (": x", "is no instruction", "vpp"),
    ("Exit now", "'Exit now' is no instruction", "vpp"),
    ("1.2 Create VPP: A, 20", "is no instruction", "vpp"),
    ("Create VPP:", "'Create VPP:'", "vpp"),
    ("Create VPP: A", "'Create VPP: A'", "vpp"),
    ("Create VPP: , 20", "'Create VPP: , 20'", "vpp"),
    ("Create VPP: A, 20,", "'Create VPP: A, 20,'", "vpp"),
    ("Create VPP: A, 20, 1, 2", "'Create VPP: A, 20, 1, 2'", "vpp"),
    ("Create VPP: A, much", "revenue_percentage: ", "vpp"),
    ("Create VPP: A, 20%", "revenue_percentage: ", "vpp"),
    ("Create VPP: A, 100.01", "revenue_percentage: ", "vpp"),
    ("Create VPP: A, -1", "revenue_percentage: ", "vpp"),
    ("Create VPP: A, NaN", "revenue_percentage: ", "vpp"),
    ("Create VPP: A, 20, -0.3", "daily_fee_aud: ", "vpp"),
    ("Create VPP: A, 20, Infinity", "daily_fee_aud: ", "vpp"),
    ("Create VPP: A, 20, 0.00001", "daily_fee_aud: ", "vpp"),
    ("Create VPP: ???, 20", "name: '???' has no letter from a to z and no digit", "vpp"),
    ("Create Site: Test VPP One, 2001985732", "'Create Site: Test VPP One, 2001985732'", "site"),
    ("Create Site: Test VPP One, 2001985732, ", "'Create Site: ", "site"),
    ("Create Site: Nobody, 2001985732, X", "vpp: there is no VPP 'Nobody'", "site"),
    ("Create Site: Test VPP One, 98765, X", "nmi: '98765' is not an NMI", "site"),
    ("Create Site: Test VPP One, 98765432101, X", "has the wrong check digit", "site"),
    ("Create Battery: 9876543210, T, S", "'Create Battery: 9876543210, T, S'", "battery"),
    ("Create Battery: 9876543210, T, S, 1, 2", "'Create Battery: ", "battery"),
    ("Create Battery: 9876543210, T, S, big", "capacity_kwh: ", "battery"),
    ("Create Battery: 9876543210, T, S, -1", "capacity_kwh: ", "battery"),
    ("Create Battery: 9876543210, T, S, 1e400", "capacity_kwh: ", "battery"),
    ("Create Battery: 2001985732, T, S, 1", "nmi: there is no site 2001985732", "battery"),
    ("Create Battery: 38764527113388, T, S, 1", "nmi: '38764527113388' is not an NMI", "battery"),
    ("Import Events:", "'Import Events:'", "import"),
    ("Import Events: none.csv", "there is no file 'none.csv' here or in data/", "import"),
    ("Import Events: .", "there is no file '.' here or in data/", "import"),
    ("Create Report: Test VPP One", "'Create Report: Test VPP One'", "report"),
    ("Create Report: Nobody, 2025-09", "vpp: there is no VPP 'Nobody'", "report"),
    ("Create Report: Test VPP One, 2025-13", "month: '2025-13' is not a month", "report"),
    ("Create Report: Test VPP One, Sept", "month: 'Sept' is not a month", "report"),
    ("Create Report: Test VPP One, 2025-09, x", "'Create Report: ", "report"),
]


@pytest.mark.parametrize(("line", "said", "form"), NONSENSE)
def test_nonsense_is_named_and_nothing_is_written(
    program: Program, place: Place, tmp_path: Path, line: str, said: str, form: str
) -> None:
    output = tmp_path / "report.json"
    found = program(f"{ALL}{REPORT}\n{line}\n{REPORT}", "--output", str(output))
    assert (found.status, found.output) == (2, "")
    first = found.errors.split("\n")[0]
    assert first.startswith("line 7: ")
    assert said in first
    assert FORM[form] in found.errors
    assert not output.exists()
    assert place.objects() == {}


@pytest.mark.parametrize("arguments", [("--charge-events", "free"), ("--nothing",), ("file.txt",)])
def test_options_that_there_are_not_are_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as end:
        instructions.main(list(arguments))
    assert end.value.code == 2


def test_what_is_missing_is_said_and_stops_nothing() -> None:
    done = process(VPP + SITE + REPORT)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "missing: no event of test-vpp-one (1 site; nor was there any in 2025-08)"
    ]
