"""Temporary folders: there while they are used, gone afterwards, also after a kill."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import polars as pl
import pytest

from tasks.core.errors import Refused
from tasks.io.workspace import is_full, workspace

ROOT = Path(__file__).parents[3]
NOBODY = 65534
OWNER = """
import sys
from tasks.io.workspace import workspace
with workspace("import") as folder:
    (folder / "rows.parquet").write_bytes(b"half of it")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder for temporary files that nobody else uses."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def owner(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a process that uses a workspace until it is ended; yield it and its folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_it_is_there_while_it_is_used(parent: Path) -> None:
    with workspace("settle") as folder:
        assert folder.parent == parent
        assert folder.name.startswith(f"vpp-settle-{os.getpid()}-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "below").mkdir()
        (folder / "below" / "file").touch()
    assert list(parent.iterdir()) == []


def test_it_is_gone_after_a_failure(parent: Path) -> None:
    with pytest.raises(ZeroDivisionError), workspace("settle"):
        1 / 0  # noqa: B018
    assert list(parent.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(parent: Path) -> None:
    with owner(parent) as (process, left):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (left / "rows.parquet").exists()
        with workspace("settle") as folder:
            assert list(parent.iterdir()) == [folder]


def test_what_a_living_process_uses_stays(parent: Path) -> None:
    with owner(parent) as (process, used):
        for _ in range(2):
            with workspace("settle"), workspace("import"):
                assert (used / "rows.parquet").exists()
        os.kill(process.pid, signal.SIGSTOP)  # a process that stands still is alive
        with workspace("settle"):
            assert (used / "rows.parquet").exists()


def test_a_process_id_that_was_given_out_again_protects_nothing(parent: Path) -> None:
    left = parent / f"vpp-import-{os.getpid()}-abcd1234"
    left.mkdir()
    with workspace("settle"):
        assert not left.exists()


@pytest.mark.parametrize(
    "name", ["vpp-import-abcd1234", "vpp-up-x", "other", ".vpp-import-1-abcd1234", "vpp--1-abcd"]
)
def test_what_is_no_workspace_stays(parent: Path, name: str) -> None:
    (parent / name).mkdir()
    with workspace("settle"):
        assert (parent / name).exists()


def test_a_file_or_link_of_that_name_is_left_alone(parent: Path) -> None:
    precious = parent / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (parent / "vpp-import-1-abcd1234").symlink_to(precious)
    (parent / "vpp-import-2-abcd1234").touch()
    with workspace("settle"):
        assert (precious / "file").exists()
        assert (parent / "vpp-import-1-abcd1234").is_symlink()
        assert (parent / "vpp-import-2-abcd1234").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_another_users_folder_stays(parent: Path) -> None:
    others = parent / "vpp-import-1-abcd1234"
    others.mkdir()
    shutil.chown(others, NOBODY)
    with workspace("settle"):
        assert others.exists()


def test_a_folder_that_cannot_be_listed_is_no_failure(parent: Path) -> None:
    parent.chmod(0o300)  # root lists it all the same
    try:
        with workspace("settle") as folder:
            assert folder.is_dir()
    finally:
        parent.chmod(0o700)


def test_many_at_once_never_take_each_others(parent: Path) -> None:
    def use(number: int) -> bool:
        with workspace("import") as folder:
            file = folder / "file"
            file.write_text(str(number))
            with workspace("settle"):
                return file.read_text() == str(number)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(use, range(400)))
    assert list(parent.iterdir()) == []


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(Refused) as refused, workspace("full") as folder:
        (folder / "a").write_bytes(bytes(2_000_000))
        Path("/dev/full").write_bytes(b"x")
    assert re.fullmatch(
        rf"The disk of {tmp_path} is full: [0-9,.]+ MB of it were free for this stage, which needs "
        "more. An import needs the unpacked size of its file: .+",
        str(refused.value),
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("engine", ["polars", "duckdb", "spill"])
def test_every_engines_full_disk_is_known(engine: str, tmp_path: Path) -> None:
    """On a real file system of 4 MB, where this user may mount one."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", tmp_path],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("only root may mount a small file system")
    numbers = pl.select(pl.int_range(2_000_000))
    write: dict[str, Callable[[], object]] = {
        "polars": lambda: numbers.lazy().sink_parquet(tmp_path / "a", compression="uncompressed"),
        "duckdb": lambda: duckdb.sql(
            f"copy (select hash(range) from range(2000000)) to '{tmp_path}/a'"
        ),
        "spill": lambda: duckdb.connect(
            config={"temp_directory": str(tmp_path), "memory_limit": "30MB"}
        ).execute("create table t as select hash(range) h from range(9000000) order by h"),
    }
    try:
        with pytest.raises(Exception) as failed:
            write[engine]()
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
    assert is_full(failed.value)


def test_without_a_temporary_folder_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(Refused, match=r"No temporary folder can be made \(.*\): set TMPDIR to one"):
        workspace("nowhere").__enter__()
