"""How many entries each further choice would leave: the counts beside the filters of the history."""

from collections import Counter
from collections.abc import Sequence

from passport.access.scope import Visible
from passport.history.outlines import Row
from passport.history.shapes import IN_ORDER, Facets, Filters, Status


def facets_of(rows: Sequence[Row], *, found: set[str] | None, filters: Filters, seen: Visible) -> Facets:
    """Counts of all these rows. `found`: keys of those that hold the words. What qualifies another is not counted."""
    codes = {f"{link.hospital.number:04d}": link.hospital.code for link in seen.links}
    # Visits hold many alike: what is the same in all that filters ask for is looked at once.
    alike = Counter(
        (row.key[:4], row.category, row.flag in IN_ORDER, row.at_local[:10] if row.at_local else "")
        for row in rows
        if row.part_of is None and filters.status in {Status.ALL, row.status} and (found is None or row.key in found)
    )
    hospitals, categories, years = Counter[str](), Counter[str](), Counter[str]()
    n_flagged = 0
    for (number, category, is_in_order, day), n in alike.items():
        misses = _misses(codes[number], category, is_in_order, day, filters)
        if misses <= {"hospital"}:
            hospitals[codes[number]] += n
        if misses <= {"category"}:
            categories[category] += n
        if misses <= {"days"} and day:
            years[day[:4]] += n
        if misses <= {"flagged"} and not is_in_order:
            n_flagged += n
    return Facets(
        hospitals=dict(hospitals),
        categories=dict(categories),
        years=dict(sorted(years.items(), reverse=True)),
        n_flagged=n_flagged,
        hospital_names={link.hospital.code: link.hospital.name for link in seen.links},
    )


def _misses(hospital: str, category: str, is_in_order: bool, day: str, filters: Filters) -> set[str]:
    """Which of the filters an entry does not fit. `day`: empty where it has none."""
    found = set()
    if filters.hospital and hospital != filters.hospital:
        found.add("hospital")
    if filters.category and category != filters.category:
        found.add("category")
    if filters.is_flagged and is_in_order:
        found.add("flagged")
    first, last = filters.from_date, filters.to_date
    if (first and day < first.isoformat()) or (last and (not day or day > last.isoformat())):
        found.add("days")
    return found
