"""Documents that cannot rot: what they name is there, and what is there is named.

Read are all Markdown files, and the docstrings and comments of all code. A path is

- a name that ends like a source file (`.py`, `.sql`, `.md`, ...), in backticks or not;
- any other name in backticks with a slash behind two letters or more, unless it is a key on S3: it
  begins like one of `core/keys.py`, or has a part that stands for others (`<month>`, `*`);
- a name in backticks or quotes, without a suffix, whose folder is one of `tasks/sql`: a statement.

It must exist below the folder of the file that names it, below the root, or below `tasks`. What is
made here and not kept (`build/`, `.venv/`) need not.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.core.settings import Settings
from tasks.imports.catalog import KINDS
from tests.unit.test_architecture import ROOT, WRITERS

OPERATORS = ROOT / "flows" / "README.md"
MAKEFILE = ROOT / "Makefile"
SUFFIXES = "py|sql|md|toml|yaml|lock"
NAME = r"\.?[\w-]+"
SOURCE_FILE = re.compile(rf"(?<![\w/.<>*-])(?:{NAME}/)*{NAME}\.(?:{SUFFIXES})\b(?![\w(/-])")
OTHER_PATH = re.compile(r"\.?[a-z][\w-]+/[\w./-]*")
IN_BACKTICKS = re.compile(r"`([^`\s]+)`")
IN_QUOTES = re.compile(r"'([a-z]+/[a-z_]+)'")
S3_PREFIXES = (*(kind.folder for kind in KINDS), *WRITERS)
FOLDERS = ("flows", "tasks", "tests", "data", "deploy")
MADE_HERE = ("build/", ".venv/")
STATEMENTS = ROOT / "tasks" / "sql"
COMMENT = {".sql": r"--(.*)", ".yaml": r"(?:^|\s)#(.*)", ".toml": r"(?:^|\s)#(.*)"}


def project_files(*suffixes: str) -> list[Path]:
    """Return the project's files with these suffixes."""
    below = [path for top in FOLDERS for path in (ROOT / top).rglob("*")]
    return sorted(path for path in [*ROOT.glob("*"), *below] if path.suffix in suffixes)


def docstrings_and_comments(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@cache
def prose(path: Path) -> str:
    """Return what a file says to people: all of a Markdown file, else docstrings and comments."""
    text = path.read_text()
    if path.suffix == ".py":
        return "\n".join(docstrings_and_comments(text))
    if path.suffix in COMMENT:
        return "\n".join(re.findall(COMMENT[path.suffix], text, re.MULTILINE))
    return text


# A template is no document: its links are filled in.
MARKDOWN = [path for path in project_files(".md") if path.parent.name != "templates"]
FILES = [*MARKDOWN, MAKEFILE, *project_files(".py", *COMMENT)]


def paths_named(text: str) -> set[str]:
    """Return what a text names as paths, by the rule above."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    in_backticks = set(IN_BACKTICKS.findall(text))
    statements = {n for n in in_backticks | set(IN_QUOTES.findall(text)) if is_statement(n)}
    others = {
        name
        for name in in_backticks
        if OTHER_PATH.fullmatch(name) and not name.startswith(S3_PREFIXES + MADE_HERE)
    }
    return statements | others | set(SOURCE_FILE.findall(text))


def is_statement(name: str) -> bool:
    """Say whether a name is one of a statement, as `tasks.io.warehouse.sql` takes it."""
    folder, _, file = name.partition("/")
    return bool(re.fullmatch("[a-z_]+", file)) and (STATEMENTS / folder).is_dir()


def exists(name: str, named_in: Path) -> bool:
    if is_statement(name):
        return (STATEMENTS / f"{name}.sql").exists()
    return any((folder / name).exists() for folder in (named_in.parent, ROOT, ROOT / "tasks"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see `core/money.py`, and README.md.", {"core/money.py", "README.md"}),
        ("sums (sql/events/daily.sql) of a day", {"sql/events/daily.sql"}),
        ("`events/daily`, 'allocation/pools'", {"events/daily", "allocation/pools"}),
        ("`tasks.io.warehouse.sql` or sql()", set()),
        ("`imports/catalog.parquet`, `runs/`, `reports/<month>/<vpp>.json`", set()),
        ("`events/2025-09/week-1.csv` and `rejected.csv`", set()),
        ("`data/demo` is read, `build/demo` written, `n/a`, `14/09/2025`", {"data/demo"}),
        ("`tests/**/test_*.py` are", set()),
        ("```\nprefect deploy flows/gone.py\n```", set()),
    ],
)
def test_what_a_path_is(text: str, expected: set[str]) -> None:
    assert paths_named(text) == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_is_named_exists(path: Path) -> None:
    assert [name for name in sorted(paths_named(prose(path))) if not exists(name, path)] == []


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text())
    ours = [link for link in links if "://" not in link]
    assert [link for link in ours if not (path.parent / link).exists()] == []


def test_every_module_that_is_to_be_run_exists() -> None:
    named = {
        module
        for path in FILES
        for module in re.findall(r"python -m ((?:flows|tasks|tests)[\w.]*)", path.read_text())
    }
    for module in named:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def tables(document: Path) -> dict[str, list[list[str]]]:
    """Return the rows of a document's tables by the words of their heads, without backticks."""
    found: dict[str, list[list[str]]] = {}
    head = ""
    for line in document.read_text().splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            head = ""
        elif not head:
            head = ", ".join(cells)
        elif not set(line) <= set("|-: "):
            found.setdefault(head, []).append(cells)
    return found


def deployments() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    return found


def parameters(entrypoint: str) -> str:
    """Return the names of a flow's parameters: 'flows.check.check_settled' -> 'month'."""
    module, _, name = entrypoint.rpartition(".")
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    [function] = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name]
    return ", ".join(argument.arg for argument in function.args.args)


def test_every_deployment_is_in_the_operators_table_with_its_parameters() -> None:
    rows = tables(OPERATORS)["to, deployment, parameters"]
    assert sorted(row[1:] for row in rows) == sorted(
        [deployment["name"], parameters(deployment["entrypoint"])] for deployment in deployments()
    )


def test_every_schedule_is_in_the_operators_table() -> None:
    rows = tables(OPERATORS)["when, deployment, "]
    assert sorted(row[1] for row in rows) == sorted(
        deployment["name"] for deployment in deployments() if "schedules" in deployment
    )


def test_every_setting_is_in_the_operators_table_with_its_default() -> None:
    rows = {row[0]: row[1] for row in tables(OPERATORS)["setting, default, "]}
    for name, field in Settings.model_fields.items():
        default = field.default
        text = f"{default:g}" if isinstance(default, float) else str(default)
        assert rows[f"VPP_{name.upper()}"] == (text or "none"), name


def test_every_setting_that_is_named_exists() -> None:
    settings = {f"VPP_{name.upper()}" for name in Settings.model_fields}
    settings.add("VPP_NAME")  # a field of the line program
    for path in FILES:
        if path.is_relative_to(ROOT / "flows"):
            settings |= set(re.findall(r'"(VPP_[A-Z_]+)"', path.read_text()))
    for path in FILES:
        named = set(re.findall(r"\bVPP_[A-Z0-9_]*[A-Z]", prose(path)))
        assert named <= settings, path


def test_every_make_target_is_there_and_is_mentioned() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", MAKEFILE.read_text(), re.MULTILINE))
    mentioned: set[str] = set()
    for path in FILES:
        named = set(re.findall(r"(?:`|^|&& )make ([a-z]+)", prose(path), re.MULTILINE))
        assert named <= targets, path
        if path in MARKDOWN:
            mentioned |= named
    assert mentioned == targets - {"help"}
