"""The whole stack on this machine: `make up`. Ctrl-C ends all of it.

Embedded S3 (with the demo's data, kept in memory for as long as it runs), a Prefect server, a work
pool and its worker, all deployments, and the alarms. It is for trying things out; a production has
its own S3, Prefect and workers, and needs none of this.

When a part ends by itself, the rest is ended too, with the last lines of that part's log and exit
status 1. Nothing is started again in silence: what was in the embedded S3 would be gone.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from flows.commands.demo import ROOT, load, say
from flows.commands.local_stack import published_environment
from tasks.core.errors import Refused
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.io.workspace import workspace

S3_PORT, PREFECT_PORT = 4566, 4200
S3_URL, PREFECT_URL = f"http://127.0.0.1:{S3_PORT}", f"http://127.0.0.1:{PREFECT_PORT}"
BIN = Path(sys.executable).parent
# What a Prefect server for one person, or for tests, runs with.
SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # In memory, for as long as the server runs: then all of it works on one connection. On a
    # file, runs and whoever starts them lock each other out of SQLite, which is a 503 for them.
    "PREFECT_API_DATABASE_CONNECTION_URL": (
        "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true&check_same_thread=false"
    ),
    # What tasks do is recorded once a second, not each of it alone: a third of the server's work.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
}
RUNS_AT_ONCE = 4  # each is a process of its own, and uses all cores
SHOWN_LOG_LINES = 20
EVERYDAY = "/v2/deployments?tags=%5B%22everyday%22%5D"


@dataclass(frozen=True)
class Part:
    """A process of the stack that is not meant to end."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def ending(self) -> str:
        """Say how it ended, with the last lines of its log."""
        status = self.process.returncode
        how = (
            f"was ended by {signal.Signals(-status).name}"
            if status < 0
            else f"ended with exit status {status}"
        )
        lines = self.log.read_text(errors="replace").splitlines()[-SHOWN_LOG_LINES:]
        tail = "\n".join(f"  {line}" for line in lines) or "  (it is empty)"
        return f"{self.name} {how}. The last lines of its log:\n{tail}"


@dataclass
class Stack:
    """What `make up` has started so far."""

    home: Path  # its own folder: Prefect's home, and the logs
    s3_url: str
    prefect_url: str
    parts: list[Part] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """Return what points every process at this S3 and this Prefect."""
        return environment(str(self.home), self.s3_url, self.prefect_url)

    def start(self, name: str, *command: str | Path) -> Part:
        """Start a part, in a session of its own: Ctrl-C reaches this process alone."""
        log = self.home / f"{name.lower().replace(' ', '-')}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.parts.append(Part(name, process, log))
        return self.parts[-1]

    def end(self) -> None:
        """End all parts, the worker before the server that it talks to."""
        for part in reversed(self.parts):
            part.process.terminate()
            try:
                part.process.wait(20)
            except subprocess.TimeoutExpired:
                part.process.kill()
                part.process.wait()


def environment(home: str, s3_url: str = S3_URL, prefect_url: str = PREFECT_URL) -> dict[str, str]:
    """Return what points every process of a stack at its S3 and its Prefect."""
    return {
        "AWS_ENDPOINT_URL_S3": s3_url,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PREFECT_HOME": home,  # whatever Prefect this machine has is left alone
        "PREFECT_API_URL": f"{prefect_url}/api",
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        **SERVER,
    }


def answers(url: str) -> bool:
    """Say whether an HTTP server answers there, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except (OSError, HTTPException):
        return False
    return True


def is_taken(port: int) -> bool:
    """Say whether something on this machine listens on a port."""
    with socket.socket() as attempt:
        attempt.settimeout(2)
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def wait(part: Part, is_up: Callable[[], bool]) -> None:
    """Wait until a part of the stack is up; end with a sentence when it cannot be."""
    for _ in range(240):
        if is_up():
            return
        if part.process.poll() is not None:
            sys.exit(part.ending())
        time.sleep(0.5)
    sys.exit(f"{part.name} did not answer within two minutes")


def watch(parts: list[Part], every_seconds: float = 1) -> Part:
    """Wait until a part has ended, and return it."""
    while True:
        for part in parts:
            if part.process.poll() is not None:
                return part
        time.sleep(every_seconds)


def main(s3_port: int = S3_PORT, prefect_port: int = PREFECT_PORT) -> None:
    """Start everything, wait for Ctrl-C or SIGTERM, end everything."""
    s3_url, prefect_url = f"http://127.0.0.1:{s3_port}", f"http://127.0.0.1:{prefect_port}"
    if answers(f"{prefect_url}/api/health") and answers(s3_url):
        print(f"It is up already: {prefect_url} (S3 at {s3_url}). Nothing was started.")
        return
    for port in (s3_port, prefect_port):
        if is_taken(port):
            sys.exit(f"Port {port} is taken by something else; end that first.")
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda *_: sys.exit(0))
    with ExitStack() as open_until_the_end:
        home = open_until_the_end.enter_context(workspace("up"))
        stack = open_until_the_end.enter_context(_running(Stack(home, s3_url, prefect_url)))
        shown = {
            name: os.environ[name]
            for name in sorted({*stack.environment(), "VPP_BUCKET", "VPP_PREFIX"} & {*os.environ})
            if name.startswith(("AWS_", "VPP_")) or name == "PREFECT_API_URL"
        }
        file = open_until_the_end.enter_context(published_environment(shown))
        _welcome(stack, file)
        sys.exit(watch(stack.parts).ending())


@contextmanager
def _running(stack: Stack) -> Iterator[Stack]:
    """Start all parts of a stack; end them at the end, however it comes."""
    os.environ.pop("AWS_PROFILE", None)  # of another S3
    os.environ |= stack.environment()
    try:
        _start(stack)
        yield stack
    except KeyboardInterrupt:
        print()
    finally:
        stack.end()
        say("all of it has ended")


def _start(stack: Stack) -> None:
    say("starting the embedded S3")
    s3_port, prefect_port = stack.s3_url.rpartition(":")[2], stack.prefect_url.rpartition(":")[2]
    s3 = stack.start("The embedded S3", BIN / "moto_server", "-H", "127.0.0.1", "-p", s3_port)
    wait(s3, lambda: answers(stack.s3_url))
    settings = Settings()
    store = ObjectStore(settings)
    store.client.create_bucket(Bucket=settings.bucket)
    load(store)
    say("starting the Prefect server")
    server = stack.start(
        "The Prefect server", BIN / "prefect", "server", "start", "--port", prefect_port
    )
    wait(server, lambda: answers(f"{stack.prefect_url}/api/health"))
    say("making the work pool, the deployments and the alarms")
    prefect = (BIN / "prefect", "--no-prompt")
    _once(*prefect, "work-pool", "create", "vpp", "--type", "process", "--overwrite")
    _once(*prefect, "deploy", "--all")
    _once(BIN / "python", "-m", "flows.commands.alarms")
    say("starting the worker, and recording the demo's registry")
    worker = ("worker", "start", "--pool", "vpp", "--name", "local", "--limit", str(RUNS_AT_ONCE))
    stack.start("The worker", BIN / "prefect", *worker)
    registry = ("import-registry/import-registry", "--param", "key=registry/uploads/demo.jsonl")
    _once(*prefect, "deployment", "run", *registry, "--watch")
    say("up")


def _once(*command: str | Path) -> None:
    """Run a command to its end; end with what it said when it failed."""
    line = list(map(str, command))
    done = subprocess.run(line, cwd=ROOT, capture_output=True, check=False, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(line)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def _welcome(stack: Stack, file: Path) -> None:
    """Print where everything is, and what other programs need to find it."""
    print(
        f"\n  Prefect   {stack.prefect_url}   (deployments, runs, artifacts)\n"
        f"            {stack.prefect_url}{EVERYDAY}   (what is used most)\n"
        f"  S3        {stack.s3_url}, bucket {Settings().bucket}, any credentials\n"
        "  The demo's event files are in the inbox and its registry is recorded.\n\n"
        "  `make alarms` and `make history` find this stack by themselves. For other programs\n"
        f"  (prefect, aws, the flows' files), `. {file.relative_to(ROOT)}` in a shell sets:\n\n"
        + "".join(f"    {line}\n" for line in file.read_text().splitlines())
        + "\n  Ctrl-C ends all of it.\n",
        flush=True,
    )


if __name__ == "__main__":
    try:
        main()
    except Refused as problem:
        sys.exit(str(problem))
