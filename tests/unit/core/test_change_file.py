"""Files of many changes: JSON lines, and the kinds of CSV."""

import pytest

from tasks.core.change_file import read_changes
from tasks.core.changes import parse_change
from tasks.core.errors import Refused
from tests.unit.core.registries import Json, assign, battery, site, vpp

JSON_LINES = b"""\xef\xbb\xbf
{"change": "create-vpp", "name": "One", "revenue_percentage": 20}\r

  {"change": "create-site", "nmi": "6001000001", "vpp": "One", "address": "1 King St"}
{"change": "assign-site", "nmi": "6001000001", "vpp": null, "effective_from": "2025-09-01"}"""


SITES = b"""\xef\xbb\xbfVPP, nmi ,Address,effective_from\r
One,6001000001,"1 King St, Newcastle",\r
\r
,,,
 one ,qaaavzzzzz3, 2 "King" St ,2025-09-01
"""


BATTERIES = b"""serial,NMI,capacity_kwh,manufacturer
007,6001000001,13.5,Tesla
8,6001000001,10,sonnen"""


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            JSON_LINES,
            [
                (2, vpp("One", revenue_percentage=20)),
                (4, site("6001000001", "One")),
                (5, assign("6001000001", None, effective_from="2025-09-01")),
            ],
        ),
        (
            SITES,
            [
                (2, site("6001000001", "One", address="1 King St, Newcastle")),
                (
                    5,
                    site("QAAAVZZZZZ", "one", address='2 "King" St', effective_from="2025-09-01"),
                ),
            ],
        ),
        (
            BATTERIES,
            [
                (2, battery("007", "6001000001")),
                (3, battery("8", "6001000001", "10", manufacturer="sonnen")),
            ],
        ),
        (b"nmi,vpp,address\n", []),
        (
            b"nmi,vpp,address,channels,basis\n6001000001,One,1 King St,E1 B1,\n",
            [(2, site("6001000001", "One", channels="E1 B1"))],
        ),
        (
            b"region,nmi,effective_from,address\nNSW1,6001000001,2025-09-01,\n",
            [
                (
                    2,
                    {
                        "change": "update-site",
                        "nmi": "6001000001",
                        "region": "NSW1",
                        "effective_from": "2025-09-01",
                    },
                )
            ],
        ),
    ],
)
def test_files_are_read(data: bytes, expected: list[tuple[int, Json]]) -> None:
    assert list(read_changes(data)) == [
        (number, parse_change(fields)) for number, fields in expected
    ]


def test_a_file_without_effective_from_has_the_defaults() -> None:
    sites = [change for _, change in read_changes(SITES) if not isinstance(change, Refused)]
    assert ["effective_from" in change.model_fields_set for change in sites] == [False, True]


HEADERS = (
    "expected nmi, vpp, address (new sites, with region, channels and basis if wanted), nmi and "
    "some of address, region, channels and basis (changes of sites), or nmi, manufacturer, serial, "
    "capacity_kwh (batteries), each with effective_from if wanted; or a file of JSON lines"
)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", f"line 1: the header is empty; {HEADERS}"),
        (b"\n\n", f"line 1: the header is empty; {HEADERS}"),
        (b"nmi;vpp;address\n", f"line 1: the header is nmi;vpp;address; {HEADERS}"),
        (b"nmi,vpp,address,note\n", f"line 1: the header is nmi, vpp, address, note; {HEADERS}"),
        (b"nmi,vpp,address,nmi\n", f"line 1: the header is nmi, vpp, address, nmi; {HEADERS}"),
        (b"nmi,vpp\n", HEADERS),
        (b"nmi\n", f"line 1: the header is nmi; {HEADERS}"),
        (b"nmi,effective_from\n", HEADERS),
        (b"nmi,vpp,address,chanels\n", HEADERS),
        (b'[{"change": "create-vpp"}]', HEADERS),
        ("nmi,vpp,address\n".encode("utf-16"), "the file is not UTF-8 text"),
        (b"nmi,vpp,address\n6001000001,One,caf\xe9\n", "the file is not UTF-8 text"),
    ],
)
def test_what_is_no_file_of_changes_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        list(read_changes(data))
    assert sentence in str(refused.value)


@pytest.mark.parametrize("rows_behind", [2, 20_000])
def test_a_quote_that_is_not_closed_does_not_swallow_the_rows_behind_it(rows_behind: int) -> None:
    data = b'nmi,vpp,address\n6001000001,One,"1 King St\n' + b"6001000002,One,x\n" * rows_behind
    try:
        read = list(read_changes(data))
    except Refused as problem:
        assert "line 2" in str(problem)
    else:
        assert [number for number, change in read if isinstance(change, Refused)][:1] == [2]
