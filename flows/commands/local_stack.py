"""Where the stack of `make up` is, for the commands beside it: `build/up.env`.

The file holds the environment of what runs there, as lines for a shell (`. build/up.env`). It is
locked for as long as `make up` runs. An unlocked one is left from a `make up` that was killed, and
counts for nothing: something else may answer at its addresses by now.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "build" / "up.env"

# Whoever sets one of these says which S3 is meant, or who asks.
_CHOOSES_S3 = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "VPP_BUCKET",
)


@contextmanager
def published_environment(environment: Mapping[str, str], file: Path = FILE) -> Iterator[Path]:
    """Let other commands find the stack of this environment, for as long as this runs."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        opened.writelines(f"export {n}={shlex.quote(v)}\n" for n, v in environment.items())
        opened.flush()
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)


def running_environment(file: Path = FILE) -> dict[str, str]:
    """Return the environment of the stack that runs; empty where none does."""
    try:
        with file.open() as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                words = shlex.split(opened.read())
                return dict(word.split("=", 1) for word in words if word != "export")
    except OSError:
        pass
    return {}


def use_its_s3(file: Path = FILE) -> str:
    """Point this process at the running stack's S3, unless its environment names an S3.

    Returns:
        The endpoint's URL, or nothing where the environment stays as it is.
    """
    if any(os.environ.get(name) for name in _CHOOSES_S3):
        return ""
    environment = running_environment(file)
    os.environ |= {n: v for n, v in environment.items() if n.startswith("AWS_")}
    for name in ("VPP_BUCKET", "VPP_PREFIX"):
        if name in environment:
            os.environ.setdefault(name, environment[name])
    return environment.get("AWS_ENDPOINT_URL_S3", "")
