"""The one rule of the house: who imports whom, who knows Prefect and S3, who writes what."""

import ast
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import flows.commands
import tasks.core

ROOT = Path(__file__).parents[2]
FLOORS = ("core", "io", "imports", "settlement", "publication", "evidence", "pages", "runs")
SOURCES = sorted((ROOT / "tasks").rglob("*.py"))
CORE = [f"tasks.core.{module.name}" for module in pkgutil.iter_modules(tasks.core.__path__)]
# Which room writes what is on S3, by the functions and names of core/keys.py.
WRITERS = {
    "registry/": ("io", {"REGISTRY_LOG", "registry_segment", "registry_columns", "registry_list"}),
    "imports/": ("imports", {"CATALOG", "import_part"}),
    "rejected/": ("settlement", {"rejected_rows"}),
    "reports/": ("publication", {"report", "difference"}),
    "months/": ("publication", {"month_record"}),
    "runs/": ("publication", {"run_record"}),
    "disputes/": ("evidence", {"dispute_bundle"}),
    "tables/": ("evidence", {"month_tables"}),
    "statements/": (
        "pages",
        {"statements_index", "vpp_statement", "site_statement", "site_statements"},
    ),
    "results/": ("pages", {"results_table", "results_workbook", "results_payments"}),
}
WRITES = {"write", "write_if", "upload", "write_run_record"}
# Modules of tasks/ without a file of tests of their own, and why.
UNTESTED = {"core/errors.py": "classes without a line of code"}


def floor(module: str) -> str:
    """Return the floor of a module of `tasks`: 'tasks.io.warehouse' -> 'io'."""
    return module.split(".")[1]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> set[str]:
    """Return the names of all modules that a file imports, wherever it does."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def loaded(*modules: str) -> set[str]:
    """Return the names of all modules that are loaded once these are imported."""
    program = (
        "import importlib, json, sys\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        "print(json.dumps(list(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(json.loads(run.stdout))


def test_every_folder_is_a_floor_of_the_map() -> None:
    folders = {path.name for path in (ROOT / "tasks").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(FLOORS)
    text = tasks.__doc__ or ""
    places = [text.index(f"    {name}/ ") for name in FLOORS]
    assert places == sorted(places)


def test_each_module_has_its_file_of_tests() -> None:
    """tests/unit/<room>/test_<name>.py proves what tasks/<room>/<name>.py promises."""
    modules = {
        str(path.relative_to(ROOT / "tasks")) for path in SOURCES if path.name != "__init__.py"
    }
    without = {
        module
        for module in modules
        if not (ROOT / "tests" / "unit" / module).with_name(f"test_{Path(module).name}").exists()
    }
    assert without == set(UNTESTED)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_rooms_below_it(path: Path) -> None:
    names = imported(path)
    assert not any(name.startswith(("flows", "tests")) for name in names)
    if path.parent == ROOT / "tasks":
        return
    own = FLOORS.index(floor(name_of(path)))
    for name in names:
        if name.startswith("tasks.") and (below := floor(name)) in FLOORS:
            assert FLOORS.index(below) <= own, f"{path.name} imports {name}"


def test_prefect_is_known_in_runs_alone_and_boto3_in_io() -> None:
    for path in SOURCES:
        roots = {name.split(".")[0] for name in imported(path)}
        where = path.relative_to(ROOT / "tasks").parts[0]
        assert "prefect" not in roots or where == "runs", path
        assert not roots & {"boto3", "botocore"} or where == "io", path


def test_each_prefix_is_written_by_one_room() -> None:
    """Read off the calls: a function that writes names a key of the room that may."""
    owners = {name: room for room, names in WRITERS.values() for name in names}
    for path in SOURCES:
        room = path.relative_to(ROOT / "tasks").parts[0]
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            attributes = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
            if not any(node.attr in WRITES for node in attributes):
                continue
            named = {
                node.attr
                for node in attributes
                if isinstance(node.value, ast.Name) and node.value.id == "keys"
            }
            for key in named & set(owners):
                assert owners[key] == room, f"{path.name}:{function.name} writes {key}"


def test_keys_are_made_in_one_place() -> None:
    prefixes = "|".join(re.escape(prefix) for prefix in WRITERS)
    pattern = re.compile(rf'^f?"(?:{prefixes})[^"]*\{{')
    for path in SOURCES:
        if path.name == "keys.py":
            continue
        for line in path.read_text().splitlines():
            assert not pattern.match(line.strip().removeprefix("return ")), f"{path.name}: {line}"


def test_the_core_is_pure() -> None:
    assert len(CORE) >= 12
    modules = loaded(*CORE)
    assert not modules & {"prefect", "boto3", "botocore", "duckdb", "polars", "moto"}
    ours = {name for name in modules if name.startswith(("tasks", "flows"))}
    assert ours == {"tasks", "tasks.core", *CORE}


def test_the_story_and_the_line_program_load_neither_prefect_nor_the_embedded_s3() -> None:
    modules = loaded("flows.story", "flows.commands.instructions", "tasks.io.embedded_s3")
    assert not modules & {"prefect", "moto", "flask"}


def test_the_map_names_every_flow_and_command() -> None:
    text = flows.__doc__ or ""
    for path in (ROOT / "flows").glob("*.py"):
        if path.name not in {"__init__.py", "instructions.py"}:
            assert f"    {path.name} " in text, path.name
    for module in pkgutil.iter_modules(flows.commands.__path__):
        assert f"    commands/{module.name}.py " in text, module.name


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if "DuckDBPy" in path.read_text()], ids=name_of
)
def test_classes_of_duckdb_are_named_in_text_alone(path: Path) -> None:
    """Functions keep the classes that their signatures name, and some outlive all else.

    At the end of a flow's process DuckDB then complained of classes that somebody still had, in 40
    lines behind what the run had to say.
    """
    assert "__future__.annotations" in imported(path)
