"""Temporary folders that outlive nobody: what a killed run leaves behind, the next one removes.

A folder is locked (flock) by the process that made it, for as long as it uses it. The kernel takes
the lock back when that process dies, however it dies. So an unlocked folder belongs to nobody. A
process id would not say so: ids are given out again, and in another container they mean another
process. The folder's name has it all the same, for a person who looks.
"""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.core.errors import Refused

_FULL = ("No space left on device", "Disk quota exceeded", "max_temp_directory_size")
_WORKSPACE = re.compile(r"vpp-[a-z]+-[0-9]+-[a-z0-9_]+")


@contextmanager
def workspace(purpose: str) -> Iterator[Path]:
    """Yield a new temporary folder, `vpp-<purpose>-<process id>-...`; remove it at the end.

    Folders of processes of this user that died before they could do so are removed first.

    Args:
        purpose: what it is for, in one word of small letters.

    Raises:
        Refused: no folder can be made, or the disk is full.
    """
    try:
        parent = Path(tempfile.gettempdir())
        _remove_abandoned(parent)
        new = Path(tempfile.mkdtemp(prefix=f".vpp-{purpose}-{os.getpid()}-", dir=parent))
    except OSError as problem:
        if is_full(problem):
            raise Refused(_full(parent, 0)) from None
        raise Refused(
            f"No temporary folder can be made ({problem}): set TMPDIR to one that this user may "
            "write to"
        ) from None
    lock = _lock(new)
    # Only now does it have the name by which others would find it.
    folder = new.rename(parent / new.name.removeprefix("."))
    try:
        with full_disk_in_words(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def full_disk_in_words(folder: Path) -> Iterator[None]:
    """Say in a sentence that the disk of a folder is full, which was filled for a stage.

    Raises:
        Refused: it is.
    """
    try:
        yield
    except Exception as problem:
        if not is_full(problem):
            raise
        used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        raise Refused(_full(folder.parent, used)) from None


def is_full(problem: Exception) -> bool:
    """Say whether a disk is full: Python, Polars and DuckDB have an exception each for that."""
    return any(words in str(problem) for words in _FULL)


def _full(parent: Path, used: int) -> str:
    free = shutil.disk_usage(parent).free + used
    return (
        f"The disk of {parent} is full: {free / 1e6:,.1f} MB of it were free for this stage, which "
        "needs more. An import needs the unpacked size of its file: free that, or set TMPDIR to a "
        "folder of a larger disk"
    )


def _remove_abandoned(parent: Path) -> None:
    """Remove the workspaces below a folder that are this user's and that nobody uses."""
    try:
        with os.scandir(parent) as entries:
            folders = [parent / e.name for e in entries if _WORKSPACE.fullmatch(e.name)]
    except OSError:
        return
    for folder in folders:
        lock = _lock(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder of this user; return the open lock, or None where that cannot be.

    It cannot be where another process holds the lock, where the folder is gone by now or is
    somebody else's, where it is a link, and on file systems that lock no folders. There, nothing
    is ever taken for abandoned.
    """
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):
        if os.fstat(opened).st_uid == os.getuid():
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return opened
    os.close(opened)
    return None
