"""What docs/guarantees.md says of files, tests and survivors is so."""

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.mutants import MUTANTS, Mutant
from tests.parts import ROOT

GUARANTEES = ROOT / "docs" / "guarantees.md"
RULES = ROOT / "tests" / "rules"
A_SURVIVOR = re.compile(r"^\| `([a-z0-9-]+)` \| `[^`]+` \| ", re.MULTILINE)


def cited(pattern: str) -> list[str]:
    return re.findall(pattern, GUARANTEES.read_text())


@cache
def defined_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def rules() -> set[str]:
    """The tests that ask for the fixture `rule`."""
    return {
        node.name
        for file in RULES.glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef) and "rule" in {one.arg for one in node.args.args}
    }


def test_every_file_that_the_guarantees_cite_is_there() -> None:
    paths = cited(r"`((?:openmrs_sync|hospitals|passport|tests|docs)/[\w./]*)`")
    assert len(paths) > 20
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_test_that_the_guarantees_cite_is_there() -> None:
    pairs = [(path, name) for path, name in cited(r"`(tests/[\w/]+\.py)::(test_\w+)`")]
    assert len(pairs) > 15
    assert [f"{path}::{name}" for path, name in pairs if name not in defined_in(path)] == []


def test_every_rule_is_listed_once_and_every_listed_rule_is_tested() -> None:
    listed = Counter(cited(r"(?m)^- `(test_\w+)`$"))
    assert set(listed) == rules()
    assert [name for name, n in listed.items() if n > 1] == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutants_old_text_is_there_exactly_once(mutant: Mutant) -> None:
    """When this fails the line was changed: word the mutant anew, so that it still breaks the same thing."""
    text = (ROOT / mutant.file).read_text()
    assert text.count(mutant.old) == 1
    compile(text.replace(mutant.old, mutant.new), mutant.file, "exec")


def test_a_mutants_tests_are_there() -> None:
    files = {test.split("::")[0] for mutant in MUTANTS for test in mutant.tests}
    assert [path for path in files if not (ROOT / path).is_file()] == []
    named = {test.split("[")[0] for mutant in MUTANTS for test in mutant.tests if "::" in test}
    assert [test for test in named if test.split("::")[1] not in defined_in(test.split("::")[0])] == []


def test_every_mutant_has_a_name_of_its_own() -> None:
    assert [name for name, n in Counter(mutant.name for mutant in MUTANTS).items() if n > 1] == []


def test_the_guarantees_count_the_mutants_and_list_those_that_survive() -> None:
    assert cited(r"breaks (\d+) lines") == [str(len(MUTANTS))]
    assert sorted(A_SURVIVOR.findall(GUARANTEES.read_text())) == sorted(one.name for one in MUTANTS if one.survives)
