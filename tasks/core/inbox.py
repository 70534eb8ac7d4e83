"""How an object is named that people upload: one way, whichever folder it goes to."""

import re

from tasks.core.change_fields import shown
from tasks.core.errors import Refused

_MAX_CHARACTERS = 200  # S3 takes 1,024 bytes, of which a prefix and the folder are some
_PART = re.compile("[A-Za-z0-9_][A-Za-z0-9._ -]*")


def inbox_key(folder: str, name: str, field: str = "name") -> str:
    """Return the key of an uploaded object from its name, with or without its folder before it.

    So a name may be given as every list shows it: both `2025/sites.csv` and
    `registry/uploads/2025/sites.csv` are `registry/uploads/2025/sites.csv`.

    Args:
        folder: where such objects are, with a slash at its end.
        name: what a person gave.
        field: what the person calls it, for the message.

    Raises:
        Refused: the name is empty or too long, leads out of the folder, or has characters that
            are taken for something else on the way.
    """
    relative = name.strip().removeprefix(folder)
    if not relative:
        raise Refused(f"{field}: must not be empty; give a name like sites.csv")
    if len(relative) > _MAX_CHARACTERS:
        raise Refused(f"{field}: must have at most {_MAX_CHARACTERS} characters")
    if not all(_PART.fullmatch(part) for part in relative.split("/")):
        raise Refused(
            f"{field}: {shown(name)} is no name in {folder}; write it as letters, digits, dots, "
            "dashes, underscores and blanks, with single slashes between folders, like "
            "2025/sites.csv"
        )
    return folder + relative
