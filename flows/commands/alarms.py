"""The automations that tell people when something is wrong: `make alarms`.

Applying them is idempotent: each is found by its name, and changed if it differs. Where
VPP_ALARM_BLOCK names a notification block of the Prefect server (its document id), alarms are sent
to it; without one they are events in Prefect's feed (`prefect.automation.triggered`).

The monthly settlement that is not there by noon of its day is check-settled's to notice: it fails
then, and the first alarm tells of it.
"""

import os
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.automations import (
    AutomationCore,
    ChangeFlowRunState,
    DoNothing,
    EventTrigger,
    Posture,
    SendNotification,
)
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType

# At least three heartbeats (prefect.yaml sets one each 30 s), so that a slow network is no crash.
SILENCE = timedelta(seconds=120)


def alarm(subject: str, body: str) -> DoNothing | SendNotification:
    """Return what tells people: a notification, where there is a block for it."""
    block = os.environ.get("VPP_ALARM_BLOCK")
    if not block:
        return DoNothing()
    return SendNotification(block_document_id=UUID(block), subject=subject, body=body)


def automations() -> list[AutomationCore]:
    """Return all automations, as they should be."""
    return [
        AutomationCore(
            name="VPP: a run failed or crashed",
            description="A run of one of the settlement's flows ended as failed or crashed.",
            trigger=EventTrigger(
                expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
                match_related={
                    "prefect.resource.id": ["prefect.tag.settlement", "prefect.tag.registry"],
                    "prefect.resource.role": "tag",
                },
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                alarm(
                    "{{ flow_run.name }} {{ flow_run.state.name }}", "{{ flow_run.state.message }}"
                )
            ],
        ),
        AutomationCore(
            name="VPP: too many rows of a file were rejected",
            description="More rows of a file were rejected than VPP_MAX_REJECTED_PERCENT allows.",
            trigger=EventTrigger(
                expect={"vpp.import.rejected"},
                match={"vpp.over-limit": "true"},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[alarm("Rows rejected in {{ event.payload.key }}", "{{ event.payload }}")],
        ),
        AutomationCore(
            name="VPP: a published month would change",
            description="Late files, or changes of the registry, would change a closed or recent "
            "month if it were settled now.",
            trigger=EventTrigger(
                expect={"vpp.month.would-change"}, posture=Posture.Reactive, threshold=1
            ),
            actions=[alarm("{{ event.payload.month }} would change", "{{ event.payload.said }}")],
        ),
        AutomationCore(
            name="VPP: a run stopped without a final state",
            description="Its worker died with it: nothing was heard of it for two minutes. It is "
            "marked as crashed; the next run completes the month.",
            trigger=EventTrigger(
                after={"prefect.flow-run.heartbeat"},
                expect={
                    "prefect.flow-run.heartbeat",
                    "prefect.flow-run.Completed",
                    "prefect.flow-run.Failed",
                    "prefect.flow-run.Cancelled",
                    "prefect.flow-run.Crashed",
                },
                match={"prefect.resource.id": ["prefect.flow-run.*"]},
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
        ),
    ]


def _told(automation: AutomationCore) -> dict[str, Any]:
    """Return what is said of an automation here, without what the server adds.

    As Python's values, since a set of events is a list in any order in JSON.
    """
    return automation.model_dump(include=set(AutomationCore.model_fields))


def main() -> None:
    """Apply all automations: make those that are missing, change those that differ."""
    with get_client(sync_client=True) as client:
        for wanted in automations():
            present = client.read_automations_by_name(wanted.name)
            if not present:
                client.create_automation(wanted)
                print(f"made: {wanted.name}")
            elif _told(present[0]) != _told(wanted):
                client.update_automation(present[0].id, wanted)
                print(f"changed: {wanted.name}")
            else:
                print(f"as it was: {wanted.name}")


if __name__ == "__main__":
    main()
