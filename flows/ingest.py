"""import-events and request-upload: event files come in, and nothing is settled.

Reads `events/<prefix>`; writes `imports/`. What is already imported is not read again; a file that
cannot be read is named and stays in the catalog as failed until it is replaced or deleted.
Scheduled every 15 minutes; where nothing is new, that is one listing and one read of the catalog.
"""

from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.story import import_new_files
from tasks.core import keys
from tasks.core.change_fields import shown
from tasks.core.errors import Refused
from tasks.core.inbox import inbox_key
from tasks.imports.catalog import SUFFIXES, SUFFIXES_IN_WORDS
from tasks.runs import summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import open_store, task_runner


def _run_name() -> str:
    prefix = str(runtime.flow_run.parameters["prefix"])
    return f"import events/{prefix.strip().removeprefix(keys.EVENTS)}"


@flow(
    name="import-events",
    flow_run_name=_run_name,
    task_runner=task_runner(),
)
def import_events(prefix: str = "") -> State[Any]:
    """Import new event files.

    Args:
        prefix: Import only files below this folder of the inbox, like 2025-09/ or events/2025-09/.
            Empty: all.

    Returns:
        Rows imported, and rows skipped by reason; files imported, files that failed, with the
        reason, and what is in the inbox and no event file.
    """
    _, counts = import_new_files(open_store(), _folder(prefix))
    return Completed(message=summary.import_in_words(counts), data=counts.model_dump(mode="json"))


def _folder(prefix: str) -> str:
    """Return which folder of the inbox is meant, with the slash that it was given with."""
    relative = prefix.strip().removeprefix(keys.EVENTS)
    if not relative:
        return ""
    key = inbox_key(keys.EVENTS, relative.removesuffix("/") or relative, "prefix")
    return key.removeprefix(keys.EVENTS) + "/" * relative.endswith("/")


@flow(name="request-upload", flow_run_name="request upload of {name}")
def request_upload(name: str) -> State[Any]:
    """Give a link to upload an event file with. PUT the file's bytes to it.

    Args:
        name: Where the file goes in the inbox, like 2025-09/week-1.csv or
            events/2025-09/week-1.csv. A file of that name is replaced, which corrects it.
    """
    key = inbox_key(keys.EVENTS, name)
    if not key.lower().endswith(SUFFIXES):
        raise Refused(f"name: {shown(name)} must end in {SUFFIXES_IN_WORDS}; nothing else is read")
    return summary.end_with_upload(
        open_store(),
        key,
        "upload",
        "It is imported within a quarter of an hour, or by `import-events` at once.",
    )


if __name__ == "__main__":
    print(import_events())
