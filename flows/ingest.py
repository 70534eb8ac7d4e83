"""import-events and request-upload: files come in, and nothing is settled.

Reads event files (`events/`), meter data (`meter-data/`) and prices (`prices/`); writes `imports/`.
What is already imported is not read again; a file that cannot be read is named and stays in the
catalog as failed until it is replaced or deleted. Scheduled every 15 minutes; where nothing is new,
that is a listing of each folder and one read of the catalog.
"""

from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.story import import_new_files
from tasks.imports.catalog import upload_key
from tasks.runs import summary
from tasks.runs.flow_run import open_store, task_runner
from tasks.runs.stage import refusals_as_sentences


def _run_name() -> str:
    return f"import {runtime.flow_run.parameters['prefix'] or 'all that is new'}"


@flow(
    name="import-events",
    flow_run_name=_run_name,
    task_runner=task_runner(),
)
@refusals_as_sentences
def import_events(prefix: str = "") -> dict[str, Any]:
    """Import new files of all kinds: events, meter data and prices.

    Args:
        prefix: Import only files below this folder, like prices/2025-09/, or 2025-09/ for that
            folder below events/, meter-data/ and prices/. Empty: all.

    Returns:
        Rows imported, and rows skipped by reason; files imported, and files that failed, with the
        reason.
    """
    _, counts = import_new_files(open_store(), prefix)
    return counts.model_dump(mode="json")


@flow(name="request-upload", flow_run_name="request upload of {name}")
@refusals_as_sentences
def request_upload(
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*\.(csv|CSV|gz|zst|zip)$")],
) -> State[Any]:
    """Give a link to upload a file with: events, meter data or prices. PUT its bytes to it.

    Args:
        name: Where the file goes in the inbox, like 2025-09/week-1.csv for events,
            meter-data/2025-09/week-1.zip or prices/2025-09.zip. A file of that name is replaced,
            which corrects it.
    """
    return summary.end_with_link(open_store(), upload_key(name), "put_object")


if __name__ == "__main__":
    print(import_events())
