"""import-events: take in what is new in the inbox, without settling anything.

Reads `events/<prefix>`; writes `imports/`. What is already imported is not read again; a file that
cannot be read is named and stays in the catalog as failed until it is replaced or deleted.
"""

from typing import Any

from prefect import flow

from tasks import steps


@flow(
    name="import-events",
    flow_run_name="import events/{prefix}",
    task_runner=steps.task_runner(),
)
@steps.refusals_as_sentences
def import_events(prefix: str = "") -> dict[str, Any]:
    """Import new event files.

    Args:
        prefix: Only files below this folder of the inbox, like 2025-09/. Empty: all.

    Returns:
        Rows imported, and rows skipped by reason; files imported, and those that failed with why.
    """
    return steps.import_new_files(prefix.removeprefix("events/"))


if __name__ == "__main__":
    print(import_events())
