"""The automations that tell people what they should know: `make alarms`.

Applying them is idempotent: each is found by its name, and changed if it differs. Where
VPP_ALARM_BLOCK names a notification block of the Prefect server, as `prefect block ls` has it
(slack-webhook/ops), alarms are sent to it. Without one nobody is notified: they are events in
Prefect's feed alone (`prefect.automation.triggered`), and each automation says so.

The server is the one that Prefect is configured for; without any, the one of `make up`.

The monthly settlement that is not there by noon of its day is check-settled's to notice: it fails
then, and so sets off the first alarm.
"""

import os
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from prefect.automations import (
    AutomationCore,
    ChangeFlowRunState,
    DoNothing,
    EventTrigger,
    Posture,
    SendNotification,
)
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.commands.local_stack import running_environment
from tasks.core.errors import Refused

BLOCK_VARIABLE = "VPP_ALARM_BLOCK"
NOBODY = f"Nobody is notified: {BLOCK_VARIABLE} names no notification block."
# At least three heartbeats (prefect.yaml sets one each 30 s), so that a slow network is no crash.
SILENCE = timedelta(seconds=120)

_RUN_BODY = """{{ flow_run.state.message }}

Run: {{ flow_run.name }}, of {{ flow.name }}"""

_REJECTED_BODY = """{% if event.payload.failed -%}
{{ event.payload.key }} could not be read: {{ event.payload.failed }}.
{%- else -%}
{{ event.payload.rejected }} of the {{ event.payload.rows }} rows of {{ event.payload.key }} \
were rejected ({{ event.payload.rejected_percent }}%).
{% for reason, rows in event.payload.reasons.items() %}
{{ reason|replace('_', ' ') }}: {{ rows }}
{%- endfor %}

All of them, with line and reason: {{ event.payload.where }}
{%- endif %}"""

_PUBLISHED_BODY = """{% for report in event.payload.reports -%}
{{ report.name }}: revision {{ report.revision }} ({{ report.outcome }}), total revenue \
{{ "%.2f" | format(report.totals.total_revenue) }} AUD, of the VPP \
{{ "%.2f" | format(report.totals.vpp_total_revenue) }}, of its sites \
{{ "%.2f" | format(report.totals.site_total_revenue_after_fees) }}
{% endfor %}
Digest to close the month with: {{ event.payload.digest }}"""


def tagged(*tags: str) -> list[dict[str, str]]:
    """Return what matches the runs that have all of these tags."""
    return [
        {"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}
        for tag in tags
    ]


def at_once(
    name: str,
    description: str,
    block: UUID | None,
    subject: str,
    body: str,
    **trigger: Any,
) -> AutomationCore:
    """Return an automation that notifies people of each event that its trigger matches."""
    return AutomationCore(
        name=name,
        description=description if block else f"{description} {NOBODY}",
        trigger=EventTrigger(posture=Posture.Reactive, threshold=1, **trigger),
        actions=[
            SendNotification(block_document_id=block, subject=subject, body=body)
            if block
            else DoNothing()
        ],
    )


def automations(block: UUID | None) -> list[AutomationCore]:
    """Return all automations as they should be.

    Args:
        block: the document of the notification block that they go to, if there is one.
    """
    return [
        at_once(
            "VPP: a run failed or crashed",
            "A run of one of the settlement's flows ended as failed or crashed.",
            block,
            "{{ flow_run.name }}: {{ flow_run.state.name }}",
            _RUN_BODY,
            expect={
                "prefect.flow-run.Failed",
                "prefect.flow-run.Crashed",
                "prefect.flow-run.TimedOut",
            },
            match_related=tagged("vpp-settlement"),
        ),
        at_once(
            "VPP: a scheduled run was refused",
            "What a schedule started was refused, and nobody was there to read why.",
            block,
            "{{ flow_run.name }} was refused",
            _RUN_BODY,
            expect={"prefect.flow-run.Refused"},
            match_related=tagged("vpp-settlement", "auto-scheduled"),
        ),
        at_once(
            "VPP: too many rows of a file were rejected",
            "More rows of a file were rejected than VPP_MAX_REJECTED_PERCENT allows.",
            block,
            "Rows rejected in {{ event.payload.key }}",
            _REJECTED_BODY,
            expect={"vpp.import.rejected"},
            match={"vpp.over-limit": "true"},
        ),
        at_once(
            "VPP: a published month would change",
            "Late files, or changes of the registry, would change a closed or recent month if it "
            "were settled now.",
            block,
            "{{ event.payload.month }} would change",
            "{{ event.payload.said }}",
            expect={"vpp.month.would-change"},
        ),
        at_once(
            "VPP: a month is published",
            "A settlement published a month's reports.",
            block,
            "{{ event.payload.month }} is published",
            _PUBLISHED_BODY,
            expect={"vpp.settlement.published"},
        ),
        silent_run(),
    ]


def silent_run() -> AutomationCore:
    """Return the automation that ends a run whose worker died with it."""
    return AutomationCore(
        name="VPP: a run stopped without a final state",
        description="Its worker died with it: nothing was heard of it for two minutes. It is "
        "marked as crashed; the next run completes the month.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={
                "prefect.flow-run.heartbeat",
                "prefect.flow-run.Completed",
                "prefect.flow-run.Failed",
                "prefect.flow-run.Refused",
                "prefect.flow-run.TimedOut",
                "prefect.flow-run.Cancelled",
                "prefect.flow-run.Crashed",
            },
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=tagged("vpp-settlement"),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=SILENCE,
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="Nothing was heard of it for two minutes."
            )
        ],
    )


def _definition(automation: AutomationCore) -> dict[str, Any]:
    """Return what is defined of an automation here, without what the server adds.

    As Python's values, since a set of events is a list in any order in JSON.
    """
    return automation.model_dump(include=set(AutomationCore.model_fields))


def find_block(client: SyncPrefectClient, name: str) -> UUID | None:
    """Return the document of the notification block of this name, None for no name.

    Raises:
        Refused: there is none of this name, or it is no notification block.
    """
    if not name:
        return None
    kind, _, own_name = name.partition("/")
    if not kind or not own_name:
        raise Refused(
            f"{BLOCK_VARIABLE}: {name!r} is no TYPE/NAME; write it like slack-webhook/ops"
        )
    try:
        found = client.read_block_document_by_name(own_name, kind)
    except ObjectNotFound:
        raise Refused(
            f"{BLOCK_VARIABLE}: this Prefect server has no block {name!r}; "
            "`prefect block ls` lists those that it has"
        ) from None
    if found.block_schema is None or "notify" not in found.block_schema.capabilities:
        raise Refused(f"{BLOCK_VARIABLE}: the block {name!r} cannot notify anybody")
    return found.id


def apply(client: SyncPrefectClient) -> None:
    """Make the automations that are missing, change those that differ, and print which."""
    name = os.environ.get(BLOCK_VARIABLE, "")
    for wanted in automations(find_block(client, name)):
        present = client.read_automations_by_name(wanted.name)
        if not present:
            client.create_automation(wanted)
            print(f"made: {wanted.name}")
        elif _definition(present[0]) != _definition(wanted):
            client.update_automation(present[0].id, wanted)
            print(f"changed: {wanted.name}")
        else:
            print(f"as it was: {wanted.name}")
    if name:
        print(f"Alarms go to the block {name}.")
    else:
        print(
            f"{NOBODY} They are in Prefect's event feed alone. Make a block (`prefect block "
            f"create slack-webhook`), then `make alarms {BLOCK_VARIABLE}=slack-webhook/NAME`."
        )


def sentence(problem: Exception, url: str) -> str:
    """Say what is wrong with a Prefect server, or with the way to it."""
    if isinstance(problem, PrefectHTTPStatusError):
        status = problem.response.status_code
        if status in {401, 403}:
            return (
                f"Prefect at {url} wants a password: set PREFECT_API_AUTH_STRING to user:password"
            )
        return f"Prefect at {url} answered with status {status}: {problem.response.text[:300]}"
    return f"Prefect at {url} cannot be reached ({problem}); start it, or correct PREFECT_API_URL"


def main() -> None:
    """Apply all automations to the Prefect server that is configured, or to that of `make up`."""
    url = PREFECT_API_URL.value() or running_environment().get("PREFECT_API_URL")
    if not url:
        sys.exit(
            "No Prefect server is configured and no `make up` runs here: "
            "set PREFECT_API_URL (like http://127.0.0.1:4200/api), or start `make up` first"
        )
    print(f"Prefect at {url}")
    try:
        with temporary_settings({PREFECT_API_URL: url}), get_client(sync_client=True) as client:
            apply(client)
    except Refused as problem:
        sys.exit(str(problem))
    except (httpx.HTTPError, httpx.InvalidURL, RuntimeError) as problem:
        sys.exit(sentence(problem, url))


if __name__ == "__main__":
    main()
