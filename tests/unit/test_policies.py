"""The IAM policies of deploy/iam: enough for what the code does, and no line too many.

They are enforced by moto's server, which checks signature, action and resource of each request as
IAM does, and knows neither conditions nor bucket policies. So what is proven is which actions on
which keys are needed; AWS itself has not seen these files.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tasks.core import keys
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.settings import Settings
from tasks.evidence.dispute import put_bundle
from tasks.evidence.explanation import explain
from tasks.evidence.tables import put_tables
from tasks.evidence.verification import verify
from tasks.imports.catalog import upload_key
from tasks.io import registry_log
from tasks.io.object_store import ObjectStore
from tasks.pages.sources import read_reports
from tasks.pages.statements import put_overview, put_results, put_vpp_statements
from tasks.publication.closing import close
from tasks.publication.run_records import read_run_records
from tasks.runs.links import upload_form
from tests.e2e.stack import eventually, free_port
from tests.flows.sample import EVENTS, REGISTRY
from tests.through_s3 import HEADER, Place
from tests.unit.test_architecture import ROOT

Policy = dict[str, Any]
Call = tuple[str, str]  # an action, and the key or prefix that it is of
POLICIES: dict[str, Policy] = {
    path.stem: json.loads(path.read_text()) for path in (ROOT / "deploy" / "iam").glob("*.json")
}
BUCKET, NMI, VPP, MONTH = "vpp-settlement", "9876543210", "test-vpp-one", "2025-09"
_UPLOADED = ("a.csv", "meter-data/a.csv", "prices/a.csv")
INBOX = ("events/a.csv", "meter-data/a.txt", "prices/a.txt")  # the last two are not read


class Iam:
    """An S3 with users, each with a policy."""

    def __init__(self, endpoint: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.s3 = self._client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        self.keys = self.user({"Version": "2012-10-17", "Statement": [everything]})
        httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0").raise_for_status()
        self.s3 = self._client("s3")

    def _client(self, service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            **self.keys,
        )

    def user(self, policy: Policy) -> dict[str, str]:
        """Make a user with a policy; return what it signs with."""
        iam = self._client("iam")
        name = f"user-{time.monotonic_ns()}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return {
            "aws_access_key_id": made["AccessKeyId"],
            "aws_secret_access_key": made["SecretAccessKey"],
        }

    def place(self, policy: Policy) -> tuple[Place, set[Call]]:
        """Return the bucket as a user with this policy has it, and what it is used for so far."""
        place, calls = Place(Settings(bucket=BUCKET)), set[Call]()
        place.store = ObjectStore(
            place.settings,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            **self.user(policy),
        )

        def note(params: Any, model: Any, **_: Any) -> None:
            if model.name != "CreateBucket":  # whose address boto3 takes for a form's
                calls.add((model.name, params.get("Key") or params.get("Prefix", "")))

        place.store.client.meta.events.register("before-parameter-build.s3", note)
        return place, calls


@pytest.fixture(scope="module")
def iam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iam]:
    port, folder = free_port(), tmp_path_factory.mktemp("iam")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            endpoint = f"http://127.0.0.1:{port}"

            def is_up() -> bool:
                try:
                    return httpx.get(f"{endpoint}/moto-api/").status_code > 0
                except httpx.TransportError:
                    return False

            eventually(is_up, 60, "moto")
            yield Iam(endpoint, folder)
        finally:
            server.terminate()


def upload(place: Place) -> None:
    for key in INBOX:
        if key.startswith("events/"):
            place.store.write(key, (HEADER + "\n".join(EVENTS)).encode(), "text/csv")
        else:
            place.store.write(key, b"x")


def work(place: Place) -> None:
    """Do what a worker does, from the registry to the pages."""
    store, month = place.store, Month.parse(MONTH)
    place.record(REGISTRY)
    place.put("b.csv", [f"{NMI},{MONTH}-03,Discharge,x,1", f"{NMI},{MONTH}-03,Discharge,1,1"])
    place.publish(MONTH)
    place.put("c.csv", [f"{NMI},{MONTH}-04,Discharge,1,1"])
    [report] = place.publish(MONTH)
    assert report.revision == 2
    assert verify(store, month, VPP).is_same
    put_bundle(store, explain(store, month, VPP, [NMI], 0)[0])
    put_tables(store, month)
    reports = read_reports(store, month)
    put_results(store, reports, put_vpp_statements(store, reports))
    put_overview(store, [month])
    registry_log.put_list(store, place.settings, None, None)
    for key in (*map(upload_key, _UPLOADED), f"{keys.REGISTRY_UPLOADS}a.csv"):
        form = upload_form(store, key)
        # Whoever has a form may do with it what its signer may, which is this.
        store.client.put_object(Bucket=BUCKET, Key=form.fields["key"], Body=b"x")
    assert store.exists(keys.report(month, VPP))
    with pytest.raises(Refused, match="expect"):
        close(store, month, "not this one", "Ada")


def read(place: Place) -> None:
    """Look at what is published, as accounting, analysts and `make history` do."""
    assert [record.outcome for _, record in read_run_records(place.store)] == ["published"] * 2
    for folder in ("reports/", "statements/", "results/"):
        for version in place.store.versions(folder):
            assert place.store.read(version.key)


WORK: dict[str, Callable[[Place], None]] = {"worker": work, "uploader": upload, "reader": read}


@pytest.fixture(scope="module")
def calls(iam: Iam) -> dict[str, set[Call]]:
    """Do each user's work with its policy alone; return what it did."""
    did = {}
    for name in ("uploader", "worker", "reader"):
        place, did[name] = iam.place(POLICIES[name])
        WORK[name](place)
    return did


def lines(policy: Policy) -> Iterator[tuple[str, str, Policy]]:
    """Yield each action and resource of a policy, and the policy without it."""
    for number, statement in enumerate(policy["Statement"]):
        for resource in statement["Resource"]:
            less: Policy = json.loads(json.dumps(policy))
            less["Statement"][number]["Resource"].remove(resource)
            if not less["Statement"][number]["Resource"]:
                del less["Statement"][number]
            yield statement["Action"], resource, less


LINES = [
    pytest.param(name, resource, less, id=f"{name}: {action} {resource}")
    for name, policy in sorted(POLICIES.items())
    for action, resource, less in lines(policy)
]


@pytest.mark.parametrize(("name", "resource", "less"), LINES)
def test_without_this_line_something_that_is_done_is_not_permitted(
    iam: Iam, calls: dict[str, set[Call]], name: str, resource: str, less: Policy
) -> None:
    place, _ = iam.place(less)
    client, refused = place.store.client, 0
    do: dict[str, Callable[[str], object]] = {
        "ListObjectsV2": lambda prefix: client.list_objects_v2(Bucket=BUCKET, Prefix=prefix),
        "GetObject": lambda key: client.get_object(Bucket=BUCKET, Key=key),
        "HeadObject": lambda key: client.head_object(Bucket=BUCKET, Key=key),
        "PutObject": lambda key: client.put_object(Bucket=BUCKET, Key=key, IfMatch="none"),
    }
    for action, key in sorted(calls[name]):
        of = "" if action == "ListObjectsV2" else f"/{key}"
        if not fnmatch(f"arn:aws:s3:::{BUCKET}{of}", resource):
            continue
        try:
            do[action](key)
        except Refused as problem:
            assert "does not permit" in str(problem)
            refused += 1
            break
        except client.exceptions.ClientError:
            pass  # it is permitted, and fails for another reason: nothing is written here
    assert refused


def test_a_reader_and_an_uploader_can_do_nothing_else(iam: Iam) -> None:
    refused: list[tuple[str, Callable[[ObjectStore], object]]] = [
        ("uploader", lambda store: store.read("events/a.csv")),
        ("uploader", lambda store: store.write("reports/2025-09/a.json", b"")),
        ("reader", lambda store: store.write("reports/2025-09/a.json", b"")),
        ("reader", lambda store: store.read("registry/changes.jsonl")),
        ("worker", lambda store: store.delete("events/a.csv")),
        ("worker", lambda store: store.write("elsewhere", b"")),
    ]
    for name, call in refused:
        with pytest.raises(Refused, match="does not permit"):
            call(iam.place(POLICIES[name])[0].store)
