"""Write the set that the demo settles: a registry and five months of data, all made up.

June to September 2025 are events. From October on every second site has a meter instead: NEM12
files of what it charged and discharged, which are settled at the market's prices.

Everything is drawn from `SEED`, so a rerun writes the same bytes. Each price and each site's day
has a generator of its own, seeded by what it is for: adding a site changes no other site's days,
and all sites of a region meet the same price in the same five minutes, as they would in a market.

`data/README.md` says what is in which file. Usage: `python data/generate.py [folder]`.
"""

import csv
import gzip
import io
import json
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple

SEED = 20250601
DAYS = [date(2025, 6, 1) + timedelta(days=at) for at in range(153)]  # June to October
METERED_DAYS = DAYS[122:]  # October
SITES_PER_VPP = 18

# fmt: off
HUNTER, NEWCASTLE, SYDNEY, BRISBANE = VPPS = (
    "Hunter Banksia VPP", "Newcastle Ironbark VPP", "Sydney Waratah VPP", "Brisbane Jacaranda VPP")
TERMS = {
    HUNTER: {"revenue_percentage": "20", "daily_fee_aud": "0.30"},
    NEWCASTLE: {"revenue_percentage": "10"},
    SYDNEY: {"revenue_percentage": "15", "daily_fee_aud": "0.35", "negative_balances": "vpp"},
    BRISBANE: {"revenue_percentage": "12.5", "daily_fee_aud": "0.25", "charge_events": "revenue"}}
NMI_PREFIX = {HUNTER: "9801", NEWCASTLE: "9802", SYDNEY: "NWAR", BRISBANE: "QJAC"}
SUBURBS = {
    HUNTER: ("Maitland NSW 2320", "Cessnock NSW 2325", "Singleton NSW 2330"),
    NEWCASTLE: ("Newcastle West NSW 2302", "Hamilton NSW 2303", "Merewether NSW 2291"),
    SYDNEY: ("Marrickville NSW 2204", "Parramatta NSW 2150", "Penrith NSW 2750"),
    BRISBANE: ("Paddington QLD 4064", "Chermside QLD 4032", "Wynnum QLD 4178")}
# As many streets as a VPP has sites, so that no two addresses are the same.
STREETS = (
    "Wattle St", "Kookaburra Cl", "Station Rd", "Bluegum Ave", "Mill St", "Lorikeet Dr",
    "Quarry Rd", "Grevillea Pl", "Wharf St", "Tallowwood Way", "Bowling Green Ln", "Lyrebird Cres",
    "Orchard Rd", "Figtree Ave", "Chapel St", "Saltbush Ct", "Dairy Rd", "Pelican Pde")
HOME_BATTERIES = (
    ("Tesla", "13.5"), ("Tesla", "27"), ("LG", "9.8"), ("LG", "16"), ("BYD", "10.24"),
    ("BYD", "22.08"), ("sonnen", "10"), ("Enphase", "5"), ("Enphase", "10.08"), ("Sungrow", "25.6"))
COMMERCIAL_BATTERIES = {(NEWCASTLE, 1): ("Sungrow", "257"), (BRISBANE, 1): ("Tesla", "464")}
# Site 6 of each VPP keeps its battery full against outages: it buys at any hour and seldom sells,
# so that there are sites whose month ends below zero.
HOARDER = 6

# Cents per kWh by hour of the day: solar pushes midday below zero, the evening is dear.
HOURLY_CENTS = (
    9, 8, 8, 8, 9, 11, 15, 18, 12, 4, 0, -2, -3, -3, -1, 3, 9, 19, 27, 26, 20, 15, 12, 10)
# An hour is as likely as it is often here. Discharges at 12 mostly lose money: `vpp_cost_only`.
CHARGE_HOURS = (1, 3, 9, 10, 10, 11, 11, 11, 12, 12, 12, 13, 13, 14)
DISCHARGE_HOURS = (6, 7, 7, 8, 12, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 19, 20, 20, 20, 21)

# Each of these takes the place of one field of one late row; None leaves the field out.
BAD_FIELDS: dict[str, tuple[str | None, ...]] = {
    "NMI": ("98O1204107", "980120410", "{nmi}{wrong_digit}", ""),
    "DATE": ("2025-09-31T18:35:00", "2025-09-14T25:05:00", "14/09/2025", ""),
    "EVENT_TYPE": ("Export", ""),
    "ENERGY": ("-0.55", "n/a", "NaN", "", "1e3", "0.1234567", "1,234.5", '"1,234.5"', "1000000000"),
    "TARIFF": ("19.25c", "1000000", "", None, "18.8,estimated")}
ODD_GOOD_FIELDS: dict[str, tuple[str | None, ...]] = {
    "NMI": ("{nmi}{check_digit}", "9899000017"),  # the second is registered by nobody
    "DATE": ("2025-09-15", "2025-09-15T08:20:00Z"),
    "EVENT_TYPE": ("CHARGE", "discharge", "DisCharge", '"Discharge"'),
    "ENERGY": (" 0.845 ", "0", '"0.6"'),
    "TARIFF": (" 27.31", "-0.5 ", "24")}

# Minutes of a meter's intervals where they are not 30.
INTERVAL_MINUTES = {(SYDNEY, 2): 5, (SYDNEY, 4): 5, (BRISBANE, 4): 15}
CHANNELS = {"E1": "Charge", "B1": "Discharge"}
# One of each of what meter data providers send, by VPP, number of the site, and day.
WATT_HOURS = (BRISBANE, 8)
MISSING = (BRISBANE, 12, date(2025, 10, 9))
SENT_AGAIN = (HUNTER, 2, date(2025, 10, 14))
SUBSTITUTED = (NEWCASTLE, 4, date(2025, 10, 21))
EXCHANGED = (NEWCASTLE, 10, date(2025, 10, 16))
EXCHANGE_HOUR = 11
# fmt: on


class Site(NamedTuple):
    """One meter point, the VPP it starts in, and its batteries as (manufacturer, serial, kWh)."""

    nmi: str
    vpp: str
    number: int
    address: str
    batteries: list[tuple[str, str, str]]


class Event(NamedTuple):
    """One charge or discharge: kWh, and cents per kWh, at a moment in market time."""

    site: Site
    moment: datetime
    event_type: str
    energy_kwh: str
    tariff_cents_per_kwh: str


class Reading(NamedTuple):
    """One day of one channel of a meter: Wh by interval, with its quality and version."""

    site: Site
    suffix: str
    serial: str
    day: date
    wh: list[int]
    quality: str
    version: datetime


def slug(name: str) -> str:
    """Return the id of a VPP: its name in small letters, with dashes."""
    return name.lower().replace(" ", "-")


def check_digit(nmi: str) -> str:
    """Return the 11th character of a 10-character NMI."""
    values = [ord(char) * (2 - at % 2) for at, char in enumerate(reversed(nmi))]
    return str(-sum(int(digit) for value in values for digit in str(value)) % 10)


def make_site(vpp: str, number: int) -> Site:
    """Draw one site: a commercial one has one large battery, every third home has two."""
    rng = Random(f"{SEED} site {vpp} {number}")
    nmi = f"{NMI_PREFIX[vpp]}{rng.randrange(10_000):04d}{number:02d}"
    models = [rng.choice(HOME_BATTERIES) for _ in range(1 if number % 3 else 2)]
    if (vpp, number) in COMMERCIAL_BATTERIES:
        models = [COMMERCIAL_BATTERIES[vpp, number]]
    batteries = [
        (maker, f"{maker[:2].upper()}{rng.randrange(10_000):04d}-{nmi[2:]}-{at}", capacity_kwh)
        for at, (maker, capacity_kwh) in enumerate(models, start=1)
    ]
    suburb = SUBURBS[vpp][number % 3]
    return Site(
        nmi, vpp, number, f"{rng.randrange(1, 190)} {STREETS[number - 1]} {suburb}", batteries
    )


def registry(sites: list[Site]) -> Iterator[dict[str, str | None]]:
    """Yield the changes in the order they are appended: what is used was created before."""

    def change(kind: str, day: str | None, **fields: str | None) -> dict[str, str | None]:
        return {"change": kind, **fields, "effective_from": day}

    def battery(nmi: str, maker: str, serial: str, capacity_kwh: str) -> dict[str, str]:
        return {"nmi": nmi, "manufacturer": maker, "serial": serial, "capacity_kwh": capacity_kwh}

    for name in VPPS:
        yield change("create-vpp", None, vpp=slug(name), name=name, **TERMS[name])
    for site in sites:
        yield change("create-site", None, nmi=site.nmi, vpp=slug(site.vpp), address=site.address)
        for parts in site.batteries:
            yield change("add-battery", None, **battery(site.nmi, *parts))

    at = {(site.vpp, site.number): site for site in sites}
    no_unit, grows, moves, leaves = at[SYDNEY, 4], at[HUNTER, 2], at[HUNTER, 5], at[SYDNEY, 11]
    swapped, removed = at[NEWCASTLE, 8].batteries[0][1], at[BRISBANE, 9].batteries[1][1]
    yield change("update-site", "2025-06-10", nmi=no_unit.nmi, address=f"2/{no_unit.address}")
    extra = battery(grows.nmi, "Enphase", f"EN7712-{grows.nmi[2:]}-2", "10.08")
    yield change("add-battery", "2025-06-18", **extra)
    yield change("assign-site", "2025-07-14", nmi=moves.nmi, vpp=slug(NEWCASTLE))
    terms = {"revenue_percentage": "22.5", "daily_fee_aud": "0.35"}
    yield change("update-vpp", "2025-07-17", vpp=slug(HUNTER), **terms)
    yield change("update-battery", "2025-08-05", serial=swapped, capacity_kwh="12.5")
    yield change("update-vpp", "2025-08-12", vpp=slug(SYDNEY), daily_fee_aud="0.30")
    yield change("assign-site", "2025-08-20", nmi=leaves.nmi, vpp=None)
    yield change("remove-battery", "2025-09-11", serial=removed)
    for site in filter(is_metered, sites):
        # The NMIs of two VPPs are from no block of AEMO's list, so that their region is said.
        region = {} if site.nmi[0] in "NQ" else {"region": "NSW1"}
        since = METERED_DAYS[0].isoformat()
        yield change("update-site", since, nmi=site.nmi, **region, basis="meter")


def is_metered(site: Site) -> bool:
    """Say whether a site has a meter from October on."""
    return site.number % 2 == 0


def price(region: str, moment: datetime) -> str:
    """Draw the market's cents per kWh for five minutes: -100 to 1500, 2 to 4 decimals."""
    day = Random(f"{SEED} price {region} {moment:%Y-%m-%d}")
    spike, spike_hour, spike_cents = day.random(), day.randrange(17, 21), day.uniform(300, 1450)
    glut, glut_hour, glut_cents = day.random(), day.randrange(11, 14), day.uniform(-90, -25)
    now = Random(f"{SEED} price {region} {moment.isoformat()}")
    cents = HOURLY_CENTS[moment.hour] * now.uniform(0.7, 1.3) + now.uniform(-2.5, 2.5)
    if spike < 0.04 and moment.hour == spike_hour:
        cents += spike_cents
    if glut < 0.06 and moment.hour == glut_hour:
        cents += glut_cents
    return f"{cents:.{now.randrange(2, 5)}f}"


def events_of(site: Site, day: date) -> Iterator[Event]:
    """Yield what one site did on one day, in order: up to six events in as many five minutes."""
    rng = Random(f"{SEED} events {site.nmi} {day.isoformat()}")
    drawn: dict[datetime, tuple[str, float]] = {}
    for _ in range(rng.randrange(3, 7)):
        is_charge = rng.random() < (0.95 if site.number == HOARDER else 0.45)
        hours = CHARGE_HOURS if is_charge else DISCHARGE_HOURS
        hour = rng.randrange(24) if is_charge and site.number == HOARDER else rng.choice(hours)
        is_commercial = (site.vpp, site.number) in COMMERCIAL_BATTERIES
        energy_kwh = rng.uniform(4, 20) if is_commercial else rng.uniform(0.05, 1.5)
        moment = datetime.combine(day, time(hour, 5 * rng.randrange(12)))
        drawn[moment] = ("Charge" if is_charge else "Discharge", energy_kwh)
    for moment, (event_type, energy_kwh) in sorted(drawn.items()):
        tariff = price("QLD" if site.vpp == BRISBANE else "NSW", moment)
        yield Event(site, moment, event_type, f"{energy_kwh:.3f}", tariff)


def file_of(event: Event) -> str:
    """Say which file an event comes in: by week, and in August by the VPP the site began in."""
    month, week = f"{event.moment:%Y-%m}", (event.moment.day + 6) // 7
    if month == "2025-08":
        return f"{month}/{slug(event.site.vpp)}.csv"
    return f"{month}/week-{week}.csv{'.gz' if (month, week) == ('2025-07', 2) else ''}"


def row_of(event: Event, file: str = "") -> dict[str, str]:
    """Return an event's fields by column, in the way of the file they are for."""
    nmi, moment = event.site.nmi, event.moment.isoformat()
    if file == "2025-08/brisbane-jacaranda-vpp.csv":
        nmi += check_digit(nmi)
    if file == "2025-08/sydney-waratah-vpp.csv":  # two makes of gateway, each with its own clock
        utc = (event.moment - timedelta(hours=10)).isoformat()
        moment = f"{utc}Z" if event.site.number % 2 else f"{moment}+10:00"
    row = {"NMI": nmi, "DATE": moment, "EVENT_TYPE": event.event_type}
    row |= {"ENERGY": event.energy_kwh, "TARIFF": event.tariff_cents_per_kwh}
    if file == "2025-06/week-3.csv":
        lower = {name.lower(): value for name, value in row.items()} | {"source": "gateway"}
        return {name: lower[name] for name in ("date", "nmi", "source", *reversed(lower))}
    return row


def dirty_csv(late: list[Event]) -> str:
    """Return the file that someone kept by hand: good, odd and bad rows, and blank lines."""
    rows: list[dict[str, str | None]] = [{**row_of(event)} for event in late]
    fields = [*BAD_FIELDS.items(), *ODD_GOOD_FIELDS.items()]
    swaps = [(name, value) for name, values in fields for value in values]
    for row, (name, value) in zip(rows, swaps, strict=False):
        nmi, digit = str(row["NMI"]), check_digit(str(row["NMI"]))
        wrong_digit = (int(digit) + 1) % 10
        row[name] = value and value.format(nmi=nmi, check_digit=digit, wrong_digit=wrong_digit)
    lines = [",".join(value for value in row.values() if value is not None) for row in rows]
    Random(f"{SEED} dirty").shuffle(lines)
    return "\n".join((",".join(rows[0]), *lines[:20], "", *lines[20:], "", "", ""))


def wh_by_interval(site: Site, day: date, event_type: str) -> list[int]:
    """Return what a meter counts of a day's events, in Wh by interval."""
    minutes = minutes_of(site)
    wh = [0] * (1440 // minutes)
    for event in events_of(site, day):
        if event.event_type == event_type:
            at = (event.moment.hour * 60 + event.moment.minute) // minutes
            wh[at] += int(Decimal(event.energy_kwh) * 1000)
    return wh


def minutes_of(site: Site) -> int:
    """Return the length of a meter's intervals."""
    return INTERVAL_MINUTES.get((site.vpp, site.number), 30)


def readings_of(site: Site, day: date, suffix: str) -> Iterator[Reading]:
    """Yield what is sent of a channel's day: mostly one reading; two of the day of an exchange."""
    place, event_type = (site.vpp, site.number, day), CHANNELS[suffix]
    sent = datetime.combine(day + timedelta(days=1), time(1))
    serial = f"M{site.nmi[2:]}"
    if place == MISSING:
        return
    wh = wh_by_interval(site, day, event_type)
    if place == SENT_AGAIN:  # what is estimated is the day before
        estimate = wh_by_interval(site, day - timedelta(days=1), event_type)
        yield Reading(site, suffix, serial, day, estimate, "E52", sent)
        yield Reading(site, suffix, serial, day, wh, "A", sent + timedelta(days=20))
    elif place == SUBSTITUTED:  # by the same day of the week before
        week_before = wh_by_interval(site, day - timedelta(days=7), event_type)
        yield Reading(site, suffix, serial, day, week_before, "S14", sent)
    elif place == EXCHANGED:
        at = EXCHANGE_HOUR * 60 // minutes_of(site)
        after = len(wh) - at
        yield Reading(site, suffix, serial, day, [*wh[:at], *[0] * after], "A", sent)
        yield Reading(site, suffix, f"{serial}N", day, [*[0] * at, *wh[at:]], "A", sent)
    else:
        is_new = place[:2] == EXCHANGED[:2] and day > EXCHANGED[2]
        yield Reading(site, suffix, f"{serial}N" if is_new else serial, day, wh, "A", sent)


def nem12(readings: Iterable[Reading]) -> str:
    """Return a NEM12 file of readings: a 200 row for each channel and meter, with its days."""
    channels: defaultdict[tuple[str, str, str], list[Reading]] = defaultdict(list)
    for reading in readings:
        channels[reading.site.nmi, reading.suffix, reading.serial].append(reading)
    created = max(reading.version for days in channels.values() for reading in days)
    lines = [f"100,NEM12,{created:%Y%m%d%H%M},DEMOMDP,DEMOFRMP"]
    for (nmi, suffix, serial), days in channels.items():
        site = days[0].site
        is_wh = (site.vpp, site.number) == WATT_HOURS
        unit, minutes = "Wh" if is_wh else "kWh", minutes_of(site)
        lines.append(f"200,{nmi},B1E1,{suffix},{suffix},N1,{serial},{unit},{minutes},")
        for reading in days:
            # A zero is written short, since most values are zero and the set is to be small.
            kwh = (f"{wh // 1000}.{wh % 1000:03d}" if wh else "0" for wh in reading.wh)
            values = ",".join(map(str, reading.wh) if is_wh else kwh)
            version = f"{reading.version:%Y%m%d%H%M%S}"
            lines.append(f"300,{reading.day:%Y%m%d},{values},{reading.quality},,,{version},")
    return "\n".join((*lines, "900", ""))


def meter_files(sites: list[Site]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield name and members of each file of meter data; one that is no zip has one member."""
    readings: defaultdict[str, list[Reading]] = defaultdict(list)
    for site in filter(is_metered, sites):
        for suffix in CHANNELS:
            for day in METERED_DAYS:
                for reading in readings_of(site, day, suffix):
                    is_late = reading.version.month != (day + timedelta(days=1)).month
                    readings["late" if is_late else site.vpp].append(reading)
    for vpp in (HUNTER, NEWCASTLE):
        yield f"{slug(vpp)}.csv", {"": nem12(readings[vpp])}
    yield f"{slug(SYDNEY)}.csv.gz", {"": nem12(readings[SYDNEY])}
    first, second = (
        nem12(reading for reading in readings[BRISBANE] if (reading.day.day <= 15) == is_first)
        for is_first in (True, False)
    )
    yield f"{slug(BRISBANE)}.zip", {"days-1-to-15.csv": first, "days-16-to-31.csv": second}
    yield "sent-again.csv", {"": nem12(readings["late"])}


def price_files() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield name and members of each price file: PRICE_AND_DEMAND of NSW1, TRADINGPRICE of QLD1."""
    five_minutes = timedelta(minutes=5)
    ends = [
        datetime.combine(day, time()) + number * five_minutes
        for day in METERED_DAYS
        for number in range(1, 289)
    ]
    rows = [
        f"NSW1,{end:%Y/%m/%d %H:%M:%S},7000.00,{rrp('NSW', end - five_minutes)},TRADE"
        for end in ends
    ]
    head = "REGION,SETTLEMENTDATE,TOTALDEMAND,RRP,PERIODTYPE"
    name = "PRICE_AND_DEMAND_202510_NSW1"
    yield f"{name}.zip", {f"{name}.csv": "\n".join((head, *rows, ""))}
    rows = []
    for end in ends:
        begin = end - five_minutes
        period = (begin.hour * 60 + begin.minute) // 5 + 1
        times = f"{end:%Y/%m/%d %H:%M:%S},1,QLD1,{period}"
        rows.append(f"D,TRADING,PRICE,3,{times},{rrp('QLD', begin)},{begin:%Y/%m/%d %H:%M:%S},FIRM")
    head = "SETTLEMENTDATE,RUNNO,REGIONID,PERIODID,RRP,LASTCHANGED,PRICE_STATUS"
    lines = (
        "C,DEMO,DVD_TRADINGPRICE,DEMO,PUBLIC,2025/11/07,15:00:00,1,MONTHLY_ARCHIVE,1",
        f"I,TRADING,PRICE,3,{head}",
        *rows,
        f'C,"END OF REPORT",{len(rows) + 3}',
    )
    name = "PUBLIC_DVD_TRADINGPRICE_202510010000"
    yield f"{name}.zip", {f"{name}.CSV": "\n".join((*lines, ""))}


def rrp(region: str, moment: datetime) -> Decimal:
    """Return the market's price of the five minutes that begin at a moment, in AUD per MWh."""
    return (Decimal(price(region, moment)) * 10).quantize(Decimal("0.01"))


def write(path: Path, text: str) -> None:
    """Write a file, compressed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        if path.suffix != ".gz":
            file.write(text.encode())
            return
        # Without a name and a time in its header an archive depends on its content alone.
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as archive:
            archive.write(text.encode())


def write_zip(path: Path, members: dict[str, str]) -> None:
    """Write a zip of texts by name; its members carry no time, so that it is the same each time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text.encode(), zipfile.ZIP_DEFLATED, 9)


def write_events(folder: Path, sites: list[Site]) -> None:
    """Write all event files: those of each month, and September's late one."""
    events = [
        event
        for day in DAYS
        for site in sites
        if not (is_metered(site) and day in METERED_DAYS)
        for event in events_of(site, day)
    ]
    # The late rows are missing from their week's file, as they would be. Some of them are damaged.
    september = [event for event in events if event.moment.month == 9]
    damaged = september[150::170]
    late = damaged + [event for event in september[7::17] if event not in damaged]
    files: defaultdict[str, list[Event]] = defaultdict(list)
    are_late = {id(event) for event in late}
    for event in events:
        if id(event) not in are_late:
            files[file_of(event)].append(event)
    for name, members in files.items():
        rows = [row_of(event, name) for event in members]
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write(folder / name, text.getvalue())
    write(folder / "2025-09" / "late-corrections.csv", dirty_csv(late))


def main(folder: Path) -> None:
    """Write `registry.jsonl`, `events/`, `meter-data/` and `prices/` into the folder."""
    sites = [make_site(vpp, at + 1) for vpp in VPPS for at in range(SITES_PER_VPP)]
    write(folder / "registry.jsonl", "".join(f"{json.dumps(row)}\n" for row in registry(sites)))
    write_events(folder / "events", sites)
    for place, files in (("meter-data", meter_files(sites)), ("prices", price_files())):
        for name, members in files:
            path = folder / place / "2025-10" / name
            if path.suffix == ".zip":
                write_zip(path, members)
            else:
                write(path, members[""])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "demo")
