"""`make up` as a whole, in a copy of the project and on free ports."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from flows.commands import up
from tests.e2e.stack import ROOT, eventually, free_port

STARTS_WITHIN_SECONDS = 180
AUTH = "operator:correct horse"  # of a Prefect server; all of it works as it does without
LAST_LINE = "Ctrl-C ends all of it."


def environment(copy: Path) -> dict[str, str]:
    """Return an environment that names no S3 and no Prefect."""
    chosen = ("AWS_", "PREFECT_", "VPP_")
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(chosen)}
    password = {"PREFECT_SERVER_API_AUTH_STRING": AUTH, "PREFECT_API_AUTH_STRING": AUTH}
    return {**inherited, **password, "PYTHONPATH": str(copy), "HOME": str(copy)}


def call(copy: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"flows.commands.{command}"],
        cwd=copy,
        env=environment(copy),
        capture_output=True,
        text=True,
        check=True,
    )


def worker_of(parent: int) -> int:
    """Return the process of the worker that a process has started."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    [worker] = [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if int(line.split()[1]) == parent and "worker start" in line
    ]
    return worker


def test_the_commands_beside_it_find_it_and_a_worker_that_dies_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    for folder in ("flows", "tasks", "data/demo"):
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy(ROOT / "prefect.yaml", copy)
    s3_port, prefect_port = free_port(), free_port()
    log = tmp_path / "up.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from flows.commands.up import main; main({s3_port}, {prefect_port})",
            ],
            cwd=copy,
            env=environment(copy),
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            eventually(
                lambda: LAST_LINE in log.read_text() or process.poll() is not None,
                STARTS_WITHIN_SECONDS,
                "the stack",
            )
            said = log.read_text()
            assert LAST_LINE in said, said
            assert f"export PREFECT_API_URL=http://127.0.0.1:{prefect_port}/api" in said

            alarms = call(copy, "alarms").stdout.splitlines()
            assert alarms[0] == f"Prefect at http://127.0.0.1:{prefect_port}/api"
            assert {line.split(":")[0] for line in alarms[1:-1]} == {"as it was"}
            history = call(copy, "history")
            assert f"http://127.0.0.1:{s3_port}" in history.stderr
            assert history.stdout.startswith("month")

            api = f"http://127.0.0.1:{prefect_port}/api"
            assert httpx.post(f"{api}/logs/filter", json={}).status_code == 401
            password = httpx.BasicAuth(*AUTH.split(":"))
            answer = httpx.post(f"{api}/logs/filter", json={}, auth=password)
            lines = answer.raise_for_status().json()
            assert any(line["level"] == 20 and line["flow_run_id"] for line in lines)

            os.kill(worker_of(process.pid), signal.SIGKILL)
            assert process.wait(60) == 1
        finally:
            process.terminate()
    assert "The worker was ended by SIGKILL. The last lines of its log:\n" in log.read_text()
    assert not (copy / "build" / "up.env").exists()
    assert not up.is_taken(s3_port)
    assert not up.is_taken(prefect_port)
