"""What a month is settled from."""

from pathlib import Path

import pytest

from tasks.settlement import inputs
from tests.flows.sample import ROOT


def test_the_programs_name_covers_every_file_of_every_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a month would be skipped as unchanged though another program would settle it."""
    assert inputs.PROGRAM == ROOT / "tasks"
    monkeypatch.setattr(inputs, "PROGRAM", tmp_path)
    names = set()
    for name in ("settlement/rule.py", "core/money.py", "sql/allocation/pools.sql", "__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
        inputs._program.cache_clear()
        names.add(inputs._program())
        path.write_text("2")
        inputs._program.cache_clear()
        names.add(inputs._program())
    inputs._program.cache_clear()
    assert len(names) == 8
