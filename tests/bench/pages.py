"""The pages of a VPP as large as they come, from settled events on an embedded S3.

`python -m tests.bench.pages 10000` settles a month of one VPP with so many sites and an event of
each site on each day, makes its page, its results and the zip of all site statements, and says how
long each took and how large it is.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, process_time

from tasks.core.month import Month
from tasks.io.embedded_s3 import embedded_s3
from tasks.pages import statements
from tasks.pages.site_statement import SiteStatements
from tasks.pages.sources import read_reports, read_sources
from tasks.pages.vpp_statement import vpp_statement
from tests.through_s3 import Place

MONTH = Month(2025, 9)
VPP = "Large VPP"


def settled_month(sites: int) -> Place:
    """Settle a month of so many sites."""
    place = Place()
    nmis = [f"41{number:08d}" for number in range(sites)]
    vpp = {"name": VPP, "revenue_percentage": "20", "daily_fee_aud": "0.30"}
    changes: list[dict[str, object]] = [{"change": "create-vpp", **vpp}]
    for number, nmi in enumerate(nmis):
        address = f"{number} Long Street, Newcastle NSW 2300"
        battery = {"serial": nmi, "manufacturer": "Maker", "capacity_kwh": "13.5"}
        changes += [
            {"change": "create-site", "nmi": nmi, "vpp": VPP, "address": address},
            {"change": "add-battery", "nmi": nmi, **battery},
        ]
    place.record(changes)
    days = [f"{MONTH}-{day:02d}" for day in range(1, MONTH.days + 1)]
    events = [
        f"{('Discharge', 'Charge')[n % 3 % 2]},{n % 7 + 1}.5,{n % 40 - 5}" for n in range(840)
    ]
    rows = (f"{nmi},{day},{events[n % 840]}" for n, nmi in enumerate(nmis) for day in days)
    place.put("all.csv", rows)
    place.publish(str(MONTH))
    return place


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print how long a step took."""
    started, cpu = monotonic(), process_time()
    yield
    print(f"{what}: {monotonic() - started:.1f} s, CPU {process_time() - cpu:.1f} s")


def main(sites: int) -> None:
    """Make everything once, in order."""
    place = settled_month(sites)
    published = read_reports(place.store, MONTH)
    with told("what explains the report, made again from its inputs"):
        [source] = read_sources(place.store, published)
    with told("the VPP's page"):
        page = vpp_statement(source)
    with told("all site statements in one zip"):
        zipped = SiteStatements(source).zipped()
    with told("all that make-statements does, through S3"):
        days = statements.put_vpp_statements(place.store, published)
        statements.put_results(place.store, published, days)
        statements.put_overview(place.store, [MONTH])
    print(f"{sites:,} sites: page {len(page) / 1e6:.2f} MB, zip {len(zipped) / 1e6:.1f} MB")


if __name__ == "__main__":
    with embedded_s3():
        main(int(sys.argv[1]))
