"""import-events and request-upload: files come in, and nothing is settled.

Reads event files (`events/`), meter data (`meter-data/`) and prices (`prices/`); writes `imports/`.
What is already imported is not read again; a file that cannot be read is named and stays in the
catalog as failed until it is replaced or deleted. Scheduled every 15 minutes; where nothing is new,
that is a listing of each folder and one read of the catalog.
"""

from typing import Any

from prefect import runtime
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.story import import_new_files
from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.inbox import inbox_key
from tasks.imports.catalog import KINDS, upload_key
from tasks.runs import summary
from tasks.runs.deployed import flow
from tasks.runs.flow_run import open_store, task_runner


def _run_name() -> str:
    return f"import {runtime.flow_run.parameters['prefix'] or 'all that is new'}"


@flow(
    name="import-events",
    flow_run_name=_run_name,
    task_runner=task_runner(),
)
def import_events(prefix: str = "") -> State[Any]:
    """Import new files of all kinds: events, meter data and prices.

    Args:
        prefix: Import only files below this folder, like prices/2025-09/, or 2025-09/ for that
            folder below events/, meter-data/ and prices/. Empty: all.

    Returns:
        Rows imported, and rows skipped by reason; files imported, files that failed, with the
        reason, and what is not read because of its name.
    """
    folder = _folder(prefix)
    inbox, counts = import_new_files(open_store(), folder)
    is_empty = not (inbox.versions or inbox.unread)
    said = f"the inbox has nothing in {folder or 'it'}" if is_empty else ""
    message = said or summary.import_in_words(counts)
    return Completed(message=message, data=counts.model_dump(mode="json"))


def _folder(prefix: str) -> str:
    """Return which folder of the inbox is meant, with the slash that it was given with."""
    text = prefix.strip()
    of_kind = next((kind.folder for kind in KINDS if text.startswith(kind.folder)), "")
    relative = text.removeprefix(of_kind)
    if not relative:
        return of_kind
    folder = of_kind or keys.EVENTS
    key = inbox_key(folder, relative.removesuffix("/") or relative, "prefix")
    return of_kind + key.removeprefix(folder) + "/" * relative.endswith("/")


@flow(name="request-upload", flow_run_name="request upload of {name}")
def request_upload(name: str) -> State[Any]:
    """Give a command to upload a file with: events, meter data or prices.

    Args:
        name: Where the file goes in the inbox, like 2025-09/week-1.csv for events,
            meter-data/2025-09/week-1.zip or prices/2025-09.zip. A file of that name is replaced,
            which corrects it.
    """
    try:
        key = upload_key(name)
    except Refused as problem:
        raise Refused(f"name: {str(problem).removeprefix('name: ')}") from None
    return summary.end_with_upload(
        open_store(),
        key,
        "upload",
        "It is imported within a quarter of an hour, or by `import-events` at once.",
    )


if __name__ == "__main__":
    print(import_events())
