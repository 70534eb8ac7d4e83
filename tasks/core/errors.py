"""All exceptions of the project, and who may try again.

Refused           a person has to change something     never retried; ends a run as failed
Unreadable        one inbox object cannot be read      never retried; becomes a failed import
CheckFailed       the books do not balance             never retried; a fault of this program
LostRace          somebody else wrote first            the caller reads again, a few times
ChangedMeanwhile  an object was replaced while read    the caller lists again, a few times
Unreachable       S3, or the network to it, fails      boto3, and then the stage (`runs/stage.py`)
"""


class Refused(Exception):
    """The request does not fit; nothing was written. The message says what to do.

    A flow ends as failed with it; a program prints the message alone.
    """


class Unreadable(Exception):
    """An inbox object that cannot be read at all. The message is the reason, for the catalog."""


class Unreachable(Exception):
    """S3 cannot be used for now. The message says which call, and what it was answered with."""


class CheckFailed(Exception):
    """What must always hold does not: a fault of this program, or a damaged object.

    Nothing is published.
    """


class LostRace(Exception):
    """Somebody else wrote first; read again and decide again."""


class ChangedMeanwhile(Exception):
    """The object was replaced or deleted after it was listed; list again."""
