"""Types of parameters that several flows share."""

from typing import Annotated

from pydantic import Field

MonthText = Annotated[str, Field(pattern=r"^[12][0-9]{3}-(0[1-9]|1[0-2])$")]
MonthOrEmpty = Annotated[str, Field(pattern=r"^([12][0-9]{3}-(0[1-9]|1[0-2]))?$")]
Text = Annotated[str, Field(min_length=1)]
RevisionNumber = Annotated[int, Field(ge=0)]
