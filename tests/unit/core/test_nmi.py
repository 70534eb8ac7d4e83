"""NMIs: which are valid, and which two name the same site."""

import pytest

from tasks.core.nmi import canonical_nmi, check_digit, default_region

# The examples of AEMO's NMI procedure, each with its check digit at the end.
# fmt: off
CHECK_DIGITS = [
    "20019857328", "20019857336", "30756218758", "30756218766", "43168540059", "43168540067",
    "63058884446", "63508884442", "70018883338", "71020000017", "NAAAMYS5826", "NBBBX111100",
    "NBBBX111118", "NCCC5194955", "NGGG0000554", "QAAAVZZZZZ3", "QCDWW000102", "SMVEW000858",
    "VAAA0000657", "VAAA0000665", "VAAA0000672", "VAAASTY5768", "VCCCX000091", "VEEEX000091",
    "VKTS7861502", "VKTS8671505", "VKTS8716507", "VKTS8761057", "VKTS8761503", "VKTS8765108",
]
# fmt: on


@pytest.mark.parametrize("nmi", CHECK_DIGITS)
def test_check_digit(nmi: str) -> None:
    assert check_digit(nmi[:10]) == nmi[10]
    assert canonical_nmi(nmi) == nmi[:10]


@pytest.mark.parametrize(
    ("text", "nmi"),
    [
        ("2001985732", "2001985732"),
        ("20019857328", "2001985732"),
        ("qaaavzzzzz3", "QAAAVZZZZZ"),
        (" NBBBX11110\t", "NBBBX11110"),
        ("nbbbx111100", "NBBBX11110"),
    ],
)
def test_canonical(text: str, nmi: str) -> None:
    assert canonical_nmi(text) == nmi


@pytest.mark.parametrize(
    "text",
    [
        "",
        "200198573",
        "200198573288",
        "2001985732A",
        "600100000O",
        "600100000I",
        "600100000o",
        "60010 0001",
        "6001-00001",
        "600100000\n1",
        "600100000\u0661",  # Arabic-Indic 1
        "2001985732\u0668",
        "60010000\u00df",  # in upper case SS
        "600100000\u017f",  # in upper case S
        "60010000\u0131\u0131",  # in upper case II
    ],
)
def test_what_is_no_nmi(text: str) -> None:
    with pytest.raises(ValueError, match="is not an NMI: 10 letters") as problem:
        canonical_nmi(text)
    assert repr(text) in str(problem.value)


@pytest.mark.parametrize("text", ["20019857327", "QAAAVZZZZZ0", "NBBBX111109"])
def test_a_wrong_check_digit_is_said(text: str) -> None:
    sentence = f"{text[:10]} takes {check_digit(text[:10])}"
    with pytest.raises(ValueError, match=f"wrong check digit: {sentence}"):
        canonical_nmi(text)


def test_every_other_check_digit_is_wrong() -> None:
    for digit in "0123456789":
        if digit == check_digit("2001985732"):
            continue
        with pytest.raises(ValueError, match="wrong check digit"):
            canonical_nmi(f"2001985732{digit}")


@pytest.mark.parametrize(
    ("nmi", "region"),
    [
        ("4102000009", "NSW1"),
        ("NBBBX11110", "NSW1"),
        ("NGGG000001", "NSW1"),
        ("7001000001", "NSW1"),
        ("3000000001", "QLD1"),
        ("3120000001", "QLD1"),
        ("QAAAVZZZZZ", "QLD1"),
        ("6001000001", "VIC1"),
        ("6500000001", "VIC1"),
        ("VAAA000001", "VIC1"),
        ("2001985732", "SA1"),
        ("2020000001", "SA1"),
        ("SAAA000001", "SA1"),
        ("8000000001", "TAS1"),
        ("8590000001", "TAS1"),
        ("T000000001", "TAS1"),
        ("9876543210", None),
        ("6600000001", None),
        ("2030000001", None),
        ("8001000001", None),
        ("7000000001", None),
    ],
)
def test_an_nmis_block_says_its_region(nmi: str, region: str | None) -> None:
    assert default_region(nmi) == region
