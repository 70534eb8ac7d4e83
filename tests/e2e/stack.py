"""The whole stack, as an operator would start it, on free ports: S3, Prefect, deployments, workers.

Nothing is called from inside: tests speak to Prefect and S3 over HTTP, and to the project by its
commands.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest

from flows.commands import up
from flows.commands.demo import load
from tasks.core.changes import parse_change
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.registry_log import append_changes
from tests.flows.sample import REGISTRY

T = TypeVar("T")

ROOT = Path(__file__).parent.parent.parent
STARTS_WITHIN_SECONDS = 120
ENDS_WITHIN_SECONDS = 240
ALARMS = 6
PAGES = "VPP: pages of what is published"  # the automation of prefect.yaml
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def eventually(look: Callable[[], T], within_seconds: float, what: str, every: float = 0.5) -> T:
    """Look again and again (every so many seconds) until there is something, and return it."""
    deadline = time.monotonic() + within_seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {within_seconds:g} seconds")
        time.sleep(every)
    return found


def required(what: str, is_there: bool) -> None:
    """Skip where a part is not installed; CI has all parts, so there it is a failure."""
    if not is_there:
        reason = f"{what} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class _Patient(httpx.HTTPTransport):
    """Asks again where the server says 503, as Prefect's own client does.

    On SQLite it says so when its database was locked for too long; nothing was done then.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        deadline = time.monotonic() + 60
        while (answer := super().handle_request(request)).status_code == 503:
            if time.monotonic() > deadline:
                break
            answer.close()
            time.sleep(0.5)
        return answer


@contextmanager
def process(
    command: list[str | Path],
    log: Path,
    environment: dict[str, str],
    folder: Path,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in a session of its own; end it at the end, if it has not ended before."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
        ) as started,
    ):
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()


@dataclass
class Stack:
    """A running stack, and what tests do with it."""

    folder: Path
    s3_url: str
    environment: dict[str, str]  # of everything that works with this Prefect and this S3
    api: httpx.Client
    parts: ExitStack
    worker: subprocess.Popen[bytes] | None = None
    deployments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def store(self, prefix: str = "") -> ObjectStore:
        """Return a place in the bucket; the demo's is the one without a prefix."""
        return ObjectStore(
            Settings(bucket=Settings.model_fields["bucket"].default, prefix=prefix),
            endpoint_url=self.s3_url,
            aws_access_key_id="embedded",
            aws_secret_access_key="embedded",
            region_name="us-east-1",
        )

    def empty_place(self) -> tuple[str, ObjectStore]:
        """Return a new prefix, and the place it names."""
        prefix = f"{uuid4().hex}/"
        return prefix, self.store(prefix)

    def start(self, *module: str, name: str) -> subprocess.Popen[bytes]:
        """Start a Python module that runs for as long as the stack does."""
        return self.parts.enter_context(
            process([sys.executable, "-m", *module], self.log(name), self.environment, self.folder)
        )

    def log(self, name: str) -> Path:
        """Return where a part's output is."""
        return self.folder / f"{name}.log"

    def call(self, *module: str, **environment: str) -> str:
        """Run a Python module in the project's folder; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker, from a folder that is not the project's.

        With a limit, since many runs at once make a server on SQLite stall for a minute.
        """
        command = ("prefect", "worker", "start", "--pool", "vpp", "--limit", "2")
        self.worker = self.start(*command, name="worker")
        return self.worker

    def get(self, path: str) -> Any:
        """Get something of Prefect's API."""
        return _json(self.api.get(path))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Post something to Prefect's API, mostly to ask for something."""
        return _json(self.api.post(path, json=body or {}))

    def request_run(
        self, name: str, parameters: dict[str, Any], prefix: str = "", **more: Any
    ) -> httpx.Response:
        """Ask for a run as any client would; `prefix` says on which place of the bucket."""
        if prefix:
            more["job_variables"] = {"env": {"VPP_PREFIX": prefix}}
        return self.api.post(
            f"/deployments/{self.deployments[name]['id']}/create_flow_run",
            json={"parameters": parameters, **more},
        )

    def run(
        self, name: str, parameters: dict[str, Any] | None = None, prefix: str = "", **more: Any
    ) -> str:
        """Ask for a run that the server accepts; return its id."""
        made = _json(self.request_run(name, parameters or {}, prefix, **more))
        return str(made["id"])

    def ended(
        self, *runs: str, within_seconds: float = ENDS_WITHIN_SECONDS
    ) -> list[dict[str, Any]]:
        """Wait until runs have ended; return their states: type, name, message, timestamp."""

        def look() -> list[dict[str, Any]]:
            states = self.states(*runs)
            return states if all(state["type"] in _FINAL for state in states) else []

        return eventually(look, within_seconds, "the end of runs")

    def states(self, *runs: str) -> list[dict[str, Any]]:
        """Return the states that runs are in."""
        found = self.post("/flow_runs/filter", {"flow_runs": {"id": {"any_": list(runs)}}})
        by_id = {run["id"]: run["state"] for run in found}
        return [by_id[run] for run in runs]

    def completed(self, *runs: str) -> None:
        """Wait until runs have ended, all of them well."""
        for state in self.ended(*runs):
            ending = f"{state['name']}: {state['message']}"
            assert state["type"] == "COMPLETED", ending + self.log("worker").read_text()[-3000:]

    def states_of(self, run: str) -> dict[str, datetime]:
        """Return when a run first came into each of its states, by name."""
        states = self.get(f"/flow_run_states/?flow_run_id={run}")
        return {
            state["name"]: datetime.fromisoformat(state["timestamp"])
            for state in sorted(states, key=lambda state: str(state["timestamp"]), reverse=True)
        }

    def scheduled(self, name: str) -> list[dict[str, Any]]:
        """Return the runs of a deployment that its schedule asks for, and that are still to be."""
        wanted = {
            "deployments": {"name": {"any_": [name]}},
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        }
        return [run for run in self.post("/flow_runs/filter", wanted) if run["auto_scheduled"]]

    def artifacts(self, key: str, run: str = "") -> list[dict[str, Any]]:
        """Return the artifacts of a key (of a run), newest first."""
        wanted: dict[str, Any] = {"key": {"any_": [key]}}
        if run:
            wanted["flow_run_id"] = {"any_": [run]}
        body = {"artifacts": wanted, "sort": "UPDATED_DESC"}
        return list(self.post("/artifacts/filter", body))

    def table(self, artifact: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the rows of a table artifact."""
        rows: list[dict[str, Any]] = json.loads(artifact["data"])
        return rows

    def fetch(self, url: str) -> httpx.Response:
        """Read what a link leads to, as somebody with nothing but the link."""
        return httpx.get(url).raise_for_status()

    def enable(self, automation: str, is_enabled: bool) -> None:
        """Let an automation work, or not."""
        [found] = [a for a in self.post("/automations/filter") if a["name"] == automation]
        change = {"enabled": is_enabled}
        self.api.patch(f"/automations/{found['id']}", json=change).raise_for_status()

    def alarmed(self, automation: str) -> int:
        """Return how often an automation has gone off."""
        triggered = self.events("prefect.automation.triggered")
        return sum(e["resource"]["prefect.resource.name"] == automation for e in triggered)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of a name in the server's feed, newest first."""
        body = {"filter": {"event": {"name": [name]}}, "limit": 50}
        return list(self.post("/events/filter", body)["events"])


def _json(answer: httpx.Response) -> Any:
    assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text}"
    return answer.json()


def record_sample(store: ObjectStore) -> None:
    """Record one VPP with one site and its battery."""
    changes = [(line, parse_change(change)) for line, change in enumerate(REGISTRY, 1)]
    append_changes(store, Settings(), changes, "test")


def read_json(store: ObjectStore, key: str) -> Any:
    """Return what a JSON object says."""
    return json.loads(read(store, key))


def read(store: ObjectStore, key: str) -> bytes:
    """Return an object's bytes."""
    found = store.read(key)
    assert found, f"there is no {key}"
    return found[0]


def records(store: ObjectStore, month: str) -> list[dict[str, Any]]:
    """Return a month's run records, oldest first."""
    return [read_json(store, version.key) for version in store.versions(f"runs/{month}/")]


def reports(store: ObjectStore, month: str) -> dict[str, bytes]:
    """Return the current reports of a month by key."""
    keys = [version.key for version in store.versions(f"reports/{month}/")]
    return {key: read(store, key) for key in keys if key.count("/") == 2}


@contextmanager
def running_stack(folder: Path, database: str = "", auth: str = "") -> Iterator[Stack]:
    """Start everything, with the demo's data and registry; end it all.

    Prefect keeps its things in SQLite unless `database` is a URL; with `auth` (user:password), it
    wants it from everybody.
    """
    s3_port, prefect_port = free_port(), free_port()
    s3_url, prefect_url = f"http://127.0.0.1:{s3_port}", f"http://127.0.0.1:{prefect_port}"
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "AWS_", "VPP_"))
    }
    environment = {
        **inherited,
        **up.environment(str(folder / "prefect"), s3_url, prefect_url),
        "PREFECT_API_SSL_CERT_FILE": os.environ["PREFECT_API_SSL_CERT_FILE"],  # one authority
        # A run that finds another one in its place looks again after 30 seconds otherwise.
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
    }
    if database:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    if auth:
        environment["PREFECT_SERVER_API_AUTH_STRING"] = auth
        environment["PREFECT_API_AUTH_STRING"] = auth
    with (
        ExitStack() as parts,
        httpx.Client(
            base_url=f"{prefect_url}/api",
            auth=httpx.BasicAuth(*auth.split(":")) if auth else None,
            timeout=150,  # on SQLite a write may wait a minute for another
            # A connection each: the server hangs up on those that it takes for idle.
            transport=_Patient(limits=httpx.Limits(max_keepalive_connections=0)),
        ) as api,
    ):
        stack = Stack(folder, s3_url, environment, api, parts)
        s3 = stack.start("moto.server", "-H", "127.0.0.1", "-p", str(s3_port), name="s3")
        server = stack.start(
            "prefect", "server", "start", "--port", str(prefect_port), name="server"
        )
        _wait_for(s3_url, s3, stack.log("s3"))
        demo = stack.store()
        demo.client.create_bucket(Bucket=demo.bucket)
        load(demo)
        _wait_for(f"{prefect_url}/api/health", server, stack.log("server"))
        stack.call("prefect", "--no-prompt", "work-pool", "create", "vpp", "--type", "process")
        stack.call("prefect", "--no-prompt", "deploy", "--all")
        stack.start_worker()
        stack.deployments = {one["name"]: one for one in stack.post("/deployments/filter")}
        _pause(stack, "import-events")
        stack.enable(PAGES, False)
        registry = stack.run("import-registry", {"key": "registry/uploads/demo.jsonl"})
        assert stack.call("flows.commands.alarms").count("made: ") == ALARMS
        stack.completed(registry)
        yield stack


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    def look() -> bool:
        if server.poll() is not None:
            pytest.fail(f"it did not start:\n{log.read_text()[-5000:]}")
        return up.answers(url)

    eventually(look, STARTS_WITHIN_SECONDS, f"an answer from {url}")


def _pause(stack: Stack, name: str) -> None:
    """Let nothing of this name start by itself: tests count what is imported when."""
    deployment = stack.deployments[name]
    for schedule in deployment["schedules"]:
        stack.api.patch(
            f"/deployments/{deployment['id']}/schedules/{schedule['id']}", json={"active": False}
        ).raise_for_status()
