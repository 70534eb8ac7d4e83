"""watch-months: what late files, or changes of the registry, would change in published months.

Settles closed months and the last eight with today's inputs, on this machine, and says what would
change; nothing is published. Writes the artifact `late-data`, and an event for each month that
would change. Scheduled each day at 07:00. A month with unchanged inputs costs a few reads and a
listing.
"""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import story
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.core.words import count
from tasks.runs import summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import open_store


@flow(name="watch-months", flow_run_name="watch published months")
def watch_months() -> State[Any]:
    """Say what would change in closed and recent months, if they were settled now."""
    late = watch()
    if not late:
        return Completed(message="Nothing would change in any closed or recent month", data=late)
    return Completed(
        message=f"Late data in {count(len(late), 'month')}:\n" + "\n".join(late), data=late
    )


def watch(but: Month | None = None) -> list[str]:
    """Say what would change in closed and recent months, but for one; a sentence each."""
    late = story.find_late_data(open_store(), Settings().max_rejected_percent, but)
    summary.show_late_data(late)
    return [str(change) for change in late]
