"""The record of a settlement run: `runs/<month>/<started>-<run id>.json`.

What a run did, and how it ended; it is kept for longer than Prefect's database. The record of a run
that got as far as a settlement also has what the month was settled from: a published revision is
made again from that. Records of earlier versions are read too, without the fields that they do not
have.

Whoever sends files decides how many rows there are, of how many sites. So lists here have an entry
for each file of the inbox, or for each VPP, site or battery of the registry; what would have one
for each row or for each site that nobody knows has the first, or those that count, and how many
there are. Rows that a month cannot be made again without (`corrections`, `repeats`) are refused
when there are more than MOST_PINNED_ROWS of them.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, TypeAdapter, with_config
from typing_extensions import TypedDict  # pydantic reads the one of `typing` from Python 3.12

from tasks.core.difference import Values
from tasks.core.report import Days

MOST_PINNED_ROWS = 200_000  # of each kind
Outcome = Literal["published", "unchanged", "preview", "publishing", "refused", "failed"]
_Seconds = PlainSerializer(lambda moment: moment.astimezone(UTC).isoformat(timespec="seconds"), str)
_Moment = PlainSerializer(lambda moment: moment.astimezone(UTC).isoformat(), str)


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


@with_config(ConfigDict(extra="ignore"))
class SettledFile(TypedDict):
    """A file that counted. No model, since there may be thousands."""

    key: str
    etag: str
    import_id: str
    rejected_rows: Annotated[int, Field(description="Its rejected rows of the month.")]
    rows: Annotated[int, Field(description="All its rows, of any month.")]
    imported: Annotated[int, Field(description="Those of them that are events.")]


class FileRejects(_Model):
    """How many rows of a file are rejected, by the code of the reason."""

    key: str
    reasons: dict[str, int]


class FailedFile(_Model):
    """A file that could not be read, and why."""

    key: str
    failed: str


class DuplicateFile(_Model):
    """A file with the content of another, which counts instead."""

    key: str
    same_as: str


class AtStake(_Model):
    """What the rejected rows are worth, as far as their numbers can be read."""

    rows: int = Field(description="Rejected rows whose energy and tariff can be read.")
    aud: float = Field(description="Their energy x tariff without its sign, AUD.")


class UnassignedSite(_Model):
    """A site with events or readings on days of the month on which it was in no VPP."""

    nmi: str
    is_known: bool = Field(description="Whether the registry has the site at all.")
    first_day: date
    last_day: date
    events: int
    energy_kwh: float


class ReadingCounts(_Model):
    """What became of the month's 300 rows of meter data that were imported."""

    rows: int = Field(description="300 rows of the month, all versions.")
    superseded: int = Field(description="Of them those with a later version, or sent twice.")
    settled: int = Field(description="Those that are settled.")
    unassigned: int = Field(description="Those of sites that were in no VPP on the day.")
    other: int = Field(
        description="Those of channels, or on days, that do not count by the registry."
    )


@with_config(ConfigDict(extra="ignore"))
class SiteMissing(TypedDict):
    """Intervals of a site's meter that are missing, and the days on which they are."""

    nmi: str
    missing: int
    days: list[date]


class MissingIntervals(_Model):
    """Intervals that a VPP's meters should have, and how many of them are missing."""

    vpp: str
    expected: int
    missing: int
    sites: list[SiteMissing] = Field(description="Those with any missing, most first.")


@with_config(ConfigDict(extra="ignore"))
class ReadingConflict(TypedDict):
    """A channel's day that was sent twice under its latest version, with other values."""

    nmi: str
    suffix: str
    register: str
    serial: str
    day: date
    version: datetime
    key: str
    line: int
    place: Annotated[int, Field(description="1: this one counts.")]


class SilentVpp(_Model):
    """A VPP that has sites, and no event of any of them in the month."""

    vpp: str
    sites: int
    first_day: date = Field(description="The first of the month on which it has a site.")
    last_event: date | None = Field(
        description="The day of the last event of its sites in the month before, if any."
    )


class SilentSite(_Model):
    """A site with a battery that had events in the month before and has none in this one."""

    vpp: str
    nmi: str
    events: int = Field(description="How many it had in the month before.")
    last_event: date = Field(description="The day of the last one.")


class SilentDays(_Model):
    """Days on which a VPP has sites and none of them an event, though they have some on others."""

    vpp: str
    days: list[Days]


class Missing(_Model):
    """What the month lacks, of the VPPs that were reported on."""

    vpps: list[SilentVpp]
    sites: list[SilentSite] = Field(description="Of VPPs that have events.")
    days: list[SilentDays]


class ReportOutcome(_Model):
    """What became of one report."""

    vpp: str
    outcome: Literal["published", "unchanged", "preview"]
    revision: int
    key: str
    name: str
    sites: int
    totals: dict[str, float] = Field(description="AUD, as in the report.")
    changed: list[str] = Field(description="In words, how it differs from the one before.")


class ImportCounts(_Model):
    """What an import of all that is new came to."""

    imported: int = Field(description="Rows that became events, readings of a day, or prices.")
    skipped: int = Field(description="Rows that did not.")
    skipped_by_reason: dict[str, int] = Field(
        description="'ignored' are rows of meter data and price files that are none of ours."
    )
    files_imported: int
    files_failed: list[FailedFile]
    unread: list[str] = Field(
        default=[], description="Names of objects in the inbox that are not read because of them."
    )


class VppDifference(_Model):
    """What a preview would change for a VPP: AUD and kWh, before and after."""

    totals: dict[str, Values]
    sites: dict[str, dict[str, Values]]


class RunRecord(_Model):
    """What every run records."""

    month: str
    run_id: str
    started_by: str
    started: Annotated[datetime, _Seconds]
    seconds: float = Field(description="From its start to this record (s).")
    outcome: Outcome
    software: dict[str, str | None] = Field(default={}, description="Versions, by package.")
    parameters: dict[str, Any] = Field(default={}, description="As the run was started with.")
    stages_seconds: dict[str, float] = Field(default={}, description="How long each stage took.")
    imported: ImportCounts | None = None
    digest: str | None = Field(
        default=None, description="What all current reports of the month say; it closes the month."
    )
    reports: list[ReportOutcome] | None = None
    differences: dict[str, VppDifference] | None = Field(
        default=None, description="Of a preview, by VPP id."
    )
    late_data: list[str] | None = Field(
        default=None, description="What would change in other months, a sentence each."
    )
    reason: str | None = Field(default=None, description="Why it was refused or failed.")

    def to_bytes(self) -> bytes:
        """Return the record as it is stored: fields that were never set are left out."""
        return (self.model_dump_json(indent=2, exclude_unset=True) + "\n").encode()


@with_config(ConfigDict(extra="ignore"))
class Correction(TypedDict):
    """An event that counts in the place of a rejected row."""

    key: str
    line: int
    rejected_id: str


class SharedRows(_Model):
    """Rows that stand in two files."""

    key: str
    other_key: str
    equal_rows: int = Field(description="Rows that are equal in all five fields.")
    other_values_rows: int = Field(
        description="Rows of the same site, moment and type with other values."
    )
    aud: float = Field(description="What they are worth in the other file, without sign, AUD.")
    first_line: int
    first_other_line: int


@with_config(ConfigDict(extra="ignore"))
class Repeat(TypedDict):
    """An event that does not count, since it stands elsewhere under the same EVENT_ID."""

    key: str
    line: int
    event_id: str


class InputFacts(_Model):
    """What became of the rows of the files that count for a month."""

    rejected: list[FileRejects]
    rejected_rows: int
    at_stake: AtStake
    corrected_rows: int = Field(description="Events that count in the place of a rejected row.")
    open_rows: int = Field(
        default=0, description="Rows of uploaded lists of rejected rows that are as they were."
    )
    duplicates: list[DuplicateFile]
    failed_imports: list[FailedFile]
    meter_rejected: list[FileRejects] = Field(
        default=[], description="Rejected 300 rows of meter data of the month."
    )


class SettlementFacts(InputFacts):
    """What a month was settled from, and what came of it."""

    inputs: str = Field(description="The digest of all that the reports are a function of.")
    as_of: Annotated[datetime, _Moment] = Field(description="The registry as of this moment.")
    registry_seq: int = Field(description="How many changes of the registry were seen.")
    rule_version: int | None = Field(default=None, description="None: before there were several.")
    files: list[SettledFile]
    rows: int = Field(description="All rows of these files, of any month.")
    corrections: list[Correction] = []
    repeats: list[Repeat] = []
    shared_rows: list[SharedRows] = Field(
        default=[],
        description="Rows in two files that were allowed to count twice: the first pairs of files.",
    )
    shared_pairs: int = Field(
        default=0, description="How many pairs there are; 0: all are listed, as they once were."
    )
    rejected_by_site: dict[str, int] = Field(
        default={}, description="Rejected rows of the month by NMI, of sites in the registry."
    )
    rejected_other_sites: int = Field(
        default=0, description="How many other NMIs have rejected rows."
    )
    settled_events: int
    unassigned_events: int
    unassigned: list[UnassignedSite] = Field(
        description="All of them that the registry has, and of the others those with most energy."
    )
    unassigned_sites: int = Field(
        default=0, description="How many there are; 0: all are listed, as they once were."
    )
    meter_files: list[SettledFile] = []
    price_files: list[SettledFile] = []
    readings: ReadingCounts | None = Field(
        default=None, description="None: before there was meter data."
    )
    missing_intervals: list[MissingIntervals] = Field(
        default=[], description="By VPP that has meter data."
    )
    stand_in_prices: list[str] = Field(
        default=[], description="Where DISPATCHPRICE stood in, a sentence per region and day."
    )
    reading_conflicts: list[ReadingConflict] = Field(default=[], description="The first of them.")
    reading_conflict_rows: int = Field(
        default=0, description="How many there are; 0: all are listed, as they once were."
    )
    missing: Missing | None = Field(default=None, description="None: before this was looked for.")


class SettledRunRecord(SettlementFacts, RunRecord):
    """What a run records that got as far as a settlement."""

    @property
    def unlisted_sites(self) -> int:
        """Return how many unassigned sites are not listed."""
        return max(0, self.unassigned_sites - len(self.unassigned))


AnyRunRecord = SettledRunRecord | RunRecord
_RECORD: TypeAdapter[AnyRunRecord] = TypeAdapter(AnyRunRecord)


def parse_run_record(data: bytes) -> AnyRunRecord:
    """Read a run's record; a SettledRunRecord where it got as far as a settlement.

    Raises:
        ValidationError: it is no run record.
    """
    return _RECORD.validate_json(data)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a run's record."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Record of a settlement run",
        **_RECORD.json_schema(mode="serialization"),
    }
