"""What one break is."""

from dataclasses import dataclass

RULES = "tests/rules/test_"
ENGINE = "tests/integration/test_engine_"
ENRICHER = ("tests/unit/test_enricher.py", "tests/unit/test_enricher_clinical.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`old` stands in `file` exactly once and is replaced by `new`; one of `tests` must fail then.

    `why`: what would go wrong in a hospital. `survives`: why no test notices, empty when one does.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    survives: str = ""
