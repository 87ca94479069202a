"""The list of what we are built from is that of the lock."""

import importlib.util
import json
import re
from types import ModuleType

import pytest

from tests.parts import ROOT


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", ROOT / "requirements/sbom.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_files_are_what_the_lock_gives(maker: ModuleType) -> None:
    """Out of date? `./run sbom`."""
    found = maker.packages()
    assert maker.SBOM.read_text() == maker.sbom(found)
    assert maker.LICENCES.read_text() == maker.licences(found)


def test_every_package_of_the_lock_is_in_it_with_hash_and_licence(maker: ModuleType) -> None:
    locked = re.findall(r"^[a-z0-9._-]+==\S+", maker.LOCK.read_text(), re.MULTILINE)
    components = json.loads(maker.SBOM.read_text())["components"]
    assert [f"{one['name']}=={one['version']}" for one in components] == locked
    assert all(one["hashes"] and one["licenses"][0]["license"]["name"] not in {"", "None"} for one in components)


def test_each_package_is_needed_by_somebody(maker: ModuleType) -> None:
    document = json.loads(maker.SBOM.read_text())
    needed = {child for one in document["dependencies"] for child in one["dependsOn"]}
    assert {one["bom-ref"] for one in document["components"]} == needed


def test_nothing_in_it_forbids_what_we_do_with_it(maker: ModuleType) -> None:
    """AGPL and "non-commercial" would; a licence that says nothing would have to be looked up."""
    assert not re.search(r"AGPL|affero|commercial|unknown|proprietary", maker.LICENCES.read_text(), re.IGNORECASE)
