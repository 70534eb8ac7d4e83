"""What S3, or the way to it, fails with: a sentence each, on one call, its key and its permission.

boto3's exceptions are for programs, and some show what is secret: the URL, the key's id. All calls
of a client end here instead, by its own events:

- what a person has to change (credentials, permissions, clock, endpoint) is refused, and not tried
  again;
- what may pass is tried again, by boto3 for a minute or so (twice VPP_S3_READ_SECONDS) and then by
  the stage. Meanwhile the log says what is waited for.

What the store decides itself (missing, changed, lost) stays boto3's exception.
"""

import logging
import re
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore import exceptions
from botocore.parsers import ResponseParserError

from tasks.core.errors import Refused, Unreachable
from tasks.core.words import count

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_CREDENTIALS = (
    "There are no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "AWS_PROFILE (`make up` runs an S3 on this machine, without any)"
)
MISSING = {"NoSuchKey", "404", "NotFound"}
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_OF_THE_STORE = MISSING | LOST | {"InvalidRange", "304"}
_WRONG_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired"}
_PASSING = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "429"}
_PASSING_FAILURES = (
    exceptions.HTTPClientError,
    exceptions.ConnectionError,
    exceptions.CredentialRetrievalError,
)
_READS = {
    "ListObjectsV2": "s3:ListBucket",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "DeleteObject": "s3:DeleteObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}
_ERRNO = re.compile(r"\[Errno -?\d+\] ([^()'\]]+)")
_SAID_AFTER_SECONDS = 5

_logger = logging.getLogger("vpp.s3")


def in_words(problem: Exception) -> str:
    """Say why no client could be made, without any URL, since it may have a password in it."""
    if isinstance(problem, exceptions.PartialCredentialsError | exceptions.ProfileNotFound):
        return f"The credentials for S3 are not complete: {problem}"
    if isinstance(problem, ValueError):
        return "AWS_ENDPOINT_URL_S3 is no URL of an S3, like http://127.0.0.1:9000; correct it"
    return f"S3 is not configured as it should be: {problem}"


class Failures:
    """Makes sentences of what the calls of a client fail with."""

    def __init__(self, client: "S3Client", connect_seconds: float, read_seconds: float) -> None:
        self.endpoint = str(client.meta.endpoint_url)
        self.connect_seconds, self.read_seconds = connect_seconds, read_seconds
        if "@" in urlsplit(self.endpoint).netloc:
            raise Refused(
                "The URL of S3 has a user or password in it; leave them out: S3 takes "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what else AWS tools take"
            )
        events = client.meta.events
        events.register("before-parameter-build.s3", self._begin)
        events.register_first("needs-retry.s3", self._wait)
        events.register("after-call-error.s3", self._raise)
        events.register("after-call.s3", self._check)

    @property
    def patience_seconds(self) -> float:
        """Return how long a call is tried again."""
        return 2 * self.read_seconds

    def broken(self, key: str, times: int, seconds: float) -> Unreachable:
        """Return that the connection breaks again and again in the middle of an object."""
        return Unreachable(
            f"S3 at {self.endpoint} breaks off in the middle of {key}: {count(times, 'time')} in "
            f"{seconds:.0f} s"
        )

    def _begin(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        action = _READS.get(model.name, "s3:PutObject")
        place = "/".join(filter(None, (params.get("Bucket"), params.get("Key"))))
        if folder := params.get("Prefix"):
            place += f"/{folder}"
        context["vpp"] = (f"{action} on {place}", monotonic())

    def _wait(
        self, response: Any, caught_exception: Exception | None, request_dict: Any, **_: Any
    ) -> None:
        """Say what is waited for, and stop when that takes too long."""
        if caught_exception is None and response[0].status_code < 500:
            return
        call, since = request_dict["context"]["vpp"]
        seconds = monotonic() - since
        why = (
            self._why(caught_exception)
            if caught_exception
            else f"it answers with {response[0].status_code}"
        )
        if seconds > self.patience_seconds:
            raise self._unreachable(call, why, seconds)
        if seconds > _SAID_AFTER_SECONDS:
            _logger.warning(
                "waiting for S3 at %s: %s, %s, for %.0f s now", self.endpoint, call, why, seconds
            )

    def _unreachable(self, call: str, why: str, seconds: float) -> Unreachable:
        return Unreachable(
            f"S3 at {self.endpoint} cannot be used ({call}): {why}, for {seconds:.0f} s"
        )

    def _why(self, problem: Exception) -> str:
        if isinstance(problem, exceptions.ConnectTimeoutError):
            return f"it takes no connection within {self.connect_seconds:g} s"
        if isinstance(problem, exceptions.ReadTimeoutError):
            return f"it takes connections and does not answer within {self.read_seconds:g} s"
        if isinstance(problem, exceptions.EndpointConnectionError):
            found = _ERRNO.search(str(problem.kwargs.get("error")))
            return f"nothing answers there ({found[1].strip() if found else 'no connection'})"
        if isinstance(problem, exceptions.ConnectionClosedError):
            return "it closes the connection before it answers"
        return f"the connection fails ({type(problem).__name__})"

    def _raise(self, exception: Exception, context: dict[str, Any], **_: Any) -> None:
        """Raise the sentence of a call that had no answer."""
        call, since = context["vpp"]
        if isinstance(exception, Refused | Unreachable):
            return
        if isinstance(exception, exceptions.NoCredentialsError):
            raise Refused(NO_CREDENTIALS) from None
        if isinstance(exception, ResponseParserError):
            raise self._no_s3() from None
        if isinstance(exception, exceptions.SSLError):
            raise Refused(
                f"The certificate of S3 at {self.endpoint} cannot be trusted: correct it, or name "
                "its authority in AWS_CA_BUNDLE"
            ) from None
        cause = (
            exception.kwargs.get("error")
            if isinstance(exception, exceptions.BotoCoreError)
            else exception
        )
        if isinstance(cause, ValueError):
            raise Refused(
                "The credentials for S3 cannot be sent: a line break or blank is in them"
            ) from None
        if isinstance(exception, _PASSING_FAILURES):
            raise self._unreachable(call, self._why(exception), monotonic() - since) from None

    def _no_s3(self) -> Refused:
        return Refused(f"What answers at {self.endpoint} is no S3: correct AWS_ENDPOINT_URL_S3")

    def _check(
        self, http_response: Any, parsed: dict[str, Any], model: Any, context: Any, **_: Any
    ) -> None:
        """Raise the sentence of an answer that is an error."""
        status = http_response.status_code
        code = str(parsed.get("Error", {}).get("Code", ""))
        call, since = context["vpp"]
        if model.name == "ListObjectsV2":
            is_404 = status == 404 and code != "NoSuchBucket"
            if is_404 or (status < 300 and "Name" not in parsed):
                raise self._no_s3()
        if status < 300 or code in _OF_THE_STORE:
            return
        if (status >= 500 and status != 501) or code in _PASSING:
            why = f"it answers with {status} ({code})"
            raise self._unreachable(call, why, monotonic() - since)
        if code == "RequestTimeTooSkewed":
            raise self._clock_is_off(http_response.headers.get("date", "something else"))
        raise self._refused(call, status, code, str(parsed["Error"].get("Message", "")))

    def _clock_is_off(self, date: str) -> Refused:
        now = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
        return Refused(
            f"This machine's clock is off: it says {now}, and S3 at {self.endpoint} says {date}; "
            "correct it"
        )

    def _refused(self, call: str, status: int, code: str, message: str) -> Refused:
        there = f"S3 at {self.endpoint}"
        if code in _WRONG_KEYS:
            return Refused(
                f"{there} does not take these credentials ({code}): correct AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or what provides them"
            )
        if code in _EXPIRED:
            return Refused(f"The credentials for {there} have expired ({code}): get new ones")
        if code == "NoSuchBucket":
            bucket = call.partition(" on ")[2].partition("/")[0]
            return Refused(
                f"there is no bucket {bucket!r}; make it, or set VPP_BUCKET to the right one"
            )
        if status == 403:
            return Refused(
                f"{there} does not permit {call} ({code}): the policy of these credentials must "
                "allow it"
            )
        return Refused(f"{there} answers {call} with {status} ({code}): {message[:200]}")
