"""What a production installs: two locks that agree, licences, and how an audit is read."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.markers import Marker

from tests.audit import verdict
from tests.unit.test_architecture import ROOT

PINNED = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)", re.MULTILINE)
LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
PERMISSIVE = {
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CNRI-Python",
    "ISC",
    "ISC License (ISCL)",
    "MIT",
    "MIT License",
    "MIT-0",
    "PSF-2.0",
    "Python Software Foundation License",
}
# Of files that are used as they are, which is all that these ask for.
WEAK_COPYLEFT = {"MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"}
# By name, with the choice that is made where there is one.
EXCEPTIONS = {"text-unidecode": "Artistic License"}


def pinned(lock: Path) -> dict[str, str]:
    return dict(PINNED.findall(lock.read_text()))


def here(lock: Path) -> list[str]:
    """Name the packages of a lock that are for this Python and system."""
    lines = re.findall(r"^([a-z0-9.-]+)==[^ ;]+(?: ; ([^\\\n]+))?", lock.read_text(), re.MULTILINE)
    return sorted(name for name, marker in lines if not marker or Marker(marker).evaluate())


def licences(name: str) -> set[str]:
    """Return a package's licences: by its expression, else its classifiers, else its own words."""
    about = distribution(name).metadata
    if expression := about.json.get("license_expression"):
        return set(re.split(r"[() ]*\b(?:AND|OR)\b[() ]*|[()]", str(expression))) - {""}
    classes = [text.split(" :: ") for text in about.get_all("Classifier") or []]
    found = {parts[-1] for parts in classes if parts[0] == "License" and len(parts) > 2}
    return found or {str(about.json.get("license", "none")).splitlines()[0]}


def test_a_production_has_the_same_versions_without_tests_and_extras() -> None:
    production, development = map(pinned, LOCKS)
    assert production.items() <= development.items()
    others = {"pytest", "moto", "flask", "hypothesis", "playwright", "ray", "dask", "typst", "uv"}
    assert not others & set(production)
    assert others <= set(development)
    assert len(production) < len(development) * 0.6


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: str(lock.name))
def test_every_package_has_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    packages = re.split(r"\n(?=[a-z])", text.strip())
    assert len(packages) == len(pinned(lock))
    assert all("--hash=sha256:" in package for package in packages)


@pytest.mark.parametrize("name", here(LOCKS[0]))
def test_the_licence_of_what_a_production_installs_is_permissive(name: str) -> None:
    found = licences(name)
    if name in EXCEPTIONS:
        assert EXCEPTIONS[name] in found
    else:
        assert found <= PERMISSIVE | WEAK_COPYLEFT


def test_an_audit_of_nothing_is_not_called_clean() -> None:
    unknown = {"name": "a", "version": "1", "skip_reason": "not found"}
    clean = {"name": "b", "version": "1", "vulns": []}
    bad = {"name": "c", "version": "1", "vulns": [{"id": "X-1", "fix_versions": ["2"]}]}
    assert verdict([unknown]) == (
        "NOT CHECKED: no advisory was to be had about any of 1 packages.",
        True,
    )
    assert verdict([unknown, clean]) == ("1 of 2 packages checked, vulnerabilities: 0", True)
    assert verdict([bad, clean]) == (
        "c 1: X-1, corrected in 2\n2 of 2 packages checked, vulnerabilities: 1",
        False,
    )
