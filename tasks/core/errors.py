"""The two ways in which a person's input can be wrong."""


class Refused(Exception):
    """What was asked for does not fit; nothing was written. The message says what to do.

    Flows let it end the run as failed; programs print the message alone. It is never retried.
    """


class Unreadable(Exception):
    """An event file that cannot be read at all. The message is the reason, for the catalog."""
