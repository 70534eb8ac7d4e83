"""Dispute bundles as their readers open them."""

import io
import json
from zipfile import ZipFile

from tasks.evidence.dispute import bundle
from tasks.evidence.explanation import Explained


def contents(data: bytes) -> dict[str, str]:
    with ZipFile(io.BytesIO(data)) as zip_file:
        return {name: zip_file.read(name).decode() for name in zip_file.namelist()}


def check_bundle(one: Explained, others: set[str]) -> None:
    """Check that a bundle has all of its site, and none of these names of others."""
    nmi, files = one.explanation.nmi, contents(bundle(one))
    folded_others = {other.casefold() for other in others}
    for name, text in files.items():
        assert nmi in text or name == "run.json", name
        folded = text.casefold()
        assert [other for other in folded_others if other in folded] == [], name
    tables = [files[name] for name in ("events.csv", "readings.csv") if name in files]
    rows = sum(len(table.splitlines()) - 1 for table in tables)
    assert rows == one.report.sites[nmi].events
    assert list(json.loads(files["report.json"])["sites"]) == [nmi]
    assert json.loads(files["run.json"])["key"] == one.explanation.run_record
