"""The whole stack on this machine: `make up`. Ctrl-C ends all of it.

Embedded S3 (with the demo's data, kept in memory for as long as it runs), a Prefect server, a work
pool and its worker, all deployments, and the alarms. It is for trying things out; a production has
its own S3, Prefect and workers, and needs none of this.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from flows.commands.demo import ROOT, load, say
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore

S3_PORT, PREFECT_PORT = 4566, 4200
S3_URL, PREFECT_URL = f"http://127.0.0.1:{S3_PORT}", f"http://127.0.0.1:{PREFECT_PORT}"
BIN = Path(sys.executable).parent


def environment(home: str) -> dict[str, str]:
    """Return what points every process of the stack at this S3 and this Prefect."""
    return {
        "AWS_ENDPOINT_URL_S3": S3_URL,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PREFECT_HOME": home,  # whatever Prefect this machine has is left alone
        "PREFECT_API_URL": f"{PREFECT_URL}/api",
        "PREFECT_SERVER_UI_API_URL": "/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }


def answers(url: str) -> bool:
    """Say whether something answers there, whatever it says."""
    try:
        urllib.request.urlopen(url, timeout=2)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def wait(what: str, is_up: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until a part of the stack is up; end with a sentence when it cannot be."""
    for _ in range(240):
        if is_up():
            return
        if process.poll() is not None:
            sys.exit(f"{what} did not start (exit status {process.returncode}); see above")
        time.sleep(0.5)
    sys.exit(f"{what} did not answer within two minutes")


def main() -> None:
    """Start everything, wait for Ctrl-C or SIGTERM, end everything."""
    if answers(f"{PREFECT_URL}/api/health") and answers(S3_URL):
        print(f"It is up already: {PREFECT_URL} (S3 at {S3_URL}). Nothing was started.")
        return
    for port, url in ((S3_PORT, S3_URL), (PREFECT_PORT, PREFECT_URL)):
        if answers(url):
            sys.exit(f"Port {port} is taken by something else; end that first.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="vpp-up-") as home:
        os.environ |= environment(home)
        started: list[subprocess.Popen[bytes]] = []
        try:
            _start(started, home)
            signal.pause()
        except KeyboardInterrupt:
            print()
        finally:
            for process in reversed(started):  # the worker before the server that it talks to
                _end(process)
            say("all of it has ended")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _start(started: list[subprocess.Popen[bytes]], home: str) -> None:
    def run(*command: str | Path) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches this process alone, which then ends them in order.
        log = (Path(home) / f"{Path(command[0]).name}-{len(started)}.log").open("wb")
        process = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
        started.append(process)
        return process

    def once(*command: str | Path) -> None:
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, check=False)
        if done.returncode:
            sys.exit(
                f"{' '.join(map(str, command))} failed:\n{done.stdout.decode()[-2000:]}"
                f"{done.stderr.decode()[-2000:]}"
            )

    say("starting the embedded S3")
    s3 = run(BIN / "moto_server", "-H", "127.0.0.1", "-p", str(S3_PORT))
    wait("The embedded S3", lambda: answers(S3_URL), s3)
    settings = Settings()
    store = ObjectStore(settings)
    store.client.create_bucket(Bucket=settings.bucket)
    load(store)
    say("starting the Prefect server")
    server = run(BIN / "prefect", "server", "start", "--port", str(PREFECT_PORT))
    wait("The Prefect server", lambda: answers(f"{PREFECT_URL}/api/health"), server)
    say("making the work pool, the deployments and the alarms")
    once(
        BIN / "prefect",
        "--no-prompt",
        "work-pool",
        "create",
        "vpp",
        "--type",
        "process",
        "--overwrite",
    )
    once(BIN / "prefect", "--no-prompt", "deploy", "--all")
    once(BIN / "python", "-m", "flows.commands.alarms")
    say("starting the worker, and recording the demo's registry")
    run(BIN / "prefect", "worker", "start", "--pool", "vpp", "--name", "local")
    once(
        BIN / "prefect",
        "deployment",
        "run",
        "import-registry/import-registry",
        "--param",
        "key=registry/uploads/demo.jsonl",
        "--watch",
    )
    say("up")
    print(
        f"\n  Prefect   {PREFECT_URL}   (deployments, runs, artifacts)\n"
        f"  S3        {S3_URL}, bucket {settings.bucket}, any credentials\n"
        "  The demo's event files are in the inbox and its registry is recorded.\n"
        "  Ctrl-C ends all of it.\n",
        flush=True,
    )


if __name__ == "__main__":
    main()
