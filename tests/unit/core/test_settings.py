"""Settings: a value that a variable cannot have is a sentence that names it."""

import pytest

from tasks.core.errors import Refused
from tasks.core.settings import Settings

NO_ZONE = "there is no such time zone; name one like Australia/Brisbane"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("VPP_TIMEZONE", "Australia/Brisban", NO_ZONE),
        ("VPP_TIMEZONE", "Australia", NO_ZONE),
        ("VPP_TIMEZONE", "../etc/passwd", NO_ZONE),
        ("VPP_TIMEZONE", "", NO_ZONE),
        ("VPP_PRESIGN_SECONDS", "0", "must be 1 or more"),
        ("VPP_TASK_RUNNER", "spark", "must be 'threads', 'dask' or 'ray'"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(Refused) as refused:
        Settings()
    assert str(refused.value) == f"{name} is {value!r}: {said}"
