"""`./run sbom`: docs/sbom.json (CycloneDX 1.6) and docs/licences.md, from requirements/base.txt.

Versions, hashes and who needs what are the lock's; licences are what the installed packages say of themselves. The same
lock gives the same files: they hold no time and no random number.
"""

import json
import re
import sys
import tomllib
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK, SBOM, LICENCES = ROOT / "requirements/base.txt", ROOT / "docs/sbom.json", ROOT / "docs/licences.md"
#: Of packages that other machines need and this one does not have.
NOT_INSTALLED_HERE = {"async-timeout": "Apache-2.0", "brotlicffi": "MIT", "brotli": "MIT"}
# One package, as pip writes it: name==version, a condition, hashes, and below who asked for it.
_ENTRY = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)


def packages() -> list[dict[str, Any]]:
    """Every package of the lock: name, version, hashes, the packages that need it, licence."""
    return [
        {
            "name": name,
            "version": version,
            "hashes": sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", rest)),
            "needed_by": sorted(re.findall(r"^\s+#\s+(?:via +)?(?!via$)([a-z0-9][a-z0-9._-]*)", rest, re.MULTILINE)),
            "licence": licence_of(name),
        }
        for name, version, rest in _ENTRY.findall(LOCK.read_text())
    ]


def licence_of(name: str) -> str:
    try:
        said: PackageMetadata = metadata(name)
    except PackageNotFoundError:
        return NOT_INSTALLED_HERE[name]
    classified = [
        line.split(" :: ")[-1]
        for line in said.get_all("Classifier") or []
        if line.startswith("License :: OSI Approved")
    ]
    return said.get("License-Expression") or ", ".join(classified) or str(said.get("License")).splitlines()[0]


def sbom(found: list[dict[str, Any]]) -> str:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ours = {"type": "application", "bom-ref": project["name"], "name": project["name"], "version": project["version"]}
    refs = {one["name"]: f"pkg:pypi/{one['name']}@{one['version']}" for one in found}
    needs: dict[str, list[str]] = {name: [] for name in (project["name"], *refs)}
    for one in found:
        for parent in one["needed_by"]:
            needs[parent].append(refs[one["name"]])
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": ours | {"licenses": [{"license": {"id": project["license"]}}]}},
        "components": [
            {
                "type": "library",
                "bom-ref": refs[one["name"]],
                "name": one["name"],
                "version": one["version"],
                "purl": refs[one["name"]],
                "licenses": [{"license": {"name": one["licence"]}}],
                "hashes": [{"alg": "SHA-256", "content": each} for each in one["hashes"]],
            }
            for one in found
        ],
        "dependencies": [
            {"ref": refs.get(name, name), "dependsOn": sorted(set(children))}
            for name, children in sorted(needs.items())
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def licences(found: list[dict[str, Any]]) -> str:
    rows = [f"| {one['name']} | {one['version']} | {one['licence']} |" for one in found]
    head = (
        "# Licences\n\nMade by `./run sbom` from `requirements/base.txt`, extras included. Patient Passport itself is "
        "MPL-2.0; htmx, where it is vendored, is 0BSD.\nThe driver (mysqlclient) is GPL-2.0-or-later, which MPL-2.0 "
        "permits; `pyphen` may be taken under the LGPL or the MPL.\n\n"
        "| package | version | licence |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(rows) + "\n"


def main() -> int:
    found = packages()
    SBOM.write_text(sbom(found))
    LICENCES.write_text(licences(found))
    sys.stderr.write(f"{len(found)} packages in {SBOM.relative_to(ROOT)} and {LICENCES.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
