"""Known vulnerabilities in what a production installs: `make audit`.

pip-audit asks the package registry's advisories about each package of the lock. A registry that has
none, or cannot be reached, makes it report a clean result; so what was asked about is counted here.
Exit status: 0 when nothing is known to be vulnerable, also where nothing could be asked, which is
said; 1 when something is.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PIP_AUDIT = "pip-audit==2.10.1"
LOCK = Path(__file__).parents[1] / "requirements.lock"
NOT_CHECKED = "NOT CHECKED: no advisory was to be had"


def verdict(dependencies: list[dict[str, Any]]) -> tuple[str, bool]:
    """Return what pip-audit found, in words, and whether that is all right."""
    asked = [package for package in dependencies if "vulns" in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, corrected in "
        f"{', '.join(found['fix_versions']) or 'no version yet'}"
        for package in asked
        for found in package["vulns"]
    ]
    if not asked:
        return f"{NOT_CHECKED} about any of {len(dependencies)} packages.", True
    summary = f"{len(asked)} of {len(dependencies)} packages checked, vulnerabilities: {len(lines)}"
    return "\n".join([*lines, summary]), not lines


def main() -> int:
    """Run pip-audit on the lock, and print its verdict."""
    tool = [
        str(Path(sys.executable).with_name("uv")),
        "tool",
        "run",
        "--quiet",
        "--from",
        PIP_AUDIT,
    ]
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--requirement", str(LOCK)]
    done = subprocess.run(
        [*tool, "pip-audit", *options], capture_output=True, text=True, check=False
    )
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"{NOT_CHECKED}, since pip-audit did not run: {reason}")
        return 0
    said, is_well = verdict(dependencies)
    print(said)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
