"""National Metering Identifiers: how a site is named.

Ten characters, upper case, without the letters I and O; an eleventh, if there is one, is the check
digit, and names the same site as the ten before it. Source: AEMO, NMI procedure (checksum).
"""

import re

NMI_PATTERN = "[0-9A-HJ-NP-Z]{10}"
# What the NMIs of a market region begin with (AEMO's allocation list); the ACT is in NSW1.
REGION_BLOCKS = {
    "NSW1": ("4", "N", "7001"),
    "QLD1": ("30", "31", "Q"),
    "VIC1": ("60", "61", "62", "63", "64", "65", "V"),
    "SA1": ("200", "201", "202", "S"),
    "TAS1": ("8000", "8590", "T"),
}


def check_digit(nmi: str) -> str:
    """Return the check digit of a ten-character NMI: '2001985732' -> '8'."""
    total = 0
    for position, character in enumerate(reversed(nmi)):
        code = ord(character) * (2 if position % 2 == 0 else 1)
        total += sum(int(digit) for digit in str(code))
    return str((10 - total % 10) % 10)


def canonical_nmi(text: str) -> str:
    """Return the ten characters that name the site, from ten or eleven in any case.

    Raises:
        ValueError: the text is no NMI, or its check digit is wrong. The message says which.
    """
    nmi = text.strip().upper()
    if not text.isascii() or not re.fullmatch(f"{NMI_PATTERN}[0-9]?", nmi):
        raise ValueError(
            f"{text!r} is not an NMI: 10 letters (without I and O) and digits, "
            "or 11 with the check digit"
        )
    if len(nmi) == 11 and nmi[10] != check_digit(nmi[:10]):
        raise ValueError(
            f"{text!r} has the wrong check digit: {nmi[:10]} takes {check_digit(nmi[:10])}"
        )
    return nmi[:10]


def default_region(nmi: str) -> str | None:
    """Return the market region whose block an NMI is from; None: it is from none of them."""
    found = (region for region, blocks in REGION_BLOCKS.items() if nmi.startswith(blocks))
    return next(found, None)
