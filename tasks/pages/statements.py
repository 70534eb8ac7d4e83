"""Making the pages and tables of a month, from what is published.

All statements of a VPP's revision have the same bytes each time, so a rerun writes the same. The
index is written last: a run that dies leaves it as it was, and the next one finds the month again.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import polars as pl

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.io.object_store import ObjectStore
from tasks.pages import overview, results
from tasks.pages.payments import payments
from tasks.pages.pdf import Format
from tasks.pages.site_statement import SiteStatements
from tasks.pages.sources import PublishedReports, read_reports, read_sources
from tasks.pages.vpp_statement import vpp_statement
from tasks.pages.workbook import workbook

HTML = "text/html; charset=utf-8"
_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_TYPES = {"html": HTML, "pdf": "application/pdf", "xlsx": _XLSX}
_PARALLEL_WRITES = 16


def stale_months(store: ObjectStore) -> list[Month]:
    """Return the months whose pages do not show what is published, oldest first."""
    entries = overview.read_entries(store, results.read_vpp_months(store))
    return overview.stale_months(store, entries)


def put_vpp_statements(store: ObjectStore, published: PublishedReports) -> list[pl.DataFrame]:
    """Put the page of each VPP on S3; return the days of their sites, as far as they are known."""
    days: list[pl.DataFrame] = []

    def pages() -> Iterable[tuple[str, bytes]]:
        for source in read_sources(store, published):
            if source.detail:
                days.append(source.detail.site_days)
            key = keys.vpp_statement(source.month, source.vpp, source.revision)
            yield key, vpp_statement(source)

    with ThreadPoolExecutor(_PARALLEL_WRITES) as pool:
        for written in [pool.submit(store.write, key, page, HTML) for key, page in pages()]:
            written.result()
    return days


def put_vpp_statement(
    store: ObjectStore, month: Month, vpp: str, revision: int, format: Format | Literal["xlsx"]
) -> str:
    """Put a revision of a VPP's statement on S3, unless it is there; 0: the current one.

    Returns:
        The key of the page, the PDF, or the workbook with this VPP alone.

    Raises:
        Refused: the revision is not published, or a PDF cannot be made here.
    """
    published = read_reports(store, month, [vpp], revision or None)
    [report] = published.reports
    key = keys.vpp_statement(month, vpp, report.settlement.revision, format)
    if store.exists(key):
        return key
    if format == "xlsx":
        data = workbook(month, results.vpp_months([report]), results.site_months([report]))
    else:
        [source] = read_sources(store, published)
        data = vpp_statement(source, format)
    store.write(key, data, _TYPES[format])
    return key


def put_results(
    store: ObjectStore, published: PublishedReports, days: list[pl.DataFrame]
) -> list[str]:
    """Put the month's part of each table, the workbook and the payees on S3; return the keys."""
    month, reports = published.month, published.reports
    vpps, sites = results.vpp_months(reports), results.site_months(reports)
    put = [
        (results.SITE_DAYS, results.site_days(days)),
        (results.SITE_MONTHS, sites),
        (results.VPP_MONTHS, vpps),
    ]
    book, list_key = keys.results_workbook(month), keys.results_payments(month)
    store.write(book, workbook(month, vpps, sites), _XLSX)
    store.write(list_key, payments(reports), "text/csv; charset=utf-8")
    return [book, list_key, *(results.put_table(store, table, month, of) for table, of in put)]


def put_overview(store: ObjectStore, months: list[Month]) -> str:
    """Put the pages of these months and the index on S3; return the key of the index."""
    entries = overview.read_entries(store, results.read_vpp_months(store))
    for month in months:
        overview.put_month_page(store, entries, month)
    return overview.put_index(store, entries)


def put_site_statement(
    store: ObjectStore, month: Month, vpp: str, nmi: str, format: Format = "html"
) -> str:
    """Put a site's page on S3, or all of a VPP as one zip (nmi empty), and return its key.

    Raises:
        Refused: the VPP's month is not published, the site is not in its report, or a PDF cannot be
            made here.
    """
    [source] = read_sources(store, read_reports(store, month, [vpp]))
    sites = source.report.sites
    if not nmi:
        key = keys.site_statements(month, vpp, source.revision, format)
        store.write(key, SiteStatements(source).zipped(format), "application/zip")
        return key
    if nmi not in sites:
        raise Refused(
            f"nmi: site {nmi} was no member of {source.report.vpp} in {month}; "
            f"its report has {len(sites)} others"
        )
    key = keys.site_statement(month, vpp, nmi, source.revision, format)
    store.write(key, SiteStatements(source).page(nmi, format), _TYPES[format])
    return key
