"""Torture the program and print tables with counts: `make torture`, some 20 minutes.

    python -m tests.torture [bombs|failures|outage|fuzz|texts ...] [--write]

With --write, `RESULTS.md` beside this file gets the tables of what was run.
"""

import argparse
import io
import logging
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from tasks.io.embedded_s3 import embedded_s3
from tests.torture import bombs, failures, fuzz, strategies, texts

RESULTS = Path(__file__).with_name("RESULTS.md")
Table = Iterator[str]  # lines of Markdown; the first are its head


def _row(*cells: object) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def _failures(endpoint: str) -> Table:
    expected = failures.undisturbed()
    results = [failures.break_network(endpoint, expected, rate, range(10)) for rate in _RATES]
    yield "Without Prefect, and so without the retries of its stages."
    yield ""
    yield _row("network", "runs", "faults", "ended as failed", "wrong results")
    yield "|---|--:|--:|--:|--:|"
    for found in results:
        yield _row(found.name, found.runs, found.faults.total(), found.failed, len(found.wrong))
    every = failures.moments(endpoint, None, 0, 0)
    randomly = failures.moments(endpoint, range(0), 50, seed=14)
    killed = [
        failures.kill(endpoint, expected, "before and after each request", every),
        failures.kill(endpoint, expected, "at random moments", randomly),
    ]
    yield ""
    yield _row(
        "SIGKILL",
        "kills",
        "reruns",
        "months partly published meanwhile, which their record says",
        "temporary folders left, until the rerun",
        "differences after the rerun",
    )
    yield "|---|--:|--:|--:|--:|--:|"
    for found in killed:
        yield _row(
            found.name, found.runs, found.runs, found.partly, found.folders, len(found.wrong)
        )
    races = [
        failures.race_settlements(endpoint, expected, races=4, processes=8),
        failures.race_registry(races=5, writers=8, changes=10),
    ]
    yield ""
    yield _row("race", "processes or writers", "failed", "lost or doubled")
    yield "|---|--:|--:|--:|"
    for found in races:
        yield _row(found.name, found.runs, found.failed, len(found.wrong))
    _say_wrong(sentence for found in (*results, *killed, *races) for sentence in found.wrong)


_RATES = (0.1, 0.3, 0.6)


def _outage(endpoint: str) -> Table:
    expected = failures.undisturbed()
    yield "The flow has its stages' retries, as it is deployed; the other row is without them."
    yield ""
    yield _row("network", "runs", "faults", "ended as failed", "wrong results")
    yield "|---|--:|--:|--:|--:|"
    for as_flow in (False, True):
        found = failures.lose_network(endpoint, expected, 60, as_flow)
        yield _row(found.name, found.runs, found.faults.total(), found.failed, len(found.wrong))
        _say_wrong(found.wrong)


def _bombs(_: str) -> Table:
    yield _row("object", "packed, kB", "unpacked, MB", "peak memory, MB", "seconds", "became")
    yield "|---|--:|--:|--:|--:|---|"
    for found in bombs.import_all(megabytes=1000):
        yield _row(
            found.name,
            f"{found.packed_bytes / 1000:,.0f}",
            f"{found.unpacked_mb:,}" if found.unpacked_mb else "",
            found.peak_mb,
            f"{found.seconds:.0f}",
            found.became,
        )
        _say_wrong(found.wrong)


def _fuzz(_: str) -> Table:
    yield _row(
        "kind", "from", "files", "failed or refused by a sentence", "rows", "wrong", "memory, MB"
    )
    yield "|---|---|--:|--:|--:|--:|--:|"
    for kind in fuzz.SEEDS:
        with redirect_stderr(io.StringIO()):  # what the line program says
            of_ours = fuzz.fuzz(kind, files=1000, seed=14)
            drawn = strategies.explore(kind, examples=100)
        for name, found in (
            ("our files, changed", of_ours),
            ("drawn, and changed", drawn),
        ):
            yield _row(
                kind,
                name,
                f"{found.files:,}",
                f"{found.failed:,}",
                f"{found.rows:,}",
                len(found.wrong),
                found.peak_mb,
            )
            _say_wrong(found.wrong)


def _texts(_: str) -> Table:
    places, refused, taken = texts.torture()
    yield f"Texts that are refused where they enter: {refused}, taken all the same: {len(taken)}."
    yield ""
    yield _row("place", "hostile texts shown", "leaks")
    yield "|---|--:|--:|"
    for name, found in places.items():
        yield _row(name, found.texts, len(found.leaks))
        _say_wrong(found.leaks)
    _say_wrong(taken)


def _say_wrong(sentences: "Iterator[str] | list[str]") -> None:
    for sentence in sentences:
        print(f"WRONG: {sentence}", file=sys.stderr, flush=True)
        _WRONG.append(sentence)


_WRONG: list[str] = []
_TABLES: dict[str, tuple[str, Callable[[str], Table]]] = {
    "bombs": ("Objects that are huge once unpacked", _bombs),
    "failures": ("Faults, kills and races", _failures),
    "outage": ("A network that is gone", _outage),
    "fuzz": ("Fuzzed files", _fuzz),
    "texts": ("Hostile texts", _texts),
}


def main() -> int:
    """Run what is named, or all; return how many results are wrong, as the exit status."""
    parser = argparse.ArgumentParser(description="Torture the program; print tables with counts.")
    parser.add_argument("tables", nargs="*", choices=[[], *_TABLES])
    parser.add_argument("--write", action="store_true", help="write them to RESULTS.md, too")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with embedded_s3() as endpoint:
        for name in options.tables or _TABLES:
            title, table = _TABLES[name]
            started = monotonic()
            lines = list(table(endpoint))
            how = (
                f"`python -m tests.torture {name}`, {monotonic() - started:,.0f} s, "
                f"{os.cpu_count()} cores, Python {platform.python_version()}, "
                f"{datetime.now(UTC):%Y-%m-%d}."
            )
            text = "\n".join([f"## {title}", "", how, "", *lines, ""])
            print(text, flush=True)
            if options.write:
                _write(title, text)
    print(f"wrong: {len(_WRONG)}")
    return min(len(_WRONG), 1)


def _write(title: str, text: str) -> None:
    """Replace a table's section of the results."""
    before = RESULTS.read_text() if RESULTS.exists() else "# Torture: results\n\n"
    sections = [part for part in re.split(r"(?m)^(?=## )", before) if part]
    sections = [part for part in sections if not part.startswith(f"## {title}\n")]
    RESULTS.write_text("\n".join(part.rstrip("\n") + "\n" for part in [*sections, text]))


if __name__ == "__main__":
    sys.exit(main())
