"""The rules of the house, as tests. Each reads the files of the repository, tracked or about to be."""

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.parts import ROOT, require, require_path

PACKAGES = ("passport", "hospitals", "openmrs_sync")
THIS_FILE = Path(__file__).resolve().relative_to(ROOT)

# Where SQL may be written: what we send to a source, and the one branch by vendor of our own stores.
SQL_MODULES = {
    "hospitals/queries.py",
    "openmrs_sync/queries.py",
    "openmrs_sync/receipt_queries.py",
    "openmrs_sync/writer.py",
    "openmrs_sync/stores/relational.py",
    "openmrs_sync/balance.py",
    "openmrs_sync/stillness.py",
}
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+(INTO|IGNORE)\s|REPLACE\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|COPY\s+\S+.*\sFROM\s"
    r"|WITH\s+(RECURSIVE\s+)?\w+\s+AS\s|(CREATE|DROP|ALTER)\s+(TABLE|TEMP|USER|TRIGGER|INDEX|VIEW)\b|TRUNCATE\s"
    r"|GRANT\s+SELECT\b|SHOW\s+(FULL|GLOBAL|SESSION|GRANTS|VARIABLES|STATUS|TABLES|COLUMNS|INDEX|CREATE)\b|EXPLAIN\s|START\s+TRANSACTION|SET\s+(SESSION|GLOBAL|NAMES|TRANSACTION)\b)",
    re.DOTALL,
)

# The closed list of `error_kind` in sync --json.
ERROR_KINDS = {
    "unreachable",
    "misconfigured",
    "credentials",
    "writable_account",
    "schema_mismatch",
    "source_replaced",
    "would_erase",
    "internal",
}

FORBIDDEN_MODULE_NAMES = {"util", "utils", "helper", "helpers", "manager", "managers", "misc", "common"}

# None of these matches its own spelling here, so this file is searched too.
FORBIDDEN_TEXT = {
    "a package registry": re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs|deb\.debian\.org"),
    "a path of one machine": re.compile(r"(?<![\w.~-])/(work|root|home)/\w"),
    "how the work was organised": re.compile(
        r"\bissue\s#?\d|\b(sub|coding|AI)[- ]?agents?\b|\bworkplace\b|\bCEO\b", re.IGNORECASE
    ),
}
# Only tests and measurements may look for files beside the checkout.
BESIDE_THE_CHECKOUT = re.compile(r"\.\./shared\b")

# Failures that happened to others, by the kind of test that each asks for; every number is one story.
STORIES = {
    "Eng": "1 2 4 5 7-15 17-27 29-37 39-47 49-52 54 60 61 65 66 69-71 76-82 84-93",
    "Prop": "3 6 38 48 75 94",
    "API": "55 68",
    "Sys": "16",
    "DB": "28",
    "Ops": "64 74",
    "Sec": "56-59 62 72 73 83",
    "UI": "53 63 67",
}
# Of these kinds a story may be without a test for now. The set is exact: whoever writes the test takes the number out.
STORIES_NOT_YET: dict[str, set[int]] = {}

MAX_LINES_OF_A_FUNCTION = 60
# Only these ask for the time; everything below them is given it.
CLOCK_ROOMS = {
    "checks",
    "tasks",
    "queue",
    "supervisor",
    "lookout",
    "views",
    "admin",
    "admin_site",
    "health",
    "api",
    "management",
    "middleware",
}


@cache
def files() -> tuple[Path, ...]:
    """Every file of the repository, relative to its root: tracked, or not ignored and so about to be."""
    git = require("git")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(path for name in listed.split("\0") if name and (ROOT / (path := Path(name))).is_file())


def texts() -> Iterator[tuple[Path, str]]:
    for path in files():
        content = (ROOT / path).read_bytes()
        if b"\0" not in content:
            yield path, content.decode()


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Our packages' modules, parsed; migrations and tests are not among them."""
    return tuple(
        (path, ast.parse((ROOT / path).read_text(), filename=str(path)))
        for path in files()
        if path.suffix == ".py" and path.parts[0] in PACKAGES and "migrations" not in path.parts
    )


def strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every string but the docstrings; of an f-string, its parts."""
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node


def settings_read() -> set[str]:
    """The names that passport/settings.py asks of the environment."""
    tree = ast.parse((ROOT / "passport/settings.py").read_text())
    names: set[str] = set()
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        asked = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "env":
            asked += call.args[:1]
        names |= {value.value for value in asked if isinstance(value, ast.Constant) and isinstance(value.value, str)}
    return names


def settings_explained() -> set[str]:
    """The names in .env.example, commented out or not."""
    return set(re.findall(r"^#?\s*([A-Z][A-Z0-9_]+)=", require_path(".env.example").read_text(), re.MULTILINE))


def stories(kind: str) -> set[int]:
    """The numbers of one kind."""
    numbers: set[int] = set()
    for part in STORIES[kind].split():
        first, _, last = part.partition("-")
        numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


@cache
def stories_told() -> frozenset[int]:
    """The numbers that stand in the docstring of a test, or in an ADR that says why there is none."""
    told = [(ROOT / path).read_text() for path in files() if path.match("docs/adr/*.md")]
    for path in files():
        if path.parts[0] == "tests" and path.suffix == ".py":
            told += [
                ast.get_docstring(node) or ""
                for node in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            ]
    return frozenset(int(number) for text in told for number in re.findall(r"\bT(\d+)\b", text))


# ------------------------------------------------------------------------------------------------ names and rooms


def test_no_module_is_a_drawer_for_everything() -> None:
    wrong = [
        str(path)
        for path in files()
        if path.suffix == ".py" and FORBIDDEN_MODULE_NAMES & {path.stem, *path.parent.parts}
    ]
    assert not wrong, "\n".join(wrong)


def test_sql_is_written_only_where_it_may_be() -> None:
    wrong = [
        f"{path}:{node.lineno}: {node.value.strip()[:60]}"
        for path, tree in modules()
        if str(path) not in SQL_MODULES
        for node in strings(tree)
        if SQL.match(node.value)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "\n  SELECT obs_id FROM obs",
        "UPDATE claim SET token = 1",
        "START TRANSACTION READ ONLY",
        "SHOW GRANTS",
    ],
)
def test_the_search_for_sql_finds(text: str) -> None:
    assert SQL.match(text)


@pytest.mark.parametrize("text", ["SELECT-only", "Select a hospital", "UPDATE", "SHOW VIEW", "Set a password"])
def test_the_search_for_sql_leaves_alone(text: str) -> None:
    assert not SQL.match(text)


def test_the_driver_is_imported_by_one_module() -> None:
    importers = [
        str(path)
        for path, tree in modules()
        if any(
            name.split(".")[0] == "MySQLdb"
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            )
        )
    ]
    assert len(importers) <= 1, importers


def test_no_function_is_longer_than_a_screen() -> None:
    wrong = [
        f"{path}:{node.lineno} {node.name}: {n_lines} lines"
        for path, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (n_lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_LINES_OF_A_FUNCTION
    ]
    assert not wrong, "\n".join(wrong)


def test_only_entry_points_ask_for_the_time() -> None:
    wrong = [
        f"{path}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in modules()
        if not CLOCK_ROOMS & {path.stem, *path.parts}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and re.fullmatch(
            r"(timezone|(dt\.|datetime\.)?datetime)\.(now|utcnow|today)|time\.time", ast.unparse(node.func)
        )
    ]
    assert not wrong, "\n".join(wrong)


def test_no_model_has_logic_in_save() -> None:
    wrong = [
        f"{path}:{node.lineno}"
        for path, tree in modules()
        if "models" in {path.stem, *path.parts}
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "save"
    ]
    assert not wrong, "\n".join(wrong)


# ------------------------------------------------------------------------------------------------- what is written


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_no_file_mentions(what: str) -> None:
    wrong = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if FORBIDDEN_TEXT[what].search(line)
    ]
    assert not wrong, "\n".join(wrong)


def test_only_tests_and_measurements_look_beside_the_checkout() -> None:
    wrong = [
        str(path)
        for path, text in texts()
        if path.parts[0] not in {"tests", "bench"} and BESIDE_THE_CHECKOUT.search(text)
    ]
    assert not wrong, "\n".join(wrong)


def test_the_scripts_can_be_executed() -> None:
    assert [name for name in ("run", ".ci/run") if not os.access(ROOT / name, os.X_OK)] == []


def test_every_dependency_says_why() -> None:
    lines = (ROOT / "pyproject.toml").read_text().split("[dependency-groups]")[0].splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    silent = [one for one in wanted if not any(f'"{one}"' in line and "# " in line for line in lines)]
    assert silent == []


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    locked = {
        name: set(re.findall(r"^([a-z0-9-]+)==", (ROOT / f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("base", "dev")
    }
    runtime = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
    ]
    names = {"base": runtime, "dev": [*runtime, *project["dependency-groups"]["dev"]]}
    for lock, wanted in names.items():
        assert {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in wanted} - locked[lock] == set()


def test_there_is_a_changelog() -> None:
    assert re.search(r"^## ", require_path("CHANGELOG.md").read_text(), re.MULTILINE)


def test_every_setting_is_explained_in_the_example() -> None:
    assert sorted(settings_read() - settings_explained()) == []


def test_the_example_explains_no_setting_that_nobody_reads() -> None:
    unread = settings_explained() - settings_read()
    assert sorted(name for name in unread if not name.startswith("HOSPITAL_") and not name.endswith("_FILE")) == []


def test_the_search_for_settings_finds_the_secret_key() -> None:
    assert {"SECRET_KEY", "DEBUG", "DATABASE_URL"} <= settings_read()


def test_every_command_has_a_test_that_names_it() -> None:
    commands = {
        path.stem
        for path in files()
        if path.parts[0] in PACKAGES and path.match("management/commands/*.py") and not path.stem.startswith("_")
    }
    tests = "\n".join(
        (ROOT / path).read_text()
        for path in files()
        if path.parts[0] == "tests" and path != THIS_FILE and path.suffix == ".py"
    )
    assert sorted(name for name in commands if not re.search(rf"""["']{name}["']""", tests)) == []


def test_every_error_kind_has_its_entry_in_troubleshooting() -> None:
    headings = re.findall(r"^#+ .*$", require_path("docs/troubleshooting.md").read_text(), re.MULTILINE)
    assert sorted(kind for kind in ERROR_KINDS if not any(re.search(rf"\b{kind}\b", one) for one in headings)) == []


def test_the_code_knows_no_error_kind_beyond_the_list() -> None:
    kinds = {
        node.value.value
        for path, tree in modules()
        if path.name == "errors.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        and "kind" in ast.unparse(node).split("=")[0]
    }
    # These two end a run with a status of their own, not as `failed`.
    assert kinds - {"quiet", "busy"} <= ERROR_KINDS


# ------------------------------------------------------------------------------------------------ stories


@pytest.mark.parametrize("kind", sorted(STORIES.keys() - STORIES_NOT_YET.keys()))
def test_every_story_is_told_by_a_test_or_an_adr_says_why_not(kind: str) -> None:
    assert sorted(stories(kind) - stories_told()) == []


@pytest.mark.parametrize("kind", sorted(STORIES_NOT_YET))
def test_what_is_said_to_be_without_a_test_is_without_one(kind: str) -> None:
    """A number that got its test leaves STORIES_NOT_YET; no other may be missing."""
    assert stories(kind) - stories_told() == STORIES_NOT_YET[kind]


def test_every_story_has_one_kind_and_no_test_tells_another() -> None:
    numbers = [number for kind in STORIES for number in stories(kind)]
    assert sorted(numbers) == list(range(1, 95))
    assert stories_told() <= set(numbers)


def test_our_list_of_stories_is_the_one_that_was_agreed() -> None:
    agreed = ROOT.parent / "shared" / "FAILURES.md"
    if not agreed.is_file():
        pytest.skip("the list lies beside the checkout of those who write this product, and nowhere else")
    found = re.findall(r"^\| T(\d+) \|.*\| (\w+)[^|]*\|$", agreed.read_text(), re.MULTILINE)
    assert {(int(number), kind) for number, kind in found} == {
        (number, kind) for kind in STORIES for number in stories(kind)
    }
