"""What people start by hand: what it finds by itself, and what it says when something is wrong."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.server.utilities.user_templates import render_user_template_sync

from flows.commands import alarms, up
from flows.commands.history import reason_in_words
from flows.commands.local_stack import published_environment, running_environment, use_its_s3
from tasks.core.errors import Refused
from tests.flows.sample import ROOT
from tests.through_s3 import Place

NOWHERE = "http://127.0.0.1:9"
TOLD_TO_END = "its process was told to end: cancelled, or its worker was stopped"


def call(module: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a command that knows of no S3, no Prefect and no home; return status and outputs."""
    chosen = ("AWS_", "PREFECT_", "VPP_")
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(chosen)}
    done = subprocess.run(
        [sys.executable, "-m", f"flows.commands.{module}", *arguments],
        cwd=ROOT,
        env={**inherited, "HOME": "/", "AWS_EC2_METADATA_DISABLED": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# The stack of `make up`


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "build" / "up.env"


def test_a_running_stack_is_found(file: Path) -> None:
    environment = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1", "VPP_PREFIX": "it's a place/"}
    assert running_environment(file) == {}
    with published_environment(environment, file):
        assert running_environment(file) == environment
        shell = f'. {file} && printf %s "$VPP_PREFIX"'
        assert subprocess.check_output(["sh", "-c", shell], text=True) == "it's a place/"
    assert not file.exists()


def test_what_a_killed_stack_left_counts_for_nothing(file: Path) -> None:
    program = (
        "import sys; from pathlib import Path; "
        "from flows.commands.local_stack import published_environment as p\n"
        "with p({'A': '1'}, Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, file],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert running_environment(file) == {"A": "1"}
        process.kill()
    assert file.exists()
    assert running_environment(file) == {}


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_ENDPOINT_URL_S3", "VPP_BUCKET"])
def test_an_environment_that_names_an_s3_stays(
    name: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {name: "mine", "AWS_REGION": "eu-west-1"})
    with published_environment({"AWS_ENDPOINT_URL_S3": NOWHERE, "VPP_BUCKET": "b"}, file):
        assert use_its_s3(file) == ""
    assert os.environ == {name: "mine", "AWS_REGION": "eu-west-1"}


def test_without_an_s3_the_running_stacks_is_used(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", {"AWS_REGION": "eu-west-1", "VPP_PREFIX": "mine/"})
    stack = {"AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL_S3": NOWHERE, "VPP_BUCKET": "b"}
    with published_environment({**stack, "VPP_PREFIX": "its/", "PREFECT_API_URL": "x"}, file):
        assert use_its_s3(file) == NOWHERE
    assert os.environ == {**stack, "VPP_PREFIX": "mine/"}


# make up


def part(folder: Path, *command: str) -> up.Part:
    log = folder / "part.log"
    with log.open("wb") as output:
        return up.Part("The worker", subprocess.Popen(command, stdout=output), log)


def test_a_part_that_ends_is_noticed_with_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    lives = part(tmp_path / "a", "sleep", "60")
    dies = part(tmp_path / "b", "sh", "-c", "seq 1 100; echo it broke; exit 3")
    try:
        assert up.watch([lives, dies], every_seconds=0.05) is dies
    finally:
        lives.process.kill()
        lives.process.wait()
    first, *lines = dies.ending().splitlines()
    assert first == "The worker ended with exit status 3. The last lines of its log:"
    assert (len(lines), lines[-1]) == (up.SHOWN_LOG_LINES, "  it broke")
    assert lives.ending().splitlines()[0].startswith("The worker was ended by SIGKILL.")


def test_a_part_that_does_not_start_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"The worker ended with exit status 3\. .*\n  no port"):
        up.wait(part(tmp_path, "sh", "-c", "echo no port; exit 3"), lambda: False)


# make history


class Forbidding(BaseHTTPRequestHandler):
    """An S3 that does not know whoever asks; the folder of the URL says how it puts it."""

    def do_GET(self) -> None:
        code = self.path.split("/")[1]
        body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def forbidding_s3() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Forbidding) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


@pytest.mark.skipif(running_environment() != {}, reason="a `make up` of this folder is running")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "There are no credentials for S3: set AWS_ACCESS_KEY_ID and"),
        ({"AWS_ACCESS_KEY_ID": "a"}, "The credentials for S3 are not complete: Partial"),
        ({"AWS_PROFILE": "x"}, "The credentials for S3 are not complete: The config profile (x)"),
        (
            {**KEYS, "AWS_ENDPOINT_URL_S3": NOWHERE},
            f"Nothing answers at {NOWHERE} (Connection refused): start that S3, or correct",
        ),
        ({**KEYS, "AWS_ENDPOINT_URL_S3": "u:pass@x"}, "AWS_ENDPOINT_URL_S3 is no URL of an S3, "),
        (
            {**KEYS, "AWS_ENDPOINT_URL_S3": "http://u:pass@x"},
            "The URL of S3 has a user or ",
        ),
        ({"VPP_MAX_REJECTED_PERCENT": "x"}, "VPP_MAX_REJECTED_PERCENT is 'x': must be a number"),
        ({"VPP_TIMEZONE": "x"}, "VPP_TIMEZONE is 'x': there is no such time zone; name one like"),
    ],
)
def test_history_without_an_s3_is_a_sentence(environment: dict[str, str], said: str) -> None:
    status, output, error = call("history", **environment)
    assert (status, output) == (1, "")
    assert error.startswith(said)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("InvalidAccessKeyId", "S3 at {} does not take these credentials (InvalidAccessKeyId): c"),
        ("SignatureDoesNotMatch", "S3 at {} does not take these credentials (SignatureDoesNotMatc"),
        ("ExpiredToken", "The credentials for S3 at {} have expired (ExpiredToken): get new ones"),
        ("RequestTimeTooSkewed", "This machine's clock is off: it says "),
        (
            "AccessDenied",
            "S3 at {} does not permit s3:ListBucket on vpp-settlement/runs/ (AccessDenied): the",
        ),
    ],
)
def test_history_with_wrong_credentials_is_a_sentence(
    forbidding_s3: str, code: str, said: str
) -> None:
    url = f"{forbidding_s3}/{code}"
    status, _, error = call("history", **KEYS, AWS_ENDPOINT_URL_S3=url)
    assert status == 1
    assert error.startswith(said.format(url))
    assert error.count("\n") == 1


def test_the_line_program_says_it_like_history(forbidding_s3: str) -> None:
    for url, sentence in (
        (
            f"{forbidding_s3}/AccessDenied",
            "does not permit s3:ListBucket on vpp-settlement/registry/",
        ),
        (NOWHERE, f"Nothing answers at {NOWHERE} (Connection refused): start that S3, or correct"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "flows.instructions"],
            cwd=ROOT,
            env={**os.environ, **KEYS, "VPP_BUCKET": "vpp-settlement", "AWS_ENDPOINT_URL_S3": url},
            input="Create VPP: A, 20\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


def test_history_of_what_is_not_there(s3_endpoint: str, place: Place) -> None:
    here = {**KEYS, "AWS_ENDPOINT_URL_S3": s3_endpoint, "VPP_BUCKET": place.settings.bucket}
    status, _, error = call("history", **{**here, "VPP_BUCKET": "no-such-bucket"})
    assert (status, error.split(";")[0]) == (1, "there is no bucket 'no-such-bucket'")
    assert call("history", "2025-9", **here)[2].startswith("month: '2025-9' is not a month")
    status, output, _ = call("history", **here, VPP_PREFIX=place.settings.prefix)
    assert (status, output.split()[0], output.count("\n")) == (0, "month", 1)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("TerminationSignal()", TOLD_TO_END),
        ("TerminationSignal(signal=15)", TOLD_TO_END),
        ("KeyboardInterrupt()", "it was interrupted at the keyboard"),
        ("1", "its process ended amid the run (exit status 1)"),
        ("SystemExit(1)", "its process ended amid the run"),
        ("2025-09 was closed by Ada\nand more", "2025-09 was closed by Ada"),
        ("12 rows were rejected", "12 rows were rejected"),
        ("", ""),
    ],
)
def test_reasons_are_words(reason: str, words: str) -> None:
    assert reason_in_words(reason) == words


# make alarms


@pytest.fixture
def no_automations(client: SyncPrefectClient) -> Iterator[None]:
    yield
    for automation in client.read_automations():
        client.delete_automation(automation.id)


@pytest.mark.usefixtures("no_automations")
def test_alarms_say_that_nobody_is_notified_or_who(
    client: SyncPrefectClient, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def apply(block: str) -> list[str]:
        monkeypatch.setenv("VPP_ALARM_BLOCK", block)
        alarms.apply(client)
        return capsys.readouterr().out.splitlines()

    def descriptions() -> list[str]:
        return [one.description for one in client.read_automations()]

    silent = apply("")
    assert [line.split(":")[0] for line in silent[:-1]] == ["made"] * 6
    assert silent[-1].startswith(alarms.NOBODY)
    assert sum(text.endswith(alarms.NOBODY) for text in descriptions()) == 5

    block = CustomWebhookNotificationBlock(name="ops", url=NOWHERE)
    saved = block.save("ops", overwrite=True)
    loud = apply("custom-webhook/ops")
    assert [line.split(":")[0] for line in loud[:-1]] == ["changed"] * 5 + ["as it was"]
    assert loud[-1] == "Alarms go to the block custom-webhook/ops."
    assert not any(alarms.NOBODY in text for text in descriptions())
    sent_to = {
        getattr(action, "block_document_id", None)
        for one in client.read_automations()
        for action in one.actions
    }
    assert sent_to == {saved, None}
    assert [line.split(":")[0] for line in apply("custom-webhook/ops")[:-1]] == ["as it was"] * 6


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ops", "'ops' is no TYPE/NAME"),
        ("slack-webhook/", "'slack-webhook/' is no TYPE/NAME"),
        ("slack-webhook/nobody", "this Prefect server has no block 'slack-webhook/nobody'; "),
        ("no-such-type/ops", "this Prefect server has no block 'no-such-type/ops'; "),
        ("secret/word", "the block 'secret/word' cannot notify anybody"),
    ],
)
def test_a_block_that_is_none_is_a_sentence(
    client: SyncPrefectClient, name: str, said: str
) -> None:
    Secret(value="x").save("word", overwrite=True)
    with pytest.raises(Refused) as refused:
        alarms.find_block(client, name)
    assert str(refused.value).startswith(f"VPP_ALARM_BLOCK: {said}")


@pytest.mark.skipif(running_environment() != {}, reason="a `make up` of this folder is running")
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "No Prefect server is configured and no `make up` runs here: set PREFECT_API_URL"),
        ({"PREFECT_API_URL": f"{NOWHERE}/api"}, f"Prefect at {NOWHERE}/api cannot be reached ("),
        ({"PREFECT_API_URL": "nonsense"}, "Prefect at nonsense cannot be reached ("),
    ],
)
def test_alarms_without_a_server_are_a_sentence(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    status, _, error = call("alarms", **environment, PREFECT_HOME=str(tmp_path))
    assert status == 1
    assert error.startswith(said)
    assert error.count("\n") == 1


def test_alarms_are_text() -> None:
    reports = [
        {
            "name": "Hunter Banksia VPP",
            "revision": 2,
            "outcome": "published",
            "totals": {
                "total_revenue": 1253.3,
                "vpp_total_revenue": 206.17,
                "site_total_revenue_after_fees": 45.0,
            },
        }
    ]
    rejected = {
        "key": "events/a.csv",
        "rows": 200,
        "rejected": 150,
        "rejected_percent": 75.0,
        "reasons": {"tariff": 149, "date": 1},
        "failed": None,
        "where": "imports/1/rejected.csv",
    }
    failed = {**rejected, "failed": "it has no header"}

    def text(name: str, payload: dict[str, Any]) -> str:
        [body] = [getattr(a.actions[0], "body", "") for a in with_block if a.name == name]
        return render_user_template_sync(body, {"event": {"payload": payload}})

    with_block = alarms.automations(block=UUID(int=1))
    assert text("VPP: a month is published", {"reports": reports, "digest": "31ee"}) == (
        "Hunter Banksia VPP: revision 2 (published), total revenue 1253.30 AUD, of the VPP 206.17, "
        "of its sites 45.00\n\nDigest to close the month with: 31ee"
    )
    many = "VPP: too many rows of a file were rejected"
    assert text(many, rejected) == (
        "150 of the 200 rows of events/a.csv were rejected (75.0%).\n\ntariff: 149\ndate: 1\n\n"
        "All of them, with line and reason: imports/1/rejected.csv"
    )
    assert text(many, failed) == "events/a.csv could not be read: it has no header."
