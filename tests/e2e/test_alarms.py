"""Alarms that reach people: through a notification block, as text, and only when they should."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.e2e.stack import Stack, eventually, record_sample
from tests.flows.sample import EVENTS
from tests.through_s3 import HEADER

MONTH = "2024-02"  # that no other test publishes
BLOCK_TYPE, BLOCK_NAME = "custom-webhook", "ops"
BLOCK = f"{BLOCK_TYPE}/{BLOCK_NAME}"


class Mailbox:
    """Who is notified: a web server that keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}  # body by subject
        mailbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                mailbox.messages[sent["subject"]] = sent["body"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def mailbox(stack: Stack) -> Iterator[Mailbox]:
    """Let alarms go to a mailbox, by a block's name; afterwards to nobody again."""
    mailbox = Mailbox()
    thread = threading.Thread(target=mailbox.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    kind = stack.get(f"/block_types/slug/{BLOCK_TYPE}")
    wanted = {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}}
    data = {
        "name": "ops",
        "url": f"http://127.0.0.1:{mailbox.server.server_port}",
        "json_data": {"subject": "{{subject}}", "body": "{{body}}"},
    }
    block = {
        "name": BLOCK_NAME,
        "data": data,
        "block_type_id": kind["id"],
        "block_schema_id": stack.post("/block_schemas/filter", wanted)[0]["id"],
    }
    stack.post("/block_documents/", block)
    said = stack.call("flows.commands.alarms", VPP_ALARM_BLOCK=BLOCK)
    assert said.splitlines()[-1] == f"Alarms go to the block {BLOCK}."
    try:
        yield mailbox
    finally:
        stack.call("flows.commands.alarms")
        mailbox.server.shutdown()
        thread.join()
        mailbox.server.server_close()


def end_a_run(stack: Stack, name: str, *tags: str, state: str = "Failed") -> None:
    """Let a run of somebody's end badly; its message is its name."""
    flow = stack.post("/flows/", {"name": "anything"})
    run = stack.post("/flow_runs/", {"flow_id": flow["id"], "name": name, "tags": tags})
    ended = {"type": "FAILED", "name": state, "message": f"{name}: why"}
    stack.post(f"/flow_runs/{run['id']}/set_state", {"state": ended})


def test_what_nobody_has_seen_yet_is_an_alarm_and_nothing_else(
    stack: Stack, mailbox: Mailbox
) -> None:
    ours = "vpp-settlement"
    end_a_run(stack, "another team's")
    end_a_run(stack, "refused to a person", ours, state="Refused")
    end_a_run(stack, "refused to a schedule", ours, "auto-scheduled", state="Refused")
    end_a_run(stack, "too slow", ours, state="TimedOut")
    end_a_run(stack, "broken", ours)
    eventually(lambda: "broken: Failed" in mailbox.messages, 60, "the alarm of the last run")
    # The alarms of other tests' runs may come meanwhile.
    ours_alone = {s: body for s, body in mailbox.messages.items() if ": why\n" in body}
    assert ours_alone == {
        subject: f"{name}: why\n\nRun: {name}, of anything"
        for subject, name in (
            ("refused to a schedule was refused", "refused to a schedule"),
            ("too slow: TimedOut", "too slow"),
            ("broken: Failed", "broken"),
        )
    }


def test_what_a_schedule_started_and_was_refused_is_told_once(
    stack: Stack, mailbox: Mailbox
) -> None:
    """Its settlement by itself, and its parameters by the name that they do not have."""
    prefix, _ = stack.empty_place()
    scheduled = {"tags": ["auto-scheduled"]}
    said_before = len(stack.log("worker").read_text())
    runs = [
        stack.run("settle-month", {"month": MONTH}, prefix, **scheduled),
        stack.run("check-settled", {"monht": MONTH}, prefix, **scheduled),
    ]
    stack.ended(*runs)
    found = stack.post("/flow_runs/filter", {"flow_runs": {"id": {"any_": runs}}})
    name = {run["id"]: run["name"] for run in found}[runs[1]]
    subjects = (f"settle {MONTH} was refused", f"{name} was refused")
    eventually(lambda: all(s in mailbox.messages for s in subjects), 60, "both messages")
    sentence = "monht: check-settled has no such parameter; it has month"
    assert mailbox.messages[subjects[1]].startswith(sentence)
    # The worker sees that its process ended badly, and may not call the run crashed.
    badly = "flow_run_executor - Process exited with status code: 1"

    def said() -> str:
        return stack.log("worker").read_text()[said_before:]

    eventually(lambda: badly in said(), 30, "the end of its process")
    assert "Traceback" not in said()
    went = stack.states_of(runs[1])
    assert ("Refused" in went, "Crashed" in went) == (True, False)
    assert f"{name}: Crashed" not in mailbox.messages


def test_a_published_month_is_told_as_text(stack: Stack, mailbox: Mailbox) -> None:
    prefix, store = stack.empty_place()
    record_sample(store)
    store.write(
        "events/a.csv",
        (HEADER + "".join(f"{row}\n" for row in EVENTS).replace("2025-09", MONTH)).encode(),
    )
    stack.completed(stack.run("settle-month", {"month": MONTH}, prefix))
    subject = f"{MONTH} is published"
    body = eventually(lambda: mailbox.messages.get(subject, ""), 60, "the message")
    assert body.startswith("Test VPP One: revision 1 (published), total revenue 1.75 AUD, of the ")
    assert "Digest to close the month with: " in body
    assert "{" not in body
