"""import-events and request-upload: event files come in, and nothing is settled.

Reads `events/<prefix>`; writes `imports/`. What is already imported is not read again; a file that
cannot be read is named and stays in the catalog as failed until it is replaced or deleted.
Scheduled every 15 minutes; where nothing is new, that is one listing and one read of the catalog.
"""

from typing import Annotated, Any

from prefect import flow, runtime
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.story import import_new_files
from tasks.core import keys
from tasks.runs import summary
from tasks.runs.flow_run import open_store, task_runner
from tasks.runs.stage import refusals_as_sentences


def _run_name() -> str:
    return f"import events/{runtime.flow_run.parameters['prefix'].removeprefix('events/')}"


@flow(
    name="import-events",
    flow_run_name=_run_name,
    task_runner=task_runner(),
)
@refusals_as_sentences
def import_events(prefix: str = "") -> dict[str, Any]:
    """Import new event files.

    Args:
        prefix: Import only files below this folder of the inbox, like 2025-09/. Empty: all.

    Returns:
        Rows imported, and rows skipped by reason; files imported, and files that failed, with the
        reason.
    """
    _, counts = import_new_files(open_store(), prefix.removeprefix(keys.EVENTS))
    return counts.model_dump(mode="json")


@flow(name="request-upload", flow_run_name="request upload of {name}")
@refusals_as_sentences
def request_upload(
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*\.csv(\.gz|\.zst)?$")],
) -> State[Any]:
    """Give a link to upload an event file with. PUT the file's bytes to it.

    Args:
        name: Where the file goes in the inbox, like 2025-09/week-1.csv. A file of that name is
            replaced, which corrects it.
    """
    return summary.end_with_link(open_store(), keys.EVENTS + name, "put_object")


if __name__ == "__main__":
    print(import_events())
