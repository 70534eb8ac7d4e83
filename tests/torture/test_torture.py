"""The torture in short, with a seed. `make torture` has all of it, RESULTS.md what came of it."""

import io
from pathlib import Path

import pytest
import typst
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xlsxwriter import Workbook

from tests.torture import bombs, failures, fuzz, strategies, texts
from tests.torture.bombs import HEADER

CORPUS = sorted(path for path in fuzz.CORPUS.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def expected(s3_endpoint: str) -> failures.Expected:
    return failures.undisturbed()


@pytest.mark.parametrize("rate", [0.3, 0.6])
def test_faults_of_the_network(s3_endpoint: str, expected: failures.Expected, rate: float) -> None:
    found = failures.break_network(s3_endpoint, expected, rate, range(1))
    assert found.wrong == []
    assert found.faults.total() > 5


def test_kills(s3_endpoint: str, expected: failures.Expected) -> None:
    """Just before and after the claim of revisions, and between two reports of the month."""
    writes = [failures.Kill(False, number, True) for number in (24, 28)]
    found = failures.kill(s3_endpoint, expected, "kill", writes)
    assert found.wrong == []
    assert found.failed == 2


def test_races(s3_endpoint: str, expected: failures.Expected) -> None:
    assert failures.race_settlements(s3_endpoint, expected, races=1, processes=3).wrong == []
    assert failures.race_registry(races=1, writers=8, changes=2).wrong == []


@pytest.mark.usefixtures("s3_endpoint")
@pytest.mark.parametrize(
    "name",
    ["5 MB of commas", "short rows below a wide header", "400 rows"],
)
def test_bombs(name: str) -> None:
    found = list(bombs.import_all(megabytes=20, only=name))
    assert found
    assert [sentence for one in found for sentence in one.wrong] == []


@pytest.mark.usefixtures("s3_endpoint")
@pytest.mark.parametrize("kind", fuzz.SEEDS)
def test_fuzzed_files(kind: str) -> None:
    assert fuzz.fuzz(kind, files=25, seed=1).wrong == []


@pytest.mark.usefixtures("s3_endpoint")
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_once_broke(path: Path) -> None:
    assert fuzz.replay(path.parent.name, [path.read_bytes()]).wrong == []


@pytest.mark.usefixtures("s3_endpoint")
@pytest.mark.parametrize("kind", strategies.FILES)
def test_valid_files_are_taken_and_what_is_changed_in_them_is_accounted_for(kind: str) -> None:
    found = strategies.explore(kind, examples=3)
    assert found.wrong == []
    assert found.rows > 5


@pytest.mark.usefixtures("s3_endpoint")
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    files=st.lists(
        st.lists(
            st.lists(st.text(max_size=8) | st.sampled_from(HEADER.decode().strip().split(",")))
        ),
        max_size=20,
    )
)
def test_any_text_as_an_event_file(files: list[list[list[str]]]) -> None:
    made = ["\n".join(",".join(cells) for cells in lines) for lines in files]
    data = [HEADER + text.encode("utf-8", "replace") for text in made]
    assert fuzz.replay("events", data).wrong == []


@pytest.mark.usefixtures("s3_endpoint")
def test_hostile_texts_are_text_wherever_they_appear() -> None:
    places, refused, taken = texts.torture(looked_at=1)
    assert [leak for found in places.values() for leak in found.leaks] == []
    assert places.pop("explanations").texts == 1
    assert places.pop("PDFs").texts == 5
    assert places.pop("the line program").texts > 2
    assert min(found.texts for found in places.values()) >= len(texts.TEXTS)
    assert (refused, taken) == (6 * len(texts.UNSEEN), [])


def test_a_leak_would_be_seen() -> None:
    mark = texts.MARK
    for text in (f"[a](http://b/{mark})", f"<img src={mark}>", f"`{mark}`", f"<b>{mark}</b>"):
        assert texts.read_markdown(text)[1] or "<b>" in text, text
    for text in (f"<img src=x {mark}>", f"<a href='{mark}'>b</a>", f"<!--{mark}-->"):
        assert texts.read_page(text)[1], text
        assert text.startswith("<!") or texts.read_in_browser([text])[1], text
    assert texts.read_in_browser([f"<script>alert('{mark}')</script>"])[1][0] == mark
    assert texts.read_pdf(typst.compile(f'#link("http://a/{mark}")[b]'.encode()))[1]
    book = io.BytesIO()
    with Workbook(book) as workbook:
        workbook.add_worksheet().write_formula(0, 0, "=1+1")
    assert texts.read_workbook(book.getvalue())[1]
    assert texts.read_terminal("a\x1b[2J") == (0, ["U+001B"])
    assert texts.read_csv(f"a,b\n=1+{mark},2\n".encode())[1]
    assert texts.read_csv(f"a,b\n{mark}\n".encode())[1]
