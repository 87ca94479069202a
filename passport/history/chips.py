"""How many entries each further choice would leave: the counts beside the filters of the history."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from passport.access.scope import Scope, visible
from passport.history.shapes import IN_ORDER, Filters, Status
from passport.history.words import holds, words_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """Entries that fit all filters but the one of the same kind; of `hospitals` and `categories` by code and word.

    Counted from what this look may show, so a count says nothing of what it leaves out.
    """

    hospitals: Mapping[str, int]
    categories: Mapping[str, int]
    years: Mapping[str, int]  # newest first
    n_flagged: int
    hospital_names: Mapping[str, str]


def facets(*, scope: Scope, filters: Filters) -> Facets:
    """One pass over the history. What qualifies another entry is not counted beside it."""
    seen = visible(scope)
    found = seen.records.filter(part_of__isnull=True)
    if filters.status != Status.ALL:
        found = found.filter(status=filters.status)
    words = words_of(filters.q)
    codes = {link.pk: link.hospital.code for link in seen.links}
    names = ["link_id", "category", "flag", "at_local", *(["concept", "value"] if words else [])]
    hospitals, categories, years = Counter[str](), Counter[str](), Counter[str]()
    n_flagged = 0
    for link_id, category, flag, at_local, *text in found.values_list(*names):
        if words and not holds("\n".join(text), words):
            continue
        misses = _misses(codes[link_id], category, flag, at_local, filters)
        if not misses - {"hospital"}:
            hospitals[codes[link_id]] += 1
        if not misses - {"category"}:
            categories[category] += 1
        if not misses - {"days"} and at_local:
            years[at_local[:4]] += 1
        if not misses - {"flagged"} and flag not in IN_ORDER:
            n_flagged += 1
    return Facets(
        hospitals=dict(hospitals),
        categories=dict(categories),
        years=dict(sorted(years.items(), reverse=True)),
        n_flagged=n_flagged,
        hospital_names={link.hospital.code: link.hospital.name for link in seen.links},
    )


def _misses(hospital: str, category: str, flag: str | None, at_local: str | None, filters: Filters) -> frozenset[str]:
    """Which of the filters an entry does not fit."""
    found = set()
    if filters.hospital and hospital != filters.hospital:
        found.add("hospital")
    if filters.category and category != filters.category:
        found.add("category")
    if filters.is_flagged and flag in IN_ORDER:
        found.add("flagged")
    first, last = filters.from_date, filters.to_date
    if (first or last) and (
        at_local is None
        or (first is not None and at_local[:10] < first.isoformat())
        or (last is not None and at_local[:10] > last.isoformat())
    ):
        found.add("days")
    return frozenset(found)
