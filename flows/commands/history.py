"""The history of all settlement runs, from S3 alone: `make history`.

    python -m flows.commands.history [YYYY-MM]

One line a run: month, when, who, outcome, revisions, rows, seconds. It outlives Prefect's database.
The S3 is the one that the environment names; where it names none, that of `make up`.
"""

import socket
import sys
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from flows.commands.local_stack import use_its_s3
from tasks.core.errors import Refused
from tasks.core.month import Month
from tasks.core.run_record import RunRecord, SettledRunRecord
from tasks.core.settings import Settings
from tasks.io.object_store import ObjectStore
from tasks.publication.run_records import read_run_records

_LINE = "{:7}  {:20}  {:24}  {:9}  {:>8}  {:>10}  {:>7}"
_HEAD = ("month", "started", "who", "outcome", "revision", "rows", "seconds")
_WRONG_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}

# What exceptions without a sentence of their own left as the reason in run records.
_ENDINGS = {
    "TerminationSignal": "its process was told to end: cancelled, or its worker was stopped",
    "KeyboardInterrupt": "it was interrupted at the keyboard",
    "CancelledError": "it was cancelled",
    "MemoryError": "its process ran out of memory",
    "SystemExit": "its process ended amid the run",
}


def reason_in_words(reason: str) -> str:
    """Return the first line of why a run did not publish; words for what is only a name."""
    first = reason.strip().splitlines()[0] if reason.strip() else ""
    name, _, rest = first.partition("(")
    if name in _ENDINGS and (not rest or rest.endswith(")")):
        return _ENDINGS[name]
    if first.lstrip("-").isdigit():  # an exit status
        return f"{_ENDINGS['SystemExit']} (exit status {first})"
    return first


def line(record: RunRecord) -> str:
    """Return a run's line, and the one below it that says why nothing was published."""
    revisions = {report.revision for report in record.reports or []}
    text = _LINE.format(
        record.month,
        f"{record.started:%Y-%m-%dT%H:%M:%SZ}",
        record.started_by[:24],
        record.outcome,
        "-".join(str(n) for n in sorted({min(revisions), max(revisions)})) if revisions else "",
        record.rows if isinstance(record, SettledRunRecord) else "",
        record.seconds,
    )
    if record.reason:
        text += f"\n         {reason_in_words(record.reason)}"
    return text


def sentence(problem: Exception, endpoint: str) -> str:
    """Say what is wrong with S3, or with the way to it."""
    advice = "`make up` runs an S3 on this machine; for another one, see 'In production' in README"
    if isinstance(problem, NoCredentialsError):
        return f"No S3 is configured and no `make up` runs here: there are no credentials. {advice}"
    if isinstance(problem, PartialCredentialsError | ProfileNotFound):
        return f"The credentials for S3 are not complete: {problem}"
    if isinstance(problem, ClientError):
        error = problem.response.get("Error", {})
        code, status = error.get("Code", ""), _status(problem)
        if code in _WRONG_KEYS:
            return f"S3 at {endpoint} does not take these credentials ({code})"
        if status == 403:
            return f"S3 at {endpoint} does not let these credentials read the bucket ({code})"
        return f"S3 at {endpoint} answered with status {status}: {error.get('Message') or code}"
    return f"S3{f' at {endpoint}' if endpoint else ''} cannot be read: {problem}"


def _status(problem: ClientError) -> int:
    return int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def check_that_it_listens(endpoint: str) -> None:
    """Refuse an endpoint where nothing listens, which boto3 asks for half a minute.

    Raises:
        Refused: the host is not known, or it refuses the connection.
    """
    address = urlsplit(endpoint)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname or "", port), timeout=5).close()
    except (ConnectionRefusedError, socket.gaierror) as problem:
        raise Refused(
            f"Nothing answers at {endpoint} ({problem.strerror}): start that S3, "
            "or correct AWS_ENDPOINT_URL_S3"
        ) from None
    except OSError:
        pass  # boto3 may know another way, through a proxy


def main(month: str = "") -> None:
    """Print the runs, oldest first within each month."""
    endpoint = ""
    try:
        if month:
            Month.parse(month)
        if used := use_its_s3():
            print(f"The runs of the stack of `make up`, in S3 at {used}", file=sys.stderr)
        store = ObjectStore(Settings())
        endpoint = store.client.meta.endpoint_url
        if boto3.Session().get_credentials() is None:
            raise NoCredentialsError
        check_that_it_listens(endpoint)
        print(_LINE.format(*_HEAD))
        for _, record in read_run_records(store, month):
            print(line(record))
    except Refused as problem:
        sys.exit(str(problem))
    except (BotoCoreError, ClientError, ValueError) as problem:
        sys.exit(sentence(problem, endpoint))


if __name__ == "__main__":
    main(*sys.argv[1:2])
