"""The filters of the history as links, each with how much it would leave; every link keeps the others. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.utils.translation import gettext as _

from passport.forms import CATEGORY_NAMES
from passport.history import Facets, Filters
from passport.views.lines import Pages
from passport.views.result_lines import ChipLink

#: Years that stand as links; the days can be typed for older ones.
LONGEST_YEARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    title: str
    chips: Sequence[ChipLink]
    #: Stands with the fields to open, because the rail beside the entries leads through the same years.
    is_folded: bool = False


def choices(found: Facets, *, filters: Filters, query: Mapping[str, str], pages: Pages) -> list[Choices]:
    """`query`: the filters as they stand in the URL. What would leave nothing is only shown where it is chosen."""

    def chip(words: str, n: int, *, is_chosen: bool, **change: str) -> ChipLink:
        kept = {name: value for name, value in query.items() if name not in change}
        then = kept if is_chosen else kept | change
        return ChipLink(words=words, n=n, url=f"{pages.history}?{urlencode(then)}", is_chosen=is_chosen)

    kinds = [
        chip(str(name), n, is_chosen=filters.category == category, category=category)
        for category, name in CATEGORY_NAMES
        if (n := found.categories.get(category, 0)) or filters.category == category
    ]
    if found.n_flagged or filters.is_flagged:
        kinds.insert(0, chip(_("Out of range only"), found.n_flagged, is_chosen=filters.is_flagged, flagged="1"))
    hospitals = [
        chip(name, n, is_chosen=filters.hospital == code, hospital=code)
        for code, name in found.hospital_names.items()
        if (n := found.hospitals.get(code, 0)) or filters.hospital == code
    ]
    years = [
        chip(year, n, is_chosen=_is_year(filters, year), **{"from": f"{year}-01-01", "to": f"{year}-12-31"})
        for year, n in list(found.years.items())[:LONGEST_YEARS]
    ]
    groups = [(_("Kind"), kinds, False), (_("Hospital"), hospitals, False), (_("Year"), years, True)]
    # One way only is no choice, but one that was chosen can be undone.
    return [
        Choices(title=title, chips=chips, is_folded=is_folded)
        for title, chips, is_folded in groups
        if len(chips) > 1 or any(each.is_chosen for each in chips)
    ]


def _is_year(filters: Filters, year: str) -> bool:
    first, last = filters.from_date, filters.to_date
    return bool(first and last) and f"{first} {last}" == f"{year}-01-01 {year}-12-31"
