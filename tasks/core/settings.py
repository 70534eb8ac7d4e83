"""What a deployment may choose, from environment variables that start with `VPP_`.

S3 itself is configured as for every AWS tool: AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_PROFILE ...
"""

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from tasks.core.change_fields import what_is_wrong
from tasks.core.errors import Refused


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("there is no such time zone; name one like Australia/Brisbane") from None
    return name


class Settings(BaseSettings):
    """The settings as the environment has them when an instance is made.

    One is made wherever it is needed. As long as a process does not change its own environment, all
    of them are equal.

    Raises:
        Refused: a variable has a value that it cannot have; the message names the variable.
    """

    model_config = SettingsConfigDict(env_prefix="VPP_", frozen=True)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as problem:
            first = problem.errors()[0]
            name = f"VPP_{str(first['loc'][0]).upper()}"
            raise Refused(f"{name} is {first['input']!r}: {what_is_wrong(first)}") from None

    bucket: str = Field("vpp-settlement", description="The S3 bucket that everything is in.")
    prefix: str = Field("", description="Goes before every key, like 'production/'.")
    timezone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "Australia/Brisbane",
        description="Market time. NEM time is UTC+10 all year; Brisbane has no daylight saving.",
    )
    max_rejected_percent: float = Field(
        5.0, ge=0, le=100, description="A month with more rejected rows (%) is not published."
    )
    max_missing_percent: float = Field(
        5.0,
        ge=0,
        le=100,
        description="A month in which more of the intervals of a VPP's meters are missing (%) is "
        "not published.",
    )
    max_rejected_rows: int = Field(
        1_000_000,
        ge=0,
        description="A file with more rejected rows is of another format, and a failed import.",
    )
    max_line_bytes: int = Field(
        65_536, ge=1_024, description="A file with a longer line (bytes) is a failed import."
    )
    max_columns: int = Field(
        100, ge=5, description="An event file with more columns is a failed import."
    )
    max_unpacked_gb: float = Field(
        16.0, gt=0, description="An object that is bigger, once unpacked (GB), is a failed import."
    )
    max_unpacked_ratio: int = Field(
        500,
        ge=1,
        description="An object that is more than so many times as big once unpacked, and over 64 "
        "MB, is a failed import.",
    )
    task_runner: Literal["threads", "dask", "ray"] = Field(
        "threads", description="What runs the imports of a flow; dask and ray are extras."
    )
    task_runner_address: str = Field(
        "", description="A running Dask or Ray cluster. Empty: a local one for the run."
    )
    s3_connect_seconds: float = Field(
        5.0, gt=0, le=60, description="How long S3 may take to take a connection (s)."
    )
    s3_read_seconds: float = Field(
        30.0,
        gt=0,
        le=300,
        description="How long S3 may send nothing (s); a call is tried again for twice as long.",
    )
    presign_seconds: int = Field(
        900, ge=1, le=604800, description="How long links to reports and other data are valid (s)."
    )
    presign_upload_seconds: int = Field(
        900, ge=1, le=604800, description="How long links to upload a file are valid (s)."
    )
    presign_statement_seconds: int = Field(
        604800,
        ge=1,
        le=604800,
        description="How long links to statements and results are valid (s): at most seven days.",
    )
