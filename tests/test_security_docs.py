"""docs/security.md names a test for what it says: each of them is there."""

import ast
import re

from tests.parts import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = NAMED.findall((ROOT / "docs/security.md").read_text())
    assert len(named) > 20
    gone = [f"{path}::{name}" for path, name in named if name not in functions_of(path)]
    assert gone == []


def test_every_test_of_the_attack_suite_belongs_to_a_file_that_the_threat_model_names() -> None:
    named = {path for path, _ in NAMED.findall((ROOT / "docs/security.md").read_text())}
    attacks = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/security").glob("test_*.py")}
    assert attacks - named == set()


def functions_of(path: str) -> set[str]:
    file = ROOT / path
    tree = ast.parse(file.read_text()) if file.exists() else ast.Module(body=[], type_ignores=[])
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
