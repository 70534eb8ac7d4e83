"""watch-months: what late files, or changes of the registry, would change in published months.

Settles closed months and the last six with today's inputs, on this machine, and says what would
change; nothing is published. Writes the artifact `late-data`, and an event for each month that
would change. Scheduled each day at 07:00. A month with unchanged inputs costs a few reads and a
listing.
"""

from prefect import flow

from flows import story
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.runs import summary
from tasks.runs.flow_run import open_store
from tasks.runs.stage import refusals_as_sentences


@flow(name="watch-months", flow_run_name="watch published months")
@refusals_as_sentences
def watch_months() -> list[str]:
    """Say what would change in closed and recent months, if they were settled now."""
    return watch()


def watch(but: Month | None = None) -> list[str]:
    """Say what would change in closed and recent months, but for one; a sentence each."""
    late = story.find_late_data(open_store(), Settings().max_rejected_percent, but)
    summary.show_late_data(late)
    return [str(change) for change in late]
